"""What an algorithm plans: parts, each a set of (query, key) pairs with weights. The engine runs, differentiates and
counts them; an algorithm only says which.

A plan is a list of parts whose pair sets are disjoint. Everything the softmax of a query runs over is the union of its
pairs; a pair of weight w counts as w keys (log_weight is added to its score). Selection and weights are constants for
the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .attend import NEG_INF
from .lifted import Lifted

COUNT_BUDGET = 1 << 22  # pairs that are looked at together when keys are counted


@dataclass(frozen=True, slots=True)
class Span:
    """Queries [query_start, query_stop) against keys [key_start, key_stop), exactly.

    A pair exists iff key_mask allows the key and, in positions of the whole sequence, j <= i + causal_offset and
    j > i + causal_offset − sliding_window (each only where not None). Bias, if the call has one, is added.
    """

    query_start: int
    query_stop: int
    key_start: int
    key_stop: int
    causal_offset: int | None = None
    sliding_window: int | None = None

    @property
    def is_empty(self) -> bool:
        return self.query_stop <= self.query_start or self.key_stop <= self.key_start

    def key_range(self, first: int, last: int) -> tuple[int, int]:
        """Smallest [low, high) holding every key that queries first..last (inclusive) may see."""
        low, high = self.key_start, self.key_stop
        if self.causal_offset is not None:
            high = min(high, last + self.causal_offset + 1)
            if self.sliding_window is not None:
                low = max(low, first + self.causal_offset - self.sliding_window + 1)
        return low, max(low, high)

    def key_edges(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """[low, high) of each query, int64 [query_stop − query_start]; low >= high where a query sees no key."""
        rows = torch.arange(self.query_start, self.query_stop, device=device)
        low, high = torch.full_like(rows, self.key_start), torch.full_like(rows, self.key_stop)
        if self.causal_offset is not None:
            high = torch.minimum(high, rows + self.causal_offset + 1)
            if self.sliding_window is not None:
                low = torch.maximum(low, rows + self.causal_offset - self.sliding_window + 1)
        return low, high


@dataclass(frozen=True, slots=True)
class Tiles:
    """T tiles of gathered rows: tile t pairs its bq queries with its bk keys.

    query_rows     int [B, H, T, bq], −1 = padding. A query row stands at most once in a part.
    key_rows       int [B, R, T, bk], −1 = no key; R = H, or R = H_kv when a group's heads share their keys (cheaper).
                   A plan never names a masked key, and no key twice in a tile.
    log_weight     None (weight 1) or float: log of the number of keys that each stands for; broadcastable to key_rows,
                   or [B, H, T, bq, bk] of each pair, −inf where a query does not read the key.
    causal_offset, sliding_window  as in `Span`, checked pair by pair on row numbers.
    may_pad        False promises that key_rows holds no −1: saves a mask.
    """

    query_rows: Tensor
    key_rows: Tensor
    log_weight: Tensor | None = None
    causal_offset: int | None = None
    sliding_window: int | None = None
    may_pad: bool = True

    @property
    def needs_pairs(self) -> bool:
        return self.causal_offset is not None

    @property
    def is_paired(self) -> bool:
        """log_weight is of pairs, not of keys."""
        return self.log_weight is not None and self.log_weight.dim() == 5

    def chunks(self, budget: int) -> list[Tiles]:
        """The same part in pieces along T of at most about `budget` scores each."""
        batch, heads, count, rows = self.query_rows.shape
        per_tile = max(batch * heads * rows * self.key_rows.shape[-1], 1)
        step = max(budget // per_tile, 1)
        log_weight = self.log_weight
        if log_weight is not None and not self.is_paired:
            log_weight = log_weight.expand(self.key_rows.shape)
        return [
            Tiles(
                self.query_rows[:, :, start : start + step],
                self.key_rows[:, :, start : start + step],
                None if log_weight is None else log_weight[:, :, start : start + step],
                self.causal_offset,
                self.sliding_window,
                self.may_pad,
            )
            for start in range(0, count, step)
        ]

    def group(self) -> int:
        """Query heads that share one row of key_rows."""
        return self.query_rows.shape[1] // self.key_rows.shape[1]

    def folded_queries(self) -> Tensor:
        """query_rows as [B, R, T, G, bq]."""
        batch, heads, count, rows = self.query_rows.shape
        group = self.group()
        return self.query_rows.reshape(batch, heads // group, group, count, rows).transpose(2, 3)

    def _folded_weight(self) -> Tensor:
        """log_weight as [B, R, T, G or 1, bq or 1, bk]."""
        assert self.log_weight is not None
        if self.is_paired:
            return self.log_weight.unflatten(1, (self.key_rows.shape[1], self.group())).transpose(2, 3)
        return self.log_weight.expand(self.key_rows.shape)[:, :, :, None, None, :]

    def pairs(self) -> Tensor | None:
        """Bool [B, R, T, G or 1, bq or 1, bk]: the pairs that exist, or None for all of them."""
        keys = self.key_rows[:, :, :, None, None, :]
        exists = keys >= 0 if self.may_pad else None
        if self.is_paired:
            weighs = self._folded_weight() > NEG_INF
            exists = weighs if exists is None else exists & weighs
        if not self.needs_pairs:
            return exists
        assert self.causal_offset is not None
        keys = keys.to(torch.int32)
        frontier = self.folded_queries().to(torch.int32).unsqueeze(-1) + self.causal_offset
        allowed = keys <= frontier
        if self.sliding_window is not None:
            allowed = allowed & (keys > frontier - self.sliding_window)
        return allowed if exists is None else allowed & exists

    def pair_log_weight(self, dtype: torch.dtype) -> Tensor | None:
        """log_weight with −inf where no pair exists, broadcastable to [B·R·T, G, bq, bk]; None = all zero."""
        pairs = self.pairs()
        batch, units, count, columns = self.key_rows.shape
        weight = None
        if self.log_weight is not None:
            weight = self._folded_weight().to(dtype)
        if pairs is not None:
            if weight is None:
                weight = torch.zeros((), dtype=dtype, device=pairs.device)
            weight = torch.where(pairs, weight, NEG_INF)
        return None if weight is None else weight.reshape(batch * units * count, *weight.shape[3:5], columns)


@dataclass(frozen=True, slots=True)
class Band:
    """Tiles along a diagonal: tile t of `count` pairs queries [query_start + t·rows, + rows) with the `columns` keys
    from key_start + t·rows on, with causality those up to j <= i + causal_offset.

    The same as its `spans`, but one call of a fused kernel over overlapping views, where there are fused kernels.
    """

    query_start: int
    key_start: int
    rows: int
    columns: int
    count: int
    causal_offset: int | None = None

    def spans(self) -> list[Span]:
        """Every tile by itself, what no causal mask touches apart."""
        found = []
        for tile in range(self.count):
            start, low = self.query_start + tile * self.rows, self.key_start + tile * self.rows
            stop, high = start + self.rows, low + self.columns
            own = low if self.causal_offset is None else min(max(start + self.causal_offset + 1, low), high)
            if self.causal_offset is None:
                found.append(Span(start, stop, low, high))
                continue
            found += [Span(start, stop, low, own), Span(start, stop, own, high, self.causal_offset)]
        return found

    def pairs(self, device: torch.device) -> Tensor | None:
        """Bool [rows, columns]: the pairs that exist, alike for all tiles; None for all of them."""
        if self.causal_offset is None:
            return None
        shift = self.query_start + self.causal_offset - self.key_start
        return torch.ones(self.rows, self.columns, dtype=torch.bool, device=device).tril(shift)

    def windows(self, tensor: Tensor, start: int, length: int) -> Tensor:
        """Rows [start + t·rows, + length) of tensor [heads, n, X] for every tile, [count, heads, length, X]; a view."""
        heads, n, width = tensor.shape
        near = tensor.as_strided(
            (self.count, heads, length, width),
            (self.rows * tensor.stride(1), tensor.stride(0), tensor.stride(1), tensor.stride(2)),
            tensor.storage_offset() + start * tensor.stride(1),
        )
        assert start + (self.count - 1) * self.rows + length <= n
        return near


Part = Span | Tiles | Band
Plan = list[Part]


def without_bands(plan: Plan) -> list[Span | Tiles]:
    """The same pairs, each band as its spans, none of them empty."""
    found: list[Span | Tiles] = []
    for part in plan:
        pieces = part.spans() if isinstance(part, Band) else [part]
        found += [piece for piece in pieces if not (isinstance(piece, Span) and piece.is_empty)]
    return found


def visible_keys(span: Span, key_mask: Tensor | None, device: torch.device, lifted: Lifted | None = None) -> Tensor:
    """Number of keys that each query of the span sees, int64 [B or 1, query_stop − query_start]. Ignores bias.

    With lifted groups that are not sorted it looks at all pairs, chunk by chunk; else it is O(n).
    """
    lifted = None if lifted is None else lifted.resolved()
    low, high = (edge.unsqueeze(0) for edge in span.key_edges(device))
    if lifted is not None:
        if lifted.first_key is not None:
            low = torch.maximum(low, lifted.first_key[:, span.query_start : span.query_stop])
        if lifted.stop_key is not None:
            high = torch.minimum(high, lifted.stop_key[:, span.query_start : span.query_stop])
        if lifted.query_group is not None:
            return _count_pairs(span, low, high, key_mask, lifted)
    high = torch.maximum(high, low)
    if key_mask is None:
        return high - low
    total = torch.nn.functional.pad(key_mask.cumsum(-1), (1, 0))
    # `low` may lie past the last key when nothing is visible.
    batch, last = max(low.shape[0], high.shape[0], total.shape[0]), key_mask.shape[1]
    total, low, high = (tensor.expand(batch, -1) for tensor in (total, low, high))
    return total.gather(1, high.clamp(0, last)) - total.gather(1, low.clamp(0, last))


def _count_pairs(span: Span, low: Tensor, high: Tensor, key_mask: Tensor | None, lifted: Lifted) -> Tensor:
    """`visible_keys` pair by pair: keys of [low, high) [B or 1, rows] whose groups agree."""
    keys = torch.arange(span.key_start, span.key_stop, device=low.device)
    step = max(COUNT_BUDGET // max(lifted.batch * keys.numel(), 1), 1)
    found = []
    for start in range(span.query_start, span.query_stop, step):
        stop = min(start + step, span.query_stop)
        mine = slice(start - span.query_start, stop - span.query_start)
        keep = (keys >= low[:, mine, None]) & (keys < high[:, mine, None])
        groups = Lifted(None, None, lifted.query_group, lifted.key_group)
        agree = groups.keep(start, stop, span.key_start, span.key_stop)
        keep = keep if agree is None else keep & agree.squeeze(1)
        if key_mask is not None:
            keep = keep & key_mask[:, None, span.key_start : span.key_stop]
        found.append(keep.sum(-1))
    return torch.cat(found, 1)
