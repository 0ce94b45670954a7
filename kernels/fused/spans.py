"""Which blocks of KEYS keys a tile of queries reads, which of those it reads whole, and which keys nobody reads at all.

Found once for all heads, where a rule's masks come as tensors.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def limits_of(query, exists, batch, n_k, given, LIMITS: tl.constexpr):
    """(first, stop, some): keys [first, stop) of each query, int32 [R], in [0, n_k]; whether it has any."""
    if LIMITS is not None:
        first, stop = LIMITS(query, batch, n_k, given)
        first = tl.minimum(tl.maximum(first, 0), n_k).to(tl.int32)
        stop = tl.minimum(tl.maximum(stop, 0), n_k).to(tl.int32)
    else:
        first = tl.zeros_like(query).to(tl.int32)
        stop = first + n_k
    return first, stop, exists & (first < stop)


@triton.jit
def span_of(first, stop, some, n_k, KEYS: tl.constexpr):
    """(low, inner_low, inner_high, high): of blocks [low, high) somebody reads a key; of those [inner_low, inner_high),
    which may be none, every query that reads any key reads all."""
    low = tl.min(tl.where(some, first, n_k), 0) // KEYS
    high = tl.cdiv(tl.max(tl.where(some, stop, 0), 0), KEYS)
    inner_low = tl.maximum(tl.cdiv(tl.max(tl.where(some, first, 0), 0), KEYS), low)
    inner_high = tl.minimum(tl.min(tl.where(some, stop, n_k), 0) // KEYS, high)
    return low, inner_low, tl.maximum(inner_high, inner_low), tl.maximum(high, low)


@triton.jit
def find_spans(
    span_ptr,  # int32 [B or 1, tiles, 4], as `span_of`
    n_q,
    n_k,
    given,
    LIMITS: tl.constexpr,
    GROUPS_OF: tl.constexpr,
    REACH: tl.constexpr,
    R: tl.constexpr,
    KEYS: tl.constexpr,
    COUNT: tl.constexpr,  # blocks that are looked at together
):
    """The span of a tile, narrowed to the blocks that groups and key mask leave; one program a tile and batch.

    REACH: None where there are neither.
    """
    place = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    row = place * R + tl.arange(0, R)
    query = tl.minimum(row, n_q - 1).to(tl.int64)
    first, stop, has_some = limits_of(query, row < n_q, batch, n_k, given, LIMITS)
    low, inner_low, inner_high, high = span_of(first, stop, has_some, n_k, KEYS)
    if GROUPS_OF is not None:
        mine = GROUPS_OF(query, batch, given)
    if REACH is not None:
        reached_low, reached_high = high, low
        every_low, every_high = high, low
        covered = 0
        for at in range(low, high, COUNT):
            block = at + tl.arange(0, COUNT)
            key = block[:, None].to(tl.int64) * KEYS + tl.arange(0, KEYS)[None, :]
            key = tl.minimum(key, n_k - 1)
            if GROUPS_OF is not None:
                some, every = REACH(mine, key, batch, given)
            else:
                some, every = REACH(key, batch, given)
            some = some & (block < high)
            every = every & (block >= inner_low) & (block < inner_high)
            reached_low = tl.minimum(reached_low, tl.min(tl.where(some, block, high), 0))
            reached_high = tl.maximum(reached_high, tl.max(tl.where(some, block + 1, low), 0))
            every_low = tl.minimum(every_low, tl.min(tl.where(every, block, high), 0))
            every_high = tl.maximum(every_high, tl.max(tl.where(every, block + 1, low), 0))
            covered += tl.sum(every.to(tl.int32), 0)
        # One stretch without a mask, or none: with a gap in it all of it is looked at.
        is_whole = (covered > 0) & (covered == every_high - every_low)
        low, high = reached_low, tl.maximum(reached_high, reached_low)
        inner_low = tl.where(is_whole, every_low, low)
        inner_high = tl.where(is_whole, every_high, low)
    span = span_ptr + (batch * tl.num_programs(0) + place) * 4
    tl.store(span, low)
    tl.store(span + 1, inner_low)
    tl.store(span + 2, inner_high)
    tl.store(span + 3, high)


@triton.jit
def find_read(
    read_ptr,  # bytes [B or 1, n_k]
    span_ptr,  # int32 [B or 1, tiles, 4] by `find_spans`
    n_q,
    n_k,
    tiles,
    given,
    LIMITS: tl.constexpr,
    GROUPS_OF: tl.constexpr,
    KEEP: tl.constexpr,
    R: tl.constexpr,
    KEYS: tl.constexpr,
    COUNT: tl.constexpr,  # tiles that are looked at together
):
    """Does some query read a key? One program a block of keys and batch, which stops when all of them are read."""
    block = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    key = block * KEYS + tl.arange(0, KEYS)
    column = tl.minimum(key, n_k - 1).to(tl.int64)
    found = (key >= n_k).to(tl.int32)
    for at in range(0, tiles, COUNT):
        tile = at + tl.arange(0, COUNT)
        span = span_ptr + (batch * tiles + tile) * 4
        low, inner_low = tl.load(span, mask=tile < tiles, other=0), tl.load(span + 1, mask=tile < tiles, other=0)
        high, inner_high = tl.load(span + 3, mask=tile < tiles, other=0), tl.load(span + 2, mask=tile < tiles, other=0)
        found = tl.maximum(found, tl.max(((inner_low <= block) & (block < inner_high)).to(tl.int32), 0))
        is_near = (low <= block) & (block < high)
        place = tl.min(tl.where(is_near, tile, tiles), 0)
        while (place < tiles) & (tl.min(found, 0) == 0):
            row = place * R + tl.arange(0, R)
            query = tl.minimum(row, n_q - 1).to(tl.int64)
            first, stop, some = limits_of(query, row < n_q, batch, n_k, given, LIMITS)
            allowed = some[:, None] & (key[None, :] >= first[:, None]) & (key[None, :] < stop[:, None])
            if KEEP is not None:
                if GROUPS_OF is not None:
                    kept = KEEP(GROUPS_OF(query, batch, given), column, batch, given)
                else:
                    kept = KEEP(column, batch, given)
                allowed = allowed & kept
            found = tl.maximum(found, tl.max(allowed.to(tl.int32), 0))
            place = tl.min(tl.where(is_near & (tile > place), tile, tiles), 0)
    tl.store(read_ptr + batch * n_k + key, found.to(tl.uint8), mask=key < n_k)
