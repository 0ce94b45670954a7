"""Random numbers for the draws: a number for each key of a tile of a head, the same bits on every device.

They are counter-based: hashed from the seed, the head, the tile's place in the positions of the keys, and the key.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..lsh import DRAWS, WORD, mix, stream

GOLDEN = 0x9E3779B9


def uniform(seed: int, line: Tensor, tile: Tensor, key: Tensor, tag: int = DRAWS) -> Tensor:
    """Numbers in (0, 1), float32, of broadcast shape; line (b·H + h), tile and key int64; `tag` names the stream."""
    first = first_word(seed, line, tile, tag)
    second = mix(first ^ GOLDEN)
    x = (key * 0x9E3779B1 + first) & WORD
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & WORD
    x = x ^ (x >> 15) ^ second
    x = (x * 0x846CA68B) & WORD
    x = x ^ (x >> 16)
    return ((x >> 8).to(torch.float32) + 0.5) * 2.0**-24


def first_word(seed: int, line: Tensor, tile: Tensor, tag: int = DRAWS) -> Tensor:
    """The first word of a tile's stream."""
    return stream(torch.full((), seed, device=line.device), tag, line, tile)
