"""Attention over keys that are chosen one by one: StreamingLLM's window with sinks, and the exact top-k.

Both are causal, both are written for clarity and not for speed: they say how good a choice of keys is, whatever it
would cost. With `kept` keys query i reads min(i + 1, kept) keys.
"""

from __future__ import annotations

from bisect import bisect_left

import torch
from torch import Tensor

SCORE_BUDGET = 1 << 24  # scores that one chunk of queries may hold; on a GPU eight times as many
LEAST_ROWS, MOST_ROWS = 16, 512


def mean_keys(length: int, kept: int) -> float:
    """Mean over i < length of min(i + 1, kept)."""
    kept = min(kept, length)
    return kept - kept * (kept - 1) / 2 / length


def kept_for(length: int, keys: float) -> int:
    """How many keys each query may keep at most, so that queries read `keys` on average."""
    return min(1 + bisect_left(range(1, length + 1), keys, key=lambda kept: mean_keys(length, kept)), length)


def streaming(query: Tensor, key: Tensor, value: Tensor, scale: float, window: int, sinks: int) -> Tensor:
    """Each query reads its `window` most recent keys, itself among them, and the first `sinks`.

    query [B, H, n, D], key [B, H_kv, n, D], value [B, H_kv, n, D_v] → [B, H, n, D_v].
    """
    out = query.new_empty(*query.shape[:3], value.shape[3])
    rows = min(MOST_ROWS, _rows(query, sinks + window + MOST_ROWS))
    for start in range(0, query.shape[2], rows):
        stop = min(start + rows, query.shape[2])
        low = max(0, start - window + 1)
        first = min(sinks, low)
        columns = torch.cat([torch.arange(first), torch.arange(low, stop)]).to(query.device)
        places = torch.arange(start, stop, device=query.device).unsqueeze(-1)
        allowed = (columns <= places) & ((columns > places - window) | (columns < sinks))
        near_key = torch.cat([key[:, :, :first], key[:, :, low:stop]], 2)
        near_value = torch.cat([value[:, :, :first], value[:, :, low:stop]], 2)
        scores = _scores(query[:, :, start:stop], near_key, scale)
        out[:, :, start:stop] = _weigh(scores.masked_fill_(~allowed, float("-inf")), near_value).to(out.dtype)
    return out


def top_keys(
    query: Tensor, key: Tensor, value: Tensor, scale: float, kept: int, window: int = 0, sinks: int = 0
) -> Tensor:
    """Each query reads window and sinks, and of the other keys those with its largest scores, `kept` in all.

    The exact scores choose, so this costs more than attention does. Shapes as in `streaming`.
    """
    if window + sinks > kept:
        raise ValueError(f"window and sinks ({window} and {sinks}) are more than the {kept} keys to be kept")
    out = query.new_empty(*query.shape[:3], value.shape[3])
    rows = _rows(query, key.shape[2])
    for start in range(0, query.shape[2], rows):
        stop = min(start + rows, query.shape[2])
        columns = torch.arange(stop, device=query.device)
        places = torch.arange(start, stop, device=query.device).unsqueeze(-1)
        hidden = columns > places
        fixed = (columns > places - window) | (columns < sinks)
        scores = _scores(query[:, :, start:stop], key[:, :, :stop], scale).masked_fill_(hidden, float("-inf"))
        free = min(kept - window - sinks, stop)
        chosen = scores.masked_fill(fixed, float("-inf")).topk(free, -1, sorted=False).indices
        allowed = fixed.expand(scores.shape).clone().scatter_(-1, chosen, True)
        scores = scores.masked_fill_(~allowed, float("-inf"))
        out[:, :, start:stop] = _weigh(scores, value[:, :, :stop]).to(out.dtype)
    return out


def _rows(query: Tensor, columns: int) -> int:
    budget = SCORE_BUDGET if query.device.type == "cpu" else 8 * SCORE_BUDGET
    return max(LEAST_ROWS, budget // (query.shape[0] * query.shape[1] * max(columns, 1)))


def _scores(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Float32 [B, H, rows, columns]; the query heads of a group share their key head."""
    batch, heads, rows, features = query.shape
    folded = query.reshape(batch, key.shape[1], -1, features)
    return (folded @ key.transpose(-1, -2)).float().mul_(scale).view(batch, heads, rows, -1)


def _weigh(scores: Tensor, value: Tensor) -> Tensor:
    batch, heads, rows, columns = scores.shape
    weights = torch.softmax(scores, -1).to(value.dtype).reshape(batch, value.shape[1], -1, columns)
    return (weights @ value).view(batch, heads, rows, -1)
