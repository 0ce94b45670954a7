"""The search: sketches of the queries, then every key's best score with a portion of a tile of them, one bit a key.

A query's sketch is the query times what makes `HIT` of a score that reaches its threshold: with the centre c,
HIT·(s − s_c) / max(limit − s_c, least). So the search is one matrix product, the maximum over a portion's queries, and
one comparison. Its sums are float16, which holds 500 times a threshold and costs half as much to fold. `MARGIN` below
`HIT` a key is still told: attention judges with the exact score, and float8 rounds.

Where a tile's heads are told over a share `DENSE` of their far keys, every key matters a little, and the next tile
reads all: by how much a head is above that share is said too.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .bits import count_bits, load_far
from .geometry import is_far_block, near_keys, near_steps, plain_steps, tile_edges
from .online import load_rows


@triton.jit
def sum_up(peak, total, scores, scale):
    """Add the weights of scores [R, N] (−inf: not read), which `scale` > 0 makes log2 units."""
    higher = tl.maximum(peak, tl.max(scores, 1) * scale)
    base = tl.where(higher == float("-inf"), 0.0, higher)
    total = total * tl.exp2(peak - base) + tl.sum(tl.exp2(scores * scale - base[:, None]), 1)
    return higher, total


@triton.jit(do_not_specialize=["first_tile"])  # one kernel for every slice
def sketch_queries(
    query_ptr,  # [B, H, n_q, D]
    key_ptr,  # [B, H_kv, n_k, D]
    mask_ptr,  # bool [B or 1, n_k]
    mean_key_ptr,  # [B·H_kv, m, D]
    power_ptr,  # float32 [B·H_kv]
    sketch_ptr,  # [B·H, tiles · R, PAD_D]
    bound_ptr,  # float32 [B·H, tiles · R]: the score from which on a key is read, log2 units; inf = no query
    stride_qb,
    stride_qh,
    stride_qn,
    stride_qd,
    stride_kb,
    stride_kh,
    stride_kn,
    stride_kd,
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
    scale,  # · log2(e), above 0
    log_threshold,  # log2
    least,  # in log2 units
    CAUSAL: tl.constexpr,
    HAS_MASK: tl.constexpr,
    BLOCK: tl.constexpr,
    D: tl.constexpr,
    PAD_D: tl.constexpr,
    R: tl.constexpr,  # rows of a tile
    KEYS: tl.constexpr,
    PRECISION: tl.constexpr,
    HIT: tl.constexpr,
    SKETCH_MOST: tl.constexpr,
):
    place = tl.program_id(0)
    head = tl.program_id(1)
    batch = (head // heads).to(tl.int64)
    unit = ((head % heads) // group).to(tl.int64)
    line = batch * (heads // group) + unit
    start, sinks, low, high, _ = tile_edges(place, n_q, n_k, offset, first_tile, window, first_far, CAUSAL, BLOCK, R)
    query = start + tl.arange(0, R)
    exists = (query >= 0) & (query < n_q)
    d = tl.arange(0, PAD_D)
    query_base = query_ptr + batch * stride_qb + (head % heads).to(tl.int64) * stride_qh
    q = load_rows(query_base, query, d, stride_qn, stride_qd, exists, D, PAD_D, False)  # [R, D]
    key_base = key_ptr + batch * stride_kb + unit * stride_kh
    peak = tl.full([R], float("-inf"), tl.float32)
    total = tl.zeros([R], tl.float32)
    plain = 0
    if not HAS_MASK:  # the steps of which every row sees every key
        plain = plain_steps(start + offset, sinks, low, high, KEYS, CAUSAL)
        for step in tl.range(0, plain, num_stages=2):
            key, seen = near_keys(step, sinks, low, high, KEYS)
            k = load_rows(key_base, key, d, stride_kn, stride_kd, seen, D, PAD_D, True)
            scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)  # [R, KEYS]
            peak, total = sum_up(peak, total, scores, scale)
    for step in tl.range(plain, near_steps(sinks, low, high, KEYS), num_stages=2):
        key, seen = near_keys(step, sinks, low, high, KEYS)
        if HAS_MASK:
            seen = seen & (tl.load(mask_ptr + batch * stride_mask + key, mask=seen, other=0) != 0)
        k = load_rows(key_base, key, d, stride_kn, stride_kd, seen, D, PAD_D, False)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        allowed = seen[None, :]
        if CAUSAL:
            allowed = allowed & (key[None, :] <= (query + offset)[:, None])
        peak, total = sum_up(peak, total, tl.where(allowed, scores, float("-inf")), scale)
    centre = tl.load(mean_key_ptr + (line * blocks + first_far // BLOCK) * D + d, mask=d < D, other=0.0)
    wide = q.to(tl.float32)
    common = tl.sum(wide * centre.to(tl.float32)[None, :], 1) * scale
    above = tl.maximum(tl.where(total > 0.0, peak + tl.log2(total) + log_threshold - common, least), least)
    factor = scale * HIT / (above * tl.load(power_ptr + line))
    sketch = tl.minimum(tl.maximum(wide * factor[:, None], -SKETCH_MOST), SKETCH_MOST)
    row = (head.to(tl.int64) * tl.num_programs(0) + place) * R + tl.arange(0, R)
    tl.store(sketch_ptr + row[:, None] * PAD_D + d[None, :], sketch.to(sketch_ptr.dtype.element_ty))
    tl.store(bound_ptr + row, tl.where(exists, common + above, float("inf")))


@triton.jit
def _higher(one, other):
    """The maximum of float16 numbers, two at a time: what Triton makes of tl.maximum takes them one by one."""
    return tl.inline_asm_elementwise(
        "max.f16x2 $0, $1, $2;", "=r,r,r", [one, other], dtype=tl.float16, is_pure=True, pack=2
    )


@triton.jit
def _higher_pair(one, other):
    """The same of numbers that stand two in an int32."""
    return tl.inline_asm_elementwise(
        "max.f16x2 $0, $1, $2;", "=r,r,r", [one, other], dtype=tl.int32, is_pure=True, pack=1
    )


@triton.jit
def _halves(scores, KEYS: tl.constexpr, WIDTH: tl.constexpr):
    """[KEYS, WIDTH] → twice [KEYS, WIDTH / 2]; in registers, as columns do not change hands."""
    return tl.split(tl.permute(tl.reshape(scores, [KEYS, 2, WIDTH // 2]), [0, 2, 1]))


@triton.jit
def folded(scores, KEYS: tl.constexpr, WIDTH: tl.constexpr):
    """[KEYS, WIDTH] → [KEYS, 8]: maxima, halved as often as that takes; WIDTH is 16 to 128."""
    for fold in tl.static_range(4):
        if WIDTH >> fold > 8:
            one, other = _halves(scores, KEYS, WIDTH >> fold)
            scores = _higher(one, other)
    return scores


@triton.jit
def _hits(scores, passing, KEYS: tl.constexpr, WIDTH: tl.constexpr, PACKED: tl.constexpr):
    """int32 [KEYS]: 1 where a score of [KEYS, WIDTH] passes."""
    if PACKED:
        scores = folded(scores, KEYS, WIDTH)
    return (tl.max(scores, 1) >= passing).to(tl.int32)


@triton.jit
def _hits_of_halves(scores, passing, KEYS: tl.constexpr, WIDTH: tl.constexpr, PACKED: tl.constexpr):
    """int32 [KEYS]: bit 0 where a score of the first half of the columns passes, bit 16 for the second half."""
    one, other = _halves(scores, KEYS, WIDTH)
    if PACKED:  # what lanes exchange for one they exchange for both
        one = folded(one, KEYS, WIDTH // 2).to(tl.int16, bitcast=True).to(tl.int32) & 0xFFFF
        other = folded(other, KEYS, WIDTH // 2).to(tl.int16, bitcast=True).to(tl.int32) << 16
        best = tl.reduce(one | other, 1, _higher_pair)
        first = best.to(tl.int16).to(tl.float16, bitcast=True) >= passing
        second = (best >> 16).to(tl.int16).to(tl.float16, bitcast=True) >= passing
    else:
        first, second = tl.max(one, 1) >= passing, tl.max(other, 1) >= passing
    return first.to(tl.int32) | (second.to(tl.int32) << 16)


@triton.jit(do_not_specialize=["first_tile", "first_place"])  # one kernel for every slice
def search_keys(
    query_ptr,  # sketches [B·H, tiles · R, PAD_D]
    key_ptr,  # sketches [B·H_kv, sketch_rows, PAD_D]
    bits_ptr,  # int32 [B·H, tiles, PORTIONS, sketch_rows / 32]; bit j of word w: key 32·w + j may be read
    log_count_ptr,  # float32 [B·H_kv, m]: log2 of a block's visible keys
    excess_ptr,  # int32 [B, all tiles, H]: keys that may be read / DENSE less the visible far keys
    heads,
    group,
    n_q,
    n_k,
    blocks,  # m
    offset,
    first_tile,
    window,
    first_far,
    first_place,  # of the first tile among all of the call
    places,  # all tiles of the call
    sketch_rows,  # a multiple of KEYS
    passing,  # (1 − MARGIN) · HIT
    CAUSAL: tl.constexpr,
    BLOCK: tl.constexpr,
    PAD_D: tl.constexpr,
    R: tl.constexpr,
    PORTIONS: tl.constexpr,  # of a tile: 1 or 2
    KEYS: tl.constexpr,
    SPAN: tl.constexpr,  # rows that one product takes over all warps, 16 each; KEYS is a multiple of twice as many
    STAGES: tl.constexpr,
    HAS_MASK: tl.constexpr,
    WORDS: tl.constexpr,  # counted at a time
    DENSE: tl.constexpr,
    PACKED: tl.constexpr,  # sums in float16, folded by instructions that take two of them
):
    # The longest tiles first; tiles of one head run side by side and share its keys in the L2 cache.
    place = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1)
    unit = (head // heads * (heads // group) + (head % heads) // group).to(tl.int64)
    _, sinks, low, high, limit = tile_edges(place, n_q, n_k, offset, first_tile, window, first_far, CAUSAL, BLOCK, R)
    program = head.to(tl.int64) * tl.num_programs(0) + place
    d = tl.arange(0, PAD_D)
    row = program * R + tl.arange(0, R)
    q = tl.trans(tl.load(query_ptr + row[:, None] * PAD_D + d[None, :]))  # [PAD_D, R]
    # Rows of a product are keys, in such an order that one warp holds all of a word: 16 of each of two spans. Else
    # words go from warp to warp, past barriers.
    PAIRS: tl.constexpr = KEYS // (2 * SPAN)  # of spans
    at = tl.arange(0, KEYS)
    key = at % SPAN // 16 * (32 * PAIRS) + at // SPAN * 16 + at % 16
    key_base = key_ptr + unit * sketch_rows * PAD_D
    tile = key[:, None] * PAD_D + d[None, :]
    line = sketch_rows // 32  # words of a portion
    bits = bits_ptr + program * PORTIONS * line
    word = tl.arange(0, SPAN // 16)[None, :] * PAIRS + tl.arange(0, PAIRS)[:, None]  # [PAIRS, SPAN / 16]
    to_portion = tl.arange(0, 2)[None, None, :] * line
    bit = tl.arange(0, 16)[None, None, None, :]
    stop = low if CAUSAL else limit
    for start in tl.range(sinks // KEYS * KEYS, stop, KEYS, num_stages=STAGES):
        k = tl.load(key_base + start * PAD_D + tile)
        scores = tl.dot(k, q, out_dtype=tl.float16 if PACKED else tl.float32)  # [KEYS, R]
        if PORTIONS == 1:
            hits = _hits(scores, passing, KEYS, R, PACKED)
        else:
            hits = _hits_of_halves(scores, passing, KEYS, R, PACKED)
        hits = tl.sum(tl.reshape(hits, [PAIRS, 2, SPAN // 16, 16]) << bit, 3)
        even, odd = tl.split(tl.permute(hits, [0, 2, 1]))  # 16 keys of each of two spans
        words = (even & 0xFFFF) | (odd << 16)
        if PORTIONS == 1:
            tl.store(bits + start // 32 + word, words)
        else:
            others = ((even >> 16) & 0xFFFF) | (odd & -65536)
            tl.store(bits + start // 32 + (word[:, :, None] + to_portion), tl.join(words, others))

    tl.debug_barrier()  # what other threads stored is read
    step = tl.arange(0, WORDS)
    told = tl.zeros([WORDS], tl.int32)
    for start in tl.range(0, stop, 32 * WORDS):
        words = load_far(bits, start + 32 * step, sinks, low, high, limit, CAUSAL)
        if PORTIONS > 1:
            words = words | load_far(bits + line, start + 32 * step, sinks, low, high, limit, CAUSAL)
        told += count_bits(words)
    far = (low - sinks + limit - high).to(tl.float32)
    if HAS_MASK:
        visible = tl.zeros([WORDS], tl.float32)
        for start in tl.range(sinks // BLOCK, tl.cdiv(stop, BLOCK), WORDS):
            block = start + step
            is_far = is_far_block(block, sinks, low, high, limit, CAUSAL, BLOCK)
            visible += tl.exp2(tl.load(log_count_ptr + unit * blocks + block, mask=is_far, other=float("-inf")))
        far = tl.sum(visible, 0)
    excess = tl.sum(told, 0).to(tl.float32) / DENSE - far
    at_tile = (head // heads).to(tl.int64) * places + first_place + place
    tl.store(excess_ptr + at_tile * heads + head % heads, tl.floor(excess + 0.5).to(tl.int32))
