"""How much of the attention of every transformers model type is found, rewritten and right.

    python benchmarks/coverage.py --pinned                       30 model types, a minute or two
    python benchmarks/coverage.py --jobs 16 --inductor           all of them, every condition
    python benchmarks/coverage.py --jobs 16 --inductor --part 2/3
    python benchmarks/coverage.py --merge OTHER_CACHE --merge OTHER.json --json docs/benchmarks/coverage.json
    python benchmarks/coverage.py --models llama,t5 --conditions none,padded

A row is one model type, one attention implementation, one condition:
  sites           attention in the captured graphs: what our passes found, what they rejected, and what they missed
  rewritten       sites that are one fused call afterwards, whether we wrote it or it stood there (SDPA left alone)
  rejected        {code: sites}
  missed          sites that a detector sharing no code with the passes sees, and the passes say no word about
  inductor        how many attentions Inductor's own fuse_attention replaces in the same graphs (with --inductor);
                  null where it failed, and why in inductor_failed
  torch, passes   the versions that the row was measured with: --stale keeps rows of earlier passes
  max_difference  largest |output of the rewritten graph − output of eager PyTorch|; relative_norm beside it for bf16

Each model type runs in a process of its own, with a limit on time and memory. Finished cases are kept in --cache
and are run again only after the passes changed, or with --fresh. coverage_merge.py says which rows --merge keeps.
"""

from __future__ import annotations

import json
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
    merge: Annotated[
        list[Path] | None, typer.Option(help="Measure nothing: merge a cache folder or JSON file into --json.")
    ] = None,
    list_types: Annotated[bool, typer.Option("--list", help="Print the model types and stop.")] = False,
) -> None:
    """Attention found, rewritten and rejected in tiny models of every transformers type."""
    if merge:
        _merge(merge, json_path)
        return
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
    ]
    torch.set_num_threads(1)
    digest = source_digest()
    cache.mkdir(parents=True, exist_ok=True)
    store = cache / "finished.jsonl"
    finished = {} if fresh else _finished(store, None if stale else digest, inductor)
    left = [case for case in wanted if case not in finished]
    _run(left, store, cache, digest, inductor, jobs, limit, memory << 30)
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


def _run(
    cases: list[Case], store: Path, cache: Path, digest: str, inductor: bool, jobs: int, limit: int, memory: int
) -> None:
    """Measure the cases, each model type in a process of its own; append what finished to the store."""
    import torch
    from coverage_measure import warm_up

    warm_up(inductor)
    queue: dict[str, list[Case]] = {}
    for case in cases:
        queue.setdefault(case[0], []).append(case)
    running: list[Worker] = []
    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # auto_refresh would be a thread, and threads do not go with fork.
    with Progress(*columns, console=console, auto_refresh=False) as progress, store.open("a") as out:
        task = progress.add_task("", total=len(cases))
        waiting = list(queue.items())
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_start(*waiting.pop(0), cache, inductor, limit, memory))
            time.sleep(0.05)
            for worker in [w for w in running if not w.process.is_alive() or time.monotonic() > w.deadline]:
                running.remove(worker)
                for entry in _collect(worker):
                    (entry.get("row") or entry["not_run"]).update(torch=torch.__version__, passes=digest)
                    out.write(json.dumps({"passes": digest, "inductor": inductor, **entry}) + "\n")
                out.flush()
                progress.update(task, advance=len(worker.cases))
            progress.update(task, description=" ".join(w.model for w in running)[:40], refresh=True)


def _start(model: str, cases: list[Case], cache: Path, inductor: bool, limit: int, memory: int) -> Worker:
    file = cache / f"running-{model}-{os.getpid()}.jsonl"
    file.unlink(missing_ok=True)
    process = multiprocessing.get_context("fork").Process(target=_child, args=(cases, file, inductor, memory))
    process.start()
    return Worker(model, cases, file, process, time.monotonic() + limit * (1 + len(cases) / 4))


def _child(cases: list[Case], file: Path, inductor: bool, memory: int) -> None:
    from coverage_measure import measure

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with file.open("w") as out, open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 1)
        os.dup2(null.fileno(), 2)
        for implementation in dict.fromkeys(i for _, i, _ in cases):
            conditions = tuple(c for _, i, c in cases if i == implementation)
            for entry in measure(cases[0][0], (implementation,), conditions, inductor):
                out.write(json.dumps(entry) + "\n")
                out.flush()


def _collect(worker: Worker) -> list[dict[str, Any]]:
    """What a worker finished, and a word about what it did not."""
    late = worker.process.is_alive()
    if late:
        worker.process.kill()
    worker.process.join()
    lines = worker.file.read_text().splitlines() if worker.file.exists() else []
    entries = [json.loads(line) for line in lines]
    worker.file.unlink(missing_ok=True)
    bodies = [e.get("row") or e["not_run"] for e in entries]
    done = {case_of(body) for body in bodies}
    ended = f"still running after {time.monotonic() - worker.started:.0f} s" if late else "the process died"
    reason = ended if late else f"{ended} with code {worker.process.exitcode}"
    for model, implementation, condition in worker.cases:
        if (model, implementation, condition) not in done:
            key = {"model": model, "implementation": implementation, "condition": condition}
            entries.append({"not_run": key | {"stage": "process", "reason": reason}})
    return entries


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
