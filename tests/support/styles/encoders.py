"""Encoders, seq2seq and speech: sums of two products, padding by view, heads folded into the batch."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .declare import crossed, hidden, padded, random, style, tokens


@style(padded(), codes="probabilities_escape", name="annotated_kept", of={"keep": True})
@style(padded(), "key padding, 4 heads, scale 0.316228", name="annotated_transformer")
class AnnotatedAttention(nn.Module):
    """The Annotated Transformer: four clones of a linear, −1e9; the original keeps the weights in self.attn."""

    def __init__(self, keep: bool = False) -> None:
        super().__init__()
        self.d_k, self.h, self.keep = 10, 4, keep
        self.linears = nn.ModuleList([nn.Linear(40, 40) for _ in range(4)])
        self.attn: Tensor | None = None
        self.dropout = nn.Dropout(p=0.1)

    def attention(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        d_k = query.size(-1)
        scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(d_k)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        p_attn = scores.softmax(dim=-1)
        p_attn = self.dropout(p_attn)
        return torch.matmul(p_attn, value), p_attn

    def forward(self, x: Tensor, src_mask: Tensor) -> Tensor:
        mask = src_mask.unsqueeze(-2).unsqueeze(1)
        nbatches = x.size(0)
        query, key, value = (
            lin(t).view(nbatches, -1, self.h, self.d_k).transpose(1, 2)
            for lin, t in zip(self.linears, (x, x, x), strict=False)
        )
        x, p_attn = self.attention(query, key, value, mask)
        if self.keep:
            self.attn = p_attn
        x = x.transpose(1, 2).contiguous().view(nbatches, -1, self.h * self.d_k)
        return self.linears[-1](x)


@style(
    tokens(),
    ("causal, key padding, 4 heads", "full, key padding, 4 heads"),
)
class AnnotatedDecoderLayer(nn.Module):
    """Its decoder layer: (tgt != pad) & subsequent_mask, then cross attention with the source's padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 40)
        self.self_attn, self.src_attn = AnnotatedAttention(), AnnotatedAttention()

    def forward(self, ids: Tensor) -> Tensor:
        memory, tgt = self.embed(ids) * math.sqrt(40), ids[:, :-2]
        tgt_mask = (tgt != 0).unsqueeze(-2)
        shape = (1, tgt.size(-1), tgt.size(-1))
        subsequent = torch.triu(torch.ones(shape), diagonal=1).type(torch.uint8) == 0
        tgt_mask = tgt_mask & subsequent.type_as(tgt_mask)
        x = self.embed(tgt) * math.sqrt(40)
        x = x + self._attend(self.self_attn, x, x, tgt_mask)
        return x + self._attend(self.src_attn, x, memory, (ids != 0).unsqueeze(-2))

    def _attend(self, module: AnnotatedAttention, x: Tensor, m: Tensor, mask: Tensor) -> Tensor:
        heads = [lin(t).view(2, -1, 4, 10).transpose(1, 2) for lin, t in zip(module.linears, (x, m, m), strict=False)]
        out, _ = module.attention(*heads, mask.unsqueeze(1))
        return module.linears[-1](out.transpose(1, 2).contiguous().view(2, -1, 40))


