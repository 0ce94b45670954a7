"""Graphs that a graph runs: the bodies of higher-order operators, such as a checkpointed layer or a branch of `cond`.

A body is a GraphModule of its own, which an operator takes as an argument and runs. Attention inside is read and
rewritten as in any graph. One body may be run by several calls (`nested_compile_region`): each call is a place of its
own, and those with the same decisions share one rewritten body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from torch import Tensor, fx
from torch._ops import HigherOrderOperator

from .canonical import CanonicalView, module_path
from .dataflow import Dataflow
from .expand import expand
from .held import Triangle, held_tensors
from .modes import PLAIN, Mode, modes_of
from .rewrite import EXACT_OP, Lowering, drop_dead, rewrite
from .sinking import Settled, Sunk, leaves_of, masks_read, settle, sunk
from .sites import Findings, find_sites
from .spec import AttentionSite, Rejected, Rejection, RejectionCode, Source

Path = tuple[int, ...]  # which call of the outermost graph, which call inside, …
Layout = tuple[tuple[int, ...], tuple[Any, ...]]  # positions of the bodies, and what their placeholders stand for


def _behind(first: int) -> Callable[[Sequence[Any]], Layout]:
    return lambda args: ((0,), tuple(args[first:]))


def _changing(count: int, rest: Sequence[Any]) -> tuple[Any, ...]:
    return (*[None] * count, *rest)


# The operators whose bodies are rewritten. What a placeholder stands for is None where it changes from run to run.
LAYOUTS: dict[str, Callable[[Sequence[Any]], Layout]] = {
    "wrap": _behind(1),
    "tag_activation_checkpoint": _behind(1),
    "invoke_subgraph": _behind(2),
    "cond": lambda args: ((1, 2), tuple(args[3])),
    "while_loop": lambda args: ((0, 1), _changing(len(args[2]), args[3])),
    "scan": lambda args: ((0,), _changing(len(args[1]) + len(args[2]), args[3])),
    "map_impl": lambda args: ((0,), _changing(len(args[1]), args[2])),
}
# Those that compare the strides of what comes out with those of what goes in, of gradients as well. Gradients of SDPA
# have strides of their own; those of the op are contiguous, as those of a product are.
STRICT = ("cond", "while_loop", "scan", "map_impl")
# Those that run a body once, at the place of the call.
SINKING = ("wrap", "tag_activation_checkpoint", "invoke_subgraph")
NAMED_ALREADY = ("flex_attention", "flex_attention_hop")  # whose bodies are scores and masks


@dataclass(frozen=True, slots=True)
class Call:
    """One body in a call of a higher-order operator.

    node      the call.
    getter    the node that names the body.
    body      the graph that is run.
    operands  what the placeholders of the body stand for, in order: nodes or numbers of the graph of the call, or None
              where that changes from run to run; None altogether where the operator is not known.
    """

    node: fx.Node
    getter: fx.Node
    body: fx.GraphModule
    operands: tuple[Any, ...] | None


def calls_of(module: fx.GraphModule) -> tuple[Call, ...]:
    """The bodies that a graph runs, in graph order."""
    return tuple(call for node in module.graph.nodes for call in _calls(module, node))


def _calls(module: fx.GraphModule, node: fx.Node) -> Iterator[Call]:
    if node.op != "call_function" or not isinstance(node.target, HigherOrderOperator):
        return
    if (name := node.target.name()) in NAMED_ALREADY:
        return
    getters = [n for n in node.all_input_nodes if n.op == "get_attr"]
    bodies = {n: body for n in getters if isinstance(body := _attribute(module, n), fx.GraphModule)}
    layout = _layout(name, node)
    for getter, body in bodies.items():
        placeholders = body.graph.find_nodes(op="placeholder")
        known = layout is not None and getter in layout[0] and len(layout[1]) == len(placeholders)
        yield Call(node, getter, body, layout[1] if layout is not None and known else None)


def _layout(name: str, node: fx.Node) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
    """The bodies and operands of a call; None where the operator is not known, or not in this form."""
    try:
        positions, operands = LAYOUTS[name](node.args)
        return tuple(node.args[at] for at in positions), operands
    except (KeyError, IndexError, TypeError):
        return None


def _attribute(module: fx.GraphModule, node: fx.Node) -> Any:
    return getattr(module, str(node.target), None)


@dataclass(eq=False)
class Part:
    """One graph of a program.

    original   as it came.
    module     taken apart, for the readers; where `sunk` is set, it makes masks itself that are arguments otherwise.
    bodies     what each of the calls runs.
    mode       what is switched where the graph begins.
    held       known values of its inputs.
    """

    original: fx.GraphModule
    module: fx.GraphModule
    calls: tuple[Call, ...]
    bodies: tuple[Part, ...]
    mode: Mode
    held: Mapping[str, Tensor] = field(default_factory=dict)
    sunk: Sunk | None = None

    @cached_property
    def findings(self) -> Findings:
        """What stands in this graph alone."""
        return find_sites(self.module, self.held, self.mode)

    @cached_property
    def order(self) -> dict[fx.Node, int]:
        """Where each node stands."""
        return {node: k for k, node in enumerate(self.module.graph.nodes)}


@dataclass(frozen=True, eq=False)
class Run:
    """A part as one chain of calls runs it.

    path      the calls, from the outermost graph.
    key       positions of the calls in their graphs: what runs first comes first.
    inputs    placeholder of the part → the placeholder of the outermost graph that it stands for, where it does.
    rewritten whether the body may be written; False in an operator that is not known, or inside of one.
    operators the names of the operators that run it, from the outermost one.
    """

    part: Part
    path: Path
    key: Path
    inputs: Mapping[str, fx.Node]
    rewritten: bool
    operators: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Place:
    """An attention site as one chain of calls runs it; its source names the module of that chain."""

    run: Run
    number: int  # in the findings of its part
    site: AttentionSite


@dataclass(frozen=True)
class Written:
    """A program with sites written in. `modules`: the graph that each run became; `refused`: what could not be."""

    module: fx.GraphModule
    modules: Mapping[Path, fx.GraphModule]
    refused: Mapping[Place, Rejected]


class Program:
    """A Dynamo graph with every graph that it runs. Nothing of it is ever changed.

    mode: what is switched where the outermost graph begins.
    """

    def __init__(self, module: fx.GraphModule, example_inputs: Sequence[Any] = (), mode: Mode = PLAIN) -> None:
        self._parts: dict[tuple[int, Mode], Part] = {}
        root = self._part(module, mode)
        held = held_tensors(module, example_inputs)
        self._follow(root, held)
        wanted = self._wanted()
        changed = [self._sink(part, wanted[id(part)]) for part in reversed(self._parts.values())]  # callers first
        if any(changed):
            self._follow(root, held)

    def _follow(self, root: Part, held: Mapping[str, Tensor]) -> None:
        """Find all runs, and what is known of the inputs of each part."""
        inputs = {str(node.target): node for node in root.module.graph.find_nodes(op="placeholder")}
        self._runs = sorted(self._reached(Run(root, (), (), inputs, True, ())), key=lambda run: run.key)
        for part in self._parts.values():
            part.held = {name: held[at] for name, at in self._agreed(part).items() if at in held}

    def _wanted(self) -> dict[int, set[str]]:
        """The placeholders of each part, by its id, that masks are read from, its own or those of its bodies."""
        wanted: dict[int, set[str]] = {}
        for part in self._parts.values():  # bodies come before what runs them
            names = {node.name for node in masks_read(part.findings)}
            flow = Dataflow(CanonicalView(part.module))
            for call, body in zip(part.calls, part.bodies, strict=True):
                inside = body.module.graph.find_nodes(op="placeholder")
                for node, operand in zip(inside, call.operands or (), strict=False):
                    if node.name in wanted[id(body)] and isinstance(operand, fx.Node):
                        names |= {leaf.name for leaf in leaves_of(flow, operand) if leaf.op == "placeholder"}
            wanted[id(part)] = names
        return wanted

    def _sink(self, part: Part, names: set[str]) -> bool:
        """Let a body make the masks that it takes from the graph that runs it; whether there were any."""
        by_path = {run.path: run for run in self._runs}
        runs = [run for run in self._runs if run.part is part]
        if any(not run.path or run.operators[-1] not in SINKING or not run.rewritten for run in runs):
            return False
        callers = [by_path[run.path[:-1]].part for run in runs]
        if not names or any(caller is not callers[0] for caller in callers):
            return False
        placeholders = part.module.graph.find_nodes(op="placeholder")
        operands = [callers[0].calls[run.path[-1]].operands or () for run in runs]
        calls = [dict(zip(placeholders, one, strict=True)) for one in operands]
        shared = [
            operand if all(other[node] is operand for other in calls) else None for node, operand in calls[0].items()
        ]
        wanted = {
            node.name: operand
            for node, operand in zip(placeholders, shared, strict=True)
            if node.name in names and isinstance(operand, fx.Node)
        }
        found = sunk(part.module, wanted, shared, Dataflow(CanonicalView(callers[0].module)))
        if found is None:
            return False
        part.sunk, part.module, part.calls = found, found.module, calls_of(found.module)
        part.__dict__.pop("findings", None)
        part.__dict__.pop("order", None)
        return True

    def _part(self, module: fx.GraphModule, mode: Mode) -> Part:
        key = (id(module), mode)
        if key not in self._parts:
            expanded = expand(module)
            calls, modes = calls_of(expanded), modes_of(expanded.graph.nodes, mode)
            bodies = tuple(self._part(call.body, modes[call.node]) for call in calls)
            self._parts[key] = Part(module, expanded, calls, bodies, mode)
        return self._parts[key]

    def _reached(self, run: Run) -> Iterator[Run]:
        yield run
        for k, call in enumerate(run.part.calls):
            part = run.part.bodies[k]
            names = [str(node.target) for node in part.module.graph.find_nodes(op="placeholder")]
            added = [node for _, node in part.sunk.extra] if part.sunk is not None else []
            inputs = {
                name: run.inputs[str(operand.target)]
                for name, operand in zip(names, (*(call.operands or ()), *added), strict=False)
                if isinstance(operand, fx.Node) and operand.op == "placeholder" and str(operand.target) in run.inputs
            }
            path, key = (*run.path, k), (*run.key, run.part.order[call.node], k)
            rewritten = run.rewritten and call.operands is not None
            operators = (*run.operators, str(call.node.target))
            yield from self._reached(Run(part, path, key, inputs, rewritten, operators))

    def _agreed(self, part: Part) -> dict[str, str]:
        """Placeholder of a part → that of the outermost graph which it stands for, whoever runs the part."""
        runs = [run for run in self._runs if run.part is part]
        names = [{name: str(node.target) for name, node in run.inputs.items()} for run in runs]
        return {name: root for name, root in names[0].items() if all(other.get(name) == root for other in names)}

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every site that may be written, in the order in which the sites run."""
        found = [
            ((*run.key, run.part.order[site.anchor]), Place(run, k, replace(site, source=self._seen(run, site.source))))
            for run in self._runs
            if run.rewritten
            for k, site in enumerate(run.part.findings.sites)
        ]
        return tuple(place for _, place in sorted(found, key=lambda pair: pair[0]))

    @cached_property
    def rejections(self) -> tuple[Rejection, ...]:
        """What is left alone in any of the graphs, with all attention in bodies of operators that are not known."""
        found: list[Rejection] = []
        for run in self._runs:
            findings = run.part.findings
            if not run.rewritten:
                message = f"it stands in the body of {run.operators[-1]}, which is not rewritten"
                found += [
                    Rejection(
                        RejectionCode.OPAQUE_CALL, message, site.anchor, self._seen(run, site.source), site.anchor
                    )
                    for site in findings.sites
                ]
            found += [replace(rejection, source=self._seen(run, rejection.source)) for rejection in findings.rejections]
        return tuple(found)

    def assumed(self, places: Sequence[Place]) -> dict[str, Triangle]:
        """Inputs of the outermost graph whose values these sites rest on."""
        return {
            str(place.run.inputs[str(node.target)].target): triangle
            for place in places
            for node, triangle in place.site.assumed
        }

    def _seen(self, run: Run, source: Source) -> Source:
        """A source with the module that this run of a shared body stands for.

        The body remembers the modules of the call that was traced; those of another call are known by its parameters.
        """
        first = next(other for other in self._runs if other.part is run.part)
        if first is run or not source.module:
            return source
        path, best = source.module.split("."), 0
        renamed = path
        for name in first.inputs.keys() & run.inputs.keys():
            here, there = (_held_by(one.inputs[name]) for one in (first, run))
            shared = next(
                (k for k, (a, b) in enumerate(zip(path, here, strict=False)) if a != b), min(len(path), len(here))
            )
            if shared > best and len(there) >= shared:
                renamed, best = there[:shared] + path[shared:], shared
        return replace(source, module=".".join(renamed))

    def written(self, lowerings: Mapping[Place, Lowering], mark: str = "rewritten") -> Written:
        """The program with these sites written as their lowerings say; each body once for each set of decisions.

        mark: part of the names of rewritten bodies. PyTorch knows bodies by their names, so that two programs which are
        written of one need two marks.
        """
        return _Writer(self._runs, lowerings, mark).result()


