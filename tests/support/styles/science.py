"""Sets, proteins and graphs: heads in the batch by cat(split), several biases, extra batch dims, gates."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .declare import crossed, hidden, padded, random, style, with_more


@style(crossed(), "full, 1 heads, scale 0.158114", name="set_transformer_mab", more={"gradients": True})
class MAB(nn.Module):
    """Set Transformer: cat(split(…), 0), scaled by √dim_V, the query added to the outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.fc_q, self.fc_k, self.fc_v, self.fc_o = (nn.Linear(n, 40) for n in (40, 24, 24, 40))

    def forward(self, Q: Tensor, K: Tensor) -> Tensor:
        Q = self.fc_q(Q)
        K, V = self.fc_k(K), self.fc_v(K)
        Q_ = torch.cat(Q.split(10, 2), 0)
        K_ = torch.cat(K.split(10, 2), 0)
        V_ = torch.cat(V.split(10, 2), 0)
        A = torch.softmax(Q_.bmm(K_.transpose(1, 2)) / math.sqrt(40), 2)
        O = torch.cat((Q_ + A.bmm(V_)).split(Q.size(0), 0), 2)  # noqa: E741
        return O + F.relu(self.fc_o(O))


@style(hidden(24), "full, 1 heads, scale 0.158114")
class PMA(nn.Module):
    """Its pooling: learned seeds, repeated, as queries."""

    def __init__(self) -> None:
        super().__init__()
        self.S, self.mab = nn.Parameter(torch.zeros(1, 3, 40)), MAB()

    def forward(self, X: Tensor) -> Tensor:
        return self.mab(self.S.repeat(X.size(0), 1, 1), X)


@style(padded(24), "full, key padding, 4 heads, scale 0.316228", name="perceiver", more={"other_n": 45})
class Perceiver(nn.Module):
    """Perceiver: latents read an array; 'b j -> (b h) () j' for the mask, einsum over (b h)."""

    def __init__(self) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(13, 40))
        self.to_q, self.to_kv, self.to_out = (
            nn.Linear(40, 40, bias=False),
            nn.Linear(24, 80, bias=False),
            nn.Linear(40, 40),
        )

    def forward(self, data: Tensor, mask: Tensor) -> Tensor:
        b = data.shape[0]
        x = self.latents[None].expand(b, -1, -1)
        q = self.to_q(x)
        k, v = self.to_kv(data).chunk(2, dim=-1)
        q, k, v = (t.reshape(b, -1, 4, 10).permute(0, 2, 1, 3).reshape(b * 4, -1, 10) for t in (q, k, v))
        sim = torch.einsum("b i d, b j d -> b i j", q, k) * 10**-0.5
        max_neg_value = -torch.finfo(sim.dtype).max
        mask = mask[:, None, None, :].expand(b, 4, 1, mask.shape[1]).reshape(b * 4, 1, -1)
        sim.masked_fill_(~mask, max_neg_value)
        out = torch.einsum("b i j, b j d -> b i d", sim.softmax(dim=-1), v)
        return self.to_out(out.reshape(b, 4, -1, 10).permute(0, 2, 1, 3).reshape(b, -1, 40))


