"""Gradients of a graph and of its rewritten copy on the same inputs: the part of `verify` that training rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves, tree_map_only

from .restoring import restoring

NOISE = 10.0  # times what one rounding error in each input does to a gradient; a gradient may be nothing but rounding


class Apart(fx.Interpreter):
    """A graph whose attention calls save copies: later steps may write into what they read and give.

    So it is once AOTAutograd has made copies of what is written in place. SDPA and our op save more than products do.
    """

    def run_node(self, n: fx.Node) -> Any:
        """One node; Interpreter's."""
        if n.target is not F.scaled_dot_product_attention and not str(n.target).startswith("hyper.attention"):
            return super().run_node(n)
        args, kwargs = tree_map_only(Tensor, Tensor.clone, self.fetch_args_kwargs_from_env(n))
        return tree_map_only(Tensor, Tensor.clone, n.target(*args, **kwargs))  # type: ignore[operator]


@dataclass(frozen=True)
class Run:
    """What a graph gave, and the gradient of each input that wants one, by position; None where nothing flows to it.

    failure: why there are no gradients, "" where there are.
    """

    outputs: list[Any]
    gradients: dict[int, Tensor | None]
    failure: str = ""


def wanting(inputs: Sequence[Any], kept: Container[int] = ()) -> list[int]:
    """Positions of the inputs whose gradients are compared; kept: inputs that the copy knows by their values."""
    if torch.is_inference_mode_enabled():
        return []
    return [k for k, v in enumerate(inputs) if isinstance(v, Tensor) and v.requires_grad and k not in kept]


def run(module: fx.GraphModule, inputs: Sequence[Any], wanted: Sequence[int], seed: int) -> Run:
    """Run a graph on copies, in the gradient mode that is on, then backwards. Raises what the graph raises forwards."""
    leaves = {k: inputs[k].detach().requires_grad_() for k in wanted}
    copies = [leaves.get(k, v).clone() if isinstance(v, Tensor) else v for k, v in enumerate(inputs)]
    generator = torch.Generator().manual_seed(seed)
    flowing: list[tuple[Tensor, Tensor]] = []
    with torch.set_grad_enabled(torch.is_grad_enabled() and bool(wanted)), torch.random.fork_rng():
        torch.manual_seed(seed)
        with restoring():
            outputs = tree_leaves(Apart(module).run(*copies))
        for value in outputs:
            if isinstance(value, Tensor) and value.dtype.is_floating_point:
                given = torch.randn(value.shape, generator=generator).to(value)  # one each: the same for both graphs
                flowing += [(value, given)] if value.requires_grad else []
        plain = [value.detach() if isinstance(value, Tensor) else value for value in outputs]
        if not flowing:
            return Run(plain, dict.fromkeys(wanted))
        results, given_to = zip(*flowing, strict=True)
        try:
            found = torch.autograd.grad(results, list(leaves.values()), given_to, allow_unused=True)
        except Exception as error:
            return Run(plain, {}, f"{type(error).__name__}: {error}")
    return Run(plain, dict(zip(leaves, found, strict=True)))


def moved(inputs: Sequence[Any], seed: int) -> list[Any]:
    """The inputs, each number off by about one rounding error."""
    generator = torch.Generator().manual_seed(seed + 1)

    def off(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.dtype.is_floating_point:
            return value
        error = torch.randn(value.shape, generator=generator).to(value) * torch.finfo(value.dtype).eps
        return value.detach() + value.detach() * error

    return [off(value) for value in inputs]


def furthest(
    original: Run, rewritten: Run, again: Callable[[], Run], tolerance: Mapping[torch.dtype, float]
) -> tuple[float, int | None]:
    """The largest difference of a gradient in units of the tolerance, and whose it is.

    Allowed is a share of the gradient's norm, and NOISE times how far it moves in `again()`, a run of the original on
    `moved` inputs: what is zero but for rounding (of a bias that softmax does not see) may be any such number. Where a
    gradient is NaN in the original nothing is compared.
    """
    worst, where = 0.0, None
    noise: Run | None = None
    for k, a in original.gradients.items():
        b = rewritten.gradients.get(k)
        if a is None or b is None:
            off = 0.0 if a is b else math.inf
        else:
            allowed = tolerance.get(a.dtype, 1e-9)
            off = _norm_of_difference(a, b)
            if 0.0 < off < math.inf:
                if off > allowed * (norm := _norm(a)):
                    noise = noise or again()
                    still = noise.gradients.get(k)
                    off /= allowed * norm + (0.0 if still is None else NOISE * _norm_of_difference(a, still)) + 1e-30
                else:
                    off /= allowed * norm
        if off > worst:
            worst, where = off, k
    return worst, where


def _norm(gradient: Tensor) -> float:
    return float(gradient[gradient.isfinite()].double().norm())


def _norm_of_difference(a: Tensor, b: Tensor) -> float:
    """‖a − b‖ where a is finite; infinite where b is not so in the same places. Where a is NaN, b may be anything."""
    b = torch.where(a.isnan(), a, b)
    if not torch.equal(a.isfinite(), b.isfinite()):
        return math.inf
    return float((a - b)[a.isfinite()].double().norm())
