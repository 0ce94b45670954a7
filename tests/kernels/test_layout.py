"""Tensors that lie oddly in memory: what is copied for a fused kernel; the op gives the same for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hyperrewrite.kernels.layout import is_aligned, readable
from strides import LAYOUTS, laid
from torch import Tensor

RULES: dict[str, dict[str, Any]] = {
    "exact": {"algorithm": "exact"},
    "exact window": {"algorithm": "exact", "causal_offset": 2, "sliding_window": 9},
    "hyper": {"min_seq_len": 8, "tile": 16, "window": 8, "sinks": 3, "threshold": 0.05},
    "paper": {"algorithm": "paper", "min_seq_len": 32, "block_size": 16, "sample_size": 16},
}


@pytest.mark.parametrize(
    ("address", "strides", "itemsize", "fits"),
    [
        (0, [640, 64], 2, True),
        (2, [640, 64], 2, False),  # begins one element later
        (16, [640, 81], 2, False),  # rows of 81
        (16, [640, 84], 4, True),
        (8, [640, 84], 4, False),
        (32, [0, 8], 2, True),  # expanded
    ],
)
def test_rows_begin_at_multiples_of_sixteen_bytes(address: int, strides: list[int], itemsize: int, fits: bool) -> None:
    assert is_aligned(address, strides, itemsize) is fits


def test_the_cpu_copies_for_the_last_dim_alone() -> None:
    rows = torch.randn(3, 5, 9)
    assert readable(rows[..., 1:7]).data_ptr() == rows[..., 1:7].data_ptr()
    turned = rows.transpose(1, 2)
    assert readable(turned).stride(-1) == 1 and torch.equal(readable(turned), turned)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layouts_change_nothing(layout: Callable[[Tensor], Tensor], rules: dict[str, Any], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    dense = [torch.randn(2, heads, 70, 8, generator=generator).to(dtype) for heads in (4, 2, 2)]
    results = []
    for tensors in (dense, laid(layout, dense)):
        leaves = [t.detach().requires_grad_() for t in tensors]
        assert all(mine.stride() == t.stride() for mine, t in zip(leaves, tensors, strict=True))
        out, _ = torch.ops.hyper.attention(*leaves, **rules, scale=0.4)
        results.append([out.detach(), *torch.autograd.grad(out.float().square().sum(), leaves)])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
