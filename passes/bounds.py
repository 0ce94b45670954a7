"""Between which numbers scores lie, as far as the graph shows: a clamp beyond them does nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import sympy
from torch import fx

from .evaluate import Evaluator
from .expression import Apply, Expr, Int, Load, Number, Product

Range = tuple[float, float]
ANYTHING: Range = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known of scores whose keys run along `key_position`."""

    evaluator: Evaluator
    key_position: sympy.Symbol

    def of(self, scores: Expr) -> Range:
        """(lower bound, upper bound) of an expression."""
        if not isinstance(scores, Apply) or len(scores.args) != 2:
            return ANYTHING
        first, second = scores.args
        if scores.name in ("minimum", "maximum") and isinstance(second, Number):
            choose, limit = (min if scores.name == "minimum" else max), float(second.value)
            low, high = self.of(first)
            return choose(low, limit), choose(high, limit)
        if scores.name == "sub" and self._is_maximum(second, first):
            low, high = self.of(first)
            return low - high, 0.0
        return ANYTHING

    def _is_maximum(self, term: Expr, scores: Expr) -> bool:
        """Whether a captured tensor is the maximum of all scores, or of those of the row."""
        if not isinstance(term, Load):
            return False
        view, node, at = self.evaluator.view, term.node, term.index
        op = view.op(node)
        if op.word == "getitem" and op.get("index") == 0 and isinstance(both := op.get("input"), fx.Node):
            node, op = both, view.op(both)
        source = op.get("left")
        if op.word != "maximum" or not isinstance(source, fx.Node):
            return False
        dim = op.get("dim", op.get("right"))
        rank = len(view.shape(source))
        if isinstance(dim, int):
            dim %= rank
            at = (*at[:dim], Int(self.key_position), *at[dim + (len(at) == rank) :])
        elif dim is None and (place := _place(scores)) is not None and place[0] is source:
            at = place[1]
        return len(at) == rank and self.evaluator.at(source, at, node) == scores


def _place(scores: Expr) -> tuple[fx.Node, tuple[Expr, ...]] | None:
    """The node that holds the scores, and where in it."""
    if isinstance(scores, Product):
        return scores.node, scores.index
    return scores.origin if isinstance(scores, Apply) else None
