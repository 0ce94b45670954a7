"""What may be changed: a function for each change, declared with the nodes that it fits.

A change returns what it did, in words, or None where it did nothing. Whether the graph still runs is found out later.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from .draft import PRODUCTS, Draft, Unfit

Fits = Callable[[Draft, fx.Node], bool]


@dataclass(frozen=True)
class Change:
    """One kind of change: which nodes it fits, and how it is made there."""

    name: str
    fits: Fits
    make: Callable[[Draft, fx.Node], str | None]


CHANGES: list[Change] = []


def change(fits: Fits) -> Callable[[Callable[[Draft, fx.Node], str | None]], Callable[[Draft, fx.Node], str | None]]:
    """Declare a change."""

    def keep(make: Callable[[Draft, fx.Node], str | None]) -> Callable[[Draft, fx.Node], str | None]:
        CHANGES.append(Change(make.__name__, fits, make))
        return make

    return keep


# --- which nodes ------------------------------------------------------------------------------------------------------


def word(*names: str) -> Fits:
    """Nodes of these canonical words."""
    return lambda d, n: d.word(n) in names


def score(d: Draft, n: fx.Node) -> bool:
    """Scores, from the product to softmax."""
    return n in d.scores


def weight(d: Draft, n: fx.Node) -> bool:
    """Probabilities, up to the product with the values."""
    return n in d.weights


def floats(d: Draft, n: fx.Node) -> bool:
    """Tensors of numbers with a fraction."""
    return d.is_float(n)


def bools(d: Draft, n: fx.Node) -> bool:
    """Masks of truth values."""
    return d.is_bool(n)


def tensors(d: Draft, n: fx.Node) -> bool:
    """Tensors of at least one dim."""
    return len(d.shape(n)) > 0


def matrices(d: Draft, n: fx.Node) -> bool:
    """Tensors of two dims or more."""
    return len(d.shape(n)) > 1


# --- views ------------------------------------------------------------------------------------------------------------


@change(word("softmax"))
def softmax_dim(d: Draft, n: fx.Node) -> str:
    dim = d.random.randrange(-len(d.shape(n)), len(d.shape(n)))
    d.set(n, "dim", dim)
    return f"dim={dim}"


@change(word("permute", "transpose", "movedim"))
def dims_swapped(d: Draft, n: fx.Node) -> str:
    rank = len(d.shape(n))
    if d.word(n) != "permute":
        name = d.random.choice([p for p in d.spelling(n).parameters if p != "input"])
        dim = d.random.randrange(-rank, rank)
        d.set(n, name, dim)
        return f"{name}={dim}"
    flat = list(n.args[1:])
    dims = list(flat[0] if flat and isinstance(flat[0], tuple | list) else flat)
    i, j = d.random.sample(range(rank), 2)
    dims[i], dims[j] = dims[j], dims[i]
    d.become(n, torch.permute, n.args[0], tuple(dims))
    return f"permute{tuple(dims)}"


@change(word("permute", "transpose", "t", "getattr", "contiguous", "dropout", "cast", "tril", "triu", "expand", "not"))
def step_dropped(d: Draft, n: fx.Node) -> str | None:
    source = d.get(n, "input")
    if not isinstance(source, fx.Node) or n is d.anchor:
        return None
    d.instead(n, source)
    return f"{source.name} is read instead"


@change(matrices)
def transposed(d: Draft, n: fx.Node) -> str:
    i, j = d.random.sample(range(len(d.shape(n))), 2)
    new = d.following(n, "transpose", n, i, j)
    d.instead(n, new)
    return f"transpose({i}, {j}) behind"


@change(word("reshape", "identity"))
def other_view(d: Draft, n: fx.Node) -> str | None:
    if n.op != "call_method":
        return None
    other = {"view": "reshape", "reshape": "view", "contiguous": "clone", "clone": "contiguous"}.get(str(n.target))
    if other is None:
        return None
    d.become(n, other, *n.args, **n.kwargs)
    return other


@change(tensors)
def copied(d: Draft, n: fx.Node) -> str:
    name = d.random.choice(["clone", "contiguous", "detach"])
    d.instead(n, d.following(n, name, n))
    return f"{name}() behind"


@change(lambda d, n: any(s > 2 and s % 2 == 0 for s in d.shape(n)))
def merged_in_another_order(d: Draft, n: fx.Node) -> str:
    """A dim of b·H + h becomes one of h·B + b; repeat_interleave becomes repeat."""
    shape = d.shape(n)
    dim = d.random.choice([k for k, s in enumerate(shape) if s > 2 and s % 2 == 0])
    parts = d.random.choice([(2, shape[dim] // 2), (shape[dim] // 2, 2)])
    apart = d.following(n, "reshape", n, (*shape[:dim], *parts, *shape[dim + 1 :]))
    turned = d.following(apart, "transpose", apart, dim, dim + 1)
    d.instead(n, d.following(turned, "reshape", turned, shape), (apart, turned))
    return f"dim {dim} taken apart into {parts}, turned and merged"


@change(word("repeat_interleave", "repeat", "expand"))
def heads_repeated_otherwise(d: Draft, n: fx.Node) -> str | None:
    source, shape = d.get(n, "input"), d.shape(n)
    if d.word(n) == "repeat_interleave":
        times = [b // a for a, b in zip(d.shape(source), shape, strict=True)]
        d.become(n, "repeat", source, *times)
        return f"repeat{tuple(times)}"
    grown = [(k, b // a) for k, (a, b) in enumerate(zip(d.shape(source), shape, strict=False)) if a and b > a]
    if not grown or len(shape) != len(d.shape(source)):
        return None
    dim, times = grown[0]
    d.become(n, "repeat_interleave", source, times, dim=dim)
    return f"repeat_interleave({times}, dim={dim})"


@change(lambda d, n: any(d.get(n, k) is not None for k in ("dim", "dim0", "start")) and d.word(n) != "softmax")
def another_dim(d: Draft, n: fx.Node) -> str:
    name = d.random.choice([k for k in ("dim", "dim0", "start") if d.get(n, k) is not None])
    value = d.random.randrange(-2, max(len(d.shape(n)), 1))
    d.set(n, name, value)
    return f"{name}={value}"


@change(word("einsum"))
def einsum_letters(d: Draft, n: fx.Node) -> str:
    text = d.get(n, "equation")
    at = [k for k, c in enumerate(text) if c.isalpha()]
    i, j = d.random.sample(at, 2)
    letters = list(text)
    letters[i], letters[j] = letters[j], letters[i]
    d.set(n, "equation", "".join(letters))
    return "".join(letters)


@change(word("cat", "hstack"))
def parts_in_another_order(d: Draft, n: fx.Node) -> str:
    parts = tuple(reversed(d.get(n, "tensors")))
    d.set(n, "tensors", parts)
    return "reversed"


# --- numbers ----------------------------------------------------------------------------------------------------------


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


FILLS = (-math.inf, torch.finfo(torch.float32).min, -1e9, -1e4, -10.0, 0.0, 1.0, math.inf, math.nan)


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
    value = factor if isinstance(factor, float) else _tensor_over(d, n, factor).abs()
    node = d.given(value) if isinstance(value, Tensor) else value
    target = d.random.choice([operator.mul, torch.mul, "mul", operator.truediv])
    d.instead(n, d.following(n, target, n, node))
    return f"{'divided by' if target is operator.truediv else 'times'} {factor} behind"


KINDS = ("keys", "rows", "heads", "batch", "both", "matrix", "all", "one")


def _tensor_over(d: Draft, n: fx.Node, kind: str) -> Tensor:
    """Random numbers that broadcast with a tensor of scores: over its last dim, the one before, …"""
    shape = d.shape(n)
    keep = {
        "keys": {-1}, "rows": {-2}, "heads": {-3}, "batch": {-len(shape)}, "both": {-len(shape), -1},
        "matrix": {-1, -2}, "all": set(range(-len(shape), 0)), "one": set(),
    }[kind]  # fmt: skip
    sizes = [s if k - len(shape) in keep else 1 for k, s in enumerate(shape)]
    return torch.randn(sizes, generator=torch.Generator().manual_seed(d.random.randrange(10**6)))


@change(score)
def bias(d: Draft, n: fx.Node) -> str:
    """A tensor added to scores, before or behind whatever else is done to them."""
    kind = d.random.choice(KINDS)
    term = d.given(_tensor_over(d, n, kind).to(d.tensor(n).dtype))
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


# --- masks ------------------------------------------------------------------------------------------------------------


@change(word("lt", "le", "gt", "ge", "eq", "ne"))
def comparison(d: Draft, n: fx.Node) -> str:
    left, right = d.get(n, "left"), d.get(n, "right", 0)
    target = d.random.choice([operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne])
    if d.random.random() < 0.4:
        left, right = right, left
    d.become(n, target, left, right)
    return n.format_node() or ""


@change(bools)
def negated(d: Draft, n: fx.Node) -> str:
    new = d.following(n, d.random.choice([operator.invert, torch.logical_not]), n)
    d.instead(n, new)
    return "~ behind"


@change(word("where", "where_method"))
def branches_swapped(d: Draft, n: fx.Node) -> str:
    condition, then, other = (d.get(n, k) for k in ("condition", "then", "other"))
    d.become(n, torch.where, condition, other, then)
    return n.format_node() or ""


SISTERS: dict[str, tuple[Any, ...]] = {
    "add": (operator.sub, operator.mul, torch.maximum), "sub": (operator.add, torch.rsub), "mul": (operator.truediv,),
    "div": (operator.mul, operator.floordiv), "and": (operator.or_, operator.xor), "or": (operator.and_,),
    "minimum": (torch.maximum,), "maximum": (torch.minimum,), "tril": (torch.triu,), "triu": (torch.tril,),
    "floordiv": (operator.mod,), "remainder": (operator.floordiv,), "filled": (torch.ones_like, torch.zeros_like),
    "cumsum": (torch.cumprod,), "softmax": (torch.log_softmax,), "tanh": (torch.sigmoid, torch.sin),
}  # fmt: skip


@change(lambda d, n: d.word(n) in SISTERS)
def sister(d: Draft, n: fx.Node) -> str:
    """Another operation with the same arguments."""
    target = d.random.choice(SISTERS[d.word(n)])
    d.become(n, target, *n.args, **n.kwargs)
    return n.format_node() or ""


@change(lambda d, n: len(n.args) == 2 and all(isinstance(a, fx.Node) for a in n.args))
def operands_exchanged(d: Draft, n: fx.Node) -> str:
    d.become(n, n.target, n.args[1], n.args[0], **n.kwargs)
    return n.format_node() or ""


@change(lambda d, n: (bools(d, n) or floats(d, n)) and matrices(d, n) and not score(d, n) and not weight(d, n))
def mask_narrowed(d: Draft, n: fx.Node) -> str:
    """n×1, 1×n or 1×1: its first column, its first row or both."""
    index = d.random.choice([(..., slice(None, 1)), (..., slice(None, 1), slice(None))])
    new = d.following(n, operator.getitem, n, index)
    d.instead(n, new)
    return f"{index} behind"


def _mask(d: Draft, n: fx.Node) -> tuple[fx.Node, str]:
    """A mask for scores or probabilities: a given one, one made of positions, or one that the graph has."""
    kind = d.random.choice(["given", "given", "positions", "old", "old"])
    if kind == "given":
        over = d.random.choice(KINDS)
        return d.given(_tensor_over(d, n, over) > d.random.choice([-0.5, 0.5])), f"a given mask over {over}"
    if kind == "positions":
        rows, keys = d.shape(n)[-2:]
        key = d.call(n.next, torch.arange, keys)
        row = d.call(n.next, operator.getitem, d.call(n.next, torch.arange, rows), (slice(None), None))
        shifted = d.call(n.next, operator.add, row, d.random.choice([-2, -1, 0, 1]))
        target = d.random.choice([operator.lt, operator.le, operator.gt, operator.ge])
        return d.call(n.next, target, key, shifted), f"a mask {target.__name__} of positions"
    old = [m for m in d.region if d.is_bool(m) and d.order[m] < d.order[n]]
    if not old:
        raise Unfit
    mask = d.random.choice(old)
    return (d.call(n.next, operator.invert, mask), f"~{mask.name}") if d.random.random() < 0.5 else (mask, mask.name)


@change(lambda d, n: score(d, n) or weight(d, n))
def masked_once_more(d: Draft, n: fx.Node) -> str:
    """A second mask, which may contradict the first, on scores or probabilities."""
    mask, said = _mask(d, n)
    value = d.random.choice(FILLS[:6])
    how = d.random.choice(["masked_fill", "masked_fill_", "where", "other where", "add", "mul"])
    d.order = {node: k for k, node in enumerate(d.graph.nodes)}
    after = max((n, mask), key=d.order.__getitem__).next
    chain: list[fx.Node] = []
    if how.startswith("masked"):
        new = d.call(after, how, n, mask, value)
    elif how in ("where", "other where"):
        new = d.call(after, torch.where, mask, *((n, value) if how == "where" else (value, n)))
    elif how == "add":
        chain = [d.call(after, torch.where, mask, 0.0, value)]
        new = d.call(after, operator.add, n, chain[0])
    else:
        new = d.call(after, operator.mul, n, mask)
    d.instead(n, new, chain)
    return f"{how} by {said}, fill {value}"


# --- casts and steps --------------------------------------------------------------------------------------------------


@change(floats)
def cast_and_back(d: Draft, n: fx.Node) -> str:
    dtype = d.random.choice([torch.bfloat16, torch.float64, torch.float64, torch.float16, torch.int64, torch.bool])
    there = d.following(n, "to", n, dtype)
    back = d.following(there, "to", there, d.tensor(n).dtype)
    d.instead(n, back, (there,))
    return f"to {dtype} and back behind"


@change(tensors)
def cast_inserted(d: Draft, n: fx.Node) -> str:
    name = d.random.choice(["double", "float", "bool", "int", "long", "bfloat16"])
    d.instead(n, d.following(n, name, n))
    return f"{name}() behind"


@change(word("softmax"))
def softmax_dtype(d: Draft, n: fx.Node) -> str:
    dtype = d.random.choice([torch.float64, torch.float64, torch.float32, torch.bfloat16])
    d.set(n, "dtype", dtype)
    back = d.following(n, "to", n, d.tensor(d.get(n, "input")).dtype)
    d.instead(n, back)
    return f"dtype={dtype}"


STEPS: tuple[tuple[Any, ...], ...] = (
    (torch.tanh,), (F.relu,), (torch.neg,), (torch.abs,), (torch.exp,), (torch.sigmoid,), (torch.nan_to_num,),
    (torch.clamp, -5.0, 5.0), (torch.clamp, torch.finfo(torch.float32).min), ("clamp_", -1.0), (torch.square,),
    (F.dropout, 0.5, False), (F.dropout, 0.3, True), (torch.floor,), ("tril",), ("triu", 1), ("flip", -1),
    ("roll", 1, -1), ("cumsum", -1), (torch.sub, 1.0), (operator.mul, 1.0), (torch.isnan,), ("sort", -1),
)  # fmt: skip


@change(floats)
def step_inserted(d: Draft, n: fx.Node) -> str:
    """An element-wise (or not so element-wise) step behind any tensor."""
    target, *rest = d.random.choice(STEPS)
    new = chain = d.following(n, target, n, *rest)
    if target == "sort":
        new = d.following(chain, operator.getitem, chain, 0)
    d.instead(n, new, (chain,))
    return f"{new.format_node()} behind"


@change(score)
def capped(d: Draft, n: fx.Node) -> str:
    """cap·tanh(scores / cap) anywhere on the way."""
    divided = d.following(n, operator.truediv, n, 3.0)
    squeezed = d.following(divided, torch.tanh, divided)
    d.instead(n, d.following(squeezed, operator.mul, squeezed, d.random.choice([3.0, 2.0])), (divided, squeezed))
    return "tanh behind"


@change(score)
def shifted_by_maximum(d: Draft, n: fx.Node) -> str:
    """Minus the largest score of a row, or of a column, or of all."""
    dim = d.random.choice([(-1,), (-1,), (-2,), (-1, -2)])
    top = d.following(n, torch.amax, n, dim, True)
    d.instead(n, d.following(top, operator.sub, n, top), (top,))
    return f"minus amax over {dim} behind"


# --- who reads what ---------------------------------------------------------------------------------------------------


@change(tensors)
def returned(d: Draft, n: fx.Node) -> str:
    """Also an output of the graph."""
    output = next(m for m in reversed(d.graph.nodes) if m.op == "output")
    output.args = ((*output.args[0], n),)
    return "returned too"


@change(lambda d, n: score(d, n) or weight(d, n))
def read_twice(d: Draft, n: fx.Node) -> str:
    """A second reader, whose sum is returned; sometimes a product."""
    target, *rest = d.random.choice([("sum",), ("amax", -1), ("softmax", -1), ("mean", -1), ("add_", 1.0)])
    reader = d.following(n, target, n, *rest)
    output = next(m for m in reversed(d.graph.nodes) if m.op == "output")
    output.args = ((*output.args[0], reader),)
    return f"{reader.format_node()} returned too"


@change(weight)
def weights_changed(d: Draft, n: fx.Node) -> str:
    kind = d.random.choice(KINDS)
    term = d.given(_tensor_over(d, n, kind).abs())
    target = d.random.choice([operator.mul, operator.add, operator.truediv, "mul_", "add_"])
    d.instead(n, d.following(n, target, n, term))
    return f"{target} with a tensor over {kind} behind"


@change(lambda d, n: len(n.all_input_nodes) > 0)
def rewired(d: Draft, n: fx.Node) -> str | None:
    """An operand becomes another tensor of the same shape: K and V exchanged, masks of another layer, …"""
    old = d.random.choice(n.all_input_nodes)
    mine = d.tensor(old)
    if mine is None:
        return None
    others = [m for m in d.region if m is not old and d.order[m] < d.order[n] and d.tensor(m) is not None]
    others = [m for m in others if d.shape(m) == d.shape(old) and d.tensor(m).dtype == mine.dtype]
    if not others:
        return None
    new = d.random.choice(others)
    n.replace_input_with(old, new)
    d.changed(n)
    return f"{new.name} for {old.name}"


@change(word(*PRODUCTS))
def another_operand(d: Draft, n: fx.Node) -> str:
    """An operand of a product that differs: a given tensor, or its rows rolled."""
    old = d.random.choice([m for m in n.all_input_nodes if floats(d, m)])
    new = d.call(n, "roll", old, 1, d.random.randrange(len(d.shape(old))))
    n.replace_input_with(old, new)
    d.changed(n)
    return f"{old.name} rolled"


@change(word("dropout"))
def dropout(d: Draft, n: fx.Node) -> str:
    p, active = d.random.choice([0.0, 0.1, 0.5]), d.random.random() < 0.5
    d.become(n, F.dropout, d.get(n, "input"), p, active)
    return f"p={p}, training={active}"


# Ways to get at the storage of a tensor under another name.
ALIASES: tuple[tuple[tuple[Any, ...], ...], ...] = (
    (("view", -1),), (("transpose", -1, -2),), ((operator.getitem, (..., slice(1, None))),), (("select", 0, 0),),
    (("select", -1, 0),), (("detach",),), (("flatten",),), (("reshape", -1),), (("squeeze",),), (("unsqueeze", 0),),
    (("diagonal", 0, -2, -1),), (("unfold", -1, 1, 1),), (("contiguous",),), (("float",),), ((getattr, "mT"),),
    (("narrow", -1, 0, 1),), (("swapaxes", -1, -2),), ((F.dropout, 0.1, False),), ((operator.pos,),), ((getattr, "real"),),
    (("chunk", 1), (operator.getitem, 0)), (("unbind", 0), (operator.getitem, 0)), (("split", 1), (operator.getitem, 0)),
    ((torch.atleast_3d,),), ((torch.broadcast_tensors,), (operator.getitem, 0)), (("movedim", 0, -1),),
    ((torch.squeeze, 0),), (("type", torch.float32),), ((torch.ravel,),),
)  # fmt: skip


# --- writing in place -------------------------------------------------------------------------------------------------


@change(tensors)
def written_in_place(d: Draft, n: fx.Node) -> str:
    """A tensor, or a view of it, is written at some later place; readers behind may or may not read the result."""
    place = d.random.choice(list(d.later(n)) or [n.next])
    early = d.random.random() < 0.5
    where = n.next if early else place
    target, made = n, "itself"
    alias = d.random.choice([None, None, *ALIASES])
    for k, step in enumerate(alias or ()):
        target = d.call(where, step[0], target, *step[1:])
        made = "" if k == 0 else made
        made += f"{target.target if isinstance(target.target, str) else target.target.__name__}{step[1:]}"
    new, said = _write(d, n, target, place)
    if alias is None and isinstance(new, fx.Node) and d.random.random() < 0.3:
        d.order = {node: k for k, node in enumerate(d.graph.nodes)}
        for user in [u for u in n.users if u is not new and d.order[u] > d.order[new]]:
            user.replace_input_with(n, new)
            d.changed(user)
        said += ", its result is read behind"
    return f"{made}{' (viewed early)' if early else ''}: {said}, in front of {place.name}"


def _write(d: Draft, n: fx.Node, target: fx.Node, place: fx.Node) -> tuple[fx.Node | None, str]:
    number = True if bools(d, n) else 1
    ways: list[tuple[Any, ...]] = [
        ("zero_",), ("fill_", number), (operator.setitem, (..., slice(None, 1)), 0), (operator.setitem, 0, number),
    ]  # fmt: skip
    if bools(d, n):
        ways += [("logical_not_",), (operator.iand, False), (torch.logical_not, "out")]
    else:
        ways += [("add_", 1), ("mul_", 2), ("neg_",), ("clamp_", 0), (operator.iadd, 1), (operator.imul, 2)]
        ways += [
            (operator.setitem, "mask", 0),
            ("copy_", 0.5),
            (torch.mul, 2, "out"),
            ("triu_",),
            ("masked_fill_", "mask"),
            ("index_fill_", -1),
        ]
    way = list(d.random.choice(ways))
    if way[0] == "copy_":
        way[1] = d.given(torch.full((), 0.5))
    if way[0] == "index_fill_":
        way[2:] = [d.given(torch.tensor([0])), 0]
    if way[1:2] == ["mask"]:
        masks = [m for m in d.region if d.is_bool(m) and d.order[m] < d.order[n]]
        mask = d.random.choice(masks) if masks else d.given(_tensor_over(d, n, "keys") > 0)
        way[1:] = [mask, 0]
    if way[-1] == "out":
        return d.call(place, way[0], target, *way[1:-1], out=target), f"{way[0].__name__}(…, out=)"
    name = way[0] if isinstance(way[0], str) else way[0].__name__
    return d.call(place, way[0], target, *way[1:]), f"{name}{tuple(way[1:])}"


# --- spellings and arguments ------------------------------------------------------------------------------------------

# Parameters as torch documents them, and other names that it takes for them.
KEYWORDS: dict[str, tuple[str, ...]] = {
    "matmul": ("input", "other"), "transpose": ("input", "dim0", "dim1"), "add": ("input", "other"),
    "mul": ("input", "other"), "div": ("input", "other"), "sub": ("input", "other"), "where": ("condition", "input", "other"),
    "masked_fill": ("input", "mask", "value"), "softmax": ("input", "dim"), "le": ("input", "other"),
    "lt": ("input", "other"), "gt": ("input", "other"), "ge": ("input", "other"), "tril": ("input", "diagonal"),
    "triu": ("input", "diagonal"), "cat": ("tensors", "dim"), "permute": ("input", "dims"),
    "sdpa": ("query", "key", "value", "attn_mask", "dropout_p", "is_causal"),
}  # fmt: skip
FUNCTION = {
    "matmul": torch.matmul, "transpose": torch.transpose, "add": torch.add, "mul": torch.mul, "div": torch.div,
    "sub": torch.sub, "where": torch.where, "masked_fill": torch.masked_fill, "softmax": torch.softmax, "le": torch.le,
    "lt": torch.lt, "gt": torch.gt, "ge": torch.ge, "tril": torch.tril, "triu": torch.triu, "cat": torch.cat,
    "permute": torch.permute, "sdpa": F.scaled_dot_product_attention,
}  # fmt: skip
OTHER_NAMES = {"input": ("x1", "x", "a", "self"), "other": ("x2",), "dim": ("axis",), "dim0": ("axis0",)}


@change(lambda d, n: d.word(n) in KEYWORDS and len(n.args) > 0 and not d.view.op(n).in_place)
def spelled_by_keywords(d: Draft, n: fx.Node) -> str | None:
    name = d.word(n)
    if len(n.args) > len(KEYWORDS[name]):
        return None
    given = dict(zip(KEYWORDS[name], n.args, strict=False))
    if set(given) & set(n.kwargs):
        return None
    for key in list(given):
        if d.random.random() < 0.3 and key in OTHER_NAMES:
            given = {d.random.choice(OTHER_NAMES[key]) if k == key else k: v for k, v in given.items()}
    if name in ("add", "sub") and d.random.random() < 0.5:
        given["alpha"] = 2
    if name == "matmul" and d.random.random() < 0.1:
        given["out"] = None
    items = list(given.items())
    d.random.shuffle(items)
    d.become(n, FUNCTION[name], **dict(items), **n.kwargs)
    return n.format_node()


@change(word("sdpa"))
def sdpa_argument(d: Draft, n: fx.Node) -> str:
    name, value = d.random.choice(
        [("is_causal", True), ("is_causal", False), ("scale", 0.3), ("scale", -1.0), ("scale", 0.0), ("scale", 1.0),
         ("attn_mask", None), ("dropout_p", 0.3), ("enable_gqa", True), ("enable_gqa", False)]
    )  # fmt: skip
    if name == "is_causal" and value:
        d.set(n, "attn_mask", None)
    d.set(n, name, value)
    return f"{name}={value}"


@change(word("sdpa"))
def sdpa_mask(d: Draft, n: fx.Node) -> str:
    """A mask or bias of some shape for the call."""
    query, key = d.get(n, "query"), d.get(n, "key")
    shape = (*d.shape(n)[:-1], d.shape(key)[-2])
    like = d.call(n, "new_zeros", query, shape)
    like.meta["example_value"] = d.tensor(query).new_zeros(shape)
    kind = d.random.choice(KINDS)
    values = _tensor_over(d, like, kind)
    values = d.random.choice([values, values > 0, values > 1.5, torch.where(values > 0, 0.0, -math.inf), values - 1e4])
    d.set(n, "attn_mask", d.given(values))
    if d.get(n, "is_causal"):
        d.set(n, "is_causal", False)
    return f"attn_mask over {kind}, {values.dtype}"
