"""einx's functions, which stay one node each in a Dynamo graph, and the axes that their equations name.

Read are equations of plain axes, "b h i d, b h j d -> b h i j" and "b h i [j]"; compositions "(h d)", numbers and
ellipses are not.
"""

from __future__ import annotations

from torch import fx

from .vocabulary import OPERATORS, Spelling

Axes = tuple[str, ...]


def spelling_of(node: fx.Node) -> Spelling | None:
    """How a call of einx spells its word; None for any other call."""
    module = str(getattr(node.target, "__module__", ""))
    if node.op != "call_function" or module.partition(".")[0] != "einx":
        return None
    return OPERATORS.get(f"einx.{getattr(node.target, '__name__', '')}")


def product_axes(equation: object) -> tuple[Axes, Axes, Axes] | None:
    """The axes of both operands and of the result of einx.dot; None where they are not plain."""
    if not isinstance(equation, str):
        return None
    terms, arrow, out = equation.replace("[", " ").replace("]", " ").partition("->")
    sides = [tuple(term.split()) for term in (*terms.split(","), out)]
    if not arrow or len(sides) != 3 or any(len(set(side)) != len(side) for side in sides):
        return None
    if not all(axis.isidentifier() for side in sides for axis in side):
        return None
    left, right, result = sides
    return (left, right, result) if set(result) <= {*left, *right} else None


def reduced_dim(equation: object) -> int | None:
    """The place of the one axis in brackets, as of einx.softmax; None where it is not one of plain axes."""
    if not isinstance(equation, str) or equation.count("[") != 1 or "->" in equation:
        return None
    axes = equation.split()
    marked = [k for k, axis in enumerate(axes) if axis.startswith("[") and axis.endswith("]")]
    plain = all(axis.strip("[]").isidentifier() for axis in axes)
    return marked[0] if plain and len(marked) == 1 else None
