"""Scores and masks that are written in part, and scores that are padded."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from compared import assert_as_eager, rejection_of, site_of
from hyperrewrite.passes.spec import RejectionCode
from torch import Tensor

N = 12


def _inputs() -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(2, 4, N, 16, generator=generator) for _ in range(3)]
    keep = torch.rand(2, 4, N, N, generator=generator) > 0.3
    keep[..., 0] = True
    return (*tensors, keep, torch.randn(2, 4, N - 1, N - 1, generator=generator))


Write = Callable[[Tensor, Tensor, Tensor], None]


def _attention(write: Write) -> Callable[..., Tensor]:
    def attend(q: Tensor, k: Tensor, v: Tensor, keep: Tensor, bias: Tensor) -> Tensor:
        scores = q @ k.mT / 4
        write(scores, keep, bias)
        return torch.softmax(scores, -1) @ v

    return attend


def last_keys(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[..., 7:] = -math.inf


def keys_between(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[:, :, :, 2:-3] = -math.inf


def first_keys_by_narrow(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s.narrow(-1, 0, 5).fill_(-math.inf)


def one_key(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[..., 3] = torch.finfo(s.dtype).min


def one_key_by_select(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s.select(-1, -1).fill_(-math.inf)


def by_mask(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[~keep] = -1e9


def by_asarray(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s.masked_fill_(~keep, torch.asarray(-math.inf))


def own_key(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s.diagonal(dim1=-2, dim2=-1).fill_(-math.inf)


def next_key(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    torch.diagonal(s, 1, -2, -1).fill_(-math.inf)


def key_before(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s.diagonal(-1, -2, -1)[:] = -math.inf


def own_key_by_arange(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    at = torch.arange(s.shape[-1])
    s[:, :, at, at] = -math.inf


def own_key_by_range(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[:, :, range(N), range(N)] = -math.inf


def next_key_by_arange(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    at = torch.arange(N - 1)
    s[..., at, at + 1] = -math.inf


def several(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[..., 9:] = -math.inf
    s[..., 5:7, 3:6] = -math.inf
    s.diagonal(0, -2, -1).fill_(-math.inf)


def added_in_part(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    """MViT: all but the class token"""
    s[:, :, 1:, 1:] += bias


def assigned_in_part(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[:, :, 1:, 1:] = s[:, :, 1:, 1:] + bias


def added_through_a_view(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[:, :, 1:][..., 1:].add_(bias)


def added_in_six_dims(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    """MViT in transformers: the places of a grid, 1 x 11"""
    grid = s[:, :, 1:, 1:].view(2, 4, 1, N - 1, 1, N - 1) + bias.view(2, 4, 1, N - 1, 1, N - 1)
    s[:, :, 1:, 1:] = grid.view(2, 4, N - 1, N - 1)


def added_at_the_end_then_masked(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    """A small part far from the front: positions in front of it are no places of the bias."""
    s[:, :, 9:, 9:] += bias[:, :, :3, :3]
    s.masked_fill_(~keep, -math.inf)


WRITES: list[Write] = [
    last_keys, keys_between, first_keys_by_narrow, one_key, one_key_by_select, by_mask, by_asarray, own_key, next_key,
    key_before, own_key_by_arange, own_key_by_range, next_key_by_arange, several, added_in_part, assigned_in_part,
    added_through_a_view, added_in_six_dims, added_at_the_end_then_masked,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
def test_a_write_into_a_part_of_the_scores_is_read(write: Write) -> None:
    site = site_of(assert_as_eager(_attention(write), _inputs()))
    words = site.spec.in_words()
    assert ("bias" in words) == (write.__name__.split("_")[0] in ("added", "assigned"))
    assert write not in (last_keys, keys_between, one_key, first_keys_by_narrow) or "key padding" in words


@pytest.mark.parametrize("write", [last_keys, own_key_by_arange, by_mask])
def test_with_dynamic_shapes(write: Write) -> None:
    assert site_of(assert_as_eager(_attention(write), _inputs(), dynamic=True))


def mild(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[..., 7:] = -5.0


def other_scores(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[..., 7:] = s[..., :5]


def doubled_in_part(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[..., 7:] *= 2


def every_other(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    s[..., ::2] = -math.inf


def by_positions_that_are_given(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    at = keep[0, 0, 0].long()
    s[:, :, at, at] = -math.inf


def by_positions_apart(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    at = torch.arange(2)
    s[at, :, at] = bias[:, 0, :1, :1]


def without_gradients(s: Tensor, keep: Tensor, bias: Tensor) -> None:
    """The values are new, but gradients are those of the old ones."""
    with torch.no_grad():
        s[..., 7:] = -math.inf


@pytest.mark.parametrize(
    "write",
    [
        without_gradients,
        mild,
        other_scores,
        doubled_in_part,
        every_other,
        by_positions_that_are_given,
        by_positions_apart,
    ],
)
def test_what_is_not_read_is_left_alone(write: Write) -> None:
    code = rejection_of(assert_as_eager(_attention(write), _inputs()))
    assert code in (RejectionCode.IN_PLACE, RejectionCode.UNSUPPORTED_SCORE)


def test_a_write_into_a_copy_is_none() -> None:
    def copied(s: Tensor, keep: Tensor, bias: Tensor) -> None:
        s[:, :, torch.arange(N)][..., 3:] = -math.inf

    site = site_of(assert_as_eager(_attention(copied), _inputs()))
    assert "padding" not in site.spec.in_words()


def test_positions_of_a_grid_by_queries_are_added_in_part() -> None:
    """MViT: decomposed relative positions of all tokens but the class token, which queries are multiplied into."""
    heights, widths = torch.randn(3, 3, 8), torch.randn(4, 4, 8)

    def attend(q: Tensor, k: Tensor, v: Tensor, heights: Tensor, widths: Tensor) -> Tensor:
        scores = q @ k.mT / 4
        grid = q[:, :, 1:].reshape(2, 2, 3, 4, 8)
        down = torch.einsum("bhyxd,ykd->bhyxk", grid, heights)
        across = torch.einsum("bhyxd,xkd->bhyxk", grid, widths)
        places = scores[:, :, 1:, 1:].view(2, 2, 3, 4, 3, 4) + down[..., None] + across[..., None, :]
        scores[:, :, 1:, 1:] = places.view(2, 2, 12, 12)
        return torch.softmax(scores, -1) @ v

    tensors = [torch.randn(2, 2, 13, 8, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    assert "bias" in site_of(assert_as_eager(attend, (*tensors, heights, widths))).spec.in_words()


def test_masks_are_written_in_part_too() -> None:
    def attend(q: Tensor, k: Tensor, v: Tensor, keep: Tensor, bias: Tensor) -> Tensor:
        allowed = torch.ones(N, N, dtype=torch.bool).tril()
        allowed[:, 8:] = False
        allowed[:, 0] = True
        added = torch.zeros(N, N)
        added[~allowed] = -math.inf
        return torch.softmax(q @ k.mT + added, -1) @ v

    site = site_of(assert_as_eager(attend, _inputs()))
    assert "bias" not in site.spec.in_words()


def test_a_zero_beside_the_scores_is_a_sink() -> None:
    """Softmax with one more in the denominator, written as a pad; scores padded for a key too many are none."""

    def padded(front: bool, value: float = 0.0) -> Callable[..., Tensor]:
        def attend(q: Tensor, k: Tensor, v: Tensor, keep: Tensor, bias: Tensor) -> Tensor:
            scores = F.pad(q @ k.mT, (1, 0) if front else (0, 1), value=value)
            weights = torch.softmax(scores, -1)
            return (weights[..., 1:] if front else weights[..., :-1]) @ v

        return attend

    for front in (True, False):
        assert "sink" in site_of(assert_as_eager(padded(front), _inputs())).spec.in_words()
        assert site_of(assert_as_eager(padded(front, -math.inf), _inputs()))

    def longer(q: Tensor, k: Tensor, v: Tensor, keep: Tensor, bias: Tensor) -> Tensor:
        return torch.softmax(F.pad(q @ k.mT, (0, 2)), -1) @ F.pad(v, (0, 0, 0, 2))

    assert rejection_of(assert_as_eager(longer, _inputs()))
