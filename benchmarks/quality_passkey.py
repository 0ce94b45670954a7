"""Does a model still find a five-digit key in a long text when attention is estimated?

    python benchmarks/quality_passkey.py --lengths 4096,8192 --trials 4 --min-seq-len 4096
    python benchmarks/quality_passkey.py --lengths 4096,8192,16384,32768 --adapter FOLDER --device cuda --trials 20 \\
        --min-seq-len 4096 --json docs/benchmarks/passkey.json

A case is a text of exactly `length` tokens, its answer included: filler, a sentence with the key after `depth` per cent
of the filler, a question, the answer. One forward reads it all through the estimator. The key is found where every
digit is the model's most likely next token, which is what greedy decoding after the same prefill would give.

The texts of one length begin alike. `hyper` is strictly causal, so what it computed of the beginning of one text (keys
and values of every layer) serves the others: they are read from the tile of queries on in which they differ. That gives
the same numbers but for rounding; --no-share reads every text whole. exact is SDPA and reads them whole, as do those
that read as many keys as hyper.

A row is one estimator at one length and depth:
  found           share of the trials whose key was found
  digits          share of digits that were the most likely token
  nll             mean negative log-likelihood of a digit
  keys_per_query  of the first trial at the greatest depth, mean over layers
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import quality_cli as cli
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from hyperrewrite.usage import UsageError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
KEY = ("model", "device", "filler", "form", "length", "depth", "estimator", "preset")
GRASS = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. "
DIGITS = 5
LEAST_LENGTH = 128
Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class Form:
    """The words around the filler; {key} stands for the digits."""

    opening: str
    needle: str
    question: str
    lead: str = " "


FORMS = {
    "plain": Form(
        "There is an important fact hidden in a lot of irrelevant text. Find it and memorize it.\n\n",
        "\nThe pass key is {key}. Remember it. {key} is the pass key.\n",
        "\n\nWhat is the pass key? The pass key is",
    ),
    "chat": Form(
        "<|im_start|>user\nThere is a pass key hidden in this text. Find it and memorize it.\n\n",
        "\nThe pass key is {key}. Remember it. {key} is the pass key.\n",
        "\n\nWhat is the pass key?<|im_end|>\n<|im_start|>assistant\nThe pass key is",
    ),
    "bare": Form("", "\nThe pass key is {key}. Remember it. {key} is the pass key.\n", "\nThe pass key is"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A text and where the digits of its answer stand: at ids[answer]."""

    ids: list[int]
    answer: range


def case(encode: Encode, filler: list[list[int]], form: Form, length: int, depth: int, key: str) -> Case:
    """The case of `length` tokens; filler: sentences as tokens, repeated as often as it takes.

    The sentence with the key stands between two sentences of the filler.
    """
    opening, needle = encode(form.opening), encode(form.needle.format(key=key))
    asked, answered = encode(form.question), encode(form.question + form.lead + key)
    if answered[: len(asked)] != asked:
        raise UsageError("the tokenizer does not keep the answer apart from the question: no passkey test with it.")
    answer = answered[len(asked) :]
    digits = [place for place, token in enumerate(answer) if token not in encode(form.lead)]
    room = length - len(opening) - len(needle) - len(asked) - len(answer)
    if room < 0:
        raise UsageError(f"--lengths: {length} tokens do not hold the question alone.")
    before: list[int] = []
    place = 0
    while len(before) + len(sentence := filler[place % len(filler)]) <= room * depth / 100:
        before += sentence
        place += 1
    wanted, after = room - len(before), list[int]()
    while len(after) < wanted:
        after += filler[place % len(filler)]
        place += 1
    ids = opening + before + needle + after[len(after) - wanted :] + asked + answer
    first = length - len(answer) + digits[0]
    return Case(ids, range(first, length))


def sentences(encode: Encode, name: str, file: Path | None, tokens: int) -> list[list[int]]:
    """The filler: "grass", or the lines of a text, as tokens."""
    if name == "grass":
        return [encode(f"{part}.") for part in (" " + GRASS.strip()).split(".") if part]
    import quality_texts

    from hyperrewrite.demo.text import read_parts

    parts = quality_texts.manual() if name == "manual" else read_parts(file)
    found: list[list[int]] = []
    count = 0
    for part in parts:
        for line in part.splitlines(keepends=True):
            found.append(encode(line))
            count += len(found[-1])
            if count >= tokens:
                return found
    return found


