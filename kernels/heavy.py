"""Which keys each tile of queries reads in `hyper`: geometry, probe, heavy columns, and the heads that read everything.

Queries are cut into tiles of `block_size`, at multiples of it in the positions of the keys. A tile reads

- `local`   the keys [low, high): with causality its own positions up to each query, and `window` keys before the tile;
            without, its own positions and window/2 keys on both sides;
- `sinks`   the first `sinks` keys;
- `heavy`   of the remaining keys, the `heavy` ones with the largest attention mass, shared by the query heads of a key
            head (as H2O, arXiv 2306.14048, and SampleAttention, arXiv 2406.15486, do for other purposes);
- and, for a query head whose measured error is above TOLERANCE, instead of `heavy` every remaining key, or where these
  are more than WIDE_PER_SAMPLE·`sample_size`, the blocks of 64 with the largest mass besides the heavy keys. Few heads
  retrieve, and the same ones from tile to tile; they hold most of the error and no earlier query predicts their keys.
  Before there is an error to judge by (the first tile with far keys), every head does so, without the limit.

Both are measured by a probe: in every tile up to PROBE_ROWS query rows are computed exactly. The mass of a key is their
mean weight, decayed by DECAY a tile. The error of a head is the mean over the rows of √Σp², p the weights of the keys
that the tile did not read as a narrow one: if values are alike but independent, the length of the missing part of the
output over that of a value. Diffuse missing weight thus counts little, a missed peak fully.

With causality a tile uses the probes of earlier tiles alone, so what it reads does not depend on its own later queries.
Without, it uses its own too: even probe rows for the mass, odd ones for the error, so that the error is honest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .attend import NEG_INF
from .call import AttentionCall

PROBE_ROWS = 4
PROBED_KEYS = 65536  # with more keys than this fewer rows are probed, so that the probe's work stays linear
DECAY = 0.7
TOLERANCE = 0.03
WIDE_PER_SAMPLE = 32
WIDE_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Tile:
    """Queries [start, stop), their local keys [low, high), the first `sinks` keys (all below low), and `limit`: no
    query of the tile sees a key from there on. far = [sinks, low) and [high, limit)."""

    start: int
    stop: int
    low: int
    high: int
    sinks: int
    limit: int

    @property
    def far(self) -> int:
        return self.low - self.sinks + self.limit - self.high


@dataclass(frozen=True, slots=True)
class Choice:
    """What one tile reads besides sinks and local keys.

    heavy  int64 [B, H_kv, m], key rows in ascending order, −1 (in front) = none.
    wide   bool [B, H] on the CPU: the heads that read `rest` instead.
    rest   None = every far key; else int64 [B, H_kv, m'], −1 = none.
    error  [B, H], what the heads were judged by.
    """

    tile: Tile
    heavy: Tensor
    wide: Tensor
    rest: Tensor | None
    error: Tensor


def tiles(call: AttentionCall) -> Iterator[Tile]:
    """The tiles in order of position; queries that see no key at all are in none."""
    n_q, n_k, size = call.num_queries, call.num_keys, call.parameters.block_size
    window, sinks, offset = call.parameters.window, call.parameters.sinks, call.causal_offset
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
        low = min(max(position - window, 0), n_k)
        high = min(stop + offset, n_k)
        yield Tile(first, stop, low, high, min(sinks, low), high)
        first = stop


def choose(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Iterator[Choice]:
    """One choice a tile; query [B, H, n_q, D], key [B, H_kv, n_k, D] with masked rows zero, key_mask bool [B, n_k]."""
    batch, heads = query.shape[:2]
    units, causal = key.shape[1], call.causal_offset is not None
    group = heads // units
    mass = query.new_zeros(batch, units, call.num_keys)
    error = query.new_zeros(batch, heads)
    hidden = None if key_mask is None else ~key_mask[:, None, :]
    most = WIDE_PER_SAMPLE * call.parameters.sample_size
    probed = judged = False
    for tile in tiles(call):
        rows = _probe_rows(tile, call)
        odd = None
        if rows and not causal:
            weights = _probe(query, key, hidden, tile, rows, call)
            even, odd = _halves(weights, group)
            mass = _decayed(mass, even, probed)
            probed = True
        heavy = _heavy(mass, hidden, tile, call.parameters.heavy)
        if odd is not None and odd.shape[2] and tile.far:
            error, judged = _judged(error, odd, heavy, tile, judged), True
        wide = (error > TOLERANCE).cpu() if judged else torch.ones(batch, heads, dtype=torch.bool)
        if tile.far == 0 or (judged and most == 0):
            wide = torch.zeros_like(wide)
        rest = None
        if judged and tile.far > most and bool(wide.any()):
            rest = _blocks(mass, hidden, heavy, tile, most)
        yield Choice(tile, heavy, wide, rest, error)
        if rows and causal and tile.stop < call.num_queries:
            weights = _probe(query, key, hidden, tile, rows, call)
            mass, before = _decayed(mass, weights, probed), probed
            probed = True
            if before and tile.far:
                error, judged = _judged(error, weights, heavy, tile, judged), True


def _probe_rows(tile: Tile, call: AttentionCall) -> list[int]:
    """Query rows to probe, at fixed positions in the tile's grid, the last of them its last."""
    size, offset = call.parameters.block_size, call.causal_offset or 0
    count = min(PROBE_ROWS, max(2 if call.causal_offset is None else 1, PROBE_ROWS * PROBED_KEYS // max(tile.limit, 1)))
    count = min(count, size)
    places = {size * (k + 1) // count - 1 for k in range(count)}
    return [row for row in range(tile.start, tile.stop) if (row + offset) % size in places]


def _probe(
    query: Tensor, key: Tensor, hidden: Tensor | None, tile: Tile, rows: list[int], call: AttentionCall
) -> Tensor:
    """Exact weights of the rows over keys [0, limit): [B, H_kv, G·rows, limit], the rows of one head together."""
    batch, heads, _, features = query.shape
    units = key.shape[1]
    index = torch.tensor(rows, device=query.device)
    picked = query[:, :, index].reshape(batch, units, -1, features)
    scores = (picked * call.scale) @ key[:, :, : tile.limit].transpose(-1, -2)
    if call.causal_offset is not None:
        start = min(rows[0] + call.causal_offset, tile.limit)
        future = torch.arange(start, tile.limit, device=query.device) > index[:, None] + call.causal_offset
        scores[..., start:].masked_fill_(future.repeat(heads // units, 1), NEG_INF)
    if hidden is None:
        return torch.softmax(scores, -1)
    hidden = hidden[:, :, None, : tile.limit]
    return torch.softmax(scores.masked_fill_(hidden, NEG_INF), -1).masked_fill(hidden, 0.0).nan_to_num_(0.0)


def _decayed(mass: Tensor, weights: Tensor, probed: bool) -> Tensor:
    """mass [B, H_kv, n_k] after another probe; weights [B, H_kv, G·rows, limit]."""
    count = weights.shape[2]
    found = weights.new_full((1, count), 1.0 / count) @ weights
    if probed:
        mass *= DECAY
    mass[..., : found.shape[-1]] += found.squeeze(2)
    return mass


def _halves(weights: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """Every other probe row of each head, from the first and from the second."""
    rows = weights.unflatten(2, (group, -1))
    return rows[..., ::2, :].flatten(2, 3), rows[..., 1::2, :].flatten(2, 3)


def _far_mass(mass: Tensor, hidden: Tensor | None, tile: Tile) -> Tensor:
    """Mass of keys [0, limit), −1 where a key is not far or masked."""
    found = mass[..., : tile.limit].clone()
    found[..., : tile.sinks] = -1.0
    found[..., tile.low : tile.high] = -1.0
    return found if hidden is None else found.masked_fill_(hidden[..., : tile.limit], -1.0)


def _heavy(mass: Tensor, hidden: Tensor | None, tile: Tile, count: int) -> Tensor:
    count = min(count, tile.far)
    found, rows = _far_mass(mass, hidden, tile).topk(count, -1)
    return rows.masked_fill(found < 0, -1).sort(-1).values


def _judged(error: Tensor, weights: Tensor, heavy: Tensor, tile: Tile, judged: bool) -> Tensor:
    """error [B, H] after another probe; weights [B, H_kv, G·rows, limit] of a tile with far keys, spoiled here."""
    index = (
        heavy.where(heavy >= 0, heavy[..., -1:]).clamp(min=0) if heavy.shape[-1] else heavy
    )  # absent: twice the last
    weights.scatter_(-1, index.unsqueeze(2).expand(*weights.shape[:-1], -1), 0.0)
    pieces = [weights[..., tile.sinks : tile.low], weights[..., tile.high :]]
    norms = [torch.linalg.vector_norm(piece, dim=-1) for piece in pieces if piece.shape[-1]]
    missed = norms[0] if len(norms) == 1 else torch.hypot(*norms)
    found = missed.view(*error.shape, -1).mean(-1)
    return error * DECAY + (1.0 - DECAY) * found if judged else found


def _blocks(mass: Tensor, hidden: Tensor | None, heavy: Tensor, tile: Tile, count: int) -> Tensor:
    """Far keys of the count/64 blocks with the largest far mass, and the heavy keys outside these: [B, H_kv, ...]."""
    far = _far_mass(mass, hidden, tile)
    width = math.ceil(tile.limit / WIDE_BLOCK) * WIDE_BLOCK
    padded = torch.nn.functional.pad(far, (0, width - tile.limit), value=-1.0).unflatten(-1, (-1, WIDE_BLOCK))
    best = padded.clamp(min=0.0).sum(-1).topk(max(count // WIDE_BLOCK, 1), -1).indices
    rows = (best.unsqueeze(-1) * WIDE_BLOCK + torch.arange(WIDE_BLOCK, device=mass.device)).flatten(-2)
    exists = padded.flatten(-2).gather(-1, rows) >= 0
    again = (heavy.unsqueeze(-1) // WIDE_BLOCK == best.unsqueeze(-2)).any(-1)
    return torch.cat([rows.masked_fill(~exists, -1), heavy.masked_fill(again, -1)], -1)
