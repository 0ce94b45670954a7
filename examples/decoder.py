"""A hand-written decoder, compiled with the backend "hyper".

python examples/decoder.py                             what was done, and how far the output is from exact
hyperrewrite explain examples.decoder:factory          the same sites without compiling
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Causal self-attention as people write it, and a small feed-forward net: [B, n, width] → [B, n, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Attend, then feed forward."""
        batch, n, width = x.shape
        q, k, v = (t.view(batch, n, self.heads, -1).transpose(1, 2) for t in self.qkv(self.norm(x)).chunk(3, -1))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(width // self.heads)
        future = torch.ones(n, n, dtype=torch.bool, device=x.device).triu(1)
        attended = scores.masked_fill(future, float("-inf")).softmax(-1) @ v
        x = x + self.out(attended.transpose(1, 2).reshape(batch, n, width))
        return x + self.feed(x)


def factory() -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """(model, args, kwargs), as `hyperrewrite explain` wants them."""
    torch.manual_seed(0)
    return nn.Sequential(*(Block(128, 4) for _ in range(2))).eval(), (torch.randn(1, 8192, 128),), {}


def main() -> None:
    """Compile, run, compare."""
    import hyperrewrite

    model, args, kwargs = factory()
    with torch.no_grad(), hyperrewrite.record() as log:
        estimated = torch.compile(model, backend="hyper")(*args, **kwargs)
        exact = model(*args, **kwargs)
    print(log)
    print(f"relative error of the output: {float((estimated - exact).norm() / exact.norm()):.4f}")


if __name__ == "__main__":
    main()
