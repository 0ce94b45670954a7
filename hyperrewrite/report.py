"""What was done to a model and why, as data that prints for people and dumps for programs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

from .call_errors import CallErrors
from .generated_code import Generated
from .options import highest_layer
from .passes.region import Step
from .passes.spec import AttentionSite, Rejection, Source
from .policy import Decision
from .verify import Comparison
from .words import plural, sentences

NOTHING_COMPILED = (
    "no graph was compiled here: either the model had been compiled before, or its own forward never ran, as in "
    'torch.compile(model).generate(…), which runs the original; model.compile(backend="hyper"), then '
    "model.generate(…), runs what is compiled"
)


@dataclass(frozen=True, slots=True)
class SiteRow:
    """One attention site, or several that differ in their module path alone.

    Shapes are [batch, heads, length, dim]; a symbolic size is a string such as "s27". What does not tell rows apart
    stands at the end: `source` is the line of code, `sentences` say the spec at length, `before` is the part of the
    graph that the first of the sites is made of, `after` what was written in its place (nothing where it was left).
    generated and errors are there only where they were asked for.
    """

    file: str
    line: int
    modules: tuple[str, ...]
    form: str
    query: tuple[int | str, ...]
    key: tuple[int | str, ...]
    value: tuple[int | str, ...]
    dtype: str
    spec: str
    action: str
    code: str
    reason: str
    generated: Generated | None = None
    source: str = field(default="", compare=False)
    sentences: tuple[str, ...] = field(default=(), compare=False)
    before: tuple[Step, ...] = field(default=(), compare=False)
    after: tuple[Step, ...] = field(default=(), compare=False)
    errors: CallErrors | None = None

    @property
    def count(self) -> int:
        """How many sites the row stands for."""
        return len(self.modules)


@dataclass(frozen=True, slots=True)
class RejectionRow:
    """One candidate that was left alone, or several that differ in their module path alone."""

    file: str
    line: int
    modules: tuple[str, ...]
    code: str
    message: str
    source: str = field(default="", compare=False)

    @property
    def count(self) -> int:
        """How many candidates the row stands for."""
        return len(self.modules)


@dataclass(frozen=True, slots=True)
class Selection:
    """A `layers` text and what it chose from.

    sites   how many sites the graph with the most of them has.
    graphs  the modules of the sites, a set for each graph.
    """

    layers: str
    sites: int
    graphs: frozenset[frozenset[str]] = frozenset()

    @property
    def warning(self) -> str:
        """One sentence where the text names a site that no graph has, or counts in parts of a model; else ""."""
        if not self.sites:
            return ""
        highest = highest_layer(self.layers)
        if highest is not None and highest >= self.sites:
            most = plural(self.sites, "site")
            return f"layers={self.layers!r} names site {highest}, but no graph has more than {most}, numbered from 0"
        if self._is_a_block:
            return (
                f"layers={self.layers!r} counts in each graph, and this one may be a block of a model: no module in it "
                "has a number. Blocks that are compiled one by one all choose the same; compile the whole model, or "
                "give each block options of its own"
            )
        if any(not one & other for one in self.graphs for other in self.graphs if one and other):
            return (
                f"layers={self.layers!r} was counted in each graph, and the attention of this model stands in several; "
                "compile it as one graph, or give each part options of its own"
            )
        return ""

    @property
    def _is_a_block(self) -> bool:
        """Whether in some graph with sites no module is one of several: no number in any path."""
        return any(
            modules and not any(part.isdigit() for module in modules for part in module.split("."))
            for modules in self.graphs
        )


@dataclass(frozen=True, slots=True)
class Report:
    """Rows of all graphs of one model. `str(report)` is for people, `to_json()` for programs.

    seconds is the time our passes took; failures are the passes' own errors, each having left its graph as it was.
    selections: the `layers` of the options, where it is not "all". checks: what verify=True showed, one for each graph
    that was rewritten.
    """

    sites: tuple[SiteRow, ...] = ()
    rejections: tuple[RejectionRow, ...] = ()
    graphs: int = 0
    seconds: float = 0.0
    failures: tuple[str, ...] = ()
    selections: tuple[Selection, ...] = ()
    checks: tuple[Comparison, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should look at, a sentence each."""
        said = [selection.warning for selection in self.selections]
        if not self.graphs:
            said.append(NOTHING_COMPILED)
        return tuple(sentence for sentence in said if sentence)

    @property
    def site_count(self) -> int:
        """Sites of all rows together."""
        return sum(row.count for row in self.sites)

    def __add__(self, other: Report) -> Report:
        """Both reports as one, identical rows folded."""
        return Report(
            fold(self.sites + other.sites),
            fold_rejections(self.rejections + other.rejections),
            self.graphs + other.graphs,
            self.seconds + other.seconds,
            self.failures + other.failures,
            _joined(self.selections + other.selections),
            self.checks + other.checks,
        )

    def __str__(self) -> str:
        actions: dict[str, int] = {}
        for row in self.sites:
            action = _SHORT.get(row.action, row.action)
            actions[action] = actions.get(action, 0) + row.count
        parts = ", ".join(f"{n} {action}" for action, n in sorted(actions.items())) or "none"
        left = sum(row.count for row in self.rejections)
        lines = [
            f"{plural(self.site_count, 'attention site')} in {plural(self.graphs, 'graph')}: {parts}; "
            f"{left} left alone; our passes took {self.seconds * 1000:.0f} ms"
        ]
        for row in self.sites:
            lines += [
                f"  ×{row.count:<4} {modules_in_words(row.modules)}  ({_place(row)}, {row.form})",
                f"         query {_shape(row.query)}, key {_shape(row.key)}, value {_shape(row.value)} {row.dtype}: "
                f"{row.spec}",
                f"         → {_SHORT.get(row.action, row.action)}: {row.reason} [{row.code}]",
            ]
            if row.generated is not None:
                lines.append(f"         CUDA code: {row.generated}")
            if row.errors is not None:
                lines.append(f"         error: {row.errors}")
        for rejected in self.rejections:
            lines += [
                f"  ×{rejected.count:<4} {modules_in_words(rejected.modules)}  ({_place(rejected)})",
                f"         left alone: {rejected.message} [{rejected.code}]",
            ]
        lines += [f"  verified: {check.sentence}" for check in self.checks if check.equal]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        lines += [f"  failed: {failure}" for failure in self.failures]
        sources = {row.generated.name: row.generated.source for row in self.sites if row.generated is not None}
        for name, source in sources.items():
            if source:
                lines += ["", f"  {name}.py", *(f"    {line}".rstrip() for line in source.splitlines())]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: "graphs" and "seconds"; lists "sites", "rejections", "failures", "warnings" and "checks"."""
        return {
            "graphs": self.graphs,
            "seconds": self.seconds,
            "sites": [_site_dict(row) for row in self.sites],
            "rejections": [asdict(row) | {"count": row.count} for row in self.rejections],
            "failures": list(self.failures),
            "warnings": list(self.warnings),
            "checks": [_check_dict(check) for check in self.checks],
        }

    def to_json(self, indent: int | None = 2) -> str:
        """`to_dict()` as JSON text."""
        return json.dumps(self.to_dict(), indent=indent)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one self-contained page for people who have never seen a graph. Raises OSError."""
        from .html import page

        Path(path).write_text(page(self), encoding="utf-8")


