"""One vocabulary over torch functions, tensor methods, operators, in-place forms and ATen operators.

Each word is one declaration: the canonical name, the parameters it is read by, and everything that spells it. A
spelling whose positional order differs brings its own parameter list. A new spelling is one entry here and nothing
elsewhere. An ATen operator spells what the function or method of its name spells; "aten::slice" declares one whose
name nothing else has; `aten.py` reads its arguments by the names in its schema. "einx.dot" declares a function of a
library that need not be there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

SDPA = torch._C._nn.scaled_dot_product_attention  # the function itself: context parallel puts another in F's place


@dataclass(frozen=True, slots=True)
class Spelling:
    """One way to write a word: parameter names in positional order; `*name` gathers the rest."""

    word: str
    parameters: tuple[str, ...]
    in_place: bool = False

    def parameter(self, keyword: str) -> str | None:
        """The parameter that a keyword argument gives, in canonical words; None for one that is not known."""
        names = tuple(name.removeprefix("*") for name in self.parameters)
        if keyword in names or keyword in KEYWORDS.get(self.word, ()):
            return keyword
        name = ALIASES.get(self.word, {}).get(keyword, COMMON_ALIASES.get(keyword, keyword))
        if isinstance(name, int) and name < len(names):
            return names[name]
        if self.word in ANY_KEYWORD:
            return keyword
        return name if name in names or name in FACTORY_KEYWORDS else None


# What torch calls a parameter elsewhere: a position in the parameter list, or a name. torch takes numpy's names too.
COMMON_ALIASES: dict[str, int | str] = {
    "input": 0,
    "self": 0,
    "x": 0,
    "a": 0,
    "x1": 0,
    "other": 1,
    "x2": 1,
    "axis": "dim",
    "axis0": "dim0",
    "axis1": "dim1",
}
ALIASES: dict[str, dict[str, int]] = {
    "matmul": {"mat1": 0, "mat2": 1, "tensor2": 1},
    "baddbmm": {"batch1": 1, "batch2": 2, "mat1": 1, "mat2": 2},
    "einsum": {"tensors": 1},
    "tensordot": {"a": 0, "b": 1},
    "where": {"input": 1, "self": 1, "x": 1},
}
# Keywords that matter beside the parameters, and those that say only what kind of tensor a call makes.
KEYWORDS = {
    "add": ("alpha",),
    "sub": ("alpha",),
    "arange": ("start", "end", "step"),
    "repeat_interleave": ("output_size",),
    "tensor": ("s", "obj"),
    "einsum": ("operands",),
    "split": ("split_size_or_sections", "split_size", "split_sizes"),
    "minimum": ("dim", "keepdim"),
    "maximum": ("dim", "keepdim"),
}
FACTORY_KEYWORDS = frozenset(("dtype", "device", "layout", "memory_format", "requires_grad", "pin_memory"))
# Words that are read by the shapes of what goes in and out, or not at all.
ANY_KEYWORD = frozenset(("reshape", "expand", "identity", "cast", "filled", "full", "multi_head_attention", "write"))


def _declare() -> tuple[dict[Callable[..., Any], Spelling], dict[str, Spelling], dict[str, Spelling]]:
    functions: dict[Callable[..., Any], Spelling] = {}
    methods: dict[str, Spelling] = {}
    operators: dict[str, Spelling] = {}

    def word(name: str, parameters: str, *spellings: Callable[..., Any] | str, in_place: bool = False) -> None:
        for spelling in spellings:
            entry = Spelling(name, tuple(parameters.split()), in_place)
            if isinstance(spelling, str) and spelling.startswith("einx."):
                operators[spelling] = entry
            elif isinstance(spelling, str) and spelling.startswith("aten::"):
                operators[spelling.removeprefix("aten::")] = entry
            elif isinstance(spelling, str):
                methods[spelling] = entry
            else:
                functions[spelling] = entry

    # contractions
    word(
        "matmul",
        "left right",
        torch.matmul,
        operator.matmul,
        torch.Tensor.matmul,
        "matmul",
        "__matmul__",
        "__rmatmul__",
    )
    word("matmul", "left right", torch.bmm, "bmm", torch.mm, "mm")
    word("baddbmm", "input left right beta alpha", torch.baddbmm, "baddbmm", torch.addmm, "addmm")
    word("einsum", "equation *operands", torch.einsum)
    word("einx_dot", "equation *operands", "einx.dot")
    word("linear", "input weight bias", F.linear)
    word("tensordot", "left right dims", torch.tensordot)
    word("tensordot", "left right dims_self dims_other", "aten::tensordot")

    # attention and what stands around it
    word("softmax", "input dim dtype", torch.softmax, torch.special.softmax, "softmax")
    word("softmax", "input dim _stacklevel dtype", F.softmax)
    word("softmax", "input dim half_to_float", "aten::_softmax")
    word("softmax", "input dim dtype", "aten::_safe_softmax")  # zeros where others give NaN
    word("einx_softmax", "equation input", "einx.softmax")
    word("log_softmax", "input dim dtype", torch.log_softmax, torch.special.log_softmax, "log_softmax")
    word("log_softmax", "input dim _stacklevel dtype", F.log_softmax)
    word("log_softmax", "input dim half_to_float", "aten::_log_softmax")
    word("exp", "input", torch.exp, "exp")
    word("exp", "input", torch.exp_, "exp_", in_place=True)
    word("sum", "input dim keepdim", torch.sum, "sum")
    word("amax", "input dim keepdim", torch.amax, "amax")
    word("logsumexp", "input dim keepdim", torch.logsumexp, torch.special.logsumexp, "logsumexp")
    word("reciprocal", "input", torch.reciprocal, "reciprocal")
    word("dropout", "input p training inplace", F.dropout)
    word("dropout", "input p train", torch.dropout)
    word("sdpa", "query key value attn_mask dropout_p is_causal scale enable_gqa", SDPA)

    # views: the same values at other positions
    word("transpose", "input dim0 dim1", torch.transpose, torch.swapaxes, torch.swapdims)
    word("transpose", "input dim0 dim1", "transpose", "swapaxes", "swapdims")
    word("permute", "input *dims", torch.permute, "permute")
    word("movedim", "input source destination", torch.movedim, torch.moveaxis, "movedim", "moveaxis")
    word("t", "input", torch.t, "t", "aten::numpy_T")
    word("mT", "input", torch.adjoint, "adjoint", "aten::mT")
    word("getattr", "input name", getattr)
    word("reshape", "input *shape", torch.reshape, "reshape", "view", "reshape_as", "view_as")
    word("reshape", "input *shape", torch.flatten, "flatten", torch.unflatten, "unflatten", torch.squeeze, "squeeze")
    word("reshape", "input *shape", torch.unsqueeze, "unsqueeze", torch.ravel, "ravel", "aten::_unsafe_view")
    word("expand", "input *shape", "expand", "expand_as", torch.broadcast_to, "broadcast_to")
    word("getitem", "input index", operator.getitem)
    word("narrow", "input dim start length", torch.narrow, "narrow")
    word("slice", "input dim start end step", "aten::slice")
    word("index", "input indices", "aten::index")
    word("select", "input dim index", torch.select, "select")
    word("diagonal", "input offset dim1 dim2", torch.diagonal, "diagonal")
    word("repeat", "input *repeats", "repeat")
    word("repeat_interleave", "input repeats dim", torch.repeat_interleave, "repeat_interleave")
    word("identity", "input *rest", "contiguous", "clone", torch.clone, "aten::alias", "aten::lift_fresh_copy")
    data_of = torch._C._autograd._get_data_attr  # type: ignore[attr-defined]
    word("detach", "input", "detach", torch.detach, data_of, "aten::detach")
    word("cat", "tensors dim", torch.cat, torch.concat, torch.concatenate)
    word("pad", "input pad mode value", F.pad, getattr(torch._C._nn, "pad", F.pad))
    word("hstack", "tensors", torch.hstack)
    word("split", "input size dim", torch.split, torch.functional.split, "split", torch.split_with_sizes)
    word("split", "input size dim", "split_with_sizes")
    word("chunk", "input chunks dim", torch.chunk, "chunk")
    word("unbind", "input dim", torch.unbind, "unbind")
    word("index_select", "input dim index", torch.index_select, "index_select")

    # element by element
    word("add", "left right", torch.add, operator.add, "add", "__add__", "__radd__")
    word("add", "left right", operator.iadd, "add_", in_place=True)
    word("sub", "left right", torch.sub, torch.subtract, operator.sub, "sub", "subtract")
    word("sub", "left right", operator.isub, "sub_", in_place=True)
    word("sub", "right left", torch.rsub, "rsub", "__rsub__")
    word("mul", "left right", torch.mul, torch.multiply, operator.mul, "mul", "multiply", "__mul__", "__rmul__")
    word("mul", "left right", operator.imul, "mul_", in_place=True)
    word(
        "div",
        "left right rounding_mode",
        torch.div,
        torch.true_divide,
        operator.truediv,
        "div",
        "true_divide",
        "divide",
    )
    word("div", "left right rounding_mode", operator.itruediv, "div_", in_place=True)
    word("neg", "input", torch.neg, operator.neg, "neg", "negative")
    word("minimum", "left right", torch.minimum, torch.min, "minimum", "min")
    word("maximum", "left right", torch.maximum, torch.max, "maximum", "max")
    word("clamp", "input min max", torch.clamp, torch.clip, "clamp", "clip")
    word("clamp", "input min", torch.clamp_min, "clamp_min")
    word("clamp", "input max", torch.clamp_max, "clamp_max")
    word("floordiv", "left right", operator.floordiv, torch.floor_divide, "floor_divide", "__floordiv__")
    word("remainder", "left right", operator.mod, torch.remainder, "remainder", "__mod__")
    word("tanh", "input", torch.tanh, F.tanh, "tanh")
    word("log", "input", torch.log, "log")
    word("nan_to_num", "input nan posinf neginf", torch.nan_to_num, "nan_to_num")
    word("nan_to_num", "input nan posinf neginf", torch.nan_to_num_, "nan_to_num_", in_place=True)
    word("isnan", "input", torch.isnan, "isnan")
    word("cast", "input *to", "to", "type", "type_as", "float", "half", "bfloat16", "double", "bool", "int", "long")
    word("cast", "input *to", "short", "char", "byte", "aten::_to_copy")

    # masks
    word("lt", "left right", torch.lt, torch.less, operator.lt, "lt", "less", "__lt__")
    word("le", "left right", torch.le, torch.less_equal, operator.le, "le", "less_equal", "__le__")
    word("gt", "left right", torch.gt, torch.greater, operator.gt, "gt", "greater", "__gt__")
    word("ge", "left right", torch.ge, torch.greater_equal, operator.ge, "ge", "greater_equal", "__ge__")
    word("eq", "left right", torch.eq, operator.eq, "eq", "__eq__")
    word("ne", "left right", torch.ne, torch.not_equal, operator.ne, "ne", "not_equal", "__ne__")
    word(
        "and",
        "left right",
        torch.logical_and,
        torch.bitwise_and,
        operator.and_,
        "logical_and",
        "__and__",
        "bitwise_and",
    )
    word("and", "left right", operator.iand, "logical_and_", "__iand__", in_place=True)
    word("or", "left right", torch.logical_or, torch.bitwise_or, operator.or_, "logical_or", "__or__", "bitwise_or")
    word("or", "left right", operator.ior, "logical_or_", "__ior__", in_place=True)
    word(
        "not",
        "input",
        torch.logical_not,
        torch.bitwise_not,
        operator.invert,
        "logical_not",
        "bitwise_not",
        "__invert__",
    )
    word("where", "condition then other", torch.where)
    word("where_method", "then condition other", "where")
    word("masked_fill", "input mask value", torch.masked_fill, "masked_fill")
    word("masked_fill", "input mask value", "masked_fill_", in_place=True)
    word("tril", "input diagonal", torch.tril, "tril")
    word("triu", "input diagonal", torch.triu, "triu")
    word("tril", "input diagonal", "tril_", in_place=True)
    word("triu", "input diagonal", "triu_", in_place=True)
    word("cumsum", "input dim", torch.cumsum, "cumsum")
    word("diff", "input n dim prepend append", torch.diff, "diff")

    word("any", "input dim keepdim", torch.any, "any")

    # constants
    word("arange", "*bounds", torch.arange)
    word("filled", "*rest", torch.zeros, torch.zeros_like, torch.ones, torch.ones_like)
    word("filled", "*rest", "new_zeros", "new_ones")
    word("full", "size fill_value", torch.full, torch.full_like)
    word("full", "input size fill_value", "new_full")
    word("tensor", "data", torch.tensor, torch.scalar_tensor, torch.asarray, torch.as_tensor)

    # attention that is not looked into, and writers whose target matters to whoever still reads it
    word("multi_head_attention", "*operands", F.multi_head_attention_forward, torch._native_multi_head_attention)
    for name in (
        "copy_",
        "fill_",
        "zero_",
        "index_copy_",
        "index_fill_",
        "index_add_",
        "scatter_",
        "index_put_",
        "clamp_",
    ):
        word("write", "input *rest", name, in_place=True)
    word("write", "input *rest", operator.setitem, in_place=True)
    return functions, methods, operators


FUNCTIONS, METHODS, OPERATORS = _declare()

# Words whose result holds the same values as `input`, elsewhere or again; a write to one may be a write to all.
VIEWS = frozenset(
    (
        "transpose",
        "permute",
        "movedim",
        "t",
        "getattr",
        "reshape",
        "expand",
        "getitem",
        "mT",
        "narrow",
        "slice",
        "select",
        "diagonal",
        "split",
        "chunk",
        "unbind",
        "identity",
        "detach",
        "cast",
    )
)

FILLED_VALUE = {"zeros": 0, "zeros_like": 0, "new_zeros": 0, "ones": 1, "ones_like": 1, "new_ones": 1}
