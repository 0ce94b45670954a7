"""What a change is: a function, declared with the nodes that it fits.

A change returns what it did, in words, or None where it did nothing. Whether the graph still runs is found out later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from .draft import Draft

Fits = Callable[[Draft, fx.Node], bool]


@dataclass(frozen=True)
class Change:
    """One kind of change: which nodes it fits, and how it is made there."""

    name: str
    fits: Fits
    make: Callable[[Draft, fx.Node], str | None]


CHANGES: list[Change] = []


def change(fits: Fits) -> Callable[[Callable[[Draft, fx.Node], str | None]], Callable[[Draft, fx.Node], str | None]]:
    """Declare a change."""

    def keep(make: Callable[[Draft, fx.Node], str | None]) -> Callable[[Draft, fx.Node], str | None]:
        CHANGES.append(Change(make.__name__, fits, make))
        return make

    return keep


# --- which nodes ------------------------------------------------------------------------------------------------------


def word(*names: str) -> Fits:
    """Nodes of these canonical words."""
    return lambda d, n: d.word(n) in names


def score(d: Draft, n: fx.Node) -> bool:
    """Scores, from the product to softmax."""
    return n in d.scores


def weight(d: Draft, n: fx.Node) -> bool:
    """Probabilities, up to the product with the values."""
    return n in d.weights


def floats(d: Draft, n: fx.Node) -> bool:
    """Tensors of numbers with a fraction."""
    return d.is_float(n)


def bools(d: Draft, n: fx.Node) -> bool:
    """Masks of truth values."""
    return d.is_bool(n)


def tensors(d: Draft, n: fx.Node) -> bool:
    """Tensors of at least one dim."""
    return len(d.shape(n)) > 0


def matrices(d: Draft, n: fx.Node) -> bool:
    """Tensors of two dims or more."""
    return len(d.shape(n)) > 1


# --- numbers that several changes draw --------------------------------------------------------------------------------

FILLS = (-math.inf, torch.finfo(torch.float32).min, -1e9, -1e4, -10.0, 0.0, 1.0, math.inf, math.nan)
KINDS = ("keys", "rows", "heads", "batch", "both", "matrix", "all", "one")


def tensor_over(d: Draft, n: fx.Node, kind: str) -> Tensor:
    """Random numbers that broadcast with a tensor of scores: over its last dim, the one before, …"""
    shape = d.shape(n)
    keep = {
        "keys": {-1}, "rows": {-2}, "heads": {-3}, "batch": {-len(shape)}, "both": {-len(shape), -1},
        "matrix": {-1, -2}, "all": set(range(-len(shape), 0)), "one": set(),
    }[kind]  # fmt: skip
    sizes = [s if k - len(shape) in keep else 1 for k, s in enumerate(shape)]
    return torch.randn(sizes, generator=torch.Generator().manual_seed(d.random.randrange(10**6)))
