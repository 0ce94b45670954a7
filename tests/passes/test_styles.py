"""Models in the manner of public code bases: every attention found, read as what it is, equal in value and gradient."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from graphs import OP, Backend, Captured, assert_same, clone, run
from hyperrewrite.passes.expand import expand
from hyperrewrite.passes.held import held_tensors
from hyperrewrite.passes.rewrite import rewrite
from hyperrewrite.passes.sites import Findings, find_sites
from styles import STYLES, Style
from torch import fx, nn


class Expanded(Backend):
    """The backend of `graphs` with what it found, looking into nn.MultiheadAttention and buffers as the real one does.

    with_op: each graph with the op at every site, whatever the policy says; run in place of the other if op=True.
    """

    def __init__(self, op: bool = False) -> None:
        super().__init__(op=op)
        self.found: list[Findings] = []
        self.with_op: list[fx.GraphModule] = []

    def __call__(self, module: fx.GraphModule, inputs: Any) -> Callable[..., Any]:
        expanded = expand(module)
        self.found.append(find_sites(expanded, held_tensors(module, inputs)))
        self.with_op.append(rewrite(expanded, [(site, OP) for site in self.found[-1].sites]).module)
        if not self.op:
            return super().__call__(module, inputs)
        self.graphs.append(Captured(module, tuple(inputs)))
        return self.with_op[-1].forward


def _cases(reason: Callable[[Style], str], choose: Callable[[Style], object] = lambda style: True) -> list[Any]:
    return [
        pytest.param(s, id=s.name, marks=[pytest.mark.xfail(strict=True, reason=reason(s))] if reason(s) else [])
        for s in STYLES.values()
        if choose(s)
    ]


def _around(style: Style) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", dtype=torch.bfloat16) if style.autocast else nullcontext()


@dataclass(frozen=True)
class Outcome:
    """What is found in a style's one graph, how many sites of it were rewritten, and what went wrong when it ran."""

    findings: Findings
    rewritten: int
    wrong: Exception | None


@cache
def _outcome(name: str) -> Outcome:
    """Run the style as the backend rewrites it, against eager PyTorch; its graph with the op, against the graph."""
    style, backend, wrong = STYLES[name], Expanded(), None
    args = style.inputs(style.n)
    with _around(style), torch.no_grad():
        try:
            assert_same(run(style.model(), args, backend), run(style.model(), args), style.tolerance)
            (graph,), (with_op,), (findings,) = backend.graphs, backend.with_op, backend.found
            if findings.sites:
                outputs = []
                for called in (with_op, graph.module):
                    torch.manual_seed(0)  # for active dropout
                    outputs.append(called.forward(*clone(graph.inputs)))
                assert_same(*outputs, style.tolerance)
        except Exception as error:
            wrong = error
    return Outcome(backend.found[0], backend.analyses[0].report.site_count, wrong)


def test_enough_styles() -> None:
    assert sum(bool(s.words) for s in STYLES.values()) >= 40
    assert sum(not s.words for s in STYLES.values()) >= 15
    assert sum(s.gradients for s in STYLES.values()) >= 6
    assert sum(bool(s.other_n) for s in STYLES.values()) >= 6


@pytest.mark.parametrize("style", _cases(lambda s: s.broken))
def test_values_stay(style: Style) -> None:
    """Rewriting changes no value."""
    wrong = _outcome(style.name).wrong
    if wrong is not None:
        raise wrong


@pytest.mark.parametrize("style", _cases(lambda s: s.missing))
def test_style_is_read(style: Style) -> None:
    """Sites and rejections are those declared, no more and no fewer."""
    outcome = _outcome(style.name)
    findings = outcome.findings
    found = [site.spec.in_words() for site in findings.sites]
    told = [f"{r.code.value}: {r.message}" for r in findings.rejections]
    assert len(found) == len(style.words), (found, told)
    assert all(wanted in one for wanted, one in zip(style.words, found, strict=True)), found
    assert [r.code.value for r in findings.rejections] == list(style.codes), told
    assert outcome.rewritten == len(style.words)


@pytest.mark.parametrize("style", _cases(lambda s: s.static, lambda s: s.other_n))
def test_one_graph_serves_two_lengths(style: Style) -> None:
    """dynamic=True: one compile for both lengths, every site found with symbolic sizes."""
    for backend in (Expanded(), Expanded(op=True)):
        torch._dynamo.reset()
        model = style.model()
        compiled = torch.compile(model, backend=backend, fullgraph=True, dynamic=True)
        with torch.no_grad():
            for n in (style.n, style.other_n):
                args = style.inputs(n)
                assert_same(compiled(*clone(args)), model(*clone(args)), style.tolerance)
        (findings,) = backend.found
        assert all(analysis.report.site_count == len(style.words) for analysis in backend.analyses)
    found = [_kind(site.spec.in_words()) for site in findings.sites]
    assert found == [_kind(site.spec.in_words()) for site in _outcome(style.name).findings.sites]


def _kind(words: str) -> str:
    """Words without heads, scale and lengths, which are symbols in a dynamic graph."""
    return re.sub(r"(?<=offset )[^,]+|\w+ heads.*", "", words)


@pytest.mark.parametrize("style", _cases(lambda s: "", lambda s: s.gradients))
def test_gradients(style: Style) -> None:
    """The same gradients of inputs and parameters; no parameter that eager reaches is lost."""
    results = []
    for backend in (None, Expanded(), Expanded(op=True)):
        torch._dynamo.reset()
        model = style.model()
        args = clone(style.inputs(style.n))
        for x in args:
            x.requires_grad_(x.is_floating_point())
        call = model if backend is None else torch.compile(model, backend=backend, fullgraph=True)
        call(*args).square().sum().backward()
        weights = list(model.parameters()) if isinstance(model, nn.Module) else []
        results.append([x.grad for x in (*args, *weights) if x.grad is not None])
    assert results[0]
    for gradients in results[1:]:
        # A bias of the keys has no gradient but rounding errors of the others.
        assert_same(gradients, results[0], 1e-3)
