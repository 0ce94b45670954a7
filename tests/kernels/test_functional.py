"""`hyper_attention` means what F.scaled_dot_product_attention means."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from attention_cases import SMALL
from hyperrewrite.kernels import meter
from hyperrewrite.kernels.functional import hyper_attention
from hyperrewrite.kernels.parameters import PRESETS, Parameters
from torch.utils.checkpoint import checkpoint


@pytest.mark.parametrize("leading", [(3,), (2, 3), (2, 2, 3), (1, 2, 2, 3)], ids=str)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_ranks(leading: tuple[int, ...], causal: bool, scale: float | None) -> None:
    query, key, value = torch.randn(*leading, 9, 8), torch.randn(*leading, 13, 8), torch.randn(*leading, 13, 5)
    want = F.scaled_dot_product_attention(query, key, value, is_causal=causal, scale=scale)
    out = hyper_attention(query, key, value, is_causal=causal, scale=scale)
    torch.testing.assert_close(out, want)
    both = hyper_attention(query, key, value, is_causal=causal, scale=scale, return_lse=True)
    assert isinstance(both, tuple) and both[1].shape == (*leading, 9)


def test_the_arguments_are_those_of_sdpa_in_its_order() -> None:
    query, key = torch.randn(2, 4, 9, 8), torch.randn(2, 2, 9, 8)
    mask = torch.rand(9, 9) > 0.4
    for args, more in (
        ((None, 0.0, True), {}),
        ((mask, 0.0, False), {"scale": 0.3}),
        ((mask,), {"dropout_p": 0}),
        ((), {"attn_mask": None, "dropout_p": 0.0, "is_causal": True, "scale": 0.3}),
    ):
        want = F.scaled_dot_product_attention(query, key, key, *args, **more, enable_gqa=True)
        torch.testing.assert_close(hyper_attention(query, key, key, *args, **more, enable_gqa=True), want)
    for wrong in ((None, True), (None, 0.1), (None, -0.1)):
        with pytest.raises(ValueError, match="dropout_p must be 0"):
            hyper_attention(query, key, key, *wrong, enable_gqa=True)
    with pytest.raises(TypeError, match="positional"):
        hyper_attention(query, key, key, None, 0.0, True, 0.3)  # type: ignore[misc]  # SDPA's scale has a name as well


def test_a_preset_is_a_threshold() -> None:
    query = torch.randn(1, 1, 9, 8)
    seen: list[meter.Observation] = []
    with meter.observe(seen.append):
        hyper_attention(query, query, query)
        hyper_attention(query, query, query, preset="fast")
        hyper_attention(query, query, query, preset="fast", threshold=0.3)
    thresholds = [observation.call.parameters.threshold for observation in seen]
    assert thresholds == [Parameters().threshold, PRESETS["fast"]["threshold"], 0.3]
    with pytest.raises(ValueError, match="did you mean 'accurate'"):
        hyper_attention(query, query, query, preset="acurate")


@pytest.mark.parametrize(
    "shape",
    [(9, 13), (1, 13), (1, 1, 13), (2, 1, 1, 13), (2, 1, 9, 13), (2, 3, 9, 13), (3, 1, 13), (1, 3, 9, 1)],
)
@pytest.mark.parametrize("boolean", [False, True])
def test_masks(shape: tuple[int, ...], boolean: bool) -> None:
    query, key, value = torch.randn(2, 3, 9, 8), torch.randn(2, 3, 13, 8), torch.randn(2, 3, 13, 8)
    mask = torch.rand(shape) > 0.4 if boolean else torch.randn(shape)
    want = F.scaled_dot_product_attention(query, key, value, mask)
    torch.testing.assert_close(hyper_attention(query, key, value, mask), want)


def test_masks_of_rank_five() -> None:
    query, key, value = torch.randn(2, 2, 3, 9, 8), torch.randn(2, 2, 3, 13, 8), torch.randn(2, 2, 3, 13, 8)
    for shape in ((9, 13), (2, 1, 1, 9, 13), (2, 3, 1, 13), (2, 2, 3, 9, 13)):
        mask = torch.rand(shape) > 0.4
        want = F.scaled_dot_product_attention(query, key, value, mask)
        torch.testing.assert_close(hyper_attention(query, key, value, mask), want)


def test_a_mask_over_keys_stays_estimated() -> None:
    query = torch.randn(2, 2, 100, 8)
    mask = torch.rand(2, 1, 1, 100) > 0.2
    seen: list[meter.Observation] = []
    with meter.observe(seen.append):
        out = hyper_attention(query, query, query, mask, algorithm="paper", **SMALL)
        same = hyper_attention(query, query, query, key_mask=mask[:, 0, 0], algorithm="paper", **SMALL)
    assert seen[0].bias is None and seen[0].key_mask is not None
    assert torch.equal(out, same)


def test_grouped_heads_must_be_asked_for() -> None:
    query, key = torch.randn(1, 4, 9, 8), torch.randn(1, 2, 9, 8)
    with pytest.raises(ValueError, match="enable_gqa"):
        hyper_attention(query, key, key)
    want = F.scaled_dot_product_attention(query, key, key, enable_gqa=True)
    torch.testing.assert_close(hyper_attention(query, key, key, enable_gqa=True), want)


def test_arguments_that_do_not_fit() -> None:
    query = torch.randn(2, 9, 8)
    with pytest.raises(ValueError, match="cannot both"):
        hyper_attention(query, query, query, torch.ones(9, 9), is_causal=True)
    with pytest.raises(ValueError, match="rank"):
        hyper_attention(query[0], query[0], query[0])
    with pytest.raises(ValueError, match="key_mask goes with"):
        hyper_attention(query, query, query, key_mask=torch.ones(2, 9, dtype=torch.bool))


@pytest.mark.parametrize("algorithm", ["exact", "paper", "hyper"])
def test_checkpointed_without_compile(algorithm: str) -> None:
    """Recomputed in the backward, it draws as before."""
    query = torch.randn(1, 2, 200, 8, requires_grad=True)
    rules = {"min_seq_len": 64, "tile": 16, "block_size": 16, "window": 32, "sinks": 8}

    def call(x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = hyper_attention(x, x, x, is_causal=True, algorithm=algorithm, **rules)
        return out

    want = torch.autograd.grad(call(query).square().sum(), query)
    got = torch.autograd.grad(checkpoint(call, query, use_reentrant=False).square().sum(), query)
    torch.testing.assert_close(got, want)


def test_compiles_without_graph_break() -> None:
    query = torch.randn(1, 2, 33, 8)
    compiled = torch.compile(lambda x: hyper_attention(x, x, x, is_causal=True), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(query), F.scaled_dot_product_attention(query, query, query, is_causal=True))
    torch._dynamo.reset()


def test_autocast_joins_dtypes_as_sdpa_does() -> None:
    query, value = torch.randn(1, 2, 20, 8), torch.randn(1, 2, 20, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        want = F.scaled_dot_product_attention(query, query, value, is_causal=True)
        out = hyper_attention(query, query, value, is_causal=True)
    assert isinstance(out, torch.Tensor) and out.dtype == torch.bfloat16
    torch.testing.assert_close(out, want)
    with pytest.raises(ValueError, match="share one dtype"):
        hyper_attention(query, query, value)
