"""Find every softmax(QKᵀ)V of a graph and say what it computes, or why it is left alone.

An eager site is read from its end: the product with V gives the index symbols, and from there everything is pulled back:
probabilities to the softmax, the softmax's input through the score program to QKᵀ, QKᵀ to queries and keys. Nothing is
compared with a pattern: a dim, a permutation, a polarity or a scale is whatever the indices say it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import sympy
import torch
from torch import fx

from .canonical import CanonicalView
from .contraction import Contraction, contraction_of
from .dataflow import Dataflow
from .evaluate import Evaluator
from .expression import ZERO, Apply, Expr, Index, Int, Load, Number, Probability, conjunction, walk, where
from .masks import lift
from .operands import best, candidates, shared_group
from .score import MaskTerm, ScoreProgram, added_terms, score_program
from .spec import AttentionSite, AttentionSpec, MaskSpec, Operand, Rejected, Rejection, RejectionCode
from .symbols import Roots, position, symbol
from .views import Step

PASS_THROUGH = frozenset(
    ("transpose", "permute", "movedim", "t", "getattr", "reshape", "expand", "getitem", "identity", "cast", "dropout")
)
OPAQUE_ATTENTION = {"multi_head_attention": RejectionCode.OPAQUE_CALL}


@dataclass(frozen=True, slots=True)
class Findings:
    """Sites and rejections of one graph, each in graph order."""

    sites: tuple[AttentionSite, ...]
    rejections: tuple[Rejection, ...]


class NotAttention(Exception):
    """A softmax that has nothing to do with attention: neither a site nor worth a word."""


def find_sites(module: fx.GraphModule) -> Findings:
    """Every attention of a graph with recorded shapes (`example_value` or `val` in the meta). Changes nothing."""
    view = CanonicalView(module)
    flow = Dataflow(view)
    sites: list[AttentionSite] = []
    rejections: list[Rejection] = []
    for node in view.nodes:
        word = view.op(node).word
        code = OPAQUE_ATTENTION.get(word)
        if word == "opaque" and getattr(node.target, "__name__", str(node.target)) in (
            "flex_attention",
            "flex_attention_hop",
        ):
            code = RejectionCode.FLEX_ATTENTION
        try:
            if code is not None:
                raise Rejected(code, f"{node.name} is one call with attention inside", node)
            if word == "softmax":
                sites.append(_checked(view, flow, read_eager(view, flow, node)))
            elif word == "sdpa":
                sites.append(_checked(view, flow, read_sdpa(view, flow, node)))
        except NotAttention:
            continue
        except Rejected as why:
            rejections.append(Rejection(why.code, why.message, why.node, view.source(node)))
    return Findings(tuple(sites), tuple(rejections))


@dataclass(frozen=True, slots=True)
class Reading:
    """A site half read: evaluator and roots, positions of the operands, and the score program."""

    evaluator: Evaluator
    roots: Roots
    query: Step
    key: Step
    value: Step
    readers: tuple[fx.Node, fx.Node, fx.Node]
    scale: float
    factors: tuple[Expr, ...]
    biases: tuple[Expr, ...]
    masks: tuple[MaskTerm, ...]


# --- softmax between two products -------------------------------------------------------------------------------


def read_eager(view: CanonicalView, flow: Dataflow, softmax: fx.Node) -> tuple[AttentionSite, Evaluator]:
    """The site around a softmax. Raises Rejected or NotAttention."""
    op = view.op(softmax)
    source, dim = op.get("input"), op.get("dim")
    if not isinstance(source, fx.Node) or not isinstance(dim, int):
        raise NotAttention
    rank = len(view.shape(softmax))
    dim %= max(rank, 1)
    products, escapes = _readers_of_probabilities(view, softmax)
    if not products:
        if _comes_from_attention_scores(view, source, dim, rank):
            raise Rejected(
                RejectionCode.NO_VALUE_PRODUCT, "the probabilities do not reach a product with values", softmax
            )
        raise NotAttention
    product, probabilities = products[0]
    plan = _value_side(view, product, probabilities)
    reading = _read_back(view, flow, softmax, dim, product, plan, heads=None)
    heads = _merged_heads(reading)
    if heads is not None:
        reading = _read_back(view, flow, softmax, dim, product, plan, heads)
    if len(products) > 1 or escapes:
        other = escapes[0] if escapes else products[1][0].node
        message = f"the probabilities are also read by {other.name}"
        raise Rejected(RejectionCode.PROBABILITIES_ESCAPE, message, other)
    index = product.position(product.out_labels, plan.at(reading.roots, heads), view.shape(product.node))
    return _bind(view, "eager", softmax, product.node, index, reading), reading.evaluator


def _readers_of_probabilities(
    view: CanonicalView, softmax: fx.Node
) -> tuple[list[tuple[Contraction, fx.Node]], list[fx.Node]]:
    """Products that read the probabilities (with the operand they read), and whoever else reads them."""
    products: list[tuple[Contraction, fx.Node]] = []
    escapes: list[fx.Node] = []
    stack, seen = [softmax], {softmax}
    while stack:
        node = stack.pop(0)
        for user in node.users:
            contraction = contraction_of(view, user)
            if contraction is not None and (contraction.left is node) != (contraction.right is node):
                products.append((contraction, node))
            elif view.op(user).word in PASS_THROUGH and isinstance(view.value(user), torch.Tensor):
                if user not in seen:
                    seen.add(user)
                    stack.append(user)
            elif user.op == "output" or isinstance(view.value(user), torch.Tensor | tuple | list):
                escapes.append(user)
    return products, escapes


def _comes_from_attention_scores(view: CanonicalView, node: fx.Node, dim: int, rank: int) -> bool:
    """Whether softmax reads a square-ish product over its last dim: scores whose way to the values was not seen."""
    for _ in range(6):
        if contraction_of(view, node) is not None:
            return dim == rank - 1 and rank >= 3
        op = view.op(node)
        source = op.get("input", op.get("left"))
        if op.word == "opaque" or not isinstance(source, fx.Node):
            return False
        node = source
    return False


@dataclass(frozen=True, slots=True)
class ValueSide:
    """The labels of the product with V: batch dims in order, the query row, the summed key, the value feature."""

    probabilities: fx.Node
    probability_labels: tuple[str, ...]
    value: fx.Node
    value_labels: tuple[str, ...]
    batch: tuple[str, ...]
    row: str
    key: str
    feature: str
    sizes: dict[str, sympy.Expr]

    def roots(self, heads: sympy.Expr | None) -> Roots:
        """Symbols for the labels; `heads` splits a single merged batch dim into batch and heads."""
        sizes: dict[sympy.Symbol, sympy.Expr] = {}

        def root(name: str, size: sympy.Expr) -> sympy.Symbol | None:
            if size == 1:
                return None
            found = symbol(name)
            sizes[found] = size
            return found

        lead = [self.sizes[k] for k in self.batch]
        if heads is not None:
            lead = [sympy.cancel(lead[0] / heads), heads]
        batch = root("b", lead[0]) if lead else None
        names = ["h"] if len(lead) <= 2 else [f"h{k}" for k in range(len(lead) - 1)]
        head_symbols = tuple(s for n, size in zip(names, lead[1:], strict=False) if (s := root(n, size)) is not None)
        query, key = root("i", self.sizes[self.row]), root("j", self.sizes[self.key])
        value = root("e", self.sizes[self.feature])
        return Roots(batch, head_symbols, query, key, symbol("d"), value, sizes)

    def at(self, roots: Roots, heads: sympy.Expr | None) -> dict[str, Expr]:
        """Where each label stands, in root symbols."""
        found: dict[str, Expr] = {
            self.row: position(roots.query_position),
            self.key: position(roots.key_position),
            self.feature: position(roots.value_feature),
        }
        if heads is not None:
            b = roots.batch if roots.batch is not None else sympy.Integer(0)
            h = roots.heads[0] if roots.heads else sympy.Integer(0)
            found[self.batch[0]] = Int(sympy.expand(b * heads + h))
            return found
        left = list(roots.heads)
        for k, label in enumerate(self.batch):
            if self.sizes[label] == 1:
                found[label] = ZERO
            else:
                found[label] = position(roots.batch) if k == 0 else Int(left.pop(0))
        return found


def _value_side(view: CanonicalView, product: Contraction, probabilities: fx.Node) -> ValueSide:
    mine, theirs, value = product.left_labels, product.right_labels, product.right
    if product.right is probabilities:
        mine, theirs, value = product.right_labels, product.left_labels, product.left
    rows, features = product.only(mine, theirs), product.only(theirs, mine)
    if len(product.summed) != 1 or len(rows) != 1 or len(features) != 1:
        raise Rejected(RejectionCode.LAYOUT, "the product with values has no single row, key and feature", product.node)
    sizes: dict[str, sympy.Expr] = {}
    for node, labels in ((probabilities, mine), (value, theirs), (product.node, product.out_labels)):
        for label, size in zip(labels, view.shape(node), strict=True):
            if sizes.get(label, 1) == 1:
                sizes[label] = size
    batch = tuple(k for k in mine if k in product.out_labels and k not in rows)
    batch += tuple(k for k in product.out_labels if k in theirs and k not in features and k not in batch)
    return ValueSide(probabilities, mine, value, theirs, batch, rows[0], product.summed[0], features[0], sizes)


def _read_back(
    view: CanonicalView,
    flow: Dataflow,
    softmax: fx.Node,
    dim: int,
    product: Contraction,
    plan: ValueSide,
    heads: sympy.Expr | None,
) -> Reading:
    """Pull the product with V back to queries, keys and the score program."""
    roots = plan.roots(heads)
    at = plan.at(roots, heads)
    evaluator = Evaluator(view, flow, roots.domain, softmax)
    index = product.position(plan.probability_labels, at, view.shape(plan.probabilities))
    probability = evaluator.at(plan.probabilities, index, product.node)
    if not isinstance(probability, Probability):
        node = probability.origin[0] if isinstance(probability, Apply) and probability.origin else plan.probabilities
        message = f"the probabilities are changed at {node.name} before they meet the values"
        raise Rejected(RejectionCode.PROBABILITIES_CHANGED, message, node)
    if roots.key_position is None:
        raise Rejected(RejectionCode.LAYOUT, "there is a single key", softmax)
    summed = [k for k, p in enumerate(probability.index) if roots.key_position in _symbols(p)]
    if summed != [dim] or probability.index[dim] != Int(roots.key_position):
        raise Rejected(RejectionCode.SOFTMAX_DIM, f"softmax over dim {dim} does not run over the keys", softmax)
    source = view.op(softmax).get("input")
    dtype = view.tensor(source).dtype
    if not dtype.is_floating_point:
        raise Rejected(RejectionCode.DTYPE, f"softmax of {dtype}", softmax)
    program = _program(view, evaluator.at(source, probability.index, softmax), softmax, dtype)
    query, key, qk = _query_and_key(view, program, roots, softmax)
    value = (plan.value, product.position(plan.value_labels, at, view.shape(plan.value)))
    readers = (qk.node, qk.node, product.node)
    return Reading(
        evaluator, roots, query, key, value, readers, program.scale, program.factors, program.biases, program.masks
    )


def _program(view: CanonicalView, expr: Expr, softmax: fx.Node, dtype: torch.dtype) -> ScoreProgram:
    if isinstance(expr, Load):
        if _behind(view, expr.node):
            name = getattr(expr.node.target, "__name__", str(expr.node.target))
            message = f"between QKᵀ and softmax stands {name} ({expr.node.name})"
            raise Rejected(RejectionCode.NO_QUERY_KEY_PRODUCT, message, expr.node)
        raise NotAttention
    if not any(type(e).__name__ == "Product" for e in walk(expr)):
        opaque = next((e for e in walk(expr) if isinstance(e, Load) and _behind(view, e.node)), None)
        if opaque is None:
            raise NotAttention
        message = f"between QKᵀ and softmax stands {opaque.node.name}"
        raise Rejected(RejectionCode.NO_QUERY_KEY_PRODUCT, message, opaque.node)
    return score_program(expr, softmax, dtype)


def _behind(view: CanonicalView, node: fx.Node, depth: int = 8) -> bool:
    """Whether a product of the same shape stands a few steps behind an unread node."""
    if depth == 0 or not isinstance(view.value(node), torch.Tensor):
        return False
    if contraction_of(view, node) is not None:
        return True
    shape = view.shape(node)
    sources = [n for n in node.all_input_nodes if isinstance(view.value(n), torch.Tensor) and view.shape(n) == shape]
    return len(shape) >= 3 and any(_behind(view, n, depth - 1) for n in sources)


def _query_and_key(
    view: CanonicalView, program: ScoreProgram, roots: Roots, softmax: fx.Node
) -> tuple[Step, Step, Contraction]:
    node, index = program.product.node, program.product.index
    product = contraction_of(view, node)
    if product is None or len(product.summed) != 1:
        raise Rejected(RejectionCode.LAYOUT, f"{node.name} is no product of queries and keys", node)
    at: dict[str, Expr] = dict(zip(product.out_labels, index, strict=True))
    at[product.summed[0]] = Int(roots.feature)
    sides: list[Step] = []
    for operand, labels in ((product.left, product.left_labels), (product.right, product.right_labels)):
        sizes = view.shape(operand)
        sides.append((operand, product.position(labels, at, sizes)))
        roots.sizes.setdefault(roots.feature, sizes[labels.index(product.summed[0])])
    with_key = [
        k for k, (_, position_) in enumerate(sides) if any(roots.key_position in _symbols(p) for p in position_)
    ]
    if len(with_key) != 1:
        raise Rejected(RejectionCode.LAYOUT, f"in {node.name} not exactly one operand runs over the keys", node)
    query, key = sides[1 - with_key[0]], sides[with_key[0]]
    if any(roots.query_position is not None and roots.query_position in _symbols(p) for p in key[1]):
        raise Rejected(RejectionCode.LAYOUT, f"in {node.name} the keys differ from query to query", node)
    return query, key, product


def _symbols(expr: Expr) -> frozenset[sympy.Symbol]:
    return frozenset(s for e in walk(expr) if isinstance(e, Int) for s in e.value.free_symbols)


def _merged_heads(reading: Reading) -> sympy.Expr | None:
    """H, where the one batch dim is batch·H + head: some tensor behind the operands is read at x // H."""
    roots = reading.roots
    if roots.batch is None or roots.heads:
        return None
    for step in (reading.query, reading.key, reading.value):
        for _, index in reading.evaluator.views.trace(*step):
            for at in index:
                if isinstance(at, Int) and isinstance(at.value, sympy.floor):
                    divisor = sympy.cancel(roots.batch / at.value.args[0])
                    if not divisor.free_symbols & roots.all:
                        return divisor
    return None


