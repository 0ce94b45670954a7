"""Exact attention of a span in O(n·chunk) memory: the fused kernel where one call does, else chunk by chunk of queries.

A chunk reads only the keys between its window's far edge and its causal frontier, and has a mask of its own size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from .attend import (
    NEG_INF,
    accumulation_dtype,
    attend,
    attend_backward,
    attend_level_backward,
    attend_row_backward,
    is_fused,
    log_weight_of,
    merge,
)
from .call import AttentionCall
from .curve import STRAIGHT, Curve
from .lifted import Lifted, seen_by_some
from .parts import Band, Plan, Span, visible_keys

SCORE_BUDGET = 1 << 24  # scores (or mask entries) that one chunk may hold
DENSE_BUDGET = 1 << 20  # the same on the CPU where they are real scores: twice as fast while they stay in its cache
LEAST_STRETCH = 64  # with fewer queries than this to a key range, masks of chunks are cheaper than a call for each


@dataclass(frozen=True, slots=True)
class Scoring:
    """What makes a score of query·key, besides positions: curve(scale·query·key) + bias where the masks allow.

    scale, curve  as in `AttentionCall`.
    key_mask      bool [B or 1, n_k].
    bias          float, broadcastable to [B, H, n_q, n_k].
    replaced      bool, as `bias`: the pairs whose score takes no gradient, as a number stands in its place.
    lifted        key ranges and groups; on the CPU `resolved`.
    """

    scale: float
    curve: Curve = STRAIGHT
    key_mask: Tensor | None = None
    bias: Tensor | None = None
    lifted: Lifted | None = None
    replaced: Tensor | None = None

    @property
    def is_plain(self) -> bool:
        """A fused kernel knows the score without a mask of pairs, but for the bias."""
        return self.curve.is_straight and self.lifted is None

    def without_lifted(self, rows: slice) -> Scoring:
        """The same for some batch rows, but for key ranges and groups."""
        key_mask, pairs = self.key_mask, [self.bias, self.replaced]
        if key_mask is not None and key_mask.shape[0] != 1:
            key_mask = key_mask[rows]
        bias, replaced = (t[rows] if t is not None and t.dim() == 4 and t.shape[0] != 1 else t for t in pairs)
        return replace(self, key_mask=key_mask, bias=bias, replaced=replaced, lifted=None)


def plan(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Plan:
    """The whole call as one span."""
    return [Span(0, call.num_queries, 0, call.num_keys, call.causal_offset, call.sliding_window)]


def selected_keys(call: AttentionCall) -> int:
    """Keys per query that the algorithm reads at most."""
    return call.num_keys


def band_forward(query: Tensor, key: Tensor, value: Tensor, band: Band, scoring: Scoring) -> tuple[Tensor, Tensor]:
    """Attention of the band's queries over its keys; tensors and result as in `span_forward`. Plain scores only."""
    assert scoring.is_plain and scoring.bias is None
    pairs = band.pairs(query.device)
    weight = None if pairs is None else log_weight_of(pairs, query)
    outs, sums = [], []
    for b in range(query.shape[0]):
        mine = weight
        if scoring.key_mask is not None:
            seen = scoring.key_mask[b % scoring.key_mask.shape[0]][None, :, None]
            shown = band.windows(seen, band.key_start, band.columns).transpose(2, 3)  # [count, 1, 1, columns]
            mine = log_weight_of(shown, query)
            mine = mine if weight is None else mine + weight
        out, lse = attend(
            band.windows(query[b], band.query_start, band.rows),
            band.windows(key[b], band.key_start, band.columns),
            band.windows(value[b], band.key_start, band.columns),
            mine,
            scoring.scale,
        )
        outs.append(out.transpose(0, 1).flatten(1, 2))
        sums.append(lse.transpose(0, 1).flatten(1, 2))
    return torch.stack(outs), torch.stack(sums)


