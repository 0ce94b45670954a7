"""The relative output error of one attention call, estimated from a few exact query rows chosen where it is.

    error = √(Σᵢ‖oᵢ − õᵢ‖² / Σᵢ‖oᵢ‖²),  o exact, õ what the call gave; one number a head.

Rows are drawn with unequal probability πᵢ and each counts 1/πᵢ (Horvitz and Thompson 1952): Σ over drawn rows of
‖oᵢ − õᵢ‖²/πᵢ is unbiased whatever the πᵢ > 0. A wrong guess of where the error is costs variance, never truth; and a
drawn row is exact attention over all its keys, so mistakes of the engine are measured as well.

By default πᵢ ∝ 1/√cost. What the search of `hyper` leaves out is bounded row by row, and the samples of `paper` spread
its error: there no row matters much more than others (docs/estimator.md has the figures).

The guess. A plan that leaves keys out, with no search for what is missing and no means in their place, errs by the
weight that it left out, and a few rows hold most of it. Its unread keys are known (`read_bits`), from the plan made
again, which is cheap without a search and not counted. For each row, of each block of 32 keys: (unread keys) ·
exp(scale·query·(mean key) − lse). In the TOP blocks where this is largest, the unread keys are scored one by one
instead. With g the sum of all blocks the guess is g / (1 + g), and πᵢ ∝ (guess + FLOOR of its mean) ·
√(‖õᵢ‖² + its mean) / √(cost of the row). Where the guess would use up more than GUESS_SHARE of the budget (short
inputs) there is none.

Rows are drawn systematically in order of position, which stratifies them. The denominator is Σ‖õᵢ‖² over all rows,
known, corrected by the drawn ones. The interval is 95 %, by the delete-one jackknife of log error, each row's part
times 1 − πᵢ (a row that is certain to be drawn adds no variance). Where the few largest errors were never drawn it is
too narrow: benchmarks/error_estimate.py reports how often it holds.

Cost is counted in multiply-adds over visible (query, key) pairs as a share of exact attention's, D + D_v for each pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import parts
from .attend import accumulation_dtype
from .call import AttentionCall
from .far import Far, Whole
from .parts import Plan, Span, Tiles, without_bands
from .planning import algorithm_of, whole_plan

BUDGET = 0.05
BLOCK = 32  # keys; their bits make one integer
TOP = 2
FLOOR = 0.2
ABSENT = 0.01  # share of the mean guess that a row with nothing unread gets
GUESS_SHARE = 0.75
RESERVE = 0.97  # of the budget is aimed at: a draw's cost varies
NORMAL_95 = 1.96
MAX_EXPONENT = 30.0


@dataclass(frozen=True, slots=True)
class ErrorEstimate:
    """Of each batch element and head, float64 [B, H] on the CPU.

    error      estimated relative output error; 0 where exact and given rows are all zero, inf where only the exact are.
    low, high  95 % interval; equal to `error` where all rows were computed, 0 and inf where fewer than two were.
    rows       exact rows computed, int64.
    cost       share of exact attention's multiply-adds that the estimate took, the guess included.
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
    guided: bool | None = None,
    seed: int = 0,
) -> ErrorEstimate:
    """How far `out` is from exact attention, head by head, at about `budget` of exact attention's cost.

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v]; out [B, H, n_q, D_v] and lse [B, H, n_q] are
    what `hyper::attention` gave for `call`. No key mask, bias, curve, lifted mask or sliding window. budget >= 1: every
    row. guided: whether rows are drawn by the guess where there can be one; None = where it is needed and cheap.
    Raises ValueError.
    """
    if call.has_bias or call.has_lifted or not call.curve.is_straight or call.sliding_window is not None:
        raise ValueError("the error estimate reads plain or causal calls only: no bias, curve, key ranges or window")
    if not budget > 0.0:
        raise ValueError(f"budget must be above 0, not {budget}")
    batch, heads, n_q, features = query.shape
    dtype = accumulation_dtype(query.dtype)
    visible = visible_keys(call, query.device)
    total = float(visible.sum())
    share = features / (features + value.shape[-1])  # of a pair's cost: scoring it alone
    limit = visible.max().item() if n_q else 0
    guess_cost = share * (n_q * limit / (1 if call.causal_offset is None else 2) / BLOCK + n_q * TOP * BLOCK)
    guided = leaves_out(call) if guided is None else guided
    guided = guided and budget < 1.0 and guess_cost <= GUESS_SHARE * budget * total
    plan, far = whole_plan(query, key, value, None, call) if guided else ([], [])
    guided = guided and not any(isinstance(part, Tiles) and part.log_weight is not None for part in plan)
    found = {name: torch.zeros(batch, heads, dtype=torch.float64) for name in ("error", "low", "high", "cost")}
    rows = torch.zeros(batch, heads, dtype=torch.int64)
    for b in range(batch):
        for h in range(heads):
            unit = h * key.shape[1] // heads
            q, k, v, given = (t.to(dtype) for t in (query[b, h], key[b, unit], value[b, unit], out[b, h]))
            size = given.double().square().sum(-1)
            weight, spent = torch.ones_like(size), 0.0
            if guided:
                unread = _bits_below(visible, call.num_keys) - read_bits(
                    plan, call, (b, h), query.shape, key.shape, far
                )
                guess, pairs = missing_mass(q * call.scale, k, lse[b, h].to(dtype), unread)
                spent = pairs * share
                weight = _inclusion_weight(guess, size)
            aim = total if budget >= 1.0 else RESERVE * budget * total - spent
            chance = inclusion(weight, visible.double(), aim)
            drawn = systematic(chance, seed + 7919 * (b * heads + h))
            exact = exact_rows(q, k, v, drawn, visible, call.scale).double()
            wrong = (given[drawn].double() - exact).square().sum(-1)
            result = ratio(wrong, exact.square().sum(-1) - size[drawn], float(size.sum()), chance[drawn])
            found["error"][b, h], found["low"][b, h], found["high"][b, h] = result
            found["cost"][b, h] = (float(visible[drawn].sum()) + spent) / max(total, 1.0)
            rows[b, h] = drawn.numel()
    return ErrorEstimate(found["error"], found["low"], found["high"], rows, found["cost"])


