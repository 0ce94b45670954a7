"""Names and presets, and that matched estimators read as many keys as they were told to."""

from __future__ import annotations

import pytest
import quality_estimators as known
import torch
from hyperrewrite.kernels import parameters

from hyperrewrite.usage import UsageError

LENGTH = 1024


@pytest.mark.parametrize("keys", [120.0, 200.0, 400.0])
@pytest.mark.parametrize("name", known.MATCHED)
def test_matched_estimators_read_equal_keys(name: str, keys: float) -> None:
    estimator = known.matched(name, "default", {"window": 64, "sinks": 16}, LENGTH, keys)
    head = torch.randn(1, 1, LENGTH, 8, generator=torch.Generator().manual_seed(0))
    out, count = estimator.attend(head, head, head, 0.3, True)
    assert out.shape == head.shape and bool(out.isfinite().all())
    slack = 0.15 * keys if name == "paper" else 1.0  # paper's blocks grow in steps
    assert keys - slack <= count().keys <= keys + 1.0


def test_exact_is_exact() -> None:
    query, key, value = torch.randn(3, 1, 2, 80, 8, generator=torch.Generator().manual_seed(0)).unbind()
    (exact,) = known.independent(["exact"], {})
    for causal in (True, False):
        out, count = exact.attend(query, key, value, 0.2, causal)
        wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=causal, scale=0.2)
        torch.testing.assert_close(out, wanted)
        assert count().keys == (40.5 if causal else 80)


def test_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"fast": {"window": 128}, "default": {}}
    monkeypatch.setattr(parameters, "PRESETS", made, raising=False)
    found = known.presets(['mine={"sinks": 8}'], shared={"min_seq_len": 64})
    assert found == {
        "default": {"min_seq_len": 64},
        "fast": {"window": 128, "min_seq_len": 64},
        "mine": {"sinks": 8, "min_seq_len": 64},
    }
    assert list(known.presets(only="fast")) == ["fast"]
    assert [e.title for e in known.independent(["exact", "hyper"], found)] == [
        "exact",
        "hyper default",
        "hyper fast",
        "hyper mine",
    ]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"only": "none"}, "no preset"),
        ({"extra": ["a"]}, "--preset"),
        ({"extra": ["a={"]}, "--preset"),
        ({"extra": ["a=3"]}, "--preset"),
        ({"extra": ['a={"widow": 3}']}, "widow"),
        ({"extra": ['a={"window": -3}']}, "window must be"),
    ],
)
def test_bad_presets(arguments: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        known.presets(**arguments)  # type: ignore[arg-type]


def test_names() -> None:
    assert known.chosen_names("hyper, exact") == ["exact", "hyper"]
    assert "topk-all" not in known.chosen_names("")
    with pytest.raises(UsageError, match="no estimator"):
        known.chosen_names("exact,magic")
    with pytest.raises(UsageError, match="as hyper does"):
        known.chosen_names("exact,topk")
