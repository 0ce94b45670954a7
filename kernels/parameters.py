"""What a call of the attention op is told besides its tensors: one frozen dataclass, its defaults and their limits.

`hyperrewrite.options.Options`, `hyper_attention` and the schema of `hyper::attention` take names and defaults from
here, so a value is spelled one way from the user's dictionary down to the kernel.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

Algorithm = Literal["exact", "paper", "hyper"]
EmptyRows = Literal["zero", "mean", "level", "nan", "nan_added"]

ALGORITHMS: tuple[str, ...] = get_args(Algorithm)
EMPTY_ROWS: tuple[str, ...] = get_args(EmptyRows)
NAN_ROWS = ("nan", "nan_added")  # of them those that give NaN

# Keys from which an algorithm estimates. hyper: where it was measured to be as fast as exact attention
# (docs/performance.md). paper: where the published recursion ends.
MIN_SEQ_LEN: dict[str, int] = {"exact": 0, "paper": 4096, "hyper": 8192}


@dataclass(frozen=True, slots=True)
class Parameters:
    """How one attention call is estimated. Lengths are in tokens, counts in keys.

    algorithm        "exact", "paper" (Han et al., ICLR 2024) or "hyper" (docs/estimator.md).
    min_seq_len      with fewer keys than this every algorithm is exact; for `paper` also where its recursion ends.
                     None = that of the algorithm (MIN_SEQ_LEN), which then stands in the field.
    block_size       edge of a sorted diagonal block (`paper`).
    sample_size      uniform residual samples per query block (`paper`).
    lsh_projections  hyperplanes of the angular hash; 2**lsh_projections buckets.
    tile             queries of `hyper` that are searched for and computed together.
    strip            queries of a tile that read a key because one of them found it; 0 = all of the tile up to 8,192
                     keys, 32 up to 16,384 and 16 with more.
    window           most recent keys that each query of `hyper` sees in any case, at least.
    sinks            first keys that each query of `hyper` sees in any case, at least.
    select           how `hyper` chooses among the other keys: names of selectors joined by "+", or "none".
    threshold        "search" of `hyper` finds the keys with a weight above this share of what sinks and window sum to,
                     at 8,192 keys; with more it falls as their number grows, with fewer it rises by the cube root.
    selected         keys that each selector but "search" adds to a tile, or to a query.
    means            block of keys that one mean stands for where `hyper` does not read them; 0 = they are left out.
    seed             of every random draw; the same seed gives the same bits.
    """

    algorithm: Algorithm = "hyper"
    min_seq_len: int = cast(int, None)
    block_size: int = 256
    sample_size: int = 256
    lsh_projections: int = 7
    tile: int = 128
    strip: int = 0
    window: int = 128
    sinks: int = 64
    select: str = "search"
    threshold: float = 0.005
    selected: int = 256
    means: int = 64
    seed: int = 0

    @property
    def samples(self) -> bool:
        """Far keys are a random sample (`kernels.sampling`)."""
        return self.algorithm == "hyper" and self.select == SAMPLE

    @property
    def select_names(self) -> tuple[str, ...]:
        """The selectors of `select`, in its order."""
        return selectors(self.select)

    def __post_init__(self) -> None:
        """Raise ValueError with one sentence for a value outside its range."""
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}, not {self.algorithm!r}")
        if self.min_seq_len is None:
            object.__setattr__(self, "min_seq_len", MIN_SEQ_LEN[self.algorithm])
        for name, low, high in LIMITS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
        share = self.threshold
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 <= share <= 1.0e6:
            raise ValueError(f"threshold must be a number from 0 to 1000000, not {share!r}")
        if not isinstance(self.select, str):
            raise ValueError(f"select must be a text like 'search' or 'search+heavy', not {self.select!r}")
        selectors(self.select)


LIMITS: tuple[tuple[str, int, int], ...] = (
    ("min_seq_len", 0, 2**31 - 1),
    ("block_size", 16, 4096),
    ("sample_size", 0, 65536),
    ("lsh_projections", 1, 16),
    ("tile", 16, 4096),
    ("strip", 0, 4096),
    ("window", 0, 2**31 - 1),
    ("sinks", 0, 65536),
    ("selected", 0, 65536),
    ("means", 0, 4096),
    ("seed", 0, 2**31 - 1),
)

# What a person asks for in one word; a field that is named besides overrides it.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "fast": {"threshold": 0.01},
    "accurate": {"threshold": 0.002},
}


def preset_values(preset: str) -> dict[str, Any]:
    """The fields that a preset sets. Raises ValueError with one sentence for a preset that does not exist."""
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}{nearest(str(preset), PRESETS)}")
    return PRESETS[preset]


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: which valid one is nearest, or all of them."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; valid are {', '.join(names)}"


SELECTORS = ("search", "heavy", "lsh", "pooled", "leverage", "kmeans")
NO_SELECTOR, SAMPLE = "none", "sample"


def selectors(select: str) -> tuple[str, ...]:
    """The names in a `select` text, in its order, each once. Raises ValueError with one sentence."""
    if select in (NO_SELECTOR, SAMPLE):
        return ()
    names = tuple(part.strip() for part in select.split("+"))
    for name in names:
        if name not in SELECTORS:
            close = difflib.get_close_matches(name, (*SELECTORS, NO_SELECTOR), n=1, cutoff=0.5)
            valid = f"valid are {', '.join(SELECTORS)}, joined by '+', or {NO_SELECTOR!r}"
            raise ValueError(
                f"select names an unknown selector {name!r}; {f'did you mean {close[0]!r}?' if close else valid}"
            )
    return tuple(dict.fromkeys(names))
