"""The far keys of `hyper`: those found one by one, all others by the mean of their block; forward and gradient.

Of the far keys of query i, in blocks b of count_b visible keys with mean key k̄_b and mean value v̄_b, S_i is found.
Blocks stand in sections s of some thousand keys, count_s of them visible to the query's tile as far keys:

    numerator    Σ_{j∈S_i} e^{s_ij} v_j  +  Σ_b (1 − |S_i∩s(b)| / count_s(b)) count_b e^{s̄_ib} v̄_b
    denominator  Σ_{j∈S_i} e^{s_ij}      +  Σ_b (1 − |S_i∩s(b)| / count_s(b)) count_b e^{s̄_ib},  s̄_ib = scale·q_i·k̄_b

Every far key is counted once: by itself, or by the means of its section, which stand in equal shares for those of its
keys that the query does not read. (Block by block is as good, docs/estimator.md, and costs a product of counts.)
By Jensen's inequality the means never overstate the denominator of alike values.

So a tile of queries attends to what it found and to its blocks at once: a block is one more key, with the logarithm of
what it stands for added to its score. Tiles of any mixture of heads stand in one `Far`: batch and head numbers are
folded into flat rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from .attend import NEG_INF, attend, attend_backward, gather_rows, merge_
from .call import AttentionCall
from .means import Table, count_visible
from .parts import Span
from .selection import NEVER, Found
from .tiling import Tile, block_of, section_of, strip_of

SCORE_BUDGET = 1 << 20  # scores that one `Far` may hold
STEP = 32  # keys; whole vectors on every machine
HELD_BUDGET = 1 << 24  # found (query tile, key) pairs, times the tile's rows, that wait to be packed together
OFF_CPU = 32  # times as much elsewhere, where calls cost more than caches gain


@dataclass(frozen=True, slots=True)
class Far:
    """N tiles, each of one query head: R queries against the means of M blocks and F found keys.

    query_rows     int64 [N, R], b·H·n_q + h·n_q + i; B·H·n_q = no query. R = rows of a whole tile.
    block_rows     int64 [N, M], b·H_kv·m + u·m + number of a far block, m blocks a sequence; B·H_kv·m = none.
    block_keys     int16 [N, M], the block's visible keys; 0 for none.
    block_section  int64 [N, M], number of the block's section, of `sections` in all.
    key_rows       int64 [N, F], b·H_kv·n_k + u·n_k + j; B·H_kv·n_k = no key.
    key_section    int64 [N, F], number of the key's section.
    first          int16 [N, S, F], for each strip of the tile the row of the tile from which on the key is read; R and
                   above = never.
    strip          rows of a strip.
    """

    query_rows: Tensor
    block_rows: Tensor
    block_keys: Tensor
    block_section: Tensor
    key_rows: Tensor
    key_section: Tensor
    first: Tensor
    strip: int
    sections: int

    def reads(self) -> Tensor:
        """Which query reads which key by itself, bool [N, R, F]."""
        count = self.first.shape[1] * self.strip
        rows = torch.arange(count, device=self.first.device, dtype=self.first.dtype).view(-1, self.strip, 1)
        return (rows >= self.first.unsqueeze(2)).flatten(1, 2)[:, : self.query_rows.shape[1]]

    def left(self) -> Tensor:
        """The share of a section's far keys that a query does not read, float32 [N, R, sections].

        Counted by where a key's first row is, and summed over the rows of each strip.
        """
        tiles, strips, found = self.first.shape
        device = self.first.device
        start = torch.arange(strips, device=device).unsqueeze(-1) * self.strip
        begins = (self.first - start).clamp(0, self.strip)  # row of its strip; `strip` = in none
        line = torch.arange(tiles * strips, device=device).view(tiles, strips, 1) * (self.strip + 1) + begins
        place = line * self.sections + self.key_section.unsqueeze(1)
        read = torch.zeros(tiles * strips * (self.strip + 1) * self.sections, dtype=torch.float32, device=device)
        read.scatter_add_(0, place.flatten(), read.new_ones(tiles * strips * found))
        read = read.view(tiles, strips, self.strip + 1, self.sections)[:, :, : self.strip].cumsum(2)
        visible = read.new_zeros(tiles, self.sections)
        visible.scatter_add_(1, self.block_section, self.block_keys.float())
        return 1.0 - read.flatten(1, 2)[:, : self.query_rows.shape[1]] / visible.clamp(min=1.0).unsqueeze(1)

    def log_stands_for(self) -> Tensor:
        """Logarithm of how many keys a mean stands for, float32 [N, R, M]; −inf where there are none."""
        index = self.block_section.unsqueeze(1).expand(*self.query_rows.shape, -1)
        return self.left().log_().gather(2, index).add_(self.block_keys.float().log().unsqueeze(1))

    def of(self, chosen: Tensor) -> Far:
        """The chosen tiles alone, bool [N]."""
        return Far(
            self.query_rows[chosen],
            self.block_rows[chosen],
            self.block_keys[chosen],
            self.block_section[chosen],
            self.key_rows[chosen],
            self.key_section[chosen],
            self.first[chosen],
            self.strip,
            self.sections,
        )

    def empty(self) -> Tensor:
        """Which query reads nothing here, bool [N, R]: where a block has visible keys, it reads them or their mean."""
        if self.block_rows.shape[1]:
            return (self.block_keys.amax(1, keepdim=True) == 0).expand(self.query_rows.shape)
        return ~self.reads().any(-1)

    def log_weight(self, dtype: torch.dtype) -> Tensor:
        """What is added to the scores of the M means and the F keys, −inf = not read, [N, R, M + F]."""
        blocks, keys = self.block_rows.shape[1], self.key_rows.shape[1]
        weight = torch.empty(*self.query_rows.shape, blocks + keys, dtype=dtype, device=self.first.device)
        if blocks:
            weight[:, :, :blocks] = self.log_stands_for()
        torch.where(self.reads(), weight.new_zeros(()), weight.new_tensor(NEG_INF), out=weight[:, :, blocks:])
        return weight


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


def pack(
    found: Iterable[tuple[Tile, Found]], key_mask: Tensor | None, batch: int, heads: int, units: int,
    call: AttentionCall, device: torch.device,
) -> Iterator[Far | Whole]:  # fmt: skip
    """What the selectors found, tile after tile, as batches of tiles with about as many keys each, and tiles by
    themselves that read everything."""
    visible = count_visible(key_mask, call, device).expand(batch, -1)
    held: list[tuple[Tile, Found]] = []
    size = 0
    for tile, mine in found:
        if mine.whole is not None:
            yield from (Whole(b, tile) for b in mine.whole.nonzero()[:, 0].tolist())
        held.append((tile, mine))
        size += call.parameters.tile * (mine.key.numel() + batch * heads)
        if size >= _times(HELD_BUDGET, mine.key):
            yield from _packed(held, visible, heads, units, call)
            held, size = [], 0
    if held:
        yield from _packed(held, visible, heads, units, call)


def _packed(
    held: list[tuple[Tile, Found]], visible: Tensor, heads: int, units: int, call: AttentionCall
) -> Iterator[Far]:
    """Segments (tile, head) in order of their numbers of blocks and keys, cut where one `Far` is full.

    Bits must not depend on what later queries find. So the keys that a query reads come behind the blocks, in an order
    of their own, and a `Far` is as wide as each of its tiles would need it alone: what is added are exact zeros behind.

    visible: `count_visible` of each batch entry, int16 [B, m].
    """
    n_q, n_k, rows, strip = call.num_queries, call.num_keys, call.parameters.tile, strip_of(call)
    batch, m = visible.shape
    segments, strips = batch * heads, -(-rows // strip)
    orders = [torch.sort(mine.head * (rows + 1) + mine.starts(), stable=True).indices for _, mine in held]
    key = torch.cat([mine.key[order] for (_, mine), order in zip(held, orders, strict=True)])
    firsts = [
        pad(mine.first[order] + tile.skip, (0, strips - tile.strips), value=NEVER)
        for (tile, mine), order in zip(held, orders, strict=True)
    ]
    first = torch.cat(firsts)
    counts = torch.stack([torch.bincount(mine.head, minlength=segments) for _, mine in held])  # [tiles, B·H]
    starts = (counts.flatten().cumsum(0) - counts.flatten()).view_as(counts)
    lists = [torch.arange(tile.start, tile.stop, device=key.device) for tile, _ in held]
    queries = torch.stack(
        [
            pad(row, (tile.skip, rows - tile.skip - row.numel()), value=-1)
            for (tile, _), row in zip(held, lists, strict=True)
        ]
    )
    numbers, widths = _far_blocks([tile for tile, _ in held], call, key.device)
    section = section_of(call)
    for tile, head, blocks, width in _alike(held, counts, widths, heads, rows):
        unit, entry = head // (heads // units), head // heads
        place = torch.arange(width, device=key.device)
        index = (starts[tile, head, None] + place).where(place < counts[tile, head, None], key.numel())
        keys, block = _at(key, index, -1), numbers[tile, :blocks]
        yield Far(
            _flat(queries[tile], head * n_q, segments * n_q),
            _flat(block, unit * m, batch * units * m),
            visible[entry.unsqueeze(-1), block.clamp(min=0)].masked_fill(block < 0, 0),
            block.clamp(min=0) // section,
            _flat(keys, unit * n_k, batch * units * n_k),
            keys.clamp(min=0) // (section * block_of(call)),
            _at(first, index, NEVER).transpose(1, 2).contiguous(),
            strip,
            -(-m // section),
        )


def _far_blocks(tiles: list[Tile], call: AttentionCall, device: torch.device) -> tuple[Tensor, list[int]]:
    """Of each tile its far blocks, int64 [tiles, most] with −1 behind the last, and how many columns are kept for them:
    some more, so that there are few widths. None where the call has no means."""
    if not call.parameters.means:
        return torch.zeros(len(tiles), 0, dtype=torch.int64, device=device), [0] * len(tiles)
    lists = [tile.far_blocks(block_of(call), device) for tile in tiles]
    widths = [_rounded(blocks.numel()) for blocks in lists]
    return torch.stack([pad(blocks, (0, max(widths) - blocks.numel()), value=-1) for blocks in lists]), widths


def _alike(
    held: list[tuple[Tile, Found]], counts: Tensor, widths: list[int], heads: int, rows: int
) -> Iterator[tuple[Tensor, Tensor, int, int]]:
    """(tiles, heads, int64 [N]; columns for blocks; columns for keys): segments that are as wide, some at a time."""
    found = counts.tolist()
    alike: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for number, (_, mine) in enumerate(held):
        is_whole = [False] * (len(found[number]) // heads) if mine.whole is None else mine.whole.tolist()
        for head, count in enumerate(found[number]):
            width = _rounded(count) if count else 0
            if (width or widths[number]) and not is_whole[head // heads]:
                alike.setdefault((widths[number], width), []).append((number, head))
    for (blocks, width), mine_alike in sorted(alike.items(), reverse=True):
        most = max(_times(SCORE_BUDGET, counts) // (rows * (blocks + width)), 1)
        for at in range(0, len(mine_alike), most):
            pair = torch.tensor(mine_alike[at : at + most], device=counts.device)
            yield pair[:, 0], pair[:, 1], blocks, width


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


def far_forward(query: Tensor, table: Table, parts: Iterable[Far], scale: float, out: Tensor, lse: Tensor) -> None:
    """Merge far keys and means into out [B, H, n_q, D_v] and lse [B, H, n_q], in place; query [B·H·n_q, D] flat.

    Each query stands in one part at most: the parts' results are collected and merged at once, in arrays of one shape,
    as the last bits of exp and log depend on where in an array a number stands.
    """
    count = query.shape[0]
    far_out = out.new_zeros(count + 1, out.shape[-1])  # with a spare row
    far_lse = out.new_full((count + 1,), NEG_INF)
    for part in parts:
        mine, rows = gather_rows(query, part.query_rows).unsqueeze(1), table.rows(part.block_rows, part.key_rows)
        keys, values = (gather_rows(flat, rows).unsqueeze(1) for flat in (table.key, table.value))
        weight, empty = part.log_weight(query.dtype).unsqueeze(1), part.empty().unsqueeze(1)
        found = attend(mine, keys, values, weight, scale, empty=empty)
        index = part.query_rows.reshape(-1)
        far_out.index_copy_(0, index, found[0].flatten(0, 2))
        far_lse.index_copy_(0, index, found[1].flatten())
    merge_(out, lse, (far_out[:-1].view_as(out), far_lse[:-1].view_as(lse)))


def far_backward(
    grad_out: Tensor,
    query: Tensor,
    table: Table,
    part: Far,
    scale: float,
    lse: Tensor,
    delta: Tensor,
    grad_query: Tensor,
    grad_table: tuple[Tensor, Tensor],
) -> None:
    """Add the gradient of a part of `far_forward` to grad_query and to those of the table's keys and values, in place.

    grad_out [B·H·n_q, D_v] and query flat, lse and delta [B·H·n_q + 1] of the whole row as in `attend.attend_backward`;
    these, grad_query and grad_table have a spare row, whose lse is −inf.
    """
    mine, slope = (gather_rows(flat, part.query_rows).unsqueeze(1) for flat in (query, grad_out))
    rows = table.rows(part.block_rows, part.key_rows)
    keys, values = (gather_rows(flat, rows).unsqueeze(1) for flat in (table.key, table.value))
    weight = part.log_weight(query.dtype).unsqueeze(1)
    base, change = lse[part.query_rows].unsqueeze(1), delta[part.query_rows].unsqueeze(1)
    found = attend_backward(slope, mine, keys, values, weight, scale, base, change)
    rows = rows.clamp(max=table.key.shape[0])
    for flat, index, more in zip((grad_query, *grad_table), (part.query_rows, rows, rows), found, strict=True):
        flat.index_add_(0, index.reshape(-1), more.reshape(-1, more.shape[-1]))
