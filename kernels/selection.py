"""Which far keys a tile of queries reads one by one: the protocol of the selectors, their names, and their union.

A selector is one short file in `selectors/`. It is made once a call, from the call's tensors, and asked for each tile
in order of position. What it finds is a set of (query head, key, first row of each strip): the key is read by a strip's
queries from that row on. With causality a selector must let nothing that a query reads depend on a later token: whether
row r reads key j may depend on tokens up to r's position only. A rule that looks at the tile's own queries thus says
from which row on, and one that looks at earlier tiles alone says 0. A first row before a strip is one for all of it.

`select` of the parameters names them: "search", or several as "search+heavy"; a key found twice is read from the first
of its rows. "none" finds nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import torch
from torch import Tensor

from .call import AttentionCall
from .parameters import selectors
from .tiling import Tile

NEVER = 1 << 14  # beyond the rows of any tile


@dataclass(frozen=True, slots=True)
class Found:
    """M far keys of one tile, in order of (head, key), none of them twice for one head.

    head   int64 [M], b·H + h.
    key    int64 [M], position of the key.
    first  int16 [M, strips], for each strip of the tile (`tiling.strip_of`) the row (0 = the tile's first query) from
           which on the key is read; NEVER where that strip does not.
    whole  bool [B], whether all queries of a batch entry read every key that they see, and none of its keys is listed
           here; None = of none.
    """

    head: Tensor
    key: Tensor
    first: Tensor
    whole: Tensor | None = None

    def starts(self) -> Tensor:
        """The first row of all that reads the key, int16 [M]."""
        return functools.reduce(torch.minimum, self.first.unbind(1))


class Selector(Protocol):
    """Chooses far keys of one tile after the other."""

    def find(self, tile: Tile, threshold: Tensor) -> Found:
        """The far keys that the tile reads; never a masked one.

        threshold [B, H, rows]: the score (scaled, natural log) from which on a key counts to a query: log of
        `threshold` times what the query's sinks and local keys sum to; −inf where it has none.
        """
        ...


def make(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Selector:
    """The call's selectors as one.

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v], key_mask bool [B, n_k]; rows of masked keys
    are zero.
    """
    chosen = []
    for name in selectors(call.parameters.select):
        maker: Callable[..., Selector] = import_module(f".selectors.{name}", __package__).make
        chosen.append(maker(query, key, value, key_mask, call))
    return chosen[0] if len(chosen) == 1 else _Union(tuple(chosen), call.num_keys, query.shape[1], query.device)


@dataclass(frozen=True, slots=True)
class _Union:
    """What any of several selectors finds, from the first of its rows."""

    selectors: tuple[Selector, ...]
    num_keys: int
    heads: int
    device: torch.device

    def find(self, tile: Tile, threshold: Tensor) -> Found:
        parts = [selector.find(tile, threshold) for selector in self.selectors]
        empty = torch.zeros(0, dtype=torch.int64, device=self.device)
        head, key = (torch.cat([empty, *(getattr(part, name) for part in parts)]) for name in ("head", "key"))
        first = torch.cat([empty.new_empty(0, tile.strips, dtype=torch.int16), *(part.first for part in parts)])
        number, order = torch.sort(head * self.num_keys + key, stable=True)
        number, place = torch.unique_consecutive(number, return_inverse=True)
        least = first.new_full((number.shape[0], tile.strips), NEVER)
        least.scatter_reduce_(0, place.unsqueeze(-1).expand(-1, tile.strips), first[order], "amin")
        found = Found(number // self.num_keys, number % self.num_keys, least)
        for part in parts:
            found = found if part.whole is None else with_whole(found, part.whole, self.heads)
        return found


def with_whole(found: Found, whole: Tensor, heads: int) -> Found:
    """Where `whole`, bool [B], every key is read instead of what was found."""
    rest = ~whole[found.head // heads]
    whole = whole if found.whole is None else whole | found.whole
    return Found(found.head[rest], found.key[rest], found.first[rest], whole)


def of_mask(first: Tensor, tile: Tile) -> Found:
    """From a map: int [B, H, far], for each far key the row from which on it is read, `tile.rows` = never."""
    flat = first.flatten(0, 1)
    head, column = (flat < tile.rows).nonzero(as_tuple=True)
    return from_row(head, tile.far_keys(first.device)[column], flat[head, column], tile)


def from_row(head: Tensor, key: Tensor, first: Tensor, tile: Tile) -> Found:
    """Keys that all of the tile's queries read from one row on, int [M]."""
    return Found(head, key, first.to(torch.int16).unsqueeze(-1).expand(-1, tile.strips))
