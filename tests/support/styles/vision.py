"""Vision: patches, windows, axes, spatial positions of a convolution, tables of relative positions."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .declare import channels_last, hidden, image, random, style


@style(hidden(), "full, 4 heads, scale 0.316228", more={"other_n": 45})
class ViTPytorch(nn.Module):
    """lucidrains/vit-pytorch: to_qkv, chunk, b n (h d) -> b h n d, dots, nn.Softmax, nn.Dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attend, self.dropout = nn.LayerNorm(40), nn.Softmax(dim=-1), nn.Dropout(0.1)
        self.to_qkv = nn.Linear(40, 120, bias=False)
        self.to_out = nn.Sequential(nn.Linear(40, 40), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.to_qkv(self.norm(x)).chunk(3, dim=-1)
        q, k, v = (t.reshape(*t.shape[:2], 4, 10).permute(0, 2, 1, 3) for t in qkv)
        dots = torch.matmul(q, k.transpose(-1, -2)) * 10**-0.5
        out = torch.matmul(self.dropout(self.attend(dots)), v)
        return self.to_out(out.permute(0, 2, 1, 3).reshape(x.shape))


class LayerScale(nn.Module):
    """x times a learned number for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((40,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


@style(image(3, 12, 20), ("full, 4 heads, scale 1", "full, 4 heads, scale 1"), name="dinov2")
class DINOv2(nn.Module):
    """DINOv2: patches by a convolution, class and register tokens, q·scale, LayerScale, two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 40, 4, 4)
        self.cls_token, self.register_tokens = nn.Parameter(torch.zeros(1, 1, 40)), nn.Parameter(torch.zeros(1, 4, 40))
        self.blocks = nn.ModuleList([nn.ModuleList(self._block()) for _ in range(2)])

    def _block(self) -> list[nn.Module]:
        return [nn.LayerNorm(40), nn.Linear(40, 120), nn.Linear(40, 40), LayerScale()]

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), self.register_tokens.expand(2, -1, -1), x), dim=1)
        for norm, qkv, proj, scale in self.blocks:
            y = norm(x)
            B, N, C = y.shape
            qkv_ = qkv(y).reshape(B, N, 3, 4, C // 4).permute(2, 0, 3, 1, 4)
            q, k, v = qkv_[0] * 10**-0.5, qkv_[1], qkv_[2]
            attn = (q @ k.transpose(-2, -1)).softmax(dim=-1)
            x = x + scale(proj((attn @ v).transpose(1, 2).reshape(B, N, C)))
        return x


@style(lambda n: (random(2, n, 40), random(2, n, seed=1)), "full, 4 heads")
class MaskedAutoencoder(nn.Module):
    """MAE: shuffle by argsort of noise, keep a quarter by gather, attend over what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj, self.q_norm, self.k_norm = (
            nn.Linear(40, 120), nn.Linear(40, 40), nn.LayerNorm(10), nn.LayerNorm(10),
        )  # fmt: skip

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        N, L, D = x.shape
        ids_keep = torch.argsort(noise, dim=1)[:, : L // 2]
        x = torch.gather(x, dim=1, index=ids_keep.unsqueeze(-1).repeat(1, 1, D))
        qkv = self.qkv(x).reshape(N, L // 2, 3, 4, 10).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        q, k = self.q_norm(q), self.k_norm(k)
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)
        return self.proj(out.transpose(1, 2).reshape(N, L // 2, D))


def window_partition(x: Tensor, window_size: int) -> Tensor:
    """[B, H, W, C] → [windows·B, ws, ws, C]."""
    B, H, W, C = x.shape
    x = x.view(B, H // window_size, window_size, W // window_size, window_size, C)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, window_size, window_size, C)


def window_reverse(windows: Tensor, window_size: int, H: int, W: int) -> Tensor:
    """And back."""
    B = int(windows.shape[0] / (H * W / window_size / window_size))
    x = windows.view(B, H // window_size, W // window_size, window_size, window_size, -1)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(B, H, W, -1)


def _relative_index(size: int) -> Tensor:
    coords = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")).flatten(1)
    relative = (coords[:, :, None] - coords[:, None, :]).permute(1, 2, 0) + size - 1
    return relative[:, :, 0] * (2 * size - 1) + relative[:, :, 1]


@style(
    channels_last(),
    "bias, 4 heads, scale 1",
    name="swin",
)
@style(channels_last(), "bias, 4 heads, scale 1", name="swin_shifted", of={"shift": 2})
@style(
    channels_last(), "bias, 4 heads, scale 1 × tensor", name="swin_v2", of={"cosine": True}, more={"gradients": True}
)
@style(
    channels_last(), "bias, 4 heads, scale 1 × tensor", name="swin_v2_shifted", of={"cosine": True, "shift": 2}
)  # fmt: skip
class Swin(nn.Module):
    """Swin v1 and v2: windows, a table of relative positions, a mask of shifted windows added window by window."""

    def __init__(self, shift: int = 0, cosine: bool = False) -> None:
        super().__init__()
        self.ws, self.shift, self.cosine = 4, shift, cosine
        self.qkv, self.proj = nn.Linear(40, 120), nn.Linear(40, 40)
        self.register_buffer("relative_position_index", _relative_index(4))
        if cosine:
            self.logit_scale = nn.Parameter(torch.log(10 * torch.ones((4, 1, 1))))
            self.cpb_mlp = nn.Sequential(nn.Linear(2, 16), nn.ReLU(inplace=True), nn.Linear(16, 4, bias=False))
            grid = torch.arange(-3, 4, dtype=torch.float32)
            table = torch.stack(torch.meshgrid(grid, grid, indexing="ij")).permute(1, 2, 0).unsqueeze(0) / 3 * 8
            self.register_buffer("coords", torch.sign(table) * torch.log2(torch.abs(table) + 1.0) / math.log2(8))
        else:
            self.relative_position_bias_table = nn.Parameter(torch.zeros(49, 4))
        if shift:
            img_mask = torch.zeros((1, 8, 12, 1))
            slices = (slice(0, -4), slice(-4, -shift), slice(-shift, None))
            for cnt, (h, w) in enumerate((h, w) for h in slices for w in slices):
                img_mask[:, h, w, :] = cnt
            mask_windows = window_partition(img_mask, 4).view(-1, 16)
            attn_mask = mask_windows.unsqueeze(1) - mask_windows.unsqueeze(2)
            self.register_buffer(
                "attn_mask", attn_mask.masked_fill(attn_mask != 0, -100.0).masked_fill(attn_mask == 0, 0.0)
            )

    def _bias(self) -> Tensor:
        N = self.ws * self.ws
        if not self.cosine:
            picked = self.relative_position_bias_table[self.relative_position_index.view(-1)]
            return picked.view(N, N, -1).permute(2, 0, 1).contiguous()
        table = self.cpb_mlp(self.coords).view(-1, 4)
        bias = table[self.relative_position_index.view(-1)].view(N, N, -1).permute(2, 0, 1).contiguous()
        return 16 * torch.sigmoid(bias)

    def attend(self, x: Tensor) -> Tensor:
        B_, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B_, N, 3, 4, C // 4).permute(2, 0, 3, 1, 4)
        if self.cosine:
            attn = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
            attn = attn * torch.clamp(self.logit_scale, max=math.log(1.0 / 0.01)).exp()
        else:
            attn = (q * 10**-0.5) @ k.transpose(-2, -1)
        attn = attn + self._bias().unsqueeze(0)
        if self.shift:
            nW = self.attn_mask.shape[0]
            attn = attn.view(B_ // nW, nW, 4, N, N) + self.attn_mask.unsqueeze(1).unsqueeze(0)
            attn = attn.view(-1, 4, N, N)
        return self.proj((attn.softmax(dim=-1) @ v).transpose(1, 2).reshape(B_, N, C))

    def forward(self, x: Tensor) -> Tensor:
        _, H, W, C = x.shape
        if self.shift:
            x = torch.roll(x, shifts=(-self.shift, -self.shift), dims=(1, 2))
        windows = window_partition(x, self.ws).view(-1, self.ws * self.ws, C)
        x = window_reverse(self.attend(windows).view(-1, self.ws, self.ws, C), self.ws, H, W)
        return torch.roll(x, shifts=(self.shift, self.shift), dims=(1, 2)) if self.shift else x


@style(channels_last(), ("bias, 24 heads, scale 1", "bias, 24 heads, scale 1"))
class MaxViT(nn.Module):
    """torchvision's MaxViT: block and grid attention with the groups in a dim of their own (rank 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.to_qkv, self.merge = nn.Linear(40, 120), nn.Linear(40, 40)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(49, 4))
        self.register_buffer("relative_position_index", _relative_index(4))

    def attend(self, x: Tensor) -> Tensor:
        B, G, P, D = x.shape
        q, k, v = torch.chunk(self.to_qkv(x), 3, dim=-1)
        q, k, v = (t.reshape(B, G, P, 4, 10).permute(0, 1, 3, 2, 4) for t in (q, k, v))
        k = k * 40**-0.5
        dot_prod = torch.einsum("B G H I D, B G H J D -> B G H I J", q, k)
        index = self.relative_position_index.view(-1)
        bias = self.relative_position_bias_table[index].view(P, P, -1).permute(2, 0, 1).contiguous().unsqueeze(0)
        dot_prod = F.softmax(dot_prod + bias, dim=-1)
        out = torch.einsum("B G H I J, B G H J D -> B G H I D", dot_prod, v)
        return self.merge(out.permute(0, 1, 3, 2, 4).reshape(B, G, P, D))

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, C = x.shape
        block = x.reshape(B, H // 4, 4, W // 4, 4, C).permute(0, 1, 3, 2, 4, 5).reshape(B, -1, 16, C)
        block = self.attend(block)
        return self.attend(torch.swapaxes(block[:, :, :, :], -2, -3).reshape(B, -1, 16, C))


@style(channels_last(), ("full, 4 heads, scale 0.316228", "full, 4 heads, scale 0.316228"))
class AxialAttention(nn.Module):
    """Axial attention: along rows, then along columns, each folded into the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_kv, self.to_out = (
            nn.Linear(40, 40, bias=False),
            nn.Linear(40, 80, bias=False),
            nn.Linear(40, 40),
        )

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = (self.to_q(x), *self.to_kv(x).chunk(2, dim=-1))
        b, t, _ = q.shape
        q, k, v = (z.reshape(b, -1, 4, 10).transpose(1, 2).reshape(b * 4, -1, 10) for z in (q, k, v))
        dots = torch.einsum("bie,bje->bij", q, k) * (10**-0.5)
        out = torch.einsum("bij,bje->bie", dots.softmax(dim=-1), v)
        return self.to_out(out.reshape(b, 4, -1, 10).transpose(1, 2).reshape(b, t, -1))

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        rows = self.attend(x.reshape(b * h, w, c)).reshape(b, h, w, c)
        columns = self.attend(x.permute(0, 2, 1, 3).contiguous().reshape(b * w, h, c))
        return rows + columns.reshape(b, w, h, c).permute(0, 2, 1, 3)


@style(channels_last(40, 5, 7), "full, bias, 4 heads, scale 1")
class SegmentAnything(nn.Module):
    """SAM's image encoder: relative positions decomposed into height and width, of the queries."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(40, 120), nn.Linear(40, 40)
        self.rel_pos_h, self.rel_pos_w = nn.Parameter(torch.zeros(9, 10)), nn.Parameter(torch.zeros(13, 10))

    def get_rel_pos(self, size: int, rel_pos: Tensor) -> Tensor:
        coords = torch.arange(size)[:, None] - torch.arange(size)[None, :] + (size - 1)
        return rel_pos[coords.long()]

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, _ = x.shape
        qkv = self.qkv(x).reshape(B, H * W, 3, 4, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.reshape(3, B * 4, H * W, -1).unbind(0)
        attn = (q * 10**-0.5) @ k.transpose(-2, -1)
        Rh, Rw = self.get_rel_pos(H, self.rel_pos_h), self.get_rel_pos(W, self.rel_pos_w)
        r_q = q.reshape(B * 4, H, W, -1)
        rel_h = torch.einsum("bhwc,hkc->bhwk", r_q, Rh)
        rel_w = torch.einsum("bhwc,wkc->bhwk", r_q, Rw)
        attn = attn.view(B * 4, H, W, H, W) + rel_h[:, :, :, :, None] + rel_w[:, :, :, None, :]
        attn = attn.view(B * 4, H * W, H * W).softmax(dim=-1)
        x = (attn @ v).view(B, 4, H, W, -1).permute(0, 2, 3, 1, 4).reshape(B, H, W, -1)
        return self.proj(x)


@style(
    image(),
    "bias, 4 heads, scale 1",
)
class BottleneckTransformer(nn.Module):
    """BoTNet's MHSA: content and position products added, both without a scale; values in the columns."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(40, 40, kernel_size=1) for _ in range(3))
        self.rel_h, self.rel_w = nn.Parameter(torch.randn(1, 4, 10, 1, 9)), nn.Parameter(torch.randn(1, 4, 10, 7, 1))

    def forward(self, x: Tensor) -> Tensor:
        n_batch, C, width, height = x.size()
        q, k, v = (p(x).view(n_batch, 4, C // 4, -1) for p in (self.query, self.key, self.value))
        content_content = torch.matmul(q.permute(0, 1, 3, 2), k)
        position = (self.rel_h + self.rel_w).view(1, 4, C // 4, -1).permute(0, 1, 3, 2)
        energy = content_content + torch.matmul(position, q)
        out = torch.matmul(v, torch.softmax(energy, dim=-1).permute(0, 1, 3, 2))
        return out.view(n_batch, C, width, height)


@style(image(), "full, 1 heads, scale 1")
class NonLocalBlock(nn.Module):
    """Non-local neural networks, embedded Gaussian: 1×1 convolutions, softmax over the last dim."""

    def __init__(self) -> None:
        super().__init__()
        self.g, self.theta, self.phi = (nn.Conv2d(40, 20, 1) for _ in range(3))
        self.W = nn.Conv2d(20, 40, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch_size = x.size(0)
        g_x = self.g(x).view(batch_size, 20, -1).permute(0, 2, 1)
        theta_x = self.theta(x).view(batch_size, 20, -1).permute(0, 2, 1)
        f_div_C = F.softmax(torch.matmul(theta_x, self.phi(x).view(batch_size, 20, -1)), dim=-1)
        y = torch.matmul(f_div_C, g_x).permute(0, 2, 1).contiguous()
        return self.W(y.view(batch_size, 20, *x.size()[2:])) + x


@style(image(), "full, 1 heads, scale 1")
class SelfAttentionGAN(nn.Module):
    """SAGAN: bmm(value, attention transposed), gamma."""

    def __init__(self) -> None:
        super().__init__()
        self.query_conv, self.key_conv, self.value_conv = nn.Conv2d(40, 8, 1), nn.Conv2d(40, 8, 1), nn.Conv2d(40, 40, 1)
        self.gamma, self.softmax = nn.Parameter(torch.zeros(1)), nn.Softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        m_batchsize, C, width, height = x.size()
        proj_query = self.query_conv(x).view(m_batchsize, -1, width * height).permute(0, 2, 1)
        proj_key = self.key_conv(x).view(m_batchsize, -1, width * height)
        energy = torch.bmm(proj_query, proj_key)
        attention = self.softmax(energy)
        proj_value = self.value_conv(x).view(m_batchsize, -1, width * height)
        out = torch.bmm(proj_value, attention.permute(0, 2, 1)).view(m_batchsize, C, width, height)
        return self.gamma * out + x


@style(image(), "full, 1 heads, scale 1")
class SelfAttentionGANColumns(nn.Module):
    """BigGAN and fastai: θᵀφ, softmax over the first positions, g·β: queries and keys the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv1d(40, c, 1, bias=False) for c in (8, 8, 40))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.view(*x.size()[:2], -1)
        f, g, h = self.query(flat), self.key(flat), self.value(flat)
        beta = F.softmax(torch.bmm(f.transpose(1, 2), g), dim=1)
        return torch.bmm(h, beta).view(*x.size()).contiguous() + x


@style(image(40, 8, 12), "full, 4 heads, scale 0.316228")
class PyramidVision(nn.Module):
    """PVT: keys and values of an image made smaller by a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.kv, self.proj = nn.Linear(40, 40), nn.Linear(40, 80), nn.Linear(40, 40)
        self.sr, self.norm = nn.Conv2d(40, 40, kernel_size=2, stride=2), nn.LayerNorm(40)

    def forward(self, image_: Tensor) -> Tensor:
        H, W = image_.shape[2:]
        x = image_.flatten(2).transpose(1, 2)
        B, N, C = x.shape
        q = self.q(x).reshape(B, N, 4, C // 4).permute(0, 2, 1, 3)
        x_ = self.sr(x.permute(0, 2, 1).reshape(B, C, H, W)).reshape(B, C, -1).permute(0, 2, 1)
        kv = self.kv(self.norm(x_)).reshape(B, -1, 2, 4, C // 4).permute(2, 0, 3, 1, 4)
        k, v = kv[0], kv[1]
        attn = ((q @ k.transpose(-2, -1)) * 10**-0.5).softmax(dim=-1)
        return self.proj((attn @ v).transpose(1, 2).reshape(B, N, C))


@style(hidden(), "full, 4 heads, scale 1 × tensor")
class CrossCovariance(nn.Module):
    """XCiT: channels attend to channels, normalised along the positions, a learned temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(4, 1, 1))
        self.qkv, self.proj = nn.Linear(40, 120), nn.Linear(40, 40)

    def forward(self, x: Tensor) -> Tensor:
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, 4, C // 4).permute(2, 0, 3, 1, 4)
        q, k, v = (t.transpose(-2, -1) for t in qkv.unbind(0))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attn = (q @ k.transpose(-2, -1)) * self.temperature
        return self.proj((attn.softmax(dim=-1) @ v).permute(0, 3, 1, 2).reshape(B, N, C))


def _detr(n: int) -> tuple[Any, ...]:
    mask = torch.zeros(2, n, dtype=torch.bool)
    mask[1, n - 5 :] = True
    return random(n, 2, 40), random(n, 2, 40, seed=1), mask


@style(_detr, ("full, key padding, 4 heads", "full, 4 heads", "full, key padding, 4 heads"))
class DETR(nn.Module):
    """DETR: positions added to queries and keys only, key_padding_mask, object queries, MultiheadAttention(…)[0]."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.self_attn, self.cross = (nn.MultiheadAttention(40, 4, dropout=0.1) for _ in range(3))
        self.query_embed = nn.Embedding(13, 40)

    def forward(self, src: Tensor, pos: Tensor, mask: Tensor) -> Tensor:
        q = k = src + pos
        memory = src + self.encoder(q, k, value=src, attn_mask=None, key_padding_mask=mask)[0]
        query_pos = self.query_embed.weight.unsqueeze(1).repeat(1, src.shape[1], 1)
        tgt = torch.zeros_like(query_pos)
        q = k = tgt + query_pos
        tgt = tgt + self.self_attn(q, k, value=memory[:13])[0]
        return (
            tgt
            + self.cross(query=tgt + query_pos, key=memory + pos, value=memory, attn_mask=None, key_padding_mask=mask)[
                0
            ]
        )


@style(hidden(), "causal, 4 heads", name="clip_text")
class CLIPText(nn.Module):
    """CLIP and open_clip: nn.MultiheadAttention with a buffer of −inf above the diagonal as attn_mask."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.ln_1 = nn.MultiheadAttention(40, 4), nn.LayerNorm(40)
        mask = torch.empty(31, 31).fill_(float("-inf")).triu_(1)
        self.register_buffer("attn_mask", mask, persistent=False)

    def forward(self, text: Tensor) -> Tensor:
        x = text.permute(1, 0, 2)
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=self.attn_mask.to(dtype=x.dtype))[0]
        return x.permute(1, 0, 2)
