"""Far keys that a single query of `hyper` adds by its own hash: the nearest in position of those that share its bucket.

Rows are centred before they are hashed: subtracting one vector from every key changes no softmax, and without it keys
lie in a narrow cone and share a few buckets. With causality the centre of a row is the mean of its sequence before its
tile of `block_size` positions, so a code depends on no later row; without, it is the mean of all.

In the order (bucket, position) the far keys of a query's bucket that lie before its tile end at one known place, so
the most recent ones are a run of that order: no search among later keys, hence causality costs nothing. Queries of one
tile, head and bucket have the same run and are packed in tiles of PACK rows. Only heads that are narrow in a tile but
whose measured error is above NOTICE take part: they are where single far keys matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from .call import AttentionCall
from .heavy import Choice
from .lsh import Draws

PACK = 8
NOTICE = 0.015
SAMPLE_SHARE = 16  # a query adds at most sample_size / SAMPLE_SHARE keys


def neighbours(
    query: Tensor, key: Tensor, key_mask: Tensor | None, choices: list[Choice], call: AttentionCall
) -> tuple[Tensor, Tensor] | None:
    """Flat rows (see `hyper`) of packed tiles: queries int64 [N, PACK], keys int64 [N, m] with −1 = none.

    query [B, H, n_q, D], key [B, H_kv, n_k, D] with masked rows zero, key_mask bool [B, n_k]. None if none adds a key.
    """
    most = call.parameters.sample_size // SAMPLE_SHARE
    packs = _packs(query, choices, call) if most else None
    if packs is None:
        return None
    batch, units, n_k, _ = key.shape
    buckets = (1 << call.parameters.lsh_projections) + 1  # the last one holds the masked keys
    codes = _codes(key, 0, key_mask, call)
    if key_mask is not None:
        codes = codes.masked_fill(~key_mask.unsqueeze(1), buckets - 1)
    unit = torch.arange(batch * units, device=key.device).view(batch, units, 1)
    order = (((unit * buckets + codes) * n_k) + torch.arange(n_k, device=key.device)).flatten().sort().values
    bucket = (packs.unit * buckets + packs.code) * n_k
    tiles = [choice.tile for choice in choices]
    edges = torch.tensor([(t.sinks, t.low, t.high, t.limit) for t in tiles], device=key.device)[packs.tile]
    first, last, again, end = torch.searchsorted(order, bucket.unsqueeze(-1) + edges).unbind(-1)
    steps = torch.arange(most, device=key.device)
    if call.causal_offset is not None:
        places = (last - most).unsqueeze(-1) + steps
        exists = places >= first.unsqueeze(-1)
    else:  # half of them before the local keys, half behind
        before = steps < most // 2
        places = torch.where(before, (last - most // 2).unsqueeze(-1) + steps, again.unsqueeze(-1) + steps - most // 2)
        exists = torch.where(before, places >= first.unsqueeze(-1), places < end.unsqueeze(-1))
    rows = order[places.clamp(0, order.shape[0] - 1)] % n_k
    heavy = _heavy_numbers(choices, units, n_k)
    if heavy.numel():
        wanted = (packs.tile * batch * units + packs.unit).unsqueeze(-1) * n_k + rows
        found = torch.searchsorted(heavy, wanted).clamp(max=heavy.shape[0] - 1)
        exists &= heavy[found] != wanted
    some = exists.any(-1)
    rows = (packs.unit.unsqueeze(-1) * n_k + rows).masked_fill(~exists, -1)
    return (packs.queries[some], rows[some]) if bool(some.any()) else None


@dataclass(frozen=True, slots=True)
class _Packs:
    """N packs: flat query rows [N, PACK] (the spare row = none), and of each its flat key head, bucket and tile."""

    queries: Tensor
    unit: Tensor
    code: Tensor
    tile: Tensor


def _packs(query: Tensor, choices: list[Choice], call: AttentionCall) -> _Packs | None:
    batch, heads, n_q, _ = query.shape
    group = heads // choices[0].heavy.shape[1] if choices else 1
    device = query.device
    numbers, spots = [], []
    for at, choice in enumerate(choices):
        taking = (choice.error.cpu() > NOTICE) & ~choice.wide if choice.tile.far else torch.zeros_like(choice.wide)
        if bool(taking.any()):
            head = taking.flatten().nonzero()
            rows = torch.arange(choice.tile.start, choice.tile.stop)
            numbers.append((head * n_q + rows).flatten())
            spots.append(torch.full((head.shape[0] * rows.shape[0],), at))
    if not numbers:
        return None
    number, spot = torch.cat(numbers).to(device), torch.cat(spots).to(device)
    code = _codes(query, call.causal_offset or 0, None, call).flatten()[number]
    buckets = 1 << call.parameters.lsh_projections
    head = number // n_q
    run = (spot * batch * heads + head) * buckets + code
    run, order = run.sort(stable=True)
    number, spot, code, head = number[order], spot[order], code[order], head[order]
    place = torch.arange(run.shape[0], device=device)
    starts = pad(run[1:] != run[:-1], (1, 0), value=True)
    rank = place - torch.where(starts, place, 0).cummax(0).values
    leads = rank % PACK == 0
    pack = leads.cumsum(0) - 1
    queries = torch.full((int(leads.sum()), PACK), batch * heads * n_q, device=device)
    queries[pack, rank % PACK] = number
    return _Packs(queries, head[leads] // group, code[leads], spot[leads])


def _codes(rows: Tensor, shift: int, mask: Tensor | None, call: AttentionCall) -> Tensor:
    """Bucket of each centred row of [B, R, n, D], masked rows zero; row 0 stands at position `shift`. int64 [B, R, n].

    Projecting is linear, so the projections are centred instead of the rows.
    """
    planes = Draws(call.parameters.seed).hyperplanes(rows.shape[-1], call.parameters.lsh_projections)
    projected = rows @ planes.to(rows.device, rows.dtype)
    ones = projected.new_ones(1, 1, rows.shape[2], 1) if mask is None else mask[:, None, :, None].to(rows.dtype)
    size, n = call.parameters.block_size, rows.shape[2]
    if call.causal_offset is None:
        projected = projected - projected.sum(2, keepdim=True) / ones.sum(2, keepdim=True).clamp(min=1.0)
    else:
        front = shift % size
        around = (0, 0, front, -(front + n) % size)
        blocks, counts = (pad(part, around).unflatten(2, (-1, size)) for part in (projected, ones))
        sums, numbers = (part.sum(3) for part in (blocks, counts))
        centre = (sums.cumsum(2) - sums) / (numbers.cumsum(2) - numbers).clamp(min=1.0)
        projected = (blocks - centre.unsqueeze(3)).flatten(2, 3)[:, :, front : front + n]
    powers = (2.0 ** torch.arange(planes.shape[1], device=rows.device)).to(rows.dtype)
    return ((projected > 0).to(rows.dtype) @ powers).to(torch.int64)


def _heavy_numbers(choices: list[Choice], units: int, n_k: int) -> Tensor:
    """(tile, batch and key head, key) of every heavy key as one ascending number each, int64 [M]."""
    numbers = []
    for place, choice in enumerate(choices):
        heavy = choice.heavy.flatten(0, 1)
        base = place * heavy.shape[0] + torch.arange(heavy.shape[0], device=heavy.device)
        numbers.append((base[:, None] * n_k + heavy)[heavy >= 0])
    return torch.cat(numbers)
