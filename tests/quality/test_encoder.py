"""benchmarks/quality_encoder.py on a tiny random BERT."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import quality_cli as cli
import quality_encoder as encoder
import quality_estimators as known
import torch
import transformers
from hyperrewrite.kernels.parameters import Parameters


def test_whole_bench(bert: Path, tmp_path: Path) -> None:
    file = tmp_path / "encoder.json"
    words = ["--model", str(bert), "--device", "cpu", "--lengths", "128,256", "--texts", "3", "--json", str(file)]
    assert cli.run(encoder.app, words) == 0
    rows = json.loads(file.read_text())["rows"]
    assert {(row["length"], row["estimator"]) for row in rows} >= {(128, "exact"), (256, "hyper")}
    for row in rows:
        assert -1.0 <= row["cosine_min"] <= row["cosine_mean"] <= 1.0 + 1e-9
        assert row["keys_per_query"] <= row["length"]
        if row["estimator"] == "exact":
            assert row["cosine_min"] == pytest.approx(1.0) and row["mean_error"] < 1e-6


def test_exact_embedding_is_the_models_own(bert: Path) -> None:
    model, tokenizer, _ = encoder.load(str(bert), torch.device("cpu"), "float32")
    (ids,) = encoder.batches(tokenizer, 100, 1)
    assert len(ids) == 100 and ids[0] == 256 and ids[-1] == 257
    found = encoder.embed(model, ids, known.by_op("exact", "", {"algorithm": "exact"}), None)
    own = transformers.AutoModel.from_pretrained(bert)
    with torch.no_grad():
        wanted = own(input_ids=torch.tensor([ids])).last_hidden_state[0].double().mean(0)
    torch.testing.assert_close(found, wanted / wanted.norm(), rtol=0.0, atol=1e-5)


def test_scaled() -> None:
    plain = Parameters()
    found = encoder.scaled({}, 1 / 16, 64)
    assert found["min_seq_len"] == 64
    assert found["window"] == max(0, round(plain.window / 16))
    assert found["block_size"] >= 16  # the least that Parameters takes
    Parameters(**found)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lengths", "512"], "beyond the model's length of 256"),
        (["--estimators", "topk"], "no estimator"),
        (["--scale", "0"], "--scale"),
        (["--texts", "0"], "--texts"),
        (["--model", "/no/such/folder"], "no folder"),
    ],
)
def test_mistakes_are_one_sentence(bert: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert cli.run(encoder.app, ["--model", str(bert), "--device", "cpu", *words]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1
