"""Ways in which queries, keys and values may lie in memory: [B, H, n, D] with odd strides and offsets."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Layout = Callable[[Tensor], Tensor]


def _placed(tensor: Tensor, room: tuple[int, ...], start: int, strides: tuple[int, ...]) -> Tensor:
    """The tensor's numbers at `start` of NaN, with strides."""
    count = start + 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, strides, strict=True))
    held = torch.full((count,), float("nan"), dtype=tensor.dtype, device=tensor.device)
    return held.as_strided(room, strides, start).copy_(tensor)


def _rows(tensor: Tensor, row: int, start: int) -> Tensor:
    """Rows `row` elements apart."""
    _, heads, n, _ = tensor.shape
    strides = (heads * n * row, n * row, row, 1)
    return _placed(tensor, tuple(tensor.shape), start, strides)


def odd_rows(tensor: Tensor) -> Tensor:
    """As `torch.randn(…, D + 41)[..., 1:D + 1]`."""
    return _rows(tensor, tensor.shape[-1] + 41, 1)


def late(tensor: Tensor) -> Tensor:
    """Dense, one element later than memory begins."""
    return _rows(tensor, tensor.shape[-1], 1)


def half_late(tensor: Tensor) -> Tensor:
    """Dense, begins at a multiple of eight bytes in 16 bits, and not of sixteen."""
    return _rows(tensor, tensor.shape[-1], 4)


def wide_rows(tensor: Tensor) -> Tensor:
    """Rows of an even width that is no multiple of eight."""
    return _rows(tensor, tensor.shape[-1] + 4, 0)


def every_other(tensor: Tensor) -> Tensor:
    """Features two elements apart."""
    _, heads, n, size = tensor.shape
    row = 2 * size + 1
    return _placed(tensor, tuple(tensor.shape), 1, (heads * n * row, n * row, row, 2))


def features_first(tensor: Tensor) -> Tensor:
    """[B, H, D, n], transposed."""
    return tensor.transpose(2, 3).contiguous().transpose(2, 3)


def positions_first(tensor: Tensor) -> Tensor:
    """[B, n, H, D + 3], transposed and cut: heads stand oddly too."""
    _, heads, n, size = tensor.shape
    row = size + 3
    return _placed(tensor, tuple(tensor.shape), 2, (n * heads * row, row, heads * row, 1))


LAYOUTS: tuple[Layout, ...] = (odd_rows, late, half_late, wide_rows, every_other, features_first, positions_first)


def laid(layout: Layout, tensors: list[Tensor]) -> list[Tensor]:
    return [layout(tensor) for tensor in tensors]
