"""Causal buffers are known by value, and a buffer that changes is never answered with the old mask."""

from __future__ import annotations

import logging

import pytest
import torch
from hyperrewrite.passes.held import Triangle, triangle_of
from torch import Tensor, nn

import hyperrewrite


class Causal(nn.Module):
    """nanoGPT's attention: a tril buffer, cut to the length and compared with 0."""

    def __init__(self, kind: str = "buffer", dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.qkv = nn.Linear(32, 96)
        mask = torch.tril(torch.ones(80, 80)).to(dtype).view(1, 1, 80, 80)
        if kind == "buffer":
            self.register_buffer("bias", mask, persistent=True)
        else:
            self.bias = mask

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (4, 8)).transpose(1, 2) for t in self.qkv(x).split(32, dim=-1))
        n = x.shape[1]
        scores = (q @ k.transpose(-2, -1)) * 8**-0.5
        scores = scores.masked_fill(self.bias[:, :, :n, :n] == 0, float("-inf"))
        return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)


def words(log: hyperrewrite.analysis.Log) -> list[str]:
    return [row.spec for row in log.report.sites]


@pytest.mark.parametrize("kind", ["buffer", "attribute"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8])
def test_a_causal_buffer_is_causal(kind: str, dtype: torch.dtype) -> None:
    model, x = Causal(kind, dtype), torch.randn(2, 63, 32)
    torch._dynamo.reset()
    report = hyperrewrite.explain(model, x, options={"approximate": False})
    assert [row.spec.split(",")[0] for row in report.sites] == ["causal"]


def test_a_buffer_that_changes_is_looked_at_again(caplog: pytest.LogCaptureFixture) -> None:
    model, x = Causal(), torch.randn(2, 63, 32)
    torch._dynamo.reset()
    with torch.no_grad(), hyperrewrite.record() as log:
        compiled = torch.compile(model, backend="hyper", options={"approximate": False})
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)
        assert words(log)[0].startswith("causal")
        before = model.state_dict()["bias"].clone()
        model.bias[..., 5, 3] = 0.0  # one key of one query
        with caplog.at_level(logging.WARNING, "hyperrewrite"):
            torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)
        assert "has changed" in caplog.text
        assert not words(log)[-1].startswith("causal")
        model.bias.copy_(torch.ones(80, 80).triu(-2))
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)
        model.load_state_dict({"bias": before}, strict=False)
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)


def test_layers_that_share_a_graph_do_not_share_a_buffer() -> None:
    """One compiled graph may serve several instances: each brings its own buffer."""
    one, other = Causal(), Causal()
    other.bias = torch.tril(torch.ones(80, 80), -1).view(1, 1, 80, 80).clone()
    other.bias[..., 0, 0] = 1
    x = torch.randn(2, 63, 32)
    torch._dynamo.reset()
    with torch.no_grad():
        for model in (one, other, one):
            compiled = torch.compile(model, backend="hyper", options={"approximate": False})
            torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)


def test_changes_after_a_dynamic_compile() -> None:
    model = Causal()
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(model, backend="hyper", dynamic=True, options={"approximate": False})
        for n in (31, 63):
            x = torch.randn(2, n, 32)
            torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)
        model.bias[..., 7, 2] = 0.0
        for n in (31, 40, 63):
            x = torch.randn(2, n, 32)
            torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)


def test_verify_keeps_what_is_assumed() -> None:
    model, x = Causal(), torch.randn(2, 63, 32)
    torch._dynamo.reset()
    with torch.no_grad(), hyperrewrite.record() as log:
        out = torch.compile(model, backend="hyper", options={"approximate": False, "verify": True})(x)
    torch.testing.assert_close(out, model(x), rtol=1e-5, atol=1e-5)
    assert log.report.failures == ()
    assert words(log)[0].startswith("causal")


@pytest.mark.parametrize("offset", [-7, -1, 0, 1, 5])
@pytest.mark.parametrize("shape", [(9, 9), (6, 9), (9, 6), (1, 1, 9, 9), (3, 9, 9)])
def test_triangles(offset: int, shape: tuple[int, ...]) -> None:
    ones = torch.ones(shape)
    found = triangle_of(ones.tril(offset))
    if ones.tril(offset)[..., -1, 0].all() and not ones.tril(offset)[..., 0, -1].any():
        assert found == Triangle(offset, 1.0, 0.0)
    upper = triangle_of(torch.full(shape, float("-inf")).triu(offset + 1))
    if found is not None:
        assert upper == Triangle(offset, 0.0, float("-inf"))
        spoiled = ones.tril(offset)
        spoiled[..., shape[-2] // 2, 0] = 2.0
        assert triangle_of(spoiled) is None


def test_no_triangles() -> None:
    for values in (torch.ones(5, 5), torch.eye(5), torch.zeros(5), torch.randn(5, 5), torch.full((5, 5), torch.nan)):
        assert triangle_of(values) is None
    one = torch.ones(2, 5, 5).tril()
    one[1, 3, 1] = 0
    assert triangle_of(one) is None
