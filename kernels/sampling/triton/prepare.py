"""What is made of the keys and values before any query reads them: sketches of keys, distances of values.

The first far keys of a head are its reference: their mean key is taken off every key before it is rounded to a sketch,
and the distance of a value is counted from their mean value, in units of their mean distance. All are in the past of
every query that has far keys.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...fused.online import load_rows


@triton.jit
def prepare_sample(
    key_ptr,  # [B, H_kv, n_k, D]
    value_ptr,  # [B, H_kv, n_k, D_v]
    mask_ptr,  # bool [B or 1, n_k]
    sketch_ptr,  # [B·H_kv, sketch_rows, PAD_D]
    spread_ptr,  # float32 [B·H_kv, sketch_rows]: squared distance of a key's value
    centre_ptr,  # float32 [B·H_kv, PAD_D]
    power_ptr,  # float32 [B·H_kv]: what sketches are multiplied with
    stride_kb, stride_kh, stride_kn, stride_kd,
    stride_vb, stride_vh, stride_vn, stride_vd,
    stride_mask,
    units,  # H_kv
    n_k,
    most_sinks,
    sketch_rows,
    HAS_MASK: tl.constexpr,
    D: tl.constexpr,
    D_V: tl.constexpr,
    PAD_D: tl.constexpr,
    PAD_V: tl.constexpr,
    REFERENCE: tl.constexpr,  # keys of the reference
    KEYS: tl.constexpr,  # of a step
    STEPS: tl.constexpr,  # of a program
    SKETCH_RANGE: tl.constexpr,
    SKETCH_MOST: tl.constexpr,
    LEAST_SPREAD: tl.constexpr,  # squared
    MOST_SPREAD: tl.constexpr,  # squared
):  # fmt: skip
    unit = tl.program_id(1)
    batch = (unit // units).to(tl.int64)
    head = (unit % units).to(tl.int64)
    key_base = key_ptr + batch * stride_kb + head * stride_kh
    value_base = value_ptr + batch * stride_vb + head * stride_vh
    mask_base = mask_ptr + batch * stride_mask
    d = tl.arange(0, PAD_D)
    e = tl.arange(0, PAD_V)

    others = most_sinks + tl.arange(0, REFERENCE)
    known = others < n_k
    if HAS_MASK:
        known = known & (tl.load(mask_base + others, mask=known, other=0) != 0)
    share = 1.0 / tl.maximum(tl.sum(known.to(tl.float32), 0), 1.0)
    o = load_rows(key_base, others, d, stride_kn, stride_kd, known, D, PAD_D, False).to(tl.float32)
    centre = tl.sum(o, 0) * share
    off = tl.where(known[:, None] & (d < D)[None, :], tl.abs(o - centre[None, :]), 0.0)
    largest = tl.max(tl.max(off, 1), 0)
    largest = tl.where(largest > 0.0, tl.minimum(tl.maximum(largest, 1e-20), 1e20), SKETCH_RANGE)
    power = tl.exp2(tl.floor(tl.log2(SKETCH_RANGE / largest)))
    w = load_rows(value_base, others, e, stride_vn, stride_vd, known, D_V, PAD_V, False).to(tl.float32)
    middle = tl.sum(w, 0) * share
    off = tl.where(known[:, None] & (e < D_V)[None, :], w - middle[None, :], 0.0)
    usual = tl.sum(tl.sqrt(tl.sum(off * off, 1)), 0) * share
    usual = 1.0 / (usual * usual)  # inf where all values are alike
    if tl.program_id(0) == 0:
        tl.store(power_ptr + unit, power)
        tl.store(centre_ptr + unit * PAD_D + d, centre)

    at = tl.arange(0, KEYS)
    for step in range(STEPS):
        keys = (tl.program_id(0) * STEPS + step) * KEYS + at
        seen = keys < n_k
        if HAS_MASK:
            seen = seen & (tl.load(mask_base + keys, mask=seen, other=0) != 0)
        k = load_rows(key_base, keys, d, stride_kn, stride_kd, seen, D, PAD_D, False).to(tl.float32)
        sketch = tl.where(seen[:, None] & (d < D)[None, :], (k - centre[None, :]) * power, 0.0)
        sketch = tl.minimum(tl.maximum(sketch, -SKETCH_MOST), SKETCH_MOST)
        line = unit.to(tl.int64) * sketch_rows + keys
        inside = keys < sketch_rows
        tl.store(
            sketch_ptr + line[:, None] * PAD_D + d[None, :],
            sketch.to(sketch_ptr.dtype.element_ty),
            mask=inside[:, None],
        )
        v = load_rows(value_base, keys, e, stride_vn, stride_vd, seen, D_V, PAD_V, False).to(tl.float32)
        apart = tl.where((e < D_V)[None, :], v - middle[None, :], 0.0)
        spread = tl.sum(apart * apart, 1) * usual
        spread = tl.where(spread >= LEAST_SPREAD, spread, LEAST_SPREAD)  # NaN too
        tl.store(spread_ptr + line, tl.where(seen, tl.minimum(spread, MOST_SPREAD), 0.0), mask=inside)
