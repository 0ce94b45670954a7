"""Is the estimated error of an attention call its true error? Every layer and head of a real model, on several texts.

    python benchmarks/error_estimate.py                          4,096 tokens of three texts, `hyper` and `paper`
    python benchmarks/error_estimate.py --tokens 8192 --start 20000 --algorithms hyper --text novel=FILE --text code

With the q, k, v that a layer had in a forward of the model under the algorithm, Σ‖o − õ‖² / Σ‖o‖² over all query rows
is computed exactly and estimated.

`hyper` estimates it from its own sample, on some tiles (kernels/sampling/error.py). A case is one layer on one text,
its heads together:

  ratio     estimated / true squared error: the median; lowest, highest: of all cases
  within    share of cases whose ratio is 0.9 to 1.1
  alarms    cases in which one key makes over half of the estimate
  cost      tiles that were looked at as a share of all

`paper` draws rows and computes them exactly (kernels/probe_error.py). A case is one head of one layer on one text:

  within    share of cases within 20 % of the true error
  p95       of |estimate / true − 1|
  covered   share of cases whose 95 % interval holds the true error
  cost      exact attention's multiply-adds that it took, as a share

Cases with a true error below 1e-5 are rounding: left out. --json writes a row for each algorithm and text and one for
all texts (layer "all"), and of `hyper` one for each layer and text. The texts are those of quality.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import quality_cli as cli
import quality_texts
import torch
import typer
from hyperrewrite.kernels import meter, probe_error
from hyperrewrite.kernels.sampling.error import MOST_SHARE
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hyperrewrite.demo import source
from hyperrewrite.usage import UsageError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
KEY = ("algorithm", "text", "layer", "start", "tokens")
ALL = "all"
ALGORITHMS = ("hyper", "paper")
RATIO, TOLERANCE = 0.1, 0.2  # how near the squared error of `hyper` and the error of `paper` are to be
ROUNDING = 1e-5
console = Console(stderr=True)
Case = dict[str, float]


def true_sums(seen: meter.Observation) -> tuple[Tensor, Tensor]:
    """(Σ‖o − õ‖², Σ‖o‖²) of each head over all rows, float64 [B, H]; rows exact in float64."""
    wrong = torch.zeros(seen.query.shape[:2], dtype=torch.float64)
    size = torch.zeros_like(wrong)
    visible = probe_error.visible_keys(seen.call, seen.query.device)
    rows = torch.arange(seen.query.shape[2])
    for b in range(seen.query.shape[0]):
        for h in range(seen.query.shape[1]):
            unit = h * seen.key.shape[1] // seen.query.shape[1]
            operands = (t.double() for t in (seen.query[b, h], seen.key[b, unit], seen.value[b, unit]))
            exact = probe_error.exact_rows(*operands, rows, visible, seen.call.scale)
            wrong[b, h] = (seen.out[b, h].double() - exact).square().sum()
            size[b, h] = exact.square().sum()
    return wrong, size


def hyper_cases(seen: meter.Observation, layer: int) -> list[Case]:
    """One case: the layer."""
    wrong, size = true_sums(seen)
    found = meter.sample_error(seen)
    true = float((wrong.sum() / size.sum()).sqrt())
    case = {"layer": layer, "true": true, "error": float(found.pooled), "share": float(found.pooled_share)}
    return [{**case, "pairs": float(found.tiles * wrong.numel()), "cost": found.tiles / max(found.whole, 1)}]


def paper_cases(seen: meter.Observation, layer: int, budget: float, seed: int) -> list[Case]:
    """A case for each head."""
    wrong, size = true_sums(seen)
    tensors = (seen.query, seen.key, seen.value, seen.out, seen.lse)
    found = probe_error.estimate_error(*tensors, seen.call, budget=budget, seed=seed + 1000003 * layer)
    columns = {"true": (wrong / size).sqrt()} | {n: getattr(found, n) for n in ("error", "low", "high", "cost")}
    lists = [column.flatten().tolist() for column in columns.values()]
    return [dict(zip(columns, numbers, strict=True)) for numbers in zip(*lists, strict=True)]


def summary(algorithm: str, cases: Sequence[Case]) -> dict[str, float | None]:
    """The columns of the table; None where attention was exact throughout."""
    real = [case for case in cases if case["true"] > ROUNDING]
    found: dict[str, float | None] = {"cases": len(real)}
    found["cost"] = sum(case["cost"] for case in cases) / len(cases)
    names = ("within", "ratio", "lowest", "highest", "alarms") if algorithm == "hyper" else ("within", "p95", "covered")
    if not real:
        return found | dict.fromkeys(names)
    ratios = torch.tensor([case["error"] / case["true"] for case in real], dtype=torch.float64)
    if algorithm == "paper":
        held = sum(case["low"] <= case["true"] <= case["high"] for case in real) / len(real)
        off = (ratios - 1.0).abs()
        numbers = (float((off <= TOLERANCE).double().mean()), float(off.quantile(0.95)), held)
        return found | dict(zip(names, numbers, strict=True))
    squares = ratios.square()
    near = float(((squares - 1.0).abs() <= RATIO).double().mean())
    alarms = float(sum(case["share"] > MOST_SHARE for case in real))
    numbers = (near, float(squares.median()), float(squares.min()), float(squares.max()), alarms)
    return found | dict(zip(names, numbers, strict=True))


@app.command()
def main(
    tokens: Annotated[int, typer.Option(help="Length of each text.")] = 4096,
    start: Annotated[int, typer.Option(help="The first token of each text.")] = 0,
    algorithms: Annotated[str, typer.Option(help="hyper or paper, or both separated by a comma.")] = "hyper,paper",
    text: Annotated[
        list[str] | None, typer.Option(help="code, manual, repeated or NAME=FILE; default: those three.")
    ] = None,
    min_seq_len: Annotated[int, typer.Option(help="The option of that name.")] = 1024,
    budget: Annotated[float, typer.Option(help="Of `paper`: share of exact attention's work.")] = probe_error.BUDGET,
    seed: Annotated[int, typer.Option(help="Of the drawn rows.")] = 0,
    model: cli.Model = None,
    json_path: cli.Json = None,
    merge: cli.Merge = False,
) -> None:
    """Print after each text, for all so far: how near the estimates are to the true error."""
    names = chosen(algorithms, ALGORITHMS, "--algorithms")
    files = quality_texts.parse(text or quality_texts.BUILT_IN)
    if not 0.0 < budget < 1.0:
        raise UsageError(f"--budget must be more than 0 and less than 1, not {budget}.")
    if tokens < 2 or start < 0:
        raise UsageError(f"--tokens takes at least 2, --start at least 0, not {tokens} and {start}.")
    cli.check_files(json_path)
    store = cli.Store(json_path, KEY, merge)
    loaded = source.load(model, torch.device("cpu"))
    found: dict[tuple[str, str], list[Case]] = {}
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
                given = hyper_cases(seen, layer) if algorithm == "hyper" else paper_cases(seen, layer, budget, seed)
                for place in (name, ALL):
                    found.setdefault((algorithm, place), []).extend(given)
                layer += 1

            with torch.no_grad(), meter.observe(watch):
                source.hidden_states(compiled, ids)
            where = {"start": start, "tokens": tokens}
            rows: list[dict[str, Any]] = [
                {"algorithm": a, "text": t, "layer": ALL, **where, **summary(a, cases)}
                for (a, t), cases in found.items()
            ]
            layers: list[dict[str, Any]] = [
                {"algorithm": a, "text": t, **where, **case}
                for (a, t), cases in found.items()
                for case in cases
                if a == "hyper" and t != ALL
            ]
            store.write({"command": cli.command_line(), "torch": torch.__version__, "budget": budget}, rows + layers)
            show(rows, tokens)
            seconds = time.perf_counter() - begun
            console.print(f"{algorithm}, {name}: {layer} layers, {seconds:.0f} s", highlight=False)


def chosen(text: str, known: Sequence[str], option: str) -> list[str]:
    """Names separated by commas."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise UsageError(f"{option}: {name!r} is none of {', '.join(known)}.")
    return names


def show(rows: list[dict[str, Any]], tokens: int) -> None:
    """A table for each algorithm."""
    for algorithm in ALGORITHMS:
        mine = [row for row in rows if row["algorithm"] == algorithm]
        if not mine:
            continue
        columns = [name for name in mine[0] if name not in KEY]
        made = Table(title=f"{algorithm}, {tokens:,} tokens", box=box.SIMPLE)
        made.add_column("text", no_wrap=True)
        for heading in columns:
            made.add_column(heading, justify="right", no_wrap=True)
        for row in mine:
            made.add_row(row["text"], *(_shown(name, row[name]) for name in columns))
        Console(width=120).print(made)


def _shown(name: str, figure: float | None) -> str:
    """A figure in its column."""
    if figure is None:
        return ""
    if name in ("cases", "alarms"):
        return f"{figure:,.0f}"
    return f"{figure:.3f}" if name in ("ratio", "lowest", "highest") else f"{figure:.1%}"


if __name__ == "__main__":
    sys.exit(cli.run(app))
