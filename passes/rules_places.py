"""Rules of elements that stand at a place which is worked out: joined, selected and gathered tensors."""

from __future__ import annotations

from typing import Any

import sympy
import torch
from torch import fx

from .algebra import where
from .canonical import Op
from .evaluate import Evaluator, Rule
from .expression import FALSE, TRUE, ZERO, Expr, Index, Load, Number, Probability, Product, as_sympy, integer, walk
from .views import joined_dim


def _cat(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """Constants and index comparisons joined end to end: which part a position lies in is one more comparison."""
    parts = [p for p in op.get("tensors", ()) if isinstance(p, fx.Node) and 0 not in ev.view.tensor(p).shape]
    dim = joined_dim(op, len(index))
    at = as_sympy(index[dim])
    if at is None or len(parts) != len(op.get("tensors", ())):
        return None
    start, found = sympy.Integer(0), []
    for part in parts:
        place = (*index[:dim], integer(sympy.expand(at - start)), *index[dim + 1 :])
        value = ev.element(part, place, node) if ev.is_bool(node) else ev.number(part, place, node)
        if value is None or any(isinstance(e, Load | Product | Probability) for e in walk(value)):
            return None  # an element read outside of its part
        start += ev.view.shape(part)[dim]
        found.append((start, value))
    result = found[-1][1]
    for stop, value in reversed(found[:-1]):
        result = where(ev.domain.at_most_zero(at - stop + 1), value, result)
    return result


def _pad(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """A tensor with a number around it, where each position is known to lie in the one or the other."""
    source, widths = op.get("input"), op.get("pad")
    if not isinstance(source, fx.Node) or op.get("mode", "constant") != "constant":
        return None
    if not isinstance(widths, tuple | list) or not all(isinstance(w, int) for w in widths):
        return None
    place = list(index)
    sizes = ev.view.shape(source)
    outside = False
    for k in range(0, len(widths), 2):
        dim = len(index) - 1 - k // 2
        at = as_sympy(index[dim])
        if at is None:
            return None
        at = sympy.expand(at - widths[k])
        low, high = ev.domain.at_most_zero(-at), ev.domain.at_most_zero(at - sizes[dim] + 1)
        if FALSE in (low, high):
            outside = True
        elif (low, high) != (TRUE, TRUE):
            return None
        place[dim] = integer(at)
    if outside:
        value = op.get("value", 0)
        return ev.element(value, (), node) if not ev.is_bool(node) else Number(bool(value))
    return ev.at(source, tuple(ZERO if s == 1 else p for s, p in zip(sizes, place, strict=True)), node)


def _index_select(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    source, dim, chosen = op.get("input"), op.get("dim"), op.get("index")
    if not isinstance(source, fx.Node) or not isinstance(dim, int) or not isinstance(chosen, fx.Node):
        return None
    dim %= len(index)
    place = ev.element(chosen, (index[dim],), node)
    if place is None or not _may_index(ev, place):
        return None
    at = (*index[:dim], place, *index[dim + 1 :])
    return ev.at(source, tuple(ZERO if s == 1 else p for s, p in zip(ev.view.shape(source), at, strict=True)), node)


def _gather(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """tensor[index tensors…] where every dim is indexed, or the last ones are taken whole."""
    return _gathered(ev, node, op.get("input"), op.get("index"), index)


def _aten_index(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """aten.index: a dim without an index tensor is taken whole."""
    items = tuple(slice(None) if item is None else item for item in op.get("indices", ()))
    return _gathered(ev, node, op.get("input"), items, index)


def _gathered(ev: Evaluator, node: fx.Node, source: Any, items: Any, index: Index) -> Expr | None:
    items = items if isinstance(items, tuple) else (items,)
    if not isinstance(source, fx.Node) or not isinstance(ev.view.value(source), torch.Tensor):
        return None
    while items and items[-1] == slice(None):
        items = items[:-1]
    while items and items[0] is None:  # mask[None, None, positions]
        items, index = items[1:], index[1:]
    if not items or not all(isinstance(i, fx.Node | int) for i in items):
        return None
    tensors = [i for i in items if isinstance(i, fx.Node)]
    values = [ev.view.value(i) for i in tensors]
    if any(not isinstance(v, torch.Tensor) or v.dtype in (torch.bool, torch.uint8) for v in values):
        return None
    rank = max(len(v.shape) for v in values)
    lead, rest = index[:rank], index[rank:]
    places: list[Expr] = []
    for item in items:
        place = ev.element(item, lead, node)
        if place is None or not _may_index(ev, place):
            return None
        places.append(place)
    sizes = ev.view.shape(source)
    position = tuple(ZERO if s == 1 else p for s, p in zip(sizes, (*places, *rest), strict=True))
    return ev.at(source, position, node)


def _may_index(ev: Evaluator, place: Expr) -> bool:
    """Whether a position counts from the front: a negative one would count from the end."""
    at = as_sympy(place)
    return at is None or ((low := ev.domain.lower(at)) is not None and bool(low.is_nonnegative))


RULES: dict[str, Rule] = {
    "cat": _cat,
    "hstack": _cat,
    "pad": _pad,
    "index_select": _index_select,
    "getitem": _gather,
    "index": _aten_index,
}