def span_forward(query: Tensor, key: Tensor, value: Tensor, span: Span, scoring: Scoring) -> tuple[Tensor, Tensor]:
    """Attention of span's queries over its keys.

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v]. Returns out [B, H, rows, D_v] in query's
    dtype, lse [B, H, rows] in the accumulation dtype; a query that sees nothing gives 0 and −inf.
    """
    if span.is_empty:
        shape = (query.shape[0], query.shape[1], span.query_stop - span.query_start)
        lse = query.new_full(shape, NEG_INF, dtype=accumulation_dtype(query.dtype))
        return query.new_zeros(*shape, value.shape[-1]), lse
    tile_query = query[:, :, span.query_start : span.query_stop]
    tile_key, tile_value = key[:, :, span.key_start : span.key_stop], value[:, :, span.key_start : span.key_stop]
    if _fuses(span, scoring, query) or _fuses_on_cuda(span, scoring, tile_query, tile_key, tile_value):
        positions_free = Span(span.query_start, span.query_stop, span.key_start, span.key_stop)
        weight = _log_weight(positions_free, scoring, query, _keep(positions_free, scoring, query))
        causal = span.causal_offset is not None and not _sees_all(span)
        out, lse = attend(tile_query, tile_key, tile_value, weight, scoring.scale, is_causal=causal)
        if causal and scoring.key_mask is not None:
            empty = (visible_keys(span, scoring.key_mask, query.device) == 0).unsqueeze(1)
            out, lse = out.masked_fill(empty.unsqueeze(-1), 0.0), lse.masked_fill(empty, NEG_INF)
        return out, lse
    dtype = accumulation_dtype(query.dtype)
    batch, heads, count = tile_query.shape[:3]
    out = tile_query.new_zeros(batch, heads, count, value.shape[-1])
    lse = tile_query.new_full((batch, heads, count), NEG_INF, dtype=dtype)
    if (stretches := _stretches(span, scoring, query)) is not None:
        for rows, piece in stretches:
            tensors = (query[rows], key[rows], value[rows])
            part = span_forward(*tensors, piece, scoring.without_lifted(rows))
            place = slice(piece.query_start - span.query_start, piece.query_stop - span.query_start)
            out[rows, :, place], lse[rows, :, place] = part
        return out, lse
    if _splits(span, scoring, query):
        for number, piece in enumerate(_pieces(span)):
            part = span_forward(query, key, value, piece, scoring)
            tail = slice(piece.query_start - span.query_start, None)
            if number:
                merged = merge((out[:, :, tail].to(dtype), lse[:, :, tail]), (part[0].to(dtype), part[1]))
                part = (merged[0].to(out.dtype), merged[1])
            out[:, :, tail], lse[:, :, tail] = part
        return out, lse
    for chunk in _query_chunks(span, scoring, query, dense=not scoring.curve.is_straight):
        tile_query, tile_key, tile_value, weight = _operands(chunk, scoring, query, key, value)
        part = attend(tile_query, tile_key, tile_value, weight, scoring.scale, curve=scoring.curve)
        first = chunk.query_start - span.query_start
        place = slice(first, first + chunk.query_stop - chunk.query_start)
        out[:, :, place], lse[:, :, place] = part
    return out, lse


def span_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    span: Span,
    scoring: Scoring,
    lse: Tensor,
    delta: Tensor | None,
    grads: tuple[Tensor, Tensor, Tensor],
    out: Tensor | None = None,
) -> None:
    """Add the span's share to grads = (query, key, value), in place; see `attend_backward` for lse, delta and out.

    lse and delta [B, H, n_q] and out are of whole rows over the whole sequence; grads have the inputs' shapes. Knows no
    curve: such rows are recomputed whole.
    """
    if (stretches := _stretches(span, scoring, query)) is not None:
        for mine, piece in stretches:
            span_backward(
                grad_out[mine],
                query[mine],
                key[mine],
                value[mine],
                piece,
                scoring.without_lifted(mine),
                lse[mine],
                None if delta is None else delta[mine],
                (grads[0][mine], grads[1][mine], grads[2][mine]),
                None if out is None else out[mine],
            )
        return
    if not (fuses := _fuses(span, scoring, query)) and _splits(span, scoring, query):
        for piece in _pieces(span):
            span_backward(grad_out, query, key, value, piece, scoring, lse, delta, grads, out)
        return
    for chunk in [span] if fuses else _query_chunks(span, scoring, query):
        rows, keys = slice(chunk.query_start, chunk.query_stop), slice(chunk.key_start, chunk.key_stop)
        found = _chunk_backward(grad_out, query, key, value, chunk, scoring, lse, delta, out, fuses)
        for grad, part, share in zip(grads, (rows, keys, keys), found, strict=True):
            grad[:, :, part] += share


