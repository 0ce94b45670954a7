"""Attention of one tile of queries: near keys, block means, then the keys that the search told, in one online softmax.

The definition is that of `kernels.hyper` and `kernels.far`. Scores are in log2 units. One program does one tile of one
query head and keeps its queries, running maximum `peak`, sum `total` and numerator `acc` from the first key to the
last. The search's bits become dense tiles of keys by index: `CHUNK` keys at a time, word by word, the numbers of the
set bits go to the program's own scratch, so that nothing must be sized by what was found. Which query reads a key is
decided by exact scores: in each strip of `STRIP` rows (16: what one warp holds), from the first row on whose score
reaches its bound. Where the heads of the tile before were told over half of their keys, all are near
(`kernels.selectors.search`).
"""

from __future__ import annotations

import triton
import triton.language as tl

from .bits import count_bits, load_far
from .geometry import near_keys, near_steps, tile_edges


@triton.jit
def _online(acc, peak, total, scores, v, PRECISION: tl.constexpr):
    """Add keys with scores [R, N] (−inf: not read) and values v [N, D_v]."""
    higher = tl.maximum(peak, tl.max(scores, 1))
    base = tl.where(higher == float("-inf"), 0.0, higher)
    weights = tl.exp2(scores - base[:, None])
    fade = tl.exp2(peak - base)
    total = total * fade + tl.sum(weights, 1)
    acc = acc * fade[:, None]
    acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)
    return acc, higher, total


