"""`backend="hyper"` and the command are found by whoever installed the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from processes import run_python


def test_backend_is_listed_without_an_import(tmp_path: Path) -> None:
    """Dynamo finds it through the entry-point group, and does not import it for the list."""
    program = """
import sys, torch._dynamo
assert "hyper" in torch._dynamo.list_backends(exclude_tags=None)
assert "hyperrewrite" not in sys.modules
"""
    run_python(program, cwd=tmp_path)


def test_backend_compiles_without_an_import(tmp_path: Path) -> None:
    """A plain torch.compile with options, in a process that never names hyperrewrite."""
    program = """
import torch, torch.nn.functional as F
def model(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)
q, k, v = torch.randn(3, 1, 2, 32, 16).unbind()
compiled = torch.compile(model, backend="hyper", options={"approximate": False})
torch.testing.assert_close(compiled(q, k, v), model(q, k, v), rtol=1e-4, atol=1e-4)
"""
    run_python(program, cwd=tmp_path)


def test_console_script(tmp_path: Path) -> None:
    """The script beside this interpreter answers."""
    script = Path(sys.executable).with_name("hyperrewrite")
    done = subprocess.run([script, "version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("hyperrewrite ")
