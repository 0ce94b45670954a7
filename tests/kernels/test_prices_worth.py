"""Prices of far keys: what each finds reads better than even draws of as many keys; gradients; the public function."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import Inputs, make_inputs
from hyperrewrite.kernels import oracle
from hyperrewrite.kernels.functional import hyper_attention
from hyperrewrite.kernels.parameters import AUTO
from hyperrewrite.kernels.sampling import estimate
from hyperrewrite.kernels.sampling.prices import shared
from planned import planned
from priced import NAMES, SAMPLE, priced, shorten
from torch import Tensor

N, KEYS = 256, 75.0  # tokens, and keys that a query reads


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


class Even:
    """A query's far keys share its far mass evenly."""

    def __init__(self, query: Tensor, key: Tensor, value: Tensor, key_mask: None, lse: Tensor, call: Any) -> None:
        self.tensors, self.call = (query, key, key_mask, lse), call

    def weights(self, tile: Any) -> Tensor:
        near = self.tensors[3][:, :, tile.start : tile.stop]
        share = shared.far_share(near, shared.row_sums(*self.tensors, tile, self.call))
        return shared.floored(share.new_zeros(*near.shape, tile.far), None, share)


def with_directions(order: str) -> Inputs:
    """Keys along eight directions, and queries that look at one of them, the same for eight rows."""
    inputs = make_inputs(N, batch=1, heads=2, kv_heads=1, features=32)
    generator = torch.Generator().manual_seed(5)
    directions = torch.linalg.qr(torch.randn(32, 32, generator=generator)).Q[:8]
    place = torch.arange(N)
    if order == "blocks":
        mine = place // 16 % 8
    elif order == "strewn":
        mine = torch.randint(0, 8, (N,), generator=generator)
    else:  # all keys but one in ten along the first direction
        mine = torch.where(torch.rand(N, generator=generator) < 0.1, place % 7 + 1, 0)
    looks = (place // 16 * 5 + 3) % (7 if order == "rare" else 8) + (order == "rare")
    key = 6.0 * directions[mine] + 0.2 * inputs.key.detach()
    query = 3.0 * directions[looks] + 0.2 * inputs.query.detach()
    return Inputs(query, key, inputs.value.detach())


def error(inputs: Inputs, rules: dict[str, Any], seeds: int = 6) -> tuple[float, float]:
    """‖out − exact‖ / ‖exact‖ at the threshold by which a query reads KEYS keys; and how many it did read."""

    def read(threshold: float) -> float:
        return float((planned(inputs, **{**rules, "threshold": threshold}) > float("-inf")).double().sum(-1).mean())

    low, high = -10.0, 4.0
    for _ in range(9):
        middle = (low + high) / 2
        low, high = (middle, high) if read(2.0**middle) > KEYS else (low, middle)
    exact = inputs.run(**{**rules, "algorithm": "exact"})[0]
    outs = [inputs.run(**{**rules, "threshold": 2.0**high, "seed": seed})[0] for seed in range(seeds)]
    squares = sum(float((out - exact).square().sum()) for out in outs) / seeds
    return (squares / float(exact.square().sum())) ** 0.5, read(2.0**high)


# By how much the error of even draws is larger, at least, and how keys stand that a price of this kind can find.
CASES = {
    "search": ("strewn", 2.0),
    "lsh": ("strewn", 1.5),
    "heavy": ("strewn", 2.0),
    "pooled": ("blocks", 2.0),
    "kmeans": ("strewn", 2.0),
    "leverage": ("rare", 1.5),
}


@priced
def test_what_a_price_finds_makes_a_smaller_error_at_equal_keys(price: str, monkeypatch: pytest.MonkeyPatch) -> None:
    order, least = CASES[price]
    inputs = with_directions(order)
    rules = {**SAMPLE, "causal_offset": 0, "price": price}
    mine, keys = error(inputs, rules)
    monkeypatch.setattr(estimate, "maker_of", lambda name: Even)
    even, as_many = error(inputs, rules)
    print(price, mine, even, keys, as_many)  # X
    assert keys <= as_many + 1.5
    assert mine * least < even


@priced
@pytest.mark.parametrize("offset", [0, None])
def test_gradients_are_those_of_the_keys_that_are_read(price: str, offset: int | None) -> None:
    """Against autograd through dense attention with the plan's weights, which are constants."""
    inputs = make_inputs(150, heads=4, kv_heads=2, features=24, value_features=20)
    rules = {**SAMPLE, "price": price, "causal_offset": offset}
    weight = planned(inputs, **rules)
    assert float((weight > 0.0).double().mean()) > 0.02
    want = oracle.dense_attention(inputs.query, inputs.key, inputs.value, None, weight, inputs.call(**rules))
    got = inputs.run(**rules)
    generator = torch.Generator().manual_seed(99)
    along = [torch.randn(tensor.shape, generator=generator) for tensor in got]
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine.double(), theirs, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(
        *(
            torch.autograd.grad(sum((t.double() * a).sum() for t, a in zip(result, along, strict=True)), inputs.leaves)
            for result in (got, want)
        ),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-5 * max(float(theirs.abs().max()), 1.0), rtol=1e-4)


@pytest.mark.parametrize("price", [*NAMES, AUTO])
def test_every_price_runs_by_its_name(price: str) -> None:
    inputs = make_inputs(200, features=24)
    out = hyper_attention(inputs.query, inputs.key, inputs.value, is_causal=True, price=price, **SAMPLE)
    named = estimate.price_of(inputs.call(**SAMPLE, price=price, causal_offset=0), out.device)
    want = inputs.run(**SAMPLE, price=named, causal_offset=0)[0]
    assert torch.equal(out, want)
    assert price in (AUTO, "search") or not torch.equal(out, inputs.run(**SAMPLE, price="search", causal_offset=0)[0])
