"""Regions: the nodes a site is made of, with their memory."""

from __future__ import annotations

import torch
from torch import Tensor

import hyperrewrite


def test_parts_of_a_mask_are_views() -> None:
    """What chunk and unbind give are tuples; a part of one shares the memory of what was taken apart."""

    def model(q: Tensor, k: Tensor, v: Tensor, masks: Tensor) -> Tensor:
        first = masks.chunk(2, dim=0)[1]
        second = masks.unbind(0)[0]
        return torch.softmax(q @ k.mT + first + second, -1) @ v

    report = hyperrewrite.explain(model, *(torch.randn(2, 4, 63, 8) for _ in range(3)), torch.randn(2, 63, 63))
    steps = {step.name: step for step in report.sites[0].before}
    parts = [step for step in steps.values() if any(n.startswith(("chunk", "unbind")) for n in step.inputs)]
    assert len(parts) == 2
    assert [part.bytes for part in parts] == [0, 0]
