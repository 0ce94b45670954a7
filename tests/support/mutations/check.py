"""Run a mutant as it is and as rewritten, and compare: results, gradients, what is written into inputs, no failure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import torch
from failing import described
from graphs import EXACT, OP, as_long, clone, gradients_of, leaves_of, mark_trained
from hyperrewrite.passes.canonical import CanonicalView, called, drops
from hyperrewrite.passes.rewrite import rewrite
from hyperrewrite.passes.sites import find_sites
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from hyperrewrite.analysis import analyse
from hyperrewrite.gradients import Apart
from hyperrewrite.verify import without_dropout

from .bases import BASES
from .changes import CHANGES
from .draft import Mutant, mutated
from .rounding import LARGE, Coarse, Noisy, Swallowing

TOLERANCE = 3e-5
TRIES = 10


@dataclass(frozen=True)
class Results:
    """What a graph gives: what it returns, its inputs as it leaves them, and the gradients of its floating inputs.

    gradients is None where autograd refuses: a tensor that it saved has been written in place.
    """

    values: list[Any]
    gradients: list[Tensor | None] | None


class Wrong(AssertionError):
    """A rewritten graph that computes something else, or that does not run, or passes that failed."""

    def __init__(
        self,
        mutant: Mutant,
        said: str,
        rewritten: fx.GraphModule | None = None,
        expected: Results | None = None,
        actual: Results | None = None,
    ) -> None:
        super().__init__(f"{mutant}\n  {said}")
        self.mutant, self.rewritten, self.expected, self.actual = mutant, rewritten, expected, actual

    def details(self) -> str:
        """The graph, its rewrite, and what both computed."""
        both = [None if r is None else [*r.values, *(r.gradients or ())] for r in (self.expected, self.actual)]
        return described(self.mutant.module, self.rewritten, *both)


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    kind      "site", "rejected" or "neither": what its softmax or SDPA call was read as.
    written   sites of the graph that were rewritten.
    changes   whether it computes something else than its base.
    excused   why a difference is none: "" where there is none, "rounding" where rounding errors of the graph's own
              steps may be as large, or keep a score beside −1e9 (README's limit), "not finite" where queries, keys or
              values are not finite to begin with, "dropout" where an active dropout hands its random numbers out in the
              order of memory, which the rewrite may change, and all is equal without it.
    """

    mutant: Mutant
    kind: str
    written: int
    changes: bool
    excused: str


def check(base: str, seed: int) -> Outcome:
    """Mutate a base and compare. Raises Wrong."""
    for attempt in range(TRIES):
        mutant = mutated(base, CHANGES, seed * TRIES + attempt)
        inputs = drawn(mutant.inputs, seed)
        try:
            expected = _run(mutant.module, inputs)
        except Exception:  # shapes fit, values do not: an index out of range, a write into an expanded tensor
            continue
        return _checked(mutant, inputs, expected)
    raise RuntimeError(f"no mutant of {base} runs for seed {seed}")


def _checked(mutant: Mutant, inputs: tuple[Any, ...], expected: Results) -> Outcome:
    mark_trained(mutant.module)
    logger = logging.getLogger("hyperrewrite")
    was, logger.disabled = logger.disabled, True
    try:
        with as_long():
            analysis = analyse(mutant.module, EXACT, mutant.inputs)
    finally:
        logger.disabled = was
    if analysis.report.failures:
        raise Wrong(mutant, f"the passes failed: {analysis.report.failures[0]}")
    findings = find_sites(mutant.module)
    excused = ""
    kept = analysis.assumed
    if kept:  # buffers that were known by value keep it
        inputs = tuple(
            old if k in kept else new for k, (old, new) in enumerate(zip(mutant.inputs, inputs, strict=True))
        )
        expected = _run(mutant.module, inputs, kept)
    for name in ("SDPA or op", "op"):
        module = None
        try:
            module = _with_op(mutant, findings) if name == "op" else analysis.module
            actual = _run(module, inputs, kept)
        except Exception as error:
            raise Wrong(mutant, f"as {name} it does not run: {type(error).__name__}: {error}", module) from error
        off, said = _off(actual, expected)
        if off <= max(TOLERANCE, 10 * mutant.lost_digits):
            continue
        if off <= 30 * _rounding_error(mutant, inputs, kept, expected) or _is_swallowed(mutant, inputs, kept, actual):
            excused = "rounding"
        elif _not_finite(mutant, inputs):
            excused = "not finite"
        elif module is not None and _differs_in_draws(mutant, module, inputs, kept):
            excused = "dropout"
        else:
            raise Wrong(mutant, f"as {name} it differs by {off:.2g}: {said}", module, expected, actual)
    near = {s.anchor.name: "site" for s in findings.sites} | {r.anchor.name: "rejected" for r in findings.rejections}
    before = _base_result(mutant, inputs)
    changes = before is None or difference(expected.values[: len(before)], before)[0] > 1e-6
    return Outcome(mutant, near.get(mutant.anchor, "neither"), analysis.report.site_count, changes, excused)


