"""Random attention graphs: whatever is found in them, the rewritten graph computes what the original computes."""

from __future__ import annotations

import os

import torch
from hypothesis import HealthCheck, event, given, settings
from random_attention import IN_PLACE, Plan, checked, inputs, plans

EXAMPLES = int(os.environ.get("HYPERREWRITE_FUZZ", "120"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(plans())
def test_rewritten_equals_original(plan: Plan) -> None:
    findings = checked(plan)
    event(f"{len(findings.sites)} sites, {[r.code.value for r in findings.rejections]}")
    count = 2 if plan.body == "twice" else 1
    assert len(findings.sites) + len(findings.rejections) <= count
    # What is written in place of recorded scores while gradient mode is off has another value than its gradient says.
    in_place = {plan.scale, plan.after, *plan.masks} & {"in_place", "padding_extended", *IN_PLACE}
    is_split = bool(plan.unrecorded and in_place)
    dropped = plan.softmax == "dropped" and (plan.cap or plan.clamp)  # which SDPA cannot say
    undivided = plan.softmax == "later" and (plan.rank != "four" or plan.after or plan.sink or plan.unrecorded)
    # What may forbid a whole row; a sum or a maximum that has no gradient; values without features; a constant tensor.
    given = plan.softmax == "bare" and any("bias" in kind for kind in plan.masks)
    narrow = plan.product == "sums" and plan.e == 1
    constant = plan.operators and plan.clamp == "floor"
    left = dropped or is_split or undivided or given or narrow or constant
    if not plan.odd and len(plan.masks) < 2 and not left:  # two masks' fills may not be joined
        assert len(findings.sites) == count, [r.message for r in findings.rejections]


def test_fuzzing_is_repeatable() -> None:
    """The same plan gives the same tensors."""
    plan = Plan(1, 2, 1, 3, 4, 2, 2, "four", "expand", "matmul", "mT", "div", (), "min", "method",
                "tanh", "both", False, "", "", "plain", "", "", "", False)  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(inputs(plan), inputs(plan), strict=True))
