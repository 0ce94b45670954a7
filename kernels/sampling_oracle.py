"""The sample of `hyper` by its definition (`sampling`), in float64, dense: head by head, tile by tile, row by row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from . import sampling
from .call import AttentionCall
from .lsh import KV_DRAWS
from .sampling.draws import first_word, uniform

NEG_INF = float("-inf")


@dataclass(frozen=True)
class Tile:
    """Numbers of queries, positions of near and of far keys, and the tile's place among tiles of all positions."""

    place: int
    queries: list[int]
    near: list[int]
    far: list[int]


def sampling_log_weight(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall
) -> Tensor:
    """Float64 [B, H, n_q, n_k], to be added to the scores; a constant for the gradient.

    −inf where the query does not read the key, 0 where it reads it as a near one, −log of the probability elsewhere.
    """
    batch, heads, n_q = query.shape[:3]
    n_k, group = key.shape[2], heads // key.shape[1]
    weight = torch.full((batch, heads, n_q, n_k), NEG_INF, dtype=torch.float64)
    for b in range(batch):
        seen = [True] * n_k if key_mask is None else key_mask[b % key_mask.shape[0]].tolist()
        for h in range(heads):
            unit = h // group
            keys = key[b, unit].detach().double().cpu()
            keys = torch.where(torch.tensor(seen)[:, None], keys, 0.0)
            scores = query[b, h].detach().double().cpu() @ keys.T * call.scale
            spread = spreads(value[b, unit].detach().double().cpu(), seen, call)
            for tile in tiles(call):
                for row, log_weight in _rows(tile, scores, spread, seen, b * heads + h, call):
                    weight[b, h, row] = log_weight
    return weight.to(query.device)


