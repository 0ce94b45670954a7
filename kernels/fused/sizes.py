"""How a call of `hyper` is cut (`kernels.tiling`), in the numbers that its kernels are compiled with.

Imports no Triton. `launch` hands these to the kernels; tests build the kernels with them for GPUs that are not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch

from ..call import AttentionCall
from ..tiling import block_of, power_within, section_of, strip_of
from .config import LEAST_KEYS, Config

STRETCH, MOST_SECTIONS = 4096, 16  # keys that are listed at once, and sections of them, at most
MOST_OF_FOUR = 1 << 15  # bytes of a block of keys that four warps take without spills


class Takes(IntEnum):
    """Which tiles a launch of the attention is for: all, those that read some of their far keys, or all of them."""

    ALL = 0
    SOME = 1
    WHOLE = 2


@dataclass(frozen=True, slots=True)
class Sizes:
    """What one call is cut into.

    rows      queries of a tile.
    portions  programs of a tile that reads some of its far keys, 1 or 2.
    strip     queries that read a key because one of them found it.
    block     keys that a mean stands for.
    section   blocks whose means stand alike for what a query does not read.
    sections  of a stretch, whose keys are listed at once.
    """

    rows: int
    portions: int
    strip: int
    block: int
    section: int
    sections: int

    @classmethod
    def of(cls, call: AttentionCall, config: Config) -> Sizes:
        """Tiles whose strips are longer than a portion are not cut: one program decides what a strip reads."""
        rows, strip, block, section = call.parameters.tile, strip_of(call), block_of(call), section_of(call)
        portions = max(rows // config.rows, 1) if strip <= config.rows else 1
        sections = 1
        if call.causal_offset is None:
            sections = min(power_within(STRETCH // (section * block)), MOST_SECTIONS)
        return cls(rows, portions, strip, block, section, sections)

    @property
    def stretch(self) -> int:
        """Keys of a stretch."""
        return self.sections * self.section * self.block

    def launches(self, searches: bool) -> tuple[Takes, ...]:
        """Those of the attention. A tile that reads everything is not cut: its keys would be loaded twice."""
        return (Takes.SOME, Takes.WHOLE) if searches and self.portions > 1 else (Takes.ALL,)

    def portions_of(self, takes: Takes) -> int:
        """Programs that attend to one tile in such a launch."""
        return 1 if takes is Takes.WHOLE else self.portions

    def attention(self, config: Config, takes: Takes) -> dict[str, int]:
        """Constants of `attend_tile`."""
        return {
            "TAKES": int(takes),
            "ROWS": self.rows // self.portions_of(takes),
            "STRIP": self.strip,
            "KEYS": config.attend.keys,
            "PLAIN": config.attend.keys if takes is Takes.SOME else config.plain,  # a portion has few near keys
            "MEANS": min(config.attend.keys, max(self.sections * self.section, LEAST_KEYS)),
            "STAGES": config.attend.stages,
            "BLOCKS": self.section,
            "SECTIONS": self.sections,
            "PAD_SECTIONS": 1 if self.sections == 1 else MOST_SECTIONS,
            "PAD_WORDS": 1 << (self.stretch // 32 - 1).bit_length(),
        }

    def warps(self, config: Config, takes: Takes) -> int:
        """Of a program of `attend_tile`."""
        return max(config.attend.warps // self.portions_of(takes), 1)

    def prepare_warps(self, widest: int, dtype: torch.dtype) -> int:
        """Of a program of `prepare_keys`, whose keys and values have `widest` features at most: with fewer, a large
        block does not fit into registers."""
        return 4 if self.block * widest * dtype.itemsize <= MOST_OF_FOUR else 8
