"""The text: the same on every run, long enough, and no more of it touched than needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperrewrite.demo.text import read_parts, take_tokens
from hyperrewrite.usage import UsageError


def as_bytes(words: str) -> list[int]:
    """A tokenizer of one token a byte."""
    return list(words.encode())


def test_standard_library_is_long_enough_and_the_same_twice() -> None:
    """A million bytes are more than 131,072 tokens of any tokenizer in use."""
    once = take_tokens(read_parts(None), as_bytes, 1_000_000)
    assert once == take_tokens(read_parts(None), as_bytes, 1_000_000)


def test_later_parts_are_not_read() -> None:
    """What is not needed is not read, nor tokenised."""

    def parts() -> Iterator[str]:
        yield "abc"
        yield "d" * 1_000_000
        raise AssertionError("read on")

    seen: list[int] = []

    def encode(words: str) -> list[int]:
        seen.append(len(words))
        return as_bytes(words)

    assert bytes(take_tokens(parts(), encode, 5)) == b"abcdd"
    assert sum(seen) < 200


def test_missing_modules_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution without some sources still has a text."""
    whole = list(read_parts(None))
    monkeypatch.setattr("hyperrewrite.demo.text.MODULES", ("no_such_module.py", "argparse.py"))
    assert list(read_parts(None)) == whole[:1]


def test_file_is_read_whole(tmp_path: Path) -> None:
    """UTF-8, whatever the locale."""
    file = tmp_path / "text.txt"
    file.write_bytes("αβγ".encode())
    assert list(read_parts(file)) == ["αβγ"]


def test_too_few_tokens() -> None:
    """The sentence says how many there are."""
    with pytest.raises(UsageError, match="has 3 tokens, fewer than the 4"):
        take_tokens(["abc"], as_bytes, 4)
