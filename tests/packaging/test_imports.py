"""Importing costs little and needs little: no GPU, no Triton, no extras; imports point one way."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from processes import NO_TRITON, ROOT, run_python

ROOMS = {"hyperrewrite": [], "passes": ["hyperrewrite"], "kernels": ["hyperrewrite"]}
TRITON_NAMES = (
    "arguments", "attention", "bits", "buckets", "exact", "geometry", "launch", "launch_exact", "launch_paper",
    "online", "paper", "prepare", "search", "spans",
)  # fmt: skip
TRITON = {ROOT / "kernels" / "fused" / f"{name}.py" for name in TRITON_NAMES}
TRITON |= set((ROOT / "kernels" / "sampling" / "triton").glob("*.py"))


def test_every_module_imports_without_triton(tmp_path: Path) -> None:
    """Also without a GPU: the process sees none. Only the Triton kernels and what launches them need it."""
    names = [
        ".".join([*parent, room, *file.relative_to(ROOT / room).with_suffix("").parts]).removesuffix(".__init__")
        for room, parent in ROOMS.items()
        for file in sorted((ROOT / room).rglob("*.py"))
        if file not in TRITON
    ]
    program = f"import importlib\nfor name in {names!r}:\n    importlib.import_module(name)"
    run_python(NO_TRITON + program, cwd=tmp_path)


def test_importing_the_package_stays_light(tmp_path: Path) -> None:
    """What a user of the backend alone never needs is not loaded."""
    program = "import sys, json, hyperrewrite; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(run_python(program, cwd=tmp_path)))
    heavy = {"transformers", "matplotlib", "torch_mlir", "gguf", "triton", "torch._inductor.compile_fx"}
    heavy |= {"torch.distributed.tensor"}
    assert not loaded & heavy


def test_help_needs_no_torch(tmp_path: Path) -> None:
    """`hyperrewrite --help` answers at once."""
    program = """
import sys
from hyperrewrite.cli import run_command
run_command(["--help"])
assert "torch" not in sys.modules
"""
    assert "explain" in run_python(program, cwd=tmp_path)


def test_transformers_imports_where_the_rooms_lie_at_the_top_level() -> None:
    """In the checkout itself `import kernels` finds the room; transformers tries exactly that, and must survive it."""
    pytest.importorskip("transformers")
    program = """
import sys; assert "" in sys.path
import hyperrewrite.kernels.functional
from transformers import LlamaForCausalLM
from transformers.utils import is_kernels_available
assert not is_kernels_available()
"""
    run_python(program, cwd=ROOT)


FORBIDDEN = {
    "kernels": ("hyperrewrite.passes", "hyperrewrite.cli", "hyperrewrite.backend", "hyperrewrite.options"),
    "passes": ("hyperrewrite.cli", "hyperrewrite.backend", "hyperrewrite.options", "hyperrewrite.policy"),
}


@pytest.mark.parametrize("room", FORBIDDEN)
def test_imports_point_one_way(room: str) -> None:
    """hyperrewrite → passes, hyperrewrite → kernels, and never back."""
    for file in (ROOT / room).rglob("*.py"):
        package = ["hyperrewrite", room, *file.relative_to(ROOT / room).parts[:-1]]
        for name in _imported(file, package):
            assert not name.startswith(FORBIDDEN[room]), f"{file} imports {name}"


def _imported(file: Path, package: list[str]) -> list[str]:
    """Absolute names of everything that a file imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names += [f"{stem}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("first", ["from hyperrewrite.explain import explain as e", "e = hyperrewrite.explain"])
def test_explain_by_either_name(first: str, tmp_path: Path) -> None:
    """Whichever is first, `hyperrewrite.explain` can be called afterwards."""
    program = f"""
import torch, hyperrewrite
{first}
from hyperrewrite.explain import explain
for call in (e, explain, hyperrewrite.explain):
    assert call(lambda x: x + 1, torch.ones(2)).graphs == 1
"""
    run_python(program, cwd=tmp_path)
