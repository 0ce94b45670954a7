"""Exact attention of a span in O(n·chunk) memory: the fused kernel where one call does, else chunk by chunk of queries.

A chunk reads only the keys between its window's far edge and its causal frontier, and has a mask of its own size.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .attend import NEG_INF, accumulation_dtype, attend, attend_backward, attend_row_backward, is_fused, merge
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
    tile_key, tile_value = key[:, :, span.key_start : span.key_stop], value[:, :, span.key_start : span.key_stop]
    if _fuses(span, key_mask, bias, query) or _fuses_on_cuda(span, key_mask, bias, tile_query, tile_key, tile_value):
        positions_free = Span(span.query_start, span.query_stop, span.key_start, span.key_stop)
        weight = _log_weight(positions_free, key_mask, bias, query)
        causal = span.causal_offset is not None and not _sees_all(span)
        out, lse = attend(tile_query, tile_key, tile_value, weight, scale, is_causal=causal)
        if causal and key_mask is not None:
            empty = (visible_keys(span, key_mask, query.device) == 0).unsqueeze(1)
            out, lse = out.masked_fill(empty.unsqueeze(-1), 0.0), lse.masked_fill(empty, NEG_INF)
        return out, lse
    dtype = accumulation_dtype(query.dtype)
    batch, heads, count = tile_query.shape[:3]
    out = tile_query.new_zeros(batch, heads, count, value.shape[-1])
    lse = tile_query.new_full((batch, heads, count), NEG_INF, dtype=dtype)
    if _splits(span, bias, query):
        for number, piece in enumerate(_pieces(span)):
            part = span_forward(query, key, value, key_mask, bias, piece, scale)
            tail = slice(piece.query_start - span.query_start, None)
            if number:
                merged = merge((out[:, :, tail].to(dtype), lse[:, :, tail]), (part[0].to(dtype), part[1]))
                part = (merged[0].to(out.dtype), merged[1])
            out[:, :, tail], lse[:, :, tail] = part
        return out, lse
    for chunk in _query_chunks(span, key_mask, bias, query):
        rows, keys = slice(chunk.query_start, chunk.query_stop), slice(chunk.key_start, chunk.key_stop)
        weight = _log_weight(chunk, key_mask, bias, query)
        part = attend(query[:, :, rows], key[:, :, keys], value[:, :, keys], weight, scale)
        first = chunk.query_start - span.query_start
        place = slice(first, first + chunk.query_stop - chunk.query_start)
        out[:, :, place], lse[:, :, place] = part
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
    lse: Tensor,
    delta: Tensor,
    grads: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Add the span's share to grads = (query, key, value), in place; see `attend_backward` for lse and delta.

    lse and delta [B, H, n_q] are of whole rows over the whole sequence; grads have the inputs' shapes.
    """
    if not (fuses := _fuses(span, key_mask, bias, query)) and _splits(span, bias, query):
        for piece in _pieces(span):
            span_backward(grad_out, query, key, value, key_mask, bias, piece, scale, lse, delta, grads)
        return
    causal = fuses and span.causal_offset is not None and not _sees_all(span)
    for chunk in [span] if fuses else _query_chunks(span, key_mask, bias, query):
        rows, keys = slice(chunk.query_start, chunk.query_stop), slice(chunk.key_start, chunk.key_stop)
        free = Span(chunk.query_start, chunk.query_stop, chunk.key_start, chunk.key_stop)
        found = attend_backward(
            grad_out[:, :, rows],
            query[:, :, rows],
            key[:, :, keys],
            value[:, :, keys],
            _log_weight(free if fuses else chunk, key_mask, bias, query),
            scale,
            lse[:, :, rows],
            delta[:, :, rows],
            causal,
        )
        for grad, part, share in zip(grads, (rows, keys, keys), found, strict=True):
            grad[:, :, part] += share


def span_row_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    span: Span,
    scale: float,
    grad_lse: Tensor | None,
    grads: tuple[Tensor, Tensor, Tensor],
    grad_bias: Tensor | None,
) -> None:
    """The same for a span that is the whole call, by `attend_row_backward`; grad_bias has bias's shape in rank 4."""
    for chunk in _query_chunks(span, key_mask, bias, query, dense=True):
        rows, keys = slice(chunk.query_start, chunk.query_stop), slice(chunk.key_start, chunk.key_stop)
        found = attend_row_backward(
            grad_out[:, :, rows],
            query[:, :, rows],
            key[:, :, keys],
            value[:, :, keys],
            _log_weight(chunk, key_mask, bias, query),
            scale,
            None if grad_lse is None else grad_lse[:, :, rows],
        )
        for grad, part, share in zip(grads, (rows, keys, keys), found[:3], strict=True):
            grad[:, :, part] += share
        if grad_bias is not None:
            slot = _bias_slice(grad_bias, chunk)
            slot += found[3].sum_to_size(slot.shape)


