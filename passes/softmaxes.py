"""Every spelling of softmax as one thing: a call, or exponentials over their sum.

    softmax(s)    log_softmax(s).exp()    exp(s − logsumexp(s))    e / e.sum()    (e @ v) / e.sum()    with e = exp(s)

Some keys of e may be set to 0 before it is summed. Nothing of this asks whether scores are attention.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx

from .algebra import inverse, is_where, where
from .canonical import CanonicalView, Op, called
from .dataflow import Dataflow
from .domain import Domain
from .einx import reduced_dim
from .evaluate import Evaluator
from .expression import ZERO, Expr, Index, Int, Number
from .symbols import symbol
from .views import Views
from .vocabulary import VIEWS


@dataclass(frozen=True, slots=True)
class Softmax:
    """One softmax.

    exp      the node that exponentiates; of one call the call itself.
    weights  the node whose elements meet the values: probabilities, or exponentials that are divided later.
    scores   the node whose elements are exponentiated.
    dim      the dim over which they are summed, not negative.
    kept     steps on the way that set some exponentials to 0, first to last.
    total    the sum by which the product with the values is divided; None where the weights are probabilities.
    steps    the nodes that it is made of, from exp to the weights and to the sum: all of them have gradients, or none.
    bare     the exponentials are of the scores themselves and not of what is left below their maximum: where all of
             a row's scores are fills, their sum is 0, and the row NaN.
    """

    exp: fx.Node
    weights: fx.Node
    scores: fx.Node
    dim: int
    kept: tuple[fx.Node, ...] = ()
    total: fx.Node | None = None
    steps: tuple[fx.Node, ...] = ()
    bare: bool = False

    def score(self, evaluator: Evaluator, index: Index) -> Expr | None:
        """The score at an element of the weights: −∞ where the exponential is set to 0; None where that is not read."""
        found = evaluator.at(self.scores, index, self.exp)
        for step in self.kept:
            op = evaluator.view.op(step)
            if op.word == "masked_fill":
                masked = evaluator.element(op.get("mask"), index, step)
                keep = None if masked is None else inverse(masked)
            elif op.word == "mul":
                keep = _of_ones(evaluator, op.get("right"), index, step) or _of_ones(
                    evaluator, op.get("left"), index, step
                )
            else:
                keep = evaluator.element(op.get("condition"), index, step)
                keep = inverse(keep) if keep is not None and _is_zero(op.arguments.get("then")) else keep
            if keep is None:
                return None
            found = where(keep, found, Number(-math.inf))
        return found


def softmax_of(flow: Dataflow, node: fx.Node) -> Softmax | None:
    """The softmax whose weights a node is; None where it is none, or one that is not read."""
    view = flow.view
    op = view.op(node)
    if op.word == "softmax":
        scores, dim = op.get("input"), op.get("dim")
        if not isinstance(scores, fx.Node) or not isinstance(dim, int):
            return None
        recorded = view.value(node)
        rank = recorded.dim() if isinstance(recorded, torch.Tensor) else 0
        return Softmax(node, node, scores, dim % max(rank, 1))
    if op.word == "einx_softmax":
        scores, place = op.get("input"), reduced_dim(op.get("equation"))
        return None if place is None or not isinstance(scores, fx.Node) else Softmax(node, node, scores, place)
    if not isinstance(view.value(node), torch.Tensor):
        return None
    found = _of_logarithms(flow, node) if op.word == "exp" else _divided(flow, node)
    return _divided_later(flow, node) if found is None else found


def is_candidate(view: CanonicalView, node: fx.Node) -> bool:
    """Whether a node is exponentials with a sum over one dim of its own: a softmax spelled out, read or not."""
    if view.op(node).word != "exp" or not isinstance(view.value(node), torch.Tensor):
        return False
    return any(_summed_dim(view, user) is not None for step in _masked(view, node) for user in step.users)


@dataclass(frozen=True, slots=True)
class Quotient:
    """a / b, or a times a factor behind which, and behind views, stands 1 / b (`inverse`)."""

    dividend: fx.Node
    divisor: fx.Node
    inverse: bool = False


def quotient_of(view: CanonicalView, node: fx.Node) -> Quotient | None:
    """A node as a quotient of two tensors; None where it is none."""
    op = view.op(node)
    sides = op.get("left"), op.get("right")
    if not all(isinstance(n, fx.Node) and isinstance(view.value(n), torch.Tensor) for n in sides):
        return None
    if op.word == "div" and op.get("rounding_mode") is None:
        return Quotient(*sides)
    if op.word == "mul":
        for dividend, factor in (sides, sides[::-1]):
            inner = factor
            while view.op(inner).word in VIEWS and isinstance(view.op(inner).get("input"), fx.Node):
                inner = view.op(inner).get("input")
            if _inverted(view, inner) is not None:
                return Quotient(dividend, factor, inverse=True)
    return None


def _inverted(view: CanonicalView, node: fx.Node) -> fx.Node | None:
    """b of 1 / b."""
    op = view.op(node)
    found = op.get("input") if op.word == "reciprocal" else None
    if op.word == "div" and op.arguments.get("left") in (1, 1.0) and op.get("rounding_mode") is None:
        found = op.get("right")
    return found if isinstance(found, fx.Node) and isinstance(view.value(found), torch.Tensor) else None


@dataclass(frozen=True, slots=True)
class Reduction:
    """A sum, maximum or logsumexp over one dim.

    index  the position in what it reduces, the reduced dim at 0.
    path   the nodes from where it is read to itself.
    """

    node: fx.Node
    index: Index
    path: tuple[fx.Node, ...]


def reduction(views: Views, node: fx.Node, index: Index, inverse: bool = False) -> Reduction | None:
    """The reduction behind views and casts, and for `inverse` behind one 1 / x, read at `index` of a node."""
    view, path = views.view, [node]
    while (dim := _summed_dim(view, node)) is None:
        op = view.op(node)
        source = op.get("input")
        if inverse and (inner := _inverted(view, node)) is not None:
            node, inverse = inner, False
        elif op.word == "cast" and not keeps_numbers(view, node):
            return None
        elif isinstance(source, fx.Node) and (op.word in ("cast", "detach") or _is_maximum(view, op, source)):
            node = source
        elif (step := views.step(node, index)) is not None:
            node, index = step
        else:
            return None
        path.append(node)
    if isinstance(view.value(node), torch.Tensor) and not _is_floating_point(view, node):  # sum(…, dtype=torch.int64)
        return None
    rank = view.tensor(_reduced(view, node)).dim()
    whole = (*index[:dim], ZERO, *index[dim + (len(index) == rank) :])
    return Reduction(node, whole, tuple(path)) if len(whole) == rank and not inverse else None


def _is_maximum(view: CanonicalView, op: Op, source: fx.Node) -> bool:
    """Whether an op takes the maximum out of the pair (maximum, its place)."""
    return op.word == "getitem" and op.get("index") == 0 and not isinstance(view.value(source), torch.Tensor)


# --- one form after the other -----------------------------------------------------------------------------------------


def _of_logarithms(flow: Dataflow, node: fx.Node) -> Softmax | None:
    """log_softmax(s).exp() and exp(s − logsumexp(s))."""
    view = flow.view
    logs = _without_casts(view, view.op(node).get("input"))
    if logs is None or flow.rewritten_behind(logs, node):
        return None
    op = view.op(logs)
    if op.word == "log_softmax":
        scores, dim = op.get("input"), op.get("dim")
        if isinstance(scores, fx.Node) and isinstance(dim, int):
            return Softmax(logs, node, scores, dim % max(view.tensor(logs).dim(), 1), steps=(logs, node))
    if op.word == "sub" and op.get("alpha", 1) == 1:
        found = _reduction_of(flow, logs, op.get("left"), op.get("right"), ("logsumexp",))
        if found is not None:
            return Softmax(logs, node, op.get("left"), found[0], steps=(logs, *found[1], node))
    return None


def _divided(flow: Dataflow, node: fx.Node) -> Softmax | None:
    """e / e.sum()."""
    view = flow.view
    quotient = quotient_of(view, node)
    if quotient is None:
        return None
    numerator = _without_casts(view, quotient.dividend)
    found = None if numerator is None else _numerator(flow, numerator, node)
    if found is None or numerator is None or view.tensor(numerator).shape != view.tensor(node).shape:
        return None
    total = _reduction_of(flow, node, numerator, quotient.divisor, ("sum",), quotient.inverse)
    if total is None:
        return None
    (exp, kept), (dim, path) = found, total
    steps = (exp, *kept, *path, node)
    return Softmax(exp, node, view.op(exp).get("input"), dim, kept, None, steps, _is_bare(flow, exp, dim))


def _divided_later(flow: Dataflow, node: fx.Node) -> Softmax | None:
    """The e of (e @ v) / e.sum(), where nothing divides e itself."""
    view = flow.view
    totals = [(user, dim) for user in node.users if (dim := _summed_dim(view, user)) is not None]
    if len(totals) != 1 or called(totals[0][0]) != "sum":
        return None
    total, dim = totals[0]
    found = _numerator(flow, node, total)
    if (
        found is None
        or flow.written_after(node)
        or any((parts := quotient_of(view, user)) is not None and parts.dividend is node for user in node.users)
    ):
        return None
    exp, kept = found
    return Softmax(exp, node, view.op(exp).get("input"), dim, kept, total, (exp, *kept), _is_bare(flow, exp, dim))


def _numerator(flow: Dataflow, node: fx.Node, reader: fx.Node) -> tuple[fx.Node, tuple[fx.Node, ...]] | None:
    """Exponentials behind steps that set some of them to 0, as `reader` reads them: the node of exp, and the steps."""
    view = flow.view
    kept: list[fx.Node] = []
    while True:
        node = flow.same_tensor(node, reader) or node  # e.masked_fill_(…) as a statement, e read after it
        if flow.rewritten_behind(node, reader):
            return None
        if view.op(node).word == "exp":
            break
        inner = _exp_behind(view, node)
        if inner is None or len(kept) > 4:
            return None
        kept.insert(0, node)
        node, reader = inner, node
    return (node, tuple(kept)) if isinstance(view.op(node).get("input"), fx.Node) else None


def _exp_behind(view: CanonicalView, node: fx.Node) -> fx.Node | None:
    """The exponentials that a step sets to 0 in places; `node` itself where it is exp; None for other steps."""
    op = view.op(node)
    if op.word == "exp":
        return node
    inner: object = None
    if op.word == "masked_fill" and _is_zero(op.arguments.get("value")):
        inner = op.get("input")
    elif op.word in ("where", "where_method"):
        then, other = op.arguments.get("then"), op.arguments.get("other")
        inner = then if _is_zero(other) else other if _is_zero(then) else None
    elif op.word == "mul":
        sides = [n for n in (op.get("left"), op.get("right")) if isinstance(n, fx.Node)]
        inner = next((n for n in sides if _exp_behind(view, n) is not None), None)
    if not isinstance(inner, fx.Node) or not isinstance(view.value(inner), torch.Tensor):
        return None
    return inner if view.tensor(inner).shape == view.tensor(node).shape and _exp_behind(view, inner) else None


def _masked(view: CanonicalView, node: fx.Node) -> Iterator[fx.Node]:
    """Exponentials, and what steps make of them that set some to 0."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(user for user in node.users if view.op(user).word != "exp" and _exp_behind(view, user) is node)


