"""Inductor's own fuse_attention kept off the graphs of this backend, and off no other.

Its patterns compare neither the dim of a softmax nor all of a shape, so that what our passes leave alone may be fused
into another attention. Each of them ends in a batched product of probabilities and values. One pass puts a step that
does nothing before such products and another takes it away, and Inductor's patterns run in between: those of attention
match no more, the others match as ever.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import fx
from torch._guards import TracingContext
from torch._inductor.custom_graph_pass import CustomGraphPass

STEPS = 64  # nodes that are looked at behind a product: patterns are far shorter
_aten = torch.ops.aten
_PRODUCTS = (_aten.bmm.default, _aten.mm.default, _aten.addmm.default, _aten.baddbmm.default)


def fence(value: torch.Tensor) -> torch.Tensor:
    """What stands between probabilities and values while Inductor looks for attention: nothing at all."""
    return value


def put_fences(graph: fx.Graph) -> None:
    """A fence before each batched product whose first operand comes from an exponential, as probabilities do."""
    for product in graph.find_nodes(op="call_function", target=_aten.bmm.default):
        operand = product.args[0]
        if _comes_from_exponential(operand):
            with graph.inserting_before(product):
                fenced = graph.call_function(fence, (operand,))
            fenced.meta.update(operand.meta)
            product.update_arg(0, fenced)


def take_fences(graph: fx.Graph) -> None:
    """The graph without fences."""
    for node in graph.find_nodes(op="call_function", target=fence):
        node.replace_all_uses_with(node.args[0])
        graph.erase_node(node)


def _comes_from_exponential(node: fx.Node) -> bool:
    stack, seen = [node], {node}
    while stack and len(seen) < STEPS:
        at = stack.pop()
        if at.target is _aten.exp.default:
            return True
        if at.op == "call_function" and at.target not in _PRODUCTS:
            new = [source for source in at.all_input_nodes if source not in seen]
            seen.update(new)
            stack.extend(new)
    return False


class Passes(CustomGraphPass):
    """Passes over a graph as one, with a name in Inductor's cache key.

    theirs: passes of the user; where one has no uuid Inductor does not cache, as without us. before, after: passes of
    ours around them, which see graphs of the compile alone that this object was made in, no nested one and none of
    another thread.
    """

    def __init__(
        self,
        mark: str,
        theirs: Iterable[Callable[[fx.Graph], None]],
        before: Callable[[fx.Graph], None] | None = None,
        after: Callable[[fx.Graph], None] | None = None,
    ) -> None:
        self._mark, self._theirs, self._before, self._after = mark, tuple(theirs), before, after
        context = TracingContext.try_get()
        self._compile = None if context is None else weakref.ref(context)  # Inductor copies what it is configured with

    def __call__(self, graph: fx.Graph) -> None:
        ours = self._compile is None or TracingContext.try_get() is self._compile()
        if self._before is not None and ours:
            self._before(graph)
        for custom in self._theirs:
            custom(graph)
        if self._after is not None and ours:
            self._after(graph)

    def uuid(self) -> Any:
        """Our mark with theirs; None where a pass of theirs has none."""
        marks = [custom.uuid() if isinstance(custom, CustomGraphPass) else None for custom in self._theirs]
        return None if None in marks else f"{self._mark} {marks}"
