"""Arithmetic as it is emitted: its functions, and the dtype of numbers that come with no floating-point tensor.

For these PyTorch takes its default dtype, which a user may set. So an emitted step says the dtype where PyTorch would
choose another. Dynamo guards a graph on the default dtype.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

JOINS: dict[str, Callable[..., Any]] = {
    "and": operator.and_,
    "or": operator.or_,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}
CALLS: dict[str, Callable[..., Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "tanh": torch.tanh,
    "isnan": torch.isnan,
    "minimum": torch.minimum,
    "maximum": torch.maximum,
}
COMPARISONS = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))
ARITHMETIC = frozenset(("add", "sub", "mul", "div", "minimum", "maximum"))


class Numbers:
    """What is known of emitted values, and the dtype that numbers have: float32, or float64 where scores have it."""

    def __init__(self, score_dtype: torch.dtype) -> None:
        self.dtype = torch.promote_types(score_dtype, torch.float32)
        self.is_default = torch.get_default_dtype() == self.dtype
        self._floats: set[fx.Node] = set()  # tensors of floating-point numbers
        self._scalars: set[fx.Node] = set()  # floats that only the running graph knows

    def know(self, node: Any, value: Any) -> None:
        """A node that holds a value such as the recorded one."""
        if isinstance(value, torch.SymFloat):
            self._scalars.add(node)
        elif isinstance(value, torch.Tensor) and value.dtype.is_floating_point:
            self._floats.add(node)

    def know_result(self, node: Any, args: list[Any]) -> None:
        """A node of arithmetic: a tensor of floating-point numbers if something among its arguments is."""
        if isinstance(node, fx.Node) and any(self._is_float(arg) for arg in args):
            self._floats.add(node)

    def lack_dtype(self, args: list[Any], divides: bool = False) -> bool:
        """Whether arithmetic with these arguments has PyTorch choose a dtype other than ours."""
        if self.is_default or any(isinstance(arg, fx.Node) and arg in self._floats for arg in args):
            return False
        return divides or any(self._is_float(arg) for arg in args)

    def is_tensor(self, arg: Any) -> bool:
        """Whether an argument is no number."""
        return isinstance(arg, fx.Node) and arg not in self._scalars

    def _is_float(self, arg: Any) -> bool:
        if isinstance(arg, fx.Node):
            return arg in self._floats or arg in self._scalars
        return isinstance(arg, float)
