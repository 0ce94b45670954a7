"""Random attention inputs and the comparison of `hyper::attention` with its float64 oracle, values and gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from hyperrewrite.kernels import oracle, planning
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.lifted import Lifted
from hyperrewrite.kernels.ops import call_of
from torch import Tensor

SMALL = {"min_seq_len": 32, "block_size": 16, "sample_size": 16}


@dataclass(frozen=True)
class Inputs:
    """One call's tensors; query, key, value (and bias) want gradients."""

    query: Tensor
    key: Tensor
    value: Tensor
    key_mask: Tensor | None = None
    bias: Tensor | None = None
    lifted: Lifted | None = None

    @property
    def leaves(self) -> list[Tensor]:
        named = (self.query, self.key, self.value, self.bias)
        return [tensor for tensor in named if tensor is not None and tensor.requires_grad]

    def run(self, **rules: Any) -> tuple[Tensor, Tensor]:
        """(out, lse) of the op."""
        tensors = (self.query, self.key, self.value, self.key_mask, self.bias)
        return torch.ops.hyper.attention(*tensors, *lifted_fields(self.lifted or Lifted()), **rules)

    def call(self, **rules: Any) -> AttentionCall:
        return call_of(self.query, self.key, self.bias, rules, self.lifted is not None)

    def oracle(self, **rules: Any) -> tuple[Tensor, Tensor]:
        """(out, lse) float64 of the algorithm that should run."""
        call = self.call(**rules)
        name = planning.algorithm_of(call)
        tensors = (self.query, self.key, self.value, self.key_mask, self.bias)
        return oracle.oracle(*tensors, call, name, self.lifted)

    def to(self, dtype: torch.dtype) -> Inputs:
        moved = {name: getattr(self, name).detach().to(dtype) for name in ("query", "key", "value")}
        return replace(self, **moved, bias=None if self.bias is None else self.bias.detach().to(dtype))


def make_inputs(
    n_q: int,
    n_k: int | None = None,
    *,
    batch: int = 2,
    heads: int = 4,
    kv_heads: int | None = None,
    features: int = 40,
    value_features: int | None = None,
    masked: float = 0.0,
    bias: tuple[int, ...] | None = None,
    seed: int = 0,
    strided: bool = False,
) -> Inputs:
    """Gaussian inputs from a local generator. masked: the share of keys that key_mask removes. bias: its shape."""
    generator = torch.Generator().manual_seed(seed)
    n_k = n_q if n_k is None else n_k
    kv_heads = heads if kv_heads is None else kv_heads
    value_features = features if value_features is None else value_features

    def random(count: int, length: int, size: int, order: int) -> Tensor:
        if not strided:
            return torch.randn(batch, count, length, size, generator=generator).requires_grad_()
        if order == 0:
            return torch.randn(batch, length, count, size, generator=generator).requires_grad_().transpose(1, 2)
        return torch.randn(batch, count, size, length, generator=generator).requires_grad_().transpose(2, 3)

    query = random(heads, n_q, features, 0)
    key, value = random(kv_heads, n_k, features, 1), random(kv_heads, n_k, value_features, 0)
    key_mask = torch.rand(batch, n_k, generator=generator) >= masked if masked else None
    noise = None if bias is None else torch.randn(*bias, generator=generator).requires_grad_()
    return Inputs(query, key, value, key_mask, noise)


def check_against_oracle(inputs: Inputs, *, tolerance: float = 1e-5, gradients: bool = True, **rules: Any) -> None:
    """Assert that out, lse and every gradient (also through lse) match the oracle of the same call."""
    out, lse = inputs.run(**rules)
    want_out, want_lse = inputs.oracle(**rules)
    torch.testing.assert_close(out.double(), want_out, atol=tolerance, rtol=tolerance, equal_nan=True)
    torch.testing.assert_close(lse.double(), want_lse, atol=tolerance, rtol=tolerance)
    assert out.is_contiguous() and lse.is_contiguous() and lse.dtype == torch.float32
    if not gradients:
        return
    generator = torch.Generator().manual_seed(99)
    along_out = torch.randn(out.shape, generator=generator)
    along_lse = torch.randn(lse.shape, generator=generator)
    seen = want_lse > float("-inf")

    def loss(result: Tensor, sums: Tensor) -> Tensor:
        return (result.double() * along_out).sum() + (sums.double().masked_fill(~seen, 0.0) * along_lse).sum()

    got = torch.autograd.grad(loss(out, lse), inputs.leaves)
    want = torch.autograd.grad(loss(want_out, want_lse), inputs.leaves)
    for mine, theirs in zip(got, want, strict=True):
        scale = max(float(theirs.abs().max()), 1.0)
        torch.testing.assert_close(mine.double(), theirs.double(), atol=tolerance * scale, rtol=1e-4)


LIFTED_KINDS = ["first", "stop", "range", "packed", "strewn", "mixed", "all"]


def _documents(n: int, rows: int, generator: torch.Generator, mean: int = 12) -> Tensor:
    """Packed documents: int64 [rows, n, 1] that never decreases."""
    return (torch.rand(rows, n, generator=generator) < 1 / mean).long().cumsum(-1).unsqueeze(-1)


def lifted(kind: str, n_q: int, n_k: int, rows: int, seed: int = 0) -> Lifted:
    """One of the masks below, its tensors with `rows` batch rows."""
    generator = torch.Generator().manual_seed(seed)

    def integers(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, (rows, *shape), generator=generator)

    first, stop = integers(-3, n_k // 2, n_q), integers(n_k // 3, n_k + 4, n_q)
    whole = _documents(max(n_q, n_k), rows, generator)
    packed = (whole[:, -n_q:], whole[:, -n_k:])
    strewn = (integers(0, 3, n_q, 2), integers(0, 3, n_k, 2).int())
    mixed = tuple(torch.cat(columns, -1) for columns in zip(packed, strewn, strict=True))
    return {
        "first": Lifted(first),
        "stop": Lifted(None, stop),
        "range": Lifted(first, stop),
        "packed": Lifted(None, None, *packed),
        "strewn": Lifted(None, None, *strewn),
        "mixed": Lifted(None, None, *mixed),
        "all": Lifted(first, stop, *mixed),
    }[kind]


def with_lifted(inputs: Inputs, kind: str, rows: int | None = None) -> Inputs:
    batch, n_q, n_k = inputs.query.shape[0], inputs.query.shape[2], inputs.key.shape[2]
    return replace(inputs, lifted=lifted(kind, n_q, n_k, batch if rows is None else rows))


def lifted_fields(given: Lifted) -> tuple[Tensor | None, ...]:
    """Its tensors as the op takes them."""
    return given.first_key, given.stop_key, given.query_group, given.key_group
