"""Run a graph and its rewritten copy on the same random inputs and compare: `options={"verify": True}`.

What is compared is the *matching*: every site is rewritten exactly, whatever the policy would estimate. Inputs are
drawn afresh, weights included, so that nothing hides behind a zero bias or a mask of ones; integers are 0 or 1, which
is valid for token ids, positions and attention masks alike. Dropout is switched off in both: one call of SDPA may draw
in another order than the steps it stands for.

Where inputs want gradients and gradient mode is on, gradients are compared as well: which inputs have one, and which.

Where torch-mlir is installed both graphs are also lowered to MLIR's linalg, `hyper::attention` by its decomposition.
Small ones are run from there as well, as an opinion that shares no kernel with the other two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from . import gradients
from .gradients import Run
from .passes import linalg, mlir
from .passes.canonical import CanonicalView, drops
from .passes.copying import copied_graph

# Relative to the norm of the original output. Half-precision graphs round the probabilities; ours do not.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 5e-3}
LARGEST = 2**31  # elements of a tensor of the original graph, above which it is not run
LARGEST_LOWERED = 2**18  # the same for the lowered graphs, which run as plain loops


@dataclass(frozen=True, slots=True)
class Lowerings:
    """Whether both graphs lower to linalg, and what they give when run from there.

    original    why the original graph has no lowering; "" where it has one, or where nobody tried.
    rewritten   the same of the rewritten graph.
    difference  of the lowered rewritten graph from the original one run by PyTorch, in units of the tolerance; NaN
                where the lowered graphs did not run, or the lowered original itself does not give what PyTorch gives.
    sentence    all of this for people, or why nobody tried.
    """

    original: str = ""
    rewritten: str = ""
    difference: float = math.nan
    sentence: str = "not lowered to linalg"

    @property
    def fails(self) -> bool:
        """Whether the rewrite lost the lowering or gives other numbers by it; an original without one is no failure."""
        return bool(self.rewritten and not self.original) or self.difference > 1.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a check showed.

    difference is ‖rewritten − original‖ / ‖original‖ over the TOLERANCE of the dtype, the largest over outputs and
    gradients; NaN where nothing could be compared.
    """

    equal: bool
    difference: float
    sentence: str
    lowerings: Lowerings = field(default_factory=Lowerings)


def compare(
    original: fx.GraphModule,
    rewritten: fx.GraphModule,
    inputs: Sequence[Any],
    seed: int = 0,
    kept: Container[int] = (),
) -> Comparison:
    """Run both on random inputs shaped like `inputs`. Never raises: a graph that cannot run is not equal.

    kept: positions of inputs that come with their own values, for a copy that rests on them.
    """
    large = _largest(original)
    if large > LARGEST:
        return Comparison(False, float("nan"), f"not checked: the original graph holds a tensor of {large} elements")
    try:
        original, rewritten = map(without_dropout, (original, rewritten))
        drawn = random_inputs(inputs, seed, kept)
        wanted = gradients.wanting(inputs, kept)
        runs = [gradients.run(module, drawn, wanted, seed) for module in (original, rewritten)]
        compared = _compared(runs[0].outputs, runs[1].outputs)
        if compared.equal and any(run.gradients or run.failure for run in runs):
            names = [node.name for node in original.graph.find_nodes(op="placeholder")]
            again = partial(gradients.run, original, gradients.moved(drawn, seed), wanted, seed)
            compared = _with_gradients(compared, runs[0], runs[1], again, names)
    except Exception as error:
        return Comparison(False, float("nan"), f"a graph did not run: {type(error).__name__}: {error}")
    if not compared.equal:
        return compared
    try:
        found = lowerings(original, rewritten, drawn, runs[0].outputs, run=large <= LARGEST_LOWERED)
    except Exception as error:  # an opinion less, no failure
        found = Lowerings(sentence=f"not lowered to linalg: {type(error).__name__}: {error}")
    sentence = f"{compared.sentence}; {found.sentence}"
    return replace(compared, equal=not found.fails, sentence=sentence, lowerings=found)


def without_dropout(module: fx.GraphModule) -> fx.GraphModule:
    """A copy whose dropout does nothing; the module itself where none is active."""
    view = CanonicalView(module)
    active = {"dropout": drops, "sdpa": lambda op: op.get("dropout_p", 0.0) != 0}
    found = [node for node in view.nodes if (op := view.op(node)).word in active and active[op.word](op)]
    bodies = {name: body for name, body in module._modules.items() if isinstance(body, fx.GraphModule)}
    quiet = {name: without_dropout(body) for name, body in bodies.items()}
    if not found and all(quiet[name] is body for name, body in bodies.items()):
        return module
    graph, copied = copied_graph(module)
    for node in found:
        op, copy = view.op(node), copied[node]
        args = {name: copied.get(value, value) for name, value in op.arguments.items()}
        if op.word == "dropout":
            copy.target, copy.args = F.dropout, (args["input"], 0.0, False, op.in_place)
            copy.kwargs = {}
        else:
            copy.args, copy.kwargs = (), {**args, "dropout_p": 0.0}
    result = fx.GraphModule(module, graph)
    for name, body in quiet.items():
        setattr(result, name, body)
    return result


