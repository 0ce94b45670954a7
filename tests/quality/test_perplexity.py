"""benchmarks/quality.py on a tiny random Llama: rows, files, and sentences for what a person gets wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import quality
import quality_cli as cli
import quality_model
import quality_show
import quality_texts
import torch
import transformers
from safetensors.torch import save_file

SMALL = 'small={"window": 16, "sinks": 4, "tile": 16, "min_seq_len": 64, "threshold": 0.5}'
ROW = {"estimator", "preset", "context", "text", "perplexity", "exact_perplexity", "keys_per_query", "mean_error"}
CPU = torch.device("cpu")


def run(llama: Path, *words: str) -> int:
    shared = ["--model", str(llama), "--device", "cpu", "--preset", SMALL, "--presets", "small"]
    return cli.run(quality.app, [*shared, *words])


@pytest.mark.usefixtures("short_reference")
def test_whole_bench(llama: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figures, picture = tmp_path / "quality.json", tmp_path / "quality.png"
    files = ["--json", str(figures), "--plot", str(picture)]
    assert run(llama, "--context", "200", "--text", "manual", "--text", "repeated", *files) == 0
    rows = json.loads(figures.read_text())["rows"]
    names = ["exact", "hyper", "paper-default", "paper", "streaming", "topk"]
    assert [(row["text"], row["estimator"]) for row in rows] == [(t, n) for t in ("manual", "repeated") for n in names]
    assert picture.read_bytes().startswith(b"\x89PNG")
    for row in rows:
        assert row.keys() >= ROW
        assert len(row["layer_errors"]) == len(row["layer_keys"]) == 2
        exact = next(r for r in rows if r["text"] == row["text"] and r["estimator"] == "exact")
        assert row["exact_perplexity"] == exact["perplexity"]
        if row["estimator"] in ("exact", "paper-default"):  # the latter below its min_seq_len
            assert row["keys_per_query"] == 100.5 and row["mean_error"] < 1e-6
        else:
            assert row["keys_per_query"] < 100 and row["mean_error"] > 1e-4
    loaded = transformers.AutoModelForCausalLM.from_pretrained(llama)
    tokenizer = transformers.AutoTokenizer.from_pretrained(llama)
    ids = torch.tensor([quality_texts.tokens("manual", None, tokenizer.encode, 0, 200)])
    with torch.no_grad():
        assert rows[0]["perplexity"] == pytest.approx(math.exp(loaded(ids, labels=ids).loss), rel=1e-4)


def test_merge_keeps_other_rows(llama: Path, tmp_path: Path) -> None:
    file = tmp_path / "quality.json"
    words = ["--text", "code", "--estimators", "exact", "--json", str(file)]
    assert run(llama, "--context", "80", *words) == 0
    assert run(llama, "--context", "80,96", *words, "--merge") == 0
    assert [row["context"] for row in json.loads(file.read_text())["rows"]] == [80, 96]
    pytest.importorskip("matplotlib")
    picture = tmp_path / "quality.svg"
    assert cli.run(quality_show.app, [str(file), "--plot", str(picture), "--title", "two lengths"]) == 0
    assert "</svg>" in picture.read_text()
    file.write_text("{}")
    assert run(llama, "--context", "80", *words, "--merge") == 2
    assert cli.run(quality_show.app, [str(file)]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--context", "many"], "--context takes whole numbers"),
        (["--context", "8"], "from 64 on"),
        (["--context", "2048"], "beyond the model's context of 1024"),
        (["--text", "novel=/no/such/file"], "no file"),
        (["--text", "poem"], "NAME=FILE"),
        (["--estimators", "magic"], "no estimator"),
        (["--device", "abacus"], "--device"),
        (["--dtype", "int8"], "--dtype"),
        (["--json", "/no/such/folder/a.json"], "--json"),
        (["--plot", "picture.txt"], "--plot"),
        (["--preset", "small"], "--preset"),
        (["--min-seq-len", "-1"], "min_seq_len"),
        (["--model", "/no/such.gguf"], "no such file"),
        (["--model", "/no/such/folder"], "no folder"),
        (["--adapter", "/no/such/folder"], "--adapter"),
        (["--colour"], "--colour"),
    ],
)
def test_mistakes_are_one_sentence(
    llama: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run(llama, *words) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1


def test_beyond_the_context(llama: Path, tmp_path: Path) -> None:
    """The rotary base grows as the text does, and stays where it does not."""
    file = tmp_path / "long.json"
    words = ["--context", "1000,2048,1024", "--beyond", "--text", "manual", "--estimators", "exact"]
    assert run(llama, *words, "--json", str(file)) == 0
    rows = json.loads(file.read_text())["rows"]
    trained = quality_model.load(str(llama), None, CPU, "float32").stack.config.rope_parameters["rope_theta"]
    assert [row.get("rotary_base") for row in rows] == [None, 2 * trained, None]
    loaded = transformers.AutoModelForCausalLM.from_pretrained(llama)
    tokenizer = transformers.AutoTokenizer.from_pretrained(llama)
    for row, base in zip(rows, (trained, 2 * trained, trained), strict=True):
        quality_model.set_rotary_base(loaded.model, base)
        ids = torch.tensor([quality_texts.tokens("manual", None, tokenizer.encode, 0, row["context"])])
        with torch.no_grad():
            assert row["perplexity"] == pytest.approx(math.exp(loaded(ids, labels=ids).loss), rel=1e-4)


def test_beyond_needs_a_rotary_base(llama: Path) -> None:
    loaded = quality_model.load(str(llama), None, CPU, "float32")
    loaded.stack.config.rope_parameters = None
    assert quality_model.Reach(loaded, 1024, "--context", True).prepare(1024) == {}
    with pytest.raises(quality_model.UsageError, match="no rotary base"):
        quality_model.Reach(loaded, 1025, "--context", True)


def test_too_short_a_text(llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    poem = tmp_path / "poem.txt"
    poem.write_text("short " * 20)
    assert run(llama, "--text", f"poem={poem}", "--context", "100", "--start", "50") == 2
    assert "has 120 tokens, fewer than the 150 asked for (--start and --context)" in capsys.readouterr().err


def test_adapter(llama: Path, tmp_path: Path) -> None:
    plain = quality_model.load(str(llama), None, CPU, "float32")
    before = plain.stack.layers[1].self_attn.v_proj.weight
    low, high = torch.randn(2, 64), torch.randn(before.shape[0], 2)
    save_file({"1.v_proj.a": low.bfloat16(), "1.v_proj.b": high.bfloat16()}, tmp_path / "lora_0.safetensors")
    adapted = quality_model.load(str(llama), tmp_path, CPU, "float32")
    after = adapted.stack.layers[1].self_attn.v_proj.weight
    torch.testing.assert_close(after - before, high.bfloat16().float() @ low.bfloat16().float(), rtol=0.0, atol=1e-5)
    assert adapted.context == 32768
    frequencies = [source.stack.rotary_emb.inv_freq[-1].item() for source in (plain, adapted)]
    assert frequencies[1] < frequencies[0]  # a larger base turns slower
    half = quality_model.load(str(llama), tmp_path, CPU, "bfloat16").stack
    assert half.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16
    assert half.rotary_emb.inv_freq.dtype == torch.float32


def test_repeated_text_repeats() -> None:
    pieces: list[str] = []

    def encode(text: str) -> list[int]:  # four characters a token
        first = len(pieces)
        pieces.extend(text[at : at + 4] for at in range(0, len(text), 4))
        return list(range(first, len(pieces)))

    bodies = ["".join(pieces[at] for at in quality_texts.tokens("repeated", None, encode, 0, 8000)) for _ in range(2)]
    assert bodies[0] == bodies[1]
    seen = [bodies[0].count(bodies[0][at : at + 50]) for at in range(0, 20_000, 500)]
    assert sum(count >= 3 for count in seen) > len(seen) / 2
