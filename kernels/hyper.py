"""HyperAttention in one pass: local keys, sinks, heavy columns, LSH neighbours, and every key for heads that need it.

`heavy.choose` says what each tile of queries reads, `far.neighbours` which far keys a query adds by its own hash. Here
that becomes a plan. All pairs are disjoint by construction: local keys and sinks are never far; heavy, rest and
neighbours are far keys; a neighbour is never heavy in its query's tile and is added to narrow tiles alone.

Everything but the local part is causal by the choice of keys, so those tiles are dense and need no mask. They are
planned in flat rows: with batch and head numbers folded in, query b·H·n_q + h·n_q + i, key b·H_kv·n_k + u·n_k + j, as
one batch of one head, so that tiles of any mixture of heads stand in one part.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from .call import AttentionCall
from .far import neighbours
from .heavy import Choice, Tile, choose
from .parts import Plan, Span, Tiles


def selected_keys(call: AttentionCall) -> int:
    """Keys per query that a narrow tile reads at most: with no more keys than this it is exact."""
    parameters = call.parameters
    return parameters.block_size + parameters.window + parameters.sinks + parameters.heavy


def plan(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Plan:
    """The parts of one call; query [B, H, n_q, D], key [B, H_kv, n_k, D], key_mask bool [B or 1, n_k]."""
    kind = torch.promote_types(query.dtype, torch.float32)
    query, key = query.to(kind), key.to(kind)
    if key_mask is not None:
        key = key.masked_fill(~key_mask[:, None, :, None], 0.0)
        key_mask = key_mask.expand(key.shape[0], -1)
    choices = list(choose(query, key, key_mask, call))
    local = [span for choice in choices for span in _local(choice.tile, call.causal_offset)]
    shape = _Shape(query, key)
    parts = [*_narrow(choices, key_mask, shape, call), *local, *_wide(choices, key_mask, shape)]
    found = neighbours(query, key, key_mask, choices, call)
    if found is not None:
        parts += _joined([found], True)
    return parts


def _local(tile: Tile, offset: int | None) -> Plan:
    """The local keys; with causality the window apart from the tile's own positions, so that no span needs a mask."""
    if offset is None:
        return [Span(tile.start, tile.stop, tile.low, tile.high)]
    own = min(tile.start + offset, tile.high)
    return [Span(tile.start, tile.stop, tile.low, own), Span(tile.start, tile.stop, own, tile.high, offset)]


class _Shape:
    """Flat row numbers of one call's tensors."""

    def __init__(self, query: Tensor, key: Tensor) -> None:
        self.batch, self.heads, self.n_q = query.shape[:3]
        self.units, self.n_k = key.shape[1:3]
        self.device = query.device

    def queries(self, rows: Tensor) -> Tensor:
        """[m] → [B, H, m]; rows < 0 become the spare row behind the last."""
        base = torch.arange(self.batch * self.heads, device=self.device).view(self.batch, self.heads, 1) * self.n_q
        return torch.where(rows < 0, self.batch * self.heads * self.n_q, base + rows)

    def keys(self, rows: Tensor) -> Tensor:
        """[B or 1, H_kv or 1, ..., m] → [B, H_kv, ..., m], −1 stays."""
        base = torch.arange(self.batch * self.units, device=self.device) * self.n_k
        base = base.view(self.batch, self.units, *([1] * (rows.dim() - 2)))
        return torch.where(rows < 0, -1, base + rows)


def _sink_rows(count: int, key_mask: Tensor | None, width: int, device: torch.device) -> Tensor:
    """Rows of the visible sinks, −1 for the others: int64 [B or 1, 1, width]."""
    rows = torch.arange(width, device=device)
    rows = rows.masked_fill(rows >= count, -1)[None, None]
    return rows if key_mask is None else rows.where(key_mask[:, None, :width], -1)


def _narrow(choices: list[Choice], key_mask: Tensor | None, shape: _Shape, call: AttentionCall) -> Plan:
    """Sinks and heavy keys of the heads that are not wide; tiles without an absent key apart from the others."""
    sinks = min(call.parameters.sinks, shape.n_k)
    width = max((choice.heavy.shape[-1] for choice in choices), default=0)
    size = call.parameters.block_size
    full: list[tuple[Tensor, Tensor]] = []
    padded: list[tuple[Tensor, Tensor]] = []
    for choice in choices:
        tile = choice.tile
        if tile.sinks + choice.heavy.shape[-1] == 0 or bool(choice.wide.all()):
            continue
        rows = torch.arange(tile.start, tile.stop, device=shape.device)
        queries = shape.queries(pad(rows, (0, size - rows.shape[0]), value=-1))
        heavy = pad(choice.heavy, (width - choice.heavy.shape[-1], 0), value=-1)
        first = _sink_rows(tile.sinks, key_mask, sinks, shape.device)
        keys = torch.cat([first.expand(*heavy.shape[:2], -1), heavy], -1)
        whole = key_mask is None and tile.sinks == sinks and choice.heavy.shape[-1] == width
        keys = shape.keys(keys).repeat_interleave(shape.heads // shape.units, 1)
        narrow = ~choice.wide.to(shape.device)
        (full if whole else padded).append((queries[narrow], keys[narrow]))
    return [*_joined(full, False), *_joined(padded, True)]


def _wide(choices: list[Choice], key_mask: Tensor | None, shape: _Shape) -> Plan:
    """Sinks and `rest` of the wide heads, one part for each tile: the number of keys differs."""
    parts: Plan = []
    for choice in choices:
        tile = choice.tile
        if not bool(choice.wide.any()):
            continue
        rest = choice.rest
        may_pad = key_mask is not None or rest is not None
        if rest is None:
            rest = torch.cat([torch.arange(tile.sinks, tile.low), torch.arange(tile.high, tile.limit)])
            rest = rest.to(shape.device)[None, None]
            rest = rest if key_mask is None else rest.where(key_mask[:, None, rest[0, 0]], -1)
        first = _sink_rows(tile.sinks, key_mask, tile.sinks, shape.device)
        lead = (shape.batch, shape.units, -1)
        keys = shape.keys(torch.cat([first.expand(lead), rest.expand(lead)], -1))
        keys = keys.repeat_interleave(shape.heads // shape.units, 1)
        queries = shape.queries(torch.arange(tile.start, tile.stop, device=shape.device))
        wide = choice.wide.to(shape.device)
        parts += _joined([(queries[wide], keys[wide])], may_pad)
    return parts


def _joined(tiles: list[tuple[Tensor, Tensor]], may_pad: bool) -> Plan:
    """One part of all tiles (queries [N, bq], keys [N, bk])."""
    if not tiles:
        return []
    queries, keys = (torch.cat(rows)[None, None] for rows in zip(*tiles, strict=True))
    return [Tiles(queries, keys, may_pad=may_pad)]
