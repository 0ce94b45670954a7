"""Rows that see no key, where the fill is finite: outputs and gradients are what eager PyTorch gives, in every row.

Eager gives such a row the mean of all values. Scores that the fill was put in the place of take no gradient; scores
that it was added to do, that of equal weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from compared import assert_as_eager, rejection_of, site_of
from graphs import Backend, assert_same
from hyperrewrite.passes.rewrite import Lowering, rewrite
from hyperrewrite.passes.sites import find_sites
from hyperrewrite.passes.spec import RejectionCode
from torch import Tensor

BATCH, HEADS, N, D = 2, 4, 24, 16
MIN = torch.finfo(torch.float32).min
FUTURE = torch.ones(N, N, dtype=torch.bool).triu(1)

CASES: list[Case] = []


@dataclass(frozen=True)
class Case:
    """A function of (q, k, v, a mask of rows, a mask of padding, a bias), and what becomes of its one attention.

    sdpa: it is an SDPA call also where gradients are wanted. left: it is left alone there, with a word of why.
    """

    function: Callable[..., Tensor]
    sdpa: bool
    left: str = ""


def case(sdpa: bool = False, left: str = "") -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    def keep(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        CASES.append(Case(function, sdpa, left))
        return function

    return keep


def _scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT / 3


# --- fills in the place of scores ------------------------------------------------------------------------------------


@case(sdpa=True)
def where_rows(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax(torch.where(row, _scores(q, k), MIN), -1) @ v


@case(sdpa=True)
def mild_fill_of_rows(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax(_scores(q, k).masked_fill(~row, -1e4), -1) @ v


@case(sdpa=True)
def biased_scores_filled(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    """The bias takes no gradient from such rows either."""
    return torch.softmax((_scores(q, k) + bias).masked_fill(~row, MIN), -1) @ v


@case()
def padding_filled(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax((_scores(q, k) + bias).masked_fill(FUTURE | ~pad, -1e9), -1) @ v


@case()
def capped_scores_filled(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax(torch.where(row, torch.tanh(_scores(q, k)) * 2, MIN), -1) @ v


@case()
def infinite_fill_under_a_floor(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    scores = _scores(q, k).masked_fill(FUTURE | ~pad, -math.inf)
    return torch.softmax(torch.max(scores, torch.tensor(MIN)), -1) @ v


@case()
def bias_behind_a_fill(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    """finfo.min swallows the bias, which takes a gradient all the same; the score does not."""
    return torch.softmax(_scores(q, k).masked_fill(~pad, torch.finfo(q.dtype).min) + bias, -1) @ v


# --- fills that are added --------------------------------------------------------------------------------------------


@case()
def added_to_rows(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax(_scores(q, k) + (1 - row.to(q.dtype)) * MIN, -1) @ v


@case()
def added_to_biased_rows(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax(_scores(q, k) + bias + torch.where(row, 0.0, MIN), -1) @ v


@case()
def padding_added(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    """Transformers' decoders with padding on the left."""
    return torch.softmax(_scores(q, k) + torch.where(~FUTURE & pad, 0.0, MIN), -1) @ v


