"""Heavy columns: the far keys that got the largest attention mass from probe rows, for each query head on its own.

As H2O (arXiv 2306.14048) and SampleAttention (arXiv 2406.15486) do. The middle and the last query of a tile are
computed exactly; the mass of a key is their mean weight, decayed by DECAY a tile. With causality a tile goes by the
probes of earlier tiles alone, so it knows what was looked at before, and nothing that no query has asked for yet.
Without, its own tile is probed too. Probing costs 2·n_k·D of a tile's tile·n_k·D multiply-adds.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from ..attend import NEG_INF, accumulation_dtype
from ..call import AttentionCall
from ..selection import Found, Selector
from ..tiling import Tile, tiles
from .shared import best

DECAY = 0.7


class Heavy:
    """mass [B, H, n_k] of the tiles that are no longer waiting; its tensors are those of `make`."""

    def __init__(self, query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> None:
        self._query, self._key, self._mask, self._call = query, key, key_mask, call
        self._waiting = deque(tiles(call))
        self._mass = query.new_zeros(*query.shape[:2], call.num_keys, dtype=accumulation_dtype(query.dtype))

    def find(self, tile: Tile, threshold: Tensor) -> Found:
        """See `selection.Selector`; nothing before the first probe."""
        known = tile.stop if self._call.causal_offset is None else tile.start
        while self._waiting and self._waiting[0].stop <= known:
            self._probe(self._waiting.popleft())
        mass = self._mass.masked_fill(self._mass == 0.0, NEG_INF)
        return best(mass, self._mask, mass.shape[1], self._call.parameters.selected, tile)

    def _probe(self, tile: Tile) -> None:
        """Adds the exact weights of two rows of the tile."""
        batch, heads, _, features = self._query.shape
        rows = torch.tensor(sorted({(tile.start + tile.stop - 1) // 2, tile.stop - 1}), device=self._query.device)
        keys = torch.arange(tile.limit, device=rows.device)
        picked = self._query[:, :, rows].to(self._mass.dtype) * self._call.scale
        key = self._key[:, :, : tile.limit].to(self._mass.dtype)
        scores = picked.reshape(batch, key.shape[1], -1, features) @ key.transpose(-1, -2)
        scores = scores.view(batch, heads, -1, tile.limit)
        if self._call.causal_offset is not None:
            scores.masked_fill_(keys > rows[:, None] + self._call.causal_offset, NEG_INF)
        if self._mask is not None:
            scores.masked_fill_(~self._mask[:, None, None, : tile.limit], NEG_INF)
        weights = torch.softmax(scores, -1).nan_to_num_(0.0)  # of a row without a visible key
        self._mass *= DECAY
        self._mass[..., : tile.limit] += weights.mean(2)


def make(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Selector:
    """See `selection.make`."""
    return Heavy(query, key, key_mask, call)
