"""Put the attention call where the region was, in a copy of the graph, and drop what nothing reads any more.

A `Lowering` says what to call: SDPA, which PyTorch keeps well, or the op of the kernels room. Everything else about the
call follows from the site's spec. The original module is never changed.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy
import torch
import torch.nn.functional as F
from torch import fx

from .algebra import where
from .alignment import is_misaligned
from .alike import Alike
from .canonical import CanonicalView, called
from .copying import copied_graph
from .dataflow import Dataflow
from .emit import Emitter
from .expression import Apply, Expr, Load, Number, walk
from .masks import as_tensor
from .purity import is_pure
from .score import LOST
from .spec import NAN_ROWS, AttentionSite, AttentionSpec, Curve, MaskSpec, Rejected, RejectionCode
from .symbols import Roots
from .vocabulary import SDPA, VIEWS

# Views of a result that fail on strides other than those the graph was traced with.
STRIDE_BOUND = frozenset(("view", "view_as", "as_strided", "_unsafe_view"))
# Words whose result has the strides of what goes in.
HANDING_ON = VIEWS | {"add", "sub", "mul", "div", "neg", "tanh", "minimum", "maximum", "clamp", "where", "masked_fill"}
HANDING_ON |= {"dropout", "nan_to_num", "where_method"}


@dataclass(frozen=True)
class Lowering:
    """How a site is written. target: "sdpa" or "op"; arguments: keyword arguments of the op's algorithm.

    SDPA takes any mask, as a tensor where it has no argument for it (`fits_sdpa`), but no curve and no sink.
    """

    target: str
    arguments: Mapping[str, int | float | str] = field(default_factory=dict)


EXACT_OP = Lowering("op", {"algorithm": "exact"})


def fits_sdpa(site: AttentionSite) -> bool:
    """Whether one SDPA call computes the site exactly with no mask tensor that the graph does not already hold.

    On distributed tensors it does not: what SDPA becomes there is for many devices not known to PyTorch's sharding.
    Nor where its kernels may be given rows that they cannot read; nor under vmap on a CPU, where it runs once for each.
    """
    spec, mask = site.spec, site.spec.mask
    if site.vmapped and spec.device.type != "cuda":
        return False
    if site.distributed or site.coarse_rows or is_misaligned(site):
        return False
    if any(part is not None for part in (mask.key_mask, mask.sliding_window, mask.first_key, mask.stop_key)):
        return False
    if mask.groups or not spec.curve.is_straight or spec.sink is not None:
        return False
    return mask.causal_offset is None or (mask.causal_offset == 0 and site.spec.bias is None)


@dataclass(frozen=True)
class Rewritten:
    """A copy of a module with sites written in, and the sites that could not be written after all, with the reason."""

    module: fx.GraphModule
    refused: tuple[tuple[AttentionSite, Rejected], ...]


def rewrite(module: fx.GraphModule, lowered: Sequence[tuple[AttentionSite, Lowering]], body: bool = False) -> Rewritten:
    """A copy of the module with every given site written as its lowering says. The module itself is not changed.

    body: it is run by a higher-order operator, which may compare the strides of what it gives with those recorded.
    """
    view = CanonicalView(module)
    flow = Dataflow(view)
    graph, copied = copied_graph(module)
    refused: list[tuple[AttentionSite, Rejected]] = []
    replaced: set[fx.Node] = set()
    draws = _Draws(view)
    for site, lowering in lowered:
        emitter = Emitter(view, copied, site.output, site.roots, site.spec.device, site.spec.score_dtype)
        try:
            draws.check(site)
            new = _attention(emitter, view, flow, site, lowering, body)
        except Rejected as why:
            emitter.take_back()
            refused.append((site, why))
            continue
        old = copied[site.output]
        new.meta.update(old.meta)
        old.replace_all_uses_with(new)
        replaced.update(copied[node] for node in _drawing(view, flow, site))
        copied[site.output] = new
    drop_dead(CanonicalView(module, graph), graph, replaced)
    graph.lint()
    result = fx.GraphModule(module, graph)
    result.meta.update(module.meta)
    return Rewritten(result, tuple(refused))


class _Draws:
    """The operands of the sites with dropout that were written.

    PyTorch's compiler takes two calls of the same operands for one, dropout or not, and both would drop alike; it knows
    better of F.dropout.
    """

    def __init__(self, view: CanonicalView) -> None:
        self._view = view
        self._written: set[tuple[Any, ...]] = set()

    @functools.cached_property
    def _alike(self) -> Alike:
        return Alike(self._view)

    def check(self, site: AttentionSite) -> None:
        """Raises Rejected for a site with dropout whose operands an earlier one has."""
        if not site.spec.dropout_p:
            return
        operands = (site.query, site.key, site.value)
        key = tuple((self._alike.number(operand.node), operand.index) for operand in operands)
        if key in self._written:
            message = "an attention before it drops probabilities of the same queries, keys and values"
            raise Rejected(RejectionCode.DROPOUT, message, site.anchor)
        self._written.add(key)


def _attention(
    emitter: Emitter, view: CanonicalView, flow: Dataflow, site: AttentionSite, lowering: Lowering, body: bool
) -> fx.Node:
    roots = site.roots
    tensors = [
        emitter.operand(site.query, roots.query_position, roots.features),
        emitter.operand(site.key, roots.key_position, roots.features),
        emitter.operand(site.value, roots.key_position, roots.value_features),
    ]
    common = call_dtype(view, site)
    dtypes = [view.tensor(o.node).dtype for o in (site.query, site.key, site.value)]
    query, key, value = (
        t if d == common else emitter.method("to", t, common) for t, d in zip(tensors, dtypes, strict=True)
    )
    for factor in site.spec.factors:
        query = _multiplied(emitter, query, factor, site, common)
    if site.spec.curve.term is not None:
        query, key, site = _with_term(emitter, query, key, site, common)
    if site.spec.mask.filled is not None:
        query, key, value = _with_fills(emitter, query, key, value, site, common)
    write = _sdpa if lowering.target == "sdpa" else _op
    out = write(emitter, view, site, lowering, (query, key, value), common)
    wanted = view.tensor(site.output).dtype
    if wanted != common:
        out = emitter.method("to", out, wanted)
    for term in site.spec.unseen:  # 0, and a gradient of 0; NaN where the scores would have been infinite
        number = emitter.tensor(term, ())
        out = emitter.call(operator.add, out, emitter.call(operator.sub, number, number))
    out = emitter.result(out, site.output_index)
    if _needs_strides(view, flow, site.output, body):
        out = _with_strides(emitter, out, view.tensor(site.output))
    if flow.written_after(site.output):  # unlike a product's, the output of such a call is kept for its gradient
        out = emitter.method("clone", out)
    return out


def _multiplied(emitter: Emitter, query: fx.Node, factor: Expr, site: AttentionSite, dtype: torch.dtype) -> fx.Node:
    """Queries times a factor over (b, h, i), in their own dtype: a tensor of no dims, which changes no dtype, has some
    here."""
    join, term = operator.mul, factor
    if isinstance(factor, Apply) and factor.name == "div" and factor.args[0] == Number(1.0):
        join, term = operator.truediv, factor.args[1]  # a divisor may be of fewer digits than its reciprocal
    if not any(isinstance(e, Load) and isinstance(emitter.view.value(e.node), torch.Tensor) for e in walk(term)):
        return emitter.call(join, query, emitter.tensor(term, emitter.score_axes))
    return emitter.method("to", emitter.call(join, query, emitter.query_tensor(term)), dtype)


def call_dtype(view: CanonicalView, site: AttentionSite) -> torch.dtype:
    """What queries, keys and values are cast to for the call that is written."""
    held = [view.tensor(o.node).dtype for o in (site.query, site.key, site.value)]
    common = functools.reduce(torch.promote_types, [*held, *_term_dtypes(view, site)])
    if site.spec.mask.filled is not None:  # without a gradient the bias fits into few bits (`_apart`)
        return site.spec.score_dtype if site.coarse_rows else common
    if common == torch.float16 and holds_too_low(view, site.spec, common):
        return site.spec.score_dtype  # its lowest number swallows no score where kernels add in float32
    return common


def _term_dtypes(view: CanonicalView, site: AttentionSite) -> list[torch.dtype]:
    """Those of the tensors that are added to the scores of a row: what they hold must not be rounded."""
    term = site.spec.curve.term
    held = [] if term is None else [view.value(at.node) for at in walk(term) if isinstance(at, Load)]
    return [value.dtype for value in held if isinstance(value, torch.Tensor) and value.dtype.is_floating_point]


def _with_term(
    emitter: Emitter, query: fx.Node, key: fx.Node, site: AttentionSite, dtype: torch.dtype
) -> tuple[fx.Node, fx.Node, AttentionSite]:
    """[scale·query, term] and [key, 1]: the product holds what is added to the scores of a row."""
    spec = site.spec
    assert spec.curve.term is not None
    term = emitter.method("to", emitter.query_tensor(spec.curve.term), dtype)
    term = emitter.method("expand", term, *map(emitter.size, (spec.batch, spec.heads, spec.n_q)), 1)
    if spec.scale != 1.0:
        query = emitter.call(operator.mul, query, spec.scale)
    query = emitter.call(torch.cat, (query, term), -1)
    return query, emitter.call(F.pad, key, (0, 1), value=1.0), replace(site, spec=replace(spec, scale=1.0))


def _with_fills(
    emitter: Emitter, query: fx.Node, key: fx.Node, value: fx.Node, site: AttentionSite, dtype: torch.dtype
) -> tuple[fx.Node, fx.Node, fx.Node]:
    """Keys and values twice, the second time with keys of zeros: a pair whose bias stands in the place of its score
    sees the second alone (`_apart`), any other the first. Queries of zeros where all scores are lost in rounding, if
    the bias is to be counted from its maximum."""
    if site.distributed:
        message = "masks of different kinds meet on distributed tensors"
        raise Rejected(RejectionCode.PLACEMENT, message, site.anchor)
    if dtype != site.spec.score_dtype:
        lost = -LOST / torch.finfo(site.spec.score_dtype).eps
        query = emitter.call(torch.where, emitter.call(operator.gt, _top(emitter, site.spec), lost), query, 0.0)
    zeros = emitter.call(torch.zeros_like, key)
    return query, emitter.call(torch.cat, (key, zeros), 2), emitter.call(torch.cat, (value, value), 2)


def _top(emitter: Emitter, spec: AttentionSpec) -> fx.Node:
    """The maximum of each row of the bias."""
    assert spec.bias is not None
    return emitter.method("amax", emitter.score_tensor(spec.bias), -1, keepdim=True)


def _apart(emitter: Emitter, spec: AttentionSpec, bias: fx.Node, filled: Expr, dtype: torch.dtype) -> fx.Node:
    """The bias of keys that stand twice (`_with_fills`), in this dtype.

    Where that has fewer digits than the scores, it is counted from the maximum of the row, which softmax does not see:
    a large number that is the same for all keys takes no digits from what is added to it.
    """
    if dtype != spec.score_dtype:
        top = _top(emitter, spec)
        known = emitter.call(operator.gt, top, float("-inf"))
        bias = emitter.call(operator.sub, bias, emitter.call(torch.where, known, top, 0.0))
        bias = _as_float(emitter, bias, dtype)
    instead = emitter.score_tensor(filled)
    halves = [
        emitter.call(torch.where, instead, float("-inf"), bias),
        emitter.call(torch.where, instead, bias, float("-inf")),
    ]
    count = emitter.size(spec.n_k)
    return emitter.call(torch.cat, [emitter.method("expand", half, -1, -1, -1, count) for half in halves], -1)


def _needs_strides(view: CanonicalView, flow: Dataflow, node: fx.Node, body: bool) -> bool:
    """Whether some reader views the result in a way that holds for its own strides only, or it is written later.

    body: whether the output of the graph is such a reader.
    Element-wise steps, copies and views hand strides on.
    """
    if flow.written_after(node):
        return True
    stack, seen = [node], {node}
    while stack:
        for user in stack.pop().users:
            name = called(user)
            if name in STRIDE_BOUND or (body and user.op == "output"):
                return True
            word = view.op(user).word
            if user not in seen and (word in HANDING_ON or name in ("clone", "to")) and name != "contiguous":
                seen.add(user)
                stack.append(user)
    return False


def _with_strides(emitter: Emitter, out: fx.Node, recorded: torch.Tensor) -> fx.Node:
    """The result with its dims in the order in memory that the graph recorded."""
    strides = [s.node.hint if isinstance(s, torch.SymInt) else s for s in recorded.stride()]
    sizes = [s.node.hint if isinstance(s, torch.SymInt) else s for s in recorded.shape]
    order = sorted(range(len(strides)), key=lambda d: (-strides[d], -sizes[d], d))
    if order == sorted(order):
        return emitter.method("contiguous", out)
    back = [order.index(d) for d in range(len(order))]
    return emitter.method("permute", emitter.method("contiguous", emitter.method("permute", out, *order)), *back)


def _sdpa(
    emitter: Emitter,
    view: CanonicalView,
    site: AttentionSite,
    lowering: Lowering,
    operands: tuple[fx.Node, fx.Node, fx.Node],
    dtype: torch.dtype,
) -> fx.Node:
    if site.distributed:
        raise Rejected(RejectionCode.DROPOUT, "dropout on distributed tensors", site.anchor)
    if site.coarse_rows and (_tells_pairs_apart(site) or not _keeps_rows(site)):
        message = "dropout, and a row may be left to large numbers that are added to its scores"
        raise Rejected(RejectionCode.DROPOUT, message, site.anchor)
    if not fits_sdpa(site):
        site = replace(site, spec=replace(site.spec, mask=as_tensor(site.spec.mask, site.roots)))
    spec, mask = site.spec, site.spec.mask
    arguments: dict[str, Any] = {"scale": spec.scale}
    if spec.dropout_p:
        arguments["dropout_p"] = spec.dropout_p
    if mask.causal_offset is not None:
        arguments["is_causal"] = True
    if spec.kv_heads != spec.heads:
        arguments["enable_gqa"] = True
    bias = _joined(emitter, view, site, dtype)
    query, key, value = operands
    if bias is not None and mask.other is not None and mask.empty_rows in ("mean", "level"):
        takes_gradient = mask.empty_rows == "level" and view.carries_gradient(site.output)
        query, key, bias = _with_level_rows(emitter, spec, mask.other, query, key, bias, takes_gradient)
    if bias is not None:
        arguments["attn_mask"] = bias
    out = emitter.call(SDPA, query, key, value, **arguments)
    if bias is not None and mask.empty_rows in NAN_ROWS:
        keep = emitter.score_tensor(mask.other) if spec.bias is None and mask.other is not None else None
        if keep is None:
            keep = emitter.call(operator.gt, bias, float("-inf"))
        seen = emitter.method("any", keep, -1, keepdim=True)
        out = _with_nan_rows(emitter, spec, mask, out, value, seen, dtype, view.carries_gradient(site.output))
    return out


def _tells_pairs_apart(site: AttentionSite) -> bool:
    """Whether only some scores of a row take a gradient."""
    return site.spec.mask.replaced is not None or site.spec.mask.filled is not None


def _with_nan_rows(
    emitter: Emitter,
    spec: AttentionSpec,
    mask: MaskSpec,
    out: fx.Node,
    value: fx.Node,
    seen: fx.Node,
    dtype: torch.dtype,
    takes_gradient: bool,
) -> fx.Node:
    """SDPA's output with NaN for queries that see no key, and their gradient: NaN for all values of a head, and where
    −inf was added to scores for that query and all keys, which SDPA's own backward makes of a NaN."""
    if not takes_gradient:
        return emitter.call(torch.where, seen, out, float("nan"))
    factor = _as_float(emitter, emitter.call(torch.where, seen, 1.0, float("nan")), dtype)
    if mask.empty_rows == "nan_added":
        return emitter.call(operator.mul, out, factor)
    mean = emitter.method("mean", value, -2, keepdim=True)
    if spec.kv_heads != spec.heads:
        mean = emitter.method("repeat_interleave", mean, spec.heads // spec.kv_heads, -3)
    nothing = emitter.call(operator.sub, factor, 1.0)
    return emitter.call(torch.where, seen, out, emitter.call(operator.mul, mean, nothing))


def _keeps_rows(site: AttentionSite) -> bool:
    """Whether SDPA with dropout keeps the weights of a row whose bias holds fills alone: that on a CPU does."""
    return site.spec.bias is None or site.spec.mask.other is not None or site.spec.device.type == "cpu"


def _with_level_rows(
    emitter: Emitter,
    spec: AttentionSpec,
    keep: Expr,
    query: fx.Node,
    key: fx.Node,
    mask: fx.Node,
    takes_gradient: bool,
) -> tuple[fx.Node, fx.Node, fx.Node]:
    """Queries, keys and mask of SDPA for a mean in rows without keys: scores of 0, for all keys, of queries of zeros.

    A fill in all of their scores gives the mean too, but flash attention's lse is lost in it, and so is its gradient.
    takes_gradient: scores, and the bias, take that of equal weights: to each is added what takes it off again, and
    passes nothing back.
    """
    seen = emitter.method("any", emitter.score_tensor(keep), -1, keepdim=True)
    if takes_gradient:
        undone = emitter.call(torch.where, seen, 0.0, emitter.call(operator.neg, query))
        query = emitter.call(torch.cat, (query, emitter.method("detach", undone)), -1)
        key = emitter.call(torch.cat, (key, emitter.method("detach", key)), -1)
    else:
        query = emitter.call(torch.where, seen, query, 0.0)
    if spec.bias is None:
        return query, key, emitter.call(torch.logical_or, mask, emitter.call(torch.logical_not, seen))
    level: float | fx.Node = 0.0
    if takes_gradient:
        bias = emitter.score_tensor(spec.bias)
        level = emitter.call(operator.sub, bias, emitter.method("detach", bias))
    return query, key, emitter.call(torch.where, seen, mask, level)


def _joined(emitter: Emitter, view: CanonicalView, site: AttentionSite, dtype: torch.dtype) -> fx.Node | None:
    """Bias and unlifted mask as one tensor for `attn_mask` or `bias`: bool where there is only a mask, else with −inf.

    Behind a fill that was added to scores a bias still takes the gradient of a row without keys.
    """
    spec, mask = site.spec, site.spec.mask
    if mask.other is None and spec.bias is not None:
        bias = emitter.score_tensor(spec.bias)
        if mask.filled is not None:
            return _apart(emitter, spec, bias, mask.filled, dtype)
        if holds_too_low(view, spec, dtype):  # what is finite stays finite
            lowest = emitter.method("clamp", bias, min=torch.finfo(dtype).min)
            bias = emitter.call(torch.where, emitter.call(operator.gt, bias, float("-inf")), lowest, bias)
        return _as_float(emitter, bias, dtype)
    if mask.other is None:
        return None
    if spec.bias is None:
        return emitter.score_tensor(mask.other)
    hard = Number(float("-inf"))
    if mask.empty_rows == "level":
        joined: Expr = Apply("add", (spec.bias, where(mask.other, Number(0.0), hard)))
    else:
        joined = where(mask.other, spec.bias, hard)
    return _as_float(emitter, emitter.score_tensor(joined), dtype)


def holds_too_low(view: CanonicalView, spec: AttentionSpec, dtype: torch.dtype) -> bool:
    """Whether the bias may hold finite numbers that are −inf in a dtype: of scores that were cast to a wider one."""
    if spec.bias is None or torch.finfo(spec.score_dtype).max <= torch.finfo(dtype).max:
        return False
    limits = torch.finfo(dtype)
    for at in walk(spec.bias):
        held = view.value(at.node) if isinstance(at, Load) else None
        if isinstance(held, torch.Tensor) and held.dtype.is_floating_point and torch.finfo(held.dtype).max > limits.max:
            return True
        if isinstance(at, Number) and math.isfinite(at.value) and at.value < limits.min:
            return True
    return False


def _as_float(emitter: Emitter, node: fx.Node, dtype: torch.dtype) -> fx.Node:
    return emitter.method("to", node, dtype)


def _op(
    emitter: Emitter,
    view: CanonicalView,
    site: AttentionSite,
    lowering: Lowering,
    operands: tuple[fx.Node, fx.Node, fx.Node],
    dtype: torch.dtype,
) -> fx.Node:
    import hyperrewrite.kernels.ops  # noqa: F401  (the schema of the op; nothing else of that room is used)

    if site.spec.dropout_p:
        raise Rejected(RejectionCode.DROPOUT, "the op has no dropout", site.anchor)
    if site.distributed:
        _register_sharding(site)
    spec, mask, roots = site.spec, site.spec.mask, site.roots
    key_mask = None
    if mask.key_mask is not None:
        key_mask = emitter.tensor(mask.key_mask, (roots.batch, roots.key_position))
        key_mask = emitter.method("expand", key_mask, -1, emitter.size(spec.n_k))
    bias = _joined(emitter, view, site, dtype)
    if bias is not None and mask.other is not None and spec.bias is None:
        zero = emitter.call(torch.where, bias, 0.0, float("-inf"))
        bias = _as_float(emitter, zero, dtype)
    arguments = _ranges(emitter, site)
    if mask.replaced is not None:
        arguments["replaced"] = emitter.score_tensor(mask.replaced)
    if mask.causal_offset is not None:
        arguments["causal_offset"] = emitter.size(mask.causal_offset)
    if mask.sliding_window is not None:
        arguments["sliding_window"] = emitter.size(mask.sliding_window)
    arguments |= {"scale": spec.scale, "empty_rows": mask.empty_rows, **lowering.arguments}
    both = emitter.call(torch.ops.hyper.attention.default, *operands, key_mask, bias, **arguments)
    out = emitter.call(operator.getitem, both, 0)
    if spec.sink is None:
        return out
    # One more score without a value leaves every weight smaller by Σ / (Σ + e^sink) = sigmoid(lse − sink).
    sink = emitter.method("squeeze", emitter.query_tensor(spec.sink), -1)
    kept = emitter.call(torch.sigmoid, emitter.call(operator.sub, emitter.call(operator.getitem, both, 1), sink))
    scaled = emitter.call(operator.mul, out, emitter.method("unsqueeze", kept, -1))
    return emitter.method("to", scaled, dtype)


def _register_sharding(site: AttentionSite) -> None:
    from hyperrewrite.kernels import sharding

    try:
        sharding.register()
    except (ImportError, AttributeError) as error:  # parts of PyTorch that it does not promise to keep
        message = f"this PyTorch cannot be told how the op is sharded: {error}"
        raise Rejected(RejectionCode.PLACEMENT, message, site.anchor) from None


def _ranges(emitter: Emitter, site: AttentionSite) -> dict[str, Any]:
    """The op's arguments for key ranges, groups and the curve; tensors of O(n) elements."""
    spec, mask, roots = site.spec, site.spec.mask, site.roots
    arguments: dict[str, Any] = {}
    for name, expr in (("first_key", mask.first_key), ("stop_key", mask.stop_key)):
        if expr is not None:
            rows = _rows(emitter, expr, roots.query_position, spec.n_q, roots)
            arguments[name] = emitter.method("to", rows, torch.int64)
    if mask.groups:
        sides = ((roots.query_position, spec.n_q, 0), (roots.key_position, spec.n_k, 1))
        for name, (position, count, side) in zip(("query_group", "key_group"), sides, strict=True):
            columns = [_rows(emitter, pair[side], position, count, roots) for pair in mask.groups]
            columns = [emitter.method("to", column, torch.int64) for column in columns]
            if len(columns) > 1:
                columns = list(emitter.each(torch.broadcast_tensors, columns))
            arguments[name] = emitter.call(torch.stack, columns, -1)
    if spec.curve.softcap:
        arguments["softcap"] = _softcap(emitter, spec.curve)
    return arguments | spec.curve.bounds


def _softcap(emitter: Emitter, curve: Curve) -> float | fx.Node:
    """The softcap, computed in the graph where only the graph knows it."""
    if curve.height is None:
        return curve.softcap
    height = emitter.call(operator.abs, emitter.tensor(curve.height, ()))
    return emitter.call(operator.mul, height, curve.softcap)


def _rows(emitter: Emitter, expr: Expr, position: sympy.Symbol | None, count: sympy.Expr, roots: Roots) -> fx.Node:
    """An expression over (b, position) as a tensor [batch or 1, count]."""
    node = emitter.tensor(expr, (roots.batch, position))
    if not isinstance(node, fx.Node):
        node = emitter.call(torch.full, (1, 1), node, device=emitter.device)
    return emitter.method("expand", node, -1, emitter.size(count))


def _drawing(view: CanonicalView, flow: Dataflow, site: AttentionSite) -> Iterator[fx.Node]:
    """The nodes of a site that draw random numbers: the SDPA call, or a dropout between softmax and output, which
    nobody else may read."""
    if site.anchor is site.output:
        yield site.anchor
    elif site.spec.dropout_p:
        between = view.nodes[view.position[site.anchor] : view.position[site.output]]
        yield from (n for n in between if view.op(n).word == "dropout" and flow.comes_from(n, site.anchor))


def drop_dead(view: CanonicalView, graph: fx.Graph, replaced: Container[fx.Node] = ()) -> None:
    """Erase what only the replaced regions read: words of the vocabulary, and what else only computes.

    replaced: nodes that drew random numbers for what is replaced. Any other such node stays, though nobody reads it:
    without it the next draws would be others.
    """
    flow = Dataflow(view)
    stack = [node for node in graph.nodes if not node.users and node.op in ("call_function", "call_method")]
    gone: set[fx.Node] = set()
    while stack:
        node = stack.pop()
        if node in gone or node.users or node.op not in ("call_function", "call_method", "get_attr"):
            continue
        op = view.op(node)
        if op.word in ("opaque", "dropout", "sdpa") and node not in replaced and not is_pure(view, node):
            continue
        if op.in_place and not flow.private(node):
            continue
        sources = list(node.all_input_nodes)
        graph.erase_node(node)
        gone.add(node)
        stack.extend(sources)
