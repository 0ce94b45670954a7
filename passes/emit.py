"""From positions back to graph nodes: the only place that writes FX.

`Emitter` adds nodes in front of one node of a graph copy. It turns an operand into [batch, head, position, feature], an
expression into a tensor over chosen axes, and a [batch, head, position, feature] result into the shape the graph
expects. Where a node of the graph already holds a value it is used; nothing is computed twice.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import sympy
import torch
from torch import fx
from torch.utils._sympy.functions import FloorDiv

from .canonical import CanonicalView
from .domain import Remainder
from .expression import ZERO, Apply, Expr, Index, Int, Load, Number, as_sympy
from .numbers import ARITHMETIC, CALLS, COMPARISONS, JOINS, Numbers
from .spec import Operand, Rejected, RejectionCode
from .symbols import Roots, extent, places, position, unmerged

Axes = tuple[sympy.Symbol | None, ...]
MOST = torch.finfo(torch.float32).max
SITE = "hyperrewrite_site"  # in the meta of a new node: the name of the output of the site that it is written for


class Emitter:
    """Writes nodes before `anchor` of a graph copy; `copied` maps nodes of the original to those of the copy.

    dtype: of the scores, which says what numbers are that come with no tensor (`Numbers`).
    """

    def __init__(
        self,
        view: CanonicalView,
        copied: Mapping[fx.Node, fx.Node],
        anchor: fx.Node,
        roots: Roots,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.view, self.copied, self.roots, self.device = view, copied, roots, device
        self.numbers = Numbers(dtype)
        self.graph = copied[anchor].graph
        self.anchor = anchor
        self._emitted: dict[tuple[Any, ...], Any] = {}
        self._written: list[fx.Node] = []

    # --- plain nodes --------------------------------------------------------------------------------------------

    def call(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        """One function call, placed before the anchor."""
        return self._placed(lambda: self.graph.call_function(target, args, kwargs))

    def method(self, name: str, *args: Any, **kwargs: Any) -> fx.Node:
        """One method call, placed before the anchor."""
        return self._placed(lambda: self.graph.call_method(name, args, kwargs))

    def _placed(self, make: Callable[[], fx.Node]) -> fx.Node:
        anchor = self.copied[self.anchor]
        with self.graph.inserting_before(anchor):
            node = make()
        for key in ("stack_trace", "nn_module_stack"):
            if key in anchor.meta:
                node.meta[key] = anchor.meta[key]
        node.meta[SITE] = self.anchor.name
        self._written.append(node)
        return node

    def take_back(self) -> None:
        """Erase everything that was written."""
        for node in reversed(self._written):
            self.graph.erase_node(node)

    def size(self, value: sympy.Expr) -> Any:
        """A size as an int or as a node that computes it."""
        if value.is_Integer:
            return int(value)
        key = ("size", value)
        if key not in self._emitted:
            self._emitted[key] = self._size(value)
        return self._emitted[key]

    def _size(self, value: sympy.Expr) -> Any:
        if value.is_Symbol:
            return self._size_read(value)
        if value.is_Add or value.is_Mul:
            join = operator.add if value.is_Add else operator.mul
            parts = [self.size(v) for v in value.args]
            total = parts[0]
            for part in parts[1:]:
                total = self.call(join, total, part)
            return total
        if value.is_Pow and value.exp.is_Integer and value.exp.is_positive:
            return self.call(operator.pow, self.size(value.base), int(value.exp))
        if isinstance(value, sympy.floor):
            top, bottom = value.args[0].as_numer_denom()
            return self.call(operator.floordiv, self.size(top), self.size(bottom))
        if isinstance(value, FloorDiv):  # how the tracer writes a // b
            return self.call(operator.floordiv, *map(self.size, value.args))
        if isinstance(value, sympy.Min | sympy.Max):
            join = torch.sym_min if isinstance(value, sympy.Min) else torch.sym_max
            total = self.size(value.args[0])
            for part in value.args[1:]:
                total = self.call(join, total, self.size(part))
            return total
        return self._size_read(value)  # a length of arange by a step that is no integer

    def _size_read(self, value: sympy.Expr) -> fx.Node:
        """A size from where the graph has it: last, because reading it keeps that tensor."""
        found = self.view.sizes.get(value)
        if found is None or self.view.position[found[0]] >= self.view.position[self.anchor]:
            raise Rejected(RejectionCode.SHAPES_UNKNOWN, f"the size {value} is not in the graph", self.anchor)
        node, dim = found
        return self.copied[node] if dim is None else self.method("size", self.copied[node], dim)

    # --- operands and the result ----------------------------------------------------------------------------------

    def operand(self, operand: Operand, row: sympy.Symbol | None, features: tuple[sympy.Symbol, ...]) -> fx.Node:
        """A tensor of the graph as [batch, head, position, feature]; a view wherever strides allow."""
        node = self._operand(operand, row, features)
        return self.method("detach", node) if operand.detached else node

    def _operand(self, operand: Operand, row: sympy.Symbol | None, features: tuple[sympy.Symbol, ...]) -> fx.Node:
        heads: Axes = self.roots.heads or (None,)
        node, index = self.copied[operand.node], operand.index
        slots: list[sympy.Symbol | None] = [self.roots.batch, *heads, row, *(features or (None,))]
        node, index = self._unmerged(node, index)
        if len(slots) == 4 and len(index) == 4 and self._stands(index, slots):
            return self._over_batch(node, index[0])
        kept: list[Expr] = []
        for dim in range(len(index) - 1, -1, -1):
            if index[dim] == ZERO:
                node = self.method("select", node, dim, 0)
            else:
                kept.insert(0, index[dim])
        found = [next((k for k, at in enumerate(kept) if self._fills(at, symbol)), None) for symbol in slots]
        order = [dim for dim in found if dim is not None]
        missing = [slot for slot, dim in enumerate(found) if dim is None]
        if order != sorted(order):
            node = self.method("permute", node, *order)
        for slot in missing:
            node = self.method("unsqueeze", node, slot)
        if len(heads) > 1:
            absent = [s for s in missing if 1 <= s <= len(heads)]
            for slot in reversed(absent):
                node = self.method("squeeze", node, slot)
            if len(heads) - len(absent) > 1:
                node = self.method("flatten", node, 1, len(heads) - len(absent))
            elif len(absent) == len(heads):
                node = self.method("unsqueeze", node, 1)
        if len(features) > 1:
            node = self.method("flatten", node, -len(features), -1)
        return self._over_batch(node, ZERO if 0 in missing else position(self.roots.batch))

    def _unmerged(self, node: fx.Node, index: Index) -> tuple[fx.Node, Index]:
        """A tensor with its merged dims (b·H + h) taken apart, a view for any strides, and its index."""
        whole: list[Expr] = []
        for at in index:
            parts = unmerged(at, self.roots)
            if len(parts) > 1:
                sizes = [extent(part.value, self.roots) for part in parts if isinstance(part, Int)]
                node = self.method("unflatten", node, len(whole), tuple(self.size(s) for s in sizes if s is not None))
            whole.extend(parts)
        return node, tuple(whole)

    def _stands(self, index: Index, slots: list[sympy.Symbol | None]) -> bool:
        for slot, (at, symbol) in enumerate(zip(index, slots, strict=True)):
            if not self._fills(at, symbol) and not (at == ZERO and (symbol is None or slot < 2)):
                return False
        return True

    @staticmethod
    def _fills(at: Expr, symbol: sympy.Symbol | None) -> bool:
        """Whether a position is the symbol, or the group that the symbol belongs to."""
        if symbol is None or not isinstance(at, Int):
            return False
        return at.value == symbol or (isinstance(at.value, sympy.floor) and at.value.free_symbols >= {symbol})

    def _over_batch(self, node: fx.Node, at: Expr) -> fx.Node:
        """A tensor that all of a batch share, expanded to it."""
        if self.roots.batch is None or at != ZERO:
            return node
        return self.method("expand", node, self.size(self.roots.sizes[self.roots.batch]), -1, -1, -1)

    def result(self, node: fx.Node, index: Index) -> fx.Node:
        """A [batch, head, position, feature] tensor in the shape whose dims stand at `index`."""
        heads: Axes = self.roots.heads or (None,)
        features: Axes = self.roots.value_features or (None,)
        slots: list[sympy.Symbol | None] = [self.roots.batch, *heads, self.roots.query_position, *features]
        if len(index) == 4 and len(slots) == 4 and all(at == position(s) for at, s in zip(index, slots, strict=True)):
            return node
        if len(features) > 1:
            node = self.method("unflatten", node, -1, tuple(self.size(self.roots.size(e)) for e in features))
        if len(heads) > 1:
            node = self.method("unflatten", node, 1, tuple(self.size(self.roots.size(h)) for h in heads))
        groups: list[list[int]] = []
        for at in index:
            value = as_sympy(at)
            assert value is not None
            groups.append([k for k, s in enumerate(slots) if s is not None and s in value.free_symbols])
        order = [slot for group in groups for slot in group]
        idle = [k for k in range(len(slots)) if k not in order]
        if order + idle != list(range(len(slots))):
            node = self.method("permute", node, *order, *idle)
        for _ in idle:
            node = self.method("squeeze", node, -1)
        for dim, group in enumerate(groups):
            if not group:
                node = self.method("unsqueeze", node, dim)
            elif len(group) > 1:
                node = self.method("flatten", node, dim, dim + len(group) - 1)
        return node

    # --- expressions as tensors -----------------------------------------------------------------------------------

    def tensor(self, expr: Expr, axes: Axes) -> Any:
        """The expression as a tensor of len(axes) dims, each of full size or 1; a Python number for a constant.

        Raises Rejected where a part of it depends on something the axes lack.
        """
        key = ("tensor", expr, axes)
        if key not in self._emitted:
            self._emitted[key] = self._tensor(expr, axes)
        return self._emitted[key]

    @property
    def score_axes(self) -> Axes:
        """Axes of the scores: batch, heads, query and key position."""
        heads: Axes = self.roots.heads or (None,)
        return (self.roots.batch, *heads, self.roots.query_position, self.roots.key_position)

    def score_tensor(self, expr: Expr) -> fx.Node:
        """An expression over (b, h, i, j) as [batch, heads, n_q, n_k], dims of size 1 where it does not vary."""
        axes = self.score_axes
        node = self.tensor(expr, axes)
        if not isinstance(node, fx.Node):
            node = self._filled((1,) * len(axes), node)
        if len(axes) > 4:
            node = self.method("expand", node, -1, *(self.size(self.roots.size(h)) for h in self.roots.heads), -1, -1)
            node = self.method("flatten", node, 1, len(self.roots.heads))
        return node

    def query_tensor(self, expr: Expr) -> fx.Node:
        """An expression over (b, h, i) as [batch, heads, n_q, 1], dims of size 1 where it does not vary."""
        return self.score_tensor(expr)

    def each(self, target: Callable[..., Any], nodes: list[fx.Node]) -> list[fx.Node]:
        """A call with several results, one for each argument."""
        both = self.call(target, *nodes)
        return [self.call(operator.getitem, both, k) for k in range(len(nodes))]

    def _tensor(self, expr: Expr, axes: Axes) -> Any:
        if isinstance(expr, Number):
            return self._number(expr.value)
        if isinstance(expr, Load):
            found = self._placed_load(expr.node, expr.index, axes)
            found = self._gathered(expr, axes) if found is None else found
            found = self.method("detach", found) if expr.detached else found
            self.numbers.know(found, self.view.value(expr.node))
            return found
        if isinstance(expr, Int):
            return self._integer(expr.value, axes)
        if isinstance(expr, Apply):
            if expr.origin is not None and (found := self._placed_load(*expr.origin, axes)) is not None:
                self.numbers.know(found, self.view.value(expr.origin[0]))
                return found
            return self._apply(expr, axes)
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, "an expression of scores cannot be a tensor", self.anchor)

    def _placed_load(self, source: fx.Node, index: Index, axes: Axes) -> fx.Node | None:
        """A tensor whose dims stand at plain axes (or at 0), with its dims moved to the axes; else None."""
        if not isinstance(self.view.value(source), torch.Tensor):
            return self.copied[source]  # a symbolic number
        plain = [position(a) for a in axes if a is not None]
        kept = [part for at in index for part in unmerged(at, self.roots) if part != ZERO]
        if any(at not in plain for at in kept) or len(set(kept)) != len(kept):
            return None
        node = self.copied[source]
        for dim, (at, size) in enumerate(zip(index, self.view.shape(source), strict=True)):
            wanted = places(at, self.roots)
            if at != ZERO and wanted is not None and wanted != size:
                node = self._cut(node, dim, wanted, small=len(index) <= 2 and not (wanted - size).is_Integer)
        node, index = self._unmerged(node, index)
        if index == tuple(position(a) for a in axes):
            return node
        for dim in range(len(index) - 1, -1, -1):
            if index[dim] == ZERO:
                node = self.method("select", node, dim, 0)
        order = [kept.index(position(a)) for a in axes if a is not None and position(a) in kept]
        if order != sorted(order):
            node = self.method("permute", node, *order)
        for slot, axis in enumerate(axes):
            if axis is None or position(axis) not in kept:
                node = self.method("unsqueeze", node, slot)
        return node

    def _cut(self, node: fx.Node, dim: int, size: sympy.Expr, small: bool) -> fx.Node:
        """The first `size` places of a dim. Of a small tensor a copy: AOTAutograd asks whether a view with symbolic
        strides is contiguous, which is one more guard than the model had."""
        if not small:
            return self.method("narrow", node, dim, 0, self.size(size))
        return self.method("index_select", node, dim, self.call(torch.arange, self.size(size), device=self.device))

    def _gathered(self, expr: Load, axes: Axes) -> fx.Node:
        """tensor[positions], each position a tensor over the axes."""
        at = tuple(self.tensor(position, axes) for position in expr.index)
        found = self.call(operator.getitem, self.copied[expr.node], at)
        if any(isinstance(place, fx.Node) for place in at):
            return found
        return self.method("reshape", found, *(1,) * len(axes))  # one element for all

    def _integer(self, value: sympy.Expr, axes: Axes) -> Any:
        if value.is_Integer:
            return int(value)
        if value.is_Symbol and value in self.roots.sizes:
            if value not in axes:
                raise Rejected(RejectionCode.UNSUPPORTED_SCORE, f"{value} is not among the axes", self.anchor)
            node = self.call(torch.arange, self.size(self.roots.sizes[value]), device=self.device)
            shape = [1] * len(axes)
            shape[axes.index(value)] = -1
            return self.method("view", node, *shape)
        if not value.free_symbols & self.roots.all:
            return self.size(value)
        if value.is_Add or value.is_Mul:
            total: Any = None
            for part in value.args:
                at = self._integer(part, axes)
                total = at if total is None else self.call(operator.add if value.is_Add else operator.mul, total, at)
            return total
        if isinstance(value, sympy.floor | Remainder):
            if isinstance(value, sympy.floor):
                top, bottom = value.args[0].as_numer_denom()
                join: Callable[..., Any] = operator.floordiv
            else:
                (top, bottom), join = value.args, operator.mod
            return self.call(join, self._integer(top, axes), self._integer(bottom, axes))
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, f"the position {value} cannot be written", self.anchor)

    def _apply(self, expr: Apply, axes: Axes) -> Any:
        args = [self.tensor(a, axes) for a in expr.args]
        if expr.name in ARITHMETIC or expr.name in COMPARISONS:
            args = self._with_dtype(args, divides=expr.name == "div")
        made = self._applied(expr.name, args)
        if expr.name in ARITHMETIC or expr.name in ("where", "tanh"):
            self.numbers.know_result(made, args[1:] if expr.name == "where" else args)
        return made

    def _with_dtype(self, args: list[Any], divides: bool) -> list[Any]:
        """Arguments of arithmetic, integers as numbers of ours where PyTorch would make them those of its default."""
        if not self.numbers.lack_dtype(args, divides):
            return args
        args = [self.method("to", a, self.numbers.dtype) if self.numbers.is_tensor(a) else a for a in args]
        for node in filter(self.numbers.is_tensor, args):
            self.numbers.know(node, torch.empty(0, dtype=self.numbers.dtype))
        return args

    def _filled(self, shape: tuple[int, ...], value: Any) -> fx.Node:
        """A tensor of one number."""
        own = {"dtype": self.numbers.dtype} if self.numbers.lack_dtype([value]) else {}
        return self.call(torch.full, shape, value, device=self.device, **own)

    def _applied(self, name: str, args: list[Any]) -> Any:
        if name in JOINS:
            total = args[0]
            for part in args[1:]:
                total = self.call(JOINS[name], total, part)
            return total
        if name == "not":
            return self.call(torch.logical_not, args[0])
        if name == "le0":
            return self.call(operator.le, args[0], 0)
        if name == "int64":
            return self.method("to", args[0], torch.int64)
        if name == "where":
            return self.call(torch.where, args[0], *self._numbers(args[1:]))
        if name in ("minimum", "maximum") and any(not isinstance(a, fx.Node) for a in args):
            node, limit = args if isinstance(args[0], fx.Node) else args[::-1]
            return self.method("clamp", node, **{"max" if name == "minimum" else "min": limit})
        if name in CALLS:
            return self.call(CALLS[name], *args)
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, f"{name} cannot be written", self.anchor)

    def _number(self, value: float) -> float:
        """A number as float32 has it, where that is infinite: PyTorch takes no such number there."""
        if self.numbers.dtype == torch.float64 or not isinstance(value, float) or not abs(value) > MOST:
            return value
        return math.copysign(math.inf, value)

    def _numbers(self, args: list[Any]) -> list[Any]:
        """Two branches, a number among them as a tensor where PyTorch would choose another dtype for it."""
        if not self.numbers.lack_dtype(args):
            return args
        last = max(k for k, arg in enumerate(args) if not self.numbers.is_tensor(arg) and not isinstance(arg, int))
        return [self._filled((), arg) if k == last else arg for k, arg in enumerate(args)]
