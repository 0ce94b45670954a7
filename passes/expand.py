"""Take apart calls that hold attention inside, in a copy of the graph, so that the readers see it.

`F.multi_head_attention_forward` (one node for nn.MultiheadAttention) and the fast path of nn.TransformerEncoderLayer
are written out in the operations they are documented to be. What they cannot be written as (bias_k, zero attention,
returned weights) stays one node, which the site finder then names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor

from .canonical import CanonicalView, called
from .copying import copied_graph
from .vocabulary import SDPA

MASKED = float("-inf")


def expand(module: fx.GraphModule) -> fx.GraphModule:
    """A copy with every call taken apart that can be; the module itself where there is none."""
    if F.scaled_dot_product_attention is not SDPA:  # replaced, as context parallel does: the calls would run that
        return module
    view = CanonicalView(module)
    if not any(_writer(node) is not None and _usable(view, node) for node in view.nodes):
        return module
    graph, copied = copied_graph(module)
    for node in view.nodes:
        writer = _writer(node)
        if writer is not None and _usable(view, node):
            _replace(copied[node], writer)
    result = fx.GraphModule(module, graph)
    result.meta.update(module.meta)
    return result


Writer = Callable[[dict[str, Any]], Any]


def _writer(node: fx.Node) -> Writer | None:
    if node.op != "call_function":
        return None
    if node.target is F.multi_head_attention_forward:
        return _multi_head_attention
    if called(node) == "_transformer_encoder_layer_fwd":
        return _encoder_layer
    return None


def _arguments(node: fx.Node) -> dict[str, Any]:
    if node.target is F.multi_head_attention_forward:
        bound = inspect.signature(F.multi_head_attention_forward).bind(*node.args, **node.kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)
    return dict(zip(_LAYER_ARGUMENTS, node.args, strict=False)) | dict(node.kwargs)


_LAYER_ARGUMENTS = [
    "src",
    "embed_dim",
    "num_heads",
    "qkv_weight",
    "qkv_bias",
    "proj_weight",
    "proj_bias",
    "use_gelu",
    "norm_first",
    "eps",
    "norm_weight_1",
    "norm_bias_1",
    "norm_weight_2",
    "norm_bias_2",
    "ffn_weight_1",
    "ffn_bias_1",
    "ffn_weight_2",
    "ffn_bias_2",
    "mask",
    "mask_type",
]


def _usable(view: CanonicalView, node: fx.Node) -> bool:
    """Whether a call is of a form that can be written out, with every weight it would read."""
    given = _arguments(node)
    if node.target is not F.multi_head_attention_forward:
        return view.tensor(given["src"]).dim() == 3 and given.get("mask_type") in (None, 0, 1, 2)
    extras = ("bias_k", "bias_v", "static_k", "static_v")
    if any(given[name] is not None for name in extras) or given["add_zero_attn"]:
        return False
    if not isinstance(given["num_heads"], int) or view.tensor(given["query"]).dim() != 3:
        return False
    if given["need_weights"] and any(_reads_weights(user) for user in node.users):
        return False
    return all(_reads_item(user) for user in node.users)


def _reads_item(user: fx.Node) -> bool:
    return user.op == "call_function" and getattr(user.target, "__name__", "") == "getitem"


def _reads_weights(user: fx.Node) -> bool:
    return bool(_reads_item(user) and user.args[1] == 1 and len(user.users) > 0)


def _replace(node: fx.Node, write: Writer) -> None:
    graph = node.graph
    tracer = fx.proxy.GraphAppendingTracer(graph)
    before = set(graph.nodes)

    def proxied(value: Any) -> Any:
        return fx.Proxy(value, tracer) if isinstance(value, fx.Node) else value

    given = {name: proxied(value) for name, value in _arguments(node).items()}
    given["same"] = node.args[0] is node.args[1] is node.args[2] if len(node.args) > 2 else False
    given["bool_masks"] = {
        name: isinstance(arg, fx.Node) and _dtype(arg) == torch.bool for name, arg in _arguments(node).items()
    }
    given["ranks"] = {name: _rank(arg) for name, arg in _arguments(node).items()}
    with graph.inserting_before(node):
        result = write(given)
    _record(graph, before, node)
    if node.target is F.multi_head_attention_forward:
        for user in list(node.users):
            if user.args[1] == 0:
                user.replace_all_uses_with(result.node)
            if not user.users:
                graph.erase_node(user)
    else:
        node.replace_all_uses_with(result.node)
    if not node.users:
        graph.erase_node(node)


def _fake(node: fx.Node) -> Any:
    return node.meta.get("example_value", node.meta.get("val"))


def _dtype(node: fx.Node) -> torch.dtype | None:
    return getattr(_fake(node), "dtype", None)


def _rank(value: Any) -> int:
    if not isinstance(value, fx.Node):
        return 0
    recorded = _fake(value)
    return recorded.dim() if isinstance(recorded, torch.Tensor) else 0


def _record(graph: fx.Graph, before: set[fx.Node], source: fx.Node) -> None:
    """Give each new node its fake value, and the source line of the call it came from."""
    for node in graph.nodes:
        if node in before:
            continue
        for key in ("stack_trace", "nn_module_stack"):
            if key in source.meta:
                node.meta[key] = source.meta[key]
        args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), _fake)
        modes = [value.fake_mode for value in map(_fake, node.all_input_nodes) if isinstance(value, FakeTensor)]
        with modes[0] if modes else nullcontext():
            if node.op == "call_method":
                node.meta["example_value"] = getattr(args[0], str(node.target))(*args[1:], **kwargs)
            else:
                node.meta["example_value"] = node.target(*args, **kwargs)


# --- what the calls are ----------------------------------------------------------------------------------------------


def _multi_head_attention(given: dict[str, Any]) -> Any:
    """F.multi_head_attention_forward with query [L, N, E], key and value [S, N, …] → [L, N, E]."""
    query, key, value = given["query"], given["key"], given["value"]
    heads, training = given["num_heads"], given["training"]
    q, k, v = _projected(given, query, key, value)
    q, k, v = (t.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3) for t in (q, k, v))
    attn_mask, padding, causal = given["attn_mask"], given["key_padding_mask"], bool(given["is_causal"])
    if causal and padding is None and not given["need_weights"]:
        attn_mask = None  # as PyTorch does: is_causal says what the mask holds
    else:
        causal = False
    bools, ranks = given["bool_masks"], given["ranks"]
    mask = None
    if attn_mask is not None:
        mask = _added(attn_mask, bools["attn_mask"])
        if ranks["attn_mask"] == 3:
            mask = mask.unflatten(0, (-1, heads))
    if padding is not None:
        keys = _added(padding, bools["key_padding_mask"]).unsqueeze(1).unsqueeze(1)
        mask = keys if mask is None else mask + keys
    p = given["dropout_p"] if training else 0.0
    if given["need_weights"]:  # the path that makes weights: NaN, not zeros, where a query sees no key
        scores = (q * (q.size(-1) ** -0.5)) @ k.transpose(-2, -1)
        weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
        out = F.dropout(weights, p=p, training=training) @ v
    else:
        out = SDPA(q, k, v, attn_mask=mask, dropout_p=p, is_causal=causal)
    joined = out.permute(2, 0, 1, 3).flatten(2)
    return F.linear(joined, given["out_proj_weight"], given["out_proj_bias"])


def _projected(given: dict[str, Any], query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    weight, bias = given["in_proj_weight"], given["in_proj_bias"]
    if not given["use_separate_proj_weight"]:
        if given["same"]:
            q, k, v = (F.linear(query, weight, bias).chunk(3, -1)[n] for n in range(3))
            return q, k, v
        weights = [weight.chunk(3)[n] for n in range(3)]
    else:
        weights = [given["q_proj_weight"], given["k_proj_weight"], given["v_proj_weight"]]
    biases = [None] * 3 if bias is None else [bias.chunk(3)[n] for n in range(3)]
    q, k, v = (F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
    return q, k, v


def _added(mask: Any, is_bool: bool) -> Any:
    """A mask of nn.MultiheadAttention (True = left out, or a float to add) as a float to add."""
    return torch.where(mask, MASKED, 0.0) if is_bool else mask


def _encoder_layer(given: dict[str, Any]) -> Any:
    """The fast path of nn.TransformerEncoderLayer: src [N, L, E] → [N, L, E], never in training."""
    src, heads, eps = given["src"], given["num_heads"], given["eps"]
    width = given["embed_dim"]

    def norm(x: Any, n: int) -> Any:
        return F.layer_norm(x, (width,), given[f"norm_weight_{n}"], given[f"norm_bias_{n}"], eps)

    def attend(x: Any) -> Any:
        packed = F.linear(x, given["qkv_weight"], given["qkv_bias"]).chunk(3, -1)
        q, k, v = (packed[n].unflatten(-1, (heads, -1)).transpose(1, 2) for n in range(3))
        mask, kind = given.get("mask"), given.get("mask_type")
        if mask is not None:
            mask = torch.logical_not(mask if given["bool_masks"]["mask"] else mask.to(torch.bool))
            if kind == 1:
                mask = mask.unsqueeze(1).unsqueeze(1)
        out = SDPA(q, k, v, attn_mask=mask)
        return F.linear(out.transpose(1, 2).flatten(2), given["proj_weight"], given["proj_bias"])

    def feed(x: Any) -> Any:
        inner = F.linear(x, given["ffn_weight_1"], given["ffn_bias_1"])
        inner = F.gelu(inner) if given["use_gelu"] else F.relu(inner)
        return F.linear(inner, given["ffn_weight_2"], given["ffn_bias_2"])

    if given["norm_first"]:
        src = src + attend(norm(src, 1))
        return src + feed(norm(src, 2))
    src = norm(src + attend(src), 1)
    return norm(src + feed(src), 2)
