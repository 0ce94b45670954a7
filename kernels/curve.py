"""What scores go through between scale·query·key and the bias: a softcap, then a clamp."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Curve:
    """A function of a score.

    softcap    c > 0: the score s becomes c·tanh(s / c); 0 = as it is.
    score_min  then what is less becomes score_min; None: no bound.
    score_max  what is more becomes score_max; None: no bound.
    """

    softcap: float = 0.0
    score_min: float | None = None
    score_max: float | None = None

    def __post_init__(self) -> None:
        """Raise ValueError with one sentence for a value outside its range."""
        if not 0.0 <= self.softcap < math.inf:
            raise ValueError(f"softcap must be 0 (none) or a positive number, not {self.softcap}")
        for name in ("score_min", "score_max"):
            bound = getattr(self, name)
            if bound is not None and math.isnan(bound):
                raise ValueError(f"{name} must be a number or None (no bound), not {bound}")
        if self.score_min is not None and self.score_max is not None and self.score_min > self.score_max:
            raise ValueError(f"score_min must be at most score_max, not {self.score_min} beside {self.score_max}")

    @property
    def is_straight(self) -> bool:
        """Scores stay as they are."""
        return not self.softcap and self.score_min is None and self.score_max is None

    def bend_(self, scores: Tensor) -> Tensor:
        """The curve at the scores, which are written over."""
        if self.softcap:
            scores.div_(self.softcap).tanh_().mul_(self.softcap)
        if self.score_min is not None or self.score_max is not None:
            scores.clamp_(self.score_min, self.score_max)
        return scores

    def bend_with_slope_(self, scores: Tensor) -> tuple[Tensor, Tensor | None]:
        """The same, and the curve's derivative at the scores (None: 1); at a bound that of torch.clamp, as inside."""
        slope = None
        if self.softcap:
            scores.div_(self.softcap).tanh_().mul_(self.softcap)
            slope = torch.addcmul(scores.new_ones(()), scores, scores, value=-1.0 / self.softcap**2)  # 1 − tanh²
        for bound, is_outside in ((self.score_min, torch.lt), (self.score_max, torch.gt)):
            if bound is not None:
                slope = torch.ones_like(scores) if slope is None else slope
                slope.masked_fill_(is_outside(scores, bound), 0.0)
        if self.score_min is not None or self.score_max is not None:
            scores.clamp_(self.score_min, self.score_max)
        return scores, slope


STRAIGHT = Curve()
