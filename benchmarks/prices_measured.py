"""The tiles of a layer's attention by any price of a far key: probabilities, keys that are read, errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from hyperrewrite.kernels import planning
from hyperrewrite.kernels.attend import scaled_scores
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.parameters import Parameters
from hyperrewrite.kernels.sampling import estimate, prices
from hyperrewrite.kernels.sampling.prices import shared
from hyperrewrite.kernels.tiling import Tile, tiles
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

UNIFORM = "uniform"  # no price of the package: a query's far keys share its far mass evenly
STEPS, TOLERANCE = 12, 2.0e-3  # of the search for a threshold, the latter of the number of keys


@dataclass(frozen=True, slots=True)
class Uniform:
    """The tensors of `prices.Maker`."""

    query: Tensor
    key: Tensor
    value: Tensor
    key_mask: None
    lse: Tensor
    call: AttentionCall

    def weights(self, tile: Tile) -> Tensor:
        """See `prices.Price`: [B, H, rows, F]."""
        near = self.lse[:, :, tile.start : tile.stop]
        total = shared.row_sums(self.query, self.key, None, self.lse, tile, self.call)
        return shared.floored(near.new_zeros(*near.shape, tile.far), None, shared.far_share(near, total))


class Inputs:
    """A layer's tensors [1, H, n, D] in float32, and the tiles that are looked at."""

    def __init__(self, path: Path, every: int) -> None:
        """path: a file of `attention_inputs.py`; every: only every so manieth tile with far keys."""
        from safetensors.torch import load_file

        found = {name: tensor.unsqueeze(0).float() for name, tensor in load_file(path).items()}
        self.query, self.key, self.value = (found[name] for name in "qkv")
        n, scale = self.query.shape[2], self.query.shape[3] ** -0.5
        self.call = AttentionCall(n, n, scale, 0, parameters=Parameters(min_seq_len=0))
        self.tiles = [tile for tile in tiles(self.call) if tile.far][every // 2 :: every]
        parts = planning.make_plan(self.query, self.key, None, self.call)
        self.lse = planning.near_lse(self.query, self.key, None, self.call, parts)
        self.squared = estimate.spreads(self.value, None, self.call).square()
        self.group = self.query.shape[1] // self.key.shape[1]

    def priced(self, name: str) -> list[Tensor]:
        """The squares of weight times spread [1, H, rows, F] of each tile."""
        price = self._price(name, self.query.shape[1])
        return [price.weights(tile).square() * self._spread(tile) for tile in self.tiles]

    def cost(self, name: str) -> float:
        """Multiply-adds of a query head for each query: of the heads that share the first key head, all tiles."""
        with FlopCounterMode(display=False) as counter:
            price = self._price(name, self.group)
            for tile in tiles(self.call):
                if tile.far:
                    price.weights(tile)
        return counter.get_total_flops() / 2 / self.group / self.call.num_queries

    def _price(self, name: str, heads: int) -> prices.Price:
        units = slice(0, heads // self.group)
        tensors = self.query[:, :heads], self.key[:, units], self.value[:, units], None, self.lse[:, :heads], self.call
        return Uniform(*tensors) if name == UNIFORM else prices.maker_of(name)(*tensors)

    def _spread(self, tile: Tile) -> Tensor:
        far = tile.far_keys(self.key.device)
        return self.squared[:, :, far].repeat_interleave(self.group, 1).unsqueeze(2)

    def chances(self, squared: Tensor, tile: Tile, threshold: float) -> Tensor:
        """π [1, H, rows, F]."""
        threshold = estimate.threshold_of(threshold, estimate.visible(tile, self.call))
        whole = (squared / threshold**2).expand(-1, -1, tile.rows, -1)
        return estimate.chances(whole, tile).sqrt_()

    def near(self) -> float:
        """How many near keys a query has on average."""
        return sum(t.sinks + t.high - t.low - (t.rows - 1) / 2 for t in self.tiles) / len(self.tiles)

    def far(self, squared: list[Tensor], threshold: float) -> float:
        """How many far keys a query reads on average."""
        pairs = zip(squared, self.tiles, strict=True)
        return sum(float(self.chances(s, t, threshold).sum(-1).mean()) for s, t in pairs) / len(self.tiles)

    def threshold_for(self, squared: list[Tensor], far: float) -> float:
        """At which a query reads this many far keys, but for TOLERANCE: the secant method in logarithms."""
        x, slope = math.log(Parameters().threshold), -0.7
        y = math.log(self.far(squared, math.exp(x)) / far)
        for _ in range(STEPS):
            if abs(y) < TOLERANCE:
                break
            step = max(min(-y / slope, 1.5), -1.5)
            found = math.log(self.far(squared, math.exp(x + step)) / far)
            slope = min((found - y) / step, -0.1)
            x, y = x + step, found
        return math.exp(x)

    def errors(self, squared: list[Tensor], threshold: float, seeds: int) -> tuple[float, float]:
        """The error of `seeds` draws and the expected one, relative to the exact outputs."""
        found, expected, norm = 0.0, 0.0, 0.0
        generator = torch.Generator().manual_seed(0)
        for tile, price in zip(self.tiles, squared, strict=True):
            chance = self.chances(price, tile, threshold)
            weight, value, far = self._softmax(tile)
            exact = weight @ value
            norm += float(exact.square().sum())
            distance = value.square().sum(-1).unsqueeze(2) - 2.0 * exact @ value.transpose(-1, -2)
            distance = (distance + exact.square().sum(-1, keepdim=True))[..., far].clamp(min=0.0)
            expected += float(((1.0 / chance - 1.0) * weight[..., far].square() * distance).sum())
            for _ in range(seeds):
                drawn = torch.rand(chance.shape[0], chance.shape[1], 1, chance.shape[3], generator=generator)
                read = weight.clone()
                read[..., far] *= (chance > drawn) / chance
                out = (read @ value) / read.sum(-1, keepdim=True)
                found += float((out - exact).square().sum()) / seeds
        return (found / norm) ** 0.5, (expected / norm) ** 0.5

    def _softmax(self, tile: Tile) -> tuple[Tensor, Tensor, Tensor]:
        """The exact weights [1, H, rows, limit], the values [1, H, limit, D], and the numbers of the far keys."""
        keys, value = (t[:, :, : tile.limit] for t in (self.key, self.value))
        scores = scaled_scores(self.query[:, :, tile.start : tile.stop], keys, self.call.scale)
        rows = torch.arange(tile.start, tile.stop).unsqueeze(-1)
        scores = scores.masked_fill(torch.arange(tile.limit) > rows, float("-inf"))
        return torch.softmax(scores, -1), value.repeat_interleave(self.group, 1), tile.far_keys(keys.device)
