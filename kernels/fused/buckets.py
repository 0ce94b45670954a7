"""What `paper` draws and sorts, for every area of a call at once: hyperplanes, hash codes, sorted order, sampled ranks.

The rows are read once, for their codes. Then the codes are sorted and counted chunk by chunk. A chunk lies inside one
node of the deepest level of the recursion, so the chunks' counts are those of every area on every level, and their
running sums are the places where its rows go: a stable sort of each, for one sort of the chunks. The random bits are
those of `kernels.lsh.Draws`.

Queries and keys stand in one table of lines: B·H lines of queries, then B·H_kv of keys. Places in a line count from
the start of the area, or of the causal square, whose nodes are numbered level by level (`walk`).
"""

from __future__ import annotations

import triton
import triton.language as tl

from .online import load_rows


@triton.jit
def mix(x):
    """See `kernels.lsh.mix`; uint32."""
    x = x ^ (x >> 16)
    x = x * 0x7FEB352D
    x = x ^ (x >> 15)
    x = x * 0x846CA68B
    return x ^ (x >> 16)


@triton.jit
def stream(seed, TAG: tl.constexpr, first, second):
    """See `kernels.lsh.stream`."""
    TAGGED: tl.constexpr = (TAG * 0x3C6EF372) & 0xFFFFFFFF
    key = mix(tl.cast(seed, tl.uint32) + tl.full([], TAGGED, tl.uint32))
    return mix(mix(key + tl.cast(first, tl.uint32)) + tl.cast(second, tl.uint32))


@triton.jit
def word(key, counter):
    """See `kernels.lsh.word`."""
    return mix(mix(tl.cast(counter, tl.uint32) ^ key) + key)


@triton.jit
def walk(node, depth, count):
    """[start, stop) of a node at a depth of the tree of halves over [0, count)."""
    start = node * 0
    stop = start + count
    for level in range(depth):
        middle = start + (stop - start) // 2
        is_right = ((node >> (depth - 1 - level)) & 1) == 1
        start = tl.where(is_right, middle, start)
        stop = tl.where(is_right, stop, middle)
    return start, stop


@triton.jit
def level_and_node(number, levels):
    """Of a node's number, counted level by level from the root's 0: its level, and its place in that."""
    heap = number + 1
    level = heap * 0
    for bit in range(1, levels):
        level += (heap >> bit > 0).to(tl.int32)
    return level, heap - (level * 0 + 1 << level)


@triton.jit(do_not_specialize=["seed"])
def draw_planes(
    planes_ptr,  # [PAD_D, 16], in the rows' dtype; zeros where there is no feature and no plane
    seed,
    D: tl.constexpr,
    PAD_D: tl.constexpr,
    PLANES: tl.constexpr,
    TAG: tl.constexpr,
):
    d = tl.arange(0, PAD_D)[:, None]
    p = tl.arange(0, 16)[None, :]
    key = stream(seed, TAG, 0, 0)
    total = tl.zeros([PAD_D, 16], tl.int32)
    for half in tl.static_range(2):
        bits = word(key, (d * PLANES + p) * 2 + half).to(tl.int32, bitcast=True)
        total += ((bits >> 3) & 31) + ((bits >> 11) & 31) + ((bits >> 19) & 31) + ((bits >> 27) & 31)
    normals = tl.where((d < D) & (p < PLANES), (total - 124).to(tl.float32) / 32, 0.0)
    tl.store(planes_ptr + d * 16 + p, normals.to(planes_ptr.dtype.element_ty))


