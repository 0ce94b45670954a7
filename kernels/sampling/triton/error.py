"""The error that a tile's sample has, from the keys that were drawn: what `kernels.sampling.error` defines."""

from __future__ import annotations

import triton
import triton.language as tl

from ...fused.geometry import tile_edges
from ...fused.online import LOG2_E, load_rows
from .draws import stream_words, threshold_of
from .listed import list_keys, log2, squared_chance


@triton.jit(do_not_specialize=["first_tile", "seed"])
def sum_errors(
    query_ptr,  # [B, H, n_q, D]
    key_ptr,  # [B, H_kv, n_k, D]
    value_ptr,  # [B, H_kv, n_k, D_v]
    out_ptr,  # [B, H, n_q, D_v]: what the call gave
    lse_ptr,  # float32 [B·H, n_q]
    sum_ptr,  # float32 [B·H, tiles · R]
    bits_ptr,  # int32 [B·H, tiles, sketch_rows / 32]
    spread_ptr,  # float32 [B·H_kv, sketch_rows]
    list_ptr,  # int32 [B·H, tiles, ROOM]: positions
    price_ptr,  # float32 [B·H, tiles, ROOM]: spread / threshold², …
    number_ptr,  # float32 [B·H, tiles, ROOM]: squared random numbers
    error_ptr,  # float32 [B·H, all tiles, 3]: variance, size, largest; at the first of these tiles
    stride_qb, stride_qh, stride_qn, stride_qd,
    stride_kb, stride_kh, stride_kn, stride_kd,
    stride_vb, stride_vh, stride_vn, stride_vd,
    stride_ob, stride_oh, stride_on, stride_od,
    stride_error,  # between heads
    heads,
    group,
    n_q,
    n_k,
    offset,
    first_tile,
    every,  # tiles first_tile, first_tile + every, … are run
    window,
    most_sinks,
    sketch_rows,
    seed,
    threshold,  # of a tile that sees LENGTH keys
    scale,  # · log2(e), above 0
    CAUSAL: tl.constexpr,
    D: tl.constexpr,
    D_V: tl.constexpr,
    PAD_D: tl.constexpr,
    PAD_V: tl.constexpr,
    R: tl.constexpr,
    STRIP: tl.constexpr,
    KEYS: tl.constexpr,
    STAGES: tl.constexpr,
    ROOM: tl.constexpr,
    WORDS: tl.constexpr,
    TAG: tl.constexpr,
    PRECISION: tl.constexpr,
    PACKED: tl.constexpr,
    LEAST: tl.constexpr,  # squared probability
    LEAST_REST: tl.constexpr,
):  # fmt: skip
    place = tl.num_programs(0) - 1 - tl.program_id(0)
    tile = place * every
    head = tl.program_id(1)
    batch = (head // heads).to(tl.int64)
    unit = ((head % heads) // group).to(tl.int64)
    line = batch * (heads // group) + unit
    start, sinks, low, high, limit = tile_edges(tile, n_q, n_k, offset, first_tile, window, most_sinks, CAUSAL, R)
    query = start + tl.arange(0, R)
    exists = (query >= 0) & (query < n_q)
    d = tl.arange(0, PAD_D)
    e = tl.arange(0, PAD_V)
    key_base = key_ptr + batch * stride_kb + unit * stride_kh
    value_base = value_ptr + batch * stride_vb + unit * stride_vh
    query_base = query_ptr + batch * stride_qb + (head % heads).to(tl.int64) * stride_qh
    out_base = out_ptr + batch * stride_ob + (head % heads).to(tl.int64) * stride_oh
    lse = tl.load(lse_ptr + head.to(tl.int64) * n_q + query, mask=exists, other=float("-inf"))
    exists = lse > float("-inf")  # a row without keys may be NaN
    lse = tl.where(exists, lse, 0.0) * LOG2_E
    q = load_rows(query_base, query, d, stride_qn, stride_qd, exists, D, PAD_D, False)  # [R, D]
    o = load_rows(out_base, query, e, stride_on, stride_od, exists, D_V, PAD_V, False)  # [R, D_V]
    own_size = tl.sum(o.to(tl.float32) * o.to(tl.float32), 1)  # [R]
    variance = tl.zeros([KEYS], tl.float32)
    largest = tl.zeros([KEYS], tl.float32)

    stop = low if CAUSAL else limit
    if low - sinks + limit - high > 0:
        program = head.to(tl.int64) * tl.num_programs(0) + place
        twice = 2.0 * tl.load(sum_ptr + program * R + tl.arange(0, R))
        own = threshold_of(threshold, tile + first_tile, n_k, CAUSAL, R)
        inverse = 1.0 / (own * own)
        first, second = stream_words(seed, TAG, head, tile + first_tile)
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
            for begin in tl.range(0, count, KEYS, num_stages=STAGES):
                has = begin + taken < count
                inside = tl.load(listed + begin + taken, mask=has, other=0)
                price = tl.load(prices + begin + taken, mask=has, other=0.0)
                number = tl.load(numbers + begin + taken, mask=has, other=float("inf"))
                k = load_rows(key_base, inside, d, stride_kn, stride_kd, has, D, PAD_D, False)
                v = load_rows(value_base, inside, e, stride_vn, stride_vd, has, D_V, PAD_V, False)
                products = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
                chance = squared_chance(products, twice, price, earlier, R, STRIP, KEYS, LEAST)
                reads = (chance > number[None, :]) & exists[:, None]
                chance = tl.minimum(chance, 1.0)
                weight = tl.exp2(products - 0.5 * log2(chance, PACKED) - lse[:, None])
                moves = weight / tl.maximum(1.0 - weight, LEAST_REST)
                power = tl.sum(v.to(tl.float32) * v.to(tl.float32), 1)
                apart = own_size[:, None] + power[None, :]
                apart -= 2.0 * tl.dot(o, tl.trans(v), input_precision=PRECISION)
                terms = moves * moves * (1.0 - tl.sqrt(chance)) * tl.maximum(apart, 0.0)
                terms = tl.sum(tl.where(reads, terms, 0.0), 0)  # [KEYS]
                variance += terms
                largest = tl.maximum(largest, terms)
            tl.debug_barrier()

    error = error_ptr + head.to(tl.int64) * stride_error + place * 3
    tl.store(error, tl.sum(variance, 0))
    tl.store(error + 1, tl.sum(own_size, 0))
    tl.store(error + 2, tl.max(largest, 0))
