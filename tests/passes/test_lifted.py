"""Masks and score programs that become arguments of the op: documents, chunks, prefixes, softcap, sink logits, clamps.

Each case runs as PyTorch runs it and as rewritten, and says what its spec must hold; beside each stands a near miss
that must not be taken for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hyperrewrite.passes.rewrite import Lowering, fits_sdpa, rewrite
from hyperrewrite.passes.sites import Findings, find_sites
from torch import Tensor

N, D, HEADS = 63, 40, 4


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    torch.manual_seed(0)
    yield


def _read(call: Callable[..., Any], *inputs: Tensor, dynamic: bool | None = None) -> tuple[Tensor, Tensor, Findings]:
    """(output as it was, output rewritten exactly, what was found)."""
    seen: list[Findings] = []
    graphs: list[torch.fx.GraphModule] = []

    def backend(gm: torch.fx.GraphModule, _: Any) -> Any:
        seen.append(find_sites(gm))
        lowered = [
            (s, Lowering("sdpa") if fits_sdpa(s) else Lowering("op", {"algorithm": "exact"})) for s in seen[-1].sites
        ]
        graphs.append(rewrite(gm, lowered).module if lowered else gm)
        return graphs[-1].forward

    with torch.no_grad():
        want = call(*inputs)
        got = torch.compile(call, backend=backend, dynamic=dynamic)(*inputs)
    for graph in graphs:
        if seen[0].sites and not _kept_tensor(seen[0]):
            _no_square(graph)
    return want, got, seen[0]


def _kept_tensor(found: Findings) -> bool:
    return any(s.spec.mask.other is not None or s.spec.bias is not None for s in found.sites)


def _no_square(graph: torch.fx.GraphModule) -> None:
    """No tensor with both lengths is left in a rewritten graph."""
    for node in graph.graph.nodes:
        value = node.meta.get("example_value")
        if isinstance(value, torch.Tensor):
            assert list(value.shape).count(N) < 2, f"{node.name} {tuple(value.shape)}"


def _qkv(n: int = N) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (torch.randn(2, HEADS, n, D) for _ in range(3))
    return q, k, v


def _attend(q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None = None, fill: float = -math.inf) -> Tensor:
    scores = q @ k.transpose(-2, -1) / math.sqrt(D)
    if keep is not None:
        scores = torch.where(keep, scores, fill)
    return torch.softmax(scores, -1) @ v


def _positions(n: int) -> tuple[Tensor, Tensor]:
    i = torch.arange(n)
    return i[:, None], i[None, :]


def documents(q: Tensor, k: Tensor, v: Tensor, ids: Tensor) -> Tensor:
    """Packed documents by their numbers, causal inside each."""
    i, j = _positions(q.shape[2])
    same = ids[:, None, :, None] == ids[:, None, None, :]
    return _attend(q, k, v, same & (j <= i))


def chunks(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal inside chunks of 16."""
    i, j = _positions(q.shape[2])
    return _attend(q, k, v, (j // 16 == i // 16) & (j <= i))


def block_causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Chunks that see all of themselves and of earlier chunks."""
    i, j = _positions(q.shape[2])
    return _attend(q, k, v, j // 16 <= i // 16)


def prefix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal, but everyone sees the first 10."""
    i, j = _positions(q.shape[2])
    return _attend(q, k, v, (j <= i) | (j < 10))


def prefix_by_length(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor) -> Tensor:
    """Causal, but everyone sees a prefix whose length differs from row to row."""
    i, j = _positions(q.shape[2])
    return _attend(q, k, v, (j <= i) | (j < lengths[:, None, None, None]))


def by_position(q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tensor:
    """Key j up to a given position of the query, as with a static cache."""
    j = torch.arange(k.shape[2])
    return _attend(q, k, v, j[None, None, None, :] <= positions[:, None, :, None])


def band(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A window to both sides."""
    i, j = _positions(q.shape[2])
    return _attend(q, k, v, ((i - j) < 9) & ((j - i) < 5))


def softcap(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Gemma2: cap before the mask."""
    i, j = _positions(q.shape[2])
    scores = 20.0 * torch.tanh(q @ k.transpose(-2, -1) * 0.3 / 20.0)
    return torch.softmax(scores.masked_fill(j > i, -math.inf), -1) @ v


def safe(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Subtract the row maximum first."""
    scores = q @ k.transpose(-2, -1)
    return torch.softmax(scores - scores.max(-1, keepdim=True).values, -1) @ v


def clamped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """XGLM: a floor under masked scores, so that rows without keys give a mean."""
    i, j = _positions(q.shape[2])
    scores = q @ k.transpose(-2, -1) + torch.where((j <= i) & (i > 4), 0.0, -math.inf)
    lowest = torch.tensor(torch.finfo(torch.float32).min)
    return torch.softmax(torch.max(scores, lowest), -1) @ v


def real_clamp(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A clamp that real scores meet."""
    return torch.softmax((q @ k.transpose(-2, -1)).clamp(min=-2.0), -1) @ v


def row_term(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A number of the row under a cap and a clamp becomes one more feature."""
    scores = torch.tanh((q @ k.transpose(-2, -1) * 0.3 - q.norm(dim=-1, keepdim=True)) / 9.0) * 9.0
    return torch.softmax(scores.clamp(max=-5.0), -1) @ v


def sinks(q: Tensor, k: Tensor, v: Tensor, logits: Tensor) -> Tensor:
    """gpt_oss: one more column, the row maximum off, softmax, the column dropped."""
    i, j = _positions(q.shape[2])
    scores = q @ k.transpose(-2, -1) * 0.2 + torch.where(j <= i, 0.0, torch.finfo(torch.float32).min)
    column = logits.reshape(1, -1, 1, 1).expand(q.shape[0], -1, q.shape[2], -1)
    both = torch.cat([scores, column], dim=-1)
    both = both - both.max(dim=-1, keepdim=True).values
    weights = torch.softmax(both, dim=-1)[..., :-1]
    return weights @ v


def packed(q: Tensor, k: Tensor, v: Tensor, position_ids: Tensor) -> Tensor:
    """transformers' packed sequences: documents told from positions that start again."""
    first = position_ids[:, :1] - 1
    ids = (torch.diff(position_ids, prepend=first, dim=-1) != 1).cumsum(-1)
    same = ids[:, None, :, None] == ids[:, None, None, :]
    return _attend(q, k, v, same & (position_ids[:, None, None, :] <= position_ids[:, None, :, None]))


def window_of_positions(q: Tensor, k: Tensor, v: Tensor, position_ids: Tensor) -> Tensor:
    """The same with a window told by positions: within a document they are as far apart as tokens."""
    first = position_ids[:, :1] - 1
    ids = (torch.diff(position_ids, prepend=first, dim=-1) != 1).cumsum(-1)
    i, j = position_ids[:, None, :, None], position_ids[:, None, None, :]
    return _attend(q, k, v, (ids[:, None, :, None] == ids[:, None, None, :]) & (j <= i) & (j > i - 9))


def window_of_positions_alone(q: Tensor, k: Tensor, v: Tensor, position_ids: Tensor) -> Tensor:
    """Near miss: nothing keeps queries inside a document, so a distance of positions is none of tokens."""
    i, j = position_ids[:, None, :, None], position_ids[:, None, None, :]
    return _attend(q, k, v, (j <= i) & (i - 9 < j))


def _position_ids() -> Tensor:
    return torch.stack([torch.cat([torch.arange(20), torch.arange(43)]), torch.arange(N)])


def _document_ids() -> Tensor:
    return torch.tensor([[0] * 20 + [1] * 30 + [2] * 13, [0] * 5 + [4] * 58])


CASES: dict[str, tuple[Callable[..., Tensor], Callable[[], tuple[Tensor, ...]], str]] = {
    "documents": (documents, lambda: (*_qkv(), _document_ids()), "causal, within groups"),
    "packed": (packed, lambda: (*_qkv(), _position_ids()), "causal, within groups"),
    "window_of_positions": (window_of_positions, lambda: (*_qkv(), _position_ids()), "sliding window 9, within groups"),
    "chunks": (chunks, _qkv, "causal, within groups"),
    "block_causal": (block_causal, _qkv, "full, key range"),
    "prefix": (prefix, _qkv, "full, key range"),
    "prefix_by_length": (prefix_by_length, lambda: (*_qkv(), torch.tensor([3, 17])), "full, key range"),
    "by_position": (by_position, lambda: (*_qkv(), torch.randint(0, N, (2, N))), "full, key range"),
    "band": (band, _qkv, "sliding window 13"),
    "softcap": (softcap, _qkv, "causal, 4 heads, softcap 20"),
    "safe": (safe, _qkv, "full, 4 heads"),
    "clamped": (clamped, _qkv, "causal"),
    "real_clamp": (real_clamp, _qkv, "full, 4 heads, clamped to at least -2"),
    "row_term": (row_term, _qkv, "full, 4 heads, row term, softcap 9, clamped to at most -5, scale 0.3"),
    "sinks": (sinks, lambda: (*_qkv(), torch.randn(HEADS)), "causal, 4 heads, sink logits"),
}


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("name", CASES)
def test_lifted(name: str, dynamic: bool | None) -> None:
    call, make, words = CASES[name]
    want, got, found = _read(call, *make(), dynamic=dynamic)
    assert [r.code for r in found.rejections] == []
    (site,) = found.sites
    if name != "clamped" and dynamic is None:
        assert site.spec.in_words().startswith(words)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5, equal_nan=True)


def other_documents(q: Tensor, k: Tensor, v: Tensor, ids: Tensor) -> Tensor:
    """Queries see every document but their own."""
    return _attend(q, k, v, ids[:, None, :, None] != ids[:, None, None, :])


def packed_by_other_positions(q: Tensor, k: Tensor, v: Tensor, position_ids: Tensor) -> Tensor:
    """Documents from one tensor, order from another: nothing says that the two agree."""
    ids = (torch.diff(position_ids, prepend=position_ids[:, :1] - 1, dim=-1) != 1).cumsum(-1)
    same = ids[:, None, :, None] == ids[:, None, None, :]
    order = position_ids.flip(-1)
    return _attend(q, k, v, same & (order[:, None, None, :] <= order[:, None, :, None]))


def either(q: Tensor, k: Tensor, v: Tensor, ids: Tensor) -> Tensor:
    """Own document *or* causal: no conjunction."""
    i, j = _positions(q.shape[2])
    return _attend(q, k, v, (ids[:, None, :, None] == ids[:, None, None, :]) | (j <= i))


def crossed_prefix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(causal) or (i < 10): the first *queries* see all, which is a key range as well."""
    i, j = _positions(q.shape[2])
    return _attend(q, k, v, (j <= i) | (i < 10))


def cap_after_bias(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """A cap that takes a bias in."""
    return torch.softmax(20.0 * torch.tanh((q @ k.transpose(-2, -1) + bias) / 20.0), -1) @ v


def clamp_to_tensor(q: Tensor, k: Tensor, v: Tensor, bound: Tensor) -> Tensor:
    """A bound that only the run knows."""
    return torch.softmax(torch.maximum(q @ k.transpose(-2, -1), bound), -1) @ v


def sink_by_key(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The dropped column is a score of the last key, not a sink."""
    scores = q @ torch.cat([k, k[:, :, :1]], 2).transpose(-2, -1)
    return torch.softmax(scores, -1)[..., :-1] @ v


def row_max_of_others(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Subtracts a column maximum: that changes the softmax."""
    scores = q @ k.transpose(-2, -1)
    return torch.softmax(scores - scores.max(-2, keepdim=True).values, -1) @ v


NEAR: dict[str, tuple[Callable[..., Tensor], Callable[[], tuple[Tensor, ...]], str | None]] = {
    "other_documents": (other_documents, lambda: (*_qkv(), _document_ids()), "within groups"),
    "packed_by_other_positions": (packed_by_other_positions, lambda: (*_qkv(), _position_ids()), "causal"),
    "window_of_positions_alone": (window_of_positions_alone, lambda: (*_qkv(), _position_ids()), "window"),
    "either": (either, lambda: (*_qkv(), _document_ids()), "within groups"),
    "crossed_prefix": (crossed_prefix, _qkv, "causal"),
    "cap_after_bias": (cap_after_bias, lambda: (*_qkv(), torch.randn(N, N)), None),
    "clamp_to_tensor": (clamp_to_tensor, lambda: (*_qkv(), torch.tensor(-2.0)), None),
    "sink_by_key": (sink_by_key, _qkv, None),
    "row_max_of_others": (row_max_of_others, _qkv, "safe"),
}


@pytest.mark.parametrize("name", NEAR)
def test_near_misses(name: str) -> None:
    """None stands for a rejection; otherwise a site whose words do not hold the text. Values stay in any case."""
    call, make, absent = NEAR[name]
    want, got, found = _read(call, *make())
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5, equal_nan=True)
    if absent is None:
        assert not found.sites and len(found.rejections) == 1
    else:
        assert all(absent not in site.spec.in_words() for site in found.sites)
