"""How much of the attention of every transformers model type is found, rewritten and right.

    python benchmarks/coverage.py --pinned                       30 model types, a minute or two
    python benchmarks/coverage.py --whole --jobs 16              all of them, every condition; writes coverage.json
    python benchmarks/coverage.py --whole --jobs 16 --seconds 480    the same in pieces: say it again until it is done
    python benchmarks/coverage.py --table docs/benchmarks/coverage.json    README's table
    python benchmarks/coverage.py --merge OTHER_CACHE --merge OTHER.json --json docs/benchmarks/coverage.json
    python benchmarks/coverage.py --models llama,t5 --conditions none,padded

A row is one model type, one attention implementation, one condition:
  sites           attention in the captured graphs: what our passes found, what they rejected, and what they missed
  rewritten       sites that are one fused call afterwards, whether we wrote it or it stood there (SDPA left alone)
  rejected        {code: sites}
  missed          sites that a detector sharing no code with the passes sees, and the passes say no word about
  inductor        how many attentions Inductor's own fuse_attention replaces in the same graphs (with --inductor, in
                  the cases that coverage_measure.COUNTED names); null where it failed, and why in inductor_failed
  torch, passes   the versions that the row was measured with: --stale keeps rows of earlier passes
  max_difference  largest |output of the rewritten graph − output of eager PyTorch|; relative_norm beside it for bf16

Each model type runs in a process of its own, with a limit on time and memory. Finished cases are kept in --cache
and are run again only after the passes changed, or with --fresh; so a run that was stopped, by --seconds or by hand, is
taken up where it was. coverage_merge.py says which rows --merge keeps.

--whole is one run on one version: coverage.json is written when the last case is done, and README's table printed.
"""

from __future__ import annotations

import gc
import json
import math
import multiprocessing
import os
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import coverage_merge
import coverage_table
import quality_cli
import typer
from coverage_rows import Case, case_of, document
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hyperrewrite.usage import UsageError

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: processes share the cores
# This folder is on sys.path and this file has the name of a package that others import if they find it.
sys.modules.setdefault("coverage", None)  # type: ignore[arg-type]

ROOT = Path(__file__).resolve().parents[1]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)


@dataclass
class Worker:
    """A process that measures one model type and appends what it finished to a file of its own."""

    model: str
    cases: list[Case]
    file: Path
    process: Any
    deadline: float
    started: float = field(default_factory=time.monotonic)


@app.command()
def main(
    models: Annotated[str, typer.Option(help="Model types, separated by commas; default: all.")] = "",
    part: Annotated[str, typer.Option(help="2/3: of every three of these model types the second.")] = "1/1",
    implementations: Annotated[str, typer.Option(help="eager, sdpa or both.")] = "eager,sdpa",
    conditions: Annotated[
        str, typer.Option(help="Of none, padded, bf16, training, dropout, batch1, use_cache, dynamic; or all.")
    ] = "all",
    pinned: Annotated[bool, typer.Option("--pinned", help="The thirty model types that make test runs.")] = False,
    inductor: Annotated[bool, typer.Option("--inductor", help="Count Inductor's own fuse_attention too.")] = False,
    jobs: Annotated[int, typer.Option(help="Processes at a time.")] = 1,
    limit: Annotated[int, typer.Option(help="Seconds that a model type may take for each of its cases.")] = 120,
    memory: Annotated[int, typer.Option(help="GB that a process may ask for.")] = 10,
    cache: Annotated[Path, typer.Option(help="Where finished cases are kept.")] = ROOT / ".build/coverage",
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what is finished.")] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Keep cases of earlier versions of the passes.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write all rows into this file.")] = None,
    whole: Annotated[bool, typer.Option("--whole", help="All cases of README's table, into coverage.json.")] = False,
    seconds: Annotated[int, typer.Option(help="Stop after this time; the next run goes on. 0: run to the end.")] = 0,
    table: Annotated[Path | None, typer.Option(help="Measure nothing: print README's table of a JSON file.")] = None,
    merge: Annotated[
        list[Path] | None, typer.Option(help="Measure nothing: merge a cache folder or JSON file into --json.")
    ] = None,
    list_types: Annotated[bool, typer.Option("--list", help="Print the model types and stop.")] = False,
) -> None:
    """Attention found, rewritten and rejected in tiny models of every transformers type."""
    if merge:
        _merge(merge, json_path)
        return
    if table is not None:
        print(coverage_table.table(json.loads(table.read_text())))
        return
    stop = time.monotonic() + seconds if seconds else math.inf
    if whole:
        inductor, json_path = True, json_path or ROOT / "docs/benchmarks/coverage.json"
    import torch
    import transformers

    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    from coverage_measure import CONDITIONS, IMPLEMENTATIONS
    from coverage_models import PINNED, model_types

    from hyperrewrite import __version__
    from hyperrewrite.backend import source_digest

    types = list(PINNED) if pinned else _chosen(models, model_types(), "model type")
    types = _part(types, part)
    if list_types:
        print("\n".join(types))
        return
    wanted_conditions = _chosen("" if conditions == "all" else conditions, CONDITIONS, "condition")
    wanted = [
        (t, i, c) for t in types for i in _chosen(implementations, IMPLEMENTATIONS, "one") for c in wanted_conditions
        if not (whole and (i, c) == ("sdpa", "dynamic"))  # not in the table
    ]  # fmt: skip
    torch.set_num_threads(1)
    digest = source_digest()
    cache.mkdir(parents=True, exist_ok=True)
    store = cache / "finished.jsonl"
    _salvage(cache, store)
    finished = {} if fresh else _finished(store, None if stale else digest, inductor)
    left = [case for case in wanted if case not in finished]
    _run(left, Kept(store, digest, inductor), jobs, limit, memory << 30, stop)
    finished |= _finished(store, None if stale else digest, inductor)
    entries = [finished[case] for case in wanted if case in finished]
    result = {
        "hyperrewrite": __version__,
        "passes": digest,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": sys.version.split()[0],
        "rows": [e["row"] for e in entries if "row" in e],
        "not_run": [e["not_run"] for e in entries if "not_run" in e],
    }
    show(result)
    missing = len(wanted) - len(entries)
    if whole and missing:
        console.print(f"{missing} of {len(wanted)} cases are left: run it again", highlight=False)
        raise typer.Exit(3)
    if whole:
        print(coverage_table.table(result))
    if json_path is not None:
        json_path.write_text(document(result))


