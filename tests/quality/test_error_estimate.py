"""benchmarks/error_estimate.py on a tiny random Llama."""

from __future__ import annotations

import json
from pathlib import Path

import error_estimate
import pytest
import quality_cli as cli


def run(llama: Path, *words: str) -> int:
    return cli.run(error_estimate.app, ["--model", str(llama), *words])


def test_whole_bench(llama: Path, tmp_path: Path) -> None:
    file = tmp_path / "errors.json"
    words = ["--tokens", "700", "--min-seq-len", "64", "--budget", "0.2", "--algorithms", "hyper,paper"]
    assert run(llama, *words, "--text", "code", "--text", "manual", "--json", str(file)) == 0
    rows = {(r["algorithm"], r["text"], r["layer"]): r for r in json.loads(file.read_text())["rows"]}
    assert len(rows) == 2 * 3 + 2 * 2  # of hyper, two layers of two texts
    for (algorithm, text, layer), row in rows.items():
        assert 0.0 < row["cost"] <= (1.0 if algorithm == "hyper" else 0.25)
        if layer == "all":
            alone = [rows[algorithm, name, "all"]["cases"] for name in ("code", "manual")]
            assert row["cases"] <= sum(alone) if text != "all" else row["cases"] == sum(alone)
            assert (
                (row["cases"] > 0) == (row["within"] is not None) == (algorithm == "hyper")
            )  # paper is exact so short
        else:
            assert row["error"] == pytest.approx(row["true"], rel=0.3) and row["pairs"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--algorithms", "magic"], "--algorithms"),
        (["--budget", "0"], "--budget"),
        (["--tokens", "1"], "--tokens"),
        (["--text", "poem"], "NAME=FILE"),
    ],
)
def test_mistakes_are_one_line(llama: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert run(llama, *words) == 2
    complaint = capsys.readouterr().err
    assert said in complaint and complaint.count("\n") == 1
