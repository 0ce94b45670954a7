"""Few queries and short texts: what is written for them, its values and gradients; longer ones keep the op."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from graphs import Backend, assert_same, clone
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from hyperrewrite.short import LEAST_TRAINED, MOST_LEFT, MOST_PAIRS

Function = Callable[..., Tensor]


def _inputs(n_q: int, n_k: int, kv_heads: int = 4, batch: int = 2, gradient: bool = False) -> list[Tensor]:
    """Queries, keys, values, and which keys take part; of the second batch row the first five do not."""
    generator = torch.Generator().manual_seed(n_k)
    shapes = [(batch, 4, n_q, 8), (batch, kv_heads, n_k, 8), (batch, kv_heads, n_k, 8)]
    tensors = [torch.randn(shape, generator=generator).requires_grad_(gradient) for shape in shapes]
    attended = torch.ones(batch, n_k, dtype=torch.bool)
    attended[1:, :5] = False
    return [*tensors, attended]


def padded(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT).masked_fill(~attended[:, None, None, :], -torch.inf), -1) @ v


def filled(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    """Rows without keys are a mean of all values."""
    return torch.softmax((q @ k.mT).masked_fill(~attended[:, None, None, :], -3e38), -1) @ v


def added(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    """The same, but each score still passes a gradient on."""
    return torch.softmax(q @ k.mT + torch.where(attended[:, None, None, :], 0.0, -3e38), -1) @ v


def _causal(q: Tensor, k: Tensor) -> Tensor:
    return torch.arange(k.shape[2]) <= torch.arange(q.shape[2])[:, None] + (k.shape[2] - q.shape[2])


def cached(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    """New tokens behind a cache, which all see a key."""
    return torch.softmax((q @ k.mT).masked_fill(~_causal(q, k), -3e38), -1) @ v


def padded_causal(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    """The first rows of a batch that is padded on the left see no key."""
    keep = _causal(q, k) & attended[:, None, None, :]
    return torch.softmax((q @ k.mT).masked_fill(~keep, -torch.inf), -1).nan_to_num(0.0) @ v


def window(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    at = torch.arange(k.shape[2])
    keep = (at <= at[:, None]) & (at > at[:, None] - 7)
    return torch.softmax((q @ k.mT).masked_fill(~keep, -torch.inf), -1) @ v


def documents(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    number = attended.long().cumsum(-1) // 9
    keep = number[:, None, :, None] == number[:, None, None, :]
    return torch.softmax((q @ k.mT).masked_fill(~keep, -torch.inf), -1) @ v


def up_to_position(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    """A static cache that is filled up to a position."""
    last = attended.sum(-1, keepdim=True) // 2
    keep = torch.arange(k.shape[2])[None, None, None, :] <= last[:, None, None, :]
    return torch.softmax(q @ k.mT + torch.where(keep, 0.0, -3e38), -1) @ v


def softcapped(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    scores = torch.tanh(q @ k.mT / 5) * 5
    return torch.softmax(scores.masked_fill(~attended[:, None, None, :], -torch.inf), -1) @ v


def grouped(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    """Key heads are repeated."""
    return filled(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1), attended)


def sdpa(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    return scaled_dot_product_attention(q, k, v, attn_mask=_causal(q, k) & attended[:, None, None, :])


def sdpa_grouped(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    return sdpa(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1), attended)


def _written(function: Function, args: list[Tensor], tolerance: float = 2e-5, dynamic: bool | None = None) -> str:
    """ "leave", "sdpa" or "op": what a graph becomes. Values are compared, and gradients where args want them."""
    backend = Backend(short=True)
    torch._dynamo.reset()
    compiled = torch.compile(function, backend=backend, fullgraph=True, dynamic=dynamic)
    results: list[Any] = []
    for call, dtype in ((function, torch.float64), (compiled, torch.float32)):
        mine = [t.to(dtype) if t.is_floating_point() else t for t in clone(args)]
        mine = [t.detach().requires_grad_(t.requires_grad) for t in mine]
        out = call(*mine)
        leaves = [t for t in mine if t.requires_grad]
        grads = torch.autograd.grad(out.square().sum(), leaves) if leaves else ()
        results.append([t.detach().float() for t in (out, *grads)])
    assert_same(results[1], results[0], tolerance)
    (analysis,) = backend.analyses
    (row,) = analysis.report.sites
    if row.action == "leave":
        return "leave"
    return "op" if "hyper.attention" in analysis.module.code else "sdpa"


@pytest.mark.parametrize("function", [padded, filled, cached, up_to_position, softcapped, sdpa])
@pytest.mark.parametrize("gradient", [False, True])
def test_few_queries_stay(function: Function, gradient: bool) -> None:
    assert _written(function, _inputs(1, 300, gradient=gradient)) == "leave"


@pytest.mark.parametrize("function", [grouped, sdpa_grouped])
def test_few_queries_that_share_keys_are_sdpa(function: Function) -> None:
    assert _written(function, _inputs(1, 300, kv_heads=2)) == "sdpa"


@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize("function", [padded, filled, cached, padded_causal, window, documents, grouped, sdpa_grouped])
def test_short_texts_are_sdpa(function: Function, n: int) -> None:
    args = _inputs(n, n + 3 if function is cached else n, kv_heads=2 if "grouped" in function.__name__ else 4)
    assert _written(function, args) == "sdpa"


def test_rows_without_keys() -> None:
    """Whole batch rows are hidden: NaN after −inf, the mean of all values after a finite number, zero in SDPA."""
    args = _inputs(20, 20)
    args[3][1] = False
    assert [_written(f, args) for f in (padded, filled, padded_causal, sdpa)] == ["sdpa", "sdpa", "sdpa", "leave"]


@pytest.mark.parametrize("function", [padded, cached, padded_causal, window])
def test_gradients(function: Function) -> None:
    n = math.isqrt(LEAST_TRAINED)
    for size, expected in ((n - 10, "leave"), (n + 5, "sdpa")):
        args = _inputs(size, size + 3 if function is cached else size, gradient=True)
        assert _written(function, args, 1e-4) == expected


@pytest.mark.parametrize(("function", "most", "longer"), [(added, MOST_LEFT, "op"), (filled, LEAST_TRAINED, "sdpa")])
def test_gradients_of_rows_that_are_means(function: Function, most: int, longer: str) -> None:
    """SDPA's backward misses what each score of them passes on: the graph stays, and where it is longer the op is."""
    n = math.isqrt(most)
    for size, expected in ((n, "leave"), (n + 1, longer)):
        assert _written(function, _inputs(size, size, gradient=True), 1e-4) == expected


def test_longer_texts_keep_the_op() -> None:
    n = math.isqrt(MOST_PAIRS)
    for size, expected in ((n, "sdpa"), (n + 1, "op")):
        assert _written(padded_causal, _inputs(size, size, batch=1)) == expected
    assert _written(softcapped, _inputs(MOST_LEFT // 256, 256)) == "leave"
    assert _written(softcapped, _inputs(MOST_LEFT // 256 + 1, 256)) == "op"


def test_a_mask_over_keys_alone_is_a_tensor_at_every_length() -> None:
    n = math.isqrt(MOST_PAIRS) + 60
    assert _written(padded, _inputs(n, n, batch=1)) == "sdpa"


def test_dynamic_shapes() -> None:
    """A length that is not known: one query still is one, and a mask over keys still has n_k entries."""
    assert _written(filled, _inputs(1, 300), dynamic=True) == "leave"
    assert _written(padded, _inputs(40, 40), dynamic=True) == "sdpa"
