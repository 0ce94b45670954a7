"""Search: every far key whose score passes a query's threshold, by matrix products of low precision.

Of the keys that a query leaves out few matter, and no earlier query or mean of keys tells which: they are found by
scoring them all (docs/estimator.md). That costs n_q·n_k·D/2 multiply-adds, but of the cheapest kind: scores in
bfloat16 (float32 where that is not fast: see `sketch_dtype`), no exponential, no values, and of each score only
whether it passes. In each strip of a tile a key is read from the first row that found it on: rows before that must
not know of it, and those behind are like it more often than not.

Keys are centred before they are rounded: what is subtracted from every key changes no comparison of one query's scores,
and without their large common part the rest keeps more of its bits. The centre is the mean of the first far block,
which lies in the past of every query that has far keys. A key must also score LEAST above the centre: what lies below
is told by the blocks' means. With every limit positive, rows are divided by it, and "passes" is one comparison with 1.

Where a tile's heads find more than DENSE of their far keys, every key matters a little: the next tile reads all of
them, which costs less than reading most of them one by one, and misses nothing. In such a layer (the first of many
models) what is left out is much of the output, for values of many keys nearly cancel out there. The first tile of a
call has none before it: a few queries after a cache are never read so.
"""

from __future__ import annotations

import functools
import platform
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..call import AttentionCall
from ..selection import NEVER, Found, Selector, with_whole
from ..tiling import Tile, block_of, first_far

DENSE = 0.5  # share of their far keys that a tile's heads must find more of, for the next one to read all
LEAST = 0.25  # a found key's score less its query's score of the centre, at least
ONE = {torch.bfloat16: 0x3F80, torch.float32: 0x3F800000, torch.float64: 0x3FF0000000000000}  # the bits of 1
PIECE = 2048  # keys scored at a time: their scores stay in a CPU's cache
OFF_CPU = 16  # times as many elsewhere


@dataclass(slots=True)
class Asked:
    """The tile that was asked for last: its first query behind it, and bool [B], whose heads found over DENSE."""

    stop: int
    is_dense: Tensor


