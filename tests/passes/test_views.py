"""Views read backwards: the element that a view is said to stand for is the element that it holds."""

from __future__ import annotations

import itertools
import math

import sympy
import torch
from graphs import capture
from hyperrewrite.passes.canonical import CanonicalView
from hyperrewrite.passes.domain import Domain
from hyperrewrite.passes.expression import Int, as_sympy
from hyperrewrite.passes.regroup import regroup
from hyperrewrite.passes.symbols import symbol
from hyperrewrite.passes.views import RULES, Views
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@st.composite
def chains(draw: st.DrawFn) -> tuple[tuple[int, ...], list[tuple[object, ...]]]:
    """A shape and a chain of views, each legal for the shape that the one before leaves."""
    shape = tuple(draw(SIZES))
    at = torch.empty(shape, device="meta")
    steps: list[tuple[object, ...]] = []
    for _ in range(draw(st.integers(1, 5))):
        step = draw(st.one_of(*(kind(at) for kind in KINDS)))
        moved = apply(at, step)
        if 0 < moved.numel() <= 600 and moved.dim() <= 6:
            at = moved
            steps.append(step)
    return shape, steps


def apply(tensor: Tensor, step: tuple[object, ...]) -> Tensor:
    """One step: ("method", *args), or ("index", items)."""
    name, *args = step
    moved = tensor[args[0]] if name == "index" else getattr(tensor, str(name))(*args)  # type: ignore[index]
    assert isinstance(moved, Tensor)
    return moved


def _dim(at: Tensor) -> st.SearchStrategy[int]:
    return st.integers(-at.dim(), at.dim() - 1) if at.dim() else st.nothing()


