"""What one element of a tensor is, as an expression over index symbols: the language masks and scores are read in.

An expression says what stands at *one* position of a tensor; positions are integer expressions (sympy) over the index
symbols of a site (b, h, i, j). `algebra` builds expressions, folded as far as is exact; `domain` knows how far each
symbol runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

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
    """An element of a tensor that the graph computes in a way that is not looked into.

    detached, here and below: no gradient flows back to the tensor from where the element is read.
    """

    node: fx.Node
    index: Index
    detached: bool = False


@dataclass(frozen=True, slots=True)
class Product(Element):
    """An element of a contraction's result (matmul, bmm, einsum…): QKᵀ, if the rest of the site says so."""

    node: fx.Node
    index: Index
    detached: bool = False


@dataclass(frozen=True, slots=True)
class Probability(Element):
    """An element of the result of the softmax that a site is being read from."""

    node: fx.Node
    index: Index
    detached: bool = False


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


def computed_with(expr: Expr) -> Iterator[Expr]:
    """The numbers, positions, tensors and products that a value is computed with: none of those it is chosen by."""
    if not isinstance(expr, Apply):
        yield expr
    elif expr.name not in TRUTHS:
        for part in expr.args[1:] if expr.name == "where" else expr.args:
            yield from computed_with(part)


TRUTHS = frozenset(("lt", "le", "gt", "ge", "eq", "ne", "le0", "and", "or", "not", "isnan"))


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
