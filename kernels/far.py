"""The far keys of `hyper`: those found one by one, all others by the mean of their block; forward and gradient.

Of the far keys of query i, in blocks b of count_b visible keys with mean key k̄_b and value sum V_b, S_i is found:

    numerator    Σ_{j∈S_i} e^{s_ij} v_j  +  Σ_b e^{s̄_ib} (V_b − Σ_{j∈S_i∩b} v_j),     s̄_ib = scale·q_i·k̄_b
    denominator  Σ_{j∈S_i} e^{s_ij}      +  Σ_b e^{s̄_ib} (count_b − |S_i∩b|)

Every far key is counted once: by itself or by its block's mean. A found key is taken out of its block by giving it the
weight e^{s_ij} − e^{s̄_ib}, so that the table of blocks serves every query. (Zheng et al. call the e^{s̄} part a control
variate, arXiv 2302.04542.) By Jensen's inequality the blocks' part never overstates the denominator of alike values.

So the blocks are one attention of all queries to a short table (`blocks_forward`), and what was found is added with
its own scores and taken off with its blocks'. Tiles of any mixture of heads stand in one `Far`: batch and head numbers
are folded into flat rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from .attend import NEG_INF, attend, attend_backward, gather_rows, log_weight_of, merge_
from .call import AttentionCall
from .parts import Span
from .selection import NEVER, Found
from .tiling import Tile, block_of, strip_of, tiles

SCORE_BUDGET = 1 << 20  # scores that one `Far` may hold
STEP = 32  # keys; whole vectors on every machine
GROUP_BUDGET = 1 << 17  # scores of a head in a piece of the blocks' attention; small, as pieces skip the future
HELD_BUDGET = 1 << 24  # found (query tile, key) pairs, times the tile's rows, that wait to be packed together
OFF_CPU = 32  # times as much elsewhere, where calls cost more than caches gain


@dataclass(frozen=True, slots=True)
class Far:
    """N tiles, each of one query head: R queries against F found keys.

    query_rows  int64 [N, R], b·H·n_q + h·n_q + i; B·H·n_q = no query. R = rows of a whole tile.
    key_rows    int64 [N, F], b·H_kv·n_k + u·n_k + j; B·H_kv·n_k = no key.
    first       int16 [N, S, F], for each strip of the tile the row of the tile from which on the key is read; R and
                above = never.
    strip       rows of a strip.
    block_rows  int64 [N, F], b·H_kv·m + u·m + number of the key's block, m blocks a sequence; B·H_kv·m = none.
    """

    query_rows: Tensor
    key_rows: Tensor
    first: Tensor
    block_rows: Tensor
    strip: int

    def reads(self) -> Tensor:
        """Which query reads which key by itself, bool [N, R, F]."""
        return (self._rows().unsqueeze(-1) >= self.first.unsqueeze(2)).flatten(1, 2)[:, : self.query_rows.shape[1]]

    def _rows(self) -> Tensor:
        """Row numbers, int16 [S, strip]."""
        count = self.first.shape[1] * self.strip
        return torch.arange(count, device=self.first.device, dtype=self.first.dtype).view(-1, self.strip)

    def reads_none(self) -> Tensor:
        """Which query reads none of the keys, bool [N, R]."""
        return (self._rows() < self.first.amin(2, keepdim=True)).flatten(1, 2)[:, : self.query_rows.shape[1]]


@dataclass(frozen=True, slots=True)
class Whole:
    """A tile whose queries of one batch entry read every key that they see, in all heads: no block stands for any."""

    batch: int
    tile: Tile

    @property
    def entry(self) -> slice:
        """The batch entry, of a tensor's first dimension."""
        return slice(self.batch, self.batch + 1)

    @property
    def rows(self) -> slice:
        """The tile's queries."""
        return slice(self.tile.start, self.tile.stop)

    def all_keys(self, causal_offset: int | None) -> Span:
        """Near and far."""
        return Span(self.tile.start, self.tile.stop, 0, self.tile.limit, causal_offset)

    def far_keys(self) -> list[Span]:
        """The far ones alone; every query of the tile sees them."""
        tile = self.tile
        edges = [(tile.sinks, tile.low), (tile.high, tile.limit)]
        return [Span(tile.start, tile.stop, low, high) for low, high in edges if low < high]


