"""Which queries, keys and values SDPA's kernels on CUDA may be given; others go to the op, which copies.

The graphs are captured on the CPU; the sites are then said to be on CUDA.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from graphs import capture
from hyperrewrite.passes.alignment import is_misaligned
from hyperrewrite.passes.rewrite import fits_sdpa
from hyperrewrite.passes.spec import AttentionSite
from torch import Tensor

from hyperrewrite.options import Options
from hyperrewrite.policy import decide


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(-1, -2), -1) @ v


def _cut(x: Tensor, size: int) -> Tensor:
    q, k, v = (x[..., at : at + size] for at in (1, 8, 16))
    return _attend(q, k, v)


def _heads(x: Tensor) -> Tensor:
    q, k, v = x.unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
    return _attend(q, k, v)


def _on_cuda(function: object, *args: object, dynamic: bool | None = None) -> AttentionSite:
    (site,) = capture(function, args, dynamic=dynamic).findings().sites  # type: ignore[arg-type]
    return replace(site, spec=replace(site.spec, device=torch.device("cuda")))


def _rows(width: int, start: int = 0, size: int = 40, dtype: torch.dtype = torch.bfloat16) -> list[Tensor]:
    return [torch.randn(2, 4, 70, width, dtype=dtype)[..., start : start + size] for _ in range(3)]


@pytest.mark.parametrize(
    ("args", "misaligned"),
    [
        (_rows(40), False),
        (_rows(81, 1), True),
        (_rows(80, 1), False),  # of an input the offset is Inductor's to look at
        (_rows(81), True),  # the rows alone
        (_rows(80, 8), False),
        (_rows(84, 4, dtype=torch.float32), False),
        (_rows(82, dtype=torch.float32), True),
        (_rows(81, 1, size=37), False),  # PyTorch pads such heads
        ([t.transpose(-1, -2).contiguous().transpose(-1, -2) for t in _rows(40)], False),  # no kernel takes them
        ([*_rows(40)[:2], _rows(81, 1)[0]], True),
    ],
)
def test_inputs(args: list[Tensor], misaligned: bool) -> None:
    site = _on_cuda(_attend, *args)
    assert is_misaligned(site) is misaligned
    assert fits_sdpa(site) is not misaligned
    (decision,) = decide([site], Options.of({"approximate": False}))
    assert decision.lowering is not None
    assert decision.lowering.target == ("op" if misaligned else "sdpa")


@pytest.mark.parametrize("dynamic", [None, True])
def test_views_in_the_graph(dynamic: bool | None) -> None:
    assert is_misaligned(_on_cuda(_cut, torch.randn(2, 4, 70, 81), 32, dynamic=dynamic))
    assert is_misaligned(_on_cuda(_cut, torch.randn(2, 4, 70, 80), 32))
    assert not is_misaligned(_on_cuda(_heads, torch.randn(2, 70, 3 * 4 * 16)))


def test_dynamic_lengths_are_no_reason() -> None:
    assert not is_misaligned(_on_cuda(_attend, *_rows(40), dynamic=True))  # features are a symbol as well
    assert is_misaligned(_on_cuda(_attend, *_rows(81, 1), dynamic=True))
    x = torch.randn(2, 70, 3 * 4 * 16)
    torch._dynamo.mark_dynamic(x, 1)
    assert not is_misaligned(_on_cuda(_heads, x))


def test_the_cpu_takes_all() -> None:
    (site,) = capture(_attend, _rows(81, 1)).findings().sites
    assert not is_misaligned(site) and fits_sdpa(site)
