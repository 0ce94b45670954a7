"""The graph as networkx sees it: who depends on whom, which tensors are written in place, where gradients are recorded.

Views share storage; a write to one is a write to all. The matcher reads values, so before it moves a read to a later
place it asks here whether a write stands in between.
"""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import Any

import networkx as nx
import torch
from torch import fx

from .aten import aliased, operator_of, writes
from .canonical import CanonicalView, drops
from .modes import PLAIN, Mode, modes_of
from .purity import is_pure
from .vocabulary import VIEWS


class Dataflow:
    """Reachability, aliasing and gradient mode over one canonical view.

    mode: what is switched where the graph begins.
    """

    def __init__(self, view: CanonicalView, mode: Mode = PLAIN) -> None:
        self.view = view
        self._mode_at_first = mode

    @cached_property
    def graph(self) -> nx.DiGraph:
        """An edge from each node to each of its readers."""
        graph = nx.DiGraph()
        graph.add_nodes_from(self.view.nodes)
        graph.add_edges_from((node, user) for node in self.view.nodes for user in node.users)
        return graph

    def comes_from(self, node: fx.Node, source: fx.Node) -> bool:
        """Whether a node is computed from another one. Only what stands between them can be on the way."""
        first, last = self.view.position[source], self.view.position[node]
        return first < last and nx.has_path(self.graph.subgraph(self.view.nodes[first : last + 1]), source, node)

    @cached_property
    def dead(self) -> frozenset[fx.Node]:
        """Calls that only compute (`is_pure`), and whose results nobody reads but such calls."""
        dead: set[fx.Node] = set()
        for node in reversed(self.view.nodes):
            if all(user in dead for user in node.users) and is_pure(self.view, node):
                dead.add(node)
        return frozenset(dead)

    def readers(self, node: fx.Node) -> list[fx.Node]:
        """Who reads a node and is not dead."""
        return [user for user in node.users if user not in self.dead]

    @cached_property
    def modes(self) -> dict[fx.Node, Mode]:
        """What is switched at each node."""
        return modes_of(self.view.nodes, self._mode_at_first)

    def stops_gradients(self, node: fx.Node, output: fx.Node) -> bool:
        """Whether no gradient goes back through a node, as gradient mode is off there, though one comes to `output`."""
        return self.modes[output].records and not self.modes[node].records and not self._is_handed_on(node)

    def born(self, node: fx.Node) -> fx.Node:
        """The node that made the very tensor that a node gives: what is written in place, or handed on as it is."""
        while self.view.op(node).in_place or self._is_handed_on(node):
            op = self.view.op(node)
            source = op.get("input", op.get("left"))
            if not isinstance(source, fx.Node):
                return node
            node = source
        return node

    def _is_handed_on(self, node: fx.Node) -> bool:
        """Whether a node gives back the very tensor that it is given: a cast to the dtype that it has, a dropout in
        evaluation. Nothing is recorded for it in any mode."""
        op = self.view.op(node)
        source = op.get("input")
        if op.word == "opaque" or op.in_place or not isinstance(source, fx.Node):
            return False
        if op.word == "dropout":  # the tracer records a copy of it
            return not drops(op)
        return isinstance(self.view.value(node), torch.Tensor) and self.view.value(node) is self.view.value(source)

    @cached_property
    def _roots(self) -> dict[fx.Node, fx.Node]:
        """Node → the node whose storage it may share: as its word says, or as the recorded tensors themselves do."""
        roots: dict[fx.Node, fx.Node] = {}
        holders: dict[int, fx.Node] = {}  # storage → the first node that holds it
        for node in self.view.nodes:
            op = self.view.op(node)
            source = None
            if op.word in VIEWS or op.in_place or op.word == "dropout":  # which hands on its input where inactive
                source = op.get("input", op.get("left", op.get("condition")))
            elif op.word == "opaque" and (operator := operator_of(node)) is not None:
                source = aliased(operator, node)
            elif op.word == "opaque" and node.op == "call_method" and str(node.target).endswith("_"):
                source = node.args[0] if node.args else None
            storages = storages_of(self.view.value(node))
            held = next((holders[s] for s in storages if s in holders), None)
            roots[node] = roots[source] if isinstance(source, fx.Node) else held or node
            for storage in storages:
                holders.setdefault(storage, roots[node])
        return roots

    def shares(self, node: fx.Node, other: fx.Node) -> bool:
        """Whether two nodes may share their storage."""
        return self._roots[node] is self._roots[other]

    @cached_property
    def _writes(self) -> dict[fx.Node, list[int]]:
        """Storage root → positions of the nodes that write into it."""
        writes: dict[fx.Node, list[int]] = {}
        for node in self.view.nodes:
            if self._is_write(node):
                writes.setdefault(self._roots[node], []).append(self.view.position[node])
        return writes

    def _is_write(self, node: fx.Node) -> bool:
        op = self.view.op(node)
        if op.in_place:
            return not isinstance(self.view.value(node), int | torch.SymInt)
        if op.word != "opaque":
            return False
        if (operator := operator_of(node)) is not None:
            return writes(operator)
        if node.op == "call_method":
            name = str(node.target)
            return name.endswith("_") and not name.endswith("__")
        if node.op != "call_function" or isinstance(self.view.value(node), int | torch.SymInt | type(None)):
            return False
        # F.relu(x, inplace=True) and out= give back the very tensor that they were given.
        value = self.view.value(node)
        return "out" in node.kwargs or any(value is self.view.value(n) for n in node.all_input_nodes)

    def stable(self, node: fx.Node, reader: fx.Node, later: fx.Node) -> bool:
        """Whether reading `node` at `later` gives what `reader` read: nothing writes its storage in between."""
        writes = self._writes.get(self._roots[node])
        if not writes:
            return True
        low, high = self.view.position[reader], self.view.position[later]
        return not any(low <= at < high for at in writes)

    def written_after(self, node: fx.Node) -> bool:
        """Whether anything writes the storage of a node after it was made."""
        return any(at > self.view.position[node] for at in self._writes.get(self._roots[node], ()))

    def rewritten_behind(self, node: fx.Node, reader: fx.Node) -> bool:
        """Whether `reader` reads `node` after some write that did not go through `node`'s own value."""
        writes = self._writes.get(self._roots[node])
        if not writes:
            return False
        born, read = self.view.position[node], self.view.position[reader]
        return any(born < at < read for at in writes)

    def written_apart(self, copy: fx.Node, source: fx.Node, reader: fx.Node) -> bool:
        """Whether `reader` reads a copy of `source` after something was written into the copy alone."""
        return self._roots[copy] is not self._roots[source] and self.rewritten_behind(copy, reader)

    def last_write(self, node: fx.Node, reader: fx.Node) -> fx.Node | None:
        """The last node before `reader` that writes into what `node` may share, after it was made."""
        born, read = self.view.position[node], self.view.position[reader]
        last = max((at for at in self._writes.get(self._roots[node], ()) if born < at < read), default=None)
        return None if last is None else self.view.nodes[last]

    def same_tensor(self, node: fx.Node, reader: fx.Node) -> fx.Node | None:
        """The node whose value `node` has at `reader`, where the last write in between was to `node` as a whole."""
        written = writer = self.last_write(node, reader)
        if writer is None:
            return None
        while isinstance(written, fx.Node) and written is not node and self.view.op(written).in_place:
            op = self.view.op(written)
            written = op.get("input", op.get("left"))
        return writer if written is node and isinstance(self.view.value(writer), torch.Tensor) else None

    def private(self, write: fx.Node) -> bool:
        """Whether an in-place node writes into storage that was born in this graph and that nobody else reads
        from there on."""
        root = self._roots[write]
        if root.op in ("placeholder", "get_attr"):
            return False
        readers = (user for node in self._members[root] for user in node.users)
        when = self.view.position
        return all(self._roots.get(user) is root or when.get(user, when[write]) < when[write] for user in readers)

    @cached_property
    def _members(self) -> dict[fx.Node, list[fx.Node]]:
        """Storage root → the nodes that may share it."""
        members: dict[fx.Node, list[fx.Node]] = {}
        for node, root in self._roots.items():
            members.setdefault(root, []).append(node)
        return members


def storages_of(value: Any) -> list[int]:
    """Identities of the memory of a recorded tensor, or of each of several; empty where that cannot be told."""
    found = []
    for tensor in value if isinstance(value, tuple | list) else (value,):
        if isinstance(tensor, torch.Tensor):
            with contextlib.suppress(RuntimeError, NotImplementedError):  # a tensor without storage
                found.append(tensor.untyped_storage()._cdata)
    return found
