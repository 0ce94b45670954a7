"""Is the estimated error of an attention call its true error? Every layer and head of a real model, on several texts.

    python benchmarks/error_estimate.py                          4,096 tokens of three texts, `hyper` and `paper`
    python benchmarks/error_estimate.py --tokens 8192 --algorithms hyper --text novel.txt --json found.json

A case is one head of one layer on one text: with the q, k, v that it had in a forward of the model under the
algorithm, the relative output error √(Σ‖o − õ‖² / Σ‖o‖²) over all query rows is computed exactly, and estimated by
each design at the same budget, a share of exact attention's multiply-adds:

  uniform   equally likely rows, each error over its own rows' norm (what `meter.relative_error` does)
  flat      rows drawn systematically in order of position, likelier where they are cheap; known denominator
  guided    `kernels.probe_error`: likelier where a guess says that unread keys have weight

  within    share of cases within 20 % of the true error (cases with a true error below 1e-5 are rounding: left out)
  median, p95   of |estimate / true − 1|
  covered   share of cases whose 95 % interval holds the true error
  cost      mean and largest share of exact attention's multiply-adds over visible pairs, the guess included

Without --text the texts come with Python: its library's code, the manual inside pydoc, and turtle with its docstrings.
"""

from __future__ import annotations

import json
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from hyperrewrite.kernels import meter, probe_error
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hyperrewrite.demo import source, text

TOLERANCE = 0.2
ROUNDING = 1e-5
DESIGNS = ("uniform", "flat", "guided")
console = Console(stderr=True)


@dataclass
class Cases:
    """What one algorithm and design gave: one number a case."""

    true: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """The columns of the table."""
        true, error, low, high, cost = (
            torch.tensor(getattr(self, name), dtype=torch.float64) for name in ("true", "error", "low", "high", "cost")
        )
        real = true > ROUNDING
        off = (error / true - 1.0).abs()[real]
        return {
            "cases": int(real.sum()),
            "within": float((off <= TOLERANCE).double().mean()),
            "median": float(off.median()),
            "p95": float(off.quantile(0.95)),
            "covered": float(((low <= true) & (true <= high))[real].double().mean()),
            "cost": float(cost.mean()),
            "cost_max": float(cost.max()),
        }


def true_error(seen: meter.Observation) -> Tensor:
    """Relative output error of each head over all rows, float64 [B, H]; sums in float64."""
    wrong = torch.zeros(seen.query.shape[:2], dtype=torch.float64)
    size = torch.zeros_like(wrong)
    visible = probe_error.visible_keys(seen.call, seen.query.device)
    rows = torch.arange(seen.query.shape[2])
    for b in range(seen.query.shape[0]):
        for h in range(seen.query.shape[1]):
            unit = h * seen.key.shape[1] // seen.query.shape[1]
            operands = (seen.query[b, h], seen.key[b, unit], seen.value[b, unit])
            exact = probe_error.exact_rows(*operands, rows, visible, seen.call.scale).double()
            wrong[b, h] = (seen.out[b, h].double() - exact).square().sum()
            size[b, h] = exact.square().sum()
    return (wrong / size).sqrt()


def uniform(seen: meter.Observation, budget: float, seed: int) -> probe_error.ErrorEstimate:
    """Equally likely rows, the same for all heads, without replacement; interval by the jackknife."""
    n_q = seen.query.shape[2]
    count = max(round(budget * n_q), 2)
    rows = torch.randperm(n_q, generator=torch.Generator().manual_seed(seed))[:count].sort().values
    exact = meter.exact_rows(seen, rows).double()
    wrong = (seen.out[:, :, rows].double() - exact).square().sum(-1)
    size = exact.square().sum(-1)
    chance = torch.full((count,), count / n_q, dtype=torch.float64)
    visible = probe_error.visible_keys(seen.call, rows.device)
    found = [
        probe_error.ratio(wrong[b, h], size[b, h], 0.0, chance)
        for b in range(wrong.shape[0])
        for h in range(wrong.shape[1])
    ]
    error, low, high = (torch.tensor(x, dtype=torch.float64).view(wrong.shape[:2]) for x in zip(*found, strict=True))
    cost = torch.full_like(error, float(visible[rows].sum()) / float(visible.sum()))
    return probe_error.ErrorEstimate(error, low, high, torch.full(error.shape, count), cost)


