"""Runs the fused kernels of `paper`. Nothing here waits for the device, so a call can be captured in a CUDA graph.

A call is cut into families that share launches: the causal square with its tree of halves, and the full areas beside
it (`kernels.areas`). Each family is drawn and sorted at once; then its exact squares are one launch, and its estimated
rectangles one a level. A later launch goes on from what an earlier one has written. That is in the output's dtype and a
float32 lse: in 16 bits a row is rounded once a level, each time as an average of averages, so its error stays a few
roundings of an output. Partial sums in float32 would take two thirds of Q, K and V in memory and, at 131,072 tokens, a
tenth of the time.

Beside the outputs a call takes, for each row and head, two bytes for its code, four in the sorted chunk and four a
level in the sorted order; and two tables of the codes' counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from ..areas import selected_keys, square
from ..call import AttentionCall
from ..lsh import PLANES, RANKS, ROUNDS
from ..parts import Span
from .arguments import batch_stride, dense_bytes, on_device, outputs, padded, precision_of
from .buckets import draw_planes, draw_ranks, hash_rows, place_buckets, place_rows, sort_chunks
from .config import Phase
from .paper import attend_areas, attend_blocks

LOG2_E = 1.0 / math.log(2.0)
CHUNK = 1024  # rows whose codes are counted together
HASHED = 128  # rows that one program hashes
AREAS, BLOCKS = Phase(64, 8, 3), Phase(64, 4, 3)


@dataclass(frozen=True, slots=True)
class PaperConfig:
    """How the kernels run: of the exact areas and the sorted blocks the queries of a tile and the phase."""

    area_rows: int = 128
    areas: Phase = AREAS
    block_rows: int = 128
    blocks: Phase = BLOCKS
    chunk: int = CHUNK


def paper_config(dtype: torch.dtype, widest: int) -> PaperConfig:
    """By dtype and the widest head of query and value, in features."""
    if dtype == torch.float32 or widest > 128:
        return PaperConfig(64, Phase(32, 8), 64, Phase(32, 8))
    if widest > 64:
        return PaperConfig(128, Phase(64, 8), 128, Phase(64, 8))
    return PaperConfig()


@dataclass(frozen=True, slots=True)
class Family:
    """Areas that are launched together.

    span     the whole, a causal square where it has a causal_offset.
    levels   of estimated rectangles.
    least    a half with fewer keys is exact, and so is its square.
    goes_on  whether another family has begun the same queries.
    """

    span: Span
    levels: int
    least: int
    goes_on: bool = False

    @property
    def is_tree(self) -> bool:
        return self.span.causal_offset is not None

    @property
    def queries(self) -> int:
        return self.span.query_stop - self.span.query_start

    @property
    def keys(self) -> int:
        return self.span.key_stop - self.span.key_start

    @property
    def depth(self) -> int:
        """Of the deepest nodes."""
        return self.levels if self.is_tree else 0

    def sizes(self, depth: int) -> tuple[int, int]:
        """The least and the most queries of a node."""
        return self.queries >> depth, -(-self.queries >> depth)

    def shapes(self, level: int) -> list[tuple[int, int]]:
        """(queries, keys) of the rectangles of a level that may occur."""
        if not self.is_tree:
            return [(self.queries, self.keys)]
        return [(size - size // 2, size // 2) for size in self.sizes(level) if size // 2 >= self.least]


def families(call: AttentionCall) -> list[Family]:
    """The families of a call, in the order of their launches."""
    n_q, n_k, offset = call.num_queries, call.num_keys, call.causal_offset
    least = max(call.parameters.min_seq_len, selected_keys(call) + 1)
    if offset is None:
        found = [(Span(0, n_q, 0, n_k), False)]
    else:
        first, whole = square(call, offset)
        found = [
            (Span(first, whole, first + offset, whole + offset, offset), False),
            (Span(first, whole, 0, first + offset), True),
            (Span(whole, n_q, 0, n_k), False),
        ]
    return [Family(span, _levels(span, least), least, goes_on) for span, goes_on in found if not span.is_empty]


def _levels(span: Span, least: int) -> int:
    if span.causal_offset is None:
        return int(span.key_stop - span.key_start >= least)
    size, levels = span.query_stop - span.query_start, 0
    while (-(-size >> levels)) // 2 >= least:
        levels += 1
    return levels


def paper(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    call: AttentionCall,
    config: PaperConfig | None = None,
) -> tuple[Tensor, Tensor]:
    """(out [B, H, n_q, D_v] contiguous in query's dtype, lse [B, H, n_q] float32, −inf for rows without a key).

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v] of one dtype and any strides; key_mask bool
    [B or 1, n_k]. Rows without a key are zero. What `choice.reason_against_paper` names is not asked again.
    """
    batch, heads, n_q, features = query.shape
    units, value_features = key.shape[1], value.shape[3]
    config = config or paper_config(query.dtype, max(features, value_features))
    out, lse = outputs(query, value, has_unseen=(call.causal_offset or 0) < 0)
    wide, value_wide = padded(features), padded(value_features)
    mask = key if key_mask is None else dense_bytes(key_mask)  # without a mask it is not read
    shape = {"D": features, "D_V": value_features, "PAD_D": wide, "PAD_V": value_wide}
    known: dict[str, Any] = {**shape, "PRECISION": precision_of(query.dtype)}
    strides = (*query.stride(), *key.stride(), *value.stride())
    scale = call.scale * LOG2_E
    with on_device(query.device):
        for family in families(call):
            span = family.span
            if family.is_tree or not family.levels:
                rows, phase = config.area_rows, config.areas
                tiles = -(-family.sizes(family.depth)[1] // rows)
                attend_areas[(tiles << family.depth, batch * heads)](
                    query, key, value, mask, out, lse, *strides, batch_stride(mask), heads, heads // units, n_q,
                    span.query_start, span.key_start, family.queries, family.keys,
                    family.depth, tiles, family.least, scale, CAUSAL=family.is_tree, GOES_ON=family.goes_on,
                    HAS_MASK=key_mask is not None, R=rows, KEYS=phase.keys, STAGES=phase.stages,
                    num_warps=phase.warps, **known,
                )  # fmt: skip
            if not family.levels:
                continue
            found = sort_and_draw(query, key, None if key_mask is None else mask, family, call, config.chunk)
            for level in range(family.levels):
                blocks = cut(family, level, call, key_mask is not None, config)
                attend_blocks[((1 << level) * blocks.tiles, batch * heads)](
                    query, key, value, found.order[level], found.valid, found.ranks, out, lse, *strides,
                    heads, heads // units, n_q, batch * heads, found.order.shape[2], found.valid.shape[1],
                    found.ranks.shape[1], family.queries, family.keys, level, family.least, blocks.tiles, blocks.parts,
                    call.parameters.block_size, call.parameters.sample_size, scale,
                    TREE=family.is_tree, GOES_ON=family.is_tree or family.goes_on, EVEN=blocks.is_even,
                    R=blocks.rows, KEYS=config.blocks.keys, STAGES=config.blocks.stages,
                    num_warps=config.blocks.warps, **known,
                )  # fmt: skip
    return out, lse


@dataclass(frozen=True, slots=True)
class Blocks:
    """How the blocks of a level are cut: rows of a tile, tiles of a block, tiles of a node; is_even as EVEN."""

    rows: int
    parts: int
    tiles: int
    is_even: bool


def cut(family: Family, level: int, call: AttentionCall, has_mask: bool, config: PaperConfig) -> Blocks:
    block, size, step = call.parameters.block_size, call.parameters.sample_size, config.blocks.keys
    shapes = family.shapes(level)
    lengths = [block if n == m else -(-n // -(-m // block)) for n, m in shapes]  # queries of a block, as in `paper`
    rows = min(config.block_rows, max(16, triton.next_power_of_2(max(lengths))))
    parts = -(-max(lengths) // rows)
    count = max(-(-n // length) for (n, _), length in zip(shapes, lengths, strict=True))
    is_whole = block % step == 0 and size % step == 0 and all(m % block == 0 for _, m in shapes)
    return Blocks(rows, parts, count * parts, is_whole and not has_mask)


@dataclass(frozen=True, slots=True)
class Sorted:
    """order int32 [levels, lines, width], valid int32 [lines, nodes], ranks int32 [nodes, B or 1, 3, samples]."""

    order: Tensor
    valid: Tensor
    ranks: Tensor


def sort_and_draw(
    query: Tensor, key: Tensor, mask: Tensor | None, family: Family, call: AttentionCall, chunk: int
) -> Sorted:
    """What `buckets` makes of one family; mask uint8 [B or 1, n_k]."""
    parameters, span, levels, is_tree = call.parameters, family.span, family.levels, family.is_tree
    batch, heads, units = query.shape[0], query.shape[1], key.shape[1]
    lines, query_lines = batch * (heads + units), batch * heads
    width = max(family.queries, family.keys)
    chunks = [-(-family.sizes(family.depth)[1] // chunk) << family.depth] * 2
    if not is_tree:
        chunks = [-(-count // chunk) for count in (family.queries, family.keys)]
    pieces = max(chunks) >> family.depth
    buckets = max(16, 1 << parameters.lsh_projections)
    nodes = (1 << levels) - 1
    mask_rows = 1 if mask is None else mask.shape[0]

    def room(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.int32, device=query.device)

    codes, items = torch.empty(lines, width, dtype=torch.int16, device=query.device), room(lines, width)
    counts, places = room(lines, max(chunks), buckets), room(levels, lines, max(chunks), buckets)
    order, valid = room(levels, lines, width), room(lines, nodes)
    ranks = room(nodes, mask_rows, 3, parameters.sample_size)
    sorted_by: dict[str, Any] = {"BUCKETS": buckets, "REST": 4 ** _digits(call) - 1, "CHUNK": chunk}
    tree: dict[str, Any] = {"TREE": is_tree}
    planes = _planes(query, call)
    _hash(query, None, planes, codes, span.query_start, family.queries, call)
    _hash(key, mask, planes, codes[query_lines:], span.key_start, family.keys, call)
    sort_chunks[(max(chunks), lines)](
        codes, items, counts, query_lines, width, family.queries, family.keys, family.depth, pieces,
        DIGITS=_digits(call), **sorted_by,
    )  # fmt: skip
    place_buckets[(nodes, lines)](
        counts, places, valid, query_lines, family.queries, levels, pieces, *chunks,
        BUCKETS=buckets, STEP=32, **tree,
    )  # fmt: skip
    place_rows[(max(chunks), lines)](
        items, places, order, query_lines, width, span.query_start, span.key_start, family.queries, family.keys,
        levels, pieces, **sorted_by, **tree,
    )  # fmt: skip
    if parameters.sample_size:
        draw_ranks[(nodes, mask_rows * 3)](
            valid, ranks, parameters.seed, query_lines, units, parameters.sample_size, parameters.block_size,
            span.key_start, family.keys, levels, TAG=RANKS, ROUNDS=ROUNDS,
            STEP=min(256, triton.next_power_of_2(parameters.sample_size)), **tree,
        )  # fmt: skip
    return Sorted(order, valid, ranks)


def codes(query: Tensor, key: Tensor, call: AttentionCall) -> tuple[Tensor, Tensor]:
    """`lsh.hash_codes` of query and key to the bit as `paper` has them, int16 [B, H, n_q] and [B, H_kv, n_k].

    The portable plan takes them where the fused forward runs: codes of rows on a hyperplane depend on the order of a
    sum, and a backward should read the keys that the forward read.
    """
    with on_device(query.device):
        planes = _planes(query, call)
        made = []
        for rows in (query, key):
            made.append(torch.empty(rows.shape[:3], dtype=torch.int16, device=rows.device))
            _hash(rows, None, planes, made[-1].flatten(0, 1), 0, rows.shape[2], call)
    return made[0], made[1]


def _digits(call: AttentionCall) -> int:
    """Of four, that codes have: one code is left for rows that take no part."""
    return call.parameters.lsh_projections // 2 + 1


def _planes(query: Tensor, call: AttentionCall) -> Tensor:
    """Normals of the hash in query's dtype, [PAD_D, 16]."""
    features, wide = query.shape[3], padded(query.shape[3])
    planes = torch.empty(wide, 16, dtype=query.dtype, device=query.device)
    known: dict[str, Any] = {"D": features, "PAD_D": wide, "PLANES": call.parameters.lsh_projections, "TAG": PLANES}
    draw_planes[(1,)](planes, call.parameters.seed, **known)
    return planes


def _hash(
    rows: Tensor, mask: Tensor | None, planes: Tensor, codes: Tensor, start: int, count: int, call: AttentionCall
) -> None:
    """Write codes [B·H, width] of rows [start, start + count) of [B, H, n, D]; mask uint8 [B or 1, n]."""
    batch, heads, _, features = rows.shape
    own = rows if mask is None else mask
    hash_rows[(-(-count // HASHED), batch * heads)](
        rows, own, planes, codes, *rows.stride(), batch_stride(own), heads, codes.shape[1], start, count,
        HAS_MASK=mask is not None, D=features, PAD_D=planes.shape[0], PLANES=call.parameters.lsh_projections,
        REST=4 ** _digits(call) - 1, R=HASHED, PRECISION=precision_of(rows.dtype),
    )  # fmt: skip
