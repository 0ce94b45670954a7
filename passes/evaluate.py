"""Read what stands at one element of a tensor by reading how the graph computes it.

`Evaluator.at(node, index)` pulls a position backwards through views, element-wise steps, comparisons and constants
until only constants, index arithmetic and captured tensors are left. Whatever has no rule is a `Load`: the tensor as it
stands, which is always right. Masks, biases and the way from QKᵀ to softmax are all read by this one walk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import sympy
import torch
from torch import fx

from .algebra import where
from .canonical import CanonicalView, Op
from .dataflow import Dataflow
from .domain import Domain
from .expression import (
    ONE,
    ZERO,
    Apply,
    Expr,
    Index,
    Load,
    Number,
    Probability,
    Product,
    contains,
    integer,
    mapped,
    with_origin,
)
from .held import Triangle
from .rounding import in_dtype
from .spec import Rejected, RejectionCode
from .views import Step, Views
from .writes import written_element

Rule: TypeAlias = Callable[["Evaluator", fx.Node, Op, Index], Expr | None]

MAX_DEPTH = 120  # a chain of element-wise steps longer than this is taken as a captured tensor


class Evaluator:
    """Elements of tensors as expressions, over the index symbols of one domain.

    rules     word → how an element of its result is read (`rules.RULES`).
    softmax   the node whose elements are `Probability`; None while reading anything else.
    output    the node whose value a site replaces: gradients that come to it flow back from there; None: not looked at.
    readers   node → the first node that reads it: what a later read must agree with.
    reads     (node, reader) of every step from a product to the operand that was chosen for it.
    assumed   inputs that were read by their present values.
    """

    def __init__(
        self,
        view: CanonicalView,
        flow: Dataflow,
        domain: Domain,
        rules: Mapping[str, Rule],
        softmax: fx.Node | None = None,
        output: fx.Node | None = None,
    ) -> None:
        self.view, self.flow, self.domain, self.softmax, self.output = view, flow, domain, softmax, output
        self._rules = rules
        self.views = Views(view, domain)
        self.readers: dict[fx.Node, fx.Node] = {}
        self.reads: list[tuple[fx.Node, fx.Node]] = []
        self.assumed: dict[fx.Node, Triangle] = {}
        self._memo: dict[tuple[fx.Node, Index], Expr] = {}
        self._written: dict[tuple[fx.Node, Index, fx.Node], Expr] = {}
        self._depth = 0

    def at(self, node: fx.Node, index: Index, reader: fx.Node) -> Expr:
        """The element of `node` at `index`, as `reader` sees it."""
        known = self.readers.get(node)
        if known is None or self.view.position[reader] < self.view.position[known]:
            self.readers[node] = reader
        if self._depth <= MAX_DEPTH and (written := self.flow.same_tensor(node, reader)) is not None:
            return self.at(written, index, reader)  # x.masked_fill_(…) as a statement, x read after it
        if self._depth > MAX_DEPTH:
            return Load(node, index)
        if (writer := self.flow.last_write(node, reader)) is not None:
            return self._behind(node, index, writer)
        if node is self.softmax:
            return Probability(node, index, detached=self.stops_gradients(node))
        key = (node, index)
        if key not in self._memo:
            self._depth += 1
            try:
                self._memo[key] = with_origin(self._recorded(node, index), node, index)
            finally:
                self._depth -= 1
        return self._memo[key]

    def stops_gradients(self, node: fx.Node) -> bool:
        """Whether no gradient that comes to the site's output goes back through a node."""
        return self.output is not None and self.flow.stops_gradients(node, self.output)

    def trace(self, node: fx.Node, index: Index) -> list[Step]:
        """The node and what it is a view of, nearest first, as far as gradients go back."""
        return self.views.trace(node, index, self.stops_gradients)

    def detached(self, expr: Expr) -> Expr:
        """An expression through which no gradient goes back. The nodes that hold parts of it may let one through."""

        def cut(at: Expr) -> Expr:
            if isinstance(at, Apply):  # of a dropout the origin says no more than which one it is
                return at if at.name == "dropout" else replace(at, origin=None)
            if not isinstance(at, Load | Product | Probability):
                return at
            value = self.view.value(at.node)
            is_float = isinstance(value, torch.Tensor) and value.dtype.is_floating_point
            return replace(at, detached=True) if is_float else at

        return mapped(expr, cut)

    def _recorded(self, node: fx.Node, index: Index) -> Expr:
        """The element as gradient mode has it where the node runs."""
        if not self.stops_gradients(node):
            return self._read(node, index)
        found = self._read(node, index)
        if self.stops_gradients(self.flow.born(node)):
            return self.detached(found)
        if contains(found, Product) or contains(found, Probability):
            message = (
                f"{node.name} writes in place while gradient mode is off: the gradient stays that of the old values"
            )
            raise Rejected(RejectionCode.IN_PLACE, message, node)
        return Load(node, index)

    def _behind(self, node: fx.Node, index: Index, writer: fx.Node) -> Expr:
        """The element of a node behind a write into a part of it."""
        key = (node, index, writer)
        if key not in self._written:
            self._depth += 1
            try:
                found = written_element(self, node, index, writer)
            finally:
                self._depth -= 1
            self._written[key] = Load(node, index) if found is None else found
        return self._written[key]

    def over(self, sizes: Mapping[sympy.Symbol, sympy.Expr]) -> Evaluator:
        """The same graph, read over other symbols."""
        return Evaluator(self.view, self.flow, Domain(sizes), self._rules, self.softmax, self.output)

    def _read(self, node: fx.Node, index: Index) -> Expr:
        op = self.view.op(node)
        step = self.views.step(node, index)
        if step is not None:
            value = self.at(*step, reader=node)
            # Truth values that are joined to numbers are numbers.
            return where(value, ONE, ZERO) if self.is_bool(step[0]) and not self.is_bool(node) else value
        rule = self._rules.get(op.word)
        found = rule(self, node, op, index) if rule is not None else None
        held = self.view.value(node)
        if found is not None and isinstance(held, torch.Tensor):
            found = in_dtype(found, held.dtype, self.domain)
        return Load(node, index) if found is None else found

    def element(self, value: Any, index: Index, reader: fx.Node) -> Expr | None:
        """An argument, broadcast to a result position: a tensor's element, a size or a constant; None if neither."""
        if isinstance(value, bool | int | float):
            return Number(value)
        if not isinstance(value, fx.Node):
            return None
        recorded = self.view.value(value)
        if isinstance(recorded, bool | int | float):
            return Number(recorded)
        if isinstance(recorded, torch.SymInt):
            return integer(self.view.size(recorded))
        if isinstance(recorded, torch.SymFloat):  # dynamic=True makes every float attribute of a module an input
            known = recorded.node.expr
            return Number(float(known)) if known.is_number else Load(value, ())
        if not isinstance(recorded, torch.Tensor):
            return None
        sizes = self.view.shape(value)
        if len(sizes) > len(index):
            return None
        position = index[len(index) - len(sizes) :]
        return self.at(value, tuple(ZERO if s == 1 else p for s, p in zip(sizes, position, strict=True)), reader)

    def is_bool(self, value: Any) -> bool:
        """Whether an argument is a truth value."""
        if isinstance(value, fx.Node):
            recorded = self.view.value(value)
            return isinstance(recorded, bool) or (isinstance(recorded, torch.Tensor) and recorded.dtype == torch.bool)
        return isinstance(value, bool)

    def number(self, value: Any, index: Index, reader: fx.Node) -> Expr | None:
        """An argument as a number: truth values become 1 and 0."""
        found = self.element(value, index, reader)
        if found is None or not self.is_bool(value):
            return found
        return Number(int(found.value)) if isinstance(found, Number) else where(found, ONE, ZERO)

    def sides(self, node: fx.Node, op: Op, index: Index, numbers: bool = True) -> tuple[Expr, Expr] | None:
        """Both arguments of a node that has two, `left` and `right`; None where one cannot be read.

        Numbers come as the dtype that they meet in holds them: of `int8 < 300` the second is 44.
        """
        values = op.get("left"), op.get("right")
        read = self.number if numbers else self.element
        left, right = (read(value, index, node) for value in values)
        if numbers and left is not None and right is not None:
            dtype = self._common_dtype(*values)
            left, right = (in_dtype(side, dtype, self.domain) for side in (left, right))
        return None if left is None or right is None else (left, right)

    def _common_dtype(self, left: Any, right: Any) -> torch.dtype:
        """The dtype in which two arguments meet."""

        def like(value: Any) -> Any:
            held = self.view.value(value) if isinstance(value, fx.Node) else value
            if isinstance(held, torch.Tensor):
                return torch.empty((0,) * held.dim(), dtype=held.dtype, device="meta")
            return 0 if isinstance(held, torch.SymInt) else 0.0 if isinstance(held, torch.SymFloat) else held

        return torch.result_type(like(left), like(right))
