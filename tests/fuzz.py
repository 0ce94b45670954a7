"""Random attention graphs and mutants of real ones, many of each: `make fuzz`.

python tests/fuzz.py --graphs 20000 --mutants 50000 --seed 7 --jobs 16 --keep-going --out failures

Results and gradients of all floating inputs are compared. Random graphs have the property of
tests/passes/test_random_graphs.py, mutants that of tests/passes/test_mutations.py. Ends with exit code 1 if a rewritten
graph ever computes something else, and says of each that does what it is: of a random graph its smallest failing plan,
of a mutant its base, what was changed at which node, and its seed; --out writes the graphs and their values into files.
What is found rests on the numbers and the seed, not on --jobs. To make a failing one again: `--graphs 100 --mutants 0
--seed N` for graph-N, `--graphs 0 --mutants 1 --seed N` for mutant-N.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: processes share the cores
sys.path.insert(0, str(Path(__file__).parent / "support"))

from fuzzing import Failure, Found, Round, play

SIZE = 100  # graphs or mutants of a round
LINES = 80  # what is longer is not printed in full
PAUSE = 10  # seconds between two lines of progress where there is no terminal
KINDS = "graphs", "mutants"

# Typer carries a click of its own in some versions and depends on click in others: reach its errors through typer.
ClickError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help="Draw graphs, rewrite them, compare.")
def main(
    graphs: Annotated[int, typer.Option(min=0, help="How many random graphs to draw.")] = 10_000,
    mutants: Annotated[int, typer.Option(min=0, help="How many mutants of captured graphs to make.")] = 10_000,
    seed: Annotated[
        int,
        typer.Option(min=0, help=f"First seed: of {SIZE} random graphs, and of a mutant; the next takes the next."),
    ] = 0,
    base: Annotated[str, typer.Option(help="Mutate only graphs with this in their name: 'model llama'.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Processes that share the work, each on one thread.")] = 1,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Find every failure, not only the first.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", file_okay=False, help="A folder for failures, a text file for each.")
    ] = None,
) -> int:
    """The command line; the exit code."""
    warnings.filterwarnings("ignore")
    bases = [name for name in _bases() if base in name] if mutants else []
    if mutants and not bases:
        raise typer.BadParameter(f"no graph has {base!r} in its name; {_bases()[0]!r} is one.", param_hint="'--base'")
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise typer.BadParameter(f"{out} cannot be made: {error.strerror}.", param_hint="'--out'") from error
    with _Progress() as progress:
        usable = tuple(_captured(bases, progress)) if mutants else ()
        if mutants and not usable:
            raise typer.BadParameter(f"no graph with {base!r} in its name has attention.", param_hint="'--base'")
        rounds = [
            *(Round("graphs", seed + k, size) for k, size in enumerate(_sizes(graphs))),
            *(Round("mutants", seed + SIZE * k, size, usable, keep_going) for k, size in enumerate(_sizes(mutants))),
        ]
        found = {kind: Found() for kind in KINDS}
        for played, new in _played(rounds, jobs, progress):
            found[played.kind] += new
            progress.advance(played.kind, played.size)
            for failure in new.failures:
                progress.say(f"wrong rewrite, {failure.name}: {_short(failure)}")
                if out is not None:
                    (out / f"{failure.name}.txt").write_text(failure.details)
            if new.failures and not keep_going:
                break
    for kind in KINDS:
        if sum(r.size for r in rounds if r.kind == kind):
            print(_total(kind, found[kind]), flush=True)
    return int(any(f.failures for f in found.values()))


def _bases() -> list[str]:
    from mutations import BASES

    return list(BASES)


def _sizes(total: int) -> Iterator[int]:
    return (min(SIZE, total - start) for start in range(0, total, SIZE))


def _captured(names: list[str], progress: _Progress) -> Iterator[str]:
    """The bases with attention to mutate. They are captured here, so that the processes to come have them."""
    import torch
    from mutations import BASES

    torch.set_num_threads(1)
    progress.add("captured", len(names))
    for name in names:
        if BASES[name].captured is not None:
            yield name
        progress.advance("captured", 1)


def _played(rounds: list[Round], jobs: int, progress: _Progress) -> Iterator[tuple[Round, Found]]:
    """What came of every round, in the order in which they are done. Ends its processes however it is left."""
    for kind in KINDS:
        if total := sum(r.size for r in rounds if r.kind == kind):
            progress.add(kind, total)
    context = multiprocessing.get_context("fork")  # with what is imported and captured by now
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_started)
    try:
        left: dict[Future[Found], Round] = {executor.submit(play, r): r for r in rounds}
        while left:
            for done in wait(left, timeout=1, return_when=FIRST_COMPLETED).done:
                yield left.pop(done), done.result()
            progress.tick()
    finally:
        children = multiprocessing.active_children()
        executor.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.terminate()


def _started() -> None:
    """First words of a process of the pool."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ended by Ctrl-C without a word
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")


def _short(failure: Failure) -> str:
    return failure.details if failure.details.count("\n") < LINES else failure.said


def _total(kind: str, found: Found) -> str:
    counts = found.counts
    kinds = {name: counts[name] for name in ("site", "rejected", "neither")}
    said = f"{sum(kinds.values()) + counts['wrong']} {kind}, {counts['wrong']} wrong rewrites: {kinds}"
    if kind == "graphs":
        return said
    excused = ", ".join(f"{counts[why]} {why}" for why in ("rounding", "not finite", "dropout"))
    return f"{said}; {counts['changes']} compute something else than their base; excused: {excused}"


class _Progress:
    """Bars on a terminal; elsewhere a line from time to time, written at once."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        # auto_refresh would be a thread, and threads do not go with fork.
        self.bars = Progress(*columns, console=self.console, auto_refresh=False, disable=not self.console.is_terminal)
        self.tasks: dict[str, Any] = {}
        self.began = self.said = time.monotonic()

    def __enter__(self) -> _Progress:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def add(self, name: str, total: int) -> None:
        self.tasks[name] = self.bars.add_task(name, total=total)

    def advance(self, name: str, count: int) -> None:
        self.bars.advance(self.tasks[name], count)
        self.tick()

    def tick(self) -> None:
        """Show where things stand."""
        self.bars.refresh()
        if self.bars.disable and time.monotonic() - self.said > PAUSE:
            self.said = time.monotonic()
            stand = ", ".join(f"{t.description} {t.completed:.0f} of {t.total:.0f}" for t in self.bars.tasks)
            print(f"{self.said - self.began:.0f} s: {stand}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A text above the bars."""
        if self.bars.disable:
            print(text, file=sys.stderr, flush=True)
        else:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _run() -> int:
    try:
        result = typer.main.get_command(app).main(prog_name="fuzz", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ClickError as error:
        sentence = error.format_message()  # type: ignore[attr-defined]
        print(f"fuzz: {' '.join(sentence.split())}", file=sys.stderr)
        return 2
    except BrokenProcessPool:
        print("fuzz: a process died without a word, for example for want of memory.", file=sys.stderr)
        return 3
    except (KeyboardInterrupt, typer.Abort):
        print("fuzz: stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(_run())
