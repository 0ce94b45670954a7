"""What a call of the attention op is told besides its tensors: one frozen dataclass, its defaults and their limits.

`hyperrewrite.options.Options` takes its defaults from here, and the schema of `hyper::attention` carries the same
names in the same order, so a value is spelled one way from the user's dictionary down to the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Algorithm = Literal["exact", "paper", "hyper"]
EmptyRows = Literal["zero", "mean", "nan"]

ALGORITHMS: tuple[str, ...] = get_args(Algorithm)
EMPTY_ROWS: tuple[str, ...] = get_args(EmptyRows)


@dataclass(frozen=True, slots=True)
class Parameters:
    """How one attention call is estimated. Lengths are in tokens, counts in keys.

    algorithm        "exact", "paper" (Han et al., ICLR 2024) or "hyper" (DESIGN 3).
    min_seq_len      with fewer keys than this every algorithm is exact; for `paper` also where its recursion ends.
    block_size       edge of a sorted diagonal block (`paper`), and the query tile of `hyper`.
    sample_size      uniform residual samples per query block (`paper`); `hyper` says itself what it makes of it.
    lsh_projections  hyperplanes of the angular hash; 2**lsh_projections buckets.
    window           most recent keys that each query of `hyper` sees exactly.
    sinks            first keys that each query of `hyper` sees exactly.
    heavy            columns with the largest probe mass that each tile of `hyper` sees exactly.
    seed             of every random draw; the same seed gives the same bits.
    """

    algorithm: Algorithm = "hyper"
    min_seq_len: int = 4096
    block_size: int = 256
    sample_size: int = 256
    lsh_projections: int = 7
    window: int = 512
    sinks: int = 64
    heavy: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError with one sentence for a value outside its range."""
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}, not {self.algorithm!r}")
        for name, low, high in LIMITS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}")


LIMITS: tuple[tuple[str, int, int], ...] = (
    ("min_seq_len", 0, 2**31 - 1),
    ("block_size", 16, 4096),
    ("sample_size", 0, 65536),
    ("lsh_projections", 1, 16),
    ("window", 0, 2**31 - 1),
    ("sinks", 0, 65536),
    ("heavy", 0, 65536),
    ("seed", 0, 2**31 - 1),
)
