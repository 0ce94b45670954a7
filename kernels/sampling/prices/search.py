"""The search: all scores. A weight is exact but for the row sum, of which the far keys' part is a sample of every so
manieth key."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...attend import NEG_INF, scaled_scores
from ...call import AttentionCall
from ...tiling import Tile
from .. import STRIDE
from ..draws import first_word


@dataclass(frozen=True, slots=True)
class Search:
    """The tensors of `Maker`."""

    query: Tensor
    key: Tensor
    key_mask: Tensor | None
    lse: Tensor
    call: AttentionCall

    def weights(self, tile: Tile) -> Tensor:
        """See `Price`: exp(score) / row sum, [B, H, rows, F]."""
        rows, keys = slice(tile.start, tile.stop), tile.far_keys(self.query.device)
        scores = scaled_scores(self.query[:, :, rows], self.key[:, :, keys], self.call.scale)
        seen = None if self.key_mask is None else self.key_mask[:, None, keys]
        total = row_sums(scores, seen, self.lse[:, :, rows], tile, self.call)
        return scores.sub_(total.unsqueeze(-1)).exp_()


def make(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, lse: Tensor, call: AttentionCall
) -> Search:
    """See `Maker`."""
    return Search(query, key, key_mask, lse, call)


def row_sums(scores: Tensor, seen: Tensor | None, near: Tensor, tile: Tile, call: AttentionCall) -> Tensor:
    """log Z [B, H, rows]: of the near keys and of every STRIDE-th far key, the first of which the tile's draws choose.

    scores [B, H, rows, F] of the far keys, seen bool [B, 1, F], near [B, H, rows] the lse of the near keys.
    """
    column, some = columns_of_part(seen, near, tile, call)
    part = scores.gather(-1, column.unsqueeze(2).expand(*scores.shape[:3], -1))
    return sum_of_part(part, some, near)


def columns_of_part(seen: Tensor | None, near: Tensor, tile: Tile, call: AttentionCall) -> tuple[Tensor, Tensor]:
    """Every STRIDE-th far key's number among the far ones, int64 [B, H, F / STRIDE], and whether there is such a key
    and no mask hides it."""
    batch, heads = near.shape[:2]
    line = torch.arange(batch * heads, device=near.device).view(batch, heads, 1)
    word = first_word(call.parameters.seed, line, torch.full_like(line, tile.place(call)))
    column = (word & (STRIDE - 1)) + torch.arange(0, tile.far, STRIDE, device=near.device)
    some = column < tile.far
    column = column.clamp(max=tile.far - 1)
    if seen is not None:
        some = some & seen.expand(batch, heads, tile.far).gather(-1, column)
    return column, some


def sum_of_part(part: Tensor, some: Tensor, near: Tensor) -> Tensor:
    """`row_sums` from the scores [B, H, rows, F / STRIDE] of the part; 0 where a query sees no key at all."""
    part = part.masked_fill(~some.unsqueeze(2), NEG_INF)
    total = torch.logaddexp(near, torch.logsumexp(part, -1) + math.log(STRIDE))
    return total.masked_fill(total == NEG_INF, 0.0)
