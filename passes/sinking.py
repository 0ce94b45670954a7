"""Masks that are made outside of a body and go into it: the body makes them itself, so that the readers see how.

A checkpointed layer takes the causal mask of the model as an argument, and in its graph that is a tensor of any values.
`sunk` writes the steps that make it into a copy of the body. Once the sites are written, `settle` takes back what is
still read as a tensor: the argument is there for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from .canonical import CanonicalView
from .contraction import WORDS as CONTRACTIONS
from .copying import copied_graph
from .dataflow import Dataflow
from .expression import Load, walk
from .rewrite import drop_dead
from .sites import Findings

KEPT_OUTSIDE = {"opaque", "dropout", "softmax", "sdpa", *CONTRACTIONS}
MOST_STEPS = 200


@dataclass(frozen=True)
class Sunk:
    """A body that makes some of its arguments itself.

    made    placeholder → the node that makes it, by name.
    extra   placeholders that were added, by name, and the nodes of the caller that they stand for.
    """

    module: fx.GraphModule
    made: Mapping[str, str]
    extra: tuple[tuple[str, fx.Node], ...]


@dataclass(frozen=True)
class Settled:
    """A body after its sites were written: which placeholders are gone, and what the added ones stand for."""

    gone: frozenset[str]
    extra: tuple[fx.Node, ...]


def masks_read(findings: Findings) -> list[fx.Node]:
    """The placeholders that masks and biases of sites are read from."""
    loads = (at for site in findings.sites for expr in site.spec.expressions() for at in walk(expr))
    nodes = (at.node for at in loads if isinstance(at, Load))
    return [node for node in dict.fromkeys(nodes) if node.op == "placeholder"]


def sunk(
    module: fx.GraphModule, wanted: Mapping[str, fx.Node], operands: Sequence[Any], caller: Dataflow
) -> Sunk | None:
    """A copy of a body that makes the placeholders of `wanted` itself, by the steps that lead to their operands.

    operands: what each placeholder stands for in the graph of the caller. None where no step can be taken over.
    """
    steps: dict[fx.Node, None] = {}
    leaves: dict[fx.Node, None] = {}
    ends: dict[str, fx.Node] = {}
    for name, operand in wanted.items():
        found = _steps(caller, operand)
        if found is not None:
            ends[name] = operand
            steps |= dict.fromkeys(found[0])
            leaves |= dict.fromkeys(found[1])
    if not ends:
        return None
    graph, _ = copied_graph(module)
    placeholders = {node.name: node for node in graph.find_nodes(op="placeholder")}
    here = {operand: node for node, operand in zip(placeholders.values(), operands, strict=True) if operand in leaves}
    start = next(node for node in graph.nodes if node.op != "placeholder")
    extra: list[tuple[str, fx.Node]] = []
    for leaf in leaves:
        if leaf not in here:
            with graph.inserting_before(start):
                here[leaf] = graph.placeholder(f"{leaf.name}_outside")
            here[leaf].meta["example_value"] = caller.view.value(leaf)
            extra.append((here[leaf].name, leaf))
    for node in sorted(steps, key=caller.view.position.__getitem__):
        with graph.inserting_before(start):
            here[node] = graph.node_copy(node, here.__getitem__)
    for name, operand in ends.items():
        placeholders[name].replace_all_uses_with(here[operand])
    result = fx.GraphModule(module, graph)
    result.meta.update(module.meta)
    return Sunk(result, {name: here[operand].name for name, operand in ends.items()}, tuple(extra))


def leaves_of(caller: Dataflow, operand: fx.Node) -> list[fx.Node]:
    """What an operand is made from by steps that a body may take over; itself where there are none."""
    found = _steps(caller, operand)
    return [operand] if found is None else found[1]


def _steps(caller: Dataflow, operand: fx.Node) -> tuple[list[fx.Node], list[fx.Node]] | None:
    """The steps that make an operand, and what they start from; None where there are none that may run again."""
    steps: dict[fx.Node, None] = {}
    leaves: dict[fx.Node, None] = {}
    stack = [operand]
    while stack:
        node = stack.pop()
        if node in steps or node in leaves:
            continue
        value = caller.view.value(node)
        if _may_run_again(caller.view, node, value):
            steps[node] = None
            stack += node.all_input_nodes
        elif isinstance(value, torch.Tensor | torch.SymInt):
            leaves[node] = None
        else:
            return None
        if len(steps) > MOST_STEPS or (isinstance(value, torch.Tensor) and caller.written_after(node)):
            return None
    return (list(steps), list(leaves)) if operand in steps else None


def _may_run_again(view: CanonicalView, node: fx.Node, value: Any) -> bool:
    if node.op not in ("call_function", "call_method") or (isinstance(value, torch.Tensor) and value.requires_grad):
        return False
    return view.op(node).word not in KEPT_OUTSIDE and not view.op(node).in_place


def settle(module: fx.GraphModule, body: Sunk) -> Settled:
    """Let what is still read as a tensor be read from its placeholder again; drop placeholders that nothing reads."""
    graph = module.graph
    nodes = {node.name: node for node in graph.nodes}
    for name, made in body.made.items():
        if made in nodes:
            nodes[made].replace_all_uses_with(nodes[name])
    drop_dead(CanonicalView(module), graph)
    left = [(nodes[name], outside) for name, outside in body.extra]
    gone = [nodes[name] for name in body.made if not nodes[name].users]
    _erase([*gone, *(node for node, _ in left if not node.users)])
    module.recompile()
    return Settled(frozenset(node.name for node in gone), tuple(outside for node, outside in left if node.users))


def _erase(nodes: Iterable[fx.Node]) -> None:
    for node in nodes:
        node.graph.erase_node(node)
