"""`benchmarks/coverage.py --merge`: which rows stay, which counts outlive them, and a sentence for what is no run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from coverage_merge import FINISHED, merge
from coverage_rows import case_of, document, without_install

from hyperrewrite.usage import UsageError

HEADER = {"hyperrewrite": "0.1.0", "command": "python benchmarks/coverage.py --jobs 17", "transformers": "5.23.0"}
BENCH = Path(__file__).resolve().parents[2] / "benchmarks/coverage.py"
Body = dict[str, Any]


def row(model: str, passes: str = "new", inductor: int | None = None, **more: Any) -> Body:
    case = {"model": model, "implementation": "eager", "condition": "none"}
    return {**case, "sites": 2, "rewritten": 2, "inductor": inductor, "torch": "2.11.0", "passes": passes, **more}


def not_run(model: str, stage: str = "run") -> Body:
    case = {"model": model, "implementation": "eager", "condition": "none"}
    return {**case, "stage": stage, "reason": "no", "torch": "2.11.0", "passes": "new"}


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """The file merged into: a and b measured, c not run."""
    path = tmp_path / "coverage.json"
    rows = [row("a", inductor=1), row("b", "old", inductor=1)]
    path.write_text(document({**HEADER, "rows": rows, "not_run": [not_run("c")]}))
    return path


def cache(folder: Path, *bodies: Body) -> Path:
    """A cache folder, as a run leaves it."""
    folder.mkdir()
    kinds = [("not_run" if "stage" in body else "row", body) for body in bodies]
    lines = [json.dumps({"passes": body["passes"], "inductor": False, kind: body}) for kind, body in kinds]
    (folder / FINISHED).write_text("".join(line + "\n" for line in lines))
    return folder


def merged(into: Path, *runs: Path) -> tuple[dict[str, Body], dict[str, Body]]:
    """Rows and cases that did not run, by model, after the merge."""
    merge(into, runs)
    found = json.loads(into.read_text())
    assert {name: found[name] for name in HEADER} == HEADER
    for name in ("rows", "not_run"):
        assert found[name] == sorted(found[name], key=case_of)
    rows, left = ({body["model"]: body for body in found[name]} for name in ("rows", "not_run"))
    return rows, left


def test_newer_rows_and_counts(into: Path, tmp_path: Path) -> None:
    """A count stands beside a newer row of the same passes; the near misses: other passes, another torch, a failure."""
    again = cache(tmp_path / "again", row("a", rewritten=1), row("b", sites=3), row("c"), row("0"))
    rows, left = merged(into, again)
    assert rows == {"0": row("0"), "a": row("a", inductor=1, rewritten=1), "b": row("b", sites=3), "c": row("c")}
    assert not left
    rows, _ = merged(into, cache(tmp_path / "torch", row("a", torch="2.12.0")))
    assert rows["a"]["inductor"] is None
    failed = row("a", torch="2.12.0", inductor_failed=["error"])
    rows, _ = merged(into, cache(tmp_path / "failed", failed), cache(tmp_path / "uncounted", row("a", torch="2.12.0")))
    assert rows["a"] == failed


def test_last_run_wins(into: Path, tmp_path: Path) -> None:
    """A JSON file as good as a cache folder; versions that its rows lack are those of its header."""
    other = tmp_path / "other.json"
    bare = {name: cell for name, cell in row("b", sites=5).items() if name not in ("passes", "torch")}
    other.write_text(json.dumps({"passes": "newest", "torch": "2.12.0", "rows": [bare], "not_run": []}))
    first = cache(tmp_path / "first", row("b", sites=4))
    assert merged(into, first, other)[0]["b"] == {**bare, "passes": "newest", "torch": "2.12.0"}
    assert merged(into, other, first)[0]["b"]["sites"] == 4


def test_not_run(into: Path, tmp_path: Path) -> None:
    """It replaces no row; a process that died replaces nothing at all."""
    bodies = (not_run("a"), not_run("c", "process"), not_run("d", "process"), not_run("e"))
    rows, left = merged(into, cache(tmp_path / "other", *bodies))
    assert set(rows) == {"a", "b"}
    assert {model: body["stage"] for model, body in left.items()} == {"c": "run", "d": "process", "e": "run"}


def test_places(into: Path, tmp_path: Path) -> None:
    """Of a cache and of a document: from the package on. The same document again changes nothing."""
    sample = {"code": "missed", "message": "no", "place": "/tmp/site/transformers/a.py:7", "module": "m", "graph": "g"}
    rows, _ = merged(into, cache(tmp_path / "other", row("a", samples=[sample])))
    assert rows["a"]["left_alone"] == [{"code": "missed", "message": "no", "place": "transformers/a.py:7"}]
    before = into.read_text()
    merge(into, [into])
    assert into.read_text() == before
    for place in ("/x/site-packages/timm/a.py:7", "/x/y/timm/a.py:7", "timm/a.py:7"):
        assert without_install(place) == "timm/a.py:7"
    assert without_install("/x/my_transformers/a.py:7") == "/x/my_transformers/a.py:7"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("gone.json", None, "cannot read"),
        ("cut.json", '{"rows": [', "is no JSON"),
        ("list.json", "[]", "holds no rows"),
        ("quality.json", '{"rows": [{"model": "a", "estimator": "hyper"}], "not_run": []}', "holds no rows"),
        ("half.json", '{"rows": []}', "holds no rows"),
        ("cut.jsonl", json.dumps({"row": row("z")}) + '\n{"row": {"mod', "line 2 of"),
        ("other.jsonl", '{"passes": "new"}', "line 1 of"),
    ],
)
def test_what_is_no_run(into: Path, tmp_path: Path, name: str, text: str | None, said: str) -> None:
    """The file merged into stays as it was, even where an earlier run was good."""
    before, other = into.read_text(), tmp_path / name
    if text is not None:
        other.write_text(text)
    with pytest.raises(UsageError, match=said):
        merge(into, [cache(tmp_path / "good", row("z")), other])
    assert into.read_text() == before


def test_command_line(into: Path, tmp_path: Path) -> None:
    """Nothing is measured; a mistake is one sentence and exit code 2."""

    def run(*words: str | Path) -> tuple[int, str]:
        done = subprocess.run([sys.executable, BENCH, *words], capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stderr

    runs = ["--merge", cache(tmp_path / "one", row("x")), "--merge", cache(tmp_path / "two", row("y"))]
    assert run(*runs, "--json", into)[0] == 0
    assert [body["model"] for body in json.loads(into.read_text())["rows"]] == ["a", "b", "x", "y"]
    for words, said in ((runs, "--json"), (["--merge", tmp_path, "--json", into], "cannot read")):
        code, complaint = run(*words)
        assert code == 2
        assert said in complaint
        assert complaint.count("\n") == 1
