"""Decoders with rotary positions, grouped heads and KV caches."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .declare import hidden, random, style


def _complex_rope(dim: int, end: int, theta: float = 10000.0) -> Tensor:
    freqs = 1.0 / (theta ** (torch.arange(0, dim, 2)[: dim // 2].float() / dim))
    freqs = torch.outer(torch.arange(end), freqs)
    return torch.polar(torch.ones_like(freqs), freqs)


def _rotated(xq: Tensor, xk: Tensor, freqs_cis: Tensor) -> tuple[Tensor, Tensor]:
    xq_ = torch.view_as_complex(xq.float().reshape(*xq.shape[:-1], -1, 2))
    xk_ = torch.view_as_complex(xk.float().reshape(*xk.shape[:-1], -1, 2))
    freqs_cis = freqs_cis.view(1, xq_.shape[1], 1, xq_.shape[-1])
    xq_out, xk_out = (torch.view_as_real(x * freqs_cis).flatten(3) for x in (xq_, xk_))
    return xq_out.type_as(xq), xk_out.type_as(xk)


def _repeat_kv(x: Tensor, n_rep: int) -> Tensor:
    bs, slen, n_kv_heads, head_dim = x.shape
    x = x[:, :, :, None, :].expand(bs, slen, n_kv_heads, n_rep, head_dim)
    return x.reshape(bs, slen, n_kv_heads * n_rep, head_dim)


@style(
    hidden(),
    "causal, 4 heads over 2 kv heads, scale 0.316228",
    name="llama_prefill",
)
@style(
    hidden(),
    "causal with offset 17, 4 heads over 2 kv heads, scale 0.316228",
    name="llama_prefill_later",
    of={"start": 17},
)
@style(
    lambda n: (random(2, 1, 40),), "full, 4 heads over 2 kv heads, scale 0.316228", name="llama_step", of={"start": 30}
)
class LlamaAttention(nn.Module):
    """Meta's llama: complex RoPE, a cache written by slices, repeat_kv, an added mask of −inf."""

    def __init__(self, start: int = 0) -> None:
        super().__init__()
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(40, n, bias=False) for n in (40, 20, 20, 40))
        self.register_buffer("cache_k", torch.ones(3, 64, 2, 10))
        self.register_buffer("cache_v", torch.ones(3, 64, 2, 10))
        self.register_buffer("freqs_cis", _complex_rope(10, 64))
        self.start = start

    def forward(self, x: Tensor) -> Tensor:
        bsz, seqlen, _ = x.shape
        start_pos = self.start
        mask = None
        if seqlen > 1:
            mask = torch.full((seqlen, seqlen), float("-inf"), device=x.device)
            mask = torch.triu(mask, diagonal=1)
            mask = torch.hstack([torch.zeros((seqlen, start_pos), device=x.device), mask]).type_as(x)
        xq, xk, xv = self.wq(x), self.wk(x), self.wv(x)
        xq, xk, xv = xq.view(bsz, seqlen, 4, 10), xk.view(bsz, seqlen, 2, 10), xv.view(bsz, seqlen, 2, 10)
        xq, xk = _rotated(xq, xk, self.freqs_cis[start_pos : start_pos + seqlen])
        self.cache_k[:bsz, start_pos : start_pos + seqlen] = xk
        self.cache_v[:bsz, start_pos : start_pos + seqlen] = xv
        keys = _repeat_kv(self.cache_k[:bsz, : start_pos + seqlen], 2)
        values = _repeat_kv(self.cache_v[:bsz, : start_pos + seqlen], 2)
        xq, keys, values = xq.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
        scores = torch.matmul(xq, keys.transpose(2, 3)) / math.sqrt(10)
        if mask is not None:
            scores = scores + mask
        scores = F.softmax(scores.float(), dim=-1).type_as(xq)
        output = torch.matmul(scores, values)
        return self.wo(output.transpose(1, 2).contiguous().view(bsz, seqlen, -1))


