"""Rules of the steps of attention itself: products, dropout, and NaN among the probabilities."""

from __future__ import annotations

from torch import fx

from .algebra import arithmetic, inverse, where
from .canonical import Op
from .evaluate import Evaluator, Rule
from .expression import ZERO, Apply, Expr, Index, Number, Probability, Product, contains
from .spec import Rejected, RejectionCode


def _product(ev: Evaluator, node: fx.Node, op: Op, index: Index) -> Expr | None:
    return Product(node, index)


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
    training = op.arguments.get("training", op.arguments.get("train", True))
    p = ev.number(op.arguments.get("p", 0.5), (), node)
    value = ev.element(source, index, node)
    if training is False or (isinstance(p, Number) and p.value == 0):
        return value
    if value is not None and (contains(value, Probability) or contains(value, Product)):
        shown = p.value if isinstance(p, Number) else "?"
        raise Rejected(RejectionCode.DROPOUT, f"dropout with p={shown} is active", node)
    return None


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
    "baddbmm": _baddbmm,
    "dropout": _dropout,
    "nan_to_num": _nan_to_num,
    "isnan": _isnan,
}
