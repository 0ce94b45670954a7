"""A position in one shape as a position in another shape of the same data: what reshape does to an index."""

from __future__ import annotations

from functools import lru_cache

import sympy

from .domain import Domain, Remainder
from .expression import ZERO, Expr, Index, as_sympy, integer


def regroup(domain: Domain, index: Index, outer: tuple[sympy.Expr, ...], inner: tuple[sympy.Expr, ...]) -> Index | None:
    """Position in a tensor of shape `inner` of what stands at `index` of the same data viewed as `outer`.

    Dims are matched in groups of equal product; inside a group the flat position is divided out again. What was worked
    out for one layer of a model holds for all layers like it.
    """
    return _regroup(tuple(domain.sizes.items()), index, outer, inner)


@lru_cache(maxsize=4096)
def _regroup(
    sizes: tuple[tuple[sympy.Symbol, sympy.Expr], ...],
    index: Index,
    outer: tuple[sympy.Expr, ...],
    inner: tuple[sympy.Expr, ...],
) -> Index | None:
    domain = Domain(dict(sizes))
    result: list[Expr] = []
    o = k = 0
    while o < len(outer) or k < len(inner):
        if o < len(outer) and k < len(inner) and outer[o] == inner[k]:
            result.append(index[o])
            o, k = o + 1, k + 1
            continue
        if o < len(outer) and outer[o] == 1:
            o += 1
            continue
        if k < len(inner) and inner[k] == 1:
            result.append(ZERO)
            k += 1
            continue
        if o == len(outer) or k == len(inner):
            return None
        outs, ins = [o], [k]
        size_out, size_in = outer[o], inner[k]
        while size_out != size_in:
            grow_out = _smaller(size_out, size_in)
            if grow_out is None:  # cannot be compared: take the rest of both sides as one group
                outs, ins = list(range(o, len(outer))), list(range(k, len(inner)))
                break
            if grow_out:
                outs.append(outs[-1] + 1)
                if outs[-1] == len(outer):
                    return None
                size_out = sympy.expand(size_out * outer[outs[-1]])
            else:
                ins.append(ins[-1] + 1)
                if ins[-1] == len(inner):
                    return None
                size_in = sympy.expand(size_in * inner[ins[-1]])
        flat = sympy.Integer(0)
        for dim in outs:
            at = as_sympy(index[dim])
            if at is None:
                return None
            flat = recombined(sympy.expand(flat * outer[dim] + at))
        tail: list[Expr] = []
        for dim in reversed(ins[1:]):
            flat, rest = domain.divide(flat, inner[dim])
            tail.append(integer(rest))
        result.extend((integer(flat), *reversed(tail)))
        o, k = outs[-1] + 1, ins[-1] + 1
    return tuple(result)


def recombined(value: sympy.Expr) -> sympy.Expr:
    """c·⌊x / c⌋ + x mod c is x again: an index that was divided by one view and is merged by the next."""
    for mod in value.atoms(Remainder):
        inner, divisor = mod.args
        factor, quotient = value.coeff(mod), sympy.floor(inner / divisor)
        if factor != 0 and value.coeff(quotient) == sympy.expand(factor * divisor):
            value = sympy.expand(value + factor * (inner - mod - divisor * quotient))
    return value


def _smaller(a: sympy.Expr, b: sympy.Expr) -> bool | None:
    """Whether a < b; for symbolic sizes whether b is a multiple of a; None where neither shows."""
    if a.is_Integer and b.is_Integer:
        return bool(a < b)
    ratio = sympy.cancel(b / a)
    if ratio.as_numer_denom()[1] == 1:
        return True
    return False if sympy.cancel(a / b).as_numer_denom()[1] == 1 else None
