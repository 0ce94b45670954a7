"""Numbers that are added to all scores alike: softmax does not see them, and their gradient is 0 rather than none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from compared import assert_as_eager, site_of
from graphs import Backend, run, run_with_gradients
from torch import Tensor


def added(q: Tensor, k: Tensor, v: Tensor, number: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT + number, -1) @ v


def subtracted_and_scaled(q: Tensor, k: Tensor, v: Tensor, number: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT - 2 * number) / 3, -1) @ v


def computed(q: Tensor, k: Tensor, v: Tensor, number: Tensor) -> Tensor:
    scores = q @ k.mT + torch.tanh(number) + number
    return torch.softmax(scores.masked_fill(torch.ones(17, 17).tril() == 0, float("-inf")), -1) @ v


def under_softcap(q: Tensor, k: Tensor, v: Tensor, number: Tensor) -> Tensor:
    return torch.softmax(torch.tanh(q @ k.mT + number), -1) @ v


FUNCTIONS = (added, subtracted_and_scaled, computed, under_softcap)


def _inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 4, 17, 8, generator=generator, dtype=torch.float64).to(dtype) for _ in range(3))
    return q, k, v, torch.tensor(0.7, dtype=dtype)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_gradients_are_those_of_eager(function: Callable[..., Tensor]) -> None:
    site_of(assert_as_eager(function, _inputs(), 1e-9))
    site_of(assert_as_eager(function, _inputs(torch.float32)))


def test_the_gradient_is_zero_and_not_none() -> None:
    for backend in (Backend(), Backend(op=True)):
        _, gradients = run_with_gradients(added, _inputs(torch.float32), backend)
        assert gradients[3] is not None
        assert gradients[3] == 0


def test_a_number_that_is_not_finite_leaves_nan() -> None:
    args = (*_inputs()[:3], torch.tensor(float("-inf"), dtype=torch.float64))
    assert run(added, args).isnan().all()
    assert run(added, args, Backend(op=True)).isnan().all()


def test_what_is_made_of_the_scores_needs_nothing() -> None:
    """Their maximum: its gradient is theirs. The call stands alone."""

    def safe(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT
        return torch.softmax(scores - scores.max(), -1) @ v

    backend = assert_as_eager(safe, _inputs()[:3], 1e-9)
    assert site_of(backend).spec.unseen == ()
