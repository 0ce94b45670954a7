"""Dynamo graphs for tests of the passes: capture a function's graph, rewrite it, run both, compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from hyperrewrite.passes.rewrite import Lowering, fits_sdpa, rewrite
from hyperrewrite.passes.sites import Findings, find_sites
from hyperrewrite.passes.spec import AttentionSite
from hyperrewrite.passes.subgraphs import Program, calls_of
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from hyperrewrite import policy
from hyperrewrite.analysis import Analysis, analyse
from hyperrewrite.options import Options
from hyperrewrite.short import is_right_in_sdpa

EXACT = Options.of({"approximate": False})
OP = Lowering("op", {"algorithm": "exact"})  # every site as the op, which shows all that the matcher read


@dataclass(frozen=True)
class Captured:
    """One graph as a backend receives it."""

    module: fx.GraphModule
    inputs: tuple[Any, ...]

    def findings(self) -> Findings:
        """Sites and rejections of the graph, and of those that it runs."""
        if not calls_of(self.module):
            return find_sites(self.module)
        program = Program(self.module)
        return Findings(tuple(place.site for place in program.places), program.rejections)

    def with_op(self) -> fx.GraphModule:
        """The graph with every site written as one exact call of the op."""
        return self._written(OP, lambda site: True)

    def with_sdpa(self) -> fx.GraphModule:
        """The graph with every site written as SDPA that SDPA is right for, with a mask tensor where it must."""
        return self._written(Lowering("sdpa"), lambda site: fits_sdpa(site) or is_right_in_sdpa(site))

    def _written(self, lowering: Lowering, suits: Callable[[AttentionSite], bool]) -> fx.GraphModule:
        if not calls_of(self.module):
            return rewrite(self.module, [(site, lowering) for site in self.findings().sites if suits(site)]).module
        program = Program(self.module)
        return program.written({place: lowering for place in program.places if suits(place.site)}).module


def capture(
    function: Callable[..., Any], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None, **compile_options: Any
) -> Captured:
    """The one graph of function(*args, **kwargs). Fails where Dynamo breaks it into several."""
    graphs: list[Captured] = []

    def backend(module: fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        graphs.append(Captured(module, tuple(inputs)))
        return module.forward

    torch._dynamo.reset()
    with torch.no_grad():
        torch.compile(function, backend=backend, fullgraph=True, **compile_options)(*clone(args), **clone(kwargs or {}))
    (graph,) = graphs
    return graph


def as_long() -> AbstractContextManager[Any]:
    """Inside, sites of a few tokens are written as those of many are: tests are small, and most would be left alone."""
    return patch.object(policy, "short", lambda site: None)


class Backend:
    """A backend that rewrites as the real one does and runs the result as it stands; keeps what it did.

    options None: graphs are left alone, which counts what Dynamo compiles without us. op: every site as the exact op.
    sdpa: every site as SDPA that can be, however short. short: sites of a few tokens are treated as such, and not
    `as_long`.
    """

    def __init__(
        self, options: Options | None = EXACT, op: bool = False, sdpa: bool = False, short: bool = False
    ) -> None:
        self.options, self.op, self.sdpa, self.short = options, op, sdpa, short
        self.graphs: list[Captured] = []
        self.analyses: list[Analysis] = []

    def __call__(self, module: fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        graph = Captured(module, tuple(inputs))
        self.graphs.append(graph)
        if self.options is None:
            return module.forward
        if self.op:
            return graph.with_op().forward
        if self.sdpa:
            return graph.with_sdpa().forward
        with nullcontext() if self.short else as_long():
            self.analyses.append(analyse(module, self.options, inputs))
        assert not self.analyses[-1].report.failures, self.analyses[-1].report.failures
        return self.analyses[-1].module.forward


def clone(values: Any) -> Any:
    """The same values in fresh tensors with the same strides."""

    def copy(value: Tensor) -> Tensor:
        fresh = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=value.device)
        return fresh.copy_(value.detach()).requires_grad_(value.requires_grad)

    return pytree.tree_map_only(Tensor, copy, values)


def run(function: Callable[..., Any], args: Sequence[Any], backend: Any = None, **compile_options: Any) -> Any:
    """function(*args) on copies, eagerly or through a backend; without gradients."""
    if backend is not None:
        torch._dynamo.reset()
        function = torch.compile(function, backend=backend, fullgraph=True, **compile_options)
    torch.manual_seed(0)  # for active dropout
    with torch.no_grad():
        return function(*clone(args))


def run_with_gradients(
    function: Callable[..., Any], args: Sequence[Any], backend: Any = None, **compile_options: Any
) -> tuple[Any, list[Tensor | None]]:
    """What `run` gives, detached, and the gradient of every floating argument (`gradients_of`)."""
    if backend is not None:
        torch._dynamo.reset()
        function = torch.compile(function, backend=backend, fullgraph=True, **compile_options)
    leaves, fresh = leaves_of(args)
    torch.manual_seed(0)
    with torch.enable_grad():
        out = function(*fresh)
        gradients = gradients_of(pytree.tree_leaves(out), leaves)
    return pytree.tree_map_only(Tensor, Tensor.detach, out), gradients


def mark_trained(module: fx.GraphModule) -> None:
    """Note in a graph that gradients flow through all floating tensors, as where it is captured with gradients."""
    for node in module.graph.nodes:
        value = node.meta.get("example_value")
        if isinstance(value, Tensor) and value.dtype.is_floating_point and not value.requires_grad:
            value.requires_grad_()


def leaves_of(args: Sequence[Any]) -> tuple[list[Tensor], Any]:
    """Floating leaves that want a gradient, and the arguments made of them, which a graph may write into."""
    leaves: list[Tensor] = []

    def leaf(value: Tensor) -> Tensor:
        if not value.dtype.is_floating_point:
            return value
        leaves.append(value.detach().requires_grad_())
        return leaves[-1].clone()

    return leaves, pytree.tree_map_only(Tensor, leaf, clone(args))


def gradients_of(results: Sequence[Any], leaves: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradient of each leaf, for gradients of the results that a fixed seed draws; None where none flows."""
    generator = torch.Generator().manual_seed(1)
    flowing = [r for r in results if isinstance(r, Tensor) and r.requires_grad]
    given = [torch.randn(r.shape, generator=generator, dtype=torch.float64).to(r.dtype) for r in flowing]
    if not flowing:
        return [None] * len(leaves)
    return list(torch.autograd.grad(flowing, leaves, given, allow_unused=True))


def assert_same_gradients(
    actual: Sequence[Tensor | None], expected: Sequence[Tensor | None], tolerance: float = 1e-5
) -> None:
    """Gradients for the same leaves, and the same numbers. Where one is NaN nothing is promised: that comes of NaN."""
    assert [g is None for g in actual] == [g is None for g in expected], "a gradient for other arguments"
    for a, b in zip(actual, expected, strict=True):
        if a is not None and b is not None:
            assert_same(torch.where(b.isnan(), b, a), b, tolerance)


def assert_same(actual: Any, expected: Any, tolerance: float = 1e-5) -> None:
    """Equal trees of tensors: shape, dtype, NaN exactly where NaN is expected, and the numbers within tolerance."""
    mine, theirs = pytree.tree_leaves(actual), pytree.tree_leaves(expected)
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        if not isinstance(b, Tensor):
            assert a == b
            continue
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert torch.equal(a.isnan(), b.isnan()), f"{int(a.isnan().sum())} NaN, expected {int(b.isnan().sum())}"
        scale = max(1.0, float(b.nan_to_num(0, 0, 0).abs().max())) if b.numel() and b.is_floating_point() else 1.0
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