@style(hidden(24), "full, 4 heads, scale 0.316228")
class AttentionalPooler(nn.Module):
    """open_clip's CoCa: one learned query repeated, nn.MultiheadAttention with kdim and vdim."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 40))
        self.attn = nn.MultiheadAttention(40, 4, kdim=24, vdim=24, batch_first=True)
        self.ln_q, self.ln_k = nn.LayerNorm(40), nn.LayerNorm(24)

    def forward(self, x: Tensor) -> Tensor:
        x = self.ln_k(x)
        q = self.ln_q(self.query).unsqueeze(0).expand(x.shape[0], -1, -1)
        return self.attn(q, x, x, need_weights=False)[0]


@style(hidden(), "full, 4 heads, scale 0.316228")
class LatentPool(nn.Module):
    """timm's and SigLIP's pooling head: one latent as query, SDPA."""

    def __init__(self) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.zeros(1, 1, 40))
        self.q, self.kv, self.proj = nn.Linear(40, 40), nn.Linear(40, 80), nn.Linear(40, 40)

    def forward(self, x: Tensor) -> Tensor:
        B, N, C = x.shape
        q = self.q(self.latent.expand(B, -1, -1)).reshape(B, 1, 4, 10).transpose(1, 2)
        k, v = self.kv(x).reshape(B, N, 2, 4, 10).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(B, 1, C))[:, 0]


@style(hidden(), "full, 4 heads, scale 0.316228")
class AttentionPool2d(nn.Module):
    """CLIP's pooling calls F.multi_head_attention_forward itself, the mean in front as query."""

    def __init__(self) -> None:
        super().__init__()
        self.k_proj, self.q_proj, self.v_proj, self.c_proj = (nn.Linear(40, 40) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(1, 0, 2)
        x = torch.cat([x.mean(dim=0, keepdim=True), x], dim=0)
        x, _ = F.multi_head_attention_forward(
            query=x[:1], key=x, value=x, embed_dim_to_check=40, num_heads=4,
            q_proj_weight=self.q_proj.weight, k_proj_weight=self.k_proj.weight, v_proj_weight=self.v_proj.weight,
            in_proj_weight=None,
            in_proj_bias=torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias]),
            bias_k=None, bias_v=None, add_zero_attn=False, dropout_p=0.0,
            out_proj_weight=self.c_proj.weight, out_proj_bias=self.c_proj.bias,
            use_separate_proj_weight=True, training=self.training, need_weights=False,
        )  # fmt: skip
        return x.squeeze(0)


@style(padded(), "full, key padding, 4 heads, scale 1")
class ESM(nn.Module):
    """ESM-2: fairseq's attention with rotary positions on folded heads, fill −inf by view."""

    def __init__(self) -> None:
        super().__init__()
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(40, 40) for _ in range(4))
        self.register_buffer("inv_freq", 1.0 / (10000 ** (torch.arange(0, 10, 2).float() / 10)))

    def rotate(self, x: Tensor) -> Tensor:
        t = torch.arange(x.shape[1]).type_as(self.inv_freq)
        freqs = torch.einsum("i,j->ij", t, self.inv_freq)
        emb = torch.cat((freqs, freqs), dim=-1)
        x1, x2 = x.chunk(2, dim=-1)
        return x * emb.cos()[None] + torch.cat((-x2, x1), dim=-1) * emb.sin()[None]

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        query = x.transpose(0, 1)
        tgt_len, bsz, _ = query.size()
        q, k, v = self.q_proj(query) * 10**-0.5, self.k_proj(query), self.v_proj(query)
        q, k, v = (t.contiguous().view(tgt_len, bsz * 4, 10).transpose(0, 1) for t in (q, k, v))
        q, k = self.rotate(q), self.rotate(k)
        attn_weights = torch.bmm(q, k.transpose(1, 2)).view(bsz, 4, tgt_len, tgt_len)
        attn_weights = attn_weights.masked_fill((~present).unsqueeze(1).unsqueeze(2).to(torch.bool), float("-inf"))
        attn_weights = attn_weights.view(bsz * 4, tgt_len, tgt_len)
        attn = torch.bmm(F.softmax(attn_weights, dim=-1, dtype=torch.float32).type_as(attn_weights), v)
        return self.out_proj(attn.transpose(0, 1).contiguous().view(tgt_len, bsz, 40)).transpose(0, 1)


