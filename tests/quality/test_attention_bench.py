"""benchmarks/attention*.py and overhead.py: what a person gets wrong, and the inputs that are captured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attention
import attention_inputs
import attention_rules
import overhead
import pytest
import quality_cli as cli
import torch
from safetensors.torch import load_file


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--implementations", "cudn"], "not 'cudn'"),
        (["--masks", "diagonal"], "causal, full or both"),
        (["--lengths", "4k"], "--lengths takes whole numbers"),
        (["--made", "gauss"], "shaped, gaussian, both or none"),
        (["--head-dims", "512"], "--head-dims takes whole numbers from 16 to 256"),
        (["--repeats", "0"], "--repeats and --heads"),
        (["--plot", "a.txt"], "--plot must end in"),
    ],
)
def test_bench_says_what_is_wrong(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(attention.app, words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bench", "words", "said"),
    [
        (attention_rules, ["--rules", "softcup"], "not 'softcup'"),
        (attention_rules, ["--lengths", "4k"], "--lengths takes whole numbers"),
        (attention_rules, ["--repeats", "0"], "--repeats and --heads"),
        (overhead, ["--lengths", "0"], "--lengths takes whole numbers"),
        (overhead, ["--layers", "0"], "--repeats and --layers"),
    ],
)
def test_smaller_benches_say_what_is_wrong(
    bench: Any, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(bench.app, words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without a GPU")
@pytest.mark.parametrize("bench", [attention, attention_rules, overhead])
def test_bench_needs_a_gpu(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(bench.app, []) == 2
    assert "needs a CUDA device" in capsys.readouterr().err


def test_table_and_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = Path(__file__).parents[2] / "docs" / "benchmarks" / "attention_h100.json"
    rows = json.loads(file.read_text())["rows"]
    assert {row["implementation"] for row in rows} == set(attention.NAMES)
    assert attention.table(rows).row_count == len(rows)
    attention.draw(tmp_path / "a.png", rows)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_inputs_are_those_of_the_layer(llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "qkv.safetensors"
    shared = [str(out), "--model", str(llama), "--device", "cpu", "--text", "manual", "--tokens", "200"]
    assert cli.run(attention_inputs.app, [*shared, "--layer", "1", "--heads", "2"]) == 0
    found = load_file(out)
    assert found["q"].shape[:2] == (2, 200) and found["k"].shape == found["v"].shape
    assert found["q"].dtype == torch.bfloat16
    assert attention._real(found, 300, 4, found["q"].shape[2]) is None  # too few tokens
    assert cli.run(attention_inputs.app, [*shared, "--layer", "7"]) == 2
    assert "fewer layers" in capsys.readouterr().err
    assert cli.run(attention_inputs.app, [*shared, "--tokens", "1100", "--layer", "0", "--heads", "2"]) == 2
    assert "beyond the model's context" in capsys.readouterr().err
    assert cli.run(attention_inputs.app, [*shared, "--tokens", "1100", "--layer", "0", "--heads", "2", "--beyond"]) == 0
    assert load_file(out)["q"].shape[1] == 1100
    assert cli.run(attention_inputs.app, [*shared, "--layer", "0", "--heads", "99"]) == 2
    assert "--heads must be a multiple" in capsys.readouterr().err
