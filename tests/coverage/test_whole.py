"""`benchmarks/coverage.py --whole`: stopped and taken up again, and README's table of what it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import coverage_table

BENCH = Path(__file__).resolve().parents[2] / "benchmarks/coverage.py"


def row(implementation: str, condition: str, sites: int, rewritten: int, **more: Any) -> dict[str, Any]:
    case = {"model": more.pop("model", "a"), "implementation": implementation, "condition": condition}
    return {**case, "sites": sites, "missed": 0, "rewritten": rewritten, "inductor": None, **more}


def test_table_sums_the_rows() -> None:
    rows = [
        row("eager", "none", 1200, 1100, inductor=7),
        row("eager", "none", 300, 300, model="b", missed=1, inductor_failed=["TimeoutError"]),
        row("sdpa", "none", 4, 4),
        row("eager", "dropout", 2, 2, inductor=1),
    ]
    result = {"rows": rows, "not_run": [{"model": "c"}], "transformers": "5", "torch": "2", "passes": "f00"}
    lines = coverage_table.table(result).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == 8
    assert lines[2] == "| no mask | 1,500 | 1,499 | 1,400 | 4 | 4 | 4 |"
    assert lines[3] == "| training with dropout | 2 | 2 | 2 |  |  |  |"
    assert "no mask: 7 of 1,200 sites, hyper 1,100 (1 types; 1 types could not be counted)." in lines[5]
    assert lines[-1].startswith("2 of 3 model types, 4 rows")


def test_a_run_is_taken_up(tmp_path: Path) -> None:
    """Without time nothing is measured and no document written; then each case once; then none."""
    into = tmp_path / "coverage.json"
    cases = ["--models", "bert", "--conditions", "none,dropout", "--implementations", "eager"]
    command = [sys.executable, str(BENCH), "--whole", *cases, "--cache", str(tmp_path), "--json", str(into)]
    (tmp_path / "running-bert-1.jsonl").write_text('{"passes": "old", "inductor": true, "row"')  # cut short
    done = [subprocess.run([*command, *more], capture_output=True, text=True) for more in (["--seconds", "1"], [], [])]
    assert [run.returncode for run in done] == [3, 0, 0], done[1].stderr
    assert "2 of 2 cases are left" in done[0].stderr
    assert "| training with dropout | 2 | 2 | 2 |" in done[1].stdout
    assert done[2].stdout == done[1].stdout
    rows = json.loads(into.read_text())["rows"]
    assert [(r["condition"], r["rewritten"], r["inductor"]) for r in rows] == [("none", 2, 2), ("dropout", 2, 2)]
    assert len((tmp_path / "finished.jsonl").read_text().splitlines()) == 2
