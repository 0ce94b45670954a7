"""Sizes that only the running graph knows, and the choice between two compiled graphs that they decide, call by call.

No guard is added: Dynamo compiles as often as without us, and one compile serves every length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch


@dataclass(frozen=True, slots=True)
class Limit:
    """`size`, in the symbols of the tracer, is at most `most`."""

    size: sympy.Expr
    most: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where the inputs of a graph show a symbol: an integer among them (dim None), or a dim of a tensor."""

    position: int
    dim: int | None

    def __str__(self) -> str:
        return f"inputs[{self.position}]" + ("" if self.dim is None else f".shape[{self.dim}]")


def places(example_inputs: Sequence[Any]) -> dict[sympy.Symbol, Place]:
    """Where each symbol can be read when the graph runs; integers first, which are the quickest to read."""
    found: dict[sympy.Symbol, Place] = {}
    for position, value in enumerate(example_inputs):
        if isinstance(value, torch.SymInt) and value.node.expr.is_Symbol:
            found.setdefault(value.node.expr, Place(position, None))
    for position, value in enumerate(example_inputs):
        for dim, size in enumerate(value.shape if isinstance(value, torch.Tensor) else ()):
            if isinstance(size, torch.SymInt) and size.node.expr.is_Symbol:
                found.setdefault(size.node.expr, Place(position, dim))
    return found


def is_readable(limit: Limit, known: dict[sympy.Symbol, Place]) -> bool:
    """Whether a call can look at the limit: a polynomial of symbols that its inputs show."""
    parts = sympy.preorder_traversal(limit.size)
    plain = all(isinstance(part, sympy.Add | sympy.Mul | sympy.Pow | sympy.Symbol | sympy.Integer) for part in parts)
    return plain and limit.size.is_integer is True and limit.size.free_symbols <= known.keys()


def chosen(
    short: Callable[..., Any], long: Callable[..., Any], limits: Sequence[Limit], example_inputs: Sequence[Any]
) -> Callable[..., Any]:
    """`short` for calls that keep within all limits, `long` for the others."""
    known = places(example_inputs)
    used = sorted({symbol for limit in limits for symbol in limit.size.free_symbols}, key=str)
    smallest: dict[sympy.Expr, int] = {}
    for limit in limits:
        smallest[limit.size] = min(limit.most, smallest.get(limit.size, limit.most))
    condition = sympy.And(*(sympy.Le(size, most, evaluate=False) for size, most in smallest.items()), evaluate=False)
    holds = sympy.lambdify(used, condition, modules="math", cse=False)
    read = [(known[symbol].position, known[symbol].dim) for symbol in used]

    def run(*inputs: Any) -> Any:
        sizes = [inputs[position] if dim is None else inputs[position].shape[dim] for position, dim in read]
        return (short if holds(*sizes) else long)(*inputs)

    return run
