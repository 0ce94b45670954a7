"""The search for a fast configuration: one part of it after another, each candidate measured by whoever is given.

Imports no Triton and measures nothing itself; `bench` does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import torch

from .config import (
    LEAST_KEYS,
    LEAST_ROWS,
    TILE,
    Config,
    Device,
    ExactConfig,
    Phase,
    attend_bytes,
    exact_bytes,
    search_bytes,
    sums_bytes,
)

NOISE = 0.005  # a candidate must be faster by more than this share
C = TypeVar("C")


class Failed(Exception):
    """A candidate that does not compile, does not fit, or gives another output; the reason in half a sentence."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a configuration is tuned for: a kernel of `measured.KERNELS`, features of query and value, keys, mask."""

    kernel: str
    dtype: torch.dtype
    features: int
    length: int
    causal: bool

    def __str__(self) -> str:
        mask, dtype = "causal" if self.causal else "full", str(self.dtype).removeprefix("torch.")
        return f"{self.kernel} {dtype} D={self.features} n={self.length:,} {mask}"


@dataclass(frozen=True, slots=True)
class Axis(Generic[C]):
    """One part of a configuration.

    variants  of the best configuration so far, all that differ from it in this part, the nearest first.
    until     share of the time after which no more of them are tried.
    """

    name: str
    variants: Callable[[C], Sequence[C]]
    until: float = 1.0


@dataclass(frozen=True, slots=True)
class Descent(Generic[C]):
    """What was found: the best configuration and its milliseconds; candidates that ran, that failed (with the reason),
    and that there was no time for."""

    best: C
    milliseconds: float
    tried: int
    failed: tuple[tuple[C, str], ...]
    left: int


def descend(
    start: C,
    axes: Sequence[Axis[C]],
    measure: Callable[[C], float],
    seconds: float = math.inf,
    advance: Callable[[int], None] = lambda count: None,
    clock: Callable[[], float] = time.monotonic,
) -> Descent[C]:
    """Coordinate descent: the best of each axis in turn, by `measure` (milliseconds; raises Failed).

    The time counts from when the start was measured. `advance` is told how many candidates are done with. Raises Failed
    where the start fails.
    """
    best, least = start, measure(start)
    began, tried, left, failed = clock(), 1, 0, list[tuple[C, str]]()
    for axis in axes:
        for candidate in axis.variants(best):
            if clock() - began >= axis.until * seconds:
                left += 1
            else:
                try:
                    spent = measure(candidate)
                except Failed as error:
                    failed.append((candidate, str(error)))
                else:
                    tried += 1
                    if spent < least * (1 - NOISE):
                        best, least = candidate, spent
            advance(1)
    return Descent(best, least, tried, tuple(failed), left)


def axes_of(case: Case, device: Device, known: Sequence[Config | ExactConfig] = ()) -> list[Axis[Config | ExactConfig]]:
    """What is varied for a case, leaving out what cannot fit into the device's shared memory.

    known: configurations that were best for other cases; they are tried first.
    """
    first: Axis[Config | ExactConfig] = Axis("known", lambda best: [other for other in known if other != best], 0.2)
    if case.kernel != "hyper":
        return [first, *(_exact_axis(case, device, name, until) for name, until in (("attend", 0.8), ("rows", 1.0)))]
    told = (("sums", 0.25), ("search", 0.5), ("attend", 0.9), ("plain", 1.0))
    return [first, *(_hyper_axis(case, device, name, until) for name, until in told)]


HYPER_PHASES = {
    "sums": [Phase(keys, warps, stages) for keys in (32, 64, 128) for warps in (4, 8) for stages in (2, 3)],
    "search": [Phase(keys, warps, stages) for keys in (64, 128, 256) for warps in (4, 8) for stages in (2, 3, 4)],
    "attend": [Phase(keys, warps, stages) for keys in (LEAST_KEYS, 32, 64) for warps in (4, 8) for stages in (2, 3)],
}
EXACT_PHASES = [Phase(keys, warps, stages) for keys in (32, 64, 128) for warps in (4, 8) for stages in (2, 3)]
ROWS = (LEAST_ROWS, TILE)  # of a program of exact attention
PLAIN = (LEAST_KEYS, 32, 64, 128)


def _hyper_axis(case: Case, device: Device, name: str, until: float) -> Axis[Config | ExactConfig]:
    values: Sequence[Phase] | Sequence[int] = HYPER_PHASES.get(name, PLAIN)

    def fits(config: Config) -> bool:
        taken = {"sums": sums_bytes(config, case.dtype, case.features), "search": search_bytes(config, case.features)}
        return (
            taken.get(name, attend_bytes(config, case.dtype, case.features)) <= device.shared
            and config.plain >= config.attend.keys
        )

    def variants(best: Config | ExactConfig) -> Sequence[Config | ExactConfig]:
        assert isinstance(best, Config)
        changed = _changed(best, name, values)
        if name == "attend":  # longer steps take longer plain ones with them
            changed = [replace(config, plain=max(config.plain, config.attend.keys)) for config in changed]
        return [config for config in changed if fits(config)]

    return Axis(name, variants, until)


def _exact_axis(case: Case, device: Device, name: str, until: float) -> Axis[Config | ExactConfig]:
    in_pairs, values = case.kernel == "exact_pairs", EXACT_PHASES if name == "attend" else ROWS

    def variants(best: Config | ExactConfig) -> Sequence[Config | ExactConfig]:
        assert isinstance(best, ExactConfig)
        some = _changed(best, name, values)
        return [config for config in some if exact_bytes(config, case.dtype, case.features, in_pairs) <= device.shared]

    return Axis(name, variants, until)


D = TypeVar("D", Config, ExactConfig)


def _changed(best: D, name: str, values: Sequence[Phase] | Sequence[int]) -> list[D]:
    """Every value of one field but its own, the nearest first by doublings and stages."""
    now = getattr(best, name)
    ordered: Sequence[Any] = sorted(values, key=lambda value: _distance(value, now))
    return [replace(best, **{name: value}) for value in ordered if value != now]


def _distance(one: Phase | int, other: Phase | int) -> float:
    if isinstance(one, Phase) and isinstance(other, Phase):
        doublings = abs(math.log2(one.keys / other.keys)) + abs(math.log2(one.warps / other.warps))
        return doublings + abs(one.stages - other.stages)
    assert isinstance(one, int) and isinstance(other, int)
    return abs(math.log2(one / other))
