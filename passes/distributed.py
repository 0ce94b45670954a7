"""Distributed tensors (DTensor) in a graph: which sites they leave to us.

A call of ours runs on them where each is whole or split by batch and by head. A split sequence, as in context parallel,
needs an exchange between ranks that SDPA's own dispatch knows and ours does not.
"""

from __future__ import annotations

import sys
from typing import Any

import sympy

from .canonical import CanonicalView
from .expression import Expr, Int
from .spec import AttentionSite, Rejected, RejectionCode


def is_distributed(value: Any) -> bool:
    """Whether a value is a DTensor. Imports nothing: where nobody has, there is none."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(value, module.DTensor)


def check_placements(view: CanonicalView, site: AttentionSite) -> bool:
    """Whether the site reads distributed tensors; raises Rejected(PLACEMENT) where its call cannot be written for them.

    Tensors that the rewrite would make are not distributed, so there must be none: no mask or bias beside the numbers.
    """
    operands = (site.query, site.key, site.value)
    if not any(is_distributed(view.value(operand.node)) for operand in operands):
        return False
    from torch.distributed.tensor import Replicate, Shard

    # Of several dims of heads the first: PyTorch flattens them into one where that one is split.
    split = [{symbol} for symbol in (site.roots.batch, *site.roots.heads[:1]) if symbol is not None]
    for operand in operands:
        value = view.value(operand.node)
        if not is_distributed(value):
            message = f"{operand.node.name} is a plain tensor among distributed ones"
            raise Rejected(RejectionCode.PLACEMENT, message, operand.node)
        for placement in value.placements:
            whole = type(placement) is Replicate
            if not whole and not (type(placement) is Shard and _symbols(operand.index[placement.dim]) in split):
                message = f"{operand.node.name} is distributed by {placement}, not by batch or by head"
                raise Rejected(RejectionCode.PLACEMENT, message, operand.node)
    if site.spec.expressions():
        message = "its mask or bias would be made of tensors that are not distributed"
        raise Rejected(RejectionCode.PLACEMENT, message, site.anchor)
    return True


def _symbols(at: Expr) -> set[sympy.Symbol]:
    return set(at.value.free_symbols) if isinstance(at, Int) else set()
