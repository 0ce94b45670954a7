"""What mutants of real graphs (tests/support/mutations) found wrong with graphs and numbers: aliases, writes, strides,
dtypes, positions. Each is as small as it gets, and right since then; a reason says what was wrong.

What they found wrong with masks and rows without keys is in test_mutation_fills.py.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from mutation_bugs import Bug, Bugs, causal
from torch import Tensor

ALIAS = "dataflow: an alias by a call that is no view in the vocabulary is taken for a tensor of its own"
OUT = "dataflow: out= is a write to the node itself, not to the tensor that is named"
INPLACE = "dataflow: inplace=True of a function outside the vocabulary is no write"
ERASED = "rewrite: a write through an alias that is not known counts as private and is erased with the dead nodes"
STRIDES = "rewrite: a view of the result fails, as the call's result has other strides"
ROUNDED = "evaluate, score: arithmetic of constants is not rounded to the dtype: 2·finfo.min is −inf"
DTYPE = "eager: softmax(dtype=) rounds a fill to −inf"
TIMES_INF = "evaluate: 0·(−inf) is NaN, but is read as 0"
NOT_FINITE = "score: a constant that is not finite is dropped, as if it were the same for every key"
LARGE = "score: a constant below 1e9 is dropped, though scores lose their digits beside it"
SDPA_SCALE = "sdpa: a scale that is not positive turns PyTorch's −inf of is_causal into +inf or NaN; the op's likewise"
TRUTH = "evaluate: truth values joined to numbers by cat stay truth values: lse − sink with a bool does not run"
OVERFLOW = "evaluate: a number that no float32 holds is infinite before it multiplies: 0 times it is NaN"
COPIED = "binding: repeat_interleave copies; what is then written into the copy is not in what the call reads"
TOO_LOW = "binding: two lowest numbers, added up by the matcher, are a number that no float32 holds: the graph fails"
DOUBLE = "emit: a number without a tensor is a float32, which holds no fill of float64: the graph fails"
WIDE = "rewrite: a float32 mask of scores that were upcast was cast down to the queries' dtype, where its fill is −inf"
SCALED_AWAY = "score: a scale of 0 or ∞ (scores divided by the other) was taken for one; bounds times it are NaN"
WHOLE = "masks: the op takes key ranges and groups as int64, which cut fractions off and wrapped infinities round"
POSITION = "evaluate: positions beyond 256 are not all numbers of bfloat16, and yet were read as such"
TO_TRUTH = "softmaxes: a cast to truth values between scores and exp was taken for one between numbers"
BEHIND_LOGARITHMS = "softmaxes: logarithms of weights that are written in place before exp were taken as they had been"
WHOLE_SUM = "softmaxes: a cast of the sum, or of what it divides, that changes it was taken for one between numbers"
MOVED = "eager: rows of the product with the values, moved before the sum divides them, were taken for the sum's rows"
WRAPPED = "masks: one more than the largest number of a dtype is its smallest"

BUGS = Bugs()
bug, still = BUGS.bug, BUGS.still


@bug(BEHIND_LOGARITHMS)
def logarithms_written_through_a_view(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    logs = scores - scores.logsumexp(-1, keepdim=True)
    logs.select(-1, 0).zero_()
    return torch.exp(logs) @ v


@bug(BEHIND_LOGARITHMS)
def log_softmax_written_through_a_view(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logs = torch.log_softmax(q @ k.mT, -1)
    logs[..., 0].zero_()
    return logs.exp() @ v


@bug(WHOLE_SUM)
def sum_of_whole_numbers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = torch.exp(q @ k.mT / 8)
    return (e / e.sum(-1, keepdim=True).long()) @ v


@bug(WHOLE_SUM)
def sum_of_truth_values_behind_the_product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = torch.exp(q @ k.mT / 8)
    return e @ v / e.sum(-1, keepdim=True).bool()


@bug(WHOLE_SUM)
def sum_as_whole_numbers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = torch.exp(q @ k.mT / 8)
    return (e / e.sum(-1, keepdim=True, dtype=torch.int64)) @ v


@bug(WHOLE_SUM)
def whole_numbers_divided_by_the_sum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = torch.exp(q @ k.mT / 8)
    return (e @ v).long() / e.sum(-1, keepdim=True)


@bug(WHOLE_SUM)
def sum_too_large_for_its_dtype(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Some are infinite in float16."""
    e = torch.exp(q @ k.mT + 8)
    return (e / e.sum(-1, keepdim=True).half()) @ v


