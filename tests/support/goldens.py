"""Golden graphs: FileCheck patterns that people write, and below them the whole text that the passes wrote.

A file of tests/golden has two parts. The patterns hold for every version of PyTorch; they are written once (a first
draft comes from the site) and then kept. The text below the line `// torch X.Y` must be equal, under that version.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from filecheck.matcher import Matcher
from filecheck.options import Options
from hyperrewrite.passes.spec import AttentionSite

FOLDER = Path(__file__).parent.parent / "golden"
VERSION = "torch " + ".".join(torch.__version__.split(".")[:2])


CALL = re.compile(r'(torch\.operator "torch\.hyper\.attention")\(([^)]*)\)( : )\(([^)]*)\)')
CONSTANT = re.compile(r" *(%\S+) = torch\.constant\.")
MATTERS = 10  # arguments of the op that say what is computed; behind them stand the estimator's, which come and go


def settled(text: str) -> str:
    """The text without what another default of the estimator would change."""

    def cut(call: re.Match[str]) -> str:
        values, types = (", ".join(call[k].split(", ")[:MATTERS]) for k in (2, 4))
        return f"{call[1]}({values}, ...){call[3]}({types}, ...)"

    text = CALL.sub(cut, text)
    used = re.findall(r"%[^\s,():#]+", text)
    count = {name: used.count(name) for name in set(used)}
    lines = text.splitlines()
    return "\n".join(at for at in lines if not ((m := CONSTANT.match(at)) and count[m[1]] == 1)) + "\n"


def check_golden(
    path: Path, text: str, head: str, draft: list[str], scratch: Path, update: bool, versions: str = VERSION
) -> None:
    """Compare `text` with the golden at `path`: first the patterns, then every line.

    head: comment lines for a new file; draft: its patterns. update: write the file, the patterns of an old one kept.
    versions: those that every line is compared under.
    """
    text = settled(text)
    if update:
        patterns = _patterns(path) if path.exists() else "\n".join([head, *draft]) + "\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{patterns}\n// {versions}\n{text}", encoding="utf-8")
    assert path.exists(), f"no golden {path}; make it with: pytest tests/passes --update-goldens, and read it"
    filecheck(path, text, scratch)
    _, line, recorded = path.read_text(encoding="utf-8").partition(f"\n// {versions}\n")
    if line:
        assert text.splitlines() == recorded.splitlines()


def _patterns(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n// torch ")[0]


def filecheck(path: Path, text: str, scratch: Path) -> None:
    """Fail where the patterns of `path` do not match the text."""
    checks, produced = scratch / "checks", scratch / "text"
    checks.write_text(_patterns(path) + "\n", encoding="utf-8")
    produced.write_text(text, encoding="utf-8")
    assert Matcher.from_opts(Options(str(checks), str(produced))).run() == 0, f"the patterns of {path} do not match"


def patterns_of_site(site: AttentionSite) -> list[str]:
    """A first draft: the call with its shapes and masks, and no scores left beside it."""
    spec, mask = site.spec, site.spec.mask
    dtype = {torch.float32: "f32", torch.bfloat16: "bf16"}[spec.dtype]

    def tensor(*sizes: object) -> str:
        return f"!torch.vtensor<{{{{\\[}}}}{','.join(map(str, sizes))}],{dtype}>"

    query = tensor(spec.batch, spec.heads, spec.n_q, spec.head_dim)
    key = tensor(spec.batch, spec.kv_heads, spec.n_k, spec.head_dim)
    value = tensor(spec.batch, spec.kv_heads, spec.n_k, spec.value_dim)
    lifted = mask.other is None and spec.bias is None
    absent = [r"// CHECK-NOT: torch.aten.{{(_)?}}softmax", r"// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}"]
    if lifted and not {spec.head_dim, spec.value_dim} & {spec.n_k}:
        absent.append(f"// CHECK-NOT: {spec.n_q},{spec.n_k}],")
    lines = ["// CHECK: func.func @main{{.*}}", *absent]
    if mask.causal_offset is not None and mask.causal_offset != 0:
        lines.append(f"// CHECK-DAG: torch.constant.int {mask.causal_offset}")
    if mask.sliding_window is not None:
        lines.append(f"// CHECK-DAG: torch.constant.int {mask.sliding_window}")
    lines.append(f'// CHECK: torch.constant.str "{mask.empty_rows}"')
    lines.append(f'// CHECK: torch.operator "torch.hyper.attention"({{{{.*}}}}) : ({query}, {key}, {value},')
    masks = "i1>" if mask.key_mask is not None else "!torch.none"
    bias = "!torch.vtensor<" if not lifted else "!torch.none"
    lines.append(f"// CHECK-SAME: {{{{(!torch.vtensor<[^>]*)?}}}}{masks}, {bias}")
    return [*lines, *absent, "// CHECK: return"]


def patterns_of_rejection() -> list[str]:
    """A first draft for a graph that is left alone."""
    return ["// CHECK: func.func @main{{.*}}", "// CHECK-NOT: torch.hyper.attention", "// CHECK: return"]
