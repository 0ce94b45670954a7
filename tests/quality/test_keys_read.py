"""Keys counted in some tiles are those that the whole plan counts there."""

from __future__ import annotations

from dataclasses import replace

import keys_read
import pytest
import quality_estimators as known
import torch
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.parameters import Parameters

TOLD = Parameters(algorithm="hyper", tile=32, window=32, sinks=8, min_seq_len=64, threshold=0.02)


def inputs(n: int) -> list[torch.Tensor]:
    """In the first half of the tokens every key matters a little; then few do."""
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, heads, n, 16, generator=draw) for heads in (4, 2, 2))
    query[:, :, : n // 2] *= 0.05
    query[:, :, n // 2 :] *= 2.0
    return [query, key, value]


def test_all_tiles_are_the_whole() -> None:
    n = 1024
    call = AttentionCall(n, n, 0.25, 0, parameters=TOLD)
    some = keys_read.of_some_tiles(*inputs(n), call, n // TOLD.tile)
    whole = keys_read.of_all(*inputs(n), call)
    assert some == pytest.approx(whole, rel=1e-6)
    assert 100 < whole < (n + 1) / 2


def test_some_tiles_are_near_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 2048
    query, key, value = inputs(n)
    estimator = known.by_op("hyper", "", {"tile": 32, "window": 32, "sinks": 8, "min_seq_len": 64})
    count = estimator.attend(query, key, value, 0.25, True)[1]
    whole = count()
    monkeypatch.setattr(keys_read, "MOST_COUNTED", 1024)
    some = count()
    assert some.keys == pytest.approx(whole.keys, rel=0.1) and some.keys != whole.keys


@pytest.mark.parametrize("change", [{"causal_offset": None}, {"num_queries": 512}])
def test_other_calls_are_not_cut(change: dict[str, int | None]) -> None:
    call = replace(AttentionCall(1024, 1024, 0.25, 0, parameters=TOLD), **change)
    assert not keys_read.in_tiles(call)
    with pytest.raises(ValueError, match="by themselves"):
        keys_read.of_some_tiles(*inputs(1024), call)
