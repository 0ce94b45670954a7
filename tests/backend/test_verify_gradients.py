"""verify=True compares gradients: which inputs have one, and their numbers, beside what rounding does to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hyperrewrite.passes.rewrite import Rewritten, rewrite
from torch import Tensor, fx, nn

import hyperrewrite
from hyperrewrite import backend as backend_module
from hyperrewrite import gradients
from hyperrewrite.verify import compare

from .models import Stack


@pytest.fixture(autouse=True)
def _no_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    monkeypatch.setattr(backend_module, "_inductor", lambda gm, inputs, patches: gm.forward)


def _report(function: Callable[..., Any], *args: Any) -> hyperrewrite.Report:
    with hyperrewrite.record() as log:
        torch.compile(function, backend="hyper", options={"verify": True, "approximate": False})(*args)
    return log.report


def _leaves(count: int = 3, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [torch.randn(2, 4, 33, 16, dtype=dtype).requires_grad_() for _ in range(count)]


def weights_without(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with torch.no_grad():
        weights = torch.softmax(q @ k.mT / 4, -1)
    return weights @ v


def written_afterwards(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out = torch.softmax(q @ k.mT / 4, -1) @ v
    out *= 2
    return out


class KeyBias(nn.Module):
    """The gradient of the bias of keys is nothing but rounding: softmax does not see it."""

    def __init__(self) -> None:
        super().__init__()
        self.key = nn.Linear(16, 16)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.softmax(q @ self.key(k).mT, -1) @ v


@pytest.mark.parametrize("function", [weights_without, written_afterwards, KeyBias()], ids=["mode", "written", "noise"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_a_right_rewrite_passes(function: Callable[..., Tensor], dtype: torch.dtype) -> None:
    function = function.to(dtype) if isinstance(function, nn.Module) else function
    report = _report(function, *_leaves(dtype=dtype))
    assert report.failures == ()
    assert report.site_count == 1
    assert "gradients differ by" in report.checks[0].sentence


def test_models_in_training_pass() -> None:
    report = _report(Stack(2).train(), torch.randn(2, 63, 32))
    assert report.failures == ()
    assert "gradients differ by" in report.checks[0].sentence


def _spoiled(change: Callable[[fx.Graph], None]) -> Callable[..., Rewritten]:
    def spoil(*args: Any) -> Rewritten:
        done = rewrite(*args)
        change(done.module.graph)
        done.module.recompile()
        return done

    return spoil


def _attached(graph: fx.Graph) -> None:
    for node in list(graph.nodes):
        if node.target == "detach":
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def _scaled(graph: fx.Graph) -> None:
    """Values as they are, their gradient twice as large."""
    call = next(n for n in graph.nodes if "scaled_dot_product" in n.name)
    with graph.inserting_before(call):
        value = call.args[2]
        twice = graph.call_function(
            torch.sub, (graph.call_function(torch.mul, (value, 2)), graph.call_method("detach", (value,)))
        )
    call.args = (*call.args[:2], twice)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_attached, "verify: l_q_ has a gradient in the rewritten graph alone"),
        (_scaled, "verify: the gradients differ by"),
    ],
    ids=["attached", "scaled"],
)
def test_a_wrong_gradient_leaves_the_graph(
    change: Callable[[fx.Graph], None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hyperrewrite.passes import subgraphs

    monkeypatch.setattr(subgraphs, "rewrite", _spoiled(change))
    report = _report(weights_without, *_leaves())
    assert report.site_count == 0
    assert report.failures[0].startswith(said)


def test_nothing_to_compare_where_nobody_asks_for_gradients() -> None:
    with torch.no_grad():
        report = _report(weights_without, *_leaves())
    assert report.failures == ()
    assert "gradients do not differ" in report.checks[0].sentence
    report = _report(weights_without, *(t.detach() for t in _leaves()))
    assert "gradient" not in report.checks[0].sentence


def _traced(function: Callable[..., Any]) -> fx.GraphModule:
    return fx.symbolic_trace(function)


def same(x: Tensor) -> Tensor:
    return x + x


def detached(x: Tensor) -> Tensor:
    return x.detach() * 2


def halved(x: Tensor) -> Tensor:
    return x.detach() + x


@pytest.mark.parametrize(("other", "equal"), [(same, True), (detached, False), (halved, False)])
def test_gradients_decide(other: Callable[[Tensor], Tensor], equal: bool) -> None:
    inputs: Sequence[Any] = [torch.randn(4, 5).requires_grad_()]
    assert compare(_traced(lambda x: 2 * x), _traced(other), inputs).equal is equal


def test_where_the_original_has_nan_the_copy_may_have_anything() -> None:
    nan = gradients.Run([], {0: torch.tensor([float("nan"), 1.0])})
    for number, off in ((5.0, 0.0), (float("nan"), 0.0)):
        other = gradients.Run([], {0: torch.tensor([number, 1.0])})
        assert gradients.furthest(nan, other, lambda: nan, {})[0] == off
    other = gradients.Run([], {0: torch.tensor([5.0, float("nan")])})
    assert gradients.furthest(nan, other, lambda: nan, {})[0] == float("inf")
