"""Explain and record: rows, folding, JSON."""

from __future__ import annotations

import json
from pathlib import Path

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
