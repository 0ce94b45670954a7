"""Slow, clear definitions in float64, dense n_q × n_k: what every fast path must match.

Each algorithm has one function `(query, key, key_mask, call) -> log_weight`: float64 [B, H, n_q, n_k], the log of the
number of keys that a pair stands for, −inf where the pair is not read. They are written from the definition, block by
block in Python, and share with the fast path the random draws alone. That of `hyper` needs the values too
(`sampling_oracle`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from .call import AttentionCall
from .lifted import Lifted
from .lsh import Draws
from .parameters import NAN_ROWS, ROWS
from .parts import Plan, Span, Tiles, without_bands
from .sampling.estimate import price_of
from .sampling_oracle import rows_log_weight, sampling_log_weight

NEG_INF = float("-inf")
LogWeights = Callable[[Tensor, Tensor, Tensor | None, AttentionCall], Tensor]


def visible(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Tensor:
    """Bool [B, H, n_q, n_k]: the pairs that the call's mask allows."""
    rows = torch.arange(call.num_queries, device=query.device)[:, None]
    columns = torch.arange(call.num_keys, device=query.device)[None, :]
    allowed = torch.ones(call.num_queries, call.num_keys, dtype=torch.bool, device=query.device)
    if call.causal_offset is not None:
        allowed &= columns <= rows + call.causal_offset
        if call.sliding_window is not None:
            allowed &= columns > rows + call.causal_offset - call.sliding_window
    allowed = allowed.expand(query.shape[0], query.shape[1], -1, -1)
    return allowed if key_mask is None else allowed & key_mask[:, None, None, :]


