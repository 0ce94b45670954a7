"""`paper` against its dense oracle; the traps of the published code, one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import SMALL, check_against_oracle, make_inputs
from hyperrewrite.kernels import oracle, paper, planning
from hyperrewrite.kernels.lsh import Draws, gray_rank, hash_codes, sort_rows
from hyperrewrite.kernels.parts import Span
from hypothesis import given, settings
from hypothesis import strategies as st

PAPER: dict[str, Any] = {"algorithm": "paper", "scale": 0.2, **SMALL}


@pytest.mark.parametrize(("n", "features"), [(63, 40), (111, 80), (1000, 96)])
@pytest.mark.parametrize("offset", [None, 0])
@pytest.mark.parametrize("masked", [0.0, 0.4])
def test_matches_oracle_on_odd_shapes(n: int, features: int, offset: int | None, masked: float) -> None:
    batch, heads = (2, 4) if n < 500 else (1, 2)
    inputs = make_inputs(n, batch=batch, heads=heads, kv_heads=heads // 2, features=features, masked=masked)
    check_against_oracle(inputs, causal_offset=offset, **PAPER)


@pytest.mark.parametrize(
    ("n_q", "n_k", "offset"),
    [(100, 63, None), (63, 200, None), (3, 130, None), (100, 63, 0), (63, 200, 137), (63, 200, 0), (150, 90, -20),
     (100, 100, 5), (100, 100, -9), (1, 77, 76), (64, 64, 500), (64, 64, -500)],
)  # fmt: skip
@pytest.mark.parametrize("masked", [0.0, 0.5])
def test_rectangles(n_q: int, n_k: int, offset: int | None, masked: float) -> None:
    inputs = make_inputs(n_q, n_k, heads=2, kv_heads=1, features=16, value_features=9, masked=masked)
    check_against_oracle(inputs, causal_offset=offset, empty_rows="mean", **PAPER)


def test_strided_inputs() -> None:
    check_against_oracle(make_inputs(90, strided=True, kv_heads=2), causal_offset=0, **PAPER)


def test_key_mask_of_one_row_broadcasts() -> None:
    inputs = make_inputs(80, heads=2, features=16)
    mask = torch.rand(1, 80, generator=torch.Generator().manual_seed(1)) > 0.3
    one, _ = torch.ops.hyper.attention(inputs.query, inputs.key, inputs.value, mask, **PAPER)
    many, _ = torch.ops.hyper.attention(inputs.query, inputs.key, inputs.value, mask.expand(2, -1), **PAPER)
    want, _ = oracle.oracle(inputs.query, inputs.key, inputs.value, mask, None, inputs.call(**PAPER), "paper")
    torch.testing.assert_close(one.double(), want, atol=1e-5, rtol=1e-5)
    assert many.shape == one.shape


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    inputs = make_inputs(100, kv_heads=2).to(dtype)
    out, _ = inputs.run(**PAPER, causal_offset=0)
    want, _ = inputs.oracle(**PAPER, causal_offset=0)
    tolerance = {torch.bfloat16: 8e-3, torch.float16: 1e-3, torch.float64: 1e-6}[dtype]
    torch.testing.assert_close(out.double(), want, atol=tolerance, rtol=tolerance)


@settings(max_examples=40, deadline=None)
@given(
    n_q=st.integers(1, 120),
    n_k=st.integers(1, 120),
    offset=st.one_of(st.none(), st.integers(-130, 130)),
    block=st.integers(16, 24),
    sample=st.integers(0, 24),
    base=st.integers(0, 40),
    masked=st.sampled_from([0.0, 0.3, 0.95]),
    seed=st.integers(0, 1000),
)
def test_plan_is_disjoint_visible_and_as_defined(
    n_q: int, n_k: int, offset: int | None, block: int, sample: int, base: int, masked: float, seed: int
) -> None:
    """No pair twice, no masked or future key, weights as the oracle's; and the counts are the matrix's."""
    inputs = make_inputs(n_q, n_k, heads=2, kv_heads=1, features=8, masked=masked, seed=seed)
    rules = {"algorithm": "paper", "min_seq_len": base, "block_size": block, "sample_size": sample, "seed": seed}
    call = inputs.call(causal_offset=offset, **rules)
    parts = paper.plan(inputs.query, inputs.key, inputs.key_mask, call)
    got = oracle.plan_log_weight(parts, inputs.key_mask, 2, 2, call)
    want = oracle.paper_log_weight(inputs.query, inputs.key, inputs.key_mask, call)
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-6)
    read = got > float("-inf")
    assert not bool((read & ~oracle.visible(inputs.query, inputs.key, inputs.key_mask, call)).any())
    counted = planning.count_keys(parts, inputs.key_mask, 2, 2, call)
    assert torch.equal(counted, read.sum(-1))


@pytest.mark.parametrize("offset", [None, 0])
@pytest.mark.parametrize("masked", [0.0, 0.3])
def test_unbiased_over_seeds(offset: int | None, masked: float) -> None:
    """Mean over 256 seeds of the weighted sums, numerator and denominator, within 3 standard errors of the exact sums.

    Same-block samples counted twice, or a weight of n/m instead of (n − block)/m, miss by many standard errors.
    """
    inputs = make_inputs(75, batch=2, heads=2, features=8, masked=masked, seed=4)
    rules = {"algorithm": "paper", "min_seq_len": 16, "block_size": 16, "sample_size": 6, "scale": 0.3}
    with torch.no_grad():
        scores = (inputs.query @ inputs.key.transpose(-1, -2) * 0.3).double().exp()
        allowed = oracle.visible(inputs.query, inputs.key, inputs.key_mask, inputs.call(causal_offset=offset, **rules))
        probe = inputs.value[..., :1].transpose(-1, -2).double()
        sums = []
        for seed in range(256):
            out, lse = inputs.run(causal_offset=offset, seed=seed, **rules)
            total = lse.double().exp()
            sums.append(torch.stack([total.sum(-1), (total * out[..., 0].double()).sum(-1)]))
        exact = scores * allowed
        want = torch.stack([exact.sum((-1, -2)), (exact * probe).sum((-1, -2))])
        found = torch.stack(sums)
    error = found.std(0) / 16
    # Eight sums are looked at: each within 3 standard errors of its own (0.3 % a test; the seeds are fixed).
    assert bool(((found.mean(0) - want).abs() <= 3 * error + 1e-6).all())
    assert bool((error < 0.02 * want[0]).all())


def test_a_sample_of_everything_is_exact() -> None:
    """100 keys of which about 50 take part: own block and 60 samples hold them all, with weight 1."""
    inputs = make_inputs(100, masked=0.5)
    rules = {**PAPER, "sample_size": 60}
    assert planning.algorithm_of(inputs.call(**rules)) == "paper"
    out, lse = inputs.run(**rules)
    want, want_lse = inputs.run(**{**rules, "algorithm": "exact"})
    torch.testing.assert_close(out, want, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(lse, want_lse, atol=1e-6, rtol=1e-5)


def test_global_defaults_do_not_matter() -> None:
    inputs = make_inputs(100)
    want, _ = inputs.run(**PAPER)
    torch.set_default_dtype(torch.float64)
    try:
        out, _ = inputs.run(**PAPER)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(out, want)


def test_below_min_seq_len_is_exact() -> None:
    for offset in (None, 0):
        inputs = make_inputs(63)
        rules = {**PAPER, "min_seq_len": 64, "causal_offset": offset}
        out, lse = inputs.run(**rules)
        want, want_lse = inputs.run(**{**rules, "algorithm": "exact"})
        assert torch.equal(out, want) and torch.equal(lse, want_lse)


def test_the_edge_of_min_seq_len() -> None:
    """Fewer keys than min_seq_len are exact; a causal square of just that length is the recursion's end, exact too."""
    inputs = make_inputs(64)
    for offset, name in ((None, "paper"), (0, "paper")):
        assert planning.algorithm_of(inputs.call(**{**PAPER, "min_seq_len": 64, "causal_offset": offset})) == name
        assert planning.algorithm_of(inputs.call(**{**PAPER, "min_seq_len": 65, "causal_offset": offset})) == "exact"
    at_end = paper.areas(inputs.call(**{**PAPER, "min_seq_len": 64, "causal_offset": 0}))
    assert at_end == [Span(0, 64, 0, 64, 0)]
    halves = paper.areas(inputs.call(**{**PAPER, "min_seq_len": 63, "causal_offset": 0}))
    assert halves == [Span(32, 64, 0, 32), Span(0, 32, 0, 32, 0), Span(32, 64, 32, 64, 0)]


