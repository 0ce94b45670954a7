"""The model of docs/explain.html: SmolLM2's attention, a small T5, and one attention that has to be left alone.

PYTHONPATH=tests/support hyperrewrite explain explained:models --html docs/explain.html
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LONG, SHORT = 8192, 512


class KeepsProbabilities(nn.Module):
    """Attention that returns its probabilities too."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Attend and return the probabilities too."""
        probabilities = torch.softmax(x @ x.transpose(-2, -1), dim=-1)
        return probabilities @ x, probabilities


class Models(nn.Module):
    """All of them in one, so that one page shows them."""

    def __init__(self) -> None:
        super().__init__()
        import transformers

        self.smollm = transformers.LlamaModel(
            transformers.LlamaConfig(
                hidden_size=576, intermediate_size=64, num_hidden_layers=2, num_attention_heads=9,
                num_key_value_heads=3, vocab_size=97, max_position_embeddings=LONG, attn_implementation="eager",
            )
        )  # fmt: skip
        self.t5 = transformers.T5Model(
            transformers.T5Config(
                vocab_size=97, d_model=64, d_kv=16, d_ff=96, num_layers=2, num_heads=4, decoder_start_token_id=0,
                attn_implementation="eager",
            )
        )  # fmt: skip
        self.probing = KeepsProbabilities()

    def forward(self, long: Tensor, short: Tensor, mask: Tensor) -> tuple[Any, ...]:
        """Run each."""
        text = self.smollm(input_ids=long, attention_mask=mask, use_cache=False).last_hidden_state
        other = self.t5(input_ids=short, decoder_input_ids=short, use_cache=False).last_hidden_state
        return text, other, *self.probing(other)


def models() -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """Model, arguments and keyword arguments, as `hyperrewrite explain` wants them."""
    torch.manual_seed(0)
    mask = torch.ones(1, LONG, dtype=torch.int64)
    mask[:, :5] = 0
    return Models().eval(), (torch.randint(3, 90, (1, LONG)), torch.randint(3, 90, (1, SHORT)), mask), {}
