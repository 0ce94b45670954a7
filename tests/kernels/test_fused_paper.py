"""The fused kernels of `paper`, interpreted, against its slow definition: the same keys, the same numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import SMALL, Inputs, make_inputs

pytest.importorskip("triton")
from hyperrewrite.kernels.fused import launch_paper
from hyperrewrite.kernels.fused.config import Phase
from hyperrewrite.kernels.fused.launch_paper import PaperConfig
from poisoned import poison  # noqa: F401  (fixture)
from torch import Tensor

needs_interpreter = pytest.mark.skipif(torch.cuda.is_available(), reason="interpreted only where there is no GPU")
TINY = PaperConfig(32, Phase(16, 4), 16, Phase(16, 4), chunk=32)
PAPER: dict[str, Any] = {"algorithm": "paper", **SMALL}


def fused(inputs: Inputs, config: PaperConfig = TINY, **rules: Any) -> tuple[Tensor, Tensor]:
    tensors = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    return launch_paper.paper(*tensors, inputs.key_mask, inputs.call(**rules), config)


def check(inputs: Inputs, tolerance: float = 1e-5, config: PaperConfig = TINY, **rules: Any) -> None:
    want, want_lse = inputs.oracle(**rules)
    out, lse = fused(inputs, config, **rules)
    torch.testing.assert_close(lse.double(), want_lse, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(out.double(), want, atol=tolerance, rtol=tolerance)
    assert out.is_contiguous() and out.dtype == inputs.query.dtype and lse.dtype == torch.float32


@needs_interpreter
@pytest.mark.parametrize(("n", "features"), [(63, 40), (111, 80), (300, 96)])
@pytest.mark.parametrize("offset", [None, 0])
@pytest.mark.parametrize("masked", [0.0, 0.4])
def test_matches_oracle_on_odd_shapes(n: int, features: int, offset: int | None, masked: float) -> None:
    inputs = make_inputs(n, batch=2 if n < 200 else 1, kv_heads=2, features=features, masked=masked, strided=n == 111)
    check(inputs, causal_offset=offset, scale=0.2, **PAPER)
