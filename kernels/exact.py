"""Exact attention of a span in O(n·chunk) memory: the fused kernel where one call does, else chunk by chunk of queries.

A chunk reads only the keys between its window's far edge and its causal frontier, and has a mask of its own size.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .attend import NEG_INF, accumulation_dtype, attend, attend_backward
from .call import AttentionCall
from .parts import Plan, Span, visible_keys

SCORE_BUDGET = 1 << 24  # scores (or mask entries) that one chunk may hold


def plan(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Plan:
    """The whole call as one span."""
    return [Span(0, call.num_queries, 0, call.num_keys, call.causal_offset, call.sliding_window)]


def selected_keys(call: AttentionCall) -> int:
    """Keys per query that the algorithm reads at most."""
    return call.num_keys


def span_forward(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, bias: Tensor | None, span: Span, scale: float
) -> tuple[Tensor, Tensor]:
    """Attention of span's queries over its keys.

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v], key_mask bool [B or 1, n_k], bias
    broadcastable to [B, H, n_q, n_k]. Returns out [B, H, rows, D_v] in query's dtype, lse [B, H, rows] in the
    accumulation dtype; a query that sees nothing gives 0 and −inf.
    """
    tile_query = query[:, :, span.query_start : span.query_stop]
    if _fuses(span, key_mask, bias, query):
        tile_key, tile_value = key[:, :, span.key_start : span.key_stop], value[:, :, span.key_start : span.key_stop]
        positions_free = Span(span.query_start, span.query_stop, span.key_start, span.key_stop)
        weight = _log_weight(positions_free, key_mask, bias, query)
        causal = span.causal_offset is not None and not _sees_all(span)
        out, lse = attend(tile_query, tile_key, tile_value, weight, scale, is_causal=causal)
        if causal and key_mask is not None:
            empty = (visible_keys(span, key_mask, query.device) == 0).unsqueeze(1)
            out, lse = out.masked_fill(empty.unsqueeze(-1), 0.0), lse.masked_fill(empty, NEG_INF)
        return out, lse
    batch, heads, rows = tile_query.shape[:3]
    out = tile_query.new_zeros(batch, heads, rows, value.shape[-1])
    lse = tile_query.new_full((batch, heads, rows), NEG_INF, dtype=accumulation_dtype(query.dtype))
    for start, stop, low, high in _query_chunks(span, key_mask, bias, query):
        chunk = Span(start, stop, low, high, span.causal_offset, span.sliding_window)
        weight = _log_weight(chunk, key_mask, bias, query)
        part = attend(query[:, :, start:stop], key[:, :, low:high], value[:, :, low:high], weight, scale)
        out[:, :, start - span.query_start : stop - span.query_start] = part[0]
        lse[:, :, start - span.query_start : stop - span.query_start] = part[1]
    return out, lse


def span_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    span: Span,
    scale: float,
    lse: Tensor | None,
    delta: Tensor | None,
    grads: tuple[Tensor, Tensor, Tensor, Tensor | None],
) -> None:
    """Add the span's share to grads = (query, key, value, bias or None), in place; see `attend_backward` for lse, delta.

    lse and delta [B, H, n_q] are of whole rows over the whole sequence; grads' first three have the inputs' shapes, the
    fourth has bias's shape expanded to rank 4.
    """
    grad_query, grad_key, grad_value, grad_bias = grads
    for start, stop, low, high in _query_chunks(span, key_mask, bias, query, backward=True):
        chunk = Span(start, stop, low, high, span.causal_offset, span.sliding_window)
        weight = _log_weight(chunk, key_mask, bias, query)
        d_query, d_key, d_value, d_scores = attend_backward(
            grad_out[:, :, start:stop], query[:, :, start:stop], key[:, :, low:high], value[:, :, low:high], weight, scale,
            None if lse is None else lse[:, :, start:stop], None if delta is None else delta[:, :, start:stop],
        )  # fmt: skip
        grad_query[:, :, start:stop] += d_query
        grad_key[:, :, low:high] += d_key
        grad_value[:, :, low:high] += d_value
        if grad_bias is not None:
            slot = _bias_slice(grad_bias, start, stop, low, high)
            slot += d_scores.sum_to_size(slot.shape)


def _sees_all(span: Span) -> bool:
    """No rule of position removes a pair."""
    if span.causal_offset is None:
        return True
    reaches_end = span.query_start + span.causal_offset >= span.key_stop - 1
    if span.sliding_window is None:
        return reaches_end
    return reaches_end and span.query_stop - 1 + span.causal_offset - span.sliding_window < span.key_start


def _fuses(span: Span, key_mask: Tensor | None, bias: Tensor | None, query: Tensor) -> bool:
    """One call of the fused kernel does it without a mask larger than the tensors."""
    if query.device.type != "cpu":
        return False
    if bias is not None and key_mask is not None:
        return False
    if _sees_all(span):
        return True
    aligned = span.query_start + (span.causal_offset or 0) == span.key_start
    return bias is None and span.sliding_window is None and aligned


def _query_chunks(
    span: Span, key_mask: Tensor | None, bias: Tensor | None, query: Tensor, backward: bool = False
) -> Iterator[tuple[int, int, int, int]]:
    """(query start, query stop, key low, key high) of the chunks that see any key."""
    start = span.query_start
    batch, heads = query.shape[:2]
    dense = backward or query.device.type != "cpu"  # scores themselves are materialised, of every head
    copies = batch * heads if dense else (batch * heads if bias is not None else (1 if key_mask is None else batch))
    width = span.key_stop - span.key_start
    if span.sliding_window is not None:
        width = min(width, span.sliding_window + 256)
    step = max(min(SCORE_BUDGET // max(copies * width, 1), 1024 if span.causal_offset is not None else 1 << 30), 16)
    if span.sliding_window is not None:
        step = min(step, 256)
    while start < span.query_stop:
        stop = min(start + step, span.query_stop)
        low, high = span.key_range(start, stop - 1)
        if low < high:
            yield start, stop, low, high
        start = stop


def _bias_slice(bias: Tensor, start: int, stop: int, low: int, high: int) -> Tensor:
    """The view of a rank-4 broadcastable bias that belongs to queries [start, stop) and keys [low, high)."""
    if bias.shape[2] != 1:
        bias = bias[:, :, start:stop]
    return bias[:, :, :, low:high] if bias.shape[3] != 1 else bias


def _log_weight(chunk: Span, key_mask: Tensor | None, bias: Tensor | None, query: Tensor) -> Tensor | None:
    """Additive mask of one chunk, rank 4, broadcastable to [B, H, rows, keys]; None where nothing is masked."""
    low, high = chunk.key_start, chunk.key_stop
    weight = None
    if bias is not None:
        rank4 = bias.reshape(*([1] * (4 - bias.dim())), *bias.shape)
        weight = _bias_slice(rank4, chunk.query_start, chunk.query_stop, low, high)
    keep = None if key_mask is None else key_mask[:, None, None, low:high]
    if chunk.causal_offset is not None and not _sees_all(chunk):
        rows = torch.arange(chunk.query_start, chunk.query_stop, device=query.device).unsqueeze(-1)
        frontier = rows + chunk.causal_offset
        keys = torch.arange(low, high, device=query.device)
        seen = keys <= frontier
        if chunk.sliding_window is not None:
            seen &= keys > frontier - chunk.sliding_window
        keep = seen[None, None] if keep is None else keep & seen
    if keep is not None:
        dtype = accumulation_dtype(query.dtype)
        zero = torch.zeros((), dtype=dtype, device=query.device)
        weight = torch.where(keep, zero if weight is None else weight.to(dtype), NEG_INF)
    return weight
