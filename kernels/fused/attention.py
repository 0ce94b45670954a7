"""Attention of a portion of a tile of queries: near keys, then section by section the keys that the search told, and
the means of its blocks, in one online softmax.

The definition is that of `kernels.hyper` and `kernels.far`. One program does `ROWS` rows of a tile of one query head:
the fewer they are, the fewer keys are told to some of them, but the more often a key is loaded. It keeps its queries,
running maximum `peak`, sum `total` and numerator `acc` from the first key to the last. The search's bits become dense
tiles of keys by index: of a stretch of `SECTIONS` sections, word by word, the numbers of the set bits go to the
program's own scratch, so that nothing must be sized by what was found. Which query reads a key is decided by exact
scores: in each strip of `STRIP` rows (16: what one warp holds), from the first row on whose score reaches its bound.
What a query read of a section its means do not stand for. Where the heads of the tile before were told over half of
their keys, all are near (`kernels.selectors.search`): such a tile is not cut, so that keys are loaded once for it.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .bits import count_bits, load_far
from .geometry import is_far_block, near_keys, near_steps, plain_steps, tile_edges
from .online import add_keys, load_rows, store_result
from .sizes import Takes

ALL, SOME, WHOLE = (tl.constexpr(int(takes)) for takes in Takes)


@triton.jit
def _either(one, other):
    return one | other


@triton.jit
def _from_first_on(passes, R: tl.constexpr, STRIP: tl.constexpr, KEYS: tl.constexpr):
    """bool [R, KEYS]: in each strip of rows, from the first on that passes."""
    row = tl.arange(0, R)
    if STRIP <= 16:  # a bit for each row of the strip, two keys to a word: half as many to exchange
        one, other = tl.split(tl.reshape(passes.to(tl.int32), [R, KEYS // 2, 2]))
        words = (one << (row % STRIP)[:, None]) | (other << (row % STRIP + 16)[:, None])
        words = tl.reduce(tl.reshape(words, [R // STRIP, STRIP, KEYS // 2]), 1, _either)
        words = tl.broadcast_to(words[:, None, :], [R // STRIP, STRIP, KEYS // 2])
        words = tl.reshape(words, [R, KEYS // 2])
        until = (2 << (row % STRIP)) - 1
        one = (words & until[:, None]) != 0
        other = (words & (until << 16)[:, None]) != 0
        return tl.reshape(tl.join(one, other), [R, KEYS])
    else:
        first = tl.where(passes, row[:, None], R)
        first = tl.min(tl.reshape(first, [R // STRIP, STRIP, KEYS]), 1)
        first = tl.broadcast_to(first[:, None, :], [R // STRIP, STRIP, KEYS])
        return row[:, None] >= tl.reshape(first, [R, KEYS])


@triton.jit(do_not_specialize=["first_tile", "first_place"])  # one kernel for every slice
def attend_tile(
    query_ptr,  # [B, H, n_q, D]
    key_ptr,  # [B, H_kv, n_k, D]
    value_ptr,  # [B, H_kv, n_k, D_v]
    mask_ptr,  # bool [B or 1, n_k]
    mean_key_ptr,  # [B·H_kv, m, D]
    mean_value_ptr,  # [B·H_kv, m, D_v]
    log_count_ptr,  # float32 [B·H_kv, m]: log2 of a block's visible keys
    out_ptr,  # [B, H, n_q, D_v] contiguous
    lse_ptr,  # float32 [B, H, n_q]
    bound_ptr,  # float32 [B·H, tiles · R]
    bits_ptr,  # int32 [B·H, tiles, R / ROWS, sketch_rows / 32]
    excess_ptr,  # int32 [B, all tiles, H]: a sum above 0 over the heads of a tile lets the next one read all
    list_ptr,  # int16 [B·H, tiles, R / ROWS, SECTIONS · BLOCKS · BLOCK]
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
    scale,  # · log2(e), above 0
    CAUSAL: tl.constexpr,
    HAS_MASK: tl.constexpr,
    HAS_MEANS: tl.constexpr,
    SEARCHES: tl.constexpr,
    TAKES: tl.constexpr,  # one of sizes.Takes
    PAD_HEADS: tl.constexpr,
    BLOCK: tl.constexpr,
    D: tl.constexpr,
    D_V: tl.constexpr,
    PAD_D: tl.constexpr,
    PAD_V: tl.constexpr,
    R: tl.constexpr,  # rows of a tile
    ROWS: tl.constexpr,  # of a portion: of a program
    STRIP: tl.constexpr,  # of rows, ROWS at most
    KEYS: tl.constexpr,  # of a step
    PLAIN: tl.constexpr,  # of a step that every row sees; a multiple of KEYS
    MEANS: tl.constexpr,  # of a step
    STAGES: tl.constexpr,  # of the found keys' pipeline
    BLOCKS: tl.constexpr,  # of a section
    SECTIONS: tl.constexpr,  # of a stretch: its keys are listed at once
    PAD_SECTIONS: tl.constexpr,  # 1, or as many as a product takes
    PAD_WORDS: tl.constexpr,  # of a stretch, of 32 keys each, a power of two
    PRECISION: tl.constexpr,
):
    # The longest tiles first; tiles of one head run side by side and share its keys in the L2 cache.
    PORTIONS: tl.constexpr = R // ROWS
    number = tl.num_programs(0) - 1 - tl.program_id(0)
    place, portion = number // PORTIONS, number % PORTIONS
    head = tl.program_id(1)
    batch = (head // heads).to(tl.int64)
    unit = ((head % heads) // group).to(tl.int64)
    units = heads // group
    table = (batch * units + unit) * blocks

    row = tl.arange(0, ROWS)
    start, sinks, low, high, limit = tile_edges(
        place, n_q, n_k, offset, first_tile, window, first_far, CAUSAL, BLOCK, R
    )
    if SEARCHES:
        # Where the heads of the tile before were told over half, this one reads all keys, as if they were near.
        order = first_place + place
        member = tl.arange(0, PAD_HEADS)
        told = excess_ptr + (batch * places + order - 1) * heads + member
        is_dense = tl.sum(tl.load(told, mask=member < tl.where(order > 0, heads, 0), other=0), 0) > 0
        if TAKES != ALL:  # noqa: SIM102  (what is known when compiling goes first)
            if is_dense != (TAKES == WHOLE):
                return
        if TAKES != SOME:
            low = tl.where(is_dense, sinks, low)
            high = tl.where(is_dense, limit, high)
    start += portion * ROWS
    until = high  # near keys that some row of the portion sees
    if CAUSAL:
        until = tl.minimum(high, start + ROWS + offset)
    query = start + row
    exists = (query >= 0) & (query < n_q)
    last = query + offset  # the last key that a query sees

    d = tl.arange(0, PAD_D)
    e = tl.arange(0, PAD_V)
    query_base = query_ptr + batch * stride_qb + (head % heads).to(tl.int64) * stride_qh
    key_base = key_ptr + batch * stride_kb + unit * stride_kh
    value_base = value_ptr + batch * stride_vb + unit * stride_vh
    mask_base = mask_ptr + batch * stride_mask
    q = load_rows(query_base, query, d, stride_qn, stride_qd, exists, D, PAD_D, False)  # [ROWS, D]

    peak = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    acc = tl.zeros([ROWS, PAD_V], tl.float32)

    # Near keys: the sinks, then the local ones; first the steps of which every row sees every key.
    masked = 0
    if not HAS_MASK:
        plain = plain_steps(start + offset, sinks, low, until, PLAIN, CAUSAL)
        for step in tl.range(0, plain, num_stages=2):
            key, seen = near_keys(step, sinks, low, until, PLAIN)
            k = load_rows(key_base, key, d, stride_kn, stride_kd, seen, D, PAD_D, True)
            v = load_rows(value_base, key, e, stride_vn, stride_vd, seen, D_V, PAD_V, True)
            products = tl.dot(q, tl.trans(k), input_precision=PRECISION)  # [ROWS, PLAIN]
            acc, peak, total = add_keys(acc, peak, total, products, scale, 1.0, v, PRECISION)
        masked = plain * (PLAIN // KEYS)
    for step in tl.range(masked, near_steps(sinks, low, until, KEYS), num_stages=2):
        key, seen = near_keys(step, sinks, low, until, KEYS)
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

    has_far = low - sinks + limit - high > 0
    if TAKES == WHOLE:
        has_far = False
    if has_far:
        program = head.to(tl.int64) * tl.num_programs(0) + number
        section = tl.arange(0, PAD_SECTIONS)
        if SEARCHES:
            bound = tl.load(bound_ptr + program * ROWS + row) / scale
            bits = bits_ptr + program * (sketch_rows // 32)
            found = list_ptr + program * (SECTIONS * BLOCKS * BLOCK)
            taken = tl.arange(0, KEYS)
            word = tl.arange(0, PAD_WORDS)
        stop = low if CAUSAL else limit
        for stretch in tl.range(0, stop, SECTIONS * BLOCKS * BLOCK, num_stages=1):
            end = stretch + SECTIONS * BLOCKS * BLOCK
            # Keys that a row reads: by section, or of the only one by lanes, as a product's columns lie.
            read = tl.zeros([ROWS, PAD_SECTIONS], tl.float32) if SECTIONS > 1 else tl.zeros([ROWS, 4], tl.int32)
            if SEARCHES:
                words = load_far(
                    bits, stretch + word * 32, sinks, tl.minimum(low, end), high, tl.minimum(limit, end), CAUSAL
                )
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
                ahead = tl.load(found + taken, mask=taken < count, other=0)  # a step before its keys are
                for start in tl.range(0, count, KEYS, num_stages=STAGES):
                    has = start + taken < count
                    inside = ahead.to(tl.int32)
                    ahead = tl.load(found + start + KEYS + taken, mask=start + KEYS + taken < count, other=0)
                    k = load_rows(key_base, stretch + inside, d, stride_kn, stride_kd, has, D, PAD_D, False)
                    v = load_rows(value_base, stretch + inside, e, stride_vn, stride_vd, has, D_V, PAD_V, False)
                    products = tl.dot(q, tl.trans(k), input_precision=PRECISION)
                    passes = (products >= bound[:, None]) & has[None, :]
                    reads = _from_first_on(passes, ROWS, STRIP, KEYS)
                    products = tl.where(reads, products, float("-inf"))
                    acc, peak, total = add_keys(acc, peak, total, products, scale, 1.0, v, PRECISION)
                    if HAS_MEANS:
                        if SECTIONS > 1:  # zeros and ones, summed in float32: exact
                            belongs = (inside // (BLOCKS * BLOCK))[:, None] == section[None, :]
                            read = tl.dot(reads.to(tl.float16), belongs.to(tl.float16), read)
                        else:
                            some = tl.reshape(reads.to(tl.int32), [ROWS, KEYS // 8, 4, 2])
                            read += tl.sum(tl.sum(some, 3), 1)
                tl.debug_barrier()
            if HAS_MEANS:
                block = stretch // BLOCK + section[:, None] * BLOCKS + tl.arange(0, BLOCKS)[None, :]
                filled = (section < SECTIONS)[:, None] & is_far_block(block, sinks, low, high, limit, CAUSAL, BLOCK)
                visible = tl.exp2(tl.load(log_count_ptr + table + block, mask=filled, other=float("-inf")))
                visible = tl.maximum(tl.sum(visible, 1), 1.0)[None, :]  # [1, PAD_SECTIONS]
                count = read if SECTIONS > 1 else tl.sum(read, 1).to(tl.float32)[:, None]
                left = tl.maximum(visible - count, 0.0) / visible  # [ROWS, PAD_SECTIONS]: what a row does not read
                last_block = tl.cdiv(tl.minimum(stop, end), BLOCK)
                for start in tl.range(tl.maximum(stretch, sinks) // BLOCK, last_block, MEANS, num_stages=2):
                    mean = start + tl.arange(0, MEANS)
                    is_far = is_far_block(mean, sinks, low, high, limit, CAUSAL, BLOCK) & (mean < last_block)
                    k = load_rows(mean_key_ptr, table + mean, d, D, 1, is_far, D, PAD_D, False)
                    v = load_rows(mean_value_ptr, table + mean, e, D_V, 1, is_far, D_V, PAD_V, False)
                    sizes = tl.load(log_count_ptr + table + mean, mask=is_far, other=float("-inf"))
                    products = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale + sizes[None, :]
                    times = left
                    if SECTIONS > 1:
                        belongs = ((mean - stretch // BLOCK) // BLOCKS)[None, :] == section[:, None]
                        times = tl.dot(
                            left.to(v.dtype), belongs.to(v.dtype), input_precision=PRECISION
                        )  # [ROWS, MEANS]
                    acc, peak, total = add_keys(acc, peak, total, products, 1.0, times, v, PRECISION)

    store_result(out_ptr, lse_ptr, head.to(tl.int64) * n_q + query, e, exists, acc, peak, total, D_V)