@pytest.mark.parametrize("extra", [{"sliding_window": 30}, {"bias": True}])
def test_bias_and_window_run_exactly(extra: dict[str, Any]) -> None:
    inputs = make_inputs(100, bias=(100, 100) if extra.pop("bias", False) else None)
    rules = {**PAPER, "causal_offset": 0, **extra}
    out, _ = inputs.run(**rules)
    want, _ = inputs.run(**{**rules, "algorithm": "exact"})
    assert torch.equal(out, want)


def test_same_seed_same_bits_and_global_randomness_untouched() -> None:
    inputs = make_inputs(200)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, _ = inputs.run(**PAPER, causal_offset=0)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(6)
    second, _ = inputs.run(**PAPER, causal_offset=0)
    other, _ = inputs.run(**PAPER, causal_offset=0, seed=1)
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_garbage_under_the_mask_cannot_leak() -> None:
    """Masked keys are not hashed into a block, sampled or counted: their content has no influence at all."""
    inputs = make_inputs(150, masked=0.4)
    assert inputs.key_mask is not None
    clean, _ = inputs.run(**PAPER, causal_offset=0)
    key, value = inputs.key.detach().clone(), inputs.value.detach().clone()
    gone = ~inputs.key_mask[:, None, :].expand(key.shape[:3])
    key[gone], value[gone] = float("nan"), float("-inf")
    leaves = [tensor.requires_grad_() for tensor in (inputs.query.detach(), key, value)]
    out, _ = torch.ops.hyper.attention(*leaves, inputs.key_mask, **PAPER, causal_offset=0)
    assert torch.equal(out, clean)
    assert all(bool(grad.isfinite().all()) for grad in torch.autograd.grad(out.sum(), leaves))


