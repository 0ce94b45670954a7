"""HyperAttention in one pass: sinks and recent keys exactly, far keys by a random sample in which each has its price.

`plan` says which near keys each tile reads (`tiling`). What these sum to is a part of each query's row sum, by
which the far keys are priced and drawn (`sampling`): the second half of the plan (`far`). Near and far keys are
disjoint by position.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from torch import Tensor

from .call import AttentionCall
from .parameters import ROWS
from .parts import Band, Plan, Span, Tiles
from .sampling import estimate, rows
from .tiling import Tile, tiles


def saves_nothing(call: AttentionCall) -> bool:
    """Whether the call runs exactly: every key is certain, all are near, or there are fewer queries than a tile has."""
    parameters = call.parameters
    near = parameters.tile + parameters.window + parameters.sinks
    return parameters.threshold == 0.0 or call.num_keys <= near or call.num_queries < parameters.tile


def plan(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Plan:
    """The near keys of all tiles."""
    return near(list(tiles(call)), call)


def near(row: list[Tile], call: AttentionCall) -> Plan:
    """The near keys of neighbouring tiles: sinks, for tiles together, and local keys, for tiles of one shape
    together."""
    sinks = groupby((tile for tile in row if tile.sinks), key=lambda tile: tile.sinks)
    parts: Plan = []
    for count, group in sinks:
        with_sinks = list(group)
        parts.append(Span(with_sinks[0].start, with_sinks[-1].stop, 0, count))
    for _, group in groupby(row, key=_shape):
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
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    lse: Tensor,
    call: AttentionCall,
    chosen: Iterable[Tile] | None = None,
) -> Iterator[Tiles]:
    """The sample of the far keys.

    lse [B, H, n_q] of the near ones, −inf where a query has none; rows of masked keys are zero. chosen: tiles of the
    call, in order of position; None: all of them. What a tile reads depends on no other.
    """
    if key_mask is not None:
        key_mask = key_mask.expand(key.shape[0], -1)
    if estimate.price_of(call, query.device) == ROWS:
        yield from rows.far(query, key, value, key_mask, call, chosen)
    else:
        yield from estimate.far(query, key, value, key_mask, lse, call, chosen)


def forward(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall
) -> tuple[Tensor, Tensor] | None:
    """(out, lse) as `engine.forward` returns them, where the price has a forward of its own; else None."""
    if estimate.price_of(call, query.device) != ROWS:
        return None
    return rows.attention(query, key, value, key_mask, call)
