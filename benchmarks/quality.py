"""What a language model loses when attention is estimated: perplexity and the error of each layer, at equal keys.

    python benchmarks/quality.py --context 8192 --json docs/benchmarks/quality.json --plot docs/benchmarks/quality.png
    python benchmarks/quality.py --text novel=FILE --text code --context 8192,32768 --adapter FOLDER --device cuda
    python benchmarks/quality.py --context 2048 --min-seq-len 512 --estimators exact,hyper --text code

A row is one estimator reading one window of one text:
  estimator, preset  see quality_estimators.py; paper, streaming and top-k read as many keys as the first preset
  context, start     the window of the text, in tokens
  perplexity         exp of the mean negative log-likelihood of each next token; exact_perplexity: with exact attention
  keys_per_query     mean over layers, heads and queries of the keys read
  mean_error         mean over layer_errors: ‖out − exact‖ / ‖exact‖ of a layer's attention given its own q, k and v, on
                     64 query rows
  seconds            the whole forward with its probes, eager: no figure of speed

quality_passkey.py and quality_encoder.py beside this file ask for a fact in a long text, and for embeddings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import quality_cli as cli
import typer
from rich.console import Console

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
KEY = ("model", "device", "text", "start", "context", "estimator", "preset")
LEAST_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text."""

    text: str
    file: Path | None
    start: int
    context: int


@app.command()
def main(
    context: Annotated[str, typer.Option(help="Lengths in tokens, separated by commas.")] = "8192",
    start: Annotated[str, typer.Option(help="Tokens at which windows start, separated by commas.")] = "0",
    text: Annotated[
        list[str] | None, typer.Option(help="code, manual, repeated or NAME=FILE; default: those three.")
    ] = None,
    estimators: cli.Estimators = "",
    presets: cli.Presets = "",
    preset: cli.Preset = None,
    min_seq_len: cli.MinSeqLen = None,
    model: cli.Model = None,
    adapter: cli.Adapter = None,
    beyond: cli.Beyond = False,
    device: cli.Device = "auto",
    dtype: cli.Dtype = "float32",
    json_path: cli.Json = None,
    merge: cli.Merge = False,
    plot: Annotated[Path | None, typer.Option(help="Draw perplexity against keys (.png, .pdf or .svg).")] = None,
) -> None:
    """Perplexity and per-layer error of a language model under each estimator, at equal keys per query."""
    import quality_estimators
    import quality_show
    import quality_texts
    import torch

    from hyperrewrite.demo.show import step
    from hyperrewrite.demo.source import choose_device
    from hyperrewrite.usage import require

    names = quality_estimators.chosen_names(estimators)
    shared = cli.shared_fields(min_seq_len)
    known = quality_estimators.presets(preset or (), presets, shared)
    files = quality_texts.parse(text or quality_texts.BUILT_IN)
    lengths, starts = cli.numbers(context, "--context", LEAST_TOKENS), cli.numbers(start, "--start", 0)
    cli.check_device(device)
    cli.check_files(json_path, plot)
    if plot is not None:
        require("matplotlib", "demo", "--plot")
    store = cli.Store(json_path, KEY, merge)

    from quality_model import Reach, device_of, load

    console = cli.console()
    with step(console, "load the model") as remarks:
        loaded = load(model, adapter, choose_device(device), dtype)
        remarks.append(f"{loaded.name} on {device_of(loaded).type}")
    reach = Reach(loaded, max(lengths), "--context", beyond)
    where = device_of(loaded)
    windows = [Window(name, file, at, n) for name, file in files.items() for at in starts for n in lengths]
    ids = {w: quality_texts.tokens(w.text, w.file, loaded.encode, w.start, w.context) for w in windows}
    rows: list[dict[str, Any]] = []
    shown = {"model": loaded.name, "device": where.type}
    head = {"command": cli.command_line(), "torch": torch.__version__, "dtype": dtype}
    for window in windows:
        positions = reach.prepare(window.context)
        title = f"{window.text} [{window.start}, {window.start + window.context})"
        for row in read(loaded, torch.tensor([ids[window]], device=where), names, known, shared, console, title):
            window_row = {"text": window.text, "start": window.start, "context": window.context, **positions}
            rows.append({**shown, **window_row, **row})
            store.write(head, rows)
    console.print(quality_show.table(rows))
    if plot is not None:
        quality_show.draw(plot, store.all(rows), loaded.name)


def read(
    loaded: Any,
    ids: Any,
    names: list[str],
    known: dict[str, Any],
    shared: dict[str, Any],
    console: Console,
    title: str,
) -> Iterator[dict[str, Any]]:
    """The rows of one window, each as soon as it is there; `exact_perplexity` is null where exact did not run."""
    import quality_estimators
    import quality_model

    from hyperrewrite.demo.measure import perplexity, stopwatch
    from hyperrewrite.demo.show import step
    from hyperrewrite.demo.source import hidden_states

    exact: float | None = None
    keys: dict[str, float] = {}

    def run(estimator: quality_estimators.Estimator) -> dict[str, Any]:
        import torch

        watch = quality_model.Watch()
        with step(console, f"{title}: {estimator.title}") as remarks, torch.no_grad():
            with stopwatch(ids.device) as clock, quality_model.attending(estimator, watch):
                score = perplexity(hidden_states(loaded.stack, ids), loaded.head, ids)
            remarks.append(f"perplexity {score:.3f}, {watch.mean_keys:.0f} keys, error {watch.mean_error:.3f}")
        return {
            "estimator": estimator.name,
            "preset": estimator.preset,
            "perplexity": score,
            "exact_perplexity": score if estimator.name == "exact" else exact,
            "keys_per_query": watch.mean_keys,
            "mean_error": watch.mean_error,
            "seconds": round(clock.seconds, 2),
            "settings": estimator.settings,
            "layer_errors": [round(error, 5) for error in watch.errors],
            "layer_keys": [round(count, 1) for count in watch.keys],
        }

    for estimator in quality_estimators.independent(names, known, shared):
        row = run(estimator)
        exact = row["perplexity"] if estimator.name == "exact" else exact
        if estimator.name == "hyper":
            keys[estimator.preset] = row["keys_per_query"]
        yield row
    leading = next(iter(known))
    for name in names:
        if name in quality_estimators.MATCHED:
            yield run(quality_estimators.matched(name, leading, known[leading], ids.shape[1], keys[leading]))


if __name__ == "__main__":
    sys.exit(cli.run(app))
