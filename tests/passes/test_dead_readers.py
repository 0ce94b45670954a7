"""Readers of the probabilities that nobody reads: the attention beside them is rewritten, and they go."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from compared import assert_as_eager, rejection_of, site_of
from graphs import Backend, assert_same, run
from hyperrewrite.passes.spec import RejectionCode
from torch import Tensor


def _inputs() -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 4, 8, 16, generator=generator) for _ in range(3))


def mean_over_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.softmax(q @ k.mT, -1)
    weights.mean(1)
    return weights @ v


def weights_by_layer(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """ESM-2: views, casts and a mean of what is handed back and thrown away."""
    weights = F.softmax((q @ k.mT).flatten(0, 1), dim=-1, dtype=torch.float32)
    probabilities = F.dropout(weights.type_as(q), 0.1, training=False)
    heads = weights.view(2, 4, 8, 8).type_as(q).transpose(1, 0)
    heads.mean(dim=0)
    return torch.bmm(probabilities, v.flatten(0, 1)).view(2, 4, 8, 16)


def stacked_over_layers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """FT-Transformer: the maps of all layers in one tensor that the caller drops."""
    maps = []
    for _ in range(2):
        weights = torch.softmax(q @ k.mT, -1)
        maps.append(weights.clone())
        q = weights @ v
    torch.stack(maps)
    return q


def mean_in_steps(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """TFT: interpretable attention, by einsum and by sorts."""
    weights = torch.softmax(q @ k.mT, -1)
    torch.einsum("bhij->bij", weights).sort(-1).values.cumsum(-1)
    return weights @ v


DEAD = [mean_over_heads, weights_by_layer, stacked_over_layers, mean_in_steps]


def mean_returned(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    weights = torch.softmax(q @ k.mT, -1)
    return weights @ v, weights.mean(1)


def written_somewhere(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Nobody reads what copy_ gives, but the tensor that it writes into."""
    weights, seen = torch.softmax(q @ k.mT, -1), torch.zeros(2, 8, 8)
    seen.copy_(weights.mean(1))
    return weights @ v, seen


def sample_drawn(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Nobody reads the sample, but the next one is another after it."""
    weights = torch.softmax(q @ k.mT, -1)
    torch.bernoulli(weights.detach())
    return weights @ v, torch.rand(3)


@pytest.mark.parametrize("function", DEAD)
def test_dead_readers_are_no_readers(function: Callable[..., Tensor]) -> None:
    backend = assert_as_eager(function, _inputs())
    (graph,) = backend.graphs
    assert len(graph.findings().sites) == (2 if function is stacked_over_layers else 1)
    assert not graph.findings().rejections
    assert "softmax" not in str(graph.with_op().graph)


@pytest.mark.parametrize("function", [mean_returned, written_somewhere, sample_drawn])
def test_readers_with_an_end_are_readers(function: Callable[..., tuple[Tensor, Tensor]]) -> None:
    backend = assert_as_eager(function, _inputs())
    assert rejection_of(backend) == RejectionCode.PROBABILITIES_ESCAPE


def test_a_dead_write_of_the_probabilities_is_a_write() -> None:
    def doubled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = torch.softmax(q @ k.mT, -1)
        weights.detach().mul_(2)
        return weights @ v

    for backend in (Backend(), Backend(op=True)):  # eager has no gradient of it
        assert_same(run(doubled, _inputs(), backend), run(doubled, _inputs()))


def test_a_softmax_with_dead_readers_alone_is_not_worth_a_word() -> None:
    def unread(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        torch.softmax(q @ k.mT, -1).mean(1)
        return torch.softmax(k @ q.mT, -1) @ v

    assert site_of(assert_as_eager(unread, _inputs()))


def unread_sdpa(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    F.scaled_dot_product_attention(q, k, v, dropout_p=0.5).sum(-1)
    return torch.softmax(q @ k.mT, -1) @ v, F.dropout(v, 0.5)


def unread_attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    F.dropout(torch.softmax(k @ q.mT, -1), 0.5) @ v
    return torch.softmax(q @ k.mT, -1) @ v, F.dropout(v, 0.5)


def unread_dropout(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    F.dropout(v, 0.25).exp()
    return torch.softmax(q @ k.mT, -1) @ v, F.dropout(v, 0.5)


@pytest.mark.parametrize("function", [unread_sdpa, unread_attention, unread_dropout])
def test_draws_that_nobody_reads_are_drawn(function: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """Without them the dropout behind them would drop others."""
    backend = assert_as_eager(function, _inputs())
    assert backend.graphs[0].findings().sites


def test_a_dropout_in_evaluation_draws_nothing() -> None:
    """Near miss: nobody reads it, and it goes."""

    def unread(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        F.dropout(q, 0.5, training=False).exp()
        return torch.softmax(q @ k.mT, -1) @ v

    assert "dropout" not in str(assert_as_eager(unread, _inputs()).graphs[0].with_op().graph)