def is_one_call(span: Span, scoring: Scoring, query: Tensor) -> bool:
    """Whether `one_call_backward` knows the span."""
    return _fuses(span, scoring, query)


def one_call_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    span: Span,
    scoring: Scoring,
    lse: Tensor,
    delta: Tensor | None,
    out: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of (query, key, value), new tensors, of a span of all queries; arguments as those of `span_backward`.

    Keys outside the span get zeros. No gradient is copied where the span holds all keys.
    """
    found = _chunk_backward(grad_out, query, key, value, span, scoring, lse, delta, out, fuses=True)
    around = (0, 0, span.key_start, key.shape[2] - span.key_stop)
    return (found[0], pad(found[1], around), pad(found[2], around)) if any(around) else found


def _chunk_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    chunk: Span,
    scoring: Scoring,
    lse: Tensor,
    delta: Tensor | None,
    out: Tensor | None,
    fuses: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The chunk's share, of its own rows and keys; fuses: a causal mask is left to the kernel."""
    rows = slice(chunk.query_start, chunk.query_stop)
    free = Span(chunk.query_start, chunk.query_stop, chunk.key_start, chunk.key_stop)
    return attend_backward(
        grad_out[:, :, rows],
        *_operands(free if fuses else chunk, scoring, query, key, value),
        scoring.scale,
        lse[:, :, rows],
        None if delta is None else delta[:, :, rows],
        fuses and chunk.causal_offset is not None and not _sees_all(chunk),
        None if out is None else out[:, :, rows],
    )


def span_row_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    span: Span,
    scoring: Scoring,
    grad_lse: Tensor | None,
    grads: tuple[Tensor, Tensor, Tensor],
    grad_bias: Tensor | None,
) -> None:
    """The same for a span that is the whole call, by `attend_row_backward`; grad_bias has bias's shape in rank 4."""
    for chunk in _query_chunks(span, scoring, query, dense=True):
        rows, keys = slice(chunk.query_start, chunk.query_stop), slice(chunk.key_start, chunk.key_stop)
        found = attend_row_backward(
            grad_out[:, :, rows],
            *_operands(chunk, scoring, query, key, value),
            scoring.scale,
            None if grad_lse is None else grad_lse[:, :, rows],
            scoring.curve,
            None if scoring.replaced is None else _bias_slice(in_rank_4(scoring.replaced), chunk),
        )
        for grad, part, share in zip(grads, (rows, keys, keys), found[:3], strict=True):
            grad[:, :, part] += share
        if grad_bias is not None:
            slot = _bias_slice(grad_bias, chunk)
            slot += found[3].sum_to_size(slot.shape)


