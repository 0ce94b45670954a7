"""The shared primitive: softmax attention over a batch of dense tiles as (out, lse) that merge, and its gradient.

A tile is `rows` queries against `columns` keys. Tiles of one batch share nothing, so the batch dim N may mix batch
elements, heads and positions. Under grouped-query attention G query heads of one tile share its keys: they are folded
into one matrix product and the keys are never repeated. Validity and weights come as one additive `log_weight`
(−inf = the pair does not exist). Low precision is accumulated in float32 by the caller's choice of dtype.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from .curve import STRAIGHT, Curve
from .layout import readable

NEG_INF = float("-inf")


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_weight: Tensor | None,
    scale: float,
    is_causal: bool = False,
    curve: Curve = STRAIGHT,
    empty: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention inside each tile.

    query       [N, G·U, rows, D]; U = heads of key (G query heads share one, in order).
    key, value  [N, U, columns, D], [N, U, columns, D_v]; columns >= 1.
    log_weight  None or broadcastable to [N, G·U, rows, columns], added to scale·query·key; −inf removes the pair.
    is_causal   row i sees columns j <= i only (top-left aligned), besides log_weight. The caller then sees to it
                that every row keeps a visible column, or corrects the lse of the rows that do not.
    curve       what scale·query·key goes through before log_weight is added. No fused kernel knows one.
    empty       bool, broadcastable to [N, G·U, rows]: the rows without a visible pair, where the caller knows them;
                else log_weight is searched for them.

    Returns out [N, G·U, rows, D_v] in query's dtype and lse [N, G·U, rows] in the accumulation dtype, natural log.
    A row without a visible pair (by log_weight) gives out 0, lse −inf. Not differentiable by autograd: see
    `attend_backward`.
    """
    query, scale, _ = _with_positive_scale(query, scale)
    if not curve.is_straight:
        out, lse = _attend_matmul(query, key, value, log_weight, scale, is_causal, curve)
    elif query.device.type == "cpu":
        out, lse = _attend_cpu(query, key, value, log_weight, scale, is_causal)
    elif is_fused(query, key, value, log_weight is not None, is_causal):
        flash = torch.ops.aten._scaled_dot_product_flash_attention
        out, lse = flash(readable(query), readable(key), readable(value), 0.0, is_causal, scale=scale)[:2]
    else:
        out, lse = _attend_matmul(query, key, value, log_weight, scale, is_causal)
    if log_weight is not None:
        empty = (log_weight == NEG_INF).all(-1) if empty is None else empty
        lse = lse.masked_fill(empty, NEG_INF)
        out = out.masked_fill(empty.unsqueeze(-1), 0.0)
    return out, lse


def _with_positive_scale(query: Tensor, scale: float) -> tuple[Tensor, float, float]:
    """The same products as (query times a sign, a scale above 0, that sign): flash kernels multiply the −inf of their
    causal mask by the scale."""
    if scale > 0.0:
        return query, scale, 1.0
    sign = -1.0 if scale < 0.0 else 0.0
    return query * sign, abs(scale) or 1.0, sign


def is_fused(query: Tensor, key: Tensor, value: Tensor, has_weight: bool, is_causal: bool) -> bool:
    """Whether `attend` keeps the scores inside one kernel: always on the CPU, by flash attention in 16 bits on CUDA."""
    if query.device.type == "cpu":
        return True
    features = query.shape[-1]
    return (
        query.device.type == "cuda"
        and query.dtype in (torch.float16, torch.bfloat16)
        and not has_weight
        and features == value.shape[-1]
        and features <= 256
        and features % 8 == 0
        and not (is_causal and query.shape[2] != key.shape[2])  # flash aligns causal masks at the last row
    )


def _attend_cpu(
    query: Tensor, key: Tensor, value: Tensor, log_weight: Tensor | None, scale: float, is_causal: bool
) -> tuple[Tensor, Tensor]:
    features, value_features = query.shape[-1], value.shape[-1]
    widest = max(features, value_features, 1)
    if features < widest:
        query, key = pad(query, (0, widest - features)), pad(key, (0, widest - features))
    if value_features < widest:
        value = pad(value, (0, widest - value_features))
    if log_weight is not None:
        shape = (query.shape[0], query.shape[1], query.shape[2], key.shape[2])
        wanted = accumulation_dtype(query.dtype)
        log_weight = (log_weight if log_weight.dtype == query.dtype else log_weight.to(wanted)).expand(shape)
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        readable(query), readable(key), readable(value), 0.0, is_causal, attn_mask=log_weight, scale=scale
    )
    return out[..., :value_features], lse


