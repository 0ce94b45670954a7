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
from hyperrewrite.passes.rewrite import rewrite
from hyperrewrite.passes.sites import Findings, find_sites
from styles import STYLES, Style
from torch import fx, nn


class Expanded(Backend):
    """The backend of `graphs` that looks into nn.MultiheadAttention with op=True too, as the real one does."""

    def __call__(self, module: fx.GraphModule, inputs: Any) -> Callable[..., Any]:
        if not self.op:
            return super().__call__(module, inputs)
        self.graphs.append(Captured(module, tuple(inputs)))
        expanded = expand(module)
        return rewrite(expanded, [(site, OP) for site in find_sites(expanded).sites]).forward


def _cases(reason: Callable[[Style], str], choose: Callable[[Style], object] = lambda style: True) -> list[Any]:
    return [
        pytest.param(s, id=s.name, marks=[pytest.mark.xfail(strict=True, reason=reason(s))] if reason(s) else [])
        for s in STYLES.values()
        if choose(s)
    ]


def _around(style: Style) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", dtype=torch.bfloat16) if style.autocast else nullcontext()


def _read(graph: Captured) -> Findings:
    return find_sites(expand(graph.module))


@dataclass(frozen=True)
class Outcome:
    """What is found in a style's one graph, and what went wrong when it ran rewritten."""

    findings: Findings
    wrong: Exception | None


@cache
def _outcome(name: str) -> Outcome:
    """Run the style rewritten as the backend does it, and with the op at every site; both against eager PyTorch."""
    style, backend = STYLES[name], Expanded()
    args, wrong = style.inputs(style.n), None
    with _around(style):
        expected = run(style.model(), args)
        try:
            assert_same(run(style.model(), args, backend), expected, style.tolerance)
            findings = _read(backend.graphs[0])
            if findings.sites:
                assert_same(run(style.model(), args, Expanded(op=True)), expected, style.tolerance)
        except Exception as error:
            wrong = error
    (graph,) = backend.graphs
    return Outcome(_read(graph), wrong)


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
    findings = _outcome(style.name).findings
    found = [site.spec.in_words() for site in findings.sites]
    told = [f"{r.code.value}: {r.message}" for r in findings.rejections]
    assert len(found) == len(style.words), (found, told)
    assert all(wanted in one for wanted, one in zip(style.words, found, strict=True)), found
    assert [r.code.value for r in findings.rejections] == list(style.codes), told


@pytest.mark.parametrize("style", _cases(lambda s: "", lambda s: s.other_n))
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
        (graph,) = backend.graphs
    found = [_kind(site.spec.in_words()) for site in _read(graph).sites]
    assert found == [_kind(site.spec.in_words()) for site in _outcome(style.name).findings.sites]


def _kind(words: str) -> str:
    """Words without heads and scale, which are symbols in a dynamic graph."""
    return re.sub(r"\w+ heads.*", "", words)


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
