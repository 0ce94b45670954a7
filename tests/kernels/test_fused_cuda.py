"""The fused kernels on a GPU: against the slow definition, without a wait for the device, captured in a CUDA graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import LIFTED_KINDS, make_inputs, with_lifted
from captured import check_captured
from hyperrewrite.kernels import engine
from hyperrewrite.kernels.lifted import Lifted

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("error:a Triton kernel failed")]

HYPER: dict[str, Any] = {"algorithm": "hyper", "min_seq_len": 8, "threshold": 0.02}


@pytest.mark.parametrize("causal", [True, False])
def test_gradients(causal: bool) -> None:
    inputs = make_inputs(1000, heads=4, kv_heads=2, features=64)
    rules = {**HYPER, "scale": 0.2, "causal_offset": 0 if causal else None}
    tensors = [tensor.detach().cuda().requires_grad_() for tensor in (inputs.query, inputs.key, inputs.value)]
    out, _ = torch.ops.hyper.attention(*tensors, **rules)
    along = torch.randn(out.shape)
    want, _ = inputs.oracle(**rules)
    got = torch.autograd.grad((out * along.cuda()).sum(), tensors)
    for mine, theirs in zip(got, torch.autograd.grad((want * along).sum(), inputs.leaves), strict=True):
        assert float((mine.cpu().double() - theirs.double()).norm() / theirs.double().norm()) < 0.02


def test_no_wait_and_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [torch.randn(1, 8, 5000, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3)]
    rules = {"algorithm": "hyper", "min_seq_len": 4096, "scale": 0.125, "causal_offset": 0}
    monkeypatch.setattr(engine, "make_plan", lambda *_: pytest.fail("the portable path ran"))
    check_captured(lambda: torch.ops.hyper.attention(*tensors, **rules))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("kind", LIFTED_KINDS)
@pytest.mark.parametrize("curve", [{}, {"softcap": 3.0}, {"score_min": -0.5, "score_max": 0.7}], ids=str)
def test_exact_with_masks_and_curves(dtype: torch.dtype, kind: str, curve: dict[str, float]) -> None:
    from hyperrewrite.kernels.fused import launch_exact

    inputs = with_lifted(make_inputs(300, 350, kv_heads=2, features=64, masked=0.3, bias=(4, 300, 350)), kind).to(dtype)
    assert inputs.lifted is not None and inputs.key_mask is not None and inputs.bias is not None
    rules = {"algorithm": "exact", "scale": 0.1, **curve, "causal_offset": 50}
    moved = [tensor.detach().cuda() for tensor in (inputs.query, inputs.key, inputs.value)]
    masks = (inputs.lifted.first_key, inputs.lifted.stop_key, inputs.lifted.query_group, inputs.lifted.key_group)
    sides = [None if side is None else side.cuda() for side in masks]
    out, lse = launch_exact.exact(
        *moved, inputs.key_mask.cuda(), inputs.bias.detach().cuda(), Lifted(*sides), inputs.call(**rules)
    )  # fmt: skip
    want, want_lse = inputs.oracle(**rules)
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-4
    torch.testing.assert_close(out.cpu().double(), want, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(lse.cpu().double(), want_lse, atol=tolerance, rtol=tolerance)


def test_more_numbers_than_an_int32_counts() -> None:
    """2.2·10⁹ numbers a tensor: the last rows of the last head are those of a call of their own."""
    n, heads, window, rows = 1_100_000, 32, 64, 500
    if torch.cuda.get_device_properties(0).total_memory < 30 * 2**30:
        pytest.skip("takes 20 GiB")
    generator = torch.Generator("cuda").manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, n, 64, device="cuda", dtype=torch.bfloat16, generator=generator) for _ in range(3)
    )
    rules: dict[str, Any] = {"algorithm": "exact", "scale": 0.125, "sliding_window": window}
    out, lse = torch.ops.hyper.attention(query, key, value, causal_offset=0, **rules)
    last = [tensor[:, -1:, -rows - window :].contiguous() for tensor in (key, value)]
    want, want_lse = torch.ops.hyper.attention(query[:, -1:, -rows:], *last, causal_offset=window, **rules)
    torch.testing.assert_close(out[:, -1:, -rows:], want, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(lse[:, -1:, -rows:], want_lse, atol=1e-3, rtol=1e-3)
    assert bool(want.isfinite().all())
