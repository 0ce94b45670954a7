"""What a tensor holds behind a write into a part of it: `s[..., 20:] = x`, `s[mask] = x`, `s.diagonal().fill_(x)`.

A write says of a position in the tensor whether it lies in the part (a condition), and where in the part it lies. What
it holds is then what was written there, else what stood there before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import sympy
import torch
from torch import fx

from .algebra import conjunction, disjunction, inverse, where
from .canonical import Op
from .domain import Domain, Remainder
from .expression import TRUE, ZERO, Expr, Index, Int, Load, Product, as_sympy, integer, mapped
from .rounding import rounded
from .views import diagonal_dims, given_size

if TYPE_CHECKING:
    from .evaluate import Evaluator

Part: TypeAlias = tuple[Expr, Index]  # whether a position lies in a part, and where in it


def written_element(ev: Evaluator, node: fx.Node, index: Index, writer: fx.Node) -> Expr | None:
    """The element of `node` behind `writer`, the last that wrote into a view of it; None where that is not known."""
    op = ev.view.op(writer)
    target = op.get("input", op.get("left"))
    views = _views_between(ev, target, node)
    if views is None:
        return None
    if any(_is_copy(ev, view) for view in views):
        return ev.at(node, index, writer)
    if any(map(ev.stops_gradients, (writer, *views))) and not ev.stops_gradients(ev.flow.born(node)):
        return None  # the gradient stays that of the old value
    keep: Expr = TRUE
    place = index
    for view in views:
        op = ev.view.op(view)
        part = PARTS[op.word](ev, view, op, place)
        if part is None:
            return None
        keep, place = conjunction(keep, part[0]), _at_zero(ev, view, part[1])
    if _is_tensor(ev, writer):
        value: Expr | None = ev.at(writer, place, writer)
    else:
        part = _assigned(ev, target, writer, place)
        if part is None:
            return None
        keep, place = conjunction(keep, part[0]), part[1]
        given = ev.view.op(writer).get("rest")[1]
        value = ev.element(given, place, writer) if ev.is_bool(node) else ev.number(given, place, writer)
    if value is None:
        return None
    value, before = _inside(ev, rounded(value, ev.view.tensor(node).dtype)), ev.at(node, index, writer)
    if ev.is_bool(node):
        return disjunction(conjunction(keep, value), conjunction(inverse(keep), before))
    return where(keep, value, before)


def _is_copy(ev: Evaluator, view: fx.Node) -> bool:
    """Whether an index by tensors, or by lists of positions, copies what it takes."""
    items = ev.view.op(view).get("index")
    items = items if isinstance(items, tuple) and ev.view.op(view).word == "getitem" else (items,)
    return any(isinstance(i, list | range) or (isinstance(i, fx.Node) and _is_tensor(ev, i)) for i in items)


def _is_tensor(ev: Evaluator, node: fx.Node) -> bool:
    return isinstance(ev.view.value(node), torch.Tensor)


def _at_zero(ev: Evaluator, view: fx.Node, place: Index) -> Index:
    return tuple(ZERO if size == 1 else at for size, at in zip(ev.view.shape(view), place, strict=True))


def _views_between(ev: Evaluator, target: Any, node: fx.Node) -> list[fx.Node] | None:
    """The views by which a write comes to a part of a tensor, outermost first; None where one is not known."""
    chain: list[fx.Node] = []
    while target is not node:
        if not isinstance(target, fx.Node):
            return None
        op = ev.view.op(target)
        if op.word in PARTS:
            chain.insert(0, target)
        elif not op.in_place or not _is_tensor(ev, target):
            return None
        target = op.get("input", op.get("left"))
    return chain


def _assigned(ev: Evaluator, target: fx.Node, writer: fx.Node, index: Index) -> Part | None:
    """The part that `target[items] = value` writes."""
    op = ev.view.op(writer)
    rest = op.get("rest", ())
    if op.word != "write" or len(rest) != 2:
        return None
    return _part_of_items(ev, target, writer, rest[0], index)


def _part_of_items(ev: Evaluator, source: fx.Node, reader: fx.Node, items: Any, index: Index) -> Part | None:
    """The part that an index takes: slices, numbers, one mask of truth values, or positions that grow by one."""
    items = list(items) if isinstance(items, tuple) else [items]
    sizes = ev.view.shape(source)
    if len(items) == 1 and isinstance(items[0], fx.Node) and ev.is_bool(items[0]):
        if len(ev.view.shape(items[0])) != len(sizes):
            return None
        mask = ev.element(items[0], index, reader)
        return None if mask is None else (mask, ())  # a number for all: a tensor would be counted out along the mask
    whole = next((k for k, item in enumerate(items) if item is Ellipsis), len(items))
    taken = sum(item is not None and item is not Ellipsis for item in items)
    items[whole : whole + 1] = [slice(None)] * (len(sizes) - taken)
    keep: list[Expr] = []
    place: list[Expr] = []
    rows: list[sympy.Expr] = []  # of every list of positions the row that takes a position
    dim, before = 0, None
    for item in items:
        if item is None:
            place.append(ZERO)
            continue
        at = as_sympy(index[dim])
        if at is None:
            return None
        if isinstance(item, slice):
            found = _slice(ev, item, sizes[dim], at)
            if found is None:
                return None
            keep.append(found[0])
            place.append(found[1])
        elif isinstance(item, int) and not isinstance(item, bool):
            if rows or any(isinstance(other, fx.Node | range) for other in items):
                return None  # with positions beside it, it is one of them
            keep.append(_equal(ev.domain, at, item if item >= 0 else sizes[dim] + item))
        else:
            line = _line(ev, reader, item)
            if line is None or (rows and not isinstance(before, fx.Node | range)):
                return None  # rows that do not stand side by side come first in what is written
            row = sympy.expand(at - line[0])
            keep += [_at_least(ev.domain, row, 0), _at_least(ev.domain, line[1] - 1, row)]
            if rows:
                keep.append(_equal(ev.domain, row, rows[0]))
            else:
                place.append(integer(row))
            rows.append(row)
        dim, before = dim + 1, item
    return conjunction(*keep), tuple(place)


def _line(ev: Evaluator, reader: fx.Node, item: Any) -> tuple[sympy.Expr, sympy.Expr] | None:
    """(first, count) of positions that grow by one: a range, or a tensor of one dim that is an arange."""
    if isinstance(item, range):
        return (sympy.Integer(item.start), sympy.Integer(len(item))) if item.step == 1 and item.start >= 0 else None
    if not isinstance(item, fx.Node) or not _is_tensor(ev, item):
        return None
    if len(ev.view.shape(item)) != 1 or ev.view.tensor(item).dtype == torch.uint8:
        return None
    row = sympy.Symbol("$row", integer=True, nonnegative=True)
    place = as_sympy(ev.over({row: ev.view.shape(item)[0]}).at(item, (Int(row),), reader))
    if place is None:
        return None
    first = sympy.expand(place - row)
    return (first, ev.view.shape(item)[0]) if first.is_nonnegative and row not in first.free_symbols else None


def _slice(ev: Evaluator, item: slice, size: sympy.Expr, at: sympy.Expr) -> tuple[Expr, Expr] | None:
    """Whether a position lies in a slice of a dim, and where in it."""
    start, stop = given_size(ev.views, item.start, 0), given_size(ev.views, item.stop, 0)
    start = None if start is None else _from_front(start, size)
    stop = size if item.stop is None else None if stop is None else _from_front(stop, size)
    if start is None or stop is None or item.step not in (None, 1):
        return None
    keep = [_at_least(ev.domain, at, start), _at_least(ev.domain, stop - 1, at)]
    return conjunction(*keep), integer(sympy.expand(at - start))


def _from_front(end: sympy.Expr, size: sympy.Expr) -> sympy.Expr | None:
    """An end of a slice, counted from the front; None where that is not known."""
    if end.is_nonnegative:
        return end
    back = sympy.expand(size + end)
    return back if end.is_negative and back.is_nonnegative else None


def _at_least(domain: Domain, value: sympy.Expr, bound: sympy.Expr | int) -> Expr:
    return domain.at_most_zero(sympy.expand(bound - value))


def _equal(domain: Domain, one: sympy.Expr, other: sympy.Expr | int) -> Expr:
    return conjunction(_at_least(domain, one, other), _at_least(domain, other, one))


def _inside(ev: Evaluator, value: Expr) -> Expr:
    """A value that is read only inside of a part: positions in tensors wrap around, so that all of them exist."""

    def wrapped(at: Expr) -> Expr:
        if not isinstance(at, Load | Product) or not at.index:
            return at
        sizes = ev.view.shape(at.node)
        return replace(at, index=tuple(_wrapped(ev.domain, p, s) for p, s in zip(at.index, sizes, strict=True)))

    return mapped(value, wrapped)


def _wrapped(domain: Domain, place: Expr, size: sympy.Expr) -> Expr:
    if not isinstance(place, Int):
        return place
    low, high = domain.lower(place.value), domain.upper(place.value)
    inside = low is not None and high is not None and low.is_nonnegative and (size - 1 - high).is_nonnegative
    return place if inside else integer(Remainder(place.value, size))


def _items(ev: Evaluator, view: fx.Node, op: Op, index: Index) -> Part | None:
    return _part_of_items(ev, op.get("input"), view, op.get("index"), index)


def _narrow(ev: Evaluator, view: fx.Node, op: Op, index: Index) -> Part | None:
    dim, start, length = op.get("dim"), given_size(ev.views, op.get("start"), 0), op.get("length")
    if not isinstance(dim, int) or start is None or (count := given_size(ev.views, length, 0)) is None:
        return None
    if length is None or not start.is_nonnegative:
        return None
    at = as_sympy(index[dim])
    if at is None:
        return None
    keep = conjunction(_at_least(ev.domain, at, start), _at_least(ev.domain, start + count - 1, at))
    place = list(index)
    place[dim] = integer(sympy.expand(at - start))
    return keep, tuple(place)


def _select(ev: Evaluator, view: fx.Node, op: Op, index: Index) -> Part | None:
    dim, number = op.get("dim"), op.get("index", 0)
    if not isinstance(dim, int) or not isinstance(number, int):
        return None
    items = (*[slice(None)] * (dim % len(index)), number)
    return _part_of_items(ev, op.get("input"), view, items, index)


def _diagonal(ev: Evaluator, view: fx.Node, op: Op, index: Index) -> Part | None:
    ends = diagonal_dims(op, len(index))
    if ends is None:
        return None
    offset, one, two = ends
    row, column = as_sympy(index[one]), as_sympy(index[two])
    if row is None or column is None:
        return None
    along = sympy.expand(row - max(-offset, 0))
    rest = tuple(at for dim, at in enumerate(index) if dim not in (one, two))
    return _equal(ev.domain, column, row + offset), (*rest, integer(along))


PARTS: dict[str, Callable[[Evaluator, fx.Node, Op, Index], Part | None]] = {
    "getitem": _items,
    "narrow": _narrow,
    "select": _select,
    "diagonal": _diagonal,
}