def visible_keys(call: AttentionCall, device: torch.device) -> Tensor:
    """Keys that each query of a plain or causal call sees, int64 [n_q]; they are the first ones."""
    whole = Span(0, call.num_queries, 0, call.num_keys, call.causal_offset)
    return parts.visible_keys(whole, None, device)[0]


def leaves_out(call: AttentionCall) -> bool:
    """Whether what runs errs by what it leaves out alone, and what that is can be learnt cheaply."""
    told = call.parameters
    return algorithm_of(call) == "hyper" and not told.means and "search" not in told.select_names


def read_bits(
    plan: Plan,
    call: AttentionCall,
    head: tuple[int, int],
    query_shape: torch.Size,
    key_shape: torch.Size,
    far: Iterable[Far | Whole | Tiles] = (),
) -> Tensor:
    """Which keys each query of one (batch, head) reads: int64 [n_q, ⌈n_k / BLOCK⌉], key j is bit j mod BLOCK.

    A plan's pairs are disjoint, so that adding their bits is the union of them. O(n_q · n_k / BLOCK) memory.
    """
    heads, n_q = query_shape[1:3]
    units, n_k = key_shape[1:3]
    b, h = head
    far = list(far)
    pieces = [part for part in far if isinstance(part, Far)]
    tensors = [part.query_rows for part in [*plan, *pieces] if isinstance(part, Tiles | Far)]
    device = tensors[0].device if tensors else torch.device("cpu")
    found = torch.zeros(n_q + 1, -(-n_k // BLOCK), dtype=torch.int64, device=device)
    spans = [span for part in far if isinstance(part, Whole) and part.batch == b for span in part.far_keys()]
    for part in [*without_bands(plan), *spans]:
        if isinstance(part, Span):
            low, high = part.key_edges(device)
            mine = _bits_below(torch.maximum(high, low), n_k) - _bits_below(low, n_k)
            found[part.query_start : part.query_stop] += mine
            continue
        _add_tiles(found, part.query_rows[b, h], part.key_rows[b, h // part.group()], part)
    for piece in pieces:
        own = piece.query_rows.amin(1) // n_q == b * heads + h  # a tile is of one head; larger numbers are no queries
        tiles = piece.of(own)
        tile, row, column = tiles.reads().nonzero(as_tuple=True)
        q = tiles.query_rows[tile, row] - (b * heads + h) * n_q
        j = tiles.key_rows[tile, column] - (b * units + h * units // heads) * n_k
        real = q < n_q
        q, j = q[real], j[real]
        found.view(-1).index_add_(0, q * found.shape[1] + j // BLOCK, 1 << (j % BLOCK))
    return found[:n_q]


def _add_tiles(found: Tensor, queries: Tensor, keys: Tensor, part: Tiles) -> None:
    """Add the bits of tiles, queries int [T, bq] and keys int [T, bk] with −1 = none; row n_q of `found` is a spare."""
    spare = found.shape[0] - 1
    step = max((1 << 24) // max(queries.shape[-1] * found.shape[1], 1), 1)
    for start in range(0, queries.shape[0], step):
        q, k = queries[start : start + step].long(), keys[start : start + step].long()
        if part.causal_offset is None:
            bits = torch.zeros(k.shape[0], found.shape[1], dtype=torch.int64, device=found.device)
            bit = torch.where(k >= 0, 1 << (k.clamp(min=0) % BLOCK), 0)
            bits.scatter_add_(1, k.clamp(min=0) // BLOCK, bit)
            found.index_add_(0, torch.where(q < 0, spare, q).flatten(), bits.repeat_interleave(q.shape[1], 0))
            continue
        frontier = q.unsqueeze(-1) + part.causal_offset
        pairs = (q.unsqueeze(-1) >= 0) & (k.unsqueeze(1) >= 0) & (k.unsqueeze(1) <= frontier)
        if part.sliding_window is not None:
            pairs &= k.unsqueeze(1) > frontier - part.sliding_window
        tile, row, column = pairs.nonzero(as_tuple=True)
        j = k[tile, column]
        place = q[tile, row] * found.shape[1] + j // BLOCK
        found.view(-1).index_add_(0, place, 1 << (j % BLOCK))


def _bits_below(limit: Tensor, n_k: int) -> Tensor:
    """Bits of keys [0, limit) in blocks: int64 [rows, ⌈n_k / BLOCK⌉] from int64 [rows]."""
    starts = torch.arange(0, n_k, BLOCK, device=limit.device)
    return (1 << (limit.unsqueeze(-1) - starts).clamp(0, BLOCK)) - 1


def count_bits(bits: Tensor) -> Tensor:
    """Number of ones in each of int64 numbers below 2**32."""
    bits = bits - ((bits >> 1) & 0x55555555)
    bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333)
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F
    return ((bits * 0x01010101) & 0xFFFFFFFF) >> 24


def missing_mass(query: Tensor, key: Tensor, lse: Tensor, unread: Tensor) -> tuple[Tensor, float]:
    """A guess of the weight of each row's unread keys, float64 [n_q], and the (query, key) pairs it scored.

    query [n_q, D] with the scale in it, key [n_k, D], lse [n_q], unread int64 [n_q, blocks] (`read_bits`).
    """
    n_k = key.shape[0]
    blocks = unread.shape[1]
    sums = key.new_zeros(blocks, key.shape[1]).index_add_(0, torch.arange(n_k, device=key.device) // BLOCK, key)
    sizes = torch.full((blocks, 1), BLOCK, device=key.device, dtype=key.dtype)
    sizes[-1] = n_k - BLOCK * (blocks - 1)
    means = sums / sizes
    unread = unread.to(key.device)
    counts = count_bits(unread).to(key.dtype)
    mass = torch.exp((query @ means.T - lse.unsqueeze(-1)).clamp(max=MAX_EXPONENT)) * counts
    live = (counts.sum(-1) > 0).nonzero().squeeze(-1)
    guess = mass.sum(-1)
    best = mass[live].topk(min(TOP, blocks), -1)
    steps = torch.arange(BLOCK, device=key.device)
    for start in range(0, live.numel(), 1024):
        rows, top = live[start : start + 1024], best.indices[start : start + 1024]
        columns = (top.unsqueeze(-1) * BLOCK + steps).flatten(1)
        left = ((unread[rows].gather(1, top).unsqueeze(-1) >> steps) & 1).flatten(1).bool()
        scores = torch.einsum("rd,rkd->rk", query[rows], key[columns.clamp(max=n_k - 1)]) - lse[rows].unsqueeze(-1)
        fine = scores.clamp(max=MAX_EXPONENT).exp().masked_fill(~left, 0.0).sum(-1)
        guess[rows] += fine - best.values[start : start + 1024].sum(-1)
    scored = float((counts[live] > 0).sum()) + float(live.numel() * min(TOP, blocks) * BLOCK)
    guess = guess.clamp(min=0.0).double()
    return guess / (1.0 + guess), scored


def _inclusion_weight(guess: Tensor, size: Tensor) -> Tensor:
    """What π is made proportional to, before the cost; guess and ‖õ‖², float64 [n_q]."""
    live = guess > 0
    mean = guess.sum() / live.sum().clamp(min=1)
    if not bool(mean > 0):
        return torch.ones_like(guess)
    return torch.where(live, guess + FLOOR * mean, ABSENT * mean) * (size + size.mean()).clamp(min=1e-30).sqrt()


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
