"""The random numbers of `kernels.sampling.draws` inside a kernel, the same bits, and a tile's threshold."""

from __future__ import annotations

import triton
import triton.language as tl

from ...fused.buckets import mix, stream
from .. import LENGTH, POWER

_LENGTH, _POWER = tl.constexpr(float(LENGTH)), tl.constexpr(POWER)


@triton.jit
def stream_words(seed, TAG: tl.constexpr, line, tile):
    """The two words that name the numbers of one tile of one head."""
    first = stream(seed, TAG, line, tile)
    return first, mix(first ^ tl.full([], 0x9E3779B9, tl.uint32))


@triton.jit
def uniform(first, second, key):
    """A number in (0, 1) for each key; float32."""
    x = tl.cast(key, tl.uint32) * 0x9E3779B1 + first
    x = x ^ (x >> 16)
    x = x * 0x7FEB352D
    x = x ^ (x >> 15) ^ second
    x = x * 0x846CA68B
    x = x ^ (x >> 16)
    return ((x >> 8).to(tl.int32).to(tl.float32) + 0.5) * 5.9604644775390625e-08  # 2^-24


@triton.jit
def threshold_of(threshold, tile, n_k, CAUSAL: tl.constexpr, R: tl.constexpr):
    """`kernels.sampling.threshold_of` of a tile by its number among those of all positions."""
    visible = (tile + 1) * R if CAUSAL else n_k
    return threshold * tl.exp2(tl.log2(tl.cast(visible, tl.float32) / _LENGTH) * -_POWER)
