"""Options: one place that validates, errors that name the nearest valid name."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
from hyperrewrite.kernels.parameters import Parameters

from hyperrewrite import OptionError, Options
from hyperrewrite.options import BREAK_EVEN, chosen_layers


def test_defaults_are_those_of_the_kernels() -> None:
    """But for the length from which approximating pays, which is the published one for `paper` only."""
    assert Options().parameters == replace(Parameters(), min_seq_len=BREAK_EVEN)
    assert Options.of({"algorithm": "paper"}).parameters == Parameters(algorithm="paper")
    assert Options.of({"algorithm": "paper", "min_seq_len": 99}).min_seq_len == 99
    assert Options.of({"min_seq_len": 99, "preset": "fast"}).min_seq_len == 99


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
    "given",
    [
        {"algorithm": "magic"},
        {"approximate": 1},
        {"block_size": 0},
        {"block_size": "256"},
        {"seed": True},
        {"window": -1},
        {"layers": "last"},
        {"layers": "last:-1"},
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
        ("last:0", set()),
        ("first:2", {0, 1}),
        ("0, 3", {0, 3}),
        ("1-3,9", {1, 2, 3}),
    ],
)
def test_layers(text: str, chosen: set[int]) -> None:
    assert chosen_layers(text, 5) == chosen
