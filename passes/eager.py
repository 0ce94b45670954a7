"""Read attention written as product, softmax, product.

The site is read from its end: the product with V gives the index symbols, and from there everything is pulled back:
probabilities to the softmax, the softmax's input through the score program to QKᵀ, QKᵀ to queries and keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy
import torch
from torch import fx

from .binding import NotAttention, Reading, bind
from .canonical import CanonicalView
from .contraction import Contraction, contraction_of
from .dataflow import Dataflow
from .evaluate import Evaluator
from .expression import ZERO, Apply, Expr, Int, Load, Probability, Product, contains, integer, mapped, symbols, walk
from .score import Reader, ScoreProgram, score_program
from .spec import AttentionSite, Rejected, RejectionCode
from .symbols import Roots, position, symbol
from .views import Step

PASS_THROUGH = frozenset(
    ("transpose", "permute", "movedim", "t", "getattr", "reshape", "expand", "getitem", "identity", "cast", "dropout")
)


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
        changed = _changed_before_values(view, escapes)
        if changed is not None and _comes_from_attention_scores(view, source, dim, rank):
            message = f"the probabilities are changed at {changed.name} before they meet the values"
            raise Rejected(RejectionCode.PROBABILITIES_CHANGED, message, changed)
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
    return bind(view, "eager", softmax, product.node, index, reading), reading.evaluator


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


def _changed_before_values(view: CanonicalView, escapes: list[fx.Node]) -> fx.Node | None:
    """The reader of the probabilities behind which, element by element, a product follows; None where none does."""
    for first in escapes:
        if not isinstance(view.value(first), torch.Tensor):
            continue
        stack, seen = [first], {first}
        while stack and len(seen) < 64:
            node = stack.pop()
            for user in node.users:
                if contraction_of(view, user) is not None:
                    return first
                value = view.value(user)
                if user not in seen and isinstance(value, torch.Tensor) and value.shape == view.tensor(node).shape:
                    seen.add(user)
                    stack.append(user)
    return None


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
    summed = [k for k, p in enumerate(probability.index) if roots.key_position in symbols(p)]
    if summed != [dim] or probability.index[dim] != Int(roots.key_position):
        raise Rejected(RejectionCode.SOFTMAX_DIM, f"softmax over dim {dim} does not run over the keys", softmax)
    source = view.op(softmax).get("input")
    dtype = view.tensor(source).dtype
    if not dtype.is_floating_point:
        raise Rejected(RejectionCode.DTYPE, f"softmax of {dtype}", softmax)
    scores = evaluator.at(source, probability.index, softmax)
    scores, sink = _without_sink(view, evaluator, roots, softmax, dim, scores, probability.index)
    reader = Reader(softmax, dtype, roots.key_position, has_sink=sink is not None)
    scores = _with_one_product(view, scores, roots)
    program = _program(view, scores, reader)
    query, key, qk = _query_and_key(view, program, roots, softmax)
    value = (plan.value, product.position(plan.value_labels, at, view.shape(plan.value)))
    readers = (qk.node, qk.node, product.node)
    return Reading(evaluator, roots, query, key, value, readers, program, sink)


def _without_sink(
    view: CanonicalView,
    evaluator: Evaluator,
    roots: Roots,
    softmax: fx.Node,
    dim: int,
    scores: Expr,
    index: tuple[Expr, ...],
) -> tuple[Expr, Expr | None]:
    """The scores, and the one more score behind the last key that softmax may run over (gpt_oss).

    What is subtracted from all of them alike (the row maximum) is taken off both.
    """
    over, keys = view.shape(softmax)[dim], roots.size(roots.key_position)
    extra = sympy.expand(over - keys)
    if extra == 0:
        return scores, None
    if extra != 1:
        raise Rejected(RejectionCode.SOFTMAX_DIM, f"softmax runs over {over} scores, the values are {keys}", softmax)
    behind = (*index[:dim], integer(keys), *index[dim + 1 :])
    sink = evaluator.at(view.op(softmax).get("input"), behind, softmax)
    while all(isinstance(e, Apply) and e.name == "sub" for e in (scores, sink)) and _term(scores) == _term(sink):
        scores, sink = _minuend(scores), _minuend(sink)
    if contains(sink, Product) or roots.key_position in symbols(sink) or _behind_product(view, sink):
        raise Rejected(RejectionCode.SOFTMAX_DIM, f"softmax runs over {over} scores, the values are {keys}", softmax)
    return scores, sink


def _term(expr: Expr) -> Expr:
    assert isinstance(expr, Apply)
    return expr.args[1]


def _minuend(expr: Expr) -> Expr:
    assert isinstance(expr, Apply)
    return expr.args[0]


def _behind_product(view: CanonicalView, expr: Expr) -> bool:
    """Whether a captured tensor of the expression is computed from scores."""
    return any(isinstance(e, Load) and _behind(view, e.node) for e in walk(expr))


def _with_one_product(view: CanonicalView, scores: Expr, roots: Roots) -> Expr:
    """The scores with QKᵀ as their only product: of several, the others are tensors that the graph holds anyway.

    QKᵀ is the product of a tensor over the queries with one over the keys alone. Content-dependent position scores
    (q times a table, relative to the query) are not, and are captured like any bias. Of several such products (LiLT
    adds scores of text and of layout) the one with the most features stays.
    """
    found = list(dict.fromkeys(at for at in walk(scores) if isinstance(at, Product)))
    if len(found) < 2:
        return scores
    widths = {at: width for at in found if (width := _width(view, at, roots)) is not None}
    kept = max(widths, key=lambda at: widths[at], default=None)
    if kept is None or any(view.op(at.node).word == "baddbmm" for at in found):
        return scores

    def captured(at: Expr) -> Expr:
        return Load(at.node, at.index) if isinstance(at, Product) and at != kept else at

    return mapped(scores, captured)


def _width(view: CanonicalView, element: Product, roots: Roots) -> int | None:
    """How many features a product sums over, if it is one of queries and keys; None otherwise."""
    product = contraction_of(view, element.node)
    if product is None or len(product.summed) != 1:
        return None
    at = dict(zip(product.out_labels, element.index, strict=True)) | {product.summed[0]: ZERO}
    reads = []
    for operand, labels in ((product.left, product.left_labels), (product.right, product.right_labels)):
        places = product.position(labels, at, view.shape(operand))
        reads.append(frozenset(s for place in places for s in symbols(place)))
    of_keys = [read for read in reads if roots.key_position in read]
    if len(of_keys) != 1 or roots.query_position in of_keys[0]:
        return None
    size = view.shape(product.left)[product.left_labels.index(product.summed[0])]
    return int(size) if size.is_Integer else 0


def _program(view: CanonicalView, expr: Expr, reader: Reader) -> ScoreProgram:
    if isinstance(expr, Load):
        if contraction_of(view, expr.node) is not None:
            message = f"{expr.node.name} is written in place through another view of it before softmax"
            raise Rejected(RejectionCode.IN_PLACE, message, expr.node)
        if _behind(view, expr.node):
            name = getattr(expr.node.target, "__name__", str(expr.node.target))
            message = f"between QKᵀ and softmax stands {name} ({expr.node.name})"
            raise Rejected(RejectionCode.NO_QUERY_KEY_PRODUCT, message, expr.node)
        raise NotAttention
    if not contains(expr, Product):
        opaque = next((e for e in walk(expr) if isinstance(e, Load) and _behind(view, e.node)), None)
        if opaque is None:
            raise NotAttention
        message = f"between QKᵀ and softmax stands {opaque.node.name}"
        raise Rejected(RejectionCode.NO_QUERY_KEY_PRODUCT, message, opaque.node)
    return score_program(expr, reader)


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
    assert program.product is not None
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
    with_key = [k for k, (_, position_) in enumerate(sides) if any(roots.key_position in symbols(p) for p in position_)]
    if len(with_key) != 1:
        raise Rejected(RejectionCode.LAYOUT, f"in {node.name} not exactly one operand runs over the keys", node)
    query, key = sides[1 - with_key[0]], sides[with_key[0]]
    if any(roots.query_position is not None and roots.query_position in symbols(p) for p in key[1]):
        raise Rejected(RejectionCode.LAYOUT, f"in {node.name} the keys differ from query to query", node)
    return query, key, product


def _merged_heads(reading: Reading) -> sympy.Expr | None:
    """H, where the one batch dim is batch·H + head: some tensor behind the operands is read at x // H."""
    roots = reading.roots
    if roots.batch is None or roots.heads:
        return None
    for _, index in reading.evaluator.views.trace(*reading.query):
        if len(index) == 4 and index[0] == ZERO and Int(roots.batch) in index:
            return roots.sizes[roots.batch]  # a batch of one: nothing is divided
    for step in (reading.query, reading.key, reading.value):
        for _, index in reading.evaluator.views.trace(*step):
            for at in index:
                heads = _divisor(at, roots.batch, roots)
                if heads is not None:
                    return heads
    return None


def _divisor(at: Expr, batch: sympy.Symbol, roots: Roots) -> sympy.Expr | None:
    """c of ⌊(batch + …) / c⌋."""
    if not (isinstance(at, Int) and isinstance(at.value, sympy.floor)):
        return None
    factor = sympy.expand(at.value.args[0]).coeff(batch)
    if factor == 0 or factor.free_symbols & roots.all:
        return None
    divisor = sympy.cancel(1 / factor)
    return divisor if divisor.as_numer_denom()[1] == 1 and divisor != 1 else None
