"""`hyper::attention` under torch.vmap: one call, the mapped dim joined to the batch.

A tensor that has no mapped dim is repeated over it only where its batch dim must grow: one that the whole batch shares
already stays as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .call import PAIRS

OWN_BATCH = ("query", "key", "value", "grad_out", "grad_lse", "out", "lse")  # of the others the batch may be 1


def _names(op: Any) -> list[str]:
    """The tensors of an operator, in the order of its schema."""
    return [argument.name for argument in op.default._schema.arguments if not argument.kwarg_only]


def _joined(name: str, tensor: Tensor, dim: int | None, mapped: int, batch: int, own: bool) -> Tensor:
    """One argument with the mapped dim joined to its batch: [mapped · batch, …], or [1, …] where all share it.

    own: also what all share is repeated, so that each has a gradient of its own.
    """
    rank = 4 if name in PAIRS else None
    if dim is not None:
        tensor = tensor.movedim(dim, 0)
        while rank is not None and tensor.dim() <= rank:
            tensor = tensor.unsqueeze(1)
    else:
        while rank is not None and tensor.dim() < rank:
            tensor = tensor.unsqueeze(0)
        if name not in OWN_BATCH and tensor.shape[0] == 1 and not own:
            return tensor
        tensor = tensor.unsqueeze(0)
    return tensor.expand(mapped, batch, *tensor.shape[2:]).flatten(0, 1)


def _call(
    op: Any, mapped: int, dims: tuple[Any, ...], args: tuple[Any, ...], rules: dict[str, Any], own: bool = False
) -> tuple[tuple[Tensor, ...], int]:
    """The op on joined arguments, and the size of the batch that the caller sees."""
    names = _names(op)
    at = names.index("query")
    query, dim = args[at], dims[at]
    batch = query.movedim(dim, 0).shape[1] if dim is not None else query.shape[0]
    joined = [
        _joined(name, tensor, dim, mapped, batch, own and name == "bias") if isinstance(tensor, Tensor) else tensor
        for name, tensor, dim in zip(names, args, (*dims, *[None] * len(args)), strict=False)
    ]
    return op(*joined, **rules), batch


def forward(info: Any, in_dims: tuple[Any, ...], *args: Any, **rules: Any) -> tuple[Any, Any]:
    """`hyper::attention`, as torch.library.register_vmap wants it: results, and where their mapped dims are."""
    results, batch = _call(torch.ops.hyper.attention, info.batch_size, in_dims, args, rules)
    return tuple(result.unflatten(0, (info.batch_size, batch)) for result in results), (0, 0)


def backward(info: Any, in_dims: tuple[Any, ...], *args: Any, **rules: Any) -> tuple[Any, Any]:
    """`hyper::attention_backward`; a bias that all share has one gradient for each."""
    wants_bias = bool(rules.get("bias_gradient", False))
    op = torch.ops.hyper.attention_backward
    results, batch = _call(op, info.batch_size, in_dims, args, rules, own=wants_bias)
    *grads, grad_bias = results
    found = [grad.unflatten(0, (info.batch_size, batch)) for grad in grads]
    if not wants_bias:
        return (*found, grad_bias), (0, 0, 0, None)
    at = _names(op).index("bias")
    shape = list(args[at].shape)
    if in_dims[at] is not None:
        del shape[in_dims[at]]
    each = grad_bias.unflatten(0, (info.batch_size, batch))
    if len(shape) < 4 or shape[0] == 1:
        each = each.sum(1, keepdim=True)
    return (*found, each.reshape(info.batch_size, *shape)), (0, 0, 0, 0)
