"""More forms and near misses: softmax spelled out in exponentials, products written as other calls."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from attention_forms import form, miss, padded, qkv, random
from torch import Tensor


def _causal(n: int = 63) -> Tensor:
    return torch.ones(n, n, dtype=torch.bool).tril()


# --- softmax in exponentials ------------------------------------------------------------------------------------------


@form(qkv(), "full, 4 heads, scale 0.125")
def exponentials_over_their_sum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = torch.exp(q @ k.mT * 0.125)
    return (e / e.sum(-1, keepdim=True)) @ v


@form(qkv(), "causal, 4 heads, scale 0.125", empty_rows="nan")
def exponentials_below_the_maximum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = (q @ k.mT * 0.125).masked_fill(~_causal(), -math.inf)
    e = (scores - scores.max(dim=-1, keepdim=True)[0]).exp()
    return (e / torch.sum(e, dim=-1, keepdim=True)) @ v


@form(qkv(), "full, 4 heads, scale 0.125")
def exponentials_in_place(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT * 0.125
    scores -= 1.0
    e = scores.exp_()
    return (e / e.sum(-1)[..., None]) @ v


@form(qkv(), "causal, 4 heads, scale 0.125")
def divided_behind_the_values(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(e @ v) / e.sum(): as in a kernel; −1e9 leaves nothing of a key, whatever the maximum is."""
    e = torch.exp((q @ k.mT * 0.125).masked_fill(~_causal(), -1e9))
    return (e @ v) / e.sum(dim=-1, keepdim=True)


@form(qkv(), "full, 4 heads, scale 0.125")
def times_the_reciprocal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT * 0.125
    e = torch.exp(scores - scores.amax(dim=-1, keepdim=True).detach())
    return torch.einsum("bhij,bhjd->bhid", e, v) * e.sum(-1).reciprocal().unsqueeze(-1)


@form(qkv(), "full, 4 heads, scale 0.125")
def log_softmax_then_exp(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.log_softmax(q @ k.mT * 0.125, dim=-1).exp() @ v


@form(qkv(), "full, 4 heads, scale 0.125")
def below_the_logsumexp(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT * 0.125
    return torch.exp(scores - torch.logsumexp(scores, -1, keepdim=True)) @ v


@form(padded(), "key padding, 4 heads", empty_rows="nan")
def exponentials_times_padding(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Masked by a product with ones and zeros; a row without keys is 0 / 0."""
    e = torch.exp(q @ k.mT * 0.125) * mask.bool()[:, None, None].to(q.dtype)
    return (e / e.sum(-1, keepdim=True)) @ v


@form(padded(), "key padding, 4 heads", empty_rows="nan")
def bare_exponentials_of_a_fill(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """A row of finite fills alone is 0 / 0 here, where softmax gives the mean of all values."""
    e = torch.exp((q @ k.mT * 0.125).masked_fill(~mask.bool()[:, None, None], -1e4))
    return (e @ v) / e.sum(-1, keepdim=True)


@form(padded(), "key padding, 4 heads", empty_rows="mean")
def exponentials_of_a_fill_below_the_maximum(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    scores = (q @ k.mT * 0.125).masked_fill(~mask.bool()[:, None, None], -1e4)
    e = torch.exp(scores - scores.amax(-1, keepdim=True))
    return (e / e.sum(-1, keepdim=True)) @ v


@miss("exponentials_over_their_sum", qkv(), code="probabilities_changed")
def exponentials_over_more_than_their_sum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One more than their sum: a softmax that may attend to nothing."""
    e = torch.exp(q @ k.mT * 0.125)
    return (e / (1 + e.sum(-1, keepdim=True))) @ v


@miss("divided_behind_the_values", qkv(), code="probabilities_changed")
def divided_by_the_sum_of_others(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The sum of a row of queries, transposed to where that of the keys should be."""
    e = torch.exp(q @ k.mT * 0.125)
    return (e @ v) / e.sum(dim=-1).roll(1, -1)[..., None]


@miss("exponentials_over_their_sum", qkv(), code="softmax_dim")
def exponentials_over_the_sum_of_columns(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = torch.exp(q @ k.mT * 0.125)
    return (e / e.sum(-2, keepdim=True)) @ v


@miss("exponentials_over_their_sum", qkv(n=4), code="probabilities_changed")
def exponentials_over_sums_of_other_rows(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As many queries as keys, and the sums stand at the keys."""
    e = torch.exp(q @ k.mT * 0.125)
    return (e / e.sum(-1)[..., None, :]) @ v


@miss("divided_behind_the_values", qkv(), code="probabilities_escape")
def sum_is_returned(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    e = torch.exp(q @ k.mT * 0.125)
    total = e.sum(dim=-1, keepdim=True)
    return (e @ v) / total, total.log()


@miss("bare_exponentials_of_a_fill", lambda: (*qkv()(), random(2, 1, 63, 63)), code="unsupported_score")
def bare_exponentials_of_a_given_mask(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """The tensor may forbid a whole row by a finite number."""
    e = torch.exp(q @ k.mT * 0.125 + mask)
    return (e / e.sum(-1, keepdim=True)) @ v


# --- products as other calls ------------------------------------------------------------------------------------------


def _plain() -> tuple[Tensor, ...]:
    return random(63, 40), random(57, 40), random(57, 24)


@form(_plain, "full, 1 heads, scale 0.125")
def products_by_tensordot(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = (torch.tensordot(q, k, dims=([1], [1])) * 0.125).softmax(-1)
    return torch.tensordot(weights, v, 1)


@form(_plain, "full, 1 heads, scale 0.125")
def products_by_linear(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.linear(torch.softmax(F.linear(q, k) * 0.125, dim=-1), v.T)


@form(lambda: (*_plain(), random(57)), "full, bias, 1 heads, scale 1")
def linear_with_a_bias_of_keys(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax(F.linear(q, k, bias), dim=-1) @ v


@form(qkv(n=31), "causal, 4 heads, scale 0.125")
def products_by_sums(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Without a matmul: elements multiplied and summed, on both sides."""
    scores = (q[..., :, None, :] * k[..., None, :, :]).sum(-1) * 0.125
    weights = torch.where(_causal(31), scores, -math.inf).softmax(-1)
    return (weights.unsqueeze(-1) * v.unsqueeze(-3)).sum(dim=-2)


@miss("linear_with_a_bias_of_keys", lambda: (*_plain(), random(24)), code="no_value_product")
def linear_adds_to_the_values(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    return F.linear(torch.softmax(F.linear(q, k) * 0.125, dim=-1), v.T, bias)


@miss("products_by_sums", qkv(n=31), code="no_query_key_product")
def sums_of_one_alone(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Sums over features of a quotient: no product of queries and keys."""
    scores = (q[..., :, None, :] / (1 + k[..., None, :, :] ** 2)).sum(-1) * 0.125 + (q @ k.mT).sin()
    return torch.softmax(scores, -1) @ v
