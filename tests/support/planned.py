"""The log weights of the portable form, from its plan."""

from __future__ import annotations

from typing import Any

import torch
from attention_cases import Inputs
from hyperrewrite.kernels import planning
from hyperrewrite.kernels.parts import Span, Tiles, without_bands
from torch import Tensor

NEG_INF = float("-inf")


def planned(inputs: Inputs, **rules: Any) -> Tensor:
    """The log weights [B, H, n_q, n_k] of the portable form, from its plan, in which no pair may stand twice."""
    call = inputs.call(**rules)
    leaves = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    parts, found = planning.whole_plan(*leaves, inputs.key_mask, call)
    weight = torch.full((*leaves[0].shape[:3], call.num_keys), NEG_INF, dtype=torch.float64)
    count = torch.zeros(weight.shape, dtype=torch.int64)
    for part in without_bands(parts):
        assert isinstance(part, Span)
        low, high = part.key_edges(weight.device)
        keys = torch.arange(call.num_keys)
        seen = (keys >= low[:, None]) & (keys < high[:, None])
        rows = slice(part.query_start, part.query_stop)
        weight[:, :, rows].masked_fill_(seen, 0.0)
        count[:, :, rows] += seen
    if inputs.key_mask is not None:
        weight.masked_fill_(~inputs.key_mask[:, None, None], NEG_INF)
    for part in found:
        assert isinstance(part, Tiles) and part.log_weight is not None
        b, h, t, q, k = (part.log_weight > NEG_INF).nonzero(as_tuple=True)
        at = (b, h, part.query_rows[b, h, t, q], part.key_rows[b, h, t, k])
        assert bool((at[3] >= 0).all())
        weight[at] = part.log_weight[b, h, t, q, k].double()
        count.index_put_(at, torch.ones_like(b), accumulate=True)
    assert int(count.max()) <= 1, "a pair is planned twice"
    return weight
