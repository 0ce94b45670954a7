"""The demo's LoRA adapter: added to the weights as its file says, or refused before a weight changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hyperrewrite import cli
from hyperrewrite.demo.adapter import adapt
from hyperrewrite.demo.settings import Settings
from hyperrewrite.usage import UsageError

transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")
WIDTH, RANK = 32, 4


def stack() -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=99, max_position_embeddings=64,
    )  # fmt: skip
    return transformers.LlamaModel(config).eval()


def written(folder: Path, out: int = WIDTH, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    halves = {"1.q_proj.a": torch.randn(RANK, WIDTH), "1.q_proj.b": torch.randn(out, RANK)} | more
    safetensors.save_file(halves, folder / "lora.safetensors")
    return halves


def test_adds_the_product_and_sets_the_rotary_base(tmp_path: Path) -> None:
    halves, model = written(tmp_path), stack()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    adapt(model, tmp_path, 131072)
    for name, weight in model.named_parameters():
        added = halves["1.q_proj.b"] @ halves["1.q_proj.a"] if name == "layers.1.self_attn.q_proj.weight" else 0.0
        torch.testing.assert_close(weight.detach(), before[name] + added)
    assert model.config.max_position_embeddings == 131072
    assert model.config.rope_parameters["rope_theta"] == 5.0e6
    fresh = type(model.rotary_emb)(config=model.config)
    assert torch.equal(model.rotary_emb.inv_freq, fresh.inv_freq)


@pytest.mark.parametrize(
    ("out", "more"),
    [(WIDTH - 8, {}), (WIDTH, {"7.q_proj.a": torch.zeros(RANK, WIDTH)}), (WIDTH, {"0.gate.a": torch.zeros(1)})],
)
def test_what_does_not_fit_changes_no_weight(out: int, more: dict[str, torch.Tensor], tmp_path: Path) -> None:
    written(tmp_path, out, **more)
    model = stack()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    with pytest.raises(UsageError, match="does not fit the model"):
        adapt(model, tmp_path, 32768)
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


def test_bytes_that_are_no_tensors(tmp_path: Path) -> None:
    (tmp_path / "lora.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UsageError, match="does not fit the model"):
        adapt(stack(), tmp_path, 32768)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--context", "5"], "--context must be one of 32768, 131072, not 5"),
        (["--tokens", "40000"], "--tokens 40000 is beyond the model's context of 32768 tokens"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_is_loaded(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path)
    assert cli.run_command(["demo", "--adapter", str(tmp_path), *words]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint and complaint.count("\n") == 1


def test_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.safetensors file"):
        Settings(adapter=tmp_path).check()
