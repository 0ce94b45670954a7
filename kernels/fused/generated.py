"""A rule's source as a module that can be imported: a file named by what stands in it, written once.

Triton reads the source of a function from its file, and so do debuggers and people. Imports no Triton itself; the
modules do.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import importlib.util
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from .rules import Rule, source


@functools.cache
def module_of(rule: Rule) -> ModuleType:
    """The module of a rule: `Given`, `score`, and of `limits`, `groups_of`, `reach`, `keep` and `bias_of` its own."""
    return loaded(source(rule))


def loaded(text: str) -> ModuleType:
    """The module of a source."""
    name = name_of(text)
    spec = importlib.util.spec_from_file_location(name, stored(text))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where inspect and typing look
    spec.loader.exec_module(module)
    return module


def name_of(text: str) -> str:
    """The module's name, for people and for Triton, whose cache knows functions by module and content."""
    return f"hyperrewrite_rule_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def stored(text: str) -> Path:
    """A file with exactly this text, in the cache folder or, where that cannot be written, in one of this process."""
    name = f"{name_of(text)}.py"
    try:
        return _written(cache_folder() / name, text)
    except OSError:
        return _written(_own_folder() / name, text)


def cache_folder() -> Path:
    """In TRITON_CACHE_DIR where that is set, beside what Triton makes of it; else in the user's cache folder."""
    if told := os.environ.get("TRITON_CACHE_DIR"):
        return Path(told) / "hyperrewrite"
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:  # nobody knows a home folder
        raise OSError(str(error)) from error
    return home / "hyperrewrite" / "rules"


def _written(path: Path, text: str) -> Path:
    """The path with this text in it, whatever other processes write. Raises OSError."""
    data = text.encode("utf-8")
    try:
        if path.read_bytes() == data:
            return path
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    return path


def write_whole(path: Path, data: bytes) -> None:
    """A file whole or not at all, whoever else writes or reads it. Raises OSError."""
    draft = path.with_name(f".{path.stem}.{secrets.token_hex(8)}")  # of the usual permissions, unlike tempfile's
    try:
        with draft.open("xb") as file:
            file.write(data)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@functools.cache
def _own_folder() -> Path:
    """A folder that only this process uses, and removes."""
    folder = tempfile.mkdtemp(prefix="hyperrewrite_rules_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
