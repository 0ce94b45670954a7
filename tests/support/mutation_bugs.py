"""Small functions that were once rewritten wrongly, and near misses that must be rewritten: how tests declare them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from graphs import Backend, assert_same, clone, run
from torch import Tensor

TOLERANCE = 3e-5
LOWERINGS = ("sdpa", "op")
DTYPES = {"left": torch.float32, "half": torch.bfloat16, "double": torch.float64}


@dataclass(frozen=True)
class Bug:
    """A function that was rewritten wrongly, and why. lowerings: which of the two."""

    function: Callable[..., Any]
    reason: str
    inputs: str
    lowerings: tuple[str, ...] = LOWERINGS

    def check_values(self, lowering: str) -> None:
        """Results and inputs are what eager PyTorch leaves."""
        args = inputs_of(self.inputs)

        def and_inputs(*tensors: Tensor) -> Any:
            return self.function(*tensors), *tensors

        expected = run(and_inputs, args)
        backend = Backend(op=lowering == "op", sdpa=lowering == "sdpa")
        assert_same(run(and_inputs, clone(args), backend), expected, TOLERANCE)

    def check_rewritten(self) -> None:
        """There is a site, and it gives what eager PyTorch gives."""
        args, backend = inputs_of(self.inputs), Backend()
        expected = run(self.function, args)
        assert_same(run(self.function, args, backend), expected, TOLERANCE)
        assert [a.report.site_count for a in backend.analyses] == [1]


@dataclass
class Bugs:
    """Those of one file. open: reasons that are limits which README names."""

    open: tuple[str, ...] = ()
    wrong: list[Bug] = field(default_factory=list)
    near: list[Bug] = field(default_factory=list)

    def bug(self, reason: str, inputs: str = "qkv", lowerings: tuple[str, ...] = LOWERINGS) -> Callable[..., Any]:
        """Declare a bug."""

        def keep(function: Callable[..., Any]) -> Callable[..., Any]:
            self.wrong.append(Bug(function, reason, inputs, lowerings))
            return function

        return keep

    def still(self, inputs: str = "qkv") -> Callable[..., Any]:
        """Declare a near miss of the bug above: it is rewritten, as it should be."""

        def keep(function: Callable[..., Any]) -> Callable[..., Any]:
            self.near.append(Bug(function, "", inputs))
            return function

        return keep

    def values(self) -> list[Any]:
        """Parameters of a test that takes a bug and a lowering."""
        return [
            pytest.param(
                bug, lowering, id=f"{bug.function.__name__}-{lowering}",
                marks=[pytest.mark.xfail(strict=True, reason=bug.reason)] if bug.reason in self.open else [],
            )
            for bug in self.wrong
            for lowering in bug.lowerings
        ]  # fmt: skip

    def near_misses(self) -> list[Any]:
        """Parameters of a test that takes a near miss."""
        return [pytest.param(near, id=near.function.__name__) for near in self.near]


def inputs_of(kind: str) -> tuple[Tensor, ...]:
    """q, k, v [2, 4, 8, 16]; then what `kind` names.

    "padded"      a mask [2, 1, 1, 8] whose second row is False.
    "given"       a bias [8, 8] with −inf in its third row.
    "left"        a mask of numbers, the first row without the first keys and the second without any; "half" and
                  "double" the same with q, k, v in bfloat16 or float64.
    "lengths"     a whole number for each query, the last beyond what one more of it is in its int8.
    "positions first"   nothing, but q, k, v stand with positions before heads.
    """
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 4, 8, 16, generator=generator) for _ in range(3))
    if kind == "positions first":
        q, k, v = (t.transpose(1, 2).contiguous().transpose(1, 2) for t in (q, k, v))
    keep = torch.ones(2, 1, 1, 8, dtype=torch.bool)
    keep[0, ..., 5:], keep[1] = False, False
    left = torch.zeros(2, 1, 1, 8, dtype=torch.int64)
    left[0, ..., 5:] = 1
    if kind in DTYPES:
        return (*(t.to(DTYPES[kind]) for t in (q, k, v)), left)
    row = torch.zeros(8, 8)
    row[2] = -math.inf
    lengths = torch.tensor([1, 2, 2, 3, 5, 6, 0, 127], dtype=torch.int8)
    return {"padded": (q, k, v, keep), "given": (q, k, v, row), "lengths": (q, k, v, lengths)}.get(kind, (q, k, v))


def causal(fill: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """[8, 8]: `fill` where a key is in the future, else 0."""
    return torch.triu(torch.full((8, 8), fill, dtype=dtype), diagonal=1)
