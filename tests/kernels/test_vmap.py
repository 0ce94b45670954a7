"""The op under torch.vmap: one call, whatever is mapped, and what it gives is what each would give alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hyperrewrite.kernels import meter
from torch import Tensor

from hyperrewrite import hyper_attention

pytestmark = pytest.mark.usefixtures("short_reference")
COUNT, BATCH, HEADS, N = 3, 2, 4, 20


def _draw(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _mapped(dims: dict[str, int | None], tensors: dict[str, Tensor], **rules: Any) -> tuple[Tensor, list[torch.Size]]:
    """What vmap gives, and the query shapes of the calls that ran."""
    names = list(tensors)
    seen: list[torch.Size] = []
    given = [t if dims[n] is not None else t[0] for n, t in tensors.items()]
    given = [t.movedim(0, dims[n] or 0) for n, t in zip(names, given, strict=True)]
    with meter.observe(lambda o: seen.append(o.query.shape)):
        out = torch.vmap(lambda *args: hyper_attention(**dict(zip(names, args, strict=True)), **rules),
                         in_dims=tuple(dims[n] for n in names))(*given)  # fmt: skip
    return out, seen


def _each(dims: dict[str, int | None], tensors: dict[str, Tensor], **rules: Any) -> Tensor:
    """One call after the other."""
    rows = [{n: t[k if dims[n] is not None else 0] for n, t in tensors.items()} for k in range(COUNT)]
    return torch.stack([hyper_attention(**row, **rules) for row in rows])


OPERANDS = ("query", "key", "value")
CASES: list[tuple[dict[str, int | None], dict[str, Tensor]]] = [
    ({}, {}),
    ({"key": None, "value": None}, {}),
    ({"query": 1, "key": 2}, {}),
    ({"query": None, "key": None}, {}),
    ({}, {"key_mask": _draw(COUNT, BATCH, N) > -0.5}),
    ({"key_mask": None}, {"key_mask": _draw(COUNT, 1, N) > -0.5}),
    ({"key_mask": None}, {"key_mask": _draw(COUNT, BATCH, N) > -0.5}),
    ({"attn_mask": 2}, {"attn_mask": _draw(COUNT, 1, HEADS, N, N)}),
    ({"attn_mask": 1}, {"attn_mask": _draw(COUNT, HEADS, 1, N)}),
    ({"attn_mask": None}, {"attn_mask": _draw(COUNT, N, N)}),
    ({"stop_key": None}, {"stop_key": torch.arange(1, N + 1).expand(COUNT, 1, N)}),
    ({}, {"query_group": torch.arange(N).expand(COUNT, BATCH, N)[..., None] // 7,
          "key_group": torch.arange(N).expand(COUNT, BATCH, N)[..., None] // 7}),
]  # fmt: skip


@pytest.mark.parametrize(("dims", "more"), CASES)
def test_one_call_gives_what_each_gives(dims: dict[str, int | None], more: dict[str, Tensor]) -> None:
    tensors = {name: _draw(COUNT, BATCH, HEADS, N, 8) * (k + 1) for k, name in enumerate(OPERANDS)} | more
    dims = dict.fromkeys(tensors, 0) | dims
    out, seen = _mapped(dims, tensors, algorithm="exact")
    torch.testing.assert_close(out, _each(dims, tensors, algorithm="exact"), rtol=1e-12, atol=1e-12)
    assert seen == [torch.Size((COUNT * BATCH, HEADS, N, 8))]


def test_estimates_are_one_call_too() -> None:
    tensors = {name: _draw(COUNT, BATCH, HEADS, 96, 8) for name in OPERANDS}
    rules: dict[str, Any] = {"min_seq_len": 8, "tile": 16, "window": 8, "sinks": 3, "is_causal": True}
    dims = dict.fromkeys(tensors, 0)
    out, seen = _mapped(dims, tensors, **rules)
    joined = hyper_attention(*(tensor.flatten(0, 1) for tensor in tensors.values()), **rules)
    torch.testing.assert_close(out.flatten(0, 1), joined)  # draws go by the number in the batch
    assert len(seen) == 1


def test_maps_within_maps() -> None:
    q, k, v = (_draw(COUNT, 5, BATCH, HEADS, N, 8) for _ in range(3))
    out = torch.vmap(torch.vmap(lambda *t: hyper_attention(*t, algorithm="exact")))(q, k, v)
    flat = hyper_attention(*(t.flatten(0, 2) for t in (q, k, v)), algorithm="exact")
    torch.testing.assert_close(out.flatten(0, 2), flat, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, HEADS, N, N), (BATCH, 1, N, N), (N, N)])
@pytest.mark.parametrize("shared", [False, True])
def test_backward_is_mapped(shape: tuple[int, ...], shared: bool) -> None:
    """A bias that all share has a gradient for each: whoever maps adds them."""
    query, key, value, grad = (_draw(COUNT, BATCH, HEADS, N, 8) + k for k in range(4))
    bias = _draw(*shape) if shared else _draw(COUNT, *shape)

    def backward(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
        rules = {"scale": 0.4, "algorithm": "exact"}
        out, lse = torch.ops.hyper.attention(query, key, value, None, bias, **rules)
        found = torch.ops.hyper.attention_backward(
            grad, None, query, key, value, None, bias, out, lse, bias_gradient=True, **rules
        )
        return tuple(found)

    mapped = torch.vmap(backward, in_dims=(0, 0, 0, None if shared else 0, 0))(query, key, value, bias, grad)
    for k in range(COUNT):
        alone = backward(query[k], key[k], value[k], bias if shared else bias[k], grad[k])
        for mine, theirs in zip(mapped, alone, strict=True):
            torch.testing.assert_close(mine[k], theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_backward_with_replaced_scores(dim: int | None) -> None:
    """Pairs whose score takes no gradient are mapped as a bias is."""
    query, key, value, grad = (_draw(COUNT, BATCH, HEADS, N, 8) + k for k in range(4))
    replaced = _draw(COUNT, 1, N, N) > 0.3

    def backward(query: Tensor, key: Tensor, value: Tensor, replaced: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
        rules = {"scale": 0.4, "algorithm": "exact", "softcap": 3.0}
        out, lse = torch.ops.hyper.attention(query, key, value, replaced=replaced, **rules)
        return tuple(
            torch.ops.hyper.attention_backward(
                grad, None, query, key, value, None, None, out, lse, replaced=replaced, **rules
            )[:3]
        )

    given = replaced[0] if dim is None else replaced.movedim(0, dim)
    mapped = torch.vmap(backward, in_dims=(0, 0, 0, dim, 0))(query, key, value, given, grad)
    for k in range(COUNT):
        alone = backward(query[k], key[k], value[k], replaced[0 if dim is None else k], grad[k])
        for mine, theirs in zip(mapped, alone, strict=True):
            torch.testing.assert_close(mine[k], theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("transform", ["grad", "jvp", "jacfwd"])
def test_derivatives_inside_raise(transform: str) -> None:
    """None is better than a wrong one: PyTorch drops the tangents of such an operator without a word."""
    q, k, v = (_draw(BATCH, HEADS, N, 8) for _ in range(3))

    def total(q: Tensor) -> Tensor:
        return hyper_attention(q, k, v, algorithm="exact").sum()

    call = {
        "grad": lambda: torch.func.grad(total)(q),
        "jvp": lambda: torch.func.jvp(total, (q,), (q,)),
        "jacfwd": lambda: torch.func.jacfwd(total)(q[:1, :1, :2]),
    }[transform]
    with pytest.raises((RuntimeError, NotImplementedError)):
        call()
    assert torch._C._functorch.maybe_current_level() is None
