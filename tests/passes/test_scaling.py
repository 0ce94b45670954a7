"""The passes take time linear in the graph: counted in function calls, which other programs do not change."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from typing import Any

import pytest
import torch
from graphs import EXACT, Captured, capture
from torch import Tensor

from hyperrewrite.analysis import analyse


def layers(count: int) -> Captured:
    """A padded causal decoder of `count` layers, hand-written, with masks made in each layer."""

    def model(x: Tensor, keep: Tensor) -> Tensor:
        n = x.shape[1]
        for _ in range(count):
            q, k, v = (t.unflatten(-1, (2, 8)).transpose(1, 2) for t in torch.cat([x, x, x], dim=-1).chunk(3, dim=-1))
            scores = q @ k.transpose(-2, -1)
            scores *= 0.25
            scores.masked_fill_(torch.ones(n, n, dtype=torch.bool).triu(1), -1e9)
            scores = scores.masked_fill(~keep[:, None, None, :], -1e9)
            x = x + (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
        return x

    keep = torch.ones(2, 15, dtype=torch.bool)
    keep[0, 11:] = False
    return capture(model, (torch.randn(2, 15, 16), keep))


def calls(function: Callable[[], Any]) -> int:
    """How many functions are called inside."""
    profile = cProfile.Profile()
    profile.runcall(function)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


@pytest.mark.parametrize("step", ["find", "analyse"])
def test_linear(step: str) -> None:
    counts = []
    for graph in (layers(8), layers(8), layers(16), layers(32)):  # the first one fills caches
        run = graph.findings if step == "find" else lambda graph=graph: analyse(graph.module, EXACT)
        counts.append(calls(run))
    _, small, middle, large = counts
    assert large - middle <= 2.2 * (middle - small), counts
    nodes = len(layers(32).module.graph.nodes)
    assert large / nodes < 800, f"{large / nodes:.0f} calls a node"


def test_a_graph_without_attention_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    def copied(*_: object) -> None:
        raise AssertionError("copied")

    graph = capture(lambda x: torch.softmax(x.sin(), -1), (torch.randn(3, 5),))
    monkeypatch.setattr("hyperrewrite.passes.rewrite.copied_graph", copied)
    analysis = analyse(graph.module, EXACT)
    assert analysis.module is graph.module and not analysis.changed and not analysis.report.failures
