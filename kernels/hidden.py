"""Keys that key_mask hides from exact attention. They may hold anything, NaN of an unfilled cache too; 0 · NaN is NaN.

To put zeros there K and V are copied, which costs many times what one query does. So, on the CPU, where looking costs
no device synchronisation: keys at both ends that no batch row sees are not read, and the other hidden rows are looked
at. Where no product with them can overflow, a weight of 0 takes them away as it takes zeros away.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .attend import accumulation_dtype
from .exact import Scoring
from .parts import Span
from .planning import without_masked

LARGEST = 1e-3  # of the largest number of the type of sums: what a sum of products may reach


def narrowed(span: Span, scoring: Scoring) -> tuple[Span, Scoring]:
    """The span from the first to the last key that key_mask shows to some batch row, and the scoring for it.

    The span is empty where there is none; key_mask is None where it hides nothing of the span.
    """
    mask = scoring.key_mask
    if mask is None or mask.device.type != "cpu":
        return span, scoring
    shown = mask[:, span.key_start : span.key_stop].any(0).nonzero()
    if not len(shown):
        return replace(span, key_stop=span.key_start), scoring
    start, stop = span.key_start + int(shown[0]), span.key_start + int(shown[-1]) + 1
    hides = not bool(mask[:, start:stop].all())
    return replace(span, key_start=start, key_stop=stop), scoring if hides else replace(scoring, key_mask=None)


def harmless(
    query: Tensor, key: Tensor, value: Tensor, span: Span, scoring: Scoring, grad_out: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(key, value) whose hidden rows inside the span reach no sum: the tensors as they are, or copies with zeros there.

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v]; grad_out as the output, for the backward.
    """
    mask = scoring.key_mask
    if mask is None or span.is_empty:
        return key, value
    if mask.device.type == "cpu":
        hidden = (~mask[:, span.key_start : span.key_stop]).any(0).nonzero().flatten() + span.key_start
        largest = torch.finfo(accumulation_dtype(query.dtype)).max * LARGEST
        # A NaN compares as false, and so does a product beyond the largest float.
        score = _largest(query) * _largest(_rows(key, hidden)) * query.shape[-1] * max(1.0, abs(scoring.scale))
        weighted = _largest(_rows(value, hidden))
        if grad_out is not None:
            weighted *= max(1.0, _largest(grad_out) * value.shape[-1])
        if score < largest and weighted < largest:
            return key, value
    return without_masked(key, mask), without_masked(value, mask)


def _rows(tensor: Tensor, index: Tensor) -> Tensor:
    """tensor[:, :, index]; a view where the index, which rises, leaves nothing out."""
    first, stop = int(index[0]), int(index[-1]) + 1
    return tensor[:, :, first:stop] if stop - first == len(index) else tensor.index_select(2, index)


def _largest(tensor: Tensor) -> float:
    """The largest absolute value; NaN where there is one, 0 of no elements."""
    if not tensor.numel():
        return 0.0
    low, high = tensor.aminmax()
    return float(torch.maximum(-low, high))
