"""Graphs of ATen operators, as torch.export and AOTAutograd make them, are read in the same words as others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attention_forms  # noqa: F401  (all forms are declared)
import pytest
import torch
import torch.nn.functional as F
from attention_forms import FORMS, qkv
from graphs import OP, Backend, Captured, assert_same, capture, clone, run
from hyperrewrite.passes.canonical import CanonicalView
from hyperrewrite.passes.rewrite import rewrite
from hyperrewrite.passes.sites import find_sites
from torch import Tensor, fx, nn
from torch.export import Dim, export
from torch.fx.experimental.proxy_tensor import make_fx

aten = torch.ops.aten


class Layer(nn.Module):
    """Causal attention, once written out and once as SDPA, between two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, 4, 8).permute(2, 0, 3, 1, 4)
        keep = torch.tril(torch.ones(n, n, dtype=torch.bool))
        scores = (q @ k.transpose(-2, -1) / math.sqrt(8)).masked_fill(~keep, float("-inf"))
        y = F.dropout(scores.softmax(-1), 0.1, self.training) @ v
        y = y + F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(x.shape))


def gradients(function: Callable[..., Tensor], x: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    """The output, and gradients of the input and of parameters, for one fixed gradient of the output."""
    x = x.clone().requires_grad_()
    out = function(x)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    return [out.detach(), *torch.autograd.grad((out * weight).sum(), [x, *parameters])]


@pytest.mark.parametrize("lengths", ["static", "dynamic"])
@pytest.mark.parametrize("decomposed", [False, True])
def test_exported_program(lengths: str, decomposed: bool) -> None:
    model, x = Layer().eval(), torch.randn(3, 16, 32)
    shapes = ({0: Dim("b", min=2, max=64), 1: Dim("n", min=2, max=128)},) if lengths == "dynamic" else None
    program = export(model, (x,), dynamic_shapes=shapes)
    program = program.run_decompositions() if decomposed else program
    module = program.module()
    torch._dynamo.reset()
    backend = Backend()
    compiled = torch.compile(module, backend=backend, dynamic=lengths == "dynamic")
    mine = gradients(compiled, x, list(module.parameters()))
    findings = backend.graphs[0].findings()
    assert not findings.rejections
    assert [s.spec.in_words().split(",")[0] for s in findings.sites] == ["causal", "causal"]
    left = [n for n in backend.analyses[0].module.graph.nodes if "softmax" in str(n.target)]
    assert not left
    names = dict(model.named_parameters())
    assert_same(mine, gradients(model, x, [names[k] for k, _ in module.named_parameters()]))
    if lengths == "dynamic":
        longer = torch.randn(2, 31, 32, requires_grad=True)
        assert_same(compiled(longer).detach(), model(longer).detach())
        assert len(backend.graphs) == 1


def test_exported_program_in_training_mode() -> None:
    """Dropout is active, and becomes that of SDPA."""
    program = export(Layer().train(), (torch.randn(3, 16, 32),))
    findings = capture(program.module(), (torch.randn(3, 16, 32),)).findings()
    assert not findings.rejections
    assert [site.spec.dropout_p for site in findings.sites] == [0.1, 0.0]


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return aten.bmm.default(aten._softmax.default(aten.mm.default(q, aten.t.default(k))[None], -1, False), v[None])


def by_overload(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = aten.mul.Scalar(aten.matmul.default(q, aten.mT.default(k)), 0.25)
    keep = aten.le.Tensor(aten.arange.start_step(0, k.shape[-2]), aten.unsqueeze.default(aten.arange.default(63), 1))
    scores = aten.where.ScalarOther(keep, scores, -1e30)
    return aten.matmul.default(aten._to_copy.default(aten.softmax.int(scores, -1, torch.float64), dtype=q.dtype), v)


def by_packet(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.ops.aten.scaled_dot_product_attention(q, k, v, None, 0.0, True)


def by_default(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return aten.scaled_dot_product_attention.default(q, aten.slice.Tensor(k, -1, 0, 1 << 60), v, scale=0.3)


def safely(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Rows without a key: zeros, where another softmax gives NaN."""
    keep = torch.ones(63, 63, dtype=torch.bool).tril(-1)
    scores = torch.where(keep, q @ k.mT, -math.inf)
    return aten._safe_softmax.default(scores, -1) @ v


def safely_written_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What SDPA with a mask decomposes to."""
    scores = torch.where(torch.ones(63, 63, dtype=torch.bool).tril(-1), q @ k.mT, -math.inf)
    seen = aten.any.dim(aten.logical_not.default(aten.eq.Scalar(scores, -math.inf)), -1, True)
    weights = aten._softmax.default(scores, -1, False)
    weights = aten.where.self(aten.logical_not.default(seen), aten.full_like.default(weights, 0), weights)
    return weights @ v


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (by_overload, "causal, 4 heads, scale 0.25"),
        (by_packet, "causal, 4 heads, scale 0.158114"),
        (by_default, "full, 4 heads, scale 0.3"),
        (safely, "causal with offset -1, 4 heads"),
        (safely_written_out, "causal with offset -1, 4 heads"),
    ],
)
def test_operators_called_by_name(function: Callable[..., Tensor], words: str) -> None:
    args = qkv()()
    findings = capture(function, args).findings()
    assert not findings.rejections
    assert words in findings.sites[0].spec.in_words()
    expected = run(function, args)
    assert not expected.isnan().any()
    for backend in (Backend(), Backend(op=True)):
        assert_same(run(function, args, backend), expected)


def test_rank_two() -> None:
    args = [t[0, 0] for t in qkv()()]
    (site,) = capture(plain, args).findings().sites
    assert site.spec.in_words() == "full, 1 heads, scale 1"
    for backend in (Backend(), Backend(op=True)):
        assert_same(run(plain, args, backend), run(plain, args))


def row_asked_about_other_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Near miss: which rows become zeros depends on something else than what softmax reads."""
    scores = torch.where(torch.ones(63, 63, dtype=torch.bool).tril(-1), q @ k.mT, -math.inf)
    seen = aten.any.dim(aten.gt.Scalar(scores, 1.0), -1, True)
    return aten.where.ScalarOther(seen, aten._softmax.default(scores, -1, False), 0.0) @ v


def softmax_over_queries(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return aten.matmul.default(aten._softmax.default(q @ k.mT, -2, False), v)


@pytest.mark.parametrize(
    ("function", "code"),
    [(row_asked_about_other_scores, "probabilities_changed"), (softmax_over_queries, "softmax_dim")],
)
def test_near_misses(function: Callable[..., Tensor], code: str) -> None:
    findings = capture(function, qkv()()).findings()
    assert not findings.sites
    assert [r.code.value for r in findings.rejections] == [code]


def test_operator_that_writes() -> None:
    """Views that no word names share storage by their schema, and a write through one is seen."""

    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT
        aten.fill_.Scalar(aten.diagonal.default(scores, 0, -2, -1), 0.5)
        return scores.softmax(-1) @ v

    args = qkv()()
    assert_same(run(function, args, Backend()), run(function, args))


# --- every form, as torch.export sees it and as AOTAutograd sees it ---------------------------------------------------

# Constants that are no tensors of the graph; a call that is written out before it is seen.
OTHERWISE = {"clamp_by_minimum"}


def traced(function: Callable[..., Any], args: tuple[Any, ...], exported: bool) -> fx.GraphModule:
    with torch.no_grad():
        return make_fx(function, tracing_mode="fake", pre_dispatch=exported)(*clone(args))


@pytest.mark.parametrize("name", [name for name in FORMS if name not in OTHERWISE])
def test_every_form(name: str) -> None:
    form = FORMS[name]
    args = form.inputs()
    module = traced(form.function, args, exported=True)
    (site,) = find_sites(module).sites
    assert form.words is not None
    assert form.words in site.spec.in_words()
    with torch.no_grad():
        assert_same(rewrite(module, [(site, OP)]).module(*clone(args)), run(form.function, args), form.tolerance)


@pytest.mark.parametrize("name", list(FORMS)[::4])
def test_forms_in_core_operators(name: str) -> None:
    """Found, or left alone with a word; einsum and grouped heads are products of merged dims by then."""
    form = FORMS[name]
    args = form.inputs()
    module = traced(form.function, args, exported=False)
    findings = find_sites(module)
    assert len(findings.sites) + len(findings.rejections) == 1
    with torch.no_grad():
        done = rewrite(module, [(site, OP) for site in findings.sites]).module
        assert_same(done(*clone(args)), run(form.function, args), form.tolerance)


def test_arguments_follow_the_schema() -> None:
    """The same words and arguments, however an operator is called."""
    graph = fx.Graph()
    x = graph.placeholder("x")
    calls = [
        graph.call_function(aten.transpose.int, (x, 0, 1)),
        graph.call_function(torch.transpose, (x,), {"dim0": 0, "dim1": 1}),
        graph.call_method("transpose", (x, 0, 1)),
    ]
    rsub = graph.call_function(aten.rsub.Scalar, (x, 1.0))
    into = graph.call_function(aten.add.out, (x, x), {"out": x})
    graph.output(calls)
    view = CanonicalView(fx.GraphModule(nn.Module(), graph))
    assert len({str(view.op(call)) for call in calls}) == 1
    assert view.op(rsub).arguments == {"right": x, "left": 1.0}
    assert view.op(into).word == "opaque"
    assert isinstance(Captured(view.module, ()).findings().sites, tuple)
