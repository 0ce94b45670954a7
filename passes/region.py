"""The part of a graph that a site is made of, before and after it is rewritten, as data for people.

A region is read backwards from the site's output to queries, keys and values, and through whatever the mask and the
bias are made of, as far as the vocabulary goes. Each node becomes a `Step`: what it does in plain words, how large its
result is, and whether it is as large as queries × keys. Nothing here changes a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy
import torch
from torch import fx

from .canonical import CanonicalView, drops, size_of
from .contraction import WORDS as CONTRACTIONS
from .dataflow import storages_of
from .emit import SITE
from .recorded import RecordedGraph, is_attention_op, whole
from .spec import AttentionSite
from .wording import OPERANDS, words_for

MAX_STEPS = 40  # further nodes of the way a mask is built are left out


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a region.

    operation   what it does, in plain words.
    inputs      names of the steps it reads; empty where the region begins.
    shape       sizes of its result, a symbolic one as a string; empty for a single number.
    bytes       memory of its result; 0 where it shares the memory of an input, None where the size is symbolic.
    quadratic   its result has one entry (or more) for each pair of a query and a key.
    role        "query", "key", "value" (the operands), "main" (what they go through) or "side" (masks and biases).
    new         it is written by the rewrite.
    """

    name: str
    operation: str
    inputs: tuple[str, ...]
    shape: tuple[int | str, ...]
    dtype: str
    bytes: int | None
    quadratic: bool
    role: str
    new: bool = False


class Regions:
    """The regions of sites of one graph and of its rewritten copy."""

    def __init__(self, before: fx.GraphModule, after: fx.GraphModule) -> None:
        self._before, self._after = RecordedGraph(before), RecordedGraph(after)

    def before(self, site: AttentionSite) -> tuple[Step, ...]:
        """What the site is made of, in graph order."""
        operands = _operands(site, lambda node: node)
        return _steps(self._before, site, site.output, operands)

    def after(self, site: AttentionSite) -> tuple[Step, ...]:
        """What stands in its place, in graph order; empty where the site was left as it is."""
        graph = self._after
        written = graph.written.get(site.output.name)
        if not written:
            return ()
        graph.record(written)
        operands = _operands(site, graph.copy_of)
        return _steps(graph, site, written[-1], operands)


def _operands(site: AttentionSite, copy_of: Callable[[fx.Node], fx.Node]) -> dict[fx.Node, list[str]]:
    """Operand → its roles, which are several where one tensor serves as queries and keys."""
    found: dict[fx.Node, list[str]] = {}
    for operand, role in ((site.query, "query"), (site.key, "key"), (site.value, "value")):
        found.setdefault(copy_of(operand.node), []).append(role)
    return found


def _steps(
    graph: RecordedGraph, site: AttentionSite, output: fx.Node, operands: Mapping[fx.Node, list[str]]
) -> tuple[Step, ...]:
    end = whole(output)
    sources: dict[fx.Node, list[fx.Node]] = {}
    queue = [end]
    while queue:
        node = queue.pop(0)
        if node in sources:
            continue
        opens = (node not in operands and _is_understood(graph.view, node)) or node is end
        sources[node] = graph.inputs(node) if opens and len(sources) < MAX_STEPS else []
        queue += sources[node]
    order = sorted(sources, key=graph.view.position.__getitem__)
    roles: dict[fx.Node, str] = {}
    plain: set[fx.Node] = {end}  # as large as an operand or as the output, whatever its sizes look like
    for node in order:
        reads = sources[node]
        roles[node] = "main" if any(roles[n] != "side" for n in reads) else "side"
        if node in operands:
            roles[node] = operands[node][0]
        contracts = graph.view.op(node).word in CONTRACTIONS
        if node in operands or (roles[node] == "main" and not contracts and all(n in plain for n in reads)):
            plain.add(node)
    steps = []
    for node in order:
        step = _step(graph, site, node, sources[node], roles[node], node in plain)
        word = graph.view.op(node).word
        if node in operands:
            step = replace(step, operation=" and ".join(OPERANDS[role] for role in operands[node]))
        elif word in CONTRACTIONS and (step.quadratic or node is end):
            words = "compare queries with keys" if step.quadratic else "weigh and sum the values"
            step = replace(step, operation=words)
        elif word == "add" and step.role == "main" and any(roles[n] == "side" for n in sources[node]):
            step = replace(step, operation="add the mask or bias")
        steps.append(step)
    return tuple(steps)


def _is_understood(view: CanonicalView, node: fx.Node) -> bool:
    if is_attention_op(node) or SITE in node.meta:
        return True
    return node.op in ("call_function", "call_method") and view.op(node).word != "opaque"


def _step(
    graph: RecordedGraph, site: AttentionSite, node: fx.Node, sources: list[fx.Node], role: str, plain: bool
) -> Step:
    value = graph.value(node)
    tensor = value[0] if isinstance(value, tuple | list) and value else value
    new = node.meta.get(SITE) == site.output.name
    step = Step(node.name, words_for(graph, node), (), (), "", None, False, role, new)
    if not isinstance(tensor, torch.Tensor):
        return replace(step, inputs=tuple(n.name for n in sources))
    sizes = [size_of(s) for s in tensor.shape]
    op = graph.view.op(node)
    idle = op.word == "dropout" and not drops(op)
    return replace(
        step,
        inputs=tuple(n.name for n in sources),
        shape=tuple(int(s) if s.is_Integer else str(s) for s in sizes),
        dtype=str(tensor.dtype).removeprefix("torch."),
        bytes=0 if idle else _bytes(tensor, sizes, [graph.value(n) for n in sources]),
        quadratic=not plain and _is_quadratic(sizes, site.spec.n_q, site.spec.n_k),
    )


def _is_quadratic(sizes: list[sympy.Expr], n_q: sympy.Expr, n_k: sympy.Expr) -> bool:
    if n_q == n_k:
        return n_q != 1 and sizes.count(n_q) >= 2
    return 1 not in (n_q, n_k) and n_q in sizes and n_k in sizes


def _bytes(tensor: torch.Tensor, sizes: list[sympy.Expr], sources: list[Any]) -> int | None:
    if any(s is tensor or not set(storages_of(tensor)).isdisjoint(storages_of(s)) for s in sources):
        return 0
    return int(tensor.numel()) * tensor.element_size() if all(s.is_Integer for s in sizes) else None
