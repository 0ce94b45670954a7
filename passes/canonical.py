"""The canonical view: every node of a graph read in one vocabulary, without changing or copying the graph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy
import torch
from torch import fx
from torch.fx.experimental.symbolic_shapes import statically_known_true

from . import einx
from .aten import arguments_of, name_of, operator_of, spelling_of, writes
from .contracts import equal_sizes
from .held import Held
from .spec import Rejected, RejectionCode, Source
from .vocabulary import FUNCTIONS, METHODS, Spelling


@dataclass(frozen=True, slots=True)
class Op:
    """A node in canonical words: the word, its arguments by name, and whether it writes into `input`/`left`."""

    word: str
    arguments: dict[str, Any]
    in_place: bool = False

    def get(self, name: str, default: Any = None) -> Any:
        """The argument of this name, or the default where it is absent or None."""
        value = self.arguments.get(name)
        return default if value is None else value


OPAQUE = Op("opaque", {})


def einsum_operands(op: Op) -> tuple[Any, ...]:
    """The operands of an einsum, which may be given one by one or as one list."""
    operands = op.get("operands", ())
    return tuple(operands[0]) if len(operands) == 1 and isinstance(operands[0], tuple | list) else tuple(operands)


class CanonicalView:
    """A graph in canonical words, with shapes as the tracer recorded them.

    `module` is a GraphModule whose nodes carry `example_value` (Dynamo) or `val` (export, AOT) in their meta; `graph`
    is its graph, or one that is being written to become that of a copy. `held` are values that the model holds.
    """

    def __init__(
        self, module: fx.GraphModule, graph: fx.Graph | None = None, held: Mapping[str, torch.Tensor] | None = None
    ) -> None:
        self.module = module
        self.held = Held(held or {})
        self.nodes = list((graph or module.graph).nodes)
        self.position = {node: k for k, node in enumerate(self.nodes)}
        self._ops: dict[fx.Node, Op] = {}
        self._ones: dict[sympy.Expr, bool] = {}

    def op(self, node: fx.Node) -> Op:
        """The node in canonical words; `OPAQUE` for what the vocabulary does not hold."""
        if node not in self._ops:
            self._ops[node] = _read(node)
        return self._ops[node]

    def value(self, node: fx.Node) -> Any:
        """What the tracer recorded for the node: a fake tensor, a SymInt, a tuple; None where it recorded nothing."""
        meta = node.meta
        if "example_value" in meta:
            return meta["example_value"]
        if "val" in meta:
            return meta["val"]
        if node.op == "get_attr":
            return self.attribute(node)
        return None

    def attribute(self, node: fx.Node) -> Any:
        """What the module holds under the name of a get_attr node; None where there is nothing."""
        return _attribute(self.module, str(node.target))

    def carries_gradient(self, node: fx.Node) -> bool:
        """Whether a gradient flows back through the node, as the tracer recorded it."""
        value = self.value(node)
        return isinstance(value, torch.Tensor) and value.requires_grad

    def tensor(self, node: fx.Node) -> torch.Tensor:
        """The recorded fake tensor of a node; raises Rejected(SHAPES_UNKNOWN) where there is none."""
        value = self.value(node)
        if not isinstance(value, torch.Tensor):
            raise Rejected(RejectionCode.SHAPES_UNKNOWN, f"no tensor is recorded for {node.name}", node)
        return value

    def shape(self, node: fx.Node) -> tuple[sympy.Expr, ...]:
        """The sizes of a node's value as sympy expressions; those that must be equal are."""
        return tuple(self.size(s) for s in self.tensor(node).shape)

    def recorded_shape(self, node: fx.Node) -> tuple[sympy.Expr, ...]:
        """The same in the symbols that the tracer gave."""
        return tuple(size_of(s) for s in self.tensor(node).shape)

    def size(self, value: int | torch.SymInt) -> sympy.Expr:
        """A size as a sympy expression, without adding a guard; equal to all sizes that it must be equal to.

        One that is computed (of a chunk) is 1 where the tracer has taken it for 1.
        """
        size = size_of(value)
        if not size.free_symbols:
            return size
        if not size.is_Symbol:
            if size not in self._ones:
                self._ones[size] = statically_known_true(value == 1)
            if self._ones[size]:
                return sympy.Integer(1)
        return size.xreplace(self._equal)

    @cached_property
    def _equal(self) -> dict[sympy.Symbol, sympy.Expr]:
        return equal_sizes(self)

    def source(self, node: fx.Node) -> Source:
        """Where in the user's code the node comes from."""
        file, line, code = _last_frame(node.meta.get("stack_trace") or "")
        return Source(file, line, code, _module_path(node.meta.get("nn_module_stack") or {}))

    def words(self, *names: str) -> Iterator[fx.Node]:
        """Nodes of these words in graph order."""
        return (node for node in self.nodes if self.op(node).word in names)

    @cached_property
    def sizes(self) -> dict[sympy.Expr, tuple[fx.Node, int | None]]:
        """Where a symbolic size can be read first: size → (SymInt node, None) or (tensor node, dim)."""
        found: dict[sympy.Expr, tuple[fx.Node, int | None]] = {}
        for node in self.nodes:
            value = self.value(node)
            if isinstance(value, torch.SymInt):
                found.setdefault(self.size(value), (node, None))
            elif isinstance(value, torch.Tensor):
                for dim, size in enumerate(value.shape):
                    if isinstance(size, torch.SymInt):
                        found.setdefault(self.size(size), (node, dim))
        return found


