"""Rules of steps that masks are made with: comparisons, logic, choices, fills, triangles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx

from .algebra import arithmetic, conjunction, disjunction, inverse, where
from .canonical import Op
from .evaluate import Evaluator, Rule
from .expression import ZERO, Expr, Index, Number, as_sympy
from .rounding import held_in, rounded


def _compare(name: str) -> Rule:
    def rule(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
        pair = ev.sides(node, op, index)
        return None if pair is None else ev.domain.compare(name, *pair)

    return rule


def _logic(join: Callable[..., Expr]) -> Rule:
    def rule(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
        if not (ev.is_bool(op.get("left")) and ev.is_bool(op.get("right"))):
            return None
        pair = ev.sides(node, op, index, numbers=False)
        return None if pair is None else join(*pair)

    return rule


def _not(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.element(op.get("input"), index, node)
    return inverse(value) if value is not None and ev.is_bool(op.get("input")) else None


def _alike(ev: Evaluator, node: fx.Node, value: Any, index: Index) -> Expr | None:
    """An argument as the node's result holds it: a truth value where that holds truth values, else a number."""
    read = ev.element if ev.is_bool(node) else ev.number
    return read(value, index, node)


def _where(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    keep = ev.element(op.get("condition"), index, node)
    then, other = (_alike(ev, node, op.arguments.get(k), index) for k in ("then", "other"))
    if keep is None or then is None or other is None:
        return None
    return held_in(ev.view, node, where(keep, then, other))


def _masked_fill(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    mask = ev.element(op.get("mask"), index, node)
    bools = ev.is_bool(node)
    value, rest = (_alike(ev, node, op.arguments.get(k), index) for k in ("value", "input"))
    if mask is None or value is None or rest is None:
        return None
    if isinstance(value, Number) and not bools:
        value = rounded(value, ev.view.tensor(node).dtype)
    if bools and isinstance(value, Number):
        return disjunction(mask, rest) if value.value else conjunction(inverse(mask), rest)
    return where(inverse(mask), rest, value)


def _triangle(lower: bool) -> Rule:
    def rule(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
        edge = ev.element(op.get("diagonal", 0), (), node)
        value = ev.element(op.get("input"), index, node)
        if edge is None or as_sympy(edge) is None or value is None:
            return None
        keep = ev.domain.compare("le" if lower else "ge", index[-1], arithmetic("add", index[-2], edge))
        return conjunction(keep, value) if ev.is_bool(node) else where(keep, value, ZERO)

    return rule


RULES: dict[str, Rule] = {
    **{name: _compare(name) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    "and": _logic(conjunction),
    "or": _logic(disjunction),
    "not": _not,
    "where": _where,
    "where_method": _where,
    "masked_fill": _masked_fill,
    "tril": _triangle(lower=True),
    "triu": _triangle(lower=False),
}
