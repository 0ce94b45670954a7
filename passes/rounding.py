"""Constants as tensors hold them: what a number becomes in a dtype."""

from __future__ import annotations

import math

import torch
from torch import fx

from .algebra import where
from .canonical import CanonicalView
from .domain import Domain
from .expression import Apply, Expr, Int, Number, walk


def rounded(value: Expr, dtype: torch.dtype) -> Expr:
    """Constants as the dtype holds them; a fill of −3.4e38 is −inf in float16. Everything else is kept."""
    if isinstance(value, Number) and not isinstance(value.value, bool):
        return Number(torch.tensor(value.value, dtype=torch.float64).to(dtype).item())
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


def holds_position(dtype: torch.dtype, value: Expr, domain: Domain) -> bool:
    """Whether a dtype has every whole number that a position may be: bfloat16 counts 255, 256, 258.

    Those that float32 lacks are of tensors with more than 2²⁴ places.
    """
    if not isinstance(value, Int) or not dtype.is_floating_point or torch.finfo(dtype).bits >= 32:
        return True
    ends = domain.lower(value.value), domain.upper(value.value)
    return all(end is not None and end.is_Integer and abs(int(end)) * torch.finfo(dtype).eps <= 2 for end in ends)


def is_constant(value: Expr) -> bool:
    """Whether a value is one number or another."""
    if isinstance(value, Apply) and value.name == "where":
        return all(map(is_constant, value.args[1:]))
    return isinstance(value, Number)


def largest_number(value: Expr) -> float:
    """The largest finite number that an expression is made of."""
    numbers = (abs(float(e.value)) for e in walk(value) if isinstance(e, Number))
    return max((n for n in numbers if math.isfinite(n)), default=0.0)
