"""Random attention: one function out of many ways to write each part, drawn by hypothesis."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from failing import described
from graphs import Backend, assert_same, assert_same_gradients, run_with_gradients
from hyperrewrite.passes.sites import Findings
from hypothesis import strategies as st
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class Plan:
    """What is written how. `unrecorded` names the stage that runs under no_grad; `odd` a mutation after which it may be
    no attention at all, or another; operators: in ATen operators, as torch.export writes it."""

    batch: int
    kv_heads: int
    group: int
    n_q: int
    n_k: int
    d: int
    e: int
    rank: str
    grouping: str
    product: str
    transposed: str
    scale: str
    masks: tuple[str, ...]
    fill: str
    softmax: str
    cap: str
    clamp: str
    relative: bool
    after: str
    sink: str
    end: str
    unrecorded: str
    odd: str
    body: str
    operators: bool

    @property
    def heads(self) -> int:
        return self.kv_heads * self.group


IN_PLACE = ("set_slice", "set_mask", "set_diagonal", "set_rows", "added_in_part")
MASKS = (
    "tril", "triu_add", "arange", "offset", "window", "padding_bool", "padding_extended", "any_bool",
    "bias", "row_bias", "prefix", "hstack", "log_band", "filled", "times_ones", "documents",
    "uint8", "unsigned", "int32", "bfloat16", *IN_PLACE,
    "one_number", "rows", "rows_added",
)  # fmt: skip
STAGES = ("operands", "scores", "scaled", "masked", "softmax", "after", "output")
ODD = (
    "softmax_dim", "transpose_scores", "tile", "swap_heads", "weights_scaled", "negative", "anti_causal", "sliced",
    "masked_by_another", "row_under_cap", "late_clamp",
)  # fmt: skip


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Sizes small and often equal to each other, so that a mixed-up dim still runs."""
    size = st.sampled_from([2, 2, 3, 4, 4, 5, 7])
    long = st.sampled_from([2, 3, 4, 4, 5, 7, 9])
    n_q, rank = draw(long), draw(st.sampled_from(["four", "four", "merged", "positions_first", "five", "tied"]))
    masks = draw(st.lists(st.sampled_from(MASKS), max_size=2, unique=True))
    ways = ["function", "method", "dtype", "module", "dropout", "dropped", "below", "bare", "later", "log"]
    softmax = draw(st.sampled_from(ways))
    # A graph that is run as it stands draws other numbers when it recomputes; AOTAutograd sees to it that none is.
    bodies = [""] if softmax == "dropped" else ["", "", "", "", "checkpoint", "twice"]
    body = draw(st.sampled_from(bodies))
    return Plan(
        batch=draw(st.integers(1, 3)),
        kv_heads=draw(st.sampled_from([1, 2, 2, 3])),
        group=draw(st.sampled_from([1, 1, 2, 3])),
        n_q=n_q,
        n_k=draw(st.one_of(st.just(n_q), long)),
        d=draw(size),
        e=draw(st.one_of(size, st.just(1))),
        rank=rank,
        grouping=draw(st.sampled_from(["expand", "interleave"])),
        product=draw(st.sampled_from(["matmul", "operator", "einsum", "sums"])),
        transposed=draw(st.sampled_from(["transpose", "permute", "mT", "swapaxes"])),
        scale=draw(st.sampled_from(["none", "div", "mul", "query", "both", "in_place", "tensor", "double", "head"])),
        masks=tuple(masks),
        fill=draw(st.sampled_from(["min", "-inf", "1e30", "2e4"])),
        softmax=softmax,
        cap=draw(st.sampled_from(["", "", "", "tanh", "float"])),
        clamp=draw(st.sampled_from(["", "", "", "both", "floor", "ceiling", "shifted"])),
        relative=draw(st.sampled_from([False, False, False, True])),
        after=draw(st.sampled_from(["", "", "", "masked", "in_place", "times", "nan", "isnan", "mean"])),
        sink=draw(st.sampled_from(["", "", "", "behind", "front"])),
        end=draw(st.sampled_from(["plain", "join", "view", "transpose"])),
        unrecorded=draw(st.sampled_from(["", "", "", "", "", *STAGES, "all but softmax"])),
        odd=draw(st.sampled_from(["", "", "", *ODD])),
        body=body,
        operators=draw(st.just(False) if body else st.sampled_from([False, False, False, True])),
    )


