"""Values as tensors hold them: what a number becomes in a dtype, and which whole numbers a dtype has."""

from __future__ import annotations

import math

import torch
from torch import fx

from .algebra import where
from .canonical import CanonicalView
from .domain import Domain
from .expression import Apply, Expr, Int, Load, Number, Probability, Product, computed_with, walk


def rounded(value: Expr, dtype: torch.dtype) -> Expr:
    """Constants as the dtype holds them: a fill of −3.4e38 is −inf in float16, 300 is 44 in uint8. The rest is kept."""
    if isinstance(value, Number) and not isinstance(value.value, bool):
        number = value.value
        if isinstance(number, int) and abs(number) < 2**63:
            return Number(torch.tensor(number).to(dtype).item())
        if not dtype.is_floating_point and not (math.isfinite(number) and _counts(dtype, number, number)):
            return value  # what becomes of it is not defined
        return Number(torch.tensor(number, dtype=torch.float64).to(dtype).item())
    if isinstance(value, Apply) and value.name == "where":
        keep, then, other = value.args
        return where(keep, rounded(then, dtype), rounded(other, dtype))
    return value


def without_overflow(value: Expr, dtype: torch.dtype) -> Expr:
    """A constant as arithmetic in this dtype takes it: one that no float32 holds is infinite before it multiplies."""
    if not isinstance(value, Number) or not dtype.is_floating_point or not math.isfinite(value.value):
        return value
    wide = torch.promote_types(dtype, torch.float32)
    return value if abs(value.value) <= torch.finfo(wide).max else Number(math.copysign(math.inf, value.value))


def held_in(view: CanonicalView, node: fx.Node, value: Expr) -> Expr:
    """A value as the tensor of a node holds it: rounded where that is one of floating-point numbers."""
    held = view.value(node)
    floats = isinstance(held, torch.Tensor) and held.dtype.is_floating_point
    return rounded(value, held.dtype) if floats else value


def held_as(value: float, dtype: torch.dtype) -> Number:
    """A number as a tensor of this dtype holds it."""
    return Number(torch.full((), value, dtype=dtype).item())


def in_dtype(value: Expr, dtype: torch.dtype, domain: Domain) -> Expr | None:
    """A value that a tensor of this dtype is said to hold, if it does; None where the tensor holds another.

    Integers wrap around where a dtype ends, and floating-point numbers have gaps: bfloat16 counts 255, 256, 258. So
    positions must lie in the range of whole numbers that a dtype has, and constants become what it makes of them.
    What is computed from tensors that are given may be any number: in few bits it is taken as it stands.
    """
    if dtype == torch.bool or dtype.is_complex:
        return value
    if isinstance(value, Number):
        return value if dtype.is_floating_point or isinstance(value.value, bool) else _constant(value, dtype)
    if isinstance(value, Int):
        span = domain.span(value.value)
        return value if span is not None and _counts(dtype, *span) else None
    if not isinstance(value, Apply):
        return value
    if value.name == "where":
        keep, *branches = value.args
        then, other = (in_dtype(branch, dtype, domain) for branch in branches)
        if then is None or other is None:
            return None
        return value if [then, other] == branches else where(keep, then, other)
    made_of = list(computed_with(value))
    if any(isinstance(part, Product | Probability) for part in made_of):
        return value
    if dtype.is_floating_point:  # positions that are computed with once more are numbers of float32
        exact = dtype == torch.float32 or not any(isinstance(part, Int) for part in made_of)
        return value if exact else None
    if dtype == torch.int64:
        return value
    chosen = value.name in ("minimum", "maximum") and not any(isinstance(part, Load) for part in made_of)
    return value if chosen and all(in_dtype(part, dtype, domain) is not None for part in value.args) else None


def _constant(value: Number, dtype: torch.dtype) -> Number | None:
    """A constant of a tensor of integers; None where that cannot be."""
    held = rounded(value, dtype)
    return held if isinstance(held, Number) and isinstance(held.value, int) else None


def _counts(dtype: torch.dtype, low: float, high: float) -> bool:
    """Whether a dtype has every whole number between two."""
    if dtype.is_floating_point:
        return max(abs(low), abs(high)) * torch.finfo(dtype).eps <= 2
    kind = torch.iinfo(dtype)
    return kind.min <= low and high <= kind.max


def is_constant(value: Expr) -> bool:
    """Whether a value is one number or another."""
    if isinstance(value, Apply) and value.name == "where":
        return all(map(is_constant, value.args[1:]))
    return isinstance(value, Number)


def largest_number(value: Expr) -> float:
    """The largest finite number that an expression is made of."""
    numbers = (abs(float(e.value)) for e in walk(value) if isinstance(e, Number))
    return max((n for n in numbers if math.isfinite(n)), default=0.0)
