"""How many attentions PyTorch's own pattern matcher (fuse_attention of Inductor) replaces in captured graphs.

Inductor runs as far as its passes over the joint graph, in which fuse_attention is one; where it would go on to write
code it is stopped. So nothing is compiled, and nothing of it is run.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

import torch
from torch import fx

Graph = tuple[fx.GraphModule, Sequence[Any]]
LIMIT = 60  # seconds for a graph


class _Reached(Exception):
    """Inductor's passes are over."""


def fused(graphs: Sequence[Graph], grad: bool) -> dict[str, Any]:
    """The cells of a row: "inductor", the number of attentions replaced, and in "inductor_failed" what went wrong.

    graphs: as Dynamo handed them to a backend; they are used up. grad: whether gradients were wanted. Never raises. The
    number is None where Inductor gave up on a graph before its passes were over.
    """
    total, failures = 0, []
    for module, inputs in graphs:
        try:
            with _limited(LIMIT):
                total += _replaced(module, inputs, grad)
        except Exception as error:
            failures.append(f"{type(error).__name__}: {str(error)[:300]}")
    return {"inductor": None, "inductor_failed": failures} if failures else {"inductor": total}


def load() -> None:
    """Load in this process what every process forked from it would load again: Inductor and its patterns."""

    def attention(q: torch.Tensor) -> torch.Tensor:
        return torch.softmax(q @ q.transpose(-1, -2) / 2, -1) @ q

    with suppress(Exception):
        _replaced(fx.symbolic_trace(attention), [torch.ones(1, 2, 4, 4)], False)


def _replaced(module: fx.GraphModule, inputs: Sequence[Any], grad: bool) -> int:
    from torch._inductor.compile_fx import compile_fx

    reached: list[fx.GraphModule] = []

    def stop(joint: fx.GraphModule, inputs: Any, **_: Any) -> Any:
        reached.append(joint)
        raise _Reached

    with _counting() as count, torch.set_grad_enabled(grad), torch.random.fork_rng(devices=[]):
        try:
            compile_fx(module, list(inputs), inner_compile=stop, config_patches={"fx_graph_cache": False})
        except Exception:
            if not reached:
                raise
    return count[0]


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """TimeoutError in what takes longer."""

    def late(*_: object) -> None:
        raise TimeoutError(f"not done in {seconds} s")

    was = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, was)


@contextmanager
def _counting() -> Iterator[list[int]]:
    """The number of replacements by fuse_attention, as they are made.

    Its counter counts how often replacements were traced, with gradients two times for each. A pattern that is traced
    is then replaced at once, so every replacement before which the counter moved is one of its own.
    """
    from torch._dynamo.utils import counters
    from torch._inductor.pattern_matcher import ReplacementPatternEntry

    seen, found = [counters["inductor"]["fuse_attention"]], [0]
    made = ReplacementPatternEntry.apply

    def apply(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        now = counters["inductor"]["fuse_attention"]
        found[0] += now > seen[0]
        seen[0] = now

    with patch.object(ReplacementPatternEntry, "apply", apply):
        yield found
