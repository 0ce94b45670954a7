"""Say what the backend would do to a model, without compiling it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from types import ModuleType
from typing import Any

import torch
from torch import fx

from .analysis import analyse, hand_over, record
from .options import Options
from .report import Report


def explain(
    model: Callable[..., Any],
    /,
    *args: Any,
    options: Mapping[str, Any] | None = None,
    code: bool = False,
    **kwargs: Any,
) -> Report:
    """Trace `model(*args, **kwargs)` with Dynamo and report each attention site: where, what, decision, reason.

    The rewritten graph runs once, eagerly and without gradients, so that graph breaks are followed; nothing is
    compiled. `options` are those of the backend. code: each row also carries the Triton source that its call would run
    on a CUDA device. A model argument of the name `options` or `code` goes in by `functools.partial`. Raises
    OptionError, or whatever the model itself raises.
    """
    settings = Options.of(options)

    def backend(gm: fx.GraphModule, example_inputs: Sequence[torch.Tensor]) -> Callable[..., Any]:
        analysis = analyse(gm, settings, example_inputs, code)
        hand_over(analysis)
        forward: Callable[..., Any] = analysis.module.forward
        return forward

    with record() as log, torch.no_grad(), torch._dynamo.config.patch(recompile_limit=_CALLS):
        torch.compile(model, backend=backend, **_APART)(*args, **kwargs)
    return log.report


# Dynamo runs a function as it is once it has been compiled eight times. Every call of `explain` compiles anew, which
# must count neither for the next call nor, where PyTorch can keep compiles apart, for the user's own.
_CALLS = 256
_APART: dict[str, Any] = (
    {"isolate_recompiles": True} if "isolate_recompiles" in signature(torch.compile).parameters else {}
)


class _Callable(ModuleType):
    """Python puts a module into its package under its name: `hyperrewrite.explain(…)` works with this one there too."""

    __call__ = staticmethod(explain)


sys.modules[__name__].__class__ = _Callable
