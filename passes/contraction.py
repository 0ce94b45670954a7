"""Products of two tensors as labelled contractions: matmul of any rank, bmm, two-operand einsum, tensordot, F.linear of
two computed tensors, and the sum over a dim of a product of elements are one thing.

Each dim of the operands and of the result carries a label; the labels say which dims are batch, which belong to one
operand only, and which are summed over. Nothing about attention is known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import fx

from .canonical import CanonicalView, Op, einsum_operands
from .einx import product_axes
from .expression import ZERO, Expr, Index

WORDS = frozenset(("matmul", "baddbmm", "einsum", "einx_dot", "tensordot"))
ONE = ""  # the label of a dim of size 1 that goes with any place of the other operand


@dataclass(frozen=True, slots=True)
class Contraction:
    """out[labels] = Σ left[labels]·right[labels], over every label that `out` lacks; labels align with the dims."""

    node: fx.Node
    left: fx.Node
    right: fx.Node
    left_labels: tuple[str, ...]
    right_labels: tuple[str, ...]
    out_labels: tuple[str, ...]

    @property
    def summed(self) -> tuple[str, ...]:
        """Labels that are summed over."""
        every = dict.fromkeys(self.left_labels + self.right_labels)
        return tuple(k for k in every if k not in self.out_labels and k != ONE)

    def only(self, mine: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
        """Result labels that only one operand has."""
        return tuple(k for k in mine if k in self.out_labels and k not in theirs)

    def position(self, labels: tuple[str, ...], at: dict[str, Expr], sizes: tuple[object, ...]) -> Index:
        """Position in an operand, given where each label stands; a broadcast dim stands at 0."""
        return tuple(ZERO if size == 1 else at[label] for label, size in zip(labels, sizes, strict=True))


def contraction_of(view: CanonicalView, node: fx.Node) -> Contraction | None:
    """The node as a labelled contraction of two tensors; None where it is none, or one that cannot be labelled."""
    op = view.op(node)
    if op.word in ("matmul", "baddbmm"):
        left, right = op.get("left"), op.get("right")
        if not _tensors(view, left, right):
            return None
        ranks = view.tensor(left).dim(), view.tensor(right).dim()
        if min(ranks) < 2:
            return None
        rank = max(ranks)
        batch = tuple(f"batch{k}" for k in range(rank - 2))
        return Contraction(
            node,
            left,
            right,
            (*batch[rank - ranks[0] :], "row", "sum"),
            (*batch[rank - ranks[1] :], "sum", "column"),
            (*batch, "row", "column"),
        )
    read = _READERS.get(op.word)
    return None if read is None else read(view, node, op)


def is_weight(view: CanonicalView, node: fx.Node) -> bool:
    """Whether a tensor is a parameter of a module, or a view or cast of one."""
    while node.op in ("call_function", "call_method") and len(node.all_input_nodes) == 1:
        node = node.all_input_nodes[0]
    return node.op == "get_attr" or isinstance(view.value(node), torch.nn.Parameter)


def adds(view: CanonicalView, node: fx.Node) -> bool:
    """Whether a product adds something to what its operands give: baddbmm, F.linear with a bias."""
    op = view.op(node)
    if op.word == "baddbmm":
        return op.get("beta", 1) != 0 or op.get("alpha", 1) != 1
    return op.word == "linear" and op.get("bias") is not None


def _einx(view: CanonicalView, node: fx.Node, op: Op) -> Contraction | None:
    operands, axes = op.get("operands", ()), product_axes(op.get("equation"))
    if axes is None or len(operands) != 2 or not _tensors(view, *operands):
        return None
    ranks = [view.tensor(n).dim() for n in (*operands, node)]
    if ranks != [len(side) for side in axes]:
        return None
    return Contraction(node, operands[0], operands[1], *axes)


def _linear(view: CanonicalView, node: fx.Node, op: Op) -> Contraction | None:
    """F.linear(a, b) is a @ b.T; of a layer's weight it is no product of two computed tensors."""
    left, right = op.get("input"), op.get("weight")
    if not _tensors(view, left, right) or is_weight(view, right):
        return None
    rank = view.tensor(left).dim()
    if rank < 2 or view.tensor(right).dim() != 2:
        return None
    rows = (*(f"batch{k}" for k in range(rank - 2)), "row")
    return Contraction(node, left, right, (*rows, "sum"), ("column", "sum"), (*rows, "column"))