# --- one call ---------------------------------------------------------------------------------------------------


def read_sdpa(view: CanonicalView, flow: Dataflow, node: fx.Node) -> tuple[AttentionSite, Evaluator]:
    """The site of a scaled_dot_product_attention call. Raises Rejected."""
    op = view.op(node)
    query, key, value = (op.get(name) for name in ("query", "key", "value"))
    if not all(isinstance(n, fx.Node) for n in (query, key, value)):
        raise Rejected(RejectionCode.SHAPES_UNKNOWN, "an operand of the call is no tensor of the graph", node)
    dropout = op.get("dropout_p", 0.0)
    if dropout != 0.0:
        raise Rejected(RejectionCode.DROPOUT, f"dropout with p={dropout} is active", node)
    shapes = [view.shape(n) for n in (query, key, value)]
    out = view.shape(node)
    if len({len(s) for s in (*shapes, out)}) != 1 or len(out) < 2:
        raise Rejected(RejectionCode.LAYOUT, "the operands differ in rank", node)
    labels = (*(f"batch{k}" for k in range(len(out) - 2)), "row", "feature")
    sizes = dict(zip(labels, out, strict=True)) | {"key": shapes[1][-2]}
    batch = labels[:-2]
    plan = ValueSide(node, (), value, (), batch, "row", "key", "feature", sizes)
    roots = plan.roots(None)
    roots.sizes[roots.feature] = shapes[0][-1]
    at = plan.at(roots, None)
    evaluator = Evaluator(view, flow, roots.domain)
    lead = tuple(at[k] for k in batch)
    i, j, d, e = at["row"], at["key"], Int(roots.feature), at["feature"]
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
    biases, masks = _sdpa_mask(view, evaluator, op.get("attn_mask"), (*lead, i, j), node)
    if op.get("is_causal", False) is True:
        one, two = (
            i.value if isinstance(i, Int) else sympy.Integer(0),
            j.value if isinstance(j, Int) else sympy.Integer(0),
        )
        masks = (*masks, MaskTerm(roots.domain.at_most_zero(two - one), -math.inf, added=True))
    reading = Reading(
        evaluator, roots, (query, q_at), (key, k_at), (value, v_at), (node,) * 3, scale, factors, biases, masks
    )
    index = _broadcast((*lead, i, e), out)
    site = _bind(view, "sdpa", node, node, index, reading)
    if site.spec.mask.empty_rows == "nan":  # SDPA gives zeros where eager −inf gives NaN
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
) -> tuple[tuple[Expr, ...], tuple[MaskTerm, ...]]:
    if mask is None:
        return (), ()
    expr = evaluator.element(mask, index, node)
    if expr is None:
        raise Rejected(RejectionCode.SHAPES_UNKNOWN, "the mask is no tensor of the graph", node)
    if evaluator.is_bool(mask):
        return (), (MaskTerm(expr, -math.inf, added=True),)
    return added_terms(expr, view.tensor(node).dtype)


