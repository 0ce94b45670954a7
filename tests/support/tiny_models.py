"""Whole models of a few thousand weights, built from transformers' configs without a download."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class TinyModel:
    """A model type. build(attention implementation) → model; inputs(batch, length) → keyword arguments."""

    name: str
    build: Callable[[str], torch.nn.Module]
    inputs: Callable[[int, int], dict[str, Any]]
    sites: int
    words: str  # what one site with padding must be read as
    maskless: str  # and without


def _tokens(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(3, 90, (batch, length), generator=torch.Generator().manual_seed(seed + length))


def _text(batch: int, length: int) -> dict[str, Any]:
    """Tokens; the first row is padded at the left, the second at the right."""
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[0, :5] = 0
    mask[1:2, length - 7 :] = 0
    return {"input_ids": _tokens(batch, length), "attention_mask": mask}


def _decoder(batch: int, length: int) -> dict[str, Any]:
    return {**_text(batch, length), "use_cache": False}


def _both(batch: int, length: int) -> dict[str, Any]:
    return {**_text(batch, length), "decoder_input_ids": _tokens(batch, length - 6, seed=1), "use_cache": False}


def _pixels(batch: int, length: int) -> dict[str, Any]:
    return {"pixel_values": torch.randn(batch, 3, 28, 28, generator=torch.Generator().manual_seed(0))}


_SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
_TEXT = {"vocab_size": 97, "max_position_embeddings": 256}


def _built(model: str, config: str, **settings: Any) -> Callable[[str], torch.nn.Module]:
    def build(implementation: str) -> torch.nn.Module:
        import transformers

        torch.manual_seed(0)
        chosen = getattr(transformers, config)(**settings, attn_implementation=implementation)
        return getattr(transformers, model)(chosen).eval()

    return build


MODELS = {
    m.name: m
    for m in (
        TinyModel(
            "llama",
            _built("LlamaForCausalLM", "LlamaConfig", **_SMALL, **_TEXT, num_key_value_heads=2),
            _decoder, 2, "causal, key padding, 4 heads over 2 kv heads", "causal, 4 heads over 2 kv heads",
        ),
        TinyModel(
            "gpt2",
            _built("GPT2LMHeadModel", "GPT2Config", vocab_size=97, n_positions=256, n_embd=64, n_layer=2, n_head=4),
            _decoder, 2, "causal, key padding, 4 heads", "causal, 4 heads",
        ),
        TinyModel(
            "qwen3",
            _built("Qwen3ForCausalLM", "Qwen3Config", **_SMALL, **_TEXT, num_key_value_heads=2, head_dim=24),
            _decoder, 2, "causal, key padding, 4 heads over 2 kv heads", "causal, 4 heads over 2 kv heads",
        ),
        TinyModel(
            "bert", _built("BertModel", "BertConfig", **_SMALL, **_TEXT), _text, 2,
            "full, key padding, 4 heads", "full, 4 heads",
        ),
        TinyModel(
            "t5",
            _built(
                "T5ForConditionalGeneration", "T5Config", vocab_size=97, d_model=64, d_kv=16, d_ff=96,
                num_layers=2, num_heads=4, decoder_start_token_id=0,
            ),
            _both, 6, "bias, 4 heads", "bias, 4 heads",
        ),
        TinyModel(
            "vit", _built("ViTModel", "ViTConfig", **_SMALL, image_size=28, patch_size=4), _pixels, 2,
            "full, 4 heads", "full, 4 heads",
        ),
    )
}  # fmt: skip
