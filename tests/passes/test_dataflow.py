"""Who is computed from whom, however far behind."""

from __future__ import annotations

import pytest
import torch
from graphs import capture
from hyperrewrite.passes.canonical import CanonicalView
from hyperrewrite.passes.dataflow import Dataflow
from hyperrewrite.passes.spec import RejectionCode
from torch import Tensor


def test_comes_from() -> None:
    def call(x: Tensor) -> Tensor:
        left, right = x.sin(), x.cos()
        return left.exp() + right

    view = CanonicalView(capture(call, (torch.randn(3),)).module)
    flow = Dataflow(view)
    x, left, right, raised, total, _ = view.nodes
    assert {n for n in view.nodes if flow.comes_from(n, x)} == {left, right, raised, total, view.nodes[-1]}
    assert {n for n in view.nodes[:-1] if flow.comes_from(n, left)} == {raised, total}
    assert not flow.comes_from(x, total) and not flow.comes_from(left, left) and not flow.comes_from(raised, right)


@pytest.mark.parametrize("steps", [1, 250])
def test_a_bias_made_from_the_scores_is_known_however_far_behind(steps: int) -> None:
    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = own = q @ k.mT
        for _ in range(steps):
            own = own.sin() + own.cos()
        return torch.softmax(scores + own.sin(), -1) @ v

    findings = capture(call, tuple(torch.randn(2, 3, 8, 4) for _ in range(3))).findings()
    (rejection,) = findings.rejections
    assert rejection.code is RejectionCode.UNSUPPORTED_SCORE
    assert "made from the scores" in rejection.message
