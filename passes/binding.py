"""From a half-read site to an `AttentionSite`: operands chosen, masks lifted, the spec filled in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce

import sympy
import torch
from torch import fx

from .algebra import conjunction, disjunction, inverse
from .bounds import may_be_infinite, reach
from .canonical import CanonicalView
from .evaluate import Evaluator
from .expression import Apply, Expr, Index, Load, Number, symbols, walk
from .masks import lift, may_have_empty_rows, parts
from .operands import best, candidates, shared_group
from .probabilities import After
from .score import REPLACED_FILL, MaskTerm, ScoreProgram, added_terms, is_absolute, largest_fill
from .spec import NAN_ROWS, AttentionSite, AttentionSpec, MaskSpec, Rejected, RejectionCode
from .steps import Added, Floored, Kept, Levelled, ScoreStep, replayed, undoing
from .symbols import Roots
from .views import Step


class NotAttention(Exception):
    """A softmax that has nothing to do with attention: neither a site nor worth a word."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A site half read: evaluator and roots, positions of the operands, and the score program.

    dtype is that of the scores; sink and after say what else softmax reads and what is done to what it gives;
    dropout_p is that of an active dropout on the probabilities; bare, that no maximum is subtracted before exp.
    """

    evaluator: Evaluator
    roots: Roots
    query: Step
    key: Step
    value: Step
    readers: tuple[fx.Node, fx.Node, fx.Node]
    program: ScoreProgram
    dtype: torch.dtype
    sink: Expr | None = None
    after: After | None = None
    dropout_p: float = 0.0
    bare: bool = False

    @property
    def trained(self) -> bool:
        """Whether a gradient flows into queries, keys, values, or what is done to the scores."""
        program = self.program
        made = (*program.biases, *program.factors, *([program.curve.term] if program.curve.term is not None else []))
        operands = (self.query[0], self.key[0], self.value[0])
        return any(map(self.evaluator.view.carries_gradient, operands)) or any(map(self.takes_gradient, made))

    def takes_gradient(self, expr: Expr) -> bool:
        """Whether a gradient flows into a tensor that an expression is computed from."""
        return any(isinstance(at, Load) and self.evaluator.view.carries_gradient(at.node) for at in walk(expr))


def bind(
    view: CanonicalView, form: str, anchor: fx.Node, output: fx.Node, output_index: Index, reading: Reading
) -> AttentionSite:
    roots = reading.roots
    trace = reading.evaluator.trace
    chains = [trace(*step) for step in (reading.query, reading.key, reading.value)]
    queries = candidates(view, chains[0], roots, roots.query_position, roots.features)
    keys = candidates(view, chains[1], roots, roots.key_position, roots.features)
    values = candidates(view, chains[2], roots, roots.key_position, roots.value_features)
    one = sympy.Integer(1)
    group = shared_group(keys, values)
    query = best(queries, one)
    if query is None or group is None:
        what = "queries" if query is None else "keys and values"
        raise Rejected(RejectionCode.LAYOUT, f"the {what} do not line up as [batch, head, position, feature]", output)
    key, value = best(keys, group), best(values, group)
    assert key is not None and value is not None
    for chain, chosen, reader in zip(chains, (query, key, value), reading.readers, strict=True):
        nodes = [reader, *(node for node, _ in chain[: chosen.depth + 1])]
        for reads, copy, source in zip(nodes, nodes[1:], nodes[2:], strict=False):
            if reading.evaluator.flow.written_apart(copy, source, reads):
                message = f"{copy.name} is written in place before the site reads it"
                raise Rejected(RejectionCode.IN_PLACE, message, copy)
        reading.evaluator.reads.extend(zip(nodes[1:], nodes, strict=False))
    dtypes = {view.tensor(c.step[0]).dtype for c in (query, key, value)}
    if not all(d.is_floating_point for d in dtypes):
        raise Rejected(RejectionCode.DTYPE, f"operands of {', '.join(map(str, dtypes))}", output)
    product = reading.program.product
    is_detached = product is not None and product.detached
    sample = view.tensor(query.step[0])
    mask, bias = _mask_and_bias(reading)
    if reading.dropout_p and (reading.sink is not None or not reading.program.curve.is_straight):
        message = "probabilities are dropped of scores that are capped, clamped or compete with a sink logit"
        raise Rejected(RejectionCode.DROPOUT, message, anchor)
    spec = AttentionSpec(
        batch=roots.size(roots.batch),
        heads=roots.head_count,
        kv_heads=sympy.cancel(roots.head_count / group),
        n_q=roots.size(roots.query_position),
        n_k=roots.size(roots.key_position),
        head_dim=roots.count(roots.features),
        value_dim=roots.count(roots.value_features),
        dtype=sample.dtype,
        score_dtype=reading.dtype,
        device=sample.device,
        scale=reading.program.scale,
        mask=mask,
        bias=bias,
        factors=reading.program.factors,
        curve=reading.program.curve,
        sink=reading.sink,
        unseen=reading.program.unseen,
        dropout_p=reading.dropout_p,
    )
    return AttentionSite(
        form=form,
        anchor=anchor,
        output=output,
        output_index=output_index,
        query=replace(query.operand, detached=is_detached),
        key=replace(key.operand, detached=is_detached),
        value=value.operand,
        spec=spec,
        roots=roots,
        source=view.source(anchor),
        coarse_rows=form == "eager" and reading.trained and _may_hold_fills_alone(reading, mask, bias),
    )


def _holds_fill(bias: Expr, dtype: torch.dtype) -> bool:
    return any(isinstance(e, Number) and e.value <= largest_fill(dtype) for e in walk(bias))


def _may_hold_fills_alone(reading: Reading, mask: MaskSpec, bias: Expr | None) -> bool:
    """Whether a tensor that is added to the scores, or a mask that only a tensor says, may leave a row to its fills,
    which are added to scores that take a gradient."""
    if mask.filled is not None or mask.replaced is not None or (mask.other is not None and mask.empty_rows == "level"):
        return True
    if bias is not None and any(isinstance(e, Number) and e.value >= -REPLACED_FILL for e in walk(bias)):
        return True  # large numbers of the other sign, as of a mask that is subtracted by mistake
    return bias is not None and (_holds_fill(bias, reading.dtype) or _may_be_a_mask(bias, reading))


def _mask_and_bias(reading: Reading) -> tuple[MaskSpec, Expr | None]:
    """The lifted mask and the sum of the biases."""
    terms, after = reading.program.masks, reading.after
    if after is not None and after.keep is not None:
        terms = _masked_twice(reading, after.keep, after.multiplied)
    mask, biases = _joined(reading, terms)
    if reading.sink is not None:  # which takes all of a row without keys
        mask = replace(mask, empty_rows="zero")
    if after is not None and mask.empty_rows in NAN_ROWS and after.clears(t.fill for t in reading.program.masks):
        mask = replace(mask, empty_rows="zero")
    return mask, reduce(lambda a, b: Apply("add", (a, b)), biases) if biases else None


def _may_be_a_mask(bias: Expr, reading: Reading) -> bool:
    """Whether a bias holds a tensor that may forbid keys, or a whole row: one that is the same for all heads or for all
    keys, which learned positions are not, or one that may be infinite."""
    found = symbols(bias)
    if found & frozenset(reading.roots.heads) and reading.roots.key_position in found:
        return may_be_infinite(bias, reading.roots.key_position, reading.evaluator.view)
    return any(isinstance(e, Load) and e.index for e in walk(bias))


def _masked_twice(reading: Reading, keep: Expr, multiplied: bool) -> tuple[MaskTerm, ...]:
    """The mask terms of scores whose probabilities are masked again, by the same mask: what is left of the fills.

    Only rows that see no key can tell: they give zeros, whatever the fills were; but NaN where a NaN is multiplied.
    """
    terms = reading.program.masks
    before = conjunction(*(t.keep for t in terms))
    if set(parts(keep)) != set(parts(before)):
        message = "the probabilities are masked by something that the scores are not masked by"
        raise Rejected(RejectionCode.PROBABILITIES_CHANGED, message, reading.evaluator.softmax)
    if multiplied and len({math.isinf(t.fill) for t in terms}) > 1:
        message = "the probabilities are multiplied by a mask whose fills are of different kinds"
        raise Rejected(RejectionCode.PROBABILITIES_CHANGED, message, reading.evaluator.softmax)
    return tuple(replace(t, fill=-math.inf) for t in terms)


def _joined(reading: Reading, terms: tuple[MaskTerm, ...]) -> tuple[MaskSpec, tuple[Expr, ...]]:
    """The lifted mask and the biases beside it, or all of them as one bias, which is always exact.

    Raises Rejected where neither holds.
    """
    if _may_be_undone(reading):
        message = "a number is added that brings back scores which a fill had swallowed"
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, message, reading.evaluator.softmax)
    if _levelled_row_tells_keys_apart(reading):
        message = "something is added to scores behind their maximum, which may be that of a row without keys"
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, message, reading.evaluator.softmax)
    if reading.bare:
        terms = _vanishing(reading, terms)
    mask = _lifted(reading, terms)
    joined = _in_order(reading, terms) if mask is None else (mask, reading.program.biases)
    if joined[0].replaced is not None and any(reading.takes_gradient(term) for term in reading.program.left_out):
        message = "what is added to all scores of a row takes a gradient, and a fill is put in the place of some"
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, message, reading.evaluator.softmax)
    unclear = any(t.at_bound for t in terms) and reading.trained
    if unclear and (mask is None or may_have_empty_rows(mask, reading.roots)):
        message = "masked scores are clamped: what gradient a row without keys passes on cannot be said"
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, message, reading.evaluator.softmax)
    return joined


def _vanishing(reading: Reading, terms: tuple[MaskTerm, ...]) -> tuple[MaskTerm, ...]:
    """The mask terms of scores that are exponentiated as they are: exp of any fill is 0, as that of −∞ is.

    Raises Rejected where a tensor that is added may leave a row without keys, whose mean would have to become NaN, or
    where fills are less a maximum that is not their row's: it may be such a fill, and then exp of them is no 0.
    """
    biases = reading.program.biases
    if any(isinstance(step, Levelled) for step in reading.program.steps):
        message = "scores are exponentiated less a number that is made of them, and not the maximum of their row"
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, message, reading.evaluator.softmax)
    if any(_may_be_a_mask(b, reading) or _holds_fill(b, reading.dtype) for b in biases):
        message = "scores are exponentiated without their maximum subtracted, and what is added may forbid a whole row"
        raise Rejected(RejectionCode.UNSUPPORTED_SCORE, message, reading.evaluator.softmax)
    return tuple(replace(t, fill=-math.inf) for t in terms)


def _lifted(reading: Reading, terms: tuple[MaskTerm, ...]) -> MaskSpec | None:
    """The mask terms lifted apart from the biases; None where a row could tell."""
    biases, roots = reading.program.biases, reading.roots
    # A tensor that is given may forbid a whole row: NaN, or what a finite fill beside it leaves of the other keys.
    given = any(_may_be_a_mask(b, reading) for b in biases)
    if _fills_add_up(reading, terms) or (given and _soft(terms)):
        return None
    mask = lift(terms, roots, reading.evaluator)
    if mask is None or (_are_told_apart(reading, terms) and may_have_empty_rows(mask, roots)):
        return None
    if reading.trained and may_have_empty_rows(mask, roots):
        if _biases_are_told_apart(reading, terms):
            return None
        if len({t.added for t in _soft(terms)}) > 1:
            mask = replace(mask, empty_rows="level", replaced=_replaced(terms))
    eager = reading.evaluator.softmax is not None
    given = given or any(isinstance(e, Number) and e.value == -math.inf for b in biases for e in walk(b))
    return replace(mask, empty_rows="nan_added") if given and eager and not terms else mask


def _may_be_undone(reading: Reading) -> bool:
    """Whether a positive number in a bias is large beside a finite fill elsewhere: together they are a number that
    forbids nothing, and the score, which was lost in the first of them, does not come back in the graph."""
    program, largest = reading.program, largest_fill(reading.dtype)
    spans = [reach(b) for b in program.biases]
    fills = [(-1, t.fill) for t in _soft(program.masks)]
    fills += [(k, low) for k, (low, _) in enumerate(spans) if math.isfinite(low) and low <= largest]
    return any(at != k and high >= -0.5 * fill for at, fill in fills for k, (_, high) in enumerate(spans))


def _levelled_row_tells_keys_apart(reading: Reading) -> bool:
    """Whether a row that finite fills leave without keys loses them with its maximum, and keys differ thereafter."""
    steps = reading.program.steps
    return any(
        isinstance(step, Levelled)
        and (reading.sink is not None or any(_tells_keys_apart(later, reading) for later in steps[k + 1 :]))
        and _may_leave_fills_alone(steps[:k], reading)
        for k, step in enumerate(steps)
    )


def _tells_keys_apart(step: ScoreStep, reading: Reading) -> bool:
    key = reading.roots.key_position
    return isinstance(step, Kept) or (isinstance(step, Added) and key in symbols(step.term))


def _may_leave_fills_alone(steps: tuple[ScoreStep, ...], reading: Reading) -> bool:
    """Whether a row may be left with finite fills alone, by these steps or by tensors that are added in them."""
    biases = [b for s in steps if isinstance(s, Added) for b in added_terms(s.term, reading.dtype)[0]]
    if any(_holds_fill(b, reading.dtype) or _may_be_a_mask(b, reading) for b in biases):
        return True
    terms = tuple(term for step in steps for term in _mask_terms(step, reading.dtype))
    mask = lift(terms, reading.roots, reading.evaluator) if _soft(terms) else MaskSpec()
    return mask is None or may_have_empty_rows(mask, reading.roots)


def _mask_terms(step: ScoreStep, dtype: torch.dtype) -> tuple[MaskTerm, ...]:
    """What a step forbids."""
    if isinstance(step, Kept):
        return (MaskTerm(step.keep, step.fill, added=False),)
    return added_terms(step.term, dtype)[1] if isinstance(step, Added) else ()


def _soft(terms: tuple[MaskTerm, ...]) -> list[MaskTerm]:
    """Those whose fill is finite."""
    return [t for t in terms if not math.isinf(t.fill)]


def _fills_add_up(reading: Reading, terms: tuple[MaskTerm, ...]) -> bool:
    """Whether a bias with fills of its own meets a finite fill: where both forbid, a row gives what the sum says. A
    number that leaves a key half as low as a fill does is one."""
    soft, biases = _soft(terms), reading.program.biases
    lowest = 0.5 * max((t.fill for t in soft), default=0.0)
    return bool(soft) and any(_holds_fill(b, reading.dtype) or reach(b)[0] <= lowest for b in biases)


def _are_told_apart(reading: Reading, terms: tuple[MaskTerm, ...]) -> bool:
    """Whether biases still tell the keys of a row without keys apart.

    Those that came after a fill do, or before one that is added.
    """
    telling = [k for k, b in enumerate(reading.program.biases) if reading.roots.key_position in symbols(b)]
    soft = [t for t in terms if not is_absolute(t.fill, reading.dtype)]
    return any(t.added or t.biases <= k for t in soft for k in telling)


def _replaced(terms: tuple[MaskTerm, ...]) -> Expr | None:
    """The pairs whose score a finite fill stands in the place of."""
    found = [inverse(t.keep) for t in _soft(terms) if not t.added]
    return disjunction(*found) if found else None


def _biases_are_told_apart(reading: Reading, terms: tuple[MaskTerm, ...]) -> bool:
    """Whether the gradient of a bias tells how a row without keys came about, though its output does not.

    A bias takes no gradient from scores that a fill is put in the place of afterwards, nor where it stands in one
    `where` with the fill; it does from any other.
    """
    soft, biases = _soft(terms), reading.program.biases
    learned = [k for k, bias in enumerate(biases) if reading.takes_gradient(bias)]
    if not soft or not learned:
        return False
    if not soft[0].added or len({t.added for t in soft}) > 1:
        return any(t.added or t.biases <= k for t in soft for k in learned)
    added = [e for step in reading.program.steps if isinstance(step, Added) for e in walk(step.term)]
    return any(isinstance(e, Apply) and e.name == "where" and reading.takes_gradient(e) for e in added)


def _in_order(reading: Reading, terms: tuple[MaskTerm, ...]) -> tuple[MaskSpec, tuple[Expr, ...]]:
    """Biases and fills as one bias, as they were applied, and a mask of what stays −inf.

    Where a fill is put in the place of a score that it would not swallow if it were added, such pairs are kept apart.
    """
    # A fill that is put in a score's place is an added one where a score added to it is lost in rounding.
    lost = not _fills_add_up(reading, terms)
    if not all(t.added or (lost and is_absolute(t.fill, reading.dtype)) for t in _soft(terms)):
        return _filled(reading, terms)
    steps = reading.program.steps
    hard: list[MaskTerm] = []
    soft: list[ScoreStep] = []
    for k, step in enumerate(steps):
        parts = None if k < undoing(steps) else _hard_parts(step, reading.dtype)
        if parts is None:
            soft.append(step)
        else:
            soft.extend(map(Added, parts[0]))
            hard.extend(parts[1])
    mask = lift(tuple(hard), reading.roots, reading.evaluator) or MaskSpec()  # −inf terms always join
    mask = replace(mask, empty_rows="nan_added")  # two lowest numbers are −inf
    mask = replace(mask, replaced=_replaced(terms) if reading.trained else None)
    return mask, (replayed(tuple(soft), reading.dtype),)


def _filled(reading: Reading, terms: tuple[MaskTerm, ...]) -> tuple[MaskSpec, tuple[Expr, ...]]:
    """All that is done to scores as one bias, and the pairs whose score it stands in the place of.

    Raises Rejected where rounding loses scores beside fills: which of them are lost the graph does not say.
    """
    steps = reading.program.steps
    if torch.finfo(reading.dtype).bits <= 16:
        message = "masks of different kinds meet in 16 bits, which round scores away"
    elif reading.bare or not reading.program.curve.is_straight or any(isinstance(s, Floored | Levelled) for s in steps):
        message = "masks of different kinds meet"
    elif reading.program.left_out:
        message = "masks of different kinds meet in scores to which something is added row by row"
    else:
        return MaskSpec(empty_rows="nan_added", filled=_replaced(terms)), (replayed(steps, reading.dtype),)
    raise Rejected(RejectionCode.UNSUPPORTED_SCORE, message, reading.evaluator.softmax)


def _hard_parts(step: ScoreStep, dtype: torch.dtype) -> tuple[tuple[Expr, ...], tuple[MaskTerm, ...]] | None:
    """Biases and masks of a step that forbids keys by −inf alone; None of any other."""
    masks = _mask_terms(step, dtype)
    if not masks or _soft(masks):
        return None
    return (added_terms(step.term, dtype)[0] if isinstance(step, Added) else ()), masks
