"""Key ranges, groups, softcap and clamp as arguments of the operator: opcheck, compile, make_fx, what does not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch._dynamo.testing
from attention_cases import lifted, lifted_fields, make_inputs
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx


@pytest.mark.parametrize("kind", ["range", "all"])
@pytest.mark.parametrize("curve", [{}, {"softcap": 3.0}, {"score_min": -0.5, "score_max": 0.7}], ids=str)
def test_opcheck(kind: str, curve: dict[str, float]) -> None:
    """Schema, autograd, fake and dynamic shapes of the op with every optional tensor."""
    inputs = make_inputs(31, 43, kv_heads=2, value_features=24, masked=0.3, bias=(4, 31, 43))
    fields = lifted_fields(lifted(kind, 31, 43, 2))
    tensors = (inputs.query, inputs.key, inputs.value, inputs.key_mask, inputs.bias, *fields)
    rules = {"algorithm": "exact", "causal_offset": 5, **curve}
    torch.library.opcheck(torch.ops.hyper.attention, tensors, rules)
    out, lse = (tensor.detach() for tensor in torch.ops.hyper.attention(*tensors, **rules))
    plain = [None if tensor is None else tensor.detach() for tensor in tensors[:5]]
    inner = (torch.randn_like(out), None, *plain, out, lse, *fields)
    torch.library.opcheck(torch.ops.hyper.attention_backward, inner, {**rules, "bias_gradient": True})


def _packed_model(query: Tensor, key: Tensor, value: Tensor, place: Tensor) -> Tensor:
    """What a rewritten packed decoder with soft-capped scores runs."""
    group = (place == 0).long().cumsum(-1).unsqueeze(-1)
    start = (torch.arange(place.shape[1]) - 9).expand(place.shape)
    rules = {"algorithm": "exact", "causal_offset": 0, "softcap": 5.0, "score_max": 1.0, "scale": 0.25}
    out, _ = torch.ops.hyper.attention(query + 0.0, key, value, None, None, start, None, group, group, **rules)
    return out * 2.0


def _packed_inputs(n: int) -> tuple[Tensor, ...]:
    inputs = make_inputs(n, kv_heads=2, features=16)
    return inputs.query, inputs.key, inputs.value, (torch.arange(n) % 13).expand(2, n)


def test_compiles_with_one_graph_for_every_length() -> None:
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    torch._dynamo.reset()
    compiled = torch.compile(_packed_model, backend=counter, fullgraph=True, dynamic=True)
    for n in (40, 77, 150):
        tensors = _packed_inputs(n)
        got, want = compiled(*tensors), _packed_model(*tensors)
        torch.testing.assert_close(got, want)
        along = torch.randn_like(want)
        for mine, theirs in zip(
            torch.autograd.grad(got, tensors[:3], along), torch.autograd.grad(want, tensors[:3], along), strict=True
        ):
            torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)
    assert counter.frame_count == 1
    torch._dynamo.reset()


def test_make_fx_keeps_one_node() -> None:
    with torch.no_grad():
        graph = make_fx(_packed_model, tracing_mode="symbolic")(*_packed_inputs(30))
        assert [node.target for node in graph.graph.nodes].count(torch.ops.hyper.attention.default) == 1
        longer = _packed_inputs(45)
        torch.testing.assert_close(graph(*longer), _packed_model(*longer))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"first_key": torch.zeros(2, 5)}, "first_key must be int64 or int32"),
        ({"stop_key": torch.zeros(5, dtype=torch.long)}, "stop_key must be int64 or int32"),
        ({"first_key": torch.zeros(2, 6, dtype=torch.long)}, r"first_key must be \[2 or 1, 5\]"),
        ({"stop_key": torch.zeros(3, 5, dtype=torch.long)}, r"stop_key must be \[2 or 1, 5\]"),
        ({"query_group": torch.zeros(2, 5, 1, dtype=torch.long)}, "given together"),
        ({"key_group": torch.zeros(2, 6, 1, dtype=torch.long)}, "given together"),
        (
            {"query_group": torch.zeros(2, 5, 1).int(), "key_group": torch.zeros(2, 6, 2).int()},
            "same number of columns, not 1 and 2",
        ),
        (
            {"query_group": torch.zeros(2, 5, 1).int(), "key_group": torch.zeros(2, 5, 1).int()},
            r"key_group must be \[2 or 1, 6, columns\]",
        ),
        ({"query_group": torch.zeros(2, 5, 1), "key_group": torch.zeros(2, 6, 1)}, "query_group must be int64"),
        ({"softcap": -1.0}, "softcap must be"),
        ({"softcap": float("inf")}, "softcap must be"),
        ({"softcap": float("nan")}, "softcap must be"),
        ({"score_min": float("nan")}, "score_min must be a number"),
        ({"score_max": float("nan"), "score_min": 0.0}, "score_max must be a number"),
        ({"score_min": 1.0, "score_max": 0.5}, "score_min must be at most score_max, not 1.0 beside 0.5"),
    ],
)
def test_what_does_not_fit(change: dict[str, Any], sentence: str) -> None:
    query, key = torch.ones(2, 4, 5, 8), torch.ones(2, 2, 6, 8)
    with pytest.raises(ValueError, match=sentence):
        torch.ops.hyper.attention(query, key, key, **change)
