"""What a call of exact attention asks of its scores and pairs, and the Triton functions that say it.

A `Rule` has no numbers and no tensors: softcap 30 and softcap 50 are one rule, so one source and one compiled kernel.
`source` writes it as a module of at most six small functions, which the kernels of `exact.py` and `spans.py` inline.
Imports no Triton.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import torch
from jinja2 import Environment, StrictUndefined

from ..call import AttentionCall

TEMPLATE = "rule.py.j2"
LOG2_E = 1.4426950408889634
MOST_ROUGH = 1000.0  # a softcap multiplies what the quick tanh is off by, 5e-7: what half precision does not see
LEAST_SCALE = 1e-30  # that softmax multiplies by: times −inf it must stay −inf, even as a float32 that GPUs flush to 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Which parts a call has; what they are is said in `AttentionCall`, `Curve` and `Lifted`.

    causal, window, first_key, stop_key   limits of the keys that a query reads.
    key_mask, groups                      the rest of the mask; groups: columns that must agree.
    bias                                  is added.
    softcap, score_min, score_max         the curve.
    precise                               tanh to the last digits of float32, not of half precision: float32 inputs, or
                                          a softcap so high that it would show.
    scaled                                scores are multiplied by the scale before softmax sees them, which multiplies
                                          by a positive one itself where nothing else is done to them.
    """

    causal: bool = False
    window: bool = False
    first_key: bool = False
    stop_key: bool = False
    key_mask: bool = False
    groups: int = 0
    bias: bool = False
    softcap: bool = False
    score_min: bool = False
    score_max: bool = False
    precise: bool = False
    scaled: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a window without causality."""
        if self.window and not self.causal:
            raise ValueError("a window needs causality")

    @staticmethod
    def of(
        call: AttentionCall,
        dtype: torch.dtype,
        *,
        key_mask: bool = False,
        bias: bool = False,
        first_key: bool = False,
        stop_key: bool = False,
        groups: int = 0,
    ) -> Rule:
        """The rule of a call whose queries are of `dtype` and which is given these tensors."""
        curve = call.curve
        is_plain = curve.is_straight and not bias
        return Rule(
            causal=call.causal_offset is not None,
            window=call.sliding_window is not None,
            first_key=first_key,
            stop_key=stop_key,
            key_mask=key_mask,
            groups=groups,
            bias=bias,
            softcap=curve.softcap > 0.0,
            score_min=curve.score_min is not None,
            score_max=curve.score_max is not None,
            precise=curve.softcap > (MOST_ROUGH if dtype in (torch.float16, torch.bfloat16) else 0.0),
            scaled=not curve.softcap and not (is_plain and call.scale > LEAST_SCALE),
        )

    @property
    def has_range(self) -> bool:
        """Queries read keys between limits of their own."""
        return self.causal or self.first_key or self.stop_key

    @property
    def has_first(self) -> bool:
        """Some query may not read the first keys."""
        return self.window or self.first_key

    @property
    def has_keep(self) -> bool:
        """Between the limits, too, pairs may be left out."""
        return self.key_mask or self.groups > 0

    @property
    def has_late_unit(self) -> bool:
        """Scores may be so large that they must lose their maximum before softmax multiplies them."""
        return self.bias or self.score_min or self.score_max

    @property
    def has_gaps(self) -> bool:
        """Amid the keys there may be some that no query reads, for another reason than the key mask."""
        return self.first_key or self.stop_key or self.groups > 0

    def numbers(self, call: AttentionCall) -> dict[str, float]:
        """Those of the curve as the source names them: in the units in which `score` returns, or what leads there."""
        curve, scale = call.curve, call.scale
        # What softmax multiplies by: `score` returns tanh alone, or the product alone.
        height = 1.0 if self.bias else curve.softcap if self.softcap else 1.0 if self.scaled else scale
        over = 1.0 if self.bias or not self.softcap else curve.softcap
        steep = scale / curve.softcap if self.softcap else 0.0
        return {
            "unit": height * LOG2_E,
            "scale": scale,
            "ratio": steep if self.precise else steep * 2.0 * LOG2_E,
            "softcap": curve.softcap,
            "score_min": (curve.score_min or 0.0) / over,
            "score_max": (curve.score_max or 0.0) / over,
        }

    def formula(self) -> str:
        """score(i, j) of query i and key j."""
        score = "scale · q_i · k_j"
        if self.softcap:
            score = f"softcap · tanh({score} / softcap)"
        if self.score_min:
            score = f"max({score}, score_min)"
        if self.score_max:
            score = f"min({score}, score_max)"
        return score + (" + bias_ij" if self.bias else "")

    def conditions(self) -> list[str]:
        """All of what must hold for query i to read key j."""
        found = []
        if self.causal:
            found.append("j <= i + offset")
        if self.window:
            found.append("j > i + offset − window")
        if self.first_key:
            found.append("j >= first_key_i")
        if self.stop_key:
            found.append("j < stop_key_i")
        if self.key_mask:
            found.append("key_mask_j")
        if self.groups == 1:
            found.append("query_group_i == key_group_j")
        elif self.groups:
            found.append(f"query_group_ic == key_group_jc for all {self.groups} columns c")
        return found

    def in_words(self) -> str:
        """ "causal, sliding window, softcap"."""
        return ", ".join(self._words()) or "every key"

    def _words(self) -> Iterator[str]:
        if self.causal:
            yield "causal"
        if self.window:
            yield "sliding window"
        if self.first_key or self.stop_key:
            yield "key ranges"
        if self.key_mask:
            yield "key mask"
        if self.groups:
            yield "groups"
        if self.softcap:
            yield "softcap"
        if self.score_min or self.score_max:
            yield "clamp"
        if self.bias:
            yield "bias"


@functools.cache
def source(rule: Rule) -> str:
    """The rule as a Python module of Triton functions. Nothing in it comes from a user but which parts there are."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    text = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(text).render(rule=rule, columns=range(rule.groups))
