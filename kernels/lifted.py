"""Masks that a call brings as index tensors of O(n): a key range for each query, and groups that must agree.

Nothing here is n_q × n_k: `keep` makes the bool mask of one chunk of queries and keys. Where looking at values costs no
device synchronisation, `resolved` turns sorted groups (packed documents, chunks of positions) into key ranges, and
`key_range` narrows what a chunk has to read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Lifted:
    """Query i of batch row b sees key j iff all that is given holds.

    first_key    int [B or 1, n_q]: j >= first_key[b, i].
    stop_key     int [B or 1, n_q]: j < stop_key[b, i].
    query_group  int [B or 1, n_q, m], with key_group int [B or 1, n_k, m]: all m columns are equal.
    """

    first_key: Tensor | None = None
    stop_key: Tensor | None = None
    query_group: Tensor | None = None
    key_group: Tensor | None = None

    @staticmethod
    def of(
        first_key: Tensor | None, stop_key: Tensor | None, query_group: Tensor | None, key_group: Tensor | None
    ) -> Lifted | None:
        """None where nothing is given."""
        given = Lifted(first_key, stop_key, query_group, key_group)
        return given if given.tensors() else None

    def tensors(self) -> list[Tensor]:
        """What is given."""
        named = (self.first_key, self.stop_key, self.query_group, self.key_group)
        return [tensor for tensor in named if tensor is not None]

    @property
    def batch(self) -> int:
        """Rows that differ: B or 1."""
        return max(tensor.shape[0] for tensor in self.tensors())

    def at_queries(self, rows: Tensor) -> Lifted:
        """The same rules for query rows `rows` (int [r]) alone."""
        first, stop, group = (
            None if tensor is None else tensor[:, rows] for tensor in (self.first_key, self.stop_key, self.query_group)
        )
        return Lifted(first, stop, group, self.key_group)

    def keep(self, query_start: int, query_stop: int, key_start: int, key_stop: int) -> Tensor | None:
        """Bool [B or 1, 1, queries, keys] of a chunk, in positions of the whole sequence; None = every pair."""
        rows, found = slice(query_start, query_stop), []
        if self.first_key is not None or self.stop_key is not None:
            keys = torch.arange(key_start, key_stop, device=self.tensors()[0].device)
            if self.first_key is not None:
                found.append(keys >= self.first_key[:, rows, None])
            if self.stop_key is not None:
                found.append(keys < self.stop_key[:, rows, None])
        if self.query_group is not None and self.key_group is not None:
            for column in range(self.query_group.shape[-1]):
                theirs = self.key_group[:, None, key_start:key_stop, column]
                found.append(self.query_group[:, rows, None, column] == theirs)
        if not found:
            return None
        keep = found[0]
        for other in found[1:]:
            keep = keep & other
        return keep.unsqueeze(1)

    def resolved(self) -> Lifted:
        """The same pairs with every group column that never decreases, in queries and keys, as a key range.

        O(n log n); looks at values, so it waits for the device. Only columns that are not sorted stay groups.
        """
        if self.query_group is None or self.key_group is None:
            return self
        first, stop, kept = self.first_key, self.stop_key, []
        rows = max(self.query_group.shape[0], self.key_group.shape[0])
        for column in range(self.query_group.shape[-1]):
            mine, theirs = self.query_group[..., column], self.key_group[..., column]
            if not (_is_sorted(mine) and _is_sorted(theirs)):
                kept.append(column)
                continue
            mine, theirs = (side.to(torch.int64).expand(rows, -1).contiguous() for side in (mine, theirs))
            low, high = torch.searchsorted(theirs, mine), torch.searchsorted(theirs, mine, right=True)
            first = low if first is None else torch.maximum(first, low)
            stop = high if stop is None else torch.minimum(stop, high)
        if not kept:
            return Lifted(first, stop)
        return replace(
            self,
            first_key=first,
            stop_key=stop,
            query_group=self.query_group[..., kept],
            key_group=self.key_group[..., kept],
        )

    def key_range(self, query_start: int, query_stop: int, low: int, high: int) -> tuple[int, int]:
        """Smallest [low, high) inside the given one with every key that the ranges leave to these queries.

        Looks at values. low == high where no query of the chunk has a key.
        """
        if self.first_key is None and self.stop_key is None:
            return low, high
        rows = slice(query_start, query_stop)
        zero = torch.zeros((), dtype=torch.int64)
        first = zero + low if self.first_key is None else self.first_key[:, rows].clamp(min=low)
        stop = zero + high if self.stop_key is None else self.stop_key[:, rows].clamp(max=high)
        some = first < stop
        if not bool(some.any()):
            return low, low
        return int(first.where(some, high).min()), int(stop.where(some, low).max())

    def stretches(self, row: int, query_start: int, query_stop: int, num_keys: int) -> list[tuple[int, int, int, int]]:
        """Queries of one batch row in stretches of one key range: (query_start, query_stop, first_key, stop_key).

        Looks at values; groups are not looked at.
        """
        rows = slice(query_start, query_stop)
        sides = []
        for tensor, default in ((self.first_key, 0), (self.stop_key, num_keys)):
            if tensor is None:
                sides.append(torch.full((query_stop - query_start,), default))
            else:
                sides.append(tensor[min(row, tensor.shape[0] - 1), rows].clamp(0, num_keys))
        first, stop = sides
        changes = (first[1:] != first[:-1]) | (stop[1:] != stop[:-1])
        starts = [0, *(changes.nonzero().flatten() + 1).tolist()]
        ends = [*starts[1:], query_stop - query_start]
        ranges = zip(first[starts].tolist(), stop[starts].tolist(), strict=True)
        bounds = zip(starts, ends, strict=True)
        return [(query_start + s, query_start + e, *r) for (s, e), r in zip(bounds, ranges, strict=True)]


def _is_sorted(tensor: Tensor) -> bool:
    """Whether no row of [rows, n] ever decreases."""
    return bool((tensor[:, 1:] >= tensor[:, :-1]).all())


def seen_by_some(keep: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """key and value [B, H, keys, X] with zeros in rows that no query of keep [B or 1, 1, queries, keys] sees.

    Keeps garbage there (NaN of an unfilled cache) out of the products, as `key_mask` does for its keys.
    """
    seen = keep.any(-2)
    if seen.device.type == "cpu" and bool(seen.all()):
        return key, value
    hidden = ~seen.unsqueeze(-1)
    return key.masked_fill(hidden, 0.0), value.masked_fill(hidden, 0.0)
