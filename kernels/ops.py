"""`hyper::attention` and its backward as PyTorch operators: schema, checks, fake, autograd."""

from __future__ import annotations

import contextlib
import json
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from . import engine, vmapping
from .call import AttentionCall, check_shapes, check_types
from .curve import Curve
from .forward_mode import refuse_tangents
from .lifted import Lifted
from .meter import notify
from .parameters import Parameters


def _declared(name: str, default: Any) -> str:
    """A field of `Parameters` as the schema says it. min_seq_len alone has no default of its own: the algorithm's."""
    if default is None:
        return f"int? {name}=None"
    return f"{type(default).__name__} {name}={json.dumps(default)}"


_RULES = (
    "SymInt? causal_offset=None, SymInt? sliding_window=None, "
    "float softcap=0.0, float? score_min=None, float? score_max=None, float scale=1.0, "
    'str empty_rows="zero", ' + ", ".join(_declared(f.name, f.default) for f in fields(Parameters))
)
_MORE = (
    "Tensor? first_key=None, Tensor? stop_key=None, Tensor? query_group=None, Tensor? key_group=None, "
    "Tensor? replaced=None"
)
SCHEMA = (
    f"(Tensor query, Tensor key, Tensor value, Tensor? key_mask=None, Tensor? bias=None, {_MORE}, *, {_RULES})"
    " -> (Tensor out, Tensor lse)"
)
BACKWARD_SCHEMA = (
    "(Tensor grad_out, Tensor? grad_lse, Tensor query, Tensor key, Tensor value, Tensor? key_mask, Tensor? bias, "
    f"Tensor out, Tensor lse, {_MORE}, *, bool bias_gradient=False, {_RULES})"
    " -> (Tensor grad_query, Tensor grad_key, Tensor grad_value, Tensor grad_bias)"
)


OWN = ("causal_offset", "sliding_window", "scale", "empty_rows")
CURVE = ("softcap", "score_min", "score_max")


def call_of(
    query: Tensor, key: Tensor, bias: Tensor | None, rules: dict[str, Any], has_lifted: bool = False
) -> AttentionCall:
    """The op's keyword arguments as an AttentionCall; raises ValueError for values outside their range."""
    rules = dict(rules)
    own = {name: rules.pop(name) for name in OWN if name in rules}
    own |= {"has_bias": bias is not None, "has_lifted": has_lifted}
    own["curve"] = Curve(**{name: rules.pop(name) for name in CURVE if name in rules})
    return AttentionCall(query.shape[2], key.shape[2], parameters=Parameters(**rules), **own)


