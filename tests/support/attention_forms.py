"""Attention as people write it, a function for each form, and beside it near misses that must not be taken for it.

A form says in `words` what the matcher must read out of it (part of `AttentionSpec.in_words`). A near miss says with
which code it is left alone, or, where it is attention of another kind, what it must be read as instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Form:
    """One way to write attention. of: the form a near miss belongs to; code: the rejection it must get, "" for none.

    products: how many matrix products stay in the graph (captured scores).
    """

    name: str
    function: Callable[..., Any]
    inputs: Callable[[], tuple[Any, ...]]
    words: str | None = None
    of: str = ""
    code: str = ""
    tolerance: float = 1e-5
    empty_rows: str | None = None
    products: int = 0


FORMS: dict[str, Form] = {}
MISSES: dict[str, Form] = {}


def form(inputs: Callable[[], tuple[Any, ...]], words: str, **more: Any) -> Callable[..., Any]:
    """Declare a form."""

    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        FORMS[function.__name__] = Form(function.__name__, function, inputs, words, **more)
        return function

    return keep


def miss(
    of: str, inputs: Callable[[], tuple[Any, ...]], code: str = "", words: str | None = None, **more: Any
) -> Callable[..., Any]:
    """Declare a near miss of a form: rejected with `code`, or read as `words`, or (neither) not worth a word."""

    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        MISSES[function.__name__] = Form(function.__name__, function, inputs, words, of=of, code=code, **more)
        return function

    return keep


# --- inputs ---------------------------------------------------------------------------------------------------------


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers from a seed and the shape."""
    generator = torch.Generator().manual_seed(seed + 1000 * len(shape) + sum(shape))
    return torch.randn(*shape, generator=generator).to(dtype)


def qkv(
    batch: int = 2, heads: int = 4, n: int = 63, d: int = 40, kv_heads: int | None = None, n_k: int | None = None,
    e: int | None = None, dtype: torch.dtype = torch.float32,
) -> Callable[[], tuple[Any, ...]]:  # fmt: skip
    """Inputs [batch, heads, position, feature] of one attention."""
    kv_heads, n_k, e = kv_heads or heads, n_k or n, e or d

    def make() -> tuple[Any, ...]:
        return (
            random(batch, heads, n, d, dtype=dtype),
            random(batch, kv_heads, n_k, d, seed=1, dtype=dtype),
            random(batch, kv_heads, n_k, e, seed=2, dtype=dtype),
        )

    return make


def padded(batch: int = 3, n: int = 63, **more: Any) -> Callable[[], tuple[Any, ...]]:
    """The same and an int64 attention_mask [batch, n]: padded right, padded left, and one row with no key at all."""
    tensors = qkv(batch, n=n, **more)

    def make() -> tuple[Any, ...]:
        length = more.get("n_k") or n
        mask = torch.ones(batch, length, dtype=torch.int64)
        mask[0, length - 9 :] = 0
        mask[1, :7] = 0
        if batch > 2:
            mask[2, :] = 0
        return (*tensors(), mask)

    return make


def with_more(inputs: Callable[[], tuple[Any, ...]], *more: Callable[[], Any]) -> Callable[[], tuple[Any, ...]]:
    """Inputs with further tensors behind."""
    return lambda: (*inputs(), *(make() for make in more))


# --- plain ----------------------------------------------------------------------------------------------------------


@form(qkv(), "full, 4 heads, scale 1")
def matmul_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.matmul(F.softmax(torch.matmul(q, k.transpose(-2, -1)), dim=-1), v)


