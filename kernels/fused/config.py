"""How the fused kernels are compiled for a device and a shape. The figures of H100 are in docs/performance.md."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Phase:
    """Keys that a step reads, and the compiler's numbers: warps, pipeline stages."""

    keys: int
    warps: int
    stages: int = 2


@dataclass(frozen=True, slots=True)
class Config:
    """How the kernels run.

    near, search, attend   their phases.
    chunk, piece           of what the search told, the keys listed at once, and the flags counted at once.
    sketch                 dtype that the search multiplies.
    """

    near: Phase = Phase(64, 8)
    search: Phase = Phase(128, 4, 3)
    attend: Phase = Phase(32, 4)
    chunk: int = 4096
    piece: int = 1024
    sketch: torch.dtype = torch.float8_e4m3fn


def config_of(dtype: torch.dtype, widest: int, sketch: torch.dtype) -> Config:
    """By dtype and the widest head of query and value, in features."""
    if dtype == torch.float32 or widest > 128:
        return Config(near=Phase(32, 8), search=Phase(64, 8), attend=Phase(32, 8), sketch=sketch)
    if widest > 64:
        return Config(near=Phase(64, 4), search=Phase(64, 4, 3), sketch=sketch)
    return Config(sketch=sketch)


def sketch_dtype(device: torch.device) -> torch.dtype:
    """float8 where matrix products of it are fast (compute capability 8.9 and up), else float16."""
    if device.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 9):
        return torch.float8_e4m3fn
    return torch.float16
