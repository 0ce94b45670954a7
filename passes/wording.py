"""What a node does, in plain words for people who know no PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx

from .canonical import Op, called, drops
from .recorded import RecordedGraph, is_attention_op
from .vocabulary import FILLED_VALUE

OPERANDS = {"query": "queries", "key": "keys", "value": "values"}

WORDS = {
    "matmul": "multiply matrices",
    "baddbmm": "multiply matrices and add",
    "einsum": "multiply and sum",
    "einx_dot": "multiply and sum",
    "einx_softmax": "turn scores into probabilities",
    "tensordot": "multiply and sum",
    "linear": "multiply matrices",
    "softmax": "turn scores into probabilities",
    "log_softmax": "turn scores into logarithms of probabilities",
    "exp": "raise e to it",
    "sum": "sum",
    "amax": "the largest",
    "logsumexp": "logarithm of the sum of exponentials",
    "reciprocal": "one over it",
    "dropout": "drop entries at random",
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
    "slice": "take a part",
    "index": "look up by position",
    "mT": "swap two dimensions",
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


def words_for(graph: RecordedGraph, node: fx.Node) -> str:
    """What a node does: with its numbers where they say more than its name."""
    view = graph.view
    if is_attention_op(node):
        name = str(node.kwargs.get("algorithm", "hyper"))
        return "exact attention, piece by piece" if name == "exact" else f"HyperAttention ({name})"
    op = view.op(node)
    if op.word == "opaque":
        return f"computed by {called(node) or node.target}"
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


def _dropout(graph: RecordedGraph, node: fx.Node, op: Op) -> str:
    return "" if drops(op) else "dropout (does nothing here)"


def _cast(graph: RecordedGraph, node: fx.Node, op: Op) -> str:
    value = graph.value(node)
    if not isinstance(value, torch.Tensor):
        return ""
    return "as yes or no" if value.dtype == torch.bool else f"as {str(value.dtype).removeprefix('torch.')}"


def _fill(graph: RecordedGraph, node: fx.Node, op: Op) -> str:
    value = op.arguments.get("value", op.arguments.get("fill_value"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"set to {_number(value)} where masked" if op.word == "masked_fill" else f"fill with {_number(value)}"


def _filled(graph: RecordedGraph, node: fx.Node, op: Op) -> str:
    value = FILLED_VALUE.get(called(node))
    return "" if value is None else f"fill with {value}"


def _where(graph: RecordedGraph, node: fx.Node, op: Op) -> str:
    other = op.arguments.get("other")
    if isinstance(other, bool) or not isinstance(other, int | float):
        return ""
    return f"choose by mask, else {_number(other)}"


def _reshape(graph: RecordedGraph, node: fx.Node, op: Op) -> str:
    return {"unsqueeze": "add a dimension", "squeeze": "drop a dimension"}.get(called(node), "")


def _getitem(graph: RecordedGraph, node: fx.Node, op: Op) -> str:
    index = op.arguments.get("index")
    places = index if isinstance(index, tuple) else (index,)
    if any(isinstance(at, fx.Node) and isinstance(graph.value(at), torch.Tensor) for at in places):
        return "look up by position"
    if None in places and all(at in (None, Ellipsis, slice(None)) for at in places):
        return "add a dimension"
    return ""


_SPECIAL: dict[str, Callable[[RecordedGraph, fx.Node, Op], str]] = {
    "cast": _cast,
    "dropout": _dropout,
    "masked_fill": _fill,
    "full": _fill,
    "where": _where,
    "where_method": _where,
    "filled": _filled,
    "reshape": _reshape,
    "getitem": _getitem,
}
