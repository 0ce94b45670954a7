"""What a caller may learn about the op calls that run: each call's tensors, its error, the keys it read.

The error is measured on a few rows (`relative_error`), or known from the sample of `hyper` (`sample_error`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor

from .attend import accumulation_dtype
from .call import AttentionCall
from .lifted import Lifted, seen_by_some
from .parameters import NAN_ROWS
from .planning import count_keys, whole_plan
from .sampling.error import SampleError
from .sampling.error import sample_error as error_of


@dataclass(frozen=True, slots=True)
class Observation:
    """One executed forward call: its inputs as given, its outputs."""

    query: Tensor
    key: Tensor
    value: Tensor
    key_mask: Tensor | None
    bias: Tensor | None
    call: AttentionCall
    out: Tensor
    lse: Tensor
    lifted: Lifted | None = None


Observer = Callable[[Observation], None]
_observers: ContextVar[tuple[Observer, ...]] = ContextVar("hyperrewrite_observers", default=())


@contextmanager
def observe(observer: Observer) -> Iterator[None]:
    """While open, in this context (thread, task), call `observer` after every forward of `hyper::attention`."""
    token = _observers.set((*_observers.get(), observer))
    try:
        yield
    finally:
        _observers.reset(token)


def notify(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    call: AttentionCall,
    out: Tensor,
    lse: Tensor,
    lifted: Lifted | None = None,
) -> None:
    """Called by the op. The observers' own op calls are not observed."""
    observers = _observers.get()
    if not observers:
        return
    token = _observers.set(())
    try:
        with torch.no_grad():
            for observer in observers:
                observer(Observation(query, key, value, key_mask, bias, call, out, lse, lifted))
    finally:
        _observers.reset(token)


def relative_error(observation: Observation, rows: int = 64, seed: int = 0) -> float:
    """√(Σ‖o − o*‖² / Σ‖o*‖²) over `rows` random query rows, each computed exactly; costs rows · n_k · D per head.

    The rows are the same for every head and batch element, drawn without replacement; all of them where n_q <= rows.
    0 where the exact rows are all zero and so are the given ones; inf where only the exact ones are.
    """
    seen = observation
    n_q = seen.query.shape[2]
    chosen = torch.randperm(n_q, generator=torch.Generator().manual_seed(seed))[:rows].sort().values
    chosen = chosen.to(seen.query.device)
    exact = exact_rows(observation, chosen)
    given = seen.out[:, :, chosen].to(exact.dtype)
    wrong, size = ((given - exact).square().sum().item(), exact.square().sum().item())
    if size == 0.0:
        return 0.0 if wrong == 0.0 else float("inf")
    return math.sqrt(wrong / size)


def sample_error(observation: Observation, *, every: int | None = None) -> SampleError:
    """How far the call is from exact attention by its own sample: see `sampling.error`. Raises ValueError for `paper`.

    A call that reads every key has an error of 0, rounding left out.
    """
    seen = observation
    tensors = (seen.query, seen.key, seen.value, seen.key_mask, seen.out, seen.lse)
    return error_of(*tensors, seen.call, every=every)


def exact_rows(observation: Observation, rows: Tensor) -> Tensor:
    """The exact output of query rows `rows` (int [r]), [B, H, r, D_v] in the accumulation dtype."""
    seen, call = observation, observation.call
    query, bias = seen.query[:, :, rows], seen.bias
    if bias is not None and bias.dim() >= 2 and bias.shape[-2] != 1:
        bias = bias.index_select(-2, rows)
    dtype = accumulation_dtype(query.dtype)
    batch, heads, count, features = query.shape
    keys = torch.arange(call.num_keys, device=query.device)
    allowed = torch.ones(count, call.num_keys, dtype=torch.bool, device=query.device)
    if call.causal_offset is not None:
        frontier = rows.unsqueeze(-1) + call.causal_offset
        allowed = keys <= frontier
        if call.sliding_window is not None:
            allowed &= keys > frontier - call.sliding_window
    allowed = allowed[None, None] if seen.key_mask is None else allowed & seen.key_mask[:, None, None, :]
    pairs = None if seen.lifted is None else seen.lifted.at_queries(rows).keep(0, count, 0, call.num_keys)
    allowed = allowed if pairs is None else allowed & pairs
    key, value = seen_by_some(allowed, seen.key.to(dtype), seen.value.to(dtype))
    folded = query.to(dtype).reshape(batch, key.shape[1], -1, features)
    scores = (folded @ key.transpose(-1, -2) * call.scale).view(batch, heads, count, -1)
    scores = call.curve.bend_(scores)
    scores = scores if bias is None else scores + bias
    scores = scores.masked_fill(~allowed, float("-inf"))
    empty = (scores == float("-inf")).all(-1, keepdim=True)
    weights = torch.softmax(scores, -1).masked_fill(empty, float("nan") if call.empty_rows in NAN_ROWS else 0.0)
    out = (weights.reshape(batch, key.shape[1], -1, call.num_keys) @ value).view(batch, heads, count, -1)
    if call.empty_rows in ("mean", "level"):
        mean = seen.value.to(dtype).mean(2, keepdim=True).repeat_interleave(heads // key.shape[1], 1)
        out = torch.where(empty, mean, out)
    return out


def keys_per_query(observation: Observation) -> float:
    """Mean number of distinct, visible keys that the call scored per query, from the plan made again (exact: the mask).

    A sampled key counts once, whatever its weight; a bias is not looked at.
    """
    seen = observation
    batch, heads = seen.query.shape[:2]
    if seen.query.shape[2] == 0 or batch * heads == 0:
        return 0.0
    parts, found = whole_plan(seen.query, seen.key, seen.value, seen.key_mask, seen.call)
    return float(count_keys(parts, seen.key_mask, batch, heads, seen.call, seen.lifted, found).double().mean())
