"""From "which keys are kept" to a class that kernels know: causal, sliding window, key padding, ranges of
keys, groups that must agree, or other.

A conjunction is classified part by part; each class is one function that takes a part or leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import partial, reduce

import sympy
from torch import fx

from .algebra import arithmetic, conjunction, disjunction, is_whole
from .evaluate import Evaluator
from .expression import TRUE, Apply, Expr, Int, Load, Number, as_sympy, integer, symbols
from .score import MaskTerm
from .spec import NAN_ROWS, MaskSpec
from .symbols import Roots

FAR = 2**62  # behind every key


def causal_offset(part: Expr, roots: Roots) -> sympy.Expr | None:
    """c of `j <= i + c`; None where the part says something else."""
    return _difference(part, roots, sign=1)


def window_start(part: Expr, roots: Roots) -> sympy.Expr | None:
    """c of `j >= i + c`; None where the part says something else."""
    found = _difference(part, roots, sign=-1)
    return None if found is None else -found


def _difference(part: Expr, roots: Roots, sign: int) -> sympy.Expr | None:
    """c of `sign·(j − i) <= c`."""
    if not (isinstance(part, Apply) and part.name == "le0"):
        return None
    value = as_sympy(part.args[0])
    i, j = roots.query_position, roots.key_position
    if value is None or i is None or j is None:
        return None
    rest = sympy.expand(value - sign * (j - i))
    return None if rest.free_symbols & roots.all else -rest


def is_key_mask(part: Expr, roots: Roots) -> bool:
    """Whether a part depends on the batch and the key alone."""
    return not symbols(part) & (roots.all - {roots.batch, roots.key_position})


def group_pair(part: Expr, roots: Roots) -> tuple[Expr, Expr] | None:
    """(of the query, of the key) for a part that says both are equal: packed documents, chunks."""
    if not (isinstance(part, Apply) and part.name == "eq"):
        return None
    for query, key in (part.args, part.args[::-1]):
        alike = is_whole(query) and is_whole(key)  # the op compares them as int64
        if alike and _of_query(query, roots) and is_key_mask(key, roots) and roots.key_position in symbols(key):
            return query, key
    return None


def document_order(part: Expr, parts: Iterable[Expr], roots: Roots, evaluator: Evaluator) -> tuple[str, int] | None:
    """("upper", c) where a comparison of positions says j <= i + c, ("lower", c) where it says j >= i + c; else None.

    It does because another part keeps queries inside their document. Documents counted by cumsum(diff(position) != 1)
    are runs in which the position grows by one from token to token, so inside one a distance of positions is a distance
    of tokens. Only for as many queries as keys.
    """
    if not (isinstance(part, Apply) and part.name in _STEPS and roots.size(roots.query_position) == roots.n_k):
        return None
    (left, plus), (right, more) = map(_shifted, part.args)
    for of_query, of_key in (pair for p in parts if (pair := group_pair(p, roots)) is not None):
        if not (isinstance(of_query, Load) and isinstance(of_key, Load) and of_query.node is of_key.node):
            continue
        key, query = _runs_of(of_key, evaluator), _runs_of(of_query, evaluator)
        if key is None or query is None:
            continue
        side, step = _STEPS[part.name]
        if (left, right) == (key, query):  # key + plus <= query + more
            return side, more - plus + step
        if (left, right) == (query, key):  # query + plus <= key + more
            return ("lower" if side == "upper" else "upper"), plus - more - step
    return None


_STEPS = {"le": ("upper", 0), "lt": ("upper", -1), "ge": ("lower", 0), "gt": ("lower", 1)}


def _shifted(expr: Expr) -> tuple[Expr, int]:
    """An expression as something plus a whole number."""
    if isinstance(expr, Apply) and expr.name in ("add", "sub"):
        first, second = expr.args
        if isinstance(second, Number) and isinstance(second.value, int):
            inner, offset = _shifted(first)
            return inner, offset + (second.value if expr.name == "add" else -second.value)
        if expr.name == "add" and isinstance(first, Number) and isinstance(first.value, int):
            inner, offset = _shifted(second)
            return inner, offset + first.value
    return expr, 0


def _runs_of(numbers: Load, evaluator: Evaluator) -> Expr | None:
    """The position whose runs of +1 a tensor numbers by cumsum(diff(position) != 1), read where the numbers are."""
    view = evaluator.view
    node: object = numbers.node
    for word in ("cumsum", "ne", "diff"):
        if not isinstance(node, fx.Node) or view.op(node).word != word:
            return None
        op = view.op(node)
        if word == "ne" and op.get("right") != 1:
            return None
        if word != "ne" and op.get("dim", -1) not in (-1, len(view.shape(node)) - 1):
            return None
        node = op.get("input", op.get("left"))
    return evaluator.element(node, numbers.index, numbers.node)


def _of_query(expr: Expr, roots: Roots) -> bool:
    return not symbols(expr) & (roots.all - {roots.batch, roots.query_position})


def stop_key(part: Expr, roots: Roots) -> Expr | None:
    """The first key that a query does not see any more, over (b, i): of j <= f(b, i), and of several by `or`."""
    if isinstance(part, Apply) and part.name == "or":
        stops = [stop_key(p, roots) for p in part.args]
        if any(s is None for s in stops):
            return None
        return reduce(lambda a, b: arithmetic("maximum", a, b), [s for s in stops if s is not None])
    found = _bound(part, roots)
    return found[1] if found is not None and found[0] == "stop" else None


def first_key(part: Expr, roots: Roots) -> Expr | None:
    """The first key that a query sees, over (b, i): of j >= f(b, i)."""
    found = _bound(part, roots)
    return found[1] if found is not None and found[0] == "first" else None


def _bound(part: Expr, roots: Roots) -> tuple[str, Expr] | None:
    """("stop", s) of j < s, ("first", f) of j >= f; s and f over (b, i)."""
    j = roots.key_position
    if j is None or not isinstance(part, Apply):
        return None
    if part.name == "le0":
        return _integer_bound(part, j)
    if part.name not in ("lt", "le", "gt", "ge"):
        return None
    left, right = part.args
    name = part.name
    if right == Int(j):  # f(i) < j says what j > f(i) says
        left, right, name = right, left, {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}[name]
    if left != Int(j) or not _of_query(right, roots) or not is_whole(right):  # the op takes an int64
        return None
    kind = "stop" if name in ("lt", "le") else "first"
    return kind, right if name in ("lt", "ge") else _next(right)


def _next(value: Expr) -> Expr:
    """One more than a whole number, however small the dtype that holds it, and large the number."""
    if as_sympy(value) is None:
        value = arithmetic("minimum", Apply("int64", (value,)), Number(FAR))
    return arithmetic("add", value, Number(1))


def _integer_bound(part: Apply, j: sympy.Symbol) -> tuple[str, Expr] | None:
    value = as_sympy(part.args[0])
    if value is None:
        return None
    for sign in (1, -1):
        rest = sympy.expand(value - sign * j)
        if j not in rest.free_symbols:  # sign·j + rest <= 0
            return ("stop", integer(1 - rest)) if sign == 1 else ("first", integer(rest))
    for floor in value.atoms(sympy.floor):  # whole chunks: floor(j / c) + rest <= 0
        rest = sympy.expand(value - floor)
        size = sympy.cancel(j / floor.args[0])
        if j not in rest.free_symbols and not size.free_symbols & {j}:
            return "stop", integer(sympy.expand(size * (1 - rest)))
    return None


def classify(keep: Expr, roots: Roots, evaluator: Evaluator) -> MaskSpec:
    """The classes of a bool expression over (b, h, i, j), True = takes part; what has none goes to `other`."""
    upper: list[sympy.Expr] = []
    lower: list[sympy.Expr] = []
    padding: list[Expr] = []
    groups: list[tuple[Expr, Expr]] = []
    first: list[Expr] = []
    stop: list[Expr] = []
    other: list[Expr] = []
    for part in map(partial(_absorbed, roots=roots), parts(keep)):
        if isinstance(part, Number):
            if not part.value:
                other.append(part)
        elif (above := causal_offset(part, roots)) is not None:
            upper.append(above)
        elif (below := window_start(part, roots)) is not None:
            lower.append(below)
        elif is_key_mask(part, roots):
            padding.append(part)
        elif (pair := group_pair(part, roots)) is not None:
            groups.append(pair)
        elif (end := stop_key(part, roots)) is not None:
            stop.append(end)
        elif (start := first_key(part, roots)) is not None:
            first.append(start)
        elif (order := document_order(part, parts(keep), roots, evaluator)) is not None:
            (upper if order[0] == "upper" else lower).append(sympy.Integer(order[1]))
        else:
            other.append(part)
    offset = _tightest(upper, sympy.Min)
    begin = _tightest(lower, sympy.Max)
    # A window with no causal edge, or one that may hold no key, is no window of the op: it is a first key.
    if begin is not None and (offset is None or not sympy.expand(offset - begin + 1).is_positive):
        first.append(integer(sympy.expand(roots.query_position + begin)))
        begin = None
    return MaskSpec(
        causal_offset=offset,
        sliding_window=None if begin is None or offset is None else sympy.expand(offset - begin + 1),
        key_mask=conjunction(*padding) if padding else None,
        first_key=reduce(lambda a, b: arithmetic("maximum", a, b), first) if first else None,
        stop_key=reduce(lambda a, b: arithmetic("minimum", a, b), stop) if stop else None,
        groups=tuple(groups),
        other=conjunction(*other) if other else None,
    )


def _absorbed(part: Expr, roots: Roots) -> Expr:
    """An `or` without the alternatives that say less than another: of j < 17 and j <= i + 17 the second holds whenever
    the first does."""
    if not (isinstance(part, Apply) and part.name == "or"):
        return part
    kept: list[Expr] = list(part.args)
    for one in part.args:
        if any(other is not one and _implies(one, other, roots) for other in kept):
            kept.remove(one)
    return disjunction(*kept)


def _implies(one: Expr, other: Expr, roots: Roots) -> bool:
    """Whether `other` holds wherever `one` does, both being comparisons of positions."""
    bounds = [as_sympy(e.args[0]) if isinstance(e, Apply) and e.name == "le0" else None for e in (one, other)]
    if bounds[0] is None or bounds[1] is None:
        return False
    gap = roots.domain.upper(sympy.expand(bounds[1] - bounds[0]))
    return gap is not None and bool(gap.is_nonpositive)


def parts(keep: Expr) -> Iterable[Expr]:
    """What must hold, one by one."""
    return keep.args if isinstance(keep, Apply) and keep.name == "and" else (keep,)


def _tightest(values: list[sympy.Expr], choose: type[sympy.Min] | type[sympy.Max]) -> sympy.Expr | None:
    return choose(*values) if values else None


def lift(terms: tuple[MaskTerm, ...], roots: Roots, evaluator: Evaluator) -> MaskSpec | None:
    """All mask terms of a site as one MaskSpec; None where they cannot be joined without changing an output.

    Joining is a matter of the rows that see no key. One term has one fill: −inf gives NaN, a finite number a plain mean
    over all keys, whose scores take a gradient where the fill is added to them ("level"). Several finite terms may
    leave different numbers from key to key in such a row: then they are joined only where no row can be empty.
    """
    keep = conjunction(*(t.keep for t in terms))
    spec = classify(keep, roots, evaluator)
    rows = {_row_without_keys(t) for t in terms}
    if may_have_empty_rows(spec, roots) and not _uniform(terms):
        return None
    if rows and rows <= NAN_ROWS:
        empty = max(rows)  # "nan_added" where some are added
    else:
        empty = rows.pop() if len(rows) == 1 else "zero" if rows & NAN_ROWS or not rows else "mean"
    if spec.other is not None:  # a tensor is needed anyway: it holds the whole mask
        return MaskSpec(other=keep, empty_rows=empty)
    return replace(spec, empty_rows=empty)


def _row_without_keys(term: MaskTerm) -> str:
    if math.isinf(term.fill):
        return "nan_added" if term.added else "nan"
    return "level" if term.added else "mean"


def as_tensor(mask: MaskSpec, roots: Roots) -> MaskSpec:
    """The same mask with all of it in `other`, as one tensor says it."""
    if mask.filled is not None:  # it is in the bias
        return mask
    i, j = (s if s is not None else sympy.Integer(0) for s in (roots.query_position, roots.key_position))
    kept: list[Expr] = [part for part in (mask.key_mask, mask.other) if part is not None]
    if mask.causal_offset is not None:
        kept.append(roots.domain.at_most_zero(j - i - mask.causal_offset))
        if mask.sliding_window is not None:
            kept.append(roots.domain.at_most_zero(i + mask.causal_offset - mask.sliding_window + 1 - j))
    if mask.first_key is not None:
        kept.append(Apply("le", (mask.first_key, integer(j))))
    if mask.stop_key is not None:
        kept.append(Apply("lt", (integer(j), mask.stop_key)))
    kept.extend(Apply("eq", pair) for pair in mask.groups)
    keep = conjunction(*kept)
    empty = mask.empty_rows if may_have_empty_rows(mask, roots) else "zero"
    return MaskSpec(other=None if keep == TRUE else keep, empty_rows=empty)


def _uniform(terms: tuple[MaskTerm, ...]) -> bool:
    """Whether all keys of a row without keys end with the same score; terms stand in the order they are applied."""
    if len(terms) <= 1 or all(math.isinf(t.fill) for t in terms):
        return True
    return len({t.fill for t in terms}) == 1 and not any(t.added for t in terms[1:])


def may_have_empty_rows(spec: MaskSpec, roots: Roots) -> bool:
    """Whether some query may see no key at all."""
    if any(part is not None for part in (spec.key_mask, spec.other, spec.first_key, spec.stop_key)) or spec.groups:
        return True
    if spec.causal_offset is None:
        return False
    if not spec.causal_offset.is_nonnegative:
        return True
    if spec.sliding_window is None:
        return False
    # The last query's window begins at n_q + offset − window, which must be a key (there may be fewer keys).
    spare = roots.n_k - (roots.size(roots.query_position) + spec.causal_offset - spec.sliding_window)
    return not (spec.sliding_window.is_positive and sympy.expand(spare).is_positive)
