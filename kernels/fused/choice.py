"""Which calls the fused kernels take. Imports no Triton, which need not be there."""

from __future__ import annotations

import functools
import importlib.util

import torch
from torch import Tensor

from ..call import AttentionCall
from ..parameters import AUTO, SEARCH
from .config import TILE, device_of

KERNEL_PRICES = (AUTO, SEARCH)
DTYPES = (torch.bfloat16, torch.float16, torch.float32)
MOST_FEATURES = 256
LEAST_QUERIES = 16  # of exact attention: a program runs a tile of them over all keys
MOST_FLOAT32_FEATURES = 128
# What the widest kernel of `hyper` takes, by features of a head.
SHARED_BYTES = ((64, 76_000), (128, 92_000), (256, 168_000))
SHARED_BYTES_FLOAT32 = ((64, 108_000), (MOST_FLOAT32_FEATURES, 214_000))
# The same of `paper`.
PAPER_SHARED_BYTES = ((64, 68_000), (256, 100_000))
PAPER_SHARED_BYTES_FLOAT32 = ((64, 68_000), (MOST_FLOAT32_FEATURES, 134_000))
MOST_PROJECTIONS = 8  # codes of `paper` are counted in a table
MOST_HEADS = 65535  # of a launch grid's second edge
MOST_NUMBERS = 2**31 - 1  # that an int32 counts
LEAST_CAPABILITY = (8, 0)


def reason_against(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall) -> str | None:
    """Why the fused kernels of `hyper` do not take a call of that algorithm, as half a sentence; None: they do."""
    if (reason := _reason_against_tensors(query, key, value, call)) is not None:
        return reason
    if (reason := _reason_against_width(query, value, SHARED_BYTES, SHARED_BYTES_FLOAT32)) is not None:
        return reason
    if (reason := _reason_against_scale(call)) is not None:
        return reason
    parameters = call.parameters
    if parameters.tile != TILE:
        return f"tile is {parameters.tile}, not {TILE}"
    if (price := parameters.price) not in KERNEL_PRICES:
        return f"the price is {price}, and the kernels have search alone"
    return None


def reason_against_exact(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall) -> str | None:
    """Why the fused kernel of exact attention does not take a call, as half a sentence; None: it does."""
    if query.shape[2] < LEAST_QUERIES:  # decoding
        return f"there are {query.shape[2]} queries, whose keys portable code spreads over the GPU"
    return _reason_against_tensors(query, key, value, call)


def reason_against_paper(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall) -> str | None:
    """Why the fused kernels of `paper` do not take a call of that algorithm, as half a sentence; None: they do."""
    if (reason := _reason_against_tensors(query, key, value, call)) is not None:
        return reason
    if (reason := _reason_against_width(query, value, PAPER_SHARED_BYTES, PAPER_SHARED_BYTES_FLOAT32)) is not None:
        return reason
    if query.shape[0] * max(query.shape[1] + key.shape[1], 3) > MOST_HEADS:  # three populations of a masked batch
        return f"batch times heads of queries and keys is over {MOST_HEADS}"
    if call.parameters.lsh_projections > MOST_PROJECTIONS:
        return f"a hash has {call.parameters.lsh_projections} projections, over {MOST_PROJECTIONS}"
    return _reason_against_scale(call)


def _reason_against_scale(call: AttentionCall) -> str | None:
    """What would turn the order of scores round."""
    return None if call.scale > 0.0 else f"the scale is {call.scale}, not above 0"


def _reason_against_tensors(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall) -> str | None:
    """What no fused kernel takes."""
    if query.device.type != "cuda":
        return f"the tensors are on {query.device.type}, not on a CUDA device"
    if not _has_triton():
        return "Triton is not installed"
    if torch.version.hip is not None:
        return "the kernels have not been checked on an AMD GPU yet"
    if torch.cuda.get_device_capability(query.device) < LEAST_CAPABILITY:
        return "the GPU is older than compute capability 8.0"
    if query.dtype not in DTYPES or not query.dtype == key.dtype == value.dtype:
        return f"the dtypes are {query.dtype}, {key.dtype}, {value.dtype}"
    if max(query.shape[-1], value.shape[-1]) > MOST_FEATURES:
        return f"a head has over {MOST_FEATURES} features"
    if query.shape[0] * query.shape[1] > MOST_HEADS:
        return f"batch times heads is over {MOST_HEADS}"
    if abs(call.causal_offset or 0) + max(call.num_queries, call.num_keys) > MOST_NUMBERS // 2:
        return f"positions are shifted by {call.causal_offset}"
    if any(tensor.stride(-1) * tensor.shape[-1] > MOST_NUMBERS for tensor in (query, key, value)):
        return "the features of a row stand too far apart"
    if call.num_keys * MOST_FEATURES > MOST_NUMBERS:
        return f"there are {call.num_keys} keys"
    return None


Rooms = tuple[tuple[int, int], ...]  # (features, bytes that heads of so many take), in ascending order


def _reason_against_width(query: Tensor, value: Tensor, half: Rooms, single: Rooms) -> str | None:
    """What is too wide for float32, or for the GPU's shared memory; half, single: bytes needed in 16 and in 32 bits."""
    widest, is_single = max(query.shape[-1], value.shape[-1]), query.dtype == torch.float32
    if is_single and widest > MOST_FLOAT32_FEATURES:
        return f"a head has over {MOST_FLOAT32_FEATURES} features in {query.dtype}"
    needed = next(need for features, need in (single if is_single else half) if widest <= features)
    if needed > (room := _shared_bytes(query.device)):
        return f"heads of {widest} features take {needed} bytes of shared memory, and the GPU has {room}"
    return None


def _shared_bytes(device: torch.device) -> int:
    """What a block of threads can get."""
    return device_of(device).shared


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None
