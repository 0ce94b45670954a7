"""x-transformers and other research kits: many options on one attention; approximations of attention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .declare import hidden, image, padded, random, style


def _merged(out: Tensor) -> Tensor:
    return out.permute(0, 2, 1, 3).reshape(out.shape[0], out.shape[2], -1)


@style(
    padded(),
    "causal, key padding, 4 heads, scale 0.316228",
    name="x_plain",
    more={"gradients": True, "other_n": 45},
)
@style(padded(), "causal, key padding, bias, 4 heads, scale 0.316228", name="x_alibi", of={"alibi": True})
@style(padded(), "causal, key padding, 4 heads, scale 1", name="x_cosine", of={"cosine": True})
@style(padded(), "causal with offset 3, key padding, 4 heads", name="x_memory", of={"memory": 3})
@style(padded(), "causal, key padding, 4 heads over 1 kv heads", name="x_one_kv", of={"kv_heads": 1})
@style(padded(), codes="no_query_key_product", name="x_talking_before", of={"talking": "pre"})
@style(padded(), codes="probabilities_changed", name="x_talking_after", of={"talking": "post"})
@style(padded(), codes="unsupported_score", name="x_sparse_topk", of={"topk": 5})
class XAttention(nn.Module):
    """lucidrains/x-transformers' Attend and Attention, in einsums."""

    def __init__(
        self, alibi: bool = False, cosine: bool = False, memory: int = 0, kv_heads: int = 4, talking: str = "",
        topk: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(40, n, bias=False) for n in (40, kv_heads * 10, kv_heads * 10))
        self.to_out = nn.Linear(40, 40, bias=False)
        self.kv_heads, self.topk = kv_heads, topk
        self.qk_norm_scale = nn.Parameter(torch.ones(4, 1, 1)) if cosine else None
        self.mem_k = nn.Parameter(torch.randn(4, memory, 10)) if memory else None
        self.mem_v = nn.Parameter(torch.randn(4, memory, 10)) if memory else None
        self.pre = nn.Conv2d(4, 4, 1, bias=False) if talking == "pre" else None
        self.post = nn.Conv2d(4, 4, 1, bias=False) if talking == "post" else None
        slopes = torch.tensor([2.0 ** (-2 * k) for k in range(1, 5)]).view(4, 1, 1)
        self.register_buffer("slopes", slopes if alibi else None)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        q = q.reshape(b, n, 4, -1).permute(0, 2, 1, 3)
        if self.kv_heads > 1:
            k, v = (t.reshape(b, n, self.kv_heads, -1).permute(0, 2, 1, 3) for t in (k, v))
        input_mask = mask[:, None, None, :]
        if self.mem_k is not None:
            mem_k, mem_v = (t[None].expand(b, -1, -1, -1) for t in (self.mem_k, self.mem_v))
            k, v = torch.cat((mem_k, k), dim=-2), torch.cat((mem_v, v), dim=-2)
            input_mask = F.pad(input_mask, (self.mem_k.shape[-2], 0), value=True)
        scale = 10**-0.5
        if self.qk_norm_scale is not None:
            q, k = F.normalize(q, p=2, dim=-1), F.normalize(k, p=2, dim=-1)
            q, scale = q * self.qk_norm_scale, 1.0
        kv_einsum_eq = "b j d" if k.ndim == 3 else "b h j d"
        sim = torch.einsum(f"b h i d, {kv_einsum_eq} -> b h i j", q, k) * scale
        i, j = sim.shape[-2:]
        mask_value = -torch.finfo(sim.dtype).max
        if self.pre is not None:
            sim = self.pre(sim)
        if self.slopes is not None:
            seq_arange, context_arange = torch.arange(j - i, j), torch.arange(j)
            sim = sim - self.slopes * (context_arange[None, None, :] - seq_arange[None, :, None]).abs()
        sim = sim.masked_fill(~input_mask, mask_value)
        causal_mask = torch.ones((i, j), dtype=torch.bool, device=x.device).triu(j - i + 1)
        sim = sim.masked_fill(causal_mask, mask_value)
        if self.topk:
            top, _ = sim.topk(self.topk, dim=-1)
            sim = sim.masked_fill(sim < top[..., -1:], mask_value)
        attn = F.softmax(sim, dim=-1, dtype=torch.float32).type(sim.dtype)
        if self.post is not None:
            attn = self.post(attn)
        out = torch.einsum(f"b h i j, {kv_einsum_eq} -> b h i d", attn, v)
        return self.to_out(_merged(out))


