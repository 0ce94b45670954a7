"""A softmax that no reader could read, but that stands between two products: it looks like attention and gets a word.

The way on either side may be anything that moves or weighs elements (padding, strides, writes into slices), but no step
that makes something new of them: a linear layer, a convolution, a norm, a choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import fx

from .canonical import CanonicalView, called
from .contraction import contraction_of, is_weight
from .spec import Rejected, RejectionCode

REACH = 15
ENDS = ("linear", "conv", "norm", "embedding", "addmm", "rsqrt", "topk", "argmax", "argmin", "argsort", "one_hot")


def suspicion(view: CanonicalView, softmax: fx.Node) -> Rejected | None:
    """Why a softmax between two products is left alone; None where it does not stand between two."""
    behind = _scores_behind(view, softmax)
    ahead = _nearest(view, softmax, lambda node: node.users, lambda node: _multiplies(view, node))
    if behind is None or ahead is None:
        return None
    step = next((n for n in softmax.all_input_nodes if view.op(n).word == "opaque"), softmax)
    message = f"between the product {behind.name}, softmax and the product {ahead.name} stand steps that are not read"
    if any(view.op(user).word == "opaque" for user in softmax.users):
        return Rejected(RejectionCode.NO_VALUE_PRODUCT, message, softmax)
    return Rejected(RejectionCode.NO_QUERY_KEY_PRODUCT, message, step)


def _multiplies(view: CanonicalView, node: fx.Node) -> bool:
    return contraction_of(view, node) is not None or view.op(node).word == "einx_dot"


def has_scores_behind(view: CanonicalView, softmax: fx.Node) -> bool:
    """Whether what a softmax reads comes from a product of two computed tensors: else it is not attention."""
    return _scores_behind(view, softmax) is not None


def _scores_behind(view: CanonicalView, softmax: fx.Node) -> fx.Node | None:
    return _nearest(view, softmax, lambda node: node.all_input_nodes, lambda node: compares(view, node))


def compares(view: CanonicalView, node: fx.Node) -> bool:
    """Whether a node is a product of two tensors that both were computed: no layer's weight is a key."""
    product = contraction_of(view, node)
    if product is None:
        return view.op(node).word == "einx_dot"  # of axes that are not plain
    return not any(is_weight(view, n) for n in (product.left, product.right))


def _nearest(
    view: CanonicalView,
    start: fx.Node,
    following: Callable[[fx.Node], Iterable[fx.Node]],
    wanted: Callable[[fx.Node], bool],
) -> fx.Node | None:
    """The nearest wanted node within REACH steps that goes through no end."""
    seen, front = {start}, [start]
    for _ in range(REACH):
        reached: list[fx.Node] = []
        for node in front:
            for found in following(node):
                if found not in seen and found.op in ("call_function", "call_method"):
                    seen.add(found)
                    reached.append(found)
        for node in reached:
            if wanted(node):
                return node
        front = [node for node in reached if not _is_end(view, node)]
    return None


def _is_end(view: CanonicalView, node: fx.Node) -> bool:
    product = contraction_of(view, node)
    if product is not None:  # heads that are mixed by a matrix stay scores
        ends = view.shape(node)[-2:]
        return all(view.shape(n)[-2:] != ends or len(view.shape(n)) < 3 for n in (product.left, product.right))
    if view.op(node).word in ("sdpa", "softmax"):
        return True
    name = called(node).lower()
    return any(part in name for part in ENDS)