@dataclass(frozen=True, slots=True)
class Search:
    """What every tile is searched with.

    query     [B·H_kv, G, n_q, D], scaled.
    key       [B·H_kv, n_k, D], centred, rows of masked keys zero; rounded already.
    centre    [B, H, n_q]: what centring took off each query's scores.
    seen      bool [B, n_k]: keys that are not masked; None = all.
    asked     `find` writes it.
    scratch   room for the scores of `piece` keys with one tile.
    """

    query: Tensor
    key: Tensor
    centre: Tensor
    seen: Tensor | None
    asked: Asked
    scratch: Tensor
    piece: int

    def find(self, tile: Tile, threshold: Tensor) -> Found:
        units, group, _, width = self.query.shape
        limit = (threshold - self.centre[:, :, tile.start : tile.stop]).clamp(min=LEAST)
        mine = self.query[:, :, tile.start : tile.stop] / limit.view(units, group, -1, 1)
        mine = mine.to(self.key.dtype).reshape(units, group * tile.rows, width).transpose(1, 2)
        heads, keys, firsts = [], [], []
        for low in _starts(tile, self.piece):
            high = min(low + self.piece, tile.low if low < tile.low else tile.limit)
            room = self.scratch[: units * (high - low) * group * tile.rows].view(units, high - low, -1)
            shares = torch.bmm(self.key[:, low:high], mine, out=room)  # [B·H_kv, keys, G·rows]: score / limit
            shares = _sortable(shares).view(units, high - low, group, tile.rows)
            unit, key, member = (shares.amax(-1) >= ONE[self.key.dtype]).nonzero(as_tuple=True)
            heads.append(unit * group + member)
            keys.append(key + low)
            firsts.append(_firsts(shares[unit, key, member] >= ONE[self.key.dtype], tile))
        head, order = torch.cat(heads).sort(stable=True)
        found = Found(head, torch.cat(keys)[order], torch.cat(firsts)[order])
        before, stop = self.asked.is_dense, self.asked.stop
        each = units * group // before.shape[0]  # heads of a batch entry
        counts = torch.bincount(head // each, minlength=before.shape[0])
        self.asked.stop, self.asked.is_dense = tile.stop, counts > DENSE * each * self._far(tile)
        return with_whole(found, before, each) if stop == tile.start and bool(before.any()) else found

    def _far(self, tile: Tile) -> int | Tensor:
        """How many of the tile's far keys are visible; int64 [B] with a mask."""
        if self.seen is None:
            return tile.far
        return self.seen[:, tile.sinks : tile.low].sum(-1) + self.seen[:, tile.high : tile.limit].sum(-1)


def _firsts(passes: Tensor, tile: Tile) -> Tensor:
    """Of which rows pass, bool [M, rows], the first of each strip, int16 [M, strips]; NEVER where none does."""
    passes = pad(passes, (tile.skip, tile.strips * tile.strip - tile.skip - tile.rows))
    passes = passes.view(-1, tile.strips, tile.strip)
    starts = torch.arange(tile.strips, device=passes.device, dtype=torch.int16) * tile.strip - tile.skip
    first = passes.view(torch.uint8).argmax(-1).to(torch.int16) + starts
    return first.masked_fill_(~passes.any(-1), NEVER)


def _starts(tile: Tile, piece: int) -> list[int]:
    """First keys of the pieces that the far keys are scored in; none where there is no far key."""
    return [*range(tile.sinks, tile.low, piece), *range(tile.high, tile.limit, piece)]


def make(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Selector:
    """See `selection.make`."""
    batch, heads, n_q, features = query.shape
    units, n_k = key.shape[1:3]
    kind, wide = sketch_dtype(query), torch.promote_types(query.dtype, torch.float32)
    start = min(first_far(call), max(n_k - block_of(call), 0))
    centre = _mean(key[:, :, start : start + block_of(call)].to(wide), key_mask, start)
    sketch = (key.to(wide) - centre).to(kind)
    if key_mask is not None:
        sketch = sketch.masked_fill(~key_mask[:, None, :, None], 0.0)
    scaled = query.to(wide) * call.scale
    common = (scaled.reshape(batch, units, -1, features) @ centre.transpose(-1, -2)).view(batch, heads, n_q)
    piece = min(PIECE if key.device.type == "cpu" else PIECE * OFF_CPU, n_k)
    scratch = sketch.new_empty(batch * heads * call.parameters.tile * piece)
    rows = scaled.reshape(batch * units, heads // units, n_q, -1)
    asked = Asked(-1, torch.zeros(batch, dtype=torch.bool, device=key.device))
    return Search(rows, sketch.flatten(0, 1), common, key_mask, asked, scratch, piece)


def _mean(rows: Tensor, mask: Tensor | None, start: int) -> Tensor:
    """[B, H_kv, 1, D]: of the visible rows; zero where there are none."""
    if mask is None:
        return rows.mean(2, keepdim=True)
    seen = mask[:, None, start : start + rows.shape[2], None].to(rows.dtype)
    return (rows * seen).sum(2, keepdim=True) / seen.sum(2, keepdim=True).clamp(min=1.0)


def _sortable(scores: Tensor) -> Tensor:
    """Integers in the order of these numbers where they are positive, whose maximum is cheaper: the same bits."""
    return scores.view({2: torch.int16, 4: torch.int32, 8: torch.int64}[scores.element_size()])


def sketch_dtype(query: Tensor) -> torch.dtype:
    """bfloat16 on a CPU where its matrix products are fast, else float32; float64 for float64, so that tests are exact.

    On a GPU the fused kernels run the forward and judge by exact scores; their backward must find the same keys. Which
    tiles read everything it may see otherwise where their heads find close to DENSE: the kernels count rounded scores.
    """
    if query.dtype == torch.float64:
        return torch.float64
    return torch.bfloat16 if query.device.type == "cpu" and _has_fast_bfloat16() else torch.float32


@functools.cache
def _has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
