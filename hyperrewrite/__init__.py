"""hyperrewrite: every softmax(QKᵀ)V of a model, exactly or as HyperAttention, through torch.compile.

>>> model = torch.compile(model, backend="hyper")

Nothing needs to be imported for that line. This module holds what a user may call besides: `explain`, `record`,
`diagnose`, `hyper_attention`, `Options` and what they return. Names load on first use: `hyperrewrite --help` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis import Log, record
    from .diagnosis import Diagnosis, diagnose
    from .errors import MachineError, OptionError
    from .explain import explain
    from .kernels.functional import hyper_attention
    from .options import Options
    from .report import Report

__version__ = "0.1.0"
__all__ = [
    "Diagnosis",
    "Log",
    "MachineError",
    "OptionError",
    "Options",
    "Report",
    "diagnose",
    "explain",
    "hyper_attention",
    "record",
]

_HOME = {
    "Log": "analysis",
    "record": "analysis",
    "Diagnosis": "diagnosis",
    "diagnose": "diagnosis",
    "explain": "explain",
    "hyper_attention": "kernels.functional",
    "MachineError": "errors",
    "OptionError": "errors",
    "Options": "options",
    "Report": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
