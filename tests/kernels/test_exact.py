"""The exact algorithm against the dense float64 oracle and against PyTorch's SDPA."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attention_cases import check_against_oracle, make_inputs
from hypothesis import given, settings
from hypothesis import strategies as st

EXACT = {"algorithm": "exact", "scale": 0.3}
RULES: list[dict[str, Any]] = [
    {},
    {"causal_offset": 0},
    {"causal_offset": 5},
    {"causal_offset": -7},
    {"causal_offset": 3, "sliding_window": 9},
    {"causal_offset": -4, "sliding_window": 1},
    {"causal_offset": 1000},
    {"causal_offset": -1000},
]


@pytest.mark.parametrize("rules", RULES, ids=str)
@pytest.mark.parametrize("masked", [0.0, 0.6])
@pytest.mark.parametrize("sizes", [(37, 37), (20, 51), (51, 20), (1, 33)], ids=str)
def test_masks_match_oracle(rules: dict[str, Any], masked: float, sizes: tuple[int, int]) -> None:
    inputs = make_inputs(*sizes, kv_heads=2, features=24, value_features=17, masked=masked)
    check_against_oracle(inputs, **EXACT, **rules)


@pytest.mark.parametrize("scale", [-0.3, 0.0])
@pytest.mark.parametrize("masked", [0.0, 0.4])
@pytest.mark.parametrize("rules", RULES[:5], ids=str)
def test_scales_that_are_not_positive(scale: float, masked: float, rules: dict[str, Any]) -> None:
    """PyTorch's flash kernels multiply the −inf of their causal mask by it."""
    inputs = make_inputs(90, kv_heads=2, features=24, value_features=17, masked=masked)
    check_against_oracle(inputs, **{**EXACT, "scale": scale}, **rules)


@pytest.mark.parametrize(
    "shape", [(2, 4, 37, 41), (1, 1, 37, 41), (37, 41), (4, 1, 41), (2, 1, 1, 41), (1, 37, 1), (1,)]
)
@pytest.mark.parametrize("rules", [{}, {"causal_offset": 4, "sliding_window": 11}], ids=str)
@pytest.mark.parametrize("masked", [0.0, 0.4])
def test_bias_and_its_gradient(shape: tuple[int, ...], rules: dict[str, Any], masked: float) -> None:
    check_against_oracle(make_inputs(37, 41, kv_heads=1, bias=shape, masked=masked), **EXACT, **rules)


