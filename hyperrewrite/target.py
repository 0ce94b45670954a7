"""`package.module:factory` on the command line: import it, call it, explain the model it returns."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .machine import missing
from .usage import UsageError, first_line

if TYPE_CHECKING:
    from torch import nn

    from .report import Report


def call_factory(target: str) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """What the factory returned, checked: a module, its positional and its keyword arguments."""
    from torch import nn

    module_name, colon, path = target.partition(":")
    if not (colon and module_name and path):
        raise UsageError(f"{target!r} is not of the form package.module:factory.")
    if (sentence := missing(compiler=False)) is not None:  # or whatever imports torch._dynamo would fail for it
        raise UsageError(f"{sentence}.")
    factory = _resolve(module_name, path)
    if not callable(factory):
        raise UsageError(f"{target} is of type {type(factory).__name__}, not a function.")
    try:
        result = factory()
    except Exception as error:
        raise UsageError(f"{target}() raised {first_line(error)}.") from error
    match result:
        case (nn.Module() as model, (list() | tuple()) as args, Mapping() as kwargs):
            return model, tuple(args), dict(kwargs)
    raise UsageError(f"{target}() must return (model, args, kwargs), not {_describe(result)}.")


def explain_model(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], code: bool = False) -> Report:
    """The report, or one sentence about what the model raised."""
    import hyperrewrite

    try:
        return hyperrewrite.explain(model, *args, code=code, **kwargs)
    except Exception as error:
        raise UsageError(f"the model raised {first_line(error)}.") from error


def _resolve(module_name: str, path: str) -> Any:
    """Import the module, with the current folder on the path as `python -m` has it, and walk to the attribute."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise UsageError(f"there is no module named {error.name}, here or installed.") from error
        raise UsageError(f"importing {module_name} raised {first_line(error)}.") from error
    except Exception as error:
        raise UsageError(f"importing {module_name} raised {first_line(error)}.") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise UsageError(f"{module_name} has no {path}.")
        found = getattr(found, name)
    return found


def _describe(result: object) -> str:
    """The shape of a wrong return value, in words."""
    if isinstance(result, tuple):
        return f"a tuple of ({', '.join(type(part).__name__ for part in result)})"
    return f"an object of type {type(result).__name__}"
