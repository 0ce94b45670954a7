"""From QKᵀ to the softmax: the score program of a site.

The evaluator hands over one expression for the element that softmax reads. Here it is taken apart into a scale, terms
that are added (biases), and terms that forbid keys (masks). A step that has no place in that form rejects the site and
names the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import reduce

import sympy
import torch
from torch import fx

from .algebra import arithmetic, inverse, where
from .bounds import Bounds, is_lowering
from .expression import Apply, Expr, Load, Number, Product, contains, symbols, walk
from .rounding import rounded
from .spec import STRAIGHT, Curve, Rejected, RejectionCode
from .steps import Added, Floored, Kept, Levelled, Scaled, ScoreStep

# A finite number added to a score that is at or under this forbids the key: exp() of the difference is 0 in float64
# for any real score, and float32 scores under it are all equal. A *replaced* score (masked_fill) may be less extreme.
ADDED_FILL = -1e9
REPLACED_FILL = -1e4
SWALLOWED = 64  # an added fill must lie where neighbouring numbers are this far apart: it swallows the score
LOST = 1e4  # where numbers are this far apart, nothing that is added to a fill leaves a trace, whatever its size
LEAST_FILL = -200.0  # what a fill must still be once scores are scaled: exp() of half of it is 0 in float32
LARGEST_CONSTANT = 1e3  # scores lose digits beside a larger number, also where it is the same for all keys


@dataclass(frozen=True, slots=True)
class MaskTerm:
    """Keys where `keep` does not hold get `fill`: added to the score, or put in its place.

    biases: how many of the program's biases had been added before. at_bound: a clamp follows, and it cannot be said
    what gradient a score takes that the fill was added to.
    """

    keep: Expr
    fill: float
    added: bool
    biases: int = 0
    at_bound: bool = False


@dataclass(frozen=True, slots=True)
class ScoreProgram:
    """s = scale·Π factors·(QKᵀ), then the curve (softcap, clamp), then + Σ biases, then the masks.

    `product` is the element of QKᵀ (None for an SDPA call). Factors are what scores are multiplied by where it is no
    constant: a learned logit scale, a float attribute of a module under dynamic=True. They multiply the queries, so
    they must not depend on the key. `steps` are biases and masks once more, as they came. `left_out` was added to all
    scores of a row alike, and to fills that stood there before: softmax does not see it, but a score that a fill is put
    in the place of afterwards is without it.
    """

    product: Product | None
    scale: float
    curve: Curve = STRAIGHT
    factors: tuple[Expr, ...] = ()
    biases: tuple[Expr, ...] = ()
    masks: tuple[MaskTerm, ...] = ()
    steps: tuple[ScoreStep, ...] = ()
    unseen: tuple[Load, ...] = ()  # tensors of one number that are added to all scores of a row
    left_out: tuple[Expr, ...] = ()


def is_fill(value: float, dtype: torch.dtype, added: bool) -> bool:
    """Whether a number forbids a key when it is added to a score (or put in its place) in this dtype."""
    if math.isinf(value):
        return value < 0
    if added and torch.finfo(dtype).bits > 16 and abs(value) * torch.finfo(dtype).eps < SWALLOWED:
        return False
    return value <= largest_fill(dtype, added)


def largest_fill(dtype: torch.dtype, added: bool = True) -> float:
    """The largest number that may be a fill. Added in 16 bits, −10,000 leaves nothing of a usual score already."""
    info = torch.finfo(dtype)
    if added and info.bits > 16:
        return max(ADDED_FILL, 0.5 * info.min)
    return max(_scaled_fill(REPLACED_FILL, 1.0, dtype), 0.5 * info.min)  # as the dtype holds it


def is_absolute(value: float, dtype: torch.dtype) -> bool:
    """Whether a fill stays what it is, whatever is added to it or it is added to."""
    return math.isinf(value) or abs(value) * torch.finfo(dtype).eps >= LOST


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads the scores: the softmax, their dtype and bounds, the index symbol that it sums over."""

    softmax: fx.Node
    dtype: torch.dtype
    key_position: sympy.Symbol
    bounds: Bounds
    has_sink: bool = False

    def dtype_of(self, step: Apply) -> torch.dtype:
        """The dtype of the tensor that holds a step's value, which may be narrower than what softmax reads."""
        return self.dtype if step.origin is None else self.bounds.evaluator.view.tensor(step.origin[0]).dtype

    def made_of_scores(self, program: ScoreProgram, term: Expr) -> bool:
        """Whether a captured tensor of a term is computed from the product that softmax reads."""
        flow = self.bounds.evaluator.flow
        nodes = [at.node for at in walk(term) if isinstance(at, Load)]
        return program.product is not None and any(flow.comes_from(node, program.product.node) for node in nodes)

    def _is_operand(self, program: ScoreProgram, node: fx.Node) -> bool:
        """Whether a tensor is a view of queries or keys: then it is finite wherever the scores are."""
        flow, product = self.bounds.evaluator.flow, program.product
        return product is not None and any(flow.shares(node, read) for read in product.node.all_input_nodes)

    def unseen(self, program: ScoreProgram, term: Expr) -> bool:
        """Whether softmax does not see a term that is added: it is the same for every key, and there is no sink."""
        if any(isinstance(e, Number) and not abs(e.value) <= LARGEST_CONSTANT for e in walk(term)):
            return False  # a fill swallows the scores: the row becomes a plain mean
        if self.key_position in symbols(term) or self.has_sink:
            return False
        # A tensor that is given may hold −inf, and then the row is NaN. What is made of the scores is as they are.
        loads = [e.node for e in walk(term) if isinstance(e, Load) and e.index]
        return self.made_of_scores(program, term) or all(self._is_operand(program, node) for node in loads)

    def given_in(self, program: ScoreProgram, term: Expr) -> Iterator[Load]:
        """The 0-d tensors of a term that a gradient may come to, which no gradient of the scores reaches."""
        view = self.bounds.evaluator.view
        for at in walk(term):
            if isinstance(at, Load) and not at.index and not at.detached and not self.made_of_scores(program, at):
                held = view.value(at.node)
                if isinstance(held, torch.Tensor) and held.dtype.is_floating_point:
                    yield at


