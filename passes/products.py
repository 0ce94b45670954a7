"""Which product of the scores is QKᵀ, and where its queries and keys are read."""

from __future__ import annotations

import sympy
from torch import fx

from .canonical import CanonicalView
from .contraction import Contraction, adds, contraction_of
from .expression import ZERO, Expr, Int, Load, Product, mapped, symbols, walk
from .score import ScoreProgram
from .spec import Rejected, RejectionCode
from .symbols import Roots
from .views import Step


def with_one_product(view: CanonicalView, scores: Expr, roots: Roots) -> list[Expr]:
    """The scores with QKᵀ as their only product, best choice first: the other products are tensors of the graph.

    QKᵀ is a product of a tensor over the queries with one over the keys alone. Content-dependent position scores
    (q times a table, relative to the query) are not, and are captured like any bias. Of several such products (LiLT
    adds scores of text and of layout) the one with the most features is the best choice.
    """
    found = list(dict.fromkeys(at for at in walk(scores) if isinstance(at, Product)))
    if len(found) < 2 or any(adds(view, at.node) for at in found):
        return [scores]
    widths = {at: width for at in found if (width := _width(view, at, roots)) is not None}
    choices = sorted(widths, key=lambda at: (-widths[at], view.position[at.node]))

    return [captured(scores, kept) for kept in choices] or [scores]


def captured(scores: Expr, kept: Product | None = None) -> Expr:
    """An expression with every product but one as the tensor that holds it."""

    def held(at: Expr) -> Expr:
        return Load(at.node, at.index, at.detached) if isinstance(at, Product) and at != kept else at

    return mapped(scores, held)


def _width(view: CanonicalView, element: Product, roots: Roots) -> int | None:
    """How many features a product sums over, if it is one of queries and keys; None otherwise."""
    product = contraction_of(view, element.node)
    if product is None or not product.summed:
        return None
    at = dict(zip(product.out_labels, element.index, strict=True)) | dict.fromkeys(product.summed, ZERO)
    reads = []
    for operand, labels in ((product.left, product.left_labels), (product.right, product.right_labels)):
        places = product.position(labels, at, view.shape(operand))
        reads.append(frozenset(s for place in places for s in symbols(place)))
    of_keys = [read for read in reads if roots.key_position in read]
    of_queries = [read for read in reads if roots.query_position in read]
    if len(of_keys) != 1 or of_keys[0] in of_queries or (roots.query_position is not None and not of_queries):
        return None
    sizes = dict(zip(product.left_labels, view.shape(product.left), strict=True))
    count = sympy.Mul(*(sizes.get(label, sympy.Integer(1)) for label in product.summed))
    return int(count) if count.is_Integer else 0


def query_and_key(
    view: CanonicalView, program: ScoreProgram, roots: Roots, softmax: fx.Node
) -> tuple[Step, Step, Contraction, Roots]:
    """Where queries and keys are read, their product, and the roots with symbols for what it sums over."""
    assert program.product is not None
    node, index = program.product.node, program.product.index
    product = contraction_of(view, node)
    if product is None or not product.summed:
        raise Rejected(RejectionCode.LAYOUT, f"{node.name} is no product of queries and keys", node)
    at: dict[str, Expr] = dict(zip(product.out_labels, index, strict=True))
    widths: dict[str, sympy.Expr] = {}
    for operand, labels in ((product.left, product.left_labels), (product.right, product.right_labels)):
        widths |= {k: size for k, size in zip(labels, view.shape(operand), strict=True) if widths.get(k, 1) == 1}
    folded = [k for k in product.summed if widths[k] != 1] or [product.summed[0]]
    roots = roots.with_features([widths[k] for k in folded])
    at |= dict.fromkeys(product.summed, ZERO) | {k: Int(s) for k, s in zip(folded, roots.features, strict=True)}
    sides: list[Step] = []
    for operand, labels in ((product.left, product.left_labels), (product.right, product.right_labels)):
        sizes = view.shape(operand)
        sides.append((operand, product.position(labels, at, sizes)))
    with_key = [k for k, (_, position_) in enumerate(sides) if any(roots.key_position in symbols(p) for p in position_)]
    if len(with_key) != 1:
        raise Rejected(RejectionCode.LAYOUT, f"in {node.name} not exactly one operand runs over the keys", node)
    query, key = sides[1 - with_key[0]], sides[with_key[0]]
    if any(roots.query_position is not None and roots.query_position in symbols(p) for p in key[1]):
        raise Rejected(RejectionCode.LAYOUT, f"in {node.name} the keys differ from query to query", node)
    return query, key, product, roots
