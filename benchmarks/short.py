"""Exact attention of few queries and short texts on the CPU: compiled by Inductor alone and by us, side by side.

    python benchmarks/short.py --json docs/benchmarks/short.json

Both run in one process, in turns, and the order changes from turn to turn; medians are compared. A row is slower
where it is by more than 5 % and by more than 10 µs. Attention is written as matmul, mask, softmax, matmul (eager), or
as SDPA with a mask tensor. "model" is one step of a decoder with a static cache.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import quality_cli as cli
import typer
from rich import box
from rich.table import Table

from hyperrewrite.usage import UsageError

app = typer.Typer(add_completion=False)
FORMS, MASKS, MODES = ("eager", "sdpa"), ("full", "causal", "padded", "both", "window"), ("forward", "training")
HEADS, FEATURES, WINDOW, LAYERS = 8, 64, 128, 4
SLOWER, SLOWER_US = 1.05, 10.0


@dataclass(frozen=True)
class Case:
    """What is timed.

    kind     "decode" (one query, static cache), "model" (a step of a decoder), or "text" (as many queries as keys).
    mask     "padded": hidden keys at the end; "both": and causal; "window": causal, of 128 keys.
    dynamic  compiled with dynamic=True.
    """

    kind: str
    form: str
    mask: str
    keys: int
    batch: int
    mode: str
    dynamic: bool

    @property
    def queries(self) -> int:
        return self.keys if self.kind == "text" else 1


@app.command()
def main(
    kinds: Annotated[str, typer.Option(help="Of decode, model, text; separated by commas.")] = "decode,model,text",
    lengths: Annotated[str, typer.Option(help="Tokens of a text.")] = "16,64,128,256,512,1024,2048",
    caches: Annotated[str, typer.Option(help="Keys of a cache.")] = "128,2048,8192",
    forms: Annotated[str, typer.Option(help=f"Of {', '.join(FORMS)}.")] = "eager",
    masks: Annotated[str, typer.Option(help=f"Of a text: of {', '.join(MASKS)}.")] = "causal,padded,both",
    modes: Annotated[str, typer.Option(help=f"Of a text: of {', '.join(MODES)}.")] = "forward,training",
    batch: Annotated[int, typer.Option(help="Rows of a batch; of padded ones every other is.")] = 1,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Compile with dynamic=True.")] = False,
    seconds: Annotated[float, typer.Option(help="That a case is timed for.")] = 3.0,
    threads: Annotated[int, typer.Option(help="Of PyTorch.")] = 1,
    json_path: cli.Json = None,
    merge: cli.Merge = False,
) -> None:
    """Microseconds of a call, ours beside Inductor's."""
    import torch

    made = _cases(
        _words(kinds, "--kinds", ("decode", "model", "text")), cli.numbers(lengths, "--lengths", 2),
        cli.numbers(caches, "--caches", 2), _words(forms, "--forms", FORMS), _words(masks, "--masks", MASKS),
        _words(modes, "--modes", MODES), batch, dynamic,
    )  # fmt: skip
    if batch < 1 or threads < 1 or not seconds > 0:
        raise UsageError("--batch and --threads must be at least 1, and --seconds above 0.")
    cli.check_files(json_path)
    torch.set_num_threads(threads)
    key = tuple(Case.__dataclass_fields__)
    store = cli.Store(json_path, key, merge)
    head = {"command": cli.command_line(), "torch": torch.__version__, "cpu": _cpu(), "threads": threads}
    rows = list[dict[str, Any]]()
    table = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    for heading in (*key, "Inductor, µs", "hyper, µs", "", "what was done"):
        table.add_column(heading, justify="left" if heading in ("kind", "form", "mask", "mode") else "right")
    for case in made:
        theirs, ours, done = _measured(case, seconds)
        slower = ours > theirs * SLOWER and ours > theirs + SLOWER_US
        row = asdict(case) | {"inductor_us": round(theirs, 1), "hyper_us": round(ours, 1), "slower": slower}
        rows.append(row | {"done": done})
        store.write(head, rows)
        table.add_row(*map(str, asdict(case).values()), f"{theirs:,.1f}", f"{ours:,.1f}",
                      f"{ours / theirs:.2f}×" + (" slower" if slower else ""), done)  # fmt: skip
        print(f"{case} {theirs:,.1f} {ours:,.1f} {done}", file=sys.stderr, flush=True)
    cli.console().print(table)


def _words(text: str, option: str, valid: tuple[str, ...]) -> list[str]:
    found = [word.strip() for word in text.split(",")]
    if not set(found) <= set(valid):
        raise UsageError(f"{option} takes words of {', '.join(valid)} separated by commas, not {text!r}.")
    return found


def _cases(
    kinds: list[str], lengths: list[int], caches: list[int], forms: list[str], masks: list[str], modes: list[str],
    batch: int, dynamic: bool,
) -> list[Case]:  # fmt: skip
    found = list[Case]()
    for form in forms:
        if "decode" in kinds:
            found += [Case("decode", form, "padded", n, batch, "forward", dynamic) for n in caches]
        if "model" in kinds:
            found += [Case("model", form, "padded", n, batch, "forward", dynamic) for n in caches]
        if "text" in kinds:
            every = ((mode, mask, n) for mode in modes for mask in masks for n in lengths)
            found += [Case("text", form, mask, n, batch, mode, dynamic) for mode, mask, n in every]
    return found


