"""Attention of a tile of queries: near keys, then the keys that were drawn, each with weight 1 / probability.

The price of a key for a row is the norm over the finished strips and the row itself of the weights, times the distance
of the key's value: no later row changes what a row reads.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...fused.geometry import near_keys, near_steps, plain_steps, tile_edges
from ...fused.online import add_keys, load_rows, store_result
from .draws import stream_words, threshold_of
from .listed import list_keys, log2, squared_chance


@triton.jit(do_not_specialize=["first_tile", "seed"])
def attend_sample(
    query_ptr,  # [B, H, n_q, D]
    key_ptr,  # [B, H_kv, n_k, D]
    value_ptr,  # [B, H_kv, n_k, D_v]
    mask_ptr,  # bool [B or 1, n_k]
    out_ptr,  # [B, H, n_q, D_v] contiguous
    lse_ptr,  # float32 [B, H, n_q]
    sum_ptr,  # float32 [B·H, tiles · R]
    bits_ptr,  # int32 [B·H, tiles, sketch_rows / 32]
    spread_ptr,  # float32 [B·H_kv, sketch_rows]
    list_ptr,  # int32 [B·H, tiles, ROOM]: positions
    price_ptr,  # float32 [B·H, tiles, ROOM]: spread / threshold², …
    number_ptr,  # float32 [B·H, tiles, ROOM]: squared random numbers
    stride_qb, stride_qh, stride_qn, stride_qd,
    stride_kb, stride_kh, stride_kn, stride_kd,
    stride_vb, stride_vh, stride_vn, stride_vd,
    stride_mask,
    heads,
    group,
    n_q,
    n_k,
    offset,
    first_tile,
    window,
    most_sinks,
    sketch_rows,
    seed,
    threshold,  # of a tile that sees LENGTH keys
    scale,  # · log2(e), above 0
    CAUSAL: tl.constexpr,
    HAS_MASK: tl.constexpr,
    D: tl.constexpr,
    D_V: tl.constexpr,
    PAD_D: tl.constexpr,
    PAD_V: tl.constexpr,
    R: tl.constexpr,
    STRIP: tl.constexpr,
    KEYS: tl.constexpr,
    PLAIN: tl.constexpr,
    STAGES: tl.constexpr,
    ROOM: tl.constexpr,
    WORDS: tl.constexpr,  # listed at a time; ROOM is more than 32 · WORDS
    TAG: tl.constexpr,
    PRECISION: tl.constexpr,
    PACKED: tl.constexpr,
    LEAST: tl.constexpr,  # squared probability
):  # fmt: skip
    place = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1)
    batch = (head // heads).to(tl.int64)
    unit = ((head % heads) // group).to(tl.int64)
    line = batch * (heads // group) + unit
    start, sinks, low, high, limit = tile_edges(place, n_q, n_k, offset, first_tile, window, most_sinks, CAUSAL, R)
    row = tl.arange(0, R)
    query = start + row
    exists = (query >= 0) & (query < n_q)
    last = query + offset
    d = tl.arange(0, PAD_D)
    e = tl.arange(0, PAD_V)
    query_base = query_ptr + batch * stride_qb + (head % heads).to(tl.int64) * stride_qh
    key_base = key_ptr + batch * stride_kb + unit * stride_kh
    value_base = value_ptr + batch * stride_vb + unit * stride_vh
    mask_base = mask_ptr + batch * stride_mask
    q = load_rows(query_base, query, d, stride_qn, stride_qd, exists, D, PAD_D, False)  # [R, D]
    peak = tl.full([R], float("-inf"), tl.float32)
    total = tl.zeros([R], tl.float32)
    acc = tl.zeros([R, PAD_V], tl.float32)

    masked = 0
    if not HAS_MASK:
        plain = plain_steps(start + offset, sinks, low, high, PLAIN, CAUSAL)
        for step in tl.range(0, plain, num_stages=2):
            key, seen = near_keys(step, sinks, low, high, PLAIN)
            k = load_rows(key_base, key, d, stride_kn, stride_kd, seen, D, PAD_D, True)
            v = load_rows(value_base, key, e, stride_vn, stride_vd, seen, D_V, PAD_V, True)
            products = tl.dot(q, tl.trans(k), input_precision=PRECISION)
            acc, peak, total = add_keys(acc, peak, total, products, scale, 1.0, v, PRECISION)
        masked = plain * (PLAIN // KEYS)
    for step in tl.range(masked, near_steps(sinks, low, high, KEYS), num_stages=2):
        key, seen = near_keys(step, sinks, low, high, KEYS)
        if HAS_MASK:
            seen = seen & (tl.load(mask_base + key, mask=seen, other=0) != 0)
        k = load_rows(key_base, key, d, stride_kn, stride_kd, seen, D, PAD_D, False)
        v = load_rows(value_base, key, e, stride_vn, stride_vd, seen, D_V, PAD_V, False)
        products = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        allowed = seen[None, :]
        if CAUSAL:
            allowed = allowed & (key[None, :] <= last[:, None])
        products = tl.where(allowed, products, float("-inf"))
        acc, peak, total = add_keys(acc, peak, total, products, scale, 1.0, v, PRECISION)

    stop = low if CAUSAL else limit
    if low - sinks + limit - high > 0:
        program = head.to(tl.int64) * tl.num_programs(0) + place
        twice = 2.0 * tl.load(sum_ptr + program * R + row)
        own = threshold_of(threshold, place + first_tile, n_k, CAUSAL, R)
        inverse = 1.0 / (own * own)
        first, second = stream_words(seed, TAG, head, place + first_tile)
        bits = bits_ptr + program * (sketch_rows // 32)
        spread_base = spread_ptr + line * sketch_rows
        listed, prices, numbers = list_ptr + program * ROOM, price_ptr + program * ROOM, number_ptr + program * ROOM
        taken = tl.arange(0, KEYS)
        strip = tl.arange(0, R // STRIP)
        earlier = strip[:, None] > strip[None, :]
        at = sinks // 32
        while at * 32 < stop:
            count, at = list_keys(
                listed, prices, numbers, bits, spread_base, at, stop, sinks, low, high, limit, inverse, first, second,
                CAUSAL, ROOM, WORDS,
            )  # fmt: skip
            tl.debug_barrier()
            ahead = tl.load(listed + taken, mask=taken < count, other=0)  # a step before its keys are
            next_price = tl.load(prices + taken, mask=taken < count, other=0.0)
            next_number = tl.load(numbers + taken, mask=taken < count, other=float("inf"))
            for begin in tl.range(0, count, KEYS, num_stages=STAGES):
                has = begin + taken < count
                inside = ahead
                price, number = next_price, next_number
                more = begin + KEYS + taken < count
                ahead = tl.load(listed + begin + KEYS + taken, mask=more, other=0)
                next_price = tl.load(prices + begin + KEYS + taken, mask=more, other=0.0)
                next_number = tl.load(numbers + begin + KEYS + taken, mask=more, other=float("inf"))
                k = load_rows(key_base, inside, d, stride_kn, stride_kd, has, D, PAD_D, False)
                v = load_rows(value_base, inside, e, stride_vn, stride_vd, has, D_V, PAD_V, False)
                products = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
                chance = squared_chance(products, twice, price, earlier, R, STRIP, KEYS, LEAST)
                products -= tl.minimum(0.5 * log2(chance, PACKED), 0.0)
                products = tl.where(chance > number[None, :], products, float("-inf"))
                acc, peak, total = add_keys(acc, peak, total, products, 1.0, 1.0, v, PRECISION)
            tl.debug_barrier()

    store_result(out_ptr, lse_ptr, head.to(tl.int64) * n_q + query, e, exists, acc, peak, total, D_V)
