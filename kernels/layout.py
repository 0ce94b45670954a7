"""Whether a tensor may go to one of PyTorch's fused kernels as it lies in memory, or is copied first.

Triton kernels need no such care: Triton looks at addresses and strides at each launch, and builds another kernel for
those that are no multiples of 16.
"""

from __future__ import annotations

import torch
from torch import Tensor

FLASH_BYTES = 16  # that flash attention on CUDA reads at once; PyTorch checks none but the last stride


def readable(tensor: Tensor) -> Tensor:
    """The tensor as it lies, or a dense copy where a fused kernel would read it wrongly or crash.

    The CPU's kernel reads the last dim as if it were dense, and does not check. CUDA's reads `FLASH_BYTES` at once,
    from the beginning of each row: where the last dim is a multiple of that, a copy has all of its rows there.
    """
    return tensor if _is_readable(tensor) else tensor.clone(memory_format=torch.contiguous_format)


def _is_readable(tensor: Tensor) -> bool:
    if tensor.stride(-1) != 1 and tensor.shape[-1] > 1:
        return False
    if tensor.device.type == "cpu":
        return True
    sizes = zip(tensor.stride()[:-1], tensor.shape[:-1], strict=True)
    return is_aligned(tensor.data_ptr(), [stride for stride, size in sizes if size > 1], tensor.element_size())


def is_aligned(address: int, strides: list[int], itemsize: int) -> bool:
    """Whether every row begins at a multiple of `FLASH_BYTES`; address in bytes, strides in elements."""
    return address % FLASH_BYTES == 0 and all(stride * itemsize % FLASH_BYTES == 0 for stride in strides)