def estimate(design: str, seen: meter.Observation, budget: float, seed: int) -> probe_error.ErrorEstimate:
    """One design's estimate for one call."""
    if design == "uniform":
        return uniform(seen, budget, seed)
    tensors = (seen.query, seen.key, seen.value, seen.out, seen.lse)
    return probe_error.estimate_error(*tensors, seen.call, budget=budget, guided=design == "guided", seed=seed)


def texts(files: list[Path]) -> dict[str, list[str]]:
    """Name → pieces of text."""
    if files:
        return {file.stem: list(text.read_parts(file)) for file in files}
    library = Path(sysconfig.get_path("stdlib"))
    return {
        "code": list(text.read_parts(None)),
        "manual": list(text.read_parts(library / "pydoc_data" / "topics.py")),
        "turtle": list(text.read_parts(library / "turtle.py")),
    }


def main(
    tokens: Annotated[int, typer.Option(help="Length of each text.")] = 4096,
    algorithms: Annotated[str, typer.Option(help="Which, separated by commas.")] = "hyper,paper",
    file: Annotated[list[Path] | None, typer.Option("--text", help="UTF-8 files instead of Python's texts.")] = None,
    min_seq_len: Annotated[int, typer.Option(help="The option of that name.")] = 1024,
    budget: Annotated[float, typer.Option(help="Share of exact attention's multiply-adds.")] = probe_error.BUDGET,
    seed: Annotated[int, typer.Option(help="Of the drawn rows.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", metavar="PATH", help="Write every case.")] = None,
) -> None:
    """Print after each text, for all so far: how near the estimates of each design are to the true error."""
    model = source.load(None, torch.device("cpu"))
    found: dict[tuple[str, str], Cases] = {}
    for algorithm in algorithms.split(","):
        torch.compiler.reset()
        options: dict[str, Any] = {"algorithm": algorithm, "min_seq_len": min_seq_len}
        compiled: Any = torch.compile(model.stack, backend="hyper", options=options)
        for name, parts in texts(file or []).items():
            start = time.perf_counter()
            ids = torch.tensor([text.take_tokens(parts, model.encode, tokens)])
            layer = 0

            def watch(seen: meter.Observation, algorithm: str = algorithm) -> None:
                nonlocal layer
                true = true_error(seen).flatten().tolist()
                for design in DESIGNS:
                    given = estimate(design, seen, budget, seed + 1000003 * layer)
                    cases = found.setdefault((algorithm, design), Cases())
                    cases.true += true
                    for field_name in ("error", "low", "high", "cost"):
                        getattr(cases, field_name).extend(getattr(given, field_name).flatten().tolist())
                layer += 1

            with torch.no_grad(), meter.observe(watch):
                source.hidden_states(compiled, ids)
            show(found, tokens, budget)
            console.print(f"{algorithm}, {name}: {layer} layers, {time.perf_counter() - start:.0f} s", highlight=False)
    if json_path is not None:
        document = {f"{algorithm}/{design}": vars(cases) for (algorithm, design), cases in found.items()}
        json_path.write_text(json.dumps(document) + "\n", encoding="utf-8")


def show(found: dict[tuple[str, str], Cases], tokens: int, budget: float) -> None:
    """The table."""
    made = Table(title=f"{tokens:,} tokens, budget {budget:.0%}", box=box.SIMPLE)
    for heading in ("algorithm", "design", "cases", "within 20 %", "median", "p95", "covered", "cost", "largest"):
        made.add_column(heading, justify="left" if heading in ("algorithm", "design") else "right", no_wrap=True)
    for (algorithm, design), cases in found.items():
        row = cases.summary()
        shares = [f"{row[name]:.1%}" for name in ("within", "median", "p95", "covered")]
        costs = [f"{row[name]:.2%}" for name in ("cost", "cost_max")]
        made.add_row(algorithm, design, f"{row['cases']:,}", *shares, *costs)
    Console(width=110).print(made)


if __name__ == "__main__":
    typer.run(main)
