"""Leverage: the far keys with the largest leverage scores, a choice that depends on no query.

As LevAttention (arXiv 2410.05462) does: max over q of (q·k)² / Σ_j (q·k_j)² = kᵀ(KᵀK)⁻¹k says how far some query can
make a key stand out from the others. K are the keys before the tile, without causality all keys. A ridge of RIDGE times
the mean eigenvalue of KᵀK keeps directions that hold next to nothing from counting, and the inverse finite.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..attend import accumulation_dtype
from ..call import AttentionCall
from ..selection import Found, Selector
from ..tiling import Tile
from .shared import best, past

RIDGE = 1.0e-3


class Leverage:
    """key [B, H_kv, n_k, D] in the accumulation dtype; gram [B, H_kv, D, D], KᵀK of its first `known` rows."""

    def __init__(self, key: Tensor, key_mask: Tensor | None, heads: int, call: AttentionCall) -> None:
        self._key, self._mask, self._heads, self._call = key, key_mask, heads, call
        self._gram = key.new_zeros(*key.shape[:2], key.shape[-1], key.shape[-1])
        self._known = 0

    def find(self, tile: Tile, threshold: Tensor) -> Found:
        """See `selection.Selector`."""
        known = past(tile, self._call)
        fresh = self._key[:, :, self._known : known]
        self._gram, self._known = self._gram + fresh.transpose(-1, -2) @ fresh, known
        scores = self._scores(self._key[:, :, :known])
        return best(scores, self._mask, self._heads, self._call.parameters.selected, tile)

    def _scores(self, key: Tensor) -> Tensor:
        """kᵀ(KᵀK + λI)⁻¹k = ‖L⁻¹k‖² of each row of key [B, H_kv, n, D], L the Cholesky factor: [B, H_kv, n]."""
        eye = torch.eye(key.shape[-1], dtype=key.dtype, device=key.device)
        mean = self._gram.diagonal(dim1=-2, dim2=-1).mean(-1)
        ridge = (RIDGE * mean).clamp(min=torch.finfo(key.dtype).tiny)[..., None, None]
        factor = torch.linalg.cholesky_ex(self._gram + ridge * eye).L
        inverse = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
        return (key @ inverse.transpose(-1, -2)).square().sum(-1)


def make(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Selector:
    """See `selection.make`."""
    return Leverage(key.to(accumulation_dtype(key.dtype)), key_mask, query.shape[1], call)
