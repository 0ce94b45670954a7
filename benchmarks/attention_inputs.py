"""Queries, keys and values of one layer of SmolLM2 reading a text, for `attention.py --inputs`.

    python benchmarks/attention_inputs.py qkv.safetensors --tokens 32768 --layer 12 --heads 6 \\
        --adapter FOLDER --text novel=persuasion.txt --start 20000

Exact attention up to that layer. Written as bfloat16: q [heads, n, 64], k and v [heads / 3, n, 64].
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

import quality_cli as cli
import typer

from hyperrewrite.usage import UsageError, check_writable

app = typer.Typer(add_completion=False)


class Enough(Exception):
    """The layer was reached; what follows need not run."""


@app.command()
def main(
    out: Annotated[Path, typer.Argument(help="The .safetensors file that is written.")],
    tokens: Annotated[int, typer.Option(help="Length of the text.")] = 8192,
    start: Annotated[int, typer.Option(help="First token of the text that is read.")] = 0,
    layer: Annotated[int, typer.Option(help="Number of the layer, from 0.")] = 12,
    heads: Annotated[int, typer.Option(help="Query heads that are kept; a multiple of the group.")] = 6,
    text: Annotated[str, typer.Option(help="code, manual, repeated or NAME=FILE.")] = "code",
    model: cli.Model = None,
    adapter: cli.Adapter = None,
    beyond: cli.Beyond = False,
    device: cli.Device = "auto",
) -> None:
    """Capture one layer's attention inputs."""
    import quality_texts
    import torch

    check_writable(out, "the file")
    cli.check_device(device)
    if tokens < 1 or layer < 0 or heads < 1 or start < 0:
        raise UsageError("--tokens and --heads must be at least 1, --layer and --start at least 0.")
    name, file = next(iter(quality_texts.parse([text]).items()))

    from quality_model import Reach, attending, device_of, load
    from safetensors.torch import save_file

    from hyperrewrite.demo.show import step
    from hyperrewrite.demo.source import choose_device, hidden_states

    console = cli.console()
    with step(console, "load the model"):
        loaded = load(model, adapter, choose_device(device), "float32")
    Reach(loaded, tokens, "--tokens", beyond).prepare(tokens)
    ids = quality_texts.tokens(name, file, loaded.encode, start, tokens)
    found: dict[str, Any] = {}
    estimator: Any = Capture(layer, heads, found)
    row = torch.tensor([ids], device=device_of(loaded))
    shown = step(console, f"{tokens:,} tokens to layer {layer}")
    with shown, torch.no_grad(), contextlib.suppress(Enough), attending(estimator):
        hidden_states(loaded.stack, row)
    if not found:
        raise UsageError(f"--layer {layer}: the model has fewer layers.")
    save_file(found, out)
    console.print(", ".join(f"{name} {list(tensor.shape)}" for name, tensor in found.items()), highlight=False)


class Capture:
    """Exact attention until the layer is reached."""

    def __init__(self, layer: int, heads: int, found: dict[str, Any]) -> None:
        """found: where the tensors go."""
        self._left, self._heads, self._found = layer, heads, found

    def attend(self, query: Any, key: Any, value: Any, scale: float, causal: bool) -> tuple[Any, Any]:
        """As `quality_estimators.Estimator.attend`. Raises Enough at the layer, UsageError for a number of heads."""
        import torch

        if self._left == 0:
            group = query.shape[1] // key.shape[1]
            if self._heads > query.shape[1] or self._heads % group:
                raise UsageError(f"--heads must be a multiple of {group}, {query.shape[1]} at most.")
            kept = {
                "q": query[0, : self._heads],
                "k": key[0, : self._heads // group],
                "v": value[0, : self._heads // group],
            }
            self._found.update({name: tensor.bfloat16().cpu().contiguous() for name, tensor in kept.items()})
            raise Enough
        self._left -= 1
        group = query.shape[1] // key.shape[1]
        pair = [tensor.repeat_interleave(group, 1) for tensor in (key, value)]
        return torch.nn.functional.scaled_dot_product_attention(query, *pair, is_causal=causal, scale=scale), None


if __name__ == "__main__":
    sys.exit(cli.run(app))
