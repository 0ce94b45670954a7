"""More forms and near misses: scores summed over more than the features, as where rows of an alignment share a map."""

from __future__ import annotations

import torch
from attention_forms import form, miss, qkv, random
from torch import Tensor


def _rows(*shape: int) -> tuple[Tensor, ...]:
    return tuple(random(*shape, seed=s) for s in range(3))


def _alignment() -> tuple[Tensor, ...]:
    """[rows, columns, batch, heads, features] and which columns are kept, [batch, columns]; in one none is."""
    keep = torch.ones(2, 31, dtype=torch.bool)
    keep[0, 25:] = False
    keep[1] = False
    return (*_rows(5, 31, 2, 4, 10), keep)


@form(lambda: tuple(t.transpose(1, 2).contiguous() for t in qkv()()), "full, 1 heads, scale 1")
def einsum_summed_over_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scores summed over the heads too: one head of all features, whose values keep their heads."""
    scores = torch.einsum("bqhd,bkhd->bqk", q, k)
    return torch.einsum("bqk,bkhd->bqhd", torch.softmax(scores, dim=-1), v)


@form(_alignment, "full, mask tensor, 2 heads, scale 1", empty_rows="mean")
def tied_rows(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """MSA Transformer: rows of an alignment share one map; they are features of queries and keys, and of values."""
    q = q * (10**-0.5 / 5**0.5)
    scores = torch.einsum("rinhd,rjnhd->hnij", q, k)
    scores = scores.masked_fill(~keep[None, :, None], -10000)
    return torch.einsum("hnij,rjnhd->rinhd", scores.softmax(-1), v)


@form(lambda: _rows(3, 2, 31, 4, 10), "full, 4 heads, scale 0.5")
def tied_rows_of_pairs(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Rows first, then the batch; the result is joined over heads."""
    weights = torch.softmax(torch.einsum("rbihc,rbjhc->bhij", q, k) * 0.5, dim=-1)
    return torch.einsum("bhij,rbjhc->rbihc", weights, v).flatten(-2)


@form(lambda: (*_rows(3, 2, 31, 4, 10)[:2], random(2, 31, 4, 10)), "full, 4 heads, scale 0.5")
def tied_rows_with_values_of_one(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The map of all rows weighs values that have no rows."""
    weights = torch.softmax(torch.einsum("rbihc,rbjhc->bhij", q, k) * 0.5, dim=-1)
    return torch.einsum("bhij,bjhc->bihc", weights, v)


@form(lambda: (*(t[0] for t in qkv()()[:2]), qkv()()[2]), "full, 1 heads, scale 0.5")
def map_of_one_for_a_batch(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One map for every member of a batch: the batch is a feature of the values."""
    return torch.softmax(q @ k.mT * 0.5, dim=-1) @ v


@miss("tied_rows", lambda: _rows(3, 2, 31, 4, 10), words="full, 12 heads, scale 0.5")
def untied_rows(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A map for each row: rows are heads."""
    weights = torch.softmax(torch.einsum("rbihc,rbjhc->brhij", q, k) * 0.5, dim=-1)
    return torch.einsum("brhij,rbjhc->rbihc", weights, v)


@miss("tied_rows", lambda: (random(2, 31, 4, 10), *_rows(3, 2, 31, 4, 10)[1:]), code="layout")
def rows_of_keys_alone(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Keys are summed over rows that the queries lack."""
    weights = torch.softmax(torch.einsum("bihc,rbjhc->bhij", q, k) * 0.5, dim=-1)
    return torch.einsum("bhij,rbjhc->rbihc", weights, v)