def numbers_in(term: Expr) -> Iterator[float]:
    """The numbers that a term is computed with: none of its conditions, none of its positions."""
    if isinstance(term, Number):
        yield float(term.value)
    elif isinstance(term, Apply):
        for part in term.args[1:] if term.name == "where" else term.args:
            yield from numbers_in(part)


def _is_large(term: Expr) -> bool:
    return isinstance(term, Number) and abs(term.value) > LARGEST_CONSTANT


def unsupported(message: str, node: fx.Node | None) -> Rejected:
    """The rejection of a step that has no score form."""
    return Rejected(RejectionCode.UNSUPPORTED_SCORE, message, node)


def score_program(expr: Expr, reader: Reader) -> ScoreProgram:
    """Take apart what softmax reads. Raises Rejected(UNSUPPORTED_SCORE) naming the step that has no form."""
    program = _taken_apart(expr, reader)
    if any(reader.key_position in symbols(factor) for factor in program.factors):
        raise unsupported("the scale differs from key to key", reader.softmax)
    # What is added to all keys alike (the row maximum of a safe softmax) does not show in what softmax gives.
    if any(isinstance(b, Number) and not math.isfinite(b.value) for b in program.biases):
        raise unsupported("a number that is not finite is added to the scores", reader.softmax)
    seen = [not reader.unseen(program, bias) for bias in program.biases]
    biases = tuple(bias for bias, shown in zip(program.biases, seen, strict=True) if shown)
    masks = tuple(replace(mask, biases=sum(seen[: mask.biases])) for mask in program.masks)
    steps = tuple(s for s in program.steps if not (isinstance(s, Added) and reader.unseen(program, s.term)))
    left_out = [bias for bias, shown in zip(program.biases, seen, strict=True) if not shown]
    unseen = tuple(dict.fromkeys(at for term in left_out for at in reader.given_in(program, term)))
    return replace(program, biases=biases, masks=masks, steps=steps, unseen=unseen, left_out=tuple(left_out))


