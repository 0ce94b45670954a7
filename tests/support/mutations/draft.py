"""A graph that is being mutated: where its attention stands, how nodes are changed, and the shapes recorded anew."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any

import torch
from hyperrewrite.passes.aten import arguments_of, operator_of
from hyperrewrite.passes.canonical import CanonicalView, spelling
from hyperrewrite.passes.copying import copied_graph
from hyperrewrite.passes.vocabulary import Spelling
from torch import Tensor, fx

from .bases import BASES, Captured

REACH = 12  # steps from the attention, backwards, that may be mutated
AHEAD = 3  # and forwards
PRODUCTS = ("matmul", "baddbmm", "einsum")
Change = Callable[["Draft", fx.Node], str | None]


class Unfit(Exception):
    """The change cannot be made here, or the graph does not run after it."""


@dataclass(frozen=True)
class Mutant:
    """A mutated graph with its inputs; what was changed, in words; the name of the softmax or SDPA call it is near."""

    base: str
    module: fx.GraphModule
    inputs: tuple[Any, ...]
    notes: tuple[str, ...]
    anchor: str
    lost_digits: float

    def __str__(self) -> str:
        return f"base {self.base}, at {self.anchor}\n" + "\n".join(f"  {note}" for note in self.notes)


@dataclass
class Draft:
    """A copy of a captured graph. `anchor` is the softmax or SDPA call around which it is mutated."""

    module: fx.GraphModule
    graph: fx.Graph
    inputs: list[Any]
    anchor: fx.Node
    random: Random
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.look()

    def look(self) -> None:
        """Read the graph anew, after a change."""
        self.view = CanonicalView(self.module, self.graph)
        self.order = {node: k for k, node in enumerate(self.graph.nodes)}
        self.__dict__.pop("scores", None)
        self.__dict__.pop("weights", None)
        self.__dict__.pop("region", None)

    # --- what is where ------------------------------------------------------------------------------------------

    def word(self, node: fx.Node) -> str:
        """The node's canonical word."""
        return self.view.op(node).word

    def tensor(self, node: Any) -> Tensor | None:
        """The recorded tensor of a node; None where it is no tensor."""
        value = node.meta.get("example_value") if isinstance(node, fx.Node) else None
        return value if isinstance(value, Tensor) else None

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """The sizes of a node; () where it is no tensor."""
        found = self.tensor(node)
        return () if found is None else tuple(map(int, found.shape))

    def is_bool(self, node: Any) -> bool:
        """Whether a node is a tensor of truth values."""
        found = self.tensor(node)
        return found is not None and found.dtype == torch.bool

    def is_float(self, node: Any) -> bool:
        """Whether a node is a tensor of numbers with a fraction."""
        found = self.tensor(node)
        return found is not None and found.dtype.is_floating_point

    @cached_property
    def region(self) -> list[fx.Node]:
        """Nodes near the anchor, in order."""
        ahead = self._reached([self.anchor], lambda n: list(n.users), AHEAD)
        found = self._reached(ahead, lambda n: list(n.all_input_nodes), REACH)
        return sorted((n for n in found if n.op != "output"), key=self.order.__getitem__)

    def _reached(self, start: Sequence[fx.Node], step: Callable[[fx.Node], list[fx.Node]], far: int) -> list[fx.Node]:
        found = dict.fromkeys(start)
        edge = list(start)
        for _ in range(far):
            edge = [n for node in edge for n in step(node) if n not in found and n.op != "output"]
            found |= dict.fromkeys(edge)
        return list(found)

    @cached_property
    def scores(self) -> list[fx.Node]:
        """QKᵀ and what becomes of it before softmax; empty for an SDPA call."""
        if self.word(self.anchor) == "sdpa":
            return []
        found: list[fx.Node] = []
        edge = [n for n in self.anchor.all_input_nodes if self.is_float(n)]
        size = self.tensor(self.anchor).numel()
        while edge and len(found) < 40:
            node = edge.pop()
            tensor = self.tensor(node)
            if node in found or tensor is None or tensor.numel() != size or not tensor.is_floating_point():
                continue
            found.append(node)
            if self.word(node) not in PRODUCTS and node.op != "placeholder":
                edge.extend(node.all_input_nodes)
        return sorted(found, key=self.order.__getitem__)

    @cached_property
    def weights(self) -> list[fx.Node]:
        """The softmax and what becomes of it before the product with the values; empty for an SDPA call."""
        if self.word(self.anchor) == "sdpa":
            return []
        found, edge, size = [], [self.anchor], self.tensor(self.anchor).numel()
        while edge and len(found) < 20:
            node = edge.pop()
            tensor = self.tensor(node)
            if node not in found and tensor is not None and tensor.numel() == size and self.word(node) not in PRODUCTS:
                found.append(node)
                edge.extend(node.users)
        return found

    # --- arguments by their canonical names ---------------------------------------------------------------------

    def spelling(self, node: fx.Node) -> Spelling | None:
        """How the node spells its word."""
        return spelling(node)

    def get(self, node: fx.Node, name: str, default: Any = None) -> Any:
        """An argument by its canonical name."""
        return self.view.op(node).get(name, default)

    def set(self, node: fx.Node, name: str, value: Any) -> None:
        """Replace an argument, by its canonical name; add it as a keyword where it is not given."""
        spelling = self.spelling(node)
        if spelling is None:
            raise Unfit
        operator = operator_of(node)
        if operator is not None:  # the order of whose arguments its schema says
            node.args, node.kwargs = (), arguments_of(operator, node)
            if all(spelling.parameter(key) != name for key in node.kwargs):
                raise Unfit
        for key in node.kwargs:
            if spelling.parameter(key) == name:
                node.update_kwarg(key, value)
                return self.changed(node)
        if name in spelling.parameters and spelling.parameters.index(name) < len(node.args):
            node.update_arg(spelling.parameters.index(name), value)
        else:
            node.kwargs = {**node.kwargs, name: value}
        return self.changed(node)

    def become(self, node: fx.Node, target: Any, *args: Any, **kwargs: Any) -> None:
        """Turn a node into another call: of a function, or of a method where `target` is text."""
        node.op = "call_method" if isinstance(target, str) else "call_function"
        node.target = target
        node.args, node.kwargs = args, kwargs
        self.changed(node)

    def changed(self, node: fx.Node) -> None:
        """Its shape must be recorded anew."""
        node.meta.pop("example_value", None)

    # --- new nodes ----------------------------------------------------------------------------------------------

    def call(self, before: fx.Node, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        """A new call in front of a node; none stands in front of an input."""
        while before.op == "placeholder":
            before = before.next
        with self.graph.inserting_before(before):
            if isinstance(target, str):
                return self.graph.call_method(target, args, kwargs)
            return self.graph.call_function(target, args, kwargs)

    def following(self, node: fx.Node, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        """A new call right behind a node."""
        return self.call(node.next, target, *args, **kwargs)

    def instead(self, node: fx.Node, new: fx.Node, chain: Sequence[fx.Node] = ()) -> None:
        """Let readers of a node read a new one: all of them, or (one time in four) only one."""
        mine = {new, *chain}
        users = [u for u in node.users if u not in mine]
        if not users:
            raise Unfit
        if len(users) > 1 and self.random.random() < 0.25:
            users = [self.random.choice(users)]
        for user in users:
            user.replace_input_with(node, new)
            self.changed(user)

    def given(self, value: Tensor) -> fx.Node:
        """A further input of the graph."""
        last = [n for n in self.graph.nodes if n.op == "placeholder"][-1]
        with self.graph.inserting_after(last):
            node = self.graph.placeholder(f"given_{len(self.inputs)}")
        self.inputs.append(value)
        node.meta["example_value"] = fake_mode(self.graph).from_tensor(value)
        return node

    def later(self, node: fx.Node) -> Iterator[fx.Node]:
        """Nodes behind one, in order, as far as the region goes."""
        end = max(self.order[n] for n in self.region) + 2
        return (n for n, k in self.order.items() if self.order[node] < k <= end and n.op != "placeholder")


def fake_mode(graph: fx.Graph) -> Any:
    """The mode that a graph's tensors were recorded in."""
    for node in graph.nodes:
        value = node.meta.get("example_value")
        if isinstance(value, Tensor) and hasattr(value, "fake_mode"):
            return value.fake_mode
    raise Unfit


def record(graph: fx.Graph) -> None:
    """Record the shapes of new and changed nodes, and of what reads them. Raises what a node raises."""
    mode = fake_mode(graph)
    dirty: set[fx.Node] = set()

    def recorded(node: fx.Node) -> Any:
        if "example_value" not in node.meta:
            raise Unfit
        return node.meta["example_value"]

    was_allowed, mode.allow_non_fake_inputs = mode.allow_non_fake_inputs, True
    loud = logging.getLogger("torch._subclasses.fake_tensor")  # it prints every shape that does not fit
    was_disabled, loud.disabled = loud.disabled, True
    try:
        with mode, torch.no_grad():
            for node in graph.nodes:
                fresh = "example_value" not in node.meta and not node.meta.get("unrecorded")
                if node.op in ("placeholder", "output", "get_attr"):
                    continue
                if not fresh and not any(n in dirty for n in node.all_input_nodes):
                    continue
                args, kwargs = fx.map_arg((node.args, node.kwargs), recorded)
                if node.op == "call_method":
                    value = getattr(args[0], str(node.target))(*args[1:], **kwargs)
                else:
                    value = node.target(*args, **kwargs)
                dirty.add(node)  # if only by its storage, which views and aliases of it must share
                node.meta["example_value"] = value
    finally:
        mode.allow_non_fake_inputs, loud.disabled = was_allowed, was_disabled


PRECISION = {torch.bfloat16: 4e-3, torch.float16: 5e-4}


def mutated(base: str, changes: Sequence[Any], seed: int, tries: int = 60) -> Mutant:
    """A base with one or two changes drawn by a seed; shapes are recorded, but it has not been run yet."""
    captured = BASES[base].captured
    assert captured is not None
    random = Random(f"{base} {seed}")
    for _ in range(tries):
        try:
            return _drawn(base, captured, changes, random)
        except Exception:  # a change that does not fit here: the next one may
            continue
    raise Unfit(f"no change of {base} fits for seed {seed}")


def _drawn(base: str, captured: Captured, changes: Sequence[Any], random: Random) -> Mutant:
    graph, copied = copied_graph(captured.module)
    for node in graph.nodes:
        if "example_value" not in node.meta:
            node.meta["unrecorded"] = True
    anchor = random.choice([copied[n] for n in captured.module.graph.nodes if n.name in captured.anchors])
    draft = Draft(captured.module, graph, list(captured.inputs), anchor, random)
    for _ in range(random.choice([1, 1, 2])):
        _change(draft, changes)
        record(graph)
        draft.look()
    if any(draft.word(n) in ("dropout", "sdpa") and not n.users for n in graph.nodes):
        raise Unfit  # Dynamo would have dropped it, and with it the numbers that it draws
    if any(_reads_out_of_bounds(draft, n) for n in graph.nodes):
        raise Unfit
    graph.lint()
    module = fx.GraphModule(captured.module, graph)
    dtypes = {v.dtype for n in graph.nodes if isinstance(v := n.meta.get("example_value"), Tensor)}
    lost = max([PRECISION.get(d, 0.0) for d in dtypes])
    return Mutant(base, module, tuple(draft.inputs), tuple(draft.notes), anchor.name, lost)


def _reads_out_of_bounds(draft: Draft, node: fx.Node) -> bool:
    """Whether a call of SDPA has more values than keys, or fewer: PyTorch does not look, and writes out of bounds."""
    if draft.word(node) != "sdpa":
        return False
    return draft.shape(draft.get(node, "key"))[-2:-1] != draft.shape(draft.get(node, "value"))[-2:-1]


def _change(draft: Draft, changes: Sequence[Any]) -> None:
    """One change at one node: first which, so that rare places get their share, then where."""
    for _ in range(30):
        change = draft.random.choice(changes)
        places = [n for n in draft.region if change.fits(draft, n)]
        if not places:
            continue
        node = draft.random.choice(places)
        before = node.format_node()
        said = change.make(draft, node)
        if said is not None:
            draft.notes.append(f"{change.name} at {node.name}: {said}\n    was {before}")
            return
    raise Unfit
