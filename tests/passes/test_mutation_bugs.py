"""What mutants of real graphs (tests/support/mutations) found wrong, each as small as it gets; right since then.

A reason says what was wrong. The one that is OPEN is a limit that README names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from graphs import Backend, assert_same, clone, run
from torch import Tensor

ALIAS = "dataflow: an alias by a call that is no view in the vocabulary is taken for a tensor of its own"
OUT = "dataflow: out= is a write to the node itself, not to the tensor that is named"
INPLACE = "dataflow: inplace=True of a function outside the vocabulary is no write"
ERASED = "rewrite: a write through an alias that is not known counts as private and is erased with the dead nodes"
STRIDES = "rewrite: a view of the result fails, as the call's result has other strides"
SINK = "eager: a row that sees no key but the sink is NaN: the exact rewrite keeps empty_rows='nan'"
ORDER = "score: a bias behind a finite mask still counts where a row sees no key, or where it is as large as the fill"
ROUNDED = "evaluate, score: arithmetic of constants is not rounded to the dtype: 2·finfo.min is −inf"
DTYPE = "eager: softmax(dtype=) rounds a fill to −inf"
TIMES_INF = "evaluate: 0·(−inf) is NaN, but is read as 0"
NOT_FINITE = "score: a constant that is not finite is dropped, as if it were the same for every key"
SHIFTED = "score: a fill put in the place of a score is taken for small, but the scores were shifted below it"
LARGE = "score: a constant below 1e9 is dropped, though scores lose their digits beside it"
HARD = "masks: a finite masked_fill behind one with −inf brings keys back; as a bias it does not"
NESTED = "score: where(a, where(b, 0, low), lower) as two masks becomes a sum: low + lower where both are missing"
GIVEN = "masks.lift: without mask terms empty_rows is 'zero', but a bias may hold −inf in a whole row: NaN in eager"
SWALLOWED = "score: −1e9 swallows scores up to 32 only (float32 numbers there are 64 apart)"
SOFT = "binding: a masked_fill that is written as an added bias leaves the score in it, beside which −1e9 is not enough"
TWO_FILLS = "score: where(keep, −inf, finfo.min) is read as a mask and a bias"
SDPA_SCALE = "sdpa: a scale that is not positive turns PyTorch's −inf of is_causal into +inf or NaN; the op's likewise"
TRUTH = "evaluate: truth values joined to numbers by cat stay truth values: lse − sink with a bool does not run"
UNDONE = "binding: an added number takes a fill back; the score that the fill swallowed is still there in the rewrite"
EMPTY = "score: a row of −inf minus its maximum is NaN, but a floor behind it is read as a fill"
TWO_LARGE = "score: where(keep, large, −large) is taken for large + a mask; beside it no score keeps a digit"
OVERFLOW = "evaluate: a number that no float32 holds is infinite before it multiplies: 0 times it is NaN"
COPIED = "binding: repeat_interleave copies; what is then written into the copy is not in what the call reads"
LESSENED = "score: a fill that is made smaller was kept as it was; beside another fill it is another number"
INSTEAD = "score: where(keep, given, low) is read as given + low: where `given` holds a fill too that is −inf"
TOO_LOW = "binding: two lowest numbers, added up by the matcher, are a number that no float32 holds: the graph fails"
SIGN = "binding: whether a bias takes a fill back was told by its numbers alone, not by what multiplies them"
ROW = "score: a tensor that is the same for all keys was dropped; it may hold −inf, and then the row is NaN"
DIVIDED = "binding: a bias of its own for each head counted as finite, though it is divided by 0: its −inf leaves a row"
CAPPED = "score: a cap behind two added masks made them masks put in place, whose fills do not add up"
WEAK = "score: a fill that is scaled to a small number still counted as one that forbids"
DOUBLE = "emit: a number without a tensor is a float32, which holds no fill of float64: the graph fails"
WIDE = "rewrite: a float32 mask of scores that were upcast was cast down to the queries' dtype, where its fill is −inf"

OPEN = (SWALLOWED,)


DTYPES = {"left": torch.float32, "half": torch.bfloat16, "double": torch.float64}


@dataclass(frozen=True)
class Bug:
    """A function that was rewritten wrongly, and why. lowerings: which of the two."""

    function: Callable[..., Any]
    reason: str
    inputs: str
    lowerings: tuple[str, ...] = ("sdpa", "op")


BUGS: list[Bug] = []
NEAR: list[Bug] = []


def bug(reason: str, inputs: str = "qkv", lowerings: tuple[str, ...] = ("sdpa", "op")) -> Callable[..., Any]:
    """Declare a bug."""

    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        BUGS.append(Bug(function, reason, inputs, lowerings))
        return function

    return keep


def still(inputs: str = "qkv") -> Callable[..., Any]:
    """Declare a near miss of the bug above: it is rewritten, as it should be."""

    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        NEAR.append(Bug(function, "", inputs))
        return function

    return keep


def _inputs(kind: str) -> tuple[Tensor, ...]:
    """q, k, v [2, 4, 8, 16]; then a mask [2, 1, 1, 8] whose second row is False, or a bias [8, 8]
    with −inf in its third row, or positions before heads. "left": a mask of numbers, the first row without the first
    keys and the second without any; "half" and "double" the same with q, k, v in bfloat16 or float64."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 4, 8, 16, generator=generator) for _ in range(3))
    if kind == "positions first":
        q, k, v = (t.transpose(1, 2).contiguous().transpose(1, 2) for t in (q, k, v))
    keep = torch.ones(2, 1, 1, 8, dtype=torch.bool)
    keep[0, ..., 5:], keep[1] = False, False
    left = torch.zeros(2, 1, 1, 8, dtype=torch.int64)
    left[0, ..., 5:] = 1
    if kind in DTYPES:
        return (*(t.to(DTYPES[kind]) for t in (q, k, v)), left)
    row = torch.zeros(8, 8)
    row[2] = -math.inf
    return {"padded": (q, k, v, keep), "given": (q, k, v, row)}.get(kind, (q, k, v))