def site_row(site: AttentionSite, decision: Decision, generated: Generated | None = None) -> SiteRow:
    """A site, its decision and, where that is asked for, the source that is generated for it, as a row."""
    spec, source = site.spec, site.source

    def shape(*sizes: Any) -> tuple[int | str, ...]:
        return tuple(int(s) if s.is_Integer else str(s) for s in sizes)

    return SiteRow(
        file=source.file,
        line=source.line,
        modules=(source.module,),
        form=site.form,
        query=shape(spec.batch, spec.heads, spec.n_q, spec.head_dim),
        key=shape(spec.batch, spec.kv_heads, spec.n_k, spec.head_dim),
        value=shape(spec.batch, spec.kv_heads, spec.n_k, spec.value_dim),
        dtype=str(spec.dtype).removeprefix("torch."),
        spec=spec.in_words(),
        action=decision.action,
        code=str(decision.code),
        reason=decision.sentence,
        generated=generated,
        source=source.code,
        sentences=sentences(spec),
    )


def rejection_row(rejection: Rejection) -> RejectionRow:
    """A rejection as a row."""
    source: Source = rejection.source
    return RejectionRow(source.file, source.line, (source.module,), str(rejection.code), rejection.message, source.code)


def fold(rows: Iterable[SiteRow]) -> tuple[SiteRow, ...]:
    """Rows that are equal but for their modules, as one."""
    found: dict[SiteRow, list[str]] = {}
    for row in rows:
        found.setdefault(replace(row, modules=()), []).extend(row.modules)
    return tuple(replace(row, modules=tuple(modules)) for row, modules in found.items())


def fold_rejections(rows: Iterable[RejectionRow]) -> tuple[RejectionRow, ...]:
    """Rejections that are equal but for their modules and the numbers in node names, as one."""
    found: dict[RejectionRow, tuple[RejectionRow, list[str]]] = {}
    for row in rows:
        key = replace(row, modules=(), message=re.sub(r"_\d+\b", "", row.message))
        found.setdefault(key, (row, []))[1].extend(row.modules)
    return tuple(replace(row, modules=tuple(modules)) for row, modules in found.values())


def modules_in_words(modules: Sequence[str]) -> str:
    """Paths that differ in numbers alone, as one: model.layers.{0…29}.self_attn."""
    shapes: dict[str, list[str]] = {}
    for module in modules:
        numbers = re.findall(r"(?<=\.)\d+(?=\.|$)|^\d+(?=\.|$)", module)
        shapes.setdefault(re.sub(r"(?<=\.)\d+(?=\.|$)|^\d+(?=\.|$)", "{}", module, count=1), []).append(
            numbers[0] if numbers else ""
        )
    words = []
    for path, numbers in shapes.items():
        span = numbers[0] if len(numbers) == 1 else f"{{{numbers[0]}…{numbers[-1]}}}"
        words.append(path.replace("{}", span, 1) or "(no module)")
    return ", ".join(words)


_SHORT = {"leave": "left as it is"}


def _joined(selections: Iterable[Selection]) -> tuple[Selection, ...]:
    """One for each text, with the most sites and the modules of all graphs."""
    joined: dict[str, Selection] = {}
    for one in selections:
        had = joined.get(one.layers, one)
        joined[one.layers] = Selection(one.layers, max(had.sites, one.sites), had.graphs | one.graphs)
    return tuple(joined.values())


def _check_dict(check: Comparison) -> dict[str, Any]:
    """A check as plain data; a number that JSON cannot hold is None."""

    found: dict[str, Any] = _plain(asdict(check))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _site_dict(row: SiteRow) -> dict[str, Any]:
    data = asdict(row) | {"count": row.count}
    for name in ("generated", "errors"):
        if data[name] is None:
            del data[name]
    if row.errors is not None:
        data["errors"] = _plain(data["errors"])
    return data


def _place(row: SiteRow | RejectionRow) -> str:
    return f"{PurePath(row.file).name}:{row.line}" if row.file else "no source"


def _shape(sizes: Sequence[int | str]) -> str:
    return "[" + ", ".join(map(str, sizes)) + "]"
