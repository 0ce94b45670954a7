"""Chunks of a length that only the graph knows, the last of length 1, which the tracer takes for 1."""

from __future__ import annotations

import pytest
import torch
from compared import assert_as_eager
from torch import Tensor


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + sum(shape)))


def packed(x: Tensor) -> Tensor:
    """q, k and v by one chunk of their common batch."""
    q, k, v = x.chunk(3)
    return torch.softmax(q @ k.mT, -1) @ v


def by_chunks_of_the_batch(x: Tensor) -> Tensor:
    return torch.cat([torch.softmax(c @ x[:1].mT, -1) @ x[:1] for c in x.chunk(3)])


def by_chunks_of_queries(x: Tensor) -> Tensor:
    return torch.cat([torch.softmax(c @ x.mT, -1) @ x for c in x.chunk(3, dim=2)], dim=2)


def by_chunks_of_heads(x: Tensor) -> Tensor:
    return torch.cat([torch.softmax(c @ c.mT, -1) @ c for c in x.split(2, dim=1)], dim=1)


@pytest.mark.parametrize(
    ("function", "shape", "sites"),
    [
        pytest.param(packed, (3, 4, 8, 16), 1, id="packed"),
        pytest.param(by_chunks_of_the_batch, (7, 4, 8, 16), 3, id="batch"),
        pytest.param(by_chunks_of_queries, (2, 4, 7, 16), 3, id="queries"),
        pytest.param(by_chunks_of_queries, (2, 4, 8, 16), 3, id="queries-two"),
        pytest.param(by_chunks_of_heads, (2, 5, 8, 16), 3, id="heads"),
    ],
)
def test_chunks(function: object, shape: tuple[int, ...], sites: int) -> None:
    backend = assert_as_eager(function, (_random(*shape),), dynamic=True)  # type: ignore[arg-type]
    (graph,) = backend.graphs
    assert not graph.findings().rejections
    assert len(graph.findings().sites) == sites


def test_one_graph_for_chunks_of_several_lengths() -> None:
    """Near miss: what is not 1 stays a length that only the graph knows."""
    from graphs import Backend, assert_same

    backend = Backend()
    torch._dynamo.reset()
    compiled = torch.compile(by_chunks_of_queries, backend=backend, dynamic=True, fullgraph=True)
    for n in (11, 14, 17):
        x = _random(2, 4, n, 16)
        assert_same(compiled(x), by_chunks_of_queries(x))
    assert len(backend.graphs) == 1
