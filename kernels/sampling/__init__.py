"""Far keys by sampling: each is read with a probability in proportion to its price, and weighs the inverse of it.

A query of `hyper` reads its near keys exactly and a random sample of the others, so that the
numerator and the denominator of its softmax are unbiased (Horvitz and Thompson 1952; each key is drawn by itself,
Poisson sampling). docs/estimator.md derives the price.

For a tile of queries:

- the weight of key j for query i is p_ij = exp(s_ij) / Z_i, or a rougher number (`prices`);
- there the row sum Z_i of query i is that of its near keys plus STRIDE times that of every STRIDE-th far key;
- the spread d_j is the distance of the key's value from the mean value of the first REFERENCE far keys, in units of
  their mean distance, LEAST_SPREAD at least;
- the price is P_ij = d_j · sqrt(p_ij² + Σ_s max_{i' in s} p_i'j²) over the strips s of STRIP rows that end before
  query i. A later query does not change it;
- query i reads key j if u_j < π_ij = min(1, sqrt((P_ij / τ)² + 2⁻⁴⁰)), τ = `threshold_of` the tile, with one random
  number u_j for a key and a tile (`draws`). It then adds −log π_ij to the score.
"""

from __future__ import annotations

LENGTH, POWER = 32768, 0.15  # see `threshold_of`
STRIDE = 32  # every so manieth far key counts in a row sum; a power of two
REFERENCE = 128
STRIP = 16
LEAST_SPREAD = 0.25
MOST_SPREAD = 1.0e6
LEAST_CHANCE = 2.0**-20

# `rows`: prices of a processor that has no time for all scores
STEP = 8  # every so manieth query of a tile has exact scores
BLOCK = 64  # keys that share a mean and a variance
PART = 8  # every so manieth far key counts in the row sums of those queries
ROWS_SHARE = 0.36  # of the threshold: a rougher price asks for more keys, at about the same error


def threshold_of(threshold: float, visible: int) -> float:
    """The threshold of a tile that sees `visible` keys, where `threshold` is that of one that sees LENGTH.

    With one threshold for all, a model's loss grows with the text (docs/estimator.md): of more keys, more are sampled.
    `visible` is the end of the whole tile in the positions of the keys, or with no causality the number of keys: what
    follows later changes nothing.
    """
    return threshold * (LENGTH / max(visible, 1)) ** POWER
