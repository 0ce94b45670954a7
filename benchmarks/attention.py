"""Attention forward on a GPU, side by side in one run: cuDNN and flash (SDPA), FlexAttention, `paper` and `hyper`.

    python benchmarks/attention.py --inputs qkv.safetensors --json docs/benchmarks/attention_h100.json

Every time is the median of single runs of a CUDA graph. `flex` reads the same window and sinks as hyper and nothing
else: a floor, not a rival in quality. `--inputs` takes queries, keys and values of a model, q [h, n, 64], k and v
[h_kv, n, 64], whose heads are repeated; for heads of 128 two of them are laid side by side ("pairs"). Where it has too
few tokens inputs are made: "shaped" ones have sinks and topics, so that hyper finds about as many keys as in a model;
in "gaussian" ones every key matters a little, and it finds a quarter of all.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import quality_cli as cli
import typer
from graph_median import graph_median
from rich import box
from rich.table import Table

from hyperrewrite.usage import UsageError

app = typer.Typer(add_completion=False)
KEY = ("implementation", "n", "heads", "head_dim", "causal", "dtype", "inputs")
MADE = ("shaped", "gaussian")
NAMES = ("cudnn", "flash", "flex", "paper", "hyper")
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple")
MOST_COUNTED = 1 << 16  # tokens: beyond, the plan that is counted takes longer than everything else
COUNTED_SCORES = 1 << 32  # keys are counted for as many heads as have so many scores, one at least
SAMPLED_HEADS = 6  # where keys are counted in some tiles
BF16_FLOPS, FP8_FLOPS, BYTES = 989e12, 1979e12, 3.35e12  # an H100's, a second


@app.command()
def main(
    lengths: Annotated[str, typer.Option(help="Lengths in tokens, separated by commas.")] = "4096,8192,16384,32768",
    head_dims: Annotated[str, typer.Option(help="Features of a head, separated by commas.")] = "64,128",
    heads: Annotated[int, typer.Option(help="Query heads, and key heads.")] = 32,
    masks: Annotated[str, typer.Option(help="causal, full, or both separated by a comma.")] = "causal",
    implementations: Annotated[str, typer.Option(help=f"Of {', '.join(NAMES)}.")] = ",".join(NAMES),
    inputs: Annotated[
        Path | None, typer.Option(help="A .safetensors file with q, k and v; default: random only.")
    ] = None,
    made: Annotated[
        str, typer.Option(help="Inputs that are made: shaped, gaussian, both separated by a comma, or none.")
    ] = "shaped",
    repeats: Annotated[int, typer.Option(help="Runs of which the median is taken.")] = 15,
    json_path: cli.Json = None,
    merge: cli.Merge = False,
    plot: Annotated[
        Path | None, typer.Option(help="A picture: milliseconds against length, both in logarithms.")
    ] = None,
) -> None:
    """Milliseconds, memory and keys of attention forward, bfloat16, one batch."""
    import torch

    from hyperrewrite.tuning import read_inputs

    names = [name.strip() for name in implementations.split(",")]
    for name in names:
        if name not in NAMES:
            raise UsageError(f"--implementations are of {', '.join(NAMES)}, not {name!r}.")
    kinds = [word.strip() for word in masks.split(",")]
    if not set(kinds) <= {"causal", "full"}:
        raise UsageError(f"--masks must be causal, full or both, not {masks!r}.")
    others = [] if made.strip() == "none" else [word.strip() for word in made.split(",")]
    if not set(others) <= set(MADE):
        raise UsageError(f"--made must be {', '.join(MADE)}, both or none, not {made!r}.")
    sizes, widths = cli.numbers(lengths, "--lengths", 128), cli.numbers(head_dims, "--head-dims", 16, 256)
    if repeats < 1 or heads < 1:
        raise UsageError("--repeats and --heads must be at least 1.")
    cli.check_files(json_path, plot)
    if not torch.cuda.is_available():
        raise UsageError("this bench needs a CUDA device.")
    warnings.filterwarnings("error", "a Triton kernel failed")  # or portable code would be timed
    given = read_inputs(inputs) if inputs is not None else None
    store = cli.Store(json_path, KEY, merge)
    head = {"command": cli.command_line(), "torch": torch.__version__, "device": torch.cuda.get_device_name()}
    console, rows = cli.console(), list[dict[str, Any]]()
    for width in widths:
        for n in sizes:
            for kind in (["real"] if given is not None else []) + others:
                tensors = _made(kind, n, heads, width) if kind in MADE else _real(given, n, heads, width)
                if tensors is None:
                    continue
                told = "pairs" if kind == "real" and width == 128 else kind
                for mask in kinds:
                    for name in names:
                        row = {"implementation": name, "n": n, "heads": heads, "head_dim": width,
                               "causal": mask == "causal", "dtype": "bfloat16", "inputs": told}  # fmt: skip
                        row |= _measured(name, *tensors, mask == "causal", repeats)
                        rows.append(row)
                        console.print(
                            f"{n:,} D={width} {mask} {told} {name}: {row['milliseconds'] or row['failed']}",
                            highlight=False,
                        )
                        store.write(head, rows)
    console.print(table(rows))
    if plot is not None:
        draw(plot, store.all(rows))


def _made(kind: str, n: int, heads: int, width: int) -> tuple[Any, ...]:
    import torch
    from hyperrewrite.kernels.fused.bench import random_inputs
    from hyperrewrite.kernels.fused.tuner import Case

    if kind == "shaped":
        return random_inputs(Case("hyper", torch.bfloat16, width, n, True), heads, torch.device("cuda"))
    generator = torch.Generator("cuda").manual_seed(0)
    made = [torch.randn(1, heads, n, width, device="cuda", generator=generator) for _ in range(3)]
    return tuple(tensor.bfloat16() for tensor in made)


def _real(given: Any, n: int, heads: int, width: int) -> tuple[Any, ...] | None:
    """The file's first n tokens, heads repeated; None where it has too few tokens or other features."""
    import torch
    from hyperrewrite.kernels.fused.bench import real_inputs
    from hyperrewrite.kernels.fused.tuner import Case, Failed

    try:
        return real_inputs(given, Case("hyper", torch.bfloat16, width, n, True), heads, torch.device("cuda"))
    except Failed:
        return None


