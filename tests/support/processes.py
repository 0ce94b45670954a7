"""Fresh Python processes, for what one import does to another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Put in front of a program: `import triton` fails as on a machine without it.
NO_TRITON = """
import sys
class _NoTriton:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "triton":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, _NoTriton())
"""


def run_python(program: str, *, cwd: Path, path: Path | None = None) -> str:
    """Run the program in a new interpreter and return what it printed; fail with its stderr if it failed.

    path goes in front of the installed packages.
    """
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    env["CUDA_VISIBLE_DEVICES"] = ""
    if path is not None:
        env["PYTHONPATH"] = str(path)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
