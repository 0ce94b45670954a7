"""One model type, measured in this process: what our passes find, rewrite and reject, and how far the output moves."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import coverage_detect as detect
import coverage_inductor
import coverage_inputs
import coverage_models
import torch
from torch import fx

from hyperrewrite.verify import without_dropout

CONDITIONS = ("none", "padded", "bf16", "training", "dropout", "batch1", "use_cache", "dynamic")
IMPLEMENTATIONS = ("eager", "sdpa")
# The cases in which Inductor's own fusing is counted: a graph of SDPA calls leaves it nothing to do.
COUNTED = (("eager", "none"), ("eager", "padded"), ("eager", "dropout"))
SAMPLES = 4  # rejections and misses of one case that are kept with their graph


class NotApplicable(Exception):
    """The model has no such case: no mask to pad with, no cache."""


@dataclass
class Capture:
    """A Dynamo backend that counts attention in every graph and runs the rewritten graph eagerly."""

    rewrite: bool = True
    draws: bool = True  # False: dropout is switched off in what runs
    captured: list[coverage_inductor.Graph] = field(default_factory=list)
    sites: int = 0
    graphs: int = 0
    missed: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, module: fx.GraphModule, example_inputs: Any) -> Callable[..., Any]:
        """Read one graph; give back what Dynamo shall run."""
        self.graphs += 1
        if not self.rewrite:
            return self._drawn(module).forward
        self.captured.append((module, tuple(example_inputs)))
        from hyperrewrite.analysis import analyse
        from hyperrewrite.options import Options

        with patch("hyperrewrite.policy.short", lambda site: None):  # the models are small, and what is small is left
            analysis = analyse(module, Options.of({"approximate": False}), example_inputs)
        report = analysis.report
        self.failures.extend(report.failures)
        for row in report.sites:
            self.actions[row.action] += row.count
            self.forms[f"{row.form}: {row.spec}"] += row.count
        for rejection in report.rejections:
            self.rejected[rejection.code] += rejection.count
        self._look_again(module, example_inputs, bool(report.failures))
        if not analysis.changed:
            return self._drawn(module).forward
        return self._guarded(self._drawn(analysis.module), module)

    def _drawn(self, module: fx.GraphModule) -> fx.GraphModule:
        return module if self.draws else without_dropout(module)

    def _guarded(self, rewritten: fx.GraphModule, original: fx.GraphModule) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            try:
                return rewritten(*args)
            except Exception as error:
                self.failures.append(f"the rewritten graph: {type(error).__name__}: {str(error)[:300]}")
                return original(*args)

        return run

    def _look_again(self, module: fx.GraphModule, example_inputs: Any, failed: bool) -> None:
        """What the passes say of every softmax, beside what the dumb detector says."""
        from hyperrewrite.passes.canonical import CanonicalView
        from hyperrewrite.passes.expand import expand
        from hyperrewrite.passes.held import held_tensors
        from hyperrewrite.passes.modes import Mode
        from hyperrewrite.passes.sites import find_sites

        expanded = expand(module)
        view = CanonicalView(expanded)
        suspects = [n for n in view.nodes if detect.is_fused(n) or (detect.is_softmax(n) and detect.is_attention(n))]
        try:
            findings = find_sites(expanded, held_tensors(module, example_inputs), Mode(torch.is_grad_enabled()))
        except Exception as error:
            self.sites += len(suspects)
            if suspects:
                self._keep("crash", f"{type(error).__name__}: {error}", suspects[0], view)
            return
        self.sites += len(findings.sites) + len(findings.rejections)
        for rejection in findings.rejections:
            self._keep(str(rejection.code), rejection.message, rejection.anchor, view)
        said = {site.anchor for site in findings.sites} | {rejection.anchor for rejection in findings.rejections}
        for node in suspects:
            if node not in said:
                self.missed += 1
                self.sites += 1
                self._keep("missed", "no word about it", node, view)
        if failed and suspects:
            self._keep("failure", self.failures[-1], suspects[0], view)

    def _keep(self, code: str, message: str, node: fx.Node, view: Any) -> None:
        if sum(s["code"] == code for s in self.samples) < SAMPLES:
            source = view.source(node)
            place = f"{source.file}:{source.line}"
            text = detect.excerpt(node) if detect.is_softmax(node) else str(node.format_node())
            self.samples.append(
                {"code": code, "message": message, "place": place, "module": source.module, "graph": text}
            )


def measure(
    model_type: str, implementations: tuple[str, ...], conditions: tuple[str, ...], inductor: bool
) -> Iterator[dict[str, Any]]:
    """A row for each case: {"row": …} or, where the model cannot run, {"not_run": …} with the reason."""
    for implementation in implementations:
        models: dict[Any, torch.nn.Module] = {}
        for condition in conditions:
            key = {"model": model_type, "implementation": implementation, "condition": condition}
            changes = _changes(condition)
            failure: dict[str, str] | None = None
            for proportion in (True, False):
                start = time.perf_counter()
                stage = "build"
                try:
                    name = (proportion, *changes)
                    if name not in models:
                        models[name] = coverage_models.build(model_type, implementation, proportion, **changes)
                    stage = "run"
                    row = key | _case(models[name], condition, inductor and (implementation, condition) in COUNTED)
                    yield {"row": row | {"seconds": round(time.perf_counter() - start, 2)}}
                    break
                except NotApplicable as why:
                    yield {"not_run": key | {"stage": "not applicable", "reason": str(why)}}
                    break
                except Exception as error:
                    if "does not support an attention implementation" in str(error):
                        yield {"not_run": key | {"stage": "not applicable", "reason": f"has no {implementation}"}}
                        break
                    stage = getattr(error, "coverage_stage", stage)
                    failure = failure or {"stage": stage, "reason": f"{type(error).__name__}: {str(error)[:600]}"}
                    if stage == "dynamo":
                        yield {"not_run": key | failure}
                        break
            else:
                yield {"not_run": key | (failure or {})}


def warm_up(inductor: bool) -> None:
    """Load in this process whatever each process it forks would load again."""
    import hyperrewrite.kernels.ops
    import transformers.modeling_layers
    import transformers.modeling_utils  # noqa: F401

    import hyperrewrite.analysis  # noqa: F401

    def attention(q: torch.Tensor) -> torch.Tensor:
        return torch.softmax(q @ q.transpose(-1, -2), -1) @ q

    torch.compile(attention, backend=Capture(), dynamic=False)(torch.ones(1, 2, 4, 4))
    if inductor:
        coverage_inductor.load()


def _changes(condition: str) -> dict[str, Any]:
    return {r".*(drop|mask_time_prob|mask_feature_prob).*": 0.0} if condition == "training" else {}


def _case(model: torch.nn.Module, condition: str, inductor: bool) -> dict[str, Any]:
    batch = 1 if condition == "batch1" else 2
    padded = condition in ("padded", "bf16")
    if padded and not coverage_inputs.takes_mask(model):
        if condition == "padded":
            raise NotApplicable("takes no attention_mask")
        padded = False
    if condition == "use_cache" and not getattr(model.config.get_text_config(), "use_cache", False):
        raise NotApplicable("has no cache")
    grad, dynamic = condition in ("training", "dropout"), condition == "dynamic"
    model.train(grad)
    kind = torch.bfloat16 if condition == "bf16" else torch.float32
    model.to(kind)
    if condition != "bf16":
        coverage_models.spread(model)

    def run(inputs: dict[str, Any], called: Any = model, higher: torch.dtype | None = None) -> Any:
        torch.manual_seed(7)
        given = {k: _as(v, kind) for k, v in inputs.items()}
        with torch.set_grad_enabled(grad):
            return called(**({k: _as(v, higher) for k, v in given.items()} if higher else given))

    inputs, reference = coverage_inputs.first_that_runs(model, batch, padded, condition == "use_cache", run)
    expected = _outputs(reference)
    gradients = _gradients(model, expected) if grad else {}
    capture = Capture()
    with _stage("dynamo"):
        actual = _outputs(run(inputs, _compiled(model, capture, dynamic)))
    row: dict[str, Any] = {
        "condition": condition,
        "sites": capture.sites,
        "rewritten": capture.actions["exact"] + capture.actions["leave"] if not capture.failures else 0,
        "rejected": dict(capture.rejected),
        "missed": capture.missed,
        "inductor": None,
        **difference(expected, actual),
        "gradient_difference": None,
        "actions": dict(capture.actions),
        "graphs": capture.graphs,
        "forms": dict(capture.forms),
        "failures": sorted(set(capture.failures)),
        "samples": capture.samples,
        "inputs": {k: list(v.shape) for k, v in inputs.items() if isinstance(v, torch.Tensor)},
    }
    if grad and not (condition == "dropout" and is_far(row)):  # which may draw in another order
        row["gradient_difference"] = _norm_difference(gradients, _gradients(model, actual))
    if is_far(row):  # whose fault: what the captured graph gives as it stood, and what higher precision says
        plain = _outputs(run(inputs, _compiled(model, Capture(rewrite=False), dynamic)))
        row["without_rewrite"] = difference(expected, plain)
        row["from_captured"] = difference(plain, actual)
        if condition == "dropout":
            quiet = [_outputs(run(inputs, _compiled(model, Capture(r, draws=False)))) for r in (False, True)]
            row["without_draws"] = difference(*quiet)
        row["second_look"] = _second_look(model, kind, inputs, run, expected, actual)
    if inductor:
        row |= coverage_inductor.fused(capture.captured, grad)  # last of all, as it uses the graphs up
    return row


def is_far(row: dict[str, Any]) -> bool:
    """Whether the output of a row is further from eager than 1e-4, or than 2e-2 of the norm in bf16."""
    if row.get("condition") == "bf16":
        return not row["relative_norm"] <= 2e-2
    return not (row["max_difference"] <= 1e-4 * max(1.0, row["largest"]))


def is_wrong(row: dict[str, Any]) -> bool:
    """Whether a row is far from eager and neither the capture nor rounding accounts for it.

    The capture does where the rewritten graph agrees with the graph as Dynamo captured it (some models build other
    masks while they are traced), and the order of the draws where both agree without dropout. Rounding does in bf16
    where transformers' own eager or sdpa is about as far (within a tenth) from the same model in float32, and in
    float32 where all agree in float64 (a model that amplifies its last bit).
    """
    look = row.get("second_look") or {}
    if not is_far(row) or any(not is_far({**row, **row.get(name, {})}) for name in ("from_captured", "without_draws")):
        return False
    if row.get("condition") == "bf16":
        theirs = max(
            (look[name] for name in ("eager", "sdpa") if look.get(name, float("inf")) < float("inf")), default=0.0
        )
        return not look.get("rewritten", float("inf")) <= 1.1 * theirs
    return not look.get("double", float("inf")) <= 1e-9


def _second_look(
    model: torch.nn.Module, kind: torch.dtype, inputs: Any, run: Any, expected: Any, actual: Any
) -> dict[str, float]:
    """Relative norms: in bf16 of eager's, sdpa's and the rewritten outputs against float32; else of both in float64."""
    with suppress(Exception):
        higher = torch.float32 if kind == torch.bfloat16 else torch.float64
        before = getattr(model.config, "_attn_implementation", "eager")
        model.to(higher)
        try:
            reference = _outputs(run(inputs, higher=higher))
            if kind == torch.bfloat16:
                outputs = {"eager": expected, "rewritten": actual}
                model.to(kind)
                with suppress(Exception):
                    model.set_attn_implementation("sdpa")
                    outputs["sdpa"] = _outputs(run(inputs))
                return {name: difference(reference, found)["relative_norm"] for name, found in outputs.items()}
            again = _outputs(run(inputs, _compiled(model, Capture()), higher=higher))
            return {"double": difference(reference, again)["relative_norm"]}
        finally:
            model.to(kind)
            with suppress(Exception):
                model.set_attn_implementation(before)
    return {}


@contextmanager
def _stage(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.coverage_stage = name  # type: ignore[attr-defined]
        raise


def _compiled(model: torch.nn.Module, backend: Any, dynamic: bool = False) -> Any:
    torch._dynamo.reset()
    return torch.compile(model, backend=backend, dynamic=dynamic)


def _as(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, list):
        return [_as(v, dtype) for v in value]
    return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _outputs(result: Any) -> list[torch.Tensor]:
    """Floating-point tensors of an output in order, caches left out."""
    found: list[torch.Tensor] = []

    def visit(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            if value.is_floating_point():
                found.append(value)
        elif isinstance(value, dict):
            for item in value.values():
                visit(item)
        elif isinstance(value, list | tuple):
            for item in value:
                visit(item)

    visit(result)
    return found


def difference(expected: list[torch.Tensor], actual: list[torch.Tensor]) -> dict[str, float]:
    """Largest absolute difference, the largest expected value, and the relative norm of the difference."""
    largest = worst = above = below = 0.0
    if [t.shape for t in expected] != [t.shape for t in actual]:
        return {"max_difference": float("inf"), "largest": 0.0, "relative_norm": float("inf")}
    for a, b in zip(expected, actual, strict=True):
        a, b = a.detach().double(), b.detach().double()
        if not a.numel():
            continue
        same = (a == b) | (a.isnan() & b.isnan())
        gap = torch.where(same, 0.0, (a - b).abs()).nan_to_num(nan=float("inf"))
        finite = a[a.isfinite()]
        worst = max(worst, float(gap.max()))
        largest = max(largest, float(finite.abs().max()) if finite.numel() else 0.0)
        above += float(gap.square().sum())
        below += float(finite.square().sum())
    return {"max_difference": worst, "largest": largest, "relative_norm": (above / below) ** 0.5 if below else 0.0}


def _gradients(model: torch.nn.Module, outputs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss = sum(t.float().square().mean() for t in outputs if t.requires_grad and t.numel())
    if isinstance(loss, torch.Tensor):
        loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _norm_difference(expected: dict[str, torch.Tensor], actual: dict[str, torch.Tensor]) -> float:
    """Norm of the difference of all gradients together, relative to the expected norm."""
    if expected.keys() != actual.keys():
        return float("inf")
    above = sum(float((expected[k] - actual[k]).double().square().sum()) for k in expected)
    below = sum(float(g.double().square().sum()) for g in expected.values())
    return (above / below) ** 0.5 if below else 0.0
