"""Odd strides and offsets on a GPU: the op, PyTorch's kernels that it calls, and what the backend writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hyperrewrite.kernels.functional import hyper_attention
from hyperrewrite.kernels.layout import FLASH_BYTES, readable
from strides import LAYOUTS, Layout, laid, late, odd_rows
from torch import Tensor

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("error:a Triton kernel failed")]

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
CLOSE = {torch.bfloat16: 2e-2, torch.float16: 4e-3, torch.float32: 1e-3, torch.float64: 1e-9}
RULES: dict[str, dict[str, Any]] = {
    "full": {"algorithm": "exact"},
    "causal": {"algorithm": "exact", "causal_offset": 0},
    "offset": {"algorithm": "exact", "causal_offset": 5},
    "window": {"algorithm": "exact", "causal_offset": 0, "sliding_window": 100},
    "softcap": {"algorithm": "exact", "causal_offset": 0, "softcap": 5.0},
    "paper": {"algorithm": "paper", "causal_offset": 0, "min_seq_len": 64, "block_size": 32, "sample_size": 32},
    "hyper": {"algorithm": "hyper", "causal_offset": 0, "min_seq_len": 64, "threshold": 0.1},
}


def _dense(dtype: torch.dtype, n: int = 700, features: int = 40, kv_heads: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 4, n, features), (2, kv_heads, n, features), (2, kv_heads, n, features)]
    return [torch.randn(shape, generator=generator).to("cuda", dtype) for shape in shapes]


def _results(call: Callable[..., Tensor], tensors: list[Tensor]) -> list[Tensor]:
    """out and the gradients, once the device has done all."""
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    out = call(*leaves)
    grads = torch.autograd.grad((out.double() * torch.linspace(-1, 1, out.shape[-1], device="cuda")).sum(), leaves)
    torch.cuda.synchronize()
    return [out.detach(), *grads]


def _assert_close(found: list[Tensor], wanted: list[Tensor], dtype: torch.dtype) -> None:
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.dtype == theirs.dtype and not mine.isnan().any()
        wrong = (mine.double() - theirs.double()).norm() / theirs.double().norm()
        assert float(wrong) < CLOSE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_layouts_change_nothing(rules: dict[str, Any], layout: Layout, dtype: torch.dtype) -> None:
    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        found: Tensor = torch.ops.hyper.attention(q, k, v, scale=0.4, **rules)[0]
        return found

    dense = _dense(dtype)
    _assert_close(_results(call, laid(layout, dense)), _results(call, dense), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("features", [8, 36, 64, 81])
def test_masks_and_odd_heads(layout: Layout, dtype: torch.dtype, features: int) -> None:
    """A key mask and a bias that lie oddly too."""
    generator = torch.Generator().manual_seed(1)
    attended = (torch.rand(2, 1 + 2 * 300, generator=generator) > 0.3)[:, 1::2].cuda()
    bias = torch.randn(1, 4, 300, 307, generator=generator)[..., 3:303].to("cuda", dtype)

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        found: Tensor = torch.ops.hyper.attention(q, k, v, attended, bias, scale=0.2, algorithm="exact")[0]
        return found

    dense = _dense(dtype, 300, features)
    _assert_close(_results(call, laid(layout, dense)), _results(call, dense), dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_cut_of_random_numbers(layout: Layout) -> None:
    """8,200 tokens, 4 query heads over 2: the kernels of long calls."""
    tensors = [torch.randn(3, h, 8200, 81, device="cuda", dtype=torch.bfloat16)[..., 1:41] for h in (4, 2, 2)]
    tensors = tensors if layout is odd_rows else laid(layout, tensors)
    for algorithm in ("exact", "paper", "hyper"):
        rules: dict[str, Any] = {"is_causal": True, "enable_gqa": True, "algorithm": algorithm}
        dense = [tensor.clone(memory_format=torch.contiguous_format) for tensor in tensors]
        with torch.no_grad():
            found, wanted = hyper_attention(*tensors, **rules), hyper_attention(*dense, **rules)
        torch.cuda.synchronize()
        _assert_close([found], [wanted], torch.bfloat16)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_flash_attention_reads(layout: Layout, dtype: torch.dtype) -> None:
    """Copies are aligned, and what is aligned is no copy."""
    dense = _dense(dtype)[0]
    copied = readable(layout(dense))
    assert torch.equal(copied, dense)
    assert copied.data_ptr() % FLASH_BYTES == 0 and copied.stride(-1) == 1
    assert all(stride * dense.element_size() % FLASH_BYTES == 0 for stride in copied.stride()[:-1])
    assert readable(dense).data_ptr() == dense.data_ptr()


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax((q @ k.transpose(-1, -2)) * 0.2, -1) @ v


def _causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n = q.shape[2]
    future = torch.ones(n, n, dtype=torch.bool, device=q.device).triu(1)
    return torch.softmax(((q @ k.transpose(-1, -2)) * 0.2).masked_fill(future, -torch.inf), -1) @ v


def _cut(x: Tensor) -> Tensor:
    """Queries, keys and values are cut out in the graph, where no stride of an input shows it."""
    q, k, v = (x[..., at : at + 32] for at in (1, 33, 47))
    return _causal(q, k, v)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("function", [_attention, _causal])
def test_through_the_backend(function: Callable[..., Tensor], layout: Layout, dtype: torch.dtype) -> None:
    """Beside eager, which runs; the compiled function is called with other layouts too."""
    dense = _dense(dtype, 200, kv_heads=4)
    wanted = _results(function, dense)
    torch._dynamo.reset()
    compiled = torch.compile(function, backend="hyper", options={"approximate": False})
    for tensors in (laid(layout, dense), dense, laid(late, dense)):
        _assert_close(_results(compiled, tensors), wanted, dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("width", [80, 81])
@pytest.mark.parametrize("dynamic", [None, True])
def test_cut_out_in_the_graph(dtype: torch.dtype, width: int, dynamic: bool | None) -> None:
    x = _dense(dtype, 200, width)[0]
    torch._dynamo.reset()
    compiled = torch.compile(_cut, backend="hyper", options={"approximate": False}, dynamic=dynamic)
    _assert_close(_results(compiled, [x]), _results(_cut, [x]), dtype)
