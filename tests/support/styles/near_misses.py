"""Softmaxes that are no attention, or attention of a kind that must be left alone: no site, no wrong rewrite."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .declare import crossed, hidden, image, random, style, with_more


@style(hidden(), codes="no_query_key_product")
class SlotAttention(nn.Module):
    """Softmax over the slots, then renormalised over the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = nn.Parameter(torch.randn(1, 7, 40))
        self.to_q, self.to_k, self.to_v = (nn.Linear(40, 40) for _ in range(3))
        self.gru = nn.GRUCell(40, 40)

    def forward(self, inputs: Tensor) -> Tensor:
        b, _, d = inputs.shape
        slots = self.slots.expand(b, -1, -1)
        k, v = self.to_k(inputs), self.to_v(inputs)
        dots = torch.einsum("bid,bjd->bij", self.to_q(slots), k) * d**-0.5
        attn = dots.softmax(dim=1) + 1e-8
        attn = attn / attn.sum(dim=-1, keepdim=True)
        updates = torch.einsum("bjd,bij->bid", v, attn)
        return self.gru(updates.reshape(-1, d), slots.reshape(-1, d)).reshape(b, -1, d)


@style(hidden())
class MixtureOfExperts(nn.Module):
    """Mixtral: softmax over experts, top two, renormalised; a dense product with all experts."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(40, 4, bias=False), nn.Parameter(torch.randn(4, 40, 40))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.view(-1, 40)
        weights = F.softmax(self.gate(flat), dim=1, dtype=torch.float)
        top, chosen = torch.topk(weights, 2, dim=-1)
        top = top / top.sum(dim=-1, keepdim=True)
        mixed = torch.zeros_like(weights).scatter(1, chosen, top)
        out = torch.einsum("ne,nd,edf->nf", mixed, flat, self.experts)
        return out.view(x.shape)


@style(crossed(40, 40), codes="no_value_product", name="pointer_product", of={"dot": True})
@style(crossed(40, 40), name="pointer_network")
class PointerNetwork(nn.Module):
    """The distribution over inputs is the answer."""

    def __init__(self, dot: bool = False) -> None:
        super().__init__()
        self.w1, self.w2, self.vt, self.dot = nn.Linear(40, 40), nn.Linear(40, 40), nn.Linear(40, 1), dot

    def forward(self, decoder: Tensor, encoder: Tensor) -> Tensor:
        if self.dot:
            return torch.softmax(self.w1(decoder) @ self.w2(encoder).transpose(1, 2), dim=-1)
        scores = self.vt(torch.tanh(self.w1(encoder).unsqueeze(1) + self.w2(decoder).unsqueeze(2))).squeeze(-1)
        return F.log_softmax(scores, dim=-1)


@style(crossed(40, 40))
class BahdanauAttention(nn.Module):
    """Additive attention: vᵀ·tanh(W q + U k)."""

    def __init__(self) -> None:
        super().__init__()
        self.Wa, self.Ua, self.Va = nn.Linear(40, 40), nn.Linear(40, 40), nn.Linear(40, 1)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        scores = self.Va(torch.tanh(self.Wa(query).unsqueeze(2) + self.Ua(keys).unsqueeze(1)))
        weights = F.softmax(scores.squeeze(-1), dim=-1)
        return torch.bmm(weights, keys)


@style(hidden())
class SelfAttentivePooling(nn.Module):
    """Weights from a small net, softmax over positions, a product with the states: several hops."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Linear(40, 24, bias=False), nn.Linear(24, 5, bias=False)

    def forward(self, H: Tensor) -> Tensor:
        A = F.softmax(self.w2(torch.tanh(self.w1(H))), dim=1)
        return torch.bmm(A.transpose(1, 2), H).flatten(1)


@style(hidden())
class QueryVectorPooling(nn.Module):
    """HAN: a context vector, softmax over positions, weights times states, summed."""

    def __init__(self) -> None:
        super().__init__()
        self.proj, self.context = nn.Linear(40, 40), nn.Parameter(torch.randn(40, 1))

    def forward(self, x: Tensor) -> Tensor:
        scores = torch.matmul(torch.tanh(self.proj(x)), self.context).squeeze(-1)
        return (x * torch.softmax(scores, dim=1).unsqueeze(-1)).sum(1)


