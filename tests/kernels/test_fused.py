"""The fused kernels of `hyper`, interpreted, against its slow definition; and which calls they take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from attention_cases import Inputs, make_inputs
from hyperrewrite.kernels import tiling
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.fused import choice
from hyperrewrite.kernels.parameters import Parameters
from torch import Tensor

pytest.importorskip("triton")
from hyperrewrite.kernels.fused import launch, sizes
from hyperrewrite.kernels.fused.config import Config, Phase
from poisoned import poison  # noqa: F401  (fixture)

needs_interpreter = pytest.mark.skipif(torch.cuda.is_available(), reason="interpreted only where there is no GPU")
SMALL = Config(Phase(16, 4), Phase(32, 4), Phase(16, 4), plain=16, sketch=torch.float32)
HYPER: dict[str, Any] = {
    "algorithm": "hyper", "min_seq_len": 8, "tile": 16, "window": 8, "sinks": 3, "means": 4, "threshold": 0.2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def short_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that short texts have several."""
    monkeypatch.setattr(tiling, "SECTION", 64)


def fused(inputs: Inputs, call: AttentionCall, config: Config = SMALL) -> tuple[Tensor, Tensor]:
    tensors = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    return launch.hyper(*tensors, inputs.key_mask, call, config)


def check(inputs: Inputs, tolerance: float, config: Config = SMALL, **rules: Any) -> None:
    want, want_lse = inputs.oracle(**rules)
    out, lse = fused(inputs, inputs.call(**rules), config)
    torch.testing.assert_close(out.double(), want, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(lse.double(), want_lse, atol=tolerance, rtol=tolerance)
    assert out.is_contiguous() and lse.dtype == torch.float32


@needs_interpreter
@pytest.mark.parametrize(
    ("n_q", "n_k", "features", "value_features", "offset", "masked", "more"),
    [
        (63, 63, 40, 40, 0, 0.0, {}),
        (63, 63, 40, 24, None, 0.0, {}),
        (111, 111, 80, 80, 0, 0.4, {"threshold": 0.4}),  # else one tile finds close to half of its keys
        (70, 111, 96, 33, None, 0.4, {}),
        (60, 111, 20, 20, 51, 0.0, {}),  # the last queries of a longer sequence
        (111, 80, 16, 16, -20, 0.0, {}),  # queries that see no key
        (100, 100, 24, 24, 0, 0.0, {"select": "none"}),
        (100, 100, 24, 24, None, 0.0, {"means": 0}),
        (100, 100, 24, 24, 0, 0.2, {"threshold": 0.0004}),  # tiles that read everything
        (80, 100, 24, 24, None, 0.0, {"threshold": 0.0004}),
        (100, 100, 24, 24, 0, 0.4, {"means": 12, "tile": 32}),  # blocks that are no power of two
        (150, 170, 24, 24, 20, 0.0, {"tile": 64, "strip": 16}),  # strips; the first tile begins in its second one
        # Steps of near keys that every row sees, with features padded and not; of a tile that reads everything.
        (150, 150, 32, 20, 0, 0.0, {"tile": 32, "sinks": 16, "means": 16, "window": 40}),
        (150, 170, 32, 32, None, 0.0, {"tile": 32, "sinks": 16, "means": 16, "window": 40}),
        (130, 150, 32, 32, 20, 0.0, {"tile": 32, "sinks": 16, "means": 16, "threshold": 0.0004}),
    ],
)
def test_matches_oracle(
    n_q: int, n_k: int, features: int, value_features: int, offset: int | None, masked: float, more: dict[str, Any]
) -> None:
    inputs = make_inputs(
        n_q, n_k, heads=4, kv_heads=2, features=features, value_features=value_features, masked=masked,
        strided=n_q == 111,
    )  # fmt: skip
    check(inputs, 1e-5, **{**HYPER, **more}, scale=1.3 / features**0.5, causal_offset=offset)


@needs_interpreter
@pytest.mark.parametrize(("offset", "threshold"), [(0, 0.2), (20, 0.0004), (None, 0.2)])
def test_wider_steps(offset: int | None, threshold: float) -> None:
    """Where every row sees every key; words of two pairs of spans."""
    inputs = make_inputs(210, 230, heads=4, kv_heads=2, features=32)
    config = replace(SMALL, plain=32, search=Phase(128, 2))
    more = {"tile": 32, "sinks": 32, "means": 16, "window": 70, "threshold": threshold}
    check(inputs, 1e-5, config, **{**HYPER, **more}, scale=0.25, causal_offset=offset)


@needs_interpreter
@pytest.mark.parametrize(
    ("n_q", "n_k", "offset", "masked", "more"),
    [
        (150, 170, 20, 0.0, {}),  # the first tile begins in its second portion
        (150, 190, None, 0.3, {}),
        (170, 130, -40, 0.2, {"window": 40}),  # portions without a query
        (150, 150, 0, 0.0, {"threshold": 0.0004, "sinks": 16, "means": 16}),  # tiles that read everything
        (150, 150, 0, 0.0, {"strip": 64}),  # strips longer than portions: the tile is whole
    ],
)
def test_portions(n_q: int, n_k: int, offset: int | None, masked: float, more: dict[str, Any]) -> None:
    """A tile is what it is, though two programs attend to it."""
    inputs = make_inputs(n_q, n_k, heads=4, kv_heads=2, features=24, masked=masked)
    rules = {**HYPER, "tile": 64, "strip": 16, **more}
    check(inputs, 1e-5, replace(SMALL, rows=32), **rules, scale=0.3, causal_offset=offset)


@needs_interpreter
@pytest.mark.parametrize(("stretch", "masked"), [(32, 0.0), (64, 0.3), (4096, 0.3)])
def test_sections_of_a_stretch(stretch: int, masked: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections are what they are, however many of them are listed at once."""
    monkeypatch.setattr(sizes, "STRETCH", stretch)
    inputs = make_inputs(140, 300, heads=4, kv_heads=2, features=20, masked=masked)
    check(inputs, 1e-5, **HYPER, scale=0.3, causal_offset=None)


@needs_interpreter
@pytest.mark.parametrize("sketch", [torch.float16, torch.float8_e4m3fn])
def test_half_precision(sketch: torch.dtype) -> None:
    """In float16: the interpreter multiplies the bits of bfloat16 (triton 3.9)."""
    inputs = make_inputs(100, heads=2, kv_heads=1, features=32).to(torch.float16)
    config = replace(SMALL, sketch=sketch)
    rules = {**HYPER, "scale": 0.2, "causal_offset": 0}
    if sketch.itemsize > 1:
        check(inputs, 4e-3, config, **rules)
        return
    # float8 may miss keys that barely reach their threshold; their block's mean stands for them.
    want, _ = inputs.oracle(**rules)
    error = fused(inputs, inputs.call(**rules), config)[0].double() - want
    assert float(error.norm() / want.norm()) < 0.005
    without, _ = inputs.oracle(**rules | {"select": "none"})
    assert float(error.norm()) < 0.05 * float((without - want).norm())


@needs_interpreter
def test_masked_keys_may_hold_anything() -> None:
    inputs = make_inputs(90, batch=2, heads=2, kv_heads=1, features=24, masked=0.4)
    assert inputs.key_mask is not None
    inputs.key_mask[1, :40] = False  # left padding: a batch whose first blocks have no visible key
    call = inputs.call(**HYPER, scale=0.3, causal_offset=0)
    want = fused(inputs, call)
    hidden = ~inputs.key_mask[:, None, :, None]
    poisoned = [tensor.detach().masked_fill(hidden, float("nan")) for tensor in (inputs.key, inputs.value)]
    got = launch.hyper(inputs.query.detach(), *poisoned, inputs.key_mask, call, SMALL)
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)


@needs_interpreter
@pytest.mark.parametrize("at", [37, 64])
def test_causal_never_looks_ahead(at: int) -> None:
    """Earlier tiles to the bit; in the tile of the change to rounding, as found keys are added in another order."""
    inputs = make_inputs(100, heads=2, features=24)
    call = inputs.call(**HYPER, scale=0.4, causal_offset=0)
    before = fused(inputs, call)[0]
    changed = [tensor.detach().clone() for tensor in (inputs.query, inputs.key, inputs.value)]
    for tensor in changed:
        tensor[:, :, at:] = 7.0 * torch.randn(tensor[:, :, at:].shape, generator=torch.Generator().manual_seed(1))
    after = launch.hyper(*changed, None, call, SMALL)[0]
    whole = at // 16 * 16
    assert torch.equal(before[:, :, :whole], after[:, :, :whole])
    torch.testing.assert_close(before[:, :, :at], after[:, :, :at], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(before[:, :, at:], after[:, :, at:], atol=0.1)


def call_of(n: int = 8192, **parameters: Any) -> AttentionCall:
    return AttentionCall(n, n, scale=0.125, causal_offset=0, parameters=Parameters(**parameters))


def test_calls_of_the_cpu_are_left() -> None:
    tensors = [torch.randn(1, 1, 64, 16) for _ in range(3)]
    assert "on cpu" in str(choice.reason_against(*tensors, call_of()))


@pytest.mark.parametrize(
    ("parameters", "dtype", "features", "word"),
    [
        ({}, torch.bfloat16, 64, None),
        ({"select": "none"}, torch.float32, 64, None),
        ({}, torch.float16, 256, None),
        ({}, torch.float32, 80, None),
        ({}, torch.float32, 130, "128 features in torch.float32"),
        ({}, torch.float64, 64, "float64"),
        ({}, torch.bfloat16, 257, "256 features"),
        ({}, torch.bfloat16, 1, "batch times heads"),
        ({"tile": 256}, torch.bfloat16, 64, "tile is 256"),
        ({"means": 300}, torch.bfloat16, 64, "300 keys"),
        ({"select": "search+heavy"}, torch.bfloat16, 64, "search+heavy"),
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


@needs_interpreter
@pytest.mark.parametrize(("offset", "programs"), [(None, 9), (0, 1), (40, 9), (-20, 100)])
def test_slices_change_nothing(offset: int | None, programs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = make_inputs(70, 100, heads=2, kv_heads=1, features=24, masked=0.2)
    call = inputs.call(**HYPER, scale=0.3, causal_offset=offset)
    want = fused(inputs, call)
    monkeypatch.setattr(launch, "PROGRAMS", programs)
    for mine, theirs in zip(fused(inputs, call), want, strict=True):
        assert torch.equal(mine, theirs)
