"""HyperAttention in one pass: sinks and recent keys, far keys found one by one, all others by the mean of their block.

`plan` says which near keys each tile reads (`tiling`). What these sum to gives every query a threshold, and the
selectors (`selection`) look for far keys above it: they run behind the near keys, as the second half of the plan
(`far`). Near and far keys are disjoint by position.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby

from torch import Tensor

from . import selection
from .call import AttentionCall
from .far import Far, Whole, pack
from .parts import Band, Plan, Span, Tiles
from .sampling import estimate
from .selection import Found
from .tiling import Tile, block_of, tiles

THRESHOLD_LENGTH = 8192
SHORTER, LONGER = 1 / 3, 1.0  # with which power of the number of keys a threshold falls, below that length and above


def selected_keys(call: AttentionCall) -> int:
    """Keys per query that are read in any case, at most: with no more keys than this `hyper` is exact."""
    parameters, block = call.parameters, block_of(call)
    return parameters.tile + parameters.window + parameters.sinks + 2 * block


def threshold(call: AttentionCall) -> float:
    """`threshold` at THRESHOLD_LENGTH keys, less where there are more: of more keys, more stay below it."""
    share = THRESHOLD_LENGTH / max(call.num_keys, 1)
    return call.parameters.threshold * share ** (SHORTER if share > 1.0 else LONGER)


def plan(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Plan:
    """The near keys: sinks, for neighbouring tiles together, and local keys, for tiles of one shape together."""
    sinks = groupby((tile for tile in tiles(call) if tile.sinks), key=lambda tile: tile.sinks)
    parts: Plan = []
    for count, group in sinks:
        with_sinks = list(group)
        parts.append(Span(with_sinks[0].start, with_sinks[-1].stop, 0, count))
    for _, group in groupby(tiles(call), key=_shape):
        alike = list(group)
        first = alike[0]
        if first.high > first.low:
            columns = first.high - first.low
            parts.append(Band(first.start, first.low, first.rows, columns, len(alike), call.causal_offset))
    return parts


def _shape(tile: Tile) -> tuple[int, int, int]:
    """Alike for tiles whose local keys stand alike beside their queries."""
    return tile.rows, tile.low - tile.start, tile.high - tile.start


def far(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, lse: Tensor, call: AttentionCall
) -> Iterator[Far | Whole | Tiles]:
    """The far keys; lse [B, H, n_q] of the near ones, −inf where a query has none. Rows of masked keys are zero."""
    if not call.parameters.samples and not call.parameters.means and not call.parameters.select_names:
        return
    if key_mask is not None:
        key_mask = key_mask.expand(key.shape[0], -1)
    if call.parameters.samples:
        yield from estimate.far(query, key, value, key_mask, lse, call)
        return
    limit = lse + math.log(threshold(call))
    selector = selection.make(query, key, value, key_mask, call)

    def found() -> Iterator[tuple[Tile, Found]]:
        for tile in tiles(call):
            if tile.far:
                yield tile, selector.find(tile, limit[:, :, tile.start : tile.stop])

    yield from pack(found(), key_mask, query.shape[0], query.shape[1], key.shape[1], call, query.device)
