"""k-means pre-scoring: the far keys nearest to the centres of their clusters, a set that depends on no query.

After "Efficient Attention via Pre-Scoring" (arXiv 2505.11040), whose clustering keeps the keys next to the centres of
D + 1 clusters: keys that stand apart get clusters of their own, the many alike ones share a few. How clusters share the
budget is ours: they take turns, the nearest key of every cluster before the second nearest of any, so a small cluster
is read whole and a large one by its most typical keys.

The clusters are of the keys before the tile, without causality of all keys. They are made anew when these have grown by
GROWTH, which is linear work in all; keys that came since belong to the nearest centre. The start is farthest-first
(Gonzalez 1985), which is deterministic and misses no group that stands apart, then come STEPS steps of Lloyd's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..attend import NEG_INF, accumulation_dtype
from ..call import AttentionCall
from ..selection import Found, Selector
from ..tiling import Tile
from .shared import best, past

GROWTH = 1.5
STEPS = 3


class KMeans:
    """key [B, H_kv, n_k, D] in the accumulation dtype; centres [B, H_kv, K, D] of its first `clustered` rows; of its
    first `known` rows cluster int64 [B, H_kv, known] and distance (squared) to its centre."""

    def __init__(self, key: Tensor, key_mask: Tensor | None, heads: int, call: AttentionCall) -> None:
        self._key, self._heads, self._call = key, heads, call
        self._mask = key_mask
        self._seen = torch.ones_like(key[:, :1, :, 0], dtype=torch.bool) if key_mask is None else key_mask[:, None]
        self._clustered = 0
        self._centres = key[:, :, :0]
        self._cluster = torch.zeros_like(key[:, :, :0, 0], dtype=torch.int64)
        self._distance = key[:, :, :0, 0]

    def find(self, tile: Tile, threshold: Tensor) -> Found:
        """See `selection.Selector`."""
        known = past(tile, self._call)
        start = self._cluster.shape[-1]
        if known and known >= GROWTH * self._clustered:
            self._centres = _clusters(self._key[:, :, :known], self._seen[..., :known])
            self._clustered, start = known, 0
        if known > start:
            cluster, distance = _nearest(self._key[:, :, start:known], self._centres)
            self._cluster = torch.cat([self._cluster[..., :start], cluster], -1)
            self._distance = torch.cat([self._distance[..., :start], distance], -1)
        return best(self._scores(tile), self._mask, self._heads, self._call.parameters.selected, tile)

    def _scores(self, tile: Tile) -> Tensor:
        """[B, H_kv, known]: less for each key of the same cluster that is nearer to the centre, then by distance."""
        keys = tile.far_keys(self._key.device)
        far = torch.zeros_like(self._seen[0, 0, : self._cluster.shape[-1]]).index_fill_(0, keys, True)
        taking = far & self._seen[..., : far.shape[0]]
        distance = self._distance.masked_fill(~taking, float("inf"))
        order = distance.argsort(dim=-1, stable=True)
        cluster, again = self._cluster.gather(-1, order).sort(dim=-1, stable=True)
        order = order.gather(-1, again)  # by (cluster, distance)
        turn = torch.arange(far.shape[0], device=keys.device) - torch.searchsorted(cluster, cluster)
        turn = torch.zeros_like(turn).scatter_(-1, order, turn)
        return torch.where(taking, -(turn + self._distance / (1.0 + self._distance)), NEG_INF)


def make(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Selector:
    """See `selection.make`."""
    return KMeans(key.to(accumulation_dtype(key.dtype)), key_mask, query.shape[1], call)


def _clusters(key: Tensor, seen: Tensor) -> Tensor:
    """Centres [B, H_kv, K, D] of key [B, H_kv, n, D]; K = D + 1, or n if that is less. seen bool [B or 1, 1, n]."""
    count = min(key.shape[-1] + 1, key.shape[2])
    centres = _spread(key, seen, count)
    for _ in range(STEPS):
        cluster, _ = _nearest(key, centres)
        # A product with the members and not scatter_add_, whose sums differ from run to run on CUDA.
        members = key.new_zeros(*key.shape[:3], count)
        members.scatter_(-1, cluster.unsqueeze(-1), seen.to(key.dtype).expand(key.shape[:3]).unsqueeze(-1))
        number = members.sum(2).unsqueeze(-1)
        sums = members.transpose(-1, -2) @ key
        centres = torch.where(number > 0, sums / number.clamp(min=1.0), centres)
    return centres


def _spread(key: Tensor, seen: Tensor, count: int) -> Tensor:
    """Rows of key, each the farthest from those before it, the first the first seen: [B, H_kv, count, D]."""
    distance = torch.full_like(key[..., 0], float("inf"))
    rows = []
    for _ in range(count):
        place = distance.masked_fill(~seen, -1.0).argmax(-1, keepdim=True)
        rows.append(key.gather(2, place.unsqueeze(-1).expand(-1, -1, -1, key.shape[-1])))
        distance = torch.minimum(distance, _nearest(key, rows[-1])[1])
    return torch.cat(rows, 2)


def _nearest(key: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the nearest of centres [B, H_kv, K, D] and the squared distance to it, both [B, H_kv, n]."""
    square = centres.square().sum(-1).unsqueeze(-2) - 2.0 * (key @ centres.transpose(-1, -2))
    least, cluster = square.min(-1)
    return cluster, (least + key.square().sum(-1)).clamp(min=0.0)