@triton.jit(do_not_specialize=["first_tile", "first_place"])  # one kernel for every slice
def attend_tile(
    query_ptr,  # [B, H, n_q, D]
    key_ptr,  # [B, H_kv, n_k, D]
    value_ptr,  # [B, H_kv, n_k, D_v]
    mask_ptr,  # bool [B or 1, n_k]
    mean_key_ptr,  # [B·H_kv, m, D]
    mean_value_ptr,  # [B·H_kv, m, D_v]
    log_count_ptr,  # float32 [B·H_kv, m]
    out_ptr,  # [B, H, n_q, D_v] contiguous
    lse_ptr,  # float32 [B, H, n_q]
    bound_ptr,  # float32 [B·H, tiles · R]
    bits_ptr,  # int32 [B·H, tiles, sketch_rows / 32]
    excess_ptr,  # int32 [B, all tiles, H]: a sum above 0 over the heads of a tile lets the next one read all
    list_ptr,  # int16 [B·H, tiles, CHUNK]
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
    stride_mask,
    heads,  # H
    group,  # H / H_kv
    n_q,
    n_k,
    blocks,  # m
    offset,  # query i sees key j iff j <= i + offset
    first_tile,  # number of the first tile, in positions of the keys
    window,
    first_far,  # edge of the sinks, a multiple of BLOCK
    first_place,  # of the first tile among all of the call
    places,  # all tiles of the call
    sketch_rows,
    scale,  # · log2(e)
    CAUSAL: tl.constexpr,
    HAS_MASK: tl.constexpr,
    HAS_MEANS: tl.constexpr,
    SEARCHES: tl.constexpr,
    PAD_HEADS: tl.constexpr,
    BLOCK: tl.constexpr,
    D: tl.constexpr,
    D_V: tl.constexpr,
    PAD_D: tl.constexpr,
    PAD_V: tl.constexpr,
    R: tl.constexpr,  # rows of a tile
    STRIP: tl.constexpr,
    KEYS_NEAR: tl.constexpr,
    KEYS_FOUND: tl.constexpr,
    CHUNK: tl.constexpr,
    PRECISION: tl.constexpr,
):
    # The longest tiles first; tiles of one head run side by side and share its keys in the L2 cache.
    place = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1)
    batch = (head // heads).to(tl.int64)
    unit = ((head % heads) // group).to(tl.int64)
    units = heads // group
    table = (batch * units + unit) * blocks

    row = tl.arange(0, R)
    start, sinks, low, high, limit = tile_edges(
        place, n_q, n_k, offset, first_tile, window, first_far, CAUSAL, BLOCK, R
    )
    if SEARCHES:
        # Where the heads of the tile before were told over half, this one reads all keys, as if they were near.
        order = first_place + place
        member = tl.arange(0, PAD_HEADS)
        told = excess_ptr + (batch * places + order - 1) * heads + member
        is_dense = tl.sum(tl.load(told, mask=member < tl.where(order > 0, heads, 0), other=0), 0) > 0
        low = tl.where(is_dense, sinks, low)
        high = tl.where(is_dense, limit, high)
    query = start + row
    exists = (query >= 0) & (query < n_q)
    last = query + offset  # the last key that a query sees

    d = tl.arange(0, PAD_D)
    e = tl.arange(0, PAD_V)
    has_d = (d < D)[None, :]
    has_e = (e < D_V)[None, :]
    query_base = query_ptr + batch * stride_qb + (head % heads).to(tl.int64) * stride_qh
    key_base = key_ptr + batch * stride_kb + unit * stride_kh
    value_base = value_ptr + batch * stride_vb + unit * stride_vh
    mask_base = mask_ptr + batch * stride_mask
    q = tl.load(
        query_base + query.to(tl.int64)[:, None] * stride_qn + d[None, :] * stride_qd,
        mask=exists[:, None] & has_d,
        other=0.0,
    )  # [R, D]

    peak = tl.full([R], float("-inf"), tl.float32)
    total = tl.zeros([R], tl.float32)
    acc = tl.zeros([R, PAD_V], tl.float32)

    # Near keys: the sinks, then the local ones.
    for step in tl.range(0, near_steps(sinks, low, high, KEYS_NEAR), num_stages=2):
        key, seen = near_keys(step, sinks, low, high, KEYS_NEAR)
        if HAS_MASK:
            seen = seen & (tl.load(mask_base + key, mask=seen, other=0) != 0)
        rows = key.to(tl.int64)[:, None]
        k = tl.load(key_base + rows * stride_kn + d[None, :] * stride_kd, mask=seen[:, None] & has_d, other=0.0)
        v = tl.load(value_base + rows * stride_vn + e[None, :] * stride_vd, mask=seen[:, None] & has_e, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale  # [R, KEYS_NEAR]
        allowed = seen[None, :]
        if CAUSAL:
            allowed = allowed & (key[None, :] <= last[:, None])
        scores = tl.where(allowed, scores, float("-inf"))
        acc, peak, total = _online(acc, peak, total, scores, v, PRECISION)

    far = low - sinks + limit - high
    if far > 0:
        if HAS_MEANS:
            # Every far key by its block's mean, those too that are found later: these are taken off then.
            number = tl.arange(0, KEYS_NEAR)
            behind = tl.cdiv(high, BLOCK)
            for start in tl.range(sinks // BLOCK, tl.cdiv(limit, BLOCK), KEYS_NEAR, num_stages=2):
                mean = start + number
                is_far = mean < tl.cdiv(low, BLOCK)
                if not CAUSAL:
                    is_far = is_far | ((mean >= behind) & (mean < tl.cdiv(limit, BLOCK)))
                rows = (table + mean)[:, None]
                k = tl.load(mean_key_ptr + rows * D + d[None, :], mask=is_far[:, None] & has_d, other=0.0)
                v = tl.load(mean_value_ptr + rows * D_V + e[None, :], mask=is_far[:, None] & has_e, other=0.0)
                counts = tl.load(log_count_ptr + table + mean, mask=is_far, other=float("-inf"))
                scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale + counts[None, :]
                acc, peak, total = _online(acc, peak, total, scores, v, PRECISION)

        if SEARCHES:
            program = head.to(tl.int64) * tl.num_programs(0) + place
            bound = tl.load(bound_ptr + program * R + row)
            bits = bits_ptr + program * (sketch_rows // 32)
            found = list_ptr + program * CHUNK
            taken = tl.arange(0, KEYS_FOUND)
            word = tl.arange(0, CHUNK // 32)
            end = low if CAUSAL else limit
            for chunk in tl.range(0, end, CHUNK, num_stages=1):
                at = chunk + word * 32
                words = load_far(bits, at, sinks, low, high, limit, CAUSAL)
                counts = count_bits(words)
                count = tl.sum(counts, 0)
                place_in_list = tl.cumsum(counts, 0) - counts
                for _ in range(tl.max(counts, 0)):  # the lowest bit of every word that has one left
                    lowest = words & (~words + 1)
                    key = word * 32 + count_bits(lowest - 1)
                    tl.store(found + place_in_list, key.to(tl.int16), mask=words != 0)
                    words = words ^ lowest
                    place_in_list += 1
                tl.debug_barrier()
                for start in tl.range(0, count, KEYS_FOUND, num_stages=2):
                    has = start + taken < count
                    key = chunk + tl.load(found + start + taken, mask=has, other=0).to(tl.int32)
                    rows = key.to(tl.int64)[:, None]
                    k = tl.load(
                        key_base + rows * stride_kn + d[None, :] * stride_kd, mask=has[:, None] & has_d, other=0.0
                    )
                    v = tl.load(
                        value_base + rows * stride_vn + e[None, :] * stride_vd, mask=has[:, None] & has_e, other=0.0
                    )
                    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale  # [R, KEYS_FOUND]
                    passes = (scores >= bound[:, None]) & has[None, :]
                    first = tl.where(passes, row[:, None], R)
                    first = tl.min(tl.reshape(first, [R // STRIP, STRIP, KEYS_FOUND]), 1)  # of each strip
                    first = tl.broadcast_to(first[:, None, :], [R // STRIP, STRIP, KEYS_FOUND])
                    reads = row[:, None] >= tl.reshape(first, [R, KEYS_FOUND])
                    read_scores = tl.where(reads, scores, float("-inf"))
                    higher = tl.maximum(peak, tl.max(read_scores, 1))
                    base = tl.where(higher == float("-inf"), 0.0, higher)
                    weights = tl.exp2(read_scores - base[:, None])
                    if HAS_MEANS:
                        rows = (table + key // BLOCK)[:, None]
                        k = tl.load(mean_key_ptr + rows * D + d[None, :], mask=has[:, None] & has_d, other=0.0)
                        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
                        weights -= tl.where(reads, tl.exp2(scores - base[:, None]), 0.0)
                    fade = tl.exp2(peak - base)
                    total = total * fade + tl.sum(weights, 1)
                    acc = acc * fade[:, None]
                    acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)
                    peak = higher
                tl.debug_barrier()

    is_empty = total == 0.0
    out = acc / tl.where(is_empty, 1.0, total)[:, None]
    lse = tl.where(is_empty, float("-inf"), (peak + tl.log2(total)) * 0.6931471805599453)
    line = head.to(tl.int64) * n_q + query
    tl.store(out_ptr + line[:, None] * D_V + e[None, :], out.to(out_ptr.dtype.element_ty), mask=exists[:, None] & has_e)
    tl.store(lse_ptr + line, lse, mask=exists)
