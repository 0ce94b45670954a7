"""Rules of tensors whose elements are known: constants, counts, what is counted from them, causal buffers."""

from __future__ import annotations

import sympy
import torch
from torch import fx

from .algebra import arithmetic, where
from .canonical import Op, called
from .evaluate import Evaluator, Rule
from .expression import ONE, ZERO, Expr, Index, Load, Number, as_sympy, integer
from .rounding import held_as
from .vocabulary import FILLED_VALUE


def _arange(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    if ev.view.tensor(node).dtype.is_floating_point and any(isinstance(b, float) for b in op.get("bounds", ())):
        return None
    bounds = [ev.element(b, (), node) for b in op.get("bounds", ())]
    start = ev.element(op.arguments.get("start"), (), node) or (bounds[0] if len(bounds) > 1 else ZERO)
    step = ev.element(op.arguments.get("step"), (), node) or (bounds[2] if len(bounds) > 2 else ONE)
    if start is None or step is None or as_sympy(start) is None or as_sympy(step) is None:
        return None
    return arithmetic("add", start, arithmetic("mul", step, index[0]))


def _filled(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = FILLED_VALUE.get(called(node))
    return None if value is None else Number(bool(value)) if ev.is_bool(node) else Number(value)


def _full(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.element(op.arguments.get("fill_value"), (), node)
    return held_as(value.value, ev.view.tensor(node).dtype) if isinstance(value, Number) else value


def _tensor(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = next((op.arguments[name] for name in ("data", "s", "obj") if name in op.arguments), None)
    return held_as(value, ev.view.tensor(node).dtype) if isinstance(value, bool | int | float) else None


def _attribute(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """A one-element constant of the graph itself; parameters and buffers stay captured."""
    value = ev.view.attribute(node)
    if type(value) is torch.Tensor and value.numel() == 1 and "constant" in str(node.target):
        return Number(value.item())
    return None


def _write(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """x.fill_(value) and x.zero_(): every element is the value."""
    if (name := called(node)) not in ("fill_", "zero_"):
        return None
    rest = op.get("rest", ()) or (op.arguments.get("value", 0),)
    value = ev.element(rest[0], (), node) if name == "fill_" else ZERO
    return held_as(value.value, ev.view.tensor(node).dtype) if isinstance(value, Number) else None


def _held(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """A causal buffer: what it holds says more than that it is read."""
    triangle = ev.view.held.triangle(node)
    if triangle is None:
        return None
    ev.assumed[node] = triangle
    keep = ev.domain.compare("le", index[-1], arithmetic("add", index[-2], Number(triangle.offset)))
    return where(keep, Number(triangle.inside), Number(triangle.outside))


def _cumsum(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.number(op.get("input"), index, node)
    at = as_sympy(index[op.get("dim", 0)])
    if not isinstance(value, Number) or at is None or not isinstance(value.value, int):
        return None
    return integer(sympy.expand(value.value * (at + 1)))


def _diff(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """A difference that is the same constant everywhere, its first element (against `prepend`) included."""
    source, dim, prepend = op.get("input"), op.get("dim", -1), op.get("prepend")
    if op.get("n", 1) != 1 or op.get("append") is not None or not isinstance(source, fx.Node):
        return None
    at = as_sympy(index[dim])
    if at is None:
        return None

    def element(tensor: fx.Node, position: sympy.Expr) -> Expr:
        place = list(index)
        place[dim] = integer(position)
        return ev.element(tensor, tuple(place), node) or Load(tensor, tuple(place))

    shift = 0 if prepend is None else 1
    inner = arithmetic("sub", element(source, at + 1 - shift), element(source, at - shift))
    if prepend is None or not isinstance(inner, Number):
        return inner if isinstance(inner, Number) else None
    if not isinstance(prepend, fx.Node) or ev.view.shape(prepend)[dim] != 1:
        return None
    first = arithmetic("sub", element(source, sympy.Integer(0)), element(prepend, sympy.Integer(0)))
    return inner if first == inner else None


RULES: dict[str, Rule] = {
    "arange": _arange,
    "filled": _filled,
    "full": _full,
    "tensor": _tensor,
    "get_attr": _attribute,
    "write": _write,
    "placeholder": _held,
    "cumsum": _cumsum,
    "diff": _diff,
}
