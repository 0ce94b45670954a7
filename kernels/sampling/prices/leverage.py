"""Leverage: how far some query can make a key stand out from the others, whatever the queries are.

As LevAttention (arXiv 2410.05462) has it: max over q of (q·k)² / Σ_j (q·k_j)² = kᵀ(KᵀK)⁻¹k. K are the keys behind the
sinks, with causality up to one of a few positions before the tile: `edges`. A ridge of RIDGE times the mean eigenvalue
of KᵀK keeps directions that hold next to nothing from counting, and the inverse finite. A query's far keys share its
far mass by their leverage.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...call import AttentionCall
from ...tiling import Tile
from .shared import far_share, floored, past, row_sums

RIDGE = 1.0e-3
LEAST = 64  # keys between two edges


class Leverage:
    """The tensors of `Maker`; gram [B, H_kv, D, D], KᵀK of the first `known` keys, and the leverage [B, H_kv, n] of
    all keys that a tile may ask for before K grows again."""

    def __init__(self, query: Tensor, key: Tensor, key_mask: Tensor | None, lse: Tensor, call: AttentionCall) -> None:
        self._query, self._key, self._mask, self._lse, self._call = query, key, key_mask, lse, call
        self._edges = edges(call)
        self._gram = key.new_zeros(*key.shape[:2], key.shape[-1], key.shape[-1])
        self._known = call.parameters.sinks
        self._leverage = torch.zeros_like(key[..., 0])

    def weights(self, tile: Tile) -> Tensor:
        """See `Price`: [B, H, rows, F]."""
        self._learn(past(tile, self._call))
        keys, rows = tile.far_keys(self._key.device), slice(tile.start, tile.stop)
        seen = None if self._mask is None else self._mask[:, None, keys]
        total = row_sums(self._query, self._key, self._mask, self._lse, tile, self._call)
        group = self._query.shape[1] // self._key.shape[1]
        leverage = self._leverage[:, :, keys].repeat_interleave(group, 1).unsqueeze(2)
        return floored(leverage, seen, far_share(self._lse[:, :, rows], total))

    def _learn(self, stop: int) -> None:
        """Go from edge to edge up to `stop`, each time with the same products, wherever a call begins."""
        if not self._edges or self._edges[0] > stop:
            return
        while self._edges and self._edges[0] <= stop:
            fresh = self._key[:, :, self._known : self._edges[0]]
            self._gram = self._gram + fresh.transpose(-1, -2) @ fresh
            self._known = max(self._known, self._edges.pop(0))
        asked = self._edges[0] if self._edges else self._key.shape[2]
        self._leverage = leverages(self._key[:, :, :asked], self._gram)


def edges(call: AttentionCall) -> list[int]:
    """Positions at which K grows: four for each doubling, so that all inverses together are linear work."""
    if call.causal_offset is None:
        return [call.num_keys]
    found, edge = [], LEAST
    while edge <= call.num_keys:
        found.append(edge)
        edge += max(LEAST, 1 << (edge.bit_length() - 3))
    return found


def leverages(key: Tensor, gram: Tensor) -> Tensor:
    """kᵀ(KᵀK + λI)⁻¹k = ‖L⁻¹k‖² of each row of key [B, H_kv, n, D], L the Cholesky factor: [B, H_kv, n]."""
    eye = torch.eye(key.shape[-1], dtype=key.dtype, device=key.device)
    mean = gram.diagonal(dim1=-2, dim2=-1).mean(-1)
    ridge = (RIDGE * mean).clamp(min=torch.finfo(key.dtype).tiny)[..., None, None]
    factor = torch.linalg.cholesky_ex(gram + ridge * eye).L
    inverse = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
    return (key @ inverse.transpose(-1, -2)).square().sum(-1)


def make(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, lse: Tensor, call: AttentionCall
) -> Leverage:
    """See `Maker`."""
    return Leverage(query, key, key_mask, lse, call)
