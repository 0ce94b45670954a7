"""Changes of masks and element-wise steps: comparisons, polarity, one mask more, casts."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from .declare import FILLS, KINDS, bools, change, floats, matrices, score, tensor_over, tensors, weight, word
from .draft import Draft, Unfit

# --- masks ------------------------------------------------------------------------------------------------------------


@change(word("lt", "le", "gt", "ge", "eq", "ne"))
def comparison(d: Draft, n: fx.Node) -> str:
    left, right = d.get(n, "left"), d.get(n, "right", 0)
    target = d.random.choice([operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne])
    if d.random.random() < 0.4:
        left, right = right, left
    d.become(n, target, left, right)
    return n.format_node() or ""


@change(word("arange"))
def position_narrowed(d: Draft, n: fx.Node) -> str:
    """Positions times a number in a dtype that may not hold them: they wrap around, or are rounded."""
    dtype, factor = d.random.choice(
        [(torch.uint8, 60), (torch.int8, 9), (torch.int16, 9000), (torch.int32, 2**28), (torch.bfloat16, 97)]
    )
    large = d.following(n, operator.mul, n, d.random.choice([1, factor]))
    new = d.following(large, "to", large, dtype)
    d.instead(n, new, (large,))
    return f"{new.format_node()} behind {large.format_node()}"


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
        return d.given(tensor_over(d, n, over) > d.random.choice([-0.5, 0.5])), f"a given mask over {over}"
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
