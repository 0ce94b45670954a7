"""`hyper` by its definition, in float64, dense, head by head and tile by tile; see `tiling`, `selectors.search`, `far`.

Written from the definition: which keys are near is decided key by key, and what a mean weighs is spread over the keys
of its block, each of which has its value in it. Selectors but "search" are tested by themselves and are not known here.
A score that all but equals its threshold may be judged otherwise by the fast path; random inputs have none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .call import AttentionCall
from .selectors.search import LEAST
from .tiling import block_of, section_of

NEG_INF = float("-inf")


def hyper_log_weight(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Tensor:
    """Float64 [B, H, n_q, n_k], to be added to the scores; differentiable, as a mean's score is.

    −inf where the query does not see the key, or does not read it and there are no means; 0 where it reads it and the
    mean of its block stands for nothing; else what makes the key's weight its own, if it is read, and its share of the
    mean's.
    """
    batch, heads, n_q = query.shape[:3]
    n_k, group = key.shape[2], heads // key.shape[1]
    seen = torch.ones(batch, n_k, dtype=torch.bool, device=key.device)
    seen = seen if key_mask is None else key_mask.expand(batch, -1)
    clean = key.double().masked_fill(~seen[:, None, :, None], 0.0)
    found = []
    for b in range(batch):
        mine = [query[b, h].double() * call.scale for h in range(heads)]
        shares = [_of_head(mine[h], clean[b, h // group], seen[b], set(), call)[1] for h in range(heads)]
        whole = {tile + 1 for tile, told in enumerate(zip(*shares, strict=True)) if sum(told) > 0}
        found += [_of_head(mine[h], clean[b, h // group], seen[b], whole, call)[0] for h in range(heads)]
    return torch.stack(found).view(batch, heads, n_q, n_k)


def _of_head(
    query: Tensor, key: Tensor, seen: Tensor, whole: set[int], call: AttentionCall
) -> tuple[Tensor, list[int]]:
    """Log weight [n_q, n_k], and of each tile twice the far keys that some row passes less the visible ones.

    query [n_q, D] with the scale in it, key [n_k, D], seen bool [n_k]; whole: numbers of tiles that read everything.
    """
    names = call.parameters.select_names
    assert names in ((), ("search",)), f"the oracle knows no selector {names}"
    block = block_of(call)
    number = torch.arange(key.shape[0], device=key.device) // block
    sums = key.new_zeros(int(number[-1]) + 1, key.shape[1]).index_add(0, number, key)
    counts = key.new_zeros(sums.shape[0]).index_add(0, number, seen.to(key.dtype))
    means = (sums / counts.clamp(min=1.0).unsqueeze(-1))[number]
    scores, mean_scores = query @ key.T, query @ means.T
    more = math.log(8192 / key.shape[0])
    share = math.log(call.parameters.threshold) + (more / 3 if more > 0 else more)
    strip = 16 if key.shape[0] > 16384 else 32 if key.shape[0] > 8192 else call.parameters.tile
    strip, excess = call.parameters.strip or strip, []
    start = min(math.ceil(call.parameters.sinks / block) * block, max(key.shape[0] - block, 0))
    centre = query @ key[start : start + block][seen[start : start + block]].sum(0)[:, None]
    centre = centre / max(int(seen[start : start + block].sum()), 1)
    weight = torch.where(torch.zeros_like(scores) > 0, scores, NEG_INF)
    for tile, (rows, near, far) in enumerate(_tiles(query.shape[0], key.shape[0], block, call)):
        here = torch.tensor(rows, device=key.device)
        allowed = seen.expand(len(rows), -1)
        if call.causal_offset is not None:
            allowed = allowed & (torch.arange(key.shape[0], device=key.device) <= here[:, None] + call.causal_offset)
        close = allowed & torch.tensor(near, device=key.device)
        distant = allowed & torch.tensor(far, device=key.device)
        read = close
        if names:
            limit = torch.logsumexp(scores[here].masked_fill(~close, NEG_INF), -1, keepdim=True) + share
            passes = distant & (scores[here] >= torch.maximum(limit, centre[here] + LEAST))
            for i in range(1, len(rows)):
                if (rows[i] + (call.causal_offset or 0)) % call.parameters.tile % strip:  # not a strip's first
                    passes[i] |= passes[i - 1]
            read = close | (distant if tile in whole else passes)
            ends = key.shape[0] if call.causal_offset is None else rows[-1] + call.causal_offset + 1
            visible = (seen & torch.tensor(far, device=key.device))[:ends].sum()
            excess.append(2 * int(passes.any(0).sum()) - int(visible))
        mine = torch.zeros_like(scores[here]).masked_fill(~read, NEG_INF)
        if call.parameters.means:
            section = number // section_of(call)
            unread = torch.zeros(len(rows), int(section[-1]) + 1, dtype=torch.float64, device=key.device)
            total = unread.index_add(1, section, distant.double())
            unread = unread.index_add(1, section, (distant & ~read).double())
            standing = (unread / total.clamp(min=1.0)).log()[:, section]
            mean = torch.where(distant, mean_scores[here] - scores[here] + standing, NEG_INF)
            mine = torch.logaddexp(mine, mean)
        weight = weight.index_copy(0, here, mine)
    return weight, excess


def _tiles(n_q: int, n_k: int, block: int, call: AttentionCall) -> list[tuple[list[int], list[bool], list[bool]]]:
    """Of each tile with a visible key: its queries, and of each key whether it is near and whether it is far."""
    size, window, offset = call.parameters.tile, call.parameters.window, call.causal_offset
    of_tile: dict[int, list[int]] = {}
    for i in range(n_q):
        position = i if offset is None else i + offset
        if position >= 0:
            of_tile.setdefault(position // size, []).append(i)
    found = []
    for number, rows in of_tile.items():
        if offset is None:
            first = (rows[0] * n_k // n_q - window // 2) // block * block
            behind = math.ceil((math.ceil((rows[-1] + 1) * n_k / n_q) + window // 2) / block) * block
        else:
            first = max(number * size - window, 0) // block * block
            behind = rows[-1] + offset + 1
        sinks = math.ceil(call.parameters.sinks / block) * block
        near = [j < sinks or first <= j < behind for j in range(n_k)]
        found.append((rows, near, [not near[j] for j in range(n_k)]))
    return found
