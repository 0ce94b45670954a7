"""The index symbols of a site: batch, head, query position, key position, query/key feature, value feature."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy

from .expression import ZERO, Domain, Expr, Int


def symbol(name: str) -> sympy.Symbol:
    """An index symbol; its own kind, so that it never meets a size symbol of the same name."""
    return sympy.Symbol(f"${name}", integer=True, nonnegative=True)


@dataclass(frozen=True)
class Roots:
    """Symbols with their sizes. A symbol of a dim of size 1 is None: the index there is always 0.

    `heads` may be several symbols where the graph keeps heads in more dims than one (group and member).
    """

    batch: sympy.Symbol | None
    heads: tuple[sympy.Symbol, ...]
    query_position: sympy.Symbol | None
    key_position: sympy.Symbol | None
    feature: sympy.Symbol
    value_feature: sympy.Symbol | None
    sizes: dict[sympy.Symbol, sympy.Expr]

    @cached_property
    def all(self) -> frozenset[sympy.Symbol]:
        """Every index symbol."""
        return frozenset(self.sizes)

    @cached_property
    def domain(self) -> Domain:
        """How far each symbol runs."""
        return Domain(self.sizes)

    def size(self, symbol: sympy.Symbol | None) -> sympy.Expr:
        """How far a symbol runs; 1 for the missing one."""
        return sympy.Integer(1) if symbol is None else self.sizes[symbol]

    @property
    def n_k(self) -> sympy.Expr:
        """Number of keys."""
        return self.size(self.key_position)

    @property
    def head_count(self) -> sympy.Expr:
        """All heads together."""
        count = sympy.Integer(1)
        for head in self.heads:
            count = sympy.expand(count * self.sizes[head])
        return count


def position(symbol: sympy.Symbol | None) -> Expr:
    """The index expression of a symbol."""
    return ZERO if symbol is None else Int(symbol)
