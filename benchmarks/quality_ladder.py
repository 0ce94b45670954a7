"""A dense emulation of what `hyper` may become: levels chosen by measured error, and block means for what is not read.

It says how good a choice of keys is before anybody writes it fast: every score is computed, and then most are not used.
Causal only. Queries go in tiles. For each tile and head one level of a ladder is chosen; a level reads

- the tile itself and `window` keys before it, and the first `sinks` keys;
- of the rest the `heavy` keys with the largest mass, and the `blocks` blocks of BLOCK keys with the largest mass;
- everything else as one pseudo-key a block (`means` > 0): mean key, mean value, weight = number of keys. With `order`
  "lsh" blocks are runs of keys with neighbouring hash codes within finished segments, else runs of positions.

The mass of a key is its mean exact weight in `rows` probe rows of each earlier tile, decayed by DECAY a tile. The error
of a level is its true relative output error on those rows, numerator and denominator summed with decay JUDGE a tile.
The level with the least error² + price · keys / 1000 is taken: `price` is the squared error that 1,000 keys must save.
What a tile reads follows from earlier tiles alone: no token sees a later one, in its choice of keys either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

DECAY, JUDGE = 0.7, 0.9
BLOCK = 64
WHOLE = 1024  # until here every key is read
SEGMENT, BITS = 2048, 9  # of the order by hash codes
NEG_INF = float("-inf")
ORDERS = ("position", "lsh")


@dataclass(frozen=True, slots=True)
class Level:
    """How many keys a tile reads; `everything` stands over the other numbers."""

    window: int
    heavy: int = 0
    blocks: int = 0
    everything: bool = False


LADDER = (Level(128, 64), Level(256, 256), Level(512, 512, 16), Level(512, 512, 48), Level(512, everything=True))


@dataclass(frozen=True, slots=True)
class Ladder:
    """Settings of the emulation; `means` is the block of the pseudo-keys, 0 = what is not read is left out."""

    price: float = 0.005
    levels: tuple[Level, ...] = LADDER
    tile: int = 128
    sinks: int = 64
    rows: int = 2
    means: int = 64
    order: str = "position"

    @staticmethod
    def read(fields: dict[str, Any]) -> Ladder:
        """From JSON, a level as [window, heavy, blocks] or [window] for everything. Raises TypeError, ValueError."""
        if not isinstance(fields, dict):
            raise ValueError("it takes an object of settings")
        given = dict(fields)
        if "levels" in given:
            given["levels"] = tuple(Level(*map(int, v), everything=len(v) == 1) for v in given["levels"])
        told = Ladder(**given)
        numbers = (told.price, told.tile, told.sinks, told.rows, told.means)
        if told.order not in ORDERS or not all(isinstance(v, int | float) and v >= 0 for v in numbers):
            raise ValueError(f"numbers must not be negative, and order one of {', '.join(ORDERS)}")
        if not told.levels or min(told.tile, told.rows) < 1 or (told.means and told.tile % told.means):
            raise ValueError("levels, tile and rows must not be empty, and tile a multiple of means")
        return told


@dataclass(slots=True)
class State:
    """What earlier tiles have shown, by head: mass [H, n], missed [levels, H] and size [H] of the probe rows."""

    mass: Tensor
    missed: Tensor
    size: Tensor
    order: Tensor
    ordered: int = 0
    judged: bool = False
    keys: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))


def ladder(query: Tensor, key: Tensor, value: Tensor, scale: float, told: Ladder) -> tuple[Tensor, float]:
    """Out [1, H, n, D_v] and the mean number of keys per query; query [1, H, n, D], key and value [1, H_kv, n, ·]."""
    heads, n = query.shape[1:3]
    q, k, v = (t[0].float() for t in (query, key, value))
    k, v = (t.repeat_interleave(heads // t.shape[0], 0) for t in (k, v))
    q, out, zero = q * scale, torch.empty_like(v[:, :n]), q.new_zeros(())
    order = torch.arange(n, device=q.device).expand(heads, n).clone()
    state = State(
        zero.expand(heads, n).clone(), zero.expand(len(told.levels), heads).clone(), zero.expand(heads), order
    )
    state.keys = state.keys.to(q.device)
    for start in range(0, n, told.tile):
        out[:, start : start + told.tile] = _tile(q, k, v, start, told, state)
    return out[None].to(query.dtype), float(state.keys) / (heads * n)


def _tile(q: Tensor, k: Tensor, v: Tensor, start: int, told: Ladder, state: State) -> Tensor:
    stop = min(start + told.tile, q.shape[1])
    if told.order == "lsh":
        _sort(k, start, state)
    k, v, rows = k[:, :stop], v[:, :stop], q[:, start:stop]
    places = torch.arange(stop, device=q.device)
    scores = (rows @ k.mT).masked_fill(places > places[start:, None], NEG_INF)
    exact = torch.softmax(scores, -1)
    read = torch.stack([_read(level, start, stop, told, state) for level in told.levels])
    means = [_means(k, v, level, start, told, state) for level in read]
    costs = torch.stack([m.sum(-1) for m in read]) + torch.stack([(w > NEG_INF).sum(-1) for w, _, _ in means])
    if stop <= WHOLE or not state.judged:
        chosen = torch.full_like(state.size, len(told.levels) - 1, dtype=torch.int64)
        out = exact @ v
    else:
        error = state.missed / state.size.clamp(min=1e-20)
        chosen = (error + told.price * costs / 1000).argmin(0)
        out = _mixed(scores, rows, v, read, means, chosen)
    tall = stop - start
    hidden = tall * (tall - 1) // 2  # of its own keys, those after each query
    state.keys += (costs.gather(0, chosen[None]).double() * tall - hidden).sum()
    probe = torch.tensor([tall * (r + 1) // told.rows - 1 for r in range(told.rows)], device=q.device)
    _learn(exact[:, probe], scores[:, probe], rows[:, probe], v, read, means, start, told, state)
    return out


def _read(level: Level, start: int, stop: int, told: Ladder, state: State) -> Tensor:
    """Bool [H, stop]: the keys that the tile reads at a level."""
    found = torch.zeros_like(state.mass[:, :stop], dtype=torch.bool)
    low = 0 if level.everything else max(start - level.window, 0)
    first = min(told.sinks, low)
    found[:, low:] = found[:, :first] = True
    if low > first and level.heavy:
        top = state.mass[:, first:low].topk(min(level.heavy, low - first), -1)
        found[:, first:low].scatter_(1, top.indices, top.values > 0)
    count = low // BLOCK
    if level.blocks and count:
        mass = state.mass[:, : count * BLOCK].unflatten(1, (count, BLOCK)).sum(-1)
        best = torch.zeros_like(mass, dtype=torch.bool).scatter_(
            1, mass.topk(min(level.blocks, count), -1).indices, True
        )
        found[:, : count * BLOCK] |= best.repeat_interleave(BLOCK, 1)
    return found


def _means(k: Tensor, v: Tensor, read: Tensor, start: int, told: Ladder, state: State) -> tuple[Tensor, Tensor, Tensor]:
    """Of each block before the tile: log of its unread keys [H, m], their mean key [H, m, D] and value [H, m, D_v]."""
    count = start // told.means if told.means else 0
    if not count:
        return k.new_zeros(len(k), 0), k[:, :0], v[:, :0]
    members = state.order[:, : count * told.means]
    unread = (~read.gather(1, members)).to(k.dtype).view(-1, count, 1, told.means)
    many = unread.sum(-1)

    def mean(rows: Tensor) -> Tensor:
        mine = rows.gather(1, members[..., None].expand(-1, -1, rows.shape[-1])).unflatten(1, (count, -1))
        return (unread @ mine).squeeze(2) / many.clamp(min=1)

    return many.squeeze(-1).log(), mean(k), mean(v)


def _outputs(scores: Tensor, rows: Tensor, v: Tensor, read: Tensor, means: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """[H, r, D_v] of rows [H, r, D] with scores [H, r, stop]."""
    count, keys, values = means
    near = scores.masked_fill(~read[:, None], NEG_INF)
    weights = torch.softmax(torch.cat([near, rows @ keys.mT + count[:, None]], -1), -1)
    return weights @ torch.cat([v, values], 1)


def _mixed(
    scores: Tensor, rows: Tensor, v: Tensor, read: Tensor, means: list[tuple[Tensor, Tensor, Tensor]], chosen: Tensor
) -> Tensor:
    """Each head at its chosen level [H]."""
    heads = torch.arange(len(chosen), device=chosen.device)
    picked = [torch.stack(parts)[chosen, heads] for parts in zip(*means, strict=True)]
    return _outputs(scores, rows, v, read[chosen, heads], (picked[0], picked[1], picked[2]))


def _learn(
    exact: Tensor,
    scores: Tensor,
    rows: Tensor,
    v: Tensor,
    read: Tensor,
    means: list[tuple[Tensor, Tensor, Tensor]],
    start: int,
    told: Ladder,
    state: State,
) -> None:
    """Mass and errors from the tile's probe rows, for later tiles."""
    right = exact @ v
    if start > max(level.window for level in told.levels) + told.sinks:
        wrong = [
            (_outputs(scores, rows, v, r, m) - right).square().sum((1, 2)) for r, m in zip(read, means, strict=True)
        ]
        state.missed = JUDGE * state.missed + torch.stack(wrong)
        state.size = JUDGE * state.size + right.square().sum((1, 2))
        state.judged = True
    state.mass *= DECAY
    state.mass[:, : exact.shape[-1]] += exact.mean(1)


def _sort(k: Tensor, start: int, state: State) -> None:
    """Order the segments that are finished before the tile by the Gray rank of their keys' hash codes."""
    from hyperrewrite.kernels.lsh import Draws, hash_codes

    while state.ordered + SEGMENT <= start:
        low, high = state.ordered, state.ordered + SEGMENT
        centred = k[:, low:high] - k[:, low:high].mean(1, keepdim=True)
        codes = hash_codes(centred, Draws(0).hyperplanes(k.shape[-1], BITS))
        state.order[:, low:high] = low + codes.argsort(dim=-1, stable=True)
        state.ordered = high
