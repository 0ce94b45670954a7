"""The kernels that sample far keys on a GPU: against the definition, over widths, dtypes, masks and strides."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import make_inputs
from hyperrewrite.kernels.fused import choice

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
SAMPLE: dict[str, Any] = {"algorithm": "hyper", "price": "search", "min_seq_len": 8, "threshold": 0.02, "seed": 3}


def relative(out: torch.Tensor, want: torch.Tensor) -> float:
    return float((out.double() - want).norm() / want.norm())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("features", [64, 80, 128, 200])
@pytest.mark.parametrize(("n_q", "n_k", "offset", "masked"), [
    (420, 420, 0, 0.0), (300, 533, None, 0.0), (233, 533, 300, 0.3), (420, 400, -20, 0.0),
])  # fmt: skip
def test_matches_oracle(
    dtype: torch.dtype, features: int, n_q: int, n_k: int, offset: int | None, masked: float
) -> None:
    inputs = make_inputs(
        n_q, n_k, batch=1, heads=4, kv_heads=2, features=features, masked=masked, strided=features == 80
    )
    inputs = inputs.to(dtype)
    rules = {**SAMPLE, "scale": 2.0 / features**0.5, "causal_offset": offset}
    want, want_lse = inputs.oracle(**rules)
    if dtype == torch.float32 and features > 128:
        pytest.skip("float32 heads are of 128 features at most")
    query, key, value = (t.cuda() for t in (inputs.query, inputs.key, inputs.value))
    mask = None if inputs.key_mask is None else inputs.key_mask.cuda()
    assert choice.reason_against(query, key, value, inputs.call(**rules)) is None
    out, lse = torch.ops.hyper.attention(query, key, value, mask, **rules)
    # Where a rounded score falls on the other side of a draw, a key is read here and not there.
    assert relative(out.cpu(), want) < (2e-2 if dtype != torch.float32 else 5e-3)
    seen = want_lse > float("-inf")
    assert torch.equal(seen, lse.cpu() > float("-inf"))
    assert float((lse.cpu()[seen].double() - want_lse[seen]).abs().max()) < 5e-2


def test_a_call_is_captured_in_a_cuda_graph() -> None:
    query, key, value = (torch.randn(1, 4, 4096, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    rules = {**SAMPLE, "scale": 0.125, "causal_offset": 0}
    want = torch.ops.hyper.attention(query, key, value, **rules)[0]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = torch.ops.hyper.attention(query, key, value, **rules)[0]
    out.fill_(float("nan"))
    graph.replay()
    assert torch.equal(out, want)


def test_later_tokens_change_nothing_but_rounding() -> None:
    query, key, value = (torch.randn(1, 4, 2048, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    rules = {**SAMPLE, "scale": 0.25, "causal_offset": 0}
    one = torch.ops.hyper.attention(query, key, value, **rules)[0]
    others = [torch.cat([t[:, :, :1500], torch.randn_like(t[:, :, 1500:])], 2) for t in (query, key, value)]
    two = torch.ops.hyper.attention(*others, **rules)[0]
    torch.testing.assert_close(one[:, :, :1500], two[:, :, :1500], atol=2e-2, rtol=2e-2)
