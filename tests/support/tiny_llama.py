"""A tiny random Llama in a folder, with its tokenizer, as a person would have one saved on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def byte_tokenizer(*special: str) -> Any:
    """A tokenizer (of the tokenizers package) with one token for each byte, then one for each special word."""
    import tokenizers

    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = {word: index for index, word in enumerate([*letters, *special])}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=words, merges=[]))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return backend


def save_llama(place: Path, layers: int, context: int) -> None:
    """Write the model and its tokenizer into the folder; the same weights each time."""
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=256,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(place)
    transformers.PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer()).save_pretrained(place)
