"""What the README promises is what the code has."""

from __future__ import annotations

import ast
import re
from dataclasses import fields

from processes import ROOT

from hyperrewrite.options import Options

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_options_table_is_complete_and_right() -> None:
    """Every option with its default, and no other."""
    rows = dict(re.findall(r"^\| `(\w+)` \| `?(.+?)`? \|", README, re.MULTILINE))
    told = {name: ast.literal_eval(default) for name, default in rows.items()}
    options = Options()
    have = {field.name: getattr(options, field.name) for field in fields(options)}
    assert told == have | {"inductor": {}}


def test_commands_are_targets_of_the_makefile() -> None:
    """`make demo` and the others named in the README exist."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) - {"the", "and"} <= targets
