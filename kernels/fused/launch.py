"""Runs the fused kernels of `hyper`: a table of the keys, sketches of the queries, the search, the attention.

Nothing here waits for the device, so a call can be captured in a CUDA graph. Beside the outputs a call takes: means of
blocks, sketches of keys (one byte a number in float8), and what the tiles of one slice need: sketches of their queries,
a bit for each pair of a portion and a key, a list of a stretch's keys, of two bytes each; and a number for each tile
and head of the call. Slices of `PROGRAMS` tiles use the same room one after the other; else the bits alone would grow
with the square of the length.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
from torch import Tensor

from ..call import AttentionCall
from ..hyper import threshold
from ..selectors.search import DENSE, LEAST
from ..tiling import first_far
from .arguments import batch_stride, dense_bytes, on_device, outputs, padded, precision_of
from .attention import attend_tile
from .config import Config, attend_registers, device_of, span_of
from .configure import config_of
from .prepare import prepare_keys
from .search import search_keys, sketch_queries
from .sizes import Sizes

LOG2_E = 1.0 / math.log(2.0)
SKETCH_RANGE = 16.0  # where the largest number of a usual key's sketch stands
HIT = 128.0  # the product of sketches that reaches a threshold
MARGIN = 1 / 32  # by how much less is told, too: attention judges again
SKETCH_MOST = 448.0  # the largest number of float8
PREPARED = 4  # blocks of keys that one program reads
WORDS = 128  # of bits that are counted at once
PROGRAMS = 8192  # tiles of all heads that run at once: some ten for each place on a large GPU


def hyper(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    call: AttentionCall,
    config: Config | None = None,
) -> tuple[Tensor, Tensor]:
    """(out [B, H, n_q, D_v] contiguous in query's dtype, lse [B, H, n_q] float32, −inf for rows without a key).

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v] of one dtype and any strides; key_mask bool
    [B or 1, n_k]. Rows without a key are zero. What `choice.reason_against` names is not asked again.
    """
    batch, heads, n_q, features = query.shape
    units, n_k, value_features = key.shape[1], key.shape[2], value.shape[3]
    is_causal, offset = call.causal_offset is not None, call.causal_offset or 0
    widest = max(features, value_features)
    device = device_of(query.device)
    if config is None:
        config = config_of(device, query.dtype, widest, n_k, is_causal)
    parameters, sizes = call.parameters, Sizes.of(call, config)
    block, rows, portions = sizes.block, sizes.rows, sizes.portions
    out, lse = outputs(query, value, has_unseen=offset < 0)  # the first queries then see no key and stand in no tile
    first_tile = max(offset, 0) // rows
    tiles = -(-(n_q + offset) // rows) - first_tile
    if tiles <= 0 or batch * heads * n_k == 0:
        return out, lse

    searches, blocks = bool(parameters.select_names), -(-n_k // block)
    lines, width = batch * units, max(PROGRAMS // (batch * heads), 1)  # tiles of a slice
    width = min(width // 16 * 16 or width, tiles)
    wide, value_wide = padded(features), padded(value_features)
    sketch_rows = -(-n_k // config.search.keys) * config.search.keys if searches else 0
    mask = key if key_mask is None else dense_bytes(key_mask)  # without a mask it is not read
    mask_stride = batch_stride(mask)

    def room(*shape: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=query.device)

    means = (
        room(lines, blocks, features, dtype=key.dtype),
        room(lines, blocks, value_features, dtype=value.dtype),
        room(lines, blocks, dtype=torch.float32),
    )
    key_sketch, power = room(lines, sketch_rows, wide, dtype=config.sketch), room(lines, dtype=torch.float32)
    searched = batch * heads * width if searches else 0
    query_sketch = room(searched, rows, wide, dtype=config.sketch)
    bound = room(searched, rows, dtype=torch.float32)
    bits = room(searched, portions, sketch_rows // 32, dtype=torch.int32)
    excess = room(batch * heads * tiles if searches else 0, dtype=torch.int32)
    found = room(searched, portions, sizes.stretch, dtype=torch.int16)

    group, scale, sinks = heads // units, call.scale * LOG2_E, first_far(call)
    known: dict[str, Any] = {"HAS_MASK": key_mask is not None, "BLOCK": block, "D": features, "PAD_D": wide}
    tile = {"CAUSAL": is_causal, "R": rows}
    is_packed = config.sketch.itemsize <= 2 and query.device.type == "cuda" and torch.version.hip is None
    most = attend_registers(config, device, query.dtype, widest)
    sketched = {"SKETCH_MOST": SKETCH_MOST if config.sketch.itemsize <= 2 else math.inf}
    precision = {"PRECISION": precision_of(query.dtype)}
    with on_device(query.device):
        prepare_keys[(-(-blocks // PREPARED), lines)](
            key, value, mask, *means, key_sketch, power,
            *key.stride(), *value.stride(), mask_stride, units, n_k, blocks, sinks // block, sketch_rows,
            SEARCHES=searches, COUNT=PREPARED, PAD_BLOCK=triton.next_power_of_2(block),
            D_V=value_features, PAD_V=value_wide, SKETCH_RANGE=SKETCH_RANGE,
            num_warps=sizes.prepare_warps(max(wide, value_wide), key.dtype), **sketched, **known,
        )  # fmt: skip
        for start in range(0, tiles, width):  # in order: a tile asks what was found for the one before
            grid = (min(width, tiles - start), batch * heads)
            edges = (offset, first_tile + start, parameters.window, sinks)
            place = (start, tiles)
            if searches:
                sketch_queries[grid](
                    query, key, mask, means[0], power, query_sketch, bound,
                    *query.stride(), *key.stride(), mask_stride, heads, group, n_q, n_k, blocks, *edges,
                    scale, math.log2(threshold(call)), LEAST * LOG2_E, KEYS=config.near.keys, HIT=HIT,
                    num_warps=config.near.warps, **sketched, **precision, **known, **tile,
                )  # fmt: skip
                search_keys[grid](
                    query_sketch, key_sketch, bits, means[2], excess, heads, group, n_q, n_k, blocks, *edges, *place,
                    sketch_rows, HIT * (1 - MARGIN), HAS_MASK=key_mask is not None, DENSE=DENSE, WORDS=WORDS,
                    KEYS=config.search.keys, SPAN=span_of(config.search), STAGES=config.search.stages,
                    num_warps=config.search.warps, BLOCK=block, PAD_D=wide, PACKED=is_packed, PORTIONS=portions, **tile,
                )  # fmt: skip
            for takes in sizes.launches(searches):
                attend_tile[(grid[0] * sizes.portions_of(takes), grid[1])](
                    query, key, value, mask, *means, out, lse, bound, bits, excess, found,
                    *query.stride(), *key.stride(), *value.stride(), mask_stride,
                    heads, group, n_q, n_k, blocks, *edges, *place, sketch_rows, scale,
                    HAS_MEANS=parameters.means > 0, SEARCHES=searches, D_V=value_features, PAD_V=value_wide,
                    PAD_HEADS=triton.next_power_of_2(heads), num_warps=sizes.warps(config, takes),
                    **({} if most is None else {"maxnreg": most}),
                    **sizes.attention(config, takes), **precision, **known, **tile,
                )  # fmt: skip
    return out, lse