def lowerings(
    original: fx.GraphModule, rewritten: fx.GraphModule, inputs: Sequence[Any], outputs: Sequence[Any], run: bool
) -> Lowerings:
    """Lower both graphs to linalg and, if asked, run them from there.

    outputs: what the original gives for the inputs.
    """
    if not mlir.available():
        return Lowerings(sentence="not lowered to linalg: torch-mlir is not installed")
    from .kernels import decomposition, ops

    table = {ops.attention._opoverload: decomposition.attention}
    before, after = (linalg.lower(module, inputs, table) for module in (original, rewritten))
    if before.reason or after.reason:
        parts = (("the original graph", before.reason), ("the rewritten one", after.reason))
        said = ", ".join(f"{name} {f'not ({reason})' if reason else 'yes'}" for name, reason in parts)
        return Lowerings(before.reason, after.reason, sentence=f"lowered to linalg: {said}")
    if not run:
        return Lowerings(sentence="lowered to linalg: both; not run from there, as they are not small")
    return _run_lowered(before, after, inputs, [value for value in outputs if isinstance(value, Tensor)])


def _run_lowered(
    before: linalg.Lowered, after: linalg.Lowered, inputs: Sequence[Any], outputs: Sequence[Tensor]
) -> Lowerings:
    differences = []
    for name, module in (("original", before), ("rewritten", after)):
        done = linalg.execute(module, inputs)
        if done.values is None:
            return Lowerings(sentence=f"lowered to linalg: both; the {name} one did not run from there: {done.reason}")
        differences.append(
            _compared(list(outputs), [v.to(o.device) for v, o in zip(done.values, outputs, strict=True)])
        )
    if not differences[0].equal:
        return Lowerings(sentence="lowered to linalg: both; the original does not run from there as PyTorch runs it")
    worst = differences[1].difference
    return Lowerings(difference=worst, sentence=f"lowered to linalg: both; run from there, {differences[1].sentence}")


def random_inputs(inputs: Sequence[Any], seed: int, kept: Container[int] = ()) -> list[Any]:
    """Inputs of the same shapes, strides, dtypes and devices with fresh values; sizes and plain numbers as they are.

    kept: positions of those that stay as they are.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = [_drawn(value, generator) for value in inputs]
    return [value if k in kept else fresh for k, (value, fresh) in enumerate(zip(inputs, drawn, strict=True))]


def _drawn(value: Any, generator: torch.Generator) -> Any:
    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        return value.node.hint
    if not isinstance(value, Tensor):
        return value
    shape = [s.node.hint if isinstance(s, torch.SymInt) else s for s in value.shape]
    if value.dtype.is_floating_point or value.dtype.is_complex:
        scale = 1.0 if value.dim() < 2 else 1.0 / max(shape[-1], 1) ** 0.5
        drawn = torch.randn(shape, generator=generator, dtype=torch.float32) * scale
    else:
        drawn = torch.randint(0, 2, shape, generator=generator)
    if value.dim() == 0:  # a number that became an input: its size may matter, its last bit does not
        return value.detach().clone()
    return torch.empty_like(value).detach().copy_(drawn)


def _largest(module: fx.GraphModule) -> int:
    values = [node.meta.get("example_value", node.meta.get("val")) for node in module.graph.nodes]
    sizes = [v.numel() for v in values if isinstance(v, Tensor)]
    return max((s.node.hint if isinstance(s, torch.SymInt) else s for s in sizes), default=0)


def _compared(original: list[Any], rewritten: list[Any]) -> Comparison:
    worst, where = 0.0, ""
    if len(original) != len(rewritten):
        return Comparison(False, float("inf"), "the graphs return different numbers of values")
    for k, (a, b) in enumerate(zip(original, rewritten, strict=True)):
        if not isinstance(a, Tensor):
            continue
        if a.shape != b.shape or a.dtype != b.dtype:
            return Comparison(False, float("inf"), f"output {k} changes from {_kind(a)} to {_kind(b)}")
        difference = _difference(a, b) / TOLERANCE.get(a.dtype, 1e-9)
        if difference > worst:
            worst, where = difference, f"output {k} {_kind(a)}"
    last = where and f", the most in {where}"
    return Comparison(worst <= 1.0, worst, f"the outputs differ by {worst:.2g} of the tolerance{last}")


def _with_gradients(
    compared: Comparison, original: Run, rewritten: Run, again: Callable[[], Run], names: Sequence[str]
) -> Comparison:
    """The comparison of outputs, and that of gradients."""
    if original.failure:  # nobody can train it as it is
        return replace(compared, sentence=f"{compared.sentence}; it has no gradients ({original.failure})")
    if rewritten.failure:
        return Comparison(False, float("inf"), f"the rewritten graph has no gradients ({rewritten.failure})")
    worst, where = gradients.furthest(original, rewritten, again, TOLERANCE)
    if where is None:
        return replace(compared, sentence=f"{compared.sentence}; their gradients do not differ")
    if (original.gradients[where] is None) != (rewritten.gradients[where] is None):
        one = "original" if rewritten.gradients[where] is None else "rewritten"
        return Comparison(False, worst, f"{names[where]} has a gradient in the {one} graph alone")
    said = f"the gradients differ by {worst:.2g} of the tolerance, the most in that of {names[where]}"
    if worst > 1.0:
        return Comparison(False, worst, said)
    return replace(compared, difference=max(compared.difference, worst), sentence=f"{compared.sentence}; {said}")


def _difference(a: Tensor, b: Tensor) -> float:
    """Relative norm of a − b; values that are not finite must be so in both."""
    if not a.dtype.is_floating_point:
        return 0.0 if torch.equal(a, b) else float("inf")
    a, b = a.double(), b.double()
    finite = a.isfinite()
    same = torch.equal(finite, b.isfinite()) and torch.equal(a.isnan(), b.isnan())
    if not same:
        return float("inf")
    a, b = a[finite], b[finite]
    return float((a - b).norm() / a.norm().clamp(min=1e-30)) if a.numel() else 0.0


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