def _transpose(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    return st.tuples(st.sampled_from(["transpose", "swapaxes"]), _dim(at), _dim(at))


def _permute(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    return st.permutations(range(at.dim())).map(lambda dims: ("permute", *dims))


def _movedim(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    return st.tuples(st.just("movedim"), _dim(at), _dim(at))


def _regrouped(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    """Another shape of as many elements: a product cut into factors in some order."""

    def cut(places: list[int]) -> tuple[object, ...]:
        sizes, left = [], at.numel()
        for place in places:
            divisors = [k for k in range(1, left + 1) if left % k == 0]
            sizes.append(divisors[place % len(divisors)])
            left //= sizes[-1]
        return ("reshape", *sizes, left)

    return st.lists(st.integers(0, 7), max_size=3).map(cut)


def _flatten(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    low = st.integers(0, at.dim() - 1)
    return low.flatmap(lambda a: st.integers(a, at.dim() - 1).map(lambda b: ("flatten", a, b)))


def _unsqueeze(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    return st.integers(-at.dim() - 1, at.dim()).map(lambda d: ("unsqueeze", d))


def _squeeze(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    return _dim(at).map(lambda d: ("squeeze", d))


def _expand(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    sizes = [st.sampled_from([-1, 3]) if s == 1 else st.sampled_from([-1, s]) for s in at.shape]
    return st.tuples(st.lists(st.integers(1, 2), max_size=1), st.tuples(*sizes)).map(lambda p: ("expand", *p[0], *p[1]))


def _index(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    def item(size: int) -> st.SearchStrategy[object]:
        inside = st.integers(-size, size - 1)
        return st.one_of(inside, st.just(slice(None)), st.builds(slice, inside, st.none(), st.integers(1, 2)))

    items = st.tuples(*(item(s) for s in at.shape))

    def fit(chosen: tuple[object, ...]) -> tuple[object, ...]:
        return ("index", (chosen[0], None, *chosen[1:]) if chosen[0] == slice(None) else chosen)

    def dotted(chosen: tuple[object, ...]) -> tuple[object, ...]:
        return ("index", (..., *chosen[-1:]))

    return st.one_of(items.map(fit), items.map(dotted))


def _repeat(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    return st.tuples(*(st.integers(1, 2) for _ in at.shape)).map(lambda r: ("repeat", *r))


def _repeat_interleave(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    return st.tuples(st.just("repeat_interleave"), st.integers(1, 3), _dim(at))


def _narrow(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    def cut(dim: int) -> st.SearchStrategy[tuple[object, ...]]:
        size = at.shape[dim]
        return st.integers(0, size - 1).flatmap(
            lambda start: st.integers(1, size - start).map(lambda length: ("narrow", dim, start, length))
        )

    return _dim(at).flatmap(cut)


def _select(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    return _dim(at).flatmap(lambda d: st.integers(-at.shape[d], at.shape[d] - 1).map(lambda k: ("select", d, k)))


def _plain(at: Tensor) -> st.SearchStrategy[tuple[object, ...]]:
    return st.sampled_from([("contiguous",), ("clone",)])


ALL = (
    _transpose, _permute, _movedim, _regrouped, _flatten, _unsqueeze, _squeeze, _expand, _index, _repeat,
    _repeat_interleave, _narrow, _select, _plain,
)  # fmt: skip
KINDS = [lambda at, k=k: k(at) if at.dim() else st.just(("unsqueeze", 0)) for k in ALL]


def graph_of(shape: tuple[int, ...], steps: list[tuple[object, ...]]) -> tuple[fx.GraphModule, fx.Node, Tensor]:
    """A graph of the chain, as Dynamo writes it (methods, getitem), its last node, and what that node holds."""
    graph = fx.Graph()
    value = torch.arange(math.prod(shape)).view(shape)
    node = graph.placeholder("x")
    node.meta["example_value"] = value
    for name, *args in steps:
        if name == "index":
            import operator

            node = graph.call_function(operator.getitem, (node, args[0]))  # type: ignore[arg-type]
        else:
            node = graph.call_method(str(name), (node, *args))  # type: ignore[arg-type]
        value = apply(value, (name, *args))
        node.meta["example_value"] = value
    graph.output(node)
    return fx.GraphModule(torch.nn.Module(), graph), node, value


@settings(max_examples=400, deadline=None)
@given(chains())
def test_position_holds_the_same_element(chain: tuple[tuple[int, ...], list[tuple[object, ...]]]) -> None:
    shape, steps = chain
    module, node, value = graph_of(shape, steps)
    symbols = [symbol(f"x{k}") for k in range(value.dim())]
    domain = Domain({s: sympy.Integer(n) for s, n in zip(symbols, value.shape, strict=True)})
    views = Views(CanonicalView(module), domain)
    index = tuple(Int(s) for s in symbols)
    for source, position in views.trace(node, index):
        held = source.meta["example_value"]
        assert len(position) == held.dim()
        places = [as_sympy(p) for p in position]
        for point in itertools.islice(itertools.product(*(range(n) for n in value.shape)), 0, None, 7):
            at = dict(zip(symbols, point, strict=True))
            there = tuple(int(p.subs(at)) for p in places if p is not None)
            assert all(0 <= t < n for t, n in zip(there, held.shape, strict=True))
            assert held[there] == value[point]


@settings(max_examples=150, deadline=None)
@given(chains())
def test_most_views_are_followed_to_the_end(chain: tuple[tuple[int, ...], list[tuple[object, ...]]]) -> None:
    """Only steps that have no single element behind them may stop the walk: there are none among these."""
    shape, steps = chain
    module, node, value = graph_of(shape, steps)
    symbols = [symbol(f"x{k}") for k in range(value.dim())]
    domain = Domain({s: sympy.Integer(n) for s, n in zip(symbols, value.shape, strict=True)})
    trace = Views(CanonicalView(module), domain).trace(node, tuple(Int(s) for s in symbols))
    assert trace[-1][0].op == "placeholder"


@given(SIZES, SIZES)
def test_regroup_needs_as_many_elements(outer: list[int], inner: list[int]) -> None:
    symbols = [symbol(f"x{k}") for k in range(len(outer))]
    domain = Domain({s: sympy.Integer(n) for s, n in zip(symbols, outer, strict=True)})
    sizes = tuple(map(sympy.Integer, outer)), tuple(map(sympy.Integer, inner))
    found = regroup(domain, tuple(Int(s) for s in symbols), *sizes)
    if math.prod(outer) != math.prod(inner):
        assert found is None
    else:
        assert found is not None
        assert len(found) == len(inner)


def test_dynamo_spells_views_as_the_oracle_does() -> None:
    """The hand-made graphs above have the shape of captured ones."""

    def function(x: Tensor) -> Tensor:
        return x.transpose(0, 1)[:, None, 1:].expand(-1, 3, -1, -1).reshape(-1, 2).repeat(2, 1)

    module = capture(function, (torch.randn(3, 4, 2),)).module
    words = [CanonicalView(module).op(n).word for n in module.graph.nodes]
    assert set(words) - {"placeholder", "output"} <= set(RULES)
