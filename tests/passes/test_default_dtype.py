"""Graphs that are rewritten and run while `torch.set_default_dtype` says something else than float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from attention_forms import FORMS, MISSES, Form
from default_dtype import DTYPES, default_dtype
from graphs import Backend, assert_same, clone, run
from torch import Tensor

Function = Callable[[Tensor, Tensor, Tensor], Tensor]
NAMES = ("replaced_then_added", "padding_of_queries", "gpt2_where_swapped", "learned_scale")


@pytest.fixture(params=DTYPES, ids=str)
def other_default(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    with default_dtype(request.param):
        yield request.param


@pytest.mark.parametrize("form", [pytest.param((FORMS | MISSES)[name], id=name) for name in NAMES])
def test_forms(form: Form, other_default: torch.dtype) -> None:
    with default_dtype(torch.float32):
        args = form.inputs()
    expected = run(form.function, args)
    for op in (False, True):
        backend = Backend(op=op)
        assert_same(run(form.function, args, backend), expected, form.tolerance)
        assert backend.graphs[0].findings().sites


def _qkv(dtype: torch.dtype = torch.float32, n: int = 300) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 2, n, 16, generator=generator, dtype=dtype).requires_grad_() for _ in range(3)]


def positions_times_number(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """float32 positions times a Python number: bfloat16 would count them 255, 256, 258."""
    at = torch.arange(q.shape[2], dtype=torch.float32)
    return torch.softmax(q @ k.mT + (at - at[:, None]) * 0.0371, -1) @ v


def positions_over_integer(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    at = torch.arange(q.shape[2], dtype=torch.float32)
    return torch.softmax((q @ k.mT).masked_fill(at / 7 > at[:, None] / 7 + 0.5, -torch.inf), -1) @ v


def positions_below_number(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A comparison of float32 positions with a Python number."""
    at = torch.arange(q.shape[2], dtype=torch.float32)
    return torch.softmax((q @ k.mT).masked_fill(at > 257.5, -torch.inf), -1) @ v


def positions_clamped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    at = torch.arange(q.shape[2], dtype=torch.float32)
    return torch.softmax(q @ k.mT + (at - at[:, None]).clamp(-3.5, 261.25), -1) @ v


def sink_of_one_number(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A sink logit that is a Python number."""
    sink = torch.full((*q.shape[:3], 1), 1.2345678, dtype=torch.float32)
    return torch.softmax(torch.cat((q @ k.mT, sink), -1), -1)[..., :-1] @ v


def double_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scores in float64 of float32 queries, with numbers that float32 does not hold."""
    at = torch.arange(q.shape[2], dtype=torch.float64)
    scores = q.double() @ k.mT.double() + (at - at[:, None]) * 0.0371
    return torch.softmax(scores, -1) @ v.double()


def numbers_of_the_default(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Near miss: the model itself leaves the dtype to PyTorch, rounding included."""
    at = torch.arange(q.shape[2])
    scores = q @ k.mT + ((at - at[:, None]) * 0.0371).float()
    return torch.softmax(scores.masked_fill(at / 7 > at[:, None] / 7 + 0.5, -torch.inf), -1) @ v


WRITTEN = [
    positions_times_number, positions_over_integer, positions_below_number, positions_clamped, sink_of_one_number,
    double_scores, numbers_of_the_default,
]  # fmt: skip


@pytest.mark.parametrize("function", WRITTEN)
@pytest.mark.parametrize("op", [False, True])
def test_numbers_that_come_with_no_tensor(function: Function, op: bool, other_default: torch.dtype) -> None:
    backend = Backend(op=op)
    torch._dynamo.reset()
    compiled = torch.compile(function, backend=backend, fullgraph=True)
    results = []
    for call in (function, compiled):
        args = clone(_qkv())
        out = call(*args)
        results.append((out.detach(), torch.autograd.grad(out.double().square().sum(), args)))
    assert_same(results[1], results[0], 2e-5)
    assert backend.graphs[0].findings().sites


def test_graph_is_traced_anew_for_another_default() -> None:
    """What was written for one default dtype does not run under another."""
    backend = Backend()
    torch._dynamo.reset()
    compiled = torch.compile(positions_times_number, backend=backend, fullgraph=True)
    with torch.no_grad():
        expected = positions_times_number(*_qkv())
        for dtype in (torch.float32, *DTYPES):
            with default_dtype(dtype):
                assert_same(compiled(*_qkv()), expected, 2e-5)
    assert len(backend.graphs) == 1 + len(DTYPES)
