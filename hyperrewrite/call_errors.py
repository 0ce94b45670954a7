"""The estimated errors of the attention calls that ran, for the rows of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from .kernels import meter
from .kernels.planning import algorithm_of
from .kernels.sampling.error import SampleError, alarm
from .words import plural

Shape = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class CallErrors:
    """Calls of `hyper` with one shape, by their own samples (`kernels.sampling.error`).

    calls  how many ran.
    error  √(mean of their squared relative errors).
    worst  the largest relative error of one call, its heads together.
    share  of the estimate of one call, the largest that one key makes.
    """

    calls: int
    error: float
    worst: float
    share: float

    @property
    def alarm(self) -> str:
        """One sentence where the estimate cannot be trusted, else ""."""
        return alarm(self.share, " of a call")

    def __str__(self) -> str:
        said = f"{self.error:.4f}, at most {self.worst:.4f}, estimated from the samples of {plural(self.calls, 'call')}"
        return said + (f"; {self.alarm}" if self.alarm else "")


@dataclass(slots=True)
class Watch:
    """Collects the error of each call of `hyper` that runs; an observer of `kernels.meter`. Nothing is waited for."""

    found: list[tuple[Shape, Shape, Tensor, Tensor]] = field(default_factory=list)

    def __call__(self, observation: meter.Observation) -> None:
        """Estimate one call's error."""
        if algorithm_of(observation.call) == "hyper":
            error: SampleError = meter.sample_error(observation)
            shapes = tuple(observation.query.shape), tuple(observation.key.shape)
            self.found.append((*shapes, error.pooled, error.pooled_share))

    def of(self, query: Sequence[int | str], key: Sequence[int | str]) -> CallErrors | None:
        """The calls with these shapes; a symbolic size is any. None where there was none."""
        mine = [
            (float(error), float(share))
            for q, k, error, share in self.found
            if _agree(query, q) and _agree(key, k)
        ]  # fmt: skip
        if not mine:
            return None
        errors, shares = zip(*mine, strict=True)
        return CallErrors(len(mine), math.sqrt(sum(e * e for e in errors) / len(mine)), max(errors), max(shares))


def _agree(written: Sequence[int | str], ran: Sequence[int | str]) -> bool:
    """Whether a shape that may have symbolic sizes is that of a call."""
    return len(written) == len(ran) and all(isinstance(w, str) or w == r for w, r in zip(written, ran, strict=True))
