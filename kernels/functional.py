"""`hyper_attention`: the op behind the arguments of torch.nn.functional.scaled_dot_product_attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from . import ops as _ops  # registers hyper::attention
from .forward_mode import MESSAGE, may_have_tangents
from .parameters import Algorithm, Parameters, preset_values

__all__ = ["hyper_attention"]
_ = _ops
_DEFAULT = Parameters()


def hyper_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    key_mask: Tensor | None = None,
    first_key: Tensor | None = None,
    stop_key: Tensor | None = None,
    query_group: Tensor | None = None,
    key_group: Tensor | None = None,
    softcap: float = 0.0,
    score_min: float | None = None,
    score_max: float | None = None,
    return_lse: bool = False,
    preset: str = "default",
    algorithm: Algorithm = _DEFAULT.algorithm,
    min_seq_len: int | None = None,
    block_size: int = _DEFAULT.block_size,
    sample_size: int = _DEFAULT.sample_size,
    lsh_projections: int = _DEFAULT.lsh_projections,
    tile: int = _DEFAULT.tile,
    window: int = _DEFAULT.window,
    sinks: int = _DEFAULT.sinks,
    price: str = _DEFAULT.price,
    threshold: float | None = None,
    seed: int = _DEFAULT.seed,
) -> Tensor | tuple[Tensor, Tensor]:
    """Near-linear attention with the arguments of F.scaled_dot_product_attention, in its order.

    query [..., H, n_q, D], key [..., H_kv, n_k, D], value [..., H_kv, n_k, D_v], rank 3 or more; H == H_kv unless
    enable_gqa. attn_mask: bool (True = takes part) or float (added), broadcastable to [..., H, n_q, n_k]; a bool mask
    over keys alone stays estimated, every other mask makes the call exact. is_causal: top-left aligned, not together
    with attn_mask. scale: 1/√D by default. dropout_p must be 0: there is no dropout. preset: "default", "fast" or
    "accurate", for the threshold where it is None. min_seq_len: None = that of the algorithm. The rest: `Parameters`.

    Masks of O(n), for rank-4 inputs only; a query sees the keys that all of them allow:
    key_mask bool [batch or 1, n_k]: True = the key takes part.
    first_key, stop_key int64 [batch or 1, n_q]: query i sees key j iff first_key[i] <= j < stop_key[i].
    query_group int64 [batch or 1, n_q, m] with key_group [batch or 1, n_k, m]: all m columns must be equal (packed
    documents, chunked attention).

    softcap c > 0: scores become c·tanh(score / c). score_min, score_max: then they are clamped to that range. Both come
    before the mask. All of these but key_mask make the call exact.

    Under autocast query, key and value are cast as those of SDPA are.

    Under torch.vmap it is one call. torch.func has no derivative of it: torch.func.grad, jvp and what is made of them
    raise, where `backward()` is fine.

    Returns out [..., H, n_q, D_v]; with return_lse also lse [..., H, n_q] float32. Rows without a key give zeros.
    Raises ValueError for arguments that do not fit.
    """
    if may_have_tangents():
        raise NotImplementedError(MESSAGE.format("hyper_attention"))
    rank = query.dim()
    if rank < 3 or key.dim() != rank or value.dim() != rank:
        raise ValueError(f"query, key and value must share a rank of 3 or more, not {rank}, {key.dim()}, {value.dim()}")
    if dropout_p:
        raise ValueError(f"dropout_p must be 0, not {dropout_p}: only F.scaled_dot_product_attention has dropout")
    if is_causal and attn_mask is not None:
        raise ValueError("is_causal and attn_mask cannot both be given")
    preferred = preset_values(preset)
    if threshold is None:
        threshold = preferred.get("threshold", _DEFAULT.threshold)
    lifted = {"first_key": first_key, "stop_key": stop_key, "query_group": query_group, "key_group": key_group}
    for name, tensor in {"key_mask": key_mask, **lifted}.items():
        if tensor is not None and rank != 4:
            raise ValueError(f"{name} goes with rank-4 inputs only, not rank {rank}")
    if not enable_gqa and query.shape[-3] != key.shape[-3] and rank > 3:
        raise ValueError(f"heads must match ({query.shape[-3]} and {key.shape[-3]}) unless enable_gqa is set")
    if torch.is_autocast_enabled(query.device.type):
        lower = torch.get_autocast_dtype(query.device.type)
        query, key, value = (tensor.to(lower) for tensor in (query, key, value))
    leading = query.shape[:-2]
    query4, key4, value4 = (_rank4(tensor) for tensor in (query, key, value))
    bias = None
    if attn_mask is not None:
        key_only = attn_mask.dtype == torch.bool and (attn_mask.dim() < 2 or attn_mask.shape[-2] == 1)
        if key_only and key_mask is None and rank == 4 and (attn_mask.dim() < 3 or attn_mask.shape[-3] == 1):
            mask = attn_mask.reshape(-1, attn_mask.shape[-1])
            key_mask = mask.expand(mask.shape[0], key.shape[-2])
        else:
            if attn_mask.dtype == torch.bool:
                attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, float("-inf"))
            bias = _rank4_mask(attn_mask, query)
    out, lse = torch.ops.hyper.attention(
        query4,
        key4,
        value4,
        key_mask,
        bias,
        **lifted,
        softcap=softcap,
        score_min=score_min,
        score_max=score_max,
        causal_offset=0 if is_causal else None,
        scale=1.0 / math.sqrt(query.shape[-1]) if scale is None else scale,
        algorithm=algorithm,
        min_seq_len=min_seq_len,
        block_size=block_size,
        sample_size=sample_size,
        lsh_projections=lsh_projections,
        tile=tile,
        window=window,
        sinks=sinks,
        price=price,
        threshold=threshold,
        seed=seed,
    )
    out = out.reshape(*leading, *out.shape[2:])
    return (out, lse.reshape(*leading, lse.shape[2])) if return_lse else out


def _rank4(tensor: Tensor) -> Tensor:
    """[L, n, D] → [L, 1, n, D] (its leading dim is a batch); [..., H, n, D] → [∏…, H, n, D]."""
    if tensor.dim() == 3:
        return tensor.unsqueeze(1)
    return tensor if tensor.dim() == 4 else tensor.flatten(0, -4)


def _rank4_mask(mask: Tensor, query: Tensor) -> Tensor:
    """A mask of the inputs' rank or less, broadcastable against [..., H, n_q, n_k], for the rank-4 tensors."""
    rank = query.dim()
    if mask.dim() > rank:
        raise ValueError(f"attn_mask must have rank {rank} or less, not {mask.dim()}")
    mask = mask.reshape(*([1] * (rank - mask.dim())), *mask.shape)
    if rank == 3:
        return mask.unsqueeze(1)
    if rank == 4:
        return mask
    if all(size == 1 for size in mask.shape[:-3]):
        return mask.flatten(0, -4)
    return mask.expand(*query.shape[:-3], *mask.shape[-3:]).flatten(0, -4)
