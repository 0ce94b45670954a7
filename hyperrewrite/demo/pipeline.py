"""The order of the demo: check, load, read, run three times, show."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from rich.console import Console

from ..machine import missing
from ..usage import UsageError, require
from ..words import plural
from . import show, text
from .adapter import adapt
from .measure import Run, measure
from .settings import Settings, check_context
from .source import Source, choose_device, encode, load, read_context, read_tokenizer


def run(settings: Settings) -> None:
    """The whole demo, from the settings to the table and the files."""
    settings.check()
    device = choose_device(settings.device)
    parts = text.read_parts(settings.text)
    if settings.plot is not None:
        require("matplotlib", "demo", "--plot")
    check_machine(device)
    console = Console()
    with show.step(console, "read the text"):  # first: a model takes long to load
        if settings.adapter is None:
            check_context(read_context(settings.model), settings.tokens)
        tokenizer = read_tokenizer(settings.model)
        ids = text.take_tokens(parts, partial(encode, tokenizer), settings.tokens)
    with show.step(console, "load the model") as remarks:
        source = load(settings.model, device, tokenizer)
        if settings.adapter is not None:
            adapt(source.stack, settings.adapter, settings.context)
            source = replace(source, name=f"{source.name} + {settings.adapter.name}", context=settings.context)
        remarks.append(f"{source.name}, {source.parameters / 1e6:.0f} M parameters on {device.type}")
    compare(settings, source, torch.tensor([ids], device=device), console)


def compare(settings: Settings, source: Source, ids: torch.Tensor, console: Console) -> dict[str, Run]:
    """Run the three on these tokens; print the table and write the files."""
    tokens, device = ids.shape[1], ids.device.type
    runs: dict[str, Run] = {}
    sites = 0
    for name, options in settings.options.items():
        with show.step(console, f"{name}: compile, run and meter, run and time") as remarks:
            runs[name] = measure(source, ids, options)
            remarks.append(plural(runs[name].sites, "attention site"))
        sites = max(sites, runs[name].sites)
    cores = plural(torch.get_num_threads(), "thread") if device == "cpu" else torch.cuda.get_device_name(ids.device)
    console.print(f"\n{plural(sites, 'attention site')}, {tokens:,} tokens, {device} ({cores})\n", highlight=False)
    console.print(show.table(runs))
    for line in show.notes(runs, tokens, settings.least_keys):
        console.print(line, style="dim", highlight=False)
    if settings.json is not None:
        show.write_json(settings.json, show.document(runs, tokens, device, sites))
    if settings.plot is not None:
        from .plot import draw

        draw(settings.plot, runs, f"{source.name}, {tokens:,} tokens, {device}, all {sites} layers")
    return runs


def check_machine(device: torch.device) -> None:
    """Raise UsageError where Inductor could not compile: otherwise the runs would fail after the model is loaded."""
    if (sentence := missing(compiler=device.type == "cpu")) is not None:
        raise UsageError(f"{sentence}.")
