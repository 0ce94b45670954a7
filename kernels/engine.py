"""Runs a plan: forward and backward, part by part and chunk by chunk. No algorithm writes its own.

The exceptions are forwards that have kernels of their own on a GPU (`fused`), or products of their own on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from .attend import NEG_INF, accumulation_dtype, attend, attend_backward, gather_rows, merge
from .call import AttentionCall
from .exact import (
    Scoring,
    is_one_call,
    level_backward,
    one_call_backward,
    span_backward,
    span_forward,
    span_row_backward,
)
from .fused import forward as fused
from .hidden import harmless, narrowed
from .lifted import Lifted
from .parameters import NAN_ROWS
from .parts import Span, Tiles, without_bands
from .planning import (
    TILE_BUDGET,
    far_parts,
    has_far,
    key_index,
    make_plan,
    near_forward,
    near_lse,
    own_forward,
    query_index,
    relevant_mask,
    without_masked,
)

LARGEST_LSE = 1e3  # a float32 lse beyond it is a weight's relative error of more than 6e-5


def _scoring(
    key_mask: Tensor | None,
    bias: Tensor | None,
    lifted: Lifted | None,
    query: Tensor,
    call: AttentionCall,
    replaced: Tensor | None = None,
) -> Scoring:
    """The call's score; on the CPU, where looking costs nothing, sorted groups become key ranges."""
    if lifted is not None and query.device.type == "cpu":
        lifted = lifted.resolved()
    return Scoring(call.scale, call.curve, key_mask, bias, lifted, replaced)


def forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    call: AttentionCall,
    lifted: Lifted | None = None,
) -> tuple[Tensor, Tensor]:
    """(out [B, H, n_q, D_v] contiguous in query's dtype, lse [B, H, n_q] float32)."""
    batch, heads, n_q = query.shape[:3]
    value_features = value.shape[-1]
    if query.shape[0] * heads * n_q * call.num_keys == 0:
        out = query.new_zeros(batch, heads, n_q, value_features)
        return out, query.new_full((batch, heads, n_q), NEG_INF, dtype=torch.float32)
    key_mask = relevant_mask(key_mask)
    scoring = _scoring(key_mask, bias, lifted, query, call)
    done = fused.forward(query, key, value, scoring, call)
    done = own_forward(query, key, value, key_mask, call) if done is None else done
    if done is not None:
        out, lse = done
        return _fill_empty(out, lse, value, call, key_mask), lse
    parts = make_plan(query, key, key_mask, call)
    if (whole := _as_one_span(parts, call)) is not None:
        whole, scoring = narrowed(whole, scoring)
        out, lse = span_forward(query, *harmless(query, key, value, whole, scoring), whole, scoring)
    else:
        dtype = accumulation_dtype(query.dtype)
        flat_out = torch.zeros(batch * heads * n_q + 1, value_features, dtype=dtype, device=query.device)
        flat_lse = torch.full((batch * heads * n_q + 1,), NEG_INF, dtype=dtype, device=query.device)
        # Contiguous once: every part gathers rows from these, and a model's q, k and v are strided views.
        wide = (
            query.to(dtype).contiguous(),
            without_masked(key, key_mask).to(dtype).contiguous(),
            without_masked(value, key_mask).to(dtype).contiguous(),
        )
        out = flat_out[:-1].view(batch, heads, n_q, value_features)
        lse = flat_lse[:-1].view(batch, heads, n_q)
        is_untouched = all(isinstance(part, Tiles) for part in parts)
        near_forward(*wide, parts, scoring, out, lse)
        for place, part in enumerate(parts):
            if isinstance(part, Tiles):
                _tiles_forward(*wide, part, call.scale, flat_out, flat_lse, is_first=place == 0 and is_untouched)
        for listed in far_parts(*wide, key_mask, call, lse.clone()):
            _tiles_forward(*wide, listed, call.scale, flat_out, flat_lse, is_first=False)
    out = _fill_empty(out, lse, value, call, key_mask)
    return out.to(query.dtype).contiguous(), _in_float32(lse).contiguous()


def _in_float32(lse: Tensor) -> Tensor:
    """An lse in float32, where the fills of a float64 mask stay finite: −inf says that a query sees no key."""
    if lse.dtype == torch.float32:
        return lse
    lowest = lse.clamp(min=torch.finfo(torch.float32).min)
    return torch.where(lse == NEG_INF, lse, lowest).to(torch.float32)


def _as_one_span(parts: Sequence[object], call: AttentionCall) -> Span | None:
    """The span that is the whole call, where the plan is that and nothing else."""
    part = parts[0] if len(parts) == 1 else None
    if not isinstance(part, Span) or has_far(call):
        return None
    edges = (part.query_start, part.query_stop, part.key_start, part.key_stop)
    return part if edges == (0, call.num_queries, 0, call.num_keys) else None