@style(hidden(), "full, 4 heads, scale 0.316228")
class Linformer(nn.Module):
    """Linformer: keys and values projected along the positions to 16 rows."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = nn.Linear(40, 40), nn.Linear(40, 40), nn.Linear(40, 40)
        self.proj_k, self.proj_v = nn.Parameter(torch.zeros(31, 16)), nn.Parameter(torch.zeros(31, 16))

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        keys = torch.einsum("bnd,nk->bkd", self.to_k(x), self.proj_k)
        values = torch.einsum("bnd,nk->bkd", self.to_v(x), self.proj_v)
        queries = self.to_q(x).reshape(b, n, 4, -1).transpose(1, 2)
        keys, values = (t.reshape(b, 16, -1, 10).transpose(1, 2).expand(-1, 4, -1, -1) for t in (keys, values))
        attn = (torch.einsum("bhnd,bhkd->bhnk", queries, keys) * 10**-0.5).softmax(dim=-1)
        return torch.einsum("bhnk,bhkd->bhnd", attn, values).transpose(1, 2).reshape(b, n, -1)


@style(hidden(), ("full, 4 heads", "full, 4 heads"), "probabilities_escape", more={"n": 32, "tolerance": 2e-4})
class Nystromformer(nn.Module):
    """Three softmaxes: the outer two are attention (one with a pseudo-inverse as values), the middle one is not."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(40, 120)

    def iterative_inv(self, mat: Tensor) -> Tensor:
        K = mat
        identity = torch.eye(mat.size(-1)).expand_as(mat)
        V = 1 / torch.max(torch.sum(K, dim=-2), dim=-1).values[:, :, None, None] * K.transpose(-1, -2)
        for _ in range(2):
            KV = torch.matmul(K, V)
            V = torch.matmul(
                0.25 * V, 13 * identity - torch.matmul(KV, 15 * identity - torch.matmul(KV, 7 * identity - KV))
            )
        return V

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        Q, K, V = self.qkv(x).view(b, n, 3, 4, 10).permute(2, 0, 3, 1, 4)
        Q, K = Q / math.sqrt(math.sqrt(10)), K / math.sqrt(math.sqrt(10))
        Q_landmarks = Q.reshape(b, 4, 8, n // 8, 10).mean(dim=-2)
        K_landmarks = K.reshape(b, 4, 8, n // 8, 10).mean(dim=-2)
        kernel_1 = F.softmax(torch.matmul(Q, K_landmarks.transpose(-1, -2)), dim=-1)
        kernel_2 = F.softmax(torch.matmul(Q_landmarks, K_landmarks.transpose(-1, -2)), dim=-1)
        kernel_3 = F.softmax(torch.matmul(Q_landmarks, K.transpose(-1, -2)), dim=-1)
        X = torch.matmul(torch.matmul(kernel_1, self.iterative_inv(kernel_2)), torch.matmul(kernel_3, V))
        return X.transpose(1, 2).reshape(b, n, 40)


@style(
    lambda n: (random(2, n, 40), random(2, 13, 40, seed=1)),
    "full, bias, 1 heads, scale 1",
    "no_query_key_product",
)
class BiDAF(nn.Module):
    """Trilinear similarity in three parts; attention to the question, and from it through both softmaxes."""

    def __init__(self) -> None:
        super().__init__()
        self.c_weight, self.q_weight = nn.Parameter(torch.zeros(40, 1)), nn.Parameter(torch.zeros(40, 1))
        self.cq_weight = nn.Parameter(torch.zeros(1, 1, 40))

    def forward(self, c: Tensor, q: Tensor) -> Tensor:
        c_len, q_len = c.size(1), q.size(1)
        s0 = torch.matmul(c, self.c_weight).expand([-1, -1, q_len])
        s1 = torch.matmul(q, self.q_weight).transpose(1, 2).expand([-1, c_len, -1])
        s2 = torch.matmul(c * self.cq_weight, q.transpose(1, 2))
        s = s0 + s1 + s2
        a = torch.bmm(F.softmax(s, dim=2), q)
        b = torch.bmm(F.softmax(s.max(dim=2).values, dim=1).unsqueeze(1), c)
        return torch.cat([c, a, c * a, c * b], dim=2)


@style(
    hidden(),
    name="linear_attention",
)
class EfficientAttention(nn.Module):
    """Linear attention: softmax of the queries over features, of the keys over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.to_qkv, self.to_out = nn.Linear(40, 120), nn.Linear(40, 40)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.reshape(*t.shape[:2], 4, 10).permute(0, 2, 1, 3) for t in self.to_qkv(x).chunk(3, dim=-1))
        q, k = q.softmax(dim=-1) * 10**-0.5, k.softmax(dim=-2)
        context = torch.einsum("bhnd,bhne->bhde", k, v)
        return self.to_out(_merged(torch.einsum("bhnd,bhde->bhne", q, context)))


@style(
    image(),
    name="ddpm_linear_attention",
)
class LinearPixelAttention(nn.Module):
    """The same over pixels, channels first, as in denoising-diffusion-pytorch."""

    def __init__(self) -> None:
        super().__init__()
        self.to_qkv, self.to_out = nn.Conv2d(40, 120, 1, bias=False), nn.Conv2d(40, 40, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        q, k, v = (t.reshape(b, 4, 10, h * w) for t in self.to_qkv(x).chunk(3, dim=1))
        q, k = q.softmax(dim=-2) * 10**-0.5, k.softmax(dim=-1)
        context = torch.einsum("b h d n, b h e n -> b h d e", k, v / (h * w))
        return self.to_out(torch.einsum("b h d e, b h d n -> b h e n", context, q).reshape(b, 40, h, w))


@style(hidden(), "full, 4 heads over 1 kv heads, scale 1")
class SoftMixture(nn.Module):
    """Soft MoE: one product, softmax over tokens (attention of the slots), then over slots."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = nn.Parameter(torch.randn(4, 3, 40))
        self.experts = nn.Parameter(torch.randn(4, 40, 40))

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.einsum("b n d, e s d -> b n e s", x, self.slots)
        dispatch = logits.softmax(dim=1)
        combine = logits.reshape(*x.shape[:2], -1).softmax(dim=-1)
        slots = torch.einsum("b n d, b n e s -> b e s d", x, dispatch)
        out = torch.einsum("b e s d, e d f -> b e s f", slots, self.experts).reshape(x.shape[0], 12, 40)
        return torch.einsum("b s d, b n s -> b n d", out, combine)
