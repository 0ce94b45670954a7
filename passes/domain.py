"""How far the index symbols of a site run, and what follows: comparisons decided, divisions of merged indices exact."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import sympy
from torch.utils._sympy.functions import FloorDiv

from .algebra import is_integral, is_where, where
from .expression import FALSE, TRUE, Apply, Expr, Number, as_sympy, integer

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
}


LONGEST = 2**23  # a size that only the running graph knows is taken as at most this: float32 counts twice as far
Span: TypeAlias = tuple[Fraction, Fraction]


class Remainder(sympy.Function):
    """value mod divisor of integers that are not negative; simplified only where both are numbers.

    Not sympy.Mod: sympy 1.14 takes Mod(3·Mod(y, 4), 4) for 3·Mod(y, 4).
    """

    nargs = 2
    is_integer = True
    is_nonnegative = True

    @classmethod
    def eval(cls, value: sympy.Expr, divisor: sympy.Expr) -> sympy.Expr | None:
        """The number, where both are numbers."""
        return sympy.Integer(int(value) % int(divisor)) if value.is_Integer and divisor.is_Integer else None


@dataclass(frozen=True, slots=True)
class Domain:
    """How far each index symbol runs: symbol → size, each symbol in [0, size)."""

    sizes: Mapping[sympy.Symbol, sympy.Expr]

    def upper(self, value: sympy.Expr) -> sympy.Expr | None:
        """The largest value of an integer expression, where it can be told."""
        return self._bound(value, high=True)

    def lower(self, value: sympy.Expr) -> sympy.Expr | None:
        """The smallest value of an integer expression, where it can be told."""
        return self._bound(value, high=False)

    def _bound(self, value: sympy.Expr, high: bool) -> sympy.Expr | None:
        if value.is_Integer:
            return value
        if value.is_Symbol:
            if value not in self.sizes:
                return value  # a symbolic size is its own bound
            return self.sizes[value] - 1 if high else sympy.Integer(0)
        if value.is_Add:
            parts = [self._bound(term, high) for term in value.args]
            return None if any(p is None for p in parts) else sympy.expand(sympy.Add(*parts))
        if value.is_Mul:
            coefficient, rest = value.as_coeff_Mul()
            if coefficient.is_Integer and coefficient != 1:
                bound = self._bound(rest, high == bool(coefficient > 0))
                return None if bound is None else sympy.expand(coefficient * bound)
            lowest = [self._bound(f, False) for f in value.args]
            factors = [self._bound(f, True) for f in value.args] if high else lowest
            if all(f is not None and f.is_nonnegative for f in (*lowest, *factors)):
                return sympy.expand(sympy.Mul(*factors))
            return None
        if isinstance(value, sympy.floor):
            bound = self._fraction_bound(value.args[0], high)
            return None if bound is None else sympy.floor(bound)
        if isinstance(value, Remainder):
            return sympy.expand(value.args[1] - 1) if high else sympy.Integer(0)
        return None

    def _fraction_bound(self, value: sympy.Expr, high: bool) -> sympy.Expr | None:
        top, bottom = value.as_numer_denom()
        if bottom.free_symbols & set(self.sizes):
            return None
        bound = self._bound(sympy.expand(top), high)
        return None if bound is None else bound / bottom

    def span(self, value: sympy.Expr) -> tuple[int, int] | None:
        """Two numbers that an integer expression lies between, for every size that a graph may meet; None if unknown.

        Wider than `lower` and `upper`, and always numbers: what a dtype can hold is a number too.
        """
        found = self._span(value)
        return None if found is None else (math.floor(found[0]), math.ceil(found[1]))

    def _span(self, value: sympy.Expr) -> Span | None:
        if value.is_Rational:
            return (number := Fraction(int(value.p), int(value.q))), number
        if value.is_Symbol:
            if value in self.sizes:
                size = self._span(self.sizes[value])
                return None if size is None else (Fraction(0), max(size[1] - 1, Fraction(0)))
            return Fraction(1 if value.is_positive else 0 if value.is_nonnegative else -LONGEST), Fraction(LONGEST)
        spans: list[Span] = []
        for part in value.args:
            span = self._span(part)
            if span is None:
                return None
            spans.append(span)
        if value.is_Add:
            return sum((low for low, _ in spans), Fraction(0)), sum((high for _, high in spans), Fraction(0))
        if value.is_Mul:
            return _product(spans)
        if value.is_Pow and value.exp.is_Integer:
            base = spans[0] if value.exp.is_positive else _reciprocal(spans[0])
            return None if base is None else _product([base] * abs(int(value.exp)))
        if isinstance(value, sympy.floor):
            return Fraction(math.floor(spans[0][0])), Fraction(math.floor(spans[0][1]))
        if isinstance(value, FloorDiv):
            divisor = _reciprocal(spans[1])
            return None if divisor is None else _product([spans[0], divisor], whole=True)
        if isinstance(value, Remainder):
            return Fraction(0), max(spans[1][1] - 1, Fraction(0))
        if isinstance(value, sympy.Min | sympy.Max):
            choose = min if isinstance(value, sympy.Min) else max
            return choose(low for low, _ in spans), choose(high for _, high in spans)
        return None

    def divide(self, value: sympy.Expr, divisor: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
        """Quotient and remainder of a merged index: exact where the terms show it, else floor and Remainder."""
        if divisor == 1:
            return value, sympy.Integer(0)
        quotient, rest = sympy.Integer(0), sympy.Integer(0)
        for term in sympy.Add.make_args(sympy.expand(value)):
            part = sympy.cancel(term / divisor)
            if part.is_integer and part.as_numer_denom()[1] == 1:
                quotient += part
            else:
                rest += term
        top, bottom = self.upper(rest), self.lower(rest)
        if top is not None and bottom is not None and bottom.is_nonnegative and (divisor - 1 - top).is_nonnegative:
            return quotient, rest
        return quotient + sympy.floor(rest / divisor), Remainder(rest, divisor)

    def at_most_zero(self, value: sympy.Expr) -> Expr:
        """`value <= 0`, decided where the ranges decide it."""
        value = sympy.expand(value)
        top, bottom = self.upper(value), self.lower(value)
        if top is not None and top.is_nonpositive:
            return TRUE
        if bottom is not None and bottom.is_positive:
            return FALSE
        return Apply("le0", (integer(value),))

    def compare(self, name: str, left: Expr, right: Expr) -> Expr:
        """lt, le, gt, ge, eq or ne of two expressions; integer orders become `le0` of a difference."""
        if isinstance(left, Number) and isinstance(right, Number):
            return Number(_COMPARE[name](left.value, right.value))
        for side, other in ((left, right), (right, left)):  # where(keep, 1, 0) == 0, as of a triangle of ones
            if is_where(side) and isinstance(other, Number):
                branches = [self.compare(name, *((b, other) if side is left else (other, b))) for b in side.args[1:]]
                return where(side.args[0], *branches)
        a, b = as_sympy(left), as_sympy(right)
        if a is not None and b is not None:
            difference = sympy.expand(a - b)
            if name in ("lt", "le"):
                return self.at_most_zero(difference + 1 if name == "lt" else difference)
            if name in ("gt", "ge"):
                return self.at_most_zero(-difference + 1 if name == "gt" else -difference)
            if difference == 0:
                return Number(name == "eq")
        elif left == right and name in ("eq", "ne") and is_integral(left):
            return Number(name == "eq")
        if name in ("eq", "ne") and isinstance(left, Number):
            left, right = right, left
        return Apply(name, (left, right))


def _product(spans: list[Span], whole: bool = False) -> Span:
    """Between which numbers a product lies; whole: rounded down."""
    low = high = Fraction(1)
    for span in spans:
        ends = [a * b for a, b in itertools.product((low, high), span)]
        low, high = min(ends), max(ends)
    return (Fraction(math.floor(low)), Fraction(math.floor(high))) if whole else (low, high)


def _reciprocal(span: Span) -> Span | None:
    """Between which numbers 1 / x lies, x a size that divides: at least 1."""
    return None if span[0] < 0 or span[1] < 1 else (1 / span[1], 1 / max(span[0], Fraction(1)))
