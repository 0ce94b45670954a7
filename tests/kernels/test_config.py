"""Configurations of the fused kernels: the shipped table, the nearest row, a user's table, the analytic default."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hyperrewrite.kernels.fused import configure
from hyperrewrite.kernels.fused.config import (
    Config,
    Device,
    ExactConfig,
    Phase,
    analytic,
    analytic_exact,
    attend_bytes,
    device_of,
    exact_bytes,
    search_bytes,
    sums_bytes,
    within,
)
from hyperrewrite.kernels.fused.measured import Row, TableError, nearest, read, text

from hyperrewrite import OptionError, Options

H100 = Device("NVIDIA H100 80GB HBM3", (9, 0), 232_448, torch.float8_e4m3fn)
A100 = Device("NVIDIA A100-SXM4-80GB", (8, 0), 166_912, torch.float16)
LAPTOP = Device("NVIDIA GeForce RTX 3080 Laptop GPU", (8, 6), 101_376, torch.float16)
BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32
OWN = Config(Phase(32, 4, 3), Phase(64, 4, 4), Phase(64, 8), 128)


def row(**more: Any) -> Row:
    told = {"device": "NVIDIA H100*", "capability": (9, 0), "kernel": "hyper", "dtype": BF16, "features": 64,
            "length": 8192, "causal": True, "config": OWN}  # fmt: skip
    return Row(**{**told, **more})


def test_shipped_table_has_what_people_run() -> None:
    rows = configure.shipped_rows()
    have = {(row.kernel, row.dtype, row.features, row.causal) for row in rows if row.is_for(H100)}
    assert have >= {
        (kernel, dtype, features, causal)
        for kernel in ("exact", "exact_pairs")
        for dtype in (BF16, FP16, FP32)
        for features in (64, 128)
        for causal in (True, False)
    }
    timed = [row for row in rows if row.milliseconds is not None]
    assert all(row.torch_version and row.triton_version for row in timed)


def test_shipped_rows_fit_into_shared_memory() -> None:
    """By the same bound that the analytic default keeps to; tests/kernels/test_cubins.py asks the compiler."""
    for row in configure.shipped_rows():
        if isinstance(row.config, ExactConfig):
            needed = [exact_bytes(row.config, row.dtype, row.features, row.kernel == "exact_pairs")]
        else:
            config = replace(row.config, sketch=H100.sketch)
            needed = [sums_bytes(config, row.dtype, row.features), search_bytes(config, row.features),
                      attend_bytes(config, row.dtype, row.features)]  # fmt: skip
        assert max(needed) <= H100.shared, row


def test_shipped_files_are_as_the_tuner_writes_them() -> None:
    for file in configure.SHIPPED.glob("*.json"):
        assert file.read_text(encoding="utf-8") == text(read(file))


def test_nearest_row() -> None:
    rows = [
        row(length=4096),
        row(length=32768),
        row(length=4096, causal=False),
        row(features=128),
        row(dtype=FP16, length=1024),
        row(kernel="exact", config=ExactConfig()),
        row(device="NVIDIA B200", capability=(10, 0)),
    ]

    def found(device: Device = H100, dtype: torch.dtype = BF16, widest: int = 64, n: int = 8192, causal: bool = True):  # type: ignore[no-untyped-def]
        one = nearest(rows, device, "hyper", dtype, widest, n, causal)
        return None if one is None else rows.index(one)

    assert found(n=4097) == 0
    assert found(n=11585) == 0  # below the middle of the logarithms
    assert found(n=11586) == 1
    assert found(n=10**7) == 1
    assert found(n=0) == 0
    assert found(causal=False, n=32768) == 2  # the mask before the length
    assert found(widest=1) == 0
    assert found(widest=65) == 3 and found(widest=128, causal=False) == 3
    assert found(widest=129) is None  # a narrower row's steps may not fit
    assert found(dtype=FP16) == 4
    assert found(dtype=FP32) is None
    assert found(device=A100) is None
    assert found(device=replace(H100, capability=(9, 1))) is None


@pytest.mark.parametrize("device", [H100, replace(H100, name="NVIDIA H200"), A100, LAPTOP], ids=lambda one: one.name)
def test_analytic_default(device: Device) -> None:
    """The hand-written rules where they fit: everywhere up to 128 features."""
    assert analytic(device, BF16, 64) == Config(sketch=device.sketch)
    half = 1 if device.shared > 120_000 else 2
    wide = Config(search=Phase(128 // half, 4, 3), plain=32, sketch=device.sketch)
    assert analytic(device, FP16, 128) == wide
    slim = Config(sums=Phase(32, 8), search=Phase(64, 8), attend=Phase(32, 8), plain=32, sketch=device.sketch)
    assert analytic(device, FP32, 64) == slim
    wide = analytic(device, BF16, 256)
    assert wide == slim if device.shared > 200_000 else wide.search.keys < 64
    for dtype, widest, in_pairs in ((BF16, 64, True), (FP32, 64, False), (BF16, 256, True), (FP32, 256, True)):
        config = analytic_exact(device, dtype, widest, in_pairs)
        assert exact_bytes(config, dtype, widest, in_pairs) <= device.shared
    assert analytic_exact(device, BF16, 64, False) == ExactConfig(128, Phase(64, 8))


def test_no_warp_of_exact_attention_has_fewer_than_16_rows() -> None:
    """Float32 with 128 features, 64 rows and 8 warps gave wrong numbers on an H200 (triton 3.6)."""
    made = [analytic_exact(H100, dtype, widest, pairs) for dtype in (BF16, FP32) for widest in (64, 128, 256)
            for pairs in (False, True)]  # fmt: skip
    for config in (*made, *(row.config for row in configure.shipped_rows() if isinstance(row.config, ExactConfig))):
        assert config.rows >= 16 * config.attend.warps
    assert analytic_exact(H100, FP32, 128, False) == ExactConfig(64, Phase(16, 4))
    assert within(64, Phase(16, 8)) == Phase(16, 4) and within(128, Phase(16, 8)) == Phase(16, 8)


def test_devices_without_a_row_get_the_analytic_default() -> None:
    for device in (A100, LAPTOP, device_of(torch.device("cpu"))):
        for dtype in (BF16, FP32):
            for widest in (24, 64, 100, 200):
                assert configure.config_of(device, dtype, widest, 5000, True) == analytic(device, dtype, widest)
                told = configure.exact_config_of(device, dtype, widest, 5000, False, True)
                assert told == analytic_exact(device, dtype, widest, True)


def test_device_with_a_row_gets_it() -> None:
    rows = configure.shipped_rows()
    for widest, length, causal in ((64, 8192, True), (128, 32768, True), (100, 30000, False)):
        want = nearest(rows, H100, "exact", BF16, widest, length, causal)
        assert want is not None
        assert configure.exact_config_of(H100, BF16, widest, length, causal, False) == want.config


def test_users_table_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (
        row(device=A100.name, capability=A100.capability, milliseconds=1.5, torch_version="2.11", triton_version="3.6"),
        row(device=A100.name, capability=A100.capability, kernel="exact_pairs",
            config=ExactConfig(64, Phase(16, 2))),
    )  # fmt: skip
    file = tmp_path / "table.json"
    file.write_text(text(rows), encoding="utf-8")
    assert set(read(file)) == set(rows)
    shipped = configure.config_of(H100, BF16, 64, 8192, True)
    monkeypatch.setenv(configure.VARIABLE, str(file))
    assert configure.config_of(A100, BF16, 64, 100, False) == replace(OWN, sketch=A100.sketch)
    assert configure.config_of(A100, FP16, 64, 100, False) == analytic(A100, FP16, 64)
    assert configure.config_of(H100, BF16, 64, 8192, True) == shipped
    assert configure.exact_config_of(A100, BF16, 64, 100, False, True) == ExactConfig(64, Phase(16, 2))
    assert configure.exact_config_of(A100, BF16, 64, 100, False, False) == analytic_exact(A100, BF16, 64, False)
    Options.of({})


def test_a_row_that_does_not_fit_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of one width serves narrower heads, and maybe others of its pattern: it must fit where it is used."""
    vast = ExactConfig(128, Phase(256, 8, 8))
    file = tmp_path / "table.json"
    rows = (row(device="*", capability=A100.capability, kernel="exact", features=256, config=vast),)
    file.write_text(text(rows), encoding="utf-8")
    monkeypatch.setenv(configure.VARIABLE, str(file))
    assert configure.exact_config_of(A100, BF16, 256, 100, False, False) == analytic_exact(A100, BF16, 256, False)