def probabilities(tile: Tile, weights: Tensor, spread: Tensor, call: AttentionCall) -> Tensor:
    """π [rows, F] of the far keys, weights p [rows, F] of all rows of the tile, spread [F]."""
    offset, size = call.causal_offset or 0, call.parameters.tile
    threshold = threshold_of(tile, call)
    chance = torch.zeros_like(weights)
    for r in range(len(tile.queries)):
        strip_of = [(j + offset) % size // sampling.STRIP for j in tile.queries]
        squared = weights[r] ** 2
        for strip in range(strip_of[r]):
            rows = [k for k, at in enumerate(strip_of) if at == strip]
            if rows:
                limit = (threshold / spread) ** 2
                squared = squared + torch.minimum(weights[rows].amax(0) ** 2, limit)
        chance[r] = spread * squared.sqrt() / threshold
    return (chance**2 + sampling.LEAST_CHANCE**2).sqrt().clamp(max=1.0)


def threshold_of(tile: Tile, call: AttentionCall) -> float:
    """τ of a tile: less where more keys are visible."""
    visible = call.num_keys if call.causal_offset is None else (tile.place + 1) * call.parameters.tile
    return call.parameters.threshold * (visible / 32768) ** -0.15


def _rows(
    tile: Tile, scores: Tensor, spread: Tensor, seen: list[bool], line: int, call: AttentionCall
) -> Iterator[tuple[int, Tensor]]:
    """Each query of the tile and its log weights [n_k]."""
    n_k = scores.shape[1]
    last = {i: n_k if call.causal_offset is None else i + call.causal_offset + 1 for i in tile.queries}
    found = {i: torch.full((n_k,), NEG_INF, dtype=torch.float64) for i in tile.queries}
    for i in tile.queries:
        found[i][[j for j in tile.near if seen[j] and j < last[i]]] = 0.0
    if tile.far:
        name = torch.tensor(line), torch.tensor(tile.place)
        shift = int(first_word(call.parameters.seed, *name)) % sampling.STRIDE
        part = [j for j in tile.far[shift :: sampling.STRIDE] if seen[j]]
        weights = torch.zeros(len(tile.queries), len(tile.far), dtype=torch.float64)
        for r, i in enumerate(tile.queries):
            total = torch.cat([scores[i] + found[i], scores[i, part] + math.log(sampling.STRIDE)]).logsumexp(0)
            weights[r] = (scores[i, tile.far] - (0.0 if total == NEG_INF else total)).exp()
        chance = probabilities(tile, weights, spread[tile.far], call)
        drawn = uniform(call.parameters.seed, *name, torch.tensor(tile.far)).double()
        reads = (chance > drawn) & torch.tensor(seen)[tile.far]
        for r, i in enumerate(tile.queries):
            found[i][tile.far] = torch.where(reads[r], -chance[r].log(), NEG_INF)
    yield from found.items()


def spreads(value: Tensor, seen: list[bool], call: AttentionCall) -> Tensor:
    """d [n_k]."""
    start = call.parameters.sinks
    reference = [j for j in range(start, min(start + sampling.REFERENCE, len(seen))) if seen[j]]
    mean = value[reference].sum(0) / max(len(reference), 1)
    usual = (value[reference] - mean).norm(dim=1).sum() / max(len(reference), 1)
    spread = (value - mean).norm(dim=1) / usual
    return spread.nan_to_num(nan=0.0, posinf=sampling.MOST_SPREAD).clamp(sampling.LEAST_SPREAD, sampling.MOST_SPREAD)


def tiles(call: AttentionCall) -> Iterator[Tile]:
    """Tiles with a query that sees a key."""
    n_q, n_k, offset = call.num_queries, call.num_keys, call.causal_offset
    size, window, sinks = call.parameters.tile, call.parameters.window, call.parameters.sinks
    places: dict[int, list[int]] = {}
    for i in range(n_q):
        if i + (offset or 0) >= 0:
            places.setdefault((i + (offset or 0)) // size, []).append(i)
    for place, queries in places.items():
        if offset is None:
            low, high = queries[0] * n_k // n_q - window // 2, -(-(queries[-1] + 1) * n_k // n_q) + window // 2
            limit = n_k
        else:
            low, high = place * size - window, queries[-1] + offset + 1
            low = low if place * size >= sinks + sampling.REFERENCE else 0
            limit = min(high, n_k)
        near = [j for j in range(limit) if j < sinks or low <= j < high]
        yield Tile(place, queries, near, [j for j in range(limit) if not (j < sinks or low <= j < high)])


# --- prices by rows and blocks ------------------------------------------------------------------------------------


def rows_log_weight(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Tensor:
    """As `sampling_log_weight`, by the prices of `sampling.rows`: one list for the query heads of a KV head."""
    batch, heads, n_q = query.shape[:3]
    units, n_k = key.shape[1], key.shape[2]
    group = heads // units
    weight = torch.full((batch, heads, n_q, n_k), NEG_INF, dtype=torch.float64)
    for b in range(batch):
        seen = [True] * n_k if key_mask is None else key_mask[b % key_mask.shape[0]].tolist()
        for unit in range(units):
            keys = torch.where(torch.tensor(seen)[:, None], key[b, unit].detach().double().cpu(), 0.0)
            queries = query[b, unit * group : (unit + 1) * group].detach().double().cpu() * call.scale
            spread = spreads(value[b, unit].detach().double().cpu(), seen, call)
            for tile in tiles(call):
                number = b * units + unit
                mine = _listed_rows(tile, queries, keys, spread, seen, number, call)
                weight[b, unit * group : (unit + 1) * group, tile.queries] = mine
    return weight.to(query.device)


def priced_keys(tile: Tile, call: AttentionCall) -> list[list[int]]:
    """Blocks of keys with a price: the whole ones that are far."""
    first = call.parameters.sinks
    blocks = [list(range(at, at + sampling.BLOCK)) for at in range(first, call.num_keys, sampling.BLOCK)]
    return [block for block in blocks if set(block) <= set(tile.far)]


def rows_probabilities(
    tile: Tile, queries: Tensor, keys: Tensor, spread: Tensor, seen: list[bool], call: AttentionCall
) -> Tensor:
    """π [rows, n_k] of the keys with a price, 1 elsewhere; queries [G, n_q, D] times the scale, keys [n_k, D]."""
    blocks, offset = priced_keys(tile, call), call.causal_offset
    chance = torch.ones(len(tile.queries), call.num_keys, dtype=torch.float64)
    if not blocks:
        return chance
    priced = sorted(j for block in blocks for j in block)
    place_of = {key: number for number, block in enumerate(blocks) for key in block}
    reads = [j for j in sorted({*tile.near, *tile.far} - set(priced)) if seen[j]]
    part = [j for j in priced if (j - call.parameters.sinks - tile.place) % sampling.PART == 0 and seen[j]]
    members = [[j for j in block if seen[j]] for block in blocks]
    by_block = torch.full((len(tile.queries), len(blocks)), NEG_INF, dtype=torch.float64)  # log worth
    by_key = torch.full((len(tile.queries), len(priced)), NEG_INF, dtype=torch.float64)
    leads = [
        r == 0 or (i + (offset or 0)) % call.parameters.tile % sampling.STEP == 0 for r, i in enumerate(tile.queries)
    ]
    for g in range(queries.shape[0]):
        for r, i in enumerate(tile.queries):
            scores = keys @ queries[g, i]
            near = scores[[j for j in reads if offset is None or j <= i + offset]]
            worth = torch.full((len(blocks),), NEG_INF, dtype=torch.float64)
            for number, block in enumerate(members):
                if block:
                    variance = keys[block].var(0, unbiased=False)
                    worth[number] = scores[block].mean() + 0.5 * (queries[g, i] ** 2 * variance).sum()
            counts = torch.tensor([len(block) for block in members], dtype=torch.float64)
            others = scores[part] + math.log(sampling.PART) if leads[r] else worth + counts.log()
            total = torch.cat([near, others]).logsumexp(0)
            if total > NEG_INF:
                by_block[r] = torch.maximum(by_block[r], worth - total)
                if leads[r]:
                    by_key[r] = torch.maximum(by_key[r], scores[priced] - total)
    for r in range(len(tile.queries)):
        last = max(k for k in range(r + 1) if leads[k]) if offset is not None else len(tile.queries) - 1
        own = by_block[: last + 1].amax(0)[[place_of[j] for j in priced]]
        worth = torch.maximum(by_key[: last + 1].amax(0), own).exp()
        level = sampling.ROWS_SHARE * threshold_of(tile, call)
        chance[r, priced] = (spread[priced] * worth / level).clamp(sampling.LEAST_CHANCE, 1.0)
    return chance


def _listed_rows(
    tile: Tile, queries: Tensor, keys: Tensor, spread: Tensor, seen: list[bool], number: int, call: AttentionCall
) -> Tensor:
    """The log weights [rows, n_k] of a tile."""
    chance = rows_probabilities(tile, queries, keys, spread, seen, call)
    names = torch.tensor(number), torch.tensor(tile.place), torch.arange(call.num_keys)
    reads = chance > uniform(call.parameters.seed, *names, KV_DRAWS).double()
    reads = (reads | (chance == 1.0)) & torch.tensor(seen)
    if call.causal_offset is not None:
        position = torch.tensor(tile.queries)[:, None] + call.causal_offset
        reads = reads & (torch.arange(call.num_keys) <= position)
    return torch.where(reads, -chance.log(), NEG_INF)
