"""What a caller may learn about the op calls that run: each call's tensors, its error, the keys it read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor

from .call import AttentionCall


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
) -> None:
    """Called by the op. The observers' own op calls are not observed."""
    observers = _observers.get()
    if not observers:
        return
    token = _observers.set(())
    try:
        with torch.no_grad():
            for observer in observers:
                observer(Observation(query, key, value, key_mask, bias, call, out, lse))
    finally:
        _observers.reset(token)
