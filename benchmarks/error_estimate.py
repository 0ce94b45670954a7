"""Is the estimated error of an attention call its true error? Every layer and head of a real model, on several texts.

    python benchmarks/error_estimate.py                          4,096 tokens of three texts, `hyper` and `paper`
    python benchmarks/error_estimate.py --tokens 8192 --start 20000 --algorithms hyper --text novel=FILE --text code

A case is one head of one layer on one text: with the q, k, v that it had in a forward of the model under the
algorithm, the relative output error √(Σ‖o − õ‖² / Σ‖o‖²) over all query rows is computed exactly, and estimated by
each design at the same budget, a share of exact attention's multiply-adds:

  uniform   equally likely rows, each error over its own rows' norm (what `meter.relative_error` does)
  flat      rows drawn systematically in order of position, likelier where they are cheap; known denominator
  guided    likelier where a guess says that unread keys have weight; the plan made again for it is not counted

`diagnose` draws flat for the default `hyper` and for `paper` (kernels/probe_error.py).

  within    share of cases within 20 % of the true error (cases with a true error below 1e-5 are rounding: left out)
  median, p95   of |estimate / true − 1|
  covered   share of cases whose 95 % interval holds the true error
  cost      mean and largest share of exact attention's multiply-adds over visible pairs, the guess included

--json writes a row for each algorithm, design and text, and one for all texts. The texts are those of quality.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import quality_cli as cli
import quality_texts
import torch
import typer
from hyperrewrite.kernels import meter, probe_error
from hyperrewrite.kernels.parameters import ALGORITHMS
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hyperrewrite.demo import source
from hyperrewrite.usage import UsageError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
KEY = ("algorithm", "design", "text", "start", "tokens")
ALL = "all"
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

    def summary(self) -> dict[str, float | None]:
        """The columns of the table; None where attention was exact throughout."""
        true, error, low, high, cost = (
            torch.tensor(getattr(self, name), dtype=torch.float64) for name in ("true", "error", "low", "high", "cost")
        )
        real = true > ROUNDING
        off = (error / true - 1.0).abs()[real]
        held = ((low <= true) & (true <= high))[real].double()
        some = bool(real.any())
        return {
            "cases": int(real.sum()),
            "within": float((off <= TOLERANCE).double().mean()) if some else None,
            "median": float(off.median()) if some else None,
            "p95": float(off.quantile(0.95)) if some else None,
            "covered": float(held.mean()) if some else None,
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


@app.command()
def main(
    tokens: Annotated[int, typer.Option(help="Length of each text.")] = 4096,
    start: Annotated[int, typer.Option(help="The first token of each text.")] = 0,
    algorithms: Annotated[str, typer.Option(help="hyper or paper, or both separated by a comma.")] = "hyper,paper",
    text: Annotated[
        list[str] | None, typer.Option(help="code, manual, repeated or NAME=FILE; default: those three.")
    ] = None,
    designs: Annotated[str, typer.Option(help="Which, separated by commas.")] = ",".join(DESIGNS),
    min_seq_len: Annotated[int, typer.Option(help="The option of that name.")] = 1024,
    budget: Annotated[float, typer.Option(help="Share of exact attention's multiply-adds.")] = probe_error.BUDGET,
    seed: Annotated[int, typer.Option(help="Of the drawn rows.")] = 0,
    model: cli.Model = None,
    json_path: cli.Json = None,
    merge: cli.Merge = False,
) -> None:
    """Print after each text, for all so far: how near the estimates of each design are to the true error."""
    names, wanted = chosen(algorithms, ALGORITHMS, "--algorithms"), chosen(designs, DESIGNS, "--designs")
    files = quality_texts.parse(text or quality_texts.BUILT_IN)
    if not 0.0 < budget < 1.0:
        raise UsageError(f"--budget must be more than 0 and less than 1, not {budget}.")
    if tokens < 2 or start < 0:
        raise UsageError(f"--tokens takes at least 2, --start at least 0, not {tokens} and {start}.")
    cli.check_files(json_path)
    store = cli.Store(json_path, KEY, merge)
    loaded = source.load(model, torch.device("cpu"))
    found: dict[tuple[str, str, str], Cases] = {}
    for algorithm in names:
        torch.compiler.reset()
        options: dict[str, Any] = {"algorithm": algorithm, "min_seq_len": min_seq_len}
        compiled: Any = torch.compile(loaded.stack, backend="hyper", options=options)
        for name, file in files.items():
            begun = time.perf_counter()
            ids = torch.tensor([quality_texts.tokens(name, file, loaded.encode, start, tokens)])
            layer = 0

            def watch(seen: meter.Observation, algorithm: str = algorithm, name: str = name) -> None:
                nonlocal layer
                true = true_error(seen).flatten().tolist()
                for design in wanted:
                    given = estimate(design, seen, budget, seed + 1000003 * layer)
                    for place in (name, ALL):
                        cases = found.setdefault((algorithm, design, place), Cases())
                        cases.true += true
                        for field_name in ("error", "low", "high", "cost"):
                            getattr(cases, field_name).extend(getattr(given, field_name).flatten().tolist())
                layer += 1

            with torch.no_grad(), meter.observe(watch):
                source.hidden_states(compiled, ids)
            rows = [
                {"algorithm": a, "design": d, "text": t, "start": start, "tokens": tokens, **cases.summary()}
                for (a, d, t), cases in found.items()
            ]
            store.write({"command": cli.command_line(), "torch": torch.__version__, "budget": budget}, rows)
            show(rows, tokens, budget)
            seconds = time.perf_counter() - begun
            console.print(f"{algorithm}, {name}: {layer} layers, {seconds:.0f} s", highlight=False)


def chosen(text: str, known: Sequence[str], option: str) -> list[str]:
    """Names separated by commas."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise UsageError(f"{option}: {name!r} is none of {', '.join(known)}.")
    return names


def show(rows: list[dict[str, Any]], tokens: int, budget: float) -> None:
    """The table."""
    made = Table(title=f"{tokens:,} tokens, budget {budget:.0%}", box=box.SIMPLE)
    words = ("algorithm", "design", "text")
    for heading in (*words, "cases", "within 20 %", "median", "p95", "covered", "cost", "largest"):
        made.add_column(heading, justify="left" if heading in words else "right", no_wrap=True)
    for row in rows:
        figures = (row[name] for name in ("within", "median", "p95", "covered"))
        shares = ["" if figure is None else f"{figure:.1%}" for figure in figures]
        costs = [f"{row[name]:.2%}" for name in ("cost", "cost_max")]
        made.add_row(*(row[word] for word in words), f"{row['cases']:,}", *shares, *costs)
    Console(width=120).print(made)


if __name__ == "__main__":
    sys.exit(cli.run(app))