def drops(op: Op) -> bool:
    """Whether a dropout is active, or may be for all that the graph says."""
    return op.get("training", op.get("train", True)) is not False and op.get("p", 0.5) != 0


def size_of(value: int | torch.SymInt) -> sympy.Expr:
    """A size as a sympy expression in the tracer's symbols, without adding a guard."""
    return sympy.Integer(value) if isinstance(value, int) else value.node.expr


def called(node: fx.Node) -> str:
    """The bare name of what a node calls: "amax" of torch.amax, the method and aten.amax; "" where it has none."""
    operator = operator_of(node)
    if operator is not None:
        return name_of(operator)
    return str(node.target) if node.op == "call_method" else str(getattr(node.target, "__name__", ""))


def spelling(node: fx.Node) -> Spelling | None:
    """How a node spells its word; None for one that the vocabulary does not hold."""
    if node.op == "call_method":
        return METHODS.get(str(node.target))
    if node.op != "call_function":
        return None
    operator = operator_of(node)
    if operator is not None:
        return spelling_of(operator)
    return FUNCTIONS.get(node.target) or einx.spelling_of(node)  # type: ignore[arg-type]


def _read(node: fx.Node) -> Op:
    if node.op not in ("call_function", "call_method"):
        return Op(node.op, {})
    found = spelling(node)
    if found is None:
        return OPAQUE
    operator = operator_of(node)
    positional, named = (node.args, node.kwargs) if operator is None else ((), arguments_of(operator, node))
    arguments: dict[str, Any] = {}
    rest = list(positional)
    for name in found.parameters:
        if name.startswith("*") and operator is None:
            arguments[name[1:]] = tuple(rest)
            rest = []
        elif rest:
            arguments[name] = rest.pop(0)
    for name, value in named.items():
        parameter = found.parameter(name)
        if parameter is None:
            return OPAQUE  # an argument that no rule knows may change what the call does
        arguments[parameter] = (value,) if f"*{parameter}" in found.parameters else value
    in_place = found.in_place or bool(named.get("inplace")) or arguments.get("inplace") is True
    if operator is not None and writes(operator) and not in_place:
        return OPAQUE  # into `out`
    return Op(found.word, arguments, in_place)


def _attribute(module: fx.GraphModule, target: str) -> Any:
    at: Any = module
    for part in target.split("."):
        at = getattr(at, part, None)
    return at


def _last_frame(trace: str) -> tuple[str, int, str]:
    """File, line and code of the innermost frame of a recorded stack trace."""
    lines = trace.rstrip().splitlines()
    for k in range(len(lines) - 1, -1, -1):
        text = lines[k].strip()
        if text.startswith('File "'):
            head, _, tail = text[6:].partition('", line ')
            number = tail.partition(",")[0]
            code = lines[k + 1].strip() if k + 1 < len(lines) else ""
            return head, int(number) if number.isdigit() else 0, code
    return "", 0, ""


def _module_path(stack: dict[str, Any]) -> str:
    """Dotted path of the innermost module: "model.layers.0.self_attn"."""
    if not stack:
        return ""
    entry = list(stack.values())[-1]
    return module_path(str(entry[0] if isinstance(entry, tuple) else entry))


def module_path(path: str) -> str:
    """The dotted path of a module or of what it holds, as a user would write it, from how Dynamo writes it."""
    start = re.match(r"[LG]\['([^']*)'\]\.?", path)
    if start is not None:
        name = start[1]
        known = name in ("self", "fn") or name.startswith("__import_")
        path = path[start.end() :] if known else f"{name}.{path[start.end() :]}"
    path = path.removeprefix("self.")
    return path.replace("_modules['", "").replace("']", "").replace(".slice(None, None, None)", "").strip(".")
