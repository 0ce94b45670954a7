"""ATen operators in the words of the vocabulary: the word by the operator's name, the arguments by its schema.

Graphs of torch.export, of `run_decompositions` and of AOTAutograd are made of them. An operator with overloads has one
name, `aten.add.Tensor` and `aten.add.Scalar` are both add; which argument is which, its schema says.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import fx
from torch._ops import OpOverload, OpOverloadPacket

from .vocabulary import FUNCTIONS, METHODS, OPERATORS, Spelling


def operator_of(node: fx.Node) -> OpOverload | None:
    """The operator that a node calls, with its overload; None for any other call."""
    target = node.target
    if isinstance(target, OpOverload):
        return target
    return _resolved(target, node) if isinstance(target, OpOverloadPacket) else None


def name_of(operator: OpOverload) -> str:
    """The name without namespace and overload: "add" of aten::add.Tensor."""
    return str(operator._schema.name).partition("::")[2]


def spelling_of(operator: OpOverload) -> Spelling | None:
    """How an ATen operator spells its word; None for one that the vocabulary does not hold."""
    if operator.namespace != "aten":
        return None
    name = name_of(operator)
    if name in OPERATORS:
        return OPERATORS[name]
    for room in (torch, F):
        found = FUNCTIONS.get(getattr(room, name, None))  # type: ignore[arg-type]
        if found is not None:
            return found
    return METHODS.get(name)


def arguments_of(operator: OpOverload, node: fx.Node) -> dict[str, Any]:
    """What a node gives, by the names in the operator's schema."""
    names = (argument.name for argument in operator._schema.arguments)
    return dict(zip(names, node.args, strict=False)) | dict(node.kwargs)


def writes(operator: OpOverload) -> bool:
    """Whether it writes into one of its arguments."""
    return bool(operator._schema.is_mutable)


def aliased(operator: OpOverload, node: fx.Node) -> fx.Node | None:
    """The argument whose storage the result may share, as the schema says; None where it shares none."""
    given = arguments_of(operator, node)
    shared = (given.get(a.name) for a in operator._schema.arguments if a.alias_info is not None)
    return next((value for value in shared if isinstance(value, fx.Node)), None)


def _resolved(packet: OpOverloadPacket, node: fx.Node) -> OpOverload | None:
    """The overload that a call of `torch.ops.aten.name(…)` takes, by the values that were recorded."""
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: n.meta.get("example_value", n.meta.get("val")))
    try:
        overload = torch._C._jit_resolve_packet(packet._qualified_op_name, *args, **kwargs)
    except (RuntimeError, TypeError):  # a value that was not recorded, or no overload takes it
        return None
    found = getattr(packet, overload or "default", None)
    return found if isinstance(found, OpOverload) else None
