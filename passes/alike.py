"""Which nodes of a graph compute the same thing from the same inputs, in the same steps."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch import fx

from .canonical import CanonicalView, drops


class Alike:
    """Numbers for the values of a graph; two nodes with the same number are the same computation.

    Only dropout is known to draw anew each time. Other random steps, and writes in place, may get one number for two
    values.
    """

    def __init__(self, view: CanonicalView) -> None:
        self._number: dict[fx.Node, int] = {}
        known: dict[Hashable, int] = {}
        for node in view.nodes:
            op = view.op(node)
            drawn = (op.word == "dropout" and drops(op)) or (op.word == "sdpa" and op.get("dropout_p", 0.0) != 0)
            if node.op not in ("call_function", "call_method") or drawn:
                key: Hashable = node
            else:
                key = (node.op, node.target, self._key(node.args), self._key(node.kwargs))
            self._number[node] = known.setdefault(key, len(known))

    def number(self, node: fx.Node) -> int:
        """The number of a node's value."""
        return self._number[node]

    def _key(self, value: Any) -> Hashable:
        if isinstance(value, fx.Node):
            return ("node", self._number[value])
        if isinstance(value, tuple | list):
            return tuple(map(self._key, value))
        if isinstance(value, dict):
            return tuple((name, self._key(part)) for name, part in value.items())
        if isinstance(value, slice):
            return ("slice", *map(self._key, (value.start, value.stop, value.step)))
        return value if isinstance(value, Hashable) else id(value)
