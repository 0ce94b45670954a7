"""What tests of prices share: rules of small calls, sizes for short texts, and the weights of a call's tiles."""

from __future__ import annotations

from typing import Any

import pytest
from attention_cases import Inputs
from hyperrewrite.kernels import planning, sampling, tiling
from hyperrewrite.kernels.parameters import AUTO, PRICES
from hyperrewrite.kernels.sampling import estimate
from hyperrewrite.kernels.sampling.prices import groups, kmeans, leverage, maker_of, pooled, search
from torch import Tensor

ROWS = "rows"  # has tests of its own
NAMES = [name for name in PRICES if name not in (AUTO, ROWS)]
SAMPLE: dict[str, Any] = {
    "algorithm": "hyper", "min_seq_len": 8, "tile": 64, "window": 16, "sinks": 5, "scale": 0.4,
    "threshold": 0.03, "seed": 3, "lsh_projections": 3,
}  # fmt: skip

priced = pytest.mark.parametrize("price", NAMES)


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums, spreads and groups from few keys, as texts are short."""
    sizes: dict[str, tuple[int, list[Any]]] = {
        "STRIDE": (4, [sampling, search]),
        "REFERENCE": (16, [sampling, estimate]),
        "BLOCK": (16, [groups, pooled, kmeans]),
        "SECTION": (64, [kmeans]),
        "CLUSTERS": (8, [kmeans]),
        "LEAST": (16, [leverage]),
    }
    for name, (number, modules) in sizes.items():
        for module in modules:
            monkeypatch.setattr(module, name, number)


def with_exact_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row sums of all far keys, so that they depend on no seed."""
    for module in (sampling, search):
        monkeypatch.setattr(module, "STRIDE", 1)


def weights_of(inputs: Inputs, **rules: Any) -> list[tuple[tiling.Tile, Tensor]]:
    """The tiles with far keys and their weights [B, H, rows, F]."""
    call = inputs.call(**rules)
    query, key, value = inputs.query.detach(), inputs.key.detach(), inputs.value.detach()
    key, value = (planning.without_masked(tensor, inputs.key_mask) for tensor in (key, value))
    near = planning.near_lse(query, key, inputs.key_mask, call, planning.make_plan(query, key, inputs.key_mask, call))
    price = maker_of(call.parameters.price)(query, key, value, inputs.key_mask, near, call)
    found = [(tile, price.weights(tile)) for tile in tiling.tiles(call) if tile.far]
    return [(tile, weight.expand(-1, -1, tile.rows, -1)) for tile, weight in found]
