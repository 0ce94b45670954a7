"""A graph as a region is read from it: what each node holds, which nodes it reads, what was written for a site."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from .canonical import CanonicalView
from .dataflow import Dataflow
from .emit import SITE


class RecordedGraph:
    """A module with its canonical view and its dataflow; new nodes, which hold nothing yet, are worked out."""

    def __init__(self, module: fx.GraphModule) -> None:
        self.view = CanonicalView(module)
        self.flow = Dataflow(self.view)
        self._computed: dict[fx.Node, Any] = {}

    @cached_property
    def written(self) -> dict[str, list[fx.Node]]:
        """The site's output → what was written for it, in graph order."""
        found: dict[str, list[fx.Node]] = {}
        for node in self.view.nodes:
            if SITE in node.meta:
                found.setdefault(node.meta[SITE], []).append(node)
        return found

    @cached_property
    def _named(self) -> dict[str, fx.Node]:
        return {node.name: node for node in self.view.nodes}

    def copy_of(self, node: fx.Node) -> fx.Node:
        """The node of this graph that holds the value of a node of the original."""
        written = self.written.get(node.name)
        return written[-1] if written else self._named[node.name]

    @cached_property
    def in_place(self) -> bool:
        """Whether anything is written in place at all."""
        return any(self.view.op(node).in_place for node in self.view.nodes)

    def value(self, node: fx.Node) -> Any:
        """What a node holds, as fake tensors."""
        return self._computed[node] if node in self._computed else self.view.value(node)

    def record(self, nodes: Iterable[fx.Node]) -> None:
        """Work out what new nodes hold."""
        for node in nodes:
            if self.view.value(node) is not None:
                continue
            args, kwargs = fx.map_arg((node.args, node.kwargs), self.value)
            with contextlib.suppress(Exception), _fake(args), torch.no_grad():
                if node.op == "call_function":
                    self._computed[node] = node.target(*args, **kwargs)  # type: ignore[operator]
                elif node.op == "call_method":
                    self._computed[node] = getattr(args[0], str(node.target))(*args[1:], **kwargs)

    def inputs(self, node: fx.Node) -> list[fx.Node]:
        """The nodes whose values a node reads, without sizes and other numbers."""
        found: dict[fx.Node, None] = {}
        for source in node.all_input_nodes:
            read = self._current(source, node)
            if isinstance(self.value(read), torch.Tensor | tuple | list):
                found[whole(read)] = None
        return list(found)

    def _current(self, source: fx.Node, reader: fx.Node) -> fx.Node:
        """The node that wrote what `reader` sees in `source`: the last write in place, where there is one."""
        if not self.in_place or self.view.op(reader).in_place:
            return source
        return self.flow.same_tensor(source, reader) or source


@contextlib.contextmanager
def _fake(args: Any) -> Iterator[None]:
    """The mode that the fake tensors among arguments belong to, adding no guards to it."""
    modes: list[FakeTensorMode] = []
    fx.node.map_aggregate(args, lambda x: modes.append(x.fake_mode) if isinstance(x, FakeTensor) else None)
    mode = modes[0] if modes else FakeTensorMode(allow_non_fake_inputs=True)
    with mode, mode.shape_env.suppress_guards() if mode.shape_env is not None else contextlib.nullcontext():
        yield


def whole(node: fx.Node) -> fx.Node:
    """The call behind the first part of what `hyper::attention` gives; any other node itself."""
    source = node.args[0] if node.op == "call_function" and node.args else None
    return source if isinstance(source, fx.Node) and is_attention_op(source) else node


def is_attention_op(node: fx.Node) -> bool:
    """Whether a node is a call of our op."""
    return str(node.target).startswith("hyper.attention")
