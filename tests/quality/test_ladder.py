"""benchmarks/quality_ladder.py: exact where all is read, strictly causal, and an average where nothing is."""

from __future__ import annotations

import pytest
import quality_estimators
import quality_ladder
import torch
from quality_ladder import Ladder, Level
from torch import Tensor

from hyperrewrite.usage import UsageError

SMALL = (Level(16, 8), Level(32, 32, 1), Level(32, everything=True))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_ladder, "WHOLE", 64)
    monkeypatch.setattr(quality_ladder, "SEGMENT", 128)


def inputs(n: int = 300) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.randn(1, heads, n, 16, generator=generator) for heads in (4, 2, 2))  # type: ignore[return-value]


def exact(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    key, value = (t.repeat_interleave(2, 1).double() for t in (key, value))
    scores = query.double() @ key.mT * 0.25
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return torch.softmax(scores.masked_fill(hidden, float("-inf")), -1) @ value


def test_everything_is_exact_attention() -> None:
    query, key, value = inputs()
    told = Ladder(levels=(Level(32, everything=True),), tile=32, means=0)
    out, keys = quality_ladder.ladder(query, key, value, 0.25, told)
    assert keys == pytest.approx(150.5)
    assert torch.allclose(out.double(), exact(query, key, value), atol=1e-5)


def test_dear_keys_are_read_less() -> None:
    """A higher price reads fewer keys and errs more."""
    given = inputs()
    found = []
    for price in (0.0, 1.0, 100.0):
        out, keys = quality_ladder.ladder(*given, 0.25, Ladder(price=price, levels=SMALL, tile=32, means=0))
        found.append((keys, float((out.double() - exact(*given)).norm())))
    assert found[0][0] > found[1][0] > found[2][0]
    assert found[0][1] < found[1][1] < found[2][1]


@pytest.mark.parametrize("order", quality_ladder.ORDERS)
def test_later_tokens_change_nothing_before_them(order: str) -> None:
    told = Ladder(price=0.5, levels=SMALL, tile=32, means=32, order=order, sinks=4)
    given = inputs()
    before, keys = quality_ladder.ladder(*given, 0.25, told)
    assert keys < 140
    for tensor in given:
        tensor[:, :, 201:] += torch.randn(tensor[:, :, 201:].shape, generator=torch.Generator().manual_seed(1))
    after, _ = quality_ladder.ladder(*given, 0.25, told)
    assert torch.equal(before[:, :, :201], after[:, :, :201])
    assert not torch.equal(before[:, :, 201:], after[:, :, 201:])


@pytest.mark.parametrize("order", quality_ladder.ORDERS)
def test_equal_keys_are_met_by_their_means(order: str) -> None:
    """Where the keys of the past are all alike, block means lose nothing, whatever is not read."""
    query, key, value = inputs()
    key = key[:, :, :1].expand_as(key).contiguous()
    levels = (Level(16), Level(16, everything=True))
    means = Ladder(price=1e6, levels=levels, tile=32, means=32, order=order, sinks=4)
    out, keys = quality_ladder.ladder(query, key, value, 0.25, means)
    assert keys < 80
    assert torch.allclose(out.double(), exact(query, key, value), atol=1e-5)
    without = Ladder(price=1e6, levels=levels, tile=32, means=0, sinks=4)
    assert not torch.allclose(quality_ladder.ladder(query, key, value, 0.25, without)[0], out, atol=1e-2)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"prize": 1}', '{"price": -1}', '{"order": "random"}', '{"levels": []}', '{"means": 48}']
)
def test_bad_settings_are_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="--ladder") as told:
        quality_estimators.emulated(text)
    assert "\n" not in str(told.value)


def test_levels_are_read_from_json() -> None:
    levels = quality_estimators.emulated('{"levels": [[64, 8, 0], [64]]}').settings["levels"]
    assert [level["everything"] for level in levels] == [False, True]