def _reduction_of(
    flow: Dataflow, at: fx.Node, whole: object, reduced: object, names: tuple[str, ...], inverse: bool = False
) -> tuple[int, tuple[fx.Node, ...]] | None:
    """The dim over which `reduced` reduces `whole`, where at every element of `at` the two are of one row, and the path
    to it; else None."""
    if not isinstance(whole, fx.Node) or not isinstance(reduced, fx.Node):
        return None
    view = flow.view
    sizes = view.shape(at)
    index: Index = tuple(ZERO if s == 1 else Int(symbol(f"x{k}")) for k, s in enumerate(sizes))
    domain = Domain({symbol(f"x{k}"): s for k, s in enumerate(sizes)})
    mine = _broadcast(view, whole, index)
    theirs = _broadcast(view, reduced, index)
    if mine is None or theirs is None or len(mine) != len(sizes):
        return None
    found = reduction(Views(view, domain), reduced, theirs, inverse)
    if found is None or called(found.node) not in names:
        return None
    source = _without_casts(view, _reduced(view, found.node))
    if source is None or source is not _without_casts(view, whole) or not flow.stable(source, found.node, at):
        return None
    dim = _summed_dim(view, found.node)
    assert dim is not None
    return (dim, found.path) if _row(mine, dim) == _row(found.index, dim) and sizes[dim] != 1 else None


