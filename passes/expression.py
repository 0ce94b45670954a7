"""What one element of a tensor is, as an expression over index symbols: the language masks and scores are read in.

An expression says what stands at *one* position of a tensor; positions are integer expressions (sympy) over the index
symbols of a site (b, h, i, j). `Domain` knows how far each symbol runs and therefore when a comparison is decided,
when a division of a merged index is exact, and what may be dropped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeGuard

import sympy
from torch import fx


class Element:
    """Base of all expressions."""

    __slots__ = ()


Expr: TypeAlias = Element
Index: TypeAlias = tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Number(Element):
    """A constant: a bool, an int or a float. 0, 0.0 and False are three different constants."""

    value: bool | int | float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and type(other.value) is type(self.value) and other.value == self.value

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class Int(Element):
    """An integer that depends on index symbols or symbolic sizes, as a sympy expression."""

    value: sympy.Expr


@dataclass(frozen=True, slots=True)
class Load(Element):
    """An element of a tensor that the graph computes in a way that is not looked into."""

    node: fx.Node
    index: Index


@dataclass(frozen=True, slots=True)
class Product(Element):
    """An element of a contraction's result (matmul, bmm, einsum…): QKᵀ, if the rest of the site says so."""

    node: fx.Node
    index: Index


@dataclass(frozen=True, slots=True)
class Probability(Element):
    """An element of the result of the softmax that a site is being read from."""

    node: fx.Node
    index: Index


@dataclass(frozen=True, slots=True)
class Apply(Element):
    """An operation on expressions. `origin` is the node (and the position in it) that holds this very value."""

    name: str
    args: tuple[Expr, ...]
    origin: tuple[fx.Node, Index] | None = field(default=None, compare=False)


ZERO, ONE, TRUE, FALSE = Number(0), Number(1), Number(True), Number(False)


def integer(value: sympy.Expr | int) -> Expr:
    """The expression of an integer, constant or symbolic."""
    if isinstance(value, int):
        return Number(value)
    return Number(int(value)) if value.is_Integer else Int(value)


def as_sympy(expr: Expr) -> sympy.Expr | None:
    """The sympy form of an integer expression; None where it is not one."""
    if isinstance(expr, Int):
        return expr.value
    if isinstance(expr, Number) and isinstance(expr.value, int) and not isinstance(expr.value, bool):
        return sympy.Integer(expr.value)
    return None


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and all it is made of, positions included; each once."""
    stack, seen = [expr], set()
    while stack:
        at = stack.pop()
        if id(at) in seen:
            continue
        seen.add(id(at))
        yield at
        if isinstance(at, Apply):
            stack.extend(at.args)
        elif isinstance(at, Load | Product | Probability):
            stack.extend(at.index)


def symbols(expr: Expr) -> frozenset[sympy.Symbol]:
    """Every symbol (index or size) that the expression depends on."""
    return frozenset(s for at in walk(expr) if isinstance(at, Int) for s in at.value.free_symbols)


def contains(expr: Expr, kind: type) -> bool:
    """Whether an expression of this class is part of it."""
    return any(isinstance(at, kind) for at in walk(expr))


def with_origin(expr: Expr, node: fx.Node, index: Index) -> Expr:
    """The expression, knowing the node that already holds its value."""
    if isinstance(expr, Apply) and expr.origin is None:
        return replace(expr, origin=(node, index))
    return expr


def mapped(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The expression with every part changed, inner parts first; each part is looked at once. Positions stay."""
    done: dict[int, Expr] = {}

    def visit(at: Expr) -> Expr:
        if id(at) not in done:
            inner = at
            if isinstance(at, Apply):
                args = tuple(map(visit, at.args))
                inner = at if all(a is b for a, b in zip(args, at.args, strict=True)) else replace(at, args=args)
            done[id(at)] = change(inner)
        return done[id(at)]

    return visit(expr)


# --- arithmetic -------------------------------------------------------------------------------------------------

_FOLD: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: _divided(a, b),
    "minimum": min,
    "maximum": max,
}


def _divided(a: float, b: float) -> float:
    """a / b as floating-point numbers have it."""
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


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
    if isinstance(right, Number) and _is_where(left):
        keep, then, other = left.args
        return where(keep, arithmetic(name, then, right), arithmetic(name, other, right))
    if isinstance(left, Number) and _is_where(right):
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
            if _is_where(ones) and _is(ones.args[1], 1) and _is(ones.args[2], 0) and _is_finite_score(scores):
                return where(ones.args[0], scores, ZERO)
    return Apply(name, (left, right))


def _is_finite_score(expr: Expr) -> bool:
    """Whether an expression is a scaled product and nothing that may be infinite: −∞ times 0 is no 0."""
    if any(isinstance(e, Load) or (isinstance(e, Number) and not math.isfinite(e.value)) for e in walk(expr)):
        return False
    return contains(expr, Product)


def _is(expr: Expr, value: float) -> bool:
    return isinstance(expr, Number) and not isinstance(expr.value, bool) and expr.value == value


def _is_truth(expr: Expr, value: bool) -> bool:
    return isinstance(expr, Number) and expr.value is value


def _is_where(expr: Expr) -> TypeGuard[Apply]:
    return isinstance(expr, Apply) and expr.name == "where" and all(isinstance(a, Number) for a in expr.args[1:])


def negate(expr: Expr) -> Expr:
    """−expr."""
    return arithmetic("mul", expr, Number(-1))


# --- logic ------------------------------------------------------------------------------------------------------


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
        if expr.name in _OPPOSITE and all(map(_is_integral, expr.args)):
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
    if then == other:
        return then
    if _is_truth(then, True) and _is_truth(other, False):
        return keep
    if then in (FALSE,) and other in (TRUE,) and isinstance(getattr(then, "value", None), bool):
        return inverse(keep)
    if isinstance(then, Number) and _is_where(other):
        second, first, rest = other.args
        if then in (first, rest):  # the same value in one case or another
            again = second if then == first else inverse(second)
            return where(disjunction(keep, again), then, rest if then == first else first)
    if isinstance(other, Number) and _is_where(then):
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
    if isinstance(expr, Apply) and expr.name == "where" and all(isinstance(a, Number) for a in expr.args[1:]):
        keep, then, other = expr.args
        return where(keep, truth(then), truth(other)) if truth(then) != truth(other) else truth(then)
    return Apply("ne", (expr, ZERO))


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


# --- the ranges of symbols ----------------------------------------------------------------------------------------


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
            factors = [self._bound(f, high) for f in value.args]  # sizes and indices are never negative
            if all(f is not None and f.is_nonnegative for f in factors):
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
            if _is_where(side) and isinstance(other, Number):
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
        elif left == right and name in ("eq", "ne") and _is_integral(left):
            return Number(name == "eq")
        if name in ("eq", "ne") and isinstance(left, Number):
            left, right = right, left
        return Apply(name, (left, right))


_COMPARE = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}


_OPPOSITE = {"lt": "ge", "ge": "lt", "le": "gt", "gt": "le"}


def _is_integral(expr: Expr) -> bool:
    """Whether x == x is sure to hold: not for floats, where NaN differs from itself."""
    if isinstance(expr, Number):
        return not isinstance(expr.value, float)
    if isinstance(expr, Load):
        value = expr.node.meta.get("example_value", expr.node.meta.get("val"))
        return value is not None and not value.dtype.is_floating_point
    return isinstance(expr, Int)