def test_chunks_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny budget cuts every path into many chunks; nothing changes."""
    monkeypatch.setattr("hyperrewrite.kernels.exact.SCORE_BUDGET", 16 * 40)
    for rules in RULES:
        check_against_oracle(make_inputs(90, 77, masked=0.3, bias=(1, 4, 90, 77)), **EXACT, **rules)
        check_against_oracle(make_inputs(90, 77, masked=0.3), **EXACT, **rules)


def test_strided_inputs() -> None:
    """The CPU flash kernel silently misreads a last dim whose stride is not 1: keys come as Kᵀ views."""
    for rules in RULES:
        inputs = make_inputs(45, strided=True, kv_heads=2)
        assert inputs.key.stride(-1) != 1
        check_against_oracle(inputs, **EXACT, **rules)


@pytest.mark.parametrize("mode", ["zero", "mean", "level", "nan", "nan_added"])
@pytest.mark.parametrize("masked", [0.0, 0.7])
def test_empty_rows(mode: str, masked: float) -> None:
    inputs = make_inputs(30, 26, kv_heads=2, masked=masked)
    rules = {"causal_offset": -6, "empty_rows": mode, **EXACT}
    check_against_oracle(inputs, gradients=not mode.startswith("nan"), **rules)
    out, lse = inputs.run(**rules)
    empty = lse == float("-inf")
    assert bool(empty[:, :, :6].all())
    if mode.startswith("nan"):
        assert bool(out[empty].isnan().all()) and not bool(out[~empty].isnan().any())
        out.nansum().backward()
        assert inputs.query.grad is not None
        grad = inputs.query.grad
        assert bool(grad[empty].isnan().all() if mode == "nan_added" else (grad[empty] == 0.0).all())
        assert not bool(grad[~empty].isnan().any())


def test_all_keys_masked_gives_mean_of_all_values() -> None:
    inputs = make_inputs(9, 13)
    mask = torch.zeros(1, 13, dtype=torch.bool)
    out, lse = torch.ops.hyper.attention(inputs.query, inputs.key, inputs.value, mask, empty_rows="mean")
    torch.testing.assert_close(out, inputs.value.mean(2, keepdim=True).expand_as(out))
    assert bool((lse == float("-inf")).all())


def test_rows_of_finfo_min_bias_get_the_mean_and_its_gradient() -> None:
    """Eager masks fill with the type's minimum: it swallows the score, and float32 lse cannot hold the sum."""
    inputs = make_inputs(11, 14)
    bias = torch.zeros(11, 14)
    bias[3] = torch.finfo(torch.float32).min
    bias[4, 5:] = torch.finfo(torch.float32).min
    leaves = (inputs.query, inputs.key, inputs.value)
    eager = torch.softmax(inputs.query @ inputs.key.transpose(-1, -2) * 0.3 + bias, -1) @ inputs.value
    out, _ = torch.ops.hyper.attention(*leaves, None, bias, **EXACT)
    torch.testing.assert_close(out, eager)
    along = torch.randn_like(out)
    for mine, theirs in zip(
        torch.autograd.grad(out, leaves, along), torch.autograd.grad(eager, leaves, along), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("curve", [{}, {"softcap": 1.5}, {"score_min": -0.4, "score_max": 0.6}], ids=str)
@pytest.mark.parametrize("bias", [None, (1, 9, 13), (3, 4, 1, 13)])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_level_rows_pass_on_the_gradient_of_equal_weights(
    curve: dict[str, float], bias: tuple[int, ...] | None, kv_heads: int
) -> None:
    """One large number was added to all scores of a row: each counts the same, and still takes its gradient."""
    inputs = make_inputs(9, 13, batch=3, kv_heads=kv_heads, bias=bias, masked=0.5)
    assert inputs.key_mask is not None
    inputs.key_mask[1] = False
    rules = {"scale": 0.3, "empty_rows": "level", **curve, **EXACT}
    check_against_oracle(inputs, **rules, causal_offset=2)
    check_against_oracle(inputs, **rules)


@pytest.mark.parametrize("curve", [{}, {"softcap": 1.5}], ids=str)
def test_level_rows_of_which_some_scores_are_replaced(curve: dict[str, float]) -> None:
    """A causal fill is added, then keys of the padding get the same fill: those scores take no gradient."""
    inputs = make_inputs(9, 13, kv_heads=2)
    mask = torch.ones(2, 13, dtype=torch.bool)
    mask[:, :3] = False
    scores = inputs.query.double() @ inputs.key.double().mT.repeat_interleave(2, 1) * 0.3
    scores = 1.5 * torch.tanh(scores / 1.5) if curve else scores
    future = torch.ones(9, 13, dtype=torch.bool).triu(1)
    scores = torch.where(future, -1e9 + scores - scores.detach(), scores).masked_fill(~mask[:, None, None], -1e9)
    eager = torch.softmax(scores, -1) @ inputs.value.double().repeat_interleave(2, 1)
    rules = {"scale": 0.3, "causal_offset": 0, "empty_rows": "level", **curve, **EXACT}
    leaves = inputs.leaves
    out, _ = torch.ops.hyper.attention(*leaves, mask, None, None, None, None, None, ~mask[:, None, None], **rules)
    along = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    got, want = (torch.autograd.grad(o, leaves, along.to(o.dtype)) for o in (out, eager))
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


def test_level_rows_do_not_let_garbage_of_other_batch_rows_leak() -> None:
    inputs = make_inputs(9, 13)
    key, value = inputs.key.detach().clone(), inputs.value.detach().clone()
    mask = torch.ones(2, 13, dtype=torch.bool)
    mask[0, 4], mask[1] = False, False
    key[0, :, 4], value[0, :, 4] = float("nan"), float("inf")
    leaves = [tensor.requires_grad_() for tensor in (inputs.query.detach(), key, value)]
    out, _ = torch.ops.hyper.attention(*leaves, mask, empty_rows="level", **EXACT)
    assert all(bool(grad.isfinite().all()) for grad in torch.autograd.grad(out.sum(), leaves))


@pytest.mark.parametrize("fill", [torch.finfo(torch.float32).min, -1e9])
@pytest.mark.parametrize("curve", [{}, {"softcap": 1.5}], ids=str)
def test_replaced_scores_take_no_gradient(fill: float, curve: dict[str, float]) -> None:
    """Rows 3 to 5 hold fills alone, put in the place of all scores, of none, and of some: eager says who gets what."""
    inputs = make_inputs(11, 14, kv_heads=2, bias=(11, 14))
    assert inputs.bias is not None
    low, replaced = torch.zeros(11, 14, dtype=torch.bool), torch.zeros(11, 14, dtype=torch.bool)
    low[3:6], low[7, 5:] = True, True
    replaced[3], replaced[5, ::2], replaced[7, 6:] = True, True, True
    scores = inputs.query.double() @ inputs.key.double().mT.repeat_interleave(2, 1) * 0.3
    scores = 1.5 * torch.tanh(scores / 1.5) if curve else scores
    swallowed = torch.where(low, fill + scores - scores.detach(), scores + inputs.bias.double())
    eager = torch.softmax(torch.where(replaced, fill, swallowed), -1) @ inputs.value.double().repeat_interleave(2, 1)
    bias = torch.where(low, fill, inputs.bias)
    rules = {"scale": 0.3, **curve, **EXACT}
    leaves = inputs.leaves
    out, _ = torch.ops.hyper.attention(*leaves[:3], None, bias, None, None, None, None, replaced, **rules)
    along = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    got, want = (torch.autograd.grad(o, leaves, along.to(o.dtype)) for o in (out, eager))
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="replaced must be bool"):
        torch.ops.hyper.attention(*leaves[:3], None, bias, None, None, None, None, bias, **rules)
    with pytest.raises(ValueError, match="replaced must broadcast"):
        torch.ops.hyper.attention(*leaves[:3], None, bias, None, None, None, None, replaced.mT, **rules)


