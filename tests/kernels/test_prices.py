"""Prices of far keys, all of them: unbiased, blind to what follows, to where a call begins and to masked keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from attention_cases import Inputs, make_inputs
from hyperrewrite.kernels import sampling, sampling_oracle
from hyperrewrite.kernels.lsh import Draws
from hyperrewrite.kernels.sampling.prices import kmeans, lsh
from planned import planned
from priced import SAMPLE, priced, shorten, weights_of, with_exact_sums

SEEDS = 128
MOST_Z = 4.5

NEG_INF = float("-inf")


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


@priced
@pytest.mark.parametrize("offset", [0, None])
def test_numerator_and_denominator_are_unbiased(
    price: str, offset: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """z by the variance of probabilities that follow from the weights; these know no draw: neither the part of a row
    sum nor the hyperplanes depend on the seed here."""
    with_exact_sums(monkeypatch)
    monkeypatch.setattr(lsh.lsh, "Draws", lambda seed: Draws(11))
    n = 150
    inputs = make_inputs(n, batch=1, heads=2, features=16).to(torch.float64)
    rules = {**SAMPLE, "threshold": 0.08, "causal_offset": offset, "price": price}
    query, key, value = inputs.query[0], inputs.key[0], inputs.value[0]
    weight = (query @ key.transpose(-1, -2) * rules["scale"]).exp()
    if offset is not None:
        weight = weight.tril()
    along = torch.randn(16, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    numbers = {"denominator": weight, "numerator": weight * (value @ along).unsqueeze(1)}
    chance = torch.ones(2, n, n, dtype=torch.float64)
    call = inputs.call(**rules)
    for (tile, found), known in zip(weights_of(inputs, **rules), _known_tiles(inputs, rules), strict=True):
        for h in range(2):
            spread = sampling_oracle.spreads(value[h], [True] * n, call)[known.far]
            share = sampling_oracle.probabilities(known, found[0, h].double(), spread, call)
            chance[h][torch.tensor(known.queries)[:, None], tile.far_keys(share.device)] = share
    assert float((chance < 1.0).double().mean()) > 0.01
    drawn = torch.stack([planned(inputs, **{**rules, "seed": seed})[0].exp() for seed in range(SEEDS)])
    for name, number in numbers.items():
        for h, i in [(0, 75), (1, 100), (0, 130), (1, 149)]:
            sums = (drawn[:, h, i] * number[h, i]).sum(-1)
            variance = ((1 / chance[h, i] - 1) * number[h, i] ** 2).sum()
            z = (sums.mean() - number[h, i].sum()) / (variance / SEEDS) ** 0.5
            assert abs(float(z)) < MOST_Z, (name, h, i)
            assert 0.4 < float(sums.var() / variance) < 2.5, (name, h, i)


def _known_tiles(inputs: Inputs, rules: dict[str, Any]) -> list[sampling_oracle.Tile]:
    return [tile for tile in sampling_oracle.tiles(inputs.call(**rules)) if tile.far]


@priced
@pytest.mark.parametrize("more", [{}, {"tile": 16, "window": 16}, {"tile": 40}])
@pytest.mark.parametrize("last", [77, 128, 150, 191])
def test_later_tokens_change_no_bit(price: str, last: int, more: dict[str, Any]) -> None:
    inputs = make_inputs(220, batch=1, heads=4, kv_heads=2, features=24)
    other = make_inputs(220, batch=1, heads=4, kv_heads=2, features=24, seed=1)
    rules = {**SAMPLE, "price": price, **more}
    mixed = {
        name: torch.cat([getattr(inputs, name)[:, :, : last + 1], 3.0 * getattr(other, name)[:, :, last + 1 :]], 2)
        for name in ("query", "key", "value")
    }
    one, two = inputs.run(**rules, causal_offset=0), replace(inputs, **mixed).run(**rules, causal_offset=0)
    for before, after in zip(one, two, strict=True):
        assert torch.equal(before[:, :, : last + 1], after[:, :, : last + 1])
        assert not torch.equal(before[:, :, last + 1 :], after[:, :, last + 1 :])


@priced
def test_a_longer_text_and_a_chunked_prefill_read_the_same_keys(price: str) -> None:
    inputs = make_inputs(320, batch=1, heads=4, kv_heads=2, features=24)
    rules = {**SAMPLE, "price": price}
    whole = planned(inputs, causal_offset=0, **rules)
    for start, stop in ((0, 190), (128, 320), (64, 200)):  # a chunk begins with a tile
        keys = {name: getattr(inputs, name)[:, :, :stop] for name in ("key", "value")}
        chunk = replace(inputs, query=inputs.query[:, :, start:stop], **keys)
        found = planned(chunk, causal_offset=start, **rules)
        torch.testing.assert_close(found, whole[:, :, start:stop, :stop], rtol=0.0, atol=1e-4)


@priced
@pytest.mark.parametrize("offset", [0, None, 60])
def test_masked_keys_are_never_read(price: str, offset: int | None) -> None:
    inputs = make_inputs(200 - (offset or 0), 200, heads=4, kv_heads=2, features=24, masked=0.4)
    assert inputs.key_mask is not None
    rules = {**SAMPLE, "price": price, "causal_offset": offset}
    hidden = ~inputs.key_mask[:, None, :, None]
    outs = [
        replace(inputs, key=inputs.key.masked_fill(hidden, x), value=inputs.value.masked_fill(hidden, x)).run(**rules)
        for x in (0.0, float("nan"), 1e4)
    ]
    assert bool(outs[0][0].isfinite().all())
    assert all(torch.equal(one, two) for other in outs[1:] for one, two in zip(outs[0], other, strict=True))
    reads = planned(inputs, **rules) > NEG_INF
    assert not bool((reads & ~inputs.key_mask[:, None, None]).any())


@priced
@pytest.mark.parametrize("masked", [0.0, 0.6])
@pytest.mark.parametrize("offset", [0, None])
def test_keys_that_are_alike_have_their_true_weight(
    price: str, masked: float, offset: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every visible key weighs one part of how many the query sees, or the row that `heavy` probed. Rows of masked keys
    come as zeros, which would shift a mean and widen a variance that counted them."""
    with_exact_sums(monkeypatch)
    inputs = make_inputs(200, heads=4, kv_heads=2, features=24, masked=masked).to(torch.float64)
    inputs = replace(inputs, key=inputs.key[:, :, :1].expand_as(inputs.key).contiguous())
    seen = torch.ones(2, 200, dtype=torch.bool) if inputs.key_mask is None else inputs.key_mask
    count = seen.cumsum(-1) if offset is not None else seen.sum(-1, keepdim=True).expand(-1, 200)
    for tile, weight in weights_of(inputs, **SAMPLE, price=price, causal_offset=offset):
        far = seen[:, None, None, tile.far_keys(weight.device)].expand_as(weight)
        row = torch.arange(tile.start, tile.stop)
        row = row // sampling.STRIP * sampling.STRIP if price == "heavy" else row
        true = 1.0 / count[:, None, row, None].expand_as(weight)
        torch.testing.assert_close(weight[far], true[far].double(), rtol=1e-4, atol=0.0)


