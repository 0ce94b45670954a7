"""Far keys by the prices of rows and blocks: against the definition, unbiasedness, causality, gradients, bfloat16."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from attention_cases import Inputs, make_inputs
from hyperrewrite.kernels import hyper, oracle, sampling, sampling_oracle
from hyperrewrite.kernels.sampling import estimate, lists, products, rows
from torch import Tensor

NEG_INF = float("-inf")
SAMPLE: dict[str, Any] = {
    "algorithm": "hyper", "price": "rows", "min_seq_len": 8, "tile": 64, "window": 16, "sinks": 5, "scale": 0.4,
    "threshold": 0.03, "seed": 3,
}  # fmt: skip
SMALL = {"REFERENCE": 16, "BLOCK": 16, "STEP": 4, "PART": 4}  # as texts are short


@pytest.fixture
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sampling, estimate, rows, lists):
        for name, number in SMALL.items():
            monkeypatch.setattr(module, name, number, raising=False)


@pytest.fixture
def plain_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in the dtype of the sums, as on a processor without bfloat16."""
    monkeypatch.setattr(
        rows, "product_dtype", lambda dtype, _: torch.float64 if dtype == torch.float64 else torch.float32
    )


exact_numbers = pytest.mark.usefixtures("short_texts", "plain_products")


def definition(inputs: Inputs, **rules: Any) -> tuple[Tensor, Tensor]:
    """(out, lse) float64 by the definition; differentiable."""
    call = inputs.call(**rules)
    weight = sampling_oracle.rows_log_weight(inputs.query, inputs.key, inputs.value, inputs.key_mask, call)
    return oracle.dense_attention(inputs.query, inputs.key, inputs.value, None, weight, call)


def sampled(inputs: Inputs, **rules: Any) -> tuple[Tensor, Tensor]:
    leaves = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    return rows.attention(*leaves, inputs.key_mask, inputs.call(**rules))


def drawn_weight(inputs: Inputs, **rules: Any) -> Tensor:
    """The log weights [B, H, n_q, n_k] of the far keys, from the parts for the engine."""
    leaves = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    call = inputs.call(**rules)
    weight = torch.full((*leaves[0].shape[:3], call.num_keys), NEG_INF, dtype=torch.float64)
    group = leaves[0].shape[1] // leaves[1].shape[1]
    for part in rows.far(*leaves, inputs.key_mask, call):
        pairs = part.pair_log_weight(torch.float64)
        queries = part.query_rows[0, 0, 0]
        keys = part.key_rows.repeat_interleave(group, 1)[:, :, 0]
        if pairs is None:
            pairs = torch.zeros(1, dtype=torch.float64)
        pairs = pairs.expand(leaves[1].shape[0] * leaves[1].shape[1], group, queries.numel(), keys.shape[-1])
        pairs = pairs.reshape(*leaves[0].shape[:2], queries.numel(), keys.shape[-1])
        b, h, q, k = (pairs > NEG_INF).nonzero(as_tuple=True)
        at = (b, h, queries[q], keys[b, h, k])
        assert bool((weight[at] == NEG_INF).all())  # no pair twice
        weight[at] = pairs[b, h, q, k]
    return weight


CASES: list[tuple[int, int, int | None, float, dict[str, Any]]] = [
    (150, 150, 0, 0.0, {}),
    (150, 150, None, 0.0, {}),
    (90, 200, 110, 0.3, {}),  # queries behind a cache; the first tile begins in the middle
    (93, 202, 109, 0.3, {}),  # and in the middle of a group
    (111, 200, None, 0.4, {}),
    (200, 150, -20, 0.2, {}),  # queries that see no key
    (130, 150, 20, 0.0, {"tile": 42}),  # groups of several sizes
    (150, 150, 0, 0.97, {}),  # blocks and rows without a key
    (150, 150, 0, 0.0, {"threshold": 1e-4}),  # every key is certain
    (150, 150, 0, 0.0, {"threshold": 30.0}),  # hardly a key is drawn
    (150, 150, 0, 0.0, {"scale": -0.4}),
    (150, 150, None, 0.0, {"window": 0, "sinks": 0}),
    (70, 30, None, 0.0, {}),  # no block is far as a whole
]


