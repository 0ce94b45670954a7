"""nn.MultiheadAttention and nn.TransformerEncoder: taken apart, found, and equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hyperrewrite.analysis import Analysis, analyse
from hyperrewrite.options import Options


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    torch.manual_seed(0)
    yield


def _both(call: Callable[..., Any], *inputs: Tensor, grad: bool = False, **options: Any) -> tuple[Any, Any, Analysis]:
    """Output of eager PyTorch, output of the rewritten graph, and what was found."""
    seen: list[Analysis] = []

    def backend(gm: torch.fx.GraphModule, _: Any) -> Any:
        seen.append(analyse(gm, Options.of({"approximate": False, **options})))
        return seen[-1].module.forward

    with torch.set_grad_enabled(grad):
        torch.manual_seed(1)
        want = call(*inputs)
        torch.manual_seed(1)
        got = torch.compile(call, backend=backend)(*inputs)
    return want, got, seen[0]


def _padding(batch: int, n: int) -> Tensor:
    mask = torch.zeros(batch, n, dtype=torch.bool)
    mask[0, -5:] = True
    return mask


MASKS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "none": lambda batch, n: {},
    "padding": lambda batch, n: {"key_padding_mask": _padding(batch, n)},
    "causal": lambda batch, n: {
        "attn_mask": nn.Transformer.generate_square_subsequent_mask(n),
        "is_causal": True,
    },
    "bool": lambda batch, n: {"attn_mask": torch.ones(n, n, dtype=torch.bool).triu(1)},
    "both": lambda batch, n: {
        "attn_mask": torch.ones(n, n, dtype=torch.bool).triu(1),
        "key_padding_mask": _padding(batch, n),
    },
    "heads": lambda batch, n: {"attn_mask": torch.randn(batch * 4, n, n)},
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_multi_head_attention(mask: str, need_weights: bool, batch_first: bool) -> None:
    layer = nn.MultiheadAttention(40, 4, batch_first=batch_first).eval()
    nn.init.normal_(layer.in_proj_bias)
    n, batch = 63, 2
    x = torch.randn(batch, n, 40) if batch_first else torch.randn(n, batch, 40)
    given = MASKS[mask](batch, n)
    want, got, analysis = _both(lambda x: layer(x, x, x, need_weights=need_weights, **given)[0], x)
    assert analysis.report.site_count == 1, analysis.report
    assert not analysis.report.rejections
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5, equal_nan=True)


def test_cross_attention_with_other_widths() -> None:
    layer = nn.MultiheadAttention(40, 4, kdim=24, vdim=28, batch_first=True).eval()
    inputs = torch.randn(2, 63, 40), torch.randn(2, 111, 24), torch.randn(2, 111, 28)
    want, got, analysis = _both(lambda q, k, v: layer(q, k, v, need_weights=False)[0], *inputs)
    assert [row.key for row in analysis.report.sites] == [(2, 4, 111, 10)]
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_returned_weights_are_left_alone() -> None:
    layer = nn.MultiheadAttention(40, 4, batch_first=True).eval()
    want, got, analysis = _both(lambda x: layer(x, x, x), torch.randn(2, 63, 40))
    assert [row.code for row in analysis.report.rejections] == ["opaque_call"]
    torch.testing.assert_close(got, want)


def test_zero_attention_is_left_alone() -> None:
    layer = nn.MultiheadAttention(40, 4, add_zero_attn=True, batch_first=True).eval()
    _, _, analysis = _both(lambda x: layer(x, x, x, need_weights=False)[0], torch.randn(2, 63, 40))
    assert [row.code for row in analysis.report.rejections] == ["opaque_call"]


def test_active_dropout_is_read() -> None:
    layer = nn.MultiheadAttention(40, 4, dropout=0.3, batch_first=True).train()
    want, got, analysis = _both(lambda x: layer(x, x, x, need_weights=False)[0], torch.randn(2, 63, 40), grad=True)
    assert "dropout 0.3" in analysis.report.sites[0].spec
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_transformer_encoder(norm_first: bool, grad: bool, padded: bool) -> None:
    layer = nn.TransformerEncoderLayer(40, 4, 64, batch_first=True, norm_first=norm_first, activation="gelu")
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    mask = _padding(2, 63) if padded else None
    want, got, analysis = _both(lambda x: encoder(x, src_key_padding_mask=mask), torch.randn(2, 63, 40), grad=grad)
    assert analysis.report.site_count == 2, analysis.report
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    assert ("key padding" in analysis.report.sites[0].spec) == padded
