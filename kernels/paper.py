"""HyperAttention as published: Han et al., ICLR 2024, arXiv 2310.05869. No code of theirs was read into this file.

Full attention of n_q queries over N keys (`_rectangle`): both sorted by angular hash in Gray-code order; the sorted
sequences cut into blocks of `block_size` keys; query block r sees key block r exactly, and besides `sample_size` keys
drawn uniformly without replacement from the N − |block r| keys outside it, each standing for (N − |block r|) /
sample_size keys. So block and sample are disjoint, the sum over both is an unbiased estimate of the whole sum, and a
sample of the whole outside is the whole outside with weight 1.

Causal attention: the square is halved; its diagonal halves recursively, exact at `min_seq_len`, its off-diagonal block
as full attention. Any causal_offset: keys before the first query are full attention, then the square.

Where the paper leaves it open: lengths need not be powers of two (uneven halves, a short last block); with n_q ≠ n_k
the queries are cut into as many blocks as the keys; masked keys are sorted behind all others and belong to no block
and no population; projections and sampled ranks are shared by the heads, which sort differently.

On a GPU the forward has kernels of its own, which draw the same keys (`fused.launch_paper`).

What a query reads depends on the other queries and keys of its rectangle, by the sort. No key after the frontier is
ever read, but later queries do shift the blocks: outputs are causal in the keys and values, not in the selection.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from .areas import areas, is_exact, selected_keys
from .call import AttentionCall
from .fused.forward import paper_codes
from .lsh import Draws, hash_codes, sort_rows
from .parts import Plan, Span, Tiles


def saves_nothing(call: AttentionCall) -> bool:
    """Whether the call runs exactly: blocks and samples are no fewer than its keys."""
    return call.num_keys <= selected_keys(call)


def plan(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Plan:
    """The parts of one call; query [B, H, n_q, D], key [B, H_kv, n_k, D], key_mask bool [B or 1, n_k]."""
    draws, codes = Draws(call.parameters.seed), _codes(query, key, call)
    found = areas(call)
    estimated = [area for area in found if area.causal_offset is None and not is_exact(area, call)]
    ranks = dict(zip(estimated, _ranks(estimated, key_mask, call, draws, query.device), strict=True))
    return [_rectangle(codes, key_mask, area, call, ranks[area]) if area in ranks else area for area in found]


def _codes(query: Tensor, key: Tensor, call: AttentionCall) -> tuple[Tensor, Tensor]:
    """Hash codes of query and key, int [B, H, n_q] and [B, H_kv, n_k]; where the forward is fused, those it has."""
    if (codes := paper_codes(query, key, call)) is not None:
        return codes
    hyperplanes = Draws(call.parameters.seed).hyperplanes(query.shape[-1], call.parameters.lsh_projections)
    return hash_codes(query, hyperplanes), hash_codes(key, hyperplanes)


def _ranks(
    estimated: list[Span], key_mask: Tensor | None, call: AttentionCall, draws: Draws, device: torch.device
) -> Tensor:
    """Sampled ranks of every area, int64 [areas, B or 1, 3, sample_size]; see `_samples`."""
    if not estimated or not call.parameters.sample_size:
        return torch.zeros(len(estimated), 1, 3, 0, dtype=torch.int64, device=device)
    edges = torch.tensor([[area.key_start, area.key_stop] for area in estimated], device=device)
    start, stop = edges[:, :1], edges[:, 1:]
    valid = stop - start  # [areas, rows]
    if key_mask is not None:
        total = pad(key_mask.cumsum(-1), (1, 0)).t()
        valid = total[edges[:, 1]] - total[edges[:, 0]]
    many = populations(valid, call.parameters.block_size)
    shape = many.shape
    length = (stop - start).unsqueeze(-1).expand(shape)
    return draws.ranks(many, call.parameters.sample_size, start.unsqueeze(-1).expand(shape), length)


def populations(valid: Tensor, block: int) -> Tensor:
    """Keys outside a block [..., 3], of `valid` [...] keys in all: outside a full block, the short last one, none."""
    return torch.stack([valid - block, valid - valid % block, valid], -1)


def _rectangle(
    codes: tuple[Tensor, Tensor], key_mask: Tensor | None, area: Span, call: AttentionCall, ranks: Tensor
) -> Tiles:
    """Block diagonal and samples of one full area; codes int [B, H, n_q] and [B, H_kv, n_k], ranks of `_ranks`."""
    block = call.parameters.block_size
    mask = None if key_mask is None else key_mask[:, area.key_start : area.key_stop]
    queries = sort_rows(codes[0][:, :, area.query_start : area.query_stop]) + area.query_start
    order = sort_rows(codes[1][:, :, area.key_start : area.key_stop], mask)
    keys = order + area.key_start
    if mask is not None:
        keys = keys.masked_fill(~mask.unsqueeze(1).expand(keys.shape).gather(2, order), -1)
    n_q, n_k = queries.shape[2], keys.shape[2]
    count = -(-n_k // block)
    query_block = block if n_q == n_k else -(-n_q // count)
    used = -(-n_q // query_block)
    query_tiles = _tile(queries, query_block, used)
    key_tiles = _tile(keys, block, count)[:, :, :used]
    may_pad = mask is not None or used * block > n_k
    if not call.parameters.sample_size:
        return Tiles(query_tiles, key_tiles, may_pad=may_pad)
    rows, log_weight = _samples(keys, mask, used, block, ranks)
    both = torch.cat([key_tiles, rows], -1)
    weights = torch.cat([log_weight.new_zeros(()).expand(key_tiles.shape), log_weight.expand(rows.shape)], -1)
    return Tiles(query_tiles, both, weights, may_pad=may_pad)


def _tile(rows: Tensor, size: int, count: int) -> Tensor:
    """[B, R, n] → [B, R, count, size], −1 behind the end."""
    return pad(rows, (0, count * size - rows.shape[2]), value=-1).view(*rows.shape[:2], count, size)


def _samples(keys: Tensor, mask: Tensor | None, count: int, block: int, ranks: Tensor) -> tuple[Tensor, Tensor]:
    """Sampled rows int [B, R, count, m], −1 where the population is smaller, and log weights [B or 1, 1, count, 1].

    keys [B, R, n]: valid rows in sorted order, then −1. A rank among the keys outside block t becomes a sorted place by
    stepping over the block, so nothing needs to be rejected. Blocks are of three sizes (full, the short last one, and
    none, behind masked keys), so there are three populations and as many draws: ranks [B or 1, 3, m].
    """
    batch, heads, n = keys.shape
    device, size = keys.device, ranks.shape[-1]
    valid = torch.full((1,), n, device=device) if mask is None else mask.sum(-1)
    start = torch.arange(count, device=device) * block
    length = (valid.unsqueeze(1) - start).clamp(0, block)  # [rows, count]
    kind = torch.where(length == block, 0, torch.where(length > 0, 1, 2))
    population = populations(valid, block).gather(1, kind)
    chosen = ranks.gather(1, kind.unsqueeze(-1).expand(-1, -1, size))  # [rows, count, m]
    exists = chosen < population.unsqueeze(-1)
    place = chosen + length.unsqueeze(-1) * (chosen >= start.unsqueeze(-1))
    place = place.clamp(max=n - 1).unsqueeze(1).expand(batch, heads, -1, -1)
    found = keys.gather(2, place.flatten(2)).view(place.shape)
    if mask is not None:
        found = found.masked_fill(~exists.unsqueeze(1), -1)
    drawn = population.clamp(min=1, max=size).to(torch.float32)
    log_weight = (population.clamp(min=1).to(torch.float32) / drawn).log()
    return found, log_weight[:, None, :, None]
