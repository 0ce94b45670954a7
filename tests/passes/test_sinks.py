"""Softmax over one more score than there are keys: a sink, behind the keys or in front of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from compared import assert_as_eager, rejection_of, site_of
from hyperrewrite.passes.spec import RejectionCode
from torch import Tensor


def _inputs() -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(2, 4, 9, 16, generator=generator) for _ in range(3)]
    keep = torch.rand(2, 1, 1, 9, generator=generator) > 0.4
    keep[1] = False  # a row that sees no key but the sink
    return (*tensors, torch.randn(4, generator=generator), keep)


def _sink(scores: Tensor, sink: Tensor) -> Tensor:
    return sink[:, None, None].expand(scores.shape[0], -1, scores.shape[2], 1)


def behind(q: Tensor, k: Tensor, v: Tensor, sink: Tensor, keep: Tensor) -> Tensor:
    """gpt_oss"""
    scores = (q @ k.mT / 4).masked_fill(~keep, torch.finfo(q.dtype).min)
    return torch.softmax(torch.cat([scores, _sink(scores, sink)], dim=-1), -1)[..., :-1] @ v


def in_front(q: Tensor, k: Tensor, v: Tensor, sink: Tensor, keep: Tensor) -> Tensor:
    """x-transformers"""
    scores = (q @ k.mT / 4).masked_fill(~keep, torch.finfo(q.dtype).min)
    return torch.softmax(torch.cat([_sink(scores, sink), scores], dim=-1), -1)[..., 1:] @ v


def in_front_less_the_maximum(q: Tensor, k: Tensor, v: Tensor, sink: Tensor, keep: Tensor) -> Tensor:
    scores = (q @ k.mT / 4).masked_fill(~keep, -math.inf)
    joined = torch.cat([_sink(scores, sink), scores], dim=-1)
    return torch.softmax(joined - joined.amax(-1, keepdim=True), -1).narrow(-1, 1, 9) @ v


def in_front_and_causal(q: Tensor, k: Tensor, v: Tensor, sink: Tensor, keep: Tensor) -> Tensor:
    """The mask counts the sink: it is made for all that softmax runs over."""
    scores = q @ k.mT / 4
    joined = torch.cat([_sink(scores, sink), scores], dim=-1)
    return torch.softmax(joined + torch.full((9, 10), -math.inf).triu(2), -1)[..., 1:] @ v


@pytest.mark.parametrize("function", [behind, in_front, in_front_less_the_maximum, in_front_and_causal])
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_sink(function: Callable[..., Tensor], dynamic: bool) -> None:
    site = site_of(assert_as_eager(function, _inputs(), dynamic=dynamic))
    assert "sink logits" in site.spec.in_words()
    assert ("causal" in site.spec.in_words()) == (function is in_front_and_causal)


def the_other_part(q: Tensor, k: Tensor, v: Tensor, sink: Tensor, keep: Tensor) -> Tensor:
    """The sink's weight meets the first value."""
    scores = q @ k.mT
    return torch.softmax(torch.cat([_sink(scores, sink), scores], dim=-1), -1)[..., :-1] @ v


def a_key_too_few(q: Tensor, k: Tensor, v: Tensor, sink: Tensor, keep: Tensor) -> Tensor:
    """What stands in front is a key like the others, whose value is left out."""
    return torch.softmax(q @ k.mT, -1)[..., 1:] @ v[:, :, 1:]


def two_in_front(q: Tensor, k: Tensor, v: Tensor, sink: Tensor, keep: Tensor) -> Tensor:
    scores = q @ k.mT
    joined = torch.cat([_sink(scores, sink), _sink(scores, sink), scores], dim=-1)
    return torch.softmax(joined, -1)[..., 2:] @ v


@pytest.mark.parametrize("function", [the_other_part, a_key_too_few, two_in_front])
def test_what_is_no_sink_is_left_alone(function: Callable[..., Tensor]) -> None:
    assert rejection_of(assert_as_eager(function, _inputs())) == RejectionCode.SOFTMAX_DIM
