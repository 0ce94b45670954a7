"""Options: one place that validates, errors that name the nearest valid name."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from hyperrewrite.kernels import meter
from hyperrewrite.kernels.parameters import MIN_SEQ_LEN, Parameters

from hyperrewrite import OptionError, Options, hyper_attention
from hyperrewrite.demo.settings import Settings
from hyperrewrite.options import chosen_layers


def test_defaults_are_those_of_the_kernels() -> None:
    assert Options().parameters == Parameters()
    assert Options.of({"algorithm": "paper"}).parameters == Parameters(algorithm="paper")
    assert Options.of({"algorithm": "paper", "min_seq_len": 99}).min_seq_len == 99
    assert Options.of({"min_seq_len": 99, "preset": "fast"}).min_seq_len == 99


@pytest.mark.parametrize("algorithm", ["paper", "hyper"])
def test_an_algorithm_has_one_min_seq_len(algorithm: Any) -> None:
    """For the backend, the op, `hyper_attention` and the demo alike; a number that is given stands everywhere."""
    least = MIN_SEQ_LEN[algorithm]
    assert Options.of({"algorithm": algorithm}).min_seq_len == Parameters(algorithm=algorithm).min_seq_len == least
    assert Settings().options[algorithm]["min_seq_len"] == least
    assert Settings(min_seq_len=99).options[algorithm]["min_seq_len"] == 99
    x = torch.empty(1, 1, 1, 8)
    seen: list[meter.Observation] = []
    with meter.observe(seen.append):
        hyper_attention(x, x, x, algorithm=algorithm)
        torch.ops.hyper.attention(x, x, x, algorithm=algorithm)
        hyper_attention(x, x, x, algorithm=algorithm, min_seq_len=99)
    assert [observation.call.parameters.min_seq_len for observation in seen] == [least, least, 99]


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ({"windw": 3}, "window"),
        ({"aproximate": False}, "approximate"),
        ({"lsh_projection": 3}, "lsh_projections"),
        ({"layer": "all"}, "layers"),
        ({"inductor": {"max_autotun": True}}, "max_autotune"),
    ],
)
def test_unknown_name_says_the_nearest(given: dict[str, object], nearest: str) -> None:
    with pytest.raises(OptionError, match=f"did you mean '{nearest}'"):
        Options.of(given)


@pytest.mark.parametrize(
    ("given", "cure"),
    [
        ({"epilogue_fusion": True}, r"options=\{'inductor': \{'epilogue_fusion': True\}\}"),
        ({"triton.cudagraphs": True}, r"options=\{'inductor': \{'triton.cudagraphs': True\}\}"),
        ({"max-autotune": False}, r"options=\{'inductor': \{'max_autotune': False\}\}"),
        ({"mode": "max-autotune"}, r"torch.compile itself: mode='max-autotune'"),
        ({"epilog_fusing": True}, "valid are algorithm"),  # of nobody
    ],
)
def test_an_option_of_somebody_else_says_where_it_goes(given: dict[str, object], cure: str) -> None:
    with pytest.raises(OptionError, match=cure):
        Options.of(given)


@pytest.mark.parametrize(
    "given",
    [
        {"algorithm": "magic"},
        {"preset": "fastt"},
        {"preset": ["fast"]},
        {"approximate": 1},
        {"block_size": 0},
        {"block_size": "256"},
        {"seed": True},
        {"window": -1},
        {"layers": "last"},
        {"layers": "last:-1"},
        {"layers": "last:0"},
        {"layers": "first: 0"},
        {"layers": "0,7-5"},
        {"layers": 3},
        {"inductor": "max_autotune"},
    ],
)
def test_bad_values_are_one_sentence(given: dict[str, object]) -> None:
    with pytest.raises(OptionError) as caught:
        Options.of(given)
    assert next(iter(given)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_are_frozen_and_dashes_are_underscores() -> None:
    options = Options.of({"min-seq-len": 7, "inductor": {"max-autotune": True}})
    assert options.min_seq_len == 7
    assert dict(options.inductor) == {"max_autotune": True}
    with pytest.raises(FrozenInstanceError):
        options.min_seq_len = 8  # type: ignore[misc]
    with pytest.raises(TypeError):
        options.inductor["max_autotune"] = False  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("all", {0, 1, 2, 3, 4}),
        ("last:2", {3, 4}),
        ("last:9", {0, 1, 2, 3, 4}),
        ("first:2", {0, 1}),
        ("0, 3", {0, 3}),
        ("1-3,9", {1, 2, 3}),
    ],
)
def test_layers(text: str, chosen: set[int]) -> None:
    assert chosen_layers(text, 5) == chosen
