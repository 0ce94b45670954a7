"""What prices that do not score every key share: row sums from a part of the far keys, and a floor."""

from __future__ import annotations

import torch
from torch import Tensor

from ...attend import NEG_INF, scaled_scores
from ...call import AttentionCall
from ...tiling import Tile
from .search import columns_of_part, sum_of_part

FLOOR = 0.2  # of a query's far mass is spread evenly over its far keys: one that is priced far too low costs much
LEAST_SHARE = 0.1  # of a query's mass that its far keys have, as the part that was scored may have missed the dear ones


def past(tile: Tile, call: AttentionCall) -> int:
    """How many of the first keys stand before the tile, without causality all: what statistics may look at.

    By the tile's place alone, so that it is the same wherever a call begins.
    """
    before = call.num_keys if call.causal_offset is None else tile.place(call) * call.parameters.tile
    return min(before, call.num_keys)


def row_sums(
    query: Tensor, key: Tensor, key_mask: Tensor | None, lse: Tensor, tile: Tile, call: AttentionCall
) -> Tensor:
    """`search.row_sums` [B, H, rows] of the tensors of `Maker`, which scores a part of the far keys alone."""
    far, rows = tile.far_keys(query.device), slice(tile.start, tile.stop)
    near, seen = lse[:, :, rows], None if key_mask is None else key_mask[:, None, far]
    column, some = columns_of_part(seen, near, tile, call)
    group, features = query.shape[1] // key.shape[1], key.shape[-1]
    index = far[column].unflatten(1, (-1, group)).flatten(2).unsqueeze(-1)  # [B, H_kv, G · F / STRIDE, 1]
    part = key.gather(2, index.expand(-1, -1, -1, features)).unflatten(2, (group, -1)).flatten(1, 2)
    return sum_of_part(scaled_scores(query[:, :, rows], part, call.scale), some, near)


def far_share(near: Tensor, total: Tensor) -> Tensor:
    """The part of a query's weights that its far keys have, LEAST_SHARE or more: [B, H, rows, 1].

    near, total  lse of the near keys and row sums, [B, H, rows].
    """
    return (1.0 - torch.exp((near - total).clamp(max=0.0))).unsqueeze(-1).clamp(min=LEAST_SHARE)


def shares(scores: Tensor, seen: Tensor | None, near: Tensor) -> Tensor:
    """exp(score) over the row sum of these and of the near keys; scores [B, H, rows, F], near [B, H, rows] an lse."""
    if seen is not None:
        scores = scores.masked_fill(~seen.unsqueeze(2), NEG_INF)
    total = torch.logaddexp(near, torch.logsumexp(scores, -1))
    return (scores - total.masked_fill(total == NEG_INF, 0.0).unsqueeze(-1)).exp_()


def floored(weight: Tensor, seen: Tensor | None, share: Tensor | None = None) -> Tensor:
    """Weights with FLOOR of their sum spread evenly; scaled to sum to `share`, where that is given.

    weight [B, H, rows or 1, F], 0 and above, 0 for masked keys; seen bool [B, 1, F] or None; share [B, H, rows, 1].
    Weights that are all 0 become even.
    """
    seen = torch.ones_like(weight[:, :1, 0], dtype=torch.bool) if seen is None else seen
    total = weight.sum(-1, keepdim=True)
    share = total if share is None else share
    even = share / seen.sum(-1).clamp(min=1).view(-1, 1, 1, 1)
    return torch.where(total > 0.0, (1.0 - FLOOR) * weight * (share / total) + FLOOR * even, even)
