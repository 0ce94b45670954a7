"""The error of the command line: what a person asked for cannot be done, said in one sentence."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType


class UsageError(Exception):
    """One sentence for the person at the terminal; the command ends with exit code 2 and no traceback."""


def first_line(error: BaseException) -> str:
    """The first line of an error's own text, after its type, for use inside a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise UsageError(
            f"{purpose} needs the package {module}, which is not installed: pip install 'hyperrewrite[{extra}]'."
        ) from None


def check_writable(path: Path, option: str) -> None:
    """Raise UsageError if the file cannot be opened for writing; leaves no trace."""
    existed = path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise UsageError(f"{option} cannot be written to {path}: {error.strerror or error}.") from error
    if not existed:
        path.unlink()