def _merge(runs: list[Path], into: Path | None) -> None:
    if into is None:
        raise UsageError("--merge takes --json as well: the file that the rows are merged into.")
    rows, not_run = coverage_merge.merge(into, runs)
    console.print(f"{into}: {rows} rows, {not_run} cases that did not run", highlight=False)


def _chosen(text: str, known: Iterable[str], what: str) -> list[str]:
    known = list(known)
    names = [name.strip() for name in text.split(",") if name.strip()] or known
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"{name!r} is no {what}; --list prints the model types")
    return names


def _part(types: list[str], part: str) -> list[str]:
    first, slash, step = part.partition("/")
    if not (slash and first.isdecimal() and step.isdecimal() and 1 <= int(first) <= int(step)):
        raise typer.BadParameter(f"--part takes one of 1/3, 2/3, 3/3 and the like, not {part!r}")
    return types[int(first) - 1 :: int(step)]


def _finished(store: Path, digest: str | None, inductor: bool) -> dict[Case, dict[str, Any]]:
    """Finished cases by key, the latest of each; digest: only those of this version of the passes."""
    found: dict[Case, dict[str, Any]] = {}
    for line in store.read_text().splitlines() if store.exists() else ():
        entry = json.loads(line)
        body = entry.get("row") or entry["not_run"]
        if (digest is None or entry["passes"] == digest) and (not inductor or "row" not in entry or entry["inductor"]):
            found[case_of(body)] = entry
    return found


@dataclass(frozen=True)
class Kept:
    """Where finished cases are kept, and what stands beside each of them."""

    store: Path
    digest: str
    inductor: bool

    def line(self, entry: dict[str, Any]) -> str:
        """An entry as a line of the store."""
        import torch

        (entry.get("row") or entry["not_run"]).update(torch=torch.__version__, passes=self.digest)
        return json.dumps({"passes": self.digest, "inductor": self.inductor, **entry}) + "\n"


def _salvage(cache: Path, store: Path) -> None:
    """Keep what workers finished of a run that was killed."""
    for file in sorted(cache.glob("running-*.jsonl")):
        whole = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
        with store.open("a") as out:
            out.writelines(whole)
        file.unlink()