def _row(index: Index, dim: int) -> Index:
    return (*index[:dim], *index[dim + 1 :])


def _broadcast(view: CanonicalView, node: fx.Node, index: Index) -> Index | None:
    sizes = view.shape(node)
    if len(sizes) > len(index):
        return None
    return tuple(ZERO if s == 1 else at for s, at in zip(sizes, index[len(index) - len(sizes) :], strict=True))


def _is_bare(flow: Dataflow, exp: fx.Node, dim: int) -> bool:
    """Whether the maximum of a row over the summed dim is not subtracted from what is exponentiated."""
    view = flow.view
    scores = _without_casts(view, view.op(exp).get("input"))
    if scores is None or view.op(scores).word != "sub":
        return True
    op = view.op(scores)
    found = _reduction_of(flow, scores, op.get("left"), op.get("right"), ("max", "amax"))
    return found is None or found[0] != dim


def _reduced(view: CanonicalView, node: fx.Node) -> fx.Node:
    op = view.op(node)
    found = op.get("input", op.get("left"))
    assert isinstance(found, fx.Node)
    return found


def _summed_dim(view: CanonicalView, node: fx.Node) -> int | None:
    """The one dim over which a node is a sum, a maximum or a logsumexp; None for anything else."""
    op = view.op(node)
    if op.word not in ("sum", "amax", "logsumexp", "maximum"):
        return None
    source = op.get("input", op.get("left"))
    dim = op.get("dim", op.get("right") if op.word == "maximum" else None)
    if isinstance(dim, tuple | list) and len(dim) == 1:
        dim = dim[0]
    if not isinstance(dim, int) or not isinstance(source, fx.Node) or not isinstance(view.value(source), torch.Tensor):
        return None
    return dim % max(view.tensor(source).dim(), 1)


