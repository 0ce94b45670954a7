"""What a user may set, validated in one place.

`torch.compile(model, backend="hyper", options={...})` hands over a plain dictionary; `Options.of` turns it into frozen
data or raises `OptionError` with one sentence that names the nearest valid name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from .errors import OptionError
from .kernels.parameters import Parameters, nearest, preset_values

__all__ = ["OptionError", "Options", "chosen_layers"]


@dataclass(frozen=True, slots=True)
class Options(Parameters):
    """Every option of the backend; those of the estimator are documented in `kernels.parameters.Parameters`.

    preset       "default", "fast" or "accurate": values of the estimator's options that are not given.
    approximate  False: every site is exact, whatever else is set.
    layers       which sites may be approximated, counted in graph order: "all", "last:14", "first:2" or "0,3,5-9".
                 The others are exact. Blocks that are compiled one by one are a graph each.
    verify       True: before a graph is compiled, it and its exactly rewritten copy run on random inputs; if they
                 differ, the graph stays as it was, with a warning.
    inductor     configuration handed to Inductor, by the names of torch._inductor.config.
    """

    preset: str = "default"
    approximate: bool = True
    layers: str = "all"
    verify: bool = False
    inductor: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Raise OptionError for a value outside its range."""
        try:
            Parameters.__post_init__(self)
            preset_values(self.preset)
        except ValueError as error:
            raise OptionError(str(error)) from None
        for name in ("approximate", "verify"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if not isinstance(self.inductor, Mapping):
            raise OptionError(f"inductor must be a dictionary, not {type(self.inductor).__name__}")
        chosen_layers(self.layers, 0)

    @staticmethod
    def of(given: Mapping[str, Any] | None) -> Options:
        """Options from a dictionary; "-" in a name counts as "_". Raises OptionError, also for a table of kernel
        configurations (`kernels.fused.configure`) that cannot be used."""
        from .kernels.fused.configure import check_user_table
        from .kernels.fused.measured import TableError

        try:
            check_user_table()
        except TableError as error:
            raise OptionError(str(error)) from None
        names = [f.name for f in fields(Options)]
        values: dict[str, Any] = {}
        for key, value in (given or {}).items():
            name = str(key).replace("-", "_")
            if name not in names:
                raise OptionError(f"unknown option {key!r}{_elsewhere(name, value) or nearest(name, names)}")
            values[name] = value
        try:
            values = preset_values(values.get("preset", "default")) | values
        except ValueError as error:
            raise OptionError(str(error)) from None
        if isinstance(values.get("inductor"), Mapping):
            values["inductor"] = MappingProxyType(_inductor(values["inductor"]))
        return Options(**values)

    @property
    def parameters(self) -> Parameters:
        """The part of the options that an attention call is told."""
        return Parameters(**{f.name: getattr(self, f.name) for f in fields(Parameters)})

    def as_dict(self) -> dict[str, Any]:
        """Plain data, in the order of the fields."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"inductor": dict(self.inductor)}


def _elsewhere(name: str, value: Any) -> str:
    """The end of a sentence about an option that belongs to Inductor or to torch.compile; "" for any other."""
    from torch._inductor import config

    if name in config.get_config_copy():
        return f"; it is one of Inductor's: options={{'inductor': {{{name!r}: {value!r}}}}}"
    return f"; it is an argument of torch.compile itself: {name}={value!r}" if name in _TORCH_COMPILE else ""


_TORCH_COMPILE = ("mode", "dynamic", "fullgraph", "backend")


def _inductor(given: Mapping[str, Any]) -> dict[str, Any]:
    from torch._inductor import config

    known = config.get_config_copy()
    found: dict[str, Any] = {}
    for key, value in given.items():
        name = str(key).replace("-", "_")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]!r}?" if close else "; the names are those of torch._inductor.config"
            raise OptionError(f"unknown Inductor option {key!r}{hint}")
        found[name] = value
    return found


_LAYERS = re.compile(r"all|(?:first|last):\d+|\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*")


def chosen_layers(layers: str, count: int) -> frozenset[int]:
    """The indices in range(count) that a `layers` text names.

    Raises OptionError for a text of another form, and for one that names nothing whatever the graph.
    """
    if not isinstance(layers, str) or not _LAYERS.fullmatch(layers.replace(" ", "")):
        raise OptionError(f"layers must be like 'all', 'last:14', 'first:2' or '0,3,5-9', not {layers!r}")
    text = layers.replace(" ", "")
    if text == "all":
        return frozenset(range(count))
    end, colon, number = text.partition(":")
    if colon:
        if int(number) == 0:
            raise OptionError(f"layers={layers!r} chooses no site; approximate=False makes every site exact")
        span = range(int(number)) if end == "first" else range(max(count - int(number), 0), count)
        return frozenset(k for k in span if k < count)
    chosen: set[int] = set()
    for low, high in _spans(text):
        if high < low:
            raise OptionError(f"layers={layers!r} counts backwards from {low} to {high}")
        chosen.update(range(low, min(high + 1, count)))
    return frozenset(chosen)


def highest_layer(layers: str) -> int | None:
    """The highest number that a valid `layers` text names; None for "all", "first:…" and "last:…", which name none."""
    text = layers.replace(" ", "")
    return max(high for _, high in _spans(text)) if text[0].isdigit() else None


def _spans(text: str) -> list[tuple[int, int]]:
    """ "0,5-9" as [(0, 0), (5, 9)]: first and last number of each part."""
    parts = [part.partition("-") for part in text.split(",")]
    return [(int(low), int(high or low)) for low, _, high in parts]
