"""The search: every far key's price for a tile of queries, roughly, and whether the draw may take it: one bit a key.

A price is the norm over strips of 16 rows of the largest weight in each, times the distance of the key's value. The
products are of sketches, so what is compared with the key's random number is MARGIN times the rough price: attention
judges with exact scores.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...fused.geometry import tile_edges
from .draws import stream_words, threshold_of, uniform


@triton.jit
def _higher(one, other):
    """The maximum of float16 numbers, two at a time: what Triton makes of tl.maximum takes them one by one."""
    return tl.inline_asm_elementwise(
        "max.f16x2 $0, $1, $2;", "=r,r,r", [one, other], dtype=tl.float16, is_pure=True, pack=2
    )


@triton.jit
def _halves(scores, KEYS: tl.constexpr, WIDTH: tl.constexpr):
    """[KEYS, WIDTH] → twice [KEYS, WIDTH / 2]; in registers, as columns do not change hands."""
    return tl.split(tl.permute(tl.reshape(scores, [KEYS, 2, WIDTH // 2]), [0, 2, 1]))


@triton.jit
def _folded(scores, KEYS: tl.constexpr, WIDTH: tl.constexpr):
    """[KEYS, WIDTH] → [KEYS, 8]: maxima, halved as often as that takes; WIDTH is 16 to 128."""
    for fold in tl.static_range(4):
        if WIDTH >> fold > 8:
            one, other = _halves(scores, KEYS, WIDTH >> fold)
            scores = _higher(one, other)
    return scores


@triton.jit
def _packed_sum(one, pair):
    """one + the two float16 numbers that stand in `pair`, int32, two at a time; both of a pair hold the same word."""
    return tl.inline_asm_elementwise(
        "add.f16x2 $0, $1, $2;", "=r,r,r,r", [one, pair], dtype=tl.float16, is_pure=True, pack=2
    )


@triton.jit(do_not_specialize=["first_tile", "seed"])
def price_keys(
    query_ptr,  # sketches [B·H, tiles · R, PAD_D]
    bias_ptr,
    key_ptr,  # sketches [B·H_kv, sketch_rows, PAD_D]
    spread_ptr,  # float32 [B·H_kv, sketch_rows]
    bits_ptr,  # int32 [B·H, tiles, sketch_rows / 32]
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
    CAUSAL: tl.constexpr,
    PAD_D: tl.constexpr,
    R: tl.constexpr,
    KEYS: tl.constexpr,
    SPAN: tl.constexpr,
    STAGES: tl.constexpr,
    TAG: tl.constexpr,
    MARGIN: tl.constexpr,  # squared
    PACKED: tl.constexpr,
    POWER: tl.constexpr,
    LEAST: tl.constexpr,  # probability
):
    place = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1)
    unit = (head // heads * (heads // group) + (head % heads) // group).to(tl.int64)
    number = place * every
    _, sinks, low, _, limit = tile_edges(number, n_q, n_k, offset, first_tile, window, most_sinks, CAUSAL, R)
    program = head.to(tl.int64) * tl.num_programs(0) + place
    d = tl.arange(0, PAD_D)
    row = program * R + tl.arange(0, R)
    q = tl.trans(tl.load(query_ptr + row[:, None] * PAD_D + d[None, :]))  # [PAD_D, R]
    if PACKED:
        pair = tl.load(bias_ptr.to(tl.pointer_type(tl.int32)) + row // 2)
    else:
        bias = tl.load(bias_ptr + row).to(tl.float32)
    own = threshold_of(threshold, number + first_tile, n_k, CAUSAL, R)
    squared = own * own / MARGIN
    first, second = stream_words(seed, TAG, head, number + first_tile)
    PAIRS: tl.constexpr = KEYS // (2 * SPAN)
    at = tl.arange(0, KEYS)
    key = at % SPAN // 16 * (32 * PAIRS) + at // SPAN * 16 + at % 16
    key_base = key_ptr + unit * sketch_rows * PAD_D
    spread_base = spread_ptr + unit * sketch_rows
    tile = key[:, None] * PAD_D + d[None, :]
    bits = bits_ptr + program * (sketch_rows // 32)
    word = tl.arange(0, SPAN // 16)[None, :] * PAIRS + tl.arange(0, PAIRS)[:, None]
    bit = tl.arange(0, 16)[None, None, None, :]
    stop = low if CAUSAL else limit
    for start in tl.range(sinks // KEYS * KEYS, stop, KEYS, num_stages=STAGES):
        k = tl.load(key_base + start * PAD_D + tile)
        spread = tl.load(spread_base + start + key)
        scores = tl.dot(k, q, out_dtype=tl.float16 if PACKED else tl.float32)  # [KEYS, R]
        if PACKED:
            scores = _packed_sum(scores, tl.broadcast_to(pair[None, :], [KEYS, R]))
            best = _folded(scores, KEYS, R)  # [KEYS, 8]: the largest of each strip
        else:
            best = tl.max(tl.reshape(scores + bias[None, :], [KEYS, 16, R // 16]), 1)
        weight = tl.exp2(best.to(tl.float32) * (2.0 / POWER))
        price = tl.sum(weight, 1) * spread
        u = uniform(first, second, start + key)
        hits = ((price > u * u * squared) | ((u < LEAST * MARGIN) & (spread > 0.0))).to(tl.int32)
        hits = tl.sum(tl.reshape(hits, [PAIRS, 2, SPAN // 16, 16]) << bit, 3)
        even, odd = tl.split(tl.permute(hits, [0, 2, 1]))
        tl.store(bits + start // 32 + word, (even & 0xFFFF) | (odd << 16))
