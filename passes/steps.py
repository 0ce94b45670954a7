"""What is done to scores between the curve and softmax, step by step, and the one bias that says all of it.

Biases and masks apart (`ScoreProgram`) are what kernels like; but where a row is left without keys, or one fill meets
another, what softmax sees depends on the order: two lowest numbers are −inf before they are made smaller, a number put
in the place of another takes it away. `replayed` computes that from the same tensors in the same order, as for scores
of 0: a score that is added to it is what the graph has, but where a fill has taken the score's place, beside which it
must be lost in rounding (`score.is_absolute`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch

from .algebra import arithmetic, where
from .expression import Expr, Number
from .rounding import rounded


@dataclass(frozen=True, slots=True)
class Added:
    """A tensor is added."""

    term: Expr


@dataclass(frozen=True, slots=True)
class Kept:
    """Scores of keys where `keep` does not hold become `fill`."""

    keep: Expr
    fill: float


@dataclass(frozen=True, slots=True)
class Scaled:
    """All of it is multiplied by something positive that is the same for all keys."""

    factor: Expr


@dataclass(frozen=True, slots=True)
class Floored:
    """What is smaller becomes `bound`, which no real score is below."""

    bound: float


@dataclass(frozen=True, slots=True)
class Levelled:
    """The maximum of a row's scores is taken off them all. Softmax does not see it, but what follows does in a row
    whose scores are all fills: they are small numbers again."""


ScoreStep: TypeAlias = Added | Kept | Scaled | Floored | Levelled


def undoing(steps: tuple[ScoreStep, ...]) -> int:
    """How many of the first steps may have their −inf taken away by a later one, which puts a number in its place."""
    finite = (
        k for k, s in enumerate(steps) if isinstance(s, Floored) or (isinstance(s, Kept) and math.isfinite(s.fill))
    )
    return max(finite, default=-1) + 1


def replayed(steps: tuple[ScoreStep, ...], dtype: torch.dtype) -> Expr:
    """What becomes of a score of 0 in this dtype."""
    total: Expr = Number(0.0)
    for step in steps:
        match step:
            case Added(term):
                total = arithmetic("add", total, term)
            case Kept(keep, fill):
                total = where(keep, total, Number(fill))
            case Scaled(factor):
                total = arithmetic("mul", total, factor)
            case Floored(bound):
                total = arithmetic("maximum", total, Number(bound))
            case Levelled():
                pass
        total = rounded(total, dtype)
    return total