@exact_numbers
@pytest.mark.parametrize(("n_q", "n_k", "offset", "masked", "more"), CASES)
def test_matches_the_definition(n_q: int, n_k: int, offset: int | None, masked: float, more: dict[str, Any]) -> None:
    inputs = make_inputs(
        n_q, n_k, heads=4, kv_heads=2, features=24, value_features=20, masked=masked, strided=n_q == 111
    )
    rules = {**SAMPLE, **more, "causal_offset": offset}
    out, lse = sampled(inputs, **rules)
    want, want_lse = definition(inputs, **rules)
    torch.testing.assert_close(out.double(), want, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(lse.double(), want_lse, atol=1e-5, rtol=1e-5)
    assert out.dtype == lse.dtype == torch.float32


@exact_numbers
@pytest.mark.parametrize(("n_q", "n_k", "offset", "masked", "more"), CASES[:8])
def test_the_parts_for_the_engine_give_the_same_and_its_gradients(
    n_q: int, n_k: int, offset: int | None, masked: float, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hyper.estimate, "far", rows.far)
    inputs = make_inputs(n_q, n_k, heads=4, kv_heads=2, features=24, value_features=20, masked=masked)
    rules = {**SAMPLE, **more, "causal_offset": offset}
    out, lse = inputs.run(**rules)
    want, want_lse = definition(inputs, **rules)
    torch.testing.assert_close(out.double(), want, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(lse.double(), want_lse, atol=1e-5, rtol=1e-5)
    generator = torch.Generator().manual_seed(9)
    along, along_lse = torch.randn(out.shape, generator=generator), torch.randn(lse.shape, generator=generator)
    seen = want_lse > NEG_INF

    def loss(result: Tensor, sums: Tensor) -> Tensor:
        return (result.double() * along).sum() + (sums.double().masked_fill(~seen, 0.0) * along_lse).sum()

    got = torch.autograd.grad(loss(out, lse), inputs.leaves)
    for mine, theirs in zip(got, torch.autograd.grad(loss(want, want_lse), inputs.leaves), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_products_of_this_processor(dtype: torch.dtype) -> None:
    """In bfloat16 a price near a draw may fall on its other side: everything is certain here, nothing is drawn."""
    inputs = make_inputs(260, heads=4, kv_heads=2, features=24, value_features=40, masked=0.1).to(dtype)
    rules = {**SAMPLE, "threshold": 1e-9, "causal_offset": 0}
    out, lse = sampled(inputs, **rules)
    want, want_lse = definition(inputs, **rules)
    assert out.dtype == dtype and lse.dtype == torch.float32
    assert float((out.double() - want).norm() / want.norm()) < (1e-6 if dtype == torch.float64 else 8e-3)
    seen = want_lse > NEG_INF
    off = (lse.double() - want_lse)[seen].square().mean() ** 0.5
    assert float(off) < (1e-6 if dtype == torch.float64 else 4e-3)


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("size", [30.0, 3000.0])
def test_scores_of_any_size(size: float) -> None:
    """Scores far beyond what exp takes: rows are recomputed by their largest, to the dtype of the products."""
    inputs = make_inputs(260, batch=1, heads=4, kv_heads=2, features=24)
    inputs = replace(inputs, query=inputs.query * size)
    rules = {**SAMPLE, "threshold": 1e-9, "causal_offset": 0}
    rounded = replace(inputs, **{n: getattr(inputs, n).bfloat16().float() for n in ("query", "value")})
    out, lse = sampled(rounded, **rules)
    assert bool(out.isfinite().all() and lse.isfinite().all())
    want_lse = definition(rounded, **rules)[1]
    torch.testing.assert_close(lse.double(), want_lse, rtol=1e-2, atol=1e-2 * size)


@exact_numbers
def test_scores_of_any_size_in_full_precision() -> None:
    inputs = make_inputs(260, batch=1, heads=4, kv_heads=2, features=24)
    inputs = replace(inputs, query=inputs.query * 100.0).to(torch.float64)
    rules = {**SAMPLE, "causal_offset": 0}
    out, lse = sampled(inputs, **rules)
    want, want_lse = definition(inputs, **rules)
    torch.testing.assert_close(out, want, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(lse.double(), want_lse, atol=1e-3, rtol=1e-6)


@exact_numbers
def test_masked_keys_may_hold_anything() -> None:
    inputs = make_inputs(200, heads=4, kv_heads=2, features=24, masked=0.3)
    assert inputs.key_mask is not None
    hidden = ~inputs.key_mask[:, None, :, None]
    poisoned = replace(
        inputs, key=inputs.key.detach().masked_fill(hidden, torch.nan),
        value=inputs.value.detach().masked_fill(hidden, torch.inf),
    )  # fmt: skip
    for offset in (0, None):
        one, two = (sampled(given, **SAMPLE, causal_offset=offset) for given in (inputs, poisoned))
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])


# --- unbiased -----------------------------------------------------------------------------------------------------

SEEDS = 256
MOST_Z = 4.5  # of some 40 numbers below one is above it in 4,000 runs


@exact_numbers
@pytest.mark.parametrize("offset", [0, None])
def test_numerator_and_denominator_are_unbiased(offset: int | None) -> None:
    """Each is a sum over keys of weight times a number that knows no draw; z by the variance that π gives."""
    n = 200
    inputs = make_inputs(n, batch=1, heads=2, kv_heads=1, features=16).to(torch.float64)
    rules = {**SAMPLE, "threshold": 0.08, "causal_offset": offset}
    call = inputs.call(**rules)
    query, key, value = inputs.query[0], inputs.key[0, 0], inputs.value[0, 0]
    scores = query @ key.transpose(-1, -2) * call.scale
    direction = torch.randn(2, 16, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    weight, along = scores.exp(), (value @ direction[0])[None, None]
    numbers = {
        "denominator": weight,
        "numerator": weight * along,
        "denominator by query": weight * (key @ direction[1]),
        "numerator by keys": weight * along * (query @ direction[1]).unsqueeze(2),
    }
    chance, far = torch.ones(n, n, dtype=torch.float64), torch.zeros(n, n, dtype=torch.bool)
    spread = sampling_oracle.spreads(value, [True] * n, call)
    for tile in sampling_oracle.tiles(call):
        queries = torch.tensor(tile.queries)
        found = sampling_oracle.rows_probabilities(tile, query * call.scale, key, spread, [True] * n, call)
        chance[queries] = found
        far[queries[:, None], torch.tensor(tile.far, dtype=torch.int64)] = True
    read = torch.stack([drawn_weight(inputs, **{**rules, "seed": seed})[0].exp() for seed in range(SEEDS)])
    assert float((chance[far] < 1.0).double().mean()) > 0.1
    for name, number in numbers.items():
        for h, i in [(0, 130), (1, 141), (0, 160), (1, 199)]:
            sums, want = (read[:, h, i] * number[h, i]).sum(-1), (number[h, i] * far[i]).sum()
            variance = ((1 / chance[i] - 1) * number[h, i] ** 2 * far[i]).sum()
            z = (sums.mean() - want) / (variance / SEEDS) ** 0.5
            assert abs(float(z)) < MOST_Z, (name, h, i)
            assert 0.5 < float(sums.var() / variance) < 1.8, (name, h, i)


# --- causality ----------------------------------------------------------------------------------------------------


def changed_after(inputs: Inputs, last: int) -> Inputs:
    other = make_inputs(inputs.query.shape[2], batch=1, heads=4, kv_heads=2, features=inputs.query.shape[3], seed=1)
    mixed = {
        name: torch.cat([getattr(inputs, name)[:, :, : last + 1], 3.0 * getattr(other, name)[:, :, last + 1 :]], 2)
        for name in ("query", "key", "value")
    }
    return replace(inputs, **mixed)


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("threshold", [0.03, 0.3])
@pytest.mark.parametrize("last", [77, 128, 150, 191])
def test_later_tokens_change_no_bit(last: int, threshold: float) -> None:
    inputs = make_inputs(220, batch=1, heads=4, kv_heads=2, features=24)
    rules = {**SAMPLE, "threshold": threshold, "causal_offset": 0}
    one, two = sampled(inputs, **rules), sampled(changed_after(inputs, last), **rules)
    for before, after in zip(one, two, strict=True):
        assert torch.equal(before[:, :, : last + 1], after[:, :, : last + 1])
        assert not torch.equal(before[:, :, last + 1 :], after[:, :, last + 1 :])


@pytest.mark.parametrize("products_in", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("last", [1100, 1407])
def test_later_tokens_change_no_bit_of_long_lists(
    last: int, products_in: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "product_dtype", lambda *_: products_in)
    inputs = make_inputs(1500, batch=1, heads=4, kv_heads=2, features=64)
    rules = {**SAMPLE, "threshold": 0.02, "tile": 128, "window": 128, "sinks": 64, "causal_offset": 0}
    one, two = sampled(inputs, **rules), sampled(changed_after(inputs, last), **rules)
    for before, after in zip(one, two, strict=True):
        assert torch.equal(before[:, :, : last + 1], after[:, :, : last + 1])


@exact_numbers
def test_a_longer_text_and_a_chunked_prefill_read_the_same_keys() -> None:
    inputs = make_inputs(256, batch=1, heads=4, kv_heads=2, features=24)
    whole = drawn_weight(inputs, causal_offset=0, **SAMPLE)
    shorter = replace(inputs, **{n: getattr(inputs, n)[:, :, :190] for n in ("query", "key", "value")})
    torch.testing.assert_close(
        drawn_weight(shorter, causal_offset=0, **SAMPLE), whole[:, :, :190, :190], rtol=0, atol=1e-5
    )
    chunk = replace(inputs, query=inputs.query[:, :, 128:])  # begins with a tile
    torch.testing.assert_close(drawn_weight(chunk, causal_offset=128, **SAMPLE), whole[:, :, 128:], rtol=0, atol=1e-5)
    for one, two in zip(
        sampled(chunk, **SAMPLE, causal_offset=128), sampled(inputs, **SAMPLE, causal_offset=0), strict=True
    ):
        torch.testing.assert_close(one, two[:, :, 128:])


@exact_numbers
def test_one_seed_gives_the_same_bits_and_another_does_not() -> None:
    inputs = make_inputs(200, features=24)
    one, same = (sampled(inputs, **SAMPLE, causal_offset=0)[0] for _ in range(2))
    assert torch.equal(one, same)
    assert not torch.equal(one, sampled(inputs, **{**SAMPLE, "seed": 4}, causal_offset=0)[0])


def test_bfloat16_where_the_processor_multiplies_it() -> None:
    cpu = torch.device("cpu")
    assert products.product_dtype(torch.float64, cpu) == torch.float64
    assert products.product_dtype(torch.float32, torch.device("meta")) == torch.float32
    assert products.product_dtype(torch.float32, cpu) in (torch.float32, torch.bfloat16)


@exact_numbers
def test_tiles_side_by_side_give_the_same_bits() -> None:
    inputs = make_inputs(300, features=24)
    before = torch.get_num_threads()
    alone = sampled(inputs, **SAMPLE, causal_offset=0)
    try:
        torch.set_num_threads(3)
        together = sampled(inputs, **SAMPLE, causal_offset=0)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(alone, together, strict=True))
