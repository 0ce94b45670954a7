"""Read one scaled_dot_product_attention call: every argument, with the mask lifted like any other."""

from __future__ import annotations

import math
from dataclasses import replace

import sympy
from torch import fx

from .binding import Reading, bind
from .canonical import CanonicalView
from .contraction import adds
from .dataflow import Dataflow
from .eager import ValueSide
from .evaluate import Evaluator
from .expression import ZERO, Expr, Index, Int, Load, Number, Product, walk
from .products import captured
from .rules import RULES
from .rules_scores import dropped_share
from .score import MaskTerm, ScoreProgram, added_terms
from .spec import NAN_ROWS, AttentionSite, Rejected, RejectionCode
from .steps import Added, Kept, ScoreStep
from .symbols import Roots


def read_sdpa(view: CanonicalView, flow: Dataflow, node: fx.Node) -> tuple[AttentionSite, Evaluator]:
    """The site of a scaled_dot_product_attention call. Raises Rejected."""
    op = view.op(node)
    query, key, value = (op.get(name) for name in ("query", "key", "value"))
    if not all(isinstance(n, fx.Node) for n in (query, key, value)):
        raise Rejected(RejectionCode.SHAPES_UNKNOWN, "an operand of the call is no tensor of the graph", node)
    shapes = [view.shape(n) for n in (query, key, value)]
    out = view.shape(node)
    if len({len(s) for s in (*shapes, out)}) != 1 or len(out) < 2:
        raise Rejected(RejectionCode.LAYOUT, "the operands differ in rank", node)
    labels = (*(f"batch{k}" for k in range(len(out) - 2)), "row", "feature")
    sizes = dict(zip(labels, out, strict=True)) | {"key": shapes[1][-2]}
    batch = labels[:-2]
    plan = ValueSide(node, (), value, (), batch, "row", "key", ("feature",), sizes)
    roots = plan.roots(None).with_features((shapes[0][-1],))
    at = plan.at(roots, None)
    evaluator = Evaluator(view, flow, roots.domain, RULES, output=node)
    p = evaluator.number(op.get("dropout_p", 0.0), (), node)
    dropout_p = float(dropped_share(p, node).value) if p is not None else 0.0
    lead = tuple(at[k] for k in batch)
    i, j, d, e = at["row"], at["key"], Int(roots.features[0]), at["feature"]
    q_at = _broadcast((*lead, i, d), shapes[0])
    k_at = _broadcast((*_shared(lead, shapes[1], roots, op.get("enable_gqa", False), node), j, d), shapes[1])
    v_at = _broadcast((*_shared(lead, shapes[2], roots, op.get("enable_gqa", False), node), j, e), shapes[2])
    scale = op.get("scale")
    if scale is None:
        width = shapes[0][-1]
        if not width.is_Integer:
            raise Rejected(RejectionCode.SHAPES_UNKNOWN, "the head dim is not known", node)
        scale = 1.0 / math.sqrt(int(width))
    factor = evaluator.number(scale, (), node)
    if factor is None:
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, "the scale is no number", node)
    scale, factors = (float(factor.value), ()) if isinstance(factor, Number) else (1.0, (factor,))
    if not 0 < scale < math.inf:
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, f"scores are multiplied by {scale}", node)
    biases, masks, steps = _sdpa_mask(view, evaluator, op.get("attn_mask"), (*lead, i, j), node)
    if op.get("is_causal", False) is True:
        one, two = (
            i.value if isinstance(i, Int) else sympy.Integer(0),
            j.value if isinstance(j, Int) else sympy.Integer(0),
        )
        causal = MaskTerm(roots.domain.at_most_zero(two - one), -math.inf, added=True)
        masks, steps = (*masks, causal), (*steps, Kept(causal.keep, causal.fill))
    program = ScoreProgram(None, scale, factors=factors, biases=biases, masks=masks, steps=steps)
    operands = ((query, q_at), (key, k_at), (value, v_at))
    dtype = view.tensor(node).dtype
    reading = Reading(evaluator, roots, *operands, (node,) * 3, program, dtype, dropout_p=dropout_p)
    index = _broadcast((*lead, i, e), out)
    site = bind(view, "sdpa", node, node, index, reading)
    if site.spec.mask.empty_rows in NAN_ROWS:  # SDPA gives zeros where eager −inf gives NaN
        site = replace(site, spec=replace(site.spec, mask=replace(site.spec.mask, empty_rows="zero")))
    return site, evaluator


def _broadcast(index: Index, sizes: tuple[sympy.Expr, ...]) -> Index:
    return tuple(ZERO if size == 1 else at for size, at in zip(sizes, index, strict=True))


def _shared(lead: Index, shape: tuple[sympy.Expr, ...], roots: Roots, gqa: bool, node: fx.Node) -> Index:
    """Leading position of a key or value tensor; with enable_gqa head h reads head h // group."""
    if not gqa or not roots.heads or len(lead) < 2:
        return lead
    group = sympy.cancel(roots.sizes[roots.heads[-1]] / shape[-3])
    if group == 1 or shape[-3] == 1:
        return lead
    if not (group.is_Integer or group.is_integer):
        raise Rejected(RejectionCode.LAYOUT, "the query heads are no multiple of the kv heads", node)
    return (*lead[:-1], Int(sympy.floor(roots.heads[-1] / group)))


def _sdpa_mask(
    view: CanonicalView, evaluator: Evaluator, mask: object, index: Index, node: fx.Node
) -> tuple[tuple[Expr, ...], tuple[MaskTerm, ...], tuple[ScoreStep, ...]]:
    if mask is None:
        return (), (), ()
    expr = evaluator.element(mask, index, node)
    if expr is None:
        raise Rejected(RejectionCode.SHAPES_UNKNOWN, "the mask is no tensor of the graph", node)
    products = [at for at in walk(expr) if isinstance(at, Product)]
    if any(adds(view, at.node) for at in products) and isinstance(mask, fx.Node):
        shape = view.shape(mask)
        expr = Load(mask, _broadcast(index[-len(shape) :], shape))  # its value is no product alone
    expr = captured(expr)  # Shaw's relative positions: queries times a table
    if evaluator.is_bool(mask):
        return (), (MaskTerm(expr, -math.inf, added=True),), (Kept(expr, -math.inf),)
    return *added_terms(expr, view.tensor(node).dtype), (Added(expr),)