def _taken_apart(expr: Expr, reader: Reader) -> ScoreProgram:
    if isinstance(expr, Product):
        return ScoreProgram(expr, 1.0)
    if isinstance(expr, Apply):
        form = FORMS.get(expr.name)
        if form is not None:
            return form(expr, reader)
        node = expr.origin[0] if expr.origin else reader.softmax
        raise unsupported(f"no score form for {expr.name!r} between QKᵀ and softmax", node)
    raise Rejected(RejectionCode.NO_QUERY_KEY_PRODUCT, "softmax does not read a product", reader.softmax)


def _sides(expr: Apply) -> tuple[Expr, Expr, bool]:
    """The argument that holds QKᵀ, the other one, and whether the first came left."""
    left, right = expr.args
    if contains(left, Product) and contains(right, Product):
        node = expr.origin[0] if expr.origin else None
        raise unsupported("two products meet before softmax", node)
    return (left, right, True) if contains(left, Product) else (right, left, False)


def _scaled_fill(fill: float, factor: float, dtype: torch.dtype) -> float:
    """A fill times a factor, as the dtype holds it."""
    return float(torch.tensor(fill * factor, dtype=torch.float64).to(dtype).item())


def _scaled(program: ScoreProgram, factor: float, reader: Reader) -> ScoreProgram:
    if not all(0 < number <= torch.finfo(torch.float32).max for number in (factor, program.scale * factor)):
        raise unsupported(f"scores are multiplied by {factor:g}", reader.softmax)
    masks = tuple(replace(m, fill=_scaled_fill(m.fill, factor, reader.dtype)) for m in program.masks)
    if any(m.fill > LEAST_FILL for m in masks):
        raise unsupported("masked scores are scaled to where the fill forbids no key", reader.softmax)
    biases = tuple(rounded(arithmetic("mul", b, Number(factor)), reader.dtype) for b in program.biases)
    curve = program.curve.scaled(factor)
    steps = (*program.steps, Scaled(Number(factor)))
    return replace(program, scale=program.scale * factor, curve=curve, biases=biases, masks=masks, steps=steps)


def _multiplied(program: ScoreProgram, factor: Expr, reader: Reader) -> ScoreProgram:
    curve = program.curve
    raises = bool(curve.softcap) and not curve.bounds and _is_number(factor)
    if program.masks or not (curve.is_straight or raises):
        message = "masked, capped or clamped scores are scaled by something that is no constant"
        raise unsupported(message, reader.softmax)
    biases = tuple(_times(b, factor) for b in program.biases)
    curve = curve.raised(factor) if raises else curve
    steps = (*program.steps, Scaled(factor))
    return replace(program, factors=(*program.factors, factor), curve=curve, biases=biases, steps=steps)


def _times(bias: Expr, factor: Expr) -> Expr:
    """A bias times a factor, which may be the reciprocal of a divisor."""
    if isinstance(factor, Apply) and factor.name == "div" and factor.args[0] == Number(1.0):
        return arithmetic("div", bias, factor.args[1])
    return arithmetic("mul", bias, factor)


def _is_number(factor: Expr) -> bool:
    """Whether it is a Python number that only the running graph knows."""
    if not isinstance(factor, Load):
        return False
    meta = factor.node.meta
    return isinstance(meta.get("example_value", meta.get("val")), torch.SymFloat)


def _add(expr: Apply, reader: Reader) -> ScoreProgram:
    inner, term, _ = _sides(expr)
    return _added(_taken_apart(inner, reader), term, reader, expr)


def _added(program: ScoreProgram, term: Expr, reader: Reader, step: Apply) -> ScoreProgram:
    biases, masks = added_terms(term, reader.dtype_of(step))
    late = tuple(replace(mask, biases=len(program.biases)) for mask in masks)
    steps: tuple[ScoreStep, ...] = (*program.steps, Added(term))
    may_hold_fills = program.masks or any(reader.key_position in symbols(b) for b in program.biases)
    if may_hold_fills and reader.made_of_scores(program, term):
        if not is_lowering(term, reader.bounds.evaluator.view):
            raise unsupported("a number is added that is made of scores with fills among them", reader.softmax)
        steps = (*steps, Levelled())
    return replace(program, biases=program.biases + biases, masks=program.masks + late, steps=steps)


