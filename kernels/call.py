"""One attention call as the algorithms see it: rules of mask and score, sizes, parameters; and its checks."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .curve import STRAIGHT, Curve
from .lifted import Lifted
from .parameters import EMPTY_ROWS, Parameters

INDEX_TYPES = (torch.int64, torch.int32)
PAIRS = ("bias", "replaced")  # tensors of the op over pairs of a query and a key; they may lack leading dims


@dataclass(frozen=True, slots=True)
class AttentionCall:
    """What a call is told besides its tensors.

    num_queries    n_q.
    num_keys       n_k.
    scale          multiplies query·key.
    causal_offset  query i sees key j iff j <= i + causal_offset; None = every key.
    sliding_window additionally j > i + causal_offset - sliding_window; needs causal_offset.
    curve          what scale·query·key goes through before the bias: softcap and clamp.
    empty_rows     what a query without a visible key gives: "zero", NaN, or the mean of all n_k values. "mean" where a
                   number stands in the place of its scores, which take no gradient; "level" where one large number
                   was added to them: rounding made them equal, and each takes the gradient of equal weights. So too
                   NaN: "nan" where −inf stands in their place, and NaN is the gradient of values alone; "nan_added"
                   where it was added, and NaN is the gradient of that query and of all keys as well.
    has_bias       an additive bias comes with the tensors.
    has_lifted     key ranges or groups (`Lifted`) come with the tensors.
    parameters     the algorithm and how it estimates.
    """

    num_queries: int
    num_keys: int
    scale: float = 1.0
    causal_offset: int | None = None
    sliding_window: int | None = None
    curve: Curve = STRAIGHT
    empty_rows: str = "zero"
    has_bias: bool = False
    has_lifted: bool = False
    parameters: Parameters = field(default_factory=Parameters)

    def __post_init__(self) -> None:
        """Raise ValueError with one sentence for a value outside its range."""
        if self.empty_rows not in EMPTY_ROWS:
            raise ValueError(f"empty_rows must be one of {', '.join(EMPTY_ROWS)}, not {self.empty_rows!r}")
        if self.sliding_window is not None:
            if self.causal_offset is None:
                raise ValueError("sliding_window needs a causal_offset")
            if self.sliding_window < 1:
                raise ValueError(f"sliding_window must be at least 1, not {self.sliding_window}")

    @property
    def sees_keys(self) -> bool:
        """Every query sees a key, unless a key mask hides it; False where that is not known from the call alone."""
        if self.has_bias or self.has_lifted or self.sliding_window is not None:
            return False
        return self.num_keys > 0 and (self.causal_offset is None or self.causal_offset >= 0)


def check_types(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    lifted: Lifted | None = None,
    replaced: Tensor | None = None,
) -> None:
    """Raise ValueError for ranks and dtypes that do not fit; reads no size, so it is safe on symbolic shapes."""
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if tensor.dim() != 4:
            raise ValueError(f"{name} must have rank 4 [batch, heads, length, features], not rank {tensor.dim()}")
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must be floating point, not {tensor.dtype}")
    if not query.dtype == key.dtype == value.dtype:
        raise ValueError(f"query, key and value must share one dtype, not {query.dtype}, {key.dtype}, {value.dtype}")
    if key_mask is not None and (key_mask.dtype != torch.bool or key_mask.dim() != 2):
        raise ValueError(f"key_mask must be bool [batch, keys], not {key_mask.dtype} of rank {key_mask.dim()}")
    if bias is not None and (not bias.is_floating_point() or bias.dim() > 4):
        raise ValueError(f"bias must be floating point of rank 4 or less, not {bias.dtype} of rank {bias.dim()}")
    if replaced is not None and (replaced.dtype != torch.bool or replaced.dim() > 4):
        raise ValueError(f"replaced must be bool of rank 4 or less, not {replaced.dtype} of rank {replaced.dim()}")
    if lifted is None:
        return
    for name in ("first_key", "stop_key"):
        tensor = getattr(lifted, name)
        if tensor is not None and (tensor.dtype not in INDEX_TYPES or tensor.dim() != 2):
            raise ValueError(
                f"{name} must be int64 or int32 [batch, queries], not {tensor.dtype} of rank {tensor.dim()}"
            )
    if (lifted.query_group is None) != (lifted.key_group is None):
        raise ValueError("query_group and key_group must be given together")
    for name, form in (("query_group", "queries"), ("key_group", "keys")):
        tensor = getattr(lifted, name)
        if tensor is not None and (tensor.dtype not in INDEX_TYPES or tensor.dim() != 3):
            raise ValueError(
                f"{name} must be int64 or int32 [batch, {form}, columns], not {tensor.dtype} of rank {tensor.dim()}"
            )


def check_shapes(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    lifted: Lifted | None = None,
    replaced: Tensor | None = None,
) -> None:
    """Raise ValueError for sizes that do not fit."""
    batch, heads, n_q, features = query.shape
    n_k = key.shape[2]
    if key.shape[0] != batch or value.shape[0] != batch:
        raise ValueError(f"query, key and value must share one batch, not {batch}, {key.shape[0]}, {value.shape[0]}")
    if key.shape[3] != features:
        raise ValueError(f"query and key must share one feature size, not {features} and {key.shape[3]}")
    if value.shape[1] != key.shape[1] or value.shape[2] != n_k:
        raise ValueError(
            f"value must have the heads and length of key, not {list(value.shape)} beside {list(key.shape)}"
        )
    if heads and (key.shape[1] == 0 or heads % key.shape[1]):
        raise ValueError(f"query heads ({heads}) must be a multiple of key heads ({key.shape[1]})")
    if key_mask is not None and (key_mask.shape[0] not in (1, batch) or key_mask.shape[1] != n_k):
        raise ValueError(f"key_mask must be [{batch} or 1, {n_k}], not {list(key_mask.shape)}")
    full = (batch, heads, n_q, n_k)
    for name, tensor in (("bias", bias), ("replaced", replaced)):
        if tensor is None:
            continue
        if any(size not in (1, want) for size, want in zip(reversed(tensor.shape), reversed(full), strict=False)):
            raise ValueError(f"{name} must broadcast to {list(full)}, not {list(tensor.shape)}")
    if lifted is None:
        return
    for name, length in (("first_key", n_q), ("stop_key", n_q), ("query_group", n_q), ("key_group", n_k)):
        tensor = getattr(lifted, name)
        if tensor is not None and (tensor.shape[0] not in (1, batch) or tensor.shape[1] != length):
            columns = ", columns" if tensor.dim() == 3 else ""
            raise ValueError(f"{name} must be [{batch} or 1, {length}{columns}], not {list(tensor.shape)}")
    if lifted.query_group is not None and lifted.key_group is not None:
        mine, theirs = lifted.query_group.shape[2], lifted.key_group.shape[2]
        if mine != theirs:
            raise ValueError(f"query_group and key_group must have the same number of columns, not {mine} and {theirs}")
