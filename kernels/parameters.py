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
AUTO, SEARCH, ROWS = "auto", "search", "rows"
PRICES = (AUTO, SEARCH, ROWS, "lsh", "heavy", "pooled", "leverage", "kmeans")
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
    tile             queries of `hyper` that share a list of keys.
    window           most recent keys that each query of `hyper` sees in any case, at least.
    sinks            first keys that each query of `hyper` sees in any case, at least.
    price            what decides how likely `hyper` is to read each of the other keys (kernels.sampling.prices);
                     "auto" = what is fastest on the device.
    threshold        a key of `hyper` whose price is above it is read for certain, one below it with probability
                     price / threshold. The number is for a tile that sees 32,768 keys; it falls with more keys and
                     rises with fewer (kernels.sampling.threshold_of). 0 = exact attention.
    seed             of every random draw; the same seed gives the same bits.
    """

    algorithm: Algorithm = "hyper"
    min_seq_len: int = cast(int, None)
    block_size: int = 256
    sample_size: int = 256
    lsh_projections: int = 7
    tile: int = 128
    window: int = 128
    sinks: int = 64
    price: str = AUTO
    threshold: float = 0.0045
    seed: int = 0

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
        if self.price not in PRICES:
            raise ValueError(f"price must be one of {', '.join(PRICES)}, not {self.price!r}")


LIMITS: tuple[tuple[str, int, int], ...] = (
    ("min_seq_len", 0, 2**31 - 1),
    ("block_size", 16, 4096),
    ("sample_size", 0, 65536),
    ("lsh_projections", 1, 16),
    ("tile", 16, 4096),
    ("window", 0, 2**31 - 1),
    ("sinks", 0, 65536),
    ("seed", 0, 2**31 - 1),
)

# What a person asks for in one word; a field that is named besides overrides it.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "fast": {"threshold": 0.009},
    "accurate": {"threshold": 0.0025},
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
