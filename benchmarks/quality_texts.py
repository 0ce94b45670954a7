"""What the models read: texts that every machine has, by name, and files.

code      Python's standard library, as the demo reads it
manual    the language reference that Python's help() prints
repeated  passages of the manual, each repeated verbatim about four times, in a seeded order
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hyperrewrite.demo.text import read_parts, take_tokens
from hyperrewrite.usage import UsageError

BUILT_IN = ("code", "manual", "repeated")
PASSAGE = 800  # characters
REPEATS = 4
CHARACTERS_A_TOKEN = 4

Encode = Callable[[str], list[int]]


def parse(given: Iterable[str]) -> dict[str, Path | None]:
    """--text options ("novel=FILE", or a built-in name) as name → file, None for a built-in text."""
    found: dict[str, Path | None] = {}
    for item in given:
        name, equals, file = item.partition("=")
        if equals:
            if not name or not Path(file).expanduser().is_file():
                raise UsageError(f"--text {item}: there is no file {file!r}." if name else f"--text {item}: no name.")
            found[name] = Path(file).expanduser()
        elif item in BUILT_IN:
            found[item] = None
        else:
            raise UsageError(f"--text takes {', '.join(BUILT_IN)} or NAME=FILE, not {item!r}.")
    return found


def tokens(name: str, file: Path | None, encode: Encode, start: int, count: int, seed: int = 0) -> list[int]:
    """Tokens [start, start + count) of a text."""
    try:
        return take_tokens(_parts(name, file, start + count, seed), encode, start + count)[start:]
    except UsageError as error:
        said = str(error).removesuffix(".").replace(" (--tokens, --text)", " (--start and --context)")
        raise UsageError(f"text {name!r}: {said}.") from error


def _parts(name: str, file: Path | None, count: int, seed: int) -> Iterable[str]:
    if file is not None or name == "code":
        return read_parts(file)
    return manual() if name == "manual" else _repeated(count, seed)


def manual() -> Iterator[str]:
    """The topics of help(), in alphabetical order."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield f"{topics[name].strip()}\n\n"


def _repeated(count: int, seed: int) -> Iterator[str]:
    """Passages of the manual without end; so many of them that `count` tokens hold each about REPEATS times."""
    whole = "".join(manual())
    passages = [whole[at : at + PASSAGE] for at in range(0, len(whole) - PASSAGE, PASSAGE)]
    draw = random.Random(seed)
    draw.shuffle(passages)
    passages = passages[: max(2, round(count * CHARACTERS_A_TOKEN / PASSAGE / REPEATS))]
    while True:
        yield "\n\n".join(draw.sample(passages, len(passages))) + "\n\n"