# --- what both have in common -------------------------------------------------------------------------------------


def _bind(
    view: CanonicalView, form: str, anchor: fx.Node, output: fx.Node, output_index: Index, reading: Reading
) -> AttentionSite:
    roots = reading.roots
    trace = reading.evaluator.views.trace
    queries = candidates(trace(*reading.query), roots, roots.query_position, roots.feature)
    keys = candidates(trace(*reading.key), roots, roots.key_position, roots.feature)
    values = candidates(trace(*reading.value), roots, roots.key_position, roots.value_feature)
    one = sympy.Integer(1)
    group = shared_group(keys, values)
    query = best(queries, one)
    if query is None or group is None:
        what = "queries" if query is None else "keys and values"
        raise Rejected(RejectionCode.LAYOUT, f"the {what} do not line up as [batch, head, position, feature]", output)
    key, value = best(keys, group), best(values, group)
    assert key is not None and value is not None
    dtypes = {view.tensor(c.step[0]).dtype for c in (query, key, value)}
    if not all(d.is_floating_point for d in dtypes):
        raise Rejected(RejectionCode.DTYPE, f"operands of {', '.join(map(str, dtypes))}", output)
    mask, bias = _mask_and_bias(reading)
    sample = view.tensor(query.step[0])
    spec = AttentionSpec(
        batch=roots.size(roots.batch),
        heads=roots.head_count,
        kv_heads=sympy.cancel(roots.head_count / group),
        n_q=roots.size(roots.query_position),
        n_k=roots.size(roots.key_position),
        head_dim=roots.sizes[roots.feature],
        value_dim=roots.size(roots.value_feature),
        dtype=sample.dtype,
        device=sample.device,
        scale=reading.scale,
        mask=mask,
        bias=bias,
        factors=reading.factors,
    )
    if any(roots.key_position in _symbols(f) for f in reading.factors):
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, "the scale differs from key to key", anchor)
    operands = [Operand(*c.step) for c in (query, key, value)]
    return AttentionSite(form, anchor, output, output_index, *operands, spec, roots, view.source(anchor))


