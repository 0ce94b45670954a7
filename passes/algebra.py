"""Expressions built from expressions, folded as far as is exact: arithmetic with constants, logic, choices.

What is folded here decides what a mask is known by: (1 − m)·(−big) of a bool m, where(m, 0, −big) and
masked_fill(~m, −big) all become the same `where`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

import sympy
import torch

from .expression import FALSE, TRUE, ZERO, Apply, Expr, Int, Load, Number, Product, as_sympy, contains, integer


def _divided(a: float, b: float) -> float:
    """a / b as floating-point numbers have it."""
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


_FOLD: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": _divided,
    "minimum": min,
    "maximum": max,
}


def arithmetic(name: str, left: Expr, right: Expr) -> Expr:
    """`left name right` for add, sub, mul, div, minimum and maximum, folded as far as is exact.

    Arithmetic with a constant moves into the branches of a `where`: (1 − m)·(−big) of a bool m becomes
    where(m, 0, −big), which is how a mask is told from a bias.
    """
    if isinstance(left, Number) and isinstance(right, Number):
        return Number(_FOLD[name](left.value, right.value))
    a, b = as_sympy(left), as_sympy(right)
    if a is not None and b is not None and name in ("add", "sub", "mul"):
        return integer(sympy.expand(_FOLD[name](a, b)))
    if name in ("add", "sub") and _is(right, 0):
        return left
    if name == "add" and _is(left, 0):
        return right
    if name in ("mul", "div") and _is(right, 1):
        return left
    if name == "mul" and _is(left, 1):
        return right
    if isinstance(right, Number) and is_where(left):
        keep, then, other = left.args
        return where(keep, arithmetic(name, then, right), arithmetic(name, other, right))
    if isinstance(left, Number) and is_where(right):
        keep, then, other = right.args
        return where(keep, arithmetic(name, left, then), arithmetic(name, left, other))
    if (
        isinstance(left, Apply)
        and isinstance(right, Apply)
        and left.name == right.name == "where"
        and left.args[0] == right.args[0]
    ):  # both are chosen by the same condition
        branches = (arithmetic(name, a, b) for a, b in zip(left.args[1:], right.args[1:], strict=True))
        return where(left.args[0], *branches)
    if name == "mul":
        for scores, ones in ((left, right), (right, left)):  # scores that a mask of ones and zeros is multiplied into
            if is_where(ones) and _is(ones.args[1], 1) and _is(ones.args[2], 0) and _is_finite_score(scores):
                return where(ones.args[0], scores, ZERO)
    return Apply(name, (left, right))


def _is_finite_score(expr: Expr) -> bool:
    """Whether an expression is a scaled product and nothing that may be infinite: −∞ times 0 is no 0."""
    return contains(expr, Product) and _is_finite(expr)


def _is_finite(expr: Expr) -> bool:
    """Whether scores are finite, if their scale is: captured tensors only multiply them, or a clamp bounds them."""
    if isinstance(expr, Number):
        return math.isfinite(expr.value)
    if not isinstance(expr, Apply):
        return not isinstance(expr, Load)
    if expr.name in ("mul", "div"):
        return all(isinstance(a, Load) or _is_finite(a) for a in expr.args)
    if {"minimum", "maximum"} <= set(_clamps(expr)):
        return True
    return all(map(_is_finite, expr.args))


def _clamps(expr: Expr) -> Iterator[str]:
    """Which sides are bounded by a finite number."""
    while isinstance(expr, Apply) and expr.name in ("minimum", "maximum"):
        inner, limit = expr.args
        if not (isinstance(limit, Number) and math.isfinite(limit.value)):
            return
        yield expr.name
        expr = inner


def _is(expr: Expr, value: float) -> bool:
    return isinstance(expr, Number) and not isinstance(expr.value, bool) and expr.value == value


def _is_truth(expr: Expr, value: bool) -> bool:
    return isinstance(expr, Number) and expr.value is value


def is_where(expr: Expr) -> TypeGuard[Apply]:
    """Whether an expression is one constant or another."""
    return isinstance(expr, Apply) and expr.name == "where" and all(isinstance(a, Number) for a in expr.args[1:])


def negate(expr: Expr) -> Expr:
    """−expr."""
    return arithmetic("mul", expr, Number(-1))


# --- logic ------------------------------------------------------------------------------------------------------


_OPPOSITE = {"lt": "ge", "ge": "lt", "le": "gt", "gt": "le"}


def conjunction(*parts: Expr) -> Expr:
    """All of them; flattened, constants dropped, each part once."""
    return _flatten("and", parts, drop=TRUE, decide=FALSE)


def disjunction(*parts: Expr) -> Expr:
    """Any of them; flattened, constants dropped, each part once."""
    return _flatten("or", parts, drop=FALSE, decide=TRUE)


def _flatten(name: str, parts: tuple[Expr, ...], drop: Number, decide: Number) -> Expr:
    flat: list[Expr] = []
    for part in parts:
        for one in part.args if isinstance(part, Apply) and part.name == name else (part,):
            if isinstance(one, Number):
                if bool(one.value) == decide.value:
                    return decide
            elif one not in flat:
                flat.append(one)
    if not flat:
        return drop
    return flat[0] if len(flat) == 1 else Apply(name, tuple(flat))


def inverse(expr: Expr) -> Expr:
    """Logical not, moved inwards as far as it stays exact."""
    if isinstance(expr, Number):
        return Number(not expr.value)
    if isinstance(expr, Apply):
        if expr.name == "not":
            return expr.args[0]
        if expr.name == "le0":
            value = as_sympy(expr.args[0])
            assert value is not None
            return Apply("le0", (integer(1 - value),))
        if expr.name in ("eq", "ne"):
            return Apply("ne" if expr.name == "eq" else "eq", expr.args)
        if expr.name in _OPPOSITE and all(map(is_integral, expr.args)):
            return Apply(_OPPOSITE[expr.name], expr.args)
        if expr.name == "and":
            return disjunction(*map(inverse, expr.args))
        if expr.name == "or":
            return conjunction(*map(inverse, expr.args))
    return Apply("not", (expr,))


def where(keep: Expr, then: Expr, other: Expr) -> Expr:
    """`then` where `keep` holds, else `other`."""
    if isinstance(keep, Number):
        return then if keep.value else other
    if isinstance(then, Apply) and then.name == "where" and then.args[0] == keep:
        then = then.args[1]
    if isinstance(other, Apply) and other.name == "where" and other.args[0] == keep:
        other = other.args[2]
    if then == other:
        return then
    if _is_truth(then, True) and _is_truth(other, False):
        return keep
    if then in (FALSE,) and other in (TRUE,) and isinstance(getattr(then, "value", None), bool):
        return inverse(keep)
    if isinstance(then, Number) and is_where(other):
        second, first, rest = other.args
        if then in (first, rest):  # the same value in one case or another
            again = second if then == first else inverse(second)
            return where(disjunction(keep, again), then, rest if then == first else first)
    if isinstance(other, Number) and is_where(then):
        second, first, rest = then.args
        if other in (first, rest):  # another value in one case and another
            again = second if other == rest else inverse(second)
            return where(conjunction(keep, again), first if other == rest else rest, other)
    # where(x != 0, a, x) leaves only zeros in its other branch.
    if isinstance(keep, Apply) and keep.name in ("ne", "eq") and _is(keep.args[1], 0):
        if keep.name == "ne" and other == keep.args[0]:
            other = ZERO
        elif keep.name == "eq" and then == keep.args[0]:
            then = ZERO
    return Apply("where", (keep, then, other))


def truth(expr: Expr) -> Expr:
    """`expr.to(bool)` of a number-valued expression: expr != 0."""
    if isinstance(expr, Number):
        return Number(bool(expr.value))
    if is_where(expr):
        keep, then, other = expr.args
        return where(keep, truth(then), truth(other)) if truth(then) != truth(other) else truth(then)
    return Apply("ne", (expr, ZERO))


def is_integral(expr: Expr) -> bool:
    """Whether x == x is sure to hold: not for floats, where NaN differs from itself."""
    if isinstance(expr, Number):
        return not isinstance(expr.value, float)
    if isinstance(expr, Load):
        value = expr.node.meta.get("example_value", expr.node.meta.get("val"))
        return value is not None and not value.dtype.is_floating_point
    return isinstance(expr, Int)


def is_whole(expr: Expr) -> bool:
    """Whether an expression is sure to be a whole number, which an int64 tensor holds as it is."""
    if isinstance(expr, Number):
        return math.isfinite(expr.value) and float(expr.value).is_integer()
    if isinstance(expr, Load):
        value = expr.node.meta.get("example_value", expr.node.meta.get("val"))
        return getattr(value, "dtype", None) in WHOLE
    if isinstance(expr, Apply):
        parts = expr.args[1:] if expr.name == "where" else expr.args
        return expr.name in _WHOLE_STEPS and all(map(is_whole, parts))
    return isinstance(expr, Int)


WHOLE = frozenset((torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64))
_WHOLE_STEPS = frozenset(("add", "sub", "mul", "minimum", "maximum", "where", "int64"))
