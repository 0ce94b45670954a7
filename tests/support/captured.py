"""An op call that waits for no device: run while waiting is an error, captured in a CUDA graph, replayed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def check_captured(call: Callable[[], tuple[Tensor, ...]]) -> None:
    """Assert that a graph of the call gives what the call itself gives, to the bit, twice, over poisoned outputs."""
    want = call()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            got = call()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for _ in range(2):
        for tensor in got:
            tensor.fill_(float("nan"))
        graph.replay()
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(got, want, strict=True))