@style(lambda n: (random(5, n, 2, 40),), "full, 2 heads, scale 1", name="msa_rows", of={"rows": True})
@style(lambda n: (random(n, 5, 2, 40),), "full, 10 heads, scale 1", name="msa_columns")
class AxialMSA(nn.Module):
    """MSA Transformer, [rows, columns, batch, width]: columns attend as usual, rows share one map (two summed dims)."""

    def __init__(self, rows: bool = False) -> None:
        super().__init__()
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(40, 40) for _ in range(4))
        self.rows = rows

    def forward(self, x: Tensor) -> Tensor:
        num_rows, num_cols, batch_size, embed_dim = x.size()
        q, k, v = (p(x).view(num_rows, num_cols, batch_size, 4, 10) for p in (self.q_proj, self.k_proj, self.v_proj))
        if self.rows:
            q *= 10**-0.5 / math.sqrt(num_rows)
            probs = torch.einsum("rinhd,rjnhd->hnij", q, k).softmax(-1)
            context = torch.einsum("hnij,rjnhd->rinhd", probs, v)
        else:
            q *= 10**-0.5
            probs = torch.einsum("icnhd,jcnhd->hcnij", q, k).softmax(-1)
            context = torch.einsum("hcnij,jcnhd->icnhd", probs, v)
        context = context.contiguous().view(num_rows, num_cols, batch_size, embed_dim)
        return self.out_proj(context)


def _pair(n: int) -> tuple[Any, ...]:
    mask = torch.ones(2, 7, 9)
    mask[1, :, 7:] = 0
    return random(2, 7, 9, 24), mask


def permute_final_dims(tensor: Tensor, inds: list[int]) -> Tensor:
    """The last dims in another order."""
    zero = -len(inds)
    first = list(range(len(tensor.shape[:zero])))
    return tensor.permute(first + [zero + i for i in inds])


class OpenFoldAttention(nn.Module):
    """[*, Q, C], [*, K, C] and a list of biases that broadcast to [*, H, Q, K]; gated."""

    def __init__(self) -> None:
        super().__init__()
        self.linear_q, self.linear_k, self.linear_v = (nn.Linear(24, 40, bias=False) for _ in range(3))
        self.linear_o, self.linear_g = nn.Linear(40, 24), nn.Linear(24, 40)

    def forward(self, q_x: Tensor, kv_x: Tensor, biases: list[Tensor]) -> Tensor:
        q, k, v = self.linear_q(q_x), self.linear_k(kv_x), self.linear_v(kv_x)
        q, k, v = (t.view((*t.shape[:-1], 4, -1)).transpose(-2, -3) for t in (q, k, v))
        q = q / math.sqrt(10)
        a = torch.matmul(q, permute_final_dims(k, [1, 0]))
        for b in biases:
            a = a + b
        a = torch.nn.functional.softmax(a, dim=-1)
        o = torch.matmul(a, v).transpose(-2, -3)
        g = torch.sigmoid(self.linear_g(q_x)).view((*q_x.shape[:-1], 4, -1))
        o = o * g
        return self.linear_o(o.reshape((*o.shape[:-2], -1)))


@style(_pair, "bias, 28 heads, scale 1", name="openfold_starting", more={"gradients": True})
@style(
    lambda n: (random(2, 9, 7, 24), torch.ones(2, 9, 7)), "bias, 28 heads, scale 1", name="openfold_ending",
    of={"starting": False},
)  # fmt: skip
class TriangleAttention(nn.Module):
    """AlphaFold 2: every row of the pair representation attends along itself, with the pair as bias."""

    def __init__(self, starting: bool = True) -> None:
        super().__init__()
        self.starting, self.inf = starting, 1e9
        self.layer_norm, self.linear = nn.LayerNorm(24), nn.Linear(24, 4, bias=False)
        self.mha = OpenFoldAttention()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if not self.starting:
            x, mask = x.transpose(-2, -3), mask.transpose(-1, -2)
        x = self.layer_norm(x)
        mask_bias = (self.inf * (mask - 1))[..., :, None, None, :]
        # the bias lies along the rows: [*, 1, H, J, J], J = I in the original; here a slice of the second dim
        triangle_bias = permute_final_dims(self.linear(torch.einsum("bijc,bikc->bjkc", x, x)), [2, 0, 1]).unsqueeze(-4)
        x = self.mha(x, x, [mask_bias, triangle_bias])
        return x if self.starting else x.transpose(-2, -3)


