"""What the fused kernels are compiled with, and which numbers that is where nothing was measured.

`configure.config_of` chooses for a call; measured configurations are rows of `measured.Row`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch

TILE = 128  # queries of a tile, the default of `Parameters.tile` and the widest that the kernels take
LEAST_KEYS = 16  # of a step: a matrix product takes no fewer
LEAST_ROWS = 64  # of a program of exact attention: what four warps take of a product
LEAST_SEARCHED = 32  # of a step of the search: the bits of a word


@dataclass(frozen=True, slots=True)
class Phase:
    """Keys that a step reads, and the compiler's numbers: warps, pipeline stages."""

    keys: int
    warps: int
    stages: int = 2


@dataclass(frozen=True, slots=True)
class Config:
    """How the kernels of `hyper` run.

    sums, search, attend   their phases.
    plain                  keys of a step of the attention in which nothing is masked, a multiple of attend's.
    sketch                 dtype that the search multiplies.
    """

    sums: Phase = Phase(64, 4, 3)
    search: Phase = Phase(128, 4, 3)
    attend: Phase = Phase(32, 8, 3)
    plain: int = 64
    sketch: torch.dtype = torch.float8_e4m3fn


@dataclass(frozen=True, slots=True)
class ExactConfig:
    """How the kernel of exact attention runs: queries of a tile, and its phase."""

    rows: int = TILE
    attend: Phase = Phase(64, 8)


@dataclass(frozen=True, slots=True)
class Device:
    """What a configuration depends on.

    name        as the driver tells it, like "NVIDIA H100 80GB HBM3".
    capability  compute capability, like (9, 0).
    shared      bytes of shared memory that a block of threads can get.
    sketch      dtype of the search: float8 where matrix products of it are fast, else float16.
    """

    name: str
    capability: tuple[int, int]
    shared: int
    sketch: torch.dtype


@functools.cache
def device_of(device: torch.device) -> Device:
    """What is known of a device with an index; of one that is no NVIDIA GPU, nothing that a row could name."""
    if device.type != "cuda":
        return Device(device.type, (0, 0), 49152, torch.float16)
    known, capability = torch.cuda.get_device_properties(device), torch.cuda.get_device_capability(device)
    is_nvidia = torch.version.hip is None
    return Device(
        known.name,
        capability if is_nvidia else (0, 0),
        int(getattr(known, "shared_memory_per_block_optin", 49152)),
        torch.float8_e4m3fn if is_nvidia and capability >= (8, 9) else torch.float16,
    )


def analytic(device: Device, dtype: torch.dtype, widest: int) -> Config:
    """For heads whose query or value has `widest` features at most: the steps that were fast on an H200, halved until
    they fit into the device's shared memory."""
    if dtype == torch.float32 or widest > 128:
        config = Config(sums=Phase(32, 8), search=Phase(64, 8), attend=Phase(32, 8), plain=32)
    else:
        config = Config(plain=32 if widest > 64 else 64)
    config = replace(config, sketch=device.sketch)
    if device.capability == (0, 0):  # on AMD's a third stage spills
        config = replace(config, attend=replace(config.attend, stages=2))
    while config.sums.keys > LEAST_KEYS and sums_bytes(config, dtype, widest) > device.shared:
        config = replace(config, sums=_half(config.sums))
    while config.search.keys > LEAST_SEARCHED and search_bytes(config, widest) > device.shared:
        config = replace(config, search=_half(config.search))
    while config.plain > LEAST_KEYS and attend_bytes(config, dtype, widest) > device.shared:
        fewer = config.plain == config.attend.keys
        config = replace(config, plain=config.plain // 2, attend=_half(config.attend) if fewer else config.attend)
    return config


def analytic_exact(device: Device, dtype: torch.dtype, widest: int, in_pairs: bool) -> ExactConfig:
    """The same for exact attention; in_pairs: each pair of a query and a key has a bias or groups."""
    if dtype == torch.float32:  # with more of either, products of three tf32 ones spill
        rows = TILE * 64 // max(1 << (widest - 1).bit_length(), 64)
        config = ExactConfig(rows, Phase(LEAST_KEYS, 8))
    else:
        config = ExactConfig(attend=Phase(32, 8) if widest > 128 or in_pairs else Phase(64, 8))
    while exact_bytes(config, dtype, widest, in_pairs) > device.shared:
        if config.attend.keys > LEAST_KEYS:
            config = replace(config, attend=_half(config.attend))
        elif config.rows > LEAST_KEYS:
            config = replace(config, rows=config.rows // 2)
        else:
            break
    return replace(config, attend=within(config.rows, config.attend))


def within(rows: int, phase: Phase) -> Phase:
    """The phase with no more warps than have 16 rows each of a product. Where two groups of four warps share 64 rows of
    float32, what Triton 3.6 builds reads beyond its shared memory: wrong numbers, or a crash."""
    return replace(phase, warps=min(phase.warps, max(rows // LEAST_KEYS, 1)))


def span_of(search: Phase) -> int:
    """Keys that one matrix product of the search takes over all warps, 16 each, or half a step where that is less."""
    return min(16 * search.warps, search.keys // 2)


def _half(phase: Phase) -> Phase:
    return replace(phase, keys=phase.keys // 2)


# Bytes of shared memory: a bound, from how the compiler lays down the queries of a tile and what it reads ahead of the
# products (checked against what it took for sm_80, sm_89, sm_90 and sm_100; before sm_90 it takes a third less).
SLACK = 9216


def sums_bytes(config: Config, dtype: torch.dtype, widest: int) -> int:
    """Bytes that the row sums take."""
    return SLACK + dtype.itemsize * width_of(widest) * (TILE + config.sums.stages * config.sums.keys)


def search_bytes(config: Config, widest: int) -> int:
    """Bytes that the search takes."""
    keys = max(config.search.stages, 3) * config.search.keys
    return SLACK + config.sketch.itemsize * width_of(widest) * (TILE + keys)


def attend_bytes(config: Config, dtype: torch.dtype, widest: int) -> int:
    """Bytes that the attention of a tile takes: listed keys and values of its stages, or of two plain steps."""
    keys = max(config.attend.stages * config.attend.keys, 2 * config.plain)
    return SLACK + dtype.itemsize * width_of(widest) * (TILE + 2 * keys)


def attend_registers(config: Config, device: Device, dtype: torch.dtype, widest: int) -> int | None:
    """Most registers of a thread of the attention, so that 16 warps share a multiprocessor.

    None: as many as the compiler likes. On other GPUs than Hopper it is slow to have fewer, as much is spilled; with
    more than 128 features not even the output of a tile fits.
    """
    is_small = widest <= 128 and dtype.itemsize == 2
    return 128 if device.capability[0] == 9 and config.attend.warps == 8 and is_small else None


def exact_bytes(config: ExactConfig, dtype: torch.dtype, widest: int, in_pairs: bool) -> int:
    """Bytes that exact attention takes; a bias is as wide as the inputs."""
    rows, keys = config.rows, config.attend.stages * config.attend.keys
    return SLACK + dtype.itemsize * (width_of(widest) * (rows + 2 * keys) + (rows * keys if in_pairs else 0))


def width_of(widest: int) -> int:
    """The class of head widths that share a configuration: 64, 128, 256 and so on, in features."""
    return max(64, 1 << (widest - 1).bit_length())
