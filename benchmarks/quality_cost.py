"""What an attention call costs by its plan: multiply-adds and bytes of a query, whatever ran it.

Multiply-adds are counted over pairs of a query and a key or a mean, D for a score and D_v for a value:

  near keys    visible ones
  found keys   all rows of the tile times what any of them found
  means        those that the query reads
  whole tiles  all keys, once, and no means
  search       the score alone, of all far keys; apart from the rest, as it is of low precision
  others       what a chooser other than search does to choose is not counted

Bytes are those of keys and values, 2 for an element, that a tile of queries of one head reads once for all of its rows:
what leaves the caches or the memory of a GPU, if heads share nothing. Exact attention is counted with the same tiles.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.far import Far, Whole
from hyperrewrite.kernels.parts import Span, visible_keys
from hyperrewrite.kernels.planning import algorithm_of
from hyperrewrite.kernels.tiling import block_of, tiles

ELEMENT = 2  # bytes
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one query, mean over queries and heads.

    work    multiply-adds as a share of exact attention's, search left out.
    search  multiply-adds of the search's scores, as a share of the same.
    bytes   of keys and values read.
    """

    work: float
    search: float
    bytes: float


def cost(call: AttentionCall, far: list[Far | Whole], batch: int, heads: int, features: int, width: int) -> Cost | None:
    """batch = B, heads = B·H, features = D, width = D_v; far: all that was found. None for algorithms but `hyper` and
    `exact`."""
    name, n_q = algorithm_of(call), call.num_queries
    if name not in ("exact", "hyper"):
        return None
    seen = visible_keys(Span(0, n_q, 0, call.num_keys, call.causal_offset), None, CPU)
    pair, whole = features + width, float(seen.sum())
    block = block_of(call)
    means, looked, near, read = 0.0, 0.0, 0.0, 0.0
    whole_share = Counter(part.tile for part in far if isinstance(part, Whole))
    for tile in tiles(call):
        if name == "exact":
            read += tile.limit * pair
            continue
        far_keys = float(tile.far * tile.rows)
        near += float(seen[0, tile.start : tile.stop].sum()) - far_keys
        read += (tile.limit - tile.far) * pair
        if call.parameters.means:
            blocks = tile.far_blocks(block, CPU).numel()
            kept = 1.0 - whole_share[tile] / batch
            means += kept * blocks * tile.rows
            read += kept * blocks * pair
        if "search" in call.parameters.select_names:
            looked += far_keys
            read += tile.far * features
    if name == "exact":
        return Cost(1.0, 0.0, ELEMENT * read / n_q)
    found, dense, plain = 0.0, 0.0, 0.0
    for part in far:
        if isinstance(part, Whole):
            found += heads / batch * part.tile.far
            plain += part.tile.far * part.tile.rows / batch
            continue
        rows = part.query_rows.shape[1]
        real = (part.first.amin(1) < rows).sum(-1)
        asked = (part.query_rows < heads * n_q).sum(-1)
        found += float(real.sum())
        dense += float((real * asked).sum())
    found, dense = found / heads, dense / heads
    return Cost(
        (near + means + dense + plain) / whole,
        looked * features / (whole * pair),
        ELEMENT * (read + found * pair) / n_q,
    )
