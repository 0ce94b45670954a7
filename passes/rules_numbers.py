"""Rules of steps that give numbers: arithmetic, clamps, whole parts, casts."""

from __future__ import annotations

import math

import torch
from torch import fx

from .algebra import arithmetic, conjunction, disjunction, negate, truth, where
from .canonical import Op
from .evaluate import Evaluator, Rule
from .expression import Apply, Expr, Index, Load, Number, Probability, Product, as_sympy, computed_with, integer
from .rounding import held_in, in_dtype, is_constant, largest_number, rounded, without_overflow


def _arithmetic(name: str) -> Rule:
    def rule(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
        value = unrounded(ev, node, op, index)
        return None if value is None else held_in(ev.view, node, value)

    def unrounded(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
        if op.get("rounding_mode") is not None:
            return _floordiv(ev, node, op, index) if op.get("rounding_mode") == "floor" else None
        if not isinstance(ev.view.value(node), torch.Tensor):  # torch.max over a dim, not of two tensors
            return None
        if ev.is_bool(node):
            pair = ev.sides(node, op, index, numbers=False)
            join = {"mul": conjunction, "add": disjunction, "minimum": conjunction, "maximum": disjunction}.get(name)
            return None if pair is None or join is None else join(*pair)
        pair = ev.sides(node, op, index)
        if pair is None:
            return None
        dtype = ev.view.tensor(node).dtype
        if any(in_dtype(side, dtype, ev.domain) is None for side in pair):  # of whole numbers the quotient is none
            return None
        left, right = (without_overflow(side, dtype) for side in pair)
        alpha = op.get("alpha", 1)
        if alpha != 1:
            if not isinstance(alpha, int | float):
                return None
            right = rounded(arithmetic("mul", right, Number(alpha)), dtype)
        return arithmetic(name, left, right)

    return rule


def _clamp(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.number(op.get("input"), index, node)
    for name, bound in (("maximum", op.arguments.get("min")), ("minimum", op.arguments.get("max"))):
        if bound is not None and value is not None:
            limit = ev.number(bound, index, node)
            value = None if limit is None else arithmetic(name, value, limit)
    return value


def _whole(part: int) -> Rule:
    """Quotient (0) or remainder (1) of two integers, the divisor a positive constant or size."""

    def rule(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
        pair = ev.sides(node, op, index)
        if pair is None or ev.view.tensor(node).dtype.is_floating_point:
            return None
        value, divisor = map(as_sympy, pair)
        if value is None or divisor is None or not divisor.is_positive or divisor.free_symbols & set(ev.domain.sizes):
            return None
        low = ev.domain.lower(value)
        if low is None or not low.is_nonnegative:
            return None
        return integer(ev.domain.divide(value, divisor)[part])

    return rule


_floordiv = _whole(0)


def _neg(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.number(op.get("input"), index, node)
    return None if value is None else negate(value)


def _tanh(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.number(op.get("input"), index, node)
    return None if value is None else Apply("tanh", (value,))


def _log(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """Of a constant, or of one constant or another: log of a mask of ones and zeros is 0 and −∞."""
    value = ev.number(op.get("input"), index, node)
    return None if value is None or not is_constant(value) else _logarithm(value)


def _logarithm(value: Expr) -> Expr:
    if isinstance(value, Apply):
        return where(value.args[0], _logarithm(value.args[1]), _logarithm(value.args[2]))
    assert isinstance(value, Number)
    number = float(value.value)
    return Number(math.log(number) if number > 0 else -math.inf if number == 0 else math.nan)


def _cast(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    source = op.get("input")
    if not isinstance(source, fx.Node):
        return None
    before, after = ev.view.tensor(source).dtype, ev.view.tensor(node).dtype
    if after == torch.bool:
        value = ev.element(source, index, node)
        return value if value is None or before == torch.bool else truth(value)
    value = ev.number(source, index, node)
    if value is None or (before.is_floating_point and not after.is_floating_point and not is_constant(value)):
        return None
    if not is_constant(value) and after.is_floating_point and torch.finfo(after).max < largest_number(value):
        return None  # a fill in it would become infinite
    return None if _is_changed(ev, value, after) else rounded(value, after)


def _is_changed(ev: Evaluator, value: Expr, dtype: torch.dtype) -> bool:
    """Whether a cast may change what a captured tensor that is no score holds, or what is computed from it later: of
    whole numbers any cast, of others one to a dtype with less room or fewer digits."""
    made_of = list(computed_with(value))
    if any(isinstance(part, Product | Probability) for part in made_of):
        return False
    held = [ev.view.value(part.node) for part in made_of if isinstance(part, Load)]
    return any(isinstance(v, torch.Tensor) and v.dtype != dtype and not _widens(v.dtype, dtype) for v in held)


def _widens(narrow: torch.dtype, wide: torch.dtype) -> bool:
    """Whether a dtype of floating-point numbers has all that another one has."""
    if not (narrow.is_floating_point and wide.is_floating_point):
        return False
    mine, theirs = torch.finfo(narrow), torch.finfo(wide)
    return mine.max <= theirs.max and mine.eps >= theirs.eps


RULES: dict[str, Rule] = {
    **{name: _arithmetic(name) for name in ("add", "sub", "mul", "div", "minimum", "maximum")},
    "neg": _neg,
    "clamp": _clamp,
    "floordiv": _floordiv,
    "remainder": _whole(1),
    "tanh": _tanh,
    "log": _log,
    "cast": _cast,
}
