"""Compile functions whose graphs run other graphs, compare with eager, and look into what was written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import torch
from graphs import EXACT, Backend, assert_same
from torch import Tensor, nn
from torch._dynamo.backends.debugging import aot_eager

from hyperrewrite.analysis import Analysis
from hyperrewrite.options import Options
from hyperrewrite.report import Report

HYPER = {"min_seq_len": 64, "tile": 16, "block_size": 16, "sample_size": 8, "window": 32, "sinks": 8}


class Aot(Backend):
    """Runs what was rewritten through AOTAutograd, which traces bodies as Inductor gets them.

    Sites are small here and stand for large ones: none is left alone because it is short.
    """

    def __call__(self, module: torch.fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        with patch("hyperrewrite.policy.short", return_value=None):
            super().__call__(module, inputs)
        return aot_eager(self.analyses[-1].module, inputs)


def gradients(function: Callable[..., Any], x: Tensor) -> list[Tensor]:
    """The output and the gradients of x and of all parameters."""
    x = x.clone().requires_grad_()
    wanted = [x, *(function.parameters() if isinstance(function, nn.Module) else ())]
    out = function(x)
    return [out.detach(), *torch.autograd.grad(out.square().sum(), wanted)]


def check(function: Callable[..., Any], x: Tensor, options: Options = EXACT, **compiled: Any) -> Analysis:
    """Compare output and gradients with eager; what was done to the graph."""
    backend = Aot(options)
    torch._dynamo.reset()
    torch.manual_seed(0)
    want = gradients(function, x)
    torch.manual_seed(0)
    assert_same(gradients(torch.compile(function, backend=backend, fullgraph=True, **compiled), x), want)
    return backend.analyses[-1]  # Dynamo may trace once more when a size turns out to be a number


def done(report: Report) -> list[tuple[str, str]]:
    return [(module, row.action) for row in report.sites for module in row.modules]


def bodies(module: torch.fx.GraphModule) -> list[torch.fx.GraphModule]:
    """The graphs that the nodes of a graph name, once for each node."""
    return [getattr(module, str(node.target)) for node in module.graph.find_nodes(op="get_attr")]


def called(module: torch.fx.GraphModule) -> list[str]:
    return [str(node.target) for node in module.graph.nodes if node.op == "call_function"]