def _mask_and_bias(reading: Reading) -> tuple[MaskSpec, Expr | None]:
    """The lifted mask; terms that cannot be lifted together go back to being biases, which is always exact."""
    biases = list(reading.biases)
    mask = lift(reading.masks, reading.roots)
    if mask is None:
        keep = conjunction()
        added = [t for t in reading.masks if t.added]
        if len(added) != len(reading.masks):
            origin = reading.evaluator.softmax
            raise Rejected(RejectionCode.UNSUPPORTED_SCORE, "masks of different kinds meet", origin)  # type: ignore[arg-type]
        biases.extend(where(t.keep, Number(0.0), Number(t.fill)) for t in added)
        mask = MaskSpec() if isinstance(keep, Number) else MaskSpec(other=keep)
    total: Expr | None = None
    for term in biases:
        total = term if total is None else Apply("add", (total, term))
    return mask, total


def _checked(view: CanonicalView, flow: Dataflow, found: tuple[AttentionSite, Evaluator]) -> AttentionSite:
    """The site, if every tensor it would read later still holds what the graph read."""
    site, evaluator = found
    reads: list[tuple[fx.Node, fx.Node]] = [(node, reader) for node, reader in evaluator.readers.items()]
    reads += [(operand.node, site.output) for operand in (site.query, site.key, site.value)]
    for node, reader in reads:
        if not flow.stable(node, reader, site.output):
            message = f"{node.name} is written in place while the site still reads it"
            raise Rejected(RejectionCode.IN_PLACE, message, node)
    return site