@case()
def padding_added_to_biased_scores(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax(_scores(q, k) + bias + (1 - pad.to(q.dtype)) * MIN, -1) @ v


@case()
def bias_or_fill(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    """The score takes a gradient under the fill, the bias does not."""
    return torch.softmax(_scores(q, k) + torch.where(pad, bias, MIN), -1) @ v


@case()
def padding_added_to_capped_scores(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax(torch.tanh(_scores(q, k)) * 2 + torch.where(~FUTURE & pad, 0.0, MIN), -1) @ v


@case()
def given_mask(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    """A tensor of numbers that the graph does not look into."""
    return torch.softmax(_scores(q, k) + torch.where(~FUTURE & pad, 0.0, MIN).detach().cumsum(1), -1) @ v


@case()
def two_fills_added(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    """Two lowest numbers are −inf: of a row without keys those that one mask forbids are left."""
    low = torch.finfo(q.dtype).min
    padding = (1 - pad.to(q.dtype)) * low
    return torch.softmax(_scores(q, k) + (torch.full((N, N), low, dtype=q.dtype).triu(1) + padding), -1) @ v


# --- both kinds ------------------------------------------------------------------------------------------------------


@case()
def gpt2(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    """A causal fill is put in place, the padding is added."""
    low = torch.finfo(q.dtype).min
    return torch.softmax(torch.where(FUTURE, low, _scores(q, k)) + (1 - pad.to(q.dtype)) * low, -1) @ v


@case()
def added_and_filled_alike(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax((_scores(q, k) + torch.where(FUTURE, MIN, 0.0)).masked_fill(~pad, MIN), -1) @ v


@case(left="takes a gradient")
def less_the_maximum_before_fills(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    """What scores under the added fill pass on to the maximum, those that the other fill replaced do not take back."""
    scores = _scores(q, k)
    scores = (scores - scores.amax(-1, keepdim=True)).masked_fill(~FUTURE.mT, -1e30)
    return torch.softmax(scores + (~pad).to(q.dtype) * -1e30, -1) @ v


@case()
def less_the_detached_maximum_before_fills(
    q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor
) -> Tensor:
    scores = _scores(q, k)
    scores = scores - scores.detach().amax(-1, keepdim=True)
    scores = scores.masked_fill(~FUTURE.mT, -1e30)
    return torch.softmax(scores + (~pad).to(q.dtype) * -1e30, -1) @ v


@case()
def mild_fill_and_a_given_mask(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    """What is added ties with the fill: keys of the past keep their scores beside those of the future, which have
    none."""
    added = torch.where(pad, 0.0, -65504.0).detach().cumsum(1).to(q.dtype)
    return torch.softmax(torch.where(FUTURE, -65504.0, _scores(q, k)) + added, -1) @ v


@case()
def bias_behind_a_mild_fill(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    """The bias tells the keys of a row without keys apart, and takes a gradient there; the scores do not."""
    return torch.softmax(_scores(q, k).masked_fill(~row, -1e4) + bias, -1) @ v


@case()
def mild_fills_one_behind_the_other(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    scores = (_scores(q, k).masked_fill(FUTURE, -1e4) + (1 - pad.to(q.dtype)) * -1e4) * 0.5
    return torch.softmax(scores.masked_fill(~row, -1e9) + bias, -1) @ v


@case(left="masked scores are clamped")
def added_under_its_own_floor(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    """torch.max halves the gradient between equal numbers."""
    return torch.softmax(torch.max(_scores(q, k) + torch.where(pad, 0.0, MIN), torch.tensor(MIN).to(q.dtype)), -1) @ v


# --- near misses: rows keep a key ------------------------------------------------------------------------------------


@case(sdpa=True)
def causal(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    i = torch.arange(N)
    return torch.softmax(torch.where(i[None] > i[:, None], MIN, _scores(q, k)), -1) @ v


@case(sdpa=True)
def causal_added_under_its_own_floor(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    i = torch.arange(N)
    scores = _scores(q, k) + torch.where(i[None] > i[:, None], MIN, 0.0)
    return torch.softmax(torch.max(scores, torch.tensor(MIN).to(q.dtype)), -1) @ v


@case(sdpa=True)
def learned_bias(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax(_scores(q, k) + bias, -1) @ v


# ---------------------------------------------------------------------------------------------------------------------


def _inputs(dtype: torch.dtype, kv_heads: int, gradients: bool = True) -> tuple[Tensor, ...]:
    """q, k, v and a bias want gradients. Of the rows seven in ten see keys; padding takes the first keys, or all."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(BATCH, h, N, D, generator=generator) for h in (HEADS, kv_heads, kv_heads)]
    bias = torch.randn(HEADS, N, N, generator=generator)
    row = torch.rand(BATCH, 1, N, 1, generator=generator) > 0.3
    pad = torch.ones(BATCH, 1, 1, N, dtype=torch.bool)
    pad[0, ..., :7], pad[1] = False, False
    q, k, v, bias = (t.to(dtype).requires_grad_(gradients) for t in (*made, bias))
    return q, k, v, row, pad, bias


def _run(case: Case, args: tuple[Tensor, ...], backend: Callable[..., Any] | None = None) -> list[Tensor]:
    """The output and, where wanted, the gradient of every argument that takes one (zeros: none)."""

    def call(q: Tensor, k: Tensor, v: Tensor, *more: Tensor) -> Tensor:
        group = HEADS // k.shape[1]
        return case.function(q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1), *more)

    torch._dynamo.reset()
    out = (call if backend is None else torch.compile(call, backend=backend, fullgraph=True))(*args)
    if not out.requires_grad:
        return [out]
    along = torch.randn(out.shape, generator=torch.Generator().manual_seed(7)).to(out.dtype)
    leaves = [a for a in args if a.requires_grad]
    found = torch.autograd.grad(out, leaves, along, allow_unused=True)
    return [out.detach(), *(torch.zeros_like(a) if g is None else g for a, g in zip(leaves, found, strict=True))]


def _names(backend: Backend) -> list[str]:
    names = [node.name for node in backend.analyses[0].module.graph.nodes]
    return [name for name in names if "attention" in name]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.function.__name__)
@pytest.mark.parametrize("op", [False, True], ids=["sdpa", "op"])
@pytest.mark.parametrize(("dtype", "kv_heads"), [(torch.float32, 2), (torch.float64, 4)], ids=["float32", "float64"])
def test_output_and_gradients_are_those_of_eager(case: Case, op: bool, dtype: torch.dtype, kv_heads: int) -> None:
    args, backend = _inputs(dtype, kv_heads), Backend(op=op)
    expected = _run(case, args)
    for actual, want in zip(_run(case, args, backend), expected, strict=True):
        scale = max(1.0, float(want.abs().max()))
        torch.testing.assert_close(actual, want, atol=1e-5 * scale, rtol=1e-5)
    findings = backend.graphs[0].findings()
    assert len(findings.sites) == (not case.left)
    assert [case.left in r.message for r in findings.rejections] == [True] * bool(case.left)
    if not op and not case.left:
        (name,) = _names(backend)
        assert case.sdpa == name.startswith("scaled_dot_product_attention")


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize(
    "function", [where_rows, biased_scores_filled, padding_filled, added_to_rows, padding_added, added_to_biased_rows]
)
def test_sdpa_with_a_mask_tensor_gives_the_same(function: Callable[..., Tensor], kv_heads: int) -> None:
    """What dropout needs, without dropout: eager's draws are others."""
    args = _inputs(torch.float32, kv_heads)
    case = Case(function, sdpa=True)

    def backend(module: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        (site,) = find_sites(module).sites
        rewritten = rewrite(module, [(site, Lowering("sdpa"))])
        assert not rewritten.refused
        return rewritten.module.forward

    for actual, want in zip(_run(case, args, backend), _run(case, args), strict=True):
        scale = max(1.0, float(want.abs().max()))
        torch.testing.assert_close(actual, want, atol=1e-5 * scale, rtol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.function.__name__)
def test_without_gradients_nothing_is_left_alone(case: Case) -> None:
    """And an SDPA call stays one where a mask is a tensor anyway."""
    args, backend = _inputs(torch.float32, 2, gradients=False), Backend()
    (expected,), (actual,) = _run(case, args), _run(case, args, backend)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    assert len(backend.graphs[0].findings().sites) == 1
    if case.function in (added_to_rows, given_mask, gpt2, two_fills_added):
        assert _names(backend) == ["scaled_dot_product_attention"]


# --- 16 bits: a score is lost beside −10,000 --------------------------------------------------------------------------


def _added(q: Tensor, k: Tensor, v: Tensor, pad: Tensor) -> Tensor:
    return torch.softmax(_scores(q, k) + (1 - pad.to(q.dtype)) * -1e4, -1) @ v


def _added_before_a_cast(q: Tensor, k: Tensor, v: Tensor, pad: Tensor) -> Tensor:
    return torch.softmax((_scores(q, k) + (1 - pad.to(q.dtype)) * -1e4).float(), -1).to(q.dtype) @ v


def _added_with_a_causal_mask(q: Tensor, k: Tensor, v: Tensor, pad: Tensor) -> Tensor:
    return torch.softmax(_scores(q, k) + torch.where(~FUTURE & pad, 0.0, -1e4).to(q.dtype), -1) @ v


def _filled(q: Tensor, k: Tensor, v: Tensor, pad: Tensor) -> Tensor:
    return torch.softmax(_scores(q, k).masked_fill(~pad, -1e4), -1) @ v


@pytest.mark.parametrize("function", [_added, _added_before_a_cast, _added_with_a_causal_mask, _filled])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_loses_scores_beside_a_mild_fill(function: Callable[..., Tensor], dtype: torch.dtype) -> None:
    """As eager rounds them away: a mean of all values. Scores are small enough for float16, which keeps multiples of 8
    there."""
    q, k, v, _, pad, _ = _inputs(dtype, HEADS, gradients=False)
    backend = assert_as_eager(function, (q * 0.5, k, v, pad), tolerance=8 * torch.finfo(dtype).eps)
    assert site_of(backend).spec.bias is None


def _as_inductor(q: Tensor, k: Tensor, v: Tensor, row: Tensor, pad: Tensor, added: Tensor) -> Tensor:
    """GPT-2's masks as Inductor knows them: a fill in 16 bits, and a mask in float32."""
    scores = torch.where(row & ~FUTURE, _scores(q, k), torch.finfo(q.dtype).min if q.dtype == torch.float16 else -2e4)
    return torch.softmax(scores + added, -1).to(q.dtype) @ v


@pytest.mark.parametrize("low", [-65504.0, -1e4, MIN, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_fill_in_half_precision_and_a_mask_in_float32(dtype: torch.dtype, low: float) -> None:
    """Fills tie in float32, where a score counts beside them: those that are there are read, those replaced are not."""
    q, k, v, row, pad, bias = _inputs(dtype, HEADS, gradients=False)
    added = bias.float() + torch.zeros(BATCH, 1, 1, N).masked_fill(~pad, low)
    if not math.isinf(low):  # the gradient of a row that is NaN is nobody's
        backend = assert_as_eager(_as_inductor, (q, k, v, row, pad, added), tolerance=8 * torch.finfo(dtype).eps)
        assert site_of(backend).spec.mask.filled is not None
    torch._dynamo.reset()
    with torch.no_grad():
        assert_same(
            torch.compile(_as_inductor, backend=(inference := Backend()))(q, k, v, row, pad, added),
            _as_inductor(q, k, v, row, pad, added),
            tolerance=8 * torch.finfo(dtype).eps,
        )
    assert _names(inference) == ["scaled_dot_product_attention"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_mild_fill_and_a_mask_in_half_precision_stay(dtype: torch.dtype) -> None:
    """Near miss: which scores are lost beside fills, rounding says."""
    q, k, v, row, pad, bias = _inputs(dtype, HEADS)
    backend = assert_as_eager(_as_inductor, (q, k, v, row, pad, bias), tolerance=1e-5)
    assert rejection_of(backend) is RejectionCode.UNSUPPORTED_SCORE


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_swallows_no_score_is_a_bias(dtype: torch.dtype) -> None:
    """Near misses: −10,000 added in float32 leaves the score three digits, −500 in bfloat16 is no fill."""
    q, k, v, _, pad, _ = _inputs(dtype, HEADS, gradients=False)
    low = -1e4 if dtype == torch.float32 else -500.0

    def call(q: Tensor, k: Tensor, v: Tensor, pad: Tensor) -> Tensor:
        return torch.softmax(_scores(q, k).float() + (1 - pad.float()) * low, -1).to(q.dtype) @ v

    backend = assert_as_eager(call, (q, k, v, pad), 1e-3 if dtype == torch.float32 else 0.05)
    assert site_of(backend).spec.bias is not None


# --- what is written into the output ----------------------------------------------------------------------------------


def _added_in_place(q: Tensor, k: Tensor, v: Tensor, pad: Tensor) -> Tensor:
    """Nyströmformer adds a convolution to it, which the gradient of a product does not mind."""
    out = torch.softmax(_scores(q, k) + (1 - pad.to(q.dtype)) * torch.finfo(q.dtype).min, -1) @ v
    out += v
    return out


def _written_through_a_view(q: Tensor, k: Tensor, v: Tensor, pad: Tensor) -> Tensor:
    out = torch.softmax(_scores(q, k), -1) @ v
    out.transpose(1, 2)[:, :3].mul_(2.0)
    return out


@pytest.mark.parametrize("function", [_added_in_place, _written_through_a_view])
def test_an_output_that_is_written_in_place(function: Callable[..., Tensor]) -> None:
    q, k, v, _, pad, _ = _inputs(torch.float32, HEADS, gradients=False)
    site_of(assert_as_eager(function, (q, k, v, pad)))
