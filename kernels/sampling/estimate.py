"""The portable form of the sample: scores of all far keys, probabilities, draws, and what is read as tiles by index."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..attend import NEG_INF, scaled_scores
from ..call import AttentionCall
from ..parts import Tiles
from ..tiling import Tile, first_far, tiles
from . import LEAST_CHANCE, LEAST_SPREAD, MOST_SPREAD, REFERENCE, STRIDE, STRIP
from .draws import first_word, uniform

COLUMNS = 256  # keys of a part. Each has the same shape: what is added behind a row's last key changes no bit of it.


def far(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, lse: Tensor, call: AttentionCall
) -> Iterator[Tiles]:
    """The far keys that each tile reads, with the log of 1 / probability for each pair.

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v] in the accumulation dtype, rows of masked
    keys zero; key_mask bool [B, n_k]; lse [B, H, n_q] of the near keys.
    """
    batch, heads = query.shape[:2]
    line = torch.arange(batch * heads, device=query.device).view(batch, heads, 1)
    squared = spreads(value, key_mask, call).square().repeat_interleave(heads // key.shape[1], 1)  # [B, H, n_k]
    for tile in tiles(call):
        if not tile.far:
            continue
        keys = tile.far_keys(query.device)
        number = torch.full_like(line, (tile.start - tile.skip + (call.causal_offset or 0)) // call.parameters.tile)
        seen = None if key_mask is None else key_mask[:, None, keys]  # [B, 1, F]
        scores = scaled_scores(query[:, :, tile.start : tile.stop], key[:, :, keys], call.scale)  # [B, H, rows, F]
        total = _row_sums(
            scores, seen, lse[:, :, tile.start : tile.stop], first_word(call.parameters.seed, line, number)
        )
        rate = squared[:, :, keys].unsqueeze(2) / call.parameters.threshold**2
        chance = chances((2 * (scores - total.unsqueeze(-1))).exp() * rate, tile)
        drawn = uniform(call.parameters.seed, line, number, keys).to(chance.dtype)  # [B, H, F]
        reads = chance > drawn.square().unsqueeze(2)
        reads = reads if seen is None else reads & seen.unsqueeze(2)
        yield from _listed(tile, keys, reads, chance)


def spreads(value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Tensor:
    """How far each value is from the reference's mean, relative to the values of the reference: [B, H_kv, n_k]."""
    start = first_far(call)
    stop = start + REFERENCE
    known = torch.ones_like(value[:, :1, start:stop, :1])
    if key_mask is not None:
        known = known * key_mask[:, None, start:stop, None]
    count = known.sum(2, keepdim=True).clamp(min=1.0)
    mean = (value[:, :, start:stop] * known).sum(2, keepdim=True) / count
    usual = ((value[:, :, start:stop] - mean) * known).norm(dim=-1, keepdim=True).sum(2, keepdim=True) / count
    spread = ((value - mean).norm(dim=-1, keepdim=True) / usual).squeeze(-1)
    return torch.where(spread >= LEAST_SPREAD, spread, LEAST_SPREAD).clamp(max=MOST_SPREAD)  # NaN of 0 / 0 too


def chances(weight: Tensor, tile: Tile) -> Tensor:
    """Squared probabilities [B, H, rows, F] of squared weights in units of the threshold, row by row."""
    weight = weight.clamp_(max=1.0)  # beyond, a key is certain
    before = torch.zeros_like(weight[:, :, :1])
    found = []
    for start in range(-tile.skip, tile.rows, STRIP):
        strip = weight[:, :, max(start, 0) : max(start + STRIP, 0)]
        if strip.shape[2]:
            found.append(strip + (before + LEAST_CHANCE**2))
            before = before + strip.amax(2, keepdim=True)
    return torch.cat(found, 2).clamp_(max=1.0)


def _row_sums(scores: Tensor, seen: Tensor | None, near: Tensor, word: Tensor) -> Tensor:
    """log Z [B, H, rows]: of the near keys and of every STRIDE-th far key, the first of which `word` [B, H, 1] says."""
    count = scores.shape[-1]
    column = (word & (STRIDE - 1)) + torch.arange(0, count, STRIDE, device=scores.device)  # [B, H, F / STRIDE]
    some = column < count
    column = column.clamp(max=count - 1)
    if seen is not None:
        some = some & seen.expand(*word.shape[:2], count).gather(-1, column)
    part = scores.gather(-1, column.unsqueeze(2).expand(*scores.shape[:3], -1))
    part = part.masked_fill(~some.unsqueeze(2), NEG_INF)
    total = torch.logaddexp(near, torch.logsumexp(part, -1) + math.log(STRIDE))
    return total.masked_fill(total == NEG_INF, 0.0)


def _listed(tile: Tile, keys: Tensor, reads: Tensor, chance: Tensor) -> Iterator[Tiles]:
    """What the tile reads: keys in order of the first row that reads them, so that no later row moves them."""
    batch, heads, rows, count = reads.shape
    row = torch.arange(rows, device=reads.device).unsqueeze(-1)
    first = torch.where(reads, row, rows).amin(2)  # [B, H, F]
    listed = int((first < rows).sum(-1).max()) if count else 0
    if not listed:
        return
    order = torch.sort(first, dim=-1, stable=True).indices[..., : -(-listed // COLUMNS) * COLUMNS]
    queries = torch.arange(tile.start, tile.stop, device=reads.device).expand(batch, heads, 1, rows)
    for start in range(0, listed, COLUMNS):
        column = order[..., start : start + COLUMNS]
        some = first.gather(-1, column) < rows
        pairs = column.unsqueeze(2).expand(batch, heads, rows, -1)
        weight = torch.where(reads.gather(-1, pairs), -0.5 * chance.gather(-1, pairs).log(), NEG_INF)
        number = torch.where(some, keys[column], -1)
        if column.shape[-1] < COLUMNS:
            number = torch.nn.functional.pad(number, (0, COLUMNS - column.shape[-1]), value=-1)
            weight = torch.nn.functional.pad(weight, (0, COLUMNS - column.shape[-1]), value=NEG_INF)
        yield Tiles(queries, number.unsqueeze(2), weight.unsqueeze(2))
