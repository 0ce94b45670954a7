"""torch.func in a compiled model: what it differentiates is left alone; vmap is one call; the process stays clean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hyperrewrite.kernels import meter
from torch import Tensor
from torch._dynamo.backends.debugging import aot_eager

import hyperrewrite
from hyperrewrite import backend as backend_module
from hyperrewrite.restoring import restoring


@pytest.fixture(autouse=True)
def _no_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    monkeypatch.setattr(backend_module, "_inductor", lambda gm, inputs, patches: aot_eager(gm, inputs))


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT / 6, -1) @ v


def softcapped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(torch.tanh(q @ k.mT), -1) @ v


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril(3)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def grad(attend: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.func.grad(lambda q: attend(q, k, v).square().sum())(q)


def per_sample(attend: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.vmap(torch.func.grad(lambda k, q, v: attend(q, k, v).square().sum()))(k, q, v)


def jacrev(attend: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.func.jacrev(lambda v: attend(q, k, v).square().sum((0, 1, 2)))(v)


def jacfwd(attend: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.func.jacfwd(lambda s: attend(q * s, k, v).square().sum((0, 1, 2)))(torch.ones(2, 1, 1, 1))


def jvp(attend: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.func.jvp(lambda q: attend(q, k, v), (q,), (q,))[1]


def hessian(attend: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.func.hessian(lambda s: attend(q * s, k, v).square().sum())(torch.ones(2, 1, 1, 1))


TRANSFORMS = (grad, per_sample, jacrev, jacfwd, jvp, hessian)


def _state() -> tuple[Any, ...]:
    with torch.autograd.forward_ad.dual_level():  # raises where one was left open
        pass
    functorch = torch._C._functorch
    return (
        torch.is_grad_enabled(), functorch.maybe_current_level(), functorch.get_inplace_requires_grad_allowed(),
        torch._C._autograd._saved_tensors_hooks_is_enabled(), torch._C._is_fwd_grad_enabled(),
    )  # fmt: skip


def _inputs(n: int = 40) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, n, 8, generator=generator) for _ in range(3)]


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # SDPA itself under vmap
@pytest.mark.parametrize("attend", [plain, softcapped, sdpa], ids=lambda f: f.__name__)
@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda f: f.__name__)
def test_what_is_differentiated_is_left_alone(transform: Callable[..., Tensor], attend: Attention) -> None:
    args, before = _inputs(), _state()

    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return transform(attend, q, k, v)

    try:
        expected = function(*args)
    except (NotImplementedError, RuntimeError):
        assert attend is sdpa  # which has no second derivative, and none forwards
        return
    with hyperrewrite.record() as log:
        out = torch.compile(function, backend="hyper", options={"approximate": False}, fullgraph=True)(*args)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
    assert _state() == before
    assert log.report.failures == ()
    assert log.report.site_count == 0
    assert {row.code for row in log.report.rejections} == {"transform"}


@pytest.mark.parametrize("attend", [plain, softcapped], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dims", [(0, 0, 0), (1, None, None)])
def test_vmap_alone_is_one_call(attend: Attention, dims: tuple[int | None, ...]) -> None:
    pairs = zip(_inputs(300), dims, strict=True)
    tensors = [t if d is None else torch.stack([t, 2 * t, -t], d) for t, d in pairs]

    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.vmap(attend, in_dims=dims)(q, k, v)

    seen: list[torch.Size] = []
    with hyperrewrite.record() as log, meter.observe(lambda o: seen.append(o.query.shape)):
        out = torch.compile(function, backend="hyper", options={"approximate": False}, fullgraph=True)(*tensors)
    torch.testing.assert_close(out, function(*tensors), rtol=1e-4, atol=1e-5)
    assert [row.action for row in log.report.sites] == ["exact"]
    assert seen == [torch.Size((6, 3, 300, 8))]


def test_short_ones_stay_under_vmap() -> None:
    """SDPA has no batching rule on a CPU: it would run once for each."""
    with hyperrewrite.record() as log:
        torch.compile(lambda *t: torch.vmap(plain)(*t), backend="hyper", options={"approximate": False})(*_inputs())
    assert [row.action for row in log.report.sites] == ["leave"]


def test_beside_a_transform_sites_are_rewritten() -> None:
    """The transform ends where its own call ends."""

    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return plain(grad(plain, q, k, v), k, v)

    args = _inputs()
    with hyperrewrite.record() as log:
        out = torch.compile(function, backend="hyper", options={"approximate": False}, fullgraph=True)(*args)
    torch.testing.assert_close(out, function(*args), rtol=1e-4, atol=1e-4)
    assert [row.action for row in log.report.sites] == ["exact"]
    assert [row.code for row in log.report.rejections] == ["transform"]


def test_what_breaks_off_is_closed() -> None:
    before = _state()
    functorch = torch._C._functorch
    with pytest.raises(ZeroDivisionError), restoring():
        torch._C._autograd._saved_tensors_hooks_disable("for a test")
        functorch._vmap_increment_nesting(2, "error")
        functorch._grad_increment_nesting()
        functorch.set_inplace_requires_grad_allowed(True)
        torch._C._enter_dual_level()
        torch._C._set_grad_enabled(False)
        raise ZeroDivisionError
    assert _state() == before


def test_what_the_caller_has_open_stays_open() -> None:
    with torch.autograd.forward_ad.dual_level():
        with pytest.raises(ZeroDivisionError), restoring():
            raise ZeroDivisionError
        dual = torch.autograd.forward_ad.make_dual(torch.ones(2), torch.ones(2))
        assert torch.autograd.forward_ad.unpack_dual(dual * 3).tangent.tolist() == [3.0, 3.0]
