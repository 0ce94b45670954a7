"""How hard one attention head is: α and κ of Han et al. (arXiv 2310.05869, section 2), heavy mass, effective keys.

With A = exp(scale·QKᵀ), D = diag(A1), P = D⁻¹A and a mask M of heavy entries:

    α = n · max_j ‖P eⱼ‖₂²                     the largest squared column norm of the softmax matrix, times n
    κ = max_i ⟨1 − Mᵢ, Aᵢ⟩ / min_i ⟨1 − Mᵢ, Aᵢ⟩    how uneven the rows' unmasked sums are

The paper's bounds hold where both are n^o(1): small numbers are easy heads. Here the mask holds, of what a query sees,
the first `sinks` keys, the `window` most recent ones (without causality window/2 on both sides) and the HEAVY
other columns of largest mass over the sampled rows. n is the number of keys.

All of it is estimated from sampled query rows, each exact:

- α: ‖P eⱼ‖² = Σᵢ pᵢⱼ² by n_q / r times its sum over the r rows (Horvitz and Thompson), unbiased for each column. The
  largest of noisy sums is biased upwards, most where single entries make the norm; a column whose weight lies in rows
  that were not drawn is missed. An attention sink alone makes α near n²; `alpha_rest` is the same of the unmasked
  entries, what is left for an estimator that reads the mask exactly.
- κ: the largest and smallest of r rows lie within those of all rows, so for this mask κ is a lower bound. Rows whose
  unmasked part is empty are left out. With causality early rows have short sums, which counts as unevenness; the
  paper's recursion never compares those rows.
- heavy mass: mean over rows of the masked weight. The heavy columns come from the same rows, so it is biased upwards.
- effective keys: exp of the mean entropy (nats) of a row; 1 = one key takes all.

With r >= n_q the rows are all rows and every number is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .attend import NEG_INF
from .call import AttentionCall
from .probe_error import visible_keys

HEAVY = 256


@dataclass(frozen=True, slots=True)
class Hardness:
    """Float64 [B, H] on the CPU; `alpha_rest` is α of (1 − M)∘P.

    `kappa` is 1 where fewer than two rows have an unmasked key, inf past the float range.
    """

    alpha: Tensor
    kappa: Tensor
    heavy_mass: Tensor
    effective_keys: Tensor
    alpha_rest: Tensor


def sample_rows(count: int, rows: int, seed: int) -> Tensor:
    """`rows` of range(count) without replacement, ascending; all of them where rows >= count. int64, on the CPU."""
    if rows >= count:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:rows].sort().values


def hardness(query: Tensor, key: Tensor, call: AttentionCall, rows: Tensor) -> Hardness:
    """Of each head, from query rows `rows` (int64 [r], distinct) computed in float64.

    query [B, H, n_q, D], key [B, H_kv, n_k, D]; call: scale, causal_offset; its parameters: sinks, window.
    Costs r·n_k·D multiply-adds a head; memory O(r·n_k).
    """
    batch, heads, n_q = query.shape[:3]
    n_k = key.shape[2]
    rows = rows.to(query.device)
    keys = torch.arange(n_k, device=query.device)
    hidden = keys >= visible_keys(call, query.device)[rows].unsqueeze(-1)
    always = _sinks_and_window(rows, keys, call)
    names = ("alpha", "kappa", "heavy_mass", "effective_keys", "alpha_rest")
    found = {name: torch.zeros(batch, heads, dtype=torch.float64) for name in names}
    for b in range(batch):
        for h in range(heads):
            k = key[b, h * key.shape[1] // heads].double()
            scores = (query[b, h, rows].double() * call.scale) @ k.T
            scores = scores.masked_fill(hidden, NEG_INF)
            weights = torch.softmax(scores, -1).nan_to_num(0.0)
            found["alpha"][b, h] = n_k * n_q / rows.numel() * weights.square().sum(0).max()
            entropy = -torch.special.xlogy(weights, weights).sum(-1)
            found["effective_keys"][b, h] = entropy.mean().exp()
            mass = weights.masked_fill(always, 0.0).sum(0)
            masked = always.clone()
            masked[:, mass.topk(min(HEAVY, n_k)).indices] = True
            found["heavy_mass"][b, h] = (weights * masked).sum(-1).mean()
            left = weights.masked_fill(masked, 0.0).square().sum(0).max()
            found["alpha_rest"][b, h] = n_k * n_q / rows.numel() * left
            rest = torch.logsumexp(scores.masked_fill(masked, NEG_INF), -1)
            rest = rest[rest > NEG_INF]
            found["kappa"][b, h] = (rest.max() - rest.min()).exp() if rest.numel() else 1.0
    return Hardness(**found)


def _sinks_and_window(rows: Tensor, keys: Tensor, call: AttentionCall) -> Tensor:
    """Bool [r, n_k]: the first keys and those near the query's own position."""
    window = call.parameters.window
    if call.causal_offset is None:
        position = (rows * call.num_keys // max(call.num_queries, 1)).unsqueeze(-1)
        near = (keys - position).abs() <= window // 2
    else:
        position = (rows + call.causal_offset).unsqueeze(-1)
        near = (keys <= position) & (keys > position - window)
    return near | (keys < call.parameters.sinks)
