"""Where queries, keys and values come from: the best place to read them, behind the views the graph wraps them in.

A contraction reads its operand at some position; following views backwards gives the same element in ever earlier
tensors. Transposes of K cancel out on the way, and a repeat of K and V over query heads shows as h // group.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from .canonical import CanonicalView
from .expression import ZERO, Expr, Index, Int
from .spec import Operand
from .symbols import Roots, places, position, unmerged
from .views import Step


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tensor that could serve as an operand: `group` query heads share one of its heads; `exact` if its dims stand
    in the order [batch, heads…, position, feature]."""

    step: Step
    depth: int
    group: sympy.Expr
    exact: bool

    @property
    def operand(self) -> Operand:
        """The candidate as an operand."""
        return Operand(*self.step)


def candidates(
    view: CanonicalView,
    chain: list[Step],
    roots: Roots,
    row: sympy.Symbol | None,
    features: tuple[sympy.Symbol, ...],
) -> list[Candidate]:
    """Every tensor of a chain of views that holds one row per (batch, head, position) and no more, nearest first."""
    found = []
    for depth, (node, index) in enumerate(chain):
        parts = tuple(part for at in index for part in unmerged(at, roots))
        group = _group(parts, roots, row, features)
        if group is None or not _covered(view.shape(node), index, roots):
            continue
        wanted = [
            position(roots.batch),
            *_heads(roots, group),
            position(row),
            *(map(position, features) if features else (ZERO,)),
        ]
        exact = len(index) == len(wanted) and all(at in (want, ZERO) for at, want in zip(index, wanted, strict=True))
        found.append(Candidate((node, index), depth, group, exact))
    return found


def _covered(sizes: tuple[sympy.Expr, ...], index: Index, roots: Roots) -> bool:
    """Whether every dim is read from end to end: a view that took a part of a longer tensor must not be skipped."""
    runs = [places(at, roots) for at in index]
    return all(run is not None and sympy.expand(run - size) == 0 for run, size in zip(runs, sizes, strict=True))


def _heads(roots: Roots, group: sympy.Expr) -> list[Expr]:
    """The head positions of a tensor whose heads are each shared by `group` query heads."""
    if len(roots.heads) == 1:
        return [grouped(roots.heads[0], group, roots)]
    return [position(h) for h in roots.heads]


def grouped(head: sympy.Symbol, group: sympy.Expr, roots: Roots) -> Expr:
    """h // group; h itself for a group of one, and 0 where all heads share one."""
    if group == 1:
        return Int(head)
    if group == roots.sizes[head]:
        return ZERO
    return Int(sympy.floor(head / group))


def _group(
    index: tuple[Expr, ...], roots: Roots, row: sympy.Symbol | None, features: tuple[sympy.Symbol, ...]
) -> sympy.Expr | None:
    """How many query heads share a head of a tensor read at `index`; None where the tensor is no operand."""
    left = [at for at in index if at != ZERO]
    for needed in (row, *features):
        if needed is not None:
            if Int(needed) not in left:
                return None
            left.remove(Int(needed))
    if roots.batch is not None and Int(roots.batch) in left:
        left.remove(Int(roots.batch))
    heads = list(roots.heads)
    while heads and Int(heads[0]) in left:
        left.remove(Int(heads.pop(0)))
    if not heads:
        return sympy.Integer(1) if not left else None
    if not left:  # the remaining heads all read the same row
        group = sympy.Integer(1)
        for head in heads:
            group *= roots.sizes[head]
        return group
    if len(left) == 1 and len(heads) == 1 and isinstance(left[0], Int) and isinstance(left[0].value, sympy.floor):
        group = sympy.cancel(heads[0] / left[0].value.args[0])
        return group if not group.free_symbols & roots.all else None
    return None


def best(found: list[Candidate], group: sympy.Expr) -> Candidate | None:
    """The nearest candidate of this group whose dims stand in order; failing that the nearest one."""
    same = [c for c in found if c.group == group]
    return next((c for c in same if c.exact), same[0] if same else None)


def shared_group(keys: list[Candidate], values: list[Candidate]) -> sympy.Expr | None:
    """The largest group that both keys and values can be read with; None where they have none in common."""
    common = {c.group for c in keys} & {c.group for c in values}
    whole = sorted((g for g in common if g.is_Integer), key=int, reverse=True)
    return next(iter(whole), next(iter(sorted(common, key=str)), None))
