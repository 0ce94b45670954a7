"""The fused kernel of exact attention, interpreted, against the dense oracle: every mask and curve, odd shapes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from attention_cases import LIFTED_KINDS, Inputs, make_inputs, with_lifted

pytest.importorskip("triton")
from hyperrewrite.kernels.fused import launch_exact
from hyperrewrite.kernels.fused.arguments import precision_of
from hyperrewrite.kernels.fused.config import Phase
from hyperrewrite.kernels.fused.generated import module_of
from hyperrewrite.kernels.lifted import Lifted
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


@pytest.mark.parametrize("scale", [-0.3, 0.0])
def test_scales_that_softmax_cannot_multiply_by(scale: float) -> None:
    check(make_inputs(70, 90, features=16), scale=scale, causal_offset=-5)


def test_numbers_above_the_curve() -> None:
    """tanh is ±1 there, and a clamp holds the scores that softcap left."""
    inputs = make_inputs(50, 70, features=24)
    check(inputs, scale=60.0, softcap=4.0)
    check(inputs, scale=60.0, softcap=4.0, score_min=-1.0, score_max=2.0)
    check(make_inputs(50, 70, features=24, bias=(50, 70)), scale=2.0, softcap=4.0, score_min=-1.0, score_max=2.0)


# --- blocks without a mask, and at the edges ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"causal_offset": 0},
        {"causal_offset": 60, "sliding_window": 200},
        {"causal_offset": 0, "sliding_window": 33, "softcap": 4.0},
        {"causal_offset": -130},
    ],
    ids=str,
)
def test_many_blocks(rules: dict[str, Any]) -> None:
    check(make_inputs(300, 360, batch=1, heads=2, kv_heads=1, features=16), scale=0.3, **rules)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("masked", [0.0, 0.3])
def test_long_documents(rows: int, masked: float) -> None:
    """Sorted groups, which leave whole blocks to look at without a mask, and others of which nothing is read."""
    inputs = make_inputs(400, heads=2, features=16, masked=masked)
    ids = torch.stack([torch.arange(400) // 150 - 1, torch.arange(400) // 97])[:rows, :, None]
    check(replace(inputs, lifted=Lifted(query_group=ids, key_group=ids.int())), scale=0.3, causal_offset=0)


def test_padding_on_both_sides() -> None:
    inputs = make_inputs(300, heads=2, features=16)
    at = torch.arange(300)
    mask = torch.stack([(at >= 70) & (at < 290), at < 130])
    check(replace(inputs, key_mask=mask), scale=0.3)
    check(replace(inputs, key_mask=mask), scale=0.3, causal_offset=0)
    check(replace(inputs, key_mask=mask[1:]), scale=0.3, causal_offset=0, sliding_window=100)


def test_groups_that_differ_in_high_bits_alone() -> None:
    inputs = make_inputs(70, heads=2, features=16)
    ids = (torch.arange(70) % 3)[None, :, None] << 33
    check(replace(inputs, lifted=Lifted(query_group=ids, key_group=ids)), scale=0.3)
    far = torch.tensor([-(2**63), 2**63 - 1])[torch.arange(70) % 2][None, :, None]
    check(replace(inputs, lifted=Lifted(query_group=far, key_group=far)), scale=0.3)


def test_keys_beyond_the_last_query_may_hold_anything() -> None:
    inputs = make_inputs(40, 100, heads=2, features=16)
    want = fused(inputs, scale=0.3, causal_offset=3)
    with torch.no_grad():
        inputs.key[:, :, 43:] = float("nan")
        inputs.value[:, :, 43:] = float("nan")
    for mine, theirs in zip(fused(inputs, scale=0.3, causal_offset=3), want, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_no_keys_at_all() -> None:
    inputs = make_inputs(40, 0, heads=2, features=16)
    out, lse = fused(inputs, scale=0.3)
    assert not bool(out.any()) and bool((lse == float("-inf")).all())


@pytest.mark.parametrize("kind", ["range", "packed", "strewn", "all"])
def test_spans_hold_every_pair(kind: str) -> None:
    """No pair that counts is outside a tile's blocks; every pair of the inner ones counts."""
    inputs = with_lifted(make_inputs(200, heads=1, features=16, masked=0.01), kind, 2)
    told, mask = inputs.lifted, inputs.key_mask
    assert told is not None and mask is not None
    call = inputs.call(algorithm="exact", causal_offset=10)
    rule = launch_exact.rule_of(inputs.query, mask, None, told, call)
    made = module_of(rule)
    given = launch_exact.given_of(made, rule, mask, None, told, call)
    span = launch_exact.spans_of(made, given, 2, 200, 200, ROWS, PHASE.keys, inputs.query.device)
    keep = told.keep(0, 200, 0, 200)
    assert keep is not None
    keep = keep[:, 0] & mask[:, None] & (torch.arange(200) <= torch.arange(200)[:, None] + 10)  # [B, n_q, n_k]
    read = launch_exact.read_of(made, given, span, 200, 200, ROWS, PHASE.keys)
    assert torch.equal(read.bool(), keep.any(1))
    inner = 0
    for batch, tile in product(range(2), range(-(-200 // ROWS))):
        low, inner_low, inner_high, high = (span[batch, tile] * PHASE.keys).tolist()
        rows = keep[batch, tile * ROWS : (tile + 1) * ROWS]
        assert not bool(rows[:, :low].any()) and not bool(rows[:, high:].any())
        rows = rows[rows.any(1)]
        assert bool(rows[:, inner_low:inner_high].all())
        assert low <= inner_low <= inner_high <= high
        inner += inner_high - inner_low
    assert inner == 0 or kind == "packed"


@pytest.mark.parametrize(
    ("dtype", "bounds"),
    [
        (torch.float16, {"score_max": -1e9}),
        (torch.float32, {"score_max": -1e30}),
        (torch.float32, {"score_min": -3.4e38, "score_max": -3e38}),
        (torch.float16, {"score_min": 2e8}),
    ],
)
def test_clamps_whose_rounding_would_matter(dtype: torch.dtype, bounds: dict[str, float]) -> None:
    """All scores are one number, so every row is a mean."""
    inputs = make_inputs(40, 50, heads=2, features=16).to(dtype)
    want, _ = inputs.oracle(algorithm="exact", causal_offset=10, **bounds)
    out, lse = fused(inputs, causal_offset=10, **bounds)
    torch.testing.assert_close(out.double(), want, atol=2e-3, rtol=2e-3)
    assert bool(lse.isfinite().all())


@pytest.mark.parametrize("setting", ["tf32", "ieee"])
def test_precision_set_the_newer_way(setting: str) -> None:
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = setting
    try:
        assert precision_of(torch.float32) == ("tf32" if setting == "tf32" else "tf32x3")
        check(make_inputs(20, 20, features=16), scale=0.3)
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
    assert precision_of(torch.float16) == "ieee"
