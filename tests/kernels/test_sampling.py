"""Far keys by sampling: the portable form against its definition, unbiasedness, causality, draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from attention_cases import Inputs, check_against_oracle, make_inputs
from hyperrewrite.kernels import lsh, planning, sampling, sampling_oracle
from hyperrewrite.kernels.sampling import estimate
from hyperrewrite.kernels.sampling.draws import first_word, uniform
from hyperrewrite.kernels.sampling.prices import search
from hyperrewrite.kernels.sampling_oracle import sampling_log_weight
from planned import planned
from torch import Tensor

NEG_INF = float("-inf")
SAMPLE: dict[str, Any] = {
    "algorithm": "hyper", "price": "search", "min_seq_len": 8, "tile": 64, "window": 16, "sinks": 5, "scale": 0.4,
    "threshold": 0.03, "seed": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row sums and spreads from few keys, as texts are short."""
    for module, name, number in ((search, "STRIDE", 4), (estimate, "REFERENCE", 16)):
        monkeypatch.setattr(sampling, name, number)
        monkeypatch.setattr(module, name, number)


def log_weight(inputs: Inputs, **rules: Any) -> Tensor:
    leaves = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    return sampling_log_weight(*leaves, inputs.key_mask, inputs.call(**rules))


@pytest.mark.parametrize(
    ("n_q", "n_k", "offset", "masked", "more"),
    [
        (150, 150, 0, 0.0, {}),
        (150, 150, None, 0.0, {}),
        (140, 250, 110, 0.3, {}),  # queries behind a cache; the first tile begins in its second strip
        (131, 200, None, 0.4, {}),
        (200, 150, -20, 0.2, {}),  # queries that see no key
        (130, 150, 20, 0.0, {"tile": 40}),  # strips that do not fill a tile
        (150, 150, 0, 0.97, {}),  # tiles whose reference is masked
        (150, 150, 0, 0.0, {"threshold": 1e-4}),  # every key is certain
        (150, 150, 0, 0.0, {"threshold": 30.0}),  # hardly a key is drawn
        (150, 150, 0, 0.0, {"scale": -0.4}),
    ],
)
def test_matches_oracle(n_q: int, n_k: int, offset: int | None, masked: float, more: dict[str, Any]) -> None:
    inputs = make_inputs(
        n_q, n_k, heads=4, kv_heads=2, features=24, value_features=20, masked=masked, strided=n_q == 131
    )
    check_against_oracle(inputs, causal_offset=offset, **{**SAMPLE, **more})


def test_some_keys_are_drawn_and_weigh_more_than_one() -> None:
    weight = log_weight(make_inputs(200, heads=2, features=24), causal_offset=0, **SAMPLE)
    read = weight > NEG_INF
    assert 0.3 < read.double().mean() / 0.5 < 0.95
    assert 0.02 < (weight[read] > 0.0).double().mean() < 0.5