def _sees_all(span: Span) -> bool:
    """No rule of position removes a pair."""
    if span.causal_offset is None:
        return True
    reaches_end = span.query_start + span.causal_offset >= span.key_stop - 1
    if span.sliding_window is None:
        return reaches_end
    return reaches_end and span.query_stop - 1 + span.causal_offset - span.sliding_window < span.key_start


def _fuses(span: Span, key_mask: Tensor | None, bias: Tensor | None, query: Tensor) -> bool:
    """One call of the fused CPU kernel does it without a mask larger than the tensors."""
    if query.device.type != "cpu":
        return False
    if bias is not None and key_mask is not None:
        return False
    if _sees_all(span):
        return True
    aligned = span.query_start + (span.causal_offset or 0) == span.key_start
    return bias is None and span.sliding_window is None and aligned


def _splits(span: Span, bias: Tensor | None, query: Tensor) -> bool:
    """A causal span of any offset, for the fused CPU kernel: see `_pieces`."""
    return (
        query.device.type == "cpu" and bias is None and span.causal_offset is not None and span.sliding_window is None
    )


def _pieces(span: Span) -> list[Span]:
    """A causal span as a rectangle that every query sees and a square on the diagonal; each is one fused call.

    Queries before the first that sees a key are left out, and empty pieces.
    """
    assert span.causal_offset is not None
    first = max(span.query_start, span.key_start - span.causal_offset)
    edge = min(first + span.causal_offset, span.key_stop)
    rectangle = Span(first, span.query_stop, span.key_start, edge)
    square = Span(first, span.query_stop, edge, span.key_stop, span.causal_offset)
    return [piece for piece in (rectangle, square) if not piece.is_empty]


def _fuses_on_cuda(
    span: Span, key_mask: Tensor | None, bias: Tensor | None, query: Tensor, key: Tensor, value: Tensor
) -> bool:
    """The same for flash attention on CUDA, over the span's own slices."""
    if query.device.type != "cuda" or key_mask is not None or bias is not None:
        return False
    sees_all = _sees_all(span)
    aligned = span.sliding_window is None and span.query_start + (span.causal_offset or 0) == span.key_start
    return (sees_all or aligned) and is_fused(query, key, value, False, not sees_all)


def _query_chunks(
    span: Span, key_mask: Tensor | None, bias: Tensor | None, query: Tensor, dense: bool = False
) -> Iterator[Span]:
    """The span in pieces of queries, each with the keys that it may see; pieces that see none are left out.

    dense: the scores of every head are materialised, not only a mask.
    """
    batch, heads = query.shape[:2]
    if dense or query.device.type != "cpu" or bias is not None:
        copies = batch * heads
    else:
        copies = 1 if key_mask is None else key_mask.shape[0]
    width = span.key_stop - span.key_start
    if span.sliding_window is not None:
        width = min(width, span.sliding_window + 256)
    step = max(SCORE_BUDGET // max(copies * width, 1), 16)
    if span.causal_offset is not None:
        step = min(step, 1024 if span.sliding_window is None else 256)
    for start in range(span.query_start, span.query_stop, step):
        stop = min(start + step, span.query_stop)
        low, high = span.key_range(start, stop - 1)
        if low < high:
            yield Span(start, stop, low, high, span.causal_offset, span.sliding_window)


def _bias_slice(bias: Tensor, chunk: Span) -> Tensor:
    """The view of a rank-4 broadcastable bias that belongs to the chunk."""
    if bias.shape[2] != 1:
        bias = bias[:, :, chunk.query_start : chunk.query_stop]
    return bias[:, :, :, chunk.key_start : chunk.key_stop] if bias.shape[3] != 1 else bias


def _log_weight(chunk: Span, key_mask: Tensor | None, bias: Tensor | None, query: Tensor) -> Tensor | None:
    """Additive mask of one chunk, rank 4, broadcastable to [B, H, rows, keys]; None where nothing is masked."""
    low, high = chunk.key_start, chunk.key_stop
    weight = None
    if bias is not None:
        weight = _bias_slice(bias.reshape(*([1] * (4 - bias.dim())), *bias.shape), chunk)
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