def test_rows_of_masked_keys_take_no_cluster() -> None:
    inputs = make_inputs(64, heads=2, features=24, masked=0.4)
    assert inputs.key_mask is not None
    seen = inputs.key_mask[:, None, :, None]
    key = inputs.key.detach()
    found, same = (kmeans.clustered(key.masked_fill(~seen, x), seen.to(key.dtype)) for x in (0.0, 3.0))
    assert torch.equal(found[1].mean, same[1].mean) and torch.equal(found[1].variance, same[1].variance)
    read = seen.squeeze(-1).expand_as(found[0])
    assert torch.equal(found[0][read], same[0][read])


@priced
@pytest.mark.parametrize(
    ("n_q", "n_k", "offset", "masked", "more"),
    [
        (150, 150, 0, 0.97, {}),  # tiles without a visible far key
        (150, 150, 0, 0.0, {"tile": 16, "window": 0, "sinks": 0}),  # a tile has 16 far keys
        (140, 250, 110, 0.3, {}),  # the first tile begins in its second strip
        (200, 150, -20, 0.2, {}),  # queries that see no key
        (131, 200, None, 0.4, {}),
        (150, 150, 0, 0.0, {"scale": -0.4}),
        (150, 150, None, 0.0, {"scale": 0.0}),
    ],
)
@pytest.mark.parametrize("features", [24, 1])
def test_weights_are_numbers_and_no_far_key_is_forgotten(
    price: str, n_q: int, n_k: int, offset: int | None, masked: float, more: dict[str, Any], features: int
) -> None:
    inputs = make_inputs(n_q, n_k, heads=4, kv_heads=2, features=features, masked=masked)
    rules = {**SAMPLE, "price": price, "causal_offset": offset, **more}
    for tile, weight in weights_of(inputs, **rules):
        assert weight.shape == (2, 4, tile.rows, tile.far)
        seen = torch.ones(2, n_k, dtype=torch.bool) if inputs.key_mask is None else inputs.key_mask
        weight = weight[seen[:, None, None, tile.far_keys(weight.device)].expand_as(weight)]
        assert bool(weight.isfinite().all() and (weight > 1e-9).all())
        assert price == "search" or bool((weight < 1.0001).all())
    assert bool(inputs.run(**rules)[0].isfinite().all())
