"""Graphs to mutate: every attention form, every style and every tiny model, captured once when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import attention_forms
import torch
from hyperrewrite.passes.canonical import called
from hyperrewrite.passes.copying import copied_graph
from styles import STYLES
from tiny_models import MODELS, TinyModel
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

IMPLEMENTATIONS = ("eager", "sdpa")


@dataclass(frozen=True)
class Captured:
    """A graph as Dynamo hands it to a backend, its inputs, and the calls with attention inside."""

    module: fx.GraphModule
    inputs: tuple[Any, ...]
    anchors: tuple[str, ...]


@dataclass(frozen=True)
class Base:
    """A function or model to capture. make() → (callable, its arguments)."""

    name: str
    make: Callable[[], tuple[Callable[..., Any], Sequence[Any]]]

    @property
    def captured(self) -> Captured | None:
        """The graph; None where it has no softmax and no SDPA call that could be mutated."""
        return _captured(self.name)


def _form(form: attention_forms.Form) -> Callable[[], tuple[Callable[..., Any], Sequence[Any]]]:
    return lambda: (form.function, form.inputs())


def _operators(form: attention_forms.Form) -> Callable[[], tuple[Callable[..., Any], Sequence[Any]]]:
    """A form in ATen operators, as torch.export writes it."""
    return lambda: (make_fx(form.function, tracing_mode="fake", pre_dispatch=True)(*form.inputs()), form.inputs())


def _style(name: str) -> Callable[[], tuple[Callable[..., Any], Sequence[Any]]]:
    return lambda: (STYLES[name].model(), STYLES[name].inputs(STYLES[name].n))


def _model(tiny: TinyModel, implementation: str) -> Callable[[], tuple[Callable[..., Any], Sequence[Any]]]:
    def make() -> tuple[Callable[..., Any], Sequence[Any]]:
        model = tiny.build(implementation)
        return lambda inputs: model(**inputs)[0], (tiny.inputs(2, 31),)

    return make


# Not under autocast: what a graph that breaks off leaves switched on would reach the next mutant.
BASES = {
    base.name: base
    for base in (
        *(Base(f"form {f.name}", _form(f)) for f in attention_forms.all_forms()),
        *(Base(f"aten {f.name}", _operators(f)) for f in list(attention_forms.FORMS.values())[::4]),
        *(Base(f"style {n}", _style(n)) for n, s in STYLES.items() if not s.autocast and "autocast" not in n),
        *(Base(f"model {n} {i}", _model(t, i)) for n, t in MODELS.items() for i in IMPLEMENTATIONS),
    )
}


@cache
def _captured(name: str) -> Captured | None:
    graphs: list[tuple[fx.GraphModule, tuple[Any, ...]]] = []

    def backend(module: fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        # A copy, as Dynamo takes away what is known of the inputs when it is done.
        graphs.append((fx.GraphModule(module, copied_graph(module)[0]), tuple(map(_plain, inputs))))
        return module.forward

    torch._dynamo.reset()
    with torch.no_grad():
        function, args = BASES[name].make()
        torch.compile(function, backend=backend, fullgraph=True, dynamic=False)(*args)
    torch._dynamo.reset()
    (graph,) = graphs
    anchors = [node.name for node in graph[0].graph.nodes if _is_anchor(node)]
    return Captured(*graph, tuple(anchors)) if anchors else None


def _plain(value: Any) -> Any:
    """Parameters as plain tensors, except that they stay parameters, which the passes tell from buffers."""
    if isinstance(value, torch.nn.Parameter):
        return torch.nn.Parameter(value.detach(), requires_grad=False)
    return value.detach() if isinstance(value, Tensor) else value


def _is_anchor(node: fx.Node) -> bool:
    names = ("softmax", "scaled_dot_product_attention", "exp", "exp_")
    return node.op in ("call_function", "call_method") and called(node) in names
