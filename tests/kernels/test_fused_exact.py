"""The fused kernel of exact attention, interpreted, against the dense oracle: every mask and curve, odd shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import LIFTED_KINDS, Inputs, make_inputs, with_lifted

pytest.importorskip("triton")
from hyperrewrite.kernels.fused import launch_exact
from hyperrewrite.kernels.fused.config import Phase
from poisoned import poison  # noqa: F401  (fixture)
from torch import Tensor

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="interpreted only where there is no GPU")
ROWS, PHASE = 32, Phase(32, 4)


def fused(inputs: Inputs, **rules: Any) -> tuple[Tensor, Tensor]:
    tensors = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    bias = None if inputs.bias is None else inputs.bias.detach()
    call = inputs.call(algorithm="exact", **rules)
    return launch_exact.exact(*tensors, inputs.key_mask, bias, inputs.lifted, call, ROWS, PHASE)


def check(inputs: Inputs, tolerance: float = 1e-5, **rules: Any) -> None:
    want, want_lse = inputs.oracle(algorithm="exact", **rules)
    out, lse = fused(inputs, **rules)
    torch.testing.assert_close(out.double(), want, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(lse.double(), want_lse, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    ("n_q", "n_k", "features", "value_features", "rules"),
    [
        (63, 63, 40, 40, {}),
        (111, 70, 80, 24, {"causal_offset": 0}),
        (40, 111, 96, 96, {"causal_offset": 71, "sliding_window": 20}),
        (70, 50, 16, 130, {"causal_offset": -30}),  # queries that see no key
    ],
)
@pytest.mark.parametrize("masked", [0.0, 0.4])
def test_positions(
    n_q: int, n_k: int, features: int, value_features: int, rules: dict[str, int], masked: float
) -> None:
    inputs = make_inputs(
        n_q, n_k, kv_heads=2, features=features, value_features=value_features, masked=masked, strided=masked > 0
    )
    check(inputs, scale=0.3, **rules)


@pytest.mark.parametrize("kind", LIFTED_KINDS)
@pytest.mark.parametrize("rows", [1, 2])
def test_lifted_masks(kind: str, rows: int) -> None:
    inputs = with_lifted(make_inputs(70, 90, kv_heads=2, features=24, masked=0.3), kind, rows)
    check(inputs, scale=0.3, causal_offset=20)


@pytest.mark.parametrize(
    "curve",
    [{"softcap": 3.0}, {"softcap": 50.0}, {"score_min": -0.5, "score_max": 0.7}, {"softcap": 2.0, "score_max": 1.5}],
    ids=str,
)
def test_curves(curve: dict[str, float]) -> None:
    check(make_inputs(50, 70, kv_heads=2, features=24), scale=0.8, **curve)


@pytest.mark.parametrize("shape", [(50, 70), (4, 1, 70), (2, 1, 50, 1), (2, 4, 50, 70)])
def test_biases(shape: tuple[int, ...]) -> None:
    check(make_inputs(50, 70, kv_heads=2, features=24, bias=shape), scale=0.3, causal_offset=20)


def test_a_row_at_the_types_minimum_is_an_average() -> None:
    """finfo.min is no −inf: such a row of scores has weights, all alike."""
    inputs = make_inputs(40, 40, features=16, bias=(40, 40))
    assert inputs.bias is not None
    with torch.no_grad():
        inputs.bias[7] = torch.finfo(torch.float32).min
        inputs.bias[9] = float("-inf")
    out, lse = fused(inputs, scale=0.3)
    torch.testing.assert_close(out[:, :, 7], inputs.value.detach().mean(2), atol=1e-5, rtol=1e-5)
    assert torch.equal(out[:, :, 9], torch.zeros_like(out[:, :, 9]))
    assert torch.equal(lse[:, :, 9], torch.full_like(lse[:, :, 9], float("-inf")))


def test_keys_that_nobody_sees_may_hold_anything() -> None:
    inputs = with_lifted(make_inputs(60, 60, features=16, masked=0.4), "range")
    rules = {"scale": 0.3, "causal_offset": 0}
    want = fused(inputs, **rules)
    assert inputs.key_mask is not None and inputs.lifted is not None
    keep = inputs.lifted.keep(0, 60, 0, 60)
    assert keep is not None
    causal = torch.arange(60) <= torch.arange(60)[:, None]
    seen = (keep & causal & inputs.key_mask[:, None, None, :]).any(-2)  # [B, 1, n_k]
    assert not bool(seen.all())
    with torch.no_grad():
        for tensor in (inputs.key, inputs.value):
            tensor.masked_fill_(~seen.unsqueeze(-1), float("nan"))
    for mine, theirs in zip(fused(inputs, **rules), want, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_half_precision() -> None:
    inputs = with_lifted(make_inputs(70, kv_heads=2, features=40), "packed").to(torch.float16)
    check(inputs, 4e-3, scale=0.3, causal_offset=0, softcap=5.0)