def _measured(name: str, query: Any, key: Any, value: Any, causal: bool, repeats: int) -> dict[str, Any]:
    """milliseconds, memory_bytes (beside inputs and output), keys_per_query, and what an H100 needs at least."""
    import torch

    n, width, heads = query.shape[2], query.shape[3], query.shape[1]
    pairs = n * (n + 1) / 2 if causal else n * n
    row: dict[str, Any] = {"milliseconds": None, "memory_bytes": None, "keys_per_query": pairs / n}
    try:
        call = _call(name, query, key, value, causal)
        with torch.no_grad():
            call()
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            out = call()
            torch.cuda.synchronize()
            row["memory_bytes"] = torch.cuda.max_memory_allocated() - before - out.nbytes
            del out
            row["milliseconds"] = round(graph_median(call, repeats), 4)
    except (RuntimeError, ValueError) as error:
        row["failed"] = str(error).splitlines()[0][:200]
        return row
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    if name in ("hyper", "paper", "flex"):
        row["keys_per_query"] = _keys(name, query, key, value, causal)
    if row["keys_per_query"] is None:
        return row
    flops = 4 * width * heads * n * row["keys_per_query"]
    floor = max(flops / BF16_FLOPS, 4 * query.nbytes / BYTES)
    if name == "hyper":  # the search multiplies every pair once more, in float8
        floor = max((flops * 1.5) / BF16_FLOPS + 2 * width * heads * pairs / FP8_FLOPS, 4 * query.nbytes / BYTES)
    seconds = row["milliseconds"] / 1e3
    return row | {
        "teraflops": round(flops / seconds / 1e12, 1),
        "gigabytes_per_second": round(4 * query.nbytes / seconds / 1e9, 1),
        "percent_of_floor": round(100 * floor / seconds, 1),
    }


def _call(name: str, query: Any, key: Any, value: Any, causal: bool) -> Callable[[], Any]:
    import hyperrewrite.kernels.functional  # noqa: F401  (registers the op)
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    if name in ("cudnn", "flash"):
        backend = SDPBackend.CUDNN_ATTENTION if name == "cudnn" else SDPBackend.FLASH_ATTENTION

        def exact() -> Any:
            with sdpa_kernel(backend):
                return scaled_dot_product_attention(query, key, value, is_causal=causal)

        return exact
    if name == "flex":
        return _flex(query, key, value, causal)
    rules = {"causal_offset": 0 if causal else None, "scale": query.shape[-1] ** -0.5, **_settings(name)}
    return lambda: torch.ops.hyper.attention(query, key, value, **rules)[0]


def _settings(algorithm: str) -> dict[str, Any]:
    """An algorithm that estimates from 4,096 keys up, the shortest input of the tables."""
    return {"algorithm": algorithm, "min_seq_len": 4096}


