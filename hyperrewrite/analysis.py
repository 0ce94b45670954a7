"""One graph through the passes: find, decide, rewrite, report. Never raises; a failure leaves the graph as it was."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

import torch
from torch import fx

from .call_errors import Watch
from .generated_code import Generated, generated_for
from .kernels import meter
from .options import Options
from .passes.canonical import CanonicalView
from .passes.copying import copied_graph
from .passes.held import Triangle
from .passes.modes import Mode
from .passes.region import Regions
from .passes.rewrite import Lowering, call_dtype
from .passes.sites import rejection
from .passes.subgraphs import Path, Place, Program, Written
from .policy import Decision, decide
from .report import RejectionRow, Report, Selection, SiteRow, fold, fold_rejections, rejection_row, site_row
from .sizes import Limit, is_readable, places
from .verify import compare
from .words import are, plural

logger = logging.getLogger("hyperrewrite")
SEEDS_APART = 0x1F123BB5  # odd: no two sites of a graph share a seed


@dataclass(frozen=True)
class ShortGraph:
    """What runs in the place of the rewritten copy while all limits hold. A copy: it may be compiled in place."""

    module: fx.GraphModule
    limits: tuple[Limit, ...]


@dataclass(frozen=True)
class Analysis:
    """A graph after the passes. `module` is the rewritten copy, or the graph itself where nothing was changed.

    assumed: inputs, by position, whose values the copy rests on; it may run only while they are those triangles.
    short: the graph for calls that keep within all of its limits; None where one graph is right for every length.
    """

    module: fx.GraphModule
    changed: bool
    report: Report
    assumed: Mapping[int, Triangle] = field(default_factory=dict)
    short: ShortGraph | None = None

    def undone(self, module: fx.GraphModule, failure: str) -> Analysis:
        """The same graph left as it was, after all, because of a failure."""
        return Analysis(module, False, replace(self.report, sites=(), failures=(*self.report.failures, failure)))


def analyse(
    module: fx.GraphModule, options: Options, example_inputs: Sequence[Any] = (), code: bool = False
) -> Analysis:
    """Find, decide and rewrite. `module` itself is never changed.

    With the inputs of the graph, buffers that hold a causal mask are known for what they are. code: rows carry the
    source that is generated for them.
    """
    start = time.perf_counter()
    rejections: tuple[RejectionRow, ...] = ()
    try:
        program = Program(module, example_inputs, Mode(torch.is_grad_enabled()))
        found = program.places
        rejections = fold_rejections(map(rejection_row, program.rejections))
        decisions = decide([place.site for place in found], options)
        decided = [
            (place, _drawing_apart(d, k, place)) for k, (place, d) in enumerate(zip(found, decisions, strict=True))
        ]
        written = program.written({place: d.lowering for place, d in decided if d.lowering is not None})
        refused = [rejection(place.site, why) for place, why in written.refused.items()]
        rejections = fold_rejections((*rejections, *map(rejection_row, refused)))
        decided = [(place, d) for place, d in decided if place not in written.refused]
        rows = [site_row(place.site, d, _code(place, d) if code else None) for place, d in decided]
        sites = fold(_drawn(rows, [place for place, _ in decided], written))
        assumed = _assumed(module, program, [place for place, d in decided if d.lowering is not None])
        short = _short(module, program, decided, example_inputs)
    except Exception as error:  # whatever it is: the model compiles as Inductor would compile it
        failure = f"{type(error).__name__}: {error}"
        logger.warning("hyperrewrite left a graph as it was, because its passes failed: %s", failure, exc_info=True)
        return Analysis(module, False, Report((), rejections, 1, time.perf_counter() - start, (failure,)))
    modules = frozenset(place.site.source.module for place in found)
    selections = () if options.layers == "all" else (Selection(options.layers, len(found), frozenset((modules,))),)
    report = Report(sites, rejections, 1, time.perf_counter() - start, selections=selections)
    return Analysis(written.module, written.module is not module, report, assumed, short)


def _drawing_apart(decision: Decision, number: int, place: Place) -> Decision:
    """The decision for a graph's site by its number, with a seed of its own, so that layers draw apart.

    Sites of a body share the option's seed: with one each, every call of the body would be a graph of its own.
    """
    lowering = decision.lowering
    if lowering is None or "seed" not in lowering.arguments or place.run.path:
        return decision
    seed = (int(lowering.arguments["seed"]) + number * SEEDS_APART) % 2**31
    return replace(decision, lowering=replace(lowering, arguments={**lowering.arguments, "seed": seed}))


def _short(
    module: fx.GraphModule, program: Program, decided: Sequence[tuple[Place, Decision]], example_inputs: Sequence[Any]
) -> ShortGraph | None:
    """The graph for short calls, where some site is done otherwise in them and the inputs say how long a call is."""
    known = places(example_inputs)
    limits: dict[Limit, None] = {}
    lowerings: dict[Place, Lowering] = {}
    for place, decision in decided:
        other, lowering = decision.when_short, decision.lowering
        if other is not None and all(is_readable(limit, known) for limit in other.limits):
            limits |= dict.fromkeys(other.limits)
            lowering = other.lowering
        if lowering is not None:
            lowerings[place] = lowering
    if not limits:
        return None
    written = program.written(lowerings, "short").module
    if written is module:
        written = fx.GraphModule(module, copied_graph(module)[0])
        written.meta.update(module.meta)
    return ShortGraph(written, tuple(limits))


def _code(place: Place, decision: Decision) -> Generated | None:
    view = CanonicalView(place.run.part.module)
    return generated_for(place.site.spec, decision, call_dtype(view, place.site))


def _assumed(module: fx.GraphModule, program: Program, places: Sequence[Place]) -> dict[int, Triangle]:
    position = {str(node.target): k for k, node in enumerate(module.graph.find_nodes(op="placeholder"))}
    return {position[name]: triangle for name, triangle in program.assumed(places).items()}


def _drawn(rows: Sequence[SiteRow], places: Sequence[Place], written: Written) -> Iterator[SiteRow]:
    """The rows; of each kind the first with its graph before and after, which is what folding keeps."""
    seen: set[SiteRow] = set()
    drawings: dict[Path, Regions] = {}
    for row, place in zip(rows, places, strict=True):
        kind = replace(row, modules=())
        if kind not in seen:
            seen.add(kind)
            try:
                path = place.run.path
                if path not in drawings:
                    drawings[path] = Regions(place.run.part.module, written.modules[path])
                regions = drawings[path]
                row = replace(row, before=regions.before(place.site), after=regions.after(place.site))
            except Exception:  # a drawing is not worth a rewrite
                logger.debug("the graph around a site could not be read for the report", exc_info=True)
        yield row


def verified(module: fx.GraphModule, analysis: Analysis, options: Options, example_inputs: Sequence[Any]) -> Analysis:
    """The analysis, if the graph and its exactly rewritten copy agree on random inputs; else the graph as it was."""
    exact = analyse(module, replace(options, approximate=False), example_inputs)
    comparison = compare(module, exact.module, example_inputs, options.seed, exact.assumed)
    if comparison.equal and exact.short is not None:  # the worse of the two graphs is what is said
        short = compare(module, exact.short.module, example_inputs, options.seed, exact.assumed)
        comparison = max(comparison, short, key=lambda one: (not one.equal, one.difference))
    analysis = replace(analysis, report=replace(analysis.report, checks=(comparison,)))
    if comparison.equal:
        # No fault, but who asked for it wants to read it, and Python shows nothing below a warning by default.
        logger.warning("verify=True: a graph and its exact rewrite agree on random inputs: %s", comparison.sentence)
        return analysis
    logger.warning("hyperrewrite left a graph as it was, because verify=True failed: %s", comparison.sentence)
    return analysis.undone(module, f"verify: {comparison.sentence}")


def hand_over(analysis: Analysis) -> None:
    """Add the report to every `record()` around."""
    for log in _LOGS.get():
        log.reports.append(analysis.report)


def announce(analysis: Analysis) -> None:
    """Hand the report over, and log one line: how many sites are approximate, which shapes; and what to look at."""
    hand_over(analysis)
    report = analysis.report
    for warning in report.warnings:
        logger.warning("hyperrewrite, of one graph: %s", warning)
    approximate = [row for row in report.sites if row.action not in ("leave", "exact")]
    if not approximate:
        logger.info("%s, none approximate", plural(report.site_count, "attention site"))
        return
    shapes = "; ".join(f"{row.count} × {row.action} query {list(row.query)} key {list(row.key)}" for row in approximate)
    logger.warning(
        "%s of %s approximate (%s); options={'approximate': False} forbids it, "
        "hyperrewrite.explain(model, …) says more",
        sum(row.count for row in approximate),
        are(report.site_count, "attention site"),
        shapes,
    )


# --- listening to real compiles -----------------------------------------------------------------------------------


@dataclass
class Log:
    """What `record()` collects: one report a compiled graph, in order, and where asked the errors of calls that ran."""

    reports: list[Report] = field(default_factory=list)
    watch: Watch | None = None

    @property
    def report(self) -> Report:
        """All graphs together. Rows of `hyper` have the errors of the calls of their shape, where these were asked for
        and ran; rows of one shape have the same."""
        joined = sum(self.reports, Report())
        if self.watch is None:
            return joined
        sites = [
            replace(row, errors=self.watch.of(row.query, row.key)) if row.action == "hyper" else row
            for row in joined.sites
        ]
        return replace(joined, sites=tuple(sites))

    def __str__(self) -> str:
        return str(self.report)

    def to_json(self) -> str:
        """The joined report as JSON text."""
        return self.report.to_json()

    def to_html(self, path: str | PathLike[str]) -> None:
        """The joined report as a page. Raises OSError."""
        self.report.to_html(path)


_LOGS: ContextVar[tuple[Log, ...]] = ContextVar("hyperrewrite_logs", default=())


@contextmanager
def record(*, errors: bool = False) -> Iterator[Log]:
    """Collect what the backend does to every graph that is compiled inside the block.

    >>> with hyperrewrite.record() as log:
    ...     torch.compile(model, backend="hyper")(tokens)
    >>> print(log)

    errors: also how far each call of `hyper` that runs inside the block is from exact attention, by its own sample.
    A call takes some hundredths longer; of short texts more, as then most of it is looked at.
    """
    log = Log(watch=Watch() if errors else None)
    token = _LOGS.set((*_LOGS.get(), log))
    try:
        with nullcontext() if log.watch is None else meter.observe(log.watch):
            yield log
    finally:
        _LOGS.reset(token)
