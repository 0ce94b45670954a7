"""The picture of a demo: seconds, perplexity, and the error of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..usage import require
from .measure import Run

COLOURS = {"exact": "#7a7a7a", "paper": "#d1862b", "hyper": "#2b6cb0"}


def draw(path: Path, runs: Mapping[str, Run], title: str) -> None:
    """Write the picture; the suffix of the path says the format."""
    require("matplotlib", "demo", "--plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    seconds, perplexity, errors = figure.subplots(1, 3, width_ratios=(1, 1, 2))
    names = list(runs)
    colours = [COLOURS[name] for name in names]
    for axes, heading, values, pattern in (
        (seconds, "forward, seconds", [run.seconds for run in runs.values()], "{:.2f}"),
        (perplexity, "perplexity", [run.perplexity for run in runs.values()], "{:.2f}"),
    ):
        axes.bar_label(axes.bar(names, values, color=colours), fmt=pattern, padding=2)
        axes.set_title(heading)
        axes.margins(y=0.15)
    for name, run in runs.items():
        if name != "exact":
            layers = range(len(run.layer_errors))
            errors.plot(layers, run.layer_errors, marker="o", markersize=3, label=name, color=COLOURS[name])
    errors.set(title="relative error of each layer's attention", xlabel="layer")
    errors.set_ylim(bottom=0)
    errors.xaxis.get_major_locator().set_params(integer=True)
    errors.legend()
    for axes in (seconds, perplexity, errors):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
