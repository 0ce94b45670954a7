"""`hyper` by its definition, in float64 and one query, key and head at a time: see `heavy` and `far` for the words.

Shares with the fast path the hyperplanes' draw and the constants, nothing else. Keys are picked by comparing sums of
probe weights, so a call whose sums all but tie may be answered differently in float32; random inputs do not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import far, heavy
from .call import AttentionCall
from .lsh import Draws

NEG_INF = float("-inf")


def hyper_log_weight(query: Tensor, key: Tensor, key_mask: Tensor | None, call: AttentionCall) -> Tensor:
    """Float64 [B, H, n_q, n_k]: 0 where the query reads the key, −inf elsewhere."""
    weight = torch.full((*query.shape[:3], key.shape[2]), NEG_INF, dtype=torch.float64, device=query.device)
    batch, heads = query.shape[:2]
    units, n_k = key.shape[1:3]
    for b in range(batch):
        allowed = [True] * n_k if key_mask is None else key_mask[b % key_mask.shape[0]].tolist()
        clean = key[b].double().masked_fill(~torch.tensor(allowed, device=key.device)[:, None], 0.0)
        groups = query[b].double().unflatten(0, (units, heads // units))
        for u in range(units):
            for g, read in enumerate(_Group(groups[u], clean[u], allowed, call).read()):
                for i, keys in read.items():
                    weight[b, u * (heads // units) + g, i, sorted(keys)] = 0.0
    return weight


class _Group:
    """The query heads [G, n_q, D] of one key head [n_k, D]."""

    def __init__(self, queries: Tensor, keys: Tensor, allowed: list[bool], call: AttentionCall) -> None:
        self.queries, self.keys, self.allowed, self.call = queries, keys, allowed, call
        self.size, self.offset = call.parameters.block_size, call.causal_offset
        self.planes = Draws(call.parameters.seed).hyperplanes(keys.shape[-1], call.parameters.lsh_projections)
        self.key_signs = self._signs(keys, 0, allowed)
        self.query_signs = [self._signs(q, self.offset or 0, [True] * q.shape[0]) for q in queries]

    def read(self) -> list[dict[int, set[int]]]:
        """For each query head, the keys that each query reads."""
        parameters, heads = self.call.parameters, range(len(self.queries))
        found: list[dict[int, set[int]]] = [{} for _ in heads]
        mass = torch.zeros(self.call.num_keys, dtype=torch.float64)
        error: list[float] | None = None
        most, probes = heavy.WIDE_PER_SAMPLE * parameters.sample_size, 0
        for rows in self._tiles():
            local, limit = self._local(rows)
            sinks = set(range(min(parameters.sinks, local.start)))
            region = [j for j in range(limit) if j not in local and j not in sinks]
            probe = self._probe(rows, limit)
            if self.offset is None and probe:
                mass = mass * (heavy.DECAY if probes else 1.0) + self._mass(probe[::2])
                probes += 1
            top = self._top(mass, region)
            if self.offset is None and probe[1::2] and region:
                error = self._judge(error, probe[1::2], region, top)
            for g in heads:
                wide = bool(region) and (error is None or (error[g] > heavy.TOLERANCE and most > 0))
                noticed = error is not None and error[g] > far.NOTICE
                for i in rows:
                    extra = top
                    if wide:
                        extra = set(region)
                        if error is not None and len(region) > most:
                            extra = self._blocks(mass, region, most, limit) | top
                    elif noticed:
                        extra = top | self._neighbours(g, i, region, local)
                    found[g][i] = {j for j in local if self._visible(i, j)} | sinks | extra
                    found[g][i] = {j for j in found[g][i] if self.allowed[j]}
            if self.offset is not None and probe:
                if probes and region:
                    error = self._judge(error, probe, region, top)
                mass = mass * (heavy.DECAY if probes else 1.0) + self._mass(probe)
                probes += 1
        return found

    def _visible(self, i: int, j: int) -> bool:
        return self.allowed[j] and (self.offset is None or j <= i + self.offset)

    def _tiles(self) -> list[list[int]]:
        """Query rows of each tile, in order; rows at a negative position see nothing and are in none."""
        shift = self.offset or 0
        tiles: dict[int, list[int]] = {}
        for i in range(self.call.num_queries):
            if i + shift >= 0:
                tiles.setdefault((i + shift) // self.size, []).append(i)
        return list(tiles.values())

    def _local(self, rows: list[int]) -> tuple[range, int]:
        """Local keys, and the number of keys that the tile may see."""
        n_q, n_k, window = self.call.num_queries, self.call.num_keys, self.call.parameters.window
        if self.offset is None:
            start, stop = rows[0] * n_k // n_q, -(-(rows[-1] + 1) * n_k // n_q)
            return range(max(start - window // 2, 0), min(stop + window // 2, n_k)), n_k
        first = (rows[0] + self.offset) // self.size * self.size - window
        limit = min(rows[-1] + self.offset + 1, n_k)
        return range(min(max(first, 0), n_k), limit), limit

    def _probe(self, rows: list[int], limit: int) -> list[Tensor]:
        """Exact weights [G, n_k] of the tile's probe rows."""
        least = 2 if self.offset is None else 1
        count = min(heavy.PROBE_ROWS, max(least, heavy.PROBE_ROWS * heavy.PROBED_KEYS // max(limit, 1)), self.size)
        places = [self.size * (k + 1) // count - 1 for k in range(count)]
        found = []
        for i in rows:
            if (i + (self.offset or 0)) % self.size in places:
                seen = torch.tensor([self._visible(i, j) for j in range(self.call.num_keys)])
                scores = (self.queries[:, i] @ self.keys.T * self.call.scale).cpu().masked_fill(~seen, NEG_INF)
                found.append(torch.softmax(scores, -1) if bool(seen.any()) else torch.zeros_like(scores))
        return found

    def _mass(self, probe: list[Tensor]) -> Tensor:
        return torch.stack(probe).mean((0, 1))

    def _top(self, mass: Tensor, region: list[int]) -> set[int]:
        free = [j for j in region if self.allowed[j]]
        return set(sorted(free, key=lambda j: -float(mass[j]))[: self.call.parameters.heavy])

    def _judge(self, error: list[float] | None, probe: list[Tensor], region: list[int], top: set[int]) -> list[float]:
        missed = [j for j in region if j not in top]
        found = torch.stack(probe)[..., missed].square().sum(-1).sqrt().mean(0).tolist()
        if error is None:
            return found
        return [heavy.DECAY * old + (1.0 - heavy.DECAY) * new for old, new in zip(error, found, strict=True)]

    def _blocks(self, mass: Tensor, region: list[int], most: int, limit: int) -> set[int]:
        size = heavy.WIDE_BLOCK
        members: dict[int, list[int]] = {g: [] for g in range(-(-limit // size))}
        for j in region:
            if self.allowed[j]:
                members[j // size].append(j)
        best = sorted(members, key=lambda g: -float(mass[members[g]].sum()))[: max(most // size, 1)]
        return {j for g in best for j in members[g]}

    def _neighbours(self, g: int, i: int, region: list[int], local: range) -> set[int]:
        most = self.call.parameters.sample_size // far.SAMPLE_SHARE
        mine = [j for j in region if self.allowed[j] and self.key_signs[j] == self.query_signs[g][i]]
        before, after = [j for j in mine if j < local.start], [j for j in mine if j >= local.stop]
        if self.offset is not None:
            return set(before[max(len(before) - most, 0) :])
        return set(before[max(len(before) - most // 2, 0) :]) | set(after[: most - most // 2])

    def _signs(self, rows: Tensor, shift: int, allowed: list[bool]) -> list[tuple[bool, ...]]:
        """Hash of each row: the signs of its projections once the mean of what came before its tile is taken off."""
        found = []
        for i, row in enumerate(rows):
            start = (i + shift) // self.size * self.size - shift if self.offset is not None else len(rows)
            before = [j for j in range(max(start, 0)) if allowed[j]]
            centred = row - rows[before].mean(0) if before else row
            found.append(tuple((centred.cpu() @ self.planes.double() > 0).tolist()))
        return found
