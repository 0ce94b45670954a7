"""Read attention written as product, softmax, product.

The site is read from its end: the product with V gives the index symbols, and from there everything is pulled back:
probabilities to the softmax, the softmax's input through the score program to QKᵀ, QKᵀ to queries and keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import sympy
import torch
from torch import fx

from .binding import NotAttention, Reading, bind
from .bounds import Bounds
from .canonical import CanonicalView, called
from .contraction import Contraction, adds, contraction_of
from .dataflow import Dataflow
from .evaluate import Evaluator
from .expression import ZERO, Apply, Expr, Index, Int, Load, Product, contains, integer, symbols, walk
from .probabilities import after_softmax, changed_before_values, readers_of_probabilities
from .products import query_and_key, with_one_product
from .rules import RULES
from .score import Reader, ScoreProgram, score_program
from .softmaxes import Softmax, keeps_numbers, quotient_of, reduction
from .spec import AttentionSite, Rejected, RejectionCode
from .suspects import compares
from .symbols import Roots, numbered, position, symbol
from .views import Views
from .vocabulary import VIEWS


def read_eager(view: CanonicalView, flow: Dataflow, found: Softmax) -> tuple[AttentionSite, Evaluator]:
    """The site around a softmax. Raises Rejected or NotAttention."""
    softmax, source, dim = found.weights, found.scores, found.dim
    rank = len(view.shape(softmax))
    products, escapes = readers_of_probabilities(flow, softmax)
    escapes = [node for node in escapes if node is not found.total]
    if not products:
        changed = changed_before_values(view, escapes)
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
    reading = _read_back(view, flow, found, product, plan, heads=None)
    heads = _merged_heads(reading)
    if heads is not None:
        reading = _read_back(view, flow, found, product, plan, heads)
    if len(products) > 1 or escapes:
        other = escapes[0] if escapes else products[1][0].node
        message = f"the probabilities are also read by {other.name}"
        raise Rejected(RejectionCode.PROBABILITIES_ESCAPE, message, other)
    index = product.position(product.out_labels, plan.at(reading.roots, heads), view.shape(product.node))
    output = product.node
    if not flow.stops_gradients(softmax, output):
        _check_gradients(flow, found.steps, output)
    if found.total is not None:
        output = _quotient(flow, product.node, index, found, reading)
    return bind(view, "eager", softmax, output, index, reading), reading.evaluator


def _quotient(flow: Dataflow, product: fx.Node, index: Index, found: Softmax, reading: Reading) -> fx.Node:
    """The node that divides the product with the values by the sum of the exponentials. index: of the product.

    Raises Rejected where there is none, or somebody else reads the product or the sum.
    """
    view, after = flow.view, reading.after
    assert found.total is not None
    assert after is not None
    if after.without_nan:
        raise Rejected(RejectionCode.PROBABILITIES_CHANGED, "exponentials that are NaN are replaced", product)
    quotient = _last_reader(flow, product)
    parts = quotient_of(view, quotient)
    if parts is None or view.tensor(quotient).shape != view.tensor(product).shape:
        message = f"exponentials meet the values, and {product.name} is not divided by their sum"
        raise Rejected(RejectionCode.PROBABILITIES_CHANGED, message, product)
    if not _is_at(reading.evaluator.views, parts.dividend, index, product):
        message = f"the rows of {product.name} are moved before the sum of their exponentials divides them"
        raise Rejected(RejectionCode.PROBABILITIES_CHANGED, message, quotient)
    divisor = parts.divisor
    sizes = view.shape(divisor)
    place = tuple(ZERO if s == 1 else at for s, at in zip(sizes, index[len(index) - len(sizes) :], strict=True))
    total = reduction(reading.evaluator.views, divisor, place, parts.inverse)
    row, dim = after.probability.index, found.dim
    if total is None or total.node is not found.total or total.index != (*row[:dim], ZERO, *row[dim + 1 :]):
        message = f"{product.name} is divided by something else than the sum of its exponentials"
        raise Rejected(RejectionCode.PROBABILITIES_CHANGED, message, quotient)
    if _last_reader(flow, found.total) is not quotient:
        message = f"the sum of the exponentials, {found.total.name}, has another reader"
        raise Rejected(RejectionCode.PROBABILITIES_ESCAPE, message, found.total)
    _check_gradients(flow, (*found.steps, *total.path, product), quotient)
    return quotient


def _is_at(views: Views, node: fx.Node, index: Index, source: fx.Node) -> bool:
    """Whether a node is views and casts of a source, each element at the place that it has in the source."""
    place = index
    while node is not source:
        inner = views.view.op(node).get("input")
        if views.view.op(node).word == "cast" and keeps_numbers(views.view, node):
            node = inner
        elif (step := views.step(node, place)) is not None:
            node, place = step
        else:
            return False
    return place == index


def _check_gradients(flow: Dataflow, steps: Iterable[fx.Node], output: fx.Node) -> None:
    """Raises Rejected where a step of a softmax that is spelled out has no gradient, though its result has."""
    for step in steps:
        if flow.stops_gradients(step, output) or flow.view.op(step).word == "detach":
            message = f"no gradient goes back through {step.name}, a step of a softmax that is spelled out"
            raise Rejected(RejectionCode.PROBABILITIES_CHANGED, message, step)


def _last_reader(flow: Dataflow, node: fx.Node) -> fx.Node:
    """The reader of a tensor behind views, casts and a reciprocal that each have one reader; the node with several."""
    readers = flow.readers(node)
    while len(readers) == 1:
        node = readers[0]
        op = flow.view.op(node)
        handed_on = op.word in VIEWS or op.word == "reciprocal" or (op.word == "div" and op.get("left") in (1, 1.0))
        if not handed_on:
            break
        readers = flow.readers(node)
    return node


def _comes_from_attention_scores(view: CanonicalView, node: fx.Node, dim: int, rank: int) -> bool:
    """Whether softmax reads a square-ish product over its last dim: scores whose way to the values was not seen."""
    for _ in range(6):
        if contraction_of(view, node) is not None:
            return dim == rank - 1 and rank >= 3 and compares(view, node)
        op = view.op(node)
        source = op.get("input", op.get("left"))
        if op.word == "opaque" or not isinstance(source, fx.Node):
            return False
        node = source
    return False


@dataclass(frozen=True, slots=True)
class ValueSide:
    """The labels of the product with V: batch dims in order, the query row, the summed key, the value features."""

    probabilities: fx.Node
    probability_labels: tuple[str, ...]
    value: fx.Node
    value_labels: tuple[str, ...]
    batch: tuple[str, ...]
    row: str
    key: str
    features: tuple[str, ...]
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
        names = numbered("h", max(len(lead) - 1, 1))
        head_symbols = tuple(s for n, size in zip(names, lead[1:], strict=False) if (s := root(n, size)) is not None)
        query, key = root("i", self.sizes[self.row]), root("j", self.sizes[self.key])
        names = numbered("e", len(self.features))
        found = [root(name, self.sizes[label]) for name, label in zip(names, self.features, strict=True)]
        return Roots(batch, head_symbols, query, key, (), tuple(s for s in found if s is not None), sizes)

    def at(self, roots: Roots, heads: sympy.Expr | None) -> dict[str, Expr]:
        """Where each label stands, in root symbols."""
        found: dict[str, Expr] = {
            self.row: position(roots.query_position),
            self.key: position(roots.key_position),
        }
        spare = iter(roots.value_features)
        for label in self.features:
            found[label] = ZERO if self.sizes[label] == 1 else Int(next(spare))
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
    if adds(view, product.node):
        message = f"{product.node.name} adds something to the product with the values"
        raise Rejected(RejectionCode.NO_VALUE_PRODUCT, message, product.node)
    mine, theirs, value = product.left_labels, product.right_labels, product.right
    if product.right is probabilities:
        mine, theirs, value = product.right_labels, product.left_labels, product.left
    rows, features = product.only(mine, theirs), product.only(theirs, mine)
    if len(product.summed) != 1 or not rows or not features:
        raise Rejected(RejectionCode.LAYOUT, "the product with values has no row, single key and feature", product.node)
    sizes: dict[str, sympy.Expr] = {}
    for node, labels in ((probabilities, mine), (value, theirs), (product.node, product.out_labels)):
        for label, size in zip(labels, view.shape(node), strict=True):
            if sizes.get(label, 1) == 1:
                sizes[label] = size
    # Of several rows (values without a dim for the members of a group) the last is the queries', the others heads.
    batch = tuple(k for k in mine if k in product.out_labels and k != rows[-1])
    batch += tuple(k for k in product.out_labels if k in theirs and k not in features and k not in batch)
    return ValueSide(probabilities, mine, value, theirs, batch, rows[-1], product.summed[0], features, sizes)


def _read_back(
    view: CanonicalView,
    flow: Dataflow,
    found: Softmax,
    product: Contraction,
    plan: ValueSide,
    heads: sympy.Expr | None,
) -> Reading:
    """Pull the product with V back to queries, keys and the score program."""
    softmax, source, dim = found.weights, found.scores, found.dim
    roots = plan.roots(heads)
    at = plan.at(roots, heads)
    evaluator = Evaluator(view, flow, roots.domain, RULES, softmax, product.node)
    index = product.position(plan.probability_labels, at, view.shape(plan.probabilities))
    element = evaluator.at(plan.probabilities, index, product.node)
    after = after_softmax(view, source, dim, element)
    if after is None:
        node = element.origin[0] if isinstance(element, Apply) and element.origin else plan.probabilities
        message = f"the probabilities are changed at {node.name} before they meet the values"
        raise Rejected(RejectionCode.PROBABILITIES_CHANGED, message, node)
    if called(softmax) == "_safe_softmax":
        after = replace(after, without_nan=True)
    probability = after.probability
    if roots.key_position is None:
        raise Rejected(RejectionCode.LAYOUT, "there is a single key", softmax)
    summed = [k for k, p in enumerate(probability.index) if roots.key_position in symbols(p)]
    if summed != [dim] or probability.index[dim] not in (Int(roots.key_position), Int(roots.key_position + 1)):
        raise Rejected(RejectionCode.SOFTMAX_DIM, f"softmax over dim {dim} does not run over the keys", softmax)
    dtype, given = view.tensor(source).dtype, view.tensor(softmax).dtype
    if not dtype.is_floating_point or not given.is_floating_point:
        raise Rejected(RejectionCode.DTYPE, f"softmax of {dtype}", softmax)
    if torch.finfo(given).max < torch.finfo(dtype).max:  # a fill of the wider dtype is −inf in the narrower one
        raise Rejected(RejectionCode.DTYPE, f"softmax of {dtype} in {given}", softmax)
    scores, sink = _without_sink(view, evaluator, roots, found, probability.index)
    if probability.detached:
        scores, sink = evaluator.detached(scores), None if sink is None else evaluator.detached(sink)
    bounds = Bounds(evaluator, roots.key_position)
    reader = Reader(softmax, dtype, roots.key_position, bounds, has_sink=sink is not None)
    program = _program(flow, with_one_product(view, scores, roots), reader)
    query, key, qk, roots = query_and_key(view, program, roots, softmax)
    value = (plan.value, product.position(plan.value_labels, at, view.shape(plan.value)))
    readers = (qk.node, qk.node, product.node)
    dropout = after.dropout
    if dropout is not None and not dropout.draws_apart(roots):
        message = f"{dropout.node.name} drops probabilities of several heads, queries or keys together"
        raise Rejected(RejectionCode.DROPOUT, message, dropout.node)
    dropout_p = 0.0 if dropout is None else dropout.p
    return Reading(evaluator, roots, query, key, value, readers, program, dtype, sink, after, dropout_p, found.bare)


def _without_sink(
    view: CanonicalView,
    evaluator: Evaluator,
    roots: Roots,
    found: Softmax,
    index: Index,
) -> tuple[Expr, Expr | None]:
    """The scores, and the one more score that softmax may run over, behind the last key (gpt_oss) or in front of the
    first one (x-transformers). The scores are read at `index`, which says where the keys begin.

    What is subtracted from all of them alike (the row maximum) is taken off both.
    """
    softmax, dim = found.weights, found.dim
    scores = found.score(evaluator, index)
    if scores is None:
        message = "which exponentials are set to 0 cannot be read"
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, message, softmax)
    over, keys = view.shape(softmax)[dim], roots.size(roots.key_position)
    extra = sympy.expand(over - keys)
    ahead = index[dim] != Int(roots.key_position)
    if extra == 0 and not ahead:
        return scores, None
    if extra != 1:
        raise Rejected(RejectionCode.SOFTMAX_DIM, f"softmax runs over {over} scores, the values are {keys}", softmax)
    if found.kept:
        raise Rejected(RejectionCode.SOFTMAX_DIM, f"softmax runs over {over} scores, the values are {keys}", softmax)
    beside = (*index[:dim], ZERO if ahead else integer(keys), *index[dim + 1 :])
    sink = evaluator.at(found.scores, beside, found.exp)
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


def _program(flow: Dataflow, choices: list[Expr], reader: Reader) -> ScoreProgram:
    """The program of the first choice that has one. Raises what the first choice raises where none has."""
    first: Rejected | None = None
    for choice in choices:
        try:
            return _program_of(flow, choice, reader)
        except Rejected as why:
            first = first or why
    assert first is not None
    raise first


def _program_of(flow: Dataflow, expr: Expr, reader: Reader) -> ScoreProgram:
    view = flow.view
    if isinstance(expr, Load):
        is_written = flow.last_write(expr.node, reader.softmax) is not None and _behind(view, expr.node)
        if is_written or contraction_of(view, expr.node) is not None:
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
    program = score_program(expr, reader)
    assert program.product is not None
    product = program.product.node
    for bias in program.biases:
        if reader.key_position not in symbols(bias):
            continue
        own = next((e.node for e in walk(bias) if isinstance(e, Load) and flow.comes_from(e.node, product)), None)
        if own is not None:
            message = f"{own.name}, which is made from the scores, is added to them key by key"
            raise Rejected(RejectionCode.UNSUPPORTED_SCORE, message, own)
    return program


def _behind(view: CanonicalView, node: fx.Node, depth: int = 8) -> bool:
    """Whether a product of the same shape stands a few steps behind an unread node."""
    if depth == 0 or not isinstance(view.value(node), torch.Tensor):
        return False
    if contraction_of(view, node) is not None:
        return True
    shape = view.shape(node)
    sources = [n for n in node.all_input_nodes if isinstance(view.value(n), torch.Tensor) and view.shape(n) == shape]
    return len(shape) >= 3 and any(_behind(view, n, depth - 1) for n in sources)


def _merged_heads(reading: Reading) -> sympy.Expr | None:
    """H, where the one batch dim is batch·H + head: some tensor behind the operands is read at x // H."""
    roots = reading.roots
    if roots.batch is None or roots.heads:
        return None
    for _, index in reading.evaluator.trace(*reading.query):
        if len(index) == 4 and index[0] == ZERO and Int(roots.batch) in index:
            return roots.sizes[roots.batch]  # a batch of one: nothing is divided
    for step in (reading.query, reading.key, reading.value):
        for _, index in reading.evaluator.trace(*step):
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
