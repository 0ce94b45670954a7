"""Runs the fused kernel of exact attention with masks and scores that SDPA does not know. Waits for no device."""

from __future__ import annotations

import torch
from torch import Tensor

from ..call import AttentionCall
from ..lifted import Lifted
from .arguments import batch_stride, dense_bytes, on_device, padded, precision_of
from .config import Phase, device_of
from .configure import exact_config_of
from .exact import attend_exactly


def exact(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    lifted: Lifted | None,
    call: AttentionCall,
    rows: int | None = None,
    phase: Phase | None = None,
) -> tuple[Tensor, Tensor]:
    """(out [B, H, n_q, D_v] contiguous in query's dtype, lse [B, H, n_q] float32, −inf for rows without a key).

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v] of one dtype and any strides; key_mask bool
    [B or 1, n_k]; bias float, broadcastable to [B, H, n_q, n_k]; lifted as in `Lifted`. Rows without a key are zero.
    rows, phase: queries of a tile, and how the kernel runs; default: as measured.
    """
    batch, heads, n_q, features = query.shape
    units, n_k, value_features = key.shape[1], key.shape[2], value.shape[3]
    told, curve = lifted or Lifted(), call.curve
    in_pairs = bias is not None or told.query_group is not None
    widest, is_causal = max(features, value_features), call.causal_offset is not None
    config = exact_config_of(device_of(query.device), query.dtype, widest, n_k, is_causal, in_pairs)
    rows, phase = rows or config.rows, phase or config.attend
    out = query.new_empty(batch, heads, n_q, value_features)
    lse = query.new_empty(batch, heads, n_q, dtype=torch.float32)
    if batch * heads * n_q == 0:
        return out, lse
    given = key if bias is None else bias.expand(batch, heads, n_q, n_k)
    groups = 0
    query_group = key_group = key  # not read
    if told.query_group is not None and told.key_group is not None:
        query_group, key_group = told.query_group.contiguous(), told.key_group.contiguous()
        groups = query_group.shape[2]
    first, stop = (key if side is None else side.contiguous() for side in (told.first_key, told.stop_key))
    mask = key if key_mask is None else dense_bytes(key_mask)
    with on_device(query.device):
        attend_exactly[(-(-n_q // rows), batch * heads)](
            query, key, value, mask, given, first, stop, query_group, key_group, out, lse,
            *query.stride(), *key.stride(), *value.stride(), batch_stride(mask), *given.stride(),
            batch_stride(first), batch_stride(stop), batch_stride(query_group), batch_stride(key_group),
            heads, heads // units, n_q, n_k, call.causal_offset or 0, call.sliding_window or 0,
            call.scale, curve.softcap, curve.score_min or 0.0, curve.score_max or 0.0,
            CAUSAL=call.causal_offset is not None, WINDOW=call.sliding_window is not None,
            HAS_MASK=key_mask is not None, HAS_BIAS=bias is not None,
            HAS_FIRST=told.first_key is not None, HAS_STOP=told.stop_key is not None, GROUPS=groups,
            SOFTCAP=curve.softcap > 0.0, LOW=curve.score_min is not None, HIGH=curve.score_max is not None,
            D=features, D_V=value_features, PAD_D=padded(features), PAD_V=padded(value_features),
            R=rows, KEYS=phase.keys, PRECISION=precision_of(query.dtype), num_warps=phase.warps,
        )  # fmt: skip
    return out, lse
