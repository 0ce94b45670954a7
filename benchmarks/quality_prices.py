"""What each price of a far key is worth: the error of a layer's attention where all prices read equally many keys.

    python benchmarks/quality_prices.py layer4.safetensors layer12.safetensors layer20.safetensors \\
        --json docs/benchmarks/prices.json

The files are those of `attention_inputs.py`. With causality, on every --every-th tile that has far keys:

  keys             that a query reads on average, near ones included; the threshold of each price is set so that these
                   are as many as `search` reads at its default
  error            ‖out − exact‖ / ‖exact‖ over the tiles' queries, the root of the mean square over --seeds draws
  expected         the root of Σ (1/π − 1) p² ‖v − out‖² over the exact norm. It is above the error where keys are
                   priced far too low: these are seldom drawn and then weigh much
  cost             multiply-adds of a price for each query and head. What is no product (exponentials, comparisons of
                   buckets) is not counted
  uniform          is no price of the package: a query's far keys share its far mass evenly

`rows` is left out: it draws by rules of its own, which take no weights of pairs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import quality_cli as cli
import torch
import typer
from hyperrewrite.kernels.parameters import AUTO, PRICES, Parameters
from prices_measured import UNIFORM, Inputs
from rich import box
from rich.table import Table

from hyperrewrite.usage import UsageError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
KEY = ("inputs", "price")
NAMES = (*(name for name in PRICES if name not in (AUTO, "rows")), UNIFORM)


@app.command()
def main(
    files: Annotated[list[Path], typer.Argument(help="Attention inputs of a layer each, .safetensors.")],
    price: Annotated[list[str] | None, typer.Option(help="The prices; default: all.")] = None,
    every: Annotated[int, typer.Option(help="Only every so manieth tile is looked at.")] = 12,
    seeds: Annotated[int, typer.Option(help="Draws that the error is the mean of.")] = 4,
    json_path: cli.Json = None,
    merge: cli.Merge = False,
) -> None:
    """Error at equal keys, and cost, of each price of a far key."""
    from hyperrewrite.demo.show import step

    names = price or list(NAMES)
    for name in names:
        if name not in NAMES:
            raise UsageError(f"{name!r} is no price; there are {', '.join(NAMES)}.")
    if every < 1 or seeds < 1:
        raise UsageError(f"--every and --seeds must be at least 1, not {every} and {seeds}.")
    for file in files:
        if not file.is_file():
            raise UsageError(f"{file} is no file.")
    cli.check_files(json_path)
    store = cli.Store(json_path, KEY, merge)
    head = {"command": cli.command_line(), "torch": torch.__version__, "every": every, "seeds": seeds}
    console = cli.console()
    found: list[dict[str, Any]] = []
    costs: dict[tuple[str, torch.Size], float] = {}  # by price and shape
    for file in files:
        with step(console, file.stem), torch.no_grad():
            found += measured(Inputs(file, every), file.stem, names, seeds, costs)
        store.write(head, found)
    console.print(table(found))


def measured(
    inputs: Inputs, title: str, names: list[str], seeds: int, costs: dict[tuple[str, torch.Size], float]
) -> list[dict[str, Any]]:
    """A row for each price; costs that are known already are not counted again."""
    far = inputs.far(inputs.priced("search"), Parameters().threshold)
    rows = []
    for name in names:
        squared = inputs.priced(name)
        threshold = inputs.threshold_for(squared, far)
        error, expected = inputs.errors(squared, threshold, seeds)
        keys = inputs.near() + inputs.far(squared, threshold)
        figures = {
            "keys": keys,
            "threshold": threshold,
            "error": error,
            "expected": expected,
            "cost": inputs.cost(name),
        }
        sizes = {"tokens": inputs.call.num_keys, "heads": inputs.query.shape[1], "tiles": len(inputs.tiles)}
        shown = {at: float(f"{number:.5g}") for at, number in figures.items()}
        rows.append({"inputs": title, "price": name, **shown, **sizes})
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """A line for each row."""
    made = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False, title="prices at equal keys")
    for heading in ("inputs", "price"):
        made.add_column(heading, no_wrap=True)
    for heading in ("keys", "threshold", "error", "expected", "cost"):
        made.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        errors = (f"{row[name]:.3f}" for name in ("error", "expected"))
        made.add_row(
            row["inputs"], row["price"], f"{row['keys']:.0f}", f"{row['threshold']:.4f}", *errors, f"{row['cost']:,.0f}"
        )
    return made


if __name__ == "__main__":
    sys.exit(cli.run(app))
