"""The coverage bench's modules are imported from benchmarks/, which stands last on the path: its names must not win."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