@pytest.mark.parametrize("offset", [0, None, 60])
def test_plans_what_the_oracle_reads(offset: int | None) -> None:
    inputs = make_inputs(200 - (offset or 0), 200, heads=4, kv_heads=2, features=24).to(torch.float64)
    rules = {**SAMPLE, "causal_offset": offset}
    torch.testing.assert_close(planned(inputs, **rules), log_weight(inputs, **rules))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    inputs = make_inputs(150, kv_heads=2, features=24).to(dtype)
    out, lse = inputs.run(**SAMPLE, causal_offset=0)
    want, want_lse = inputs.oracle(**SAMPLE, causal_offset=0)
    tolerance = {torch.bfloat16: 8e-3, torch.float16: 1e-3, torch.float64: 1e-6}[dtype]
    torch.testing.assert_close(out.double(), want, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(lse.double(), want_lse, atol=1e-5, rtol=1e-5)


# --- unbiased -----------------------------------------------------------------------------------------------------

SEEDS = 256
MOST_Z = 4.5  # of some 40 numbers below one is above it in 4,000 runs


@pytest.mark.parametrize("offset", [0, None])
def test_numerator_denominator_and_their_gradients_are_unbiased(
    offset: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a sum over keys of weight times a number that knows no draw; z by the variance that π gives."""
    for module in (sampling, search):
        monkeypatch.setattr(module, "STRIDE", 1)  # row sums are exact, so that probabilities depend on no seed
    n = 200
    inputs = make_inputs(n, batch=1, heads=2, features=16).to(torch.float64)
    rules = {**SAMPLE, "threshold": 0.08, "causal_offset": offset}
    query, key, value = inputs.query[0], inputs.key[0], inputs.value[0]
    scores = query @ key.transpose(-1, -2) * rules["scale"]
    if offset is not None:
        scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), NEG_INF)
    direction = torch.randn(2, 16, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    weight, along = scores.exp(), (value @ direction[0]).unsqueeze(1)  # [2, n, n], [2, 1, n]
    numbers = {
        "denominator": weight,
        "numerator": weight * along,
        "denominator by query": weight * (key @ direction[1]).unsqueeze(1),
        "numerator by query": weight * along * (key @ direction[1]).unsqueeze(1),
        "numerator by keys": weight * along * (query @ direction[1]).unsqueeze(2),
    }
    chance = torch.ones(2, n, n, dtype=torch.float64)
    call = inputs.call(**rules)
    for h in range(2):
        spread = sampling_oracle.spreads(value[h], [True] * n, call)
        for tile in sampling_oracle.tiles(call):
            share = torch.softmax(scores[h], -1)[tile.queries][:, tile.far]
            found = sampling_oracle.probabilities(tile, share, spread[tile.far], call)
            chance[h][torch.tensor(tile.queries)[:, None], torch.tensor(tile.far, dtype=torch.int64)] = found
    drawn = torch.stack([planned(inputs, **{**rules, "seed": seed})[0].exp() for seed in range(SEEDS)])
    rows = [(0, 130), (1, 141), (0, 160), (1, 199)]
    for name, number in numbers.items():
        for h, i in rows:
            sums = (drawn[:, h, i] * number[h, i]).sum(-1)
            variance = ((1 / chance[h, i] - 1) * number[h, i] ** 2).sum()
            z = (sums.mean() - number[h, i].sum()) / (variance / SEEDS) ** 0.5
            assert abs(float(z)) < MOST_Z, (name, h, i)
            assert 0.6 < float(sums.var() / variance) < 1.6, (name, h, i)


@pytest.mark.parametrize("threshold", [0.02, 0.08])
def test_the_quotients_bias_is_small_beside_the_threshold(threshold: float) -> None:
    inputs = make_inputs(200, batch=1, heads=2, features=16)
    inputs = inputs.to(torch.float32)
    exact, _ = inputs.run(**{**SAMPLE, "algorithm": "exact"}, causal_offset=0)
    outs = torch.stack(
        [inputs.run(**{**SAMPLE, "threshold": threshold, "seed": s}, causal_offset=0)[0] for s in range(SEEDS)]
    )
    noise = float(outs.var(0).sum() / SEEDS) ** 0.5
    bias = max(float((outs.mean(0) - exact).square().sum()) - noise**2, 0.0) ** 0.5
    assert bias < threshold * float(exact.norm())


# --- causality ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.03, 0.3])
@pytest.mark.parametrize("last", [77, 128, 150, 191])
def test_later_tokens_change_no_bit(last: int, threshold: float) -> None:
    inputs = make_inputs(220, batch=1, heads=4, kv_heads=2, features=24)
    other = make_inputs(220, batch=1, heads=4, kv_heads=2, features=24, seed=1)
    rules = {**SAMPLE, "threshold": threshold}
    mixed = {
        name: torch.cat([getattr(inputs, name)[:, :, : last + 1], 3.0 * getattr(other, name)[:, :, last + 1 :]], 2)
        for name in ("query", "key", "value")
    }
    one, two = inputs.run(**rules, causal_offset=0), replace(inputs, **mixed).run(**rules, causal_offset=0)
    for before, after in zip(one, two, strict=True):
        assert torch.equal(before[:, :, : last + 1], after[:, :, : last + 1])
        assert not torch.equal(before[:, :, last + 1 :], after[:, :, last + 1 :])


def test_a_longer_text_and_a_chunked_prefill_read_the_same_keys() -> None:
    inputs = make_inputs(256, batch=1, heads=4, kv_heads=2, features=24)
    rules = {**SAMPLE, "tile": 64}
    whole = log_weight(inputs, causal_offset=0, **rules)
    shorter = replace(inputs, **{n: getattr(inputs, n)[:, :, :190] for n in ("query", "key", "value")})
    torch.testing.assert_close(
        log_weight(shorter, causal_offset=0, **rules), whole[:, :, :190, :190], rtol=0, atol=1e-12
    )
    chunk = replace(inputs, query=inputs.query[:, :, 128:])  # begins with a tile
    torch.testing.assert_close(log_weight(chunk, causal_offset=128, **rules), whole[:, :, 128:], rtol=0, atol=1e-12)
    torch.testing.assert_close(
        chunk.run(**rules, causal_offset=128)[0], inputs.run(**rules, causal_offset=0)[0][:, :, 128:]
    )


# --- draws --------------------------------------------------------------------------------------------------------


def test_numbers_are_uniform_and_name_by_name_others() -> None:
    keys = torch.arange(1 << 16)
    lines, tiles = torch.arange(4).view(4, 1, 1), torch.arange(3).view(1, 3, 1)
    numbers = uniform(7, lines, tiles, keys).double()  # [4, 3, 65536]
    assert float(numbers.min()) > 0.0 and float(numbers.max()) < 1.0
    counts = torch.stack([torch.histc(row, 64, 0.0, 1.0) for row in numbers.flatten(0, 1)])
    chi = ((counts - 1024) ** 2 / 1024).sum(1)
    assert bool(((chi > 25) & (chi < 125)).all())  # 63 ± 11
    streams = torch.cat([numbers.flatten(0, 1), uniform(8, lines, tiles, keys).double().flatten(0, 1)])
    apart = torch.corrcoef(streams) - torch.eye(24, dtype=torch.float64)
    assert float(apart.abs().max()) < 5 / 256
    shifted = torch.corrcoef(torch.stack([numbers[0, 0, :-1], numbers[0, 0, 1:]]))[0, 1]
    assert abs(float(shifted)) < 5 / 256
    assert first_word(7, torch.tensor(0), torch.tensor(1)) != first_word(7, torch.tensor(1), torch.tensor(0))


def test_no_two_streams_have_one_name() -> None:
    assert len({lsh.PLANES, lsh.RANKS, lsh.DRAWS, lsh.KV_DRAWS, lsh.LOOKS}) == 5


def test_one_seed_gives_the_same_bits_and_another_does_not() -> None:
    inputs = make_inputs(200, features=24)
    one, same = (inputs.run(**SAMPLE, causal_offset=0)[0] for _ in range(2))
    assert torch.equal(one, same)
    assert not torch.equal(one, inputs.run(**{**SAMPLE, "seed": 4}, causal_offset=0)[0])


def test_every_far_key_can_be_drawn_and_a_dear_one_is_certain() -> None:
    tile = next(t for t in estimate.tiles(make_inputs(200).call(causal_offset=0, **SAMPLE)) if t.far)
    weight = torch.tensor([0.0, 1e-30, 0.25, 1.0, 9.0]).expand(1, 1, tile.rows, 5).clone()
    chance = estimate.chances(weight, tile).sqrt()
    assert float(chance.min()) >= sampling.LEAST_CHANCE
    assert bool((chance[..., 3:] == 1.0).all()) and bool((chance[..., 2] < 1.0).any())
    assert bool((chance.diff(dim=2) >= 0.0).all())  # a price grows from row to row where weights are alike


def test_threshold_0_is_exact() -> None:
    inputs = make_inputs(200, features=24)
    call = inputs.call(causal_offset=0, **{**SAMPLE, "threshold": 0.0})
    assert planning.algorithm_of(call) == "exact"
    exact = inputs.run(**{**SAMPLE, "algorithm": "exact"}, causal_offset=0)[0]
    assert torch.equal(inputs.run(**{**SAMPLE, "threshold": 0.0}, causal_offset=0)[0], exact)


def test_counts_what_is_read() -> None:
    inputs = make_inputs(200, batch=1, heads=4, kv_heads=2, features=24, masked=0.2)
    call = inputs.call(causal_offset=0, **SAMPLE)
    parts, found = planning.whole_plan(
        inputs.query.detach(), inputs.key.detach(), inputs.value.detach(), inputs.key_mask, call
    )
    counted = planning.count_keys(parts, inputs.key_mask, 1, 4, call, found=found)
    assert torch.equal(counted, (log_weight(inputs, causal_offset=0, **SAMPLE) > NEG_INF).sum(-1))
