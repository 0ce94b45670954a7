"""The page of `Report.to_html`: one file, nothing loaded from elsewhere, for people who have never seen a graph."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath

from jinja2 import Environment, StrictUndefined

from .drawing import BOX_HEIGHT, BOX_WIDTH, Drawing, draw, memory
from .passes.region import Step
from .report import RejectionRow, Report, SiteRow, modules_in_words
from .words import GLOSSARY, REJECTIONS, action_in_words, are, outcome, title

TEMPLATE = "page.html.j2"


def page(report: Report) -> str:
    """A report as HTML text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8"))
    actions: dict[str, int] = {}
    for row in report.sites:
        actions[row.action] = actions.get(row.action, 0) + row.count
    return template.render(
        report=report,
        actions=[(action_in_words(action), count) for action, count in sorted(actions.items())],
        sites=[_site(row) for row in report.sites],
        rejections=[_rejection(row) for row in report.rejections],
        rejected=sum(row.count for row in report.rejections),
        glossary=GLOSSARY,
        box_width=BOX_WIDTH,
        box_height=BOX_HEIGHT,
    )


@dataclass(frozen=True, slots=True)
class Graph:
    """One drawing with its heading and what it says about n×n tensors."""

    heading: str
    drawing: Drawing
    quadratic: str
    has_quadratic: bool


@dataclass(frozen=True, slots=True)
class SiteSection:
    """A row as the page shows it."""

    row: SiteRow
    title: str
    place: str
    modules: str
    action: str
    outcome: str
    question: str
    kind: str  # "leave", "exact" or "approximate"
    graphs: tuple[Graph, ...]


@dataclass(frozen=True, slots=True)
class RejectionSection:
    """A rejection as the page shows it."""

    row: RejectionRow
    place: str
    modules: str
    meaning: str


def _site(row: SiteRow) -> SiteSection:
    graphs = []
    if row.before:
        graphs.append(_graph("Before: as the model's code writes it", row.before))
    if row.after:
        graphs.append(_graph("After: what runs instead", row.after))
    kind = row.action if row.action in ("leave", "exact") else "approximate"
    return SiteSection(
        row,
        title(row.spec),
        _place(row),
        modules_in_words(row.modules),
        action_in_words(row.action),
        *outcome(row.action),
        kind,
        tuple(graphs),
    )


def _rejection(row: RejectionRow) -> RejectionSection:
    return RejectionSection(row, _place(row), modules_in_words(row.modules), REJECTIONS.get(row.code, ""))


def _graph(heading: str, steps: Sequence[Step]) -> Graph:
    own = [step for step in steps if step.quadratic and step.bytes != 0]
    if not own:
        return Graph(heading, draw(steps), "no n×n tensor is made", False)
    known = [step.bytes for step in own if step.bytes is not None]
    together = ", together" if len(own) > 1 else ","
    total = f"{together} {memory(sum(known))}" if len(known) == len(own) else ""
    return Graph(heading, draw(steps), f"{are(len(own), 'n×n tensor')} made{total}", True)


def _place(row: SiteRow | RejectionRow) -> str:
    """File and line; the file from its package or from the current folder on."""
    if not row.file:
        return ""
    parts = PurePath(row.file).parts
    if "site-packages" in parts:
        file = "/".join(parts[parts.index("site-packages") + 1 :])
    else:
        here = os.getcwd() + os.sep
        file = row.file.removeprefix(here)
    return f"{file}:{row.line}"
