"""Positions in dtypes that do not hold them all: integers that wrap around, floating-point numbers with gaps."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import sympy
import torch
from compared import assert_as_eager, site_of
from hyperrewrite.passes.domain import LONGEST, Domain, Remainder
from hyperrewrite.passes.expression import Int, Number
from hyperrewrite.passes.rounding import in_dtype
from hyperrewrite.passes.symbols import symbol
from torch import Tensor

Keep = Callable[[int], Tensor]


def _attention(keep: Keep) -> Callable[..., Tensor]:
    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.softmax((q @ k.mT).masked_fill(~keep(q.shape[-2]), -1e9), -1) @ v

    return attend


def _inputs(n: int, seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(1, 2, n, 8, generator=generator) for _ in range(3))


def _order(at: Tensor) -> Tensor:
    return at[None] <= at[:, None]


WRAPPED: dict[str, tuple[int, Keep]] = {
    "cast_to_uint8": (300, lambda n: _order(torch.arange(n).to(torch.uint8))),
    "cast_to_int8": (300, lambda n: _order(torch.arange(n).to(torch.int8))),
    "arange_of_uint8": (300, lambda n: _order(torch.arange(n, dtype=torch.uint8))),
    "counted_in_uint8": (300, lambda n: _order(torch.ones(n, dtype=torch.uint8).cumsum(0, dtype=torch.uint8))),
    "cast_to_int16": (40, lambda n: _order((torch.arange(n) * 1000).to(torch.int16))),
    "product_of_int8": (20, lambda n: _order(torch.arange(n, dtype=torch.int8) * 10)),
    "product_of_int8_positions": (20, lambda n: _order(torch.arange(n).char() * torch.arange(n).char())),
    "product_of_int32": (20, lambda n: _order(torch.arange(n, dtype=torch.int32) * 2**28)),
    "product_of_int64": (20, lambda n: _order(torch.arange(n) * 2**60)),
    "difference_of_uint8": (20, lambda n: _distance(torch.arange(n, dtype=torch.uint8)) < 3),
    "minus_of_uint8": (20, lambda n: _order(-torch.arange(n, dtype=torch.uint8))),
    "number_beyond_int8": (60, lambda n: (torch.arange(n, dtype=torch.int8) < 300)[None].expand(n, n)),
    "rounded_to_float32": (20, lambda n: _order((torch.arange(n) + 2**24).float())),
    "rounded_to_float16": (20, lambda n: _order((torch.arange(n) + 2**11).half())),
    "rounded_to_bfloat16": (20, lambda n: _order(torch.arange(n).to(torch.bfloat16) + 2**8)),
    "compared_in_bfloat16": (20, lambda n: (torch.arange(n) + 2**8)[None] <= _line(n).to(torch.bfloat16)[:, None]),
    "indexed_by_int8": (300, lambda n: _order(torch.arange(n)[torch.arange(n).to(torch.int8).long().clamp(min=0)])),
}
HELD: dict[str, tuple[int, Keep]] = {
    "wrapped_constants": (20, lambda n: torch.where(_order(torch.arange(n)), 250, 3).to(torch.uint8) + 10 < 10),
    "uint8": (256, lambda n: _order(torch.arange(n).to(torch.uint8))),
    "int8": (20, lambda n: _distance(torch.arange(n, dtype=torch.int8)) <= 0),
    "int32": (20, lambda n: _order(torch.arange(n, dtype=torch.int32) + (2**31 - 20))),
    "int64": (20, lambda n: _order(torch.arange(n) + (2**63 - 20))),
    "float32": (20, lambda n: _order((torch.arange(n) + (2**24 - 20)).float())),
    "float16": (20, lambda n: _order((torch.arange(n) + (2**11 - 20)).half())),
    "bfloat16": (256, lambda n: _order(torch.arange(n).to(torch.bfloat16))),
}


def _distance(at: Tensor) -> Tensor:
    return at[None] - at[:, None]


def _line(n: int) -> Tensor:
    return torch.arange(n) + 2**8


@pytest.mark.parametrize("name", WRAPPED)
def test_positions_that_a_dtype_lacks_are_read_as_the_tensor_holds_them(name: str) -> None:
    n, keep = WRAPPED[name]
    site = site_of(assert_as_eager(_attention(keep), _inputs(n)))
    assert "causal" not in site.spec.in_words()


@pytest.mark.parametrize("name", HELD)
def test_positions_that_a_dtype_has_are_folded(name: str) -> None:
    n, keep = HELD[name]
    site = site_of(assert_as_eager(_attention(keep), _inputs(n)))
    assert "causal" in site.spec.in_words()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16], ids=str)
def test_numbers_that_are_given_are_cast_as_the_graph_casts_them(dtype: torch.dtype) -> None:
    """Lengths in int64 that the narrower dtype does not hold."""

    def attend(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor) -> Tensor:
        keep = torch.arange(q.shape[-2]) < lengths.to(dtype).long()[:, None, None, None]
        return torch.softmax((q @ k.mT).masked_fill(~keep, -math.inf), -1) @ v

    site = site_of(assert_as_eager(attend, (*_inputs(300), torch.tensor([259]))))
    assert "key padding" in site.spec.in_words()


def test_arithmetic_of_given_int8_wraps_before_it_is_widened() -> None:
    """Read a place further on, so that the tensor is computed anew."""

    def attend(q: Tensor, k: Tensor, v: Tensor, first: Tensor) -> Tensor:
        n = q.shape[-2]
        stop = ((first + 120).long() + 130)[torch.arange(n) // 2]
        return torch.softmax((q @ k.mT).masked_fill(torch.arange(n) >= stop[:, None], -1e9), -1) @ v

    assert_as_eager(attend, (*_inputs(20), torch.arange(10, 20, dtype=torch.int8)))


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32], ids=str)
def test_a_length_that_only_the_graph_knows_is_a_length(dtype: torch.dtype) -> None:
    """With dynamic shapes positions fold in what holds the longest input, and nowhere else."""
    attend = _attention(lambda n: _order(torch.arange(n).to(dtype)))
    site = site_of(assert_as_eager(attend, _inputs(20), dynamic=True))
    assert "causal" in site.spec.in_words()
    narrow = _attention(lambda n: _order(torch.arange(n).to(torch.int8)))
    site = site_of(assert_as_eager(narrow, _inputs(20), dynamic=True))
    assert "causal" not in site.spec.in_words()


def test_spans() -> None:
    i, n = symbol("i"), sympy.Symbol("n", integer=True, positive=True)
    domain = Domain({i: sympy.Integer(10)})
    for value, span in (
        (3 - 2 * i, (-15, 3)),
        (i * i - i, (-9, 81)),
        (sympy.floor((i + 1) / 4), (0, 2)),
        (Remainder(i, sympy.Integer(4)), (0, 3)),
        (i * n, (0, 9 * LONGEST)),
        (sympy.floor(i / n), (0, 9)),
        (sympy.Min(i, 4) - sympy.Max(i, 2), (-9, 2)),
    ):
        assert domain.span(value) == span
    assert domain.span(sympy.Function("f")(i)) is None


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_whole_numbers_of_a_dtype(dtype: torch.dtype) -> None:
    i, info = symbol("i"), torch.iinfo(dtype)
    domain = Domain({i: sympy.Integer(2)})
    assert in_dtype(Int(i + info.max - 1), dtype, domain) == Int(i + info.max - 1)
    assert in_dtype(Int(i + info.max), dtype, domain) is None
    assert in_dtype(Int(i + info.min), dtype, domain) == Int(i + info.min)
    assert in_dtype(Int(info.min - i), dtype, domain) is None
    if dtype != torch.int64:
        assert in_dtype(Number(info.max + 1), dtype, domain) == Number(info.min)