def _measured(case: Case, seconds: float) -> tuple[float, float, str]:
    """(Inductor's median, ours, what we did) of a case, in microseconds."""
    import torch

    import hyperrewrite

    torch._dynamo.reset()
    torch.manual_seed(0)
    function: Any = _step(case) if case.kind == "model" else _attention(case)
    given = next(_inputs(case))  # the same for both: where memory lies makes a difference
    theirs = torch.compile(function, backend="inductor", dynamic=case.dynamic or None, fullgraph=True)
    ours = torch.compile(
        function, backend="hyper", dynamic=case.dynamic or None, fullgraph=True, options={"approximate": False}
    )
    calls = [_call(case, compiled, given) for compiled in (theirs, ours)]
    with hyperrewrite.record() as log:
        for call in calls:
            call()
    done = ", ".join(sorted({row.action for row in log.report.sites})) or "nothing"
    return (*_medians(calls, seconds), done)


def _inputs(case: Case) -> Iterator[tuple[Any, ...]]:
    import torch

    if case.kind == "model":
        yield torch.randn(case.batch, 1, HEADS * FEATURES), torch.tensor([case.keys // 2])
        return
    shapes = [(case.batch, HEADS, length, FEATURES) for length in (case.queries, case.keys, case.keys)]
    tensors = [torch.randn(shape, requires_grad=case.mode == "training") for shape in shapes]
    attended = torch.ones(case.batch, case.keys, dtype=torch.bool)
    attended[::2, -(case.keys // 8) :] = False
    yield *tensors, attended


def _keep(case: Case, attended: Any) -> Any:
    """Which keys a query sees, as the model makes it: bool, broadcastable to the scores; None for all."""
    import torch

    length = attended.shape[1]
    rows, keys = torch.arange(length)[:, None], torch.arange(length)
    causal = keys <= rows
    if case.mask == "full":
        return None
    if case.mask == "padded":
        return attended[:, None, None, :]
    if case.mask == "window":
        return causal & (keys > rows - WINDOW)
    return causal if case.mask == "causal" else causal & attended[:, None, None, :]


def _attention(case: Case) -> Callable[..., Any]:
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    def attend(query: Any, key: Any, value: Any, attended: Any) -> Any:
        keep = _keep(case, attended)
        if case.form == "sdpa":
            return scaled_dot_product_attention(query, key, value, attn_mask=keep)
        scores = query @ key.transpose(-1, -2) * FEATURES**-0.5
        if keep is not None:
            scores = scores.masked_fill(~keep, -torch.inf)
        return torch.softmax(scores, -1) @ value

    return attend


def _step(case: Case) -> Any:
    """A decoder with a static cache, as transformers writes it: one token at a position."""
    import torch
    from torch import nn
    from torch.nn.functional import scaled_dot_product_attention, silu

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = HEADS * FEATURES
            self.into, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
            self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
            self.keys: torch.Tensor
            self.values: torch.Tensor
            for name in ("keys", "values"):
                self.register_buffer(name, torch.randn(case.batch, HEADS, case.keys, FEATURES))

        def forward(self, x: torch.Tensor, keep: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
            query, key, value = self.into(x).unflatten(-1, (3, HEADS, FEATURES)).permute(2, 0, 3, 1, 4)
            self.keys.index_copy_(2, position, key)
            self.values.index_copy_(2, position, value)
            if case.form == "sdpa":
                found = scaled_dot_product_attention(query, self.keys, self.values, attn_mask=keep)
            else:
                scores = query @ self.keys.transpose(2, 3) * FEATURES**-0.5
                low = torch.finfo(scores.dtype).min
                scores = scores + torch.where(keep, 0.0, low)
                found = torch.softmax(scores, -1, dtype=torch.float32) @ self.values
            x = x + self.out(found.transpose(1, 2).flatten(2))
            return x + self.down(silu(self.up(x)))

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

        def forward(self, x: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
            keep = (torch.arange(case.keys) <= position[:, None])[None, None]
            for layer in self.layers:
                x = layer(x, keep, position)
            return x

    return Decoder().eval()


def _call(case: Case, compiled: Any, given: tuple[Any, ...]) -> Callable[[], Any]:
    import torch

    if case.mode == "forward":

        def forward() -> Any:
            with torch.no_grad():
                return compiled(*given)

        return forward
    tensors = given[:3]
    along = torch.randn(*given[0].shape)
    return lambda: torch.autograd.grad(compiled(*given), tensors, along)


def _medians(calls: list[Callable[[], Any]], seconds: float) -> tuple[float, float]:
    """Microseconds of two calls that take turns; which of them is first changes too."""
    for _ in range(3):
        for call in calls:
            call()
    times: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    gc.disable()
    turn = 0
    while turn < 10 or time.perf_counter() < end:
        for which in (0, 1) if turn % 2 else (1, 0):
            start = time.perf_counter()
            calls[which]()
            times[which].append(time.perf_counter() - start)
        turn += 1
    gc.enable()
    return statistics.median(times[0]) * 1e6, statistics.median(times[1]) * 1e6


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown"


if __name__ == "__main__":
    sys.exit(cli.run(app))
