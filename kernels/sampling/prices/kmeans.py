"""Clusters of keys: each far key weighs what the mean and the variance of its cluster say.

"Efficient Attention via Pre-Scoring" (arXiv 2505.11040) takes its keys from such clusters. Here each whole section of
SECTION keys before the tile has CLUSTERS of its own, at absolute positions, so that later keys move none; the keys
behind the last whole section are in blocks, as in `pooled`. Lloyd's steps start from keys at even distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...call import AttentionCall
from ...tiling import Tile
from .groups import BLOCK, Blocks, Grouping, Groups, countable
from .shared import past

SECTION = 1024  # a multiple of BLOCK
CLUSTERS = 16
STEPS = 4


@dataclass(frozen=True, slots=True)
class KMeans:
    """cluster int64 [B, H_kv, S · SECTION] of the keys of whole sections, and the clusters' statistics."""

    grouping: Grouping
    cluster: Tensor
    clusters: Groups
    blocks: Blocks

    def weights(self, tile: Tile) -> Tensor:
        """See `Price`: [B, H, rows, F]."""
        keys = tile.far_keys(self.cluster.device)
        sections = past(tile, self.grouping.call) // SECTION
        stop, count = sections * SECTION, sections * CLUSTERS
        groups = self.clusters.part(0, count).beside(self.blocks.between(stop, tile))
        block = ((keys[keys >= stop] - stop) // BLOCK + count).expand(*self.cluster.shape[:2], -1)
        return self.grouping.weights(tile, groups, torch.cat([self.cluster[:, :, keys[keys < stop]], block], -1))


def make(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, lse: Tensor, call: AttentionCall
) -> KMeans:
    """See `Maker`."""
    seen = countable(key, key_mask, call)
    cluster, groups = [torch.zeros_like(key[:, :, :0, 0], dtype=torch.int64)], Groups(key[:, :, :0], key[:, :, :0])
    for number in range(key.shape[2] // SECTION):
        part = slice(number * SECTION, (number + 1) * SECTION)
        found, statistics = clustered(key[:, :, part], seen[:, :, part])
        cluster.append(found + number * CLUSTERS)
        groups = groups.beside(statistics)
    blocks = Blocks.make(key, key_mask, call)
    return KMeans(Grouping(query, key, key_mask, lse, call), torch.cat(cluster, -1), groups, blocks)


def clustered(key: Tensor, seen: Tensor) -> tuple[Tensor, Groups]:
    """The cluster int64 [B, H_kv, n] of each row of key [B, H_kv, n, D], and the clusters' statistics.

    seen [B or 1, 1, n, 1] of 0 and 1: rows of 0 count for nothing.
    """
    order = seen.squeeze(-1).sort(dim=-1, descending=True, stable=True).indices  # visible rows first
    count = seen.sum(2).clamp(min=1.0).to(torch.int64)  # [B or 1, 1, 1]
    start = order.gather(-1, torch.arange(CLUSTERS, device=key.device) * count // CLUSTERS)
    mean = key.gather(2, start.unsqueeze(-1).expand(*key.shape[:2], -1, key.shape[-1]))
    for _ in range(STEPS):
        # A product with the members and not scatter_add_, whose sums differ from run to run on CUDA.
        cluster = (mean.square().sum(-1).unsqueeze(-2) - 2.0 * (key @ mean.transpose(-1, -2))).argmin(-1)
        members = torch.nn.functional.one_hot(cluster, CLUSTERS).to(key.dtype) * seen
        number = members.sum(2).unsqueeze(-1)
        mean = torch.where(number > 0.0, members.transpose(-1, -2) @ key / number.clamp(min=1.0), mean)
    squared = (key - mean.gather(2, cluster.unsqueeze(-1).expand_as(key))).square()
    return cluster, Groups(mean, members.transpose(-1, -2) @ squared / number.clamp(min=1.0))
