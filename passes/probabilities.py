"""From softmax to the product with the values: who reads the probabilities, and what happens to them on the way."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import sympy
import torch
from torch import fx

from .algebra import conjunction, inverse
from .canonical import CanonicalView
from .contraction import Contraction, contraction_of
from .dataflow import Dataflow
from .domain import Remainder
from .expression import ZERO, Apply, Expr, Index, Int, Load, Number, Probability, contains
from .spec import Rejected, RejectionCode
from .symbols import Roots, unmerged
from .vocabulary import VIEWS

# Steps that may stand between softmax and the values. What they do to an element is for the evaluator to say.
PASSED = VIEWS | {"dropout", "masked_fill", "where", "where_method", "mul", "nan_to_num", "isnan", "not"}
# Words that read no element of a tensor, only how large it is.
SIZED = frozenset(("filled", "full"))


def readers_of_probabilities(
    flow: Dataflow, softmax: fx.Node
) -> tuple[list[tuple[Contraction, fx.Node]], list[fx.Node]]:
    """Products that read the probabilities (with the operand they read), and whoever else reads them to some end."""
    view = flow.view
    products: list[tuple[Contraction, fx.Node]] = []
    escapes: list[fx.Node] = []
    stack, seen = [softmax], {softmax}
    while stack:
        node = stack.pop(0)
        for user in flow.readers(node):
            contraction = contraction_of(view, user) or _summed(flow, user)
            if contraction is not None and (contraction.left is node) != (contraction.right is node):
                products.append((contraction, node))
            elif view.op(user).word in SIZED:
                continue
            elif view.op(user).word in PASSED and isinstance(view.value(user), torch.Tensor):
                if user not in seen:
                    seen.add(user)
                    stack.append(user)
            elif user.op == "output" or isinstance(view.value(user), torch.Tensor | tuple | list):
                escapes.append(user)
    return products, escapes


def _summed(flow: Dataflow, product: fx.Node) -> Contraction | None:
    """The sum over a dim that alone reads a product of elements, as a contraction of its operands."""
    readers = flow.readers(product) if flow.view.op(product).word == "mul" else []
    return (
        contraction_of(flow.view, readers[0]) if len(readers) == 1 and flow.view.op(readers[0]).word == "sum" else None
    )


def changed_before_values(view: CanonicalView, escapes: list[fx.Node]) -> fx.Node | None:
    """The reader of the probabilities behind which, element by element, a product follows; None where none does."""
    for first in escapes:
        if not isinstance(view.value(first), torch.Tensor):
            continue
        stack, seen = [first], {first}
        while stack and len(seen) < 64:
            node = stack.pop()
            for user in node.users:
                if contraction_of(view, user) is not None:
                    return first
                value = view.value(user)
                if user not in seen and isinstance(value, torch.Tensor) and value.shape == view.tensor(node).shape:
                    seen.add(user)
                    stack.append(user)
    return None


@dataclass(frozen=True, slots=True)
class Dropout:
    """An active dropout: each element of `node` becomes 0 with probability p, else 1 / (1 − p) times as large.

    index: where in `node` the element stands that is read.
    """

    p: float
    node: fx.Node
    index: Index

    def draws_apart(self, roots: Roots) -> bool:
        """Whether no two of (batch, head, query, key) share a draw, as in SDPA."""
        axes = [s for s in (roots.batch, *roots.heads, roots.query_position, roots.key_position) if s is not None]
        stands = {part.value for at in self.index for part in unmerged(at, roots) if isinstance(part, Int)}
        return all(axis in stands or _in_two(axis, stands) for axis in axes)


def _in_two(axis: sympy.Symbol, stands: Collection[sympy.Expr]) -> bool:
    """Whether an axis stands at two dims: ⌊b / H⌋ at one, b mod H at the other."""
    divisors = [at.args[1] for at in stands if isinstance(at, Remainder) and at.args[0] == axis]
    return any(sympy.floor(axis / divisor) in stands for divisor in divisors)


@dataclass(frozen=True, slots=True)
class After:
    """What is done to the probabilities after softmax: keys where `keep` does not hold get 0, and NaN becomes 0.

    keep is None where nothing is masked. multiplied: masked by products with ones and zeros alone, which leave NaN.
    dropout: the active dropout among the steps; it commutes with all of them.
    """

    probability: Probability
    keep: Expr | None = None
    without_nan: bool = False
    multiplied: bool = False
    dropout: Dropout | None = None

    def clears(self, fills: Iterable[float]) -> bool:
        """Whether rows without keys, whose scores hold these fills, meet the values as zeros."""
        if self.without_nan:
            return True
        if self.keep is None:
            return False
        return not (self.multiplied and any(map(math.isinf, fills)))  # 0 times the mean of a row is 0, times NaN NaN


def after_softmax(view: CanonicalView, scores: fx.Node, dim: int, expr: Expr) -> After | None:
    """An element of what meets the values, as an element of what softmax gave; None where it is more than masked and
    dropped.

    scores, dim: what softmax reads, and over which dim it runs. Raises Rejected where it is dropped twice.
    """
    kept: list[Expr] = []
    without_nan, multiplied = False, True
    dropout: Dropout | None = None
    while not isinstance(expr, Probability):
        if isinstance(expr, Apply) and expr.name == "dropout":
            if dropout is not None:
                raise Rejected(RejectionCode.DROPOUT, "the probabilities are dropped twice", dropout.node)
            dropout, expr = _dropout(expr), expr.args[0]
            continue
        multiplied &= isinstance(expr, Apply) and expr.name == "mul"
        step = _kept(expr)
        if step is None:
            return None
        keep, expr = step
        if keep == inverse(Apply("isnan", (expr,))) or _says_row_has_keys(view, keep, scores, dim, expr):
            without_nan = True
        elif contains(keep, Probability):
            return None
        else:
            kept.append(keep)
    return After(expr, conjunction(*kept) if kept else None, without_nan, multiplied, dropout)


def _dropout(expr: Apply) -> Dropout:
    p = expr.args[1]
    assert expr.origin is not None and isinstance(p, Number)
    return Dropout(float(p.value), *expr.origin)


def _says_row_has_keys(view: CanonicalView, keep: Expr, scores: fx.Node, dim: int, inner: Expr) -> bool:
    """Whether a condition is any(scores != −inf) over the keys: where it does not hold, softmax gives NaN."""
    if isinstance(inner, Apply) and inner.name == "dropout":
        inner = inner.args[0]
    if not isinstance(keep, Load) or not isinstance(inner, Probability):
        return False
    row = tuple(ZERO if k == dim else at for k, at in enumerate(inner.index))
    op = view.op(keep.node)
    kept = (row, row[:dim] + row[dim + 1 :])
    dims = op.get("dim")
    dims = (dims,) if isinstance(dims, int) else dims
    if op.word != "any" or keep.index not in kept or not dims or [d % len(row) for d in dims] != [dim]:
        return False
    seen, is_not = op.get("input"), False
    while isinstance(seen, fx.Node) and view.op(seen).word == "not":
        seen, is_not = view.op(seen).get("input"), not is_not
    if not isinstance(seen, fx.Node):
        return False
    test = view.op(seen)
    return (
        test.word == ("eq" if is_not else "ne")
        and test.get("left") is scores
        and test.arguments.get("right") == -math.inf
    )


def _kept(expr: Expr) -> tuple[Expr, Expr] | None:
    """(keep, inner) of an expression that is `inner` where keep holds and 0 elsewhere."""
    if not isinstance(expr, Apply):
        return None
    if expr.name == "where":
        keep, then, other = expr.args
        for condition, inner, rest in ((keep, then, other), (inverse(keep), other, then)):
            if isinstance(rest, Number) and rest.value == 0:
                return condition, inner
    if expr.name == "mul":
        for inner, factor in (expr.args, expr.args[::-1]):
            if contains(inner, Probability) and isinstance(factor, Apply) and factor.name == "where":
                keep, then, other = factor.args
                if all(isinstance(b, Number) for b in (then, other)):
                    values = tuple(float(b.value) for b in (then, other) if isinstance(b, Number))
                    if values in ((1.0, 0.0), (0.0, 1.0)):
                        return (keep if values[0] else inverse(keep)), inner
    return None
