"""Rules of the steps of attention itself: products, dropout, and NaN among the probabilities."""

from __future__ import annotations

from torch import fx

from .algebra import arithmetic, inverse, where
from .canonical import Op, drops
from .contraction import contraction_of
from .evaluate import Evaluator, Rule
from .expression import ZERO, Apply, Expr, Index, Number, Probability, Product, contains
from .spec import Rejected, RejectionCode


def _product(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    return Product(node, index)


def _if_product(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """Of words that are products of two computed tensors only here and there."""
    return None if contraction_of(ev.view, node) is None else Product(node, index)


def _linear(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    product = _if_product(ev, node, op, index)
    if product is None or op.get("bias") is None:
        return product
    bias = ev.number(op.get("bias"), index, node)
    return None if bias is None else arithmetic("add", product, bias)


def _baddbmm(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    bias = ev.number(op.get("input"), index, node)
    beta, alpha = (ev.number(op.get(name, 1), (), node) for name in ("beta", "alpha"))
    if bias is None or beta is None or alpha is None:
        return None
    scaled = arithmetic("mul", Product(node, index), alpha)
    if isinstance(beta, Number) and beta.value == 0:
        return scaled
    return arithmetic("add", scaled, arithmetic("mul", bias, beta))


def _dropout(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    source = op.get("input")
    p = ev.number(op.get("p", 0.5), (), node)
    value = ev.element(source, index, node)
    if not drops(op) or (isinstance(p, Number) and p.value == 0):
        return value
    if value is None or p is None or not (contains(value, Probability) or contains(value, Product)):
        return None
    if not contains(value, Probability):
        raise Rejected(RejectionCode.DROPOUT, "dropout on the scores is active", node)
    return Apply("dropout", (value, dropped_share(p, node)))


def dropped_share(p: Expr, node: fx.Node) -> Number:
    """The p of a dropout, known and below 1. Raises Rejected."""
    if not isinstance(p, Number):
        raise Rejected(RejectionCode.DROPOUT, "dropout with a p that only the running graph knows", node)
    if not 0 <= p.value < 1:
        raise Rejected(RejectionCode.DROPOUT, f"dropout with p={p.value} leaves nothing", node)
    return Number(float(p.value))


def _detach(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.element(op.get("input"), index, node)
    return None if value is None else ev.detached(value)


def _nan_to_num(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    """NaN → 0 of probabilities, which are never infinite; of anything else the value stays captured."""
    value = ev.number(op.get("input"), index, node)
    if value is None or not contains(value, Probability) or op.get("nan", 0.0) != 0:
        return None
    return where(inverse(Apply("isnan", (value,))), value, ZERO)


def _isnan(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    value = ev.number(op.get("input"), index, node)
    return None if value is None else Apply("isnan", (value,))


RULES: dict[str, Rule] = {
    "matmul": _product,
    "einsum": _product,
    "einx_dot": _if_product,
    "tensordot": _if_product,
    "sum": _if_product,
    "linear": _linear,
    "baddbmm": _baddbmm,
    "dropout": _dropout,
    "detach": _detach,
    "nan_to_num": _nan_to_num,
    "isnan": _isnan,
}
