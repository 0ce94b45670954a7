"""Angular hashing (SimHash, Charikar 2002) with buckets numbered in Gray-code order, and the seeded draws of a plan.

Han et al. (arXiv 2310.05869, section 2): the sign pattern of `lsh_projections` Gaussian projections is the bucket;
buckets are numbered so that neighbours in the order differ in one sign, so rows sorted by number stand beside rows at
a small angle also across a bucket's edge.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Draws:
    """The random numbers of one plan, in the order they are asked for. Drawn on the CPU, so every device agrees.

    Owns its generator: the global random state is neither read nor moved.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator(device="cpu").manual_seed(seed)

    def hyperplanes(self, features: int, count: int) -> Tensor:
        """Gaussian normals, float32 [features, count]."""
        return torch.randn(features, count, generator=self._generator, device="cpu", dtype=torch.float32)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1), float64 (so that ties do not happen)."""
        return torch.rand(*shape, generator=self._generator, device="cpu", dtype=torch.float64)


def hash_codes(rows: Tensor, hyperplanes: Tensor) -> Tensor:
    """Bucket number of each row in Gray-code order, int32 [...]; rows float [..., D], hyperplanes [D, P], P <= 16.

    Hashed in float32 whatever the rows' dtype. A row of zeros has every sign "not positive".
    """
    projected = rows.to(torch.float32) @ hyperplanes.to(rows.device, torch.float32)
    count = hyperplanes.shape[1]
    powers = 1 << torch.arange(count, dtype=torch.int32, device=rows.device)
    pattern = ((projected > 0).to(torch.int32) * powers).sum(-1, dtype=torch.int32)
    return gray_rank(pattern, count)


def gray_rank(pattern: Tensor, bits: int) -> Tensor:
    """Place of a bit pattern in the reflected Gray code: the i for which i ^ (i >> 1) is the pattern."""
    rank, shift = pattern, 1
    while shift < bits:
        rank = rank ^ (rank >> shift)
        shift *= 2
    return rank


def sort_rows(codes: Tensor, mask: Tensor | None = None) -> Tensor:
    """Rows in order of their code, equal codes in order of position, masked rows after all others: int64 [B, R, n].

    codes int [B, R, n]; mask bool [B or 1, n], True = the row takes part.
    """
    if mask is not None:
        codes = codes.masked_fill(~mask.unsqueeze(1), torch.iinfo(codes.dtype).max)
    return torch.argsort(codes, dim=-1, stable=True)