@still()
def product_and_sum_in_double(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = torch.exp(q @ k.mT / 8)
    return (e @ v).double() / e.sum(-1, keepdim=True).double()


@still()
def sum_in_double(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = torch.exp(q @ k.mT / 8)
    return (e / e.sum(-1, keepdim=True).double().float()) @ v


def exponentials_and_their_product(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    e = torch.exp(q @ k.mT / 8)
    return e, e @ v


@bug(MOVED)
def heads_turned_before_the_sum_divides(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e, product = exponentials_and_their_product(q, k, v)
    b, h, n, d = product.shape
    turned = product.reshape(b, 2, h // 2, n, d).transpose(1, 2).reshape(b, h, n, d)
    return turned * e.sum(-1).reciprocal().unsqueeze(-1)


@bug(MOVED)
def rows_turned_before_the_sum_divides(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e, product = exponentials_and_their_product(q, k, v)
    return product.flip(-2) / e.sum(-1, keepdim=True)


@still()
def heads_turned_and_turned_back(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e, product = exponentials_and_their_product(q, k, v)
    return product.transpose(1, 2).transpose(1, 2) / e.sum(-1, keepdim=True)


@bug(TO_TRUTH)
def exponentials_of_truth_values(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    return torch.exp((scores - scores.logsumexp(-1, keepdim=True)).bool()) @ v


# --- aliases and writes ----------------------------------------------------------------------------------------------


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


# --- strides of the result -------------------------------------------------------------------------------------------


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


# --- numbers as dtypes hold them -------------------------------------------------------------------------------------


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


@bug(LARGE)
def large_constant_added(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT - 1e8, -1) @ v


@bug(TIMES_INF + "; the same of a division by 0")
def divided_by_zero(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    b = torch.ones(8, 8).tril()
    return torch.softmax(q @ k.mT * b - 1e4 / (1 - b), -1) @ v


@bug(ROUNDED, "padded")
def shrunk_behind_two_fills(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Two lowest numbers are −inf before they are made smaller."""
    low = torch.finfo(q.dtype).min
    scores = (q @ k.mT).masked_fill(torch.ones(8, 8, dtype=torch.bool).triu(0), low)
    return torch.softmax((scores + (1 - keep.float()) * low) * 0.25, -1) @ v


@bug(SCALED_AWAY)
def divided_by_infinity(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every score is 0 (mutant 45002062)."""
    return torch.softmax(q @ k.mT / math.inf + causal(-math.inf), -1) @ v


@bug(SCALED_AWAY)
def multiplied_by_infinity(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT * math.inf, -1) @ v


@bug(SCALED_AWAY)
def clamped_and_divided_by_infinity(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT).clamp(-1.0, 1.0).tanh() * 1e30 * 1e30 / math.inf, -1) @ v


@still()
def divided_by_a_large_number(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT / 1e30 + causal(-math.inf), -1) @ v


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


@bug(OVERFLOW, "padded")
def times_a_number_too_large(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """All NaN (mutant 300207)."""
    return torch.softmax(q @ k.mT + (1 - keep.float()) * -6.8e38, -1) @ v


@bug(TOO_LOW)
def lowest_number_over_a_product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Graph 900083: a product of one head is a bias for all, and may be a mask."""
    low = torch.finfo(q.dtype).min
    scores = q @ k.mT + torch.einsum("bhqd,hkd->bhqk", q[:, :1, :, :1], k[0, :1, :, -1:])
    future = torch.ones(8, 8).tril() == 0
    return torch.softmax(scores.masked_fill(future, low) + causal(low), -1) @ v


@bug(TOO_LOW, "left")
def lowest_number_over_a_given_mask(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    low = torch.finfo(q.dtype).min
    scores = (q @ k.mT + mask.float()).masked_fill(torch.ones(8, 8).tril() == 0, low)
    return torch.softmax(scores + causal(low), -1) @ v


@bug(TOO_LOW, "padded")
def large_bias_scaled_beyond_float32(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT + torch.where(keep.flip(-1), 0.5, 1e38)) * 10, -1) @ v


@still("left")
def causal_twice(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    low = torch.finfo(q.dtype).min
    return torch.softmax((q @ k.mT).masked_fill(torch.ones(8, 8).tril() == 0, low) + causal(low), -1) @ v


@bug(DOUBLE, "double")
def two_masks_of_float64(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    low = torch.finfo(q.dtype).min
    return torch.softmax(q @ k.mT + causal(low, q.dtype) + (1 - mask.double()) * low, -1) @ v


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


# --- positions that are no whole numbers -----------------------------------------------------------------------------


def _seen(keys: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention to these keys alone; a row without any is a mean."""
    return torch.softmax((q @ k.mT).masked_fill(~keys, torch.finfo(q.dtype).min), -1) @ v


@bug(WHOLE)
def keys_before_a_fraction(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    at = torch.arange(8)
    return _seen(at[None, :] < at[:, None] * 0.5 + 0.7, q, k, v)


@bug(WHOLE)
def keys_from_a_fraction_on(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    at = torch.arange(8)
    return _seen(at[None, :] >= at[:, None] * 0.5 - 0.3, q, k, v)


@bug(WHOLE)
def keys_behind_infinity(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Mutant 20262889."""
    at = torch.arange(8)
    return _seen(at[None, :] > at[:, None] + math.inf, q, k, v)


@bug(WHOLE)
def groups_of_fractions(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    group = v[0, 0, :, 0].round(decimals=1)
    return _seen(group[:, None] == group[None, :], q, k, v)


@still()
def groups_of_whole_numbers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    group = v[0, 0, :, 0].round().long()
    return _seen(group[:, None] == group[None, :], q, k, v)


@bug(POSITION)
def positions_in_bfloat16(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    at = (torch.arange(8) + 300).bfloat16()
    return _seen(at[None, :] <= at[:, None], q, k, v)


@bug(POSITION)
def positions_made_in_bfloat16(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    at = torch.arange(300, 308, dtype=torch.bfloat16)
    return _seen(at[None, :] <= at[:, None], q, k, v)


@still()
def small_positions_in_bfloat16(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    at = torch.arange(8).bfloat16()
    return _seen(at[None, :] <= at[:, None], q, k, v)


@bug(WRAPPED, "lengths")
def keys_up_to_the_largest_number(q: Tensor, k: Tensor, v: Tensor, last: Tensor) -> Tensor:
    return _seen(torch.arange(8)[None, :] <= last[:, None], q, k, v)


@bug(WRAPPED, "lengths")
def keys_behind_the_largest_number(q: Tensor, k: Tensor, v: Tensor, last: Tensor) -> Tensor:
    return _seen(torch.arange(8)[None, :] > last.long()[:, None].masked_fill(last[:, None] > 6, 2**63 - 1), q, k, v)


@still("lengths")
def keys_before_lengths_as_floats(q: Tensor, k: Tensor, v: Tensor, length: Tensor) -> Tensor:
    return _seen(torch.arange(8)[None, :] < length.float()[:, None] + 1.0, q, k, v)


# -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("found", "lowering"), BUGS.values())
def test_values_stay(found: Bug, lowering: str) -> None:
    found.check_values(lowering)


@pytest.mark.parametrize("near", BUGS.near_misses())
def test_near_miss_is_rewritten(near: Bug) -> None:
    near.check_rewritten()
