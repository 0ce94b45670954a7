"""Graphs that round more than they do, or elsewhere: how far apart right results and gradients may be."""

from __future__ import annotations

from typing import Any

import torch
from hyperrewrite.passes.canonical import CanonicalView, called
from hyperrewrite.passes.score import ADDED_FILL, LOST
from torch import Tensor, fx
from torch.utils import _pytree as pytree

LARGE = 1e6  # what is larger is a fill, and is compared relative to itself


class Noisy(fx.Interpreter):
    """A graph whose steps each make a rounding error, larger than they really do; backwards too."""

    error = 0.0
    generator: torch.Generator

    def run_node(self, n: fx.Node) -> Any:
        if called(n) == "scaled_dot_product_attention":  # its own steps err as much
            args, kwargs = pytree.tree_map_only(Tensor, self._off, self.fetch_args_kwargs_from_env(n))
            return n.target(*args, **kwargs)
        value = super().run_node(n)
        steps = ("matmul", "bmm", "mul", "truediv", "div", "add", "softmax", "einsum", "linear", "baddbmm", "to")
        name = called(n)
        if name not in steps or not isinstance(value, Tensor) or not value.dtype.is_floating_point:
            return value
        noisy = self._off(value)
        if noisy.requires_grad:
            noisy.register_hook(lambda gradient: gradient * self._noise(gradient))
        return noisy

    def _off(self, value: Tensor) -> Tensor:
        if not value.dtype.is_floating_point:
            return value
        return torch.where(value.abs() < LARGE, value * self._noise(value), value)

    def _noise(self, value: Tensor) -> Tensor:
        return 1 + self.error * torch.randn(value.shape, generator=self.generator).to(value.dtype)


class _RoundedSum(torch.autograd.Function):
    """softmax as the backward of a fused kernel has it: exp(s − lse) with lse rounded to float32, and a row's sum of
    weights times gradients rounded apart from both."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, dim: int, generator: torch.Generator) -> Tensor:
        weights = torch.softmax(scores, dim)
        lse = scores.logsumexp(dim, keepdim=True).abs().nan_to_num(posinf=0.0)
        error = torch.where(lse < LARGE, lse * torch.finfo(torch.float32).eps / 2, 0.0)
        rounded = weights * (1 + error * torch.randn(error.shape, generator=generator).to(error))
        ctx.dim, ctx.generator = dim, generator
        ctx.save_for_backward(weights, rounded)
        return rounded

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        weights, rounded = ctx.saved_tensors
        terms = weights * gradient
        error = terms.abs().sum(ctx.dim, keepdim=True) * torch.finfo(torch.float32).eps
        error = error * torch.randn(error.shape, generator=ctx.generator).to(error)
        return rounded * (gradient - terms.sum(ctx.dim, keepdim=True) - error), None, None


class Coarse(fx.Interpreter):
    """A graph with such softmaxes."""

    def __init__(self, module: fx.GraphModule, seed: int) -> None:
        super().__init__(module)
        self.view = CanonicalView(module)
        self.generator = torch.Generator().manual_seed(seed)

    def run_node(self, n: fx.Node) -> Any:
        op = self.view.op(n)
        if op.word != "softmax":
            return super().run_node(n)
        scores = self.env[op.get("input")]
        return _RoundedSum.apply(scores.to(op.get("dtype") or scores.dtype), op.get("dim"), self.generator)


class Swallowing(fx.Interpreter):
    """A graph in which nothing is left of a score that −1e9 is added to, as README has it; PyTorch keeps multiples
    of 64."""

    def run_node(self, n: fx.Node) -> Any:
        name = called(n).rstrip("_")
        if name not in ("add", "iadd", "sub", "isub"):
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        terms = [torch.as_tensor(v).clone() for v in (*args, *kwargs.values()) if isinstance(v, Tensor | float)][:2]
        value = super().run_node(n)
        if len(terms) < 2 or not isinstance(value, Tensor) or not value.dtype.is_floating_point:
            return value
        left, right = terms
        low = torch.minimum(left, right * kwargs.get("alpha", 1) * (-1 if "sub" in name else 1)).to(value.dtype)
        fills = (low <= ADDED_FILL) & low.isfinite() & (low.abs() * torch.finfo(value.dtype).eps < LOST)
        return value.copy_(torch.where(fills, low, value))
