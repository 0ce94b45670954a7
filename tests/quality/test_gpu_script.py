"""benchmarks/gpu.sh: what it says to wrong arguments, and that a step that fails shows in its exit code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.sh"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def run(*told: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), *map(str, told)],
        capture_output=True,
        text=True,
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
    )


def test_usage() -> None:
    found = run("model.gguf")
    assert found.returncode == 2 and found.stderr.startswith("usage: benchmarks/gpu.sh MODEL.gguf ADAPTER_FOLDER")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    found = run(tmp_path / "model.gguf", tmp_path, tmp_path, tmp_path)
    assert found.returncode == 2 and "there is no" in found.stderr and "model.gguf" in found.stderr


def test_a_step_that_fails(tmp_path: Path) -> None:
    found = run(tmp_path, tmp_path, tmp_path, tmp_path / "out", "nosuch")
    assert found.returncode == 1 and "== nosuch: FAILED" in found.stdout
    assert "there is no step nosuch" in (tmp_path / "out" / "nosuch.log").read_text(encoding="utf-8")
