"""A function and its rewrites side by side: outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphs import Backend, assert_same, assert_same_gradients, run_with_gradients
from hyperrewrite.passes.spec import AttentionSite, RejectionCode


def assert_as_eager(
    function: Callable[..., Any], args: Sequence[Any], tolerance: float = 3e-5, **compile_options: Any
) -> Backend:
    """Outputs and gradients of a function, rewritten as SDPA or op and as op, are those of eager; the first backend."""
    expected, gradients = run_with_gradients(function, args)
    backends = Backend(), Backend(op=True)
    for backend in backends:
        out, mine = run_with_gradients(function, args, backend, **compile_options)
        assert_same(out, expected, tolerance)
        assert_same_gradients(mine, gradients, tolerance)
    return backends[0]


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
