"""Attention in the bodies of higher-order operators: checkpointed layers, compiled regions, branches and loops."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from bodies import HYPER, Aot, bodies, called, check, done, gradients
from graphs import Backend, assert_same
from torch import Tensor, nn
from torch._higher_order_ops import while_loop
from torch._higher_order_ops.map import map as map_over
from torch._higher_order_ops.scan import scan
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from hyperrewrite.options import Options


def attend(x: Tensor, causal: bool = False) -> Tensor:
    """Attention of [.., n, d] with itself."""
    scores = x @ x.transpose(-2, -1)
    if causal:
        n = x.shape[-2]
        scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), float("-inf"))
    return torch.softmax(scores, -1) @ x


class Layer(nn.Module):
    """[B, n, 16] → the same; cap 0: plain attention, which becomes SDPA or is estimated."""

    def __init__(self, cap: float = 2.0, dropout: float = 0.0, weights: float = 0.0) -> None:
        super().__init__()
        self.cap, self.dropout, self.weights = cap, dropout, weights
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        """Attend with two heads."""
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / 8**0.5
        if self.cap:
            scores = self.cap * torch.tanh(scores / self.cap)
        weights = nn.functional.dropout(torch.softmax(scores, -1), self.weights, self.training)
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        return self.out(nn.functional.dropout(mixed, self.dropout, self.training))


class Blocks(nn.Module):
    """Two layers, each run by `run`, which says how."""

    def __init__(self, run: Callable[..., Tensor], **arguments: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(**arguments) for _ in range(2))
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        """Both, with residuals."""
        for layer in self.layers:
            x = x + self.run(layer, x)
        return x


def plain(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x)


def checkpointed(layer: nn.Module, x: Tensor) -> Tensor:
    return checkpoint(layer, x, use_reentrant=False)


def twice_checkpointed(layer: nn.Module, x: Tensor) -> Tensor:
    return checkpoint(checkpointed, layer, x, use_reentrant=False)


def selective(layer: nn.Module, x: Tensor) -> Tensor:
    contexts = partial(create_selective_checkpoint_contexts, [torch.ops.aten.mm.default])
    return checkpoint(layer, x, use_reentrant=False, context_fn=contexts)


region = torch.compiler.nested_compile_region(plain)


@pytest.mark.parametrize(
    ("run", "dynamic"),
    [(checkpointed, False), (twice_checkpointed, False), (selective, False), (region, False), (checkpointed, True)],
)
def test_layers(run: Callable[..., Tensor], dynamic: bool) -> None:
    torch.manual_seed(1)
    model = Blocks(run)
    analysis = check(model, torch.randn(2, 20, 16), dynamic=dynamic)
    assert done(analysis.report) == [("layers.0", "exact"), ("layers.1", "exact")]
    assert not analysis.report.rejections
    assert all(row.after for row in analysis.report.sites)  # drawn inside the body


def test_dropout_beside_it_is_drawn_again_as_it_was() -> None:
    assert done(check(Blocks(checkpointed, dropout=0.5), torch.randn(2, 20, 16)).report)


def test_dropout_of_its_weights_is_drawn_again_as_it_was() -> None:
    report = check(Blocks(checkpointed, cap=0.0, weights=0.5), torch.randn(2, 20, 16)).report
    assert done(report) == [("layers.0", "exact"), ("layers.1", "exact")]


def test_the_policy_of_a_checkpoint_stays() -> None:
    analysis = check(Blocks(selective), torch.randn(2, 20, 16))
    assert all("_checkpoint_context_fn" in body.meta for body in bodies(analysis.module))


def test_estimates_are_drawn_again_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpointed model gives what the same estimate gives without recomputation, gradients included. Layers of a
    graph draw apart, those of a body alike: here all draw alike."""
    monkeypatch.setattr("hyperrewrite.analysis.SEEDS_APART", 0)
    torch.manual_seed(1)
    models = [Blocks(run, cap=0.0) for run in (checkpointed, plain)]
    models[1].load_state_dict(models[0].state_dict())
    x = torch.randn(1, 300, 16)
    for algorithm in ("paper", "hyper"):
        found = []
        for model in models:
            backend = Aot(Options.of({"algorithm": algorithm, "threshold": 0.5, **HYPER}))
            torch._dynamo.reset()
            found.append(gradients(torch.compile(model, backend=backend), x))
            assert [action for _, action in done(backend.analyses[0].report)] == [algorithm] * 2
        assert_same(found[0], found[1], 1e-6)
        assert not torch.allclose(found[0][0], models[0](x), atol=1e-4)  # an estimate


def test_a_shared_body_is_written_once() -> None:
    analysis = check(Blocks(region), torch.randn(2, 20, 16))
    first, second = bodies(analysis.module)
    assert first is second
    assert called(first).count("hyper.attention.default") == 1


