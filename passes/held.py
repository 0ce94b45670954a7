"""Tensors that a model holds and hands to every call: causal buffers, known by value where they are triangles.

GPT-2's old `bias` buffer and its many descendants are inputs of the graph like any other. Their values can be looked at
when the graph is compiled; whoever runs the rewritten graph must make sure that they have not changed since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensor

LARGEST = 2**28  # elements above which a tensor is not looked at
Value = bool | int | float


@dataclass(frozen=True, slots=True)
class Triangle:
    """A tensor [..., rows, columns] that is `inside` where column <= row + offset, and `outside` elsewhere."""

    offset: int
    inside: Value
    outside: Value


def triangle_of(values: Tensor) -> Triangle | None:
    """The triangle that a tensor is, for sure; None for any other tensor."""
    if values.dim() < 2 or min(values.shape[-2:]) < 2 or not 0 < values.numel() <= LARGEST or values.is_complex():
        return None
    rows, columns = values.shape[-2:]
    first = values.detach().reshape(-1, rows, columns)[0]
    inside, outside = first[-1, 0], first[0, -1]
    if bool(inside == outside) or bool(inside != inside) or bool(outside != outside):
        return None
    ahead, below = int((first[0] == inside).sum()), int((first[:, 0] != inside).sum())
    offset = ahead - 1 if ahead else -below
    place = torch.arange(columns, device=values.device) - torch.arange(rows, device=values.device)[:, None]
    if not bool((torch.where(place <= offset, inside, outside) == values).all()):
        return None
    return Triangle(offset, inside.item(), outside.item())


def held_tensors(module: fx.GraphModule, example_inputs: Sequence[Any]) -> dict[str, Tensor]:
    """Name of an input → its value, for inputs of a Dynamo graph that are no arguments of the call.

    Parameters, fake tensors and tensors without a version (made under inference_mode) are left out.
    """
    from torch._dynamo.source import LocalSource

    found: dict[str, Tensor] = {}
    for node, value in zip(module.graph.find_nodes(op="placeholder"), example_inputs, strict=False):
        source = getattr(node.meta.get("grapharg"), "source", None)
        plain = isinstance(value, Tensor) and not isinstance(value, FakeTensor | torch.nn.Parameter)
        if source is None or isinstance(source, LocalSource) or not plain:
            continue
        if not value.requires_grad and not value.is_inference() and value.layout == torch.strided:
            found[str(node.target)] = value
    return found


class Held:
    """What is known of the held tensors of one graph; each is looked at once, when it is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self._triangles: dict[str, Triangle | None] = {}

    def triangle(self, node: fx.Node) -> Triangle | None:
        """The triangle that an input holds; None where it holds none or nothing is known."""
        name = str(node.target)
        if node.op != "placeholder" or name not in self._tensors:
            return None
        if name not in self._triangles:
            self._triangles[name] = triangle_of(self._tensors[name])
        return self._triangles[name]
