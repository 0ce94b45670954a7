"""Golden graphs: FileCheck patterns that people write, and below them the whole text that the passes wrote.

A file of tests/golden has two parts. The patterns hold for every version of PyTorch; they are written once (a first
draft comes from the text) and then kept. The text below the line `// torch X.Y` must be equal, under that version.

The text is MLIR but for one thing: the arguments of the attention op are written by name, those at their default and
those of the estimator left out, so that a golden says what is computed and lives on when the op gets one more argument.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import hyperrewrite.kernels.ops  # noqa: F401  (the op's schema)
import torch
from filecheck.matcher import Matcher
from filecheck.options import Options

FOLDER = Path(__file__).parent.parent / "golden"
VERSION = "torch " + ".".join(torch.__version__.split(".")[:2])

CALL = re.compile(r'(torch\.operator "torch\.hyper\.attention")\(([^)]*)\) : \(([^)]*)\)')
CONSTANT = re.compile(r" *(%\S+) = torch\.constant\.(\w+) ?(.*)")


def settled(text: str) -> str:
    """MLIR with the op's arguments by name, up to `algorithm`; constants that nothing reads any more are dropped."""
    schema = torch.ops.hyper.attention.default._schema.arguments
    names = [a.name for a in schema]
    defaults = {a.name: a.default_value for a in schema if a.has_default_value()}
    constants = {m[1]: _literal(m[2], m[3]) for line in text.splitlines() if (m := CONSTANT.match(line))}

    def named(call: re.Match[str]) -> str:
        shown, types = [], []
        given = zip(names[: names.index("algorithm") + 1], call[2].split(", "), _split_types(call[3]), strict=False)
        for name, value, kind in given:
            held = constants.get(value, value)
            if name in defaults and held == defaults[name]:
                continue
            shown.append(f"{name} = " + (f'"{held}"' if isinstance(held, str) and held != value else str(held)))
            if "vtensor" in kind:
                types.append(kind)
        return f"{call[1]}({', '.join(shown)}) : ({', '.join(types)})"

    text = CALL.sub(named, text)
    used = re.findall(r"%[^\s,():#]+", text)
    lone = {name for name in constants if used.count(name) == 1}
    lines = text.splitlines()
    return "\n".join(at for at in lines if not ((m := CONSTANT.match(at)) and m[1] in lone)) + "\n"


def _literal(kind: str, text: str) -> Any:
    if kind == "none":
        return None
    if kind == "str":
        return text.strip('"')
    if kind == "bool":
        return text == "true"
    if kind in ("int", "float") and not text.startswith("0x"):
        return int(text) if kind == "int" else float(text)
    return text


def _split_types(types: str) -> list[str]:
    """Types between commas that stand in no brackets."""
    return re.split(r", (?=!)", types)


def check_golden(
    path: Path, text: str, head: str, scratch: Path, update: bool, absent: list[str], versions: str = VERSION
) -> None:
    """Compare `text` with the golden at `path`: first the patterns, then every line.

    head: comment lines for a new file. absent: what its patterns forbid around the calls. update: write the file, the
    patterns of an old one kept. versions: those that every line is compared under.
    """
    text = settled(text)
    if update:
        patterns = _patterns(path) if path.exists() else f"{head}\n" + "\n".join(draft(text, absent)) + "\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{patterns}\n// {versions}\n{text}", encoding="utf-8")
    assert path.exists(), f"no golden {path}; make it with: pytest tests/passes --update-goldens, and read it"
    filecheck(path, text, scratch)
    _, line, recorded = path.read_text(encoding="utf-8").partition(f"\n// {versions}\n")
    if line:
        assert text.splitlines() == recorded.splitlines()


def draft(text: str, absent: list[str]) -> list[str]:
    """First patterns: the calls with all their arguments and shapes, and nothing of `absent` around them."""
    nots = [f"// CHECK-NOT: {pattern}" for pattern in absent]
    lines = ["// CHECK: func.func @main{{.*}}", *nots]
    for call in re.findall(r'torch\.operator "torch\.hyper\.attention".*?\) : \([^)]*\)', text):
        lines += ["// CHECK: " + re.sub(r"%[^,)\s]+", "{{%[^,]+}}", call), *nots]
    return [*lines, "// CHECK: return"]


def _patterns(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n// torch ")[0]


def filecheck(path: Path, text: str, scratch: Path) -> None:
    """Fail where the patterns of `path` do not match the (settled) text."""
    checks, produced = scratch / "checks", scratch / "text"
    checks.write_text(_patterns(path) + "\n", encoding="utf-8")
    produced.write_text(text, encoding="utf-8")
    assert Matcher.from_opts(Options(str(checks), str(produced))).run() == 0, f"the patterns of {path} do not match"