class Reader:
    """Reads texts through one estimator; the beginning that a text shares with the first one it does not read again.

    tile: the texts are cut at a multiple of it, as tiles are; 0: every text is read whole.
    """

    def __init__(self, loaded: Any, estimator: Any, tile: int) -> None:
        """Nothing is read yet."""
        self._loaded, self._estimator, self._tile = loaded, estimator, tile
        self._ids: list[int] = []
        self._layers: list[tuple[Any, Any]] = []

    def ask(self, given: Case, watch: Any) -> tuple[list[bool], float]:
        """For each digit whether it was the most likely token, and the mean negative log-likelihood."""
        import torch

        start = min(self._shared(given.ids), given.answer.start - 1)
        with torch.no_grad():
            states = self._states(given.ids, start - start % max(self._tile, 1), watch)
            logits = self._loaded.head(states[given.answer.start - 1 - len(given.ids) : -1]).float()
        wanted = torch.tensor(given.ids[given.answer.start : given.answer.stop], device=logits.device)
        return (logits.argmax(-1) == wanted).tolist(), float(torch.nn.functional.cross_entropy(logits, wanted))

    def _shared(self, ids: list[int]) -> int:
        """How many tokens these share with the text whose layers are kept; none where the lengths differ."""
        if not self._layers or len(ids) != len(self._ids):
            return 0
        return next((at for at, (one, other) in enumerate(zip(ids, self._ids, strict=True)) if one != other), len(ids))

    def _states(self, ids: list[int], start: int, watch: Any) -> Any:
        """Last hidden states from token `start` on, [n − start, features]."""
        import torch
        from quality_model import attending, device_of
        from transformers import DynamicCache

        from hyperrewrite.demo.source import hidden_states

        row = torch.tensor([ids[start:]], device=device_of(self._loaded))
        with attending(self._estimator, watch):
            if not self._tile:
                return hidden_states(self._loaded.stack, row)[0]
            cache = DynamicCache()
            for number, (key, value) in enumerate(self._layers if start else []):
                cache.update(key[:, :, :start], value[:, :, :start], number)
            states = self._loaded.stack(input_ids=row, past_key_values=cache, use_cache=True).last_hidden_state[0]
        if not self._layers:
            self._ids, self._layers = ids, [(layer.keys, layer.values) for layer in cache.layers]
        return states


def reader(loaded: Any, estimator: Any, share: bool) -> Reader:
    """One that shares beginnings where the estimator is `hyper`, whose tiles are as they are wherever a call begins."""
    from hyperrewrite.kernels.parameters import Parameters

    if not share or estimator.name != "hyper":
        return Reader(loaded, estimator, 0)
    told = Parameters(**estimator.settings)
    return Reader(loaded, estimator, told.tile)


def measure(reads: Reader, estimator: Any, cases: list[Case], metered: bool) -> dict[str, Any]:
    """The figures of one row."""
    from quality_model import Watch

    found, digits, losses, keys = 0, 0, 0.0, None
    for number, given in enumerate(cases):
        watch = Watch(rows=8) if metered and number == 0 else None
        right, loss = reads.ask(given, watch)
        keys = watch.mean_keys if watch is not None else keys
        found += all(right)
        digits += sum(right)
        losses += loss
    count = len(cases)
    total = sum(len(given.answer) for given in cases)
    figures = {"found": found / count, "digits": digits / total, "nll": losses / count, "keys_per_query": keys}
    return {"estimator": estimator.name, "preset": estimator.preset, **figures, "settings": estimator.settings}


