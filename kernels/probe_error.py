"""The relative output error of one attention call, estimated from a few exact query rows chosen where it is.

    error = √(Σᵢ‖oᵢ − õᵢ‖² / Σᵢ‖oᵢ‖²),  o exact, õ what the call gave; one number a head.

Rows are drawn with unequal probability πᵢ and each counts 1/πᵢ (Horvitz and Thompson 1952): Σ over drawn rows of
‖oᵢ − õᵢ‖²/πᵢ is unbiased whatever the πᵢ > 0; πᵢ ∝ 1/√cost. A drawn row is exact attention over all its keys, so
mistakes of the engine are measured as well.

It serves `paper`, whose samples spread the error: no row matters much more than others (docs/estimator.md has the
figures). `hyper` knows its own error from its sample (`sampling.error`).

Rows are drawn systematically in order of position, which stratifies them. The denominator is Σ‖õᵢ‖² over all rows,
known, corrected by the drawn ones. The interval is 95 %, by the delete-one jackknife of log error, each row's part
times 1 − πᵢ (a row that is certain to be drawn adds no variance). Where the few largest errors were never drawn it is
too narrow: benchmarks/error_estimate.py reports how often it holds.

Cost is counted in multiply-adds over visible (query, key) pairs as a share of exact attention's, D + D_v for each pair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from . import parts
from .attend import accumulation_dtype
from .call import AttentionCall
from .parts import Span

BUDGET = 0.05
RESERVE = 0.97  # of the budget is aimed at: a draw's cost varies
NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class ErrorEstimate:
    """Of each batch element and head, float64 [B, H] on the CPU.

    error      estimated relative output error; 0 where exact and given rows are all zero, inf where only the exact are.
    low, high  95 % interval; equal to `error` where all rows were computed, 0 and inf where fewer than two were.
    rows       exact rows computed, int64.
    cost       share of exact attention's multiply-adds that the estimate took.
    """

    error: Tensor
    low: Tensor
    high: Tensor
    rows: Tensor
    cost: Tensor


def estimate_error(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    call: AttentionCall,
    *,
    budget: float = BUDGET,
    seed: int = 0,
) -> ErrorEstimate:
    """How far `out` is from exact attention, head by head, at about `budget` of exact attention's cost.

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v]; out [B, H, n_q, D_v] and lse [B, H, n_q] are
    what `hyper::attention` gave for `call`. No key mask, bias, curve, lifted mask or sliding window. budget >= 1: every
    row. Raises ValueError.
    """
    if call.has_bias or call.has_lifted or not call.curve.is_straight or call.sliding_window is not None:
        raise ValueError("the error estimate reads plain or causal calls only: no bias, curve, key ranges or window")
    if not budget > 0.0:
        raise ValueError(f"budget must be above 0, not {budget}")
    batch, heads = query.shape[:2]
    dtype = accumulation_dtype(query.dtype)
    visible = visible_keys(call, query.device)
    total = float(visible.sum())
    found = {name: torch.zeros(batch, heads, dtype=torch.float64) for name in ("error", "low", "high", "cost")}
    rows = torch.zeros(batch, heads, dtype=torch.int64)
    for b in range(batch):
        for h in range(heads):
            unit = h * key.shape[1] // heads
            q, k, v, given = (t.to(dtype) for t in (query[b, h], key[b, unit], value[b, unit], out[b, h]))
            size = given.double().square().sum(-1)
            aim = total if budget >= 1.0 else RESERVE * budget * total
            chance = inclusion(torch.ones_like(size), visible.double(), aim)
            drawn = systematic(chance, seed + 7919 * (b * heads + h))
            exact = exact_rows(q, k, v, drawn, visible, call.scale).double()
            wrong = (given[drawn].double() - exact).square().sum(-1)
            result = ratio(wrong, exact.square().sum(-1) - size[drawn], float(size.sum()), chance[drawn])
            found["error"][b, h], found["low"][b, h], found["high"][b, h] = result
            found["cost"][b, h] = float(visible[drawn].sum()) / max(total, 1.0)
            rows[b, h] = drawn.numel()
    return ErrorEstimate(found["error"], found["low"], found["high"], rows, found["cost"])


def visible_keys(call: AttentionCall, device: torch.device) -> Tensor:
    """Keys that each query of a plain or causal call sees, int64 [n_q]; they are the first ones."""
    whole = Span(0, call.num_queries, 0, call.num_keys, call.causal_offset)
    return parts.visible_keys(whole, None, device)[0]


def inclusion(weight: Tensor, cost: Tensor, budget: float) -> Tensor:
    """πᵢ ∝ weight / √cost, at most 1, with Σ πᵢ·costᵢ = budget; float64 [n]. Rows that cost nothing are certain."""
    chance = torch.where(cost > 0, weight / cost.clamp(min=1.0).sqrt(), 0.0)
    if budget >= float(cost.sum()):
        return torch.ones_like(cost)
    certain = cost == 0
    for _ in range(64):
        room = budget - float(cost[certain].sum())
        free = float((chance * cost)[~certain].sum())
        chance = torch.where(certain, 1.0, chance * (max(room, 0.0) / max(free, 1e-300)))
        more = (chance > 1.0) & ~certain
        if not bool(more.any()):
            break
        certain |= more
    return chance.clamp(max=1.0)


def systematic(chance: Tensor, seed: int) -> Tensor:
    """Rows drawn with these probabilities in one sweep from one random start: int64, ascending."""
    start = torch.rand((), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(chance.device)
    edges = torch.floor(chance.cumsum(0) + start)
    before = torch.cat([torch.zeros_like(edges[:1]), edges[:-1]])
    return ((edges > before) | (chance >= 1.0)).nonzero().squeeze(-1)


def exact_rows(query: Tensor, key: Tensor, value: Tensor, rows: Tensor, visible: Tensor, scale: float) -> Tensor:
    """Exact output of some rows of one head, [r, D_v]; query [n_q, D], key [n_k, D], rows int64 [r] ascending.

    `meter.exact_rows` serves every call, over all its keys. Here each head draws rows of its own, and only visible keys
    are scored: the estimate's cost is counted in them.
    """
    found = [value.new_zeros(0, value.shape[-1])]
    for mine in rows.split(64):
        limit = int(visible[mine].max())
        hidden = torch.arange(limit, device=key.device) >= visible[mine].unsqueeze(-1)
        scores = (query[mine] * scale) @ key[:limit].T
        weights = torch.softmax(scores.masked_fill(hidden, float("-inf")), -1)
        found.append(weights.masked_fill(hidden, 0.0).nan_to_num(0.0) @ value[:limit])
    return torch.cat(found)


def ratio(wrong: Tensor, correction: Tensor, given: float, chance: Tensor) -> tuple[float, float, float]:
    """(error, low, high) from drawn rows: wrong ‖o − õ‖², correction ‖o‖² − ‖õ‖², chance π; given: all rows' Σ‖õ‖²."""
    count = wrong.numel()
    top, rest = wrong / chance, correction / chance
    numerator, denominator = float(top.sum()), given + float(rest.sum())
    if numerator <= 0.0:
        return 0.0, 0.0, 0.0 if bool((chance >= 1.0).all()) and count else math.inf
    if denominator <= 0.0:
        return math.inf, 0.0, math.inf
    error = math.sqrt(numerator / denominator)
    if bool((chance >= 1.0).all()):
        return error, error, error
    if count < 2:
        return error, 0.0, math.inf
    scale = count / (count - 1)
    tops = ((numerator - top) * scale).clamp(min=1e-300)
    lows = given + (float(rest.sum()) - rest) * scale
    logs = 0.5 * (tops.log() - lows.clamp(min=1e-3 * denominator).log())
    spread = ((1.0 - chance) * (logs - logs.mean()).square()).sum() / scale
    width = NORMAL_95 * math.sqrt(float(spread))
    return error, error * math.exp(-width), error * math.exp(min(width, 700.0))
