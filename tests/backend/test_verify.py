"""verify=True: a right rewrite passes, a wrong one leaves the graph as it was."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

import pytest
import torch
from attention_forms import FORMS
from graphs import EXACT, capture
from hyperrewrite.kernels import decomposition
from hyperrewrite.passes import linalg, mlir
from hyperrewrite.passes.rewrite import Rewritten, rewrite
from torch import Tensor, fx

import hyperrewrite
from hyperrewrite import backend as backend_module
from hyperrewrite.analysis import analyse
from hyperrewrite.verify import Comparison, Lowerings, compare

from .models import Attention, Stack

needs_mlir = pytest.mark.skipif(not mlir.available(), reason="needs the extra hyperrewrite[mlir]")


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


def test_what_was_verified_is_in_log_and_report(caplog: pytest.LogCaptureFixture) -> None:
    """A check for each graph that was rewritten, and none for a graph without attention."""
    first, second, x = Attention(), Attention(), torch.randn(2, 63, 32)

    def model(x: Tensor) -> Tensor:
        x = first(x)
        torch._dynamo.graph_break()
        x = x.sin()
        torch._dynamo.graph_break()
        return second(x)

    with caplog.at_level(logging.WARNING, "hyperrewrite"), hyperrewrite.record() as log, torch.no_grad():
        torch.compile(model, backend="hyper", options={"verify": True})(x)
    assert log.report.graphs == 3
    assert [check.equal for check in log.report.checks] == [True, True]
    said = [r.getMessage() for r in caplog.records if "verify=True" in r.getMessage()]
    assert len(said) == 2 and all("agree on random inputs: the outputs differ by" in line for line in said)
    assert str(log).count("verified: the outputs differ by") == 2
    data = json.loads(log.to_json())["checks"]
    assert [check["equal"] for check in data] == [True, True] and all(check["difference"] < 1 for check in data)


def test_without_verify_nothing_is_said_of_it() -> None:
    with hyperrewrite.record() as log, torch.no_grad():
        torch.compile(Attention(), backend="hyper")(torch.randn(2, 63, 32))
    assert log.report.checks == () and "verified" not in str(log)


def _spoiled(module: fx.GraphModule, lowered: Any, body: bool) -> Rewritten:
    """A rewrite that forgets causality."""
    done = rewrite(module, lowered, body)
    result = done.module
    for node in result.graph.nodes:
        if "is_causal" in node.kwargs:
            node.kwargs = {k: v for k, v in node.kwargs.items() if k != "is_causal"}
    result.recompile()
    return done


def test_a_wrong_rewrite_leaves_the_graph(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("hyperrewrite.passes.subgraphs.rewrite", _spoiled)
    model, x = Attention(), torch.randn(2, 63, 32)
    with caplog.at_level(logging.WARNING, "hyperrewrite"), hyperrewrite.record() as log, torch.no_grad():
        out = torch.compile(model, backend="hyper", options={"verify": True})(x)
    torch.testing.assert_close(out, model(x), rtol=1e-5, atol=1e-5)
    assert log.report.site_count == 0
    assert log.report.failures[0].startswith("verify: the outputs differ by")
    assert [check.equal for check in log.report.checks] == [False] and "verified" not in str(log)
    assert any("verify=True failed" in r.getMessage() for r in caplog.records)


def test_values_that_are_not_finite_must_agree() -> None:
    plain = fx.symbolic_trace(lambda x: x.log())
    same = fx.symbolic_trace(lambda x: torch.log(x))
    zeros = fx.symbolic_trace(lambda x: x.log().nan_to_num())
    x = [torch.randn(4, 5)]
    assert compare(plain, same, x).equal
    assert not compare(plain, zeros, x).equal


def test_an_input_can_keep_its_values() -> None:
    """A copy that rests on the values of a buffer is right for those alone."""
    by_buffer = fx.symbolic_trace(lambda x, mask: x.masked_fill(~mask, 0.0))
    by_rule = fx.symbolic_trace(lambda x, mask: x.tril())
    inputs = [torch.randn(9, 9), torch.ones(9, 9, dtype=torch.bool).tril()]
    assert not compare(by_buffer, by_rule, inputs).equal
    assert compare(by_buffer, by_rule, inputs, kept={1}).equal


def test_a_graph_that_fails_is_not_equal() -> None:
    comparison = compare(fx.symbolic_trace(lambda x: x @ x), fx.symbolic_trace(lambda x: x), [torch.randn(4, 5)])
    assert not comparison.equal
    assert "did not run" in comparison.sentence


# --- linalg ---------------------------------------------------------------------------------------------------------

LOWERED = [
    "matmul_softmax", "causal_by_tril", "einsum_heads_first", "baddbmm_alibi", "learned_scale", "gqa_repeat_interleave",
    "padding_extended", "hard_and_soft_masks", "sdpa_causal", "sdpa_padding", "empty_cache", "sliding_window",
]  # fmt: skip


def _forms_compared(name: str, op: bool, dynamic: bool | None = None) -> Comparison:
    graph = capture(FORMS[name].function, FORMS[name].inputs(), dynamic=dynamic)
    rewritten = graph.with_op() if op else analyse(graph.module, EXACT).module
    return compare(graph.module, rewritten, graph.inputs)


@needs_mlir
@pytest.mark.parametrize("name", LOWERED)
def test_both_graphs_are_lowered_and_run(name: str) -> None:
    comparison = _forms_compared(name, op=True)
    assert comparison.equal
    assert comparison.lowerings.original == comparison.lowerings.rewritten == ""
    assert comparison.lowerings.difference < 1.0
    assert "; lowered to linalg: both; run from there, the outputs differ by" in comparison.sentence


@needs_mlir
@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("name", ["causal_and_padding", "sdpa_gqa"])
def test_what_the_backend_writes_is_lowered(name: str, dynamic: bool | None) -> None:
    comparison = _forms_compared(name, op=False, dynamic=dynamic)
    assert comparison.equal
    assert comparison.lowerings.difference < 1.0


@needs_mlir
@pytest.mark.parametrize("dynamic", [None, True])
def test_the_backend_says_so(dynamic: bool | None, caplog: pytest.LogCaptureFixture) -> None:
    """Inside a compile, whose fake mode and symbols are not touched."""
    model, x = Stack(1), torch.randn(2, 63, 32)
    with caplog.at_level(logging.INFO, "hyperrewrite"), torch.no_grad():
        torch.compile(model, backend="hyper", dynamic=dynamic, options={"verify": True})(x)
    (said,) = [r.getMessage() for r in caplog.records if "agree on random inputs" in r.getMessage()]
    assert "lowered to linalg: both; run from there, the outputs differ by" in said


def _plain(x: Tensor) -> Tensor:
    return x * 2


def _with_lgamma(x: Tensor) -> Tensor:
    """The same numbers by an operator that torch-mlir does not lower."""
    return x * 2 + torch.lgamma(x.abs() + 1) * 0


@needs_mlir
def test_a_lost_lowering_is_a_failure() -> None:
    plain, other = fx.symbolic_trace(_plain), fx.symbolic_trace(_with_lgamma)
    comparison = compare(plain, other, [torch.randn(4, 5)])
    assert not comparison.equal
    assert comparison.difference < 1.0
    assert comparison.lowerings.original == ""
    assert comparison.lowerings.rewritten.startswith("no lowering of torch.aten.lgamma: ")
    assert "the original graph yes, the rewritten one not (no lowering of torch.aten.lgamma" in comparison.sentence


@needs_mlir
def test_an_original_without_lowering_is_no_failure() -> None:
    plain, other = fx.symbolic_trace(_plain), fx.symbolic_trace(_with_lgamma)
    for rewritten in (plain, other):
        comparison = compare(other, rewritten, [torch.randn(4, 5)])
        assert comparison.equal
        assert comparison.lowerings.original.startswith("no lowering of torch.aten.lgamma: ")
        assert bool(comparison.lowerings.rewritten) == (rewritten is other)


@needs_mlir
def test_other_numbers_from_linalg_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third opinion counts where it agrees with PyTorch on the original."""
    right = decomposition.attention

    def wrong(*tensors: Any, **rules: Any) -> tuple[Tensor, Tensor]:
        return right(*tensors, **{**rules, "causal_offset": None})

    monkeypatch.setattr(decomposition, "attention", wrong)
    comparison = _forms_compared("causal_by_tril", op=True)
    assert not comparison.equal
    assert comparison.difference < 1.0 < comparison.lowerings.difference


