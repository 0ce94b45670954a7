"""Lengths that only the running graph knows: one compile, two graphs, and each call takes the one for its length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import sympy
import torch
from graphs import assert_same
from torch import Tensor, fx

from hyperrewrite import backend as backend_module
from hyperrewrite import short as short_module
from hyperrewrite.sizes import Limit, is_readable, places

MOST = 20 * 20  # pairs of a short call in these tests
Function = Callable[..., Tensor]


def _keep(q: Tensor, k: Tensor, attended: Tensor) -> Tensor:
    rows, keys = torch.arange(q.shape[2])[:, None], torch.arange(k.shape[2])
    return (keys <= rows + (k.shape[2] - q.shape[2])) & attended[:, None, None, :]


def padded_causal(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    keep = _keep(q, k, attended)
    return torch.softmax((q @ k.transpose(-1, -2)).masked_fill(~keep, -torch.inf), -1).nan_to_num(0.0) @ v


def as_sdpa(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=_keep(q, k, attended))


def softcapped(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    scores = torch.tanh(q @ k.mT / 5) * 5
    return torch.softmax(scores.masked_fill(~attended[:, None, None, :], -torch.inf), -1) @ v


@torch.compiler.nested_compile_region
def _region(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    return padded_causal(q, k, v, attended)


def in_a_region(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    return _region(_region(q, k, v, attended), k, v, attended)


def half_the_keys(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    """n · ⌊n / 2⌋ pairs, which is no polynomial."""
    half = k.shape[2] // 2
    return padded_causal(q, k[:, :, :half], v[:, :, :half], attended[:, :half])


def _inputs(n_q: int, n_k: int, gradient: bool) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n_k)
    tensors = [torch.randn(2, 4, n, 8, generator=generator).requires_grad_(gradient) for n in (n_q, n_k, n_k)]
    attended = torch.ones(2, n_k, dtype=torch.bool)
    attended[1:, :3] = False
    return [*tensors, attended]


def _marked(tensors: list[Tensor]) -> list[Tensor]:
    """Their lengths are dynamic, and nothing else."""
    for tensor in tensors:
        torch._dynamo.mark_dynamic(tensor, 2 if tensor.dim() == 4 else 1)
    return tensors


class _Graphs:
    """What the backend compiles, in order, and which of it each call runs."""

    def __init__(self) -> None:
        self.modules: list[fx.GraphModule] = []
        self.ran: list[int] = []

    def __call__(self, gm: fx.GraphModule, inputs: Sequence[Any], patches: dict[str, Any]) -> Callable[..., Any]:
        number = len(self.modules)
        self.modules.append(gm)

        def run(*args: Any) -> Any:
            self.ran.append(number)
            return gm.forward(*args)

        return run

    @property
    def written(self) -> list[str]:
        """ "op", "sdpa" or "as it was", of each graph with its bodies."""
        code = ["".join(m.code for m in gm.modules() if isinstance(m, fx.GraphModule)) for gm in self.modules]
        words = (("hyper.attention", "op"), ("scaled_dot_product", "sdpa"))
        return [next((word for name, word in words if name in text), "as it was") for text in code]


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Graphs]:
    torch._dynamo.reset()
    made = _Graphs()
    monkeypatch.setattr(backend_module, "_inductor", made)
    monkeypatch.setattr(short_module, "MOST_PAIRS", MOST)
    monkeypatch.setattr(short_module, "MOST_LEFT", MOST)
    yield made
    torch._dynamo.reset()


def _compared(function: Function, sizes: Sequence[tuple[int, int]], gradient: bool = False, **options: Any) -> None:
    """Values and gradients of every length as eager has them in float64."""
    options = {"approximate": False, **options}
    compiled = torch.compile(function, backend="hyper", fullgraph=True, options=options)
    for size in sizes:
        results: list[Any] = []
        for call, dtype in ((function, torch.float64), (compiled, torch.float32)):
            mine = [t.to(dtype) if t.is_floating_point() else t for t in _inputs(*size, gradient)]
            mine = _marked([t.detach().requires_grad_(t.requires_grad) for t in mine])
            out = call(*mine)
            leaves = [t for t in mine if t.requires_grad]
            grads = torch.autograd.grad(out.square().sum(), leaves) if leaves else ()
            results.append([t.detach().float() for t in (out, *grads)])
        assert_same(results[1], results[0], 1e-4)


@pytest.mark.parametrize(
    ("function", "gradient", "short"),
    [
        (padded_causal, False, "sdpa"),
        (padded_causal, True, "as it was"),
        (as_sdpa, False, "sdpa"),
        (softcapped, False, "as it was"),
        (softcapped, True, "as it was"),
        (in_a_region, False, "sdpa"),
    ],
)
def test_each_call_takes_the_graph_for_its_length(
    function: Function, gradient: bool, short: str, graphs: _Graphs
) -> None:
    """Chunks behind a cache, and as many queries as keys; at the limit and beyond it; one compile for all."""
    _compared(function, [(18, 22), (18, 23), (20, 20), (19, 22), (8, 50)], gradient)
    assert graphs.written == ["op", short]
    assert graphs.ran == [1, 0, 1, 0, 1]


def test_a_length_that_no_input_shows_keeps_one_graph(graphs: _Graphs) -> None:
    _compared(half_the_keys, [(16, 16), (40, 40)])
    assert graphs.written == ["op"]


def test_known_lengths_and_masks_over_keys_keep_one_graph(graphs: _Graphs) -> None:
    compiled = torch.compile(padded_causal, backend="hyper", dynamic=False, options={"approximate": False})
    for n in (20, 21):
        compiled(*_inputs(n, n, False))
    assert graphs.written == ["sdpa", "op"]

    def padded(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
        return torch.softmax((q @ k.mT).masked_fill(~attended[:, None, None, :], -torch.inf), -1) @ v

    _compared(padded, [(20, 20), (21, 21)])
    assert graphs.written[2:] == ["sdpa"]


def test_short_of_min_seq_len_besides(graphs: _Graphs) -> None:
    """What would be estimated is not short, however few its pairs are."""
    compiled = torch.compile(padded_causal, backend="hyper", fullgraph=True, options={"min_seq_len": 19, "tile": 16})
    for n in (18, 19, 20, 21):
        compiled(*_marked(_inputs(n, n, False)))
    assert graphs.written == ["op", "sdpa"]
    assert graphs.ran == [1, 0, 0, 0]


def test_a_short_graph_that_does_not_compile(graphs: _Graphs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph as it was runs at every length, as after any failure."""

    def compiler(gm: fx.GraphModule, inputs: Sequence[Any], patches: dict[str, Any]) -> Callable[..., Any]:
        if "scaled_dot_product" in gm.code:
            raise RuntimeError("a test says so")
        return graphs(gm, inputs, patches)

    monkeypatch.setattr(backend_module, "_inductor", compiler)
    _compared(padded_causal, [(20, 20), (21, 21)])
    assert graphs.written == ["op", "as it was"]
    assert graphs.ran == [1, 1]


def test_verify_looks_at_both(graphs: _Graphs) -> None:
    _compared(padded_causal, [(20, 20), (21, 21)], verify=True)
    assert graphs.written == ["op", "sdpa"]


def test_limits() -> None:
    n, m = sympy.Symbol("s0", integer=True), sympy.Symbol("s1", integer=True)
    assert places([torch.ones(3, 4), 5]) == {}
    known = {n: None, m: None}
    assert is_readable(Limit(sympy.expand(n * (n + m)), 9), known)  # type: ignore[arg-type]
    assert not is_readable(Limit(n * m, 9), {n: known[n]})  # type: ignore[dict-item]
    assert not is_readable(Limit(n * sympy.floor(m / 2), 9), known)  # type: ignore[arg-type]