# --- aliases and writes --------------------------------------------------------------------------------------------


@bug(ALIAS)
def scores_written_through_detach(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    scores.detach().mul_(2)
    return torch.softmax(scores, -1) @ v


@bug(ALIAS)
def scores_written_through_data(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    scores.data.mul_(2)
    return torch.softmax(scores, -1) @ v


@bug(ALIAS)
def query_written_through_detach(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    q.detach().zero_()
    return torch.softmax(scores, -1) @ v


@bug(ALIAS)
def inactive_dropout_is_an_alias(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.softmax(q @ k.mT, -1)
    same = F.dropout(weights, 0.1, training=False)
    same[..., :1] = 0
    return weights @ v


@bug(ALIAS)
def plus_is_an_alias(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    (+scores).mul_(2)
    return torch.softmax(scores, -1) @ v


@bug(ALIAS)
def own_key_forbidden_by_diagonal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    scores.diagonal(0, -2, -1).fill_(-math.inf)
    return torch.softmax(scores, -1) @ v


@bug(ALIAS)
def written_through_unfold(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    scores.unfold(-1, 2, 2).mul_(2)
    return torch.softmax(scores, -1) @ v


@bug(ALIAS)
def written_through_as_strided(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    scores.as_strided((2, 4, 8, 8), (256, 64, 8, 1)).mul_(2)
    return torch.softmax(scores, -1) @ v


@bug(ALIAS)
def written_through_broadcast_tensors(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    torch.broadcast_tensors(scores)[0].mul_(2)
    return torch.softmax(scores, -1) @ v


@bug(INPLACE)
def relu_in_place(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    F.relu(scores, inplace=True)
    return torch.softmax(scores, -1) @ v


@bug(OUT)
def out_is_a_write(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    torch.mul(scores, 2, out=scores)
    return torch.softmax(scores, -1) @ v


@bug(ERASED)
def cache_written_through_detach(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The write of a cache, an input, is lost: nothing in the graph reads it."""
    cache = k.detach()
    cache[:, :, :2] = 1.0
    return torch.softmax(q @ q.mT, -1) @ v


# --- strides of the result -----------------------------------------------------------------------------------------


@bug(STRIDES, "positions first", ("op",))
def view_of_sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's CPU kernel keeps positions before heads, so that the view holds; the op makes heads first."""
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).view(2, 8, 64)


@bug(STRIDES, "positions first", ("op",))
def view_of_cloned_sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).clone().view(2, 8, 64)


@bug(STRIDES, "positions first", ("op",))
def contiguous_sdpa_is_an_alias(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out = F.scaled_dot_product_attention(q, k, v)
    same = out.transpose(1, 2).contiguous()
    out.zero_()
    return same


@bug(STRIDES)
def view_of_cloned_product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Values first: the product is contiguous as it stands; the call's result is transposed."""
    return (v.mT @ torch.softmax(q @ k.mT, -1).mT).clone().view(2, -1, 8)


@bug(STRIDES)
def view_of_scaled_product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (2 * (v.mT @ torch.softmax(q @ k.mT, -1).mT)).view(2, -1, 8)


# --- rows without keys, and what is no number ----------------------------------------------------------------------


@bug(SINK)
def sink_and_a_row_without_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT + torch.full((8, 8), -math.inf).triu(0)
    scores = torch.cat([scores, torch.zeros(2, 4, 8, 1)], -1)
    return torch.softmax(scores, -1)[..., :-1] @ v


@bug(ORDER, "padded")
def bias_behind_a_mild_fill(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Megatron's −10000 with a bias behind: a row without keys is softmax(bias), no plain mean."""
    return torch.softmax((q @ k.mT).masked_fill(~keep, -1e4) + torch.arange(8) * 0.5, -1) @ v


@bug(ORDER, "padded")
def bias_behind_an_added_fill(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT + torch.where(keep, 0.0, -1e9) + torch.arange(8) * 1000.0, -1) @ v


@bug(ORDER, "padded")
def column_maximum_behind_a_mask(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Minus the largest score of each key: finfo.min − finfo.min, so that keys without a query come back."""
    scores = (q @ k.mT).masked_fill(~keep, torch.finfo(q.dtype).min)
    return torch.softmax(scores - scores.amax(-2, keepdim=True), -1) @ v


@bug(ROUNDED, "padded")
def lowest_number_added_twice_by_alpha(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    mask = torch.where(keep, 0.0, torch.finfo(q.dtype).min)
    return torch.softmax(torch.add(q @ k.mT, mask, alpha=2), -1) @ v


@bug(ROUNDED, "padded")
def lowest_number_times_two(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    mask = (1 - keep.float()) * torch.finfo(q.dtype).min * 2
    return torch.softmax(q @ k.mT + mask, -1) @ v


@bug(ROUNDED, "padded")
def scaled_behind_the_fill(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT).masked_fill(~keep, torch.finfo(q.dtype).min) * 1.5, -1) @ v


@bug(ROUNDED + "; emit writes a number that no float32 holds, and the graph does not run", "padded")
def two_minus_mask(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT + (2 - keep.float()) * torch.finfo(q.dtype).min, -1) @ v


@bug(ROUNDED, "padded")
def sum_cast_to_bfloat16(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    mask = torch.where(keep, 0.0, torch.finfo(q.dtype).min)
    return torch.softmax((q @ k.mT + mask).bfloat16().float(), -1) @ v


@bug(GIVEN, "given")
def given_bias_without_a_key(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT + bias, -1) @ v


@bug(HARD, "given")
def given_bias_under_a_finite_fill(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    future = torch.ones(8, 8, dtype=torch.bool).triu(1)
    return torch.softmax((q @ k.mT + bias).masked_fill(future, torch.finfo(q.dtype).min), -1) @ v


@bug(SWALLOWED, "padded")
def scores_too_large_for_the_fill(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT * 10 + (1 - keep.float()) * -1e9, -1) @ v


@bug(SOFT, "padded")
def replaced_scores_under_an_added_mask(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    scores = (q @ k.mT * 10).masked_fill(~keep, -1e9)
    return torch.softmax(scores + torch.full((8, 8), -math.inf).triu(1), -1) @ v


@bug(DTYPE, "padded")
def softmax_in_bfloat16(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    scores = (q @ k.mT).masked_fill(~keep, torch.finfo(q.dtype).min)
    return torch.softmax(scores, -1, dtype=torch.bfloat16).float() @ v


@bug(TIMES_INF, "padded")
def zero_times_infinity(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """All NaN, as its author will have seen; the rewrite gives what was meant."""
    return torch.softmax(q @ k.mT + (1 - keep.float()) * -math.inf, -1) @ v


@bug(NOT_FINITE)
def log_of_a_negative_constant(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT + torch.log(torch.full((8, 8), -1.0).tril()), -1) @ v


@bug(NOT_FINITE)
def nan_added(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT + torch.full((8, 8), math.nan), -1) @ v


@bug(NOT_FINITE)
def infinity_subtracted_from_all(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT - math.inf, -1) @ v


@bug(TWO_FILLS, "padded")
def where_of_two_fills(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT + torch.where(keep, -math.inf, torch.finfo(q.dtype).min), -1) @ v


@bug(SHIFTED)
def scores_far_below_the_fill(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    future = torch.ones(8, 8, dtype=torch.bool).triu(1)
    return torch.softmax((q @ k.mT - 20000.0).masked_fill(future, -1e4), -1) @ v


@bug(SHIFTED)
def one_plus_triangle(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """GPT's w·b − 1e4·(1 − b) with the sign mistaken."""
    b = torch.ones(8, 8).tril()
    return torch.softmax(q @ k.mT * b - 1e4 * (1 + b), -1) @ v


@bug(LARGE)
def large_constant_added(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT - 1e8, -1) @ v


@bug(TIMES_INF + "; the same of a division by 0")
def divided_by_zero(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    b = torch.ones(8, 8).tril()
    return torch.softmax(q @ k.mT * b - 1e4 / (1 - b), -1) @ v


@bug(HARD, "padded")
def finite_fill_behind_infinite(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """A query whose own keys are all padding sees the future (a mean over it), in the first row too."""
    scores = (q @ k.mT).masked_fill(~keep, -math.inf)
    future = torch.ones(8, 8, dtype=torch.bool).triu(1)
    return torch.softmax(scores.masked_fill(future, torch.finfo(q.dtype).min), -1) @ v


@bug(NESTED, "padded")
def nested_fills(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """gemma_pytorch's local mask, whose two fills differ in the last digit (one was a float32 buffer)."""
    causal = torch.where(torch.ones(8, 8, dtype=torch.bool).tril(), 0.0, -2.381976325057654e38)
    return torch.softmax(q @ k.mT + torch.where(keep, causal, -2.3819763e38), -1) @ v


@bug(ROUNDED, "padded")
def shrunk_behind_two_fills(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Two lowest numbers are −inf before they are made smaller."""
    low = torch.finfo(q.dtype).min
    scores = (q @ k.mT).masked_fill(torch.ones(8, 8, dtype=torch.bool).triu(0), low)
    return torch.softmax((scores + (1 - keep.float()) * low) * 0.25, -1) @ v


@bug(GIVEN, "padded")
def detached_mask_beside_another(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Nobody knows that `detach` hands on a mask: beside a finite causal one, a row may be left without keys."""
    low = torch.finfo(q.dtype).min
    padding = ((1 - keep.flip(-1).float()) * low).detach()
    return torch.softmax(q @ k.mT + torch.full((8, 8), low).triu(1) + padding, -1) @ v


@bug(HARD)
def window_behind_the_last_key(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """More queries than keys: the last windows hold none (found by make fuzz)."""
    k, v = k[:, :, :2], v[:, :, :2]
    scores = (q @ k.mT).masked_fill(torch.ones(8, 2).tril() == 0, torch.finfo(q.dtype).min)
    return torch.softmax(scores + torch.log(torch.ones(8, 2).triu(-3).tril()), -1) @ v


@bug(SDPA_SCALE)
def sdpa_with_a_negative_scale(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A mask tensor that is causal; SDPA multiplies before it masks there, and afterwards with is_causal."""
    keep = torch.ones(8, 8, dtype=torch.bool).tril()
    return F.scaled_dot_product_attention(q, k, v, keep, scale=-1.0)


@bug(SDPA_SCALE)
def sdpa_with_a_scale_of_zero(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    keep = torch.ones(8, 8, dtype=torch.bool).tril()
    return F.scaled_dot_product_attention(q, k, v, keep, scale=0.0)


@bug(TRUTH)
def sink_of_truth_values(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """gpt_oss with its sinks cast to bool (mutant 41)."""
    scores = q @ k.mT + torch.full((8, 8), -math.inf).triu(1)
    sink = v[..., :1] > 0
    return torch.softmax(torch.cat([scores, sink], -1), -1)[..., :-1] @ v


@bug(UNDONE, "padded")
def fill_taken_back(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """The sign of the second fill is mistaken: where both hold, the score is 0 (mutant 1387)."""
    large = torch.finfo(q.dtype).max
    scores = (q @ k.mT).masked_fill(torch.ones(8, 8, dtype=torch.bool).triu(0), -large)
    return torch.softmax(scores + (1 - keep.float()) * large, -1) @ v


@bug(UNDONE, "padded")
def added_fill_taken_back(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    scores = q @ k.mT + torch.full((8, 8), -1e30).triu(1)
    return torch.softmax(scores + torch.where(keep, 0.0, 1e30), -1) @ v


@bug(UNDONE)
def mild_fill_taken_back(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """No row is without keys, and yet masked keys come back with a score of 0."""
    future = torch.ones(8, 8, dtype=torch.bool).triu(1)
    scores = (q @ k.mT).masked_fill(future, -1e4)
    return torch.softmax(scores + torch.full((8, 8), 1e4).triu(3), -1) @ v


@bug(UNDONE)
def fill_taken_back_under_masked_probabilities(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The keys that came back have no value, but a share of the sum."""
    future = torch.ones(8, 8, dtype=torch.bool).triu(1)
    scores = (q @ k.mT).masked_fill(future, -1e4) + torch.full((8, 8), 1e4).triu(3)
    return torch.softmax(scores, -1).masked_fill(future, 0.0) @ v


@bug(EMPTY, "padded")
def floor_under_the_maximum_of_a_row(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Mutant 100886."""
    scores = (q @ k.mT).masked_fill(~keep, -math.inf)
    scores = scores - torch.amax(scores, -1, keepdim=True)
    return torch.softmax(torch.clamp(scores, min=-50000, max=1), -1) @ v


@bug(EMPTY, "padded")
def floor_under_the_maximum_by_max(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    scores = (q @ k.mT).masked_fill(~keep, -math.inf)
    scores = scores - scores.max(-1, keepdim=True)[0]
    return torch.softmax(torch.clamp(torch.clamp(scores, max=-0.5), min=-50000), -1) @ v


@bug(EMPTY, "padded")
def fill_behind_the_maximum_of_a_row(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Keys behind the second mask hold no NaN, the others of the row do."""
    scores = (q @ k.mT).masked_fill(~keep, -math.inf)
    scores = scores - torch.amax(scores, -1, keepdim=True)
    future = torch.ones(8, 8, dtype=torch.bool).triu(1)
    return torch.softmax(scores.masked_fill(future, torch.finfo(q.dtype).min), -1) @ v


@bug(TWO_LARGE, "padded")
def plus_or_minus_a_large_number(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """alpha=2 makes 1 − mask ±1; queries that see only masked keys get a plain mean (mutant 101466)."""
    scores = (q @ k.mT).masked_fill(torch.ones(8, 8, dtype=torch.bool).triu(1), -math.inf)
    return torch.softmax(scores + torch.sub(1.0, keep.flip(-1).float(), alpha=2) * -1e30, -1) @ v


@bug(TWO_LARGE, "padded")
def nested_large_numbers(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    scores = (q @ k.mT).masked_fill(torch.ones(8, 8, dtype=torch.bool).triu(1), -math.inf)
    near = torch.where(torch.ones(8, 8, dtype=torch.bool).triu(-1), 1e30, 0.0)
    return torch.softmax(scores + torch.where(keep.flip(-1), near, -1e30), -1) @ v


@bug(OVERFLOW, "padded")
def times_a_number_too_large(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """All NaN (mutant 300207)."""
    return torch.softmax(q @ k.mT + (1 - keep.float()) * -6.8e38, -1) @ v


@bug(COPIED)
def values_repeated_and_written(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Mutant 303811."""
    keys, values = (t[:, :2].repeat_interleave(2, dim=1) for t in (k, v))
    values.select(0, 0).add_(1)
    return torch.softmax(q @ keys.mT, -1) @ values


@bug(COPIED)
def keys_repeated_and_written_for_sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    keys, values = (t[:, :2].repeat_interleave(2, dim=1) for t in (k, v))
    keys[:, :, 0] = 0.0
    return F.scaled_dot_product_attention(q, keys, values)


# --- rows that only finite fills leave without keys -----------------------------------------------------------------


def _causal(fill: float, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.triu(torch.full((8, 8), fill, dtype=dtype), diagonal=1)


@bug(LESSENED, "padded")
def scaled_between_two_fills(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Mutants 906081, 909297: a row whose own keys are all forbidden first is a mean over them, not over all keys."""
    low = torch.finfo(q.dtype).min
    scores = (q @ k.mT).masked_fill(~keep.flip(-1), low) * 0.25
    return torch.softmax(scores.masked_fill(torch.ones(8, 8, dtype=torch.bool).triu(1), low), -1) @ v


@still("padded")
def scaled_before_two_fills(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    low = torch.finfo(q.dtype).min
    scores = (q @ k.mT * 0.25).masked_fill(~keep.flip(-1), low)
    return torch.softmax(scores.masked_fill(torch.ones(8, 8, dtype=torch.bool).triu(1), low), -1) @ v


@bug(LESSENED, "padded")
def scaled_before_an_added_fill(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Mutant 909401."""
    low = torch.finfo(q.dtype).min
    return torch.softmax(torch.where(keep.flip(-1), q @ k.mT, low) * 0.25 + _causal(low), -1) @ v


@bug(LESSENED, "left")
def scaled_before_given_padding(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Mutant 900279."""
    low = torch.finfo(q.dtype).min
    return torch.softmax((q @ k.mT + _causal(low)) * 0.25 + (1 - mask.float()) * low, -1) @ v


@bug(LESSENED, "left")
def shrunk_behind_given_padding(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Both fills are −inf before they are made smaller, and so it must stay."""
    low = torch.finfo(q.dtype).min
    causal = torch.full((8, 8), low).triu(0)
    return torch.softmax((q @ k.mT + causal + (1 - mask.float()) * low) * 0.25, -1) @ v


@still("left")
def causal_and_given_padding(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    low = torch.finfo(q.dtype).min
    return torch.softmax(q @ k.mT * 0.25 + _causal(low) + (1 - mask.float()) * low, -1) @ v


@bug(WEAK, "padded")
def scaled_until_nothing_is_forbidden(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT).masked_fill(~keep.flip(-1), -1e4) * 1e-4, -1) @ v


@bug(INSTEAD, "left")
def given_mask_outside_a_window(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """gemma_pytorch's local layers with a window that holds no key (mutants 907442, 908023)."""
    low = -2.3819763e38
    given = ((1 - mask.float()) * low).detach()
    far = torch.ones(8, 8, dtype=torch.bool).triu(4)
    return torch.softmax(q @ k.mT + torch.where(far, given, low), -1) @ v


@still("left")
def given_mask_and_a_window(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    given = ((1 - mask.float()) * -2.3819763e38).detach()
    near = torch.ones(8, 8, dtype=torch.bool).triu(-3)
    return torch.softmax(q @ k.mT + torch.where(near, given, -2.3819763e38), -1) @ v


@bug(TOO_LOW)
def lowest_number_over_a_product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Graph 900083: a product of one head is a bias for all, and may be a mask."""
    low = torch.finfo(q.dtype).min
    scores = q @ k.mT + torch.einsum("bhqd,hkd->bhqk", q[:, :1, :, :1], k[0, :1, :, -1:])
    future = torch.ones(8, 8).tril() == 0
    return torch.softmax(scores.masked_fill(future, low) + _causal(low), -1) @ v


@bug(TOO_LOW, "left")
def lowest_number_over_a_given_mask(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    low = torch.finfo(q.dtype).min
    scores = (q @ k.mT + mask.float()).masked_fill(torch.ones(8, 8).tril() == 0, low)
    return torch.softmax(scores + _causal(low), -1) @ v


@bug(TOO_LOW, "padded")
def large_bias_scaled_beyond_float32(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT + torch.where(keep.flip(-1), 0.5, 1e38)) * 10, -1) @ v


@still("left")
def causal_twice(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    low = torch.finfo(q.dtype).min
    return torch.softmax((q @ k.mT).masked_fill(torch.ones(8, 8).tril() == 0, low) + _causal(low), -1) @ v


@bug(SIGN, "left")
def given_padding_subtracted(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Mutant 901256: where both forbid, −3.4e38 + 3.4e38 = 0, and the score is lost."""
    low = torch.finfo(q.dtype).min
    return torch.softmax(q @ k.mT + _causal(low) - (1 - mask.flip(-1).float()) * low, -1) @ v


@bug(SIGN, "left")
def given_padding_of_the_wrong_sign(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Mutant 904346."""
    low = torch.finfo(q.dtype).min
    return torch.softmax(q @ k.mT + _causal(low) + (0 - mask.float()) * low, -1) @ v


@still("left")
def given_padding_of_two_wrong_signs(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    low = torch.finfo(q.dtype).min
    return torch.softmax(q @ k.mT + _causal(low) - (mask.float() - 1) * low, -1) @ v


@bug(ROW)
def infinite_for_all_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Mutants 901786, 902273, without masks."""
    return torch.softmax(q @ k.mT + torch.log(k[:1, :1, :, :1].clamp(min=0)), -1) @ v


@bug(ROW, "padded")
def infinite_for_all_keys_behind_a_low_number(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """A query of −inf sees the keys that a finite number is put at."""
    scores = q @ k.mT + torch.log(k[:1, :1, :, :1].clamp(min=0))
    return torch.softmax(scores.masked_fill(~keep.flip(-1), torch.finfo(q.dtype).min), -1) @ v


@still()
def shifted_by_the_maximum_of_a_row(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT + torch.full((8, 8), -math.inf).triu(1)
    return torch.softmax(scores - scores.amax(-1, keepdim=True), -1) @ v


@still()
def shifted_by_part_of_the_queries(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT + q[..., :1], -1) @ v


def _distances(dtype: torch.dtype) -> Tensor:
    at = torch.arange(8)
    return (at[None, :] - at[:, None]).abs().to(dtype)


@bug(DIVIDED)
def slopes_divided_by_distances(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """ALiBi turned round: no query sees itself, so that the first sees the future (mutant 1501124)."""
    slopes = v[0, :, :1, :1].abs()
    scores = q @ k.mT - slopes / _distances(q.dtype)
    future = torch.ones(8, 8, dtype=torch.bool).triu(1)
    return torch.softmax(scores.masked_fill(future, torch.finfo(q.dtype).min), -1) @ v


@still()
def slopes_times_distances(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    slopes = v[0, :, :1, :1].abs()
    scores = q @ k.mT - slopes * _distances(q.dtype)
    future = torch.ones(8, 8, dtype=torch.bool).triu(1)
    return torch.softmax(scores.masked_fill(future, torch.finfo(q.dtype).min), -1) @ v


@bug(CAPPED, "padded")
def cap_behind_two_masks(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Keys that one mask forbids are above those that both do."""
    low = torch.finfo(q.dtype).min
    scores = q @ k.mT + torch.where(keep.flip(-1), 0.0, low) + _causal(low)
    return torch.softmax(scores.clamp(max=0.5), -1) @ v


@still("padded")
def cap_behind_a_mask(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT + torch.where(keep.flip(-1), 0.0, -1e30)).clamp(max=0.5), -1) @ v


@bug(DOUBLE, "double")
def two_masks_of_float64(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    low = torch.finfo(q.dtype).min
    return torch.softmax(q @ k.mT + _causal(low, q.dtype) + (1 - mask.double()) * low, -1) @ v


@bug(WIDE, "half")
def float32_mask_of_upcast_scores(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """A row without keys is a mean; it was NaN."""
    low = torch.finfo(torch.float32).min
    weights = torch.softmax((q @ k.mT).float() + (1 - mask.float()) * low, -1)
    return torch.isnan(weights.to(q.dtype) @ v)


@still("half")
def float32_mask_cast_down(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """A row without keys is NaN, whatever the scores are cast to later."""
    given = ((1 - mask.float()) * torch.finfo(torch.float32).min).detach()
    weights = torch.softmax((q @ k.mT + given.to(q.dtype)).float(), -1)
    return torch.isnan(weights.to(q.dtype) @ v)


# -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "inputs", "lowering"),
    [
        pytest.param(
            b.function, b.inputs, lowering, id=f"{b.function.__name__}-{lowering}",
            marks=[pytest.mark.xfail(strict=True, reason=b.reason)] if b.reason in OPEN else [],
        )
        for b in BUGS
        for lowering in b.lowerings
    ],
)  # fmt: skip
def test_values_stay(function: Callable[..., Any], inputs: str, lowering: str) -> None:
    """Results and inputs are what eager PyTorch leaves."""
    args = _inputs(inputs)

    def and_inputs(*tensors: Tensor) -> Any:
        return function(*tensors), *tensors

    expected = run(and_inputs, args)
    assert_same(run(and_inputs, clone(args), Backend(op=lowering == "op")), expected, 3e-5)


@pytest.mark.parametrize("near", [pytest.param(b, id=b.function.__name__) for b in NEAR])
def test_near_miss_is_rewritten(near: Bug) -> None:
    args = _inputs(near.inputs)
    backend = Backend()
    expected = run(near.function, args)
    assert_same(run(near.function, args, backend), expected, 3e-5)
    assert [a.report.site_count for a in backend.analyses] == [1]
