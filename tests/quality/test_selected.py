"""Window with sinks, and top-k, against dense definitions; how many keys they read."""

from __future__ import annotations

import pytest
import quality_selected
import torch
from quality_selected import kept_for, mean_keys, streaming, top_keys
from torch import Tensor

LENGTH, SCALE = 150, 0.3


@pytest.fixture(params=[1 << 24, 1 << 12], ids=["one chunk", "many chunks"])
def tensors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor, Tensor]:
    monkeypatch.setattr(quality_selected, "SCORE_BUDGET", request.param)
    draw = torch.Generator().manual_seed(1)
    query = torch.randn(2, 4, LENGTH, 8, generator=draw)
    key, value = (torch.randn(2, 2, LENGTH, size, generator=draw) for size in (8, 6))
    return query, key, value


def dense(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
    key, value = (tensor.double().repeat_interleave(2, 1) for tensor in (key, value))
    scores = (query.double() @ key.transpose(-1, -2) * SCALE).masked_fill(~allowed, float("-inf"))
    return (torch.softmax(scores, -1) @ value).float()


def local(window: int, sinks: int) -> tuple[Tensor, Tensor]:
    rows, columns = torch.arange(LENGTH)[:, None], torch.arange(LENGTH)
    causal = columns <= rows
    return causal, causal & ((columns > rows - window) | (columns < sinks))


@pytest.mark.parametrize(("window", "sinks"), [(20, 4), (1, 0), (7, 40), (LENGTH, 0), (30, 200)])
def test_streaming(tensors: tuple[Tensor, Tensor, Tensor], window: int, sinks: int) -> None:
    _, allowed = local(window, sinks)
    torch.testing.assert_close(streaming(*tensors, SCALE, window, sinks), dense(*tensors, allowed))
    kept = min(window + sinks, LENGTH)
    assert mean_keys(LENGTH, window + sinks) == pytest.approx(allowed.sum(-1).double().mean().item())
    assert kept_for(LENGTH, mean_keys(LENGTH, kept)) == kept


@pytest.mark.parametrize(("kept", "window", "sinks"), [(30, 10, 4), (25, 0, 0), (14, 10, 4), (LENGTH, 5, 5)])
def test_top_keys(tensors: tuple[Tensor, Tensor, Tensor], kept: int, window: int, sinks: int) -> None:
    causal, fixed = local(window, sinks)
    query, key, _ = tensors
    scores = (query @ key.repeat_interleave(2, 1).transpose(-1, -2)).masked_fill(~causal | fixed, float("-inf"))
    best = scores.topk(kept - window - sinks, -1).indices
    allowed = torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, best, True) & causal | fixed
    torch.testing.assert_close(top_keys(*tensors, SCALE, kept, window, sinks), dense(*tensors, allowed))
    assert mean_keys(LENGTH, kept) == pytest.approx(allowed.sum(-1).double().mean().item())


def test_too_few_keys_for_the_window(tensors: tuple[Tensor, Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="more than the 8 keys"):
        top_keys(*tensors, SCALE, 8, 6, 4)