def added_terms(term: Expr, dtype: torch.dtype) -> tuple[tuple[Expr, ...], tuple[MaskTerm, ...]]:
    """A tensor that is added to scores, as biases and masks."""
    if isinstance(term, Apply) and term.name == "where":
        keep, then, other = term.args
        for condition, rest, fill in ((keep, then, other), (inverse(keep), other, then)):
            if any(isinstance(e, Number) and not math.isfinite(e.value) for e in walk(rest)):
                continue  # −inf in one case and another fill in the other
            if any(v > LARGEST_CONSTANT for v in numbers_in(rest)) or _is_large(rest):
                continue  # what is kept swallows the scores: this is no rest + where(keep, 0, fill)
            if isinstance(fill, Number) and is_fill(float(fill.value), dtype, added=True):
                biases, masks = added_terms(rest, dtype)
                return biases, (*masks, MaskTerm(condition, float(fill.value), added=True))
    if isinstance(term, Apply) and term.name == "add":
        pairs = [added_terms(t, dtype) for t in term.args]
        return pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1]
    if isinstance(term, Number) and term.value == 0:
        return (), ()
    return (term,), ()


def _sub(expr: Apply, reader: Reader) -> ScoreProgram:
    inner, term, product_first = _sides(expr)
    if not product_first:
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, "the scores are subtracted from something", reader.softmax)
    return _added(_taken_apart(inner, reader), arithmetic("mul", term, Number(-1)), reader, expr)


def _mul(expr: Apply, reader: Reader) -> ScoreProgram:
    inner, factor, _ = _sides(expr)
    program = _taken_apart(inner, reader)
    if not isinstance(factor, Number):
        return _multiplied(program, factor, reader)
    return _scaled(program, float(factor.value), reader)


def _div(expr: Apply, reader: Reader) -> ScoreProgram:
    inner, divisor, product_first = _sides(expr)
    if not product_first:
        raise unsupported("something is divided by the scores", reader.softmax)
    program = _taken_apart(inner, reader)
    if not isinstance(divisor, Number):
        return _multiplied(program, Apply("div", (Number(1.0), divisor)), reader)
    return _scaled(program, 1.0 / float(divisor.value) if divisor.value else math.inf, reader)


def _where(expr: Apply, reader: Reader) -> ScoreProgram:
    keep, then, other = expr.args
    if contains(keep, Product):
        raise unsupported("which keys take part depends on the scores themselves", reader.softmax)
    for condition, inner, fill in ((keep, then, other), (inverse(keep), other, then)):
        if (
            isinstance(fill, Number)
            and is_fill(float(fill.value), reader.dtype, added=False)
            and contains(inner, Product)
        ):
            program = _taken_apart(inner, reader)
            if math.isfinite(fill.value) and _may_be_nan(program, reader):
                raise unsupported("a fill is put where −inf was shifted by what is made of it", reader.softmax)
            shift = sum(float(b.value) for b in program.biases if isinstance(b, Number))
            if not is_fill(float(fill.value) - shift, reader.dtype, added=False):
                raise unsupported("scores are shifted to where a fill forbids no key", reader.softmax)
            masks = (*program.masks, MaskTerm(condition, float(fill.value), False, len(program.biases)))
            return replace(program, masks=masks, steps=(*program.steps, Kept(condition, float(fill.value))))
    for condition, more, plain in ((keep, then, other), (inverse(keep), other, then)):
        if (term := _added_to(plain, more)) is not None:  # to some of the scores
            return _taken_apart(arithmetic("add", plain, where(condition, term, Number(0.0))), reader)
    raise unsupported("a where() of the scores does not forbid keys", reader.softmax)


def _added_to(scores: Expr, more: Expr) -> Expr | None:
    """What is added to scores in an expression; None where it is no sum of them."""
    if more == scores:
        return Number(0)
    if isinstance(more, Apply) and more.name == "add":
        for inner, term in (more.args, more.args[::-1]):
            if (before := _added_to(scores, inner)) is not None:
                return arithmetic("add", before, term)
    return None


