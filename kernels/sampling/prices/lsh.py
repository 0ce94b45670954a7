"""Bucket mates: a far key weighs by how often it shares a bucket with the query, over several rounds of SimHash.

HyperAttention (arXiv 2310.05869) reads a query's bucket mates. Here they are dearer than other keys. A key at angle θ
shares a bucket of P hyperplanes in a round with probability (1 − θ/π)^P, by which MagicPIG (arXiv 2410.16179) draws
keys. So the number of rounds says what exp(score) is on average for a key of this length, where any direction was as
likely before (`scores_of`), and a query's far keys share its far mass in that proportion.

Keys are centred before they are hashed and queries are not: subtracting one vector from every key changes no softmax
(MagicPIG), and without it keys lie in a narrow cone and share a few buckets. With causality the centre of a key is the
mean of the keys up to itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import lsh
from ...call import AttentionCall
from ...tiling import Tile
from .shared import far_share, floored, row_sums

ROUNDS = 16
GRID, STEP = 128, 0.5  # strengths that scores are tabulated for
ANGLES = 128


@dataclass(frozen=True, slots=True)
class Lsh:
    """The tensors of `Maker`; buckets int32 [ROUNDS, B, H or H_kv, n] and lengths [B, H or H_kv, n] of queries, times
    the scale, and of centred keys; table of `scores_of`."""

    query: Tensor
    key: Tensor
    key_mask: Tensor | None
    lse: Tensor
    call: AttentionCall
    mine: Tensor
    theirs: Tensor
    length: Tensor
    key_length: Tensor
    table: Tensor

    def weights(self, tile: Tile) -> Tensor:
        """See `Price`: [B, H, rows, F]."""
        keys, rows = tile.far_keys(self.key.device), slice(tile.start, tile.stop)
        group = self.query.shape[1] // self.key.shape[1]
        theirs = self.theirs[..., keys].repeat_interleave(group, 2).unsqueeze(-2)
        mine = self.mine[..., rows].unsqueeze(-1)
        shared = torch.zeros_like(mine[0] == theirs[0], dtype=torch.uint8)
        for number in range(ROUNDS):
            shared += mine[number] == theirs[number]
        lengths = self.key_length[:, :, keys].repeat_interleave(group, 1).unsqueeze(2)
        strength = self.length[:, :, rows].unsqueeze(-1) * lengths
        score = self.table[(strength * (1.0 / STEP)).round_().clamp_(max=GRID - 1).int(), shared.int()]
        seen = None if self.key_mask is None else self.key_mask[:, None, keys]
        if seen is not None:
            score = score.masked_fill_(~seen.unsqueeze(2), torch.finfo(score.dtype).min)
        total = row_sums(self.query, self.key, self.key_mask, self.lse, tile, self.call)
        return floored(torch.softmax(score, -1), seen, far_share(self.lse[:, :, rows], total))


def make(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, lse: Tensor, call: AttentionCall) -> Lsh:
    """See `Maker`."""
    draws, planes = lsh.Draws(call.parameters.seed), call.parameters.lsh_projections
    from_centre = centred(key, key_mask, call.causal_offset is not None)
    normals = [draws.hyperplanes(key.shape[-1], planes) for _ in range(ROUNDS)]
    mine, theirs = (
        torch.stack([lsh.hash_codes(rows, round_) for round_ in normals])
        for rows in (query * math.copysign(1.0, call.scale), from_centre)
    )
    length, key_length = query.norm(dim=-1) * abs(call.scale), from_centre.norm(dim=-1)
    return Lsh(query, key, key_mask, lse, call, mine, theirs, length, key_length, scores_of(planes, key.shape[-1], key))


def centred(key: Tensor, mask: Tensor | None, is_causal: bool) -> Tensor:
    """key [B, H_kv, n_k, D] with masked rows zero, less the mean of the visible rows up to each, or of all."""
    ones = key.new_ones(1, 1, key.shape[2], 1) if mask is None else mask[:, None, :, None].to(key.dtype)
    if is_causal:
        return key - key.cumsum(2) / ones.cumsum(2).clamp(min=1.0)
    return key - key.sum(2, keepdim=True) / ones.sum(2, keepdim=True).clamp(min=1.0)


def scores_of(planes: int, features: int, like: Tensor) -> Tensor:
    """log E exp(strength · cos θ), given how many buckets are shared: [GRID, ROUNDS + 1], for strengths 0, STEP, ….

    Before that is known, a key stands in any direction alike: θ has the density sin^(features − 2).
    """
    theta = (torch.arange(ANGLES, dtype=torch.float64) + 0.5) * (math.pi / ANGLES)
    together = planes * torch.log1p(-theta / math.pi)
    shared = torch.arange(ROUNDS + 1, dtype=torch.float64).unsqueeze(-1)
    log = shared * together + (ROUNDS - shared) * torch.log(-torch.expm1(together))
    log = log + (features - 2) * theta.sin().log()
    strength = torch.arange(GRID, dtype=torch.float64).view(-1, 1, 1) * STEP
    table = torch.logsumexp(log + strength * theta.cos(), -1) - torch.logsumexp(log, -1)
    return table.to(like.device, like.dtype)
