"""Gradient mode switched inside a graph: where it is off, no gradient flows, and the rewrite lets none flow either."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from graphs import Backend, assert_same, assert_same_gradients, run_with_gradients
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def weights_without(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with torch.no_grad():
        weights = torch.softmax(q @ k.mT / 6, -1)
    return weights @ v


def scores_without(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    with torch.no_grad():
        scores = q @ k.mT
        scores /= 6
    return torch.softmax(scores + bias, -1) @ v


def bias_without(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    with torch.no_grad():
        bias = torch.tanh(bias) * 2
    return torch.softmax(q @ k.mT + bias, -1) @ v


def switched_by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    torch.set_grad_enabled(False)
    scores = q @ k.mT
    torch.set_grad_enabled(True)
    return torch.softmax(scores, -1) @ v


@torch.no_grad()
def _scores(q: Tensor, k: Tensor) -> Tensor:
    with torch.enable_grad():
        k = k * 0.3
    return q @ k.mT


def helper_without(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(_scores(q, k), -1) @ v


@torch.no_grad()
def _repeated(t: Tensor) -> Tensor:
    return t.repeat_interleave(2, 1).transpose(1, 2)


def keys_repeated_without(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    k = _repeated(k[:, :2]).transpose(1, 2)
    return torch.softmax(q @ k.mT, -1) @ v


def sdpa_keys_without(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with torch.no_grad():
        k = k.transpose(1, 2).contiguous().transpose(1, 2)
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)


def gradient_within_none(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with torch.no_grad():
        with torch.enable_grad():
            weights = torch.softmax(q @ k.mT, -1)
        out = weights @ v
    return out + q


def weights_detached(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT, -1).detach() @ v


def scores_as_data(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT).data + bias, -1) @ v


def softcap_without(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    with torch.no_grad():
        scores = torch.tanh(q @ k.mT / 5) * 5
    mask = torch.ones(17, 17, dtype=torch.bool).tril()
    return torch.softmax((scores + bias).masked_fill(~mask, float("-inf")), -1) @ v


def whole_without(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with torch.no_grad():
        out = torch.softmax(q @ k.mT, -1) @ v
    return out * q


def handed_on_without(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    with torch.no_grad():  # none of these makes a tensor
        scores = scores.to(q.dtype).contiguous()
    weights = torch.softmax(scores, -1)
    with torch.no_grad():
        weights = torch.nn.functional.dropout(weights, 0.1, training=False).to(v)
    return weights @ v


def dropped_without(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.nn.functional.dropout(torch.softmax(q @ k.mT, -1), 0.3, training=True)
    with torch.no_grad():
        weights = weights.nan_to_num(0.0)
    return weights @ v


FUNCTIONS = (
    weights_without, scores_without, bias_without, switched_by_hand, helper_without, keys_repeated_without,
    sdpa_keys_without, gradient_within_none, weights_detached, scores_as_data, handed_on_without, softcap_without,
    whole_without,
)  # fmt: skip


def _inputs(function: Callable[..., Tensor]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 4, 17, 8, generator=generator, dtype=torch.float64) for _ in range(3))
    bias = torch.randn(4, 17, 17, generator=generator, dtype=torch.float64)
    return (q, k, v, bias)[: function.__code__.co_argcount]


def _check(function: Callable[..., Tensor], backend: Backend) -> None:
    args = _inputs(function)
    out, gradients = run_with_gradients(function, args)
    mine, mine_gradients = run_with_gradients(function, args, backend)
    assert_same(mine, out, 1e-9)
    assert_same_gradients(mine_gradients, gradients, 1e-9)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_gradients_flow_where_they_did(function: Callable[..., Tensor]) -> None:
    for backend in (Backend(sdpa=True), Backend(op=True)):
        _check(function, backend)
        assert len(backend.graphs[0].findings().sites) == 1


def test_dropout_before_the_mode_is_off() -> None:
    """As SDPA with dropout: which numbers are dropped is another matter, no gradient comes to queries and keys."""
    backend = Backend(sdpa=True)
    _, gradients = run_with_gradients(dropped_without, _inputs(dropped_without), backend)
    assert [g is None for g in gradients] == [True, True, False]
    assert len(backend.graphs[0].findings().sites) == 1


def test_some_gradient_stops() -> None:
    """The comparison can fail: in eager the queries of the first function have no gradient."""
    assert [g is None for g in run_with_gradients(weights_without, _inputs(weights_without))[1]] == [True, True, False]


def written_without(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    with torch.no_grad():
        scores *= 0.25
    return torch.softmax(scores, -1) @ v


def test_scores_written_while_the_mode_is_off_are_left_alone() -> None:
    """They are scaled, but their gradient is that of scores that are not."""
    backend = Backend()
    _check(written_without, backend)
    report = backend.analyses[0].report
    assert not report.site_count
    assert [row.code for row in report.rejections] == ["in_place"]


def test_mode_off_where_the_graph_begins() -> None:
    """Under no_grad, with gradients inside: what the graph begins with stops them."""

    def scores_with(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT
        with torch.enable_grad():
            return torch.softmax(scores, -1) @ v

    q, k, v = _inputs(scores_with)
    for backend in (None, Backend()):
        torch._dynamo.reset()
        leaves = [t.clone().requires_grad_() for t in (q, k, v)]
        with torch.no_grad():
            out = (torch.compile(scores_with, backend=backend) if backend else scores_with)(*leaves)
        assert [g is None for g in torch.autograd.grad(out.sum(), leaves, allow_unused=True)] == [True, True, False]
    assert backend is not None
    assert [row.action for row in backend.analyses[0].report.sites] == ["exact"]


def test_mode_off_around_a_checkpointed_layer_and_in_it() -> None:
    """The body of an operator begins in the mode of the call."""

    def layer(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT
        with torch.enable_grad():
            return torch.softmax(scores, -1) @ v

    def both(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = checkpoint(layer, q, k, v, use_reentrant=False)
        with torch.no_grad():
            return out * checkpoint(layer, q, k * 2, v, use_reentrant=False) + q

    def one(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return checkpoint(weights_without, q, k, v, use_reentrant=False) + checkpoint(
            layer, q, k, v, use_reentrant=False
        )

    for function in (both, one):
        backend = Backend()
        args = _inputs(weights_without)
        out, gradients = run_with_gradients(function, args)
        mine, mine_gradients = run_with_gradients(function, args, backend)
        assert_same(mine, out, 1e-9)
        assert_same_gradients(mine_gradients, gradients, 1e-9)
        rows = backend.analyses[0].report.sites
        assert sum(row.count for row in rows if row.action == "exact") == 2
