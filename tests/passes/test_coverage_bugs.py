"""What benchmarks/coverage.py found in transformers models, each as small as it gets."""

from __future__ import annotations

import pytest
import sympy
import torch
from graphs import Backend, assert_same, capture, run
from hyperrewrite.passes.domain import Remainder
from hyperrewrite.passes.regroup import recombined
from torch import Tensor


def shifted_windows(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """maskformer-swin: batch·windows is taken apart for the mask of the windows, and merged again."""
    scores = q @ k.transpose(-1, -2) / 4.0
    scores = scores.view(2, 3, 2, 6, 6) + mask[None, :, None]
    return torch.softmax(scores.view(-1, 2, 6, 6), dim=-1) @ v


def mask_by_einsum(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """xlnet: positions come first, and an einsum of one operand turns the mask round."""
    scores = torch.einsum("ibnd,jbnd->bnij", q, k) * 0.25
    scores = scores - 1e30 * torch.einsum("ijbn->bnij", mask)
    return torch.einsum("bnij,jbnd->ibnd", torch.softmax(scores, dim=3), v)


def _tensors(*shape: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(*shape, generator=generator) for _ in range(3))


CASES = {
    "shifted_windows": (shifted_windows, lambda: (*_tensors(6, 2, 6, 16), 3 * _tensors(3, 6, 6)[0])),
    "mask_by_einsum": (mask_by_einsum, lambda: (*_tensors(6, 2, 3, 16), (_tensors(6, 6, 2, 1)[0] > 0.5).float())),
}


@pytest.mark.parametrize("name", CASES)
def test_found_and_right(name: str) -> None:
    function, inputs = CASES[name]
    args = inputs()
    findings = capture(function, args).findings()
    assert [str(r.code) for r in findings.rejections] == []
    assert len(findings.sites) == 1
    for backend in (Backend(), Backend(op=True)):
        assert_same(run(function, args, backend), run(function, args))


def test_recombined_only_what_belongs_together() -> None:
    b, h = sympy.symbols("b h", integer=True, nonnegative=True)
    assert recombined(64 * sympy.floor(b / 64) + Remainder(b, 64)) == b
    assert recombined(128 * sympy.floor(b / 64) + 2 * Remainder(b, 64) + h) == 2 * b + h
    for value in (32 * sympy.floor(b / 64) + Remainder(b, 64), 64 * sympy.floor(h / 64) + Remainder(b, 64)):
        assert recombined(value) == value
