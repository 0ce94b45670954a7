"""Where the boxes and arrows of a region stand when it is drawn, from top to bottom. Numbers only; no markup.

Masks and biases have the columns at the left; then come queries with what becomes of them, then keys, then values. A
step stands as low as its readers allow, so that arrows are short; a long arrow runs between the columns.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .passes.region import Step

BOX_WIDTH, BOX_HEIGHT = 184, 74
GAP_X, GAP_Y = 22, 28
COLUMN, ROW = BOX_WIDTH + GAP_X, BOX_HEIGHT + GAP_Y
MARGIN = 20
LINE_LENGTH = 24  # characters of a box's title that fit into its width
SIDE_COLUMN_HEIGHT = 4  # from more steps than this on masks get a second column

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Box:
    """A step in its place: the upper left corner, the lines of its title, and its sizes in words."""

    step: Step
    x: float
    y: float
    title: tuple[str, ...]
    shape: str
    memory: str
    detail: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes, arrows as SVG paths (with whether an n×n tensor flows along), and the size of it all."""

    boxes: tuple[Box, ...]
    arrows: tuple[tuple[str, bool], ...]
    width: float
    height: float


def draw(steps: Sequence[Step]) -> Drawing:
    """The drawing of a region."""
    places = _places(steps)
    if not places:
        return Drawing((), (), 0, 0)
    left = min(column for column, _ in places.values())
    top = max(rank for _, rank in places.values())
    boxes = {
        step.name: Box(
            step,
            MARGIN + (places[step.name][0] - left) * COLUMN,
            MARGIN + (top - places[step.name][1]) * ROW,
            tuple(textwrap.wrap(step.operation, LINE_LENGTH, max_lines=2, placeholder=" …")),
            "×".join(map(str, step.shape)) or ("one number" if step.dtype else "several results"),
            memory(step.bytes) if step.dtype else "",
            _detail(step),
        )
        for step in steps
    }
    pairs = [(boxes[name], boxes[step.name]) for step in steps for name in step.inputs if name in boxes]
    arrows = [(_arrow(start, end, k), start.step.quadratic) for k, (start, end) in enumerate(pairs)]
    arrows.sort(key=lambda arrow: arrow[1])  # n×n on top
    return Drawing(
        tuple(boxes.values()),
        tuple(arrows),
        max(box.x for box in boxes.values()) + BOX_WIDTH + MARGIN,
        max(box.y for box in boxes.values()) + BOX_HEIGHT + MARGIN,
    )


def _places(steps: Sequence[Step]) -> dict[str, tuple[int, int]]:
    """Name → (column, rank from the bottom)."""
    readers: dict[str, list[str]] = {step.name: [] for step in steps}
    for step in steps:
        for name in step.inputs:
            if name in readers:
                readers[name].append(step.name)
    behind = _behind(steps)
    side_count = sum(step.role == "side" for step in steps)
    side_columns = [-1, -2] if side_count > SIDE_COLUMN_HEIGHT else [-1]
    met = [{behind[name] for name in step.inputs if name in behind} for step in steps]
    beside = any(frozenset(("key",)) in reads and frozenset(("value",)) in reads for reads in met)
    columns = {frozenset(("key",)): 1, frozenset(("value",)): 2 if beside else 1}  # else values fit below the keys
    taken: set[tuple[int, int]] = set()
    places: dict[str, tuple[int, int]] = {}
    for step in reversed(steps):
        lowest = max((places[name][1] + 1 for name in readers[step.name] if name in places), default=0)
        choices = [columns.get(behind[step.name], 0)]
        if step.role == "side":
            beneath = {places[reader][0] for reader in readers[step.name]}
            choices = [c for c in side_columns if c in beneath] + [c for c in side_columns if c not in beneath]
        rank, column = min(((_free(taken, column, lowest), column) for column in choices), key=lambda c: c[0])
        taken.add((column, rank))
        places[step.name] = (column, rank)
    return places


def _behind(steps: Sequence[Step]) -> Mapping[str, frozenset[str]]:
    """Which of the operands each step depends on."""
    found: dict[str, frozenset[str]] = {}
    for step in steps:
        if step.role in ("query", "key", "value"):
            found[step.name] = frozenset((step.role,))
        else:
            found[step.name] = frozenset(role for name in step.inputs for role in found.get(name, ()))
    return found


def _free(taken: set[tuple[int, int]], column: int, rank: int) -> int:
    while (column, rank) in taken:
        rank += 1
    return rank


def _arrow(start: Box, end: Box, number: int) -> str:
    x, y = start.x + BOX_WIDTH / 2, start.y + BOX_HEIGHT
    to_x, to_y = end.x + BOX_WIDTH / 2, end.y
    if to_x > x:  # leave and enter beside the middle, so that arrows of several columns stay apart
        x, to_x = x + 24, to_x - 24
    elif to_x < x:
        x, to_x = x - 24, to_x + 24
    if to_y - y <= GAP_Y + 1:
        bend = (to_y - y) * 0.6
        return f"M{x:g} {y:g}C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y:g}"
    if to_x == x:
        x, to_x = x - 48, to_x - 48
    gutter = end.x - GAP_X / 2 if to_x >= x else end.x + BOX_WIDTH + GAP_X / 2
    gutter += (number % 3 - 1) * 4
    high, low = y + GAP_Y / 2, to_y - GAP_Y / 2
    one, two = (6 if gutter > x else -6), (6 if to_x > gutter else -6)
    return (
        f"M{x:g} {y:g}V{high - 6:g}Q{x:g} {high:g} {x + one:g} {high:g}H{gutter - one:g}"
        f"Q{gutter:g} {high:g} {gutter:g} {high + 6:g}V{low - 6:g}Q{gutter:g} {low:g} {gutter + two:g} {low:g}"
        f"H{to_x - two:g}Q{to_x:g} {low:g} {to_x:g} {low + 6:g}V{to_y:g}"
    )


def memory(size: int | None) -> str:
    """Bytes in words: MiB, or why there is no number."""
    if size is None:
        return "size varies"
    if size == 0:
        return "no copy"
    mebibytes = size / MEBIBYTE
    if mebibytes < 0.01:
        return "< 0.01 MiB"
    if mebibytes >= 100:
        return f"{mebibytes:,.0f} MiB"
    return f"{mebibytes:.3g} MiB" if mebibytes >= 1 else f"{mebibytes:.2g} MiB"


def _detail(step: Step) -> str:
    size = "" if step.bytes is None else f", {step.bytes:,} bytes" if step.bytes else ", shares the memory of its input"
    return f"{step.name}: {step.operation}; {list(step.shape)} {step.dtype}{size}"
