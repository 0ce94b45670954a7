"""How far `hyper` is from exact attention without a causal mask at lengths that no encoder at hand reads.

    python benchmarks/quality_full.py --context 8192 --start 20000 --text novel=FILE --text code \\
        --json docs/benchmarks/quality_full.json

A language model reads a text with exact causal attention. In each layer its q, k and v are taken, and attention of
every query to every key is estimated from them. The model was not trained with that, so its perplexity would mean
nothing; but the heads are real: sharp, with sinks, and position in them.

A row is one estimator on one window:
  hyper      once for each preset
  paper      block_size and sample_size half of the first preset's keys each
  streaming  a window on both sides of the query and the first keys, as many as the first preset reads
  topk       window and sinks of the first preset, and the keys with the largest scores, as many in all
  mean_error, layer_errors  ‖out − exact‖ / ‖exact‖ of a layer's attention, on --rows query rows
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import quality_cli as cli
import quality_estimators as known
import torch
import typer
from hyperrewrite.kernels.parameters import Parameters
from rich import box
from rich.table import Table
from torch import Tensor

from hyperrewrite.usage import UsageError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
KEY = ("model", "device", "text", "start", "context", "estimator", "preset")
LEAST_TOKENS = 64
SEED = 20261123


class Layers:
    """What the estimators gave in each layer: lists of errors and of keys, by (estimator, preset)."""

    def __init__(self, fields: dict[str, dict[str, Any]], rows: int) -> None:
        """fields: those of each preset of hyper, the leading one first."""
        self.fields, self.rows = fields, rows
        self.errors: dict[tuple[str, str], list[float]] = {}
        self.keys: dict[tuple[str, str], list[float]] = {}

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, causal: bool) -> tuple[Tensor, Any]:
        """Exact causal attention, and all estimators of full attention measured on its tensors."""
        exact = known.by_op("exact", "", {"algorithm": "exact"})
        self._measure(query, key, value, scale)
        return exact.attend(query, key, value, scale, causal)

    def _measure(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> None:
        generator = torch.Generator().manual_seed(SEED)
        rows = torch.randperm(query.shape[2], generator=generator)[: self.rows].sort().values.to(query.device)
        group = query.shape[1] // key.shape[1]
        keys, values = (tensor.float().repeat_interleave(group, 1) for tensor in (key, value))
        scores = query[:, :, rows].float() @ keys.transpose(-1, -2) * scale
        wanted = torch.softmax(scores, -1) @ values

        def note(name: str, preset: str, found: Tensor, count: float) -> None:
            error = (found.float() - wanted).norm() / wanted.norm()
            self.errors.setdefault((name, preset), []).append(float(error))
            self.keys.setdefault((name, preset), []).append(count)

        def by_op(name: str, preset: str, fields: dict[str, Any]) -> float:
            out, reading = known.by_op(name, preset, fields).attend(query, key, value, scale, False)
            note(name, preset, out[:, :, rows], count := reading().keys)
            return count

        def selected(name: str, allowed: Tensor, kept: int) -> None:
            note(name, leading, torch.softmax(scores.masked_fill(~allowed, float("-inf")), -1) @ values, kept)

        counts = {name: by_op("hyper", name, {**told, "algorithm": "hyper"}) for name, told in self.fields.items()}
        leading = next(iter(self.fields))
        kept = min(round(counts[leading]), query.shape[2])
        like = Parameters(**self.fields[leading])
        sinks = min(like.sinks, kept // 4)
        half = max(kept // 2, known.LEAST_BLOCK)
        by_op("paper", leading, {"algorithm": "paper", "block_size": half, "sample_size": half, "min_seq_len": kept})
        selected("streaming", _near(rows, query.shape[2], kept - sinks, sinks), kept)
        near = _near(rows, query.shape[2], min(like.window, kept // 2 - sinks), sinks)
        free = scores.masked_fill(near, float("-inf")).topk(kept - int(near.sum(-1).max()), -1).indices
        selected("topk", near.expand(scores.shape).clone().scatter_(-1, free, True), kept)


def _near(rows: Tensor, length: int, window: int, sinks: int) -> Tensor:
    """Bool [r, n]: the first keys and `window` keys around the query, moved inwards at the text's ends."""
    places = torch.arange(length, device=rows.device)
    low = (rows - window // 2).clamp(min=sinks, max=max(length - window, sinks)).unsqueeze(-1)
    return (places < sinks) | ((places >= low) & (places < low + window))


@app.command()
def main(
    context: Annotated[int, typer.Option(help="Length in tokens.")] = 8192,
    start: Annotated[int, typer.Option(help="The first token.")] = 0,
    text: Annotated[list[str] | None, typer.Option(help="code, manual, repeated or NAME=FILE; default: code.")] = None,
    rows: Annotated[int, typer.Option(help="Query rows of each layer that the errors are measured on.")] = 256,
    presets: cli.Presets = "",
    preset: cli.Preset = None,
    min_seq_len: cli.MinSeqLen = None,
    model: cli.Model = None,
    adapter: cli.Adapter = None,
    device: cli.Device = "auto",
    dtype: cli.Dtype = "float32",
    json_path: cli.Json = None,
    merge: cli.Merge = False,
) -> None:
    """Relative error of full attention, layer by layer, at equal keys per query."""
    import quality_texts

    fields = known.presets(preset or (), presets, cli.shared_fields(min_seq_len))
    files = quality_texts.parse(text or ["code"])
    if rows < 1:
        raise UsageError(f"--rows must be at least 1, not {rows}.")
    if context < LEAST_TOKENS or start < 0:
        raise UsageError(
            f"--context must be at least {LEAST_TOKENS} and --start at least 0, not {context} and {start}."
        )
    cli.check_device(device)
    cli.check_files(json_path)
    store = cli.Store(json_path, KEY, merge)

    from quality_model import attending, check_context, device_of, load

    from hyperrewrite.demo.show import step
    from hyperrewrite.demo.source import choose_device, hidden_states

    console = cli.console()
    with step(console, "load the model"):
        loaded = load(model, adapter, choose_device(device), dtype)
    check_context(loaded, context, "--context")
    where = device_of(loaded)
    head = {"command": cli.command_line(), "torch": torch.__version__, "dtype": dtype}
    found: list[dict[str, Any]] = []
    for name, file in files.items():
        ids = torch.tensor([quality_texts.tokens(name, file, loaded.encode, start, context)], device=where)
        layers = Layers(fields, rows)
        estimator = known.Estimator("full", "", {}, layers.attend)
        with step(console, f"{name} [{start}, {start + context})"), torch.no_grad(), attending(estimator):
            hidden_states(loaded.stack, ids)
        shown = {"model": loaded.name, "device": where.type, "text": name, "start": start, "context": context}
        for (method, told), errors in layers.errors.items():
            keys = layers.keys[method, told]
            figures = {"keys_per_query": sum(keys) / len(keys), "mean_error": sum(errors) / len(errors)}
            lists = {"layer_errors": [round(x, 5) for x in errors], "layer_keys": [round(x, 1) for x in keys]}
            found.append({**shown, "estimator": method, "preset": told, **figures, "rows": rows, **lists})
        store.write(head, found)
    console.print(table(found))


def table(rows: list[dict[str, Any]]) -> Table:
    """A line for each row."""
    made = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False, title="error of full attention")
    for heading in ("text", "estimator", "preset"):
        made.add_column(heading, no_wrap=True)
    for heading in ("keys", "error", "median layer", "worst layer"):
        made.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        errors = torch.tensor(row["layer_errors"])
        figures = (f"{row['mean_error']:.4f}", f"{float(errors.median()):.4f}", f"{float(errors.max()):.4f}")
        made.add_row(row["text"], row["estimator"], row["preset"], f"{row['keys_per_query']:.0f}", *figures)
    return made


if __name__ == "__main__":
    sys.exit(cli.run(app))