def test_json_that_is_too_deep(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(TableError, match="is not JSON"):
        read(tmp_path / "table.json")


def line(**more: Any) -> dict[str, Any]:
    told = json.loads(text([row()]))["rows"][0] | more
    return {name: value for name, value in told.items() if value != "leave out"}


BAD = [
    ("{", "is not JSON"),
    ("[]", '"format": 1'),
    ({"format": 2, "rows": []}, '"format": 1'),
    ({"format": 1}, '"rows"'),
    ([7], "row 1: it must be an object"),
    ([line(), line(kernel="magic")], "row 2: kernel must be one of hyper, exact, exact_pairs, not 'magic'"),
    ([line(), line(milliseconds=3)], "row 2 is for the same calls as one before it"),
    ([line(dtype="float64")], "dtype must be one of"),
    ([line(dtype=["float16"])], "dtype must be one of"),
    ([line(warps=4)], "'warps' is no field of a row of hyper"),
    ([line(kernel="exact")], "'plain' is no field of a row of exact"),
    ([line(device=3)], "device must be a name"),
    ([line(capability=[9])], "capability must be two whole numbers"),
    ([line(capability=[9, True])], "capability must be two whole numbers"),
    ([line(features=80)], "features must be one of 64, 128, 256, not 80"),
    ([line(length=0)], "length must be a whole number from 1, not 0"),
    ([line(causal=1)], "causal must be true or false"),
    ([line(sums="leave out")], "sums must be a list of 3 whole numbers, not None"),
    ([line(sums=[64, 8])], "sums must be a list of 3 whole numbers"),
    ([line(sums=[48, 8, 2])], "keys of sums must be a power of two from 16 to 256, not 48"),
    ([line(search=[16, 4, 3])], "keys of search must be a power of two from 32 to 256, not 16"),
    ([line(search=[64, 4, 0])], "stages of search must be from 1 to 8, not 0"),
    ([line(plain=32)], "plain must be at least the keys of attend, 64, not 32"),
    ([line(rows=64)], "'rows' is no field of a row of hyper"),
    ([line(plain=96)], "plain must be a power of two from 16 to 256, not 96"),
    ([line(attend=[64, 4])], "attend must be a list of 3 whole numbers"),
    ([line(attend=[64, 3, 2])], "warps of attend must be one of 1, 2, 4, 8, 16, not 3"),
    ([line(milliseconds=-1)], "milliseconds must be a number above 0 or null, not -1"),
    ([line(torch=2.11)], "torch and triton must be versions or null"),
]


@pytest.mark.parametrize(("told", "said"), BAD, ids=[said for _, said in BAD])
def test_bad_files_are_one_sentence(told: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "table.json"
    rows = {"format": 1, "rows": told} if isinstance(told, list) else told
    file.write_text(told if isinstance(told, str) else json.dumps(rows), encoding="utf-8")
    with pytest.raises(TableError) as caught:
        read(file)
    assert str(caught.value).startswith(f"the table {file}") and said in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.setenv(configure.VARIABLE, str(file))
    with pytest.raises(OptionError, match="the table"):
        Options.of({})


@pytest.mark.parametrize("name", ["absent.json", "."])
def test_files_that_cannot_be_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(configure.VARIABLE, str(tmp_path / name))
    with pytest.raises(TableError, match="cannot be read: "):
        configure.config_of(H100, BF16, 64, 8192, True)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TableError, match="is not JSON"):
        read(tmp_path / "table.json")


@pytest.mark.parametrize(
    ("length", "bucket"), [(0, 0), (1, 1), (5, 4), (6, 8), (8192, 8192), (11585, 8192), (11586, 16384)]
)
def test_lengths_share_configurations(length: int, bucket: int) -> None:
    assert configure._bucket(length) == bucket
