"""The index symbols of a site: batch, heads, query and key position, features of queries and keys, of values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sympy

from .domain import Domain
from .expression import ZERO, Expr, Index, Int


def symbol(name: str) -> sympy.Symbol:
    """An index symbol; its own kind, so that it never meets a size symbol of the same name."""
    return sympy.Symbol(f"${name}", integer=True, nonnegative=True)


def numbered(name: str, count: int) -> list[str]:
    """Names of several symbols of a kind; of a single one the plain name."""
    return [name] if count == 1 else [f"{name}{k}" for k in range(count)]


@dataclass(frozen=True)
class Roots:
    """Symbols with their sizes. A symbol of a dim of size 1 is None: the index there is always 0.

    `heads` may be several symbols where the graph keeps heads in more dims than one (group and member); so may
    `features` and `value_features` (rows of an alignment, which all have the same scores).
    """

    batch: sympy.Symbol | None
    heads: tuple[sympy.Symbol, ...]
    query_position: sympy.Symbol | None
    key_position: sympy.Symbol | None
    features: tuple[sympy.Symbol, ...]
    value_features: tuple[sympy.Symbol, ...]
    sizes: dict[sympy.Symbol, sympy.Expr]

    @cached_property
    def all(self) -> frozenset[sympy.Symbol]:
        """Every index symbol."""
        return frozenset(self.sizes)

    @cached_property
    def domain(self) -> Domain:
        """How far each symbol runs."""
        return Domain(self.sizes)

    def with_features(self, sizes: Sequence[sympy.Expr]) -> Roots:
        """The same with symbols for the features of queries and keys, one a dim; they join `sizes`."""
        features = tuple(map(symbol, numbered("d", len(sizes))))
        self.sizes.update(zip(features, sizes, strict=True))
        return replace(self, features=features)

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
        return self.count(self.heads)

    def count(self, symbols: Iterable[sympy.Symbol]) -> sympy.Expr:
        """How many places several symbols run over together."""
        return sympy.expand(sympy.Mul(*(self.sizes[symbol] for symbol in symbols)))


def position(symbol: sympy.Symbol | None) -> Expr:
    """The index expression of a symbol."""
    return ZERO if symbol is None else Int(symbol)


def unmerged(at: Expr, roots: Roots) -> Index:
    """What a merged position such as b·H + h is merged from, outermost first; the position itself where it is plain.

    Each part is a symbol or a group ⌊h / g⌋, and together they count every place of the dim once and in order, so that
    the dim may be unflattened into them.
    """
    if not (isinstance(at, Int) and at.value.is_Add):
        return (at,)
    order = [s for s in (roots.batch, *roots.heads, roots.query_position, roots.key_position) if s is not None]
    found: list[tuple[int, sympy.Expr, sympy.Expr]] = []
    for term in at.value.args:
        mine = term.free_symbols & roots.all
        floors = [f for f in term.atoms(sympy.floor) if f.free_symbols & roots.all]
        if len(mine) != 1 or len(floors) > 1:
            return (at,)
        (symbol,) = mine
        atom = floors[0] if floors else symbol
        if symbol not in order:
            return (at,)
        found.append((order.index(symbol), atom, sympy.cancel(term / atom)))
    stride = sympy.Integer(1)
    found.sort(key=lambda part: part[0])
    for _, atom, factor in reversed(found):
        size = extent(atom, roots)
        if size is None or sympy.expand(factor - stride) != 0:
            return (at,)
        stride = sympy.expand(stride * size)
    return tuple(Int(atom) for _, atom, _ in found)


def places(at: Expr, roots: Roots) -> sympy.Expr | None:
    """How many places a position runs over, from 0 on and without a gap; None where that is not known."""
    count: sympy.Expr = sympy.Integer(1)
    for part in unmerged(at, roots):
        size = sympy.Integer(1) if part == ZERO else extent(part.value, roots) if isinstance(part, Int) else None
        if size is None:
            return None
        count = sympy.expand(count * size)
    return count


def extent(value: sympy.Expr, roots: Roots) -> sympy.Expr | None:
    """How many places a symbol or a group ⌊h / g⌋ stands at; None for anything else."""
    if value.is_Symbol:
        return roots.sizes.get(value)
    if isinstance(value, sympy.floor):
        return sympy.cancel(value.args[0].xreplace(roots.sizes))
    return None
