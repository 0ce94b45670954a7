"""Attention to gathered keys as plain matrix products, in bfloat16 where the processor multiplies that.

PyTorch's fused kernel for CPUs gains nothing from bfloat16 without AMX; `bmm` does, through oneDNN, but rounds its
result to bfloat16 too. So that this rounds small numbers only, every query carries a shift, close to the log of its row
sum: two more features hold it, and the product is the score less the shift. Keys are centred, which moves all scores of
a row alike and makes the products of channels with a large mean small.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..attend import NEG_INF, accumulation_dtype

LIMIT = 88.0  # exp of it is a bfloat16 and a float32, of 89 not
SAFE = 60.0  # the log of a sum beyond it, on either side, is not trusted
CHUNK = 128  # keys of a partial sum: drawn lists have a multiple


def product_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype of the products for inputs of a dtype: bfloat16 on processors with AVX512-BF16."""
    if dtype == torch.float64:
        return dtype
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    has_bfloat16 = device.type == "cpu" and supported is not None and bool(supported())
    return torch.bfloat16 if has_bfloat16 and torch.backends.mkldnn.is_available() else torch.float32


@dataclass(frozen=True, slots=True)
class Table:
    """Keys and values of N heads.

    keys     [N, n, D + 2], less the centre, then two ones, in the dtype of the products, contiguous.
    values   [N, n, D_v], likewise.
    plain    [N, n, D], the keys less the centre in the accumulation dtype.
    centre   [N, D], in the accumulation dtype.
    """

    keys: Tensor
    values: Tensor
    plain: Tensor
    centre: Tensor

    @staticmethod
    def of(key: Tensor, value: Tensor, centre: Tensor, dtype: torch.dtype) -> Table:
        """key [N, n, D], value [N, n, D_v], centre [N, D]."""
        plain = key.to(centre.dtype) - centre.unsqueeze(1)
        keys = torch.ones(*key.shape[:2], key.shape[2] + 2, dtype=dtype, device=key.device)
        keys[..., :-2] = plain
        return Table(keys, value.to(dtype).contiguous(), plain, centre)


def shifted(query: Tensor, shift: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(queries [..., D + 2] for the keys of a `Table`, the shift that they carry); query [..., D], shift [...]."""
    high = shift.to(dtype)
    low = (shift - high).to(dtype)
    features = query.shape[-1]
    joined = torch.empty(*query.shape[:-1], features + 2, dtype=dtype, device=query.device)
    joined[..., :features] = query
    joined[..., features] = -high
    joined[..., features + 1] = -low
    return joined, high.to(shift.dtype) + low.to(shift.dtype)


def attend_listed(
    query: Tensor, shift: Tensor, table: Table, index: Tensor, weight: Tensor, group_size: int
) -> tuple[Tensor, Tensor]:
    """Attention of a tile to keys by index: (out [N, G, rows, D_v], lse [N, G, rows]) in the accumulation dtype.

    query       [N, G, rows, D], times the scale, in the accumulation dtype.
    shift       [N, G, rows], at most some 60 from the log of the row's sum; rows where it is not take a slower way.
    index       int64 [N, M], M a multiple of CHUNK where later rows decide how many there are.
    weight      [N or 1, groups, M]: what a pair counts, 0 where the row does not read the key; each row of it is of
                `group_size` rows of the tile.

    What a row gets depends on no bit of the keys that it does not read, and on their number neither.
    """
    heads, group, rows, _ = query.shape
    columns = index.shape[1]
    index = index + torch.arange(heads, device=index.device).unsqueeze(1) * table.keys.shape[1]
    keys = table.keys.flatten(0, 1).index_select(0, index.flatten()).view(heads, columns, -1)
    values = table.values.flatten(0, 1).index_select(0, index.flatten()).view(heads, columns, -1)
    joined, carried = shifted(query, shift, keys.dtype)
    joined = joined.view(heads, group * rows, -1)
    total, out = _weigh(joined, keys, values, weight, group_size)
    if not bool(total.isfinite().all()):  # a score far above its shift; where nobody reads it, it is 0 times infinity
        total, out = _weigh(joined, keys, values, weight, group_size, LIMIT)
    shape = (heads, group, rows)
    total, out = total.view(shape), out.view(*shape, -1)
    level = total.log()
    lse, out = level + carried, out / total.unsqueeze(-1)
    unsure = ~(level.abs() < SAFE)
    if bool(unsure.any()):
        exact = _attend_plainly(query, keys, values, table.centre.dtype, weight, group_size)
        out = torch.where(unsure.unsqueeze(-1), exact[0], out)
        lse = torch.where(unsure, exact[1], lse)
    return out, lse


def _weigh(
    query: Tensor, keys: Tensor, values: Tensor, weight: Tensor, group_size: int, limit: float | None = None
) -> tuple[Tensor, Tensor]:
    """Denominators [N, G·rows] and numerators [N, G·rows, D_v], in the dtype of weight; scores are `limit` at most."""
    scores = torch.bmm(query, keys.transpose(1, 2))
    if limit is not None:
        scores.clamp_(max=limit)
    columns = keys.shape[1]
    weights = scores.exp_().view(keys.shape[0], -1, weight.shape[1], group_size, columns)
    weights.mul_(weight.to(weights.dtype).view(-1, 1, weight.shape[1], 1, columns))
    # Sums of chunks of one size, one after the other: zeros behind a row's last key change no bit.
    chunks = scores.unflatten(2, (-1, CHUNK if columns % CHUNK == 0 else columns)).sum(-1)
    total = chunks.to(weight.dtype).cumsum(-1)[..., -1]
    return total, torch.bmm(scores, values).to(weight.dtype)


def _attend_plainly(
    query: Tensor, keys: Tensor, values: Tensor, dtype: torch.dtype, weight: Tensor, group_size: int
) -> tuple[Tensor, Tensor]:
    """`attend_listed` of gathered keys and values with the largest score of each row as its shift."""
    heads, group, rows, features = query.shape
    scores = query.reshape(heads, group * rows, features) @ keys[..., :features].to(dtype).transpose(1, 2)
    log_weight = weight.to(dtype).log().repeat_interleave(group_size, 1).unsqueeze(1)
    scores = scores.view(heads, group, rows, -1) + log_weight
    lse = scores.logsumexp(-1)
    shares = (scores - lse.masked_fill(lse == NEG_INF, 0.0).unsqueeze(-1)).exp()
    out = shares.view(heads, group * rows, -1) @ values.to(dtype)
    return out.view(heads, group, rows, -1), lse


def working_dtype(query: Tensor) -> torch.dtype:
    """The dtype that sums are kept in."""
    return accumulation_dtype(query.dtype)
