"""One run of the demo: first call, timed call, perplexity, error of each layer.

The first call compiles and runs the model. While it runs, `kernels.meter` hands over every attention call with its own
q, k and v; a few query rows of each are computed exactly and compared, and `hyper` says what its sample knows of its
error. Then nothing watches, and a call is timed.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import hyperrewrite
from hyperrewrite.kernels import meter
from hyperrewrite.kernels.planning import algorithm_of

from .source import Source, hidden_states

PROBE_ROWS = 64
PROBE_SEED = 20240507
CHUNK = 1024
REPEATS = 5
ENOUGH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one run showed.

    seconds           the timed forward of the stack (median, where it is short enough to repeat).
    first_call        compile, forward and error probes together, in seconds.
    perplexity        exp of the mean negative natural-log likelihood of the next token.
    layer_errors      relative error of each layer's attention, in layer order, measured on a few rows.
    keys_per_query    mean number of keys that a query read.
    sites             attention sites found in the graph.
    estimated_errors  layer_errors as `hyper` estimates them from its sample (`kernels.sampling.error`); else empty.
    largest_share     of the estimate of one layer, the largest that one key makes.
    """

    seconds: float
    first_call: float
    perplexity: float
    layer_errors: tuple[float, ...]
    keys_per_query: float
    sites: int
    estimated_errors: tuple[float, ...] = ()
    largest_share: float = 0.0

    @property
    def mean_error(self) -> float:
        """Mean over layers."""
        return sum(self.layer_errors) / len(self.layer_errors) if self.layer_errors else 0.0

    @property
    def max_error(self) -> float:
        """Largest over layers."""
        return max(self.layer_errors, default=0.0)

    @property
    def estimated_error(self) -> float | None:
        """Mean over layers; None where no call was estimated from a sample."""
        return sum(self.estimated_errors) / len(self.estimated_errors) if self.estimated_errors else None

    def to_json(self) -> dict[str, float | None]:
        """The figures that --json writes."""
        return {
            "seconds": self.seconds,
            "perplexity": self.perplexity,
            "mean_error": self.mean_error,
            "max_error": self.max_error,
            "estimated_error": self.estimated_error,
            "keys_per_query": self.keys_per_query,
        }


class Probe:
    """Error and keys of every attention call that runs while it is open."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.errors: list[float] = []
        self.estimated: list[float] = []
        self.shares: list[float] = []
        self.keys: list[float] = []

    def __call__(self, observation: meter.Observation) -> None:
        """Compare one call's sampled rows with exact attention."""
        self.errors.append(float(meter.relative_error(observation, PROBE_ROWS, PROBE_SEED)))
        if algorithm_of(observation.call) == "hyper":
            estimated = meter.sample_error(observation)
            self.estimated.append(float(estimated.pooled))
            self.shares.append(float(estimated.pooled_share))
        self.keys.append(float(meter.keys_per_query(observation)))


def measure(source: Source, ids: Tensor, options: dict[str, Any]) -> Run:
    """Compile the stack with these options and measure it on these tokens."""
    torch.compiler.reset()
    compiled: Any = torch.compile(source.stack, backend="hyper", options=options)
    probe = Probe()
    with torch.no_grad():
        with hyperrewrite.record() as log, stopwatch(ids.device) as first, meter.observe(probe):
            states = hidden_states(compiled, ids)
        score = perplexity(states, source.head, ids)
        del states
        seconds = time_calls(compiled, ids)
    return Run(
        seconds=seconds,
        first_call=first.seconds,
        perplexity=score,
        layer_errors=tuple(probe.errors),
        keys_per_query=sum(probe.keys) / len(probe.keys) if probe.keys else (ids.shape[1] + 1) / 2,
        sites=log.report.site_count,
        estimated_errors=tuple(probe.estimated),
        largest_share=max(probe.shares, default=0.0),
    )


def time_calls(compiled: nn.Module, ids: Tensor) -> float:
    """Median seconds of a forward: one call where it is long, up to REPEATS calls where they are short."""
    taken: list[float] = []
    while len(taken) < REPEATS and sum(taken) < ENOUGH_SECONDS:
        with stopwatch(ids.device) as watch:
            hidden_states(compiled, ids)
        taken.append(watch.seconds)
    return statistics.median(taken)


def perplexity(states: Tensor, head: nn.Module, ids: Tensor) -> float:
    """exp of the mean negative log-likelihood of each next token, the logits made in pieces."""
    total, targets = 0.0, ids[0, 1:]
    for start in range(0, len(targets), CHUNK):
        wanted = targets[start : start + CHUNK]
        logits = head(states[0, start : start + len(wanted)]).float()
        total += float(F.cross_entropy(logits, wanted, reduction="sum"))
    return math.exp(total / len(targets))


class Stopwatch:
    """Seconds of one stretch of work."""

    seconds: float = math.nan


@contextmanager
def stopwatch(device: torch.device) -> Iterator[Stopwatch]:
    """Wall-clock seconds with the device's queue empty at both ends."""
    watch = Stopwatch()
    _wait_for(device)
    start = time.perf_counter()
    yield watch
    _wait_for(device)
    watch.seconds = time.perf_counter() - start


def _wait_for(device: torch.device) -> None:
    """A GPU runs behind the program; the CPU does not."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