@style(with_more(hidden(), lambda n: random(2, 40, seed=7)))
class MemoryNetwork(nn.Module):
    """MemN2N: the inner product by multiply and sum, the output by multiply and sum."""

    def __init__(self) -> None:
        super().__init__()
        self.A, self.C = nn.Linear(40, 40), nn.Linear(40, 40)

    def forward(self, stories: Tensor, u: Tensor) -> Tensor:
        prob = F.softmax(torch.sum(self.A(stories) * u.unsqueeze(1), 2), dim=1)
        return torch.sum(self.C(stories) * prob.unsqueeze(2), 1) + u


@style(image(), name="squeeze_excite_cbam")
class CBAM(nn.Module):
    """SE and CBAM: gates from pooled channels; SKNet: softmax over branches."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.spatial = (
            nn.Sequential(nn.Linear(40, 8), nn.ReLU(), nn.Linear(8, 40)),
            nn.Conv2d(2, 1, 7, padding=3),
        )
        self.branches = nn.ModuleList([nn.Conv2d(40, 40, 1), nn.Conv2d(40, 40, 3, padding=1)])
        self.select = nn.Linear(40, 80)

    def forward(self, x: Tensor) -> Tensor:
        x = x * torch.sigmoid(self.fc(x.mean((2, 3))) + self.fc(x.amax((2, 3))))[:, :, None, None]
        x = x * torch.sigmoid(self.spatial(torch.stack([x.mean(1), x.amax(1)], dim=1)))
        feats = torch.stack([branch(x) for branch in self.branches], dim=1)
        weights = self.select(feats.sum(1).mean((2, 3))).view(-1, 2, 40).softmax(dim=1)
        return (feats * weights[:, :, :, None, None]).sum(1)


@style(image())
class GlobalContext(nn.Module):
    """GCNet: one map of all positions by a 1×1 convolution, softmax, a product with the features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_mask, self.transform = nn.Conv2d(40, 1, 1), nn.Conv2d(40, 40, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channel, height, width = x.size()
        input_x = x.view(batch, channel, height * width).unsqueeze(1)
        mask = F.softmax(self.conv_mask(x).view(batch, 1, height * width), dim=2).unsqueeze(-1)
        return x + self.transform(torch.matmul(input_x, mask).view(batch, channel, 1, 1))


@style(image(), codes="unsupported_score")
class DANetChannels(nn.Module):
    """DANet's channel attention: softmax of (maximum − energy), a negative scale."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        m_batchsize, C, height, width = x.size()
        proj_query = x.view(m_batchsize, C, -1)
        energy = torch.bmm(proj_query, x.view(m_batchsize, C, -1).permute(0, 2, 1)) / 63
        energy_new = torch.max(energy, -1, keepdim=True)[0].expand_as(energy) - energy
        out = torch.bmm(F.softmax(energy_new, dim=-1), x.view(m_batchsize, C, -1))
        return self.gamma * out.view(m_batchsize, C, height, width) + x


@style(image())
class DoubleAttention(nn.Module):
    """A²-Nets: two softmaxes over positions, one gathers, one distributes."""

    def __init__(self) -> None:
        super().__init__()
        self.convA, self.convB, self.convV = nn.Conv2d(40, 24, 1), nn.Conv2d(40, 16, 1), nn.Conv2d(40, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        tmpA = self.convA(x).view(b, 24, -1)
        attention_maps = F.softmax(self.convB(x).view(b, 16, -1), dim=-1)
        attention_vectors = F.softmax(self.convV(x).view(b, 16, -1), dim=-1)
        global_descriptors = torch.bmm(tmpA, attention_maps.permute(0, 2, 1))
        return global_descriptors.matmul(attention_vectors).view(b, 24, h, w)


@style(with_more(hidden(), lambda n: torch.rand(2, n, n, generator=torch.Generator().manual_seed(0)) > 0.5))
class GAT(nn.Module):
    """pyGAT, dense: a sum of two projections through LeakyReLU; the product with h follows, no QKᵀ before."""

    def __init__(self) -> None:
        super().__init__()
        self.W, self.a = nn.Parameter(torch.zeros(40, 24)), nn.Parameter(torch.zeros(48, 1))

    def forward(self, h: Tensor, adj: Tensor) -> Tensor:
        Wh = torch.matmul(h, self.W)
        e = F.leaky_relu(torch.matmul(Wh, self.a[:24]) + torch.matmul(Wh, self.a[24:]).transpose(1, 2), 0.2)
        attention = torch.where(adj > 0, e, -9e15 * torch.ones_like(e))
        attention = F.dropout(F.softmax(attention, dim=-1), 0.1, training=self.training)
        return F.elu(torch.matmul(attention, Wh))


@style(
    lambda n: (random(2, n, 3), random(2, n, 40, seed=1)),
)
class PointTransformer(nn.Module):
    """Vector attention over the nearest neighbours: a softmax for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.fc_delta, self.fc_gamma = nn.Linear(3, 40), nn.Linear(40, 40)
        self.w_qs, self.w_ks, self.w_vs = (nn.Linear(40, 40, bias=False) for _ in range(3))

    def forward(self, xyz: Tensor, x: Tensor) -> Tensor:
        dists = (xyz[:, :, None] - xyz[:, None]).square().sum(-1)
        knn = dists.argsort()[:, :, :8]
        batch = torch.arange(2)[:, None, None]
        q, k, v = self.w_qs(x), self.w_ks(x)[batch, knn], self.w_vs(x)[batch, knn]
        pos_enc = self.fc_delta(xyz[:, :, None] - xyz[batch, knn])
        attn = F.softmax(self.fc_gamma(q[:, :, None] - k + pos_enc) / 40**0.5, dim=-2)
        return torch.einsum("bmnf,bmnf->bmf", attn, v + pos_enc)


@style(hidden(), codes="probabilities_escape")
class InvariantPointAttention(nn.Module):
    """AlphaFold 2: scalar products, a pair bias and point distances; the weights are read three times."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(40, 40) for _ in range(3))
        self.q_pts, self.k_pts, self.v_pts = (nn.Linear(40, 4 * 2 * 3) for _ in range(3))

    def forward(self, s: Tensor) -> Tensor:
        b, n, _ = s.shape
        q, k, v = (p(s).view(b, n, 4, 10) for p in (self.q, self.k, self.v))
        q_pts, k_pts, v_pts = (p(s).view(b, n, 4, 2, 3) for p in (self.q_pts, self.k_pts, self.v_pts))
        a = torch.matmul(q.permute(0, 2, 1, 3), k.permute(0, 2, 3, 1)) * (1 / 30) ** 0.5
        pt_att = (q_pts.unsqueeze(2) - k_pts.unsqueeze(1)).square().sum(dim=(-1, -2))
        a = torch.softmax(a + pt_att.permute(0, 3, 1, 2) * -0.1, dim=-1)
        o = torch.matmul(a, v.transpose(-2, -3)).transpose(-2, -3).reshape(b, n, -1)
        o_pt = torch.einsum("bhij,bjhpc->bihpc", a, v_pts).reshape(b, n, -1)
        return torch.cat((o, o_pt), dim=-1)


@style(hidden())
class DeformableSampling(nn.Module):
    """Deformable DETR in one dim: softmax over sampled points, whose weights come from a linear."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.offsets, self.weights = nn.Linear(40, 40), nn.Linear(40, 16), nn.Linear(40, 16)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        value = self.value(x).view(b, n, 4, 10)
        weights = F.softmax(self.weights(x).view(b, n, 4, 4), -1)
        at = (torch.arange(n)[None, :, None, None] + self.offsets(x).view(b, n, 4, 4).round().long()).clamp(0, n - 1)
        sampled = value.gather(1, at.permute(0, 1, 3, 2).reshape(b, -1, 4, 1).expand(-1, -1, -1, 10))
        return torch.einsum("bnhp,bnphd->bnhd", weights, sampled.view(b, n, 4, 4, 10)).reshape(b, n, 40)
