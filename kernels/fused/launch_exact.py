"""Runs the fused kernel of exact attention with masks and scores that SDPA does not know. Waits for no device."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ..call import AttentionCall
from ..lifted import Lifted
from .arguments import batch_stride, dense_bytes, on_device, outputs, padded, precision_of
from .config import Phase, device_of, within
from .configure import exact_config_of
from .exact import attend_exactly
from .generated import module_of
from .rules import Rule
from .spans import find_read, find_spans

BLOCKS = 16  # of keys, that `find_spans` looks at together
TILES = 128  # of queries, that `find_read` does


def exact(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    lifted: Lifted | None,
    call: AttentionCall,
    rows: int | None = None,
    phase: Phase | None = None,
) -> tuple[Tensor, Tensor]:
    """(out [B, H, n_q, D_v] contiguous in query's dtype, lse [B, H, n_q] float32, −inf for rows without a key).

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v] of one dtype and any strides; key_mask bool
    [B or 1, n_k]; bias float, broadcastable to [B, H, n_q, n_k]; lifted as in `Lifted`. Rows without a key are zero.
    rows, phase: queries of a tile, and how the kernel runs; default: as measured.
    """
    batch, heads, n_q, features = query.shape
    units, n_k, value_features = key.shape[1], key.shape[2], value.shape[3]
    told = lifted or Lifted()
    rule = rule_of(query, key_mask, bias, told, call)
    in_pairs, widest = rule.bias or rule.groups > 0, max(features, value_features)
    config = exact_config_of(device_of(query.device), query.dtype, widest, n_k, rule.causal, in_pairs)
    rows = rows or config.rows
    phase = within(rows, phase or config.attend)
    out, lse = outputs(query, value, has_unseen=False)
    if batch * heads * n_q == 0:
        return out, lse
    made = module_of(rule)
    bias = None if bias is None else bias.expand(batch, heads, n_q, n_k)
    given = given_of(made, rule, key_mask, bias, told, call)
    functions = {
        name.upper(): getattr(made, name, None) for name in ("limits", "groups_of", "keep", "bias_of", "score")
    }
    most = registers_of(rule, query.dtype, widest, rows, phase)
    span = read = lse  # not used
    with on_device(query.device):
        if rule.has_keep or rule.has_gaps:
            count = max(mask.shape[0] for mask in (key_mask, *told.tensors()) if mask is not None)
            span = spans_of(made, given, count, n_q, n_k, rows, phase.keys, query.device)
        if rule.has_gaps:
            read = read_of(made, given, span, n_q, n_k, rows, phase.keys)
        attend_exactly[(-(-n_q // rows), batch * heads)](
            query, key, value, span, read, out, lse, *query.stride(), *key.stride(), *value.stride(),
            batch_stride(span), batch_stride(read),
            heads, heads // units, n_q, n_k, given,
            **functions, HAS_FIRST=rule.has_first, HAS_GAPS=rule.has_gaps,
            LATE_UNIT=rule.has_late_unit,
            D=features, D_V=value_features, PAD_D=padded(features), PAD_V=padded(value_features),
            R=rows, KEYS=phase.keys, STAGES=phase.stages, PRECISION=precision_of(query.dtype), num_warps=phase.warps,
            **({} if most is None else {"maxnreg": most}),
        )  # fmt: skip
    return out, lse


def registers_of(rule: Rule, dtype: torch.dtype, widest: int, rows: int, phase: Phase) -> int | None:
    """Most registers that a thread of NVIDIA's gets, so that two blocks of 8 warps share a multiprocessor.

    None: as many as the compiler likes, which are few enough, or so many more that much would be spilled.
    """
    is_small = widest <= 64 and rows * phase.keys <= 128 * 64 and dtype in (torch.float16, torch.bfloat16)
    is_near = rule.bias != (rule.has_keep or rule.has_gaps) and rule.groups <= 1
    return 128 if phase.warps == 8 and is_small and is_near and torch.version.hip is None else None


def spans_of(
    made: ModuleType, given: tuple[Any, ...], batch: int, n_q: int, n_k: int, rows: int, keys: int, device: torch.device
) -> Tensor:
    """int32 [batch, tiles, 4]: the blocks of `keys` keys that a tile of `rows` queries reads, as `spans.span_of`.

    made: the module of a rule whose masks are tensors; given: its `Given`; batch: their rows, 1 where all share them.
    """
    tiles = -(-n_q // rows)
    span = torch.empty(batch, tiles, 4, dtype=torch.int32, device=device)
    functions = {name.upper(): getattr(made, name, None) for name in ("limits", "groups_of", "reach")}
    find_spans[(tiles, batch)](span, n_q, n_k, given, **functions, R=rows, KEYS=keys, COUNT=BLOCKS, num_warps=4)
    return span


def read_of(made: ModuleType, given: tuple[Any, ...], span: Tensor, n_q: int, n_k: int, rows: int, keys: int) -> Tensor:
    """Bytes [batch, n_k]: does some query read the key? span [batch, tiles, 4] and the rest as in `spans_of`."""
    batch, tiles = span.shape[:2]
    read = torch.empty(batch, n_k, dtype=torch.uint8, device=span.device)
    functions = {name.upper(): getattr(made, name, None) for name in ("limits", "groups_of", "keep")}
    find_read[(-(-n_k // keys), batch)](
        read, span, n_q, n_k, tiles, given, **functions, R=rows, KEYS=keys, COUNT=TILES, num_warps=4
    )
    return read


def given_of(
    made: ModuleType, rule: Rule, key_mask: Tensor | None, bias: Tensor | None, told: Lifted, call: AttentionCall
) -> tuple[Any, ...]:
    """The `Given` of a rule's module. bias [B, H, n_q, n_k]."""
    positions = {"offset": call.causal_offset, "window": call.sliding_window}
    values = rule.numbers(call) | positions | _tensors(key_mask, bias, told)
    given: tuple[Any, ...] = made.Given(*(values[name] for name in made.Given._fields))
    return given


def rule_of(query: Tensor, key_mask: Tensor | None, bias: Tensor | None, told: Lifted, call: AttentionCall) -> Rule:
    """The rule of a call with these tensors."""
    return Rule.of(
        call, query.dtype, key_mask=key_mask is not None, bias=bias is not None,
        first_key=told.first_key is not None, stop_key=told.stop_key is not None,
        groups=0 if told.query_group is None else told.query_group.shape[2],
    )  # fmt: skip


def _tensors(key_mask: Tensor | None, bias: Tensor | None, told: Lifted) -> dict[str, Any]:
    """Tensors and strides, as a rule's source names them. bias [B, H, n_q, n_k]."""
    found: dict[str, Any] = {}
    for name in ("first_key", "stop_key", "query_group", "key_group"):
        if (tensor := getattr(told, name)) is not None:
            dense = tensor.contiguous()
            found |= {name: dense, f"{name}_stride": batch_stride(dense)}
    if key_mask is not None:
        dense = dense_bytes(key_mask)
        found |= {"key_mask": dense, "key_mask_stride": batch_stride(dense)}
    if bias is not None:
        found |= {"bias": bias} | {f"bias_stride_{axis}": bias.stride(d) for d, axis in enumerate("bhij")}
    return found
