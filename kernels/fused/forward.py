"""A call's forward by a Triton kernel, where there is one for it; the engine runs everything else."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from ..call import AttentionCall
from ..exact import Scoring, is_flash
from ..planning import algorithm_of
from .choice import reason_against, reason_against_exact, reason_against_paper

WARNING = "a Triton kernel failed, and portable code runs instead"
# The portable path of an estimate looks at values to choose keys, and a capture forbids that.
EXACT_WARNING = "no kernel takes this call, and portable code cannot be captured in a CUDA graph; it is exact there"


def forward(
    query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, call: AttentionCall
) -> tuple[Tensor, Tensor] | None:
    """(out, lse) as `engine.forward` returns them; None where no kernel takes the call, or PyTorch has a faster one."""
    return _or_none(lambda: _launched(query, key, value, scoring, call))


def paper_codes(query: Tensor, key: Tensor, call: AttentionCall) -> tuple[Tensor, Tensor] | None:
    """The hash codes by which the kernels of `paper` sort queries and keys; None where they do not take the call."""

    def codes() -> tuple[Tensor, Tensor] | None:
        if reason_against_paper(query, key, key, call) is not None:
            return None
        from . import launch_paper  # Triton need not be there

        return launch_paper.codes(query, key, call)

    return _or_none(codes)


def _or_none(run: Callable[[], tuple[Tensor, Tensor] | None]) -> tuple[Tensor, Tensor] | None:
    """A kernel that cannot be built or started (no compiler, no folder for what is built, a GPU that is smaller than
    any that was tried) breaks no model: a RuntimeWarning says so, once, and the result is None."""
    try:
        return run()
    except torch.OutOfMemoryError:
        raise  # the portable path takes no less
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        warnings.warn(f"{WARNING}: {type(error).__name__}: {lines[0]}", RuntimeWarning, stacklevel=2)
        return None


def _launched(
    query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, call: AttentionCall
) -> tuple[Tensor, Tensor] | None:
    algorithm, tensors = algorithm_of(call), (query, key, value)
    if algorithm == "hyper" and reason_against(*tensors, call) is None:
        from . import launch  # Triton need not be there

        return launch.hyper(*tensors, scoring.key_mask, call)
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