def level_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scoring: Scoring,
    empty: Tensor,
    grads: tuple[Tensor, Tensor, Tensor],
    grad_bias: Tensor | None,
) -> None:
    """Add what rows without a key (empty bool [B, H, n_q]) pass on where their weights are equal ("level"), in place.

    dS = (grad_out·valueᵀ − its mean) / n_k times the curve's slope. Without a slope and a gradient of the bias it need
    not be made: products of three matrices are taken in the other order, in O(n).
    """
    if scoring.curve.is_straight and scoring.replaced is None and grad_bias is None:
        units, count = key.shape[1], key.shape[2]
        rows = grad_out.masked_fill(~empty.unsqueeze(-1), 0.0)
        rows, folded = (t.reshape(t.shape[0], units, -1, t.shape[-1]) for t in (rows, query))
        centred = (value - value.mean(2, keepdim=True)) * (scoring.scale / count)
        grads[0].add_((rows @ (centred.transpose(-1, -2) @ key)).reshape(query.shape))
        grads[1].add_(centred @ (rows.transpose(-1, -2) @ folded))
        grads[2].add_(rows.sum(2, keepdim=True) / count)
        return
    whole = Span(0, query.shape[2], 0, key.shape[2])
    for chunk in _query_chunks(whole, replace(scoring, lifted=None), query, dense=True):
        part = slice(chunk.query_start, chunk.query_stop)
        if not bool(empty[:, :, part].any()):
            continue
        found = attend_level_backward(
            grad_out[:, :, part].masked_fill(~empty[:, :, part, None], 0.0),
            *(query[:, :, part], key, value),
            *(scoring.scale, empty[:, :, part], scoring.curve),
            None if scoring.replaced is None else _bias_slice(in_rank_4(scoring.replaced), chunk),
        )
        grads[0][:, :, part] += found[0]
        grads[1].add_(found[1])
        grads[2].add_(found[2])
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


def _fuses(span: Span, scoring: Scoring, query: Tensor) -> bool:
    """One call of the fused CPU kernel does it without a mask larger than the tensors."""
    if query.device.type != "cpu" or not scoring.is_plain:
        return False
    if scoring.bias is not None and scoring.key_mask is not None:
        return False
    if _sees_all(span):
        return True
    aligned = span.query_start + (span.causal_offset or 0) == span.key_start
    return scoring.bias is None and span.sliding_window is None and aligned


def _splits(span: Span, scoring: Scoring, query: Tensor) -> bool:
    """A causal span of any offset, for the fused CPU kernel: see `_pieces`."""
    fusible = query.device.type == "cpu" and scoring.is_plain and scoring.bias is None
    return fusible and span.causal_offset is not None and span.sliding_window is None


def _stretches(span: Span, scoring: Scoring, query: Tensor) -> list[tuple[slice, Span]] | None:
    """Batch rows and spans without key ranges that make up the span, for the CPU's fused kernel: packed documents.

    None where that is impossible (groups, a curve) or too small to pay.
    """
    lifted = scoring.lifted
    if lifted is None or not scoring.curve.is_straight or query.device.type != "cpu" or lifted.query_group is not None:
        return None
    found = []
    for row in range(lifted.batch):
        ranges = lifted.stretches(row, span.query_start, span.query_stop, span.key_stop)
        if len(ranges) * LEAST_STRETCH > span.query_stop - span.query_start:
            return None
        rows = slice(None) if lifted.batch == 1 else slice(row, row + 1)
        for start, stop, first, end in ranges:
            rules = (span.causal_offset, span.sliding_window)
            low, high = Span(start, stop, max(first, span.key_start), end, *rules).key_range(start, stop - 1)
            piece = Span(start, stop, low, high, *rules)
            if not piece.is_empty:
                found.append((rows, piece))
    return found


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


def is_flash(query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, call: AttentionCall) -> bool:
    """PyTorch's own flash attention on CUDA does the whole call, exactly."""
    span = Span(0, call.num_queries, 0, call.num_keys, call.causal_offset, call.sliding_window)
    return _fuses_on_cuda(span, scoring, query, key, value)


def _fuses_on_cuda(span: Span, scoring: Scoring, query: Tensor, key: Tensor, value: Tensor) -> bool:
    """The same for flash attention on CUDA, over the span's own slices."""
    if query.device.type != "cuda" or not scoring.is_plain:
        return False
    if scoring.key_mask is not None or scoring.bias is not None:
        return False
    sees_all = _sees_all(span)
    aligned = span.sliding_window is None and span.query_start + (span.causal_offset or 0) == span.key_start
    return (sees_all or aligned) and is_fused(query, key, value, False, not sees_all)


