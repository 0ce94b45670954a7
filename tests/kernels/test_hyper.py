"""`hyper` against its slow definition: what each query reads, the result, its gradients; and causality to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import Inputs, check_against_oracle, make_inputs
from hyperrewrite.kernels import engine, far, heavy, hyper, oracle
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.hyper_oracle import hyper_log_weight
from hyperrewrite.kernels.parts import Plan, Span
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

NEG_INF = float("-inf")
HYPER: dict[str, Any] = {
    "algorithm": "hyper", "min_seq_len": 8, "block_size": 16, "window": 8, "sinks": 3, "heavy": 5, "sample_size": 32,
    "lsh_projections": 2, "scale": 0.4,
}  # fmt: skip


@pytest.fixture(autouse=True)
def every_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds at which random inputs have wide heads, heads with neighbours and heads with neither."""
    monkeypatch.setattr(heavy, "TOLERANCE", 0.1013)
    monkeypatch.setattr(far, "NOTICE", 0.0721)
    monkeypatch.setattr(far, "SAMPLE_SHARE", 8)
    monkeypatch.setattr(heavy, "WIDE_PER_SAMPLE", 2)
    monkeypatch.setattr(heavy, "WIDE_BLOCK", 8)


def dense(parts: Plan, inputs: Inputs, call: AttentionCall) -> Tensor:
    """The plan as float64 [B, H, n_q, n_k], pair by pair; no pair may be planned twice."""
    batch, heads = inputs.query.shape[:2]
    units = inputs.key.shape[1]
    n_q, n_k = call.num_queries, call.num_keys
    count = torch.zeros(batch * heads * n_q, n_k, dtype=torch.int64)
    grid = count.view(batch, heads, n_q, n_k)
    for part in parts:
        if isinstance(part, Span):
            for i in range(part.query_start, part.query_stop):
                stop = part.key_stop
                if part.causal_offset is not None:
                    stop = min(stop, i + part.causal_offset + 1)
                seen = 1 if inputs.key_mask is None else inputs.key_mask[:, None, part.key_start : stop].long()
                grid[:, :, i, part.key_start : stop] += seen
            continue
        for queries, keys in zip(part.query_rows[0, 0].tolist(), part.key_rows[0, 0].tolist(), strict=True):
            for flat in queries:
                if flat < count.shape[0]:
                    for number in keys:
                        if number >= 0:
                            b, h = flat // (heads * n_q), flat // n_q % heads
                            assert number // n_k == b * units + h // (heads // units), "a key of another head"
                            count[flat, number % n_k] += 1
    assert int(count.max()) <= 1, "a pair is planned twice"
    return torch.zeros(grid.shape, dtype=torch.float64).masked_fill(grid == 0, NEG_INF)


def tiers(inputs: Inputs, call: AttentionCall) -> tuple[int, int, int]:
    """(narrow, wide, narrow with neighbours): how many (tile, head) with far keys there are of each."""
    found = [0, 0, 0]
    for choice in heavy.choose(inputs.query.detach(), inputs.key.detach(), inputs.key_mask, call):
        if choice.tile.far:
            noticed = (choice.error > far.NOTICE) & ~choice.wide
            for at, what in enumerate((~choice.wide & ~noticed, choice.wide, noticed)):
                found[at] += int(what.sum())
    return found[0], found[1], found[2]


