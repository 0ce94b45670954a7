"""α, κ and the error estimate against dense float64 definitions written here, and the statistics of the draws."""

from __future__ import annotations

import math

import pytest
import torch
from hyperrewrite.kernels import hardness as kernels_hardness
from hyperrewrite.kernels import probe_error
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.functional import hyper_attention
from hyperrewrite.kernels.hardness import hardness, sample_rows
from hyperrewrite.kernels.parameters import Parameters
from torch import Tensor

SMALL = {
    "min_seq_len": 16, "block_size": 32, "sample_size": 32, "tile": 32, "window": 32, "sinks": 8,
    "threshold": 0.1,
}  # fmt: skip
N = 300


def tensors(seed: int = 0, n: int = N, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """float64 query [batch, 4, n, 16], key and value [batch, 2, n, 16], peaked enough to be uneven."""
    generator = torch.Generator().manual_seed(seed)

    def draw(heads: int) -> Tensor:
        return torch.randn(batch, heads, n, 16, generator=generator, dtype=torch.float64)

    return 1.5 * draw(4), draw(2), draw(2)


def a_call(is_causal: bool, algorithm: str = "hyper", n: int = N) -> AttentionCall:
    parameters = Parameters(algorithm=algorithm, **SMALL)  # type: ignore[arg-type]
    return AttentionCall(n, n, 0.25, 0 if is_causal else None, parameters=parameters)


def run(q: Tensor, k: Tensor, v: Tensor, call: AttentionCall) -> tuple[Tensor, Tensor]:
    found = hyper_attention(
        q,
        k,
        v,
        is_causal=call.causal_offset is not None,
        scale=call.scale,
        enable_gqa=True,
        return_lse=True,
        algorithm=call.parameters.algorithm,
        **SMALL,  # type: ignore[arg-type]
    )
    assert isinstance(found, tuple)
    return found


def dense_weights(q: Tensor, k: Tensor, call: AttentionCall) -> tuple[Tensor, Tensor]:
    """exp(scores) with zeros where nothing is seen, and its rows divided by their sums, [B, H, n_q, n_k]."""
    scores = torch.einsum("bhid,bhjd->bhij", q, k.repeat_interleave(q.shape[1] // k.shape[1], 1)) * call.scale
    exponentials = scores.exp()
    if call.causal_offset is not None:
        exponentials = exponentials.tril(call.causal_offset)
    return exponentials, exponentials / exponentials.sum(-1, keepdim=True)


def windowed(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, AttentionCall]:
    """Out and lse of a causal window of 64 keys by hand."""
    n = q.shape[2]
    call = a_call(True, n=n)
    kept = dense_weights(q, k, call)[0].triu(-63)
    total = kept.sum(-1)
    return kept @ v.repeat_interleave(q.shape[1] // v.shape[1], 1) / total.unsqueeze(-1), total.log(), call


def dense_error(q: Tensor, k: Tensor, v: Tensor, out: Tensor, call: AttentionCall) -> Tensor:
    exact = dense_weights(q, k, call)[1] @ v.repeat_interleave(q.shape[1] // v.shape[1], 1)
    return ((out - exact).square().sum((2, 3)) / exact.square().sum((2, 3))).sqrt()


@pytest.mark.parametrize("is_causal", [True, False])
def test_hardness_of_all_rows_is_the_definition(is_causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every row: α, κ, heavy mass and entropy by plain loops over entries."""
    monkeypatch.setattr(kernels_hardness, "HEAVY", 16)
    q, k, _ = tensors()
    call = a_call(is_causal)
    found = hardness(q, k, call, torch.arange(N))
    raw, weights = dense_weights(q, k, call)
    for b in range(2):
        for h in range(4):
            p, a = weights[b, h], raw[b, h]
            near = torch.zeros(N, N, dtype=torch.bool)
            for i in range(N):
                near[i, max(i - 31, 0) if is_causal else max(i - 16, 0) : i + 1 if is_causal else i + 17] = True
                near[i, :8] = True
            columns = torch.where(near, 0.0, p).sum(0).argsort(descending=True)[:16]
            near[:, columns] = True
            rest = torch.where(near, 0.0, a).sum(1)
            rest = rest[rest > 0]
            torch.testing.assert_close(found.alpha[b, h], N * (p**2).sum(0).max())
            torch.testing.assert_close(found.alpha_rest[b, h], N * (torch.where(near, 0.0, p) ** 2).sum(0).max())
            torch.testing.assert_close(found.kappa[b, h], rest.max() / rest.min())
            torch.testing.assert_close(found.heavy_mass[b, h], torch.where(near, p, 0.0).sum() / N)
            entropy = -(p[p > 0] * p[p > 0].log()).sum() / N
            torch.testing.assert_close(found.effective_keys[b, h], entropy.exp())


def test_hardness_of_uniform_attention_is_easy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal scores: α = 1, κ = 1, as many effective keys as there are."""
    monkeypatch.setattr(kernels_hardness, "HEAVY", 0)
    q = torch.zeros(1, 1, 64, 4)
    call = AttentionCall(64, 64, 1.0, parameters=Parameters(window=4, sinks=0))
    found = hardness(q, q, call, sample_rows(64, 16, 0))
    assert found.alpha.item() == pytest.approx(1.0)
    assert found.effective_keys.item() == pytest.approx(64.0)
    assert found.kappa.item() == pytest.approx(61 / 59, rel=0.05)


def test_sampled_alpha_is_unbiased_and_sampled_kappa_a_lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """One column holds the maximum: the mean of α over draws is α. κ for a fixed mask is at most that of all rows."""
    monkeypatch.setattr(kernels_hardness, "HEAVY", 0)
    q, k, _ = tensors(batch=1)
    q[..., 0], k[..., 0] = 6.0, 0.0
    k[:, :, 3, 0] = 6.0  # key 3 draws about as much as all others
    call = AttentionCall(N, N, 0.25, parameters=Parameters(window=32, sinks=8))
    whole = hardness(q, k, call, torch.arange(N))
    draws = [hardness(q, k, call, sample_rows(N, 60, seed)) for seed in range(100)]
    mean = torch.stack([draw.alpha for draw in draws]).mean(0)
    torch.testing.assert_close(mean, whole.alpha, rtol=0.1, atol=0.0)
    assert all(bool((draw.kappa <= whole.kappa * (1 + 1e-12)).all()) for draw in draws)


@pytest.mark.parametrize("is_causal", [True, False])
def test_all_rows_give_the_true_error(is_causal: bool) -> None:
    """budget 1: no estimate, no interval."""
    q, k, v = tensors()
    call = a_call(is_causal, "paper")
    out, lse = run(q, k, v, call)
    found = probe_error.estimate_error(q, k, v, out, lse, call, budget=1.0)
    torch.testing.assert_close(found.error, dense_error(q, k, v, out, call), rtol=1e-9, atol=0.0)
    assert torch.equal(found.low, found.error) and torch.equal(found.high, found.error)
    assert found.rows.unique().tolist() == [N]
    torch.testing.assert_close(found.cost, torch.ones_like(found.cost))


def test_inclusion_spends_the_budget_and_systematic_draws_keep_it() -> None:
    """Σ πᵢcᵢ is the budget, π <= 1; over many starts every row is drawn as often as π says."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.rand(200, generator=generator, dtype=torch.float64) ** 6 + 1e-3
    cost = torch.arange(1, 201, dtype=torch.float64)
    chance = probe_error.inclusion(weight, cost, 3000.0)
    assert float((chance * cost).sum()) == pytest.approx(3000.0)
    assert float(chance.max()) == 1.0 and float(chance.min()) > 0.0
    drawn = torch.zeros(200, dtype=torch.float64)
    for seed in range(3000):
        drawn[probe_error.systematic(chance, seed)] += 1 / 3000
    torch.testing.assert_close(drawn, chance, rtol=0.0, atol=0.05)


def test_the_estimate_is_unbiased() -> None:
    """Over 100 draws the mean of error² is that of all rows, within four standard errors."""
    q, k, v = tensors(batch=1, n=1024)
    q, k, v = q[:, :1], k[:, :1], v[:, :1]
    out, lse, call = windowed(q, k, v)
    true = dense_error(q, k, v, out, call)
    draws = [probe_error.estimate_error(q, k, v, out, lse, call, budget=0.2, seed=seed) for seed in range(100)]
    squares = torch.stack([draw.error.square() for draw in draws])
    slack = 4 * squares.std(0) / math.sqrt(100) + 0.005 * true.square()
    assert bool(((squares.mean(0) - true.square()).abs() <= slack).all())
    assert max(float(draw.cost.max()) for draw in draws) <= 0.21
    held = sum(bool((draw.low <= true).all() and (true <= draw.high).all()) for draw in draws)
    assert held >= 80  # nominally 95


def test_calls_it_cannot_read_are_refused() -> None:
    q, k, v = tensors(batch=1)
    call = AttentionCall(N, N, 1.0, 0, sliding_window=8)
    with pytest.raises(ValueError, match="window"):
        probe_error.estimate_error(q, k, v, q, q[..., 0], call)
    with pytest.raises(ValueError, match="budget"):
        probe_error.estimate_error(q, k, v, q, q[..., 0], a_call(True), budget=0.0)


def test_zero_and_infinite_errors() -> None:
    """Equal outputs: 0; a wrong output where the exact one is zero: inf."""
    one = torch.ones(4, dtype=torch.float64)
    assert probe_error.ratio(0 * one, 0 * one, 4.0, one) == (0.0, 0.0, 0.0)
    assert probe_error.ratio(one, -one, 4.0, one)[0] == math.inf
