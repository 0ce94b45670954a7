"""What `paper` draws and sorts, for every area of a call at once: hyperplanes, hash codes, sorted order, sampled ranks.

One pass over the rows gives each its code and its rank among the equal codes of its chunk, and counts the codes of the
chunk. A chunk lies inside one node of the deepest level of the recursion, so the counts of chunks are those of every
area on every level, and their running sums are the places where its rows go: a stable sort of each without another
look at the rows. The random bits are those of `kernels.lsh.Draws`.

Queries and keys stand in one table of lines: B·H lines of queries, then B·H_kv of keys. Places in a line count from
the start of the area, or of the causal square, whose nodes are numbered level by level (`walk`).
"""

from __future__ import annotations

import triton
import triton.language as tl


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
    spots_ptr,  # int32 [B·H, width]: code + 256 · rank in the chunk; −1 = takes no part
    counts_ptr,  # int32 [B·H, chunks, BUCKETS]
    stride_b,
    stride_h,
    stride_n,
    stride_d,
    stride_mask,
    heads,  # H
    width,
    chunks,
    row_start,
    count,  # rows of the area
    depth,  # of the deepest nodes
    pieces,  # chunks of one of them
    HAS_MASK: tl.constexpr,
    D: tl.constexpr,
    PAD_D: tl.constexpr,
    PLANES: tl.constexpr,
    BUCKETS: tl.constexpr,
    CHUNK: tl.constexpr,
    STEP: tl.constexpr,
    PRECISION: tl.constexpr,
):
    chunk = tl.program_id(0)
    line = tl.program_id(1)
    batch = (line // heads).to(tl.int64)
    start, stop = walk(chunk // pieces, depth, count)
    start += chunk % pieces * CHUNK
    stop = tl.minimum(stop, start + CHUNK)
    d = tl.arange(0, PAD_D)
    p = tl.arange(0, 16)
    step = tl.arange(0, STEP)
    bucket = tl.arange(0, BUCKETS)
    planes = tl.load(planes_ptr + d[:, None] * 16 + p[None, :])
    before = (step[None, :] < step[:, None]).to(tl.float16)  # [STEP, STEP]
    row_base = rows_ptr + batch * stride_b + (line % heads).to(tl.int64) * stride_h
    counts = tl.zeros([BUCKETS], tl.float32)
    for at in tl.range(start, stop, STEP, num_stages=2):
        place = at + step
        takes = place < stop
        row = row_start + place
        x = tl.load(
            row_base + row.to(tl.int64)[:, None] * stride_n + d[None, :] * stride_d,
            mask=takes[:, None] & (d < D)[None, :],
            other=0.0,
        )  # [STEP, D]
        if HAS_MASK:
            takes = takes & (tl.load(mask_ptr + batch * stride_mask + row, mask=takes, other=0) != 0)
        is_positive = (tl.dot(x, planes, input_precision=PRECISION) > 0.0) & (p < PLANES)[None, :]
        code = tl.sum(tl.where(is_positive, (tl.zeros([16], tl.int32) + 1 << p)[None, :], 0), 1)
        code = code ^ (code >> 1)
        code = code ^ (code >> 2)
        code = code ^ (code >> 4)  # the place in the Gray code
        same = (code[:, None] == bucket[None, :]) & takes[:, None]  # [STEP, BUCKETS]
        earlier = tl.dot(before, same.to(tl.float16))
        rank = tl.sum(tl.where(same, earlier + counts[None, :], 0.0), 1).to(tl.int32)
        counts += tl.sum(same.to(tl.float32), 0)
        spot = tl.where(takes, code + rank * 256, -1)
        tl.store(spots_ptr + line.to(tl.int64) * width + place, spot, mask=place < stop)
    table = counts_ptr + (line.to(tl.int64) * chunks + chunk) * BUCKETS
    tl.store(table + bucket, counts.to(tl.int32))


@triton.jit
def place_buckets(
    counts_ptr,  # int32 [lines, chunks, BUCKETS]
    places_ptr,  # int32 [levels, lines, chunks, BUCKETS]: where the first row of each code of a chunk goes
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
        heap = tl.program_id(0) + 1
        level = heap * 0
        for bit in range(1, levels):
            level += (heap >> bit > 0).to(tl.int32)
        node = heap - (level * 0 + 1 << level)
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
        tl.store(places_ptr + target + spot, reached[None, :] + tl.cumsum(counts, 0) - counts, mask=exists)
        reached += tl.sum(counts, 0)


@triton.jit
def place_rows(
    spots_ptr,  # int32 [lines, width]
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
    place = start + tl.arange(0, CHUNK)
    spot = tl.load(spots_ptr + line.to(tl.int64) * width + place, mask=place < stop, other=-1)
    takes = spot >= 0
    row = place + tl.where(is_key, key_start, query_start)
    for level in range(levels):
        area = (level * lines + line).to(tl.int64)
        has = takes
        if TREE:
            half = (node >> (levels - 1 - level)) & 1  # queries are the second, keys the first
            has = takes & (place * 0 + tl.where(is_key, 1 - half, half) == 1)
        first = tl.load(places_ptr + (area * chunks + chunk) * BUCKETS + (spot & 255), mask=has, other=0)
        tl.store(order_ptr + area * width + first + (spot >> 8), row, mask=has)


@triton.jit(do_not_specialize=["seed"])
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
        heap = place + 1
        level = heap * 0
        for bit in range(1, levels):
            level += (heap >> bit > 0).to(tl.int32)
        start, stop = walk(heap - (level * 0 + 1 << level), level, key_count)
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
