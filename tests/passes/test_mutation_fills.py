"""What mutants of real graphs (tests/support/mutations) found wrong with masks, fills and the rows that they leave
without keys. Each is as small as it gets, and right since then; a reason says what was wrong.

The one that is OPEN is a limit that README names. Graphs and numbers are in test_mutation_bugs.py.
"""

from __future__ import annotations

import math

import pytest
import torch
from mutation_bugs import Bug, Bugs, causal
from torch import Tensor

SINK = "eager: a row that sees no key but the sink is NaN: the exact rewrite keeps empty_rows='nan'"
ORDER = "score: a bias behind a finite mask still counts where a row sees no key, or where it is as large as the fill"
SHIFTED = "score: a fill put in the place of a score is taken for small, but the scores were shifted below it"
HARD = "masks: a finite masked_fill behind one with −inf brings keys back; as a bias it does not"
NESTED = "score: where(a, where(b, 0, low), lower) as two masks becomes a sum: low + lower where both are missing"
GIVEN = "masks.lift: without mask terms empty_rows is 'zero', but a bias may hold −inf in a whole row: NaN in eager"
SWALLOWED = "score: −1e9 swallows scores up to 32 only (float32 numbers there are 64 apart)"
SOFT = "binding: a masked_fill that is written as an added bias leaves the score in it, beside which −1e9 is not enough"
TWO_FILLS = "score: where(keep, −inf, finfo.min) is read as a mask and a bias"
UNDONE = "binding: an added number takes a fill back; the score that the fill swallowed is still there in the rewrite"
EMPTY = "score: a row of −inf minus its maximum is NaN, but a floor behind it is read as a fill"
TWO_LARGE = "score: where(keep, large, −large) is taken for large + a mask; beside it no score keeps a digit"
LESSENED = "score: a fill that is made smaller was kept as it was; beside another fill it is another number"
INSTEAD = "score: where(keep, given, low) is read as given + low: where `given` holds a fill too that is −inf"
SIGN = "binding: whether a bias takes a fill back was told by its numbers alone, not by what multiplies them"
ROW = "score: a tensor that is the same for all keys was dropped; it may hold −inf, and then the row is NaN"
DIVIDED = "binding: a bias of its own for each head counted as finite, though it is divided by 0: its −inf leaves a row"
CAPPED = "score: a cap behind two added masks made them masks put in place, whose fills do not add up"
WEAK = "score: a fill that is scaled to a small number still counted as one that forbids"
LEVELLED = "score: behind its own maximum a row of fills holds small numbers again, which tell keys apart as any do"
MADE = "score: what is made of scores with fills among them is as large as a fill, and was dropped all the same"
LOW = "binding: a mild fill put in the place of some scores forbids them, though others are as low by what is added"
OTHER_ROW = "binding: fills less another row's maximum, which is such a fill itself, were exponentiated to 0"
EITHER = "binding: a bias of −inf for some keys and of a lowest number for the others leaves rows NaN, not zero"

BUGS = Bugs(open=(SWALLOWED,))
bug, still = BUGS.bug, BUGS.still


# --- rows without keys -----------------------------------------------------------------------------------------------