def _bent(program: ScoreProgram, bend: Callable[[Curve], Curve], reader: Reader) -> ScoreProgram:
    """A program whose scores go through one more curve. What was added before, the same for all keys, goes into it."""
    curve = program.curve
    if any(reader.key_position in symbols(b) for b in program.biases):
        raise unsupported("scores are capped or clamped after a bias that differs from key to key", reader.softmax)
    if program.biases and not curve.is_straight:
        raise unsupported("something is added to scores between two caps or clamps", reader.softmax)
    if program.biases:
        curve = replace(curve, term=reduce(lambda a, b: arithmetic("add", a, b), program.biases))
    return replace(program, curve=bend(curve), biases=(), steps=())


def _tanh(expr: Apply, reader: Reader) -> ScoreProgram:
    """tanh of scaled scores is a softcap of 1; what multiplies it afterwards is its height."""
    program = _taken_apart(expr.args[0], reader)
    if program.curve.softcap or program.masks:
        raise unsupported("tanh of scores that are masked or capped", reader.softmax)

    def bend(curve: Curve) -> Curve:
        # A clamp before is one after; tanh(±∞) = ±1 bounds nothing.
        low, high = (math.tanh(b) if math.isfinite(b) else b for b in (curve.score_min, curve.score_max))
        return Curve(curve.term, 1.0, low, high)

    return _bent(program, bend, reader)


def _may_be_nan(program: ScoreProgram, reader: Reader) -> bool:
    """Whether the scores of a row without keys, −inf, may meet −inf: their own maximum, which is subtracted."""
    hard = [m.biases for m in program.masks if math.isinf(m.fill)]
    if not hard:
        return False
    terms = [*program.biases[min(hard) :], *([program.curve.term] if program.curve.term is not None else [])]
    return any(reader.made_of_scores(program, term) for term in terms)


def _clamp(expr: Apply, reader: Reader) -> ScoreProgram:
    """max(scores, number) or min(scores, number)."""
    inner, limit, _ = _sides(expr)
    if not isinstance(limit, Number) or math.isnan(limit.value):
        raise unsupported("scores are clamped to what is no constant", reader.softmax)
    program = _taken_apart(inner, reader)
    bound, is_floor = float(limit.value), expr.name == "maximum"
    low, high = reader.bounds.of(inner)
    if bound <= low if is_floor else bound >= high:
        return program  # nothing lies beyond it
    if is_floor and _may_be_nan(program, reader):
        raise unsupported("a row of −inf alone is shifted by its own maximum: that is no floor", reader.softmax)
    choose = max if is_floor else min
    # A fill that the floor lifts is a number put in place; any other stays what it is, with what it is added to.
    masks = tuple(_under_floor(m, bound) if is_floor else m for m in program.masks)
    if is_fill(bound if is_floor else -bound, reader.dtype, added=True):
        # No real score is met; a fill of −inf becomes a finite one.
        return replace(program, masks=masks, steps=(*program.steps, Floored(bound))) if is_floor else program
    if math.isinf(bound):
        raise unsupported(f"scores are clamped to {bound}", reader.softmax)
    if not all(is_fill(m.fill, reader.dtype, added=False) for m in masks):
        raise unsupported(f"masked scores are clamped to {bound:g}, which forbids no key", reader.softmax)

    def bend(curve: Curve) -> Curve:
        return replace(curve, score_min=choose(curve.score_min, bound), score_max=choose(curve.score_max, bound))

    masks = tuple(replace(m, at_bound=m.at_bound or m.added) for m in masks)
    steps: list[ScoreStep] = [
        Added(where(m.keep, Number(0.0), Number(m.fill))) if m.added else Kept(m.keep, m.fill) for m in masks
    ]
    steps += [s for s in program.steps if isinstance(s, Levelled)]
    bent = _bent(program, bend, reader)
    return replace(bent, masks=tuple(replace(m, biases=0) for m in masks), steps=tuple(steps))


def _under_floor(mask: MaskTerm, bound: float) -> MaskTerm:
    """A mask whose fill is not below the floor. At a fill that is the floor itself max() halves the gradient and
    clamp() does not: both are one word here."""
    if mask.fill > bound:
        return mask
    return replace(mask, fill=bound, added=False, at_bound=mask.at_bound or (mask.added and mask.fill == bound))


FORMS = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "where": _where,
    "tanh": _tanh,
    "maximum": _clamp,
    "minimum": _clamp,
}