def _query_chunks(span: Span, scoring: Scoring, query: Tensor, dense: bool = False) -> Iterator[Span]:
    """The span in pieces of queries, each with the keys that it may see; pieces that see none are left out.

    dense: the scores of every head are materialised, not only a mask.
    """
    batch, heads = query.shape[:2]
    lifted = scoring.lifted
    if dense or query.device.type != "cpu" or scoring.bias is not None:
        copies = batch * heads
    else:
        copies = 1 if scoring.key_mask is None else scoring.key_mask.shape[0]
        copies = copies if lifted is None else max(copies, lifted.batch)
    width = span.key_stop - span.key_start
    if span.sliding_window is not None:
        width = min(width, span.sliding_window + 256)
    step = max(SCORE_BUDGET // max(copies * width, 1), 16)
    if dense and query.device.type == "cpu":
        step = max(DENSE_BUDGET // max(copies * width, 1), min(step, 64))
    if span.causal_offset is not None or lifted is not None:
        step = min(step, 1024 if span.sliding_window is None and lifted is None else 256)
    narrow = lifted is not None and query.device.type == "cpu"
    for start in range(span.query_start, span.query_stop, step):
        stop = min(start + step, span.query_stop)
        low, high = span.key_range(start, stop - 1)
        if narrow and lifted is not None and low < high:
            low, high = lifted.key_range(start, stop, low, high)
        if low < high:
            yield Span(start, stop, low, high, span.causal_offset, span.sliding_window)


def in_rank_4(tensor: Tensor) -> Tensor:
    """A tensor that broadcasts to [B, H, n_q, n_k] with all four dims."""
    return tensor.reshape(*([1] * (4 - tensor.dim())), *tensor.shape)


def _bias_slice(bias: Tensor, chunk: Span) -> Tensor:
    """The view of a rank-4 broadcastable bias that belongs to the chunk."""
    if bias.shape[2] != 1:
        bias = bias[:, :, chunk.query_start : chunk.query_stop]
    return bias[:, :, :, chunk.key_start : chunk.key_stop] if bias.shape[3] != 1 else bias


def _operands(
    chunk: Span, scoring: Scoring, query: Tensor, key: Tensor, value: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """(query, key, value, log_weight) of one chunk."""
    rows, keys = slice(chunk.query_start, chunk.query_stop), slice(chunk.key_start, chunk.key_stop)
    query, key, value = query[:, :, rows], key[:, :, keys], value[:, :, keys]
    keep = _keep(chunk, scoring, query)
    if scoring.lifted is not None and keep is not None:
        key, value = seen_by_some(keep, key, value)
    return query, key, value, _log_weight(chunk, scoring, query, keep)


def _keep(chunk: Span, scoring: Scoring, query: Tensor) -> Tensor | None:
    """Bool [B or 1, 1, rows or 1, keys] of one chunk; None where every pair exists."""
    low, high = chunk.key_start, chunk.key_stop
    keep = None if scoring.key_mask is None else scoring.key_mask[:, None, None, low:high]
    if chunk.causal_offset is not None and not _sees_all(chunk):
        rows = torch.arange(chunk.query_start, chunk.query_stop, device=query.device).unsqueeze(-1)
        frontier = rows + chunk.causal_offset
        keys = torch.arange(low, high, device=query.device)
        seen = keys <= frontier
        if chunk.sliding_window is not None:
            seen &= keys > frontier - chunk.sliding_window
        keep = seen[None, None] if keep is None else keep & seen
    if scoring.lifted is not None:
        pairs = scoring.lifted.keep(chunk.query_start, chunk.query_stop, low, high)
        if pairs is not None:
            keep = pairs if keep is None else keep & pairs
    return keep


def _log_weight(chunk: Span, scoring: Scoring, query: Tensor, keep: Tensor | None) -> Tensor | None:
    """Additive mask of one chunk, rank 4, broadcastable to [B, H, rows, keys]; None where nothing is masked."""
    weight, bias = None, scoring.bias
    if bias is not None:
        weight = _bias_slice(in_rank_4(bias), chunk)
    if keep is not None:
        dtype = accumulation_dtype(query.dtype)
        zero = torch.zeros((), dtype=dtype, device=query.device)
        weight = torch.where(keep, zero if weight is None else weight.to(dtype), NEG_INF)
    return weight
