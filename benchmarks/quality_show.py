"""The table and the picture of benchmarks/quality.py, and of the files that it wrote.

    python benchmarks/quality_show.py docs/benchmarks/quality.json --plot docs/benchmarks/quality.png

The rows may come from several files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import quality_cli as cli
import typer
from rich import box
from rich.table import Table

from hyperrewrite.usage import UsageError, require

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
LOOKS = {
    "hyper": ("#2b6cb0", "o"),
    "paper": ("#d1862b", "v"),
    "paper-default": ("#9c5f12", "^"),
    "streaming": ("#8b5cad", "s"),
    "topk": ("#3f8f4f", "D"),
    "topk-all": ("#7a7a7a", "x"),
}


def ratio(row: dict[str, Any]) -> float | None:
    """Perplexity over that of exact attention on the same window."""
    return row["perplexity"] / row["exact_perplexity"] if row["exact_perplexity"] else None


def table(rows: list[dict[str, Any]]) -> Table:
    """A line for each row, grouped by window."""
    made = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    for heading in ("text", "context", "estimator", "preset"):
        made.add_column(heading, no_wrap=True)
    for heading in ("keys", "perplexity", "", "error", "worst layer"):
        made.add_column(heading, justify="right", no_wrap=True)
    last = None
    for row in rows:
        window = (row["text"], row["start"], row["context"])
        if last is not None and window != last:
            made.add_section()
        change = ratio(row)
        made.add_row(
            row["text"] if window != last else "",
            f"{row['context']:,}" + (f" from {row['start']:,}" if row["start"] else "") if window != last else "",
            row["estimator"],
            row["preset"],
            f"{row['keys_per_query']:.0f}",
            f"{row['perplexity']:.3f}",
            "" if change is None or row["estimator"] == "exact" else f"{change - 1:+.2%}",
            f"{row['mean_error']:.4f}",
            f"{max(row['layer_errors'], default=0.0):.4f}",
        )
        last = window
    return made


def draw(path: Path, rows: list[dict[str, Any]], title: str) -> None:
    """Perplexity beside exact against keys per query; a panel for each text (column) and context (line)."""
    require("matplotlib", "demo", "--plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    texts = list(dict.fromkeys(row["text"] for row in rows))
    contexts = sorted({row["context"] for row in rows})
    figure = Figure(figsize=(max(6.0, 1 + 3.2 * len(texts)), 1.4 + 2.8 * len(contexts)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"perplexity beside exact attention\n{title}", fontsize=10)
    panels = figure.subplots(len(contexts), len(texts), squeeze=False, sharex="row", sharey="row")
    drawn: dict[str, Any] = {}
    for line, context in zip(panels, contexts, strict=True):
        for axes, text in zip(line, texts, strict=True):
            mine = [row for row in rows if (row["text"], row["context"]) == (text, context)]
            for name, (colour, marker) in LOOKS.items():
                points = sorted((row["keys_per_query"], _excess(row)) for row in mine if _is(row, name))
                if points:
                    look = {"color": colour, "marker": marker, "linewidth": 1, "alpha": 0.85, "label": name}
                    (drawn[name],) = axes.plot(*zip(*points, strict=True), **look)
            axes.axhline(0.0, color="#7a7a7a", linewidth=1, linestyle="--")
            axes.set_title(f"{text}, {context:,} tokens", fontsize=9)
            axes.set_xscale("log")
            axes.set_yscale("symlog", linthresh=1.0)  # linear from −1 % to 1 %
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+,g} %" if value else "0"))
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.tick_params(which="both", labelsize=7)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[-1]:
        axes.set_xlabel("keys per query", fontsize=8)
    if drawn:
        figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=len(drawn), fontsize=8)
    figure.savefig(path, dpi=150)


def _excess(row: dict[str, Any]) -> float:
    """Perplexity above exact, in per cent of it."""
    return 100.0 * ((ratio(row) or 1.0) - 1.0)


def _is(row: dict[str, Any], name: str) -> bool:
    return row["estimator"] == name and bool(row["exact_perplexity"])


@app.command()
def main(
    files: Annotated[list[Path], typer.Argument(help="JSON that quality.py wrote.")],
    plot: Annotated[Path | None, typer.Option(help="Draw perplexity against keys (.png, .pdf or .svg).")] = None,
    title: Annotated[str | None, typer.Option(help="Above the picture; default: the models' names.")] = None,
) -> None:
    """Show rows that were measured earlier."""
    cli.check_files(None, plot)
    rows: list[dict[str, Any]] = []
    for file in files:
        try:
            rows += json.loads(file.read_text(encoding="utf-8"))["rows"]
            made = table(rows)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise UsageError(f"{file} is no file of quality.py.") from error
    cli.console().print(made)
    if plot is not None:
        draw(plot, rows, title or ", ".join(dict.fromkeys(row["model"] for row in rows)))


if __name__ == "__main__":
    sys.exit(cli.run(app))
