"""What `torch.set_default_dtype` says changes nothing: every algorithm and every mask gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from attention_cases import Inputs, make_inputs, with_lifted
from default_dtype import DTYPES, default_dtype
from hyperrewrite.kernels import decomposition, hardness, meter, probe_error
from hyperrewrite.kernels.parameters import PRICES
from torch import Tensor

pytestmark = pytest.mark.usefixtures("short_reference")
SHORT: dict[str, Any] = {"min_seq_len": 8, "tile": 16, "window": 8, "sinks": 3, "threshold": 0.05, "scale": 0.4}
PAPER: dict[str, Any] = {"algorithm": "paper", "min_seq_len": 32, "block_size": 16, "sample_size": 16, "scale": 0.4}
EXACT: dict[str, Any] = {"algorithm": "exact", "scale": 0.4}
CURVED: dict[str, Any] = EXACT | {"softcap": 5.0, "score_min": -3.0, "score_max": 4.0}


def _results(inputs: Inputs, rules: dict[str, Any]) -> list[Tensor]:
    """out, lse and all gradients."""
    out, lse = inputs.run(**rules)
    along = torch.linspace(-1.0, 1.0, out.numel(), dtype=out.dtype).view(out.shape)
    loss = (out * along).sum() + lse.masked_fill(lse == float("-inf"), 0.0).sum()
    return [out.detach(), lse.detach(), *torch.autograd.grad(loss, inputs.leaves)]


def _check(run: Callable[[], list[Any]]) -> None:
    """The same bits and dtypes under every default dtype."""
    with default_dtype(torch.float32):
        wanted = run()
    for dtype in DTYPES:
        with default_dtype(dtype):
            found = run()
        for mine, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(mine, theirs, atol=0.0, rtol=0.0, equal_nan=True)


CALLS: dict[str, dict[str, Any]] = {
    **{f"hyper {name}": SHORT | {"price": name} for name in PRICES},
    "hyper causal": SHORT | {"causal_offset": 0},
    "paper": PAPER,
    "paper causal": PAPER | {"causal_offset": 0},
    "exact": EXACT,
    "exact window": EXACT | {"causal_offset": 3, "sliding_window": 5},
    "exact curved": CURVED,
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("masked", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_algorithms(name: str, masked: float, dtype: torch.dtype) -> None:
    inputs = make_inputs(80, heads=2, kv_heads=1, features=8, masked=masked).to(dtype)
    for tensor in (inputs.query, inputs.key, inputs.value):
        tensor.requires_grad_()
    _check(lambda: _results(inputs, {"empty_rows": "mean", **CALLS[name]}))


@pytest.mark.parametrize("kind", ["range", "packed", "mixed"])
@pytest.mark.parametrize("rules", [EXACT, CURVED], ids=["straight", "curved"])
def test_lifted_masks_and_bias(kind: str, rules: dict[str, Any]) -> None:
    inputs = make_inputs(24, 30, heads=2, features=8, bias=(1, 2, 24, 30))
    for given in (with_lifted(inputs, kind), with_lifted(make_inputs(24, 30, heads=2, features=8), kind)):
        _check(lambda given=given: _results(given, rules))  # type: ignore[misc]


def test_decomposition() -> None:
    inputs = make_inputs(24, 30, heads=2, features=8, masked=0.3)
    tensors = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach(), inputs.key_mask)
    rules: dict[str, Any] = {"causal_offset": 2, "scale": 0.4, "empty_rows": "nan", "softcap": 5.0}
    _check(lambda: [*decomposition.attention(*tensors, **rules)])


def test_what_is_measured() -> None:
    """Hardness and error of a call, and what the meter says of it."""
    inputs = make_inputs(80, heads=2, features=8)
    query, key, value = (tensor.detach() for tensor in (inputs.query, inputs.key, inputs.value))
    rules = SHORT | {"causal_offset": 0}
    call = inputs.call(**rules)

    def measured() -> list[Any]:
        found: list[Any] = []
        with meter.observe(lambda seen: found.extend((meter.relative_error(seen), meter.keys_per_query(seen)))):
            out, lse = torch.ops.hyper.attention(query, key, value, **rules)
        hard = hardness.hardness(query, key, call, hardness.sample_rows(80, 16, 0))
        error = probe_error.estimate_error(query, key, value, out, lse, call)
        found += [getattr(thing, field.name) for thing in (hard, error) for field in fields(thing)]
        return found

    _check(measured)
