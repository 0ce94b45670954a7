"""Random attention graphs, many of them: `make fuzz` (or: python tests/fuzz.py --graphs 20000 --seed 7).

The same property as tests/passes/test_random_graphs.py, with a progress bar. Ends with exit code 1 and the smallest
failing plan if a rewritten graph ever computes something else.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

sys.path.insert(0, str(Path(__file__).parent / "support"))

ROUND = 500  # graphs between two restarts of Dynamo's caches and of the drawing


def main(
    graphs: Annotated[int, typer.Option(min=1, help="How many graphs to draw.")] = 10_000,
    seed: Annotated[int, typer.Option(help="First seed; each round of 500 takes the next.")] = 0,
) -> None:
    """Draw graphs, rewrite them, compare."""
    import hypothesis
    import torch
    from graphs import Backend, assert_same, run
    from hypothesis import HealthCheck, Phase, given, settings
    from random_attention import Plan, function, inputs, plans

    torch.set_num_threads(1)
    console, counts = Console(stderr=True), {"sites": 0, "rejected": 0, "neither": 0}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("random attention graphs", total=graphs)

        def check(plan: Plan) -> None:
            call, args = function(plan), inputs(plan)
            expected = run(call, args)
            for backend in (Backend(), Backend(op=True)):
                assert_same(run(call, args, backend), expected, 2e-5)
            findings = backend.graphs[0].findings()
            kind = "sites" if findings.sites else "rejected" if findings.rejections else "neither"
            counts[kind] += 1
            progress.advance(task)

        done = 0
        while done < graphs:
            size = min(ROUND, graphs - done)
            once = settings(
                max_examples=size, deadline=None, database=None, phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            drawn = hypothesis.seed(seed + done // ROUND)(once(given(plans())(check)))
            try:
                drawn()
            except Exception as error:  # a wrong value, or a rewritten graph that does not run
                console.print(f"wrong rewrite (seed {seed + done // ROUND})", markup=False)
                for one in getattr(error, "exceptions", (error,)):  # hypothesis groups distinct failures
                    notes = "\n".join(getattr(one, "__notes__", ()))
                    console.print(f"{type(one).__name__}: {one}\n{notes}", markup=False)
                raise typer.Exit(1) from None
            torch._dynamo.reset()
            done += size
    print(f"{sum(counts.values())} graphs, 0 wrong rewrites: {counts}")


if __name__ == "__main__":
    typer.run(main)
