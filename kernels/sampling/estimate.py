"""The portable form of the sample: prices, probabilities, draws, and what is read as tiles by index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ..attend import NEG_INF
from ..call import AttentionCall
from ..parameters import AUTO, ROWS, SEARCH
from ..parts import Tiles
from ..tiling import Tile, tiles
from . import LEAST_CHANCE, LEAST_SPREAD, MOST_SPREAD, REFERENCE, STRIP, threshold_of
from .draws import uniform
from .prices import maker_of

COLUMNS = 256  # keys of a part. Each has the same shape: what is added behind a row's last key changes no bit of it.


def far(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    lse: Tensor,
    call: AttentionCall,
    chosen: Iterable[Tile] | None = None,
) -> Iterator[Tiles]:
    """The far keys that each tile reads, with the log of 1 / probability for each pair.

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v] in the accumulation dtype, rows of masked
    keys zero; key_mask bool [B, n_k]; lse [B, H, n_q] of the near keys. chosen: some of the call's tiles; None: all.
    """
    batch, heads = query.shape[:2]
    line = torch.arange(batch * heads, device=query.device).view(batch, heads, 1)
    squared = spreads(value, key_mask, call).square().repeat_interleave(heads // key.shape[1], 1)  # [B, H, n_k]
    price = maker_of(price_of(call, query.device))(query, key, value, key_mask, lse, call)
    for tile in tiles(call) if chosen is None else chosen:
        if not tile.far:
            continue
        keys = tile.far_keys(query.device)
        rate = squared[:, :, keys].unsqueeze(2) / threshold_of(call.parameters.threshold, visible(tile, call)) ** 2
        weight = price.weights(tile).square() * rate
        chance = chances(weight.expand(batch, heads, tile.rows, -1), tile)
        number = torch.full_like(line, tile.place(call))
        drawn = uniform(call.parameters.seed, line, number, keys).to(chance.dtype)  # [B, H, F]
        reads = chance > drawn.square().unsqueeze(2)
        reads = reads if key_mask is None else reads & key_mask[:, None, None, keys]
        yield from _listed(tile, keys, reads, chance)


def price_of(call: AttentionCall, device: torch.device) -> str:
    """The name of the price that a call has on a device."""
    if call.parameters.price != AUTO:
        return call.parameters.price
    return ROWS if device.type == "cpu" else SEARCH


def visible(tile: Tile, call: AttentionCall) -> int:
    """How many keys the tile sees, for `threshold_of`: by its place alone, wherever a call ends."""
    return call.num_keys if call.causal_offset is None else (tile.place(call) + 1) * call.parameters.tile


def spreads(value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Tensor:
    """How far each value is from the reference's mean, relative to the values of the reference: [B, H_kv, n_k]."""
    start = call.parameters.sinks
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
    weight = weight.clamp(max=1.0)  # beyond, a key is certain
    before = torch.zeros_like(weight[:, :, :1])
    found = []
    for start in range(-tile.skip, tile.rows, STRIP):
        strip = weight[:, :, max(start, 0) : max(start + STRIP, 0)]
        if strip.shape[2]:
            found.append(strip + (before + LEAST_CHANCE**2))
            before = before + strip.amax(2, keepdim=True)
    return torch.cat(found, 2).clamp_(max=1.0)


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
