"""Thirty transformers types: every attention is found, rewritten, and right to 1e-4.

`benchmarks/coverage.py` runs all types and conditions; this is its pinned subset, eager and sdpa, with padding where
the model takes a mask.
"""

from __future__ import annotations

import coverage_measure
import pytest
from coverage_models import PINNED

# Where symbolic sizes come into the reading: shifts, buckets, caps, windows, grouped heads, packed qkv.
DYNAMIC = ("bloom", "falcon", "gemma2", "gpt2", "gpt_oss", "llama", "t5", "xlnet")


@pytest.mark.parametrize("model_type", DYNAMIC)
def test_dynamic_shapes_lose_nothing(model_type: str) -> None:
    """dynamic=True, where float attributes of the modules are symbols as well as the sizes."""
    _check(model_type, "eager", "dynamic")


@pytest.mark.parametrize("implementation", coverage_measure.IMPLEMENTATIONS)
@pytest.mark.parametrize("model_type", PINNED)
def test_every_attention_is_accounted_for(model_type: str, implementation: str) -> None:
    _check(model_type, implementation, "none" if model_type == "swin" else "padded")  # swin takes no mask


def _check(model_type: str, implementation: str, condition: str) -> None:
    (entry,) = coverage_measure.measure(model_type, (implementation,), (condition,), inductor=False)
    if entry.get("not_run", {}).get("stage") == "not applicable":
        pytest.skip(entry["not_run"]["reason"])
    row = entry["row"]
    assert row["sites"]
    assert not row["missed"], row["samples"]
    assert not row["failures"]
    assert not row["rejected"], row["samples"]
    assert row["rewritten"] == row["sites"]
    assert not coverage_measure.is_wrong(row), row["max_difference"]
