"""The evaluator against PyTorch: what it says stands at an element is what the tensor holds there."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import pytest
import sympy
import torch
from graphs import capture
from hyperrewrite.passes.canonical import CanonicalView
from hyperrewrite.passes.dataflow import Dataflow
from hyperrewrite.passes.domain import Domain
from hyperrewrite.passes.evaluate import Evaluator
from hyperrewrite.passes.expression import Apply, Expr, Int, Load, Number, as_sympy
from hyperrewrite.passes.rules import RULES
from hyperrewrite.passes.symbols import symbol
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx

B, N, M = 2, 4, 5
SHAPES = {"full": (B, N, M), "row": (N, 1), "key": (1, M), "batch_key": (B, 1, M), "square": (N, M)}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "minimum": min,
    "maximum": max,
    "tanh": math.tanh,
    "not": operator.not_,
}


def value_of(expr: Expr, at: dict[sympy.Symbol, int]) -> Any:
    """An expression as a number at one point."""
    if isinstance(expr, Number):
        return expr.value
    if isinstance(expr, Int):
        return int(expr.value.subs(at))
    if isinstance(expr, Load):
        held = expr.node.meta["example_value"]
        assert isinstance(held, Tensor)
        return held[tuple(value_of(p, at) for p in expr.index)].item()
    assert isinstance(expr, Apply)
    if expr.name == "where":
        return value_of(expr.args[1 if value_of(expr.args[0], at) else 2], at)
    args = [value_of(a, at) for a in expr.args]
    if expr.name in ("and", "or"):
        return (all if expr.name == "and" else any)(args)
    if expr.name == "le0":
        return args[0] <= 0
    return FUNCTIONS[expr.name](*args)


class Program:
    """A graph that grows node by node, each node with the tensor it holds; the pool by kind."""

    def __init__(self) -> None:
        self.graph = fx.Graph()
        self.pool: dict[str, list[fx.Node]] = {"bool": [], "int": [], "float": []}
        self.last: fx.Node | None = None

    def leaf(self, value: Tensor) -> fx.Node:
        """A captured tensor."""
        return self._keep(self.graph.placeholder(f"leaf{len(list(self.graph.nodes))}"), value)

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        """A function or operator of tensors."""
        held, named = fx.node.map_arg((args, kwargs), lambda n: n.meta["example_value"])  # type: ignore[misc]
        return self._keep(self.graph.call_function(function, args, kwargs), function(*held, **named))

    def method(self, name: str, *args: Any, **kwargs: Any) -> fx.Node:
        """A method of a tensor."""
        held, named = fx.node.map_arg((args, kwargs), lambda n: n.meta["example_value"])  # type: ignore[misc]
        return self._keep(self.graph.call_method(name, args, kwargs), getattr(held[0], name)(*held[1:], **named))

    def _keep(self, node: fx.Node, value: Tensor) -> fx.Node:
        node.meta["example_value"] = value
        broadcast = value.dim() <= 3 and value.dim() >= 2
        if broadcast and all(s in (1, full) for s, full in zip(reversed(value.shape), (M, N, B), strict=False)):
            kind = "bool" if value.dtype == torch.bool else "float" if value.dtype.is_floating_point else "int"
            self.pool[kind].append(node)
        self.last = node
        return node


def _start(program: Program, draw: Callable[..., Any]) -> None:
    """Positions, triangles, padding, lengths: what masks are made of."""
    rows, keys = program.call(torch.arange, N), program.call(torch.arange, M)
    program.call(operator.getitem, rows, (slice(None), None))
    program.call(operator.getitem, keys, (None, slice(None)))
    program.call(operator.getitem, program.call(torch.arange, 3, 3 + 2 * M, 2), (None, slice(None)))
    ones = program.call(torch.ones, N, M, dtype=draw(st.sampled_from([torch.bool, torch.float32, torch.int64])))
    program.method("tril" if draw(st.booleans()) else "triu", ones, draw(st.integers(-2, 2)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 5)))
    program.leaf(torch.rand(B, 1, M, generator=generator) > 0.4)
    program.leaf(torch.randint(0, 3, (B, 1, M), generator=generator))
    program.leaf(torch.randn(B, N, M, generator=generator))
    program.leaf(torch.rand(N, M, generator=generator) > 0.5)
    positions = program.method("cumsum", program.call(torch.ones, 1, M, dtype=torch.int64), -1)
    program.call(operator.sub, positions, 1)
    program.call(torch.full, (N, M), draw(st.sampled_from([-math.inf, -1e30, 0.0, 2.5])))
    steps = program.call(torch.diff, keys, prepend=program.call(operator.sub, program.call(torch.arange, 1), 1))
    program.call(operator.getitem, program.method("cumsum", program.call(operator.ne, steps, 1), 0), None)


COMPARE = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, torch.lt, torch.ge]
NARROW = [torch.uint8, torch.int8, torch.int16, torch.int32]
LOGIC = [operator.and_, operator.or_, torch.logical_and, torch.logical_or, torch.bitwise_and]


def _grow(program: Program, draw: Callable[..., Any]) -> None:
    """One more node from the pool."""

    def some(*kinds: str) -> fx.Node:
        return draw(st.sampled_from([n for k in kinds for n in program.pool[k]]))  # type: ignore[no-any-return]

    number = st.integers(-3, 6)
    kind = draw(st.integers(0, 16))
    if kind == 0:
        program.call(draw(st.sampled_from(COMPARE)), some("int"), some("int"))
    elif kind == 1:
        program.call(draw(st.sampled_from(COMPARE)), some("int", "float", "bool"), draw(number))
    elif kind == 2:
        program.call(draw(st.sampled_from(LOGIC)), some("bool"), some("bool"))
    elif kind == 3:
        program.call(draw(st.sampled_from([operator.invert, torch.logical_not])), some("bool"))
    elif kind == 4:
        program.call(draw(st.sampled_from([operator.add, operator.sub])), some("int"), draw(number))
    elif kind == 5:
        program.call(draw(st.sampled_from([operator.add, operator.sub, torch.minimum])), some("int"), some("int"))
    elif kind == 6:
        program.call(torch.where, some("bool"), some("float"), some("float"))
    elif kind == 7:
        program.call(torch.where, some("bool"), draw(st.sampled_from([0.0, 1.0])), draw(st.sampled_from([-1e30, 0.0])))
    elif kind == 8:
        program.method("masked_fill", some("float", "int", "bool"), some("bool"), draw(st.integers(0, 1)))
    elif kind == 9:
        program.method("to", some("bool", "int", "float"), draw(st.sampled_from([torch.bool, torch.float32])))
    elif kind == 10:
        program.call(operator.mul, some("bool", "int", "float"), draw(st.sampled_from([-1, 2, -3.5, 0])))
    elif kind == 11:
        program.call(draw(st.sampled_from([operator.mul, operator.add])), some("bool", "float"), some("bool", "int"))
    elif kind == 12:
        square = [n for k in ("bool", "float") for n in program.pool[k] if n.meta["example_value"].shape[-2:] == (N, M)]
        program.method(draw(st.sampled_from(["tril", "triu"])), draw(st.sampled_from(square)), draw(st.integers(-1, 1)))
    elif kind == 13:
        program.method("to", some("bool", "int"), draw(st.sampled_from(NARROW)))
    elif kind == 14:
        program.call(operator.mul, some("int"), draw(st.sampled_from([20, 100, 2**13, 2**22])))
    elif kind == 15:
        large = program.call(operator.add, some("int"), draw(st.sampled_from([252, 2044, 2**24 - 3])))
        rounded = program.method("to", large, draw(st.sampled_from([torch.bfloat16, torch.float16, torch.float32])))
        program.call(draw(st.sampled_from(COMPARE)), rounded, some("int"))
    else:
        program.method("expand", some("bool", "float"), B, N, M)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_random_mask_programs(data: st.DataObject) -> None:
    program = Program()
    _start(program, data.draw)
    for _ in range(data.draw(st.integers(1, 8))):
        _grow(program, data.draw)
    assert program.last is not None
    program.graph.output(program.last)
    check(fx.GraphModule(torch.nn.Module(), program.graph), program.last)


def check(module: fx.GraphModule, node: fx.Node) -> Expr:
    """Compare an element's expression with the tensor, element by element; the expression."""
    value = node.meta["example_value"]
    symbols = [symbol(n) for n in ("b", "i", "j")[3 - value.dim() :]]
    runs = dict(zip(symbols, map(sympy.Integer, value.shape), strict=True))
    view = CanonicalView(module)
    evaluator = Evaluator(view, Dataflow(view), Domain(runs), RULES)
    index = tuple(Int(s) if runs[s] != 1 else Number(0) for s in symbols)
    expr = evaluator.at(node, index, node)
    for point in itertools.product(*(range(n) for n in value.shape)):
        found, held = value_of(expr, dict(zip(symbols, point, strict=True))), value[point].item()
        same = found == held or math.isclose(found, held, rel_tol=1e-6, abs_tol=1e-6)
        assert same or (math.isnan(found) and math.isnan(held)), (point, found, held, expr)
    return expr


