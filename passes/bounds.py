"""Between which numbers scores lie, as far as the graph shows: a clamp beyond them does nothing."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

import sympy
import torch
from torch import fx

from .canonical import CanonicalView, called
from .evaluate import Evaluator
from .expression import Apply, Expr, Int, Load, Number, Product, symbols, walk
from .vocabulary import VIEWS

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


def is_lowering(term: Expr, view: CanonicalView) -> bool:
    """Whether an added term is minus what no score of a row exceeds by much: their maximum, or the like."""
    if not (isinstance(term, Apply) and term.name == "mul" and term.args[1] == Number(-1)):
        return False
    return _is_top(term.args[0], view)


def _is_top(expr: Expr, view: CanonicalView) -> bool:
    if isinstance(expr, Load):
        return _comes_from_top(expr.node, view)
    if isinstance(expr, Apply) and expr.name in ("where", "minimum", "maximum"):
        return all(_is_top(a, view) for a in (expr.args[1:] if expr.name == "where" else expr.args))
    return isinstance(expr, Number) and abs(expr.value) <= 1.0  # what stands in for a maximum of −inf


def _comes_from_top(node: fx.Node, view: CanonicalView) -> bool:
    """Whether a tensor is a maximum over some dims, or hands one on."""
    while True:
        name = called(node)
        if name in _TOPS:
            return True
        handed_on = view.op(node).word in VIEWS or name in ("to", "float", "getitem")
        if not handed_on or len(node.all_input_nodes) != 1:
            return False
        node = node.all_input_nodes[0]


_TOPS = frozenset(("max", "amax", "logsumexp"))


def reach(expr: Expr) -> Range:
    """Between which numbers a bias lies by the numbers that the graph computes it with.

    What is captured counts as something between 0 and 1, as masks are; what a tensor that is given holds is not known.
    """
    if isinstance(expr, Number):
        return float(expr.value), float(expr.value)
    if not isinstance(expr, Apply):
        return (-1.0, 1.0) if isinstance(expr, Int) else (0.0, 1.0)
    spans = [reach(a) for a in (expr.args[1:] if expr.name == "where" else expr.args)]
    if expr.name in _MONOTONE and len(spans) == 2:
        (low, high), (other_low, other_high) = spans
        if expr.name == "sub":
            other_low, other_high = other_high, other_low
        join = _MONOTONE[expr.name]
        return _number(join(low, other_low)), _number(join(high, other_high))
    if expr.name in ("mul", "div") and len(spans) == 2:
        second = [s for s in spans[1] if s != 0 or expr.name == "mul"] or [1.0]
        ends = [_number(a * b if expr.name == "mul" else a / b) for a in spans[0] for b in second]
        return min(ends), max(ends)
    if expr.name == "where":
        return min(low for low, _ in spans), max(high for _, high in spans)
    return -1.0, 1.0  # a truth value, a tanh


_MONOTONE: dict[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "minimum": min,
    "maximum": max,
}


def may_be_infinite(expr: Expr, key: sympy.Symbol | None, view: CanonicalView) -> bool:
    """Whether the graph computes a bias by steps that give infinities: a logarithm, a division by what may be 0.

    That is a divisor of its own for each key; one for a head, as in slopes, is a learned number.
    """
    for at in walk(expr):
        if isinstance(at, Apply) and at.name == "div" and key in symbols(at.args[1]):
            return True
        if isinstance(at, Load) and _divides(at.node, view):
            return True
    return False


def _divides(start: fx.Node, view: CanonicalView) -> bool:
    """The same of a tensor, as far back as steps go element by element."""
    stack, seen = [start], {start}
    while stack:
        node = stack.pop()
        op, value = view.op(node), view.value(node)
        name = called(node)
        if not isinstance(value, torch.Tensor) or not value.dtype.is_floating_point:
            continue
        if name.rstrip("_") in _INFINITE or (op.word == "div" and _varies(op.get("right"), view)):
            return True
        sources = node.all_input_nodes
        if op.word in ELEMENTWISE or op.word in VIEWS or (op.word == "opaque" and len(sources) == 1):
            stack.extend(n for n in sources if n not in seen)
            seen.update(sources)
    return False


def _varies(divisor: object, view: CanonicalView) -> bool:
    """Whether a divisor is a tensor whose last dim, that of keys, has places."""
    if not isinstance(divisor, fx.Node) or not isinstance(view.value(divisor), torch.Tensor):
        return False
    return view.shape(divisor)[-1:] not in ((), (1,))


_INFINITE = frozenset(("log", "log2", "log10", "logit", "reciprocal", "rsqrt"))
ELEMENTWISE = frozenset(
    ("add", "sub", "mul", "div", "neg", "minimum", "maximum", "clamp", "where", "where_method", "cast")
)


def _number(value: float) -> float:
    """An end of a range; what is no number (∞ − ∞, 0·∞) is no fill."""
    return 0.0 if math.isnan(value) else value