@bug(LOW)
def put_in_place_of_some_and_added_to_others(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The first query has the diagonal alone, and it is as low as the rest."""
    return torch.softmax((q @ k.mT + causal(-2e4)).masked_fill(torch.eye(8, dtype=torch.bool), -2e4), -1) @ v


@bug(LOW, "padded")
def added_behind_a_mild_fill_in_place(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT).masked_fill(~keep, -2e4) + causal(-1.5e4), -1) @ v


@still()
def a_small_number_added_beside_a_mild_fill(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    lower = torch.ones(8, 8, dtype=torch.bool).tril()
    return torch.softmax((q @ k.mT + torch.arange(8) * 5.0).masked_fill(~lower, -2e4), -1) @ v


@bug(OTHER_ROW, "padded")
def exponentials_less_the_first_rows_maximum(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    scores = (q @ k.mT).masked_fill(~keep, -1e4)
    e = torch.exp(scores - scores.amax(-1, keepdim=True)[..., :1, :])
    return (e / e.sum(-1, keepdim=True)) @ v


@bug(OTHER_ROW, "padded")
def exponentials_less_the_heads_maximum(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    scores = (q @ k.mT).masked_fill(~keep, -1e4)
    e = torch.exp(scores - scores.amax((-2, -1), keepdim=True))
    return e @ v / e.sum(-1, keepdim=True)


@still("padded")
def exponentials_less_their_own_maximum(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    scores = (q @ k.mT).masked_fill(~keep, -1e4)
    e = torch.exp(scores - scores.amax(-1, keepdim=True))
    return (e / e.sum(-1, keepdim=True)) @ v


@still("padded")
def fills_behind_another_maximum(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    scores = q @ k.mT
    e = torch.exp((scores - scores.amax((-2, -1), keepdim=True)).masked_fill(~keep, -1e4))
    return (e / e.sum(-1, keepdim=True)) @ v


@bug(EITHER)
def minus_infinity_for_some_and_a_lowest_number_for_the_others(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    visible = torch.arange(8) <= torch.arange(8)[:, None]
    return torch.softmax(q @ k.mT + torch.where(visible, -math.inf, torch.finfo(q.dtype).min), -1) @ v


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


# --- fills that are taken back ---------------------------------------------------------------------------------------


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


# --- rows that only finite fills leave without keys ------------------------------------------------------------------


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
    return torch.softmax(torch.where(keep.flip(-1), q @ k.mT, low) * 0.25 + causal(low), -1) @ v


@bug(LESSENED, "left")
def scaled_before_given_padding(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Mutant 900279."""
    low = torch.finfo(q.dtype).min
    return torch.softmax((q @ k.mT + causal(low)) * 0.25 + (1 - mask.float()) * low, -1) @ v


@bug(LESSENED, "left")
def shrunk_behind_given_padding(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Both fills are −inf before they are made smaller, and so it must stay."""
    low = torch.finfo(q.dtype).min
    causal = torch.full((8, 8), low).triu(0)
    return torch.softmax((q @ k.mT + causal + (1 - mask.float()) * low) * 0.25, -1) @ v


@still("left")
def causal_and_given_padding(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    low = torch.finfo(q.dtype).min
    return torch.softmax(q @ k.mT * 0.25 + causal(low) + (1 - mask.float()) * low, -1) @ v


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


@bug(SIGN, "left")
def given_padding_subtracted(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Mutant 901256: where both forbid, −3.4e38 + 3.4e38 = 0, and the score is lost."""
    low = torch.finfo(q.dtype).min
    return torch.softmax(q @ k.mT + causal(low) - (1 - mask.flip(-1).float()) * low, -1) @ v


@bug(SIGN, "left")
def given_padding_of_the_wrong_sign(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Mutant 904346."""
    low = torch.finfo(q.dtype).min
    return torch.softmax(q @ k.mT + causal(low) + (0 - mask.float()) * low, -1) @ v


@still("left")
def given_padding_of_two_wrong_signs(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    low = torch.finfo(q.dtype).min
    return torch.softmax(q @ k.mT + causal(low) - (mask.float() - 1) * low, -1) @ v


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
    scores = q @ k.mT + torch.where(keep.flip(-1), 0.0, low) + causal(low)
    return torch.softmax(scores.clamp(max=0.5), -1) @ v


@still("padded")
def cap_behind_a_mask(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT + torch.where(keep.flip(-1), 0.0, -1e30)).clamp(max=0.5), -1) @ v


# --- what is made of the scores themselves ---------------------------------------------------------------------------


def _levelled(scores: Tensor) -> Tensor:
    return scores - scores.amax(-1, keepdim=True)


@bug(LEVELLED, "left")
def given_padding_behind_the_maximum(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Mutant 20265391: the first query sees no key, and then gets a mean over those that are no padding."""
    scores = _levelled(q @ k.mT + torch.full((8, 8), torch.finfo(q.dtype).min).triu(0))
    return torch.softmax(scores + (1 - mask.float()) * -1e30, -1) @ v


@bug(LEVELLED)
def fill_behind_the_maximum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    low, ones = torch.finfo(q.dtype).min, torch.ones(8, 8, dtype=torch.bool)
    scores = _levelled((q @ k.mT).masked_fill(ones.triu(0), low))
    return torch.softmax(scores.masked_fill(ones.triu(4), low), -1) @ v


@bug(LEVELLED, "padded")
def bias_behind_the_maximum(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    scores = _levelled(q @ k.mT + torch.where(keep, 0.0, torch.finfo(q.dtype).min))
    return torch.softmax(scores + torch.arange(8) * 0.5, -1) @ v


@bug(LEVELLED, "left")
def bias_behind_the_maximum_of_given_padding(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    scores = _levelled(q @ k.mT + (1 - mask.float()) * -1e30)
    return torch.softmax(scores + torch.arange(8) * 0.5, -1) @ v


@still("padded")
def mask_behind_the_maximum_of_some_keys(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Every query sees itself when the maximum is taken."""
    scores = _levelled(q @ k.mT + causal(torch.finfo(q.dtype).min))
    return torch.softmax(scores + torch.arange(8) * 0.5, -1) @ v


@still("padded")
def maximum_behind_all_masks(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    scores = (q @ k.mT + torch.arange(8) * 0.5).masked_fill(~keep, torch.finfo(q.dtype).min)
    return torch.softmax(_levelled(scores) * 0.25, -1) @ v


@bug(MADE)
def mean_of_masked_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """It takes the digits of the scores with it."""
    scores = q @ k.mT + causal(-1e9)
    return torch.softmax(scores - scores.mean(-1, keepdim=True), -1) @ v


@bug(MADE, "padded")
def maximum_added(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Two lowest numbers are −inf, and the row is NaN."""
    scores = (q @ k.mT).masked_fill(~keep, torch.finfo(q.dtype).min)
    return torch.softmax(scores + scores.amax(-1, keepdim=True), -1) @ v


@still()
def mean_of_all_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT
    return torch.softmax((scores - scores.mean(-1, keepdim=True)) + causal(-math.inf), -1) @ v


# -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("found", "lowering"), BUGS.values())
def test_values_stay(found: Bug, lowering: str) -> None:
    found.check_values(lowering)


@pytest.mark.parametrize("near", BUGS.near_misses())
def test_near_miss_is_rewritten(near: Bug) -> None:
    near.check_rewritten()
