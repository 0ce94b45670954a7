"""benchmarks/quality_passkey.py: the texts it makes, and a whole run on a tiny random Llama."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import quality_cli as cli
import quality_estimators as known
import quality_model
import quality_passkey as passkey
import torch

KEY = "48213"


def encode(text: str) -> list[int]:
    return list(text.encode())


@pytest.mark.parametrize("form", passkey.FORMS)
@pytest.mark.parametrize("depth", [0, 25, 50, 100])
@pytest.mark.parametrize("length", [600, 2001])
def test_a_case(length: int, depth: int, form: str) -> None:
    filler = passkey.sentences(encode, "grass", None, length)
    case = passkey.case(encode, filler, passkey.FORMS[form], length, depth, KEY)
    text = bytes(case.ids).decode()
    words = passkey.FORMS[form]
    assert len(case.ids) == length
    assert text[case.answer.start : case.answer.stop] == KEY == text[-5:]
    assert text.startswith(words.opening) and text.endswith(f"{words.question} {KEY}")
    room = length - len(words.opening + words.needle.format(key=KEY) + words.question + " " + KEY)
    place = (text.index(words.needle.format(key=KEY)) - len(words.opening)) / room
    assert abs(place - depth / 100) < 30 / room
    assert text[: text.index(words.needle.format(key=KEY))].endswith((words.opening, "."))


def test_keys_stay_the_same_with_more_trials() -> None:
    keys = passkey.keys_of(8, 0)
    assert keys[:3] == passkey.keys_of(3, 0) and len(set(keys)) == 8
    assert all(len(key) == 5 and key.isdecimal() for key in keys)


def test_whole_bench(llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "passkey.json"
    small = 'small={"window": 16, "sinks": 4, "tile": 16, "min_seq_len": 64}'
    words = ["--model", str(llama), "--device", "cpu", "--preset", small, "--presets", "small"]
    sizes = ["--lengths", "400,500", "--depths", "0,100", "--trials", "2", "--filler", "manual"]
    names = ["--estimators", "exact,hyper,streaming"]
    assert cli.run(passkey.app, [*words, *sizes, *names, "--json", str(file)]) == 0
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == 2 * 2 * 3
    assert all(0 <= row["found"] <= row["digits"] <= 1 and row["nll"] > 0 for row in rows)
    assert {row["keys_per_query"] for row in rows if row["estimator"] == "exact"} == {200.5, 250.5}
    assert "points beside exact at worst" in capsys.readouterr().out


def test_what_texts_share_is_read_once_and_gives_the_same(llama: Path) -> None:
    loaded = quality_model.load(str(llama), None, torch.device("cpu"), "float32")
    fields = {"window": 16, "sinks": 4, "tile": 16, "min_seq_len": 64, "algorithm": "hyper"}
    hyper = known.by_op("hyper", "small", fields)
    filler = passkey.sentences(loaded.encode, "grass", None, 600)
    cases = [
        passkey.case(loaded.encode, filler, passkey.FORMS["plain"], 600, depth, key)
        for depth in (100, 50, 0)
        for key in passkey.keys_of(2, 0)
    ]
    whole, sharing = passkey.reader(loaded, hyper, False), passkey.reader(loaded, hyper, True)
    for number, case in enumerate(cases):
        watch = quality_model.Watch(rows=1000)
        (_, loss), (_, wanted) = sharing.ask(case, watch), whole.ask(case, None)
        assert loss == pytest.approx(wanted, rel=1e-5)
        shared = sharing._shared(case.ids)
        assert shared == len(case.ids) if number == 0 else 0 < shared < len(case.ids)
        assert watch.mean_error > 1e-4
    assert passkey.reader(loaded, known.by_op("exact", "", {"algorithm": "exact"}), True)._tile == 0


def test_verdict_names_the_worst_place() -> None:
    rows = [
        {"estimator": name, "preset": "", "length": 4096, "depth": depth, "found": found}
        for name, depth, found in [("exact", 0, 1.0), ("exact", 50, 0.9), ("hyper", 0, 0.95), ("hyper", 50, 0.8)]
    ]
    assert passkey.verdict(rows) == ["hyper: -10 points beside exact at worst (4,096 tokens, depth 50 %)"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--depths", "0,120"], "--depths"),
        (["--lengths", "12"], "--lengths"),
        (["--trials", "0"], "--trials"),
        (["--form", "rhyme"], "--form"),
        (["--filler", "repeated"], "--filler"),
        (["--lengths", "4096"], "beyond the model's context"),
        (["--lengths", "180", "--form", "chat"], "do not hold the question"),
    ],
)
def test_mistakes_are_one_sentence(
    llama: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert cli.run(passkey.app, ["--model", str(llama), "--device", "cpu", *words]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1
