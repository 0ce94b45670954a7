"""Changes of how a call is spelled, and of the arguments of SDPA."""

from __future__ import annotations

import math
import operator

import torch
import torch.nn.functional as F
from torch import fx

from .declare import KINDS, change, tensor_over, word
from .draft import Draft

# Parameters as torch documents them, and other names that it takes for them.
KEYWORDS: dict[str, tuple[str, ...]] = {
    "matmul": ("input", "other"), "transpose": ("input", "dim0", "dim1"), "add": ("input", "other"),
    "mul": ("input", "other"), "div": ("input", "other"), "sub": ("input", "other"),
    "where": ("condition", "input", "other"),
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


@change(lambda d, n: d.word(n) == "softmax" and isinstance(d.get(n, "dim"), int) and d.is_float(d.get(n, "input")))
def softmax_spelled_out(d: Draft, n: fx.Node) -> str:
    """Exponentials over their sum, below their maximum or not; or of logarithms."""
    scores, dim = d.get(n, "input"), d.get(n, "dim")
    kind = d.random.choice(["below", "bare", "other", "log"])
    if kind == "log":
        exp = d.call(n, torch.exp, d.call(n, torch.log_softmax, scores, dim))
        d.become(n, operator.mul, exp, 1.0)
        return "log_softmax, then exp"
    if kind != "bare":  # or below the maximum along another dim
        axis = dim if kind == "below" else d.random.choice([-1, -2])
        scores = d.call(n, torch.sub, scores, d.call(n, torch.amax, scores, axis, True))
    exp = d.call(n, torch.exp, scores)
    d.become(n, torch.div, exp, d.call(n, torch.sum, exp, dim, keepdim=True))
    return f"exponentials over their sum, {kind}"


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
    values = tensor_over(d, like, kind)
    values = d.random.choice([values, values > 0, values > 1.5, torch.where(values > 0, 0.0, -math.inf), values - 1e4])
    d.set(n, "attn_mask", d.given(values))
    if d.get(n, "is_causal"):
        d.set(n, "is_causal", False)
    return f"attn_mask over {kind}, {values.dtype}"
