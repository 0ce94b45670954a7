"""Forward-mode differentiation of the raw op: it says that it has none, where PyTorch would drop the tangents."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from hyperrewrite.kernels.functional import hyper_attention
from torch import Tensor
from torch.autograd import forward_ad

SENTENCE = "hyper::attention has no forward-mode derivative"


def _tensors() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 4, generator=generator).unbind(0)
    return [q, k, v, torch.randn(7, 7, generator=generator)]


def _op(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    return torch.ops.hyper.attention(q, k, v, None, bias, algorithm="exact", scale=0.4)[0]


@pytest.fixture(autouse=True)
def _leaves_the_process_clean() -> Iterator[None]:
    yield
    assert torch._C._functorch.maybe_current_level() is None
    assert torch.is_grad_enabled() and torch._C._is_fwd_grad_enabled()
    found = torch.func.jvp(torch.sin, (torch.zeros(2),), (torch.ones(2),))
    assert found[1].tolist() == [1.0, 1.0]
    q, k, v, bias = _tensors()
    out = _op(q.requires_grad_(), k, v, bias)
    assert bool(torch.autograd.grad(out.sum(), q)[0].isfinite().all())


@pytest.mark.parametrize("which", range(4), ids=["query", "key", "value", "bias"])
@pytest.mark.parametrize("trains", [False, True])
def test_a_tangent_is_refused(which: int, trains: bool) -> None:
    tensors = [t.requires_grad_(trains) for t in _tensors()]
    with forward_ad.dual_level():
        tensors[which] = forward_ad.make_dual(tensors[which], torch.ones_like(tensors[which]))
        with pytest.raises(NotImplementedError, match=SENTENCE):
            _op(*tensors)


@pytest.mark.parametrize("transform", ["jvp", "jacfwd", "linearize", "vmap of jvp"])
def test_so_are_those_of_torch_func(transform: str) -> None:
    q, k, v, bias = _tensors()

    def call(q: Tensor) -> Tensor:
        return _op(q, k, v, bias)

    calls: dict[str, Callable[[], object]] = {
        "jvp": lambda: torch.func.jvp(call, (q,), (q,)),
        "jacfwd": lambda: torch.func.jacfwd(lambda x: call(q * x))(torch.ones(2, 1, 1, 1)),
        "linearize": lambda: torch.func.linearize(call, q)[1](q),
        "vmap of jvp": lambda: torch.vmap(lambda x: torch.func.jvp(call, (x,), (x,))[1])(torch.stack([q, q])),
    }
    with pytest.raises(NotImplementedError, match=SENTENCE):
        calls[transform]()


def test_a_tangent_of_the_gradient_is_refused() -> None:
    """Forward over reverse."""
    q, k, v, bias = _tensors()
    with forward_ad.dual_level():
        out = _op(q.requires_grad_(), k, v, bias)
        along = forward_ad.make_dual(torch.ones_like(out), torch.ones_like(out))
        with pytest.raises(NotImplementedError, match=SENTENCE):
            torch.autograd.grad(out, q, along)


def test_hyper_attention_says_the_same() -> None:
    q, k, v, _ = _tensors()
    with pytest.raises(NotImplementedError, match="hyper_attention has no forward-mode derivative"):
        torch.func.jvp(lambda x: hyper_attention(x, k, v, algorithm="exact"), (q,), (q,))


def test_without_tangents_it_runs() -> None:
    """Near misses: a level that is open with tangents elsewhere, and torch.vmap."""
    tensors = _tensors()
    expected = _op(*tensors)
    with forward_ad.dual_level():
        other = forward_ad.make_dual(torch.ones(2), torch.ones(2))
        assert torch.equal(_op(*tensors), expected)
        assert forward_ad.unpack_dual(other * 2).tangent.tolist() == [2.0, 2.0]
    mapped = torch.vmap(lambda q: _op(q, *tensors[1:]))(torch.stack([tensors[0]] * 2))
    torch.testing.assert_close(mapped[1], expected)