def read(function: Callable[..., Tensor], *args: Tensor) -> Expr:
    """The expression of an element of function's result, as Dynamo captures it; checked against the result."""
    graph = capture(function, args)
    (output,) = (n for n in graph.module.graph.nodes if n.op == "output")
    inputs = list(graph.inputs)
    held: dict[fx.Node, Any] = {}

    class Record(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            held[n] = super().run_node(n)
            return held[n]

    Record(graph.module).run(*inputs)
    for node, value in held.items():
        if isinstance(value, Tensor):
            node.meta["example_value"] = value
    return check(graph.module, output.args[0][0])


def test_lifted_masks_leave_no_tensor() -> None:
    """The masks that transformers build are read down to positions."""

    def causal(x: Tensor) -> Tensor:
        at = torch.arange(x.shape[0])
        return (at[None, :] <= at[:, None]) & (at[None, :] > at[:, None] - 3)

    def triangle(x: Tensor) -> Tensor:
        return torch.triu(torch.full((5, 5), float("-inf")), diagonal=1) == 0

    def documents(x: Tensor) -> Tensor:
        at = torch.arange(5)[None]
        steps = torch.diff(at, prepend=at[:, :1] - 1, dim=-1)
        document = (steps != 1).cumsum(-1)
        return document[:, :, None] == document[:, None, :]

    for function in (causal, triangle, documents):
        expr = read(function, torch.randn(5))
        assert not any(isinstance(e, Load) for e in _walk(expr)), (function, expr)


def _walk(expr: Expr) -> Any:
    from hyperrewrite.passes.expression import walk

    return walk(expr)


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda m: torch.where(m != 0, float("-inf"), m), id="where_of_itself"),
        pytest.param(lambda m: m.masked_fill(m.bool(), torch.finfo(torch.float16).min), id="inverted_of_itself"),
        pytest.param(lambda m: (1.0 - m) * -1e30, id="extended"),
        pytest.param(lambda m: torch.rsub(m, 1).to(torch.bool), id="rsub"),
        pytest.param(lambda m: m.gt(0).float().log(), id="log_of_bool"),
        pytest.param(lambda m: (m > 0).logical_xor(m > 1), id="xor"),
        pytest.param(lambda m: torch.bitwise_not((m > 0).int()), id="bitwise_not_of_int"),
        pytest.param(lambda m: (m > 0).int() & 1, id="bitwise_and_of_int"),
        pytest.param(lambda m: torch.add(m, m, alpha=3), id="alpha"),
        pytest.param(lambda m: m.to(torch.int32).float(), id="rounded"),
        pytest.param(lambda m: torch.div(m, 2, rounding_mode="floor"), id="floor_division"),
        pytest.param(lambda m: torch.arange(6, 0, -1)[None, : m.shape[-1]] > 3, id="arange_down"),
        pytest.param(lambda m: torch.arange(0.5, 5.5)[None] > 3, id="arange_of_floats"),
        pytest.param(lambda m: torch.maximum(m, torch.zeros(())), id="maximum"),
        pytest.param(lambda m: -m, id="neg"),
        pytest.param(lambda m: (m > 0) * (m > 1), id="bool_times_bool"),
        pytest.param(lambda m: (m > 0) + (m > 1), id="bool_plus_bool"),
        pytest.param(lambda m: m.cumsum(-1) == 1, id="cumsum_of_data"),
        pytest.param(lambda m: torch.ones(2, 5).cumsum(0) * m, id="cumsum_of_the_other_dim"),
        pytest.param(lambda m: m.new_ones(2, 5).tril() * m, id="new_ones"),
        pytest.param(lambda m: torch.full((2, 5), True).triu(1) | m.bool(), id="full_of_bool"),
        pytest.param(lambda m: torch.full_like(m, 3.7, dtype=torch.int64), id="full_like_dtype"),
        pytest.param(lambda m: torch.zeros_like(m, dtype=torch.bool) | (m > 0), id="zeros_like_bool"),
        pytest.param(lambda m: torch.where(m.bool(), 1, 0), id="where_of_ints"),
        pytest.param(lambda m: (m > 0).where(m > 1, m > -1), id="where_method"),
        pytest.param(lambda m: m[torch.tensor([1, 0])][:, torch.arange(5)], id="gathered"),
        pytest.param(lambda m: m[:, torch.arange(5) - 2], id="gathered_with_negative_positions"),
        pytest.param(lambda m: m.masked_fill(m > 1, True), id="filled_with_a_bool"),
        pytest.param(lambda m: (m > 0).masked_fill(m > 1, 0), id="bool_filled_with_a_number"),
        pytest.param(lambda m: m.mul(0.5).mul_(2).add_(1), id="in_place_chain"),
        pytest.param(lambda m: 1 / (m + 3), id="number_over_tensor"),
        pytest.param(lambda m: 3 - m, id="number_minus_tensor"),
        pytest.param(lambda m: torch.gt(m, 1) & (3 > m), id="numbers_on_the_left"),  # noqa: SIM300
    ],
)
def test_single_steps(function: Callable[[Tensor], Tensor]) -> None:
    read(function, torch.tensor([[0.0, 1.0, 0.0, 1.0, 2.0], [1.0, 1.0, -1.0, 0.5, 0.0]]))


def test_as_sympy_of_bools_is_none() -> None:
    assert as_sympy(Number(True)) is None
