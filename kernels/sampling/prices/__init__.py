"""Prices: what decides how likely a far key is to be read. One short file each, with a `make` as `Maker` says.

A price is a rough attention weight for each pair of a query and a far key. How rough it is costs variance, never bias:
every key that is read weighs the inverse of its probability. With causality the weight for a query must rest on nothing
behind the query, nor on where a call begins: a later token changes no earlier output, and a prefill in chunks gives
what a whole one gives. `Parameters.price` names one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from torch import Tensor

from ...call import AttentionCall
from ...tiling import Tile


class Price(Protocol):
    """The weights of one tile after the other, in order of position."""

    def weights(self, tile: Tile) -> Tensor:
        """Rough weights, 0 and above, of the tile's queries for its far keys: [B, H, rows or 1, F], F = `tile.far`.

        A query's true weights, near keys included, sum to 1. Masked keys may have any number.
        """
        ...


class Maker(Protocol):
    """What a file of prices offers as `make`."""

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None, lse: Tensor, call: AttentionCall
    ) -> Price:
        """query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v] in the accumulation dtype, rows of
        masked keys zero; key_mask bool [B, n_k]; lse [B, H, n_q] of the near keys, −inf where a query has none."""
        ...


def maker_of(name: str) -> Maker:
    """The `make` of a price by its name."""
    return cast(Maker, import_module(f".{name}", __package__).make)
