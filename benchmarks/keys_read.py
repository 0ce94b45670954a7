"""How many keys a query reads, by the plan made again: of all queries, or of some tiles where there are too many."""

from __future__ import annotations

from dataclasses import replace

import torch
from hyperrewrite.kernels import planning
from hyperrewrite.kernels.call import AttentionCall
from torch import Tensor

MOST_COUNTED = 1 << 15  # tokens; the plan of more takes minutes
SAMPLED = 16  # tiles


def of_all(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall) -> float:
    """Mean over queries and heads of what `meter.keys_per_query` counts."""
    return float(_counts(query, key, value, call).double().mean())


def in_tiles(call: AttentionCall) -> bool:
    """Whether `of_some_tiles` can read it."""
    square = call.causal_offset == 0 and call.num_queries == call.num_keys
    return square and planning.algorithm_of(call) == "hyper"


def of_some_tiles(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall, count: int = SAMPLED) -> float:
    """The same over `count` tiles at even distances: of `hyper` with causality, queries and keys of one length.

    What a tile reads depends on no other tile.
    """
    if not in_tiles(call):
        raise ValueError("only tiles of `hyper` with causality, as many queries as keys, can be read by themselves")
    size, total = call.parameters.tile, 0.0
    tiles = call.num_queries // size
    for number in (int((at + 0.5) * tiles / count) for at in range(count)):
        start = number * size
        part = replace(call, num_queries=size, causal_offset=start)
        total += float(_counts(query[:, :, start : start + size], key, value, part).double().mean())
    return total / count


def _counts(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall) -> Tensor:
    """int64 [B, H, n_q]."""
    with torch.no_grad():
        parts, found = planning.whole_plan(query, key, value, None, call)
        return planning.count_keys(parts, None, *query.shape[:2], call, found=found)
