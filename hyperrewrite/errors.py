"""Errors that whoever calls a compiled model gets as one sentence."""

from __future__ import annotations

from typing import Any

from torch._dynamo.exc import ShortenTraceback


class PlainError(ShortenTraceback):
    """One sentence for the user of `torch.compile`.

    Dynamo wraps what a backend raises in BackendCompilerFailed, which asks for a bug report to PyTorch. It lets its own
    class ShortenTraceback through, cuts the traceback above `first_useful_frame`, and adds the same request to `args`,
    which keep the sentence alone here.
    """

    def __init__(self, sentence: str) -> None:
        """Nothing of the traceback is cut until a frame is named."""
        super().__init__(sentence, first_useful_frame=None)
        self.sentence = sentence

    def __str__(self) -> str:
        """The sentence."""
        return self.sentence

    @property
    def args(self) -> tuple[Any, ...]:
        """The sentence; what is assigned is not kept."""
        return (self.sentence,)

    @args.setter
    def args(self, value: tuple[Any, ...]) -> None:
        pass


class OptionError(PlainError, ValueError):
    """An option that does not exist, or a value outside its range."""


class MachineError(PlainError):
    """Inductor cannot compile on this machine as it is set up: no C++ compiler, or no folder to write to."""
