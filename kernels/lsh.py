"""Angular hashing (SimHash, Charikar 2002) with buckets numbered in Gray-code order, and the seeded draws of a plan.

Han et al. (arXiv 2310.05869, section 2): the sign pattern of `lsh_projections` Gaussian projections is the bucket;
buckets are numbered so that neighbours in the order differ in one sign, so rows sorted by number stand beside rows at
a small angle also across a bucket's edge.
"""

from __future__ import annotations

import torch
from torch import Tensor

WORD = (1 << 32) - 1
PLANES, RANKS, DRAWS, KV_DRAWS, LOOKS = 3, 2, 5, 7, 11  # what a stream of words is for; no two alike
ROUNDS = 24  # of the shuffle: a number that no round moves is one in 2**24


class Draws:
    """The random numbers of one plan, hashed from the seed and what they are for: `fused.buckets` makes the same bits.

    The global random state is neither read nor moved, nothing depends on a device, and no draw on an earlier one, but
    for hyperplanes: every call gives new ones.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self._count = seed, 0

    def hyperplanes(self, features: int, count: int) -> Tensor:
        """Normals of nearly Gaussian numbers, float32 [features, count], on the CPU.

        A number is the sum of eight uniform numbers of five bits: exact in bfloat16, so that a kernel may project by
        16-bit products and still differs from float32 by the order of its sums alone.
        """
        key = stream(torch.tensor(self._seed), PLANES, torch.tensor(self._count), torch.tensor(0))
        self._count += 1
        words = word(key, torch.arange(2 * features * count)).view(features, count, 2, 1)
        fives = (words >> torch.tensor([3, 11, 19, 27])) & 31
        return (fives.sum((2, 3)) - 124).to(torch.float32) / 32

    def ranks(self, population: Tensor, size: int, start: Tensor, length: Tensor) -> Tensor:
        """`size` distinct numbers below population, uniform without replacement: int64 [..., size].

        population, start, length: int64 [...] of one shape and device; start and length are the keys' that are drawn
        from, and tell one draw from another. Where the population is smaller than size, what is too many equals it.

        The first numbers of a shuffle that needs no more memory than it gives: swap-or-not (Hoang, Morris, Rogaway,
        CRYPTO 2012), which is a permutation of any number of things. A round pairs x with K − x and swaps by a coin
        that both share.
        """
        # Nothing is copied to the device, which would wait for it.
        seed = torch.full((), self._seed, device=population.device)
        key = stream(seed, RANKS, start, length).unsqueeze(-1)
        counters = torch.arange(2 * ROUNDS, device=key.device)
        many = population.unsqueeze(-1)
        first = torch.arange(size, device=population.device).expand(*population.shape, size)
        some, rank = many.clamp(min=1), first
        for number in range(ROUNDS):
            turn, coin = (word(key, counters[2 * number + part]) for part in (0, 1))
            partner = turn % some - rank
            partner = torch.where(partner < 0, partner + some, partner)
            swaps = mix((torch.maximum(rank, partner) ^ coin) & WORD) >> 31
            rank = torch.where(swaps != 0, partner, rank)
        return torch.where(first < many, rank, many)


def mix(words: Tensor) -> Tensor:
    """A bijection of 32-bit words, int64 in [0, 2**32), after which each bit depends on all (lowbias32, C. Wellons)."""
    words = words ^ (words >> 16)
    words = (words * 0x7FEB352D) & WORD
    words = words ^ (words >> 15)
    words = (words * 0x846CA68B) & WORD
    return words ^ (words >> 16)


def stream(seed: Tensor, tag: int, first: Tensor, second: Tensor) -> Tensor:
    """The key of a stream of words: a word that four numbers tell."""
    key = mix((seed + tag * 0x3C6EF372) & WORD)
    return mix((mix((key + first) & WORD) + second) & WORD)


def word(key: Tensor, counter: Tensor) -> Tensor:
    """Word number `counter` of a stream."""
    return mix((mix(counter ^ key) + key) & WORD)


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