def _attend_matmul(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_weight: Tensor | None,
    scale: float,
    is_causal: bool,
    curve: Curve = STRAIGHT,
) -> tuple[Tensor, Tensor]:
    """The portable form: materialises the tiles' scores."""
    scores = curve.bend_(scaled_scores(query, key, scale))
    if log_weight is not None:
        scores = scores.add_(log_weight)
    if is_causal:
        rows, columns = scores.shape[-2:]
        future = torch.ones(rows, columns, dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(future, NEG_INF)
    # Not exp(scores − lse): lse cannot hold the sum where scores lie near the type's minimum (additive masks).
    weights = torch.softmax(scores, -1)
    largest = scores.amax(-1)
    lse = (largest - weights.amax(-1).log_()).masked_fill(largest == NEG_INF, NEG_INF)
    out = _grouped(weights, key.shape[1]) @ value.to(weights.dtype)
    return out.reshape(*query.shape[:3], value.shape[-1]).to(query.dtype), lse


def _grouped(tensor: Tensor, units: int) -> Tensor:
    """[N, G·U, rows, X] → [N, U, G·rows, X]: the query heads of one key head as more rows."""
    return tensor.reshape(tensor.shape[0], units, -1, tensor.shape[-1])


def scaled_scores(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """scale·query·keyᵀ in the accumulation dtype, [N, G·U, rows, columns]; a new tensor."""
    dtype = accumulation_dtype(query.dtype)
    scores = (_grouped(query, key.shape[1]).to(dtype) * scale) @ key.to(dtype).transpose(-1, -2)
    return scores.reshape(*query.shape[:3], key.shape[2])


def log_weight_of(keep: Tensor, like: Tensor) -> Tensor:
    """0 where a pair is kept, −inf elsewhere; keep bool, the result in the dtype of `like`."""
    return torch.zeros((), dtype=like.dtype, device=like.device).where(keep, NEG_INF)


def attend_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_weight: Tensor | None,
    scale: float,
    lse: Tensor,
    delta: Tensor | None,
    is_causal: bool = False,
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of (query, key, value) of tiles that are part of a larger softmax; shapes as in `attend`.

    All tensors share one dtype, float32 or float64. lse [N, G·U, rows] is of the whole row, over all of its tiles, and
    delta [N, G·U, rows] = Σ grad_out·out − grad_lse likewise: the second term is what makes the gradient through the
    merge weights right. Where grad_lse is zero, out [N, G·U, rows, D_v] of the whole row may be given in place of
    delta, which the fused kernel then computes itself, faster. With p = exp(s − lse): grad_value = pᵀ grad_out,
    grad_s = p ⊙ (grad_out valueᵀ − delta). Rows whose lse is −inf give zeros. On the CPU scores stay in the fused
    kernel; elsewhere they are materialised.
    """
    if scale <= 0.0:
        query, scale, sign = _with_positive_scale(query, scale)
        grads = attend_backward(grad_out, query, key, value, log_weight, scale, lse, delta, is_causal, out)
        return grads[0] * sign, grads[1], grads[2]
    lse = lse.masked_fill(lse == NEG_INF, float("inf"))
    if query.device.type == "cpu":
        return _backward_cpu(grad_out, query, key, value, log_weight, scale, lse, delta, is_causal, out)
    if delta is None:
        assert out is not None
        delta = (grad_out * out).sum(-1)
    scores = scaled_scores(query, key, scale)
    if log_weight is not None:
        scores = scores.add_(log_weight)
    if is_causal:
        scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), NEG_INF)
    return _backward_of_weights((scores - lse.unsqueeze(-1)).exp_(), grad_out, query, key, value, scale, delta)[:3]


def attend_row_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_weight: Tensor | None,
    scale: float,
    grad_lse: Tensor | None,
    curve: Curve = STRAIGHT,
    replaced: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of tiles that hold their rows whole: (query, key, value, log_weight [N, G·U, rows, columns]).

    Recomputes the softmax, so it needs no lse and is right also where lse cannot hold the sum (scores near the type's
    minimum, as fully masked rows of additive masks have). Materialises the scores. Rows of −inf alone give zeros.
    replaced: bool, broadcastable to the scores; those that log_weight stands in the place of, which take no gradient.
    """
    scores, slope = curve.bend_with_slope_(scaled_scores(query, key, scale))
    slope = _without(slope, replaced)
    if log_weight is not None:
        scores = scores.add_(log_weight)
    weights = torch.softmax(scores, -1)
    if log_weight is not None:
        weights = weights.masked_fill_((log_weight == NEG_INF).all(-1, keepdim=True), 0.0)
    return _backward_of_weights(weights, grad_out, query, key, value, scale, None, grad_lse, slope)


def _without(slope: Tensor | None, replaced: Tensor | None) -> Tensor | None:
    """The slope of a curve, 0 where scores are replaced; None: 1 everywhere."""
    if replaced is None:
        return slope
    return ~replaced if slope is None else slope.masked_fill(replaced, 0.0)


def attend_level_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    empty: Tensor,
    curve: Curve = STRAIGHT,
    replaced: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`attend_row_backward` of rows that see no key, empty bool [N, G·U, rows], as if all of their weights were equal.

    The other rows pass nothing on. Materialises the scores.
    """
    slope = None
    if not curve.is_straight:
        slope = curve.bend_with_slope_(scaled_scores(query, key, scale))[1]
    weights = (empty.to(grad_out.dtype) / key.shape[2]).unsqueeze(-1).expand(*empty.shape, key.shape[2])
    return _backward_of_weights(weights, grad_out, query, key, value, scale, None, slope=_without(slope, replaced))


def _backward_of_weights(
    weights: Tensor,
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    delta: Tensor | None,
    grad_lse: Tensor | None = None,
    slope: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The formulas of `attend_backward` from p [N, G·U, rows, columns]; delta None = taken from these tiles alone.

    slope: derivative of the score by scale·query·key, None = 1; not part of the last gradient, which is log_weight's.
    """
    units = key.shape[1]
    grad_rows = _grouped(grad_out, units)
    grad_scores = (grad_rows @ value.transpose(-1, -2)).reshape(weights.shape)
    if delta is None:
        delta = torch.linalg.vecdot(weights, grad_scores)
        delta = delta if grad_lse is None else delta - grad_lse
    grad_value = _grouped(weights, units).transpose(-1, -2) @ grad_rows
    grad_scores = grad_scores.sub_(delta.unsqueeze(-1)).mul_(weights)
    folded = _grouped(grad_scores if slope is None else grad_scores * slope, units)
    grad_query = (folded @ key).mul_(scale).reshape(query.shape)
    grad_key = (folded.transpose(-1, -2) @ _grouped(query, units)).mul_(scale)
    return grad_query, grad_key, grad_value, grad_scores


def _backward_cpu(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_weight: Tensor | None,
    scale: float,
    lse: Tensor,
    delta: Tensor | None,
    is_causal: bool,
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The fused kernel computes delta itself, as Σ grad_out·out. A spare feature, zero in value, carries ours in."""
    features, value_features = query.shape[-1], value.shape[-1]
    if out is not None:
        widest = max(features, value_features)
        if value_features < widest:
            grad_out, out = pad(grad_out, (0, widest - value_features)), pad(out, (0, widest - value_features))
    else:
        assert delta is not None
        widest = max(features, value_features + 1)
        grad_out, plain = grad_out.new_zeros(*grad_out.shape[:-1], widest), grad_out
        grad_out[..., :value_features] = plain
        grad_out[..., value_features] = delta
        out = torch.zeros_like(grad_out)
        out[..., value_features] = 1.0
    if features < widest:
        query, key = pad(query, (0, widest - features)), pad(key, (0, widest - features))
    if value_features < widest:
        value = pad(value, (0, widest - value_features))
    if log_weight is not None:
        log_weight = log_weight.to(query.dtype).expand(*query.shape[:3], key.shape[2])
    grad_query, grad_key, grad_value = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        readable(grad_out),
        readable(query),
        readable(key),
        readable(value),
        readable(out),
        lse.contiguous(),
        0.0,
        is_causal,
        attn_mask=log_weight,
        scale=scale,
    )
    return grad_query[..., :features], grad_key[..., :features], grad_value[..., :value_features]


def merge(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Join two partial results over disjoint keys: out [..., D_v], lse [...]. Safe where one or both lse are −inf."""
    (out1, lse1), (out2, lse2) = first, second
    lse = torch.logaddexp(lse1, lse2)
    base = lse.masked_fill(lse == NEG_INF, 0.0)
    weight1, weight2 = torch.exp(lse1 - base), torch.exp(lse2 - base)
    return out1 * weight1.unsqueeze(-1) + out2 * weight2.unsqueeze(-1), lse


def merge_(out: Tensor, lse: Tensor, more: tuple[Tensor, Tensor]) -> None:
    """`merge` into the first result, in place and with fewer passes over memory."""
    whole = torch.logaddexp(lse, more[1])
    base = whole.masked_fill(whole == NEG_INF, 0.0)
    out.mul_((lse - base).exp_().unsqueeze(-1)).addcmul_(more[0], (more[1] - base).exp_().unsqueeze(-1))
    lse.copy_(whole)


def flat_index(rows: Tensor, heads: int, length: int) -> Tensor:
    """Row numbers as row numbers of the flattened tensor [batch·heads·length (+ 1 spare), features].

    rows int [B, R, ...] with R = `heads`, or a multiple of it (query heads over key heads), or 1 (all heads the same
    rows; needs heads == 1). −1 maps to the spare row batch·heads·length.
    """
    batch, row_heads = rows.shape[:2]
    head = torch.arange(row_heads, device=rows.device) // max(row_heads // heads, 1)
    base = (torch.arange(batch, device=rows.device)[:, None] * heads + head) * length
    base = base.reshape(batch, row_heads, *([1] * (rows.dim() - 2)))
    return torch.where(rows < 0, batch * heads * length, base + rows)


def gather_rows(flat: Tensor, index: Tensor) -> Tensor:
    """Rows of flat [rows, features] at index [...] → [..., features]; indices past the end give zeros, never NaN."""
    absent = index >= flat.shape[0]
    some = index.device.type != "cpu" or bool(absent.any())
    safe = index.clamp(max=flat.shape[0] - 1) if some else index
    rows = flat.index_select(0, safe.reshape(-1)).reshape(*index.shape, flat.shape[-1])
    return rows.masked_fill_(absent.unsqueeze(-1), 0.0) if some else rows
