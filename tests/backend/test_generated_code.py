"""explain(…, code=True): the source of each site's call, as text, JSON and HTML, and on the command line."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable, Iterator
from html import unescape

import pytest
import torch
import torch.nn.functional as F
from graphs import as_long
from hyperrewrite.kernels.fused.rules import Rule, source
from torch import Tensor, nn

import hyperrewrite
from hyperrewrite.cli import run_command
from hyperrewrite.html import page
from hyperrewrite.report import Report

from .models import Stack

N = 63


@pytest.fixture(autouse=True)
def written_as_for_many_tokens() -> Iterator[None]:
    """What is short would be left alone, and has no source."""
    with as_long():
        yield


def tensors(dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    return tuple(torch.randn(2, 2, N, 8, dtype=dtype) for _ in range(3))


def softmax(scores: Tensor, value: Tensor) -> Tensor:
    return torch.softmax(scores, dim=-1) @ value


def softcap(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    keep = torch.ones(N, N, dtype=torch.bool).tril()
    return softmax((torch.tanh(q @ k.mT / 30) * 30).masked_fill(~keep, float("-inf")), v)


def clamped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return softmax((q @ k.mT * 0.3).clamp(max=4.0), v)


def window(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    i = torch.arange(N)
    distance = i[:, None] - i
    return softmax((q @ k.mT).masked_fill(~((distance >= 0) & (distance < 9)), float("-inf")), v)


def documents(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    ids = torch.arange(N) // 7
    return softmax((q @ k.mT).masked_fill(ids[:, None] != ids, float("-inf")), v)


def biased(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    i = torch.arange(N)
    distance = i[:, None] - i
    return softmax((q @ k.mT - 0.1 * distance).masked_fill(distance < 0, float("-inf")), v)


def row_term(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT + torch.linspace(0.0, 1.0, N)[:, None]  # float32, as the term is
    return softmax(torch.tanh(scores / 30) * 30, v.float()).to(v.dtype)


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return softmax(q @ k.mT, v)


def called(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def explained(model: Callable[..., Tensor], dtype: torch.dtype = torch.float32, **options: object) -> Report:
    torch._dynamo.reset()
    return hyperrewrite.explain(model, *tensors(dtype), options=options, code=True)


@pytest.mark.parametrize(
    ("model", "dtype", "rule"),
    [
        (softcap, torch.float32, Rule(causal=True, softcap=True, precise=True)),
        (softcap, torch.bfloat16, Rule(causal=True, softcap=True)),
        (row_term, torch.bfloat16, Rule(softcap=True, precise=True)),
        (clamped, torch.float32, Rule(score_max=True, scaled=True)),
        (window, torch.float32, Rule(causal=True, window=True)),
        (documents, torch.float32, Rule(groups=1)),
        (biased, torch.float32, Rule(causal=True, bias=True, scaled=True)),
    ],
)
def test_a_row_carries_the_source_of_its_call(model: Callable[..., Tensor], dtype: torch.dtype, rule: Rule) -> None:
    report = explained(model, dtype)
    (row,) = report.sites
    assert row.generated is not None
    assert row.generated.source == source(rule)
    text = str(report)
    assert f"CUDA code: {row.generated.name}.py ({rule.in_words()})" in text
    assert all(f"    {line}".rstrip() in text for line in source(rule).splitlines())
    assert json.loads(report.to_json())["sites"][0]["generated"]["source"] == source(rule)
    found = page(report)
    assert source(rule) in unescape(found)
    assert "<details>" in found


@pytest.mark.parametrize(
    ("model", "options", "why"),
    [
        (called, {}, "the call stays as it stands"),
        (plain, {}, "it is one call of PyTorch's scaled_dot_product_attention"),
        (plain, {"min_seq_len": 32, "tile": 16}, "hyper has neither a curve nor a mask"),
        (plain, {"min_seq_len": 32, "block_size": 16, "sample_size": 16, "algorithm": "paper"}, "paper has neither"),
    ],
)
def test_where_nothing_is_generated_a_phrase_says_so(
    model: Callable[..., Tensor], options: dict[str, object], why: str
) -> None:
    report = explained(model, **options)
    (row,) = report.sites
    assert row.generated is not None and not row.generated.source
    assert why in row.generated.words
    assert f"CUDA code: none, {why}" in str(report)
    assert why in unescape(page(report))
    assert "@triton.jit" not in str(report) + page(report)


def test_without_asking_there_is_none() -> None:
    torch._dynamo.reset()
    report = hyperrewrite.explain(softcap, *tensors())
    assert report.sites[0].generated is None
    assert "generated" not in json.loads(report.to_json())["sites"][0]
    for text in (str(report), page(report)):
        assert "triton" not in text and "CUDA" not in text


def test_layers_fold_and_a_source_is_printed_once() -> None:
    def both(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return window(q, k, v) + window(q[:, :1], k[:, :1], v[:, :1])

    torch._dynamo.reset()
    report = hyperrewrite.explain(Stack(3), torch.randn(2, N, 32), code=True)
    assert [row.count for row in report.sites] == [3]
    report = explained(both)
    assert len(report.sites) == 2
    assert str(report).count("def limits") == 1


class Window(nn.Module):
    """Sliding-window attention of its input."""

    def forward(self, x: Tensor) -> Tensor:
        """Attend."""
        return window(x, x, x)


def test_the_command_shows_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = types.ModuleType("codefactory")
    module.model = lambda: (Window(), (torch.randn(1, 2, N, 8),), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "codefactory", module)
    assert run_command(["explain", "codefactory:model", "--code"]) == 0
    assert "given.window" in capsys.readouterr().out
    torch._dynamo.reset()
    assert run_command(["explain", "codefactory:model"]) == 0
    assert "given.window" not in capsys.readouterr().out
