"""What Inductor needs of the machine: a folder that it can write to and, for a CPU, a C++ compiler."""

from __future__ import annotations

import tempfile


def missing(compiler: bool) -> str | None:
    """One sentence, without a full stop, about what is missing and how to get it; None where nothing is.

    compiler: whether to look for a C++ compiler too.
    """
    return _folder() or (_compiler() if compiler else None)


def missing_by(error: BaseException) -> str | None:
    """The same for an error of Inductor; None where it comes from something else, such as the graph."""
    cause = getattr(error, "inner_exception", error)
    if isinstance(cause, OSError):  # first: without the folder nothing of Inductor can be imported
        return _folder() or (_compiler() if isinstance(cause, PermissionError) else None)
    from torch._inductor.exc import InvalidCxxCompiler

    return _compiler() if isinstance(cause, InvalidCxxCompiler) else None


def _folder() -> str | None:
    """PyTorch makes the folder when torch._dynamo is imported, and fails there where it cannot."""
    folder = ""
    try:
        from torch._inductor.runtime.cache_dir_utils import cache_dir

        folder = cache_dir()
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        folder = folder or str(error.filename)
        return (
            f"Inductor's cache folder {folder} cannot be written to ({error.strerror}): "
            "name another in the environment variable TORCHINDUCTOR_CACHE_DIR"
        )


def _compiler() -> str | None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, OSError):
        return (
            "Inductor finds no C++ compiler, which it needs for a CPU: "
            "install g++ or clang++, or name one in the environment variable CXX"
        )
    return None
