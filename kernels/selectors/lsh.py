"""Angular LSH (SimHash) over several rounds: a query reads the most recent far keys of its own bucket in each round.

Keys are centred before they are hashed, queries are not: subtracting one vector from every key changes no softmax
(MagicPIG, arXiv 2410.16179), and without it keys lie in a narrow cone and share a few buckets. With causality the
centre of a key is the mean of the keys up to itself, so its code depends on no later row; without, the mean of all.

Queries and keys are aligned by code and not, as in HyperAttention (arXiv 2310.05869), by rank in the order of codes:
their histograms differ. In the order (bucket, position) the keys of a query's bucket before its tile end at one known
place, so the most recent are a run of that order and later keys cannot change it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..attend import accumulation_dtype
from ..call import AttentionCall
from ..lsh import Draws, hash_codes
from ..selection import Found, Selector, of_mask
from ..tiling import Tile

ROUNDS = 4
SHARE = 16  # a query adds at most selected / SHARE keys a round


@dataclass(frozen=True, slots=True)
class Lsh:
    """Of each (batch, key head, round, bucket, position) there is one number, in that order, the position last.

    bucket  int64 [B, H, ROUNDS, n_q], the number of a query's bucket at position 0.
    order   int64 [B·H_kv·ROUNDS·n_k], the numbers of all keys, ascending; masked ones are in a bucket of their own.
    """

    bucket: Tensor
    order: Tensor
    call: AttentionCall

    def find(self, tile: Tile, threshold: Tensor) -> Found:
        """See `selection.Selector`. Without causality half of the keys come from behind the local ones."""
        batch, heads = self.bucket.shape[:2]
        most = self.call.parameters.selected // SHARE
        ahead = most if self.call.causal_offset is not None else most // 2
        device = self.order.device
        edges = torch.tensor([tile.sinks, tile.low, tile.high, tile.limit], device=device)
        mine = self.bucket[..., tile.start : tile.stop, None]
        ends = torch.searchsorted(self.order, mine + edges).unsqueeze(-1)  # [B, H, ROUNDS, rows, 4, 1]
        sinks, low, high, limit = ends.unbind(-2)
        steps = torch.arange(most, device=device) - ahead
        place = torch.where(steps < 0, low, high) + steps
        exists = (place >= torch.where(steps < 0, sinks, high)) & (place < torch.where(steps < 0, low, limit))
        key = self.order[place.clamp(0, self.order.shape[0] - 1)] % self.call.num_keys
        column = torch.where(key < tile.low, key - tile.sinks, key - tile.high + tile.low - tile.sinks)
        column = column.masked_fill(~exists, tile.far).view(batch, heads, -1)
        row = torch.arange(tile.rows, device=device).view(-1, 1).expand_as(exists).reshape(batch, heads, -1)
        first = torch.full((batch, heads, tile.far + 1), tile.rows, device=device)
        return of_mask(first.scatter_reduce_(2, column, row, "amin")[..., : tile.far], tile)


def make(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Selector:
    """See `selection.make`."""
    (batch, heads), units, n_k = query.shape[:2], key.shape[1], call.num_keys
    planes = call.parameters.lsh_projections
    buckets = (1 << planes) + 1  # the last one holds the masked keys
    draws = Draws(call.parameters.seed)
    centred = _centred(key.to(accumulation_dtype(key.dtype)), key_mask, call.causal_offset is not None)
    hyperplanes = [draws.hyperplanes(key.shape[-1], planes) for _ in range(ROUNDS)]
    theirs, mine = (
        torch.stack([hash_codes(rows, normals) for normals in hyperplanes], 2).to(torch.int64)
        for rows in (centred, query)
    )
    if key_mask is not None:
        theirs = theirs.masked_fill(~key_mask[:, None, None], buckets - 1)
    table = torch.arange(batch * units * ROUNDS, device=key.device).view(batch, units, ROUNDS, 1) * buckets
    order = ((table + theirs) * n_k + torch.arange(n_k, device=key.device)).flatten().sort().values
    return Lsh((table.repeat_interleave(heads // units, 1) + mine) * n_k, order, call)


def _centred(key: Tensor, mask: Tensor | None, is_causal: bool) -> Tensor:
    """key [B, H_kv, n_k, D] with masked rows zero, less the mean of the visible rows up to each, or of all."""
    ones = key.new_ones(1, 1, key.shape[2], 1) if mask is None else mask[:, None, :, None].to(key.dtype)
    if is_causal:
        return key - key.cumsum(2) / ones.cumsum(2).clamp(min=1.0)
    return key - key.sum(2, keepdim=True) / ones.sum(2, keepdim=True).clamp(min=1.0)