def backward(
    grad_out: Tensor,
    grad_lse: Tensor | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    out: Tensor,
    lse: Tensor,
    call: AttentionCall,
    needs_bias_grad: bool,
    lifted: Lifted | None = None,
    replaced: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Gradients of query, key, value and bias (None unless needed), each in its input's shape and dtype, contiguous."""
    batch, heads, n_q, features = query.shape
    dtype = accumulation_dtype(query.dtype)
    count = key.shape[0] * key.shape[1] * key.shape[2] + 1
    sizes = ((batch * heads * n_q + 1, features), (count, features), (count, value.shape[-1]))
    flats = [torch.empty(size, dtype=dtype, device=query.device) for size in sizes]
    grads = (flats[0][:-1].view(query.shape), flats[1][:-1].view(key.shape), flats[2][:-1].view(value.shape))
    grad_bias = None
    if bias is not None and needs_bias_grad:
        grad_bias = torch.zeros([1] * (4 - bias.dim()) + list(bias.shape), dtype=dtype, device=query.device)
    if batch * heads * n_q * call.num_keys:
        key_mask = relevant_mask(key_mask)
        planned = make_plan(query, key, key_mask, call)
        parts = without_bands(planned)
        scoring = _scoring(key_mask, bias, lifted, query, call, replaced)
        whole = _as_one_span(parts, call)
        if whole is not None:
            whole, scoring = narrowed(whole, scoring)
            parts = [] if whole.is_empty else [whole]
            clean = harmless(query, key, value, whole, scoring, grad_out)
        else:
            clean = without_masked(key, key_mask), without_masked(value, key_mask)
        wide = query.to(dtype), clean[0].to(dtype), clean[1].to(dtype)
        if len(parts) > 1:  # tiles gather rows, each part again
            wide = (wide[0].contiguous(), wide[1].contiguous(), wide[2].contiguous())
        empty = lse == NEG_INF
        wide_grad, wide_out = _without_empty(grad_out.to(dtype), empty), _without_empty(out.to(dtype), empty)
        grad_lse = None if grad_lse is None else grad_lse.to(dtype).masked_fill(empty, 0.0)
        by_rows = whole is not None and _wants_rows(scoring, grad_bias, lse, dtype)
        is_one = whole is not None and not whole.is_empty and not by_rows and is_one_call(whole, scoring, query)
        if not is_one:
            for flat in flats:
                flat.zero_()
        if whole is not None and by_rows:
            span_row_backward(wide_grad, *wide, whole, scoring, grad_lse, grads, grad_bias)
            parts = []
        delta = None
        if grad_lse is not None or has_far(call) or any(isinstance(part, Tiles) for part in parts):
            delta = (wide_grad * wide_out).sum(-1)
            delta = delta if grad_lse is None else delta - grad_lse
        given = wide_out if grad_lse is None else None
        wide_lse = lse.to(dtype)
        if whole is not None and is_one:
            grads = one_call_backward(wide_grad, *wide, whole, scoring, wide_lse, delta, given)
            parts = []
        for part in parts:
            if isinstance(part, Span):
                span_backward(wide_grad, *wide, part, scoring, wide_lse, delta, grads, given)
            else:
                assert delta is not None
                _tiles_backward(wide_grad, *wide, part, call.scale, wide_lse, delta, (flats[0], flats[1], flats[2]))
        if has_far(call):
            assert delta is not None
            near = near_lse(*wide[:2], key_mask, call, planned)
            for listed in far_parts(*wide, key_mask, call, near):
                _tiles_backward(wide_grad, *wide, listed, call.scale, wide_lse, delta, (flats[0], flats[1], flats[2]))
        if call.empty_rows == "level":
            tensors = (grad_out.to(dtype), query.to(dtype), key.to(dtype), value.to(dtype))
            _level_backward(tensors, empty, scoring, grads, grad_bias)
        else:
            _empty_backward(grad_out.to(dtype), empty, grads, call)
    else:
        for flat in flats:
            flat.zero_()
    return (
        grads[0].to(query.dtype).contiguous(),
        grads[1].to(key.dtype).contiguous(),
        grads[2].to(value.dtype).contiguous(),
        None if bias is None or grad_bias is None else grad_bias.reshape(bias.shape).to(bias.dtype).contiguous(),
    )


def _wants_rows(scoring: Scoring, grad_bias: Tensor | None, lse: Tensor, dtype: torch.dtype) -> bool:
    """Whether the float32 lse is too coarse, or scores must be at hand for their gradient: then rows are recomputed."""
    if grad_bias is not None or dtype == torch.float64 or not scoring.curve.is_straight:
        return True
    bias = scoring.bias
    if bias is None:
        return False
    return bias.device.type != "cpu" or bool(((lse.abs() > LARGEST_LSE) & (lse > NEG_INF)).any())


def _without_empty(tensor: Tensor, empty: Tensor) -> Tensor:
    """Rows of queries without a key as zeros; no copy where a look shows that there are none."""
    if empty.device.type == "cpu" and not bool(empty.any()):
        return tensor
    return tensor.masked_fill(empty.unsqueeze(-1), 0.0)


def _fill_empty(out: Tensor, lse: Tensor, value: Tensor, call: AttentionCall, key_mask: Tensor | None) -> Tensor:
    if call.empty_rows == "zero" or (key_mask is None and call.sees_keys):
        return out
    empty = (lse == NEG_INF).unsqueeze(-1)
    if empty.device.type == "cpu" and not bool(empty.any()):
        return out
    if call.empty_rows in NAN_ROWS:
        return out.masked_fill(empty, float("nan"))
    mean = value.to(accumulation_dtype(value.dtype)).mean(2, keepdim=True).to(out.dtype)
    return torch.where(empty, mean.repeat_interleave(out.shape[1] // value.shape[1], 1), out)


def _empty_backward(grad_out: Tensor, empty: Tensor, grads: tuple[Tensor, Tensor, Tensor], call: AttentionCall) -> None:
    """What the rows without a key pass on: "mean" a share to every value; the others NaN, as softmax over −inf does."""
    if call.empty_rows == "zero" or (empty.device.type == "cpu" and not bool(empty.any())):
        return
    grad_query, grad_key, grad_value = grads
    batch, kv_heads, n_k = grad_value.shape[:3]
    if call.empty_rows == "mean":
        share = grad_out.masked_fill(~empty.unsqueeze(-1), 0.0).sum(2) / n_k
        grad_value += share.reshape(batch, kv_heads, -1, share.shape[-1]).sum(2).unsqueeze(2)
        return
    nan = float("nan")
    touched = empty.any(-1).reshape(batch, kv_heads, -1).any(-1)[:, :, None, None]
    grad_value.masked_fill_(touched, nan)
    if call.empty_rows == "nan_added":
        grad_query.masked_fill_(empty.unsqueeze(-1), nan)
        grad_key.masked_fill_(touched, nan)


def _level_backward(
    given: tuple[Tensor, Tensor, Tensor, Tensor],
    empty: Tensor,
    scoring: Scoring,
    grads: tuple[Tensor, Tensor, Tensor],
    grad_bias: Tensor | None,
) -> None:
    """The same for "level", of the batch rows that have such queries: what the others hold under masks may be NaN."""
    for b in empty.flatten(1).any(1).nonzero().flatten().tolist():
        mine = slice(b, b + 1)
        bias_mine = grad_bias if grad_bias is None or grad_bias.shape[0] == 1 else grad_bias[mine]
        grad_out, query, key, value = (tensor[mine] for tensor in given)
        level_backward(
            *(grad_out, query, key, value, scoring.without_lifted(mine), empty[mine]),
            (grads[0][mine], grads[1][mine], grads[2][mine]),
            bias_mine,
        )


def _flat(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1, tensor.shape[-1])


def _tiles_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    part: Tiles,
    scale: float,
    flat_out: Tensor,
    flat_lse: Tensor,
    is_first: bool,
) -> None:
    """Merge the part's result into flat_out [B·H·n_q + 1, D_v], flat_lse, in place; is_first: they are untouched."""
    flat_query, flat_key, flat_value = _flat(query), _flat(key), _flat(value)
    for chunk in part.chunks(TILE_BUDGET):
        queries = query_index(chunk, query.shape[1], query.shape[2])
        keys = key_index(chunk, key.shape[1], key.shape[2])
        out, lse = attend(
            gather_rows(flat_query, queries),
            gather_rows(flat_key, keys),
            gather_rows(flat_value, keys),
            chunk.pair_log_weight(query.dtype),
            scale,
        )
        rows = queries.reshape(-1)
        out, lse = out.reshape(-1, out.shape[-1]), lse.reshape(-1)
        if not is_first:
            out, lse = merge((flat_out.index_select(0, rows), flat_lse.index_select(0, rows)), (out, lse))
        flat_out.index_copy_(0, rows, out)
        flat_lse.index_copy_(0, rows, lse)


def _tiles_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    part: Tiles,
    scale: float,
    lse: Tensor,
    delta: Tensor,
    grads: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Add the part's share to the flat gradients of query, key and value, in place."""
    flat_query, flat_key, flat_value, flat_grad = _flat(query), _flat(key), _flat(value), _flat(grad_out)
    # Padding rows read the spare row: its lse makes every weight zero.
    flat_lse, flat_delta = pad(lse.reshape(-1), (0, 1), value=NEG_INF), pad(delta.reshape(-1), (0, 1))
    for chunk in part.chunks(TILE_BUDGET):
        queries = query_index(chunk, query.shape[1], query.shape[2])
        keys = key_index(chunk, key.shape[1], key.shape[2])
        rows, columns = queries.reshape(-1), keys.reshape(-1)
        found = attend_backward(
            gather_rows(flat_grad, queries),
            gather_rows(flat_query, queries),
            gather_rows(flat_key, keys),
            gather_rows(flat_value, keys),
            chunk.pair_log_weight(query.dtype),
            scale,
            flat_lse.index_select(0, rows).view(queries.shape),
            flat_delta.index_select(0, rows).view(queries.shape),
        )
        share = grads[0].index_select(0, rows).add_(_flat(found[0]))
        grads[0].index_copy_(0, rows, share)  # a query row stands once in a part; the spare row does not matter
        grads[1].index_add_(0, columns, _flat(found[1]))
        grads[2].index_add_(0, columns, _flat(found[2]))
