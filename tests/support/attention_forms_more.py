"""More forms and near misses: several products in the scores, steps after softmax, dims merged or left out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from attention_forms import form, miss, padded, qkv, random, with_more
from torch import Tensor

# --- more products than one before softmax -----------------------------------------------------------------------


def _table(n: int = 63, heads: int = 4, width: int = 40) -> Tensor:
    return random(heads, n, n, width, seed=5)


@form(with_more(qkv(), _table), "full, bias, 4 heads", products=1)
def content_dependent_bias(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
    """Queries compared with a table of their own beside QKᵀ (SAM, BROS): the other product is captured."""
    relative = torch.einsum("bhid,hijd->bhij", q, table)
    return torch.softmax((q @ k.mT + relative) * 0.125, dim=-1) @ v


@miss("content_dependent_bias", with_more(qkv(), _table), code="unsupported_score")
def only_a_table(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
    """Two products, and in neither the keys are the same for all queries."""
    relative = torch.einsum("bhid,hijd->bhij", q, table)
    other = torch.einsum("bhid,hijd->bhij", k, table)
    return torch.softmax(relative + other, dim=-1) @ v


@form(qkv(), "full, bias, 4 heads", products=1)
def text_and_layout(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Two products of queries and keys (LiLT): the wider one stays."""
    return torch.softmax(q @ k.mT + q[..., :8] @ k[..., 8:16].mT, dim=-1) @ v


