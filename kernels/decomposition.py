"""`hyper::attention` in ATen operators: exact, dense, n_q × n_k scores in memory; for compilers that know no such op.

One function with the op's own arguments, written from the definition. It is what `verify` lowers to linalg.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .parameters import NAN_ROWS

NEG_INF = float("-inf")


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None = None,
    bias: Tensor | None = None,
    first_key: Tensor | None = None,
    stop_key: Tensor | None = None,
    query_group: Tensor | None = None,
    key_group: Tensor | None = None,
    replaced: Tensor | None = None,
    *,
    causal_offset: int | None = None,
    sliding_window: int | None = None,
    softcap: float = 0.0,
    score_min: float | None = None,
    score_max: float | None = None,
    scale: float = 1.0,
    empty_rows: str = "zero",
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """(out, lse) as `hyper::attention` gives them with algorithm="exact"; how to estimate is read over, and `replaced`,
    which is about gradients."""
    dtype = torch.float64 if query.dtype == torch.float64 else torch.float32
    n_q, n_k, heads, kv_heads = query.shape[2], key.shape[2], query.shape[1], key.shape[1]
    key, value = (_for_heads(tensor.to(dtype), heads, kv_heads) for tensor in (key, value))
    scores = query.to(dtype) @ key.transpose(-2, -1) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    if score_min is not None or score_max is not None:
        scores = torch.clamp(scores, score_min, score_max)
    if bias is not None:
        scores = scores + bias.to(dtype)
    rows = torch.arange(n_q, device=query.device).unsqueeze(-1)
    columns = torch.arange(n_k, device=query.device)
    kept: list[Tensor] = []
    if causal_offset is not None:
        kept.append(columns <= rows + causal_offset)
        if sliding_window is not None:
            kept.append(columns > rows + (causal_offset - sliding_window))
    if key_mask is not None:
        kept.append(key_mask[:, None, None, :])
    if first_key is not None:
        kept.append(columns >= first_key[:, None, :, None])
    if stop_key is not None:
        kept.append(columns < stop_key[:, None, :, None])
    if query_group is not None and key_group is not None:
        for theirs, mine in zip(key_group.unbind(-1), query_group.unbind(-1), strict=True):
            kept.append(mine[:, None, :, None] == theirs[:, None, None, :])
    for keep in kept:
        scores = torch.where(keep, scores, NEG_INF)
    if not n_k:  # a sum over nothing is 0 whatever empty rows give; the maximum wants one key
        scores = torch.nn.functional.pad(scores, (0, 1), value=NEG_INF)
        value = torch.nn.functional.pad(value, (0, 0, 0, 1))
        empty_rows = "zero"
    largest = scores.amax(-1, keepdim=True)
    empty = largest == NEG_INF
    largest = torch.where(empty, 0.0, largest)
    weights = torch.exp(scores - largest)
    total = weights.sum(-1, keepdim=True)
    out = weights @ value / torch.where(empty, 1.0, total)
    if empty_rows in ("mean", "level"):
        out = torch.where(empty, value.mean(-2, keepdim=True), out)
    elif empty_rows in NAN_ROWS:
        out = torch.where(empty, float("nan"), out)
    lse = torch.where(empty, NEG_INF, torch.log(total) + largest).squeeze(-1)
    return out.to(query.dtype), lse.to(torch.float32)


def _for_heads(tensor: Tensor, heads: int, kv_heads: int) -> Tensor:
    """[B, H_kv, n, X] with every head repeated for the query heads of its group."""
    if heads == kv_heads:
        return tensor
    batch, _, length, features = tensor.shape
    repeated = tensor.unsqueeze(2).expand(batch, kv_heads, heads // kv_heads, length, features)
    return repeated.reshape(batch, heads, length, features)
