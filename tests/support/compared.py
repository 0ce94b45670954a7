"""A function and its rewrites side by side: outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from graphs import Backend, assert_same, clone
from hyperrewrite.passes.spec import AttentionSite, RejectionCode
from torch import Tensor
from torch.utils import _pytree as pytree


def assert_as_eager(
    function: Callable[..., Any], args: Sequence[Any], tolerance: float = 3e-5, **compile_options: Any
) -> Backend:
    """Outputs and gradients of a function, rewritten as SDPA or op and as op, are those of eager; the first backend."""
    expected = _with_gradients(function, args)
    backends = Backend(), Backend(op=True)
    for backend in backends:
        torch._dynamo.reset()
        compiled = torch.compile(function, backend=backend, fullgraph=True, **compile_options)
        assert_same(_with_gradients(compiled, args), expected, tolerance)
    return backends[0]


def _with_gradients(function: Callable[..., Any], args: Sequence[Any]) -> list[Tensor]:
    """The outputs, and the gradient of each input of floating-point numbers; zeros where none comes back."""
    given = [a.requires_grad_() if isinstance(a, Tensor) and a.is_floating_point() else a for a in clone(args)]
    outputs = [out for out in pytree.tree_leaves(function(*given)) if isinstance(out, Tensor)]
    leaves = [a for a in given if isinstance(a, Tensor) and a.requires_grad]
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(out.shape, generator=generator).to(out.dtype) for out in outputs]
    gradients = torch.autograd.grad(outputs, leaves, weights, allow_unused=True, materialize_grads=True)
    return [*(out.detach() for out in outputs), *gradients]


def site_of(backend: Backend) -> AttentionSite:
    """The one site of the one graph, where nothing was left alone."""
    (graph,) = backend.graphs
    findings = graph.findings()
    assert not findings.rejections, findings.rejections
    (site,) = findings.sites
    return site


def rejection_of(backend: Backend) -> RejectionCode:
    """Why the one attention of the one graph was left alone."""
    (graph,) = backend.graphs
    findings = graph.findings()
    assert not findings.sites
    (rejection,) = findings.rejections
    return rejection.code
