"""The same calls on a CUDA device: equal to the CPU's float64 oracle, with the same selection for the same seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import LIFTED_KINDS, SMALL, Inputs, lifted_fields, make_inputs, with_lifted
from hyperrewrite.kernels.lifted import Lifted

pytestmark = pytest.mark.gpu

RULES: list[dict[str, Any]] = [
    {"algorithm": "exact"},
    {"algorithm": "exact", "causal_offset": 0},
    {"algorithm": "exact", "causal_offset": 5, "sliding_window": 30},
    {"algorithm": "paper", **SMALL},
    {"algorithm": "paper", "causal_offset": 0, **SMALL},
]


def on_cuda(inputs: Inputs) -> list[torch.Tensor | None]:
    tensors = (inputs.query, inputs.key, inputs.value, inputs.key_mask, inputs.bias)
    tensors += lifted_fields(inputs.lifted or Lifted())
    moved = [None if tensor is None else tensor.detach().cuda() for tensor in tensors]
    return [
        tensor.requires_grad_() if tensor is not None and tensor.is_floating_point() else tensor for tensor in moved
    ]


@pytest.mark.parametrize("rules", RULES, ids=str)
@pytest.mark.parametrize("masked", [0.0, 0.4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_values(rules: dict[str, Any], masked: float, dtype: torch.dtype) -> None:
    for n_q, n_k in ((150, 150), (70, 130)):
        inputs = make_inputs(n_q, n_k, kv_heads=2, features=64, masked=masked).to(dtype)
        want, want_lse = inputs.oracle(scale=0.1, **rules)
        out, lse = torch.ops.hyper.attention(*on_cuda(inputs), scale=0.1, **rules)
        tolerance = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 3e-3}[dtype]
        torch.testing.assert_close(out.cpu().double(), want, atol=tolerance, rtol=tolerance)
        torch.testing.assert_close(lse.cpu().double(), want_lse, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("rules", RULES, ids=str)
@pytest.mark.parametrize("masked", [0.0, 0.4])
def test_gradients(rules: dict[str, Any], masked: float) -> None:
    bias = (4, 150, 150) if rules["algorithm"] == "exact" else None
    inputs = make_inputs(150, kv_heads=2, features=24, masked=masked, bias=bias)
    tensors = on_cuda(inputs)
    out, _ = torch.ops.hyper.attention(*tensors, scale=0.1, **rules)
    want, _ = inputs.oracle(scale=0.1, **rules)
    along = torch.randn(want.shape)
    leaves = [tensor for tensor in tensors if tensor is not None and tensor.requires_grad]
    got = torch.autograd.grad((out * along.cuda()).sum(), leaves)
    for mine, theirs in zip(got, torch.autograd.grad((want * along).sum(), inputs.leaves), strict=True):
        torch.testing.assert_close(mine.cpu().double(), theirs.double(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", LIFTED_KINDS)
@pytest.mark.parametrize("curve", [{}, {"softcap": 3.0}, {"score_min": -0.5, "score_max": 0.7}], ids=str)
@pytest.mark.parametrize("causal", [None, 20])
def test_lifted_masks_and_curves(kind: str, curve: dict[str, float], causal: int | None) -> None:
    """Values and gradients, without one wait for the device."""
    inputs = with_lifted(make_inputs(150, 170, kv_heads=2, features=24, masked=0.3), kind)
    tensors = on_cuda(inputs)
    rules = {"algorithm": "exact", "scale": 0.1, **curve, "causal_offset": causal}
    along = torch.randn(2, 4, 150, 24).cuda()
    leaves = [tensor for tensor in tensors if tensor is not None and tensor.requires_grad]
    torch.ops.hyper.attention(*tensors, **rules)  # loads what is loaded once
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        out, lse = torch.ops.hyper.attention(*tensors, **rules)
        got = torch.autograd.grad((out * along).sum(), leaves)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    want, want_lse = inputs.oracle(**rules)
    torch.testing.assert_close(out.cpu().double(), want, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(lse.cpu().double(), want_lse, atol=1e-4, rtol=1e-4)
    for mine, theirs in zip(got, torch.autograd.grad((want * along.cpu()).sum(), inputs.leaves), strict=True):
        torch.testing.assert_close(mine.cpu().double(), theirs.double(), atol=1e-3, rtol=1e-3)