@style(tokens(), "full, key padding, 4 heads, scale 0.316228")
class BertPytorch(nn.Module):
    """codertimo's BERT: a [B, 1, n, n] mask repeated from the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(100, 40, padding_idx=0)
        self.linear_layers = nn.ModuleList([nn.Linear(40, 40) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        mask = (x > 0).unsqueeze(1).repeat(1, x.size(1), 1).unsqueeze(1)
        e = self.token(x)
        query, key, value = (lin(e).view(x.size(0), -1, 4, 10).transpose(1, 2) for lin in self.linear_layers)
        scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(query.size(-1))
        scores = scores.masked_fill(mask == 0, -1e9)
        p_attn = F.softmax(scores, dim=-1)
        return torch.matmul(p_attn, value).transpose(1, 2).contiguous().view(x.size(0), -1, 40)


@style(padded(), "key padding, 4 heads, scale 1", name="fairseq_encoder", more={"gradients": True})
@style(
    padded(),
    "causal, key padding, 4 heads, scale 1",
    name="fairseq_decoder",
    of={"causal": True},
)
class FairseqAttention(nn.Module):
    """fairseq: time first, heads in the batch, bmm, padding by view, softmax in float32, type_as."""

    def __init__(self, causal: bool = False) -> None:
        super().__init__()
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(40, 40) for _ in range(4))
        self.num_heads, self.head_dim, self.causal = 4, 10, causal
        self.scaling = self.head_dim**-0.5

    def forward(self, x: Tensor, tokens_: Tensor) -> Tensor:
        query = x.transpose(0, 1)
        key_padding_mask = ~tokens_
        tgt_len, bsz, embed_dim = query.size()
        q, k, v = self.q_proj(query), self.k_proj(query), self.v_proj(query)
        q *= self.scaling
        q = q.contiguous().view(tgt_len, bsz * self.num_heads, self.head_dim).transpose(0, 1)
        k = k.contiguous().view(-1, bsz * self.num_heads, self.head_dim).transpose(0, 1)
        v = v.contiguous().view(-1, bsz * self.num_heads, self.head_dim).transpose(0, 1)
        src_len = k.size(1)
        attn_weights = torch.bmm(q, k.transpose(1, 2))
        if self.causal:
            future = torch.triu(torch.zeros([tgt_len, tgt_len]).float().fill_(float("-inf")), 1)
            attn_weights += future.unsqueeze(0)
        attn_weights = attn_weights.view(bsz, self.num_heads, tgt_len, src_len)
        attn_weights = attn_weights.masked_fill(
            key_padding_mask.unsqueeze(1).unsqueeze(2).to(torch.bool), float("-inf")
        )
        attn_weights = attn_weights.view(bsz * self.num_heads, tgt_len, src_len)
        attn_weights_float = F.softmax(attn_weights, dim=-1, dtype=torch.float32)
        attn_probs = F.dropout(attn_weights_float.type_as(attn_weights), p=0.1, training=self.training)
        attn = torch.bmm(attn_probs, v)
        attn = attn.transpose(0, 1).contiguous().view(tgt_len, bsz, embed_dim)
        return self.out_proj(attn).transpose(0, 1)


@style(hidden(), "full, bias, 4 heads, scale 1", name="t5_encoder", more={"other_n": 45})
@style(hidden(), "causal, bias, 4 heads, scale 1", name="t5_decoder", of={"bidirectional": False})
class T5RelativeBias(nn.Module):
    """tensor2tensor and T5: relative positions in logarithmic buckets, no scale."""

    def __init__(self, bidirectional: bool = True) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(40, 40, bias=False) for _ in range(4))
        self.relative_attention_bias = nn.Embedding(32, 4)
        self.bidirectional = bidirectional

    def _bucket(self, relative_position: Tensor, num_buckets: int = 32, max_distance: int = 128) -> Tensor:
        ret = 0
        n = -relative_position
        if self.bidirectional:
            num_buckets //= 2
            ret += (n < 0).to(torch.long) * num_buckets
            n = torch.abs(n)
        else:
            n = torch.max(n, torch.zeros_like(n))
        max_exact = num_buckets // 2
        is_small = n < max_exact
        large = max_exact + (
            torch.log(n.float() / max_exact) / math.log(max_distance / max_exact) * (num_buckets - max_exact)
        ).to(torch.long)
        large = torch.min(large, torch.full_like(large, num_buckets - 1))
        return ret + torch.where(is_small, n, large)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = (p(x).view(b, n, 4, 10).transpose(1, 2) for p in (self.q, self.k, self.v))
        scores = torch.einsum("bnqd,bnkd->bnqk", q, k)
        context_position, memory_position = torch.arange(n)[:, None], torch.arange(n)[None, :]
        values = self.relative_attention_bias(self._bucket(memory_position - context_position))
        scores += values.permute([2, 0, 1]).unsqueeze(0)
        if not self.bidirectional:
            scores = scores + (memory_position > context_position).to(x.dtype) * -1e9
        weights = F.softmax(scores.float(), dim=-1).type_as(scores)
        return self.o(torch.matmul(weights, v).transpose(1, 2).contiguous().view(b, -1, 40))


@style(
    lambda n: (random(n, 2, 40), random(7, 2, 40, seed=1)),
    "causal with offset 7, bias, 4 heads",
    more={"other_n": 45},
)
class TransformerXL(nn.Module):
    """kimiyoung's: AC + BD by einsum into [i, j, b, n], _rel_shift, softmax over dim 1, a memory in front."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv_net, self.r_net, self.o_net = nn.Linear(40, 120), nn.Linear(40, 40), nn.Linear(40, 40)
        self.r_w_bias, self.r_r_bias = nn.Parameter(torch.zeros(4, 10)), nn.Parameter(torch.zeros(4, 10))

    def _rel_shift(self, x: Tensor) -> Tensor:
        zero_pad = torch.zeros((x.size(0), 1, *x.size()[2:]), device=x.device, dtype=x.dtype)
        x_padded = torch.cat([zero_pad, x], dim=1)
        x_padded = x_padded.view(x.size(1) + 1, x.size(0), *x.size()[2:])
        return x_padded[1:].view_as(x)

    def forward(self, w: Tensor, mems: Tensor) -> Tensor:
        qlen, bsz = w.size(0), w.size(1)
        cat = torch.cat([mems, w], 0)
        klen = cat.size(0)
        w_head_q, w_head_k, w_head_v = torch.chunk(self.qkv_net(cat), 3, dim=-1)
        pos_seq = torch.arange(klen - 1, -1, -1.0)
        inv_freq = 1 / (10000 ** (torch.arange(0.0, 40, 2.0) / 40))
        sinusoid = torch.outer(pos_seq, inv_freq)
        r_head_k = self.r_net(torch.cat([sinusoid.sin(), sinusoid.cos()], dim=-1)).view(klen, 4, 10)
        w_head_q = w_head_q[-qlen:].view(qlen, bsz, 4, 10)
        w_head_k, w_head_v = w_head_k.view(klen, bsz, 4, 10), w_head_v.view(klen, bsz, 4, 10)
        AC = torch.einsum("ibnd,jbnd->ijbn", w_head_q + self.r_w_bias, w_head_k)
        BD = self._rel_shift(torch.einsum("ibnd,jnd->ijbn", w_head_q + self.r_r_bias, r_head_k))
        attn_score = AC + BD
        attn_score.mul_(1 / (10**0.5))
        dec_attn_mask = torch.triu(w.new_ones(qlen, klen), diagonal=1 + klen - qlen).bool()[:, :, None]
        attn_score = attn_score.float().masked_fill(dec_attn_mask[:, :, :, None], -float("inf")).type_as(attn_score)
        attn_prob = F.softmax(attn_score, dim=1)
        attn_vec = torch.einsum("ijbn,jbnd->ibnd", attn_prob, w_head_v)
        return self.o_net(attn_vec.contiguous().view(qlen, bsz, 40))


