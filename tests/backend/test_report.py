"""Explain and record: rows, folding, JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import hyperrewrite
from hyperrewrite.report import modules_in_words

from .models import Stack


def test_identical_layers_fold_into_one_row() -> None:
    report = hyperrewrite.explain(Stack(4), torch.randn(2, 63, 32))
    assert report.graphs == 1
    assert [(row.count, row.form, row.query) for row in report.sites] == [(4, "eager", (2, 2, 63, 16))]
    row = report.sites[0]
    assert row.file.endswith("models.py")
    assert "softmax" in Path(row.file).read_text().splitlines()[row.line - 1]
    assert row.modules[0] == "layers.0"
    assert "layers.{0…3}" in str(report)
    assert "causal" in str(report)


def test_json_holds_every_row() -> None:
    report = hyperrewrite.explain(Stack(2), torch.randn(2, 63, 32))
    data = json.loads(report.to_json())
    assert data["graphs"] == 1
    assert data["sites"][0]["count"] == 2
    assert set(data["sites"][0]) >= {
        "file",
        "line",
        "modules",
        "query",
        "key",
        "value",
        "spec",
        "action",
        "code",
        "reason",
    }
    assert data["rejections"] == []


class Escaping(nn.Module):
    """Returns its probabilities, so it must be left alone."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Attend and return the probabilities too."""
        p = torch.softmax(q @ k.transpose(-2, -1), dim=-1)
        return p @ v, p


def test_a_rejection_says_why_and_where() -> None:
    report = hyperrewrite.explain(Escaping(), *(torch.randn(1, 2, 63, 8) for _ in range(3)))
    assert report.site_count == 0
    (row,) = report.rejections
    assert row.code == "probabilities_escape"
    assert row.file.endswith("test_report.py")
    assert "probabilities_escape" in str(report)


