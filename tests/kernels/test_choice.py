"""Which calls the kernels of `hyper` take."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.fused import choice
from hyperrewrite.kernels.parameters import Parameters


def call_of(n: int = 8192, **parameters: Any) -> AttentionCall:
    return AttentionCall(n, n, scale=0.125, causal_offset=0, parameters=Parameters(**parameters))


def test_calls_of_the_cpu_are_left() -> None:
    tensors = [torch.randn(1, 1, 64, 16) for _ in range(3)]
    assert "on cpu" in str(choice.reason_against(*tensors, call_of()))


@pytest.mark.parametrize(
    ("parameters", "dtype", "features", "word"),
    [
        ({}, torch.bfloat16, 64, None),
        ({"price": "search"}, torch.float32, 64, None),
        ({}, torch.float16, 256, None),
        ({}, torch.float32, 80, None),
        ({}, torch.float32, 130, "128 features in torch.float32"),
        ({}, torch.float64, 64, "float64"),
        ({}, torch.bfloat16, 257, "256 features"),
        ({}, torch.bfloat16, 1, "batch times heads"),
        ({"tile": 256}, torch.bfloat16, 64, "tile is 256"),
        ({"price": "heavy"}, torch.bfloat16, 64, "the price is heavy"),
    ],
)
def test_reasons(
    parameters: dict[str, Any], dtype: torch.dtype, features: int, word: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cuda:
        """Looks like a CUDA tensor."""

        device = torch.device("cuda", 0)
        shape = (1, 1, 8192, features)

        @staticmethod
        def stride(_: int) -> int:
            return 1

    Cuda.dtype = dtype  # type: ignore[attr-defined]
    if features == 1:  # a huge batch of small heads
        Cuda.shape = (4096, 16, 8192, 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    monkeypatch.setattr(choice, "_shared_bytes", lambda _: 232_448)
    reason = choice.reason_against(Cuda(), Cuda(), Cuda(), call_of(**parameters))  # type: ignore[arg-type]
    assert reason is None if word is None else word in str(reason)
    if reason is None and (features > 128 or dtype == torch.float32):  # a smaller GPU
        monkeypatch.setattr(choice, "_shared_bytes", lambda _: 101_376)
        reason = choice.reason_against(Cuda(), Cuda(), Cuda(), call_of(**parameters))  # type: ignore[arg-type]
        assert "shared memory" in str(reason)


def test_very_long_keys_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cuda:
        """Looks like a CUDA tensor."""

        device, dtype, shape = torch.device("cuda", 0), torch.bfloat16, (1, 1, 16, 64)

        @staticmethod
        def stride(_: int) -> int:
            return 1

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    monkeypatch.setattr(choice, "_shared_bytes", lambda _: 232_448)
    reason = choice.reason_against(Cuda(), Cuda(), Cuda(), call_of(2**24))  # type: ignore[arg-type]
    assert reason == "there are 16777216 keys"