@app.command()
def main(
    lengths: Annotated[str, typer.Option(help="Lengths in tokens, separated by commas.")] = "4096,8192",
    depths: Annotated[
        str, typer.Option(help="Where the key stands, in per cent, separated by commas.")
    ] = "0,25,50,75,100",
    trials: Annotated[int, typer.Option(help="Keys for each length and depth.")] = 4,
    filler: Annotated[str, typer.Option(help="grass, code, manual or NAME=FILE.")] = "grass",
    form: Annotated[str, typer.Option(help=f"{', '.join(FORMS)}: the words of the question.")] = "plain",
    seed: Annotated[int, typer.Option(help="Of the keys.")] = 0,
    share: Annotated[bool, typer.Option(help="Read what texts begin with once, where that is sound.")] = True,
    estimators: cli.Estimators = "exact,hyper",
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
) -> None:
    """A five-digit key in a long text, found or not, exact beside approximate."""
    import quality_estimators as known
    import quality_texts
    import torch

    names = known.chosen_names(estimators)
    shared = cli.shared_fields(min_seq_len)
    fields = known.presets(preset or (), presets, shared)
    sizes = cli.numbers(lengths, "--lengths", LEAST_LENGTH)
    places = cli.numbers(depths, "--depths", 0, 100)
    if form not in FORMS:
        raise UsageError(f"--form must be one of {', '.join(FORMS)}, not {form!r}.")
    if filler == "repeated":
        raise UsageError("--filler takes grass, code, manual or NAME=FILE, not 'repeated'.")
    if trials < 1:
        raise UsageError(f"--trials must be at least 1, not {trials}.")
    name, file = ("grass", None) if filler == "grass" else next(iter(quality_texts.parse([filler]).items()))
    cli.check_device(device)
    cli.check_files(json_path)
    store = cli.Store(json_path, KEY, merge)

    from quality_model import Reach, device_of, load

    from hyperrewrite.demo.show import step
    from hyperrewrite.demo.source import choose_device

    console = cli.console()
    with step(console, "load the model"):
        loaded = load(model, adapter, choose_device(device), dtype)
    reach = Reach(loaded, max(sizes), "--lengths", beyond)
    parts = sentences(loaded.encode, name, file, max(sizes))
    head = {"command": cli.command_line(), "torch": torch.__version__, "dtype": dtype}
    shown = {"model": loaded.name, "device": device_of(loaded).type, "filler": name, "form": form}
    rows: list[dict[str, Any]] = []
    for length in sizes:
        about = {**shown, **reach.prepare(length)}
        cases = {
            depth: [case(loaded.encode, parts, FORMS[form], length, depth, key) for key in keys_of(trials, seed)]
            for depth in places
        }
        keys: dict[str, float] = {}
        for told in known.independent(names, fields, shared):
            new = _rows(loaded, told, cases, length, share, console)
            keys[told.preset] = next((row["keys_per_query"] for row in new if told.name == "hyper"), 0.0) or 0.0
            rows += [{**about, **row} for row in new]
        leading = next(iter(fields))
        for told_name in (n for n in names if n in known.MATCHED):
            told = known.matched(told_name, leading, fields[leading], length, keys[leading])
            rows += [{**about, **row} for row in _rows(loaded, told, cases, length, share, console)]
        store.write({**head, "trials": trials, "seed": seed}, rows)
    console.print(table(rows, places))
    for line in verdict(rows):
        console.print(line, highlight=False)


def keys_of(trials: int, seed: int) -> list[str]:
    """Keys of five digits; more trials begin with the same keys."""
    draw = random.Random(seed)
    return [f"{draw.randrange(10 ** (DIGITS - 1), 10**DIGITS)}" for _ in range(trials)]


def _rows(
    loaded: Any, told: Any, cases: dict[int, list[Case]], length: int, share: bool, console: Console
) -> list[dict[str, Any]]:
    from hyperrewrite.demo.show import step

    found: dict[int, dict[str, Any]] = {}
    reads = reader(loaded, told, share)
    with step(console, f"{length:,} tokens: {told.title}") as remarks:
        for depth in sorted(cases, reverse=True):  # the deepest first: it shares most with the others
            row = measure(reads, told, cases[depth], not found)
            found[depth] = {"length": length, "depth": depth, "trials": len(cases[depth]), **row}
            found[depth]["keys_per_query"] = next(iter(found.values()))["keys_per_query"]
        remarks.append(f"found {sum(row['found'] for row in found.values()) / len(found):.0%}")
    return [found[depth] for depth in cases]


def table(rows: list[dict[str, Any]], depths: list[int]) -> Table:
    """A line for each length and estimator, a column for each depth."""
    made = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False, title="keys found, by depth")
    for heading in ("length", "estimator", "preset"):
        made.add_column(heading, no_wrap=True)
    for heading in ("keys", *(f"{depth} %" for depth in depths), "digits", "nll"):
        made.add_column(heading, justify="right", no_wrap=True)
    groups: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["length"], row["estimator"], row["preset"]), []).append(row)
    last = 0
    for (length, name, preset), mine in groups.items():
        if last and length != last:
            made.add_section()
        cells = {row["depth"]: f"{row['found']:.0%}" for row in mine}
        digits, nll = (sum(row[figure] for row in mine) / len(mine) for figure in ("digits", "nll"))
        keys = f"{mine[0]['keys_per_query'] or 0:.0f}"
        shown = f"{length:,}" if length != last else ""
        made.add_row(shown, name, preset, keys, *(cells[depth] for depth in depths), f"{digits:.0%}", f"{nll:.3f}")
        last = length
    return made


def verdict(rows: list[dict[str, Any]]) -> list[str]:
    """For each estimator the length and depth at which it finds least, next to exact."""
    exact = {(row["length"], row["depth"]): row["found"] for row in rows if row["estimator"] == "exact"}
    worst: dict[str, tuple[float, int, int]] = {}
    for row in rows:
        place = (row["length"], row["depth"])
        if row["estimator"] != "exact" and place in exact:
            name = f"{row['estimator']} {row['preset']}".strip()
            gap = (100 * (row["found"] - exact[place]), *place)
            worst[name] = min(worst.get(name, gap), gap)
    return [
        f"{name}: {gap:+.0f} points beside exact at worst ({n:,} tokens, depth {at} %)"
        for name, (gap, n, at) in worst.items()
    ]


if __name__ == "__main__":
    sys.exit(cli.run(app))
