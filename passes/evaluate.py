"""Read what stands at one element of a tensor by reading how the graph computes it.

`Evaluator.at(node, index)` pulls a position backwards through views, element-wise steps, comparisons and constants
until only constants, index arithmetic and captured tensors are left. Whatever has no rule is a `Load`: the tensor as it
stands, which is always right. Masks, biases and the way from QKᵀ to softmax are all read by this one walk.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import sympy
import torch
from torch import fx

from .algebra import arithmetic, conjunction, disjunction, inverse, negate, truth, where
from .canonical import CanonicalView, Op, size_of
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
    as_sympy,
    contains,
    integer,
    walk,
    with_origin,
)
from .held import Triangle
from .spec import Rejected, RejectionCode
from .views import Views, joined_dim
from .vocabulary import FILLED_VALUE

MAX_DEPTH = 120  # a chain of element-wise steps longer than this is taken as a captured tensor


class Evaluator:
    """Elements of tensors as expressions, over the index symbols of one domain.

    softmax   the node whose elements are `Probability`; None while reading anything else.
    readers   node → the first node that reads it: what a later read must agree with.
    reads     (node, reader) of every step from a product to the operand that was chosen for it.
    assumed   inputs that were read by their present values.
    """

    def __init__(self, view: CanonicalView, flow: Dataflow, domain: Domain, softmax: fx.Node | None = None) -> None:
        self.view, self.flow, self.domain, self.softmax = view, flow, domain, softmax
        self.views = Views(view, domain)
        self.readers: dict[fx.Node, fx.Node] = {}
        self.reads: list[tuple[fx.Node, fx.Node]] = []
        self.assumed: dict[fx.Node, Triangle] = {}
        self._memo: dict[tuple[fx.Node, Index], Expr] = {}
        self._depth = 0

    def at(self, node: fx.Node, index: Index, reader: fx.Node) -> Expr:
        """The element of `node` at `index`, as `reader` sees it."""
        known = self.readers.get(node)
        if known is None or self.view.position[reader] < self.view.position[known]:
            self.readers[node] = reader
        if self._depth <= MAX_DEPTH and (written := self.flow.same_tensor(node, reader)) is not None:
            return self.at(written, index, reader)  # x.masked_fill_(…) as a statement, x read after it
        if self._depth > MAX_DEPTH or self.flow.rewritten_behind(node, reader):
            return Load(node, index)
        if node is self.softmax:
            return Probability(node, index)
        key = (node, index)
        if key not in self._memo:
            self._depth += 1
            try:
                self._memo[key] = with_origin(self._read(node, index), node, index)
            finally:
                self._depth -= 1
        return self._memo[key]

    def _read(self, node: fx.Node, index: Index) -> Expr:
        op = self.view.op(node)
        step = self.views.step(node, index)
        if step is not None:
            return self.at(*step, reader=node)
        rule = RULES.get(op.word)
        found = rule(self, node, op, index) if rule is not None else None
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
            return integer(size_of(recorded))
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


Rule = Callable[[Evaluator, fx.Node, Op, Index], Expr | None]


def _two(ev: Evaluator, node: fx.Node, op: Op, index: Index, numbers: bool = True) -> tuple[Expr, Expr] | None:
    read = ev.number if numbers else ev.element
    left, right = read(op.get("left"), index, node), read(op.get("right"), index, node)
    return None if left is None or right is None else (left, right)


def _arithmetic(name: str) -> Rule:
    def rule(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
        value = unrounded(ev, node, op, index)
        recorded = ev.view.value(node)
        if value is None or not isinstance(recorded, torch.Tensor) or not recorded.dtype.is_floating_point:
            return value
        return _rounded(value, recorded.dtype)

    def unrounded(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
        if op.get("rounding_mode") is not None:
            return _floordiv(ev, node, op, index) if op.get("rounding_mode") == "floor" else None
        if not isinstance(ev.view.value(node), torch.Tensor):  # torch.max over a dim, not of two tensors
            return None
        if ev.is_bool(node):
            pair = _two(ev, node, op, index, numbers=False)
            join = {"mul": conjunction, "add": disjunction, "minimum": conjunction, "maximum": disjunction}.get(name)
            return None if pair is None or join is None else join(*pair)
        pair = _two(ev, node, op, index)
        if pair is None:
            return None
        left, right = pair
        alpha = op.get("alpha", 1)
        if alpha != 1:
            if not isinstance(alpha, int | float):
                return None
            right = _rounded(arithmetic("mul", right, Number(alpha)), ev.view.tensor(node).dtype)
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
        pair = _two(ev, node, op, index)
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


def _compare(name: str) -> Rule:
    def rule(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
        pair = _two(ev, node, op, index)
        return None if pair is None else ev.domain.compare(name, *pair)

    return rule


def _logic(join: Callable[..., Expr]) -> Rule:
    def rule(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
        if not (ev.is_bool(op.get("left")) and ev.is_bool(op.get("right"))):
            return None
        pair = _two(ev, node, op, index, numbers=False)
        return None if pair is None else join(*pair)

    return rule


def _not(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.element(op.get("input"), index, node)
    return inverse(value) if value is not None and ev.is_bool(op.get("input")) else None


def _neg(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.number(op.get("input"), index, node)
    return None if value is None else negate(value)


def _tanh(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.number(op.get("input"), index, node)
    return None if value is None else Apply("tanh", (value,))


def _nan_to_num(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """NaN → 0 of probabilities, which are never infinite; of anything else the value stays captured."""
    value = ev.number(op.get("input"), index, node)
    if value is None or not contains(value, Probability) or op.get("nan", 0.0) != 0:
        return None
    return where(inverse(Apply("isnan", (value,))), value, ZERO)


def _isnan(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.number(op.get("input"), index, node)
    return None if value is None else Apply("isnan", (value,))


def _cast(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    source = op.get("input")
    if not isinstance(source, fx.Node):
        return None
    before, after = ev.view.tensor(source).dtype, ev.view.tensor(node).dtype
    if after == torch.bool:
        value = ev.element(source, index, node)
        return value if value is None or before == torch.bool else truth(value)
    value = ev.number(source, index, node)
    if value is None or (before.is_floating_point and not after.is_floating_point and not _is_constant(value)):
        return None
    if not _is_constant(value) and after.is_floating_point and torch.finfo(after).max < _largest(value):
        return None  # a fill in it would become infinite
    return _rounded(value, after)


def _largest(value: Expr) -> float:
    """The largest finite number that an expression is made of."""
    numbers = (abs(float(e.value)) for e in walk(value) if isinstance(e, Number))
    return max((n for n in numbers if math.isfinite(n)), default=0.0)


def _is_constant(value: Expr) -> bool:
    """Whether a value is one number or another."""
    if isinstance(value, Apply) and value.name == "where":
        return all(map(_is_constant, value.args[1:]))
    return isinstance(value, Number)


def _rounded(value: Expr, dtype: torch.dtype) -> Expr:
    """Constants as the dtype holds them; a fill of −3.4e38 is −inf in float16. Everything else is kept."""
    if isinstance(value, Number) and not isinstance(value.value, bool):
        return Number(torch.tensor(value.value, dtype=torch.float64).to(dtype).item())
    if isinstance(value, Apply) and value.name == "where":
        keep, then, other = value.args
        return where(keep, _rounded(then, dtype), _rounded(other, dtype))
    return value


def _where(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    keep = ev.element(op.get("condition"), index, node)
    bools = ev.is_bool(node)
    then, other = ((ev.element if bools else ev.number)(op.arguments.get(k), index, node) for k in ("then", "other"))
    if keep is None or then is None or other is None:
        return None
    dtype = ev.view.tensor(node).dtype
    return _rounded(where(keep, then, other), dtype) if dtype.is_floating_point else where(keep, then, other)


def _masked_fill(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    mask = ev.element(op.get("mask"), index, node)
    bools = ev.is_bool(node)
    value, rest = ((ev.element if bools else ev.number)(op.arguments.get(k), index, node) for k in ("value", "input"))
    if mask is None or value is None or rest is None:
        return None
    if isinstance(value, Number) and not bools:
        value = _rounded(value, ev.view.tensor(node).dtype)
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


def _arange(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    if ev.view.tensor(node).dtype.is_floating_point and any(isinstance(b, float) for b in op.get("bounds", ())):
        return None
    bounds = [ev.element(b, (), node) for b in op.get("bounds", ())]
    start = ev.element(op.arguments.get("start"), (), node) or (bounds[0] if len(bounds) > 1 else ZERO)
    step = ev.element(op.arguments.get("step"), (), node) or (bounds[2] if len(bounds) > 2 else ONE)
    if start is None or step is None or as_sympy(start) is None or as_sympy(step) is None:
        return None
    return arithmetic("add", start, arithmetic("mul", step, index[0]))


def _write(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """x.fill_(value) and x.zero_(): every element is the value."""
    if node.op != "call_method" or node.target not in ("fill_", "zero_"):
        return None
    rest = op.get("rest", ()) or (op.arguments.get("value", 0),)
    value = ev.element(rest[0], (), node) if node.target == "fill_" else ZERO
    return _as_held(value.value, ev.view.tensor(node).dtype) if isinstance(value, Number) else None


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
        value = ev.element(part, place, node)
        if value is None or any(isinstance(e, Load | Product | Probability) for e in walk(value)):
            return None  # an element read outside of its part
        start += ev.view.shape(part)[dim]
        found.append((start, value))
    result = found[-1][1]
    for stop, value in reversed(found[:-1]):
        result = where(ev.domain.at_most_zero(at - stop + 1), value, result)
    return result


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


def _may_index(ev: Evaluator, place: Expr) -> bool:
    """Whether a position counts from the front: a negative one would count from the end."""
    at = as_sympy(place)
    return at is None or ((low := ev.domain.lower(at)) is not None and bool(low.is_nonnegative))


def _log(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """Of a constant, or of one constant or another: log of a mask of ones and zeros is 0 and −∞."""
    value = ev.number(op.get("input"), index, node)
    return None if value is None or not _is_constant(value) else _logarithm(value)


def _logarithm(value: Expr) -> Expr:
    if isinstance(value, Apply):
        return where(value.args[0], _logarithm(value.args[1]), _logarithm(value.args[2]))
    assert isinstance(value, Number)
    number = float(value.value)
    return Number(math.log(number) if number > 0 else -math.inf if number == 0 else math.nan)


def _filled(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    key = str(node.target) if node.op == "call_method" else node.target
    value = FILLED_VALUE.get(key)
    return None if value is None else Number(bool(value)) if ev.is_bool(node) else Number(value)


def _full(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.element(op.arguments.get("fill_value"), (), node)
    return _as_held(value.value, ev.view.tensor(node).dtype) if isinstance(value, Number) else value


def _as_held(value: float, dtype: torch.dtype) -> Number:
    """A number as a tensor of this dtype holds it."""
    return Number(torch.full((), value, dtype=dtype).item())


def _tensor(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = op.arguments.get("data", op.arguments.get("s"))
    return _as_held(value, ev.view.tensor(node).dtype) if isinstance(value, bool | int | float) else None


def _attribute(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """A one-element constant of the graph itself; parameters and buffers stay captured."""
    value = ev.view.value(node)
    if type(value) is torch.Tensor and value.numel() == 1 and "constant" in str(node.target):
        return Number(value.item())
    return None


def _gather(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """tensor[index tensors…] where every dim is indexed, or the last ones are taken whole."""
    source, items = op.get("input"), op.get("index")
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
    if any(not isinstance(v, torch.Tensor) or v.dtype == torch.bool for v in values):
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


def _product(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    return Product(node, index)


def _baddbmm(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    bias = ev.number(op.get("input"), index, node)
    beta, alpha = (ev.number(op.get(name, 1), (), node) for name in ("beta", "alpha"))
    if bias is None or beta is None or alpha is None:
        return None
    scaled = arithmetic("mul", Product(node, index), alpha)
    if isinstance(beta, Number) and beta.value == 0:
        return scaled
    return arithmetic("add", scaled, arithmetic("mul", bias, beta))


def _dropout(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    source = op.get("input")
    training = op.arguments.get("training", op.arguments.get("train", True))
    p = ev.number(op.arguments.get("p", 0.5), (), node)
    value = ev.element(source, index, node)
    if training is False or (isinstance(p, Number) and p.value == 0):
        return value
    if value is not None and (contains(value, Probability) or contains(value, Product)):
        shown = p.value if isinstance(p, Number) else "?"
        raise Rejected(RejectionCode.DROPOUT, f"dropout with p={shown} is active", node)
    return None


def _held(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """A causal buffer: what it holds says more than that it is read."""
    triangle = ev.view.held.triangle(node)
    if triangle is None:
        return None
    ev.assumed[node] = triangle
    keep = ev.domain.compare("le", index[-1], arithmetic("add", index[-2], Number(triangle.offset)))
    return where(keep, Number(triangle.inside), Number(triangle.outside))


RULES: dict[str, Rule] = {
    "placeholder": _held,
    **{name: _arithmetic(name) for name in ("add", "sub", "mul", "div", "minimum", "maximum")},
    **{name: _compare(name) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    "and": _logic(conjunction),
    "or": _logic(disjunction),
    "not": _not,
    "neg": _neg,
    "clamp": _clamp,
    "floordiv": _floordiv,
    "remainder": _whole(1),
    "tanh": _tanh,
    "log": _log,
    "write": _write,
    "cat": _cat,
    "hstack": _cat,
    "index_select": _index_select,
    "nan_to_num": _nan_to_num,
    "isnan": _isnan,
    "cast": _cast,
    "where": _where,
    "where_method": _where,
    "masked_fill": _masked_fill,
    "tril": _triangle(lower=True),
    "triu": _triangle(lower=False),
    "cumsum": _cumsum,
    "diff": _diff,
    "arange": _arange,
    "filled": _filled,
    "full": _full,
    "tensor": _tensor,
    "get_attr": _attribute,
    "getitem": _gather,
    "matmul": _product,
    "einsum": _product,
    "baddbmm": _baddbmm,
    "dropout": _dropout,
}
