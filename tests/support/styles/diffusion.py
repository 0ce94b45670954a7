"""Diffusion: cross attention in U-Nets, attention over the pixels of a feature map, joint streams."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .declare import crossed, hidden, image, padded, random, style, with_more


@style(crossed(), "full, 4 heads, scale 0.316228", name="stable_diffusion", more={"other_n": 45})
@style(
    with_more(crossed(), lambda n: torch.arange(17)[None, :] < torch.tensor([[17], [11]])),
    "full, key padding, 4 heads, scale 0.316228",
    name="stable_diffusion_masked",
)
class CrossAttention(nn.Module):
    """CompVis: b n (h d) -> (b h) n d, einsum 'b i d, b j d -> b i j', a mask repeated for each head."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(n, 40, bias=False) for n in (40, 24, 24))
        self.to_out = nn.Sequential(nn.Linear(40, 40), nn.Dropout(0.0))

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        h = 4
        q, k, v = self.to_q(x), self.to_k(context), self.to_v(context)
        b = q.shape[0]
        q, k, v = (
            t.reshape(b, t.shape[1], h, t.shape[2] // h).permute(0, 2, 1, 3).reshape(b * h, t.shape[1], -1)
            for t in (q, k, v)
        )
        sim = torch.einsum("b i d, b j d -> b i j", q, k) * 10**-0.5
        if mask is not None:
            mask = mask.reshape(b, -1)
            max_neg_value = -torch.finfo(sim.dtype).max
            mask = mask[:, None, None, :].expand(b, h, 1, -1).reshape(b * h, 1, -1)
            sim.masked_fill_(~mask, max_neg_value)
        attn = sim.softmax(dim=-1)
        out = torch.einsum("b i j, b j d -> b i d", attn, v)
        out = out.reshape(b, h, -1, 10).permute(0, 2, 1, 3).reshape(b, -1, h * 10)
        return self.to_out(out)


@style(crossed(), "full, 4 heads, scale 0.316228", name="diffusers_processor")
@style(
    crossed(), "full, 4 heads, scale 0.316228", name="diffusers_autocast", more={"autocast": True, "tolerance": 2e-2}
)
class AttnProcessor(nn.Module):
    """diffusers: head_to_batch_dim, baddbmm into an empty tensor with beta=0, upcast softmax, residual rescaled."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(n, 40) for n in (40, 24, 24, 40))

    def head_to_batch_dim(self, tensor: Tensor) -> Tensor:
        batch_size, seq_len, dim = tensor.shape
        tensor = tensor.reshape(batch_size, seq_len, 4, dim // 4).permute(0, 2, 1, 3)
        return tensor.reshape(batch_size * 4, seq_len, dim // 4)

    def get_attention_scores(self, query: Tensor, key: Tensor) -> Tensor:
        dtype = query.dtype
        empty = torch.empty(query.shape[0], query.shape[1], key.shape[1], dtype=query.dtype, device=query.device)
        scores = torch.baddbmm(empty, query, key.transpose(-1, -2), beta=0, alpha=10**-0.5)
        del empty
        return scores.float().softmax(dim=-1).to(dtype)

    def forward(self, hidden_states: Tensor, context: Tensor) -> Tensor:
        query, key, value = (
            self.head_to_batch_dim(p) for p in (self.to_q(hidden_states), self.to_k(context), self.to_v(context))
        )
        out = torch.bmm(self.get_attention_scores(query, key), value)
        batch_size, seq_len, dim = out.shape
        out = out.reshape(batch_size // 4, 4, seq_len, dim).permute(0, 2, 1, 3).reshape(batch_size // 4, seq_len, -1)
        return (self.to_out(out) + hidden_states) / 1.5


@style(image(), "full, 1 heads, scale 0.158114", more={"gradients": True})
class AttnBlock(nn.Module):
    """The VAE's attention: 1×1 convolutions, bmm over pixels, values times the transposed weights."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, 40)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(40, 40, kernel_size=1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h_ = self.norm(x)
        q, k, v = self.q(h_), self.k(h_), self.v(h_)
        b, c, h, w = q.shape
        q = q.reshape(b, c, h * w).permute(0, 2, 1)
        k = k.reshape(b, c, h * w)
        w_ = torch.bmm(q, k)
        w_ = w_ * (int(c) ** (-0.5))
        w_ = torch.nn.functional.softmax(w_, dim=2)
        v = v.reshape(b, c, h * w)
        w_ = w_.permute(0, 2, 1)
        h_ = torch.bmm(v, w_).reshape(b, c, h, w)
        return x + self.proj_out(h_)


@style(image(), "full, 4 heads, scale 1")
class QKVAttentionLegacy(nn.Module):
    """guided-diffusion: heads before q, k and v in one convolution, channels first, both scaled by d^−¼."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.proj_out = nn.GroupNorm(4, 40), nn.Conv1d(40, 120, 1), nn.Conv1d(40, 40, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, *spatial = x.shape
        x = x.reshape(b, c, -1)
        qkv = self.qkv(self.norm(x))
        bs, width, length = qkv.shape
        ch = width // (3 * 4)
        q, k, v = qkv.reshape(bs * 4, ch * 3, length).split(ch, dim=1)
        scale = 1 / math.sqrt(math.sqrt(ch))
        weight = torch.einsum("bct,bcs->bts", q * scale, k * scale)
        weight = torch.softmax(weight.float(), dim=-1).type(weight.dtype)
        a = torch.einsum("bts,bcs->bct", weight, v)
        return (x + self.proj_out(a.reshape(bs, -1, length))).reshape(b, c, *spatial)


@style(image(), "full, 4 heads, scale 1")
class EDMAttention(nn.Module):
    """EDM: n c q, n c k -> n q k in float32, k divided by √c, heads in the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Conv2d(40, 120, 1), nn.Conv2d(40, 40, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).reshape(x.shape[0] * 4, 10, 3, -1).unbind(2)
        w = torch.einsum("ncq,nck->nqk", q.to(torch.float32), (k / math.sqrt(k.shape[1])).to(torch.float32))
        w = w.softmax(dim=2).to(q.dtype)
        a = torch.einsum("nqk,nck->ncq", w, v)
        return self.proj(a.reshape(*x.shape)).add_(x)


@style(image(), "full, 4 heads, scale 1", name="ddpm_attention")
class DenoisingAttention(nn.Module):
    """denoising-diffusion-pytorch: b (h c) x y -> b h c (x y), b h d i, b h d j -> b h i j, memory keys in front."""

    def __init__(self) -> None:
        super().__init__()
        self.to_qkv, self.to_out = nn.Conv2d(40, 120, 1, bias=False), nn.Conv2d(40, 40, 1)
        self.mem_kv = nn.Parameter(torch.randn(2, 4, 10, 4))

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        q, k, v = (t.reshape(b, 4, 10, h * w) for t in self.to_qkv(x).chunk(3, dim=1))
        mk, mv = (t.unsqueeze(0).expand(b, -1, -1, -1) for t in self.mem_kv)
        k, v = torch.cat((mk, k), dim=-1), torch.cat((mv, v), dim=-1)
        q = q * 10**-0.5
        sim = torch.einsum("b h d i, b h d j -> b h i j", q, k)
        out = torch.einsum("b h i j, b h d j -> b h i d", sim.softmax(dim=-1), v)
        return self.to_out(out.reshape(b, 4, h, w, 10).permute(0, 1, 4, 2, 3).reshape(b, 40, h, w))


@style(lambda n: (random(2, n, 40), random(2, 40, seed=1)), "full, 4 heads, scale 0.316228")
class DiTBlock(nn.Module):
    """DiT: adaLN-Zero around timm's attention."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(40, elementwise_affine=False, eps=1e-6)
        self.qkv, self.proj = nn.Linear(40, 120), nn.Linear(40, 40)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(40, 120))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        shift, scale, gate = self.adaLN_modulation(c).chunk(3, dim=1)
        y = self.norm1(x) * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)
        B, N, C = y.shape
        q, k, v = self.qkv(y).reshape(B, N, 3, 4, C // 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)
        return x + gate.unsqueeze(1) * self.proj(y.transpose(1, 2).reshape(B, N, C))


@style(crossed(40, 40), "full, 4 heads, scale 0.316228")
class JointAttention(nn.Module):
    """Stable Diffusion 3 and Flux: text and image streams concatenated, RMS-normed queries and keys, split again."""

    def __init__(self) -> None:
        super().__init__()
        self.to_qkv, self.add_qkv = nn.Linear(40, 120), nn.Linear(40, 120)
        self.norm_q, self.norm_k = nn.RMSNorm(10), nn.RMSNorm(10)

    def forward(self, x: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v = (t.view(*t.shape[:2], 4, 10).transpose(1, 2) for t in self.to_qkv(x).chunk(3, dim=-1))
        tq, tk, tv = (t.view(*t.shape[:2], 4, 10).transpose(1, 2) for t in self.add_qkv(text).chunk(3, dim=-1))
        q, k, v = torch.cat([tq, q], dim=2), torch.cat([tk, k], dim=2), torch.cat([tv, v], dim=2)
        out = F.scaled_dot_product_attention(self.norm_q(q), self.norm_k(k), v, dropout_p=0.0, is_causal=False)
        out = out.transpose(1, 2).reshape(2, -1, 40)
        return out[:, text.shape[1] :], out[:, : text.shape[1]]


@style(with_more(crossed(), lambda n: random(2, 4, 24, seed=5)), ("full, 4 heads", "full, 4 heads"))
class ImagePromptAdapter(nn.Module):
    """IP-Adapter: one query, text keys and image keys, both outcomes added."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(40, 40)
        self.to_k, self.to_v, self.to_k_ip, self.to_v_ip = (nn.Linear(24, 40) for _ in range(4))

    def forward(self, x: Tensor, text: Tensor, ip: Tensor) -> Tensor:
        query = self._heads(self.to_q(x))
        out = self._attend(query, self._heads(self.to_k(text)), self._heads(self.to_v(text)))
        return out + 0.6 * self._attend(query, self._heads(self.to_k_ip(ip)), self._heads(self.to_v_ip(ip)))

    def _heads(self, t: Tensor) -> Tensor:
        return t.view(t.shape[0], -1, 4, 10).transpose(1, 2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = (q @ k.transpose(-2, -1) * 10**-0.5).softmax(-1)
        return (weights @ v).transpose(1, 2).reshape(q.shape[0], -1, 40)


@style(lambda n: (random(3, 40, 5, 4, 3),), "full, 4 heads, scale 0.316228")
class TemporalAttention(nn.Module):
    """Video U-Nets: b c f h w -> (b h w) f c, attention over the frames."""

    def __init__(self) -> None:
        super().__init__()
        self.to_qkv, self.to_out = nn.Linear(40, 120, bias=False), nn.Linear(40, 40)

    def forward(self, x: Tensor) -> Tensor:
        b, c, f, h, w = x.shape
        y = x.permute(0, 3, 4, 2, 1).reshape(b * h * w, f, c)
        q, k, v = (t.reshape(-1, f, 4, 10).transpose(1, 2) for t in self.to_qkv(y).chunk(3, dim=-1))
        attn = (torch.einsum("bhid,bhjd->bhij", q, k) * 10**-0.5).softmax(dim=-1)
        y = self.to_out(torch.einsum("bhij,bhjd->bhid", attn, v).transpose(1, 2).reshape(-1, f, 40))
        return x + y.reshape(b, h, w, f, c).permute(0, 4, 3, 1, 2)


@style(padded(), "full, key padding, 4 heads over 1 kv heads, scale 1", name="imagen_null_kv")
class NullKeyAttention(nn.Module):
    """Imagen and lucidrains: one learned null key in front, cosine similarity, a mask padded by True."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.null_kv = nn.LayerNorm(40), nn.Parameter(torch.randn(2, 10))
        self.to_q, self.to_kv, self.to_out = nn.Linear(40, 40), nn.Linear(40, 20), nn.Linear(40, 40)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        b, n = x.shape[:2]
        x = self.norm(x)
        q, k, v = (self.to_q(x), *self.to_kv(x).chunk(2, dim=-1))
        q = q.reshape(b, n, 4, 10).permute(0, 2, 1, 3)
        nk, nv = (t.expand(b, 1, -1) for t in self.null_kv.unbind(dim=-2))
        k, v = torch.cat((nk, k), dim=-2), torch.cat((nv, v), dim=-2)
        q, k = F.normalize(q, dim=-1) * 8**0.5, F.normalize(k, dim=-1) * 8**0.5
        sim = torch.einsum("b h i d, b j d -> b h i j", q, k)
        mask = F.pad(mask, (1, 0), value=True)
        sim = sim.masked_fill(~mask[:, None, None, :], -torch.finfo(sim.dtype).max)
        out = torch.einsum("b h i j, b j d -> b h i d", sim.softmax(dim=-1, dtype=torch.float32).to(sim.dtype), v)
        return self.to_out(out.permute(0, 2, 1, 3).reshape(b, n, 40))


@style(hidden(), "full, 4 heads, scale 0.316228", name="autocast_inside", more={"tolerance": 2e-2})
class AutocastInside(nn.Module):
    """A block that opens bfloat16 autocast itself."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(40, 120), nn.Linear(40, 40)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            q, k, v = (t.reshape(*t.shape[:2], 4, 10).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
            attn = (q @ k.transpose(-2, -1)) * 10**-0.5
            out = (attn.softmax(dim=-1) @ v).transpose(1, 2).reshape(x.shape)
            return self.proj(out).float()
