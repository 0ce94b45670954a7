"""The plan of `hyper`: pairs that are disjoint, visible and counted; empty rows, masks, rectangles."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import Inputs, check_against_oracle, make_inputs
from hyperrewrite.kernels import oracle, planning
from hypothesis import given, settings
from hypothesis import strategies as st
from planned import planned

pytestmark = pytest.mark.usefixtures("short_reference")
NEG_INF = float("-inf")
HYPER: dict[str, Any] = {
    "algorithm": "hyper", "price": "search", "min_seq_len": 8, "tile": 16, "window": 8, "sinks": 3,
    "threshold": 0.05, "scale": 0.4,
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    n_q=st.integers(1, 120),
    n_k=st.integers(1, 120),
    offset=st.one_of(st.none(), st.integers(-130, 130)),
    tile=st.integers(16, 24),
    window=st.integers(0, 30),
    sinks=st.integers(0, 9),
    threshold=st.sampled_from([0.0005, 0.02, 0.1, 0.3]),
    masked=st.sampled_from([0.0, 0.3, 0.95]),
    seed=st.integers(0, 1000),
)
def test_plan_is_disjoint_visible_and_counted(
    n_q: int, n_k: int, offset: int | None, tile: int, window: int, sinks: int, threshold: float, masked: float,
    seed: int,
) -> None:  # fmt: skip
    """No pair twice, no masked or future key; every query sees its own tile's past; the counts are the matrix's."""
    inputs = make_inputs(n_q, n_k, heads=2, kv_heads=1, features=8, masked=masked, seed=seed)
    rules = {**HYPER, "tile": tile, "window": window, "sinks": sinks, "threshold": threshold, "causal_offset": offset}
    call = inputs.call(**rules)
    if planning.algorithm_of(call) != "hyper":
        return
    read = planned(inputs, **rules) > NEG_INF
    allowed = oracle.visible(inputs.query, inputs.key, inputs.key_mask, call)
    assert not bool((read & ~allowed).any())
    leaves = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    parts, found = planning.whole_plan(*leaves, inputs.key_mask, call)
    assert torch.equal(planning.count_keys(parts, inputs.key_mask, 2, 2, call, found=found), read.sum(-1))
    if offset is not None:
        rows, keys = torch.arange(n_q)[:, None] + offset, torch.arange(n_k)
        recent = (keys > rows - max(window, 1)) | (keys < sinks)
        assert bool((read | ~(recent & allowed)).all())


@pytest.mark.parametrize(
    ("n_q", "n_k", "offset"),
    [(100, 63, None), (63, 200, None), (3, 130, None), (100, 63, 0), (63, 200, 137), (63, 200, 0), (150, 90, -20),
     (100, 100, 5), (100, 100, -9), (1, 77, 76), (64, 64, 500), (64, 64, -500)],
)  # fmt: skip
@pytest.mark.parametrize("masked", [0.0, 0.5])
def test_rectangles(n_q: int, n_k: int, offset: int | None, masked: float) -> None:
    inputs = make_inputs(n_q, n_k, heads=2, kv_heads=1, features=16, value_features=9, masked=masked)
    check_against_oracle(inputs, causal_offset=offset, empty_rows="mean", **HYPER)


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


def test_a_key_that_one_query_looks_for_is_read() -> None:
    """Each query of one head looks for a far key of its own; a search that draws all alike loses it."""
    n, features = 512, 32
    generator = torch.Generator().manual_seed(0)
    key = torch.randn(1, 1, n, features, generator=generator)
    seek = torch.randperm(n, generator=generator) % torch.arange(1, n + 1)
    query = key[:, :, seek] * 6.0
    value = torch.randn(1, 1, n, features, generator=generator)
    rules = {**HYPER, "tile": 32, "window": 32, "scale": 0.2, "threshold": 0.002}
    inputs = Inputs(query, key, value)
    want, _ = inputs.run(causal_offset=0, **{**rules, "algorithm": "exact"})
    for threshold, low, high in ((0.002, 0.0, 0.02), (1e6, 0.3, 2.0)):
        out, _ = inputs.run(causal_offset=0, **{**rules, "threshold": threshold})
        assert low <= float((out - want).norm() / want.norm()) < high


@pytest.mark.parametrize(("queries", "name"), [(127, "exact"), (128, "hyper")])
def test_fewer_queries_than_a_tile_run_exactly(queries: int, name: str) -> None:
    call = make_inputs(queries, 500).call(algorithm="hyper", min_seq_len=0, causal_offset=500 - queries)
    assert planning.algorithm_of(call) == name


def test_a_window_over_everything_is_exact() -> None:
    inputs = make_inputs(100, heads=2, features=8)
    read = planned(inputs, causal_offset=0, **{**HYPER, "window": 96}) > NEG_INF
    assert torch.equal(read, torch.ones(100, 100, dtype=torch.bool).tril().expand(2, 2, -1, -1))
