"""The whole demo on a tiny random Llama with a tokenizer of its own, saved to disk as a person would have it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_llama import save_llama

transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

from hyperrewrite.cli import run_command  # noqa: E402
from hyperrewrite.demo import measure, show, source, text  # noqa: E402
from hyperrewrite.demo.measure import hidden_states, perplexity  # noqa: E402

TOKENS = 160
LAYERS = 2
CONTEXT = 512


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model and a tokenizer with one token for each byte."""
    place = tmp_path_factory.mktemp("tiny-llama")
    save_llama(place, LAYERS, CONTEXT)
    return place


@pytest.fixture(scope="module")
def tiny(folder: Path) -> source.Source:
    """The same, loaded."""
    return source.load(str(folder), torch.device("cpu"))


def test_whole_demo(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny: source.Source) -> None:
    """Three runs, a table, the JSON document with exactly its keys, a picture."""
    pytest.importorskip("matplotlib")
    figures, picture = tmp_path / "figures.json", tmp_path / "picture.png"
    words = ["demo", "--model", str(folder), "--tokens", str(TOKENS), "--device", "cpu", "--min-seq-len", "64"]
    assert run_command([*words, "--json", str(figures), "--plot", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert f"{LAYERS} attention sites, {TOKENS} tokens" in shown
    for word in ("exact", "paper", "hyper", "perplexity", "speed-up", "worst", "keys"):
        assert word in shown
    assert picture.read_bytes().startswith(b"\x89PNG")

    document: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
    assert list(document) == ["tokens", "device", "sites", "runs"]
    assert (document["tokens"], document["device"], document["sites"]) == (TOKENS, "cpu", LAYERS)
    assert list(document["runs"]) == ["exact", "paper", "hyper"]
    for run in document["runs"].values():
        assert list(run) == ["seconds", "perplexity", "mean_error", "max_error", "estimated_error", "keys_per_query"]
        assert all(math.isfinite(figure) for figure in run.values() if figure is not None)
        assert run["seconds"] > 0
        assert run["mean_error"] <= run["max_error"]
        assert run["keys_per_query"] <= (TOKENS + 1) / 2
    exact = document["runs"]["exact"]
    assert exact["estimated_error"] is None
    assert exact["max_error"] < 1e-5
    assert exact["keys_per_query"] == (TOKENS + 1) / 2
    assert exact["perplexity"] == pytest.approx(eager_perplexity(folder, tiny), rel=1e-4)


def test_hyper_knows_its_error(tiny: source.Source) -> None:
    """Of each layer, near the measured one; and an alarm is one more note."""
    ids = torch.randint(256, (1, CONTEXT), generator=torch.Generator().manual_seed(1))
    options = {"min_seq_len": 64, "tile": 32, "window": 16, "sinks": 4, "threshold": 0.005}
    run = measure.measure(tiny, ids, options)
    assert len(run.estimated_errors) == LAYERS
    assert run.estimated_error == pytest.approx(run.mean_error, rel=0.4)
    said = show.notes({"hyper": run}, CONTEXT, {})
    assert f"hyper estimates its mean error from its own sample: {run.estimated_error:.4f}." in said
    alarmed = show.notes({"hyper": replace(run, largest_share=0.9)}, CONTEXT, {})
    assert alarmed[-1].startswith("hyper: one key makes 90% of the estimated error of a layer") and len(alarmed) > len(
        said
    )


def eager_perplexity(folder: Path, tiny: source.Source) -> float:
    """What transformers itself says about the same tokens: natural log, exp."""
    ids = torch.tensor([text.take_tokens(text.read_parts(None), tiny.encode, TOKENS)])
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        return math.exp(model(input_ids=ids, labels=ids).loss)


def test_perplexity_in_pieces(tiny: source.Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of the pieces changes nothing, the last short one included."""
    ids = torch.randint(256, (1, 50), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        states = hidden_states(tiny.stack, ids)
        logits = tiny.head(states)
        wanted = math.exp(F.cross_entropy(logits[0, :-1], ids[0, 1:]))
        for size in (1, 7, 49, 1000):
            monkeypatch.setattr("hyperrewrite.demo.measure.CHUNK", size)
            assert perplexity(states, tiny.head, ids) == pytest.approx(wanted, rel=1e-5)


@pytest.fixture
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever loads the model fails: what is refused without it must not wait for it."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", refuse)


@pytest.mark.usefixtures("_no_weights")
def test_beyond_the_context(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model never learned positions beyond its context."""
    assert run_command(["demo", "--model", str(folder), "--tokens", str(CONTEXT + 1), "--device", "cpu"]) == 2
    assert f"--tokens 513 is beyond the model's context of {CONTEXT} tokens" in capsys.readouterr().err


@pytest.mark.usefixtures("_no_weights")
def test_too_short_a_text(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence says how many tokens there are."""
    file = tmp_path / "short.txt"
    file.write_text("x" * 70, encoding="utf-8")
    words = ["demo", "--model", str(folder), "--text", str(file), "--tokens", "71", "--device", "cpu"]
    assert run_command(words) == 2
    assert "the text has 70 tokens, fewer than the 71 asked for" in capsys.readouterr().err


def test_head_that_does_more_is_refused(folder: Path) -> None:
    """A logit scale, say, would make the perplexity wrong without a word."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)

    class Scaled(type(model)):  # type: ignore[misc]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = super().forward(*args, **kwargs)
            output.logits = output.logits * 3 + 1
            return output

    model.__class__ = Scaled
    with pytest.raises(Exception, match="cannot score in pieces"):
        source.split(model, None, "scaled")


def test_folder_that_holds_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A config.json alone is not a model."""
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert run_command(["demo", "--model", str(tmp_path), "--tokens", "64"]) == 2
    assert "cannot be loaded" in capsys.readouterr().err