def _run(cases: list[Case], kept: Kept, jobs: int, limit: int, memory: int, stop: float) -> None:
    """Measure the cases, each model type in a process of its own; append what finished to the store.

    stop: the time at which workers are ended; what they have not finished is left for the next run.
    """
    from coverage_measure import warm_up

    if not cases:
        return
    warm_up(kept.inductor)
    gc.freeze()  # what is loaded is looked at no more, here or in a worker
    queue: dict[str, list[Case]] = {}
    for case in cases:
        queue.setdefault(case[0], []).append(case)
    running: list[Worker] = []
    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # auto_refresh would be a thread, and threads do not go with fork.
    with Progress(*columns, console=console, auto_refresh=False) as progress, kept.store.open("a") as out:
        task = progress.add_task("", total=len(cases))
        waiting = list(queue.items())
        while waiting or running:
            over = time.monotonic() > stop
            if over:
                waiting = []
            while waiting and len(running) < jobs:
                running.append(_start(*waiting.pop(0), kept, limit, memory))
            time.sleep(0.05)
            for worker in [w for w in running if over or not w.process.is_alive() or time.monotonic() > w.deadline]:
                running.remove(worker)
                out.writelines(_collect(worker, kept, cut=over))
                out.flush()
                progress.update(task, advance=len(worker.cases))
            progress.update(task, description=" ".join(w.model for w in running)[:40], refresh=True)


def _start(model: str, cases: list[Case], kept: Kept, limit: int, memory: int) -> Worker:
    file = kept.store.parent / f"running-{model}-{os.getpid()}.jsonl"
    file.unlink(missing_ok=True)
    process = multiprocessing.get_context("fork").Process(target=_child, args=(cases, file, kept, memory))
    process.start()
    return Worker(model, cases, file, process, time.monotonic() + limit * (1 + len(cases) / 4))


def _child(cases: list[Case], file: Path, kept: Kept, memory: int) -> None:
    from coverage_measure import measure

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with file.open("w") as out, open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 1)
        os.dup2(null.fileno(), 2)
        for implementation in dict.fromkeys(i for _, i, _ in cases):
            conditions = tuple(c for _, i, c in cases if i == implementation)
            for entry in measure(cases[0][0], (implementation,), conditions, kept.inductor):
                out.write(kept.line(entry))
                out.flush()


def _collect(worker: Worker, kept: Kept, cut: bool) -> list[str]:
    """What a worker finished, and a word about what it did not; cut: it was not given the time."""
    late = worker.process.is_alive()
    if late:
        worker.process.kill()
    worker.process.join()
    text = worker.file.read_text() if worker.file.exists() else ""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    worker.file.unlink(missing_ok=True)
    if late and cut:
        return lines
    entries = map(json.loads, lines)
    done = {case_of(entry.get("row") or entry["not_run"]) for entry in entries}
    ended = f"still running after {time.monotonic() - worker.started:.0f} s" if late else "the process died"
    reason = ended if late else f"{ended} with code {worker.process.exitcode}"
    for case in worker.cases:
        if case not in done:
            key = dict(zip(("model", "implementation", "condition"), case, strict=True))
            lines.append(kept.line({"not_run": key | {"stage": "process", "reason": reason}}))
    return lines


def show(result: dict[str, Any]) -> None:
    """Totals by implementation and condition, and every model that is not as it should be."""
    from coverage_measure import is_wrong

    out = Console()
    table = Table(title=f"transformers {result['transformers']}, torch {result['torch']}")
    for name in ("implementation", "condition", "models", "sites", "accounted", "rewritten", "inductor", "wrong"):
        table.add_column(name, justify="left" if name in ("implementation", "condition") else "right")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in result["rows"]:
        groups.setdefault((row["implementation"], row["condition"]), []).append(row)
    for (implementation, condition), rows in sorted(groups.items()):
        sites, missed, rewritten = (sum(r[k] for r in rows) for k in ("sites", "missed", "rewritten"))
        counted = [r["inductor"] for r in rows if r["inductor"] is not None]
        wrong = sum(is_wrong(r) for r in rows)
        cells = [len(rows), sites, sites - missed, rewritten, sum(counted) if counted else "–", wrong]
        table.add_row(implementation, condition, *map(str, cells))
    out.print(table)
    codes: Counter[str] = Counter()
    for row in result["rows"]:
        codes.update(row["rejected"])
    out.print("rejected:", ", ".join(f"{code} {n}" for code, n in codes.most_common()) or "none")
    for row in result["rows"]:
        if is_wrong(row) or row["missed"] or row["failures"]:
            words = f"{row['model']} {row['implementation']} {row['condition']}: {row['missed']} missed, "
            out.print(words + f"difference {row['max_difference']:.2g}", *row["failures"], highlight=False)
    stages = Counter(n["stage"] for n in result["not_run"])
    out.print("not run:", ", ".join(f"{stage} {n}" for stage, n in stages.most_common()) or "none")


if __name__ == "__main__":
    sys.exit(quality_cli.run(app))