@dataclass(frozen=True, slots=True)
class Blocks:
    """A call's table of m blocks: keys [B, H_kv, m, D] means, values [B, H_kv, m, D_v] means, counts [B or 1, m]."""

    keys: Tensor
    values: Tensor
    counts: Tensor
    block: int

    @staticmethod
    def of(key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Blocks | None:
        """key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v], rows of masked keys zero; key_mask bool [B or 1, n_k].

        None where the call has no means.
        """
        if not call.parameters.means:
            return None
        block, n_k = block_of(call), key.shape[2]
        ones = key.new_ones(1, n_k) if key_mask is None else key_mask.to(key.dtype)
        counts = _blocked(ones.unsqueeze(-1), block).sum((-1, -2))
        share = counts.clamp(min=1.0)[:, None, :, None]
        return Blocks(_blocked(key, block).sum(3) / share, _blocked(value, block).sum(3) / share, counts, block)

    def log_counts(self, tiles: list[Tile]) -> Tensor:
        """[B or 1, 1, rows of all tiles, m]: what a block stands for to a query, −inf where it is not far.

        Of the m blocks only those up to the last that is far to a tile.
        """
        last = max(int(tile.far_blocks(self.block, torch.device("cpu"))[-1]) for tile in tiles)
        logs, found = self.counts[:, : last + 1].log(), []
        for tile in tiles:
            far = torch.zeros_like(logs[0], dtype=torch.bool)
            far[tile.far_blocks(self.block, logs.device)] = True
            found.append(logs.masked_fill(~far, NEG_INF).unsqueeze(1).expand(-1, tile.rows, -1))
        return torch.cat(found, 1).unsqueeze(1)

    def spread(self, grad_keys: Tensor, grad_values: Tensor, grad_key: Tensor, grad_value: Tensor) -> None:
        """Add the gradients of the means to those of key and value [B, H_kv, n_k, ...], in place.

        Rows of masked keys get a share too; the caller zeroes these.
        """
        n_k, share = grad_key.shape[2], self.counts.clamp(min=1.0)[:, None, :, None]
        for found, into in ((grad_keys, grad_key), (grad_values, grad_value)):
            into += (found / share).repeat_interleave(self.block, 2)[:, :, :n_k]


def _blocked(rows: Tensor, block: int) -> Tensor:
    """[..., n, X] → [..., ⌈n / block⌉, block, X], missing rows zero."""
    return pad(rows, (0, 0, 0, -rows.shape[-2] % block)).unflatten(-2, (-1, block))


def pack(
    found: Iterable[tuple[Tile, Found]], batch: int, heads: int, units: int, call: AttentionCall
) -> Iterator[Far | Whole]:
    """What the selectors found, tile after tile, as batches of tiles with about as many keys each, and tiles by
    themselves that read everything."""
    held: list[tuple[Tile, Found]] = []
    size = 0
    for tile, mine in found:
        if mine.whole is not None:
            yield from (Whole(b, tile) for b in mine.whole.nonzero()[:, 0].tolist())
        held.append((tile, mine))
        size += call.parameters.tile * (mine.key.numel() + batch * heads)
        if size >= _times(HELD_BUDGET, mine.key):
            yield from _packed(held, batch, heads, units, call)
            held, size = [], 0
    if held:
        yield from _packed(held, batch, heads, units, call)


def _packed(held: list[tuple[Tile, Found]], batch: int, heads: int, units: int, call: AttentionCall) -> Iterator[Far]:
    """Segments (tile, head) in order of their number of keys, cut where one `Far` is full.

    Bits must not depend on what later queries find. So the keys that a query reads come first, in an order of their
    own, and a `Far` is as wide as each of its tiles would need it alone: what is added are exact zeros behind.
    """
    n_q, n_k, rows, block = call.num_queries, call.num_keys, call.parameters.tile, block_of(call)
    strip = strip_of(call)
    strips = -(-rows // strip)
    orders = [torch.sort(mine.head * (rows + 1) + mine.starts(), stable=True).indices for _, mine in held]
    key = torch.cat([mine.key[order] for (_, mine), order in zip(held, orders, strict=True)])
    firsts = [
        pad(mine.first[order] + tile.skip, (0, strips - tile.strips), value=NEVER)
        for (tile, mine), order in zip(held, orders, strict=True)
    ]
    first = torch.cat(firsts)
    counts = torch.cat([torch.bincount(mine.head, minlength=batch * heads) for _, mine in held])
    starts = counts.cumsum(0) - counts
    lists = [torch.arange(tile.start, tile.stop, device=key.device) for tile, _ in held]
    skips = [tile.skip for tile, _ in held]
    queries = torch.stack(
        [pad(row, (skip, rows - skip - row.numel()), value=-1) for row, skip in zip(lists, skips, strict=True)]
    )
    order = counts.argsort(descending=True, stable=True)
    widths = [_rounded(width) for width in counts[order].tolist() if width]
    at = 0
    while at < len(widths):
        width = widths[at]
        stop = min(at + max(_times(SCORE_BUDGET, key) // (rows * width), 1), at + widths[at:].count(width))
        segment, at = order[at:stop], stop
        tile, head = segment // (batch * heads), segment % (batch * heads)
        unit = head // (heads // units)
        place = torch.arange(width, device=key.device)
        index = (starts[segment, None] + place).where(place < counts[segment, None], key.numel())
        keys = _at(key, index, -1)
        yield Far(
            _flat(queries[tile], head * n_q, batch * heads * n_q),
            _flat(keys, unit * n_k, batch * units * n_k),
            _at(first, index, NEVER).transpose(1, 2).contiguous(),
            _flat(torch.where(keys < 0, -1, keys // block), unit * -(-n_k // block), batch * units * -(-n_k // block)),
            strip,
        )


def _times(budget: int, like: Tensor) -> int:
    return budget if like.device.type == "cpu" else budget * OFF_CPU


def _rounded(width: int) -> int:
    """Multiples of STEP, an eighth apart at least: few different widths, little wasted."""
    step = max(STEP, 1 << max(width.bit_length() - 4, 0))
    return -(-width // step) * step


def _flat(rows: Tensor, base: Tensor, spare: int) -> Tensor:
    """[N, X] plus base [N]; numbers < 0 become `spare`."""
    return torch.where(rows < 0, spare, rows + base.unsqueeze(-1))


def _at(numbers: Tensor, index: Tensor, absent: int) -> Tensor:
    """numbers [M, ...] at index [N, F]; M stands for `absent`."""
    return torch.cat([numbers, numbers.new_full((1, *numbers.shape[1:]), absent)])[index]


def _groups(batch: int, blocks: Blocks, call: AttentionCall) -> Iterator[tuple[slice, Tensor]]:
    """Queries of neighbouring tiles that have far keys, and `Blocks.log_counts` of them, piece by piece."""
    most = max(_times(GROUP_BUDGET, blocks.counts) // (batch * blocks.counts.shape[1] * call.parameters.tile), 1)
    with_far = [tile for tile in tiles(call) if tile.far]
    for at in range(0, len(with_far), most):
        mine = with_far[at : at + most]
        yield slice(mine[0].start, mine[-1].stop), blocks.log_counts(mine)


def count_blocks(key_mask: Tensor | None, call: AttentionCall, device: torch.device) -> Tensor:
    """Blocks with a visible key that each query reads the mean of, int64 [B or 1, n_q]."""
    shown = torch.ones(1, call.num_keys, device=device) if key_mask is None else key_mask.float()
    blocks = Blocks.of(shown[:, None, :, None], shown[:, None, :, None], key_mask, call)
    counts = torch.zeros(shown.shape[0], call.num_queries, dtype=torch.int64, device=device)
    if blocks is not None:
        for rows, weight in _groups(1, blocks, call):
            counts[:, rows] = (weight[:, 0] > NEG_INF).sum(-1)
    return counts


def blocks_forward(query: Tensor, blocks: Blocks, call: AttentionCall, out: Tensor, lse: Tensor) -> None:
    """Merge the blocks, as if nothing were found, into out [B, H, n_q, D_v] and lse [B, H, n_q], in place."""
    for rows, weight in _groups(query.shape[0], blocks, call):
        seen = slice(0, weight.shape[-1])
        found = attend(query[:, :, rows], blocks.keys[:, :, seen], blocks.values[:, :, seen], weight, call.scale)
        merge_(out[:, :, rows], lse[:, :, rows], found)


def found_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    parts: Iterable[Far],
    blocks: Blocks | None,
    scale: float,
    out: Tensor,
    lse: Tensor,
) -> None:
    """Merge what was found into out [B, H, n_q, D_v] and lse [B, H, n_q], which hold the blocks, in place.

    query [B·H·n_q, D], key [B·H_kv·n_k, D], value [B·H_kv·n_k, D_v] flat. Each query stands in one part at most: the
    parts' results are collected and merged at once, in arrays of one shape, as the last bits of exp and log depend on
    where in an array a number stands.
    """
    added, taken = _collector(out), None if blocks is None else _collector(out)
    for part in parts:
        mine = gather_rows(query, part.query_rows).unsqueeze(1)
        keys, values = (gather_rows(flat, part.key_rows).unsqueeze(1) for flat in (key, value))
        reads = log_weight_of(part.reads(), mine).unsqueeze(1)  # [N, 1, R, F]
        empty = part.reads_none().unsqueeze(1)
        _collect(added, part, attend(mine, keys, values, reads, scale, empty=empty))
        if taken is not None and blocks is not None:
            means = gather_rows(blocks.keys.flatten(0, 2), part.block_rows).unsqueeze(1)
            _collect(taken, part, attend(mine, means, values, reads, scale, empty=empty))
    merge_(out, lse, (added[0][:-1].view_as(out), added[1][:-1].view_as(lse)))
    if taken is not None:
        _take_off_(out, lse, (taken[0][:-1].view_as(out), taken[1][:-1].view_as(lse)))


def _collector(out: Tensor) -> tuple[Tensor, Tensor]:
    """Flat out and lse of nothing, with a spare row."""
    rows = out[..., 0].numel() + 1
    return out.new_zeros(rows, out.shape[-1]), out.new_full((rows,), NEG_INF)


def _collect(into: tuple[Tensor, Tensor], part: Far, result: tuple[Tensor, Tensor]) -> None:
    rows = part.query_rows.reshape(-1)
    into[0].index_copy_(0, rows, result[0].flatten(0, 2))
    into[1].index_copy_(0, rows, result[1].flatten())


def _take_off_(out: Tensor, lse: Tensor, part: tuple[Tensor, Tensor]) -> None:
    """Take a partial result off out [..., D_v], lse [...], in place; its lse may be −inf.

    What is left is positive: beside each key that is taken off with its block's score, the key itself was added.
    """
    share = (part[1] - lse).exp_().masked_fill_(part[1] == NEG_INF, 0.0)
    left = 1.0 - share
    out.addcmul_(part[0], share.unsqueeze(-1), value=-1.0).div_(left.unsqueeze(-1))
    lse += left.log_()


def blocks_backward(
    grad_out: Tensor,
    query: Tensor,
    blocks: Blocks,
    call: AttentionCall,
    lse: Tensor,
    delta: Tensor,
    grad_query: Tensor,
    block_grads: tuple[Tensor, Tensor],
) -> None:
    """Add the gradient of `blocks_forward` to grad_query [B, H, n_q, D] and to those of the blocks' keys and values.

    lse, delta [B, H, n_q] of the whole row, as in `attend.attend_backward`.
    """
    for rows, weight in _groups(query.shape[0], blocks, call):
        seen = slice(0, weight.shape[-1])
        tensors = grad_out[:, :, rows], query[:, :, rows], blocks.keys[:, :, seen], blocks.values[:, :, seen], weight
        found = attend_backward(*tensors, call.scale, lse[:, :, rows], delta[:, :, rows])
        shares = (grad_query[:, :, rows], *(grad[:, :, seen] for grad in block_grads))
        for into, more in zip(shares, found, strict=True):
            into += more


def found_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    part: Far,
    blocks: Blocks | None,
    scale: float,
    lse: Tensor,
    delta: Tensor,
    grads: tuple[Tensor, Tensor, Tensor],
    grad_means: Tensor,
) -> None:
    """Add the gradient of a part of `found_forward` to flat grads of query, key, value and of the blocks' keys.

    Each of them has a spare row, and so have lse and delta [B·H·n_q + 1] of the whole row; the spare lse is +inf.
    """
    mine, slope = gather_rows(query, part.query_rows), gather_rows(grad_out, part.query_rows)
    values, hidden = gather_rows(value, part.key_rows), ~part.reads()
    base, change = lse[part.query_rows].unsqueeze(-1), delta[part.query_rows].unsqueeze(-1)
    by_key = slope @ values.transpose(1, 2) - change  # how the loss moves with a key's weight
    signed = [(1.0, key, part.key_rows, grads[1])]
    if blocks is not None:
        signed.append((-1.0, blocks.keys.flatten(0, 2), part.block_rows, grad_means))
    for sign, table, rows, into in signed:
        keys = gather_rows(table, rows)
        weights = (mine @ keys.transpose(1, 2)).mul_(scale).sub_(base).exp_().masked_fill_(hidden, 0.0).mul_(sign)
        grad_scores = (weights * by_key).mul_(scale)
        for flat, index, found in (
            (grads[0], part.query_rows, grad_scores @ keys),
            (into, rows, grad_scores.transpose(1, 2) @ mine),
            (grads[2], part.key_rows, weights.transpose(1, 2) @ slope),
        ):
            flat.index_add_(0, index.reshape(-1), found.reshape(-1, found.shape[-1]))
