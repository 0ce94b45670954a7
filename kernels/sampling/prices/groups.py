"""Statistics of groups of keys, and the weights that they give the keys: what `pooled` and `kmeans` share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...attend import scaled_scores
from ...call import AttentionCall
from ...tiling import Tile
from .shared import floored, past, shares

BLOCK = 64


@dataclass(frozen=True, slots=True)
class Groups:
    """mean and variance [B, H_kv, C, D] of the keys of each group that count, feature by feature."""

    mean: Tensor
    variance: Tensor

    def part(self, start: int, stop: int) -> Groups:
        """The groups from number `start` to before `stop`."""
        return Groups(self.mean[:, :, start:stop], self.variance[:, :, start:stop])

    def beside(self, other: Groups) -> Groups:
        """These groups and behind them the others."""
        return Groups(torch.cat([self.mean, other.mean], 2), torch.cat([self.variance, other.variance], 2))


@dataclass(frozen=True, slots=True)
class Grouping:
    """The tensors of `Maker`, to weigh keys by the groups that they are in."""

    query: Tensor
    key: Tensor
    key_mask: Tensor | None
    lse: Tensor
    call: AttentionCall

    def weights(self, tile: Tile, groups: Groups, group: Tensor) -> Tensor:
        """Weights [B, H, rows, F] of a tile; group int64 [B or 1, H_kv or 1, F] of each far key.

        Of Gaussian keys with these statistics exp(scale·q·k) is exp(scale·q·mean + scale²/2 · Σ q²·variance) on
        average. The row sum is that of these numbers and of the near keys.
        """
        rows, keys = slice(tile.start, tile.stop), tile.far_keys(self.key.device)
        query, seen = self.query[:, :, rows], None if self.key_mask is None else self.key_mask[:, None, keys]
        score = scaled_scores(query, groups.mean, self.call.scale)
        score += scaled_scores(query.square(), groups.variance, 0.5 * self.call.scale**2)
        group = group.expand(*self.key.shape[:2], -1).repeat_interleave(query.shape[1] // self.key.shape[1], 1)
        return floored(
            shares(score.gather(-1, group.unsqueeze(2).expand(*query.shape[:3], -1)), seen, self.lse[:, :, rows]), seen
        )


@dataclass(frozen=True, slots=True)
class Blocks:
    """Groups of BLOCK contiguous keys at multiples of BLOCK; the first `sinks` keys count for nothing."""

    key: Tensor
    seen: Tensor
    groups: Groups
    call: AttentionCall

    @staticmethod
    def make(key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Blocks:
        """key and key_mask as in `Maker`."""
        seen = countable(key, key_mask, call)
        return Blocks(key, seen, _statistics(key, seen), call)

    def between(self, start: int, tile: Tile) -> Groups:
        """The blocks from position `start` on, a multiple of BLOCK, to the tile: later keys are in none."""
        stop = past(tile, self.call)
        whole = stop // BLOCK
        found = self.groups.part(start // BLOCK, whole)
        if stop % BLOCK == 0:
            return found
        rest = slice(whole * BLOCK, stop)
        return found.beside(_statistics(self.key[:, :, rest], self.seen[:, :, rest]))


def countable(key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Tensor:
    """1 for the keys that count in statistics, 0 for sinks and masked ones, [B or 1, 1, n_k, 1]."""
    seen = torch.ones_like(key[:1, :1, :, :1]) if key_mask is None else key_mask[:, None, :, None].to(key.dtype)
    return seen.index_fill(2, torch.arange(min(call.parameters.sinks, key.shape[2]), device=key.device), 0.0)


def _statistics(key: Tensor, seen: Tensor) -> Groups:
    """Of key [B, H_kv, n, D] by blocks from its first row on; seen [B or 1, 1, n, 1]."""
    key, seen = (pad(rows, (0, 0, 0, -key.shape[2] % BLOCK)).unflatten(2, (-1, BLOCK)) for rows in (key, seen))
    count = seen.sum(3).clamp(min=1.0)
    mean = (key * seen).sum(3) / count
    return Groups(mean, ((key - mean.unsqueeze(3)).square() * seen).sum(3) / count)
