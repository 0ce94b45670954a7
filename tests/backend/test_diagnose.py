"""`hyperrewrite.diagnose`: its numbers against dense float64, its outputs, and one sentence for what does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import hyperrewrite
from hyperrewrite.cli import run_command

N = 512
OPTIONS = {
    "min_seq_len": 16,
    "block_size": 32,
    "sample_size": 32,
    "tile": 32,
    "window": 32,
    "sinks": 8,
    "threshold": 0.02,
}
PAPER = {**OPTIONS, "algorithm": "paper"}


@pytest.fixture(scope="module")
def qkv() -> tuple[Tensor, Tensor, Tensor]:
    """query [1, 4, N, 16], key and value [1, 2, N, 16], float32."""
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(1, heads, N, 16, generator=generator) for heads in (4, 2, 2))  # type: ignore[return-value]


def test_all_rows_are_exact(qkv: tuple[Tensor, Tensor, Tensor]) -> None:
    """rows >= n: α and the error by their definitions in float64."""
    found = hyperrewrite.diagnose(*qkv, is_causal=True, rows=N, options=PAPER)
    q, k, v = (tensor.double() for tensor in qkv)
    k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
    weights = torch.softmax((q @ k.mT / 4).masked_fill(torch.ones(N, N).triu(1).bool(), -torch.inf), -1)
    exact = weights @ v
    out = hyperrewrite.hyper_attention(*qkv, is_causal=True, enable_gqa=True, **PAPER)
    assert isinstance(out, Tensor)
    error = ((out - exact).square().sum((2, 3)) / exact.square().sum((2, 3))).sqrt()
    assert (found.algorithm, found.rows, found.queries) == ("paper", N, N)
    for head in found.heads:
        assert head.alpha == pytest.approx(N * float(weights[0, head.head].square().sum(0).max()))
        assert head.error == pytest.approx(float(error[0, head.head]), rel=1e-4)
        assert head.low == head.high == head.error
        assert head.error_cost == pytest.approx(1.0)


def test_few_rows_come_near(qkv: tuple[Tensor, Tensor, Tensor]) -> None:
    """A fifth of the flops: the error within 20 %, every share a share; rank 3 is a batch of one."""
    whole = hyperrewrite.diagnose(*qkv, is_causal=True, rows=N, options=PAPER)
    part = hyperrewrite.diagnose(*(t[0] for t in qkv), is_causal=True, rows=64, options=PAPER, budget=0.2)
    assert len(part.heads) == len(whole.heads) == 4
    for mine, true in zip(part.heads, whole.heads, strict=True):
        assert mine.error == pytest.approx(true.error, rel=0.2)
        assert mine.low < mine.error < mine.high
        assert 0.0 <= mine.heavy_mass <= 1.0 and 1.0 <= mine.effective_keys <= N
        assert mine.kappa >= 1.0 and mine.error_rows < N and mine.error_cost < 0.22


def test_hyper_knows_its_error(qkv: tuple[Tensor, Tensor, Tensor]) -> None:
    """From its sample, near the true one; no rows, no interval."""
    found = hyperrewrite.diagnose(*qkv, is_causal=True, rows=64, options={**OPTIONS, "threshold": 0.005})
    out = hyperrewrite.hyper_attention(*qkv, is_causal=True, enable_gqa=True, **{**OPTIONS, "threshold": 0.005})
    exact = hyperrewrite.hyper_attention(*qkv, is_causal=True, enable_gqa=True, algorithm="exact")
    assert isinstance(out, Tensor) and isinstance(exact, Tensor)
    true = ((out - exact).square().sum((2, 3)) / exact.square().sum((2, 3))).sqrt()
    for head in found.heads:
        assert head.error == pytest.approx(float(true[0, head.head]), rel=0.2)
        assert head.share is not None and 0.0 < head.share < 0.5
        assert head.low is head.high is head.error_rows is head.error_cost is None
    assert found.alarm == "" and "one key" in str(found) and "95 %" not in str(found)


def test_an_alarm_is_one_sentence(qkv: tuple[Tensor, Tensor, Tensor]) -> None:
    found = hyperrewrite.diagnose(*qkv, is_causal=True, rows=64, options=OPTIONS)
    heads = tuple(replace(head, share=0.6 if head.head in (1, 3) else 0.2) for head in found.heads)
    said = replace(found, heads=heads).alarm
    assert said.startswith("one key makes 60% of the estimated error of heads 1, 3: ")
    assert str(replace(found, heads=heads)).endswith(said)


def test_short_inputs_are_exact(qkv: tuple[Tensor, Tensor, Tensor]) -> None:
    """Below min_seq_len nothing is estimated: the error is rounding."""
    found = hyperrewrite.diagnose(*qkv, rows=64)
    assert found.algorithm == "exact"
    assert max(head.error for head in found.heads) < 1e-5


def test_table_json_plot(qkv: tuple[Tensor, Tensor, Tensor], tmp_path: Path) -> None:
    """All three say the same heads."""
    found = hyperrewrite.diagnose(*qkv, is_causal=True, rows=64, options=PAPER)
    assert found.table().row_count == 4
    assert "paper, causal, 512 × 512" in str(found)
    document = json.loads(found.to_json())
    assert [head["head"] for head in document["heads"]] == [0, 1, 2, 3]
    assert document["heads"][2]["alpha"] == found.heads[2].alpha
    pytest.importorskip("matplotlib")
    found.plot(tmp_path / "heads.svg")
    hyperrewrite.diagnose(*qkv, rows=64, options=OPTIONS).plot(tmp_path / "others.svg")
    assert (tmp_path / "heads.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"query": torch.zeros(4, 4)}, "rank"),
        ({"key": torch.zeros(1, 2, N, 8)}, "features"),
        ({"key": torch.zeros(1, 3, N, 16), "value": torch.zeros(1, 3, N, 16)}, "multiple"),
        ({"value": torch.zeros(1, 2, N - 1, 16)}, "agree"),
        ({"value": torch.full((1, 2, N, 16), torch.nan)}, "not finite"),
        ({"key": torch.zeros(1, 2, N, 16).double()}, "one dtype"),
        ({"query": torch.zeros(1, 4, N, 16).long()}, "floating point"),
        ({"query": torch.zeros(1, 4, 0, 16)}, "empty"),
        ({"query": "tensor"}, "must be a tensor"),
        ({"rows": 1}, "rows"),
        ({"seed": -1}, "seed"),
        ({"budget": 0}, "budget"),
        ({"scale": float("nan")}, "scale"),
        ({"options": {"windw": 3}}, "did you mean 'window'"),
    ],
)
def test_one_sentence(qkv: tuple[Tensor, Tensor, Tensor], change: dict[str, Any], sentence: str) -> None:
    """What does not fit is said in one line."""
    given: dict[str, Any] = dict(zip(("query", "key", "value"), qkv, strict=True)) | change
    with pytest.raises(ValueError, match=sentence) as caught:
        hyperrewrite.diagnose(given.pop("query"), given.pop("key"), given.pop("value"), **given)
    assert "\n" not in str(caught.value)


def test_names_do_not_hide_each_other() -> None:
    """The class, its module and the function can be reached in any order."""
    assert hyperrewrite.Diagnosis.__module__ == "hyperrewrite.diagnosis"
    assert callable(hyperrewrite.diagnose)


def test_command(qkv: tuple[Tensor, Tensor, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of tensors in, JSON out; a wrong file is one sentence and exit code 2."""
    file = tmp_path / "qkv.pt"
    torch.save(dict(zip(("query", "key", "value"), qkv, strict=True)), file)
    assert run_command(["diagnose", str(file), "--causal", "--min-seq-len", "16", "--rows", "64", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["heads"]) == 4
    torch.save({"query": qkv[0]}, file)
    assert run_command(["diagnose", str(file)]) == 2
    assert "lacks key, value" in capsys.readouterr().err
    file.write_text("no tensors", encoding="utf-8")
    assert run_command(["diagnose", str(file)]) == 2
    assert run_command(["diagnose", str(tmp_path / "absent.pt")]) == 2
