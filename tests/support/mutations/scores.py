"""Changes of numbers: bounds, constants, fills, scales and biases."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import Tensor, fx

from .declare import FILLS, KINDS, change, score, tensor_over, word
from .draft import Draft


def _whole_places(args: Any) -> list[tuple[int, ...]]:
    """Ways to every whole number in nested arguments, slices included."""
    if isinstance(args, slice):
        return [(k,) for k, v in enumerate((args.start, args.stop, args.step)) if _whole(v) or v is None]
    if isinstance(args, tuple | list):
        return [(k, *way) for k, v in enumerate(args) for way in ([()] if _whole(v) else _whole_places(v))]
    return []


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _moved(args: Any, way: tuple[int, ...], by: int) -> Any:
    if not way:
        return (args or 0) + by
    if isinstance(args, slice):
        parts = [args.start, args.stop, args.step]
        parts[way[0]] = _moved(parts[way[0]], way[1:], by)
        return slice(*parts)
    return tuple(_moved(v, way[1:], by) if k == way[0] else v for k, v in enumerate(args))


@change(word("tril", "triu"))
def diagonal(d: Draft, n: fx.Node) -> str | None:
    old = d.get(n, "diagonal", 0)
    if not _whole(old):
        return None
    new = old + d.random.choice([-3, -2, -1, 1, 2])
    d.set(n, "diagonal", new)
    return f"{new} for {old}"


@change(lambda d, n: d.word(n) in ("arange", "getitem", "narrow", "select", "split", "full", "filled", "roll"))
def bound_moved(d: Draft, n: fx.Node) -> str | None:
    places = _whole_places(n.args)
    if not places:
        return None
    way, by = d.random.choice(places), d.random.choice([-1, 1])
    n.args = _moved(n.args, way, by)
    d.changed(n)
    return f"{way} by {by}: {n.format_node()}"


@change(word("arange"))
def arange_start(d: Draft, n: fx.Node) -> str:
    new = d.following(n, operator.add if d.random.random() < 0.5 else operator.sub, n, d.random.choice([1, 2, 3]))
    d.instead(n, new)
    return f"{new.format_node()} behind"


@change(word("add", "sub", "mul", "div", "lt", "le", "gt", "ge", "eq", "ne", "floordiv", "remainder", "clamp"))
def constant(d: Draft, n: fx.Node) -> str | None:
    """A number in arithmetic: another one, among them 0, 1 and the negative."""
    places = [k for k, v in enumerate(n.args) if isinstance(v, int | float) and not isinstance(v, bool)]
    if not places:
        return None
    k = d.random.choice(places)
    new = d.random.choice([-n.args[k], 0, 1, n.args[k] + 1, n.args[k] * 0.5, n.args[k] * 2, -math.inf, -1e4, -10.0])
    d.become(n, n.target, *(new if i == k else v for i, v in enumerate(n.args)), **n.kwargs)
    return f"{new} for {n.args[k]}"


@change(word("masked_fill", "where", "where_method", "full", "mul"))
def fill(d: Draft, n: fx.Node) -> str | None:
    """What is put in the place of a forbidden score, or added to it."""
    names = {"masked_fill": ("value",), "full": ("fill_value",), "mul": ("left", "right")}
    for name in names.get(d.word(n), ("then", "other")):
        old = d.get(n, name)
        number = isinstance(old, int | float) and not isinstance(old, bool)
        if number and (d.word(n) != "mul" or abs(old) > 1000):
            new = d.random.choice(FILLS)
            d.set(n, name, new)
            return f"{name}={new} for {old}"
    return None


@change(score)
def scaled(d: Draft, n: fx.Node) -> str:
    """Scores times a number, or times a tensor over keys, rows or heads."""
    factor = d.random.choice([-1.0, 0.0, 1.0, 0.25, 3.0, "keys", "rows", "heads"])
    value = factor if isinstance(factor, float) else tensor_over(d, n, factor).abs()
    node = d.given(value) if isinstance(value, Tensor) else value
    target = d.random.choice([operator.mul, torch.mul, "mul", operator.truediv])
    d.instead(n, d.following(n, target, n, node))
    return f"{'divided by' if target is operator.truediv else 'times'} {factor} behind"


@change(score)
def bias(d: Draft, n: fx.Node) -> str:
    """A tensor added to scores, before or behind whatever else is done to them."""
    kind = d.random.choice(KINDS)
    term = d.given(tensor_over(d, n, kind).to(d.tensor(n).dtype))
    target = d.random.choice([operator.add, torch.add, operator.sub, "add_", operator.iadd])
    args = (term, n) if target is operator.add and d.random.random() < 0.5 else (n, term)
    kwargs = {"alpha": 2} if target is torch.add and d.random.random() < 0.5 else {}
    new = d.following(n, target, *args, **kwargs)
    d.instead(n, new)
    return f"{new.format_node()} over {kind} behind"


@change(score)
def computed_bias(d: Draft, n: fx.Node) -> str:
    """Positions added to scores: of the key, of the query, or their distance."""
    rows, keys = d.shape(n)[-2:]
    key = d.following(n, torch.arange, keys)
    row = d.following(key, torch.arange, rows)
    column = d.following(row, operator.getitem, row, (slice(None), None))
    left = d.random.choice([key, column])
    distance = d.following(column, operator.sub, left, column if left is key else key)
    sized = d.following(distance, operator.mul, distance, d.random.choice([-0.1, -1e4, 0.5]))
    new = d.following(sized, operator.add, n, sized)
    d.instead(n, new, (key, row, column, distance, sized))
    return f"{sized.format_node()} added behind"