@style(lambda n: (random(2, 5, n, 24), torch.ones(2, 5, n)), "full, bias, 31 heads, scale 1")
class GlobalAttention(nn.Module):
    """AlphaFold's extra MSA: one mean query for each head, keys and values without heads."""

    def __init__(self) -> None:
        super().__init__()
        self.linear_q, self.linear_k, self.linear_v = (nn.Linear(24, n, bias=False) for n in (40, 10, 10))
        self.linear_g, self.linear_o = nn.Linear(24, 40), nn.Linear(40, 24)

    def forward(self, m: Tensor, mask: Tensor) -> Tensor:
        m, mask = m.transpose(-2, -3), mask.transpose(-1, -2)
        q = torch.sum(m * mask.unsqueeze(-1), dim=-2) / (torch.sum(mask, dim=-1)[..., None] + 1e-10)
        q = self.linear_q(q) * 10**-0.5
        q = q.view((*q.shape[:-1], 4, -1))
        k, v = self.linear_k(m), self.linear_v(m)
        bias = (1e9 * (mask - 1))[..., :, None, :]
        a = torch.softmax(torch.matmul(q, k.transpose(-1, -2)) + bias, dim=-1)
        o = torch.matmul(a, v)
        g = torch.sigmoid(self.linear_g(m)).view((*m.shape[:-1], 4, -1))
        o = (o.unsqueeze(-3) * g).reshape((*m.shape[:-1], -1))
        return self.linear_o(o).transpose(-2, -3)


def _graph(n: int) -> tuple[Any, ...]:
    distance = torch.randint(0, 8, (2, n, n), generator=torch.Generator().manual_seed(0))
    nodes, mask = padded()(n)
    return nodes, distance, ~mask


@style(_graph, "key padding, bias, 4 heads, scale 1", name="graphormer", more={"gradients": True})
class Graphormer(nn.Module):
    """Graphormer: shortest-path embeddings as a bias over folded heads, padding by masked_fill of a view."""

    def __init__(self) -> None:
        super().__init__()
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(40, 40) for _ in range(4))
        self.spatial_pos_encoder = nn.Embedding(8, 4)

    def forward(self, x: Tensor, spatial_pos: Tensor, key_padding_mask: Tensor) -> Tensor:
        attn_bias = self.spatial_pos_encoder(spatial_pos).permute(0, 3, 1, 2)
        query = x.transpose(0, 1)
        n, bsz, _ = query.size()
        q, k, v = self.q_proj(query) * 10**-0.5, self.k_proj(query), self.v_proj(query)
        q, k, v = (t.contiguous().view(n, bsz * 4, 10).transpose(0, 1) for t in (q, k, v))
        attn_weights = torch.bmm(q, k.transpose(1, 2))
        attn_weights += attn_bias.reshape(bsz * 4, n, n)
        attn_weights = attn_weights.view(bsz, 4, n, n)
        attn_weights = attn_weights.masked_fill(key_padding_mask.unsqueeze(1).unsqueeze(2), float("-inf"))
        attn_weights = attn_weights.view(bsz * 4, n, n)
        attn_probs = F.softmax(attn_weights, dim=-1).type_as(attn_weights)
        attn = torch.bmm(attn_probs, v)
        return self.out_proj(attn.transpose(0, 1).contiguous().view(n, bsz, 40)).transpose(0, 1)


@style(
    with_more(hidden(), lambda n: torch.rand(2, n, n, generator=torch.Generator().manual_seed(0)) > 0.6),
    "mask tensor, 4 heads, scale 0.316228",
)
class DenseGraphAttention(nn.Module):
    """A graph transformer on a dense adjacency matrix, with self-loops."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(40, 120)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        b, n, _ = x.shape
        adjacency = adjacency | torch.eye(n, dtype=torch.bool)
        q, k, v = self.qkv(x).view(b, n, 3, 4, 10).permute(2, 0, 3, 1, 4)
        scores = torch.einsum("bhnd,bhmd->bhnm", q, k) / math.sqrt(10)
        scores = scores.masked_fill(~adjacency.unsqueeze(1), -1e9)
        return torch.einsum("bhnm,bhmd->bnhd", F.softmax(scores, dim=-1), v).reshape(b, n, 40)
