"""Rows of −inf alone, whose output is NaN: their gradients are what eager PyTorch gives, in every row.

Where −inf was put in the place of scores, these take no gradient; where it was added to them, theirs is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from graphs import Backend
from torch import Tensor

N, INF = 12, math.inf


def _scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT / 3


def filled(q: Tensor, k: Tensor, keep: Tensor) -> Tensor:
    return _scores(q, k).masked_fill(~keep, -INF)


def filled_in_place(q: Tensor, k: Tensor, keep: Tensor) -> Tensor:
    return _scores(q, k).masked_fill_(~keep, -INF)


def chosen(q: Tensor, k: Tensor, keep: Tensor) -> Tensor:
    return torch.where(keep, _scores(q, k), -INF)


def written_by_index(q: Tensor, k: Tensor, keep: Tensor) -> Tensor:
    scores = _scores(q, k)
    scores[~keep.expand_as(scores)] = -INF
    return scores


def written_over(q: Tensor, k: Tensor, keep: Tensor) -> Tensor:
    scores = _scores(q, k)
    scores[..., :] = torch.where(keep, scores, -INF)
    return scores


def filled_before_the_scale(q: Tensor, k: Tensor, keep: Tensor) -> Tensor:
    return (q @ k.mT).masked_fill(~keep, -INF) / 3


def filled_behind_a_cap(q: Tensor, k: Tensor, keep: Tensor) -> Tensor:
    return torch.where(keep, torch.tanh(_scores(q, k)) * 2, -INF)


def added(q: Tensor, k: Tensor, keep: Tensor) -> Tensor:
    return _scores(q, k) + torch.where(keep, 0.0, -INF)


def added_in_place(q: Tensor, k: Tensor, keep: Tensor) -> Tensor:
    scores = _scores(q, k)
    scores += torch.zeros(keep.shape, dtype=q.dtype).masked_fill(~keep, -INF)
    return scores


def filled_twice(q: Tensor, k: Tensor, keep: Tensor) -> Tensor:
    return chosen(q, k, keep).masked_fill(~keep, -INF)


FORMS = (filled, filled_in_place, chosen, written_by_index, written_over, filled_before_the_scale, filled_behind_a_cap,
         added, added_in_place, filled_twice)  # fmt: skip


def _run(call: Callable[..., Tensor], args: list[Tensor], keep: Tensor, along: Tensor) -> list[Tensor]:
    out = call(*args, keep)
    return [out.detach(), *torch.autograd.grad(out, args, along)]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("op", [False, True], ids=["sdpa", "op"])
@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("rows", ["none", "one batch row", "padding and causal"])
def test_gradients_are_those_of_eager(form: Callable[..., Tensor], op: bool, kv_heads: int, rows: str) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, h, N, 8) for h in (4, kv_heads, kv_heads)]
    args = [torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in shapes]
    keep = torch.ones(2, 1, N, N, dtype=torch.bool)
    if rows != "none":  # where all rows see a key nothing is NaN
        keep[0, :, 3:5] = False
    if rows == "padding and causal":
        keep[1, ..., :4] = False
        keep = keep.tril()
    along = torch.randn(2, 4, N, 8, generator=generator, dtype=torch.float64)
    along[0, :, 3] = 0.0  # a loss that does not look at the row

    def call(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
        k, v = (t.repeat_interleave(4 // kv_heads, 1) for t in (k, v))
        return torch.softmax(form(q, k, keep), -1) @ v

    expected = _run(call, args, keep, along)
    torch._dynamo.reset()
    backend = Backend(op=op)
    found = _run(torch.compile(call, backend=backend, fullgraph=True), args, keep, along)
    assert len(backend.graphs[0].findings().sites) == 1
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6, equal_nan=True)
    assert bool(found[0].isnan().any()) == (rows != "none")