def inputs(plan: Plan, seed: int = 0) -> tuple[Tensor, ...]:
    """query, key, value [batch, heads, position, feature], padding, a mask, a bias and a scale for each head."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    padding = torch.rand(plan.batch, plan.n_k, generator=generator) > 0.3
    keep = torch.rand(plan.n_q, plan.n_k, generator=generator) > 0.3
    return (
        normal(plan.batch, plan.heads, plan.n_q, plan.d),
        normal(plan.batch, plan.kv_heads, plan.n_k, plan.d),
        normal(plan.batch, plan.kv_heads, plan.n_k, plan.e),
        padding,
        keep,
        normal(plan.heads, plan.n_q, plan.n_k),
        normal(plan.heads).abs() + 0.1,
    )


def function(plan: Plan) -> Callable[..., Tensor]:
    """The plan as a function of `inputs`."""
    attend = {"five": _five}.get(plan.rank, _four)

    def call(*tensors: Tensor) -> Tensor:
        return attend(plan, *tensors)

    def checkpointed(*tensors: Tensor) -> Tensor:
        """The mask is made outside of the body, which takes it as an argument."""
        query, key, value, padding, given, *rest = tensors
        given = given & (torch.arange(plan.n_k)[None] < plan.n_k + torch.arange(plan.n_q)[:, None])
        out: Tensor = checkpoint(call, query, key, value, padding, given, *rest, use_reentrant=False)
        return out

    def twice(*tensors: Tensor) -> Tensor:
        return checkpointed(*tensors) + checkpointed(tensors[0] * 2, *tensors[1:])

    return {"checkpoint": checkpointed, "twice": twice}.get(plan.body, call)


def checked(plan: Plan) -> Findings:
    """What is found in a plan's graph, once its rewrites, as SDPA or op and as op, gave what it gives, gradients too.

    Raises what is wrong, with the graphs and the values as a note.
    """
    call, args = function(plan), inputs(plan)
    if plan.operators:
        call = make_fx(call, tracing_mode="fake", pre_dispatch=True)(*args)
    expected = run_with_gradients(call, args)
    for backend in (Backend(sdpa=True), Backend(op=True)):
        actual = None
        try:
            actual = run_with_gradients(call, args, backend)
            assert_same(actual[0], expected[0], 2e-5)
            if not bool(expected[0].isnan().any()):  # of an output that is NaN no gradient is promised
                assert_same_gradients(actual[1], expected[1], 2e-5)
        except Exception as error:
            for graph in backend.graphs[-1:]:
                error.add_note(described(graph.module, _rewritten(backend), expected, actual))
            raise
    return backend.graphs[0].findings()


def _rewritten(backend: Backend) -> fx.GraphModule | None:
    """What became of the last graph; None where the passes failed."""
    with suppress(Exception):
        return backend.graphs[-1].with_op() if backend.op else backend.graphs[-1].with_sdpa()
    return None


def _repeated(plan: Plan, t: Tensor) -> Tensor:
    if plan.group == 1:
        return t
    b, h, n, d = t.shape
    if plan.odd == "tile":
        return t.repeat(1, plan.group, 1, 1)
    if plan.grouping == "interleave":
        return t.repeat_interleave(plan.group, dim=1)
    return t[:, :, None].expand(b, h, plan.group, n, d).reshape(b, h * plan.group, n, d)


def _transposed(plan: Plan, t: Tensor) -> Tensor:
    if plan.transposed == "permute":
        return t.permute(*range(t.dim() - 2), -1, -2)
    if plan.transposed == "mT":
        return t.mT
    return t.transpose(-1, -2) if plan.transposed == "transpose" else t.swapaxes(-2, -1)


def _product(plan: Plan, a: Tensor, b: Tensor, letters: str) -> Tensor:
    if plan.product == "einsum":
        return torch.einsum(letters, a, b)
    if plan.product == "sums":
        return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)
    if a.dim() == 3 and plan.product == "matmul":
        return torch.bmm(a, b)
    return a @ b if plan.product == "operator" else torch.matmul(a, b)


def _mode(plan: Plan, stage: str) -> contextlib.AbstractContextManager[Any]:
    """Gradient mode of a stage."""
    is_off = plan.unrecorded == stage or (plan.unrecorded == "all but softmax" and stage != "softmax")
    return torch.set_grad_enabled(not is_off)


def _four(
    plan: Plan, q: Tensor, k: Tensor, v: Tensor, padding: Tensor, keep: Tensor, bias: Tensor, scale: Tensor
) -> Tensor:
    with _mode(plan, "operands"):
        k, v = _repeated(plan, k), _repeated(plan, v)
        if plan.rank == "tied":
            bias, scale = bias[:1], scale[:1]
        if plan.odd == "swap_heads" and plan.heads == plan.n_k:
            k = k.transpose(1, 2)
        if plan.odd == "sliced" and plan.n_k > 2:
            k, v, padding, keep, bias = k[:, :, 1:], v[:, :, 1:], padding[:, 1:], keep[:, 1:], bias[..., 1:]
        q, k = _scaled_operands(plan, q, k)
        if plan.rank == "positions_first":
            q, k, v = (t.transpose(1, 2).contiguous() for t in (q, k, v))
        elif plan.rank == "merged":
            q, k, v = (t.reshape(-1, *t.shape[2:]) for t in (q, k, v))
    with _mode(plan, "scores"):
        if plan.rank == "positions_first":
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k)
        elif plan.rank == "tied":  # all heads share one map
            scores = torch.einsum("bhqd,bhkd->bqk", q, k)[:, None]
        else:
            letters = "xqd,xkd->xqk" if plan.rank == "merged" else "bhqd,bhkd->bhqk"
            scores = _product(plan, q, k if plan.product == "einsum" else _transposed(plan, k), letters)
        if plan.rank == "merged":
            scores = scores.view(plan.batch, plan.heads, *scores.shape[1:])
        if plan.odd == "transpose_scores" and scores.shape[-1] == scores.shape[-2]:
            scores = scores.transpose(-1, -2)
    with _mode(plan, "scaled"):
        scores = _capped(plan, _scaled_scores(plan, scores, scale[:, None, None]), bias)
        if plan.relative and plan.rank == "four":
            scores = scores + torch.einsum("bhqd,hkd->bhqk", q[..., :1], k[0, :, :, -1:])
    weights = _weights(plan, scores, padding[:, None, None], keep, bias, scale[:, None, None])
    with _mode(plan, "after"):
        if plan.odd == "weights_scaled":
            weights = weights * scale[:, None, None]
    with _mode(plan, "output"):
        if plan.rank == "positions_first":
            return _ended(plan, torch.einsum("bhqk,bkhe->bqhe", weights, v).transpose(1, 2))
        if plan.rank == "tied":
            return _ended(plan, torch.einsum("bqk,bhke->bhqe", weights[:, 0], v))
        if plan.rank == "merged":
            out = _product(plan, weights.flatten(0, 1), v, "xqk,xke->xqe")
            return _ended(plan, out.view(plan.batch, plan.heads, *out.shape[1:]))
        out = _product(plan, weights, v, "bhqk,bhke->bhqe")
        return _ended(plan, out / weights.sum(-1, keepdim=True) if plan.softmax == "later" else out)


def _five(
    plan: Plan, q: Tensor, k: Tensor, v: Tensor, padding: Tensor, keep: Tensor, bias: Tensor, scale: Tensor
) -> Tensor:
    parted = (plan.kv_heads, plan.group)
    with _mode(plan, "operands"):
        q, k = _scaled_operands(plan, q, k)
        q = q.unflatten(1, parted)
        k, v = k[:, :, None], v[:, :, None]
    with _mode(plan, "scores"):
        scores = q @ _transposed(plan, k)
    with _mode(plan, "scaled"):
        scores = _scaled_scores(plan, scores, scale.view(*parted, 1, 1))
        scores = _capped(plan, scores, bias.unflatten(0, parted))
    masks = padding[:, None, None, None], keep, bias.unflatten(0, parted)
    weights = _weights(plan, scores, *masks, scale.view(*parted, 1, 1))
    with _mode(plan, "output"):
        return _ended(plan, torch.matmul(weights, v).flatten(1, 2))


def _weights(plan: Plan, scores: Tensor, padding: Tensor, keep: Tensor, bias: Tensor, by_head: Tensor) -> Tensor:
    with _mode(plan, "masked"):
        scores = _masked(plan, scores, padding, keep, bias)
    with _mode(plan, "softmax"):
        weights = _softmax(plan, scores, by_head)
    with _mode(plan, "after"):
        return _after(plan, weights, padding, keep)


def _scaled_operands(plan: Plan, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    if plan.scale == "query":
        q = q * plan.d**-0.5
    if plan.scale == "both":
        q, k = q * 0.7, k / 1.3
    return q, k


def _scaled_scores(plan: Plan, scores: Tensor, by_head: Tensor) -> Tensor:
    if plan.scale == "div":
        scores = scores / math.sqrt(plan.d)
    if plan.scale == "mul":
        scores = scores * plan.d**-0.5 * 1.5
    if plan.scale == "in_place":
        scores /= math.sqrt(plan.d)
    if plan.scale == "tensor":
        scores = scores / torch.full([], plan.d**0.5, dtype=scores.dtype)
    if plan.scale == "double":
        scores = scores * torch.full([], plan.d**-0.5, dtype=torch.float64)
    if plan.scale == "head":
        scores = scores * by_head
    return -scores if plan.odd == "negative" else scores


def _capped(plan: Plan, scores: Tensor, bias: Tensor) -> Tensor:
    if plan.odd == "row_under_cap":
        scores = scores + bias[..., :1]
    if plan.clamp == "shifted":  # by what is the same for all keys, and by all that are above the largest
        scores = torch.clamp(scores - scores.max(), min=-1.5, max=50000.0)
    if plan.cap == "tanh":
        scores = torch.tanh(scores / 2.0) * 2.0
    if plan.cap == "float":
        scores = (scores.double() * 0.25).tanh().mul(4).to(scores.dtype)
    if plan.clamp == "both":
        return scores.clamp(-0.6, 0.8)
    if plan.clamp == "floor":
        return torch.maximum(scores, torch.tensor(-0.5))
    return scores.clamp(max=0.7) if plan.clamp == "ceiling" else scores


def _after(plan: Plan, weights: Tensor, padding: Tensor, given: Tensor) -> Tensor:
    """What is done to the probabilities: the mask that the scores had, if they had it, or another one."""
    keep = given if "any_bool" in plan.masks else padding
    if plan.odd == "masked_by_another":
        return weights.masked_fill(~keep, 0.0)
    if plan.after == "mean":  # which nobody reads
        weights.float().mean(1).clone()
    if plan.after == "nan":
        return weights.nan_to_num(0.0)
    if plan.after == "isnan":
        return torch.where(torch.isnan(weights), 0.0, weights)
    if plan.masks in (("any_bool",), ("padding_bool",)):
        if plan.after == "masked":
            return weights.masked_fill(~keep, 0)
        if plan.after == "in_place":
            weights = weights.clone()  # softmax needs what it gave for its gradient
            weights.masked_fill_(~keep, 0.0)
        if plan.after == "times":
            return weights * keep.to(weights.dtype)
    return weights


def _masked(plan: Plan, scores: Tensor, padding: Tensor, given: Tensor, bias: Tensor) -> Tensor:
    n, m = scores.shape[-2:]
    low = {"min": torch.finfo(scores.dtype).min, "-inf": -math.inf, "1e30": -1e30, "2e4": -2e4}[plan.fill]
    for kind in plan.masks:
        rows, keys = torch.arange(n)[:, None], torch.arange(m)[None, :]
        if plan.odd == "anti_causal":
            rows, keys = keys.T, rows.T
            rows, keys = (
                rows[:n] if rows.shape[0] >= n else torch.zeros(n, 1),
                keys[:, :m] if n >= m else torch.ones(1, m),
            )
        if kind == "tril":
            scores = scores.masked_fill(torch.tril(torch.ones(n, m)) == 0, low)
        elif kind == "triu_add":
            scores = scores + torch.triu(torch.full((n, m), low), diagonal=1)
        elif kind == "arange":
            scores = scores + torch.where(keys <= rows, 0.0, low)
        elif kind == "offset":
            scores = torch.where(keys <= rows + (m - n), scores, low)
        elif kind == "window":
            scores = scores.masked_fill(~((keys <= rows) & (keys > rows - 3)), low)
        elif kind == "padding_bool":
            scores = scores.masked_fill(~padding, low)
        elif kind == "padding_extended":
            scores += (1.0 - padding.to(scores.dtype)) * torch.finfo(scores.dtype).min
        elif kind == "any_bool":
            scores = torch.where(given, scores, low)
        elif kind == "bias":
            scores = scores + bias
        elif kind == "row_bias":
            scores = bias[..., :1] + scores
        elif kind == "one_number":
            scores = scores + 0.5 * bias.mean()
        elif kind == "prefix":
            scores = scores.masked_fill(~((keys <= rows) | (keys < 2)), low)
        elif kind == "hstack" and m > n:
            scores = scores + torch.hstack([torch.zeros(n, m - n), torch.full((n, n), low).triu(1)])
        elif kind == "log_band":
            band = torch.tril(torch.triu(torch.ones(n, m), -3))
            scores = scores + torch.log(band)
        elif kind == "filled":
            scores = scores + torch.triu(torch.zeros(n, m).fill_(low), 1)
        elif kind == "times_ones":
            ones = torch.tril(torch.ones(n, m))
            scores = scores * ones + -1e4 * (1 - ones)
        elif kind == "uint8":  # which wraps around
            scores = scores.masked_fill((keys * 60).to(torch.uint8) > (rows * 60).to(torch.uint8), low)
        elif kind == "unsigned":
            scores = scores.masked_fill(rows.to(torch.uint8) - keys.to(torch.uint8) > 3, low)
        elif kind == "int32":
            scores = scores.masked_fill(keys.to(torch.int32) * 2**28 > rows.to(torch.int32) * 2**28, low)
        elif kind == "bfloat16":  # 256, 256, 258, 260
            scores = torch.where((keys + 254).bfloat16() <= (rows + 254).bfloat16(), scores, low)
        elif kind.startswith("set_") or kind == "added_in_part":
            scores = _written(kind, scores.clone(), given, bias, low)
        elif kind == "rows":  # whole rows without keys
            scores = scores.masked_fill(~given[:, :1], low)
        elif kind == "rows_added":
            scores = scores + torch.where(given[:, :1], 0.0, low)
        elif kind == "documents":
            scores = torch.where(torch.div(keys, 3, rounding_mode="floor") == rows // 3, scores, low)
    return scores.clamp(-2.0, 1.0) if plan.odd == "late_clamp" else scores


def _written(kind: str, scores: Tensor, given: Tensor, bias: Tensor, low: float) -> Tensor:
    """A part of the scores is written in place."""
    if kind == "set_slice":
        scores[..., 1:, 2:] = low
    elif kind == "set_mask":
        scores[~given.expand_as(scores)] = low
    elif kind == "set_diagonal":
        scores.diagonal(1, -2, -1).fill_(low)
    elif kind == "set_rows":
        at = torch.arange(min(scores.shape[-2:]))
        scores[..., at, at] = low
    else:
        scores[..., 1:, 1:] += bias[..., 1:, :-1]
    return scores


def _softmax(plan: Plan, scores: Tensor, by_head: Tensor) -> Tensor:
    """The probabilities; over one more score, a sink of each head, which is then left out."""
    if not plan.sink or plan.odd == "softmax_dim":
        return _probabilities(plan, scores)
    sink = by_head.expand(*scores.shape[:-1], 1)
    if plan.sink == "front":
        return _probabilities(plan, torch.cat([sink, scores], -1))[..., 1:]
    return _probabilities(plan, torch.cat([scores, sink], -1))[..., :-1]


def _probabilities(plan: Plan, scores: Tensor) -> Tensor:
    dim = -2 if plan.odd == "softmax_dim" else -1
    if plan.softmax == "method":
        return scores.softmax(dim)
    if plan.softmax == "dtype":
        return F.softmax(scores, dim=dim, dtype=torch.float64).to(scores.dtype)
    if plan.softmax == "module":
        return torch.nn.Softmax(dim=dim)(scores)
    if plan.softmax == "log":
        return scores.log_softmax(dim).exp()
    if plan.softmax in ("below", "bare", "later"):
        e = torch.exp(scores if plan.softmax == "bare" else scores - scores.amax(dim, keepdim=True))
        return e if plan.softmax == "later" else e / e.sum(dim, keepdim=True)
    weights = torch.softmax(scores, dim=scores.dim() + dim)
    if plan.softmax in ("dropout", "dropped"):
        return F.dropout(weights, p=0.1, training=plan.softmax == "dropped")
    return weights


def _ended(plan: Plan, out: Tensor) -> Tensor:
    if plan.end == "join":
        return out.transpose(1, 2).reshape(out.shape[0], out.shape[2], -1)
    if plan.end == "view" and plan.rank == "four" and plan.product != "einsum":
        return out.view(out.shape[0], -1, out.shape[-1])
    return out.transpose(1, 2) if plan.end == "transpose" else out
