"""All rules of the evaluator: word → how an element of its result is read."""

from __future__ import annotations

from . import rules_constants, rules_masks, rules_numbers, rules_places, rules_scores
from .evaluate import Rule

RULES: dict[str, Rule] = {
    **rules_constants.RULES,
    **rules_places.RULES,
    **rules_numbers.RULES,
    **rules_masks.RULES,
    **rules_scores.RULES,
}
