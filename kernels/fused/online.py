"""What the kernels share: rows by index, keys added to an online softmax, its result stored. Scores in log2 units."""

from __future__ import annotations

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def load_rows(base, row, column, stride_n, stride_d, exists, WIDTH: tl.constexpr, PAD: tl.constexpr, ALL: tl.constexpr):
    """Rows [N, PAD] by index; those that do not exist are zero. ALL: all of them exist."""
    pointers = base + row.to(tl.int64)[:, None] * stride_n + column[None, :] * stride_d
    if ALL and WIDTH == PAD:
        return tl.load(pointers)
    return tl.load(pointers, mask=exists[:, None] & (column < WIDTH)[None, :], other=0.0)


@triton.jit
def sum_up(peak, total, scores, scale):
    """Add the weights of scores [R, N] (−inf: not read), which `scale` > 0 makes log2 units."""
    higher = tl.maximum(peak, tl.max(scores, 1) * scale)
    base = tl.where(higher == float("-inf"), 0.0, higher)
    total = total * tl.exp2(peak - base) + tl.sum(tl.exp2(scores * scale - base[:, None]), 1)
    return higher, total


@triton.jit
def add_keys(acc, peak, total, products, scale, times, v, PRECISION: tl.constexpr):
    """(acc, peak, total) of R rows with N more keys: numerator [R, D_v], maximum and sum [R].

    Scores are scale · products: products [R, N], −inf where a row does not read a key; scale > 0. A key counts `times`
    times: a number, or [R, N or 1]. v [N, D_v].
    """
    higher = tl.maximum(peak, tl.max(products, 1) * scale)
    base = tl.where(higher == float("-inf"), 0.0, higher)
    weights = tl.exp2(products * scale - base[:, None]) * times
    fade = tl.exp2(peak - base)
    total = total * fade + tl.sum(weights, 1)
    acc = acc * fade[:, None]
    acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)
    return acc, higher, total


@triton.jit
def store_result(out_ptr, lse_ptr, line, e, exists, acc, peak, total, D_V: tl.constexpr):
    """Store out and lse (natural units) at rows `line` int64 [R]; rows that read nothing are 0 and −inf."""
    is_empty = total == 0.0
    total = tl.where(is_empty, 1.0, total)
    out = acc / total[:, None]
    lse = tl.where(is_empty, float("-inf"), (peak + tl.log2(total)) * LN_2)
    some = exists[:, None] & (e < D_V)[None, :]
    tl.store(out_ptr + line[:, None] * D_V + e[None, :], out.to(out_ptr.dtype.element_ty), mask=some)
    tl.store(lse_ptr + line, lse, mask=exists)