def exact_log_weight(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Tensor:
    """0 for every visible pair."""
    allowed = visible(query, key, key_mask, call)
    return torch.zeros(allowed.shape, dtype=torch.float64, device=query.device).masked_fill(~allowed, NEG_INF)


def lifted_visible(lifted: Lifted, num_queries: int, num_keys: int) -> Tensor:
    """Bool [B or 1, 1, n_q, n_k]: the pairs that key ranges and groups allow."""
    columns = torch.arange(num_keys, device=lifted.tensors()[0].device)
    allowed = torch.ones(1, num_queries, num_keys, dtype=torch.bool, device=columns.device)
    if lifted.first_key is not None:
        allowed = allowed & (lifted.first_key.unsqueeze(-1) <= columns)
    if lifted.stop_key is not None:
        allowed = allowed & (columns < lifted.stop_key.unsqueeze(-1))
    if lifted.query_group is not None and lifted.key_group is not None:
        allowed = allowed & (lifted.query_group.unsqueeze(2) == lifted.key_group.unsqueeze(1)).all(-1)
    return allowed.unsqueeze(1)


def paper_log_weight(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Tensor:
    """Han et al. by recursion on (queries, keys); see `paper` for what the paper leaves open."""
    parameters = call.parameters
    block, size = parameters.block_size, parameters.sample_size
    draws = Draws(parameters.seed)
    planes = draws.hyperplanes(query.shape[-1], parameters.lsh_projections)
    place_of = {number ^ (number >> 1): number for number in range(1 << parameters.lsh_projections)}
    weight = torch.full((*query.shape[:3], key.shape[2]), NEG_INF, dtype=torch.float64, device=query.device)
    allowed = visible(query, key, key_mask, call)
    group = query.shape[1] // key.shape[1]

    def bucket(rows: Tensor) -> list[list[list[int]]]:
        signs = (rows.detach().float().cpu() @ planes > 0).tolist()
        return [[[place_of[sum(bit << at for at, bit in enumerate(row))] for row in h] for h in b] for b in signs]

    query_bucket, key_bucket = bucket(query), bucket(key)

    @functools.cache
    def drawn(start: int, length: int, population: int) -> list[int]:
        sizes = (torch.tensor(number) for number in (start, length))
        return draws.ranks(torch.tensor(population), size, *sizes)[: min(size, population)].tolist()

    def exactly(rows: range, columns: range) -> None:
        if rows and columns:
            area = allowed[:, :, rows.start : rows.stop, columns.start : columns.stop]
            target = weight[:, :, rows.start : rows.stop, columns.start : columns.stop]
            target[area] = 0.0

    def estimated(rows: range, columns: range) -> None:
        if not rows or not columns:
            return
        if len(columns) < parameters.min_seq_len or len(columns) <= block + size:
            exactly(rows, columns)
            return
        count = -(-len(columns) // block)
        query_block = block if len(rows) == len(columns) else -(-len(rows) // count)
        for b in range(query.shape[0]):
            masks = None if key_mask is None else key_mask[b % key_mask.shape[0]].tolist()
            for h in range(query.shape[1]):
                sorted_rows = sorted(rows, key=lambda i: query_bucket[b][h][i])
                valid = [j for j in columns if masks is None or masks[j]]
                sorted_keys = sorted(valid, key=lambda j: key_bucket[b][h // group][j])
                for t in range(-(-len(rows) // query_block)):
                    own = sorted_keys[t * block : (t + 1) * block]
                    rest = sorted_keys[: t * block] + sorted_keys[(t + 1) * block :]
                    ranks = drawn(columns.start, len(columns), len(rest))
                    for i in sorted_rows[t * query_block : (t + 1) * query_block]:
                        weight[b, h, i, own] = 0.0
                        if ranks:
                            value = torch.tensor(len(rest) / len(ranks), dtype=torch.float64).log()
                            weight[b, h, i, [rest[rank] for rank in ranks]] = value.to(weight.device)

    def square(start: int, stop: int, offset: int) -> None:
        exact_from = max(parameters.min_seq_len, block + size, 1)
        if stop - start <= exact_from:
            pending.append((range(start, stop), range(start + offset, stop + offset), True))
            return
        middle = start + (stop - start) // 2
        pending.append((range(middle, stop), range(start + offset, middle + offset), False))
        square(start, middle, offset)
        square(middle, stop, offset)

    pending: list[tuple[range, range, bool]] = []
    n_q, n_k, offset = call.num_queries, call.num_keys, call.causal_offset
    if offset is None:
        pending.append((range(n_q), range(n_k), False))
    else:
        first = min(max(0, -offset), n_q)
        whole = min(max(first, n_k - offset), n_q)
        pending += [(range(whole, n_q), range(n_k), False), (range(first, whole), range(first + offset), False)]
        square(first, whole, offset)
    for rows, columns, is_exact in pending:
        (exactly if is_exact else estimated)(rows, columns)
    return weight


LOG_WEIGHTS: dict[str, LogWeights] = {"exact": exact_log_weight, "paper": paper_log_weight}


def dense_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, log_weight: Tensor, call: AttentionCall
) -> tuple[Tensor, Tensor]:
    """(out, lse) float64 of a dense log-weight matrix, differentiable by autograd in query, key, value and bias."""
    group = query.shape[1] // key.shape[1]
    key, value = (tensor.double().repeat_interleave(group, 1) for tensor in (key, value))
    scores = query.double() @ key.transpose(-1, -2) * call.scale
    if call.curve.softcap:
        scores = call.curve.softcap * torch.tanh(scores / call.curve.softcap)
    if call.curve.score_min is not None or call.curve.score_max is not None:
        scores = torch.clamp(scores, call.curve.score_min, call.curve.score_max)
    if bias is not None:
        scores = scores + bias.double()
    given, scores = scores, scores + log_weight
    empty = (scores == NEG_INF).all(-1, keepdim=True)
    level = torch.where(given == NEG_INF, 0.0, given - given.detach())
    scores = torch.where(empty, level if call.empty_rows == "level" else 0.0, scores)
    lse = torch.logsumexp(scores, -1).masked_fill(empty.squeeze(-1), NEG_INF)
    weights = torch.softmax(scores, -1)
    rest = {"zero": torch.zeros_like(weights), **dict.fromkeys(NAN_ROWS, torch.full_like(weights, float("nan")))}
    weights = torch.where(empty, rest.get(call.empty_rows, weights), weights)
    return weights @ value, lse


def oracle(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    call: AttentionCall,
    algorithm: str,
    lifted: Lifted | None = None,
) -> tuple[Tensor, Tensor]:
    """(out, lse) of `algorithm` by its dense definition. The caller names the algorithm that should really run."""
    if algorithm == "hyper":
        by_rows = price_of(call, query.device) == ROWS
        log_weight = (rows_log_weight if by_rows else sampling_log_weight)(query, key, value, key_mask, call)
    else:
        log_weight = LOG_WEIGHTS[algorithm](query, key, key_mask, call)
    if lifted is not None:
        log_weight = log_weight.masked_fill(~lifted_visible(lifted, call.num_queries, call.num_keys), NEG_INF)
    return dense_attention(query, key, value, bias, log_weight, call)


def plan_log_weight(parts: Plan, key_mask: Tensor | None, batch: int, kv_heads: int, call: AttentionCall) -> Tensor:
    """A plan as the dense matrix that the engine should make of it, float64 [B, H, n_q, n_k], pair by pair.

    H is taken from the plan's tiles (1 where it has none). Raises AssertionError where two pairs coincide or a masked
    key is named: a plan's pairs must be disjoint.
    """
    heads = next((part.query_rows.shape[1] for part in parts if isinstance(part, Tiles)), kv_heads)
    n_q, n_k = call.num_queries, call.num_keys
    weight = torch.full((batch, heads, n_q, n_k), NEG_INF, dtype=torch.float64)

    def put(b: int, h: int, i: int, columns: Tensor, value: Tensor | float) -> None:
        assert bool((weight[b, h, i, columns] == NEG_INF).all()), f"a pair of query {i} is planned twice"
        assert len(set(columns.tolist())) == columns.numel(), f"a key of query {i} stands twice in a tile"
        assert key_mask is None or bool(key_mask[b % key_mask.shape[0], columns].all()), f"query {i} reads a masked key"
        weight[b, h, i, columns] = value

    def seen(part: Span | Tiles, i: int, columns: Tensor) -> Tensor:
        keep = columns >= 0
        if part.causal_offset is not None:
            keep = keep & (columns <= i + part.causal_offset)
            if part.sliding_window is not None:
                keep = keep & (columns > i + part.causal_offset - part.sliding_window)
        return keep

    for part in without_bands(parts):
        for b in range(batch):
            for h in range(heads):
                if isinstance(part, Span):
                    for i in range(part.query_start, part.query_stop):
                        columns = torch.arange(part.key_start, part.key_stop)
                        keep = seen(part, i, columns)
                        if key_mask is not None:
                            keep = keep & key_mask[b % key_mask.shape[0], columns]
                        put(b, h, i, columns[keep], 0.0)
                    continue
                unit = h // part.group()
                logs = torch.zeros((), dtype=torch.float64) if part.log_weight is None else part.log_weight
                logs = logs.expand(part.key_rows.shape)[b, unit].double()
                for t in range(part.query_rows.shape[2]):
                    for i in part.query_rows[b, h, t].tolist():
                        if i >= 0:
                            columns = part.key_rows[b, unit, t]
                            keep = seen(part, i, columns)
                            put(b, h, i, columns[keep], logs[t][keep])
    return weight
