"""The error of a call of `hyper`, estimated from its own sample.

A key that was drawn with probability π stands for 1 / π − 1 others of its kind. So the variance of output i is
estimated from the keys that query i reads (Horvitz and Thompson 1952), each by what the output would move without it:

    Var_i = Σ_drawn (1 − π_ij) ‖õ_i − õ_i without j‖² = Σ_drawn (1 − π_ij) (w_ij / (1 − w_ij))² ‖v_j − õ_i‖²,

w_ij = exp(s_ij) / (π_ij Z_i), Z_i the call's row sum, õ_i its output. The divisor 1 − w_ij counts: a rare key that was
drawn pulls the output to its own value, and w_ij² ‖v_j − õ_i‖² would call that a small error.

The sum over rows is the expected squared error. It is taken on some tiles: every so manieth of each head, from a first
one that the seed tells. What is compared with it is Σ‖o_i‖² of the same tiles, less the error that is in it.

The estimate knows what was drawn. Where a few keys matter that are drawn seldom, it is too low in most calls and far
too high in some: then one key makes most of it (`share`), and it is not to be trusted. Tiles that are not looked at may
hold such keys as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from .. import hyper
from ..attend import NEG_INF, accumulation_dtype, gather_rows, scaled_scores
from ..call import AttentionCall
from ..fused import forward as fused
from ..lsh import LOOKS, stream
from ..parts import Tiles
from ..planning import TILE_BUDGET, algorithm_of, key_index, near_lse, query_index, relevant_mask, without_masked
from ..tiling import Tile, tiles

PAIRS = 256  # tiles of all heads that are looked at, where there are so many
LEAST_TILES = 8  # of a head
MOST_SHARE = 0.5  # of the estimate in one key
ALARM = "one key makes {share:.0%} of the estimated error{where}: rare keys matter, and the estimate cannot be trusted"


@dataclass(frozen=True, slots=True)
class Look:
    """Which tiles are looked at: number first, first + every, … of the call's `count`."""

    first: int
    every: int
    count: int

    @classmethod
    def of(cls, call: AttentionCall, lines: int, every: int | None) -> Self:
        """lines: batch times heads. every: None = so that PAIRS tiles are looked at, LEAST_TILES of a head."""
        count = sum(1 for _ in tiles(call))
        if every is None:
            every = min(count * lines // PAIRS, count // LEAST_TILES)
        every = max(min(every, count), 1)
        word = stream(torch.tensor(call.parameters.seed), LOOKS, torch.tensor(every), torch.tensor(0))
        return cls(int(word) % every, every, count)

    @property
    def looked(self) -> int:
        """How many tiles that is."""
        return len(range(self.first, self.count, self.every))


@dataclass(frozen=True, slots=True)
class SampleError:
    """What the sample tells of each batch element and head: float64 [B, H] on the call's device. Zero where all keys
    are read.

    variance  estimated Σ‖õ_i − o_i‖² over the rows looked at, õ the call's output, o the exact one.
    size      Σ‖õ_i‖² over the same rows.
    largest   the part of `variance` that one key makes, for the rows of one tile together.
    tiles     tiles of a head that were looked at, 0 where there was nothing to look for; `whole` of how many.
    """

    variance: Tensor
    size: Tensor
    largest: Tensor
    tiles: int
    whole: int

    @property
    def error(self) -> Tensor:
        """Estimated √(Σ‖õ_i − o_i‖² / Σ‖o_i‖²) [B, H]; inf where the output may be noise alone."""
        return _relative(self.variance, self.size)

    @property
    def share(self) -> Tensor:
        """The share of the estimate that one key makes [B, H], 0 to 1."""
        return torch.where(self.variance > 0.0, self.largest / self.variance, 0.0)

    @property
    def pooled(self) -> Tensor:
        """`error` of all heads together, []."""
        return _relative(self.variance.sum(), self.size.sum())

    @property
    def pooled_share(self) -> Tensor:
        """`share` of all heads together, []."""
        variance = self.variance.sum()
        largest = self.largest.amax() if self.largest.numel() else torch.zeros_like(variance)
        return torch.where(variance > 0.0, largest / variance, 0.0)


def alarm(share: float, where: str = "") -> str:
    """One sentence where a share is too large, else ""; where: " of head 3"."""
    return ALARM.format(share=share, where=where) if share > MOST_SHARE else ""


def sample_error(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    out: Tensor,
    lse: Tensor,
    call: AttentionCall,
    *,
    every: int | None = None,
) -> SampleError:
    """How far the output of `call` is from exact attention, by its own sample, for about 1 / every of the call's time.

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v], key_mask bool [B or 1, n_k]; out
    [B, H, n_q, D_v] and lse [B, H, n_q] are what `hyper::attention` gave. every: which of the tiles; None: `Look.of`.
    The device is not waited for where the call's kernels take the tensors. Raises ValueError for `paper`, whose error
    `probe_error` estimates, and for `every` below 1.
    """
    if every is not None and every < 1:
        raise ValueError(f"every must be at least 1, not {every}")
    name = algorithm_of(call)
    if name not in ("exact", "hyper"):
        raise ValueError(f"{name} does not know its error: probe_error estimates it")
    batch, heads = query.shape[:2]
    look = Look.of(call, batch * heads, every) if name == "hyper" and batch * heads else Look(0, 1, 0)
    if not look.count:
        none = torch.zeros(batch, heads, dtype=torch.float64, device=query.device)
        return SampleError(none, none, none, 0, 0)
    with torch.no_grad():
        key_mask = relevant_mask(key_mask)
        tensors = (query, key, value, key_mask, out, lse, call)
        sums = fused.error_sums(*tensors, look.first, look.every)
        if sums is None:
            row = [tile for number, tile in enumerate(tiles(call)) if number % look.every == look.first]
            sums = error_sums(*tensors, row)
    return SampleError(*sums, look.looked, look.count)


def error_sums(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    out: Tensor,
    lse: Tensor,
    call: AttentionCall,
    row: list[Tile],
) -> tuple[Tensor, Tensor, Tensor]:
    """The portable form: (variance, size, largest) of `SampleError` over the tiles of `row`."""
    batch, heads = query.shape[:2]
    dtype = accumulation_dtype(query.dtype)
    wide = (query.to(dtype), without_masked(key, key_mask).to(dtype), without_masked(value, key_mask).to(dtype))
    wide_lse = lse.to(dtype)
    given = out.to(dtype).masked_fill((lse == NEG_INF).unsqueeze(-1), 0.0)  # a row without keys may be NaN
    least = least_rest(out.dtype)
    parts = [part for tile in row for part in hyper.near([tile], call)]
    near = near_lse(*wide[:2], key_mask, call, parts)
    variance, size, largest = (torch.zeros(batch, heads, dtype=torch.float64, device=query.device) for _ in range(3))
    for tile in row:
        size += given[:, :, tile.start : tile.stop].double().square().sum((2, 3))
    for part in hyper.far(*wide, key_mask, near, call, row):
        for chunk in part.chunks(TILE_BUDGET):
            terms = _terms(*wide, given, wide_lse, chunk, call.scale, least)  # [B·R·T, G, bk]
            terms = terms.double().view(batch, -1, chunk.key_rows.shape[2], *terms.shape[1:])
            variance += terms.sum((2, 4)).reshape(batch, heads)
            largest = torch.maximum(largest, terms.amax((2, 4)).reshape(batch, heads))
    return variance, size, largest


def least_rest(dtype: torch.dtype) -> float:
    """1 − w is taken to be so much at least: outputs of the dtype are rounded, and less would multiply that."""
    return max(4.0 * torch.finfo(dtype).eps, 2.0**-12)


def _terms(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    chunk: Tiles,
    scale: float,
    least: float,
) -> Tensor:
    """What each key adds to Σ Var_i over the rows of its tile, [B·R·T, G, bk]; all tensors in one dtype."""
    queries = query_index(chunk, query.shape[1], query.shape[2])
    keys = key_index(chunk, key.shape[1], key.shape[2])
    log_weight = chunk.pair_log_weight(query.dtype)
    assert log_weight is not None  # of 1 / probability
    rows, columns = gather_rows(_flat(query), queries), gather_rows(_flat(key), keys)
    o, v = gather_rows(_flat(out), queries), gather_rows(_flat(value), keys)
    total = gather_rows(lse.reshape(-1, 1), queries)
    weight = (scaled_scores(rows, columns, scale) + log_weight - total).exp()  # exp(s) / (π Z)
    apart = o.square().sum(-1, keepdim=True) - scaled_scores(o, v, 2.0) + v.square().sum(-1).unsqueeze(-2)
    moves = weight / (1.0 - weight).clamp(min=least)
    terms = moves.square() * -torch.expm1(-log_weight) * apart.clamp_(min=0.0)
    return torch.where(log_weight > NEG_INF, terms, 0.0).sum(2)


def _relative(variance: Tensor, size: Tensor) -> Tensor:
    """√(variance / what of the size is not variance); 0 without any."""
    return torch.where(variance > 0.0, (variance / (size - variance).clamp(min=0.0)).sqrt(), 0.0)


def _flat(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1, tensor.shape[-1])
