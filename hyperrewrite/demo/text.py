"""The words the model reads: a file, or Python's own sources, which every machine has."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

from ..usage import UsageError

# Long, well-commented modules that Python 3.11 to 3.14 all have, in the order they are read.
MODULES = (
    "argparse.py",
    "statistics.py",
    "difflib.py",
    "textwrap.py",
    "heapq.py",
    "csv.py",
    "shutil.py",
    "tarfile.py",
    "subprocess.py",
    "inspect.py",
    "typing.py",
    "threading.py",
    "socket.py",
    "pickle.py",
    "datetime.py",
    "turtle.py",
    "doctest.py",
    "random.py",
    "optparse.py",
    "locale.py",
    "enum.py",
    "calendar.py",
    "functools.py",
    "tempfile.py",
    "ftplib.py",
    "imaplib.py",
    "smtplib.py",
    "uuid.py",
    "fractions.py",
    "configparser.py",
)

Encode = Callable[[str], list[int]]


def read_parts(path: Path | None) -> Iterable[str]:
    """The text in pieces: the file whole, or one standard-library module after the other."""
    if path is None:
        return _standard_library()
    try:
        return [path.read_text(encoding="utf-8")]
    except UnicodeDecodeError as error:
        raise UsageError(f"the text file {path} is not UTF-8: byte {error.start} cannot be decoded.") from error
    except OSError as error:
        raise UsageError(f"the text file {path} cannot be read: {error.strerror or error}.") from error


def take_tokens(parts: Iterable[str], encode: Encode, tokens: int) -> list[int]:
    """The first `tokens` tokens of the text; no more pieces are read than that takes."""
    found: list[int] = []
    for part in parts:
        # Far fewer than 16 characters a token: a huge file is not tokenised whole.
        for start in range(0, len(part), step := 16 * tokens):
            found += encode(part[start : start + step])
            if len(found) >= tokens:
                return found[:tokens]
    raise UsageError(f"the text has {len(found)} tokens, fewer than the {tokens} asked for (--tokens, --text).")


def _standard_library() -> Iterable[str]:
    """The sources of MODULES that are there and readable."""
    folder = Path(sysconfig.get_path("stdlib"))
    for name in MODULES:
        try:
            yield (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
