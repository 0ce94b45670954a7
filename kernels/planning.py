"""What a call reads: the algorithm that really runs, its plan, what it adds once the near keys' sums are known, counts.

`engine` runs, differentiates and merges what is planned here; `meter` and `probe_error` look at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from types import ModuleType
from typing import cast

import torch
from torch import Tensor

from .attend import NEG_INF, accumulation_dtype, flat_index, merge_
from .call import AttentionCall
from .exact import Scoring, band_forward, span_forward
from .lifted import Lifted
from .parts import Plan, Span, Tiles, visible_keys, without_bands

TILE_BUDGET = 1 << 23  # scores that one chunk of tiles may hold
Planner = Callable[[Tensor, Tensor, Tensor | None, AttentionCall], Plan]


def algorithm_of(call: AttentionCall) -> str:
    """The algorithm that really runs: "exact" where the estimators do not apply or would save nothing."""
    name = call.parameters.algorithm
    if name == "exact" or call.has_bias or call.sliding_window is not None or call.has_lifted:
        return "exact"
    if not call.curve.is_straight or call.num_keys < call.parameters.min_seq_len:
        return "exact"
    return "exact" if _module(name).saves_nothing(call) else name


def has_far(call: AttentionCall) -> bool:
    """Whether `far_parts` may add to the plan."""
    return hasattr(_module(algorithm_of(call)), "far")


def _module(algorithm: str) -> ModuleType:
    return import_module(f".{algorithm}", __package__)


def make_plan(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Plan:
    """The parts that the call's algorithm chooses by shape and keys; its tensors carry no gradient."""
    key_mask = relevant_mask(key_mask)
    planner = cast(Planner, _module(algorithm_of(call)).plan)
    with torch.no_grad():
        parts = planner(query, key, key_mask, call)
    return [part for part in parts if not (isinstance(part, Span) and part.is_empty)]


def far_parts(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall, lse: Tensor
) -> Iterator[Tiles]:
    """What the algorithm adds once the lse [B, H, n_q] over `make_plan`'s parts is known; nothing for most."""
    if not has_far(call):
        return
    found: Iterator[Tiles] = _module(algorithm_of(call)).far(query, key, value, key_mask, lse, call)
    while True:
        with torch.no_grad():  # for this part alone: what is held at a yield is left on where the reader raises
            part = next(found, None)
        if part is None:
            return
        yield part


def own_forward(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall
) -> tuple[Tensor, Tensor] | None:
    """(out, lse) of an algorithm that has a portable forward of its own, faster than its plan; else None."""
    module = _module(algorithm_of(call))
    if not hasattr(module, "forward"):
        return None
    with torch.no_grad():
        found: tuple[Tensor, Tensor] | None = module.forward(query, key, value, key_mask, call)
    return found


def near_lse(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall, parts: Plan) -> Tensor:
    """The lse [B, H, n_q] of the spans and bands of `make_plan`, in the accumulation dtype."""
    dtype = accumulation_dtype(query.dtype)
    wide = query.to(dtype), without_masked(key, key_mask).to(dtype)
    out = torch.zeros(*query.shape[:3], key.shape[-1], dtype=dtype, device=query.device)
    lse = torch.full(query.shape[:3], NEG_INF, dtype=dtype, device=query.device)
    near_forward(*wide, wide[1], parts, Scoring(call.scale, call.curve, key_mask), out, lse)
    return lse


def near_forward(
    query: Tensor, key: Tensor, value: Tensor, parts: Plan, scoring: Scoring, out: Tensor, lse: Tensor
) -> None:
    """Merge the spans and bands of a plan into out [B, H, n_q, D_v] and lse [B, H, n_q], in place."""
    for part in parts:
        if isinstance(part, Tiles):
            continue
        if isinstance(part, Span):
            rows = slice(part.query_start, part.query_stop)
            partial = span_forward(query, key, value, part, scoring)
        else:
            rows = slice(part.query_start, part.query_start + part.rows * part.count)
            partial = band_forward(query, key, value, part, scoring)
        merge_(out[:, :, rows], lse[:, :, rows], partial)


def whole_plan(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall
) -> tuple[Plan, list[Tiles]]:
    """Everything that a call reads: `make_plan`'s parts and all `far_parts`. For looking at, not for running."""
    key_mask = relevant_mask(key_mask)
    parts = make_plan(query, key, key_mask, call)
    if not has_far(call):
        return parts, []
    with torch.no_grad():
        clean = without_masked(key, key_mask), without_masked(value, key_mask)
        near = near_lse(query, clean[0], key_mask, call, parts)
        return parts, list(far_parts(query, *clean, key_mask, call, near))


def count_keys(
    parts: Plan,
    key_mask: Tensor | None,
    batch: int,
    heads: int,
    call: AttentionCall,
    lifted: Lifted | None = None,
    found: Iterable[Tiles] = (),
) -> Tensor:
    """Keys that each query reads by a plan and what was `found` besides, int64 [B, H, n_q]; `lifted` thins spans out.

    Keys of weight > 1 count once; bias is not looked at.
    """
    found = list(found)
    known = [part.query_rows for part in [*parts, *found] if isinstance(part, Tiles)]
    known += [] if key_mask is None else [key_mask]
    known += [] if lifted is None else lifted.tensors()
    device = known[0].device if known else torch.device("cpu")
    flat = torch.zeros(batch * heads * call.num_queries + 1, dtype=torch.int64, device=device)
    counts = flat[:-1].view(batch, heads, call.num_queries)
    for part in [*without_bands(parts), *found]:
        if isinstance(part, Span):
            rows = slice(part.query_start, part.query_stop)
            counts[:, :, rows] += visible_keys(part, key_mask, device, lifted).unsqueeze(1)
            continue
        for chunk in part.chunks(TILE_BUDGET):
            queries = chunk.folded_queries()
            pairs = chunk.pairs()
            width = chunk.key_rows.shape[-1]
            pair_counts = torch.full(queries.shape, width, device=device) if pairs is None else pairs.sum(-1)
            index = query_index(chunk, heads, call.num_queries)
            flat.index_add_(0, index.reshape(-1), pair_counts.expand(queries.shape).reshape(-1))
    return counts


def relevant_mask(key_mask: Tensor | None) -> Tensor | None:
    """None for a mask that removes nothing, where looking costs no device synchronisation."""
    if key_mask is not None and key_mask.device.type == "cpu" and bool(key_mask.all()):
        return None
    return key_mask


def without_masked(tensor: Tensor, key_mask: Tensor | None) -> Tensor:
    """Rows of masked keys as zeros, so that garbage there (NaN of an unfilled cache) cannot reach a product."""
    return tensor if key_mask is None else tensor.masked_fill(~key_mask[:, None, :, None], 0.0)


def query_index(chunk: Tiles, heads: int, n_q: int) -> Tensor:
    """Flat query rows [B·R·T, G, bq] of a chunk."""
    index = flat_index(chunk.query_rows, heads, n_q)
    batch, _, count, rows = index.shape
    group, units = chunk.group(), chunk.key_rows.shape[1]
    return index.reshape(batch, units, group, count, rows).transpose(2, 3).reshape(batch * units * count, group, rows)


def key_index(chunk: Tiles, kv_heads: int, n_k: int) -> Tensor:
    """Flat key rows [B·R·T, 1, bk] of a chunk."""
    index = flat_index(chunk.key_rows, kv_heads, n_k)
    return index.reshape(-1, 1, index.shape[-1])
