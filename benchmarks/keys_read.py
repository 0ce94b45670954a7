"""How many keys a query reads, by the plan made again: of all queries, or of some tiles where there are too many."""

from __future__ import annotations

from dataclasses import replace

import torch
from hyperrewrite.kernels import planning
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.far import Far, Whole
from torch import Tensor

MOST_COUNTED = 1 << 15  # tokens; the plan of more takes minutes
SAMPLED = 16  # tiles


def of_all(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall) -> tuple[float, list[Far | Whole]]:
    """Mean over queries and heads of what `meter.keys_per_query` counts; and what was found besides near keys."""
    counts, found = _counts(query, key, value, call)
    return float(counts.double().mean()), found


def in_tiles(call: AttentionCall) -> bool:
    """Whether `of_some_tiles` can read it."""
    square = call.causal_offset == 0 and call.num_queries == call.num_keys
    return square and planning.algorithm_of(call) == "hyper"


def of_some_tiles(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall, count: int = SAMPLED) -> float:
    """The same over `count` tiles at even distances: of `hyper` with causality, queries and keys of one length.

    A tile is asked for behind the one before it, which tells it whether to read everything.
    """
    if not in_tiles(call):
        raise ValueError("only tiles of `hyper` with causality, as many queries as keys, can be read by themselves")
    size, total = call.parameters.tile, 0.0
    tiles = call.num_queries // size
    for number in (int((at + 0.5) * tiles / count) for at in range(count)):
        start, stop = max(number - 1, 0) * size, (number + 1) * size
        part = replace(call, num_queries=stop - start, causal_offset=start)
        counts, _ = _counts(query[:, :, start:stop], key, value, part)
        total += float(counts[:, :, -size:].double().mean())
    return total / count


def _counts(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall) -> tuple[Tensor, list[Far | Whole]]:
    """int64 [B, H, n_q], and what was found."""
    with torch.no_grad():
        parts, found = planning.whole_plan(query, key, value, None, call)
        return planning.count_keys(parts, None, *query.shape[:2], call, found=found), found
