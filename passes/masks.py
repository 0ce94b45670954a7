"""From "which keys are kept" to a class that kernels know: causal, sliding window, key padding, or other.

A conjunction is classified part by part; each class is one function that takes a part or leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import sympy

from .expression import Apply, Expr, Number, as_sympy, conjunction, symbols
from .score import MaskTerm
from .spec import MaskSpec
from .symbols import Roots


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


def classify(keep: Expr, roots: Roots) -> MaskSpec:
    """The classes of a bool expression over (b, h, i, j), True = takes part; what has none goes to `other`."""
    upper: list[sympy.Expr] = []
    lower: list[sympy.Expr] = []
    padding: list[Expr] = []
    other: list[Expr] = []
    for part in keep.args if isinstance(keep, Apply) and keep.name == "and" else (keep,):
        if isinstance(part, Number):
            if not part.value:
                other.append(part)
        elif (above := causal_offset(part, roots)) is not None:
            upper.append(above)
        elif (below := window_start(part, roots)) is not None:
            lower.append(below)
        elif is_key_mask(part, roots):
            padding.append(part)
        else:
            other.append(part)
    offset = _tightest(upper, sympy.Min)
    start = _tightest(lower, sympy.Max)
    # A window with no causal edge forbids nothing after i; one that may hold no key is no window of the op.
    if start is not None and (offset is None or not sympy.expand(offset - start + 1).is_positive):
        other.append(conjunction(*(p for p in _parts(keep) if window_start(p, roots) is not None)))
        start = None
    return MaskSpec(
        causal_offset=offset,
        sliding_window=None if start is None or offset is None else sympy.expand(offset - start + 1),
        key_mask=conjunction(*padding) if padding else None,
        other=conjunction(*other) if other else None,
    )


def _parts(keep: Expr) -> Iterable[Expr]:
    return keep.args if isinstance(keep, Apply) and keep.name == "and" else (keep,)


def _tightest(values: list[sympy.Expr], choose: type[sympy.Min] | type[sympy.Max]) -> sympy.Expr | None:
    return choose(*values) if values else None


def lift(terms: tuple[MaskTerm, ...], roots: Roots) -> MaskSpec | None:
    """All mask terms of a site as one MaskSpec; None where they cannot be joined without changing an output.

    Joining is a matter of the rows that see no key. One term has one fill: −inf gives NaN, a finite number a plain
    mean over all keys. Several finite terms may leave different numbers from key to key in such a row: then they are
    joined only where no row can be empty.
    """
    keep = conjunction(*(t.keep for t in terms))
    spec = classify(keep, roots)
    rows = {"nan" if math.isinf(t.fill) else "mean" for t in terms}
    if may_have_empty_rows(spec) and not _uniform(terms):
        return None
    empty = rows.pop() if len(rows) == 1 else "zero"
    if spec.other is not None:  # a tensor is needed anyway: it holds the whole mask
        return MaskSpec(other=keep, empty_rows=empty)
    return MaskSpec(spec.causal_offset, spec.sliding_window, spec.key_mask, spec.other, empty)


def _uniform(terms: tuple[MaskTerm, ...]) -> bool:
    """Whether all keys of a row without keys end with the same score; terms stand in the order they are applied."""
    if len(terms) <= 1 or all(math.isinf(t.fill) for t in terms):
        return True
    return len({t.fill for t in terms}) == 1 and not any(t.added for t in terms[1:])


def may_have_empty_rows(spec: MaskSpec) -> bool:
    """Whether some query may see no key at all."""
    if spec.key_mask is not None or spec.other is not None:
        return True
    if spec.causal_offset is None:
        return False
    negative = not spec.causal_offset.is_nonnegative
    return negative or (spec.sliding_window is not None and not spec.sliding_window.is_positive)