def _without_autocast(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Inputs have the dtype that they should; what is summed on the way must not be cast to a lower one."""
    if not torch.is_autocast_enabled(device.type):
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)


@torch.library.custom_op("hyper::attention", mutates_args=(), schema=SCHEMA)
def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None = None,
    bias: Tensor | None = None,
    first_key: Tensor | None = None,
    stop_key: Tensor | None = None,
    query_group: Tensor | None = None,
    key_group: Tensor | None = None,
    replaced: Tensor | None = None,
    **rules: Any,
) -> tuple[Tensor, Tensor]:
    """(out, lse) of softmax(scale·query·keyᵀ + masks + bias)·value, exact or estimated; see DESIGN 3.

    Key ranges, groups, a bias, a sliding window, softcap and a clamp of the scores make the call exact.

    query [B, H, n_q, D]; key [B, H_kv, n_k, D]; value [B, H_kv, n_k, D_v]; key_mask bool [B or 1, n_k], True = the key
    takes part; bias float, broadcastable to [B, H, n_q, n_k]; first_key, stop_key int [B or 1, n_q] and query_group,
    key_group int [B or 1, n, m] as in `Lifted`. Every mask that is given must allow a pair. replaced bool,
    broadcastable to [B, H, n_q, n_k]: pairs whose score takes no gradient, as a number stands in its place: one in
    `bias`, beside which it is lost in rounding, or the fill of a "level" row. It changes no output. `rules`: the fields
    of `AttentionCall`, `Curve` and `Parameters`.
    Returns out [B, H, n_q, D_v], contiguous, in query's dtype, and lse [B, H, n_q] float32, −inf for empty rows.
    Raises ValueError for shapes, dtypes and values that do not fit, NotImplementedError for tensors with tangents.
    """
    refuse_tangents("hyper::attention", (query, key, value, bias))
    lifted = Lifted.of(first_key, stop_key, query_group, key_group)
    check_types(query, key, value, key_mask, bias, lifted, replaced)
    check_shapes(query, key, value, key_mask, bias, lifted, replaced)
    call = call_of(query, key, bias, rules, lifted is not None)
    with _without_autocast(query.device):
        out, lse = engine.forward(query, key, value, key_mask, bias, call, lifted)
    notify(query, key, value, key_mask, bias, call, out, lse, lifted)
    return out, lse


@attention.register_fake
def _(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None = None,
    bias: Tensor | None = None,
    first_key: Tensor | None = None,
    stop_key: Tensor | None = None,
    query_group: Tensor | None = None,
    key_group: Tensor | None = None,
    replaced: Tensor | None = None,
    **rules: Any,
) -> tuple[Tensor, Tensor]:
    check_types(query, key, value, key_mask, bias, Lifted.of(first_key, stop_key, query_group, key_group), replaced)
    batch, heads, n_q, _ = query.shape
    return query.new_empty((batch, heads, n_q, value.shape[3])), query.new_empty(
        (batch, heads, n_q), dtype=torch.float32
    )


# It looks at values on the device, for what to read: a CUDA graph leaves it out.
@torch.library.custom_op(
    "hyper::attention_backward", mutates_args=(), schema=BACKWARD_SCHEMA, tags=(torch.Tag.cudagraph_unsafe,)
)
def attention_backward(
    grad_out: Tensor,
    grad_lse: Tensor | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    out: Tensor,
    lse: Tensor,
    first_key: Tensor | None = None,
    stop_key: Tensor | None = None,
    query_group: Tensor | None = None,
    key_group: Tensor | None = None,
    replaced: Tensor | None = None,
    bias_gradient: bool = False,
    **rules: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of `attention` for query, key, value and bias (an empty [0] tensor unless bias_gradient).

    The plan is made again from the same inputs and seed; tiles are recomputed, so memory stays linear. Not
    differentiable again.
    """
    lifted = Lifted.of(first_key, stop_key, query_group, key_group)
    call = call_of(query, key, bias, rules, lifted is not None)
    tensors = (grad_out, grad_lse, query, key, value, key_mask, bias, out, lse)
    refuse_tangents("hyper::attention", tensors)
    with _without_autocast(query.device):
        grads = engine.backward(*tensors, call, bias_gradient, lifted, replaced)
    return (*grads[:3], query.new_empty(0) if grads[3] is None else grads[3])


@attention_backward.register_fake
def _(
    grad_out: Tensor,
    grad_lse: Tensor | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_mask: Tensor | None,
    bias: Tensor | None,
    out: Tensor,
    lse: Tensor,
    first_key: Tensor | None = None,
    stop_key: Tensor | None = None,
    query_group: Tensor | None = None,
    key_group: Tensor | None = None,
    replaced: Tensor | None = None,
    bias_gradient: bool = False,
    **rules: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    grad_bias = query.new_empty(0) if bias is None or not bias_gradient else bias.new_empty(bias.shape)
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape), grad_bias


def _setup_context(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Any) -> None:
    query, key, value, key_mask, bias, *more = inputs
    out, lse = output
    ctx.save_for_backward(query, key, value, key_mask, bias, out, lse, *more)
    ctx.set_materialize_grads(False)
    ctx.rules = keyword_only_inputs


def _backward(ctx: Any, grad_out: Tensor | None, grad_lse: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad_out is None and grad_lse is None:
        return (None,) * 10
    saved = ctx.saved_tensors  # read once: torch.utils.checkpoint makes them anew, and no second time
    _, _, _, _, bias, out, _, *_ = saved
    if grad_out is None:
        grad_out = torch.zeros_like(out)
    bias_gradient = bias is not None and ctx.needs_input_grad[4]
    grads = torch.ops.hyper.attention_backward(grad_out, grad_lse, *saved, bias_gradient=bias_gradient, **ctx.rules)
    return grads[0], grads[1], grads[2], None, grads[3] if bias_gradient else None, None, None, None, None, None


attention.register_autograd(_backward, setup_context=_setup_context)
attention.register_vmap(vmapping.forward)
attention_backward.register_vmap(vmapping.backward)
