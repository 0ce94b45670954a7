"""Hand-made plans through the engine: any mix of spans and tiles is one softmax over the union of their pairs."""

from __future__ import annotations

import pytest
import torch
from attention_cases import make_inputs
from hyperrewrite.kernels import engine, oracle, planning
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.parts import Plan, Span, Tiles, visible_keys
from torch import Tensor

NEG_INF = float("-inf")


def handmade(
    heads: int, units: int, offset: int | None, window: int | None, key_mask: Tensor | None, seed: int
) -> Plan:
    """For 45 queries and 60 keys: keys 0–9 as a span, 10–29 in tiles of uneven padding, 30–59 per query head."""
    generator = torch.Generator().manual_seed(seed)

    def shuffled(rows: int, count: int, size: int, low: int, high: int) -> Tensor:
        """Every number of [low, high) once in each of [2, rows], with −1 strewn in, as `count` tiles."""
        padded = torch.cat([torch.arange(low, high), torch.full((count * size - (high - low),), -1)])
        order = [padded[torch.randperm(count * size, generator=generator)] for _ in range(2 * rows)]
        return torch.stack(order).view(2, rows, count, size)

    def without_masked(rows: Tensor) -> Tensor:
        if key_mask is None:
            return rows
        kept = key_mask.expand(2, -1)[torch.arange(2).view(2, 1, 1, 1), rows.clamp(min=0)]
        return rows.masked_fill(~kept, -1)

    queries = shuffled(heads, 5, 10, 0, 45)
    shared = without_masked(shuffled(units, 5, 6, 10, 30))
    own = without_masked(shuffled(heads, 5, 9, 30, 60))
    weight = torch.randn(own.shape, generator=generator)
    return [
        Span(0, 45, 0, 10, offset, window),
        Tiles(queries, shared, None, offset, window),
        Tiles(queries.flip(2), own, weight, offset, window),
    ]


@pytest.mark.parametrize(("offset", "window"), [(None, None), (12, None), (12, 25), (-3, None)])
@pytest.mark.parametrize("masked", [0.0, 0.5])
@pytest.mark.parametrize("budget", [1 << 23, 1])
def test_any_plan_is_one_softmax(
    offset: int | None, window: int | None, masked: float, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TILE_BUDGET", budget)
    inputs = make_inputs(45, 60, heads=4, kv_heads=2, features=8, value_features=11, masked=masked)
    call = AttentionCall(45, 60, scale=0.4, causal_offset=offset, sliding_window=window)
    parts = handmade(4, 2, offset, window, inputs.key_mask, 3)
    monkeypatch.setattr(engine, "make_plan", lambda *_: parts)
    log_weight = oracle.plan_log_weight(parts, inputs.key_mask, 2, 4, call)
    tensors = (inputs.query, inputs.key, inputs.value, inputs.key_mask)
    want, want_lse = oracle.dense_attention(*tensors[:3], None, log_weight, call)
    with torch.no_grad():
        out, lse = engine.forward(*tensors, None, call)
    torch.testing.assert_close(out.double(), want, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(lse.double(), want_lse, atol=1e-5, rtol=1e-5)
    along, along_lse = torch.randn_like(out), torch.randn_like(lse)
    loss = (want * along).sum() + (want_lse.masked_fill(want_lse == NEG_INF, 0.0) * along_lse).sum()
    want_grads = torch.autograd.grad(loss, inputs.leaves)
    with torch.no_grad():
        grads = engine.backward(along, along_lse, *tensors, None, out, lse, call, False)
    for mine, theirs in zip(grads, want_grads, strict=False):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)
    counts = planning.count_keys(parts, inputs.key_mask, 2, 4, call)
    assert torch.equal(counts, (log_weight > NEG_INF).sum(-1))


def test_padding_rows_with_large_scores_stay_out_of_gradients() -> None:
    """A padding query row is computed like any other; exp of its scores must not reach the keys as inf · 0."""
    inputs = make_inputs(3, 4, batch=1, heads=1, features=8)
    call = AttentionCall(3, 4, scale=1e4)
    rows = torch.tensor([[[[2, 0, 1, -1]]]])
    keys = torch.tensor([[[[0, 1, 2, 3]]]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "make_plan", lambda *_: [Tiles(rows, keys, may_pad=False)])
        tensors = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach(), None, None)
        out, lse = engine.forward(*tensors, call)
        grads = engine.backward(torch.ones_like(out), None, *tensors, out, lse, call, False)
    assert all(bool(grad.isfinite().all()) for grad in grads[:3] if grad is not None)


def test_visible_keys() -> None:
    mask = torch.rand(2, 20, generator=torch.Generator().manual_seed(0)) > 0.5
    for offset, window in ((None, None), (3, None), (-4, None), (2, 5), (30, 4), (-30, 4)):
        span = Span(2, 17, 4, 18, offset, window)
        call = AttentionCall(17, 20, causal_offset=offset, sliding_window=window)
        dummy = torch.empty(2, 1, 17, 1), torch.empty(2, 1, 20, 1)
        for key_mask in (None, mask):
            want = oracle.visible(*dummy, key_mask, call)[:, 0, 2:17, 4:18].sum(-1)
            assert torch.equal(visible_keys(span, key_mask, torch.device("cpu")).expand(2, -1), want)


@pytest.mark.parametrize("offset", [None, 0, 5, -3])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("n_k", [1, 7, 20])
def test_a_call_that_sees_keys_has_no_empty_row(offset: int | None, window: int | None, n_k: int) -> None:
    if window is not None and offset is None:
        return
    call = AttentionCall(12, n_k, causal_offset=offset, sliding_window=window)
    query, key = torch.randn(1, 1, 12, 8), torch.randn(1, 1, n_k, 8)
    _, lse = engine.forward(query, key, key, None, None, call)
    assert bool((lse > float("-inf")).all()) or not call.sees_keys
    if window is None:  # then it is known
        assert call.sees_keys == bool((lse > float("-inf")).all())
