"""The time of a call on a GPU without what the host does: the median of single runs of a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SLOWEST = 5000.0  # milliseconds: a single call above it is its own median


def graph_median(call: Callable[[], Any], repeats: int) -> float:
    """Milliseconds; a call slower than SLOWEST runs once."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    times: list[float] = []
    for _ in range(repeats + 2):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        stop.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(stop))
        if times[-1] > SLOWEST:
            return times[-1]
    return sorted(times[2:])[repeats // 2]
