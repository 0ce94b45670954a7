"""How `hyper` cuts a call: tiles of queries, and which keys each reads in any case.

Queries are cut into tiles of `tile`, at multiples of it in the positions of the keys. A tile reads every one of

- `sinks`   the first keys;
- `local`   keys [low, high): with causality its own positions up to each query, and `window` keys before the tile;
            without, its own positions and window/2 keys on both sides.

The others are far. With causality a tile that begins among the keys by which the spreads of values are measured
(`sampling`: the REFERENCE keys behind the sinks) reads all of its keys: nothing else tells it what is ahead of a query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from . import sampling
from .call import AttentionCall


@dataclass(frozen=True, slots=True)
class Tile:
    """Queries [start, stop), their local keys [low, high), the first `sinks` keys (all below low), and `limit`: no
    query of the tile sees a key from there on. Far keys are [sinks, low) and [high, limit). The whole tile has `skip`
    rows before its first query: strips of rows are counted from there."""

    start: int
    stop: int
    low: int
    high: int
    sinks: int
    limit: int
    skip: int = 0

    @property
    def far(self) -> int:
        """Number of far keys."""
        return self.low - self.sinks + self.limit - self.high

    @property
    def rows(self) -> int:
        """Number of queries."""
        return self.stop - self.start

    def far_keys(self, device: torch.device) -> Tensor:
        """Their positions in ascending order, int64 [far]."""
        before = torch.arange(self.sinks, self.low, device=device)
        return torch.cat([before, torch.arange(self.high, self.limit, device=device)])

    def place(self, call: AttentionCall) -> int:
        """The tile's number among the tiles of all positions."""
        return (self.start - self.skip + (call.causal_offset or 0)) // call.parameters.tile


def tiles(call: AttentionCall) -> Iterator[Tile]:
    """The tiles in order of position; queries that see no key at all are in none."""
    n_q, n_k, size = call.num_queries, call.num_keys, call.parameters.tile
    window, offset, sinks = call.parameters.window, call.causal_offset, call.parameters.sinks
    if offset is None:
        for start in range(0, n_q, size):
            stop = min(start + size, n_q)
            low = max(start * n_k // n_q - window // 2, 0)
            high = min(-(-stop * n_k // n_q) + window // 2, n_k)
            yield Tile(start, stop, low, high, min(sinks, low), n_k)
        return
    first = max(0, -offset)
    while first < n_q:
        position = (first + offset) // size * size
        stop = min(position + size - offset, n_q)
        low = min(max(position - window, 0), n_k) if position >= sinks + sampling.REFERENCE else 0
        high = min(stop + offset, n_k)
        yield Tile(first, stop, low, high, min(sinks, low), high, first + offset - position)
        first = stop
