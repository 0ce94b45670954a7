"""Pooled blocks: each far key weighs what the mean and the variance of the BLOCK keys around it say.

As MoBA (arXiv 2502.13189) and XAttention (arXiv 2503.16428) judge blocks. Blocks stand at multiples of BLOCK; the last
one before a tile ends there.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...call import AttentionCall
from ...tiling import Tile
from .groups import BLOCK, Blocks, Grouping


@dataclass(frozen=True, slots=True)
class Pooled:
    """The blocks of the whole text."""

    grouping: Grouping
    blocks: Blocks

    def weights(self, tile: Tile) -> Tensor:
        """See `Price`: [B, H, rows, F]."""
        group = tile.far_keys(self.grouping.key.device) // BLOCK
        return self.grouping.weights(tile, self.blocks.between(0, tile), group[None, None])


def make(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, lse: Tensor, call: AttentionCall
) -> Pooled:
    """See `Maker`."""
    return Pooled(Grouping(query, key, key_mask, lse, call), Blocks.make(key, key_mask, call))
