"""verify=True: a right rewrite passes, a wrong one leaves the graph as it was."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from hyperrewrite.passes.rewrite import Rewritten, rewrite
from torch import fx

import hyperrewrite
from hyperrewrite import analysis as analysis_module
from hyperrewrite import backend as backend_module
from hyperrewrite.verify import compare

from .models import Attention, Stack


@pytest.fixture(autouse=True)
def _no_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    monkeypatch.setattr(backend_module, "_inductor", lambda gm, inputs, patches: gm.forward)


@pytest.mark.parametrize("dynamic", [None, True])
def test_a_right_rewrite_passes(dynamic: bool | None) -> None:
    model, x = Stack(2), torch.randn(2, 63, 32)
    with hyperrewrite.record() as log, torch.no_grad():
        out = torch.compile(model, backend="hyper", dynamic=dynamic, options={"verify": True})(x)
    assert log.report.site_count == 2
    assert log.report.failures == ()
    torch.testing.assert_close(out, model(x), rtol=1e-5, atol=1e-5)


def _spoiled(module: fx.GraphModule, lowered: Any) -> Rewritten:
    """A rewrite that forgets causality."""
    done = rewrite(module, lowered)
    result = done.module
    for node in result.graph.nodes:
        if "is_causal" in node.kwargs:
            node.kwargs = {k: v for k, v in node.kwargs.items() if k != "is_causal"}
    result.recompile()
    return done


def test_a_wrong_rewrite_leaves_the_graph(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(analysis_module, "rewrite", _spoiled)
    model, x = Attention(), torch.randn(2, 63, 32)
    with caplog.at_level(logging.WARNING, "hyperrewrite"), hyperrewrite.record() as log, torch.no_grad():
        out = torch.compile(model, backend="hyper", options={"verify": True})(x)
    torch.testing.assert_close(out, model(x), rtol=1e-5, atol=1e-5)
    assert log.report.site_count == 0
    assert log.report.failures[0].startswith("verify: the outputs differ by")
    assert any("verify=True failed" in r.getMessage() for r in caplog.records)


def test_values_that_are_not_finite_must_agree() -> None:
    plain = fx.symbolic_trace(lambda x: x.log())
    same = fx.symbolic_trace(lambda x: torch.log(x))
    zeros = fx.symbolic_trace(lambda x: x.log().nan_to_num())
    x = [torch.randn(4, 5)]
    assert compare(plain, same, x).equal
    assert not compare(plain, zeros, x).equal


def test_a_graph_that_fails_is_not_equal() -> None:
    comparison = compare(fx.symbolic_trace(lambda x: x @ x), fx.symbolic_trace(lambda x: x), [torch.randn(4, 5)])
    assert not comparison.equal
    assert "did not run" in comparison.sentence
