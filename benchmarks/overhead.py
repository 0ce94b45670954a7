"""What a rewritten call costs beside its kernels: a stack of layers compiled by Inductor alone and by us, on a GPU.

    python benchmarks/overhead.py

Host time is what Python and the launches take until the call returns; where it is less than the whole, the GPU is
never waiting. `--cudagraphs` is what mode="reduce-overhead" and mode="max-autotune" switch on.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Annotated, Any

import quality_cli as cli
import typer
from rich import box
from rich.table import Table

from hyperrewrite.usage import UsageError

app = typer.Typer(add_completion=False)
KEY = ("backend", "cudagraphs", "n", "layers")
BACKENDS: dict[str, dict[str, Any]] = {
    "inductor, SDPA": {},
    "hyper, exact": {"approximate": False},
    "hyper, estimated": {"min_seq_len": 1024},
}


@app.command()
def main(
    lengths: Annotated[str, typer.Option(help="Lengths in tokens, separated by commas.")] = "4096",
    layers: Annotated[int, typer.Option(help="Layers, each of one projection in, causal attention, one out.")] = 8,
    repeats: Annotated[int, typer.Option(help="Calls that are averaged.")] = 30,
    json_path: cli.Json = None,
) -> None:
    """Host and whole milliseconds of a forward pass."""
    import torch

    sizes = cli.numbers(lengths, "--lengths", 128)
    if repeats < 1 or layers < 1:
        raise UsageError("--repeats and --layers must be at least 1.")
    cli.check_files(json_path)
    if not torch.cuda.is_available():
        raise UsageError("this bench needs a CUDA device.")
    warnings.filterwarnings("error", "a Triton kernel failed")  # or portable code would be timed
    store = cli.Store(json_path, KEY, False)
    head = {"command": cli.command_line(), "torch": torch.__version__, "device": torch.cuda.get_device_name()}
    rows = list[dict[str, Any]]()
    model = _stack(layers)
    for n in sizes:
        given = torch.randn(1, n, 512, device="cuda", dtype=torch.bfloat16)
        for graphs in (False, True):
            for name, options in BACKENDS.items():
                torch._dynamo.reset()
                inductor: dict[str, Any] = {"triton.cudagraphs": graphs}
                compiled = (
                    torch.compile(model, options=inductor)
                    if not options
                    else torch.compile(model, backend="hyper", options={**options, "inductor": inductor})
                )
                with torch.no_grad():
                    host, whole = _times(compiled, given, repeats)
                rows.append({"backend": name, "cudagraphs": graphs, "n": n, "layers": layers,
                             "host_milliseconds": round(host, 4), "milliseconds": round(whole, 4)})  # fmt: skip
                store.write(head, rows)
    made = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    for heading in ("backend", "CUDA graphs", "n", "host, ms", "whole, ms"):
        made.add_column(heading, justify="left" if heading == "backend" else "right", no_wrap=True)
    for row in rows:
        made.add_row(row["backend"], "yes" if row["cudagraphs"] else "no", f"{row['n']:,}",
                     f"{row['host_milliseconds']:.3f}", f"{row['milliseconds']:.3f}")  # fmt: skip
    cli.console().print(made)


def _stack(layers: int) -> Any:
    """8 heads of 64 features, bfloat16."""
    import torch
    from torch import nn
    from torch.nn.functional import scaled_dot_product_attention

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.out = nn.Linear(512, 1536, bias=False), nn.Linear(512, 512, bias=False)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            query, key, value = self.into(rows).view(*rows.shape[:2], 3, 8, 64).permute(2, 0, 3, 1, 4)
            found = scaled_dot_product_attention(query, key, value, is_causal=True)
            return rows + self.out(found.transpose(1, 2).flatten(2))

    torch.manual_seed(0)
    return nn.Sequential(*(Layer() for _ in range(layers))).cuda().bfloat16()


def _times(call: Any, given: Any, repeats: int) -> tuple[float, float]:
    """Milliseconds until the call returns, and until it is done."""
    import torch

    for _ in range(5):
        call(given)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        call(given)
    host = time.perf_counter() - start
    torch.cuda.synchronize()
    return host / repeats * 1e3, (time.perf_counter() - start) / repeats * 1e3


if __name__ == "__main__":
    sys.exit(cli.run(app))
