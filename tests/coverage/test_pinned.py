"""Thirty transformers types: every attention is found, rewritten, and right to 1e-4.

`benchmarks/coverage.py` runs all types and conditions; this is its pinned subset, eager and sdpa, with padding where
the model takes a mask.
"""

from __future__ import annotations

import coverage_measure
import pytest
from coverage_models import PINNED


@pytest.mark.parametrize("implementation", coverage_measure.IMPLEMENTATIONS)
@pytest.mark.parametrize("model_type", PINNED)
def test_every_attention_is_accounted_for(model_type: str, implementation: str) -> None:
    condition = "none" if model_type == "swin" else "padded"  # swin takes no mask
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
