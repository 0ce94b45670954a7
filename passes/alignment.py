"""Where queries, keys and values lie in memory, as far as a graph says: SDPA's kernels on CUDA read 16 bytes at once.

PyTorch's flash attention checks neither addresses nor strides, its memory-efficient one raises, and Inductor copies for
strides but not for an offset. Products take any of them. So where rows may begin elsewhere, no SDPA is written; the op
looks at run time, and copies (`kernels.layout`). Of an input Dynamo records no offset: Inductor copies those that begin
elsewhere when it is called.
"""

from __future__ import annotations

import sympy
import torch

from .canonical import size_of
from .expression import Expr, Int
from .spec import AttentionSite

ROW_BYTES = 16


def is_misaligned(site: AttentionSite) -> bool:
    """Whether SDPA's kernels may be given rows that they cannot read."""
    if site.spec.device.type != "cuda":
        return False
    roots, spec = site.roots, site.spec
    for operand, features, width in (
        (site.query, roots.features, spec.head_dim),
        (site.key, roots.features, spec.head_dim),
        (site.value, roots.value_features, spec.value_dim),
    ):
        recorded = operand.node.meta.get("example_value", operand.node.meta.get("val"))
        dims = [dim for dim, at in enumerate(operand.index) if features and _is(at, features[-1])]
        if isinstance(recorded, torch.Tensor) and len(dims) == 1 and not _has_aligned_rows(recorded, dims[0], width):
            return True
    return False


def _is(at: Expr, symbol: sympy.Symbol) -> bool:
    return isinstance(at, Int) and at.value == symbol


def _has_aligned_rows(tensor: torch.Tensor, dense: int, width: sympy.Expr) -> bool:
    """Whether all rows of `width` features, along dim `dense`, begin at multiples of `ROW_BYTES`, whatever symbols are.

    True too where PyTorch pads features that are no such multiple, or takes no kernel because they are not dense.
    """
    step = max(ROW_BYTES // tensor.element_size(), 1)
    if size_of(tensor.stride(dense)) != 1 or (width.is_Integer and not _divides(step, width)):
        return True
    padded = {width: step * sympy.Symbol("width", integer=True)} if width.is_Symbol else {}
    dims = [(size_of(size), size_of(stride)) for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]
    starts = [size_of(tensor.storage_offset()), *(s for d, (size, s) in enumerate(dims) if d != dense and size != 1)]
    return all(_divides(step, start.subs(padded)) for start in starts)


def _divides(step: int, value: sympy.Expr) -> bool:
    return bool(sympy.Mod(sympy.expand(value), step) == 0)
