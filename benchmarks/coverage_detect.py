"""Which softmaxes of a graph are attention, asked a second time by something dumb that shares no code with our passes.

A softmax is attention here if a product of two non-parameters stands a few nodes before it, a product reads it a few
nodes later, and something of it reaches what the graph returns or writes. What this finds and our passes neither bind
nor reject was missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import fx

REACH = 15
_PRODUCTS = ("matmul", "bmm", "einsum", "baddbmm", "__matmul__", "__rmatmul__", "mm")
_FUSED = ("scaled_dot_product_attention", "multi_head_attention_forward", "flex_attention", "flash_attn", "sdpa")
_BARRIERS = (
    "linear",
    "conv",
    "norm",
    "embedding",
    "addmm",
    "rsqrt",
    "grouped_mm",
    "topk",
    "argmax",
    "argmin",
    "one_hot",
)


def name_of(node: fx.Node) -> str:
    """The name of what a node calls."""
    if node.op == "call_method":
        return str(node.target)
    return str(getattr(node.target, "__name__", node.target)) if node.op == "call_function" else ""


def is_softmax(node: fx.Node) -> bool:
    """Whether a node is a softmax however it is spelled."""
    name = name_of(node).lower()
    return "softmax" in name and "log_softmax" not in name and "gumbel" not in name


def is_fused(node: fx.Node) -> bool:
    """Whether a node is one call that holds attention."""
    name = name_of(node).lower()
    return name != "_sdpa_kernel" and any(part in name for part in _FUSED)  # that one chooses a backend


def is_product(node: fx.Node) -> bool:
    """Whether a node is a matrix product however it is spelled."""
    return name_of(node) in _PRODUCTS


def scores_behind(softmax: fx.Node) -> fx.Node | None:
    """The nearest product of two non-parameters before a softmax."""
    return _nearest(softmax, lambda n: iter(n.all_input_nodes), lambda n: is_product(n) and not _reads_parameter(n))


def values_ahead(softmax: fx.Node) -> fx.Node | None:
    """The nearest product after a softmax."""
    return _nearest(softmax, lambda n: iter(n.users), is_product)


def is_attention(softmax: fx.Node) -> bool:
    """Whether a softmax stands between two products, and is not dead: nothing computes it then."""
    return scores_behind(softmax) is not None and values_ahead(softmax) is not None and is_alive(softmax)


def is_alive(node: fx.Node) -> bool:
    """Whether a node reaches what the graph returns, or a call that may write to something."""
    seen, front = {node}, [node]
    while front:
        reader = front.pop()
        if reader.op == "output" or (reader is not node and _may_write(reader)):
            return True
        fresh = [user for user in reader.users if user not in seen]
        seen.update(fresh)
        front += fresh
    return False


def _may_write(node: fx.Node) -> bool:
    name = name_of(node)
    in_place = name.endswith("_") and not name.endswith("__")
    return in_place or name == "setitem" or "out" in node.kwargs or node.op == "call_module"


def _nearest(
    start: fx.Node, step: Callable[[fx.Node], Iterator[fx.Node]], wanted: Callable[[fx.Node], bool]
) -> fx.Node | None:
    seen, front = {start}, [start]
    for _ in range(REACH):
        front = [n for node in front for n in step(node) if n not in seen and not seen.add(n)]  # type: ignore[func-returns-value]
        for node in front:
            if wanted(node):
                return node
        front = [n for n in front if n.op in ("call_function", "call_method") and not _barrier(n)]
    return None


def _barrier(node: fx.Node) -> bool:
    name = name_of(node).lower()
    return is_product(node) or any(part in name for part in _BARRIERS) or is_fused(node)


def _reads_parameter(product: fx.Node) -> bool:
    """Whether an operand of a product is a weight, behind whatever views."""
    for node in product.all_input_nodes:
        at = node
        while at.op in ("call_function", "call_method") and len(at.all_input_nodes) == 1:
            at = at.all_input_nodes[0]
        if "parameters" in str(at.target) or at.op == "get_attr":
            return True
    return False


def excerpt(softmax: fx.Node, limit: int = 40) -> str:
    """The nodes from QKᵀ to the product with V, with shapes, for people."""
    top, bottom = scores_behind(softmax), values_ahead(softmax)
    back = _between(softmax, top, lambda n: n.all_input_nodes) if top else {softmax}
    front = _between(softmax, bottom, lambda n: list(n.users)) if bottom else {softmax}
    wanted = back | front
    side = {i for n in wanted for i in n.all_input_nodes if i not in wanted}
    lines = []
    for node in softmax.graph.nodes:
        if node in wanted or node in side:
            mark = "  " if node in wanted else "· "
            args = ", ".join([*map(str, node.args), *(f"{k}={v}" for k, v in node.kwargs.items())])
            lines.append(f"{mark}{node.name}{_shape(node)} = {name_of(node) or node.op}({args[:150]})")
    return "\n".join(lines[:limit])


def _between(start: fx.Node, end: fx.Node, step: Callable[[fx.Node], Any]) -> set[fx.Node]:
    """Nodes on ways from start to end of no more than REACH steps."""
    found: set[fx.Node] = set()

    def visit(node: fx.Node, path: tuple[fx.Node, ...]) -> None:
        if node is end:
            found.update((*path, node))
            return
        if len(path) < REACH and len(found) < 60 and (node is start or not _barrier(node)):
            for following in step(node):
                if following not in path and following.op in ("call_function", "call_method"):
                    visit(following, (*path, node))

    visit(start, ())
    return found | {start}


def _shape(node: fx.Node) -> str:
    value = node.meta.get("example_value", node.meta.get("val"))
    if isinstance(value, torch.Tensor):
        return f"[{', '.join(map(str, value.shape))}] {str(value.dtype).removeprefix('torch.')}"
    return "" if value is None else f" {type(value).__name__}"
