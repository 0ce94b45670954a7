"""The tile primitive: partial attention, merging, gathering, and its gradient as part of a larger softmax."""

from __future__ import annotations

import pytest
import torch
from hyperrewrite.kernels import attend as module
from hyperrewrite.kernels.attend import attend, attend_backward, flat_index, gather_rows, merge

NEG_INF = float("-inf")


def tiles(columns: int, *, units: int = 2, group: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(columns)
    query = torch.randn(5, units * group, 7, 12, generator=generator)
    return (
        query,
        torch.randn(5, units, columns, 12, generator=generator),
        torch.randn(5, units, columns, 9, generator=generator),
    )


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("mask_shape", [None, (5, 1, 1, 11), (5, 6, 7, 11), (1, 1, 7, 11)])
@pytest.mark.parametrize("causal", [False, True])
def test_attend_and_backward(
    portable: bool, mask_shape: tuple[int, ...] | None, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both forms against autograd, with the tile as a part of a softmax over more keys."""
    query, key, value = (tensor.requires_grad_() for tensor in tiles(11))
    weight = None
    if mask_shape:
        weight = torch.randn(mask_shape)
        weight = weight.masked_fill((torch.rand(mask_shape) > 0.7) & (torch.arange(11) > 0), NEG_INF)
        if mask_shape == (5, 6, 7, 11):
            weight[2, 1, 3] = NEG_INF
    if portable:
        monkeypatch.setattr(module, "_attend_cpu", module._attend_matmul)
        monkeypatch.setattr(module, "_backward_cpu", _portable_backward)
    wide_key, wide_value = key.repeat_interleave(3, 1), value.repeat_interleave(3, 1)
    scores = query @ wide_key.transpose(-1, -2) * 0.4
    scores = scores if weight is None else scores + weight
    if causal:
        scores = scores.masked_fill(torch.ones(7, 11, dtype=torch.bool).triu(1), NEG_INF)
    out, lse = attend(query.detach(), key.detach(), value.detach(), weight, 0.4, causal)
    empty = (scores == NEG_INF).all(-1, keepdim=True)
    safe = scores.masked_fill(empty, 0.0)
    torch.testing.assert_close(out, (safe.softmax(-1).masked_fill(empty, 0.0) @ wide_value).detach())
    torch.testing.assert_close(lse, safe.logsumexp(-1).masked_fill(empty[..., 0], NEG_INF).detach())
    # A larger softmax: three more keys whose own gradients are not asked for.
    rest, rest_value = torch.randn(5, 6, 7, 3), torch.randn(5, 6, 3, 9)
    whole = torch.cat([scores, rest], -1)
    total, whole_lse = whole.softmax(-1) @ torch.cat([wide_value, rest_value], 2), whole.logsumexp(-1)
    along, along_lse = torch.randn_like(total), torch.randn_like(whole_lse)
    want = torch.autograd.grad((total * along).sum() + (whole_lse * along_lse).sum(), (query, key, value))
    with torch.no_grad():
        delta = (along * total).sum(-1) - along_lse
        got = attend_backward(along, query, key, value, weight, 0.4, whole_lse, delta, causal)
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


def _portable_backward(grad_out, query, key, value, weight, scale, lse, delta, causal, out):  # type: ignore[no-untyped-def]
    scores = module.scaled_scores(query, key, scale)
    scores = scores if weight is None else scores + weight
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), NEG_INF)
    weights = (scores - lse.unsqueeze(-1)).exp()
    return module._backward_of_weights(weights, grad_out, query, key, value, scale, delta)[:3]


def test_merge_equals_one_softmax() -> None:
    query, key, value = tiles(10)
    first = attend(query, key[:, :, :4], value[:, :, :4], None, 0.5)
    second = attend(query, key[:, :, 4:], value[:, :, 4:], None, 0.5)
    for mine, theirs in zip(merge(first, second), attend(query, key, value, None, 0.5), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_merge_with_nothing() -> None:
    out, lse = torch.randn(3, 2), torch.tensor([0.5, 80.0, -90.0])
    nothing = torch.zeros(3, 2), torch.full((3,), NEG_INF)
    for pair in (((out, lse), nothing), (nothing, (out, lse))):
        merged = merge(*pair)
        assert torch.equal(merged[0], out) and torch.equal(merged[1], lse)
    both = merge(nothing, nothing)
    assert torch.equal(both[0], nothing[0]) and torch.equal(both[1], nothing[1])


def test_merge_of_distant_sums() -> None:
    out, lse = merge((torch.ones(1, 1), torch.tensor([1000.0])), (torch.full((1, 1), 5.0), torch.tensor([-1000.0])))
    assert float(out) == 1.0 and float(lse) == 1000.0


def test_gather_rows() -> None:
    data = torch.arange(2 * 2 * 4).float().view(2, 2, 4, 1)
    data[1, 1, 3] = float("nan")
    rows = torch.tensor([[[0, 3], [-1, 1]], [[2, -1], [0, 0]]])  # [B, R = H_kv, 2]
    flat = data.reshape(-1, 1)
    found = gather_rows(flat, flat_index(rows, 2, 4)).squeeze(-1)
    assert found.tolist() == [[[0, 3], [0, 5]], [[10, 0], [12, 12]]]
    grouped = rows.repeat_interleave(2, 1)  # four query heads over two key heads
    assert torch.equal(gather_rows(flat, flat_index(grouped, 2, 4)).squeeze(-1), found.repeat_interleave(2, 1))
