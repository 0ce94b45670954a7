"""What is made of the keys and values before any query reads them: block means, and sketches for the search.

One program reads some blocks of keys and values of one head. A key's sketch is the key less the centre (the mean of the
first far block), times a power of two that brings that block's largest number near `SKETCH_RANGE`: float8 has its
precision there. Both are known before the first query that has far keys. Masked keys have the sketch zero, which no
threshold lets pass.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .online import load_rows


@triton.jit
def prepare_keys(
    key_ptr,  # [B, H_kv, n_k, D]
    value_ptr,  # [B, H_kv, n_k, D_v]
    mask_ptr,  # bool [B or 1, n_k]
    mean_key_ptr,  # [B·H_kv, m, D]
    mean_value_ptr,  # [B·H_kv, m, D_v]
    log_count_ptr,  # float32 [B·H_kv, m]: log2 of the visible keys
    sketch_ptr,  # [B·H_kv, sketch_rows, PAD_D]
    power_ptr,  # float32 [B·H_kv]: what sketches are multiplied with
    stride_kb,
    stride_kh,
    stride_kn,
    stride_kd,
    stride_vb,
    stride_vh,
    stride_vn,
    stride_vd,
    stride_mask,  # of a batch; 0 where they share
    units,  # H_kv
    n_k,
    blocks,  # m
    first_block,  # the first far one
    sketch_rows,
    HAS_MASK: tl.constexpr,
    SEARCHES: tl.constexpr,
    COUNT: tl.constexpr,  # blocks of a program
    BLOCK: tl.constexpr,  # keys of a block
    PAD_BLOCK: tl.constexpr,
    D: tl.constexpr,
    D_V: tl.constexpr,
    PAD_D: tl.constexpr,
    PAD_V: tl.constexpr,
    SKETCH_RANGE: tl.constexpr,
    SKETCH_MOST: tl.constexpr,
):
    first = tl.program_id(0) * COUNT
    unit = tl.program_id(1)
    batch = (unit // units).to(tl.int64)
    head = (unit % units).to(tl.int64)
    key_base = key_ptr + batch * stride_kb + head * stride_kh
    value_base = value_ptr + batch * stride_vb + head * stride_vh
    mask_base = mask_ptr + batch * stride_mask
    d = tl.arange(0, PAD_D)
    e = tl.arange(0, PAD_V)
    place = tl.arange(0, PAD_BLOCK)

    if SEARCHES:
        others = first_block * BLOCK + place
        known = (place < BLOCK) & (others < n_k)
        if HAS_MASK:
            known = known & (tl.load(mask_base + others, mask=known, other=0) != 0)
        has_o = known[:, None] & (d < D)[None, :]
        o = load_rows(key_base, others, d, stride_kn, stride_kd, known, D, PAD_D, False).to(tl.float32)
        centre = tl.sum(o, 0) / tl.maximum(tl.sum(known.to(tl.float32), 0), 1.0)
        largest = tl.max(tl.max(tl.where(has_o, tl.abs(o - centre[None, :]), 0.0), 1), 0)
        # Where padding hides that block, numbers are taken as they are.
        largest = tl.where(largest > 0.0, tl.minimum(tl.maximum(largest, 1e-20), 1e20), SKETCH_RANGE)
        power = tl.exp2(tl.floor(tl.log2(SKETCH_RANGE / largest)))
        if first == 0:
            tl.store(power_ptr + unit, power)

    for number in range(first, tl.minimum(first + COUNT, blocks)):
        keys = number * BLOCK + place
        seen = (place < BLOCK) & (keys < n_k)
        if HAS_MASK:
            seen = seen & (tl.load(mask_base + keys, mask=seen, other=0) != 0)
        count = tl.sum(seen.to(tl.float32), 0)
        share = 1.0 / tl.maximum(count, 1.0)
        line = unit.to(tl.int64) * blocks + number
        k = load_rows(key_base, keys, d, stride_kn, stride_kd, seen, D, PAD_D, False).to(tl.float32)
        v = load_rows(value_base, keys, e, stride_vn, stride_vd, seen, D_V, PAD_V, False)
        mean_key = tl.sum(k, 0) * share
        mean_value = tl.sum(v.to(tl.float32), 0) * share
        tl.store(mean_key_ptr + line * D + d, mean_key.to(mean_key_ptr.dtype.element_ty), mask=d < D)
        tl.store(mean_value_ptr + line * D_V + e, mean_value.to(mean_value_ptr.dtype.element_ty), mask=e < D_V)
        tl.store(log_count_ptr + line, tl.log2(count))
        if SEARCHES:
            has_k = seen[:, None] & (d < D)[None, :]
            sketch = tl.where(has_k, (k - centre[None, :]) * power, 0.0)
            sketch = tl.minimum(tl.maximum(sketch, -SKETCH_MOST), SKETCH_MOST)
            at = unit.to(tl.int64) * sketch_rows + keys.to(tl.int64)
            tl.store(
                sketch_ptr + at[:, None] * PAD_D + d[None, :],
                sketch.to(sketch_ptr.dtype.element_ty),
                mask=((place < BLOCK) & (keys < sketch_rows))[:, None],
            )
