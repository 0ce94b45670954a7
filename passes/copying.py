"""A copy of a graph to write into, so that the module that was handed in is never changed."""

from __future__ import annotations

from torch import fx


def copied_graph(module: fx.GraphModule) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
    """The module's graph once more, and which node of the copy each node of the original became."""
    copied: dict[fx.Node, fx.Node] = {}
    graph = fx.Graph(owning_module=module)
    found = graph.graph_copy(module.graph, copied, return_output_node=True)
    assert isinstance(found, tuple)
    value, old_output = found
    copied[old_output] = graph.output(value)
    copied[old_output].meta.update(old_output.meta)
    graph._codegen = module.graph._codegen
    return graph, copied
