"""Runs the kernels that sample far keys: keys prepared, rows summed, keys searched, tiles attended to. For some tiles
again, with their error summed in place of the last.

Nothing here waits for the device, so a call can be captured in a CUDA graph. Beside the outputs a call takes sketches
of the keys (one byte a number in float8), and for each tile of a slice: sketches of its queries, a bit for each key,
and a list of LIST keys of twelve bytes each. Slices of PROGRAMS tiles use the same room in turn.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...call import AttentionCall
from ...fused.arguments import batch_stride, dense_bytes, on_device, outputs, padded, precision_of
from ...fused.config import Config, attend_registers, device_of, span_of
from ...fused.configure import config_of
from ...lsh import DRAWS
from .. import LEAST_CHANCE, LEAST_SPREAD, MOST_SPREAD, REFERENCE, STRIDE, STRIP
from ..error import least_rest
from .attention import attend_sample
from .error import sum_errors
from .prepare import prepare_sample
from .search import price_keys
from .sums import sum_rows

LOG2_E = 1.0 / math.log(2.0)
KEY_RANGE = 16.0  # where the largest number of a usual key's sketch stands
SKETCH_MOST = 448.0  # the largest number of float8
POWER = 64.0  # a product of sketches is so many times the score: sums of float16 hold 65504
MARGIN = 1.25  # the search lists a key by its rough price times this; attention judges again, by exact scores
PREPARED, PREPARED_KEYS = 16, 64  # steps of a program of `prepare_sample`, and keys of a step
BLOCK = 2048  # keys that sketches and bits are padded to
WORDS = 128
LIST = 6144
PROGRAMS = 4096  # tiles of all heads that run at once


def sampled(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    call: AttentionCall,
    config: Config | None = None,
    *,
    words: int = WORDS,
    list_keys: int = LIST,
) -> tuple[Tensor, Tensor]:
    """(out [B, H, n_q, D_v] contiguous in query's dtype, lse [B, H, n_q] float32, −inf for rows without a key).

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v] of one dtype and any strides; key_mask bool
    [B or 1, n_k]. Rows without a key are zero. What `choice.reason_against` names is not asked again.
    words: words of 32 bits that are listed at once. list_keys: keys of a list, over 32 · words; what does not fit is
    listed when the rest has been read.
    """
    # The first queries may see no key, and stand in no tile.
    out, lse = outputs(query, value, has_unseen=(call.causal_offset or 0) < 0)
    _run(query, key, value, key_mask, call, out, lse, None, 0, 1, config, words, list_keys)
    return out, lse


def error_sums(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    out: Tensor,
    lse: Tensor,
    call: AttentionCall,
    first: int,
    every: int,
    config: Config | None = None,
    *,
    words: int = WORDS,
    list_keys: int = LIST,
) -> tuple[Tensor, Tensor, Tensor]:
    """`kernels.sampling.error.error_sums` of tiles first, first + every, … of the call that gave out and lse."""
    batch, heads = query.shape[:2]
    looked = len(range(first, _tiles(call)[1], every))
    sums = torch.zeros(batch * heads, looked, 3, dtype=torch.float32, device=query.device)
    if looked:
        lse = lse.contiguous()
        _run(query, key, value, key_mask, call, out, lse, sums, first, every, config, words, list_keys)
    variance, size, largest = sums.view(batch, heads, looked, 3).double().unbind(-1)
    return variance.sum(-1), size.sum(-1), largest.amax(-1) if looked else largest.sum(-1)


def _tiles(call: AttentionCall) -> tuple[int, int]:
    """(number of the first tile among those of all positions, how many tiles)."""
    offset, rows = call.causal_offset or 0, call.parameters.tile
    first = max(offset, 0) // rows
    return first, max(-(-(call.num_queries + offset) // rows) - first, 0)


def _run(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    call: AttentionCall,
    out: Tensor,
    lse: Tensor,
    sums: Tensor | None,
    first: int,
    every: int,
    config: Config | None,
    words: int,
    list_keys: int,
) -> None:
    """Run tiles first, first + every, …: write out and lse, or with sums float32 [B·H, tiles, 3] read them and write
    these."""
    batch, heads, n_q, features = query.shape
    units, n_k, value_features = key.shape[1], key.shape[2], value.shape[3]
    is_causal, offset = call.causal_offset is not None, call.causal_offset or 0
    parameters, rows = call.parameters, call.parameters.tile
    device, widest = device_of(query.device), max(features, value_features)
    if config is None:
        config = config_of(device, query.dtype, widest, n_k, is_causal)
    first_tile, tiles = _tiles(call)
    first_tile, tiles = first_tile + first, len(range(first, tiles, every))
    if tiles == 0 or batch * heads * n_k == 0:
        return

    width = min(max(PROGRAMS // (batch * heads), 1), tiles)  # tiles of a slice
    wide, value_wide = padded(features), padded(value_features)
    sketch_rows, lines, programs = -(-n_k // BLOCK) * BLOCK, batch * units, batch * heads * width
    mask = key if key_mask is None else dense_bytes(key_mask)  # without a mask it is not read
    mask_stride = batch_stride(mask)

    def room(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=query.device)

    key_sketch, spread = room(lines, sketch_rows, wide, dtype=config.sketch), room(lines, sketch_rows)
    centre, power = room(lines, wide), room(lines)
    query_sketch, bias = room(programs, rows, wide, dtype=config.sketch), room(programs, rows, dtype=torch.float16)
    row_sum, bits = room(programs, rows), room(programs, sketch_rows // 32, dtype=torch.int32)
    listed, prices = room(programs, list_keys, dtype=torch.int32), room(programs, list_keys)
    numbers = room(programs, list_keys)
    group, scale = heads // units, call.scale * LOG2_E
    is_packed = query.device.type == "cuda" and torch.version.hip is None
    precision = precision_of(query.dtype)
    known: dict[str, Any] = {"HAS_MASK": key_mask is not None, "D": features, "PAD_D": wide}
    values = {"D_V": value_features, "PAD_V": value_wide}
    tile: dict[str, Any] = {"CAUSAL": is_causal, "R": rows, "TAG": DRAWS}
    listing: dict[str, Any] = {
        "WORDS": words, "ROOM": list_keys, "STRIP": STRIP, "LEAST": LEAST_CHANCE**2, "PRECISION": precision,
        "PACKED": is_packed,
    }  # fmt: skip
    stages = 2 if widest <= 128 and query.dtype.itemsize == 2 else 1  # a tile of outputs takes room beside the queries
    registers = attend_registers(config, device, query.dtype, widest)
    most = {} if registers is None else {"maxnreg": registers}
    sketched = {"SKETCH_MOST": SKETCH_MOST}
    with on_device(query.device):
        prepare_sample[(sketch_rows // (PREPARED * PREPARED_KEYS), lines)](
            key, value, mask, key_sketch, spread, centre, power, *key.stride(), *value.stride(), mask_stride,
            units, n_k, parameters.sinks, sketch_rows,
            REFERENCE=REFERENCE, KEYS=PREPARED_KEYS, STEPS=PREPARED, SKETCH_RANGE=KEY_RANGE,
            LEAST_SPREAD=LEAST_SPREAD**2, MOST_SPREAD=MOST_SPREAD**2, num_warps=4, **sketched, **known, **values,
        )  # fmt: skip
        for start in range(0, tiles, width):
            grid = (min(width, tiles - start), batch * heads)
            before, after = (n_q, n_k, offset, first_tile + start * every), (parameters.window, parameters.sinks)
            edges, some = (*before, *after), (*before, every, *after)
            draws = (parameters.seed, parameters.threshold)
            sum_rows[grid](
                query, key, mask, centre, power, query_sketch, bias, row_sum,
                *query.stride(), *key.stride(), mask_stride, heads, group, *some, parameters.seed, scale,
                KEYS=config.sums.keys, STAGES=config.sums.stages, num_warps=config.sums.warps,
                STRIDE=STRIDE, PRECISION=precision, POWER=POWER, **sketched, **known, **tile,
            )  # fmt: skip
            price_keys[grid](
                query_sketch, bias, key_sketch, spread, bits, heads, group, *some, sketch_rows, *draws,
                KEYS=config.search.keys, STAGES=config.search.stages, num_warps=config.search.warps,
                SPAN=span_of(config.search), PAD_D=wide, PACKED=is_packed,
                MARGIN=MARGIN**2, POWER=POWER, LEAST=LEAST_CHANCE, **tile,
            )  # fmt: skip
            if sums is not None:
                sum_errors[grid](
                    query, key, value, out, lse, row_sum, bits, spread, listed, prices, numbers, sums[:, start:],
                    *query.stride(), *key.stride(), *value.stride(), *out.stride(), sums.stride(0), heads, group, *some,
                    sketch_rows, *draws, scale, KEYS=config.attend.keys, STAGES=stages, num_warps=config.attend.warps,
                    D=features, PAD_D=wide, LEAST_REST=least_rest(out.dtype), **listing, **values, **tile,
                )  # fmt: skip
                continue
            attend_sample[grid](
                query, key, value, mask, out, lse, row_sum, bits, spread, listed, prices, numbers,
                *query.stride(), *key.stride(), *value.stride(), mask_stride, heads, group, *edges, sketch_rows, *draws,
                scale, KEYS=config.attend.keys, STAGES=config.attend.stages, num_warps=config.attend.warps,
                PLAIN=config.plain, **most, **known, **listing, **values, **tile,
            )  # fmt: skip
