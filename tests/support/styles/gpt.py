"""Decoders with learned or additive positions: the GPTs people write by hand, and their masks."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .declare import hidden, padded, style, tokens

DROPPED = {"train": True}


@style(hidden(), "causal, 4 heads, scale 0.316228", name="nanogpt_manual", more={"gradients": True})
@style(hidden(), "causal, 4 heads, scale 0.316228", name="nanogpt_flash", of={"flash": True})
@style(hidden(), "causal, 4 heads, dropout 0.1", name="mingpt_training", more=DROPPED)
@style(hidden(), "causal, 4 heads, dropout 0.1", name="nanogpt_flash_training", of={"flash": True}, more=DROPPED)
class CausalSelfAttention(nn.Module):
    """minGPT and nanoGPT: c_attn, split, a tril buffer named bias; or SDPA with is_causal."""

    def __init__(self, flash: bool = False, n_embd: int = 40, n_head: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)
        self.attn_dropout, self.resid_dropout = nn.Dropout(dropout), nn.Dropout(dropout)
        self.n_head, self.n_embd, self.dropout, self.flash = n_head, n_embd, dropout, flash
        if not flash:
            self.register_buffer("bias", torch.tril(torch.ones(64, 64)).view(1, 1, 64, 64))

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(self.n_embd, dim=2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        if self.flash:
            p = self.dropout if self.training else 0
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=None, dropout_p=p, is_causal=True)
        else:
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
            att = F.softmax(att, dim=-1)
            att = self.attn_dropout(att)
            y = att @ v
        y = y.transpose(1, 2).contiguous().view(B, T, C)
        return self.resid_dropout(self.c_proj(y))


class Head(nn.Module):
    """One head of its own."""

    def __init__(self, n_embd: int, head_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)
        self.register_buffer("tril", torch.tril(torch.ones(64, 64)))
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        _, T, C = x.shape
        k, q = self.key(x), self.query(x)
        wei = q @ k.transpose(-2, -1) * C**-0.5
        wei = wei.masked_fill(self.tril[:T, :T] == 0, float("-inf"))
        wei = F.softmax(wei, dim=-1)
        return self.dropout(wei) @ self.value(x)


@style(hidden(), ("causal, 1 heads, scale 0.158114",) * 3)
class HeadsInAList(nn.Module):
    """The lecture "let's build GPT": every head a module, concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([Head(40, 16) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([h(x) for h in self.heads], dim=-1)


@style(
    hidden(),
    "causal, 4 heads, scale 0.316228",
    name="gpt2_one_minus_tril",
)
@style(hidden(), "causal, 4 heads, scale 0.316228", name="gpt1_one_minus_buffer", of={"buffer": True})
class MaskedByArithmetic(nn.Module):
    """GPT and GPT-2 as published: w·b − 1e10·(1 − b)."""

    def __init__(self, buffer: bool = False) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(40, 120), nn.Linear(40, 40)
        self.buffer = buffer
        if buffer:
            self.register_buffer("b", torch.tril(torch.ones(64, 64)).view(1, 1, 64, 64))

    def _mask(self, ns: int, x: Tensor) -> Tensor:
        if self.buffer:
            return self.b[:, :, :ns, :ns]
        i, j = torch.arange(ns, device=x.device)[:, None], torch.arange(ns, device=x.device)
        return (i >= j).to(x.dtype).view(1, 1, ns, ns)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.view(*t.shape[:2], 4, 10).permute(0, 2, 1, 3) for t in self.c_attn(x).split(40, dim=2))
        w = torch.matmul(q, k.permute(0, 1, 3, 2))
        w = w / math.sqrt(v.size(-1))
        b = self._mask(w.size(-1), w)
        w = w * b + -1e10 * (1 - b)
        a = torch.matmul(nn.Softmax(dim=-1)(w), v)
        return self.c_proj(a.permute(0, 2, 1, 3).contiguous().view(x.shape))


@style(padded(), "causal, key padding, 4 heads, scale 0.316228", name="mpt", of={"alibi": False})
@style(padded(), "causal, key padding, bias, 4 heads", name="mpt_alibi")
class MPT(nn.Module):
    """llm-foundry's plain attention: ALiBi bias, padding and a triangle of ones, each filled with finfo.min."""

    def __init__(self, alibi: bool = True) -> None:
        super().__init__()
        self.Wqkv, self.out_proj = nn.Linear(40, 120), nn.Linear(40, 40)
        self.alibi = alibi

    def _alibi(self, seq_len: int, x: Tensor) -> Tensor:
        bias = torch.arange(1 - seq_len, 1, dtype=torch.int32, device=x.device).view(1, 1, 1, seq_len)
        m = torch.arange(1, 5, dtype=torch.float32, device=x.device).mul(8 / 4)
        return bias * (1.0 / torch.pow(2, m.view(1, 4, 1, 1)))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.Wqkv(x).chunk(3, dim=2)
        q = q.reshape(*q.shape[:2], 4, -1).transpose(1, 2)
        k = k.reshape(*k.shape[:2], 4, -1).permute(0, 2, 3, 1)
        v = v.reshape(*v.shape[:2], 4, -1).transpose(1, 2)
        min_val = torch.finfo(q.dtype).min
        s_q, s_k = q.size(-2), k.size(-1)
        attn_weight = q.matmul(k) * (1 / math.sqrt(q.size(-1)))
        if self.alibi:
            attn_weight = attn_weight + self._alibi(s_k, x)
        attn_weight = attn_weight.masked_fill(~mask.view(x.size(0), 1, 1, s_k), min_val)
        s = max(s_q, s_k)
        causal_mask = attn_weight.new_ones(s, s, dtype=torch.float32).tril().to(torch.bool)
        causal_mask = torch.logical_not(causal_mask)[-s_q:, -s_k:]
        attn_weight = attn_weight.masked_fill(causal_mask.view(1, 1, s_q, s_k), min_val)
        out = torch.softmax(attn_weight, dim=-1).to(v.dtype).matmul(v)
        return self.out_proj(out.transpose(1, 2).reshape(x.shape))


@style(
    hidden(),
    "causal, 4 heads, scale 0.316228",
    more={"other_n": 45},
)
class MegatronCoreAttention(nn.Module):
    """Megatron-LM and GPT-NeoX: positions first, baddbmm into an empty buffer, a layer's coefficient, fill −10000."""

    def __init__(self) -> None:
        super().__init__()
        self.query_key_value, self.dense = nn.Linear(40, 120), nn.Linear(40, 40)
        self.np, self.coeff = 4, 3.0

    def forward(self, x: Tensor) -> Tensor:
        hidden_states = x.transpose(0, 1)
        mixed = self.query_key_value(hidden_states)
        mixed = mixed.view(*mixed.shape[:-1], self.np, 30)
        query, key, value = mixed.split(10, dim=-1)
        sk, b, np, hn = key.shape
        size = (b, np, query.size(0), sk)
        query = query.reshape(size[2], b * np, -1)
        key = key.reshape(sk, b * np, -1)
        buffer = torch.empty(b * np, size[2], sk, dtype=query.dtype, device=query.device)
        norm = math.sqrt(hn) * self.coeff
        scores = torch.baddbmm(
            buffer, query.transpose(0, 1), key.transpose(0, 1).transpose(1, 2), beta=0.0, alpha=1.0 / norm
        ).view(*size)
        scores = scores.float() * self.coeff
        mask = torch.triu(torch.ones(1, 1, sk, sk, device=x.device), diagonal=1).bool()
        probs = torch.nn.Softmax(dim=-1)(scores.masked_fill_(mask, -10000.0)).to(x.dtype)
        value = value.reshape(sk, b * np, -1)
        context = torch.bmm(probs.view(b * np, size[2], -1), value.transpose(0, 1))
        context = context.view(*size[:2], size[2], hn).permute(2, 0, 1, 3).contiguous()
        return self.dense(context.view(*context.shape[:-2], 40)).transpose(0, 1)


@style(tokens(), "causal, key padding, 4 heads, scale 1")
class SASRec(nn.Module):
    """Sequential recommendation: item embeddings, nn.MultiheadAttention with ~tril, padding of item 0 set to zero."""

    def __init__(self) -> None:
        super().__init__()
        self.item_emb, self.pos_emb = nn.Embedding(100, 40, padding_idx=0), nn.Embedding(64, 40)
        self.norm, self.attention = nn.LayerNorm(40, eps=1e-8), nn.MultiheadAttention(40, 4, 0.2)

    def forward(self, log_seqs: Tensor) -> Tensor:
        seqs = self.item_emb(log_seqs) * 40**0.5
        seqs = seqs + self.pos_emb(torch.arange(log_seqs.shape[1], device=log_seqs.device))
        timeline_mask = log_seqs == 0
        seqs = seqs * ~timeline_mask.unsqueeze(-1)
        tl = seqs.shape[1]
        attention_mask = ~torch.tril(torch.ones((tl, tl), dtype=torch.bool, device=seqs.device))
        seqs = torch.transpose(seqs, 0, 1)
        Q = self.norm(seqs)
        out, _ = self.attention(Q, seqs, seqs, attn_mask=attention_mask, key_padding_mask=timeline_mask)
        return torch.transpose(Q + out, 0, 1)


def _qkv(n: int) -> tuple[Any, ...]:
    return tuple(torch.randn(2, 4, n, 10, generator=torch.Generator().manual_seed(s)) for s in range(3))


@style(_qkv, "causal, 4 heads, scale 0.316228", more={"other_n": 45})
def arange_compared(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Two aranges compared, where() of the scores."""
    n = q.size(-2)
    query_positions, key_positions = torch.arange(n).view(n, 1), torch.arange(n).view(1, n)
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(q.size(-1))
    scores = torch.where(key_positions > query_positions, float("-inf"), scores)
    return torch.einsum("bhij,bhjd->bhid", scores.softmax(-1), v)


@style(lambda n: (*_qkv(n), torch.tensor([n, n - 7])), "causal, key padding, 4 heads", more={"other_n": 45})
def lengths_to_mask(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor) -> Tensor:
    """sequence_mask(lengths) joined with a subsequent mask, both inverted on the way."""
    n = q.size(2)
    padding = torch.arange(n)[None, :] >= lengths[:, None]
    future = torch.triu(torch.ones(n, n), diagonal=1).type(torch.bool)
    mask = padding[:, None, None, :] | future[None, None]
    scores = torch.matmul(q, k.transpose(2, 3)) / q.size(-1) ** 0.5
    return F.softmax(scores.masked_fill(mask, -1e9), dim=-1).matmul(v)
