"""Sizes that a graph can run with only if they are equal, though the tracer gave them different symbols.

Keys and values of a cache are different inputs, of s53 + 400 and of s40 + 400 rows; a product, and SDPA, take them only
if they are as many. So s40 is s53 wherever the graph runs at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import sympy
import torch
from torch import fx

if TYPE_CHECKING:
    from .canonical import CanonicalView

Pair = tuple[sympy.Expr, sympy.Expr]


def equal_sizes(view: CanonicalView) -> dict[sympy.Symbol, sympy.Expr]:
    """Symbol → what it is equal to, in the symbols that are left."""
    found: dict[sympy.Symbol, sympy.Expr] = {}
    for pair in _pairs(view):
        one, other = (size.xreplace(found) for size in pair)
        solved = _solved(sympy.expand(one - other))
        if solved is not None:
            found = {symbol: sympy.expand(size.xreplace(solved)) for symbol, size in found.items()} | solved
    return found


def _solved(difference: sympy.Expr) -> dict[sympy.Symbol, sympy.Expr] | None:
    """A symbol of an expression that is 0, by the others; None where none stands alone in a term."""
    for symbol in sorted(difference.free_symbols, key=str, reverse=True):
        factor = difference.coeff(symbol)
        rest = sympy.expand(difference - factor * symbol)
        if factor in (1, -1) and symbol not in rest.free_symbols:
            return {symbol: sympy.expand(-rest * factor)}
    return None


def _pairs(view: CanonicalView) -> Iterator[Pair]:
    from .contraction import contraction_of

    for node in view.nodes:
        if view.op(node).word == "sdpa":
            yield from _of_call(view, node)
        elif (product := contraction_of(view, node)) is not None:
            left = dict(zip(product.left_labels, view.recorded_shape(product.left), strict=True))
            right = zip(product.right_labels, view.recorded_shape(product.right), strict=True)
            yield from ((left[label], size) for label, size in right if label in left and _differ(left[label], size))


def _of_call(view: CanonicalView, node: fx.Node) -> Iterator[Pair]:
    """The numbers of keys and values of an SDPA call."""
    operands = [view.op(node).get(name) for name in ("key", "value")]
    recorded = [n for n in operands if isinstance(n, fx.Node) and isinstance(view.value(n), torch.Tensor)]
    shapes = [view.recorded_shape(n) for n in recorded]
    if len(shapes) == 2 and min(map(len, shapes)) > 1 and _differ(shapes[0][-2], shapes[1][-2]):
        yield shapes[0][-2], shapes[1][-2]


def _differ(one: sympy.Expr, other: sympy.Expr) -> bool:
    """Whether two sizes look different, and neither may be 1, which goes with any.

    A symbol of the tracer's own guards (s53) is 2 at least; one that a tensor's contents decide (u0) may be 1.
    """
    if one == other or not (one.free_symbols or other.free_symbols):
        return False
    return all(size != 1 and all(str(s).startswith("s") for s in size.free_symbols) for size in (one, other))
