"""The error that `hyper` estimates from its own sample: against the truth, unbiased, alarms, kernels, empty cases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from attention_cases import Inputs, make_inputs
from hyperrewrite.kernels import meter
from hyperrewrite.kernels.fused.config import Config, Phase
from hyperrewrite.kernels.sampling import error
from hyperrewrite.kernels.sampling.error import Look, SampleError, sample_error
from hyperrewrite.kernels.sampling.prices import search
from hyperrewrite.kernels.tiling import Tile, tiles
from torch import Tensor

RULES: dict[str, Any] = {
    "algorithm": "hyper", "price": "search", "min_seq_len": 8, "tile": 32, "window": 16, "sinks": 4,
    "seed": 3, "scale": 0.4,
}  # fmt: skip


def tensors(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    return inputs.query.detach(), inputs.key.detach(), inputs.value.detach(), inputs.key_mask


def estimated(inputs: Inputs, *, every: int | None = 1, **rules: Any) -> tuple[SampleError, Tensor]:
    """The estimate, and the true Σ‖õ − o‖² [B, H] over all rows, o exact in float64 of the same inputs."""
    out, lse = (tensor.detach() for tensor in inputs.run(**rules))
    exact = inputs.to(torch.float64).run(**{**rules, "algorithm": "exact"})[0]
    wrong = (out.double() - exact).square().sum((2, 3))
    return sample_error(*tensors(inputs), out, lse, inputs.call(**rules), every=every), wrong


@pytest.mark.parametrize("offset", [0, None])
@pytest.mark.parametrize(("threshold", "sharper"), [(0.002, 1.0), (0.005, 1.0), (0.01, 1.0), (0.005, 2.0)])
def test_estimate_is_the_true_error(offset: int | None, threshold: float, sharper: float) -> None:
    """Of 256 tiles and heads and more, within a tenth."""
    inputs = make_inputs(1024, batch=1, heads=8, kv_heads=4, features=24)
    inputs = replace(inputs, query=sharper * inputs.query.detach())
    found, wrong = estimated(inputs, **RULES, threshold=threshold, causal_offset=offset)
    assert found.tiles * 8 >= 256
    assert float(found.variance.sum() / wrong.sum()) == pytest.approx(1.0, abs=0.1)
    assert float(found.pooled_share) < 0.2 and float(wrong.min()) > 0.0


@pytest.mark.parametrize("offset", [0, None, 96])
def test_unbiased_over_seeds(offset: int | None) -> None:
    """z of estimate less truth; a seed that looks at every fourth tile errs the same way on average."""
    inputs = make_inputs(256 - (offset or 0), 256, batch=1, heads=4, kv_heads=2, features=16, masked=0.2)
    rules = {**RULES, "threshold": 0.003, "causal_offset": offset}
    apart: dict[int, list[float]] = {1: [], 4: []}
    scale = 0.0
    for seed in range(48):
        for every, ratios in apart.items():
            found, wrong = estimated(inputs, every=every, **{**rules, "seed": seed})
            ratios.append(float(found.variance.sum()) * found.whole / found.tiles - float(wrong.sum()))
            scale += float(wrong.sum()) / 96
    for every, ratios in apart.items():
        mean, spread = torch.tensor(ratios).mean(), torch.tensor(ratios).std() / 48**0.5
        assert abs(float(mean)) < 3.0 * float(spread) + 0.02 * scale, every
        assert float(spread) < (0.1 if every == 1 else 0.3) * scale  # so that the line above can fail


@pytest.fixture
def needle(monkeypatch: pytest.MonkeyPatch) -> Inputs:
    """Ten rows look for far key 200 alone, and its price is as if hardly any did."""
    inputs = make_inputs(512, batch=1, heads=2, features=16)
    query, key, value = (tensor.detach().clone() for tensor in (inputs.query, inputs.key, inputs.value))
    query[..., 0], key[..., 0] = 0.0, 0.0
    query[:, :, 400:410, 0], key[:, :, 200, 0], value[:, :, 200] = 5.0, 5.0, 2.0
    weights = search.Search.weights

    def blind(self: search.Search, tile: Tile) -> Tensor:
        found = weights(self, tile)
        found[..., tile.far_keys(found.device) == 200] = 0.0005
        return found

    monkeypatch.setattr(search.Search, "weights", blind)
    return replace(inputs, query=query, key=key, value=value)


def test_alarm_where_one_key_makes_most_of_it(needle: Inputs) -> None:
    """A draw that reads it says so. One that does not cannot know, and its estimate is far too low."""
    rules = {**RULES, "threshold": 0.005, "causal_offset": 0}
    found = [estimated(needle, **{**rules, "seed": seed}) for seed in range(12)]
    ratios = torch.stack([known.variance / wrong for known, wrong in found])
    shares = torch.stack([known.share for known, _ in found])
    was_drawn = ratios > 1.0
    assert 0.05 < float(was_drawn.double().mean()) < 0.5
    assert float(shares[was_drawn].min()) > 0.9
    assert float(ratios[~was_drawn].max()) < 0.1
    assert all(error.alarm(float(share)) for share in shares[was_drawn])
    assert error.alarm(0.5) == ""
    assert error.alarm(0.71, " of head 3") == (
        "one key makes 71% of the estimated error of head 3: rare keys matter, and the estimate cannot be trusted"
    )


@pytest.mark.parametrize(
    "more", [{"threshold": 0.0}, {"min_seq_len": 4096}, {"algorithm": "exact"}, {"threshold": 1e-9}, {"window": 600}]
)
def test_where_all_keys_are_read_it_is_nothing(more: dict[str, Any]) -> None:
    found, _ = estimated(make_inputs(512, batch=1, heads=4, features=16), **{**RULES, "causal_offset": 0, **more})
    for tensor in (found.variance, found.largest, found.error, found.share, found.pooled, found.pooled_share):
        assert float(tensor.max()) == 0.0


def test_few_queries_and_none() -> None:
    rules = {**RULES, "threshold": 0.005}
    found, _ = estimated(make_inputs(16, 512), causal_offset=496, **rules)
    assert found.tiles == 0 and float(found.error.max()) == 0.0
    empty = make_inputs(512, batch=0)
    out, lse = empty.run(causal_offset=0, **rules)
    found = sample_error(*tensors(empty), out, lse, empty.call(causal_offset=0, **rules))
    assert found.error.shape == (0, 4) and float(found.pooled) == 0.0 and float(found.pooled_share) == 0.0


def test_one_seed_gives_the_same_bits_and_tiles_move_with_it() -> None:
    inputs = make_inputs(512, batch=1, heads=4, kv_heads=2, features=16)
    rules = {**RULES, "threshold": 0.005, "causal_offset": 0}
    one, same = (estimated(inputs, every=5, **rules)[0] for _ in range(2))
    assert torch.equal(one.variance, same.variance) and torch.equal(one.largest, same.largest)
    call = inputs.call(**rules)
    firsts = {Look.of(replace(call, parameters=replace(call.parameters, seed=seed)), 4, 5).first for seed in range(40)}
    assert firsts == set(range(5))


@pytest.mark.parametrize(
    ("n", "lines", "every", "pairs"),
    [(32768, 32, 32, 256), (131072, 32, 128, 256), (8192, 9, 2, 288), (8192, 512, 8, 4096), (1024, 1, 1, 8)],
)
def test_how_many_tiles_are_looked_at(n: int, lines: int, every: int, pairs: int) -> None:
    call = make_inputs(n, features=1, heads=1, batch=1).call(causal_offset=0, **{**RULES, "tile": 128})
    look = Look.of(call, lines, None)
    assert (look.every, look.looked * lines, look.count) == (every, pairs, n // 128)


def test_tiles_stand_alone() -> None:
    """What is found of some tiles is what they have in the whole."""
    inputs = make_inputs(400, kv_heads=2, features=16, masked=0.2)
    rules = {**RULES, "threshold": 0.01, "causal_offset": 0}
    out, lse = (tensor.detach() for tensor in inputs.run(**rules))
    call = inputs.call(**rules)
    whole = error.error_sums(*tensors(inputs), out, lse, call, list(tiles(call)))
    parts = [error.error_sums(*tensors(inputs), out, lse, call, [tile]) for tile in tiles(call)]
    torch.testing.assert_close(whole[0], torch.stack([part[0] for part in parts]).sum(0))
    torch.testing.assert_close(whole[1], out.double().square().sum((2, 3)))
    torch.testing.assert_close(whole[2], torch.stack([part[2] for part in parts]).amax(0))


@pytest.mark.parametrize("empty_rows", ["zero", "nan", "mean"])
def test_garbage_under_a_mask_and_rows_without_keys(empty_rows: str) -> None:
    inputs = make_inputs(300, 280, kv_heads=2, features=16, masked=0.3)
    assert inputs.key_mask is not None
    inputs.key_mask[0, :40] = False
    rules = {**RULES, "threshold": 0.01, "causal_offset": -20, "empty_rows": empty_rows}
    plain, _ = estimated(inputs, **{**rules, "empty_rows": "zero"})
    hidden = ~inputs.key_mask[:, None, :, None]
    key, value = (t.detach().masked_fill(hidden, float("nan")) for t in (inputs.key, inputs.value))
    poisoned = replace(inputs, key=key, value=value)
    out, lse = poisoned.run(**rules) if empty_rows != "mean" else inputs.run(**rules)
    found = sample_error(*tensors(poisoned), out.detach(), lse.detach(), inputs.call(**rules), every=1)
    torch.testing.assert_close(found.variance, plain.variance)
    torch.testing.assert_close(found.size, plain.size)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    inputs = make_inputs(512, batch=1, heads=8, kv_heads=4, features=24).to(dtype)
    found, wrong = estimated(inputs, **RULES, threshold=0.003, causal_offset=0)
    assert float(found.variance.sum() / wrong.sum()) == pytest.approx(1.0, abs=0.1)


def test_an_output_that_is_noise_alone_has_no_relative_error() -> None:
    one = torch.ones(1, 2, dtype=torch.float64)
    found = SampleError(2.0 * one, one, one, 8, 8)
    assert float(found.error.min()) == float("inf") and float(found.share.max()) == 0.5


def test_meter_tells_it_of_a_call() -> None:
    inputs = make_inputs(512, features=16)
    rules = {**RULES, "threshold": 0.005, "causal_offset": 0}
    seen: list[meter.Observation] = []
    with meter.observe(seen.append):
        inputs.run(**rules)
    found, measured = meter.sample_error(seen[0]), meter.relative_error(seen[0], rows=512)
    assert found.whole == 16
    assert float(found.pooled) == pytest.approx(measured, rel=0.1)


def test_calls_it_cannot_read_are_refused() -> None:
    inputs = make_inputs(512, batch=1, heads=1)
    call = inputs.call(**{**RULES, "algorithm": "paper", "block_size": 16, "sample_size": 16})
    with pytest.raises(ValueError, match="probe_error"):
        sample_error(*tensors(inputs), inputs.query, inputs.query[..., 0], call)
    with pytest.raises(ValueError, match="every"):
        sample_error(*tensors(inputs), inputs.query, inputs.query[..., 0], call, every=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="interpreted only where there is no GPU")
@pytest.mark.parametrize(
    ("n_q", "n_k", "offset", "masked", "first", "every"),
    [
        (500, 500, 0, 0.0, 1, 2),
        (180, 331, None, 0.4, 0, 1),
        (190, 333, 143, 0.2, 0, 1),  # queries behind a cache
        (330, 300, -30, 0.0, 0, 2),  # queries that see no key
    ],
)
def test_kernels_find_the_same(
    n_q: int, n_k: int, offset: int | None, masked: float, first: int, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    from hyperrewrite.kernels.sampling.triton import launch

    monkeypatch.setattr(launch, "MARGIN", 4.0)  # float16 sketches of the interpreter
    monkeypatch.setattr(launch, "PROGRAMS", 2)  # slices of one tile
    inputs = make_inputs(
        n_q,
        n_k,
        batch=2 if n_q == 190 else 1,
        heads=2,
        kv_heads=1,
        features=40,
        value_features=24,
        masked=masked,
        strided=n_q == 180,
    )
    rules = {**RULES, "tile": 128, "threshold": 0.02, "causal_offset": offset}
    out, lse = (tensor.detach() for tensor in inputs.run(**rules))
    call = inputs.call(**rules)
    row = [tile for number, tile in enumerate(tiles(call)) if number % every == first]
    want = error.error_sums(*tensors(inputs), out, lse, call, row)
    small = Config(Phase(16, 4), Phase(64, 4), Phase(32, 4), plain=32, sketch=torch.float16)
    found = launch.error_sums(*tensors(inputs), out, lse, call, first, every, small, words=4, list_keys=256)
    for mine, theirs in zip(found, want, strict=True):
        assert float(theirs.min()) > 0.0
        torch.testing.assert_close(mine, theirs, rtol=2e-3, atol=1e-6)  # of differences: 1 − w, v − o