@miss("matmul_softmax", qkv(), code="softmax_dim")
def softmax_over_queries(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.matmul(F.softmax(torch.matmul(q, k.transpose(-2, -1)), dim=-2), v)


@miss("matmul_softmax", qkv(n=40, d=40), words="full, 4 heads, scale 1")
def keys_contracted_over_positions(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Square, so that q @ k works without a transpose: another contraction, with the features as keys."""
    return torch.matmul(F.softmax(torch.matmul(q, k), dim=-1), v)


@miss("matmul_softmax", qkv(), code="probabilities_escape")
def probabilities_returned(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    weights = F.softmax(torch.matmul(q, k.transpose(-2, -1)), dim=-1)
    return torch.matmul(weights, v), weights


@miss("matmul_softmax", with_more(qkv(), lambda: random(4)), code="probabilities_changed")
def probabilities_times_head_mask(q: Tensor, k: Tensor, v: Tensor, head_mask: Tensor) -> Tensor:
    weights = torch.softmax(q @ k.transpose(-2, -1), dim=-1)
    return (weights * head_mask.view(1, 4, 1, 1)) @ v


@miss("matmul_softmax", lambda: (random(63, 40), random(40, 4), random(63, 4, 20)))
def router(x: Tensor, gate: Tensor, experts: Tensor) -> Tensor:
    """Mixture of experts: a softmax over four experts is no attention and needs no word."""
    return (torch.softmax(x @ gate, dim=-1).unsqueeze(-1) * experts).sum(1)


@miss("matmul_softmax", qkv(), code="unsupported_score")
def negative_scale(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(-(q @ k.transpose(-2, -1)), dim=-1) @ v


@miss("matmul_softmax", qkv(), code="no_query_key_product")
def scores_through_relu(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(torch.relu(q @ k.transpose(-2, -1)), dim=-1) @ v


# --- causal by tril -------------------------------------------------------------------------------------------------


@form(qkv(n=111, d=80), "causal, 4 heads, scale 0.111803")
def causal_by_tril(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n = q.shape[-2]
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    keep = torch.tril(torch.ones(n, n, device=q.device))
    return F.softmax(scores.masked_fill(keep == 0, float("-inf")), dim=-1) @ v


@miss("causal_by_tril", qkv(), words="full, key range")
def inverted_tril(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The mask the wrong way round: only the future is seen; must not become causal. The last row is NaN."""
    n = q.shape[-2]
    keep = torch.tril(torch.ones(n, n))
    return F.softmax((q @ k.transpose(-2, -1)).masked_fill(keep == 1, float("-inf")), dim=-1) @ v


@miss("causal_by_tril", qkv(), words="causal with offset -1")
def strictly_causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Off by one: a query does not see itself, and the first row sees nothing."""
    n = q.shape[-2]
    keep = torch.tril(torch.ones(n, n), diagonal=-1)
    return F.softmax((q @ k.transpose(-2, -1)).masked_fill(keep == 0, float("-inf")), dim=-1) @ v


@miss("causal_by_tril", qkv(), words="causal with offset 1")
def one_key_ahead(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n = q.shape[-2]
    ahead = torch.triu(torch.ones(n, n, dtype=torch.bool), diagonal=2)
    return F.softmax((q @ k.transpose(-2, -1)).masked_fill(ahead, float("-inf")), dim=-1) @ v


@miss("causal_by_tril", qkv(), code="unsupported_score")
def fill_not_small_enough(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """-5 only makes a key unlikely."""
    n = q.shape[-2]
    keep = torch.tril(torch.ones(n, n))
    return F.softmax((q @ k.transpose(-2, -1)).masked_fill(keep == 0, -5.0), dim=-1) @ v


@miss("causal_by_tril", qkv(n=23, d=40), words="bias")
def added_mask_not_small_enough(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """-5 added to the future is a bias, not a mask."""
    n = q.shape[-2]
    ahead = torch.triu(torch.ones(n, n), diagonal=1) * -5.0
    return F.softmax(q @ k.transpose(-2, -1) + ahead, dim=-1) @ v


@miss("causal_by_tril", qkv(), words="full, key range")
def tril_of_transposed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The triangle transposed: anti-causal."""
    n = q.shape[-2]
    keep = torch.tril(torch.ones(n, n)).t()
    return F.softmax((q @ k.transpose(-2, -1)).masked_fill(keep == 0, float("-inf")), dim=-1) @ v


# --- einsum ---------------------------------------------------------------------------------------------------------


@form(qkv(e=24), "full, 4 heads, scale 0.158114")
def einsum_heads_first(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("bhqk,bhke->bhqe", scores.softmax(-1), v)


@miss("einsum_heads_first", qkv(heads=4, n=63), code="softmax_dim")
def einsum_values_by_query(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The product with V sums over the queries."""
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k)
    return torch.einsum("bhqk,bhqe->bhke", scores.softmax(-1), v)


@miss("einsum_heads_first", qkv(batch=2, heads=2, n=33), words="full, 2 heads")
def einsum_heads_crossed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Head and batch of K exchanged: legal for two batches of two heads; K must be permuted for the call."""
    scores = torch.einsum("bhqd,hbkd->bhqk", q, k)
    return torch.einsum("bhqk,bhke->bhqe", scores.softmax(-1), v)


@form(lambda: tuple(t.transpose(1, 2).contiguous() for t in qkv()()), "full, 4 heads, scale 0.158114")
def einsum_positions_first(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """[batch, position, head, feature]."""
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("bhqk,bkhd->bqhd", torch.softmax(scores, dim=-1), v)


# --- rank 3 ---------------------------------------------------------------------------------------------------------


def _hidden(n: int = 63, width: int = 160) -> Callable[[], tuple[Any, ...]]:
    return lambda: tuple(random(2, n, width, seed=s) for s in range(3))


@form(_hidden(), "full, 4 heads, scale 1")
def bmm_merged_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """OPT and BART of old: heads folded into the batch, bmm, folded back."""
    b, n, width = q.shape
    q, k, v = (t.view(b, n, 4, 40).transpose(1, 2).reshape(b * 4, n, 40) for t in (q * 40**-0.5, k, v))
    out = torch.bmm(F.softmax(torch.bmm(q, k.transpose(1, 2)), dim=-1), v)
    return out.view(b, 4, n, 40).transpose(1, 2).reshape(b, n, width)


@miss("bmm_merged_heads", _hidden(), words="1 heads")
def bmm_heads_not_split(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One head of 160 features."""
    return torch.bmm(F.softmax(torch.bmm(q, k.transpose(1, 2)), dim=-1), v)


def _alibi(scores_shape: tuple[int, int, int]) -> Callable[[], Tensor]:
    return lambda: -torch.arange(scores_shape[2]).float().expand(*scores_shape) * 0.01


@form(with_more(_hidden(), _alibi((8, 1, 63))), "bias, 4 heads, scale 0.158114")
def baddbmm_alibi(q: Tensor, k: Tensor, v: Tensor, alibi: Tensor) -> Tensor:
    """Bloom."""
    b, n, width = q.shape
    q, k, v = (t.view(b, n, 4, 40).transpose(1, 2).reshape(b * 4, n, 40) for t in (q, k, v))
    scores = alibi.baddbmm(batch1=q, batch2=k.transpose(-1, -2), beta=1.0, alpha=40**-0.5)
    weights = F.softmax(scores.view(b, 4, n, n), dim=-1).view(b * 4, n, n)
    return torch.bmm(weights, v).view(b, 4, n, 40).transpose(1, 2).reshape(b, n, width)


@form(_hidden(), "full, 4 heads, scale 0.25")
def baddbmm_alpha(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Stable Diffusion of old: an empty input, beta=0."""
    b, n, width = q.shape
    q, k, v = (t.view(b, n, 4, 40).transpose(1, 2).reshape(b * 4, n, 40) for t in (q, k, v))
    scores = torch.baddbmm(torch.zeros(b * 4, n, n), q, k.transpose(-1, -2), beta=0, alpha=0.25)
    return torch.bmm(scores.softmax(-1), v).view(b, 4, n, 40).transpose(1, 2).reshape(b, n, width)


@miss("baddbmm_alpha", with_more(_hidden(31), lambda: random(8, 31, 31)), words="bias, 4 heads, scale 0.25")
def baddbmm_beta(q: Tensor, k: Tensor, v: Tensor, start: Tensor) -> Tensor:
    """With beta=0.5 the input is a bias."""
    b, n, width = q.shape
    q, k, v = (t.view(b, n, 4, 40).transpose(1, 2).reshape(b * 4, n, 40) for t in (q, k, v))
    scores = torch.baddbmm(start, q, k.transpose(-1, -2), beta=0.5, alpha=0.25)
    return torch.bmm(scores.softmax(-1), v).view(b, 4, n, 40).transpose(1, 2).reshape(b, n, width)


# --- scales ---------------------------------------------------------------------------------------------------------


@form(qkv(), "full, 4 heads, scale 0.25")
def scale_on_all_sides(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k = q * 40**-0.25, k * 40**-0.25
    return torch.softmax((q @ k.mT) * 0.5 / 2.0, dim=-1) @ v


@miss("scale_on_all_sides", with_more(qkv(), lambda: random(63, seed=5).abs()), code="unsupported_score")
def scale_by_key(q: Tensor, k: Tensor, v: Tensor, temperature: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT) * temperature, dim=-1) @ v


@form(with_more(qkv(), lambda: random(4, 1, 1, seed=5).abs()), "full, 4 heads, scale 1 × tensor")
def learned_scale(q: Tensor, k: Tensor, v: Tensor, temperature: Tensor) -> Tensor:
    """Swin v2: a learned scale for each head."""
    return torch.softmax((q @ k.mT) * temperature, dim=-1) @ v


@miss("learned_scale", with_more(qkv(heads=3, n=63, n_k=3, kv_heads=3), lambda: random(3)), code="unsupported_score")
def learned_scale_without_dims(q: Tensor, k: Tensor, v: Tensor, temperature: Tensor) -> Tensor:
    """A scale [3] broadcasts over three keys, not over three heads."""
    return torch.softmax((q @ k.mT) * temperature, dim=-1) @ v


@form(qkv(), "causal, 4 heads, scale 0.158114")
def in_place_steps(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n = q.shape[-2]
    scores = q @ k.transpose(-2, -1)
    scores /= math.sqrt(40)
    scores += torch.triu(torch.full((n, n), float("-inf")), diagonal=1)
    return torch.softmax(scores, dim=-1) @ v


@miss("in_place_steps", qkv(), code="in_place")
def written_through_alias(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The scores change between product and softmax through another view of them."""
    scores = q @ k.transpose(-2, -1)
    other = scores.view(2, 4, -1)
    other.mul_(0.5)
    return torch.softmax(scores, dim=-1) @ v


@miss("in_place_steps", qkv(), code="in_place")
def keys_written_before_use(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """V is overwritten between the scores and its product; K is overwritten before the site is over."""
    k = k.clone()
    weights = torch.softmax(q @ k.transpose(-2, -1), dim=-1)
    k.zero_()
    return weights @ v + k


# --- packed projections ---------------------------------------------------------------------------------------------


@form(lambda: (random(2, 63, 480),), "full, 4 heads, scale 0.158114")
def packed_chunk(x: Tensor) -> Tensor:
    q, k, v = (t.view(2, 63, 4, 40).transpose(1, 2) for t in x.chunk(3, dim=-1))
    out = torch.softmax(q @ k.transpose(-2, -1) * 40**-0.5, dim=-1) @ v
    return out.transpose(1, 2).reshape(2, 63, 160)


@form(lambda: (random(2, 63, 480),), "full, 4 heads, scale 1")
def packed_unbind(x: Tensor) -> Tensor:
    """timm: reshape, permute, unbind."""
    q, k, v = x.reshape(2, 63, 3, 4, 40).permute(2, 0, 3, 1, 4).unbind(0)
    return (((q * 40**-0.5) @ k.transpose(-2, -1)).softmax(dim=-1) @ v).transpose(1, 2).reshape(2, 63, 160)


@miss("packed_unbind", lambda: (random(2, 12, 480),), words="full, 12 heads, scale 1")
def packed_unbind_wrong_permute(x: Tensor) -> Tensor:
    """permute(2, 0, 1, 3, 4): attention between heads at each position."""
    q, k, v = x.reshape(2, 12, 3, 4, 40).permute(2, 0, 1, 3, 4).unbind(0)
    return ((q * 40**-0.5) @ k.transpose(-2, -1)).softmax(dim=-1) @ v


# --- grouped heads --------------------------------------------------------------------------------------------------


@form(qkv(heads=8, kv_heads=2), "full, 8 heads over 2 kv heads, scale 0.158114")
def gqa_expand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Llama."""
    b, h, n, d = k.shape
    k, v = (t[:, :, None, :, :].expand(b, h, 4, n, d).reshape(b, h * 4, n, d) for t in (k, v))
    return F.softmax(q @ k.transpose(2, 3) * d**-0.5, dim=-1) @ v


@form(qkv(heads=6, kv_heads=3), "full, 6 heads over 3 kv heads, scale 0.158114")
def gqa_repeat_interleave(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    k, v = k.repeat_interleave(2, dim=1), torch.repeat_interleave(v, 2, 1)
    return F.softmax(q @ k.transpose(2, 3) * 40**-0.5, dim=-1) @ v


@miss("gqa_repeat_interleave", qkv(heads=6, kv_heads=3), words="full, 6 heads, scale 0.158114")
def gqa_tiled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """repeat puts kv head h % 3 under query head h: no grouping."""
    k, v = k.repeat(1, 2, 1, 1), v.repeat(1, 2, 1, 1)
    return F.softmax(q @ k.transpose(2, 3) * 40**-0.5, dim=-1) @ v


@miss("gqa_expand", qkv(heads=8, kv_heads=2), words="full, 8 heads, scale 0.158114")
def gqa_expand_in_front(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The expanded dim before the kv heads: tiled again."""
    b, h, n, d = k.shape
    k, v = (t[:, None].expand(b, 4, h, n, d).reshape(b, h * 4, n, d) for t in (k, v))
    return F.softmax(q @ k.transpose(2, 3) * d**-0.5, dim=-1) @ v


@form(qkv(heads=8, kv_heads=1), "full, 8 heads over 1 kv heads, scale 1")
def mqa_broadcast(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One kv head, left to matmul to broadcast."""
    return torch.softmax(q @ k.transpose(-2, -1), dim=-1) @ v


@form(qkv(heads=8, kv_heads=2), "full, 8 heads over 2 kv heads, scale 1")
def gqa_rank_five_expanded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Groups in a dim of their own, K and V with a dim of one there."""
    q, k, v = q.view(2, 2, 4, 63, 40), k[:, :, None], v[:, :, None]
    return (torch.softmax(q @ k.transpose(-1, -2), dim=-1) @ v).flatten(1, 2)


@form(qkv(heads=8, kv_heads=2), "full, 8 heads over 2 kv heads")
def gqa_rank_five(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Members of a group in a dim that K and V lack: the product with V has two rows, the last one of queries."""
    q = q.view(2, 2, 4, 63, 40)
    weights = torch.softmax(torch.einsum("bgmqd,bgkd->bgmqk", q, k), dim=-1)
    return torch.einsum("bgmqk,bgkd->bgmqd", weights, v)


@miss("gqa_rank_five_expanded", qkv(heads=4, kv_heads=2), code="layout")
def gqa_rank_five_members_first(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The member dim before the group: head (m, g) reads kv head g, which is no grouping of neighbours."""
    q, k, v = q.view(2, 2, 2, 63, 40), k[:, None], v[:, None]
    return torch.softmax(q @ k.transpose(-1, -2), dim=-1) @ v


# --- key padding ----------------------------------------------------------------------------------------------------


@form(padded(), "key padding, 4 heads", empty_rows="level")
def padding_extended(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """BERT: (1 - mask) * finfo.min, of a mask that is known to be one."""
    extended = (1.0 - mask.bool()[:, None, None, :].to(q.dtype)) * torch.finfo(q.dtype).min
    return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(40) + extended, dim=-1) @ v


@miss("padding_extended", padded(), words="full, bias, 4 heads")
def padding_of_integers(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """The same of an int64 tensor, which may hold more than 0 and 1: a bias."""
    extended = (1.0 - mask[:, None, None, :].to(q.dtype)) * torch.finfo(q.dtype).min
    return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(40) + extended, dim=-1) @ v


@miss("padding_extended", padded(), words="key padding", empty_rows="level")
def padding_inverted(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """mask * -big: the padding is what is seen."""
    extended = mask.bool()[:, None, None, :].to(q.dtype) * torch.finfo(q.dtype).min
    return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(40) + extended, dim=-1) @ v


@miss("padding_extended", padded(), words="bias, 4 heads")
def padding_mild(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """-5 for padding is a bias."""
    extended = (1.0 - mask[:, None, None, :].to(q.dtype)) * -5.0
    return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(40) + extended, dim=-1) @ v


@miss("padding_extended", padded(), words="mask tensor")
def padding_of_queries(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """The mask stands at the queries' dim."""
    extended = (1.0 - mask.bool()[:, None, :, None].to(q.dtype)) * torch.finfo(q.dtype).min
    return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(40) + extended, dim=-1) @ v


@form(padded(), "key padding, 4 heads", empty_rows="nan")
def padding_masked_fill(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """-inf: a row with no key is NaN."""
    scores = (q @ k.transpose(-1, -2)).masked_fill(mask[:, None, None, :] == 0, float("-inf"))
    return torch.softmax(scores, dim=-1) @ v


@form(padded(n=111, d=80), "causal, key padding, 4 heads", empty_rows="level")
def causal_and_padding(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Transformers' decoders: positions by arange, compared, joined with the padding, min of the dtype elsewhere."""
    positions = torch.arange(q.shape[2], device=q.device)
    causal = torch.arange(k.shape[2])[None, None, None, :] <= positions[None, None, :, None]
    keep = causal & mask[:, None, None, :].to(torch.bool)
    keep = keep.expand(q.shape[0], 1, -1, -1)
    additive = torch.where(keep, 0.0, torch.finfo(q.dtype).min)
    scores = q @ k.transpose(2, 3) * 80**-0.5 + additive
    return F.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype) @ v


@miss("causal_and_padding", padded(), words="mask tensor")
def causal_or_padding(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """An or of the two is another mask."""
    positions = torch.arange(63)
    keep = (positions[None, :] <= positions[:, None])[None, None] | mask[:, None, None, :].bool()
    return F.softmax(q @ k.transpose(2, 3) + torch.where(keep, 0.0, torch.finfo(q.dtype).min), dim=-1) @ v


@form(padded(batch=2), "full, bias, 4 heads")
def two_additive_masks(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Two masks added one after the other; the left-padded rows are empty, so they must stay what eager gives."""
    n = q.shape[-2]
    causal = torch.triu(torch.full((n, n), torch.finfo(q.dtype).min), diagonal=1)
    padding = (1 - mask[:, None, None, :].float()) * torch.finfo(q.dtype).min
    return F.softmax(q @ k.transpose(2, 3) + causal + padding, dim=-1) @ v


# --- GPT-2 ----------------------------------------------------------------------------------------------------------


def _tril_buffer(n: int = 80) -> Callable[[], Tensor]:
    return lambda: torch.tril(torch.ones(n, n, dtype=torch.bool)).view(1, 1, n, n)


@form(with_more(qkv(), _tril_buffer()), "mask tensor, 4 heads")
def gpt2_buffer(q: Tensor, k: Tensor, v: Tensor, buffer: Tensor) -> Tensor:
    """GPT-2 of old: a tril buffer, cut to size, where, finfo.min. A buffer's values are data: used as a mask tensor."""
    scores = torch.matmul(q, k.transpose(-1, -2))
    scores = scores / torch.full([], v.size(-1) ** 0.5, dtype=scores.dtype, device=scores.device)
    causal = buffer[:, :, k.size(-2) - q.size(-2) : k.size(-2), : k.size(-2)]
    low = torch.full([], torch.finfo(scores.dtype).min, dtype=scores.dtype, device=scores.device)
    scores = torch.where(causal, scores.to(scores.dtype), low)
    return torch.matmul(torch.softmax(scores, dim=-1).type(v.dtype), v)


@miss("gpt2_buffer", with_more(qkv(), _tril_buffer()), words="mask tensor, 4 heads")
def gpt2_where_swapped(q: Tensor, k: Tensor, v: Tensor, buffer: Tensor) -> Tensor:
    """where's branches exchanged: only the future."""
    scores = torch.matmul(q, k.transpose(-1, -2))
    causal = buffer[:, :, :63, :63]
    scores = torch.where(causal, torch.finfo(scores.dtype).min, scores)
    return torch.softmax(scores, dim=-1) @ v


@form(qkv(), "causal, 4 heads, scale 0.158114")
def where_in_graph(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n = q.shape[-2]
    keep = torch.ones(n, n, dtype=torch.bool).tril().view(1, 1, n, n)
    scores = torch.where(keep, q @ k.transpose(-1, -2) / math.sqrt(40), torch.finfo(q.dtype).min)
    return torch.softmax(scores, dim=-1) @ v


# --- SDPA -----------------------------------------------------------------------------------------------------------


@form(qkv(), "causal, 4 heads, scale 0.158114")
def sdpa_causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


@form(qkv(heads=8, kv_heads=2), "full, 8 heads over 2 kv heads, scale 0.3")
def sdpa_gqa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, scale=0.3, enable_gqa=True)


@form(qkv(), "causal, 4 heads, scale 0.158114")
def sdpa_bool_causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Decoders under torch.compile: a bool [B, 1, n, n] mask that is causal."""
    at = torch.arange(q.shape[2])
    keep = (at[None, None, None, :] <= at[None, None, :, None]).expand(q.shape[0], 1, -1, -1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keep, dropout_p=0.0, is_causal=False)


@miss("sdpa_bool_causal", qkv(), words="full, key range")
def sdpa_bool_anticausal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    at = torch.arange(q.shape[2])
    keep = (at[None, None, None, :] >= at[None, None, :, None]).expand(q.shape[0], 1, -1, -1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keep)


@miss("sdpa_bool_causal", qkv(n=23), words="bias")
def sdpa_float_of_bool(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A float mask is added, so 0 and 1 are no mask."""
    at = torch.arange(q.shape[2])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=(at[None, :] <= at[:, None]).float())


@form(padded(), "key padding, 4 heads", empty_rows="zero")
def sdpa_padding(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :].bool())


@miss("sdpa_causal", qkv(), code="dropout")
def sdpa_all_dropped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, dropout_p=1.0)


@form(qkv(heads=3, n=17, n_k=31), "causal, 3 heads, scale 0.158114")
def sdpa_causal_more_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """is_causal is aligned at the upper left, whatever the lengths."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


# --- lengths --------------------------------------------------------------------------------------------------------


@form(qkv(n=63, n_k=111, e=24), "full, 4 heads, scale 0.158114")
def cross_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(-1, -2) * 40**-0.5, dim=-1) @ v


@miss("cross_attention", with_more(qkv(n=9), lambda: random(2, 4, 9, 17, 40, seed=7)), code="layout")
def keys_for_each_query(q: Tensor, k: Tensor, v: Tensor, relative: Tensor) -> Tensor:
    """Every query has keys of its own."""
    scores = torch.einsum("bhqd,bhqkd->bhqk", q, relative)
    return torch.softmax(scores, dim=-1) @ relative[:, :, 0]


@form(qkv(n=17, n_k=63), "causal with offset 46, 4 heads")
def causal_with_offset(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A prefill in pieces: the queries are the last of the positions."""
    rows = torch.arange(q.shape[2]) + (k.shape[2] - q.shape[2])
    keep = torch.arange(k.shape[2])[None, :] <= rows[:, None]
    return torch.softmax((q @ k.transpose(-1, -2)).masked_fill(~keep, float("-inf")), dim=-1) @ v


@miss("causal_with_offset", qkv(n=17, n_k=63), words="causal, 4 heads")
def causal_upper_left(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same triangle aligned at the other corner."""
    keep = torch.arange(63)[None, :] <= torch.arange(17)[:, None]
    return torch.softmax((q @ k.transpose(-1, -2)).masked_fill(~keep, float("-inf")), dim=-1) @ v


@form(qkv(heads=3), "causal, 3 heads, scale 0.158114")
def empty_cache(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The first step of a KV cache."""
    k, v = torch.cat([torch.tensor([]), k], dim=-2), torch.cat([torch.tensor([]), v], dim=-2)
    at = torch.arange(k.shape[2])
    additive = torch.where(at[None, :] <= at[:, None], 0.0, torch.finfo(q.dtype).min)
    return torch.softmax(q @ k.transpose(-1, -2) * 40**-0.5 + additive, dim=-1) @ v


@miss("empty_cache", with_more(qkv(n=5, heads=3), lambda: random(2, 3, 11, 40, seed=9)), words="causal with offset 11")
def filled_cache(q: Tensor, k: Tensor, v: Tensor, past: Tensor) -> Tensor:
    """A cache with something in it: more keys than queries."""
    k, v = torch.cat([past, k], dim=-2), torch.cat([past, v], dim=-2)
    keep = torch.arange(k.shape[2])[None, :] <= torch.arange(5)[:, None] + 11
    return torch.softmax(q @ k.transpose(-1, -2) + torch.where(keep, 0.0, torch.finfo(q.dtype).min), dim=-1) @ v


@form(qkv(n=111), "sliding window 16, 4 heads")
def sliding_window(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Mistral: the last 16 keys, the own one included."""
    at = torch.arange(q.shape[2])
    keep = (at[None, :] <= at[:, None]) & (at[None, :] > at[:, None] - 16)
    additive = torch.where(keep, 0.0, torch.finfo(q.dtype).min)
    return torch.softmax(q @ k.transpose(-1, -2) + additive, dim=-1) @ v


@miss("sliding_window", qkv(), words="full, key range")
def window_without_causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Keys not older than 15, and all of the future."""
    at = torch.arange(q.shape[2])
    additive = torch.where(at[None, :] > at[:, None] - 16, 0.0, torch.finfo(q.dtype).min)
    return torch.softmax(q @ k.transpose(-1, -2) + additive, dim=-1) @ v


@miss("sliding_window", qkv(n=33), words="mask tensor")
def window_both_sides(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A band around the diagonal: |i - j| < 5."""
    at = torch.arange(q.shape[2])
    keep = (at[None, :] - at[:, None]).abs() < 5
    return torch.softmax((q @ k.transpose(-1, -2)).masked_fill(~keep, float("-inf")), dim=-1) @ v


@form(lambda: (random(2, 4, 63, 40), random(2, 4, 80, 40, seed=1), random(2, 80, 4, 40, seed=2)), "full, 4 heads")
def cut_out_of_longer(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A static cache: K cut after it was transposed, V before; nothing may read past the cut."""
    scores = q @ k.transpose(-1, -2)[..., :63]
    return torch.softmax(scores, dim=-1) @ v[:, :63].transpose(1, 2)


@form(qkv(heads=4), "full, 2 heads over 1 kv heads")
def cut_out_of_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The first heads, and one kv head among several."""
    return torch.softmax(q[:, :2] @ k[:, :1].transpose(-1, -2), dim=-1) @ v[:, :1]


@form(qkv(), "causal, 4 heads", empty_rows="nan")
def fill_as_statement(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """masked_fill_ for its effect alone, the tensor read by its old name."""
    n = q.shape[-2]
    scores = q @ k.transpose(-2, -1)
    scores.mul_(0.5)
    scores.masked_fill_(torch.ones(n, n, dtype=torch.bool).triu(1), float("-inf"))
    return scores.softmax(-1) @ v


@miss("fill_as_statement", qkv(), code="unsupported_score")
def part_filled_as_statement(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Only the first rows are scaled."""
    scores = q @ k.transpose(-2, -1)
    scores[:, :, :5].mul_(0.5)
    return scores.softmax(-1) @ v


@miss("fill_as_statement", padded(), code="in_place")
def mask_written_later(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The mask is written between the softmax and the product with V: too late to read it again."""
    keep = mask.bool()
    weights = torch.softmax((q @ k.mT).masked_fill(~keep[:, None, None, :], -1e30), dim=-1)
    mask.zero_()
    return weights @ v, mask


# --- masks that meet ------------------------------------------------------------------------------------------------


@form(padded(), "causal, bias, 4 heads", empty_rows="nan_added")
def hard_and_soft_masks(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """A −inf fill and a finite one: where both forbid, the −inf wins, so only the causal part may be lifted."""
    n = q.shape[-2]
    scores = (q @ k.mT).masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), float("-inf"))
    return torch.softmax(scores + (1.0 - mask.bool()[:, None, None, :].float()) * -1e30, dim=-1) @ v


@form(padded(), "full, bias, 4 heads", empty_rows="nan_added")
def replaced_then_added(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """GPT-Neo: the lowest number put in place, then another added. Where both forbid all keys, −inf is all there is."""
    n = q.shape[-2]
    low = torch.finfo(q.dtype).min
    scores = (q @ k.mT).masked_fill(torch.ones(n, n, dtype=torch.bool).triu(0), low)
    return torch.softmax(scores + (1.0 - mask.bool()[:, None, None, :].float()) * low, dim=-1) @ v


@miss("replaced_then_added", padded(), words="full, bias", empty_rows="nan_added")
def replaced_mildly_then_added(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """−1e4 put in place does not swallow what is added to it: keys stand twice, with −1e4 and with a score."""
    n = q.shape[-2]
    scores = (q @ k.mT).masked_fill(torch.ones(n, n, dtype=torch.bool).triu(0), -1e4)
    return torch.softmax(scores + (1.0 - mask.bool()[:, None, None, :].float()) * -1e30, dim=-1) @ v


@miss("hard_and_soft_masks", qkv(n=5, n_k=2), words="causal with offset -3, key range", empty_rows="mean")
def window_without_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal aligned at one corner, the window at the other: together they leave no key at all."""
    rows, keys = torch.arange(5)[:, None], torch.arange(2)[None, :]
    low = torch.finfo(q.dtype).min
    scores = (q @ k.mT).masked_fill(~(keys <= rows - 3), low)
    return torch.softmax(scores.masked_fill(~(keys > rows - 3), low), dim=-1) @ v


@miss("hard_and_soft_masks", padded(dtype=torch.float64), words="bias, 4 heads")
def added_fill_in_double(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """-1e9 swallows a score in float32, not in float64: a row without keys keeps its weights."""
    return torch.softmax(q @ k.mT + (1.0 - mask.bool()[:, None, None, :].to(q.dtype)) * -1e9, dim=-1) @ v


@form(lambda: tuple(t[:1] for t in qkv(heads=4, kv_heads=2)()), "full, 4 heads over 2 kv heads, scale 1")
def bmm_batch_of_one(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One sequence, heads merged into the batch, grouped: the heads must be told from the groups."""
    k, v = (t.repeat_interleave(2, dim=1).reshape(4, 63, 40) for t in (k, v))
    return torch.bmm(torch.softmax(torch.bmm(q.reshape(4, 63, 40), k.mT), dim=-1), v).view(1, 4, 63, 40)


# --- dtypes and dropout ---------------------------------------------------------------------------------------------


@form(qkv(dtype=torch.bfloat16), "full, 4 heads, scale 0.158114", tolerance=2e-2)
def bf16_softmax_in_float(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.transpose(-1, -2) * 40**-0.5
    return F.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype) @ v


@form(padded(dtype=torch.bfloat16), "causal, key padding, 4 heads", tolerance=2e-2)
def bf16_upcast_scores(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Casts on every side."""
    n = q.shape[2]
    keep = torch.ones(n, n, dtype=torch.bool).tril() & (mask > 0)[:, None, None, :]
    scores = (q.float() @ k.float().transpose(-1, -2)) * 40**-0.5
    scores = scores.masked_fill(~keep, torch.finfo(torch.float32).min)
    return (scores.softmax(-1).to(v.dtype) @ v).to(q.dtype)


@miss("bf16_softmax_in_float", qkv(), code="probabilities_changed")
def probabilities_rounded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A cast to integers is more than a cast."""
    return torch.softmax(q @ k.transpose(-1, -2), dim=-1).mul(15).to(torch.int32).float() @ v


@form(qkv(), "full, 4 heads, scale 0.158114")
def dropout_in_eval(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = F.dropout(torch.softmax(q @ k.transpose(-1, -2) * 40**-0.5, dim=-1), p=0.1, training=False)
    return weights @ v


@miss("dropout_in_eval", qkv(), code="dropout")
def dropout_of_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scores are dropped, not probabilities."""
    return torch.softmax(F.dropout(q @ k.transpose(-1, -2) * 40**-0.5, p=0.1, training=True), dim=-1) @ v


# --- what stands around ---------------------------------------------------------------------------------------------


@form(qkv(), "full, 4 heads, scale 1")
def view_of_result(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """view of the result needs the strides that matmul gives."""
    return (torch.softmax(q @ k.transpose(-1, -2), dim=-1) @ v).view(2, 4 * 63, 40)


@form(qkv(), "full, 4 heads, scale 1")
def safe_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The scores go through nn.Softmax; the result is transposed and made contiguous."""
    out = torch.nn.Softmax(dim=-1)(q.matmul(k.permute(0, 1, 3, 2))).matmul(v)
    return out.permute(0, 2, 1, 3).contiguous().view(2, 63, 160)


@miss("safe_softmax", qkv(n=40, d=40), words="full, 4 heads, scale 1")
def wrong_permute_of_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """permute(0, 1, 2, 3) changes nothing; square, so it runs: K is not transposed."""
    return torch.softmax(q.matmul(k.permute(0, 1, 2, 3)), dim=-1).matmul(v)


@miss("safe_softmax", qkv(heads=4, n=4, d=40), code="layout")
def keys_swapped_with_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """K with heads and positions exchanged (as many heads as keys): each query's own slice of another tensor."""
    scores = torch.einsum("bhqd,bqkd->bhqk", q, k)
    return torch.softmax(scores, dim=-1) @ v


# --- codes that no near miss above has ------------------------------------------------------------------------------


@miss("matmul_softmax", qkv(), code="no_value_product")
def probabilities_summed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """An attention map that never meets values."""
    return torch.softmax(q @ k.transpose(-1, -2), dim=-1).sum(-2)


class _Multihead(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention = torch.nn.MultiheadAttention(40, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return out


@miss("sdpa_causal", lambda: (random(2, 63, 40),), code="opaque_call")
def multihead_module(x: Tensor) -> Tensor:
    """nn.MultiheadAttention stays one call of the graph."""
    return F.multi_head_attention_forward(
        x.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1), 40, 4, torch.eye(40).repeat(3, 1), None, None, None,
        False, 0.0, torch.eye(40), None, training=False, need_weights=False,
    )[0]  # fmt: skip


@miss("sdpa_causal", qkv(d=32), code="flex_attention")
def flex(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention(q, k, v)


def all_forms() -> list[Form]:
    """Forms and near misses, in order of declaration."""
    return [*FORMS.values(), *MISSES.values()]


import attention_forms_more  # noqa: E402, F401  (its forms belong to the same lists)
import attention_forms_spelled  # noqa: E402, F401
import attention_forms_tied  # noqa: E402, F401
