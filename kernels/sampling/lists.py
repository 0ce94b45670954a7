"""Lists of drawn keys: which keys of a tile some group of its queries reads, and with which weight."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attend import NEG_INF
from ..tiling import Tile
from . import BLOCK, LEAST_CHANCE
from .products import CHUNK


@dataclass(frozen=True, slots=True)
class Listed:
    """What a tile draws.

    tile         its queries.
    certain      numbers of the far keys that it reads without a draw, int64 [c].
    index        int64 [N, M], numbers of drawn keys in order of the first group that reads them; 0 where there is none.
    log_weight   [N, groups, M], −log π, −inf where the queries of a group do not read the key.
    size         queries of a group; groups · size = rows.
    total        log of the row sums as far as they are known, [N, G, rows].
    """

    tile: Tile
    certain: Tensor
    index: Tensor
    log_weight: Tensor
    size: int
    total: Tensor


@dataclass(frozen=True, slots=True)
class Price:
    """The log of what keys are worth to the leaders of groups of queries, or less.

    keys    [N, groups, F], by their scores.
    blocks  [N, groups, F / BLOCK], by their block's mean and variance; never falls from group to group.
    """

    keys: Tensor
    blocks: Tensor

    def largest(self) -> Tensor:
        """[N, F], over all groups."""
        blocks = self.blocks[:, -1].unsqueeze(-1)
        return torch.maximum(self.keys.amax(1).unflatten(1, (-1, BLOCK)), blocks).flatten(1)

    def running(self, column: Tensor) -> Tensor:
        """[N, groups, M], over the groups up to each; column int64 [N, M]."""
        groups = self.keys.shape[1]
        worth = self.keys.gather(2, column.unsqueeze(1).expand(-1, groups, -1))
        block = (column // BLOCK).unsqueeze(1).expand(-1, groups, -1)
        worth = torch.maximum(worth, self.blocks.gather(2, block))
        step = 1
        while step < groups:  # a prefix maximum in log2(groups) passes
            worth = torch.cat([worth[:, :step], torch.maximum(worth[:, step:], worth[:, :-step])], 1)
            step *= 2
        return worth


def select(price: Price, limit: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """Columns [N, M] that some group reads, in order of the first that does, and −log π [N, groups, M].

    A group reads a column where the price is above limit [N, F]; level [N, F] is the log of the price from which on π
    is 1. M is a multiple of CHUNK; what is too much is −inf.
    """
    heads = limit.shape[0]
    listed = price.largest() > limit
    count = listed.sum(-1)
    most = -(-int(count.max()) // CHUNK) * CHUNK
    head, column = listed.nonzero(as_tuple=True)
    slot = torch.arange(head.numel(), device=head.device) - (count.cumsum(0) - count)[head]
    index = column.new_zeros(heads, most).index_put_((head, slot), column)
    bound = torch.full((heads, most), float("inf"), dtype=limit.dtype, device=limit.device)
    bound.index_put_((head, slot), limit[head, column])
    worth = price.running(index).to(limit.dtype)
    first = (worth <= bound.unsqueeze(1)).sum(1)  # groups that do not read it
    order = first.sort(dim=-1, stable=True).indices
    index, bound = index.gather(1, order), bound.gather(1, order).unsqueeze(1)
    worth = worth.gather(2, order.unsqueeze(1).expand_as(worth))
    weight = (level.gather(1, index).unsqueeze(1) - worth).clamp_(0.0, -math.log(LEAST_CHANCE))
    return index, weight.masked_fill_(worth <= bound, NEG_INF)