def _without_casts(view: CanonicalView, node: object) -> fx.Node | None:
    """The floating-point tensor behind casts to other such types."""
    while isinstance(node, fx.Node) and view.op(node).word == "cast" and _is_floating_point(view, node):
        node = view.op(node).get("input")
    return node if isinstance(node, fx.Node) and _is_floating_point(view, node) else None


def keeps_numbers(view: CanonicalView, cast: fx.Node) -> bool:
    """Whether a cast leaves numbers what they are but for rounding: none becomes whole, a truth value, or infinite in
    float16. Where float32 ends counts as no end."""
    source = view.op(cast).get("input")
    if not isinstance(source, fx.Node) or not all(_is_floating_point(view, node) for node in (source, cast)):
        return False
    before, after = (torch.finfo(view.tensor(node).dtype).max for node in (source, cast))
    return after >= min(before, torch.finfo(torch.bfloat16).max)


def _is_floating_point(view: CanonicalView, node: fx.Node) -> bool:
    value = view.value(node)
    return isinstance(value, torch.Tensor) and value.dtype.is_floating_point


def _is_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _of_ones(evaluator: Evaluator, value: object, index: Index, reader: fx.Node) -> Expr | None:
    """Where a factor of ones and zeros is 1; None of any other factor."""
    if not isinstance(value, fx.Node) or _exp_behind(evaluator.view, value) is not None:
        return None
    found = evaluator.number(value, index, reader)
    if found is None or not is_where(found):
        return None
    keep, *branches = found.args
    values = [branch.value for branch in branches if isinstance(branch, Number)]
    return keep if values == [1, 0] else inverse(keep) if values == [0, 1] else None
