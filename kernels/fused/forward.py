"""A call's forward by a Triton kernel, where there is one for it; the engine runs everything else."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from ..call import AttentionCall
from ..exact import Scoring, is_flash
from ..planning import algorithm_of
from .choice import reason_against, reason_against_exact, reason_against_paper

WARNING = "a Triton kernel failed, and portable code runs instead"
# The portable path of an estimate looks at values to choose keys, and a capture forbids that.
EXACT_WARNING = "no kernel takes this call, and portable code cannot be captured in a CUDA graph; it is exact there"
Found = TypeVar("Found")


def forward(
    query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, call: AttentionCall
) -> tuple[Tensor, Tensor] | None:
    """(out, lse) as `engine.forward` returns them; None where no kernel takes the call, or PyTorch has a faster one."""
    algorithm = algorithm_of(call)
    kind = (scoring.curve, scoring.key_mask is None, scoring.bias is None, scoring.lifted is None)
    attempt = _attempt(algorithm, *_kind_of(query, value, call), *kind)
    return _or_none(attempt, lambda: _launched(algorithm, query, key, value, scoring, call))


def paper_codes(query: Tensor, key: Tensor, call: AttentionCall) -> tuple[Tensor, Tensor] | None:
    """The hash codes by which the kernels of `paper` sort queries and keys; None where they do not take the call."""

    def codes() -> tuple[Tensor, Tensor] | None:
        if reason_against_paper(query, key, key, call) is not None:
            return None
        from . import launch_paper  # Triton need not be there

        return launch_paper.codes(query, key, call)

    return _or_none(_attempt("codes", *_kind_of(query, key, call)), codes)


def error_sums(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    out: Tensor,
    lse: Tensor,
    call: AttentionCall,
    first: int,
    every: int,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """`sampling.error.error_sums` of tiles first, first + every, … of a call of `hyper`; None: no kernel takes it."""

    def sums() -> tuple[Tensor, Tensor, Tensor] | None:
        if reason_against(query, key, value, call) is not None:
            return None
        from ..sampling.triton import launch  # Triton need not be there

        return launch.error_sums(query, key, value, key_mask, out, lse, call, first, every)

    return _or_none(_attempt("error", *_kind_of(query, value, call), key_mask is None), sums)


@dataclass(slots=True)
class Attempt:
    """Whether a kernel has failed in this process for calls of one kind."""

    has_failed: bool = False


@functools.cache
def _attempt(*kind: Hashable) -> Attempt:
    return Attempt()


def _kind_of(query: Tensor, value: Tensor, call: AttentionCall) -> tuple[Hashable, ...]:
    """What a kernel is built for."""
    return query.device, query.dtype, query.shape[-1], value.shape[-1], call.causal_offset is None


def _or_none(attempt: Attempt, run: Callable[[], Found | None]) -> Found | None:
    """A kernel that cannot be built or started (no compiler, no folder for what is built, a GPU that is smaller than
    any that was tried) breaks no model: a RuntimeWarning says so, and the result is None. It is not tried again for
    calls of its kind, as each try to build it may take seconds."""
    if attempt.has_failed:
        return None
    try:
        return run()
    except torch.OutOfMemoryError:
        raise  # the portable path takes no less
    except Exception as error:
        attempt.has_failed = True
        lines = str(error).strip().splitlines() or [""]
        warnings.warn(f"{WARNING}: {type(error).__name__}: {lines[0]}", RuntimeWarning, stacklevel=2)
        return None


def _launched(
    algorithm: str, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, call: AttentionCall
) -> tuple[Tensor, Tensor] | None:
    tensors = (query, key, value)
    if algorithm == "hyper" and reason_against(*tensors, call) is None:
        from ..sampling.triton import launch  # Triton need not be there

        return launch.sampled(*tensors, scoring.key_mask, call)
    if algorithm == "paper" and reason_against_paper(*tensors, call) is None:
        from . import launch_paper

        return launch_paper.paper(*tensors, scoring.key_mask, call)
    if algorithm == "exact" and reason_against_exact(*tensors, call) is None and not is_flash(*tensors, scoring, call):
        from . import launch_exact

        return launch_exact.exact(*tensors, scoring.key_mask, scoring.bias, scoring.lifted, call)
    if algorithm != "exact" and is_captured(query) and reason_against_exact(*tensors, call) is None:
        from . import launch_exact

        warnings.warn(f"{algorithm}: {EXACT_WARNING}", RuntimeWarning, stacklevel=2)
        return launch_exact.exact(*tensors, scoring.key_mask, scoring.bias, scoring.lifted, call)
    return None


def is_captured(tensor: Tensor) -> bool:
    """What runs on the tensor's device is not run but put into a CUDA graph."""
    return tensor.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