def _flex(query: Any, key: Any, value: Any, causal: bool) -> Callable[[], Any]:
    """FlexAttention over sinks and window, as hyper's tiles read them."""
    import torch
    from hyperrewrite.kernels.parameters import Parameters
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    told, n = Parameters(), query.shape[2]
    window = told.window

    def sees(b: Any, h: Any, i: Any, j: Any) -> Any:
        if causal:
            return (j <= i) & ((j < told.sinks) | (j >= i - window))
        return (j < told.sinks) | ((j - i).abs() <= window // 2)

    mask = create_block_mask(sees, None, None, n, n, device="cuda")
    compiled = torch.compile(flex_attention, dynamic=False)
    return lambda: compiled(query, key, value, block_mask=mask)


def _keys(name: str, query: Any, key: Any, value: Any, causal: bool) -> float | None:
    """Keys that a query reads, by the plan of some heads.

    Of long inputs in some tiles, where that can be; None where the plan would take longer than everything else.
    """
    import keys_read
    from hyperrewrite.kernels.call import AttentionCall
    from hyperrewrite.kernels.parameters import Parameters

    n = query.shape[2]
    told = Parameters()
    if name == "flex":
        return float(min(told.sinks + told.window + 1, n))
    parameters = Parameters(**_settings(name))
    call = AttentionCall(n, n, query.shape[-1] ** -0.5, 0 if causal else None, parameters=parameters)
    in_tiles = n > keys_read.MOST_COUNTED and keys_read.in_tiles(call)
    if n > MOST_COUNTED and not in_tiles:
        return None
    heads = SAMPLED_HEADS if in_tiles else max(COUNTED_SCORES // (n * n), 1)
    some = [tensor[:, :heads] for tensor in (query, key, value)]
    keys = keys_read.of_some_tiles(*some, call) if in_tiles else keys_read.of_all(*some, call)
    return round(keys, 1)


def table(rows: list[dict[str, Any]]) -> Table:
    """A line for each measurement."""
    made = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    for heading in ("inputs", "mask", "implementation"):
        made.add_column(heading, no_wrap=True)
    for heading in ("n", "D", "ms", "× cuDNN", "TFLOP/s", "% of floor", "MiB more", "keys"):
        made.add_column(heading, justify="right", no_wrap=True)
    rival = {_site(row): row["milliseconds"] for row in rows if row["implementation"] == "cudnn"}
    for row in rows:
        shown = [f"{row['n']:,}", str(row["head_dim"])]
        if row["milliseconds"] is None:
            shown += ["failed", "", "", "", "", ""]
        else:
            other = rival.get(_site(row))
            shown += [
                f"{row['milliseconds']:.3f}",
                f"{other / row['milliseconds']:.2f}" if other else "",
                f"{row['teraflops']:.0f}" if "teraflops" in row else "",
                f"{row['percent_of_floor']:.0f}" if "percent_of_floor" in row else "",
                f"{row['memory_bytes'] / 2**20:.0f}",
                f"{row['keys_per_query']:.0f}" if row["keys_per_query"] else "",
            ]
        made.add_row(row["inputs"], "causal" if row["causal"] else "full", row["implementation"], *shown)
    return made


def _site(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY if name != "implementation")


def draw(file: Path, rows: list[dict[str, Any]]) -> None:
    """Milliseconds against length, a panel for each size of a head and mask, of the rows with most heads;
    hollow where inputs were made."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    heads = max((row["heads"] for row in rows), default=0)
    shown = [row for row in rows if row["milliseconds"] and row["inputs"] != "gaussian" and row["heads"] == heads]
    panels = sorted({(row["causal"], row["head_dim"]) for row in shown}, reverse=True)
    if not panels:
        return
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5 * len(panels), 4.2), squeeze=False)
    for axis, (causal, width) in zip(axes[0], panels, strict=True):
        mine = [row for row in shown if (row["causal"], row["head_dim"]) == (causal, width)]
        for name, colour in zip(NAMES, COLOURS, strict=True):
            for made, style in ((False, "o-"), (True, "o--")):
                points = sorted(
                    (row["n"], row["milliseconds"])
                    for row in mine
                    if row["implementation"] == name and (row["inputs"] in MADE) == made
                )
                if points:
                    label = f"{name}, made inputs" if made else name
                    hollow = "white" if made else colour
                    axis.loglog(
                        *zip(*points, strict=True), style, color=colour, markerfacecolor=hollow, label=label, base=2
                    )
        axis.set(title=f"{'causal' if causal else 'full'}, {width} features", xlabel="tokens", ylabel="milliseconds")
        axis.set_yscale("log", base=10)
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(cli.run(app))