@needs_mlir
def test_an_original_that_runs_otherwise_there_is_no_opinion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linalg, "execute", lambda lowered, inputs: linalg.Executed((torch.zeros(4, 5),)))
    plain = fx.symbolic_trace(_plain)
    comparison = compare(plain, plain, [torch.randn(4, 5)])
    assert comparison.equal
    assert math.isnan(comparison.lowerings.difference)
    assert "the original does not run from there as PyTorch runs it" in comparison.sentence


@needs_mlir
def test_large_graphs_are_lowered_and_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperrewrite.verify.LARGEST_LOWERED", 100)
    comparison = _forms_compared("sdpa_gqa", op=False)
    assert comparison.equal
    assert comparison.sentence.endswith("lowered to linalg: both; not run from there, as they are not small")


def test_without_torch_mlir_it_is_skipped_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlir, "available", lambda: False)
    comparison = _forms_compared("sdpa_gqa", op=False)
    assert comparison.equal
    assert comparison.sentence.endswith("; not lowered to linalg: torch-mlir is not installed")


def test_whatever_fails_in_lowering_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(mlir, "available", lambda: True)
    monkeypatch.setattr(linalg, "lower", broken)
    comparison = _forms_compared("sdpa_gqa", op=False)
    assert comparison.equal
    assert comparison.lowerings == Lowerings(sentence="not lowered to linalg: RuntimeError: out of luck")