def _held_by(node: fx.Node) -> list[str]:
    """The path of the parameter that an input of the outermost graph is."""
    source = getattr(node.meta.get("grapharg"), "source", None)
    name = getattr(source, "name", "")
    return module_path(str(name() if callable(name) else name)).split(".")


class _Writer:
    """Writes the bodies first, then the graphs that run them."""

    def __init__(self, runs: Sequence[Run], lowerings: Mapping[Place, Lowering], mark: str) -> None:
        self._runs, self._mark = {run.path: run for run in runs}, mark
        self._asked: dict[Path, list[tuple[Place, Lowering]]] = {}
        for place, lowering in lowerings.items():
            strict = any(operator in STRICT for operator in place.run.operators)
            self._asked.setdefault(place.run.path, []).append(
                (place, EXACT_OP if lowering.target == "sdpa" and strict else lowering)
            )
        self._done: dict[Any, tuple[fx.GraphModule, dict[int, Rejected]]] = {}
        self._settled: dict[int, Settled] = {}  # of a body that was made, by its id
        self._modules: dict[Path, fx.GraphModule] = {}
        self._refused: dict[Place, Rejected] = {}

    def result(self) -> Written:
        module = self._written(())
        return Written(module, self._modules, self._refused)

    def _written(self, path: Path) -> fx.GraphModule:
        part, asked = self._runs[path].part, self._asked.get(path, [])
        bodies = {call.getter.name: self._written((*path, k)) for k, call in enumerate(part.calls)}
        changed = {
            call.getter.name: bodies[call.getter.name]
            for call in part.calls
            if bodies[call.getter.name] is not call.body
        }
        choice = tuple((place.number, low.target, tuple(low.arguments.items())) for place, low in asked)
        key = (id(part), choice, tuple(map(id, bodies.values())))
        if key not in self._done:
            self._done[key] = self._made(part, asked, changed, body=bool(path))
        module, refused = self._done[key]
        self._modules[path] = module
        self._refused |= {place: refused[place.number] for place, _ in asked if place.number in refused}
        return module

    def _made(
        self, part: Part, asked: Sequence[tuple[Place, Lowering]], bodies: Mapping[str, fx.GraphModule], body: bool
    ) -> tuple[fx.GraphModule, dict[int, Rejected]]:
        sites = part.findings.sites if asked else ()
        done = rewrite(part.module, [(sites[place.number], low) for place, low in asked], body) if asked else None
        refused = {k: why for site, why in done.refused for k in range(len(sites)) if sites[k] is site} if done else {}
        if len(refused) == len(asked):  # nothing was written
            done = None
        if done is None and not bodies:
            return part.original, refused
        passes_on = part.sunk is not None and any(id(made) in self._settled for made in bodies.values())
        came = part.module if passes_on else part.original
        module = done.module if done is not None else rewrite(came, ()).module
        self._install(module, bodies)
        if part.sunk is not None and (done is not None or passes_on):
            self._settled[id(module)] = settle(module, part.sunk)
        return module, refused

    def _install(self, module: fx.GraphModule, bodies: Mapping[str, fx.GraphModule]) -> None:
        """Let the calls of a copy run other bodies, under other names: several calls may have shared one."""
        nodes = {node.name: node for node in module.graph.nodes}
        getters = {name: node for name, node in nodes.items() if node.op == "get_attr"}
        number = {id(made): k for k, (made, _) in enumerate(self._done.values())}
        for name, body in bodies.items():
            getter, old = getters[name], str(getters[name].target)
            getter.target = f"{old}_{self._mark}_{number[id(body)]}"
            setattr(module, getter.target, body)
            for call in list(getter.users):
                if id(body) in self._settled:
                    self._pass_on(call, getattr(module, old), self._settled[id(body)], nodes)
                if str(call.target) == "invoke_subgraph" and isinstance(call.args[1], str):
                    # The identifier stands for the body in caches of PyTorch, which outlive this graph.
                    call.args = (call.args[0], f"{call.args[1]}_{self._mark}_{number[id(body)]}", *call.args[2:])
            if not any(node.target == old for node in getters.values()):
                delattr(module, old)
        if any(id(body) in self._settled for body in bodies.values()):
            drop_dead(CanonicalView(module), module.graph)
        module.recompile()

    @staticmethod
    def _pass_on(call: fx.Node, old: fx.GraphModule, body: Settled, nodes: Mapping[str, fx.Node]) -> None:
        """Give a call the arguments that its body reads now."""
        names = [node.name for node in old.graph.find_nodes(op="placeholder")]
        first = len(call.args) - len(names)
        kept = [at for name, at in zip(names, call.args[first:], strict=True) if name not in body.gone]
        call.args = (*call.args[:first], *kept, *(nodes[node.name] for node in body.extra))
