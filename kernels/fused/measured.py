"""Configurations that were measured: rows of a JSON file, and the row that is nearest to a call.

    {"format": 1, "rows": [{"device": "NVIDIA H100*", "capability": [9, 0], "kernel": "hyper", "dtype": "bfloat16",
     "features": 64, "length": 8192, "causal": true, "sums": [64, 4, 3], "search": [128, 4, 3], "attend": [32, 8, 3],
     "plain": 64, "milliseconds": 0.641, "torch": "2.11", "triton": "3.6"}]}

A phase is its keys, its warps and its stages; "plain" are keys, "rows" queries. Kernels are "hyper",
"exact", and "exact_pairs" for exact attention with a bias or groups. What nobody measured is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeGuard

import torch

from .config import LEAST_KEYS, LEAST_SEARCHED, TILE, Config, Device, ExactConfig, Phase, width_of

FORMAT = 1
KERNELS = ("hyper", "exact", "exact_pairs")
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
WIDTHS = (64, 128, 256)
MOST_KEYS = 256
WARPS = (1, 2, 4, 8, 16)
MOST_STAGES = 8
HEAD = ("device", "capability", "kernel", "dtype", "features", "length", "causal")
FOOT = ("milliseconds", "torch", "triton")
BODY = dict.fromkeys(KERNELS, ("rows", "attend")) | {"hyper": ("sums", "search", "attend", "plain")}


class TableError(ValueError):
    """A file of measured configurations that cannot be used, in one sentence."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured configuration.

    device        pattern (fnmatch) of device names; capability: compute capability. Both must fit.
    kernel        one of KERNELS.
    features      class of head widths, of WIDTHS.
    length        keys.
    config        `sketch` in it says nothing: the device decides it.
    milliseconds  of one call of the tuner's size, None where unknown, as the versions that it was measured with.
    """

    device: str
    capability: tuple[int, int]
    kernel: str
    dtype: torch.dtype
    features: int
    length: int
    causal: bool
    config: Config | ExactConfig
    milliseconds: float | None = None
    torch_version: str | None = None
    triton_version: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What it was measured for; a table has one row of a key."""
        return (self.device, self.capability, self.kernel, self.dtype, self.features, self.length, self.causal)

    def is_for(self, device: Device) -> bool:
        """Whether the device is one of the row's."""
        return self.capability == device.capability and fnmatchcase(device.name, self.device)


def nearest(
    rows: Iterable[Row], device: Device, kernel: str, dtype: torch.dtype, widest: int, length: int, causal: bool
) -> Row | None:
    """The row of the device, kernel and dtype that fits a call best, None where there is none: the narrowest heads that
    are as wide as the call's (a narrower row's steps may not fit), then the same mask, then the length by its
    logarithm, the longer of two."""
    fitting = [
        row
        for row in rows
        if row.is_for(device) and row.kernel == kernel and row.dtype == dtype and row.features >= width_of(widest)
    ]
    return min(
        fitting,
        key=lambda row: (
            row.features,
            row.causal != causal,
            abs(math.log2(row.length) - math.log2(max(length, 1))),
            -row.length,
        ),
        default=None,
    )


