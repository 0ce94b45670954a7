"""Views read backwards: which element of the input stands at an element of the output.

Each rule takes the view's node, its canonical op and a position in the output, and gives the input node with the
position there. Rules work on recorded shapes, never on spelled-out sizes, so `view(2, -1, h, d)` and `view(shape)` are
the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy
import torch
from torch import fx

from .canonical import CanonicalView, Op, einsum_operands
from .domain import Domain
from .expression import ZERO, Expr, Index, as_sympy, integer
from .regroup import regroup

Step = tuple[fx.Node, Index]


class Views:
    """One step back through a view; None where the node is not a view that can be read exactly."""

    def __init__(self, view: CanonicalView, domain: Domain) -> None:
        self.view, self.domain = view, domain

    def step(self, node: fx.Node, index: Index) -> Step | None:
        """The input of a view and the position in it, or None."""
        op = self.view.op(node)
        rule = RULES.get(op.word)
        if rule is None:
            return None
        source = op.get("input")
        if op.word not in ("cat", "hstack", "einsum"):
            if not isinstance(source, fx.Node):
                return None
            if op.word == "getitem" and isinstance(self.view.value(source), tuple | list):
                rule = _part
            elif not isinstance(self.view.value(source), torch.Tensor):
                return None
        found = rule(self, node, op, index)
        if found is None:
            return None
        source, position = found
        sizes = self.view.shape(source)
        return source, tuple(ZERO if size == 1 else at for size, at in zip(sizes, position, strict=True))

    def trace(self, node: fx.Node, index: Index, ends: Callable[[fx.Node], bool] = lambda node: False) -> list[Step]:
        """The node and what it is a view of, nearest first, up to a node where it ends."""
        chain = [(node, index)]
        while not ends(chain[-1][0]) and (found := self.step(*chain[-1])) is not None:
            chain.append(found)
        return chain


def _ints(values: Any) -> list[int] | None:
    """Dims given one by one or as one sequence."""
    flat = list(values[0]) if len(values) == 1 and isinstance(values[0], tuple | list | torch.Size) else list(values)
    return flat if all(isinstance(v, int) for v in flat) else None


def _transpose(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    dims = (op.get("dim0", op.get("axis0")), op.get("dim1", op.get("axis1")))
    if not all(isinstance(d, int) for d in dims):
        return None
    order = list(index)
    a, b = (d % len(index) for d in dims)
    order[a], order[b] = order[b], order[a]
    return op.get("input"), tuple(order)


def _permuted(index: Index, dims: list[int]) -> Index:
    order: list[Expr] = [ZERO] * len(index)
    for at, dim in zip(index, dims, strict=True):
        order[dim % len(index)] = at
    return tuple(order)


def _permute(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    dims = _ints(op.get("dims", ()) if isinstance(op.get("dims", ()), tuple) else (op.get("dims"),))
    if dims is None or len(dims) != len(index):
        return None
    return op.get("input"), _permuted(index, dims)


def _movedim(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    ends = []
    for name in ("source", "destination"):
        value = op.get(name)
        value = (value,) if isinstance(value, int) else value
        if not isinstance(value, tuple | list) or not all(isinstance(v, int) for v in value):
            return None
        ends.append([v % len(index) for v in value])
    source, destination = ends
    rest = iter(d for d in range(len(index)) if d not in source)
    dims = [source[destination.index(k)] if k in destination else next(rest) for k in range(len(index))]
    return op.get("input"), _permuted(index, dims)


def _t(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    return op.get("input"), index[::-1]


def _matrix_transpose(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    return op.get("input"), (*index[:-2], index[-1], index[-2])


def _getattr(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    name = op.get("name")
    if name == "mT" or (name == "T" and len(index) == 2):
        return _matrix_transpose(views, node, op, index)
    return None


def _reshape(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    source = op.get("input")
    if views.view.tensor(node).dtype != views.view.tensor(source).dtype:  # view(dtype) reads the bytes anew
        return None
    position = regroup(views.domain, index, views.view.shape(node), views.view.shape(source))
    return None if position is None else (source, position)


def _expand(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    source = op.get("input")
    return source, index[len(index) - len(views.view.shape(source)) :]


def _getitem(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    source, items = op.get("input"), op.get("index")
    items = items if isinstance(items, tuple) else (items,)
    if any(not isinstance(i, int | slice | type(None) | type(...)) or isinstance(i, bool) for i in items):
        return None
    sizes = views.view.shape(source)
    used = sum(1 for i in items if i is not None and i is not Ellipsis)
    fill = (slice(None),) * (len(sizes) - used)
    if Ellipsis in items:
        at = items.index(Ellipsis)
        items = (*items[:at], *fill, *items[at + 1 :])
    else:
        items = (*items, *fill)
    result: list[Expr] = []
    out = iter(index)
    for item in items:
        if item is None:
            next(out)
            continue
        size = sizes[len(result)]
        if isinstance(item, int):
            result.append(integer(sympy.Integer(item) if item >= 0 else size + item))
            continue
        place = _sliced(views, item, size, next(out))
        if place is None:
            return None
        result.append(place)
    return source, tuple(result)


def _sliced(views: Views, item: slice, size: sympy.Expr, at: Expr) -> Expr | None:
    start = given_size(views, item.start, 0)
    step = item.step if item.step is not None else 1
    if start is None or not isinstance(step, int):
        return None
    if start.is_negative:
        start = size + start
        if not start.is_nonnegative:
            return ZERO if size == 1 else None
    if start == 0 and step == 1:
        return at
    value = as_sympy(at)
    return None if value is None else integer(sympy.expand(start + step * value))


def given_size(views: Views, value: Any, default: int) -> sympy.Expr | None:
    """A size that is an argument, a number or one of the graph; None where it is neither."""
    if value is None:
        return sympy.Integer(default)
    if isinstance(value, fx.Node):
        value = views.view.value(value)
    return views.view.size(value) if isinstance(value, int | torch.SymInt) else None


def _part(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    """One of the tensors that a split, chunk or unbind gives."""
    pieces, number = op.get("input"), op.get("index")
    divided = views.view.op(pieces)
    source = divided.get("input")
    if (
        divided.word not in ("split", "chunk", "unbind")
        or not isinstance(number, int)
        or not isinstance(source, fx.Node)
    ):
        return None
    values, sizes = views.view.value(pieces), views.view.shape(source)
    dim, number = divided.get("dim", 0), range(len(values))[number]
    if not isinstance(dim, int):
        return None
    dim %= len(sizes)
    if divided.word == "unbind":
        return source, (*index[:dim], integer(number), *index[dim:])
    start = sum((views.view.size(value.shape[dim]) for value in values[:number]), sympy.Integer(0))
    at = as_sympy(index[dim])
    if at is None:
        return None
    return source, (*index[:dim], integer(sympy.expand(start + at)), *index[dim + 1 :])


def _slice(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    """aten.slice: a slice of one dim."""
    source, dim = op.get("input"), op.get("dim", 0)
    if not isinstance(dim, int):
        return None
    dim %= len(index)
    item = slice(op.get("start"), op.get("end"), op.get("step"))
    place = _sliced(views, item, views.view.shape(source)[dim], index[dim])
    return None if place is None else (source, (*index[:dim], place, *index[dim + 1 :]))


def _narrow(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    dim, start = op.get("dim"), given_size(views, op.get("start"), 0)
    at = as_sympy(index[dim]) if isinstance(dim, int) else None
    if start is None or at is None or not start.is_nonnegative:
        return None
    position = list(index)
    position[dim] = integer(sympy.expand(start + at))
    return op.get("input"), tuple(position)


def _select(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    source, dim, at = op.get("input"), op.get("dim"), op.get("index", 0)
    if not isinstance(dim, int) or not isinstance(at, int):
        return None
    sizes = views.view.shape(source)
    dim %= len(sizes)
    value = integer(sympy.Integer(at) if at >= 0 else sizes[dim] + at)
    return source, (*index[:dim], value, *index[dim:])


def _diagonal(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    ends = diagonal_dims(op, len(index) + 1)
    along = as_sympy(index[-1])
    if ends is None or along is None:
        return None
    offset, one, two = ends
    place = {one: integer(along + max(-offset, 0)), two: integer(along + max(offset, 0))}
    rest = iter(index[:-1])
    return op.get("input"), tuple(place[dim] if dim in place else next(rest) for dim in range(len(index) + 1))


def diagonal_dims(op: Op, rank: int) -> tuple[int, int, int] | None:
    """Offset and both dims of a diagonal of a tensor; None where they are no numbers."""
    offset, one, two = op.get("offset", 0), op.get("dim1", 0), op.get("dim2", 1)
    if not all(isinstance(number, int) for number in (offset, one, two)):
        return None
    return offset, one % rank, two % rank


def _repeat(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    source = op.get("input")
    inner, outer = views.view.shape(source), views.view.shape(node)
    index, outer = index[len(outer) - len(inner) :], outer[len(outer) - len(inner) :]
    result: list[Expr] = []
    for at, size, full in zip(index, inner, outer, strict=True):
        value = as_sympy(at)
        if size == full:
            result.append(at)
        elif value is None:
            return None
        else:
            result.append(integer(views.domain.divide(value, size)[1]))
    return source, tuple(result)


def _repeat_interleave(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    repeats, dim = op.get("repeats"), op.get("dim")
    if not isinstance(repeats, int) or not isinstance(dim, int):
        return None
    value = as_sympy(index[dim])
    if value is None:
        return None
    position = list(index)
    position[dim] = integer(views.domain.divide(value, sympy.Integer(repeats))[0])
    return op.get("input"), tuple(position)


def _identity(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    return op.get("input"), index


def joined_dim(op: Op, rank: int) -> int:
    """The dim that a cat or hstack joins."""
    if op.word == "hstack":
        return 0 if rank == 1 else 1
    return int(op.get("dim", 0)) % rank


def _cat(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    """The part of a cat that holds a position for sure; the only one with elements, at the first step of a KV cache."""
    parts = op.get("tensors")
    if not isinstance(parts, tuple | list) or not all(isinstance(p, fx.Node) for p in parts):
        return None
    full = [p for p in parts if 0 not in views.view.tensor(p).shape]
    if len(full) == 1 and len(views.view.shape(full[0])) == len(index):
        return full[0], index
    dim = joined_dim(op, len(index))
    at = as_sympy(index[dim])
    if at is None:
        return None
    low, high = views.domain.lower(at), views.domain.upper(at)
    start = sympy.Integer(0)
    for part in full:
        stop = start + views.view.shape(part)[dim]
        if low is not None and high is not None and (low - start).is_nonnegative and (stop - 1 - high).is_nonnegative:
            position = list(index)
            position[dim] = integer(sympy.expand(at - start))
            return part, tuple(position)
        start = stop
    return None


def _einsum(views: Views, node: fx.Node, op: Op, index: Index) -> Step | None:
    """An einsum of one operand that only moves dims: "ijbn->bnij"."""
    equation, operands = op.get("equation"), einsum_operands(op)
    if len(operands) != 1 or not isinstance(operands[0], fx.Node) or not isinstance(equation, str):
        return None
    before, _, after = equation.replace(" ", "").partition("->")
    if sorted(before) != sorted(after) or len(set(before)) != len(before) or len(before) != len(index):
        return None
    return operands[0], tuple(index[after.index(label)] for label in before)


RULES: dict[str, Callable[[Views, fx.Node, Op, Index], Step | None]] = {
    "transpose": _transpose,
    "permute": _permute,
    "movedim": _movedim,
    "t": _t,
    "mT": _matrix_transpose,
    "getattr": _getattr,
    "reshape": _reshape,
    "expand": _expand,
    "getitem": _getitem,
    "narrow": _narrow,
    "slice": _slice,
    "select": _select,
    "diagonal": _diagonal,
    "repeat": _repeat,
    "repeat_interleave": _repeat_interleave,
    "identity": _identity,
    "cat": _cat,
    "hstack": _cat,
    "einsum": _einsum,
}
