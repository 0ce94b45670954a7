"""Scales that are tensors of one element, of another dtype than queries and keys: with no dims they change no dtype."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from compared import assert_as_eager, site_of
from graphs import run_with_gradients
from torch import Tensor

HALF = (torch.bfloat16, torch.float16)
FUTURE = torch.ones(12, 12, dtype=torch.bool).triu(1)


def multiplied(q: Tensor, k: Tensor, v: Tensor, scale: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT) * scale, -1).to(v.dtype) @ v


def divided(q: Tensor, k: Tensor, v: Tensor, scale: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT) / scale, -1).to(v.dtype) @ v


def exponential(q: Tensor, k: Tensor, v: Tensor, scale: Tensor) -> Tensor:
    """CLIP's and Swin's learned logit scale, under a causal mask."""
    scores = (q @ k.mT) * scale.exp().clamp(max=100.0)
    return torch.softmax(scores.masked_fill(FUTURE, -torch.inf), -1).to(v.dtype) @ v


def grouped(q: Tensor, k: Tensor, v: Tensor, scale: Tensor) -> Tensor:
    """Two dims of heads, and a bias that is scaled too."""
    q, k, v = q.unflatten(1, (2, 2)), k.unflatten(1, (2, 2)), v.unflatten(1, (2, 2))
    scores = (q @ k.mT + torch.arange(12.0).to(q.dtype)) / scale
    return (torch.softmax(scores, -1).to(v.dtype) @ v).flatten(1, 2)


def _inputs(dtype: torch.dtype, scale: Tensor) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 4, 12, 8, generator=generator).to(dtype) for _ in range(3))
    return q, k, v, scale


FUNCTIONS = (multiplied, divided, exponential, grouped)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(), (1,)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("given", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_it_has_the_digits_of_scores(
    function: Callable[..., Tensor], shape: tuple[int, ...], dtype: torch.dtype, given: torch.dtype
) -> None:
    if shape and torch.promote_types(dtype, given) != dtype:
        pytest.skip("a tensor with dims makes the scores wider than the values")
    tolerance = 2e-3 if given == torch.bfloat16 else 3e-5  # a gradient of the scale is a bfloat16 then
    backend = assert_as_eager(function, _inputs(dtype, torch.full(shape, 0.7, dtype=given)), tolerance)
    assert site_of(backend).spec.factors


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("given", [torch.float64, torch.float32], ids=str)
def test_in_half_precision(function: Callable[..., Tensor], dtype: torch.dtype, given: torch.dtype) -> None:
    """Dtypes as in eager, numbers as in float64 up to the digits of the dtype."""
    args = _inputs(dtype, torch.tensor(0.7, dtype=given))
    backend = assert_as_eager(function, args, tolerance=16 * torch.finfo(dtype).eps)
    assert site_of(backend).spec.factors
    wide = [a.double() for a in args]
    exact, gradients = run_with_gradients(function, wide)
    out, mine = run_with_gradients(function, args, backend)
    for a, b in zip((out, *mine), (exact, *gradients), strict=True):
        assert a is not None and b is not None
        scale = max(1.0, float(b.abs().max()))
        torch.testing.assert_close(a.double(), b, atol=8 * torch.finfo(dtype).eps * scale, rtol=0.0)


def test_a_scale_of_keys_is_left_alone() -> None:
    """A near miss: one number for each key is no factor of the queries."""
    args = _inputs(torch.bfloat16, torch.full((12,), 0.7))
    backend = assert_as_eager(multiplied, args, tolerance=16 * torch.finfo(torch.bfloat16).eps)
    assert not backend.graphs[0].findings().sites
