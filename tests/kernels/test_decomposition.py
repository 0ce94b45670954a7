"""The op in ATen operators against its dense float64 oracle and against the op itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import LIFTED_KINDS, Inputs, lifted_fields, make_inputs, with_lifted
from hyperrewrite.kernels import decomposition, ops
from hyperrewrite.kernels.lifted import Lifted
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

EXACT = {"algorithm": "exact", "scale": 0.3}
RULES: list[dict[str, Any]] = [
    {},
    {"causal_offset": 0},
    {"causal_offset": -7},
    {"causal_offset": 3, "sliding_window": 9},
    {"causal_offset": -4, "sliding_window": 1},
    {"softcap": 2.0, "causal_offset": 5},
    {"score_min": -0.6, "score_max": 0.8},
    {"softcap": 2.0, "score_max": 0.8},
]


def _decomposed(inputs: Inputs, **rules: Any) -> tuple[Tensor, Tensor]:
    tensors = (inputs.query, inputs.key, inputs.value, inputs.key_mask, inputs.bias)
    with torch.no_grad():
        return decomposition.attention(*tensors, *lifted_fields(inputs.lifted or Lifted()), **rules)


def _check(inputs: Inputs, tolerance: float = 1e-5, **rules: Any) -> None:
    """Values and lse as the oracle has them, dtypes and shapes as the op has them."""
    out, lse = _decomposed(inputs, **EXACT, **rules)
    want_out, want_lse = (tensor.detach() for tensor in inputs.oracle(**EXACT, **rules))
    torch.testing.assert_close(out.double(), want_out, atol=tolerance, rtol=tolerance, equal_nan=True)
    torch.testing.assert_close(lse.double(), want_lse, atol=tolerance, rtol=tolerance)
    for mine, theirs in zip((out, lse), inputs.run(**EXACT, **rules), strict=True):
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        torch.testing.assert_close(mine, theirs.detach(), atol=tolerance, rtol=tolerance, equal_nan=True)


@pytest.mark.parametrize("rules", RULES, ids=str)
@pytest.mark.parametrize("masked", [0.0, 0.6])
@pytest.mark.parametrize("sizes", [(37, 37), (20, 51), (51, 20), (1, 33)], ids=str)
def test_rules_and_padding(rules: dict[str, Any], masked: float, sizes: tuple[int, int]) -> None:
    _check(make_inputs(*sizes, kv_heads=2, features=24, value_features=17, masked=masked), **rules)


@pytest.mark.parametrize("shape", [(2, 4, 37, 41), (1, 1, 37, 41), (37, 41), (4, 1, 41), (1, 37, 1), (1,)])
@pytest.mark.parametrize("rules", RULES[1:4], ids=str)
def test_bias(shape: tuple[int, ...], rules: dict[str, Any]) -> None:
    _check(make_inputs(37, 41, kv_heads=1, bias=shape, masked=0.4), **rules)


@pytest.mark.parametrize("kind", LIFTED_KINDS)
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("rules", [{}, {"causal_offset": 5, "softcap": 3.0}], ids=str)
def test_ranges_and_groups(kind: str, rows: int, rules: dict[str, Any]) -> None:
    inputs = make_inputs(31, 43, kv_heads=2, value_features=24, masked=0.3, bias=(4, 31, 43))
    _check(with_lifted(inputs, kind, rows), **rules)


@pytest.mark.parametrize("mode", ["zero", "mean", "level", "nan", "nan_added"])
@pytest.mark.parametrize("kind", [None, "range"])
def test_empty_rows(mode: str, kind: str | None) -> None:
    inputs = make_inputs(30, 26, kv_heads=2, masked=0.7)
    inputs = inputs if kind is None else with_lifted(inputs, kind)
    assert bool((_decomposed(inputs, causal_offset=-6)[1] == float("-inf")).any())
    _check(inputs, causal_offset=-6, empty_rows=mode)


def test_a_bias_of_minus_infinity_empties_rows() -> None:
    inputs = make_inputs(9, 13, bias=(9, 13))
    assert inputs.bias is not None
    with torch.no_grad():
        inputs.bias[4] = float("-inf")
        inputs.bias[5, 1:] = float("-inf")
    for mode in ("zero", "mean", "level", "nan", "nan_added"):
        _check(inputs, empty_rows=mode)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.bfloat16, 2e-2), (torch.float16, 4e-3)])
def test_other_dtypes(dtype: torch.dtype, tolerance: float) -> None:
    """lse is float32 whatever the dtype; half precision accumulates in float32."""
    _check(make_inputs(29, 37, kv_heads=2, bias=(29, 37), masked=0.3).to(dtype), tolerance, causal_offset=3)


@pytest.mark.parametrize("mode", ["zero", "mean", "level", "nan", "nan_added"])
@pytest.mark.parametrize("sizes", [(5, 0), (0, 5), (0, 0)], ids=str)
def test_nothing_to_see(mode: str, sizes: tuple[int, int]) -> None:
    inputs = make_inputs(*sizes, kv_heads=2)
    for mine, theirs in zip(
        _decomposed(inputs, **EXACT, empty_rows=mode), inputs.run(**EXACT, empty_rows=mode), strict=True
    ):
        torch.testing.assert_close(mine, theirs.detach(), equal_nan=True)


def test_make_fx_puts_it_in_the_place_of_the_op() -> None:
    inputs = make_inputs(17, 23, kv_heads=2)

    def model(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return torch.ops.hyper.attention(query, key, value, **EXACT)[0] * 2.0

    tensors = [tensor.detach() for tensor in inputs.leaves]
    table = {ops.attention._opoverload: decomposition.attention}
    with torch.no_grad():
        graph = make_fx(model, decomposition_table=table)(*tensors)
        torch.testing.assert_close(graph(*tensors), model(*tensors))
    assert not any("hyper" in str(node.target) for node in graph.graph.nodes)


def test_it_takes_every_argument_of_the_op() -> None:
    """A new argument that changes what is computed must not be read over."""
    estimator = {"algorithm", "min_seq_len", "block_size", "sample_size", "lsh_projections", "window", "sinks"} | {
        "tile",
        "price",
        "threshold",
    }
    names = {a.name for a in ops.attention._opoverload._schema.arguments} - estimator - {"seed"}
    code = decomposition.attention.__code__
    assert names == set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