def test_garbage_under_the_mask_cannot_leak() -> None:
    inputs = make_inputs(20, 33, masked=0.5)
    key, value = inputs.key.detach().clone(), inputs.value.detach().clone()
    assert inputs.key_mask is not None
    clean, _ = inputs.run(**EXACT)
    gone = ~inputs.key_mask[:, None, :].expand(key.shape[:3])
    key[gone], value[gone] = float("nan"), float("inf")
    leaves = [tensor.requires_grad_() for tensor in (inputs.query.detach(), key, value)]
    out, _ = torch.ops.hyper.attention(*leaves, inputs.key_mask, **EXACT)
    assert torch.equal(out, clean)
    assert all(bool(grad.isfinite().all()) for grad in torch.autograd.grad(out.sum(), leaves))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 90), offset=st.integers(-20, 20), cut=st.floats(0.0, 1.0), masked=st.sampled_from([0.0, 0.4]))
def test_future_tokens_do_not_change_the_past(n: int, offset: int, cut: float, masked: float) -> None:
    """Bit for bit: keys and values from `first` on reach no query that cannot see them."""
    inputs = make_inputs(n, masked=masked, features=8, value_features=5).to(torch.float32)
    rules = {"causal_offset": offset, **EXACT}
    first = int(cut * (n - 1))
    key, value = inputs.key.clone(), inputs.value.clone()
    key[:, :, first:] += 3.0
    value[:, :, first:] *= -2.0
    before, lse_before = inputs.run(**rules)
    after, lse_after = torch.ops.hyper.attention(inputs.query, key, value, inputs.key_mask, **rules)
    blind = max(min(first - offset, n), 0)
    assert torch.equal(before[:, :, :blind], after[:, :, :blind])
    assert torch.equal(lse_before[:, :, :blind], lse_after[:, :, :blind])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.bfloat16, 2e-2), (torch.float16, 3e-3)])
@pytest.mark.parametrize("rules", [{}, {"causal_offset": 0}, {"causal_offset": 2, "sliding_window": 12}], ids=str)
@pytest.mark.parametrize("masked", [0.0, 0.4])
def test_dtypes(dtype: torch.dtype, tolerance: float, rules: dict[str, Any], masked: float) -> None:
    for bias in (None, (4, 33, 33)):
        inputs = make_inputs(33, kv_heads=2, masked=masked, bias=bias).to(dtype)
        out, _ = inputs.run(**EXACT, **rules)
        want, _ = inputs.oracle(**EXACT, **rules)
        assert out.dtype == dtype
        torch.testing.assert_close(out.double(), want, atol=tolerance, rtol=tolerance)


def test_gradcheck_in_float64() -> None:
    shapes = ((1, 2, 5, 3), (1, 1, 7, 3), (1, 1, 7, 4), (1, 1, 5, 7))
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    mask = torch.tensor([[True, True, False, True, True, True, True]])

    def run(*tensors: torch.Tensor) -> torch.Tensor:
        query, key, value, bias = tensors
        return torch.ops.hyper.attention(query, key, value, mask, bias, causal_offset=1, algorithm="exact")[0]

    assert torch.autograd.gradcheck(run, leaves)


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0), (0, 0)], ids=str)
def test_no_tokens(sizes: tuple[int, int]) -> None:
    inputs = make_inputs(*sizes)
    out, lse = inputs.run(**EXACT)
    assert out.shape == (2, 4, sizes[0], 40) and bool((out == 0).all()) and bool((lse == float("-inf")).all())
    out.sum().backward()
    assert inputs.value.grad is not None and inputs.value.grad.shape == inputs.value.shape


def test_equals_sdpa_bit_for_bit_where_sdpa_is_called() -> None:
    inputs = make_inputs(70).to(torch.float32)
    for causal in (False, True):
        want = F.scaled_dot_product_attention(inputs.query, inputs.key, inputs.value, is_causal=causal)
        out, _ = inputs.run(algorithm="exact", scale=40**-0.5, causal_offset=0 if causal else None)
        assert torch.equal(out, want)
