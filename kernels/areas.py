"""The recursion of `paper` over a causal mask, unrolled: which areas are full, and which of these are read exactly."""

from __future__ import annotations

from .call import AttentionCall
from .parts import Span


def selected_keys(call: AttentionCall) -> int:
    """Keys per query that one rectangle reads: with no more keys than this it is exact."""
    return call.parameters.block_size + call.parameters.sample_size


def is_exact(area: Span, call: AttentionCall) -> bool:
    """A rectangle with too few keys to be worth estimating."""
    keys = area.key_stop - area.key_start
    return keys < call.parameters.min_seq_len or keys <= selected_keys(call)


def square(call: AttentionCall, offset: int) -> tuple[int, int]:
    """Queries [first, whole) of the causal square: those before see nothing, those from `whole` on see every key."""
    first = min(max(0, -offset), call.num_queries)
    return first, min(max(first, call.num_keys - offset), call.num_queries)


def areas(call: AttentionCall) -> list[Span]:
    """The recursion unrolled: disjoint areas that cover the mask, full (causal_offset None) or exact causal squares."""
    n_q, n_k, offset = call.num_queries, call.num_keys, call.causal_offset
    if offset is None:
        return [Span(0, n_q, 0, n_k)]
    first, whole = square(call, offset)
    found = [Span(whole, n_q, 0, n_k), Span(first, whole, 0, first + offset)]
    base = max(call.parameters.min_seq_len, selected_keys(call), 1)
    squares = [(first, whole)]
    while squares:
        start, stop = squares.pop()
        if stop - start <= base:
            found.append(Span(start, stop, start + offset, stop + offset, offset))
            continue
        middle = start + (stop - start) // 2
        found.append(Span(middle, stop, start + offset, middle + offset))
        squares += [(middle, stop), (start, middle)]
    return [area for area in found if not area.is_empty]
