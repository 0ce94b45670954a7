"""Heavy keys: those that a strip of rows looks at, by the exact weights of its first row.

Probe rows find the columns of the attention matrix that carry its mass, as in H2O (arXiv 2306.14048) and
SampleAttention (arXiv 2406.15486). Those find columns for the whole text; here a probe speaks for its own strip, and
`estimate.chances` carries what it found on to the strips of the tile that follow. A STRIP-th of the scores is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...attend import scaled_scores
from ...call import AttentionCall
from ...tiling import Tile
from .. import STRIP
from .shared import floored, shares


@dataclass(frozen=True, slots=True)
class Heavy:
    """The tensors of `Maker`."""

    query: Tensor
    key: Tensor
    key_mask: Tensor | None
    lse: Tensor
    call: AttentionCall

    def weights(self, tile: Tile) -> Tensor:
        """See `Price`: [B, H, rows, F]. In a call that begins inside a strip its first row of the call is the probe."""
        keys = tile.far_keys(self.query.device)
        first = tile.skip // STRIP
        probes = torch.arange(first, -(-(tile.skip + tile.rows) // STRIP), device=keys.device) * STRIP
        probes = (probes - tile.skip).clamp(min=0) + tile.start
        strip = (torch.arange(tile.rows, device=keys.device) + tile.skip) // STRIP - first
        seen = None if self.key_mask is None else self.key_mask[:, None, keys]
        scores = scaled_scores(self.query[:, :, probes], self.key[:, :, keys], self.call.scale)
        return floored(shares(scores, seen, self.lse[:, :, probes]), seen)[:, :, strip]


def make(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, lse: Tensor, call: AttentionCall) -> Heavy:
    """See `Maker`."""
    return Heavy(query, key, key_mask, lse, call)