@triton.jit
def hash_rows(
    rows_ptr,  # [B, H, n, D]
    mask_ptr,  # bool [B or 1, n]
    planes_ptr,  # [PAD_D, 16]
    codes_ptr,  # int16 [B·H, width]; REST = takes no part
    stride_b,
    stride_h,
    stride_n,
    stride_d,
    stride_mask,
    heads,  # H
    width,
    row_start,
    count,  # rows of the area
    HAS_MASK: tl.constexpr,
    D: tl.constexpr,
    PAD_D: tl.constexpr,
    PLANES: tl.constexpr,
    REST: tl.constexpr,
    R: tl.constexpr,
    PRECISION: tl.constexpr,
):
    line = tl.program_id(1)
    batch = (line // heads).to(tl.int64)
    d = tl.arange(0, PAD_D)
    p = tl.arange(0, 16)
    place = tl.program_id(0) * R + tl.arange(0, R)
    exists = place < count
    row = row_start + place
    row_base = rows_ptr + batch * stride_b + (line % heads).to(tl.int64) * stride_h
    x = load_rows(row_base, row, d, stride_n, stride_d, exists, D, PAD_D, False)  # [R, D]
    planes = tl.load(planes_ptr + d[:, None] * 16 + p[None, :])
    is_positive = (tl.dot(x, planes, input_precision=PRECISION) > 0.0) & (p < PLANES)[None, :]
    code = tl.sum(tl.where(is_positive, (p * 0 + 1 << p)[None, :], 0), 1)
    code = code ^ (code >> 1)
    code = code ^ (code >> 2)
    code = code ^ (code >> 4)  # the place in the Gray code
    if HAS_MASK:
        code = tl.where(tl.load(mask_ptr + batch * stride_mask + row, mask=exists, other=0) != 0, code, REST)
    tl.store(codes_ptr + line.to(tl.int64) * width + place, code.to(tl.int16), mask=exists)


@triton.jit(do_not_specialize=["depth", "pieces"])
def sort_chunks(
    codes_ptr,  # int16 [lines, width]
    items_ptr,  # int32 [lines, width]: of every chunk the places in it, sorted by their codes; code + 1024 · place
    counts_ptr,  # int32 [lines, chunks, BUCKETS]
    query_lines,
    width,
    query_count,
    key_count,
    depth,  # of the deepest nodes
    pieces,  # chunks of one of them
    BUCKETS: tl.constexpr,
    REST: tl.constexpr,
    DIGITS: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """A stable radix sort, two bits a pass; the counts of the four digits stand in the four parts of one int64."""
    chunk = tl.program_id(0)
    line = tl.program_id(1)
    start, stop = walk(chunk // pieces, depth, tl.where(line >= query_lines, key_count, query_count))
    start += chunk % pieces * CHUNK
    number = tl.arange(0, CHUNK)
    exists = start + number < stop
    own = line.to(tl.int64) * width + start
    code = tl.load(codes_ptr + own + number, mask=exists, other=REST).to(tl.int32)
    bucket = tl.arange(0, 2 * BUCKETS)
    counts = tl.histogram(tl.where(code == REST, BUCKETS, code), 2 * BUCKETS)
    table = (line.to(tl.int64) * tl.num_programs(0) + chunk) * BUCKETS
    tl.store(counts_ptr + table + bucket, counts, mask=bucket < BUCKETS)
    item = code + number * 1024
    for digit in tl.static_range(DIGITS):
        shift = ((item >> (2 * digit)) & 3).to(tl.int64) * 16
        one = (number * 0 + 1).to(tl.int64) << shift
        below = tl.sum(one, 0) * 0x0001000100010000  # in each part the sum of the parts below
        target = ((((tl.cumsum(one, 0) + below) >> shift) & 65535) - 1).to(tl.int32)
        # What is behind the end has the largest code and the last places, and stays there.
        tl.store(items_ptr + own + target, item, mask=start + target < stop)
        tl.debug_barrier()
        item = tl.load(items_ptr + own + number, mask=exists, other=REST)
        tl.debug_barrier()


@triton.jit(do_not_specialize=["levels", "pieces"])
def place_buckets(
    counts_ptr,  # int32 [lines, chunks, BUCKETS]
    places_ptr,  # int32 [levels, lines, chunks, BUCKETS]: where rows of a code go, less their place in the sorted chunk
    valid_ptr,  # int32 [lines, nodes]: rows that take part
    query_lines,
    count,
    levels,
    pieces,
    query_chunks,
    key_chunks,
    TREE: tl.constexpr,
    BUCKETS: tl.constexpr,
    STEP: tl.constexpr,  # chunks at once
):
    lines = tl.num_programs(1)
    line = tl.program_id(1)
    is_key = line >= query_lines
    chunks = tl.maximum(query_chunks, key_chunks)
    if TREE:
        level, node = level_and_node(tl.program_id(0), levels)
        start, stop = walk(node, level, count)
        many = pieces << (levels - 1 - level)  # chunks of a child: queries are the second, keys the first
        first = (node * 2 + tl.where(is_key, 0, 1)) * many
        base = tl.where(is_key, start, start + (stop - start) // 2)
    else:
        level = line * 0
        many = tl.where(is_key, key_chunks, query_chunks)
        first = line * 0
        base = line * 0
    bucket = tl.arange(0, BUCKETS)
    step = tl.arange(0, STEP)
    table = (line.to(tl.int64) * chunks + first) * BUCKETS
    target = ((level.to(tl.int64) * lines + line) * chunks + first) * BUCKETS
    totals = tl.zeros([BUCKETS], tl.int32)
    for at in range(0, many, STEP):
        spot = (at + step)[:, None] * BUCKETS + bucket[None, :]
        totals += tl.sum(tl.load(counts_ptr + table + spot, mask=(at + step < many)[:, None], other=0), 0)
    valid = tl.sum(totals, 0)
    tl.store(valid_ptr + line.to(tl.int64) * tl.num_programs(0) + tl.program_id(0), valid)
    reached = base + tl.cumsum(totals, 0) - totals
    for at in range(0, many, STEP):
        spot = (at + step)[:, None] * BUCKETS + bucket[None, :]
        exists = (at + step < many)[:, None]
        counts = tl.load(counts_ptr + table + spot, mask=exists, other=0)
        before = tl.cumsum(counts, 1) - counts  # in the chunk
        tl.store(places_ptr + target + spot, reached[None, :] + tl.cumsum(counts, 0) - counts - before, mask=exists)
        reached += tl.sum(counts, 0)


@triton.jit(do_not_specialize=["levels", "pieces"])
def place_rows(
    items_ptr,  # int32 [lines, width]
    places_ptr,  # int32 [levels, lines, chunks, BUCKETS]
    order_ptr,  # int32 [levels, lines, width]: rows of the sequence, those of an area sorted by their codes
    query_lines,
    width,
    query_start,
    key_start,
    query_count,
    key_count,
    levels,
    pieces,
    TREE: tl.constexpr,
    BUCKETS: tl.constexpr,
    REST: tl.constexpr,
    CHUNK: tl.constexpr,
):
    chunk = tl.program_id(0)
    chunks = tl.num_programs(0)
    line = tl.program_id(1)
    lines = tl.num_programs(1)
    is_key = line >= query_lines
    node = chunk // pieces
    start, stop = walk(node, tl.where(TREE, levels, 0), tl.where(is_key, key_count, query_count))
    start += chunk % pieces * CHUNK
    number = tl.arange(0, CHUNK)
    item = tl.load(items_ptr + line.to(tl.int64) * width + start + number, mask=start + number < stop, other=REST)
    code = item & 1023
    takes = code != REST
    row = start + (item >> 10) + tl.where(is_key, key_start, query_start)
    for level in range(levels):
        area = (level * lines + line).to(tl.int64)
        has = takes
        if TREE:
            half = (node >> (levels - 1 - level)) & 1  # queries are the second, keys the first
            has = takes & (number * 0 + tl.where(is_key, 1 - half, half) == 1)
        first = tl.load(places_ptr + (area * chunks + chunk) * BUCKETS + code, mask=has, other=0)
        tl.store(order_ptr + area * width + first + number, row, mask=has)


@triton.jit(do_not_specialize=["seed", "levels"])
def draw_ranks(
    valid_ptr,  # int32 [lines, nodes]
    ranks_ptr,  # int32 [nodes, B or 1, 3, size]: for full blocks, the short last one, and blocks without keys
    seed,
    query_lines,
    units,  # H_kv
    size,
    block,
    key_start,
    key_count,
    levels,
    TREE: tl.constexpr,
    TAG: tl.constexpr,
    ROUNDS: tl.constexpr,
    STEP: tl.constexpr,
):
    place = tl.program_id(0)
    nodes = tl.num_programs(0)
    row = tl.program_id(1) // 3
    kind = tl.program_id(1) % 3
    start = place * 0
    length = start + key_count
    if TREE:
        level, node = level_and_node(place, levels)
        start, stop = walk(node, level, key_count)
        length = (stop - start) // 2
    valid = tl.load(valid_ptr + (query_lines + row * units).to(tl.int64) * nodes + place)
    population = tl.where(kind == 0, valid - block, tl.where(kind == 1, valid - valid % block, valid))
    some = tl.cast(tl.maximum(population, 1), tl.uint32)
    key = stream(seed, TAG, start + key_start, length)
    for at in range(0, size, STEP):
        number = at + tl.arange(0, STEP)
        first = tl.minimum(number, tl.maximum(population, 1) - 1)  # what is too many is not read
        rank = tl.cast(first, tl.uint32)
        for turn in range(ROUNDS):
            partner = word(key, 2 * turn) % some + some - rank
            partner = tl.where(partner >= some, partner - some, partner)
            swaps = mix(tl.maximum(rank, partner) ^ word(key, 2 * turn + 1)) >> 31
            rank = tl.where(swaps != 0, partner, rank)
        line = (place * (tl.num_programs(1) // 3) + row) * 3 + kind
        tl.store(ranks_ptr + line.to(tl.int64) * size + number, tl.cast(rank, tl.int32), mask=number < size)
