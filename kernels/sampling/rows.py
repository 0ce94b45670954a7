"""The sample of `hyper` at a price that a CPU can pay: scores of every eighth query, blocks for the others.

Same draw, same weights as `estimate`, another price. One list of keys serves the query heads of a KV head. For a tile
of queries and a KV head:

- far keys stand in blocks of BLOCK from the first far key on. A block that is far as a whole has a price; far keys of
  other blocks are read for certain;
- the leaders are every STEP-th query by position (and the tile's first). The row sum of a leader is that of its near
  and certain keys plus PART times that of every PART-th priced key;
- to a query, a key of a block is worth exp(s̄ + ½ σ²), as if scores were Gaussian, with s̄ and σ² the score's mean and
  variance by the block's mean and variance in each channel. Near keys and blocks give the row sums of the queries that
  do not lead;
- the price of key j at leader g is d_j (`estimate.spreads`) times the largest of what j is worth to leaders up to g and
  what its block is worth to queries up to leader g, over the heads of the KV head. A query takes the price at the last
  leader before it, or itself: later queries do not change it. Without causality all queries take the largest price;
- query i reads key j if u_j < π_ij = min(1, max(price / τ, 2⁻²⁰)), τ = ROWS_SHARE · `threshold_of` the tile, and adds
  −log π_ij to the score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attend import NEG_INF, merge
from ..call import AttentionCall
from ..exact import Scoring, span_forward
from ..lsh import KV_DRAWS
from ..parts import Span, Tiles
from ..planning import without_masked
from ..tiling import Tile, tiles
from . import BLOCK, LEAST_CHANCE, PART, REFERENCE, ROWS_SHARE, STEP, threshold_of
from .draws import uniform
from .estimate import spreads, visible
from .lists import Listed, Price, select
from .products import Table, attend_listed, product_dtype, shifted, working_dtype
from .workers import each, one_thread

NOTHING = 3.0e4  # the log of a row sum over no key, so that nothing is worth anything to the row
PREFIX = 16  # blocks by which a copy of the first keys is longer than the one before
AHEAD = 20.0  # by how much an estimated row sum may move a shift


@dataclass(frozen=True, slots=True)
class Near:
    """What a tile reads for certain, and the softmax over it.

    query [N, G, rows, D] times the scale; out [N, G, rows, D_v]; lse [N, G, rows], of centred keys; centre [N, G,
    rows], each query's product with the centre.
    """

    query: Tensor
    out: Tensor
    lse: Tensor
    centre: Tensor


def attention(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall
) -> tuple[Tensor, Tensor]:
    """(out [B, H, n_q, D_v] in query's dtype, lse [B, H, n_q] float32); zeros and −inf for queries without a key.

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v]; key_mask bool [B or 1, n_k]: what masked
    keys hold is not looked at.
    """
    batch, heads, n_q, _ = query.shape
    dtype = working_dtype(query)
    query, key, value = _laid_out(query, key, value, key_mask)
    out = torch.zeros(batch, heads, n_q, value.shape[-1], dtype=dtype, device=query.device)
    lse = torch.full((batch, heads, n_q), NEG_INF, dtype=dtype, device=query.device)
    cut = list(tiles(call))
    plain = _without_far(cut, call)
    if plain is not None:
        part, keys = slice(plain.query_start, plain.query_stop), slice(0, plain.key_stop)
        given = (query.to(dtype), key[:, :, keys].to(dtype), value[:, :, keys].to(dtype))
        mask = None if key_mask is None else key_mask[:, keys]
        out[:, :, part], lse[:, :, part] = span_forward(*given, plain, Scoring(call.scale, key_mask=mask))
    reader = Reader(query, key, value, key_mask, call)
    units = (batch, key.shape[1], -1)

    def write(tile: Tile) -> None:
        rows = slice(tile.start, tile.stop)
        near, listed = reader.read(tile)
        found = near.out, near.lse
        if listed is not None and listed.index.shape[1]:
            found = merge(found, reader.attend(near, listed))
        out[:, :, rows] = found[0].view(*units, *found[0].shape[2:]).flatten(1, 2)
        lse[:, :, rows] = (found[1] + near.centre).view(*units, tile.rows).flatten(1, 2)

    # The longest first, so that no thread ends much later than the others.
    each(write, [tile for tile in cut if plain is None or tile.start >= plain.query_stop][::-1])
    return out.to(query.dtype), lse.float()


def far(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    call: AttentionCall,
    chosen: Iterable[Tile] | None = None,
) -> Iterator[Tiles]:
    """The far keys of `attention` as parts for the engine. chosen: some of the call's tiles; None: all of them."""
    batch, heads = query.shape[:2]
    units = key.shape[1]
    reader = Reader(*_laid_out(query, key, value, key_mask), key_mask, call)
    for tile in tiles(call) if chosen is None else chosen:
        if not tile.far:
            continue
        queries = torch.arange(tile.start, tile.stop, device=query.device).expand(batch, heads, 1, tile.rows)
        with one_thread():
            listed = reader.read(tile)[1]
        if listed is None:
            yield _certain(queries, tile.far_keys(query.device), key_mask, batch, units)
            continue
        if listed.certain.numel():
            yield _certain(queries, listed.certain, key_mask, batch, units)
        count = listed.index.shape[1]
        if count:
            reads = listed.log_weight > NEG_INF
            index = torch.where(reads.any(1), listed.index, -1).view(batch, units, 1, count)
            weight = listed.log_weight.repeat_interleave(listed.size, 1).view(batch, units, 1, 1, tile.rows, count)
            group = heads // units
            weight = weight.expand(-1, -1, group, -1, -1, -1).reshape(batch, heads, 1, tile.rows, count)
            yield Tiles(queries, index, weight)


