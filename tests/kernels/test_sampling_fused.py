"""The kernels that sample far keys, interpreted, against the definition; their random numbers, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from attention_cases import Inputs, make_inputs
from hyperrewrite.kernels import sampling
from hyperrewrite.kernels.fused import choice
from hyperrewrite.kernels.fused.config import Config, Phase
from hyperrewrite.kernels.sampling.draws import uniform
from torch import Tensor

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402
from hyperrewrite.kernels.lsh import DRAWS  # noqa: E402
from hyperrewrite.kernels.sampling.triton import draws, launch  # noqa: E402
from poisoned import poison  # noqa: E402, F401  (fixture)

needs_interpreter = pytest.mark.skipif(torch.cuda.is_available(), reason="interpreted only where there is no GPU")
SMALL = Config(Phase(16, 4), Phase(64, 4), Phase(32, 4), plain=32, sketch=torch.float16)
SAMPLE: dict[str, Any] = {
    "algorithm": "hyper", "price": "search", "min_seq_len": 8, "tile": 128, "window": 16, "sinks": 5, "seed": 3,
    "threshold": 0.03,
}  # fmt: skip


def launched(inputs: Inputs, **rules: Any) -> tuple[Tensor, Tensor]:
    leaves = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    return launch.sampled(*leaves, inputs.key_mask, inputs.call(**rules), SMALL, words=4, list_keys=256)


@triton.jit
def _numbers(out_ptr, seed, line, tile, TAG: tl.constexpr, COUNT: tl.constexpr):
    key = tl.arange(0, COUNT)
    first, second = draws.stream_words(seed, TAG, line, tile)
    tl.store(out_ptr + key, draws.uniform(first, second, key))


@needs_interpreter
def test_random_numbers_have_the_same_bits() -> None:
    for seed, line, tile in ((0, 0, 0), (3, 7, 1), (2**31 - 1, 5, 8191)):
        out = torch.full((1024,), float("nan"))
        _numbers[(1,)](out, seed, line, tile, TAG=DRAWS, COUNT=1024)
        want = uniform(seed, torch.tensor(line), torch.tensor(tile), torch.arange(1024))
        assert torch.equal(out, want)


@needs_interpreter
@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize(
    ("n_q", "n_k", "features", "value_features", "offset", "masked", "more"),
    [
        (300, 300, 40, 24, 0, 0.0, {}),
        (180, 331, 24, 40, None, 0.4, {}),
        (190, 333, 32, 32, 143, 0.2, {}),  # queries behind a cache; the first tile begins in its second strip
        (330, 300, 32, 32, -30, 0.0, {}),  # queries that see no key
        (300, 300, 32, 32, 0, 0.0, {"threshold": 1e-4}),  # every key is certain: lists that fill their room
    ],
)
def test_matches_oracle(
    n_q: int, n_k: int, features: int, value_features: int, offset: int | None, masked: float, more: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(sampling, "STRIDE", launch.STRIDE)
    monkeypatch.setattr(launch, "MARGIN", 4.0)  # float16 sketches of the interpreter; on a GPU see test_sampling_cuda
    inputs = make_inputs(
        n_q, n_k, heads=4, kv_heads=2, features=features, value_features=value_features, masked=masked,
        strided=n_q == 180,
    )  # fmt: skip
    rules = {**SAMPLE, **more, "scale": 2.0 / features**0.5, "causal_offset": offset}
    want, want_lse = inputs.oracle(**rules)
    out, lse = launched(inputs, **rules)
    torch.testing.assert_close(out.double(), want, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(lse.double(), want_lse, atol=1e-5, rtol=1e-5)


def test_other_tiles_are_left_to_the_portable_form() -> None:
    inputs = make_inputs(300)
    reason = choice.reason_against(inputs.query, inputs.key, inputs.value, inputs.call(**{**SAMPLE, "tile": 64}))
    assert reason is not None


@needs_interpreter
@pytest.mark.parametrize("sketch", [torch.float16, torch.float8_e4m3fn])
def test_half_precision(sketch: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float16: the interpreter multiplies the bits of bfloat16 (triton 3.9)."""
    monkeypatch.setattr(launch, "MARGIN", 4.0)
    inputs = make_inputs(300, heads=2, kv_heads=1, features=32).to(torch.float16)
    rules = {**SAMPLE, "scale": 0.2, "causal_offset": 0}
    leaves = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    out = launch.sampled(*leaves, None, inputs.call(**rules), replace(SMALL, sketch=sketch))[0]
    want, _ = inputs.oracle(**rules)
    # A score that rounds to the other side of its draw is read here and not there.
    assert float((out.double() - want).norm() / want.norm()) < 5e-3


@needs_interpreter
def test_masked_keys_may_hold_anything() -> None:
    inputs = make_inputs(300, batch=2, heads=2, kv_heads=1, features=24, masked=0.4)
    assert inputs.key_mask is not None
    inputs.key_mask[1, :140] = False  # left padding: a batch whose first keys are all masked
    rules = {**SAMPLE, "scale": 0.3, "causal_offset": 0}
    want = launched(inputs, **rules)
    hidden = ~inputs.key_mask[:, None, :, None]
    poisoned = [tensor.detach().masked_fill(hidden, float("nan")) for tensor in (inputs.key, inputs.value)]
    got = launched(Inputs(inputs.query, *poisoned, inputs.key_mask), **rules)
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)


@needs_interpreter
@pytest.mark.parametrize("at", [137, 256])
def test_causal_never_looks_ahead(at: int) -> None:
    """Earlier tiles to the bit; in the tile of the change to rounding, as keys are added in another order."""
    inputs = make_inputs(300, batch=1, heads=2, features=24)
    rules = {**SAMPLE, "scale": 0.4, "causal_offset": 0}
    before = launched(inputs, **rules)[0]
    changed = [tensor.detach().clone() for tensor in (inputs.query, inputs.key, inputs.value)]
    for tensor in changed:
        tensor[:, :, at:] = 7.0 * torch.randn(tensor[:, :, at:].shape, generator=torch.Generator().manual_seed(1))
    after = launched(Inputs(*changed), **rules)[0]
    whole = at // 128 * 128
    assert torch.equal(before[:, :, :whole], after[:, :, :whole])
    torch.testing.assert_close(before[:, :, :at], after[:, :, :at], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(before[:, :, at:], after[:, :, at:], atol=0.1)


@needs_interpreter
@pytest.mark.parametrize(("offset", "programs"), [(None, 9), (0, 1), (-20, 100)])
def test_slices_change_nothing(offset: int | None, programs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = make_inputs(300, 330, batch=1, heads=2, kv_heads=1, features=24, masked=0.2)
    rules = {**SAMPLE, "scale": 0.3, "causal_offset": offset}
    want = launched(inputs, **rules)
    monkeypatch.setattr(launch, "PROGRAMS", programs)
    for mine, theirs in zip(launched(inputs, **rules), want, strict=True):
        assert torch.equal(mine, theirs)