@style(
    hidden(), "full, bias, 4 heads, scale 0.316228", name="conformer", of={"masked": False}, more={"gradients": True}
)
@style(
    padded(),
    "key padding, bias, 4 heads",
    name="espnet_rel",
)
@style(padded(), codes="probabilities_escape", name="espnet_kept", of={"keep": True})  # fmt: skip
class RelPositionAttention(nn.Module):
    """ESPnet, WeNet and Conformer: pos_bias_u, pos_bias_v, rel_shift of 2n − 1 positions, masked after softmax too."""

    def __init__(self, masked: bool = True, keep: bool = False) -> None:
        super().__init__()
        self.linear_q, self.linear_k, self.linear_v, self.linear_out = (nn.Linear(40, 40) for _ in range(4))
        self.linear_pos = nn.Linear(40, 40, bias=False)
        self.pos_bias_u, self.pos_bias_v = nn.Parameter(torch.zeros(4, 10)), nn.Parameter(torch.zeros(4, 10))
        self.register_buffer("pe", random(1, 61, 40))
        self.masked, self.keep = masked, keep
        self.attn: Tensor | None = None

    def rel_shift(self, x: Tensor) -> Tensor:
        zero_pad = torch.zeros((*x.size()[:3], 1), device=x.device, dtype=x.dtype)
        x_padded = torch.cat([zero_pad, x], dim=-1)
        x_padded = x_padded.view(*x.size()[:2], x.size(3) + 1, x.size(2))
        return x_padded[:, :, 1:].view_as(x)[:, :, :, : x.size(-1) // 2 + 1]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        n_batch = x.size(0)
        q = self.linear_q(x).view(n_batch, -1, 4, 10)
        k = self.linear_k(x).view(n_batch, -1, 4, 10).transpose(1, 2)
        v = self.linear_v(x).view(n_batch, -1, 4, 10).transpose(1, 2)
        p = self.linear_pos(self.pe).view(1, -1, 4, 10).transpose(1, 2)
        q_with_bias_u = (q + self.pos_bias_u).transpose(1, 2)
        q_with_bias_v = (q + self.pos_bias_v).transpose(1, 2)
        matrix_ac = torch.matmul(q_with_bias_u, k.transpose(-2, -1))
        matrix_bd = self.rel_shift(torch.matmul(q_with_bias_v, p.transpose(-2, -1)))
        scores = (matrix_ac + matrix_bd) / math.sqrt(10)
        if mask is not None and self.masked:
            mask = mask.unsqueeze(1).unsqueeze(1).eq(0)
            scores = scores.masked_fill(mask, torch.finfo(scores.dtype).min)
            attn = torch.softmax(scores, dim=-1).masked_fill(mask, 0.0)
        else:
            attn = torch.softmax(scores, dim=-1)
        if self.keep:
            self.attn = attn
        out = torch.matmul(attn, v).transpose(1, 2).contiguous().view(n_batch, -1, 40)
        return self.linear_out(out)


@style(hidden(), "causal, bias, 4 heads, scale 0.316228")
class MusicTransformer(nn.Module):
    """The skew: Q·Eᵀ padded by a column, reshaped, the first row dropped; added to QKᵀ."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.value, self.query = (nn.Linear(40, 40) for _ in range(3))
        self.Er = nn.Parameter(torch.randn(64, 10))

    def skew(self, QEr: Tensor) -> Tensor:
        padded_ = F.pad(QEr, (1, 0))
        batch_size, num_heads, num_rows, num_cols = padded_.shape
        return padded_.reshape(batch_size, num_heads, num_cols, num_rows)[:, :, 1:, :]

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        k_t = self.key(x).reshape(b, n, 4, -1).permute(0, 2, 3, 1)
        v, q = (lin(x).reshape(b, n, 4, -1).transpose(1, 2) for lin in (self.value, self.query))
        Srel = self.skew(torch.matmul(q, self.Er[64 - n :, :].transpose(0, 1)))
        attn = (torch.matmul(q, k_t) + Srel) / math.sqrt(q.size(-1))
        mask = torch.tril(torch.ones(n, n)).unsqueeze(0).unsqueeze(0)
        attn = attn.masked_fill(mask == 0, float("-inf"))
        return torch.matmul(F.softmax(attn, dim=-1), v).transpose(1, 2).reshape(b, n, -1)


@style(hidden(), "bias, 4 heads")
class DisentangledAttention(nn.Module):
    """DeBERTa as published: heads in the batch, content-to-position scores picked by gather, added."""

    def __init__(self) -> None:
        super().__init__()
        self.query_proj, self.key_proj, self.value_proj, self.pos_key = (nn.Linear(40, 40) for _ in range(4))
        self.rel = nn.Embedding(32, 40)

    def _heads(self, x: Tensor) -> Tensor:
        x = x.view(*x.size()[:-1], 4, -1).permute(0, 2, 1, 3).contiguous()
        return x.view(-1, x.size(-2), x.size(-1))

    def forward(self, x: Tensor) -> Tensor:
        n = x.size(1)
        query, key, value = (self._heads(p(x)) for p in (self.query_proj, self.key_proj, self.value_proj))
        scale = 1 / math.sqrt(query.size(-1) * 2)
        scores = torch.bmm(query, key.transpose(-1, -2) * scale)
        pos_key = self._heads(self.pos_key(self.rel.weight).unsqueeze(0)).repeat(x.size(0), 1, 1)
        c2p = torch.bmm(query, pos_key.transpose(-1, -2) * scale)
        relative = torch.arange(n)[:, None] - torch.arange(n)[None, :]
        c2p_pos = torch.clamp(relative + 16, 0, 31).unsqueeze(0).expand(query.size(0), n, n)
        scores = scores + torch.gather(c2p, dim=-1, index=c2p_pos)
        probs = torch.softmax((scores - scores.max(dim=-1, keepdim=True).values).view(-1, 4, n, n), -1)
        context = torch.bmm(probs.view(-1, n, n), value)
        return context.view(-1, 4, n, 10).permute(0, 2, 1, 3).contiguous().view(x.size(0), n, -1)


@style(hidden(), "causal, 4 heads, scale 1", name="whisper_self", of={"masked": True})
@style(crossed(40, 40), "full, 4 heads, scale 1", name="whisper_cross")
class WhisperAttention(nn.Module):
    """openai/whisper: q and k each times d^−¼, mask[:n, :n] added, softmax of float, scores returned detached."""

    def __init__(self, masked: bool = False) -> None:
        super().__init__()
        self.query, self.value, self.out = (nn.Linear(40, 40) for _ in range(3))
        self.key = nn.Linear(40, 40, bias=False)
        self.register_buffer("mask", torch.empty(64, 64).fill_(-math.inf).triu_(1) if masked else None)

    def qkv_attention(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        _, n_ctx, n_state = q.shape
        scale = (n_state // 4) ** -0.25
        q = q.view(*q.shape[:2], 4, -1).permute(0, 2, 1, 3)
        k = k.view(*k.shape[:2], 4, -1).permute(0, 2, 1, 3)
        v = v.view(*v.shape[:2], 4, -1).permute(0, 2, 1, 3)
        qk = (q * scale) @ (k * scale).transpose(-1, -2)
        if mask is not None:
            qk = qk + mask[:n_ctx, :n_ctx]
        qk = qk.float()
        w = F.softmax(qk, dim=-1).to(q.dtype)
        return (w @ v).permute(0, 2, 1, 3).flatten(start_dim=2), qk.detach()

    def forward(self, x: Tensor, xa: Tensor | None = None) -> Tensor:
        source = x if xa is None else xa
        wv, _ = self.qkv_attention(self.query(x), self.key(source), self.value(source), self.mask)
        return self.out(wv)


@style(crossed(), "full, 1 heads, scale 1")
class SeqToSeqAttention(nn.Module):
    """IBM's seq2seq: bmm of decoder and encoder states, softmax over view(−1, n), tanh of the mix."""

    def __init__(self) -> None:
        super().__init__()
        self.linear_in, self.linear_out = nn.Linear(24, 40), nn.Linear(80, 40)

    def forward(self, output: Tensor, encoded: Tensor) -> Tensor:
        context = self.linear_in(encoded)
        batch_size, hidden_size, input_size = output.size(0), output.size(2), context.size(1)
        attn = torch.bmm(output, context.transpose(1, 2))
        attn = F.softmax(attn.view(-1, input_size), dim=1).view(batch_size, -1, input_size)
        combined = torch.cat((torch.bmm(attn, context), output), dim=2)
        return torch.tanh(self.linear_out(combined.view(-1, 2 * hidden_size))).view(batch_size, -1, hidden_size)


def _series(n: int) -> tuple[Any, ...]:
    return random(2, n, 40), random(2, 45, 40, seed=1)


@style(hidden(), "causal, 4 heads, scale 0.316228", name="informer_self", more={"other_n": 45})
@style(_series, "full, 4 heads, scale 0.316228", name="informer_cross")
class InformerFullAttention(nn.Module):
    """Informer, Autoformer and what came after: [B, L, H, E] by einsum, masked in place, scaled inside the softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(40, 40) for _ in range(4))
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, cross: Tensor | None = None) -> Tensor:
        memory = x if cross is None else cross
        B, L, _ = x.shape
        queries = self.query(x).view(B, L, 4, -1)
        keys, values = (p(memory).view(B, memory.size(1), 4, -1) for p in (self.key, self.value))
        scale = 1.0 / math.sqrt(queries.size(-1))
        scores = torch.einsum("blhe,bshe->bhls", queries, keys)
        if cross is None:
            mask = torch.triu(torch.ones([B, 1, L, L], dtype=torch.bool), diagonal=1)
            scores.masked_fill_(mask, -math.inf)
        A = self.dropout(torch.softmax(scale * scores, dim=-1))
        V = torch.einsum("bhls,bshd->blhd", A, values).contiguous()
        return self.out(V.view(B, L, -1))
