"""What a style is: a small model in the manner of a public one, with what must be read out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Inputs = Callable[[int], tuple[Any, ...]]
Made = TypeVar("Made", bound=Callable[..., Any])


@dataclass(frozen=True)
class Style:
    """One style.

    words      for each site, in the graph's order, a part of `spec.in_words()`; empty for a near miss.
    codes      the rejections, in the graph's order.
    n          the length that inputs are made with.
    other_n    a second length: with dynamic=True one graph must serve both.
    gradients  compare the gradients of all parameters too.
    train      run in training mode, with active dropout.
    autocast   run under bfloat16 autocast.
    missing    why it is not read as it should be yet (an xfail), "" where it is; its values must be equal all the same.
    static     why one graph does not serve two lengths (an xfail).
    broken     why its values differ or it raises (an xfail), "" where all is well.
    """

    name: str
    build: Callable[[], Callable[..., Any]]
    inputs: Inputs
    words: tuple[str, ...]
    codes: tuple[str, ...] = ()
    n: int = 31
    other_n: int = 0
    gradients: bool = False
    train: bool = False
    autocast: bool = False
    tolerance: float = 1e-4
    missing: str = ""
    static: str = ""
    broken: str = ""

    def model(self) -> Callable[..., Any]:
        """A fresh model: the same weights each time, none of them zero, large enough that attention concentrates."""
        torch.manual_seed(0)
        made = self.build()
        if isinstance(made, nn.Module):
            generator = torch.Generator().manual_seed(1)
            for weight in made.parameters():
                noise = torch.randn(weight.shape, generator=generator)
                with torch.no_grad():
                    if weight.dim() >= 2:
                        weight.copy_(noise * 1.5 / weight[0].numel() ** 0.5)
                    else:
                        weight.add_(noise * 0.3)
            made.train(self.train)
        return made


STYLES: dict[str, Style] = {}


@dataclass(frozen=True)
class style:
    """Declare a module class (built without arguments, or with `of`) or a function; may stand more than once.

    >>> @style(hidden(40), "causal, 4 heads")
    ... class Block(nn.Module): ...
    """

    inputs: Inputs
    words: str | tuple[str, ...] = ()
    codes: str | tuple[str, ...] = ()
    name: str = ""
    of: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def __call__(self, made: Made) -> Made:
        words, codes = ((x,) if isinstance(x, str) else tuple(x) for x in (self.words, self.codes))
        name = self.name or made.__name__
        assert name not in STYLES, name
        build = (lambda: made(**self.of)) if isinstance(made, type) else lambda: made
        STYLES[name] = Style(name, build, self.inputs, words, codes, **self.more)
        return made


# --- inputs -----------------------------------------------------------------------------------------------------------


def random(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers from a seed and the shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + 1000 * len(shape) + sum(shape)))


def hidden(width: int = 40, batch: int = 2) -> Inputs:
    """x [batch, n, width]."""
    return lambda n: (random(batch, n, width),)


def crossed(width: int = 40, other: int = 24, n_k: int = 17) -> Inputs:
    """x [2, n, width] and a context [2, n_k, other]."""
    return lambda n: (random(2, n, width), random(2, n_k, other, seed=1))


def image(channels: int = 40, height: int = 7, width: int = 9, batch: int = 2) -> Inputs:
    """x [batch, channels, height, width]; n plays no part."""
    return lambda n: (random(batch, channels, height, width),)


def channels_last(channels: int = 40, height: int = 8, width: int = 12, batch: int = 2) -> Inputs:
    """x [batch, height, width, channels]; a greater length makes it higher by a window of four."""
    return lambda n: (random(batch, height + 4 * (n > 31), width, channels),)


def tokens(batch: int = 2, padding: int = 5) -> Inputs:
    """Token numbers [batch, n] from 1 to 96; 0 is padding, at the end of the last row."""

    def make(n: int) -> tuple[Any, ...]:
        ids = torch.randint(1, 97, (batch, n), generator=torch.Generator().manual_seed(n))
        if padding:
            ids[-1, n - padding :] = 0
        return (ids,)

    return make


def padded(width: int = 40, dtype: torch.dtype = torch.bool) -> Inputs:
    """x [2, n, width] and a mask [2, n], True where there is a token."""

    def make(n: int) -> tuple[Any, ...]:
        mask = torch.ones(2, n, dtype=torch.bool)
        mask[1, n - 6 :] = False
        return random(2, n, width), mask.to(dtype)

    return make


def with_more(inputs: Inputs, *more: Callable[[int], Any]) -> Inputs:
    """Inputs with further ones behind."""
    return lambda n: (*inputs(n), *(make(n) for make in more))