def set_tiers(monkeypatch: pytest.MonkeyPatch, inputs: Inputs, call: AttentionCall) -> None:
    """Thresholds midway between measured errors, a third of them below both and a third above both."""
    choices = heavy.choose(inputs.query.detach(), inputs.key.detach(), inputs.key_mask, call)
    errors = torch.cat([choice.error.flatten() for choice in choices if choice.tile.far])
    errors = errors[errors > 0].sort().values
    for module, name, place in ((far, "NOTICE", len(errors) // 3), (heavy, "TOLERANCE", 2 * len(errors) // 3)):
        monkeypatch.setattr(module, name, float(errors[place : place + 2].mean()))
    assert min(tiers(inputs, call)) > 0


@pytest.mark.parametrize(("n", "features"), [(63, 40), (111, 80), (250, 96)])
@pytest.mark.parametrize("offset", [None, 0])
@pytest.mark.parametrize("masked", [0.0, 0.4])
def test_matches_oracle_on_odd_shapes(n: int, features: int, offset: int | None, masked: float) -> None:
    inputs = make_inputs(n, batch=2, heads=4, kv_heads=2, features=features, masked=masked)
    check_against_oracle(inputs, causal_offset=offset, **{**HYPER, "scale": 1.3 / features**0.5})


@pytest.mark.parametrize("offset", [None, 0])
def test_matches_oracle_at_a_thousand(offset: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {**HYPER, "block_size": 64, "window": 64, "sinks": 16, "heavy": 40, "sample_size": 128, "scale": 0.4}
    inputs = make_inputs(1000, batch=1, heads=3, kv_heads=1, features=24)
    set_tiers(monkeypatch, inputs, inputs.call(causal_offset=offset, **rules))
    check_against_oracle(inputs, causal_offset=offset, **rules)


@pytest.mark.parametrize(
    ("n_q", "n_k", "offset"),
    [(100, 63, None), (63, 200, None), (3, 130, None), (100, 63, 0), (63, 200, 137), (63, 200, 0), (150, 90, -20),
     (100, 100, 5), (100, 100, -9), (1, 77, 76), (64, 64, 500), (64, 64, -500)],
)  # fmt: skip
@pytest.mark.parametrize("masked", [0.0, 0.5])
def test_rectangles(n_q: int, n_k: int, offset: int | None, masked: float) -> None:
    inputs = make_inputs(n_q, n_k, heads=2, kv_heads=1, features=16, value_features=9, masked=masked)
    check_against_oracle(inputs, causal_offset=offset, empty_rows="mean", **HYPER)


def test_strided_inputs() -> None:
    check_against_oracle(make_inputs(90, strided=True, kv_heads=2), causal_offset=0, **HYPER)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    inputs = make_inputs(100, kv_heads=2).to(dtype)
    out, _ = inputs.run(**HYPER, causal_offset=0)
    want, _ = inputs.oracle(**HYPER, causal_offset=0)
    tolerance = {torch.bfloat16: 8e-3, torch.float16: 1e-3, torch.float64: 1e-6}[dtype]
    torch.testing.assert_close(out.double(), want, atol=tolerance, rtol=tolerance)


@settings(max_examples=60, deadline=None)
@given(
    n_q=st.integers(1, 120),
    n_k=st.integers(1, 120),
    offset=st.one_of(st.none(), st.integers(-130, 130)),
    block=st.integers(16, 24),
    window=st.integers(0, 30),
    sinks=st.integers(0, 9),
    columns=st.integers(0, 12),
    sample=st.integers(0, 24),
    masked=st.sampled_from([0.0, 0.3, 0.95]),
    seed=st.integers(0, 1000),
)
def test_plan_is_disjoint_visible_and_counted(
    n_q: int, n_k: int, offset: int | None, block: int, window: int, sinks: int, columns: int, sample: int,
    masked: float, seed: int,
) -> None:  # fmt: skip
    """No pair twice, no masked or future key; every query sees its own tile's past; the counts are the matrix's."""
    inputs = make_inputs(n_q, n_k, heads=2, kv_heads=1, features=8, masked=masked, seed=seed)
    rules = {**HYPER, "block_size": block, "window": window, "sinks": sinks, "heavy": columns, "sample_size": sample}
    call = inputs.call(causal_offset=offset, **rules)
    parts = hyper.plan(inputs.query.detach(), inputs.key.detach(), inputs.key_mask, call)
    got = dense(parts, inputs, call)
    allowed = oracle.visible(inputs.query, inputs.key, inputs.key_mask, call)
    read = got > NEG_INF
    assert not bool((read & ~allowed).any())
    assert torch.equal(engine.count_keys(parts, inputs.key_mask, 2, 2, call), read.sum(-1))
    if offset is not None:
        rows, keys = torch.arange(n_q)[:, None] + offset, torch.arange(n_k)
        recent = (keys > rows - max(window, 1)) | (keys < sinks)
        assert bool((read | ~(recent & allowed)).all())


@pytest.mark.parametrize("offset", [None, 0, 40])
@pytest.mark.parametrize("masked", [0.0, 0.4])
def test_reads_what_the_oracle_reads(offset: int | None, masked: float, monkeypatch: pytest.MonkeyPatch) -> None:
    n_q = 150 - (offset or 0)
    inputs = make_inputs(n_q, 150, heads=4, kv_heads=2, features=16, masked=masked, seed=3)
    call = inputs.call(causal_offset=offset, **HYPER)
    set_tiers(monkeypatch, inputs, call)
    parts = hyper.plan(inputs.query.detach(), inputs.key.detach(), inputs.key_mask, call)
    want = hyper_log_weight(inputs.query.detach(), inputs.key.detach(), inputs.key_mask, call)
    assert torch.equal(dense(parts, inputs, call), want)


@pytest.mark.parametrize("place", [40, 64, 100, 149])
@pytest.mark.parametrize("what", ["query", "key", "value", "all"])
@pytest.mark.parametrize("masked", [0.0, 0.3])
def test_the_future_changes_no_bit_of_the_past(
    place: int, what: str, masked: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = make_inputs(150, heads=4, kv_heads=2, features=16, masked=masked, seed=5)
    set_tiers(monkeypatch, inputs, inputs.call(causal_offset=0, **HYPER))
    with torch.no_grad():
        before = inputs.run(causal_offset=0, **HYPER)
        for name in ("query", "key", "value"):
            if what in (name, "all"):
                tensor = getattr(inputs, name)
                tensor[:, :, place + 1 :] = 5.0 * torch.randn_like(tensor[:, :, place + 1 :])
        after = inputs.run(causal_offset=0, **HYPER)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[:, :, : place + 1], new[:, :, : place + 1])
    assert place == 149 or not torch.equal(before[0], after[0])


def test_same_seed_same_bits_and_seed_matters() -> None:
    inputs = make_inputs(200, heads=4, kv_heads=2, features=16, seed=3)
    rules = {**HYPER, "causal_offset": 0}
    one, two = inputs.run(**rules), inputs.run(**rules)
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    assert not torch.equal(one[0], inputs.run(**rules, seed=1)[0])


@pytest.mark.parametrize("offset", [None, 0])
def test_garbage_under_the_mask_stays_there(offset: int | None) -> None:
    """NaN and infinities in masked keys and values reach neither outputs nor choices nor gradients."""
    clean = make_inputs(150, heads=4, kv_heads=2, features=16, masked=0.4, seed=6)
    assert clean.key_mask is not None
    hole = ~clean.key_mask[:, None, :, None]
    rules = {**HYPER, "causal_offset": offset}
    want = clean.run(**rules)
    for bad in (float("nan"), float("inf"), 1e30):
        key, value = (t.detach().masked_fill(hole, bad).requires_grad_() for t in (clean.key, clean.value))
        dirty = Inputs(clean.query, key, value, clean.key_mask)
        out, lse = dirty.run(**rules)
        assert torch.equal(out, want[0]) and torch.equal(lse, want[1])
        grads = torch.autograd.grad(out.sum(), [key, value])
        assert all(bool(grad.isfinite().all()) and not bool(grad.masked_select(hole).any()) for grad in grads)


def test_everything_masked_gives_empty_rows() -> None:
    inputs = make_inputs(100, heads=2, features=8)
    mask = torch.zeros(2, 100, dtype=torch.bool)
    out, lse = torch.ops.hyper.attention(inputs.query, inputs.key, inputs.value, mask, causal_offset=0, **HYPER)
    assert not bool(out.any()) and bool((lse == NEG_INF).all())


@pytest.mark.parametrize("offset", [None, 0])
def test_a_tolerance_of_nothing_is_exact(offset: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heavy, "TOLERANCE", -1.0)
    monkeypatch.setattr(heavy, "WIDE_PER_SAMPLE", 1000)
    inputs = make_inputs(200, kv_heads=2, masked=0.2)
    got = inputs.run(**HYPER, causal_offset=offset)
    want = inputs.run(**{**HYPER, "algorithm": "exact"}, causal_offset=offset)
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_a_head_that_retrieves_reads_everything() -> None:
    """One head of two looks each time for a far key that no earlier query wanted; the other looks at its own key."""
    n, features = 512, 32
    generator = torch.Generator().manual_seed(0)
    key = torch.randn(1, 1, n, features, generator=generator)
    seek = torch.randperm(n, generator=generator) % torch.arange(1, n + 1)
    query = torch.stack([key[0, 0, seek], key[0, 0]]).unsqueeze(0) * 6.0
    value = torch.randn(1, 1, n, features, generator=generator)
    rules = {**HYPER, "block_size": 32, "window": 32, "heavy": 16, "scale": 0.2, "sample_size": 4096}
    inputs = Inputs(query, key, value)
    call = inputs.call(causal_offset=0, **rules)
    wide = torch.stack([c.wide[0] for c in heavy.choose(query, key, None, call) if c.tile.start > 128])
    assert bool(wide[:, 0].all()) and not bool(wide[:, 1].any())
    out, _ = inputs.run(causal_offset=0, **rules)
    want, _ = inputs.run(causal_offset=0, **{**rules, "algorithm": "exact"})
    assert float((out - want).norm() / want.norm()) < 0.03
    monkey = {**rules, "sample_size": 0}
    poor, _ = inputs.run(causal_offset=0, **monkey)
    assert float((poor - want).norm() / want.norm()) > 0.2


def test_a_window_over_everything_is_exact() -> None:
    """The plan is then its local part alone, and its tiles' queries see all of their past."""
    inputs = make_inputs(100, heads=2, features=8)
    call = inputs.call(causal_offset=0, **{**HYPER, "window": 200})
    parts = hyper.plan(inputs.query.detach(), inputs.key.detach(), None, call)
    assert all(isinstance(part, Span) for part in parts)
    assert torch.equal(engine.count_keys(parts, None, 2, 2, call), torch.arange(1, 101).expand(2, 2, -1))