@style(
    hidden(),
    "sliding window 8, 4 heads over 2 kv heads, scale 0.316228",
)
class MistralReference(nn.Module):
    """mistral-src's one file: a band of ones whose logarithm is added, keys repeated by repeat_interleave."""

    def __init__(self) -> None:
        super().__init__()
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(40, n, bias=False) for n in (40, 20, 20, 40))
        self.register_buffer("freqs_cis", _complex_rope(10, 64))

    def forward(self, x: Tensor) -> Tensor:
        bsz, seqlen, _ = x.shape
        tensor = torch.full((seqlen, seqlen), dtype=x.dtype, fill_value=1, device=x.device)
        mask = torch.tril(tensor, diagonal=0).to(x.dtype)
        mask = torch.triu(mask, diagonal=-7)
        mask = torch.log(mask)
        xq = self.wq(x).view(bsz, seqlen, 4, 10)
        xk, xv = self.wk(x).view(bsz, seqlen, 2, 10), self.wv(x).view(bsz, seqlen, 2, 10)
        xq, xk = _rotated(xq, xk, self.freqs_cis[:seqlen])
        key, value = torch.repeat_interleave(xk, 2, dim=2), torch.repeat_interleave(xv, 2, dim=2)
        query, key, value = (t.transpose(1, 2) for t in (xq, key, value))
        scores = torch.matmul(query, key.transpose(2, 3)) * 10**-0.5
        scores = scores + mask[None, None, ...]
        scores = nn.functional.softmax(scores.float(), dim=-1).type_as(query)
        output = torch.matmul(scores, value)
        return self.wo(output.transpose(1, 2).contiguous().view(bsz, seqlen, -1))


def _positions(n: int) -> tuple[Any, ...]:
    return random(2, n, 40), torch.arange(n)


@style(
    _positions,
    "4 heads over 2 kv heads, softcap 50, scale 1",
    name="gemma_global",
    more={"other_n": 37},
)
@style(_positions, "4 heads over 2 kv heads, softcap 50, scale 1", name="gemma_local", of={"local": True})
class GemmaAttention(nn.Module):
    """gemma_pytorch: index_copy into the cache, the whole cache attended, softcap, a mask looked up by position."""

    def __init__(self, local: bool = False) -> None:
        super().__init__()
        self.qkv_proj, self.o_proj = nn.Linear(40, 80), nn.Linear(40, 40)
        self.scaling, self.local, self.window, self.cap = 8**-0.5, local, 16, 50.0
        self.register_buffer("k_cache", torch.zeros(2, 40, 2, 10))
        self.register_buffer("v_cache", torch.zeros(2, 40, 2, 10))
        mask = torch.full((1, 1, 40, 40), -2.3819763e38).to(torch.float)
        self.register_buffer("mask", torch.triu(mask, diagonal=1))

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        mask = self.mask.index_select(2, positions)
        batch_size, input_len, _ = x.shape
        xq, xk, xv = self.qkv_proj(x).split([40, 20, 20], dim=-1)
        xq = xq.view(batch_size, -1, 4, 10) * self.scaling
        xk, xv = xk.view(batch_size, -1, 2, 10), xv.view(batch_size, -1, 2, 10)
        key = torch.repeat_interleave(self.k_cache.index_copy(1, positions, xk), 2, dim=2)
        value = torch.repeat_interleave(self.v_cache.index_copy(1, positions, xv), 2, dim=2)
        q, k, v = xq.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        scores = torch.matmul(q, k.transpose(2, 3))
        if self.local:
            all_ones = torch.ones_like(self.mask)
            band = torch.triu(all_ones, -1 * self.window + 1) * torch.tril(all_ones, self.window - 1)
            mask = torch.where(band.index_select(2, positions) == 1, mask, -2.3819763e38)
        scores = torch.tanh(scores / self.cap) * self.cap
        scores = scores + mask
        scores = F.softmax(scores.float(), dim=-1).type_as(q)
        output = torch.matmul(scores, v).transpose(1, 2).contiguous().view(batch_size, input_len, -1)
        return self.o_proj(output)