def _with_op(mutant: Mutant, findings: Any) -> fx.GraphModule:
    return rewrite(mutant.module, [(site, OP) for site in findings.sites]).module


def drawn(inputs: tuple[Any, ...], seed: int) -> tuple[Any, ...]:
    """The inputs; for two seeds of three with the values of each tensor shuffled, so that weights stay like weights."""
    if seed % 3 == 0:
        return inputs
    generator = torch.Generator().manual_seed(seed)

    def shuffled(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.numel() < 2:
            return value
        order = torch.randperm(value.numel(), generator=generator)
        fresh = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
        return fresh.copy_(value.detach().flatten()[order].view(value.shape))

    return tuple(map(shuffled, inputs))


def _run(module: fx.GraphModule, inputs: tuple[Any, ...], kept: Container[int] = ()) -> Results:
    """What the graph gives. kept: inputs, by position, whose values are known and have no gradient."""
    return _given(Apart(module).run, inputs, kept)


def _given(function: Callable[..., Any], inputs: tuple[Any, ...], kept: Container[int]) -> Results:
    leaves, mine = leaves_of([None if k in kept else value for k, value in enumerate(inputs)])
    mine = [clone(inputs[k]) if k in kept else value for k, value in enumerate(mine)]
    torch.manual_seed(0)
    with torch.enable_grad():
        values = [*pytree.tree_leaves(function(*mine)), *mine]
        try:
            gradients = gradients_of(values, leaves)
        except RuntimeError as error:
            if "modified by an inplace operation" not in str(error):
                raise
            gradients = None
    return Results([clone(v.detach()) if isinstance(v, Tensor) else v for v in values], gradients)


def _base_result(mutant: Mutant, inputs: tuple[Any, ...]) -> list[Any] | None:
    captured = BASES[mutant.base].captured
    assert captured is not None
    try:
        with torch.no_grad():
            torch.manual_seed(0)
            return pytree.tree_leaves(captured.module.forward(*clone(inputs[: len(captured.inputs)])))
    except Exception:
        return None


def _off(actual: Results, expected: Results) -> tuple[float, str]:
    """The largest difference over results and gradients; where eager's gradient or a result is NaN none is promised."""
    worst, said = difference(actual.values, expected.values)
    has_nan = any(isinstance(v, Tensor) and v.is_floating_point() and bool(v.isnan().any()) for v in expected.values)
    if has_nan or expected.gradients is None:
        return worst, said
    if actual.gradients is None:
        return float("inf"), "autograd refuses"
    mine = [
        torch.where(b.isnan(), b, a) if isinstance(a, Tensor) and isinstance(b, Tensor) else a
        for a, b in zip(actual.gradients, expected.gradients, strict=True)
    ]
    off, what = difference(mine, expected.gradients)
    return (worst, said) if worst >= off else (off, f"gradient: {what}")


def difference(actual: list[Any], expected: list[Any]) -> tuple[float, str]:
    """The largest difference over all results, in units of max(1, largest number of the result), and where it is."""
    worst, said = 0.0, ""
    if len(actual) != len(expected):
        return float("inf"), f"{len(actual)} results for {len(expected)}"
    for k, (a, b) in enumerate(zip(actual, expected, strict=True)):
        off, what = _difference(a, b)
        if off > worst:
            worst, said = off, f"result {k}: {what}"
    return worst, said


def _difference(a: Any, b: Any) -> tuple[float, str]:
    far = float("inf")
    if isinstance(a, Tensor) != isinstance(b, Tensor):
        return far, f"{_kind(a)} for {_kind(b)}"
    if not isinstance(b, Tensor):
        return (0.0, "") if a == b or (a != a and b != b) else (far, f"{a} for {b}")
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return far, f"{a.dtype} {tuple(a.shape)} for {b.dtype} {tuple(b.shape)}"
    if b.is_complex():
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    a, b = a.double(), b.double()
    if not torch.equal(a.isnan(), b.isnan()):
        return far, f"{int(a.isnan().sum())} NaN for {int(b.isnan().sum())} of {b.numel()}"
    if not torch.equal(a.isposinf(), b.isposinf()) or not torch.equal(a.isneginf(), b.isneginf()):
        return far, "infinities elsewhere"
    a, b = a[b.isfinite()], b[b.isfinite()]
    if not b.numel():
        return 0.0, ""
    small = b[b.abs() < LARGE]
    scale = max(1.0, float(small.abs().max())) if small.numel() else 1.0
    off = float(((a - b).abs() / torch.where(b.abs() < LARGE, scale, b.abs())).max())
    return off, f"{int(((a - b).abs() > 1e-4 * scale).sum())} of {b.numel()} numbers"


def _kind(value: Any) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else str(value)


def _rounding_error(mutant: Mutant, inputs: tuple[Any, ...], kept: Container[int], expected: Results) -> float:
    """How far the mutant's results move when each step errs a little."""
    found = 0.0
    for seed in range(3):
        noisy = Noisy(mutant.module)
        noisy.error = max(2e-7, mutant.lost_digits)
        noisy.generator = torch.Generator().manual_seed(seed)
        try:
            given = _given(noisy.run, inputs, kept)
        except Exception:
            continue
        found = max(found, _off(given, expected)[0])
        with suppress(Exception):
            given = _given(Coarse(mutant.module, seed).run, inputs, kept)
            found = max(found, _off(replace(given, values=expected.values), expected)[0])
    return found


def _is_swallowed(mutant: Mutant, inputs: tuple[Any, ...], kept: Container[int], actual: Results) -> bool:
    """Whether the rewrite gives what the graph would if the fills that it adds left nothing of the scores."""
    try:
        return _off(actual, _given(Swallowing(mutant.module).run, inputs, kept))[0] <= TOLERANCE
    except Exception:
        return False


class _Watching(fx.Interpreter):
    """Looks at the operands of every product and SDPA call, except probabilities."""

    found = False

    def run_node(self, n: fx.Node) -> Any:
        name = called(n)
        if name in ("matmul", "bmm", "einsum", "baddbmm", "scaled_dot_product_attention"):
            operands = [m for m in n.all_input_nodes if not _from_softmax(m)][:3]
            values = [v for m in operands if isinstance(v := self.env[m], Tensor) and v.is_floating_point()]
            self.found |= any(not bool(v.isfinite().all()) for v in values)
        return super().run_node(n)


def _from_softmax(node: fx.Node) -> bool:
    for _ in range(8):
        if "softmax" in called(node):
            return True
        if len(node.all_input_nodes) == 0 or node.op == "placeholder":
            return False
        node = node.all_input_nodes[0]
    return False


def _not_finite(mutant: Mutant, inputs: tuple[Any, ...]) -> bool:
    """Whether queries, keys or values hold NaN or infinities: what becomes of them behind a mask is not promised."""
    watching = _Watching(mutant.module)
    torch.manual_seed(0)
    with torch.no_grad():
        watching.run(*clone(inputs))
    return watching.found


def _differs_in_draws(mutant: Mutant, rewritten: fx.GraphModule, inputs: tuple[Any, ...], kept: Container[int]) -> bool:
    """Whether both drop with the same probabilities, and without dropout give the same."""
    shares = [dropped_shares(module) for module in (mutant.module, rewritten)]
    if not shares[0] or shares[0] != shares[1]:
        return False
    results = [_run(without_dropout(module), inputs, kept) for module in (rewritten, mutant.module)]
    return _off(*results)[0] <= max(TOLERANCE, 10 * mutant.lost_digits)


def dropped_shares(module: fx.GraphModule) -> list[float]:
    """The p of every active dropout and SDPA call, sorted."""
    view = CanonicalView(module)
    ops = [view.op(node) for node in view.nodes if node.users]
    found = [op.get("p", 0.5) for op in ops if op.word == "dropout" and drops(op)]
    return sorted(found + [p for op in ops if op.word == "sdpa" and (p := op.get("dropout_p", 0.0))])


def random_base(seed: int, names: Sequence[str]) -> str:
    """The base of a seed."""
    return Random(seed).choice(names)