def _laid_out(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of masked keys as zeros; contiguous, so that what is drawn depends on no layout."""
    key, value = without_masked(key, key_mask), without_masked(value, key_mask)
    return query.contiguous(), key.contiguous(), value.contiguous()


def _certain(queries: Tensor, keys: Tensor, key_mask: Tensor | None, batch: int, units: int) -> Tiles:
    rows = keys.expand(batch, units, 1, -1)
    if key_mask is not None:
        rows = torch.where(key_mask[:, None, None, keys], rows, -1)
    return Tiles(queries, rows)


def _without_far(cut: list[Tile], call: AttentionCall) -> Span | None:
    """With causality the first tiles, which have no far keys; None without any."""
    found = [tile for tile in cut if not tile.far]
    if call.causal_offset is None or not found:
        return None
    return Span(found[0].start, found[-1].stop, 0, found[-1].limit, call.causal_offset)


class Reader:
    """What a call's tiles read, tile by tile."""

    def __init__(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> None:
        """Arguments as of `attention`, rows of masked keys zero."""
        self._call, self._dtype = call, working_dtype(query)
        self._products = product_dtype(query.dtype, query.device)
        batch, heads, n_q, features = query.shape
        units, n_k = key.shape[1], key.shape[2]
        self._batch, self._units = batch, units
        self._first = call.parameters.sinks
        self._query = query.reshape(batch * units, heads // units, n_q, features)
        self._mask = None if key_mask is None else key_mask.expand(batch, n_k)
        self._seen = None if self._mask is None else self._mask.repeat_interleave(units, 0)  # [N, n_k]
        keys, values = key.flatten(0, 1), value.flatten(0, 1)
        self._table = Table.of(keys, values, self._centre(keys), self._products)
        self._spread = spreads(value.to(self._dtype), key_mask, call).flatten(0, 1).log()  # [N, n_k]
        blocks = max(n_k - self._first, 0) // BLOCK
        self._blocks(blocks)
        self._beside = torch.stack([self._table.plain[:, 0], self._table.centre], -1)  # [N, D, 2]
        self._prefixes: dict[tuple[int, int], Tensor] = {}
        self._line = torch.arange(batch * units, device=query.device).unsqueeze(1)

    def _centre(self, keys: Tensor) -> Tensor:
        """The mean of the reference's keys, [N, D]."""
        start, stop = self._first, self._first + REFERENCE
        some = keys[:, start:stop].to(self._dtype).sum(1)
        if self._seen is None:
            return some / max(min(stop, keys.shape[1]) - start, 1)
        return some / self._seen[:, start:stop].sum(1, keepdim=True).clamp(min=1)

    def _blocks(self, count: int) -> None:
        """Of each block the log of its number of keys, [N or 1, blocks], and its statistics, [N, blocks, 2 D + 2]."""
        keys = self._table.plain[:, self._first : self._first + count * BLOCK].unflatten(1, (count, BLOCK))
        if self._seen is None:
            mean = keys.mean(2)
            variance = keys.square().mean(2) - mean.square()
            self._count = torch.full((1, count), math.log(BLOCK), dtype=self._dtype, device=keys.device)
        else:
            seen = self._seen[:, self._first : self._first + count * BLOCK].view(-1, count, BLOCK, 1)
            keys = keys * seen
            number = seen.sum(2).to(self._dtype)  # [N, blocks, 1]
            mean = keys.sum(2) / number.clamp(min=1.0)
            variance = keys.square().sum(2) / number.clamp(min=1.0) - mean.square()
            self._count = number.squeeze(-1).log()
        ones = torch.ones_like(mean[..., :2])
        self._statistics = torch.cat([mean, variance.clamp_(min=0.0), ones], -1).to(self._products)

    def _prefix(self, blocks: int, part: int = -1) -> Tensor:
        """Keys of the first blocks and some more, contiguous as `bmm` wants them, transposed; all, or a part."""
        blocks = min(-(-blocks // PREFIX) * PREFIX, self._statistics.shape[1])
        prefix = self._prefixes.get((blocks, part))
        if prefix is None:
            keys = self._table.keys[:, self._first : self._first + blocks * BLOCK]
            prefix = (keys if part < 0 else keys[:, part::PART]).contiguous()
            self._prefixes = {k: v for k, v in self._prefixes.items() if k[0] == blocks}
            self._prefixes[blocks, part] = prefix  # two threads may both make it
        return prefix.transpose(1, 2)

    def read(self, tile: Tile) -> tuple[Near, Listed | None]:
        """What the tile reads for certain, and what it draws: None where it has no block with a price."""
        low, high, edge = self._priced(tile)
        near = self._near(tile, low, high, edge)
        count = (edge - self._first) // BLOCK
        if count <= 0 or (low == self._first and high == edge):
            return near, None
        device = near.lse.device
        pieces = [(low, tile.low), (tile.high, high)]
        if self._call.causal_offset is None:
            pieces.append((max(edge, tile.high), tile.limit))
        return near, self._draw(tile, near, _numbers(pieces, device), low, high, edge)

    def attend(self, near: Near, listed: Listed) -> tuple[Tensor, Tensor]:
        """(out, lse) over the drawn keys."""
        shift = self._shift(near, listed.total)
        weight = listed.log_weight.exp()
        return attend_listed(near.query, shift, self._table, listed.index, weight, listed.size)

    def _shift(self, near: Near, total: Tensor) -> Tensor:
        """A row's log sum, as far as it may be wrong without harm; [N, G, rows]."""
        shift = torch.minimum(total, near.lse + AHEAD)
        shift = torch.where(near.lse == NEG_INF, total, shift)
        return shift.masked_fill(shift == NEG_INF, 0.0)

    def _rows(self, tile: Tile) -> Tensor:
        """The tile's queries times the scale, [N, G, rows, D]."""
        return self._query[:, :, tile.start : tile.stop].to(self._dtype) * self._call.scale

    def _priced(self, tile: Tile) -> tuple[int, int, int]:
        """Keys with a price are those of whole blocks in [first, low) and [high, edge)."""
        first = self._first
        low = first + max(tile.low - first, 0) // BLOCK * BLOCK
        if self._call.causal_offset is not None:
            return low, low, low
        edge = first + max(tile.limit - first, 0) // BLOCK * BLOCK
        return low, min(first - -max(tile.high - first, 0) // BLOCK * BLOCK, edge), edge

    def _near(self, tile: Tile, low: int, high: int, edge: int) -> Near:
        query, device = self._rows(tile), self._query.device
        pieces = [(0, min(self._first, tile.limit)), (low, tile.limit)]
        if self._call.causal_offset is None:
            pieces = [(0, min(self._first, tile.limit)), (low, high), (edge, tile.limit)]
        index = _numbers(pieces, device)
        sees = torch.ones(1, tile.rows, index.numel(), dtype=torch.bool, device=device)
        if self._call.causal_offset is not None:
            last = torch.arange(tile.start, tile.stop, device=device) + self._call.causal_offset
            sees = sees & (index <= last.unsqueeze(1))
        if self._mask is not None:
            sees = sees & self._mask[:, None, index]
        weight = sees.to(self._dtype)
        weight = weight if weight.shape[0] == 1 else weight.repeat_interleave(self._units, 0)
        # The key at the query's own position, and the first: one of the two is seldom far below the largest.
        own = torch.arange(tile.start, tile.stop, device=device)
        if self._call.causal_offset is None:
            own = own * self._call.num_keys // self._call.num_queries
        else:
            own = own + self._call.causal_offset
        own = own.clamp(max=self._call.num_keys - 1)
        plain = self._table.plain
        with_first, with_centre = (query @ self._beside.unsqueeze(1)).unbind(-1)
        guess = torch.maximum(torch.linalg.vecdot(query, plain[:, None, own]), with_first)
        out, lse = attend_listed(query, guess, self._table, index.expand(query.shape[0], -1), weight, 1)
        return Near(query, out, lse, with_centre)

    def _block_scores(self, near: Near, low: int, high: int, edge: int) -> tuple[Tensor, Tensor]:
        """Log worth of a key in each block to each query, times its row sum, [N, G, rows, blocks]; log row sums."""
        count = (edge - self._first) // BLOCK
        shift = near.lse.masked_fill(near.lse == NEG_INF, 0.0)
        joined, carried = shifted(torch.cat([near.query, 0.5 * near.query.square()], -1), shift, self._products)
        scores = torch.bmm(joined.flatten(1, 2), self._statistics[:, :count].contiguous().transpose(1, 2))
        scores = scores.to(self._dtype).view(*near.query.shape[:3], count)
        number = self._count[:, :count].clone()
        number[:, (low - self._first) // BLOCK : (high - self._first) // BLOCK] = NEG_INF
        total = torch.logsumexp(scores + number[:, None, None], -1) + carried
        scores = scores + carried.unsqueeze(-1)
        if self._seen is not None or high > low:
            scores = scores.masked_fill((number == NEG_INF)[:, None, None], NEG_INF)
        return scores, torch.logaddexp(total, near.lse)

    def _draw(self, tile: Tile, near: Near, certain: Tensor, low: int, high: int, edge: int) -> Listed:
        call, first = self._call, self._first
        count, query = (edge - first) // BLOCK, near.query
        leaders, size = self._leaders(tile)
        place = tile.place(call)
        # What blocks are worth.
        blocks, total = self._block_scores(near, low, high, edge)
        lead = query.index_select(2, leaders)
        sums = self._row_sums(lead, near.lse.index_select(2, leaders), place, low, high, edge)
        total.index_copy_(2, leaders, sums)
        blocks = (blocks - total.masked_fill(total == NEG_INF, NOTHING).unsqueeze(-1)).amax(1)  # [N, rows, blocks]
        if call.causal_offset is None:
            blocks = blocks.amax(1, keepdim=True)
        else:
            blocks = blocks.cummax(1).values.index_select(1, leaders)
        # What keys are worth to the leaders.
        joined, _ = shifted(lead, sums, self._products)
        scores = torch.bmm(joined.flatten(1, 2), self._prefix(count))[..., : edge - first]
        keys = scores.unflatten(1, lead.shape[1:3]).amax(1)
        if call.causal_offset is None:
            keys = keys.amax(1, keepdim=True)
        # What the draw gives.
        numbers = torch.arange(first, edge, device=query.device)
        place_tensor = torch.full_like(self._line, place)
        drawn = uniform(call.parameters.seed, self._line, place_tensor, numbers, KV_DRAWS).to(self._dtype)
        threshold = ROWS_SHARE * threshold_of(call.parameters.threshold, visible(tile, call))
        level = math.log(threshold) - self._spread[:, first:edge]  # the price that is certain
        limit = torch.where(drawn < LEAST_CHANCE, NEG_INF, level + drawn.log())
        if high > low:
            limit[:, low - first : high - first] = float("inf")
        if self._seen is not None:
            limit = limit.masked_fill(~self._seen[:, first:edge], float("inf"))
        index, log_weight = select(Price(keys, blocks.to(keys.dtype)), limit, level)
        if call.causal_offset is None:
            return Listed(tile, certain, index + first, log_weight, tile.rows, total)
        if size == 0:  # groups of several sizes
            last = torch.searchsorted(leaders, torch.arange(tile.rows, device=query.device), right=True) - 1
            log_weight, size = log_weight.index_select(1, last), 1
        return Listed(tile, certain, index + first, log_weight, size, total)

    def _leaders(self, tile: Tile) -> tuple[Tensor, int]:
        """Rows of the leaders, and how many rows follow each, itself included; 0 where that differs."""
        shift = tile.skip if self._call.causal_offset is not None else 0
        begins = sorted({0, *range(-shift % STEP, tile.rows, STEP)})
        leaders = torch.tensor(begins, device=self._query.device)
        is_even = len(begins) * STEP == tile.rows and shift % STEP == 0
        return leaders, STEP if is_even else 0

    def _row_sums(self, lead: Tensor, near: Tensor, place: int, low: int, high: int, edge: int) -> Tensor:
        """log of the row sums of the leaders, [N, G, leaders]."""
        each, first = BLOCK // PART, self._first
        part = place % PART
        shift = near.masked_fill(near == NEG_INF, 0.0)
        joined, carried = shifted(lead, shift, self._products)
        keys = self._prefix((edge - first) // BLOCK, part)
        scores = torch.bmm(joined.flatten(1, 2), keys)[..., : (edge - first) // PART].to(self._dtype)
        scores = scores.unflatten(1, lead.shape[1:3])
        if high > low:
            scores[..., (low - first) // BLOCK * each : (high - first) // BLOCK * each] = NEG_INF
        if self._seen is not None:
            scores = scores.masked_fill(~self._seen[:, None, None, first + part : edge : PART], NEG_INF)
        total = torch.logaddexp(near, scores.logsumexp(-1) + carried + math.log(PART))
        return total.masked_fill(total == NEG_INF, NOTHING)


def _numbers(pieces: list[tuple[int, int]], device: torch.device) -> Tensor:
    """The numbers in ranges [start, stop), int64."""
    return torch.cat([torch.arange(start, max(start, stop), device=device) for start, stop in pieces])
