"""Exact attention of one tile of queries with every rule of a score that the op knows, in one online softmax.

    score(i, j) = curve(scale · q_i · k_j) + bias_ij     where every mask that is given allows the pair

Masks are O(n): key padding, causal edge and sliding window by position, key ranges, groups that must agree. A tile
reads only keys between the edges that its own queries leave. Scores stay in natural units: a bias at the type's minimum
must not overflow into −inf, as a row of such scores is an average and not empty.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _bend(scores, softcap, score_min, score_max, SOFTCAP: tl.constexpr, LOW: tl.constexpr, HIGH: tl.constexpr):
    """`Curve`: softcap·tanh(s / softcap), then the clamp. exp2 of a negative number cannot overflow."""
    if SOFTCAP:
        ratio = scores / softcap
        small = tl.exp2(tl.abs(ratio) * -2.8853900817779268)  # exp(−2·|ratio|)
        bent = (1.0 - small) / (1.0 + small)
        # Where 1 − small has lost its digits, tanh is its series.
        square = ratio * ratio
        series = tl.abs(ratio) * (1.0 - square * (0.3333333333 - square * 0.1333333333))
        bent = tl.where(square < 0.01, series, bent)
        scores = tl.where(ratio < 0.0, -bent, bent) * softcap
    if LOW:
        scores = tl.where(scores < score_min, score_min, scores)  # NaN stays NaN
    if HIGH:
        scores = tl.where(scores > score_max, score_max, scores)
    return scores


@triton.jit
def attend_exactly(
    query_ptr,  # [B, H, n_q, D]
    key_ptr,  # [B, H_kv, n_k, D]
    value_ptr,  # [B, H_kv, n_k, D_v]
    mask_ptr,  # bool [B or 1, n_k]
    bias_ptr,  # broadcastable to [B, H, n_q, n_k] by strides of 0
    first_ptr,  # int [B or 1, n_q]
    stop_ptr,  # int [B or 1, n_q]
    query_group_ptr,  # int [B or 1, n_q, GROUPS]
    key_group_ptr,  # int [B or 1, n_k, GROUPS]
    out_ptr,  # [B, H, n_q, D_v] contiguous
    lse_ptr,  # float32 [B, H, n_q]
    stride_qb,
    stride_qh,
    stride_qn,
    stride_qd,
    stride_kb,
    stride_kh,
    stride_kn,
    stride_kd,
    stride_vb,
    stride_vh,
    stride_vn,
    stride_vd,
    stride_mask,  # of a batch; 0 where they share
    stride_bb,
    stride_bh,
    stride_bi,
    stride_bj,
    stride_first,
    stride_stop,
    stride_query_group,
    stride_key_group,
    heads,  # H
    group,  # H / H_kv
    n_q,
    n_k,
    offset,  # query i sees key j iff j <= i + offset
    sliding_window,  # and j > i + offset − sliding_window
    scale,
    softcap,
    score_min,
    score_max,
    CAUSAL: tl.constexpr,
    WINDOW: tl.constexpr,
    HAS_MASK: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    HAS_FIRST: tl.constexpr,
    HAS_STOP: tl.constexpr,
    GROUPS: tl.constexpr,
    SOFTCAP: tl.constexpr,
    LOW: tl.constexpr,
    HIGH: tl.constexpr,
    D: tl.constexpr,
    D_V: tl.constexpr,
    PAD_D: tl.constexpr,
    PAD_V: tl.constexpr,
    R: tl.constexpr,  # queries of a tile
    KEYS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    place = tl.num_programs(0) - 1 - tl.program_id(0)  # with causality the longest first
    head = tl.program_id(1)
    batch = (head // heads).to(tl.int64)
    unit = ((head % heads) // group).to(tl.int64)
    query = place * R + tl.arange(0, R)
    exists = query < n_q
    d = tl.arange(0, PAD_D)
    e = tl.arange(0, PAD_V)
    has_d = (d < D)[None, :]
    has_e = (e < D_V)[None, :]
    wide_query = query.to(tl.int64)
    q = tl.load(
        query_ptr
        + batch * stride_qb
        + (head % heads).to(tl.int64) * stride_qh
        + wide_query[:, None] * stride_qn
        + d[None, :] * stride_qd,
        mask=exists[:, None] & has_d,
        other=0.0,
    )  # [R, D]

    # Keys [first, stop) of each query, and of the tile.
    first = tl.zeros([R], tl.int64)
    stop = tl.zeros([R], tl.int64) + n_k
    if CAUSAL:
        stop = tl.minimum(stop, wide_query + offset + 1)
        if WINDOW:
            first = tl.maximum(first, wide_query + offset + 1 - sliding_window)
    if HAS_FIRST:
        own = tl.load(first_ptr + batch * stride_first + query, mask=exists, other=0).to(tl.int64)
        first = tl.maximum(first, own)
    if HAS_STOP:
        own = tl.load(stop_ptr + batch * stride_stop + query, mask=exists, other=0).to(tl.int64)
        stop = tl.minimum(stop, own)
    first = tl.minimum(tl.maximum(first, 0), n_k).to(tl.int32)
    stop = tl.minimum(tl.maximum(stop, 0), n_k).to(tl.int32)
    some = exists & (first < stop)
    low = tl.min(tl.where(some, first, n_k), 0) // KEYS * KEYS
    high = tl.max(tl.where(some, stop, 0), 0)

    key_base = key_ptr + batch * stride_kb + unit * stride_kh
    value_base = value_ptr + batch * stride_vb + unit * stride_vh
    bias_base = bias_ptr + batch * stride_bb + (head % heads).to(tl.int64) * stride_bh
    peak = tl.full([R], float("-inf"), tl.float32)
    total = tl.zeros([R], tl.float32)
    acc = tl.zeros([R, PAD_V], tl.float32)
    for start in tl.range(low, high, KEYS, num_stages=2):
        key = start + tl.arange(0, KEYS)
        wide_key = key.to(tl.int64)
        seen = key < n_k
        if HAS_MASK:
            seen = seen & (tl.load(mask_ptr + batch * stride_mask + key, mask=seen, other=0) != 0)
        allowed = seen[None, :] & (key[None, :] >= first[:, None]) & (key[None, :] < stop[:, None]) & exists[:, None]
        for column in tl.static_range(GROUPS):
            mine = tl.load(
                query_group_ptr + batch * stride_query_group + wide_query * GROUPS + column, mask=exists, other=0
            )
            theirs = tl.load(key_group_ptr + batch * stride_key_group + wide_key * GROUPS + column, mask=seen, other=0)
            allowed = allowed & (mine[:, None] == theirs[None, :])
        read = seen
        if HAS_FIRST or HAS_STOP or GROUPS > 0:
            # What no query of the tile sees may be garbage, and 0 · NaN is NaN.
            read = tl.max(allowed.to(tl.int32), 0) != 0
        k = tl.load(
            key_base + wide_key[:, None] * stride_kn + d[None, :] * stride_kd, mask=read[:, None] & has_d, other=0.0
        )
        v = tl.load(
            value_base + wide_key[:, None] * stride_vn + e[None, :] * stride_vd, mask=read[:, None] & has_e, other=0.0
        )
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale  # [R, KEYS]
        scores = _bend(scores, softcap, score_min, score_max, SOFTCAP, LOW, HIGH)
        if HAS_BIAS:
            scores += tl.load(
                bias_base + wide_query[:, None] * stride_bi + wide_key[None, :] * stride_bj, mask=allowed, other=0.0
            ).to(tl.float32)
        scores = tl.where(allowed, scores, float("-inf"))
        higher = tl.maximum(peak, tl.max(scores, 1))
        base = tl.where(higher == float("-inf"), 0.0, higher)
        weights = tl.exp2((scores - base[:, None]) * LOG2_E)
        fade = tl.exp2((peak - base) * LOG2_E)
        total = total * fade + tl.sum(weights, 1)
        acc = acc * fade[:, None]
        acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)
        peak = higher

    is_empty = total == 0.0
    out = acc / tl.where(is_empty, 1.0, total)[:, None]
    lse = tl.where(is_empty, float("-inf"), peak + tl.log2(total) / LOG2_E)
    line = head.to(tl.int64) * n_q + query
    tl.store(out_ptr + line[:, None] * D_V + e[None, :], out.to(out_ptr.dtype.element_ty), mask=exists[:, None] & has_e)
    tl.store(lse_ptr + line, lse, mask=exists)
