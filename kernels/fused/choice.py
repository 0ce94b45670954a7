"""Which calls the fused kernels take. Imports no Triton, which need not be there."""

from __future__ import annotations

import functools
import importlib.util

import torch
from torch import Tensor

from ..call import AttentionCall
from ..tiling import block_of

DTYPES = (torch.bfloat16, torch.float16, torch.float32)
TILES = (16, 32, 64, 128)
MOST_FEATURES = 256
MOST_BLOCK = 256
LEAST_CAPABILITY = (8, 0)


def reason_against(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall) -> str | None:
    """Why the fused kernels of `hyper` do not take a call of that algorithm, as half a sentence; None: they do."""
    parameters = call.parameters
    if query.device.type != "cuda":
        return f"the tensors are on {query.device.type}, not on a CUDA device"
    if not _has_triton():
        return "Triton is not installed"
    if torch.version.hip is None and torch.cuda.get_device_capability(query.device) < LEAST_CAPABILITY:
        return "the GPU is older than compute capability 8.0"
    if query.dtype not in DTYPES or not query.dtype == key.dtype == value.dtype:
        return f"the dtypes are {query.dtype}, {key.dtype}, {value.dtype}"
    if max(query.shape[-1], value.shape[-1]) > MOST_FEATURES:
        return f"a head has over {MOST_FEATURES} features"
    if parameters.tile not in TILES:
        return f"tile is {parameters.tile}, none of {', '.join(map(str, TILES))}"
    if block_of(call) > MOST_BLOCK:
        return f"a mean stands for {block_of(call)} keys, over {MOST_BLOCK}"
    if parameters.select_names not in ((), ("search",)):
        return f"keys are selected by {parameters.select}, not by the search alone"
    return None


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None
