"""What a built wheel holds: the three rooms under one name, and nothing at the top level that is somebody else's."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from processes import NO_TRITON, ROOT, run_python

ROOMS = {"hyperrewrite": "hyperrewrite", "passes": "hyperrewrite/passes", "kernels": "hyperrewrite/kernels"}
SKIP = shutil.ignore_patterns("__pycache__")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy, so that no stale build folder leaks in and none is left behind."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=SKIP)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    program = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path) -> Path:
    """The wheel's files, as pip would lay them down."""
    folder = wheel.parent / "site"
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def metadata(unpacked: Path) -> Message:
    """The wheel's METADATA."""
    (file,) = unpacked.glob("*.dist-info/METADATA")
    return Parser().parsestr(file.read_text(encoding="utf-8"))


def test_every_module_of_the_three_rooms_is_in_the_wheel(unpacked: Path) -> None:
    """A sub-package that pyproject.toml forgets shows up here."""
    wanted = {
        f"{target}/{file.relative_to(ROOT / room).as_posix()}"
        for room, target in ROOMS.items()
        for file in (ROOT / room).rglob("*.py")
    }
    held = {file.relative_to(unpacked).as_posix() for file in unpacked.rglob("*.py")}
    assert held == wanted
    for name in ("py.typed", "page.html.j2"):
        assert (unpacked / "hyperrewrite" / name).is_file()
    assert (unpacked / "hyperrewrite/kernels/fused/rule.py.j2").is_file()
    tables = {file.name for file in (ROOT / "kernels" / "fused" / "tables").iterdir()}
    assert {file.name for file in (unpacked / "hyperrewrite/kernels/fused/tables").iterdir()} == tables != set()


def test_nothing_else_stands_at_the_top_level(unpacked: Path) -> None:
    """A top-level `kernels` would pass for the package that transformers looks for."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert {entry.name for entry in unpacked.iterdir()} == {"hyperrewrite", f"hyperrewrite-{version}.dist-info"}


def test_licence_and_extras(unpacked: Path, metadata: Message) -> None:
    """Apache-2.0, and the extras by the names the README uses."""
    assert metadata["License-Expression"] == "Apache-2.0"
    assert list(unpacked.glob("*.dist-info/licenses/LICENSE"))
    assert set(metadata.get_all("Provides-Extra", [])) == {"mlir", "demo", "test", "dev"}
    needs = [need.replace('"', "'") for need in metadata.get_all("Requires-Dist", [])]
    assert any(need.startswith("torch-mlir==20261001") and "extra == 'mlir'" in need for need in needs)
    for name in ("transformers", "gguf", "accelerate", "matplotlib"):
        assert any(need.startswith(name) and "extra == 'demo'" in need for need in needs), name


def test_plain_install_needs_neither_transformers_nor_mlir(metadata: Message) -> None:
    """What everybody pays for: torch and five small packages."""
    plain = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert sorted(need.split(">=")[0] for need in plain) == ["jinja2", "networkx", "rich", "sympy", "torch", "typer"]


def test_wheel_works_as_installed(unpacked: Path, tmp_path: Path) -> None:
    """The unpacked wheel, ahead of the checkout: rooms, entry points and command line come from it."""
    program = f"""
import importlib.metadata as metadata
import hyperrewrite, hyperrewrite.kernels, hyperrewrite.passes
for room in (hyperrewrite, hyperrewrite.kernels, hyperrewrite.passes):
    assert room.__file__.startswith({str(unpacked)!r}), room.__file__
found = {{entry.group: entry.value for entry in metadata.distribution("hyperrewrite").entry_points}}
assert found["torch_dynamo_backends"] == "hyperrewrite.backend:hyper", found
assert found["console_scripts"] == "hyperrewrite.cli:main", found
from hyperrewrite.cli import run_command
assert run_command(["version"]) == 0
"""
    assert run_python(NO_TRITON + program, cwd=tmp_path, path=unpacked).startswith("hyperrewrite 0.1.0, torch 2.")
