"""Which calls have no effect but their result: where nobody reads that, they need not run at all."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from .aten import operator_of
from .canonical import CanonicalView, called, drops

ROOMS: tuple[Any, ...] = (torch, F, torch.special, torch.linalg, operator)  # whose functions of tensors only compute
# Calls that draw random numbers: without them, whoever draws next draws others.
_DRAWING = (
    "rand",
    "dropout",
    "bernoulli",
    "multinomial",
    "normal",
    "poisson",
    "binomial",
    "rrelu",
    "gumbel",
    "stochastic",
)


def is_pure(view: CanonicalView, node: fx.Node) -> bool:
    """Whether a call gives tensors and does nothing else: it writes nowhere and draws no random number."""
    op = view.op(node)
    if node.op not in ("call_function", "call_method") or op.in_place:
        return False
    if op.word == "dropout":
        return not drops(op)
    if op.word == "sdpa":
        return op.get("dropout_p", 0.0) == 0.0
    name = called(node)
    if "out" in node.kwargs or any(part in name for part in _DRAWING) or not _gives_tensors(view.value(node)):
        return False
    if op.word not in ("opaque", "multi_head_attention"):
        return True
    if operator_of(node) is not None:
        return not node.is_impure()
    if node.op == "call_method":
        return not name.endswith("_")
    is_known = any(getattr(room, name, None) is node.target for room in ROOMS)
    return is_known and not any(view.value(source) is view.value(node) for source in node.all_input_nodes)


def _gives_tensors(value: Any) -> bool:
    parts = value if isinstance(value, tuple | list) else (value,)
    return bool(parts) and all(isinstance(part, torch.Tensor) for part in parts)
