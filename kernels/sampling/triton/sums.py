"""Row sums: what every query's weights add up to, roughly; and the queries' sketches for the search.

A row sum is that of the near keys and STRIDE times that of every STRIDE-th far key. A price needs it only roughly.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...fused.geometry import near_keys, near_steps, tile_edges
from ...fused.online import load_rows, sum_up
from .draws import stream_words


@triton.jit
def _far_sum(lanes, scores, scale, base):
    """Add the weights of scores [R, N] to lanes [R, N]. A weight above 2^100 counts as that: it is certain anyway."""
    return lanes + tl.exp2(tl.minimum(scores * scale - base[:, None], 100.0))


@triton.jit
def far_key(number, sinks, low, high, CAUSAL: tl.constexpr):
    """Positions of far keys by their number."""
    key = sinks + number
    if not CAUSAL:
        key = tl.where(key < low, key, key - low + high)
    return key


@triton.jit(do_not_specialize=["first_tile", "seed"])
def sum_rows(
    query_ptr,  # [B, H, n_q, D]
    key_ptr,  # [B, H_kv, n_k, D]
    mask_ptr,  # bool [B or 1, n_k]
    centre_ptr,  # float32 [B·H_kv, PAD_D]
    power_ptr,  # float32 [B·H_kv]
    sketch_ptr,  # [B·H, tiles · R, PAD_D]; row r of a tile stands at (r % 16) · 8 + r / 16
    bias_ptr,  # float16 [B·H, tiles · R], in the same order: + product of sketches = log2 of the weight, times POWER
    sum_ptr,  # float32 [B·H, tiles · R], in the rows' order: log2 of the row sum; inf = no query
    stride_qb, stride_qh, stride_qn, stride_qd,
    stride_kb, stride_kh, stride_kn, stride_kd,
    stride_mask,
    heads,
    group,
    n_q,
    n_k,
    offset,
    first_tile,
    every,  # tiles first_tile, first_tile + every, … are run
    window,
    most_sinks,
    seed,
    scale,  # · log2(e), above 0
    CAUSAL: tl.constexpr,
    HAS_MASK: tl.constexpr,
    D: tl.constexpr,
    PAD_D: tl.constexpr,
    R: tl.constexpr,
    KEYS: tl.constexpr,
    STRIDE: tl.constexpr,
    STAGES: tl.constexpr,
    TAG: tl.constexpr,
    PRECISION: tl.constexpr,
    SKETCH_MOST: tl.constexpr,
    POWER: tl.constexpr,
):  # fmt: skip
    place = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1)
    batch = (head // heads).to(tl.int64)
    unit = ((head % heads) // group).to(tl.int64)
    line = batch * (heads // group) + unit
    tile = place * every
    start, sinks, low, high, limit = tile_edges(tile, n_q, n_k, offset, first_tile, window, most_sinks, CAUSAL, R)
    query = start + tl.arange(0, R)
    exists = (query >= 0) & (query < n_q)
    d = tl.arange(0, PAD_D)
    query_base = query_ptr + batch * stride_qb + (head % heads).to(tl.int64) * stride_qh
    q = load_rows(query_base, query, d, stride_qn, stride_qd, exists, D, PAD_D, False)  # [R, D]
    key_base = key_ptr + batch * stride_kb + unit * stride_kh
    mask_base = mask_ptr + batch * stride_mask
    peak = tl.full([R], float("-inf"), tl.float32)
    total = tl.zeros([R], tl.float32)
    for step in tl.range(0, near_steps(sinks, low, high, KEYS), num_stages=2):
        key, seen = near_keys(step, sinks, low, high, KEYS)
        if HAS_MASK:
            seen = seen & (tl.load(mask_base + key, mask=seen, other=0) != 0)
        k = load_rows(key_base, key, d, stride_kn, stride_kd, seen, D, PAD_D, False)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        allowed = seen[None, :]
        if CAUSAL:
            allowed = allowed & (key[None, :] <= (query + offset)[:, None])
        peak, total = sum_up(peak, total, tl.where(allowed, scores, float("-inf")), scale)
    far = low - sinks + limit - high
    first, _ = stream_words(seed, TAG, head, tile + first_tile)
    shift = (first & (STRIDE - 1)).to(tl.int32)
    at = tl.arange(0, KEYS) * STRIDE + shift
    base = tl.where(peak == float("-inf"), 0.0, peak)
    lanes = tl.zeros([R, KEYS], tl.float32)
    full = far // (STRIDE * KEYS)  # steps all of whose keys are far
    if HAS_MASK:
        full = 0
    for step in tl.range(0, full, num_stages=STAGES):
        key = far_key(step * (KEYS * STRIDE) + at, sinks, low, high, CAUSAL)
        k = load_rows(key_base, key, d, stride_kn, stride_kd, key >= 0, D, PAD_D, True)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        lanes = _far_sum(lanes, scores, scale, base)
    for step in tl.range(full, tl.cdiv(far, KEYS * STRIDE), num_stages=2):
        number = step * (KEYS * STRIDE) + at
        key = far_key(number, sinks, low, high, CAUSAL)
        seen = number < far
        if HAS_MASK:
            seen = seen & (tl.load(mask_base + key, mask=seen, other=0) != 0)
        k = load_rows(key_base, key, d, stride_kn, stride_kd, seen, D, PAD_D, False)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        lanes = _far_sum(lanes, tl.where(seen[None, :], scores, float("-inf")), scale, base)
    total += STRIDE * tl.sum(lanes, 1)
    row_sum = tl.where(total > 0.0, base + tl.log2(total), 0.0)
    wide = q.to(tl.float32)
    centre = tl.load(centre_ptr + line * PAD_D + d)
    common = tl.sum(wide * centre[None, :], 1) * scale
    power = tl.load(power_ptr + line)
    sketch = wide * (scale * POWER / power)
    sketch = tl.minimum(tl.maximum(sketch, -SKETCH_MOST), SKETCH_MOST)
    bias = tl.where(exists, (common - row_sum) * POWER, -30000.0)
    bias = tl.minimum(tl.maximum(bias, -30000.0), 30000.0)
    row = tl.arange(0, R)
    base = (head.to(tl.int64) * tl.num_programs(0) + place) * R
    turned = base + (row % 16) * (R // 16) + row // 16
    tl.store(sketch_ptr + turned[:, None] * PAD_D + d[None, :], sketch.to(sketch_ptr.dtype.element_ty))
    tl.store(bias_ptr + turned, bias.to(tl.float16))
    tl.store(sum_ptr + base + row, tl.where(exists, row_sum, float("inf")))