@style(_positions, "4 heads over 2 kv heads, scale 0.316228", name="gpt_fast_prefill")
@style(lambda n: (random(2, 1, 40), torch.tensor([n])), "4 heads over 2 kv heads, scale 0.316228", name="gpt_fast_step")
class GptFastAttention(nn.Module):
    """gpt-fast: static cache, index assignment, a bool tril buffer indexed by input_pos, SDPA."""

    def __init__(self) -> None:
        super().__init__()
        self.wqkv, self.wo = nn.Linear(40, 80, bias=False), nn.Linear(40, 40, bias=False)
        self.register_buffer("k_cache", torch.zeros(2, 2, 64, 10))
        self.register_buffer("v_cache", torch.zeros(2, 2, 64, 10))
        self.register_buffer("causal_mask", torch.tril(torch.ones(64, 64, dtype=torch.bool)))

    def _update(self, input_pos: Tensor, k_val: Tensor, v_val: Tensor) -> tuple[Tensor, Tensor]:
        k_out, v_out = self.k_cache, self.v_cache
        k_out[:, :, input_pos] = k_val
        v_out[:, :, input_pos] = v_val
        return k_out, v_out

    def forward(self, x: Tensor, input_pos: Tensor) -> Tensor:
        mask = self.causal_mask[None, None, input_pos]
        bsz, seqlen, _ = x.shape
        q, k, v = self.wqkv(x).split([40, 20, 20], dim=-1)
        q, k, v = q.view(bsz, seqlen, 4, 10), k.view(bsz, seqlen, 2, 10), v.view(bsz, seqlen, 2, 10)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        k, v = self._update(input_pos, k, v)
        k, v = k.repeat_interleave(2, dim=1), v.repeat_interleave(2, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=0.0)
        return self.wo(y.transpose(1, 2).contiguous().view(bsz, seqlen, 40))


