"""Products of two tensors as labelled contractions: matmul of any rank, bmm and two-operand einsum are one thing.

Each dim of the operands and of the result carries a label; the labels say which dims are batch, which belong to one
operand only, and which are summed over. Nothing about attention is known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx

from .canonical import CanonicalView, einsum_operands
from .expression import ZERO, Expr, Index

WORDS = frozenset(("matmul", "baddbmm", "einsum"))


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
        return tuple(k for k in dict.fromkeys(self.left_labels + self.right_labels) if k not in self.out_labels)

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
    if op.word == "einsum":
        return _einsum(view, node)
    return None


def _tensors(view: CanonicalView, *nodes: object) -> bool:
    return all(isinstance(n, fx.Node) and isinstance(view.value(n), torch.Tensor) for n in nodes)


def _einsum(view: CanonicalView, node: fx.Node) -> Contraction | None:
    op = view.op(node)
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
