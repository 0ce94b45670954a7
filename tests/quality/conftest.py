"""The quality benches' modules are imported from benchmarks/, which stands last on the path; tiny models on disk."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tiny_llama import byte_tokenizer, save_llama

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random causal model in a folder."""
    place = tmp_path_factory.mktemp("tiny-llama")
    save_llama(place, layers=2, context=1024)
    return place


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder in a folder."""
    place = tmp_path_factory.mktemp("tiny-bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
    )
    transformers.BertModel(config).save_pretrained(place)
    backend = byte_tokenizer("[CLS]", "[SEP]")
    backend.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 257), ("[CLS]", 256))
    words = {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **words).save_pretrained(place)
    return place
