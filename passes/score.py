"""From QKᵀ to the softmax: the score program of a site.

The evaluator hands over one expression for the element that softmax reads. Here it is taken apart into a scale, terms
that are added (biases), and terms that forbid keys (masks). A step that has no place in that form rejects the site and
names the step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import fx

from .expression import Apply, Expr, Number, Product, arithmetic, contains, inverse
from .spec import Rejected, RejectionCode

# A finite number added to a score that is at or under this forbids the key: exp() of the difference is 0 in float64
# for any real score, and float32 scores under it are all equal. A *replaced* score (masked_fill) may be less extreme.
ADDED_FILL = -1e9
REPLACED_FILL = -1e4
SWALLOWED = 64  # an added fill must lie where neighbouring numbers are this far apart: it swallows the score


@dataclass(frozen=True, slots=True)
class MaskTerm:
    """Keys where `keep` does not hold get `fill`: added to the score, or put in its place."""

    keep: Expr
    fill: float
    added: bool


@dataclass(frozen=True, slots=True)
class ScoreProgram:
    """scale·Π factors·(QKᵀ) + Σ biases, masked by every term of `masks`. `product` is the element of QKᵀ.

    Factors are what scores are multiplied by where it is no constant: a learned logit scale, a float attribute of a
    module under dynamic=True. They multiply the queries, so they must not depend on the key.
    """

    product: Product
    scale: float
    factors: tuple[Expr, ...] = ()
    biases: tuple[Expr, ...] = ()
    masks: tuple[MaskTerm, ...] = ()


def is_fill(value: float, dtype: torch.dtype, added: bool) -> bool:
    """Whether a number forbids a key when it is added to a score (or put in its place) in this dtype."""
    if math.isinf(value):
        return value < 0
    lowest, spacing = torch.finfo(dtype).min, abs(value) * torch.finfo(dtype).eps
    if added and spacing < SWALLOWED:
        return False
    return value <= max(ADDED_FILL if added else REPLACED_FILL, 0.5 * lowest)


def score_program(expr: Expr, softmax: fx.Node, dtype: torch.dtype) -> ScoreProgram:
    """Take apart what softmax reads. Raises Rejected(UNSUPPORTED_SCORE) naming the step that has no form."""
    if isinstance(expr, Product):
        return ScoreProgram(expr, 1.0)
    if isinstance(expr, Apply):
        form = FORMS.get(expr.name)
        if form is not None:
            return form(expr, softmax, dtype)
        node = expr.origin[0] if expr.origin else softmax
        raise Rejected(
            RejectionCode.UNSUPPORTED_SCORE, f"no score form for {expr.name!r} between QKᵀ and softmax", node
        )
    raise Rejected(RejectionCode.NO_QUERY_KEY_PRODUCT, "softmax does not read a product", softmax)


def _sides(expr: Apply) -> tuple[Expr, Expr, bool]:
    """The argument that holds QKᵀ, the other one, and whether the first came left."""
    left, right = expr.args
    if contains(left, Product) and contains(right, Product):
        node = expr.origin[0] if expr.origin else None
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, "two products meet before softmax", node)  # type: ignore[arg-type]
    return (left, right, True) if contains(left, Product) else (right, left, False)


def _scaled(program: ScoreProgram, factor: float) -> ScoreProgram:
    masks = tuple(MaskTerm(m.keep, m.fill * factor, m.added) for m in program.masks)
    biases = tuple(arithmetic("mul", b, Number(factor)) for b in program.biases)
    return replace(program, scale=program.scale * factor, biases=biases, masks=masks)


def _multiplied(program: ScoreProgram, factor: Expr, softmax: fx.Node) -> ScoreProgram:
    if program.masks:
        raise Rejected(
            RejectionCode.UNSUPPORTED_SCORE, "masked scores are scaled by something that is no constant", softmax
        )
    biases = tuple(arithmetic("mul", b, factor) for b in program.biases)
    return replace(program, factors=(*program.factors, factor), biases=biases)


def _add(expr: Apply, softmax: fx.Node, dtype: torch.dtype) -> ScoreProgram:
    inner, term, _ = _sides(expr)
    program = score_program(inner, softmax, dtype)
    biases, masks = added_terms(term, dtype)
    return replace(program, biases=program.biases + biases, masks=program.masks + masks)


def added_terms(term: Expr, dtype: torch.dtype) -> tuple[tuple[Expr, ...], tuple[MaskTerm, ...]]:
    """A tensor that is added to scores, as biases and masks."""
    if isinstance(term, Apply) and term.name == "where":
        keep, then, other = term.args
        for condition, rest, fill in ((keep, then, other), (inverse(keep), other, then)):
            if isinstance(fill, Number) and is_fill(float(fill.value), dtype, added=True):
                biases, masks = added_terms(rest, dtype)
                return biases, (*masks, MaskTerm(condition, float(fill.value), added=True))
    if isinstance(term, Apply) and term.name == "add":
        pairs = [added_terms(t, dtype) for t in term.args]
        return pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1]
    if isinstance(term, Number) and term.value == 0:
        return (), ()
    return (term,), ()


def _sub(expr: Apply, softmax: fx.Node, dtype: torch.dtype) -> ScoreProgram:
    inner, term, product_first = _sides(expr)
    if not product_first:
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, "the scores are subtracted from something", softmax)
    program = score_program(inner, softmax, dtype)
    biases, masks = added_terms(arithmetic("mul", term, Number(-1)), dtype)
    return replace(program, biases=program.biases + biases, masks=program.masks + masks)


def _mul(expr: Apply, softmax: fx.Node, dtype: torch.dtype) -> ScoreProgram:
    inner, factor, _ = _sides(expr)
    program = score_program(inner, softmax, dtype)
    if not isinstance(factor, Number):
        return _multiplied(program, factor, softmax)
    if not factor.value > 0:
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, f"scores are multiplied by {factor.value}", softmax)
    return _scaled(program, float(factor.value))


def _div(expr: Apply, softmax: fx.Node, dtype: torch.dtype) -> ScoreProgram:
    inner, divisor, product_first = _sides(expr)
    if not product_first:
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, "something is divided by the scores", softmax)
    program = score_program(inner, softmax, dtype)
    if not isinstance(divisor, Number):
        return _multiplied(program, Apply("div", (Number(1.0), divisor)), softmax)
    if not divisor.value > 0:
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, f"scores are divided by {divisor.value}", softmax)
    return _scaled(program, 1.0 / float(divisor.value))


def _where(expr: Apply, softmax: fx.Node, dtype: torch.dtype) -> ScoreProgram:
    keep, then, other = expr.args
    for condition, inner, fill in ((keep, then, other), (inverse(keep), other, then)):
        if isinstance(fill, Number) and is_fill(float(fill.value), dtype, added=False) and contains(inner, Product):
            program = score_program(inner, softmax, dtype)
            masks = (*program.masks, MaskTerm(condition, float(fill.value), added=False))
            return replace(program, masks=masks)
    raise Rejected(RejectionCode.UNSUPPORTED_SCORE, "a where() of the scores does not forbid keys", softmax)


FORMS = {"add": _add, "sub": _sub, "mul": _mul, "div": _div, "where": _where}
