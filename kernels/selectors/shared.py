"""What several selectors need: how much of the keys a tile may look at, and the best far keys by one score a key."""

from __future__ import annotations

import torch
from torch import Tensor

from ..attend import NEG_INF
from ..call import AttentionCall
from ..selection import Found, from_row
from ..tiling import Tile


def past(tile: Tile, call: AttentionCall) -> int:
    """Number of keys before the tile's first query, which a choice for all of its rows may look at; without causality
    every key."""
    return call.num_keys if call.causal_offset is None else min(tile.start + call.causal_offset, call.num_keys)


def best(score: Tensor, key_mask: Tensor | None, heads: int, count: int, tile: Tile) -> Found:
    """The `count` far keys of the largest score for each query head, read by every row of the tile.

    score [B, R, n], R = `heads` or the number of key heads, n beyond the last far key; −inf = never.
    """
    keys = tile.far_keys(score.device)
    score = score[..., keys]
    if key_mask is not None:
        score = score.masked_fill(~key_mask[:, None, keys], NEG_INF)
    found, column = score.topk(min(count, tile.far), -1)
    column = column.masked_fill(found == NEG_INF, tile.far).sort(-1).values
    column = column.repeat_interleave(heads // score.shape[1], 1).flatten(0, 1)
    head, place = (column < tile.far).nonzero(as_tuple=True)
    return from_row(head, keys[column[head, place]], torch.zeros_like(head), tile)