def test_explain_follows_graph_breaks() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Stack(1), Stack(1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            torch._dynamo.graph_break()
            out: Tensor = self.second(x)
            return out

    report = hyperrewrite.explain(Broken(), torch.randn(1, 63, 32))
    assert report.graphs == 2
    assert report.site_count == 2


def test_modules_in_words() -> None:
    assert modules_in_words(["a.0.b", "a.1.b", "a.2.b"]) == "a.{0…2}.b"
    assert modules_in_words(["x"]) == "x"
    assert modules_in_words([""]) == "(no module)"


@pytest.mark.parametrize(
    ("layers", "highest"),
    [("99", 99), ("0,2", 2), ("1-5", 5), ("0-1", None), ("last:9", None), ("first:9", None), ("all", None)],
)
def test_a_site_that_no_graph_has_is_a_warning(layers: str, highest: int | None) -> None:
    report = hyperrewrite.explain(Stack(2), torch.randn(2, 63, 32), options={"layers": layers})
    if highest is None:
        assert report.warnings == () and "warning" not in str(report)
        return
    wanted = f"layers={layers!r} names site {highest}, but no graph has more than 2 sites, numbered from 0"
    assert report.warnings == (wanted,)
    assert f"warning: {wanted}" in str(report)
    assert json.loads(report.to_json())["warnings"] == [wanted]


def test_a_site_that_another_graph_has_is_no_warning() -> None:
    """The report of one graph warns, that of both does not."""
    x, options = torch.randn(2, 63, 32), {"layers": "2"}
    small, large = (hyperrewrite.explain(Stack(count), x, options=options) for count in (2, 3))
    assert small.warnings and not large.warnings
    assert (small + large).warnings == () == (large + small).warnings


def _block_by_block(options: Sequence[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> hyperrewrite.Report:
    """The report of a model whose blocks are compiled one by one, as training libraries and diffusers do."""
    monkeypatch.setattr("hyperrewrite.backend._inductor", lambda gm, *_: gm.forward)
    torch._dynamo.reset()
    model, x = Stack(len(options)), torch.randn(2, 63, 32, requires_grad=True)
    want = torch.autograd.grad(model(x).square().sum(), x)
    for layer, given in zip(model.layers, options, strict=True):
        layer.compile(backend="hyper", options=given)
    with hyperrewrite.record() as log:
        got = torch.autograd.grad(model(x).square().sum(), x)
    assert (got[0] - want[0]).norm() < 0.5 * want[0].norm()
    return log.report


@pytest.mark.parametrize("layers", ["last:1", "first:1", "0"])
def test_layers_of_blocks_compiled_one_by_one_are_a_warning(layers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"layers": layers, "min_seq_len": 32, "tile": 16}
    report = _block_by_block([options] * 3, monkeypatch)
    assert [row.action for row in report.sites] == ["hyper"]  # compiled once for all of them: PyTorch takes it again
    (warning,) = report.warnings
    assert "one by one" in warning and layers in warning and warning in str(report)


def test_blocks_with_options_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, estimated = {"approximate": False}, {"min_seq_len": 32, "tile": 16}
    report = _block_by_block([exact, exact, estimated], monkeypatch)
    assert [row.action for row in report.sites] == ["exact", "hyper"]
    assert report.warnings == ()


@pytest.mark.parametrize("asked", [True, False])
def test_rows_have_the_errors_of_calls_that_ran_where_asked(asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperrewrite.backend._inductor", lambda gm, *_: gm.forward)
    torch._dynamo.reset()
    options = {"min_seq_len": 32, "tile": 16, "window": 8, "sinks": 4, "threshold": 0.01, "layers": "last:2"}
    model, x = Stack(3), 3.0 * torch.randn(2, 192, 32)
    with hyperrewrite.record(errors=asked) as log, torch.no_grad():
        torch.compile(model, backend="hyper", options=options)(x)
    exact, hyper = log.report.sites
    assert (exact.action, hyper.action, hyper.count) == ("exact", "hyper", 2)
    assert exact.errors is None and (hyper.errors is not None) == asked
    assert ("errors" in json.loads(log.to_json())["sites"][1]) == asked
    if hyper.errors is not None:
        assert hyper.errors.calls == 2 and 0.0 < hyper.errors.error <= hyper.errors.worst < 1.0
        assert f"error: {hyper.errors.error:.4f}" in str(log)
        said = str(replace(hyper.errors, share=0.8))
        assert "one key makes 80% of the estimated error of a call" in said


def test_layers_of_a_model_in_several_graphs_are_a_warning() -> None:
    class Broken(Stack):
        def forward(self, x: Tensor) -> Tensor:
            x = self.layers[0](x)
            torch._dynamo.graph_break()
            y: Tensor = self.layers[1](x)
            return y

    x, options = torch.randn(2, 63, 32), {"layers": "last:1"}
    (warning,) = hyperrewrite.explain(Broken(2), x, options=options).warnings
    assert "several" in warning
    assert hyperrewrite.explain(Stack(2), x, options=options).warnings == ()


def test_nothing_compiled_says_why() -> None:
    """As in torch.compile(model).generate(…), which is the original's method."""

    class Generating(nn.Linear):
        def generate(self, x: Tensor) -> Tensor:
            y: Tensor = self(x)
            return y

    compiled, x = torch.compile(Generating(4, 4), backend="hyper"), torch.randn(2, 4)
    with hyperrewrite.record() as log:
        compiled.generate(x)
    (warning,) = log.report.warnings
    assert "generate" in warning and 'model.compile(backend="hyper")' in warning and warning in str(log)


def test_explain_says_the_same_however_often_it_is_called() -> None:
    """Dynamo gives up a function after eight compiles; what is compiled afterwards must not pay for `explain`."""
    torch._dynamo.reset()
    model, x = Stack(1), torch.randn(1, 63, 32)
    assert [hyperrewrite.explain(model, x).site_count for _ in range(10)] == [1] * 10
    if "isolate_recompiles" in signature(torch.compile).parameters:
        with hyperrewrite.record() as log, torch.no_grad():
            torch.compile(model, backend="hyper")(x)
        assert log.report.site_count == 1


def test_explain_does_not_advise_to_call_explain(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hyperrewrite"):
        report = hyperrewrite.explain(Stack(1), torch.randn(1, 63, 32), options={"min_seq_len": 1, "tile": 16})
    assert [row.action for row in report.sites] == ["hyper"]
    assert not [record for record in caplog.records if record.name == "hyperrewrite"]


def test_one_key_is_one_key() -> None:
    class Decode(nn.Module):
        def forward(self, q: Tensor, k: Tensor) -> Tensor:
            return nn.functional.scaled_dot_product_attention(q, k, k)

    def reason(queries: int, keys: int, **options: object) -> str:
        torch._dynamo.reset()  # or another length would make a dynamic shape
        tensors = torch.randn(1, 2, queries, 8), torch.randn(1, 2, keys, 8)
        return hyperrewrite.explain(Decode(), *tensors, options=options).sites[0].reason

    assert reason(1, 64, min_seq_len=8) == "1 query is fewer than tile=128"
    assert reason(2, 64, min_seq_len=8) == "2 queries are fewer than tile=128"
    assert reason(4, 1) == "1 key is fewer than min_seq_len=8192"