def test_future_keys_and_values_do_not_change_the_past() -> None:
    """Later queries do shift the blocks (documented in `paper`); later keys and values are never read."""
    inputs = make_inputs(200).to(torch.float32)
    before, _ = inputs.run(**PAPER, causal_offset=0)
    key, value = inputs.key.clone(), inputs.value.clone()
    key[:, :, 170:] += 2.0
    value[:, :, 170:] -= 5.0
    after, _ = torch.ops.hyper.attention(inputs.query, key, value, **PAPER, causal_offset=0)
    assert torch.equal(before[:, :, :170], after[:, :, :170])


def test_large_scores_do_not_overflow() -> None:
    inputs = make_inputs(100)
    out, lse = inputs.run(**{**PAPER, "scale": 300.0}, causal_offset=0)
    want, _ = inputs.oracle(**{**PAPER, "scale": 300.0}, causal_offset=0)
    torch.testing.assert_close(out.double(), want, atol=2e-3, rtol=2e-3)
    assert bool(lse.isfinite().all())


def test_gray_order_changes_one_sign_at_a_time() -> None:
    for bits in (1, 3, 7, 10):
        patterns = torch.arange(1 << bits, dtype=torch.int32)
        order = gray_rank(patterns, bits).argsort().to(torch.int32)
        steps = order[1:] ^ order[:-1]
        assert torch.equal(gray_rank(patterns, bits).sort().values.int(), patterns)
        assert bool(((steps & (steps - 1)) == 0).all()) and bool((steps > 0).all())


def test_hash_keeps_small_angles_together() -> None:
    rows = torch.randn(2, 3, 500, 32, generator=torch.Generator().manual_seed(0))
    planes = Draws(0).hyperplanes(32, 7)
    near, far = hash_codes(rows * 5.0, planes), hash_codes(-rows, planes)
    codes = hash_codes(rows, planes)
    assert torch.equal(codes, near) and not bool((codes == far).any())
    assert int(codes.min()) >= 0 and int(codes.max()) < 128
    order = sort_rows(codes)
    assert bool((codes.gather(2, order).diff() >= 0).all())


def test_a_mask_that_removes_nothing_is_no_mask() -> None:
    inputs = make_inputs(100)
    for offset in (None, 0):
        rules = {**PAPER, "causal_offset": offset}
        mask = torch.ones(2, 100, dtype=torch.bool)
        out, lse = torch.ops.hyper.attention(inputs.query, inputs.key, inputs.value, mask, **rules)
        want, want_lse = inputs.run(**rules)
        assert torch.equal(out, want) and torch.equal(lse, want_lse)


@pytest.mark.parametrize(("n_q", "n_k", "offset"), [(60, 60, -48), (20, 90, 0), (90, 20, -80), (12, 40, 3)])
@pytest.mark.parametrize("masked", [0.0, 0.3])
def test_a_plan_of_one_square_that_is_not_the_whole_call(n_q: int, n_k: int, offset: int, masked: float) -> None:
    """Queries that see nothing, keys that nobody sees: rows and gradients of all of them all the same."""
    inputs = make_inputs(n_q, n_k, heads=2, features=8, masked=masked)
    rules = {"algorithm": "paper", "min_seq_len": 32, "block_size": 16, "sample_size": 16, "scale": 0.3,
             "causal_offset": offset}  # fmt: skip
    out, lse = torch.ops.hyper.attention(inputs.query, inputs.key, inputs.value, inputs.key_mask, **rules)
    want, want_lse = inputs.oracle(**{**rules, "algorithm": "exact"})
    torch.testing.assert_close(out.double(), want, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(lse.double(), want_lse, atol=1e-5, rtol=1e-5)
    along = torch.randn(out.shape)
    got = torch.autograd.grad((out * along).sum(), inputs.leaves)
    for mine, theirs in zip(got, torch.autograd.grad((want * along).sum(), inputs.leaves), strict=True):
        torch.testing.assert_close(mine, theirs.to(mine.dtype), atol=1e-5, rtol=1e-5)