def read(file: Path) -> tuple[Row, ...]:
    """The rows of a file. Raises TableError."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise TableError(f"the table {file} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise TableError(f"the table {file} is not JSON: {error}") from error
    try:
        return _rows(told)
    except TableError as error:
        raise TableError(f"the table {file}: {error}") from None


def text(rows: Iterable[Row]) -> str:
    """The file of these rows, a line each, in order of their keys."""
    ordered = sorted(rows, key=lambda row: (*map(str, row.key[:4]), row.features, row.causal, row.length))
    lines = ",\n".join("    " + json.dumps(_told(row), ensure_ascii=False) for row in ordered)
    return f'{{\n  "format": {FORMAT},\n  "rows": [\n{lines}\n  ]\n}}\n'


def _told(row: Row) -> dict[str, Any]:
    name = next(name for name, dtype in DTYPES.items() if dtype == row.dtype)
    head = {"device": row.device, "capability": list(row.capability), "kernel": row.kernel, "dtype": name,
            "features": row.features, "length": row.length, "causal": row.causal}  # fmt: skip
    config = row.config
    body: dict[str, Any] = {"attend": list(astuple(config.attend))}
    if isinstance(config, ExactConfig):
        body = {"rows": config.rows, **body}
    else:
        first = {"sums": list(astuple(config.sums)), "search": list(astuple(config.search))}
        body = {**first, **body, "plain": config.plain}
    return {**head, **body, "milliseconds": row.milliseconds, "torch": row.torch_version,
            "triton": row.triton_version}  # fmt: skip


def _rows(told: Any) -> tuple[Row, ...]:
    if not isinstance(told, dict) or told.get("format") != FORMAT or not isinstance(told.get("rows"), list):
        raise TableError(f'it must be an object with "format": {FORMAT} and a list of "rows"')
    rows: dict[tuple[object, ...], Row] = {}
    for number, line in enumerate(told["rows"], 1):
        try:
            row = _row(line)
        except TableError as error:
            raise TableError(f"row {number}: {error}") from None
        if row.key in rows:
            raise TableError(f"row {number} is for the same calls as one before it")
        rows[row.key] = row
    return tuple(rows.values())


def _row(line: Any) -> Row:
    if not isinstance(line, dict):
        raise TableError("it must be an object")
    kernel, dtype = _one_of(line, "kernel", KERNELS), DTYPES[_one_of(line, "dtype", DTYPES)]
    names = (*HEAD, *BODY[kernel], *FOOT)
    if odd := sorted(set(line) - set(names)):
        raise TableError(f"{odd[0]!r} is no field of a row of {kernel}")
    capability = line.get("capability")
    if not isinstance(capability, list) or len(capability) != 2 or not all(_is_whole(part) for part in capability):
        raise TableError(f"capability must be two whole numbers, not {capability!r}")
    if not isinstance(device := line.get("device"), str) or not device:
        raise TableError(f"device must be a name, not {device!r}")
    if not isinstance(causal := line.get("causal"), bool):
        raise TableError(f"causal must be true or false, not {causal!r}")
    length: Any = line.get("length")
    if not _is_whole(length) or length < 1:
        raise TableError(f"length must be a whole number from 1, not {length!r}")
    features: Any = line.get("features")
    if not _is_whole(features) or features not in WIDTHS:
        raise TableError(f"features must be one of {', '.join(map(str, WIDTHS))}, not {features!r}")
    spent = line.get("milliseconds")
    if spent is not None and (not isinstance(spent, int | float) or isinstance(spent, bool) or not 0 < spent < 1e9):
        raise TableError(f"milliseconds must be a number above 0 or null, not {spent!r}")
    versions = [line.get(name) for name in ("torch", "triton")]
    if not all(version is None or isinstance(version, str) for version in versions):
        raise TableError("torch and triton must be versions or null")
    return Row(
        device, (capability[0], capability[1]), kernel, dtype, features, length, causal,
        _exact(line) if kernel != "hyper" else _hyper(line), spent, *versions,
    )  # fmt: skip


def _hyper(line: Mapping[str, Any]) -> Config:
    sums, search = _phase(line, "sums", LEAST_KEYS), _phase(line, "search", LEAST_SEARCHED)
    attend = _phase(line, "attend", LEAST_KEYS)
    if (plain := _power(line, "plain", LEAST_KEYS, MOST_KEYS)) < attend.keys:
        raise TableError(f"plain must be at least the keys of attend, {attend.keys}, not {plain}")
    return Config(sums, search, attend, plain)


def _exact(line: Mapping[str, Any]) -> ExactConfig:
    return ExactConfig(_power(line, "rows", LEAST_KEYS, TILE), _phase(line, "attend", LEAST_KEYS))


def _phase(line: Mapping[str, Any], name: str, least: int) -> Phase:
    """[keys, warps, stages]."""
    told = line.get(name)
    if not isinstance(told, list) or len(told) != 3 or not all(_is_whole(part) for part in told):
        raise TableError(f"{name} must be a list of 3 whole numbers, not {told!r}")
    keys = _power({f"keys of {name}": told[0]}, f"keys of {name}", least, MOST_KEYS)
    if told[1] not in WARPS:
        raise TableError(f"warps of {name} must be one of {', '.join(map(str, WARPS))}, not {told[1]}")
    if not 1 <= told[2] <= MOST_STAGES:
        raise TableError(f"stages of {name} must be from 1 to {MOST_STAGES}, not {told[2]}")
    return Phase(keys, told[1], told[2])


def _power(line: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value: Any = line.get(name)
    if not _is_whole(value) or not least <= value <= most or value & (value - 1):
        raise TableError(f"{name} must be a power of two from {least} to {most}, not {value!r}")
    return value


def _one_of(line: Mapping[str, Any], name: str, known: Collection[str]) -> str:
    value = line.get(name)
    if not isinstance(value, str) or value not in known:
        raise TableError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    return value


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
