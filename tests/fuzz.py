"""Random attention graphs and mutants of real ones, many of each: `make fuzz`.

python tests/fuzz.py --graphs 20000 --mutants 50000 --seed 7

Random graphs have the property of tests/passes/test_random_graphs.py, mutants that of tests/passes/test_mutations.py,
here with a progress bar. Ends with exit code 1 and a description of what failed if a rewritten graph ever computes
something else: for a random graph its smallest failing plan, for a mutant its base, what was changed at which node, and
its seed. `--graphs 0 --mutants 1 --seed SEED` makes that mutant again.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

sys.path.insert(0, str(Path(__file__).parent / "support"))

ROUND = 500  # graphs between two restarts of Dynamo's caches and of the drawing
LINES = 60  # a failing mutant with more than these is not printed in full


def main(
    graphs: Annotated[int, typer.Option(min=0, help="How many random graphs to draw.")] = 10_000,
    mutants: Annotated[int, typer.Option(min=0, help="How many mutants of captured graphs to make.")] = 10_000,
    seed: Annotated[
        int, typer.Option(help="First seed: of a round of 500 random graphs, and of a mutant; the next takes the next.")
    ] = 0,
    base: Annotated[str, typer.Option(help="Mutate only graphs with this in their name: 'model llama'.")] = "",
    keep_going: Annotated[bool, typer.Option(help="Report every wrong mutant, not only the first.")] = False,
) -> None:
    """Draw graphs, rewrite them, compare."""
    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        drawn = _random_graphs(graphs, seed, progress) if graphs else Counter()
        made = _mutants(mutants, seed, base, keep_going, progress) if mutants else Counter()
    if graphs:
        print(f"{drawn.total()} graphs, 0 wrong rewrites: {dict(drawn)}")
    if mutants:
        kinds = {kind: made[kind] for kind in ("site", "rejected", "neither")}
        print(
            f"{sum(kinds.values()) + made['wrong']} mutants, {made['wrong']} wrong rewrites: {kinds}; "
            f"{made['changes']} compute something else than their base; excused: "
            f"{made['rounding']} rounding, {made['not finite']} not finite, {made['dropout']} dropout"
        )
    if made["wrong"]:
        raise typer.Exit(1)


def _random_graphs(graphs: int, seed: int, progress: Progress) -> Counter[str]:
    import hypothesis
    import torch
    from graphs import Backend, assert_same, run
    from hypothesis import HealthCheck, Phase, given, settings
    from random_attention import Plan, function, inputs, plans

    counts: Counter[str] = Counter()
    task = progress.add_task("random attention graphs", total=graphs)

    def check(plan: Plan) -> None:
        call, args = function(plan), inputs(plan)
        expected = run(call, args)
        for backend in (Backend(), Backend(op=True)):
            assert_same(run(call, args, backend), expected, 2e-5)
        findings = backend.graphs[0].findings()
        counts["sites" if findings.sites else "rejected" if findings.rejections else "neither"] += 1
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
            notes = "\n".join(getattr(error, "__notes__", ()))
            said = f"wrong rewrite (seed {seed + done // ROUND}): {error}\n{notes}"
            progress.console.print(said, markup=False, soft_wrap=True)
            raise typer.Exit(1) from None
        torch._dynamo.reset()
        done += size
    return counts


def _mutants(mutants: int, seed: int, part: str, keep_going: bool, progress: Progress) -> Counter[str]:
    from mutations import BASES, Wrong, check, random_base

    names = [name for name in BASES if part in name]
    capturing = progress.add_task("graphs to mutate", total=len(names))
    usable = []
    for name in names:
        if BASES[name].captured is not None:
            usable.append(name)
        progress.advance(capturing)
    counts: Counter[str] = Counter()
    task = progress.add_task("mutants", total=mutants)
    for at in range(seed, seed + mutants):
        try:
            outcome = check(random_base(at, usable), at)
        except Wrong as wrong:
            counts["wrong"] += 1
            progress.console.print(
                f"wrong rewrite (seed {at}): {_described(wrong)}", markup=False, highlight=False, soft_wrap=True
            )
            if not keep_going:
                break
        else:
            counts[outcome.kind] += 1
            counts["changes"] += outcome.changes
            counts[outcome.excused] += 1
        progress.advance(task)
    return counts


def _described(wrong: Exception) -> str:
    code = wrong.mutant.module.code.strip()  # type: ignore[attr-defined]
    return f"{wrong}\n{code}\n" if code.count("\n") < LINES else str(wrong)


if __name__ == "__main__":
    typer.run(main)
