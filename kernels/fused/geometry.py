"""Which keys are near to a tile of queries, as `kernels.tiling` defines it, for the kernels."""

from __future__ import annotations

import triton
import triton.language as tl

from ..sampling import REFERENCE

_REFERENCE = tl.constexpr(REFERENCE)


@triton.jit
def tile_edges(
    place,  # number of the tile among those that are run
    n_q,
    n_k,
    offset,
    first_tile,
    window,
    most_sinks,
    CAUSAL: tl.constexpr,
    R: tl.constexpr,
):
    """(query of row 0, sinks, low, high, limit): the tile reads keys [0, sinks) and [low, high); [sinks, low) and
    [high, limit) are far. A row's query may be below 0 or beyond the last one."""
    position = (place + first_tile) * R
    start = position
    if CAUSAL:
        start = position - offset
        low = tl.minimum(tl.maximum(position - window, 0), n_k)
        low = tl.where(position >= most_sinks + _REFERENCE, low, 0)  # the others have no far keys
        high = tl.minimum(tl.minimum(start + R, n_q) + offset, n_k)
        limit = high
    else:
        stop = tl.minimum(start + R, n_q).to(tl.int64)
        at = (start.to(tl.int64) * n_k // n_q).to(tl.int32)
        until = ((stop * n_k + n_q - 1) // n_q).to(tl.int32)
        low = tl.maximum(at - window // 2, 0)
        high = tl.minimum(until + window // 2, n_k)
        limit = n_k
    return start, tl.minimum(most_sinks, low), low, high, limit


@triton.jit
def near_keys(step, sinks, low, high, KEYS: tl.constexpr):
    """(KEYS positions of a step over the near keys, sinks first and then local ones; which of them are near)."""
    sink_steps = tl.cdiv(sinks, KEYS)
    is_sink = step < sink_steps
    key = tl.where(is_sink, step * KEYS, low + (step - sink_steps) * KEYS) + tl.arange(0, KEYS)
    return key, key < tl.where(is_sink, sinks, high)


@triton.jit
def near_steps(sinks, low, high, KEYS: tl.constexpr):
    """Steps of `near_keys`."""
    return tl.cdiv(sinks, KEYS) + tl.cdiv(high - low, KEYS)


@triton.jit
def plain_steps(position, sinks, low, high, KEYS: tl.constexpr, CAUSAL: tl.constexpr):
    """How many of the first steps of `near_keys` hold keys alone that every row of a tile sees, whose row 0 stands at
    `position` of the keys."""
    edge = high
    if CAUSAL:
        edge = tl.minimum(position + 1, high)
    return tl.where(sinks % KEYS == 0, sinks // KEYS + tl.maximum(edge - low, 0) // KEYS, 0)
