"""The page of Report.to_html: complete, self-contained, escaped; and the option of the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from hyperrewrite.passes.spec import RejectionCode

import hyperrewrite
from hyperrewrite.cli import run_command
from hyperrewrite.html import page
from hyperrewrite.report import RejectionRow, Report
from hyperrewrite.words import REJECTIONS

from .models import Stack

VOID = {"meta", "br", "hr", "img", "input", "link"}
LOADING = {"src", "href", "xlink:href", "data", "action", "poster", "srcset"}


class Page(HTMLParser):
    """Collects text and attributes, and fails on tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """Everything that is not markup, spaces joined."""
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def report() -> Report:
    """A stack of causal layers, approximated."""
    options = {"min_seq_len": 32, "tile": 16}
    return hyperrewrite.explain(Stack(3), torch.randn(2, 63, 32), options=options)


def test_the_page_is_well_formed_and_loads_nothing(report: Report, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    report.to_html(file)
    text = file.read_text(encoding="utf-8")
    found = Page(text)
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(found.tags)
    assert all(value.startswith("#") for _, name, value in found.attributes if name in LOADING)
    assert "http://" not in text and "https://" not in text and "@import" not in text
    assert "prefers-color-scheme: dark" in text


def test_the_page_says_what_where_and_why(report: Report) -> None:
    (row,) = report.sites
    text = Page(page(report)).text
    for said in ("layers.{0…2}", f"models.py:{row.line}", row.source, row.reason, row.code, row.spec, *row.sentences):
        assert said in text
    assert "softmax" in row.source
    assert "turn scores into probabilities" in text
    assert "compare queries with keys" in text
    for word in ("query", "key", "value", "softmax", "mask", "causal", "kv heads", "lse", "FX graph"):
        assert f" {word} " in text[text.index("Glossary") :]


def test_a_causal_site_has_n_by_n_tensors_before_and_none_after(report: Report) -> None:
    (row,) = report.sites
    assert {step.role for step in row.before} == {"query", "key", "value", "main", "side"}
    scores = next(step for step in row.before if step.operation == "compare queries with keys")
    assert (scores.shape, scores.bytes, scores.quadratic) == ((2, 2, 63, 63), 2 * 2 * 63 * 63 * 4, True)
    assert not any(step.quadratic for step in row.after)
    assert any(step.new and step.operation.startswith("HyperAttention") for step in row.after)
    (after,) = (step for step in row.after if step.role == "main" and step.new)
    assert after.shape == (2, 2, 63, 16)
    assert "no n×n tensor is made" in page(report)


def test_views_take_no_memory(report: Report) -> None:
    (row,) = report.sites
    (swapped,) = (step for step in row.before if step.operation == "swap two dimensions")
    assert swapped.bytes == 0


def test_square_operands_are_not_taken_for_scores() -> None:
    """As many positions as features: only what is made of queries and keys together is n×n."""
    report = hyperrewrite.explain(Stack(1), torch.randn(2, 16, 32))
    quadratic = {step.operation for step in report.sites[0].before if step.quadratic}
    assert "compare queries with keys" in quadratic
    assert not quadratic & {"queries", "keys", "values", "swap two dimensions", "weigh and sum the values"}


def test_a_write_in_place_is_part_of_the_graph() -> None:
    def model(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        scores = q @ k.transpose(-2, -1)
        keep = torch.ones(63, 63, dtype=torch.bool).tril()
        scores.masked_fill_(~keep, -1e9)
        return torch.softmax(scores, dim=-1) @ v

    report = hyperrewrite.explain(model, *(torch.randn(1, 2, 63, 8) for _ in range(3)))
    (row,) = report.sites
    softmax = next(step for step in row.before if step.operation == "turn scores into probabilities")
    filled = next(step for step in row.before if step.operation == "set to −1e09 where masked")
    assert softmax.inputs == (filled.name,)
    assert filled.bytes == 0


def test_rows_fold_and_dump_with_their_graphs(report: Report) -> None:
    both = report + report
    assert len(both.sites) == 1
    assert both.sites[0].before == report.sites[0].before
    data = json.loads(report.to_json())["sites"][0]
    assert data["before"][0].keys() >= {"name", "operation", "inputs", "shape", "dtype", "bytes", "quadratic"}
    assert len(data["after"]) == len(report.sites[0].after)


def test_dynamic_shapes_have_no_number_of_bytes() -> None:
    with hyperrewrite.record() as log:
        torch._dynamo.reset()
        with torch.no_grad():
            torch.compile(Stack(1), backend="hyper", dynamic=True)(torch.randn(2, 63, 32))
    (row,) = log.report.sites
    scores = next(step for step in row.before if step.operation == "compare queries with keys")
    assert scores.bytes is None
    assert scores.quadratic
    assert "size varies" in page(log.report)


def test_everything_is_escaped(report: Report) -> None:
    evil = "<script>alert('&')</script>"
    (row,) = report.sites
    steps = tuple(replace(step, operation=evil, dtype=evil) for step in row.before)
    bad = replace(
        row, file=evil, modules=(evil,), spec=evil, reason=evil, code=evil, source=evil, sentences=(evil,), before=steps
    )
    left = RejectionRow(evil, 1, (evil,), evil, evil, evil)
    text = page(Report((bad,), (left,), 1, 0.0, (evil,)))
    assert "<script" not in text
    assert Page(text).text.count(evil) >= 10


def test_a_rejection_and_a_failure_are_on_the_page() -> None:
    left = RejectionRow(
        "/somewhere/model.py", 7, ("layers.0",), "dropout", "dropout with p=0.1 is active", "F.dropout(p)"
    )
    text = Page(page(Report((), (left,), 1, 0.0, ("ValueError: no",)))).text
    for said in ("/somewhere/model.py:7", "layers.0", "dropout with p=0.1 is active", "F.dropout(p)", "ValueError: no"):
        assert said in text


def test_an_unwritable_path_raises(report: Report, tmp_path: Path) -> None:
    with pytest.raises(OSError):
        report.to_html(tmp_path / "missing" / "page.html")


def test_the_command_checks_the_path_before_anything_else(capsys: pytest.CaptureFixture[str]) -> None:
    """The target does not even exist: the path is what is complained about."""
    assert run_command(["explain", "nothing:here", "--html", "/no/such/folder/page.html"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--html" in said
    assert "No such file or directory" in said


def test_the_command_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pagefactory.py").write_text(
        "import torch\n"
        "class Model(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return torch.softmax(x @ x.mT, -1) @ x\n"
        "def model(): return Model(), (torch.randn(1, 2, 31, 8),), {}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "page.html"
    assert run_command(["explain", "pagefactory:model", "--json", "--html", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["graphs"] == 1
    assert "pagefactory.py" in Page(file.read_text(encoding="utf-8")).text


def test_every_rejection_has_a_sentence() -> None:
    assert set(REJECTIONS) == {str(code) for code in RejectionCode}


def test_one_tensor_as_queries_keys_and_values() -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x @ x.mT, dim=-1) @ x

    report = hyperrewrite.explain(model, torch.randn(1, 2, 63, 8))
    (row,) = report.sites
    assert "queries and keys and values" in {step.operation for step in row.before}
    assert "compare queries with keys" in {step.operation for step in row.before if step.quadratic}
    assert page(report)
