"""benchmarks/quality_full.py on a tiny random Llama."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import quality_cli as cli
import quality_full
import torch
from hyperrewrite.kernels.functional import hyper_attention

SMALL = 'small={"window": 16, "sinks": 4, "tile": 16, "min_seq_len": 64}'
ALL = 'all={"min_seq_len": 512}'


def run(llama: Path, *words: str) -> int:
    return cli.run(quality_full.app, ["--model", str(llama), "--device", "cpu", *words])


def test_whole_bench(llama: Path, tmp_path: Path) -> None:
    file = tmp_path / "full.json"
    words = ["--context", "200", "--rows", "40", "--preset", SMALL, "--preset", ALL, "--presets", "small,all"]
    assert run(llama, *words, "--text", "manual", "--json", str(file)) == 0
    rows = {(row["estimator"], row["preset"]): row for row in json.loads(file.read_text())["rows"]}
    assert list(rows) == [("hyper", "small"), ("hyper", "all"), *((n, "small") for n in ("paper", "streaming", "topk"))]
    assert rows["hyper", "all"]["keys_per_query"] == 200 and rows["hyper", "all"]["mean_error"] < 1e-5
    for name in ("streaming", "topk"):
        assert rows[name, "small"]["keys_per_query"] == pytest.approx(rows["hyper", "small"]["keys_per_query"], abs=1)
    assert all(len(row["layer_errors"]) == 2 for row in rows.values())
    assert all(row["mean_error"] > 1e-4 for name, row in rows.items() if name != ("hyper", "all"))


def test_window_and_sinks_hold_as_many_keys_everywhere() -> None:
    near = quality_full._near(torch.arange(100), 100, 10, 3)
    assert near.sum(-1).eq(13).all()
    assert near[50, 45:55].all() and near[0, :13].all() and near[99, 90:].all()


def test_exact_rows_are_full_attention() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, heads, 96, 8, generator=generator) for heads in (4, 2, 2))
    layers = quality_full.Layers({"all": {"min_seq_len": 128}}, 32)
    out, _ = layers.attend(query, key, value, 0.3, True)
    wanted = hyper_attention(query, key, value, is_causal=True, scale=0.3, enable_gqa=True, algorithm="exact")
    torch.testing.assert_close(out, wanted)
    assert layers.errors["hyper", "all"][0] < 1e-6 and layers.keys["hyper", "all"] == [96]
    assert layers.errors["topk", "all"][0] < 1e-6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--context", "8"], "--context"),
        (["--context", "2048"], "beyond the model's context of 1024"),
        (["--rows", "0"], "--rows"),
        (["--text", "poem"], "NAME=FILE"),
    ],
)
def test_mistakes_are_one_sentence(
    llama: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run(llama, *words) == 2
    complaint = capsys.readouterr().err
    assert said in complaint and complaint.count("\n") == 1
