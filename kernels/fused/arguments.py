"""What the launches tell a kernel of a tensor: strides, widths, precision; and on which device it starts."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
import triton
from torch import Tensor

LEAST_WIDTH = 32  # features that a float8 matrix product takes at least


def padded(features: int) -> int:
    """The width that a kernel reads for so many features: a power of two."""
    return int(triton.next_power_of_2(max(features, LEAST_WIDTH)))


def dense_bytes(mask: Tensor) -> Tensor:
    """bool [B or 1, n] as bytes whose rows are dense."""
    return (mask if mask.stride(1) == 1 else mask.contiguous()).view(torch.uint8)


def batch_stride(tensor: Tensor) -> int:
    """What leads to the next batch; 0 where all share one."""
    return 0 if tensor.shape[0] == 1 else tensor.stride(0)


def outputs(query: Tensor, value: Tensor, has_unseen: bool) -> tuple[Tensor, Tensor]:
    """Room for (out [B, H, n_q, D_v], lse float32 [B, H, n_q]); has_unseen: as rows without a key have them."""
    out, lse = query.new_empty(*query.shape[:3], value.shape[3]), query.new_empty(query.shape[:3], dtype=torch.float32)
    if has_unseen:  # rows that no kernel writes
        out.zero_()
        lse.fill_(float("-inf"))
    return out, lse


def precision_of(dtype: torch.dtype) -> str:
    """How products of float32 are made: tf32 only where the user's setting allows it.

    Three tf32 products for one are as exact as float32 sums are, and on an H100 five times as fast as plain ones.
    """
    if dtype != torch.float32 or torch.version.hip is not None:
        return "ieee"
    # Not allow_tf32: reading that raises once a user has set precision the newer way. This getter knows both.
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "tf32x3"


def on_device(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Kernels start on the tensors' device, not on the current one."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
