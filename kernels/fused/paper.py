"""Attention of `paper`: exact areas, then sorted blocks with samples, level by level of the recursion.

Every program keeps one tile of queries in one online softmax, scores in log2 units. Where earlier launches have
written a row, it starts from their result: numerator `out`, sum 1 and maximum `lse`. So areas are merged without a pass
of their own, and partial results need no room but that of the outputs. Rows are read and written by index.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .buckets import walk
from .online import LOG2_E, add_keys, load_rows, store_result


@triton.jit
def _start(
    out_ptr, lse_ptr, line, e, exists, D_V: tl.constexpr, PAD_V: tl.constexpr, R: tl.constexpr, GOES_ON: tl.constexpr
):
    """(acc, peak, total) of rows: nothing yet, or what earlier launches have written."""
    if GOES_ON:
        peak = tl.load(lse_ptr + line, mask=exists, other=float("-inf")) * LOG2_E
        total = tl.where(peak == float("-inf"), 0.0, 1.0)
        some = exists[:, None] & (e < D_V)[None, :]
        acc = tl.load(out_ptr + line[:, None] * D_V + e[None, :], mask=some, other=0.0).to(tl.float32)
    else:
        peak = tl.full([R], float("-inf"), tl.float32)
        total = tl.zeros([R], tl.float32)
        acc = tl.zeros([R, PAD_V], tl.float32)
    return acc, peak, total


@triton.jit(do_not_specialize=["query_start", "key_start", "depth", "tiles"])
def attend_areas(
    query_ptr,  # [B, H, n_q, D]
    key_ptr,  # [B, H_kv, n_k, D]
    value_ptr,  # [B, H_kv, n_k, D_v]
    mask_ptr,  # bool [B or 1, n_k]
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
    stride_mask,
    heads,  # H
    group,  # H / H_kv
    n_q,
    query_start,
    key_start,
    query_count,
    key_count,
    depth,  # of the deepest nodes
    tiles,  # of one of them
    least_keys,  # a node whose half has fewer keys is an exact square
    scale,  # · log2(e), above 0
    CAUSAL: tl.constexpr,  # every exact square of the tree of halves; else one full area
    GOES_ON: tl.constexpr,
    HAS_MASK: tl.constexpr,
    D: tl.constexpr,
    D_V: tl.constexpr,
    PAD_D: tl.constexpr,
    PAD_V: tl.constexpr,
    R: tl.constexpr,
    KEYS: tl.constexpr,
    STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):
    node = tl.program_id(0) // tiles
    tile = tiles - 1 - tl.program_id(0) % tiles  # of a square the longest first
    head = tl.program_id(1)
    batch = (head // heads).to(tl.int64)
    unit = ((head % heads) // group).to(tl.int64)
    low = node * 0
    start = low
    stop = low + query_count
    if CAUSAL:
        start, stop = walk(node, depth, query_count)
        upper, until = walk(node >> 1, depth - 1, query_count)
        # Halves differ by a row: where one of a level is halved again, its neighbour may be an exact square.
        low = tl.where((depth > 0) & ((until - upper) // 2 < least_keys), upper, start)
    first = start + tile * R
    if first < stop:
        row = first + tl.arange(0, R)
        exists = row < stop
        query = query_start + row
        line = head.to(tl.int64) * n_q + query
        d = tl.arange(0, PAD_D)
        e = tl.arange(0, PAD_V)
        step = tl.arange(0, KEYS)
        query_base = query_ptr + batch * stride_qb + (head % heads).to(tl.int64) * stride_qh
        key_base = key_ptr + batch * stride_kb + unit * stride_kh
        value_base = value_ptr + batch * stride_vb + unit * stride_vh
        mask_base = mask_ptr + batch * stride_mask
        q = load_rows(query_base, query, d, stride_qn, stride_qd, exists, D, PAD_D, False)
        acc, peak, total = _start(out_ptr, lse_ptr, line, e, exists, D_V, PAD_V, R, GOES_ON)
        # Keys that every query of the tile sees, in whole steps; then the edge.
        if CAUSAL:
            edge = low + (first + 1 - low) // KEYS * KEYS
            high = tl.minimum(first + R, stop)
        else:
            edge = key_count // KEYS * KEYS
            high = low + key_count
        for at in tl.range(low, edge, KEYS, num_stages=STAGES):
            key = key_start + at + step
            seen = step >= 0
            if HAS_MASK:
                seen = tl.load(mask_base + key) != 0
            k = load_rows(key_base, key, d, stride_kn, stride_kd, seen, D, PAD_D, not HAS_MASK)
            v = load_rows(value_base, key, e, stride_vn, stride_vd, seen, D_V, PAD_V, not HAS_MASK)
            products = tl.dot(q, tl.trans(k), input_precision=PRECISION)  # [R, KEYS]
            if HAS_MASK:
                products = tl.where(seen[None, :], products, float("-inf"))
            acc, peak, total = add_keys(acc, peak, total, products, scale, 1.0, v, PRECISION)
        for at in tl.range(edge, high, KEYS, num_stages=2):
            place = at + step
            key = key_start + place
            seen = place < high
            if HAS_MASK:
                seen = seen & (tl.load(mask_base + key, mask=seen, other=0) != 0)
            k = load_rows(key_base, key, d, stride_kn, stride_kd, seen, D, PAD_D, False)
            v = load_rows(value_base, key, e, stride_vn, stride_vd, seen, D_V, PAD_V, False)
            allowed = seen[None, :]
            if CAUSAL:
                allowed = allowed & (place[None, :] <= row[:, None])
            products = tl.where(allowed, tl.dot(q, tl.trans(k), input_precision=PRECISION), float("-inf"))
            acc, peak, total = add_keys(acc, peak, total, products, scale, 1.0, v, PRECISION)
        store_result(out_ptr, lse_ptr, line, e, exists, acc, peak, total, D_V)


@triton.jit(do_not_specialize=["nodes", "level", "tiles", "parts"])
def attend_blocks(
    query_ptr,  # [B, H, n_q, D]
    key_ptr,  # [B, H_kv, n_k, D]
    value_ptr,  # [B, H_kv, n_k, D_v]
    order_ptr,  # int32 [lines, width] of one level: rows of the sequence, those of an area sorted
    valid_ptr,  # int32 [lines, nodes]
    ranks_ptr,  # int32 [nodes, B or 1, 3, size]
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
    heads,  # H
    group,  # H / H_kv
    n_q,
    query_lines,
    width,
    nodes,
    rank_rows,  # B or 1
    query_count,
    key_count,
    level,
    least_keys,  # a node whose half has fewer keys is an exact square
    tiles,  # of a node
    parts,  # tiles of a block
    block,
    size,  # samples of a block
    scale,  # · log2(e), above 0
    TREE: tl.constexpr,  # the nodes of one level of the tree of halves; else one full area
    GOES_ON: tl.constexpr,
    EVEN: tl.constexpr,  # blocks and samples are whole steps of existing keys
    D: tl.constexpr,
    D_V: tl.constexpr,
    PAD_D: tl.constexpr,
    PAD_V: tl.constexpr,
    R: tl.constexpr,
    KEYS: tl.constexpr,
    STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):
    node = tl.program_id(0) // tiles
    tile = tl.program_id(0) % tiles
    head = tl.program_id(1)
    batch = (head // heads).to(tl.int64)
    unit = ((head % heads) // group).to(tl.int64)
    key_line = query_lines + head // group  # heads of a group share their keys, and B·H / group = B·H_kv
    low = node * 0
    query_low = low
    n = low + query_count
    m = low + key_count
    entry = node
    is_halved = node >= 0
    if TREE:
        low, high = walk(node, level, query_count)
        m = (high - low) // 2
        query_low = low + m
        n = high - query_low
        entry = node + (node * 0 + 1 << level) - 1
        is_halved = m >= least_keys
    rows = tl.where(n == m, block, tl.cdiv(n, tl.cdiv(m, block)))  # queries of a block
    number = tile // parts
    first = number * rows + tile % parts * R
    limit = tl.minimum(number * rows + rows, n)
    if is_halved & (first < limit):
        place = first + tl.arange(0, R)
        exists = place < limit
        order = order_ptr + head.to(tl.int64) * width + query_low
        query = tl.load(order + place, mask=exists, other=0)
        line = head.to(tl.int64) * n_q + query
        d = tl.arange(0, PAD_D)
        e = tl.arange(0, PAD_V)
        step = tl.arange(0, KEYS)
        query_base = query_ptr + batch * stride_qb + (head % heads).to(tl.int64) * stride_qh
        key_base = key_ptr + batch * stride_kb + unit * stride_kh
        value_base = value_ptr + batch * stride_vb + unit * stride_vh
        key_order = order_ptr + key_line.to(tl.int64) * width + low
        q = load_rows(query_base, query, d, stride_qn, stride_qd, exists, D, PAD_D, False)
        acc, peak, total = _start(out_ptr, lse_ptr, line, e, exists, D_V, PAD_V, R, GOES_ON)

        # The block's own keys, then a sample of those outside, each of which stands for `population / drawn`.
        valid = tl.load(valid_ptr + key_line.to(tl.int64) * nodes + entry)
        begin = number * block
        length = tl.minimum(tl.maximum(valid - begin, 0), block)
        population = valid - length
        drawn = tl.minimum(population, size)
        kind = tl.where(length == block, 0, tl.where(length > 0, 1, 2))
        share = tl.maximum(population, 1).to(tl.float32) / tl.maximum(drawn, 1).to(tl.float32)
        log_share = tl.log2(share)
        rank_row = (entry * rank_rows + tl.where(rank_rows > 1, head // heads, 0)) * 3 + kind
        ranks = ranks_ptr + rank_row.to(tl.int64) * size
        own = tl.cdiv(length, KEYS)
        for turn in tl.range(0, own + tl.cdiv(drawn, KEYS), num_stages=STAGES):
            is_own = step * 0 + turn < own  # [KEYS], all alike
            at = tl.where(is_own, turn, turn - own) * KEYS + step
            read = step >= 0 if EVEN else at < tl.where(is_own, length, drawn)
            rank = tl.load(ranks + at, mask=read & ~is_own, other=0)
            rank += tl.where(rank >= begin, length, 0)
            from_order = tl.where(is_own, begin + at, rank)
            key = tl.load(key_order + from_order, mask=read, other=0)
            k = load_rows(key_base, key, d, stride_kn, stride_kd, read, D, PAD_D, EVEN)
            v = load_rows(value_base, key, e, stride_vn, stride_vd, read, D_V, PAD_V, EVEN)
            products = tl.dot(q, tl.trans(k), input_precision=PRECISION)  # [R, KEYS]
            if not EVEN:
                products = tl.where(read[None, :], products, float("-inf"))
            # A sample counts `share` times: its scores, and thereby the maximum, are measured from lower down.
            lower = tl.where(turn < own, 0.0, log_share)
            acc, peak, total = add_keys(acc, peak - lower, total, products, scale, 1.0, v, PRECISION)
            peak += lower
        # Read again: pointers to the outputs, kept over the loop, are registers too many.
        again = head.to(tl.int64) * n_q + tl.load(order + place, mask=exists, other=0, cache_modifier=".cg")
        store_result(out_ptr, lse_ptr, again, e, exists, acc, peak, total, D_V)
