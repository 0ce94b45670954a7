"""A failing graph in words: its code as it was and as rewritten, its inputs, and what both computed."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx
from torch._tensor_str import printoptions
from torch.utils import _pytree as pytree


def described(original: fx.GraphModule, rewritten: fx.GraphModule | None, expected: Any, actual: Any) -> str:
    """Everything that is needed to look at a wrong rewrite; None for what there is not."""
    parts = [f"the graph:\n{original.code.strip()}", f"its inputs:\n{_inputs(original)}"]
    if rewritten is not None:
        parts.append(f"as rewritten:\n{rewritten.code.strip()}")
    if actual is not None:
        parts += [f"expected, and found, where they are not equal:\n{_values(expected, actual)}"]
    return "\n\n".join(parts) + "\n"


def _inputs(module: fx.GraphModule) -> str:
    values = {n.name: n.meta.get("example_value") for n in module.graph.nodes if n.op == "placeholder"}
    return "\n".join(f"{name}: {_kind(value)}" for name, value in values.items())


def _kind(value: Any) -> str:
    if not isinstance(value, Tensor):
        return str(value)
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}, strides {value.stride()}"


def _values(expected: Any, actual: Any) -> str:
    with printoptions(precision=7):
        theirs, mine = ([str(leaf) for leaf in pytree.tree_leaves(tree)] for tree in (expected, actual))
    pairs = [(k, a, b) for k, (a, b) in enumerate(zip(theirs, mine, strict=False)) if a != b]
    return "\n".join(f"result {k}:\n{a}\n{b}" for k, a, b in pairs) or "nothing that shows"
