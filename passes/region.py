"""The part of a graph that a site is made of, before and after it is rewritten, as data for people.

A region is read backwards from the site's output to queries, keys and values, and through whatever the mask and the
bias are made of, as far as the vocabulary goes. Each node becomes a `Step`: what it does in plain words, how large its
result is, and whether it is as large as queries × keys. Nothing here changes a graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sympy
import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from .canonical import CanonicalView, Op, size_of
from .dataflow import Dataflow, storages_of
from .emit import SITE
from .spec import AttentionSite
from .vocabulary import FILLED_VALUE

PRODUCTS = frozenset(("matmul", "einsum", "baddbmm"))
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
        self._before, self._after = _Graph(before), _Graph(after)

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


class _Graph:
    """A module with what regions are read by."""

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
                found[_whole(read)] = None
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


def _whole(node: fx.Node) -> fx.Node:
    """The call behind the first part of what `hyper::attention` gives; any other node itself."""
    source = node.args[0] if node.op == "call_function" and node.args else None
    return source if isinstance(source, fx.Node) and _is_attention_op(source) else node


def _is_attention_op(node: fx.Node) -> bool:
    return str(node.target).startswith("hyper.attention")


def _operands(site: AttentionSite, copy_of: Callable[[fx.Node], fx.Node]) -> dict[fx.Node, list[str]]:
    """Operand → its roles, which are several where one tensor serves as queries and keys."""
    found: dict[fx.Node, list[str]] = {}
    for operand, role in ((site.query, "query"), (site.key, "key"), (site.value, "value")):
        found.setdefault(copy_of(operand.node), []).append(role)
    return found


def _steps(
    graph: _Graph, site: AttentionSite, output: fx.Node, operands: Mapping[fx.Node, list[str]]
) -> tuple[Step, ...]:
    end = _whole(output)
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
        contracts = graph.view.op(node).word in PRODUCTS
        if node in operands or (roles[node] == "main" and not contracts and all(n in plain for n in reads)):
            plain.add(node)
    steps = []
    for node in order:
        step = _step(graph, site, node, sources[node], roles[node], node in plain)
        word = graph.view.op(node).word
        if node in operands:
            step = replace(step, operation=" and ".join(_OPERANDS[role] for role in operands[node]))
        elif word in PRODUCTS and (step.quadratic or node is end):
            words = "compare queries with keys" if step.quadratic else "weigh and sum the values"
            step = replace(step, operation=words)
        elif word == "add" and step.role == "main" and any(roles[n] == "side" for n in sources[node]):
            step = replace(step, operation="add the mask or bias")
        steps.append(step)
    return tuple(steps)


def _is_understood(view: CanonicalView, node: fx.Node) -> bool:
    if _is_attention_op(node) or SITE in node.meta:
        return True
    return node.op in ("call_function", "call_method") and view.op(node).word != "opaque"


def _step(graph: _Graph, site: AttentionSite, node: fx.Node, sources: list[fx.Node], role: str, plain: bool) -> Step:
    value = graph.value(node)
    tensor = value[0] if isinstance(value, tuple | list) and value else value
    new = node.meta.get(SITE) == site.output.name
    step = Step(node.name, _words(graph, node), (), (), "", None, False, role, new)
    if not isinstance(tensor, torch.Tensor):
        return replace(step, inputs=tuple(n.name for n in sources))
    sizes = [size_of(s) for s in tensor.shape]
    return replace(
        step,
        inputs=tuple(n.name for n in sources),
        shape=tuple(int(s) if s.is_Integer else str(s) for s in sizes),
        dtype=str(tensor.dtype).removeprefix("torch."),
        bytes=0 if graph.view.op(node).word == "dropout" else _bytes(tensor, sizes, [graph.value(n) for n in sources]),
        quadratic=not plain and _is_quadratic(sizes, site.spec.n_q, site.spec.n_k),
    )


def _is_quadratic(sizes: list[sympy.Expr], n_q: sympy.Expr, n_k: sympy.Expr) -> bool:
    if n_q == n_k:
        return n_q != 1 and sizes.count(n_q) >= 2
    return 1 not in (n_q, n_k) and n_q in sizes and n_k in sizes


def _bytes(tensor: torch.Tensor, sizes: list[sympy.Expr], sources: list[Any]) -> int | None:
    if any(isinstance(s, torch.Tensor) and _shares(tensor, s) for s in sources):
        return 0
    return int(tensor.numel()) * tensor.element_size() if all(s.is_Integer for s in sizes) else None


def _shares(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one is other or not set(storages_of(one)).isdisjoint(storages_of(other))


# --- plain words ----------------------------------------------------------------------------------------------------

_OPERANDS = {"query": "queries", "key": "keys", "value": "values"}

WORDS = {
    "matmul": "multiply matrices",
    "baddbmm": "multiply matrices and add",
    "einsum": "multiply and sum",
    "softmax": "turn scores into probabilities",
    "dropout": "dropout (does nothing here)",
    "sdpa": "attention in one step (PyTorch)",
    "permute": "reorder dimensions",
    "transpose": "swap two dimensions",
    "movedim": "reorder dimensions",
    "t": "swap two dimensions",
    "getattr": "view in another layout",
    "reshape": "regroup dimensions",
    "expand": "repeat without copying",
    "getitem": "take a part",
    "narrow": "take a part",
    "select": "take one entry",
    "repeat": "repeat",
    "repeat_interleave": "repeat each entry",
    "identity": "copy, or keep as it is",
    "cat": "join end to end",
    "add": "add",
    "sub": "subtract",
    "mul": "multiply entry by entry",
    "div": "divide",
    "neg": "change the sign",
    "minimum": "the smaller of two",
    "maximum": "the larger of two",
    "tanh": "squash with tanh",
    "cast": "change the number format",
    "lt": "is it less?",
    "le": "is it less or equal?",
    "gt": "is it greater?",
    "ge": "is it greater or equal?",
    "eq": "is it equal?",
    "ne": "is it different?",
    "and": "both must hold",
    "or": "one must hold",
    "not": "turn yes and no around",
    "where": "choose by mask",
    "where_method": "choose by mask",
    "masked_fill": "overwrite where masked",
    "tril": "keep the lower triangle",
    "triu": "keep the upper triangle",
    "cumsum": "running sum",
    "diff": "difference of neighbours",
    "arange": "the numbers 0, 1, 2, …",
    "filled": "fill with one value",
    "full": "fill with one value",
    "tensor": "a constant",
    "write": "overwrite in place",
    "placeholder": "input of the graph",
    "get_attr": "held by the model",
}

# With one operand a plain number: what is done with it.
_WITH_NUMBER = {
    "add": "add {}",
    "sub": "subtract {}",
    "mul": "multiply by {}",
    "div": "divide by {}",
    "lt": "less than {}?",
    "le": "at most {}?",
    "gt": "greater than {}?",
    "ge": "at least {}?",
    "eq": "equal to {}?",
    "ne": "other than {}?",
}


def _words(graph: _Graph, node: fx.Node) -> str:
    view = graph.view
    if _is_attention_op(node):
        name = str(node.kwargs.get("algorithm", "hyper"))
        return "exact attention, piece by piece" if name == "exact" else f"HyperAttention ({name})"
    op = view.op(node)
    if op.word == "opaque":
        return f"computed by {getattr(node.target, '__name__', node.target)}"
    words = _SPECIAL[op.word](graph, node, op) if op.word in _SPECIAL else ""
    return words or _with_number(op) or WORDS.get(op.word, op.word)


def _with_number(op: Op) -> str:
    right = op.arguments.get("right")
    if op.word not in _WITH_NUMBER or isinstance(right, bool) or not isinstance(right, int | float):
        return ""
    return _WITH_NUMBER[op.word].format(_number(right))


def _number(value: float) -> str:
    if value == float("-inf"):
        return "−∞"
    return f"{value:.4g}".replace("-", "−").replace("e+", "e")


def _cast(graph: _Graph, node: fx.Node, op: Op) -> str:
    value = graph.value(node)
    if not isinstance(value, torch.Tensor):
        return ""
    return "as yes or no" if value.dtype == torch.bool else f"as {str(value.dtype).removeprefix('torch.')}"


def _fill(graph: _Graph, node: fx.Node, op: Op) -> str:
    value = op.arguments.get("value", op.arguments.get("fill_value"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"set to {_number(value)} where masked" if op.word == "masked_fill" else f"fill with {_number(value)}"


def _filled(graph: _Graph, node: fx.Node, op: Op) -> str:
    value = FILLED_VALUE.get(str(node.target) if node.op == "call_method" else node.target)
    return "" if value is None else f"fill with {value}"


def _where(graph: _Graph, node: fx.Node, op: Op) -> str:
    other = op.arguments.get("other")
    if isinstance(other, bool) or not isinstance(other, int | float):
        return ""
    return f"choose by mask, else {_number(other)}"


def _reshape(graph: _Graph, node: fx.Node, op: Op) -> str:
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "")
    return {"unsqueeze": "add a dimension", "squeeze": "drop a dimension"}.get(name, "")


def _getitem(graph: _Graph, node: fx.Node, op: Op) -> str:
    index = op.arguments.get("index")
    places = index if isinstance(index, tuple) else (index,)
    if any(isinstance(at, fx.Node) and isinstance(graph.value(at), torch.Tensor) for at in places):
        return "look up by position"
    if None in places and all(at in (None, Ellipsis, slice(None)) for at in places):
        return "add a dimension"
    return ""


_SPECIAL: dict[str, Callable[[_Graph, fx.Node, Op], str]] = {
    "cast": _cast,
    "masked_fill": _fill,
    "full": _fill,
    "where": _where,
    "where_method": _where,
    "filled": _filled,
    "reshape": _reshape,
    "getitem": _getitem,
}
