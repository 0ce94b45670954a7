"""How `hyper` cuts a call: tiles of queries, the keys that each reads in any case, and its far keys in whole blocks.

Queries are cut into tiles of `tile`, at multiples of it in the positions of the keys. A tile reads every one of

- `sinks`   the first keys;
- `local`   keys [low, high): with causality its own positions up to each query, and `window` keys before the tile;
            without, its own positions and window/2 keys on both sides.

The others are far. Edges between near and far are rounded outwards to multiples of the block of `block_of`, so that a
far region is made of whole blocks (the last block of a sequence may be short) and one table of block means serves
every tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .call import AttentionCall

STRIPS = ((8192, 4096), (16384, 32))  # up to so many keys, strips of so many rows; 4096: any tile is one
LEAST_STRIP = 16  # beyond; as many rows as one warp of a GPU holds of a product, so that they decide by themselves
SECTION = 4096  # keys, with causality; see `section_of`
FULL_SECTION, FULL_SECTIONS = 1024, 8  # keys without, at most, and sections at least
WORD = 32  # keys: kernels keep a bit for each, a word at a time
MOST_BLOCKS = 256  # with more blocks than this a sequence gets larger ones, but never larger than a tile


@dataclass(frozen=True, slots=True)
class Tile:
    """Queries [start, stop), their local keys [low, high), the first `sinks` keys (all below low), and `limit`: no
    query of the tile sees a key from there on. Far keys are [sinks, low) and [high, limit). The whole tile has `skip`
    rows before its first query: strips of `strip` rows are counted from there."""

    start: int
    stop: int
    low: int
    high: int
    sinks: int
    limit: int
    strip: int
    skip: int = 0

    @property
    def far(self) -> int:
        """Number of far keys."""
        return self.low - self.sinks + self.limit - self.high

    @property
    def rows(self) -> int:
        """Number of queries."""
        return self.stop - self.start

    @property
    def strips(self) -> int:
        """Number of strips with a query, and of those before them."""
        return -(-(self.skip + self.rows) // self.strip)

    def far_keys(self, device: torch.device) -> Tensor:
        """Their positions in ascending order, int64 [far]."""
        before = torch.arange(self.sinks, self.low, device=device)
        return torch.cat([before, torch.arange(self.high, self.limit, device=device)])

    def far_blocks(self, block: int, device: torch.device) -> Tensor:
        """Numbers of the blocks that the far keys fill, in ascending order, int64."""
        before = torch.arange(self.sinks // block, -(-self.low // block), device=device)
        behind = torch.arange(self.high // block, -(-self.limit // block), device=device)
        return torch.cat([before, behind]) if self.limit > self.high else before


def block_of(call: AttentionCall) -> int:
    """Keys that a mean may stand for: `means`, twice as many where that gives over MOST_BLOCKS blocks, and so on."""
    parameters = call.parameters
    if parameters.samples:
        return 1
    block = parameters.means or parameters.tile // 2
    while parameters.means and call.num_keys > block * MOST_BLOCKS and 2 * block <= parameters.tile:
        block *= 2
    return block


def section_of(call: AttentionCall) -> int:
    """Blocks whose means stand alike for those of their keys that a query does not read: a power of two.

    Sections are cut at multiples of it in the positions of the keys. With causality it makes no difference how long
    they are; without, keys around a query are read more often than others, and so they are shorter.
    """
    block, keys = block_of(call), SECTION
    if call.causal_offset is None:
        keys = min(FULL_SECTION, call.num_keys // FULL_SECTIONS)
    blocks = power_within(keys // block)
    while blocks * block % WORD:
        blocks *= 2
    return blocks


def power_within(number: int) -> int:
    """The largest power of two that is not above a number; 1 for less."""
    return 1 << max(number, 1).bit_length() - 1


def strip_of(call: AttentionCall) -> int:
    """Queries of a tile that read a key because one of them found it, from that one on.

    For a tile's products it makes no difference how many they are, and the keys that they add are likely ones. But
    these are many, and fewer are as good where the threshold is lower: with strips of 16 at half the threshold a query
    reads a fifth fewer keys at 32,768 (docs/estimator.md).
    """
    tile = call.parameters.tile
    rows = next((rows for keys, rows in STRIPS if call.num_keys <= keys), LEAST_STRIP)
    return min(call.parameters.strip or rows, tile)


def first_far(call: AttentionCall) -> int:
    """The first key that is far to any query with causality: the sinks' edge."""
    block = block_of(call)
    return -(-call.parameters.sinks // block) * block


def tiles(call: AttentionCall) -> Iterator[Tile]:
    """The tiles in order of position; queries that see no key at all are in none."""
    n_q, n_k, size = call.num_queries, call.num_keys, call.parameters.tile
    window, offset, block = call.parameters.window, call.causal_offset, block_of(call)
    sinks, strip = first_far(call), strip_of(call)
    if offset is None:
        for start in range(0, n_q, size):
            stop = min(start + size, n_q)
            low = max(start * n_k // n_q - window // 2, 0) // block * block
            high = min(-(-(-(-stop * n_k // n_q) + window // 2) // block) * block, n_k)
            yield Tile(start, stop, low, high, min(sinks, low), n_k, strip)
        return
    first = max(0, -offset)
    while first < n_q:
        position = (first + offset) // size * size
        stop = min(position + size - offset, n_q)
        low = min(max(position - window, 0) // block * block, n_k)
        high = min(stop + offset, n_k)
        yield Tile(first, stop, low, high, min(sinks, low), high, strip, first + offset - position)
        first = stop
