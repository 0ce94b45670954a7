"""Rows of other runs of the coverage bench, merged into the JSON file of one.

Another run is a cache folder (its finished.jsonl), such a .jsonl file, or a JSON file written by --json. The file
merged into counts as the oldest, then the runs as they are given; within a .jsonl file a later line is newer. Of one
case (model, implementation, condition):
  a newer row replaces an older one
  a count by Inductor, or word of its failure, outlives a newer row that was measured without --inductor if both rows
  saw the same passes and the same torch; else the count is gone
  a case that did not run never replaces a row, and gives way to any; one that only died or took too long (stage
  "process") says something of the machine, and is taken over only where nothing else is known
The header of the file stays as it is: each row names the passes and the torch that it was measured with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coverage_rows import Case, case_of, document

from hyperrewrite.usage import UsageError, check_writable

FINISHED = "finished.jsonl"
# Without these nothing can be said of a row, or of a case that did not run; with them it is one of this bench.
ROW = ("sites", "rewritten", "inductor")
NOT_RUN = ("stage", "reason")
VERSIONS = ("torch", "passes")


@dataclass
class Cases:
    """Rows and cases that did not run, by key; no case is in both."""

    rows: dict[Case, dict[str, Any]] = field(default_factory=dict)
    not_run: dict[Case, dict[str, Any]] = field(default_factory=dict)

    def take(self, newer: Cases) -> None:
        """Merge what a newer run knows."""
        for case, row in newer.rows.items():
            self.rows[case] = _counted(row, self.rows.get(case))
            self.not_run.pop(case, None)
        for case, body in newer.not_run.items():
            if case not in self.rows and not (case in self.not_run and body["stage"] == "process"):
                self.not_run[case] = body


def merge(into: Path, runs: Iterable[Path]) -> tuple[int, int]:
    """Merge the runs into the file; the numbers of its rows and of its cases that did not run. Raises UsageError."""
    header = _document(into)
    cases = _cases(header, into)
    for run in runs:
        cases.take(_read(run))
    check_writable(into, "--json")
    lists = {"rows": _in_order(cases.rows), "not_run": _in_order(cases.not_run)}
    into.write_text(document({**header, **lists}), encoding="utf-8")
    return len(cases.rows), len(cases.not_run)


def _counted(row: dict[str, Any], older: dict[str, Any] | None) -> dict[str, Any]:
    """The newer row, with Inductor's count from the older one where it was not asked for anew and still holds."""
    asked = row["inductor"] is not None or "inductor_failed" in row
    if asked or older is None or any(row.get(name) != older.get(name) for name in VERSIONS):
        return row
    return {**row, **{name: older[name] for name in ("inductor", "inductor_failed") if name in older}}


def _in_order(bodies: dict[Case, dict[str, Any]]) -> list[dict[str, Any]]:
    return [bodies[case] for case in sorted(bodies)]


def _read(run: Path) -> Cases:
    """The cases of a cache folder, a .jsonl file or a JSON file."""
    path = run / FINISHED if run.is_dir() else run
    if path.suffix != ".jsonl":
        return _cases(_document(path), path)
    found = Cases()
    for number, line in enumerate(_text(path).splitlines(), 1):
        where = f"line {number} of {path}"
        entry = _object(line, where)
        rows, not_run = ([entry["row"]], []) if "row" in entry else ([], [entry.get("not_run")])
        found.take(_cases({"passes": entry.get("passes"), "rows": rows, "not_run": not_run}, where))
    return found


def _document(path: Path) -> dict[str, Any]:
    return _object(_text(path), path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"--merge cannot read {path}: {reason}.") from error


def _object(text: str, where: object) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--merge: {where} is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"--merge: {where} holds no rows of this bench.")
    return found


def _cases(found: dict[str, Any], where: object) -> Cases:
    """A document's cases, each with the versions that it was measured with: its own, else those of the header."""
    header = {name: found[name] for name in VERSIONS if found.get(name) is not None}
    try:
        rows, not_run = _by_case(found["rows"], ROW, header), _by_case(found["not_run"], NOT_RUN, header)
    except (KeyError, TypeError) as error:
        raise UsageError(f"--merge: {where} holds no rows of this bench.") from error
    return Cases(rows, {case: body for case, body in not_run.items() if case not in rows})


def _by_case(bodies: Any, names: tuple[str, ...], header: dict[str, Any]) -> dict[Case, dict[str, Any]]:
    """The bodies by key; raises KeyError or TypeError where one is none of this bench."""
    found: dict[Case, dict[str, Any]] = {}
    for body in bodies:
        case = case_of(body)
        if not all(isinstance(word, str) for word in case):
            raise TypeError(case)
        _ = [body[name] for name in names]
        found[case] = {**body, **{name: version for name, version in header.items() if name not in body}}
    return found