@style(hidden(), "causal, 4 heads, scale 0.316228", more={"other_n": 45, "gradients": True})
class LitGPT(nn.Module):
    """lit-gpt: queries, keys and values interleaved group by group; half-rotated RoPE; expand; SDPA."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.proj = nn.Linear(40, 80), nn.Linear(40, 40)
        theta = 1.0 / (10000 ** (torch.arange(0, 10, 2).float() / 10))
        angles = torch.outer(torch.arange(64), theta).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def _rope(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        half = x.size(-1) // 2
        rotated = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
        return ((x * cos) + (rotated * sin)).to(dtype=x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        B, T, _ = x.size()
        cos, sin = self.cos[:T], self.sin[:T]
        qkv = self.attn(x).view(B, T, 2, 2 + 2, 10).permute(0, 2, 3, 1, 4)
        q, k, v = qkv.split((2, 1, 1), dim=2)
        k, v = k.expand(B, 2, 2, T, 10), v.expand(B, 2, 2, T, 10)
        q, k, v = q.reshape(B, -1, T, 10), k.reshape(B, -1, T, 10), v.reshape(B, -1, T, 10)
        q, k = self._rope(q, cos, sin), self._rope(k, cos, sin)
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=None, dropout_p=0.0, scale=1 / math.sqrt(10), is_causal=True
        )
        return self.proj(y.transpose(1, 2).reshape(B, T, 40))


@style(hidden(), "causal, 4 heads over 1 kv heads, scale 1")
class PaLM(nn.Module):
    """PaLM-pytorch: one fused projection, one kv head by einsum, the row maximum taken off."""

    def __init__(self) -> None:
        super().__init__()
        self.fused, self.out = nn.Linear(40, 40 + 10 + 10 + 64), nn.Linear(40, 40)
        self.ff_out = nn.Linear(32, 40)

    def forward(self, x: Tensor) -> Tensor:
        b, n, device = x.shape[0], x.shape[1], x.device
        q, k, v, ff = self.fused(x).split((40, 10, 10, 64), dim=-1)
        q = q.reshape(b, n, 4, 10).permute(0, 2, 1, 3) * 10**-0.5
        sim = torch.einsum("b h i d, b j d -> b h i j", q, k)
        causal_mask = torch.ones((n, n), device=device, dtype=torch.bool).triu(1)
        sim = sim.masked_fill(causal_mask, -torch.finfo(sim.dtype).max)
        sim = sim - sim.amax(dim=-1, keepdim=True).detach()
        out = torch.einsum("b h i j, b j d -> b h i d", sim.softmax(dim=-1), v)
        out = out.permute(0, 2, 1, 3).reshape(b, n, 40)
        gate, ff = ff.chunk(2, dim=-1)[::-1]
        return self.out(out) + self.ff_out(F.silu(gate) * ff)


def _oss(n: int) -> tuple[Any, ...]:
    return random(n, 2, 2, 10), random(n, 2, 10, seed=1), random(n, 2, 10, seed=2), random(4, seed=3)


@style(
    _oss,
    "causal, 2 heads over 1 kv heads, sink logits, scale 0.316228",
    name="gpt_oss_full",
    of={},
    more={"gradients": True},
)
def gpt_oss(Q: Tensor, K: Tensor, V: Tensor, S: Tensor) -> Tensor:
    """openai/gpt-oss: no batch dim, queries [n, heads, members, d], a learned sink behind the last key."""
    return _gpt_oss(Q, K, V, S, 0)


@style(_oss, "sliding window 8, 2 heads over 1 kv heads, sink logits, scale 0.316228")
def gpt_oss_sliding(Q: Tensor, K: Tensor, V: Tensor, S: Tensor) -> Tensor:
    """The same with a window."""
    return _gpt_oss(Q, K, V, S, 8)


def _gpt_oss(Q: Tensor, K: Tensor, V: Tensor, S: Tensor, sliding_window: int) -> Tensor:
    n_tokens, n_heads, q_mult, _ = Q.shape
    K = K[:, :, None, :].expand(-1, -1, q_mult, -1)
    V = V[:, :, None, :].expand(-1, -1, q_mult, -1)
    S = S.reshape(n_heads, q_mult, 1, 1).expand(-1, -1, n_tokens, -1)
    mask = torch.triu(Q.new_full((n_tokens, n_tokens), -float("inf")), diagonal=1)
    if sliding_window > 0:
        mask += torch.tril(mask.new_full((n_tokens, n_tokens), -float("inf")), diagonal=-sliding_window)
    QK = torch.einsum("qhmd,khmd->hmqk", Q, K)
    QK *= 1 / math.sqrt(10)
    QK += mask[None, None, :, :]
    QK = torch.cat([QK, S], dim=-1)
    W = torch.softmax(QK, dim=-1)
    W = W[..., :-1]
    attn = torch.einsum("hmqk,khmd->qhmd", W, V)
    return attn.reshape(n_tokens, -1)


def _cache(n: int) -> tuple[Any, ...]:
    return random(2, 1, 40), random(2, 4, 64, 10), random(2, 4, 64, 10, seed=1), torch.tensor([n])


@style(_cache, "full, key padding, 4 heads, scale 0.316228")
class PreallocatedStep(nn.Module):
    """One token: index_copy_ into the cache, all of it attended, keys behind the position masked."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(40, 120), nn.Linear(40, 40)

    def forward(self, x: Tensor, k_cache: Tensor, v_cache: Tensor, pos: Tensor) -> Tensor:
        q, k, v = self.qkv(x).view(2, 1, 3, 4, 10).permute(2, 0, 3, 1, 4)
        k_cache.index_copy_(2, pos, k)
        v_cache.index_copy_(2, pos, v)
        attn = torch.matmul(q, k_cache.transpose(-2, -1)) / math.sqrt(10)
        attn = attn.masked_fill(torch.arange(64)[None, None, None, :] > pos, float("-inf"))
        return self.proj((attn.softmax(dim=-1) @ v_cache).transpose(1, 2).reshape(2, 1, 40))


def _grouped(n: int) -> tuple[Any, ...]:
    return random(2, 2, 3, n, 10), random(2, 2, n, 10, seed=1), random(2, 2, n, 10, seed=2)


@style(_grouped, "full, 6 heads over 2 kv heads, scale 1")
def grouped_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Grouped queries in a dim of their own, which keys and values lack."""
    weights = torch.einsum("bgmqd,bgkd->bgmqk", q, k).softmax(-1)
    return torch.einsum("bgmqk,bgkd->bgmqd", weights, v)


@style(lambda n: (random(2, n, 4, 10), random(2, 45, 10), random(2, 45, 12)), "full, 4 heads over 1 kv heads, scale 1")
def multi_query_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Shazeer's multi-query attention: keys and values without a head."""
    weights = torch.softmax(torch.einsum("bnhd,bmd->bhnm", q, k), dim=-1)
    return torch.einsum("bhnm,bmv->bnhv", weights, v)
