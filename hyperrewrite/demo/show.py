"""What the person sees and what --json writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..kernels.sampling.error import alarm
from .measure import PROBE_ROWS, Run


@contextmanager
def step(console: Console, doing: str) -> Iterator[list[str]]:
    """One stretch of work: a spinner with the running time on a terminal, a line at the end; append remarks for it.

    Where the output is no terminal, a line at the start takes the spinner's place.
    """
    remarks: list[str] = []
    start = perf_counter()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(doing, total=None)
        if not console.is_terminal:
            console.print(f"… {doing}", highlight=False)
        yield remarks
    said = "".join(f" · {remark}" for remark in remarks)
    console.print(
        f"[green]✓[/] {doing}{said} [dim]({perf_counter() - start:.0f} s)[/]", highlight=False, soft_wrap=True
    )


def table(runs: Mapping[str, Run]) -> Table:
    """A row for each run."""
    made = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    headings = ("forward", "speed-up", "perplexity", "", "error", "worst", "keys")
    made.add_column("run", no_wrap=True)
    for heading in headings:
        made.add_column(heading, justify="right", no_wrap=True)
    exact = runs["exact"]
    for name, run in runs.items():
        change = f"{run.perplexity / exact.perplexity - 1:+.1%}"
        made.add_row(
            name,
            f"{run.seconds:.2f} s",
            f"{exact.seconds / run.seconds:.2f}×",
            f"{run.perplexity:.3f}",
            "" if name == "exact" else change,
            f"{run.mean_error:.4f}",
            f"{run.max_error:.4f}",
            f"{run.keys_per_query:,.0f}",
        )
    return made


def notes(runs: Mapping[str, Run], tokens: int, least_keys: Mapping[str, int]) -> list[str]:
    """How the figures came about. least_keys: from how many keys up a run estimates."""
    first = ", ".join(f"{name} {run.first_call:.0f} s" for name, run in runs.items())
    lines = [
        f"forward: the decoder stack over {tokens:,} tokens without a cache, timed on its own after a first call that "
        f"also compiles and meters ({first}). The output head, equal in all three, is not in it.",
        f"error, worst: ‖run − exact‖ / ‖exact‖ of a layer's attention given its own q, k, v, on {PROBE_ROWS} sampled "
        "query rows, metered during the first call; mean and largest over layers.",
        "keys: how many a query reads, on average.",
    ]
    for name, run in runs.items():
        if run.estimated_error is not None:
            lines.append(f"{name} estimates its mean error from its own sample: {run.estimated_error:.4f}.")
        if said := alarm(run.largest_share, " of a layer"):
            lines.append(f"{name}: {said}.")
    for name, least in least_keys.items():
        if tokens < least:
            lines.append(f"{name} is exact here: {tokens:,} keys are fewer than its min_seq_len of {least:,}.")
    return lines


def document(runs: Mapping[str, Run], tokens: int, device: str, sites: int) -> dict[str, Any]:
    """What --json writes."""
    return {
        "tokens": tokens,
        "device": device,
        "sites": sites,
        "runs": {name: run.to_json() for name, run in runs.items()},
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """The document as a file."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