def _tensordot(view: CanonicalView, node: fx.Node, op: Op) -> Contraction | None:
    left, right, dims = op.get("left"), op.get("right"), op.get("dims", 2)
    if op.get("dims_self") is not None:
        dims = op.get("dims_self"), op.get("dims_other")
    if not _tensors(view, left, right):
        return None
    ranks = view.tensor(left).dim(), view.tensor(right).dim()
    if isinstance(dims, int):
        dims = (range(ranks[0] - dims, ranks[0]), range(dims))
    if len(dims) != 2:
        return None
    mine, theirs = ([d % rank for d in side] for side, rank in zip(dims, ranks, strict=True))
    labels = [[f"left{k}" for k in range(ranks[0])], [f"right{k}" for k in range(ranks[1])]]
    for a, b in zip(mine, theirs, strict=True):
        labels[1][b] = labels[0][a]
    out = [k for d, k in enumerate(labels[0]) if d not in mine] + [
        k for d, k in enumerate(labels[1]) if d not in theirs
    ]
    return Contraction(node, left, right, tuple(labels[0]), tuple(labels[1]), tuple(out))


def _summed_product(view: CanonicalView, node: fx.Node, op: Op) -> Contraction | None:
    """(a * b).sum(dim) where each operand has a dim that the other lacks: q[..., :, None, :] * k[..., None, :, :]."""
    product, dims = op.get("input"), op.get("dim")
    if not isinstance(product, fx.Node) or view.op(product).word != "mul" or op.get("keepdim", False):
        return None
    inner = view.op(product)
    left, right = inner.get("left"), inner.get("right")
    if not _tensors(view, left, right) or left is right or inner.in_place:
        return None
    rank = view.tensor(product).dim()
    dims = {d % rank for d in ((dims,) if isinstance(dims, int) else dims or ())}
    if not dims:
        return None
    labels = [f"dim{k}" for k in range(rank)]
    sides: list[tuple[str, ...]] = []
    for operand in (left, right):
        sizes = view.tensor(operand).shape
        own = labels[rank - len(sizes) :]
        whole = view.tensor(product).shape[rank - len(sizes) :]
        sides.append(tuple(ONE if s == 1 and w != 1 else k for s, w, k in zip(sizes, whole, own, strict=True)))
    if not all(labels[d] in side for d in dims for side in sides):
        return None  # what only one operand has is summed apart
    mine, theirs = sides
    if not set(mine) - set(theirs) - {ONE} or not set(theirs) - set(mine) - {ONE}:
        return None  # a weighted sum
    return Contraction(node, left, right, mine, theirs, tuple(k for d, k in enumerate(labels) if d not in dims))


def _tensors(view: CanonicalView, *nodes: object) -> bool:
    return all(isinstance(n, fx.Node) and isinstance(view.value(n), torch.Tensor) for n in nodes)


def _einsum(view: CanonicalView, node: fx.Node, op: Op) -> Contraction | None:
    equation, operands = op.get("equation"), einsum_operands(op)
    if not isinstance(equation, str) or len(operands) != 2 or not _tensors(view, *operands):
        return None
    text = equation.replace(" ", "")
    terms, arrow, out = text.partition("->")
    if not arrow or terms.count(",") != 1:
        return None
    sides = [_letters(side, view.tensor(n).dim()) for side, n in zip(terms.split(","), operands, strict=True)]
    result = _letters(out, view.tensor(node).dim())
    if result is None or any(s is None or len(set(s)) != len(s) for s in sides):
        return None
    left, right = sides
    assert left is not None and right is not None
    if not set(result) <= set(left) | set(right):
        return None
    return Contraction(node, operands[0], operands[1], left, right, result)


def _letters(term: str, rank: int) -> tuple[str, ...] | None:
    """Labels of one term; an ellipsis stands for as many right-aligned batch dims as the rank leaves."""
    head, dots, tail = term.partition("...")
    spare = rank - len(head) - len(tail)
    if spare < 0 or (not dots and spare):
        return None
    return (*head, *(f"...{k}" for k in range(spare - 1, -1, -1)), *tail) if dots else tuple(head)


_READERS: dict[str, Callable[[CanonicalView, fx.Node, Op], Contraction | None]] = {
    "einsum": _einsum,
    "einx_dot": _einx,
    "linear": _linear,
    "tensordot": _tensordot,
    "sum": _summed_product,
}
