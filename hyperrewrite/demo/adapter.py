"""A LoRA adapter that takes SmolLM2-135M to longer texts: read from a folder, added to the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..usage import UsageError, first_line, require

ROPE_THETA = {32768: 1.0e6, 131072: 5.0e6}  # the rotary base that adapters of a context were trained with
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


def files_of(folder: Path) -> list[Path]:
    """The adapter's files. Raises UsageError where there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UsageError(f"--adapter {folder}: there is no .safetensors file in that folder.")
    return files


def adapt(stack: Any, folder: Path, context: int) -> None:
    """Add b @ a to the projections of each layer, in place: tensors "{layer}.{projection}.a" [rank, in] and ".b"
    [out, rank]. The rotary base becomes that of the context, a key of ROPE_THETA, in tokens. Raises UsageError."""
    safe_open: Any = require("safetensors", "demo", "--adapter").safe_open
    files = files_of(folder)
    halves: dict[str, Tensor] = {}
    try:
        for file in files:
            with safe_open(str(file), "pt") as tensors:
                halves |= {name: tensors.get_tensor(name).float() for name in tensors.keys()}  # noqa: SIM118
        sums = {}
        for name in sorted({name.rpartition(".")[0] for name in halves}):
            layer, _, projection = name.partition(".")
            if projection not in PROJECTIONS:
                raise ValueError(f"{name} is no projection of an attention layer")
            weight = getattr(stack.layers[int(layer)].self_attn, projection).weight
            added = halves[f"{name}.b"] @ halves[f"{name}.a"]
            if added.shape != weight.shape:
                raise ValueError(f"{name} is {list(added.shape)}, not {list(weight.shape)}")
            sums[name] = weight, added
    except Exception as error:  # a broken file, another model
        raise UsageError(f"--adapter {folder} does not fit the model: {first_line(error)}.") from error
    with torch.no_grad():
        for weight, added in sums.values():
            weight += added.to(weight)
    stack.config.max_position_embeddings = context
    set_rotary_base(stack, ROPE_THETA[context])


def set_rotary_base(stack: Any, base: float) -> None:
    """Positions of the model from now on, on the device where it is."""
    device = next(stack.parameters()).device
    stack.config.rope_parameters["rope_theta"] = base
    stack.rotary_emb = type(stack.rotary_emb)(config=stack.config).to(device)
