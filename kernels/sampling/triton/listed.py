"""What a tile reads of the keys that the search marked: lists of them, and exact probabilities."""

from __future__ import annotations

import triton
import triton.language as tl

from ...fused.bits import count_bits, load_far
from .draws import uniform


@triton.jit
def list_keys(
    listed,  # positions
    prices,  # spread / threshold², …
    numbers,  # squared random numbers
    bits,
    spreads,
    at,  # the first word that is not listed yet
    stop,
    sinks,
    low,
    high,
    limit,
    inverse,  # 1 / threshold²
    first,
    second,
    CAUSAL: tl.constexpr,
    ROOM: tl.constexpr,
    WORDS: tl.constexpr,  # listed at a time; ROOM is more than 32 · WORDS
):
    """(how many keys were listed, the next word): marked far keys in order of position, until the room is full."""
    count = 0
    word = tl.arange(0, WORDS)
    while (at * 32 < stop) & (count <= ROOM - 32 * WORDS):  # list what fits
        words = load_far(bits, (at + word) * 32, sinks, low, high, limit, CAUSAL)
        counts = count_bits(words)
        slot = count + tl.cumsum(counts, 0) - counts
        count += tl.sum(counts, 0)
        for _ in range(tl.max(counts, 0)):
            lowest = words & (~words + 1)
            key = (at + word) * 32 + count_bits(lowest - 1)
            some = words != 0
            u = uniform(first, second, key)
            spread = tl.load(spreads + key, mask=some, other=0.0)
            tl.store(listed + slot, key, mask=some)
            tl.store(prices + slot, spread * inverse, mask=some)
            tl.store(numbers + slot, u * u, mask=some)
            words = words ^ lowest
            slot += 1
        at += WORDS
    return count, at


@triton.jit
def squared_chance(
    products, twice, price, earlier, R: tl.constexpr, STRIP: tl.constexpr, KEYS: tl.constexpr, LEAST: tl.constexpr
):
    """Squared probabilities [R, KEYS], above 1 where a key is certain.

    products [R, KEYS] in log2 units, twice [R] the doubled log2 of row sums, price [KEYS] spread / threshold²; earlier
    [strips, strips]: which strips end before which. LEAST: squared.
    """
    weight = tl.exp2(2.0 * products - twice[:, None]) * price[None, :]  # [R, KEYS]
    weight = tl.minimum(weight, 1.0)  # 1 is certain
    best = tl.max(tl.reshape(weight, [R // STRIP, STRIP, KEYS]), 1)
    # Not an inclusive sum less the strip itself: its later rows would show in the rounding.
    before = tl.sum(tl.where(earlier[:, :, None], best[None, :, :], 0.0), 1) + LEAST
    before = tl.broadcast_to(before[:, None, :], [R // STRIP, STRIP, KEYS])
    return tl.reshape(before, [R, KEYS]) + weight


@triton.jit
def log2(x, PACKED: tl.constexpr):
    """log2 of normal numbers above 0."""
    if PACKED:
        return tl.inline_asm_elementwise(
            "lg2.approx.ftz.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
        )
    return tl.log2(x)