def test_a_shared_body_is_written_for_each_decision() -> None:
    backend = Backend(Options.of({**HYPER, "layers": "last:1"}))
    torch._dynamo.reset()
    torch.compile(Blocks(region, cap=0.0), backend=backend, fullgraph=True)(torch.randn(1, 64, 16, requires_grad=True))
    (analysis,) = backend.analyses
    assert done(analysis.report) == [("layers.0", "exact"), ("layers.1", "hyper")]
    first, second = bodies(analysis.module)
    assert "hyper.attention.default" not in called(first)
    assert "hyper.attention.default" in called(second)
    calls = [node for node in analysis.module.graph.nodes if str(node.target) == "invoke_subgraph"]
    assert len({node.args[1] for node in calls}) == 2  # caches of PyTorch know bodies by this name


def branches(x: Tensor) -> Tensor:
    return torch.cond(x.sum() > 0, attend, lambda x: x * 2, (x,))


def both_branches(x: Tensor) -> Tensor:
    return torch.cond(x.sum() > 0, attend, partial(attend, causal=True), (x,))


def scanned(x: Tensor) -> Tensor:
    out: Tensor = scan(lambda total, y: (total + 1, attend(y) + total), torch.zeros_like(x[0]), x)[1]
    return out


def mapped(x: Tensor) -> Tensor:
    out: Tensor = map_over(attend, x)
    return out


@pytest.mark.parametrize(("function", "count"), [(branches, 1), (both_branches, 2), (scanned, 1), (mapped, 1)])
def test_branches_and_loops(function: Callable[[Tensor], Tensor], count: int) -> None:
    torch.manual_seed(1)
    for x in (torch.rand(3, 20, 8), -torch.rand(3, 20, 8)):
        report = check(function, x).report
        assert report.site_count == count
        assert {row.action for row in report.sites} == {"exact"}


def test_while_loop() -> None:
    """A loop wants what it carries to keep its strides, which the memory of SDPA's output does not have."""

    def looped(x: Tensor) -> Tensor:
        def body(k: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            return k + 1, torch.softmax(x @ x.mT, -1) @ x

        out: Tensor = while_loop(lambda k, x: k < 3, body, (torch.tensor(0), x))[1]
        return out

    x, backend = torch.randn(2, 3, 20, 8), Aot()
    torch._dynamo.reset()
    with torch.no_grad():
        assert_same(torch.compile(looped, backend=backend, fullgraph=True)(x), looped(x))
    assert backend.analyses[0].report.site_count == 1
    assert done(check(looped, x).report) == [("", "exact")]


def test_a_causal_buffer_that_goes_into_a_body() -> None:
    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.ones(20, 20, dtype=torch.bool).tril())

        def layer(self, x: Tensor) -> Tensor:
            scores = torch.where(self.mask, x @ x.mT, float("-inf"))
            return torch.softmax(scores, -1) @ x

        def forward(self, x: Tensor) -> Tensor:
            return x + checkpoint(self.layer, x, use_reentrant=False)

    analysis = check(Held(), torch.randn(2, 20, 8))
    assert [row.spec.split(",")[0] for row in analysis.report.sites] == ["causal"]
    assert [type(analysis.module.graph.find_nodes(op="placeholder")[k]) for k in analysis.assumed]


def test_inside_and_outside_are_counted_as_they_run() -> None:
    def three(x: Tensor) -> Tensor:
        x = torch.softmax(x @ x.mT, -1) @ x
        x = checkpoint(lambda x: torch.softmax(x @ x.mT, -1) @ x, x, use_reentrant=False)
        return torch.softmax(x @ x.mT, -1) @ x

    backend = Backend(Options.of({**HYPER, "layers": "1"}))
    torch._dynamo.reset()
    torch.compile(three, backend=backend)(torch.randn(1, 2, 64, 16))
    assert called(bodies(backend.analyses[0].module)[0]).count("hyper.attention.default") == 1
    assert "hyper.attention.default" not in called(backend.analyses[0].module)


def test_probabilities_that_leave_a_body() -> None:
    def layer(x: Tensor) -> tuple[Tensor, Tensor]:
        weights = torch.softmax(x @ x.mT, -1)
        return weights @ x, weights

    def model(x: Tensor) -> Tensor:
        out, weights = checkpoint(layer, x, use_reentrant=False)
        return out * weights.amax(-1, keepdim=True)

    analysis = check(model, torch.randn(2, 20, 8))
    assert [row.code for row in analysis.report.rejections] == ["probabilities_escape"]
    assert analysis.module is not None and not analysis.changed


class Own(torch.autograd.Function):
    """Attention whose gradient is written by hand, and is another."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """softmax(x·xᵀ)·x."""
        ctx.save_for_backward(x)
        return torch.softmax(x @ x.mT, -1) @ x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Half of what it gets."""
        return grad / 2


def test_an_operator_that_is_not_looked_into_is_listed() -> None:
    analysis = check(lambda x: Own.apply(x) + 1, torch.randn(2, 20, 8))
    (row,) = analysis.report.rejections
    assert row.code == "opaque_call"
    assert "autograd_function_apply" in row.message
    assert not analysis.changed
