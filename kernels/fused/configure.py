"""Which configuration a call gets: the nearest measured one of its device, else the analytic default.

The user's table, a file that HYPERREWRITE_TABLE names, goes before those that ship. Nothing is measured here.
"""

from __future__ import annotations

import functools
import os
from dataclasses import replace
from pathlib import Path

import torch

from .config import (
    Config,
    Device,
    ExactConfig,
    analytic,
    analytic_exact,
    attend_bytes,
    exact_bytes,
    search_bytes,
    sums_bytes,
    width_of,
)
from .measured import Row, nearest, read

VARIABLE = "HYPERREWRITE_TABLE"
SHIPPED = Path(__file__).parent / "tables"


def config_of(device: Device, dtype: torch.dtype, widest: int, length: int, causal: bool) -> Config:
    """For a call of `hyper` over `length` keys whose query and value have `widest` features at most.

    Raises TableError where HYPERREWRITE_TABLE names a file that cannot be used.
    """
    return _config(_user_file(), device, dtype, width_of(widest), _bucket(length), causal)


def exact_config_of(
    device: Device, dtype: torch.dtype, widest: int, length: int, causal: bool, in_pairs: bool
) -> ExactConfig:
    """For a call of exact attention; in_pairs: each pair of a query and a key has a bias or groups. Raises the same."""
    return _exact_config(_user_file(), device, dtype, width_of(widest), _bucket(length), causal, in_pairs)


def check_user_table() -> None:
    """Raise TableError where HYPERREWRITE_TABLE names a file that cannot be used."""
    if file := _user_file():
        _table(file)


def shipped_rows() -> tuple[Row, ...]:
    """The rows of every table that ships."""
    return tuple(row for file in sorted(SHIPPED.glob("*.json")) for row in _table(str(file)))


def _user_file() -> str:
    """An empty text where there is none."""
    return os.environ.get(VARIABLE, "")


def _bucket(length: int) -> int:
    """The power of two nearest to a length by its logarithm, so that few lengths are told apart."""
    above = 1 << max(length - 1, 0).bit_length()
    return above if 2 * length * length >= above * above else above // 2


@functools.cache
def _table(file: str) -> tuple[Row, ...]:
    return read(Path(file))


def _row(
    file: str, device: Device, kernel: str, dtype: torch.dtype, width: int, length: int, causal: bool
) -> Row | None:
    for rows in (_table(file) if file else (), shipped_rows()):
        if (found := nearest(rows, device, kernel, dtype, width, length, causal)) is not None:
            return found
    return None


@functools.cache
def _config(file: str, device: Device, dtype: torch.dtype, width: int, length: int, causal: bool) -> Config:
    row = _row(file, device, "hyper", dtype, width, length, causal)
    if row is None or not isinstance(row.config, Config):
        return analytic(device, dtype, width)
    found = replace(row.config, sketch=device.sketch)
    needed = max(sums_bytes(found, dtype, width), search_bytes(found, width), attend_bytes(found, dtype, width))
    return found if needed <= device.shared else analytic(device, dtype, width)  # a row for narrower heads may not fit


@functools.cache
def _exact_config(
    file: str, device: Device, dtype: torch.dtype, width: int, length: int, causal: bool, in_pairs: bool
) -> ExactConfig:
    row = _row(file, device, "exact_pairs" if in_pairs else "exact", dtype, width, length, causal)
    if row is None or not isinstance(row.config, ExactConfig):
        return analytic_exact(device, dtype, width, in_pairs)
    fits = exact_bytes(row.config, dtype, width, in_pairs) <= device.shared
    return row.config if fits else analytic_exact(device, dtype, width, in_pairs)
