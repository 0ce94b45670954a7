"""Sets of keys as bits: bit j of word w stands for key 32·w + j."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def count_bits(words):
    """How many bits are set in each uint32."""
    words = words - ((words >> 1) & 0x55555555)
    words = (words & 0x33333333) + ((words >> 2) & 0x33333333)
    words = (words + (words >> 4)) & 0x0F0F0F0F
    return ((words * 0x01010101) >> 24).to(tl.int32)


@triton.jit
def _below(bit):
    """uint32 with the bits below number `bit` set: none for 0 and less, all from 32 on."""
    ones = (1 << tl.minimum(tl.maximum(bit, 0), 31)) - 1
    return tl.where(bit >= 32, -1, ones).to(tl.uint32, bitcast=True)


@triton.jit
def load_far(bits, at, sinks, low, high, limit, CAUSAL: tl.constexpr):
    """The words (uint32) whose first keys are `at`, without the keys that are not far; see `geometry.tile_edges`."""
    far = _below(low - at) & ~_below(sinks - at)
    if not CAUSAL:
        far = far | (_below(limit - at) & ~_below(high - at))
    return tl.load(bits + at // 32, mask=far != 0, other=0).to(tl.uint32, bitcast=True) & far
