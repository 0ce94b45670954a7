"""Exact attention of one tile of queries in one online softmax, under any rule.

What a score is and which keys a query reads is said by functions that are generated for the rule (`rules.py`) and come
as constants; None stands for what a rule does not have. A tile reads the blocks of keys that its own queries leave.
First those of which every query reads all, without a mask; then the others, at its edges.

Softmax works in powers of two: a score is multiplied by its unit on the way to its exponent. With a bias or a clamp
that is done when the maximum has been taken off. A bias at the type's minimum must not overflow into −inf, as a row of
such scores is an average and not empty; and a bound may be so large that its rounding would matter.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .spans import limits_of, span_of

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def attend_exactly(
    query_ptr,  # [B, H, n_q, D]
    key_ptr,  # [B, H_kv, n_k, D]
    value_ptr,  # [B, H_kv, n_k, D_v]
    span_ptr,  # int32 [B or 1, tiles, 4] by `find_spans`; used where KEEP is given or there are gaps
    read_ptr,  # bytes [B or 1, n_k] by `find_read`; used where there are gaps
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
    span_stride,  # of a batch; 0 where they share
    read_stride,
    heads,  # H
    group,  # H / H_kv
    n_q,
    n_k,
    given,  # the rule's `Given`
    LIMITS: tl.constexpr,
    GROUPS_OF: tl.constexpr,
    KEEP: tl.constexpr,
    BIAS_OF: tl.constexpr,
    SCORE: tl.constexpr,
    HAS_FIRST: tl.constexpr,  # some query may not read the first keys
    HAS_GAPS: tl.constexpr,  # amid the keys there may be some that no query reads, but for the key mask
    LATE_UNIT: tl.constexpr,  # scores are multiplied by their unit when their maximum has been taken off
    D: tl.constexpr,
    D_V: tl.constexpr,
    PAD_D: tl.constexpr,
    PAD_V: tl.constexpr,
    R: tl.constexpr,  # queries of a tile
    KEYS: tl.constexpr,
    STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):
    tile = tl.num_programs(0) - 1 - tl.program_id(0)  # with causality the longest first
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = (tl.program_id(1) % heads).to(tl.int64)
    row = tile * R + tl.arange(0, R)
    exists = row < n_q
    query = tl.minimum(row, n_q - 1).to(tl.int64)  # what does not exist is the last one again, and is not stored
    d = tl.arange(0, PAD_D)
    e = tl.arange(0, PAD_V)
    has_d = (d < D)[None, :]
    has_e = (e < D_V)[None, :]
    q_base = query_ptr + batch * stride_qb + head * stride_qh
    q = _load(q_base + query[:, None] * stride_qn + d[None, :] * stride_qd, exists, has_d, False, D < PAD_D)  # [R, D]

    first, stop, some = limits_of(query, exists, batch, n_k, given, LIMITS)
    if KEEP is not None or HAS_GAPS:
        span = span_ptr + batch * span_stride + tile * 4
        low, inner_low, inner_high, high = tl.load(span), tl.load(span + 1), tl.load(span + 2), tl.load(span + 3)
    else:
        low, inner_low, inner_high, high = span_of(first, stop, some, n_k, KEYS)
    first_read = tl.min(tl.where(some, first, n_k), 0)
    stop_read = tl.max(tl.where(some, stop, 0), 0)
    if GROUPS_OF is not None:
        mine = GROUPS_OF(query, batch, given)

    unit = head // group
    step_keys = tl.arange(0, KEYS)
    k_base = key_ptr + batch * stride_kb + unit * stride_kh
    v_base = value_ptr + batch * stride_vb + unit * stride_vh
    k_at = step_keys[:, None].to(tl.int64) * stride_kn + d[None, :] * stride_kd  # [KEYS, D]
    v_at = step_keys[:, None].to(tl.int64) * stride_vn + e[None, :] * stride_vd  # [KEYS, D_v]
    left = inner_low - low
    unit = LOG2_E if BIAS_OF is not None else given.unit
    peak = tl.full([R], float("-inf"), tl.float32)  # times the unit, where that is not late
    total = tl.zeros([R], tl.float32)
    acc = tl.zeros([R, PAD_V], tl.float32)
    for at_edges in tl.static_range(2):
        steps = left + high - inner_high if at_edges else inner_high - inner_low
        # A mask that is loaded ahead would be kept in registers for a whole step.
        for step in tl.range(steps, num_stages=1 if at_edges and KEEP is not None else STAGES):
            if at_edges:
                start = tl.where(step < left, low + step, inner_high + step - left) * KEYS
            else:
                start = (inner_low + step) * KEYS
            key = start + step_keys
            inside = key < n_k
            read = inside
            column = key.to(tl.int64)
            if at_edges:
                column = tl.minimum(column, n_k - 1)
                allowed = key[None, :] < stop[:, None]
                if HAS_FIRST:
                    allowed = allowed & (key[None, :] >= first[:, None])
                # What no query reads may hold anything, and 0 · NaN is NaN.
                read = (key >= first_read) & (key < stop_read)
                if KEEP is not None:
                    kept = KEEP(mine, column, batch, given) if GROUPS_OF is not None else KEEP(column, batch, given)
                    allowed = allowed & kept
                if HAS_GAPS:
                    read = read & (tl.load(read_ptr + batch * read_stride + column) != 0)
                elif KEEP is not None:
                    read = read & (tl.max(kept.to(tl.int32), 0) != 0)
            wide = start.to(tl.int64)
            k = _load(k_base + wide * stride_kn + k_at, inside, has_d, at_edges, D < PAD_D)
            v = _load(v_base + wide * stride_vn + v_at, read, has_e, at_edges, D_V < PAD_V)
            if BIAS_OF is not None:
                bias = BIAS_OF(query, column, batch, head, given)  # before the product, which need not wait for it
                scores = SCORE(tl.dot(q, tl.trans(k), input_precision=PRECISION), bias, given)  # [R, KEYS]
            else:
                scores = SCORE(tl.dot(q, tl.trans(k), input_precision=PRECISION), given)
            scores = tl.where(allowed, scores, float("-inf")) if at_edges else scores
            if LATE_UNIT:
                higher = tl.maximum(peak, tl.max(scores, 1))
                base = tl.where(higher == float("-inf"), 0.0, higher)
                weights = tl.exp2((scores - base[:, None]) * unit)
                fade = tl.exp2((peak - base) * unit)
            else:
                higher = tl.maximum(peak, tl.max(scores, 1) * unit)
                base = tl.where(higher == float("-inf"), 0.0, higher)
                weights = tl.exp2(tl.fma(scores, unit, -base[:, None]))
                fade = tl.exp2(peak - base)
            total = total * fade + tl.sum(weights, 1)
            acc = acc * fade[:, None]
            acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)
            peak = higher

    is_empty = (total == 0.0) | ~some  # a query without keys took part where the others read all
    out = acc / tl.where(is_empty, 1.0, total)[:, None]
    out = tl.where(is_empty[:, None], 0.0, out)
    # In natural units; a bound near the type's edge must not pass it on the way.
    lse = tl.log2(total) / LOG2_E + (peak * (unit / LOG2_E) if LATE_UNIT else peak / LOG2_E)
    lse = tl.where(is_empty, float("-inf"), lse)
    line = tl.program_id(1).to(tl.int64) * n_q + row
    tl.store(out_ptr + line[:, None] * D_V + e[None, :], out.to(out_ptr.dtype.element_ty), mask=exists[:, None] & has_e)
    tl.store(lse_ptr + line, lse, mask=exists)


@triton.jit
def _load(at, rows, features, SOME: tl.constexpr, PADDED: tl.constexpr):
    """[rows, features] at pointers `at`; SOME: rows where `rows` says no are zero; PADDED: so are such features."""
    if SOME and PADDED:
        return tl.load(at, mask=rows[:, None] & features, other=0.0)
    elif SOME:
        return tl.load(at, mask=rows[:, None], other=0.0)
    elif PADDED:
        return tl.load(at, mask=features, other=0.0)
    else:
        return tl.load(at)
