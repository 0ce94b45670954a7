"""Pooled blocks: each query reads the far blocks of BLOCK keys whose mean key it scores best.

As MoBA (arXiv 2502.13189), and XAttention (arXiv 2503.16428) in that a block counts by the mass that is estimated for
it: count·exp(scale·q·mean), which by convexity is never above the true one. A sharp single key is lost in the mean.
Blocks stand at multiples of BLOCK; one that is partly local is left out, since its mean would look at later keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..attend import accumulation_dtype
from ..call import AttentionCall
from ..selection import Found, Selector, of_mask
from ..tiling import Tile, tiles

BLOCK = 64
MOST = 2  # blocks that one row reads


@dataclass(frozen=True, slots=True)
class Pooled:
    """query [B, H, n_q, D] of the call; mean [B, H_kv, blocks, D] of a block's visible keys; log_count
    [B, 1 or H_kv, 1, blocks]: the logarithm of their number, −inf for none."""

    query: Tensor
    mean: Tensor
    log_count: Tensor
    key_mask: Tensor | None
    call: AttentionCall

    def find(self, tile: Tile, threshold: Tensor) -> Found:
        """See `selection.Selector`."""
        batch, heads, _, features = self.query.shape
        device, total = self.query.device, self.mean.shape[2]
        stop = total if tile.low == self.call.num_keys else tile.low // BLOCK
        behind = range(-(-tile.high // BLOCK), -(-tile.limit // BLOCK)) if tile.limit > tile.high else ()
        blocks = torch.tensor([*range(tile.sinks // BLOCK, stop), *behind], dtype=torch.int64, device=device)
        rows = self.query[:, :, tile.start : tile.stop].to(self.mean.dtype) * self.call.scale
        score = rows.reshape(batch, self.mean.shape[1], -1, features) @ self.mean[:, :, blocks].transpose(-1, -2)
        score = score.view(batch, heads, tile.rows, -1) + self.log_count[..., blocks]
        most = min(MOST, -(-self.call.parameters.selected // BLOCK), blocks.shape[0])
        score, place = score.topk(most, -1)
        wanted = (score >= threshold.unsqueeze(-1)) & score.isfinite()
        block = blocks[place].masked_fill(~wanted, total).flatten(2)
        row = torch.arange(tile.rows, device=device).repeat_interleave(most).expand_as(block)
        first = torch.full((batch, heads, total + 1), tile.rows, device=device)
        keys = tile.far_keys(device)
        first = first.scatter_reduce_(2, block, row, "amin")[..., keys // BLOCK]
        if self.key_mask is not None:
            first = first.masked_fill(~self.key_mask[:, None, keys], tile.rows)
        return of_mask(first, tile)


def make(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Selector:
    """See `selection.make`."""
    n_k, wide = call.num_keys, accumulation_dtype(key.dtype)
    ones = torch.ones(1, n_k, device=key.device, dtype=wide) if key_mask is None else key_mask.to(wide)
    sinks = max((tile.sinks for tile in tiles(call)), default=0)
    around = (0, -n_k % BLOCK)
    ones = pad(ones.index_fill(1, torch.arange(sinks, device=key.device), 0.0), around)[:, None]  # sinks are not far
    rows = pad(key.to(wide), (0, 0, *around)) * ones.unsqueeze(-1)
    count = ones.unflatten(-1, (-1, BLOCK)).sum(-1)  # [B or 1, 1, blocks]
    mean = rows.unflatten(2, (-1, BLOCK)).sum(3) / count.clamp(min=1.0).unsqueeze(-1)
    return Pooled(query, mean, count.log().unsqueeze(2), key_mask, call)