@form(qkv(), "full, bias, 4 heads", products=1)
def product_times_mask_in_place(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The captured product is written over (Funnel): what was written is read."""
    n = q.shape[-2]
    relative = torch.einsum("bhid,hjd->bhij", q, k[0])
    relative *= torch.ones(n, n).tril(3)
    return torch.softmax(q @ k.mT + relative, dim=-1) @ v


@miss("text_and_layout", qkv(), code="unsupported_score")
def scores_choose_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Sparse attention: the scores themselves say which keys take part, and fusing would compute them twice."""
    scores = q @ k.mT
    least = scores.topk(5, dim=-1).values[..., -1:]
    return torch.softmax(scores.masked_fill(scores < least, float("-inf")), dim=-1) @ v


# --- caps and clamps -------------------------------------------------------------------------------------------------


@form(qkv(), "full, 4 heads, row term, softcap 20, scale 1")
def row_term_under_tanh(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What is added to all keys alike does matter where a tanh follows: it becomes one more feature."""
    return torch.softmax(torch.tanh((q @ k.mT + q[..., :1]) / 20.0) * 20.0, dim=-1) @ v


@miss("row_term_under_tanh", qkv(), code="unsupported_score")
def column_term_under_tanh(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What differs from key to key has no place before a tanh."""
    return torch.softmax(torch.tanh((q @ k.mT + k[..., :1].mT) / 20.0) * 20.0, dim=-1) @ v


@miss("row_term_under_tanh", qkv(), words="full, 4 heads, softcap 20, scale 1")
def row_term_over_tanh(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Added after the tanh, softmax does not see it."""
    return torch.softmax(torch.tanh((q @ k.mT) / 20.0) * 20.0 + q[..., :1], dim=-1) @ v


@form(
    qkv(kv_heads=2, n_k=51), "causal, 4 heads over 2 kv heads, row term, softcap 4, clamped to at least -2, scale 0.3"
)
def grouped_row_terms(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Grouped heads, a term of the row and a number before the cap, a clamp after it, then a mask."""
    b, h, n, d = k.shape
    k, v = (t[:, :, None].expand(b, h, 2, n, d).reshape(b, 2 * h, n, d) for t in (k, v))
    scores = (q @ k.mT) * 0.3 - q.amax(-1, keepdim=True) + 1.5
    scores = (torch.tanh(scores / 4.0) * 4.0).clamp(min=-2.0)
    future = torch.arange(n) > torch.arange(q.shape[2])[:, None]
    return torch.softmax(scores.masked_fill(future, float("-inf")), dim=-1) @ v


@form(qkv(dtype=torch.bfloat16), "full, 4 heads, row term, softcap 2, scale 0.125", tolerance=2e-2)
def row_term_in_float(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scores in float32 of bfloat16 operands: the term keeps its digits, so the call is one of float32."""
    scores = (q @ k.mT).float() * 0.125 - q.float().norm(dim=-1, keepdim=True)
    return torch.softmax(torch.tanh(scores / 2.0) * 2.0, dim=-1).to(v.dtype) @ v


@form(qkv(), "full, 4 heads, clamped to [-1, 1.5], scale 0.3")
def clamp_both(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A clamp that many scores meet."""
    return torch.softmax((q @ k.mT * 0.3).clamp(-1.0, 1.5), dim=-1) @ v


@form(qkv(), "causal, 4 heads, clamped to [-2, 3], scale 0.6")
def clamp_by_minimum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same as maximum and minimum with numbers, scaled afterwards, and a mask behind."""
    scores = torch.minimum(torch.max(q @ k.mT * 0.3, torch.tensor(-1.0)), torch.tensor(1.5)) * 2.0
    n = q.shape[-2]
    return torch.softmax(scores.masked_fill(torch.ones(n, n).triu(1) > 0, float("-inf")), dim=-1) @ v


@form(qkv(), "full, 4 heads, softcap 8, clamped to [-3.03959, 4.73216], scale 8")
def clamp_under_tanh(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A clamp before a cap is a clamp after it, at other bounds."""
    return torch.softmax(torch.tanh((q @ k.mT).clamp(-0.4, 0.68)) * 8.0, dim=-1) @ v


@form(padded(), "causal, key padding, 4 heads, clamped to [-50000, 1], scale 0.3", empty_rows="mean")
def clamp_over_masks(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """A floor under masks forbids keys as a fill does."""
    n = q.shape[-2]
    scores = (q @ k.mT * 0.3).masked_fill(torch.ones(n, n).triu(1) > 0, float("-inf"))
    scores = scores.masked_fill(mask[:, None, None, :] == 0, float("-inf"))
    return torch.softmax(torch.clamp(scores, min=-50000.0, max=1.0), dim=-1) @ v


@miss("clamp_over_masks", padded(), code="unsupported_score")
def low_clamp_over_masks(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """A floor that real scores reach gives masked keys a weight."""
    scores = (q @ k.mT * 0.3).masked_fill(mask[:, None, None, :] == 0, float("-inf"))
    return torch.softmax(scores.clamp(min=-3.0), dim=-1) @ v


@form(qkv(), "full, 4 heads, row term, clamped to at least -3, scale 0.3", products=1)
def clamp_below_the_largest(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """GroundingDINO and GLIP: the largest of all scores is taken off, so that the upper bound is met by none."""
    scores = q @ k.mT * 0.3
    return torch.softmax(torch.clamp(scores - scores.max(), min=-3.0, max=50000.0), dim=-1) @ v


@form(
    with_more(qkv(n_k=37), lambda: random(2, 63, seed=6) > 1.5),
    "key padding, 4 heads, row term, clamped to at le",
    products=1,
)
def clamp_of_the_other_side(q: Tensor, k: Tensor, v: Tensor, padding: Tensor) -> Tensor:
    """The same scores transposed, and the second clamp under the row maximum, which no score meets."""
    scores = q @ k.mT * 0.3
    scores = torch.clamp(scores - scores.max(), min=-9.0, max=50000.0).transpose(-1, -2)
    scores = torch.clamp(scores - torch.max(scores, dim=-1, keepdim=True)[0], min=-50000.0, max=50000.0)
    scores = scores.masked_fill(padding[:, None, None, :], float("-inf"))
    return torch.softmax(scores, dim=-1) @ q


@miss("clamp_below_the_largest", qkv(), words="row term, clamped to [-3, 0], scale", products=1)
def clamp_below_the_largest_of_some(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The largest of some of the scores: others meet the upper bound."""
    scores = q @ k.mT * 0.3
    return torch.softmax(torch.clamp(scores - scores[:, :, :9].max(), min=-3.0, max=0.0), dim=-1) @ v


@miss("clamp_of_the_other_side", qkv(), code="unsupported_score")
def clamp_below_column_maxima(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The maximum over the queries is no term of the row."""
    scores = q @ k.mT * 0.3
    return torch.softmax(torch.clamp(scores - scores.max(-2, keepdim=True).values, min=-3.0), dim=-1) @ v


@miss("clamp_of_the_other_side", qkv(), code="unsupported_score")
def row_term_between_clamps(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Two clamps that scores meet, and a term of the row between them."""
    return torch.softmax(((q @ k.mT).clamp(max=2.0) - q[..., :1]).clamp(max=1.0), dim=-1) @ v


@miss("clamp_both", with_more(qkv(), lambda: random(63, 63, seed=3)), code="unsupported_score")
def clamp_after_bias(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """The bias is clamped too."""
    return torch.softmax((q @ k.mT * 0.3 + bias).clamp(-1.0, 1.5), dim=-1) @ v


@miss("clamp_both", with_more(qkv(), lambda: random(63, seed=3)), code="unsupported_score")
def clamp_to_tensor(q: Tensor, k: Tensor, v: Tensor, bound: Tensor) -> Tensor:
    """Each key has a bound of its own."""
    return torch.softmax((q @ k.mT * 0.3).clamp(max=bound), dim=-1) @ v


@miss("clamp_both", qkv(), words="full, 4 heads, clamped to [-1, -1], scale 0.3")
def clamp_upside_down(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """With min > max every score is max."""
    return torch.softmax((q @ k.mT * 0.3).clamp(1.5, -1.0), dim=-1) @ v


@miss("clamp_both", qkv(), code="probabilities_changed")
def clamp_of_probabilities(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Not the scores are clamped but what softmax gives."""
    return torch.softmax(q @ k.mT * 0.3, dim=-1).clamp(min=0.01) @ v


# --- dims merged, moved and named otherwise ------------------------------------------------------------------------


@form(
    lambda: (*(random(63, 3, 160, seed=s) for s in range(3)), random(3, 63, seed=4) > 1.5), "full, key padding, 4 heads"
)
def positions_first_merged(q: Tensor, k: Tensor, v: Tensor, padding: Tensor) -> Tensor:
    """fairseq: [T, B, E] viewed as [T, B·H, D], with no view behind it that takes B·H apart."""
    n, batch, width = q.shape
    q, k, v = (x.view(n, batch * 4, width // 4).transpose(0, 1) for x in (q * 1.5, k + 1.0, v * 2.0))
    weights = torch.bmm(q, k.transpose(1, 2)).view(batch, 4, n, n)
    weights = weights.masked_fill(padding[:, None, None, :], float("-inf")).view(batch * 4, n, n)
    return torch.bmm(torch.softmax(weights, dim=-1), v).transpose(0, 1).reshape(n, batch, width)


@miss(
    "positions_first_merged",
    lambda: (*(random(12, 63, 40, seed=s) for s in range(3)), random(3, 63, seed=4) > 1.5),
    words="full, bias, 1 heads",
)
def merged_the_other_way(q: Tensor, k: Tensor, v: Tensor, padding: Tensor) -> Tensor:
    """Heads before batch: h·B + b. Nothing may read it as b·H + h."""
    weights = torch.bmm(q, k.transpose(1, 2)).view(4, 3, 63, 63)
    weights = weights + padding[None, :, None, :] * -2.0
    return torch.bmm(torch.softmax(weights.view(12, 63, 63), dim=-1), v)


@form(lambda: (random(2, 31, 4, 40), random(2, 63, 40, seed=1), random(2, 63, 40, seed=2)), "4 heads over 1 kv heads")
def mqa_by_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Keys and values without a dim of heads."""
    return torch.einsum("bhnm,bmd->bnhd", torch.softmax(torch.einsum("bnhd,bmd->bhnm", q, k), dim=-1), v)


@form(qkv(), "full, 4 heads, scale 0.125")
def numpy_names(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """torch takes numpy's names of parameters too."""
    k = torch.cat([k[..., :20], k[..., 20:]], axis=-1)
    scores = torch.mul(x1=torch.matmul(input=q, other=torch.swapaxes(k, axis0=-1, axis1=-2)), x2=0.125)
    return torch.matmul(torch.softmax(input=scores, dim=-1), other=v)


@miss("numpy_names", qkv(), words="full, bias, 4 heads")
def joined_on_another_axis(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`axis` is no detail: a cat over another dim gives another bias (Funnel was rewritten wrongly by it)."""
    n = q.shape[-2]
    ramp = torch.arange(n * n, dtype=q.dtype).view(n, n) / n**2
    bias = torch.cat([ramp[:, :1], ramp], axis=1)[:, :-1]
    return torch.softmax(q @ k.mT + bias, dim=-1) @ v


# --- after softmax -------------------------------------------------------------------------------------------------


def _row_mask(batch: int = 3, n: int = 63) -> Tensor:
    keep = random(batch, 1, n, n, seed=7) > 0.0
    keep[1, :, 5] = False
    return keep


@form(with_more(qkv(batch=3), _row_mask), "mask tensor, 4 heads", empty_rows="zero")
def masked_again(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """CPM-Ant: the same mask on the probabilities, so that rows without keys give zeros."""
    weights = torch.softmax((q @ k.mT).masked_fill(~keep, float("-inf")), dim=-1)
    return weights.masked_fill(~keep, 0.0) @ v


@form(with_more(qkv(batch=3), _row_mask), "mask tensor, 4 heads", empty_rows="zero")
def masked_again_in_place(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """SEW-D's XSoftmax: as a statement."""
    weights = torch.softmax((q @ k.mT).masked_fill(~keep, torch.finfo(q.dtype).min), dim=-1)
    weights.masked_fill_(~keep, 0)
    return weights @ v


@form(with_more(qkv(batch=3), _row_mask), "mask tensor, 4 heads", empty_rows="zero")
def multiplied_by_mask(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """The same by a product with the mask's ones and zeros."""
    return (torch.softmax((q @ k.mT).masked_fill(~keep, -1e9), dim=-1) * keep.float()) @ v


@form(with_more(qkv(batch=3), _row_mask), "mask tensor, 4 heads", empty_rows="zero")
def nan_to_zero(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """A safe softmax: rows without keys give zeros."""
    return torch.softmax((q @ k.mT).masked_fill(~keep, float("-inf")), dim=-1).nan_to_num(0.0) @ v


@form(with_more(qkv(batch=3), _row_mask), "mask tensor, 4 heads", empty_rows="zero")
def nan_filled(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """The same with isnan."""
    weights = torch.softmax((q @ k.mT).masked_fill(~keep, float("-inf")), dim=-1)
    return torch.where(weights.isnan(), 0.0, weights) @ v


@miss("nan_to_zero", with_more(qkv(batch=3), _row_mask), code="probabilities_changed")
def nan_to_one(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """Rows without keys sum all values."""
    return torch.softmax((q @ k.mT).masked_fill(~keep, float("-inf")), dim=-1).nan_to_num(1.0) @ v


@miss("masked_again", with_more(qkv(batch=3), _row_mask), code="probabilities_changed")
def masked_by_another(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """A mask on the probabilities that the scores do not have: rows do not sum to one."""
    return torch.softmax(q @ k.mT, dim=-1).masked_fill(~keep, 0.0) @ v


@miss("masked_again", with_more(qkv(batch=3), _row_mask), code="probabilities_changed")
def masked_again_inverted(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """The other polarity."""
    weights = torch.softmax((q @ k.mT).masked_fill(~keep, -1e9), dim=-1)
    return weights.masked_fill(keep, 0.0) @ v


@miss("masked_again_in_place", padded(), code="probabilities_changed")
def written_behind_the_back(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """A part of the probabilities is written over by a statement."""
    weights = torch.softmax(q @ k.mT, dim=-1)
    weights[:, :, 3] = 0.5
    return weights @ v


@form(qkv(), "causal, 4 heads")
def scores_times_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """GPT-1: scores times a mask of ones and zeros, minus 1e4 where it is zero."""
    n = q.shape[-2]
    b = torch.ones(n, n).tril()
    return torch.softmax((q @ k.mT) * b + -1e4 * (1 - b), dim=-1) @ v


@miss("scores_times_mask", qkv(), code="unsupported_score")
def scores_times_another_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The two masks differ: some keys get a score of zero."""
    n = q.shape[-2]
    b, c = torch.ones(n, n).tril(), torch.ones(n, n).tril(2)
    return torch.softmax((q @ k.mT) * b + -1e4 * (1 - c), dim=-1) @ v


@miss("scores_times_mask", qkv(), code="unsupported_score")
def masked_scores_times_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """−inf times the zero of a mask is NaN (a wrong rewrite, found by make fuzz)."""
    n = q.shape[-2]
    b = torch.ones(n, n).tril()
    scores = q @ k.mT + torch.full((n, n), float("-inf")).triu(1)
    return torch.softmax(scores * b + -1e4 * (1 - b), dim=-1) @ v


def _given(n: int = 63) -> Tensor:
    keep = random(n, n, seed=9) > 0.0
    keep[4] = False
    keep[4, 50:] = True
    return keep


@form(with_more(qkv(), _given), "full, bias, 4 heads", empty_rows="nan_added")
def low_number_over_infinite(q: Tensor, k: Tensor, v: Tensor, given: Tensor) -> Tensor:
    """The lowest number put in place of a −inf undoes it: a row without keys is the mean of what was given up last."""
    n = q.shape[-2]
    scores = q @ k.mT + torch.full((n, n), float("-inf")).triu(1)
    return torch.softmax(torch.where(given, scores, torch.finfo(q.dtype).min), dim=-1) @ v


@form(with_more(qkv(), _given), "bias, 4 heads", empty_rows="nan_added")
def infinite_over_low_number(q: Tensor, k: Tensor, v: Tensor, given: Tensor) -> Tensor:
    """The other order: −inf stays."""
    n = q.shape[-2]
    scores = torch.where(given, q @ k.mT, torch.finfo(q.dtype).min)
    return torch.softmax(scores + torch.full((n, n), float("-inf")).triu(1), dim=-1) @ v


@form(with_more(qkv(), _given), "bias, 4 heads", empty_rows="nan_added")
def bias_after_low_number(q: Tensor, k: Tensor, v: Tensor, given: Tensor) -> Tensor:
    """A bias with a −inf of its own that is added to the number put in place."""
    n = q.shape[-2]
    bias = torch.log(k[:1, :1, :, 0].clamp(min=0))  # −inf in places, and nobody knows where
    scores = torch.where(given, q @ k.mT, torch.finfo(q.dtype).min) + bias
    return torch.softmax(scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(40), -1e30), dim=-1) @ v


@form(with_more(qkv(), _table), "full, bias, 4 heads", products=1)
def sdpa_with_relative_product(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
    """Shaw's relative positions handed to SDPA as its mask."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=torch.einsum("bhid,hijd->bhij", q, table) * 0.125)


@form(with_more(qkv(), _table), "full, bias, 4 heads", products=1)
def sdpa_with_baddbmm(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
    """A mask that baddbmm makes: a sum of which the product is a part."""
    start, rows = table[0, :, :, :1].expand(63, 63, 63)[:8], q.flatten(0, 1)
    bias = torch.baddbmm(start, rows, k.flatten(0, 1).mT, beta=0.5, alpha=0.25)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias.unflatten(0, (2, 4)))


@miss("sdpa_with_relative_product", qkv())
def unread_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """SAM 2's vision model works out probabilities that nobody reads."""
    torch.softmax(q @ k.mT, dim=-1)
    return q + v


@form(with_more(qkv(batch=3), _row_mask), "mask tensor, 4 heads", empty_rows="nan")
def infinite_multiplied_by_mask(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """NaN times 0 is NaN: a row without keys stays what −inf made of it."""
    return (torch.softmax((q @ k.mT).masked_fill(~keep, float("-inf")), dim=-1) * keep.float()) @ v


@form(with_more(qkv(batch=3), _row_mask), "mask tensor, 4 heads", empty_rows="zero")
def multiplied_then_without_nan(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """… unless NaN is cleared afterwards."""
    weights = torch.softmax((q @ k.mT).masked_fill(~keep, float("-inf")), dim=-1) * keep.float()
    return weights.nan_to_num(0.0) @ v
