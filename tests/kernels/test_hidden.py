"""Keys that key_mask hides from exact attention: what they hold reaches nothing; K and V are seldom copied for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import check_against_oracle, make_inputs
from hyperrewrite.kernels import hidden
from torch import Tensor

N_Q, N_K = 9, 40
EXACT = {"algorithm": "exact", "scale": 0.3}
NAN, LARGE = float("nan"), torch.finfo(torch.float32).max

MASKS: dict[str, Tensor] = {}
for _name, _hidden in {
    "end": [slice(30, None)],
    "front": [slice(0, 11)],
    "both ends": [slice(0, 5), slice(33, None)],
    "holes": [slice(3, 4), slice(17, 21), slice(36, 37)],
    "one hole": [slice(12, 19)],
    "all": [slice(None)],
}.items():
    MASKS[_name] = torch.ones(1, N_K, dtype=torch.bool)
    for _part in _hidden:
        MASKS[_name][:, _part] = False
MASKS["ragged"] = torch.arange(N_K) < torch.tensor([[38], [25]])
MASKS["ragged in front"] = torch.arange(N_K) >= torch.tensor([[3], [20]])
MASKS["all of one"] = torch.cat([MASKS["all"], MASKS["holes"]])

RULES: list[dict[str, Any]] = [
    {},
    {"causal_offset": 31},
    {"causal_offset": 0},
    {"causal_offset": 25, "sliding_window": 14},
    {"softcap": 1.5, "causal_offset": 12},
    {"first_key": torch.arange(N_Q)[None] * 3, "stop_key": torch.arange(N_Q)[None] * 3 + 9},
    {"empty_rows": "mean"},
    {"scale": -0.3},
]


def _run(leaves: list[Tensor], mask: Tensor, rules: dict[str, Any], along_lse: bool) -> list[Tensor]:
    out, lse = torch.ops.hyper.attention(*leaves[:3], mask, *leaves[3:], **{**EXACT, **rules})
    total = torch.cos(out).sum() + (lse.masked_fill(lse.isinf(), 0.0).sum() if along_lse else 0.0)
    return [out.detach(), lse.detach(), *torch.autograd.grad(total, leaves)]


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("rules", RULES, ids=lambda rules: " ".join(f"{k}" for k in rules) or "plain")
@pytest.mark.parametrize("bias", [None, (N_Q, N_K)], ids=["", "bias"])
def test_what_they_hold_reaches_nothing(name: str, rules: dict[str, Any], bias: tuple[int, ...] | None) -> None:
    """The same output and gradients, all of them finite, whatever stands there: zeros are what was always right."""
    mask, inputs = MASKS[name], make_inputs(N_Q, N_K, kv_heads=2, features=8, value_features=5, bias=bias)
    gone = ~mask.expand(2, -1)[:, None, :, None]
    if rules.get("empty_rows") == "mean":  # of the values as they are
        gone = gone & mask.any(-1)[:, None, None, None]
    for along_lse in (False, True):
        found = []
        for garbage_key, garbage_value in ((0.0, 0.0), (7.0, -5.0), (NAN, float("inf")), (LARGE, -LARGE), (0.0, NAN)):
            leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs.leaves]
            leaves[1].data.masked_fill_(gone, garbage_key)
            leaves[2].data.masked_fill_(gone, garbage_value)
            found.append(_run(leaves, mask, rules, along_lse))
        assert all(bool(t.isfinite().all()) for t in (found[0][0], *found[0][2:]))
        for other in found[1:]:
            for mine, theirs in zip(other, found[0], strict=True):
                torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("rules", RULES[:4], ids=str)
def test_as_the_definition_says(name: str, rules: dict[str, Any]) -> None:
    inputs = make_inputs(N_Q, N_K, kv_heads=2, features=8, value_features=5, masked=0.5)
    assert inputs.key_mask is not None
    inputs.key_mask.copy_(MASKS[name].expand(2, -1))
    check_against_oracle(inputs, **{**EXACT, **rules})


@pytest.mark.parametrize(
    ("name", "garbage", "copies"),
    [
        ("end", NAN, False),
        ("both ends", NAN, False),
        ("holes", 5.0, False),
        ("ragged", 5.0, False),
        ("holes", NAN, True),
        ("ragged", NAN, True),
        ("holes", LARGE, True),
    ],
)
def test_only_what_could_reach_a_sum_is_copied(
    name: str, garbage: float, copies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward and backward. Elsewhere the kernel reads K and V where they lie."""
    calls = []
    clean = hidden.without_masked

    def counted(tensor: Tensor, key_mask: Tensor | None) -> Tensor:
        calls.append(tensor)
        return clean(tensor, key_mask)

    monkeypatch.setattr(hidden, "without_masked", counted)
    inputs = make_inputs(N_Q, N_K, kv_heads=2, features=8)
    leaves = [tensor.detach().clone() for tensor in inputs.leaves]
    gone = ~MASKS[name].expand(2, -1)[:, None, :, None]
    leaves = [leaves[0], *(tensor.masked_fill(gone, garbage) for tensor in leaves[1:])]
    _run([tensor.requires_grad_() for tensor in leaves], MASKS[name], {}, along_lse=False)
    assert bool(calls) == copies


def test_a_large_gradient_is_not_multiplied_with_what_they_hold() -> None:
    """Near miss: values that are harmless in the output may overflow in the gradient's products."""
    mask, inputs = MASKS["holes"], make_inputs(N_Q, N_K, features=8)
    leaves = [tensor.detach().clone() for tensor in inputs.leaves]
    leaves[2].masked_fill_(~mask[:, None, :, None], 1e30)
    leaves = [tensor.requires_grad_() for tensor in leaves]
    out, _ = torch.ops.hyper.attention(*leaves, mask, **EXACT)
    assert all(bool(grad.isfinite().all()) for grad in torch.autograd.grad(out, leaves, torch.full_like(out, 1e9)))
