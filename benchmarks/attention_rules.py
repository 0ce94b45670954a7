"""Exact attention with masks and scores that SDPA does not know, on a GPU: our kernel beside FlexAttention and SDPA.

    python benchmarks/attention_rules.py --json docs/benchmarks/attention_rules_h100.json

FlexAttention is compiled for each rule, with a block mask made before the clock starts. SDPA is given the dense tensor
that says the same, where there is one and it fits. Medians of CUDA graphs, bfloat16, one batch, causal.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import quality_cli as cli
import typer
from graph_median import graph_median
from rich import box
from rich.table import Table

from hyperrewrite.usage import UsageError

app = typer.Typer(add_completion=False)
KEY = ("rule", "implementation", "n", "heads", "head_dim")
RULES = ("causal", "softcap", "window", "documents", "groups", "padding", "bias")
MOST_PAIRS = 1 << 30  # of a dense bias or mask over all heads
WINDOW, DOCUMENT, SOFTCAP = 1024, 1000, 50.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What the op is told; what FlexAttention is told; what SDPA is told (None: it has no form for it)."""

    op: dict[str, Any]
    score_mod: Callable[..., Any] | None
    mask_mod: Callable[..., Any] | None
    dense: Any


@app.command()
def main(
    lengths: Annotated[str, typer.Option(help="Lengths in tokens, separated by commas.")] = "4096,16384",
    head_dims: Annotated[str, typer.Option(help="Features of a head, separated by commas.")] = "64,128",
    heads: Annotated[int, typer.Option(help="Query heads, and key heads.")] = 32,
    rules: Annotated[str, typer.Option(help=f"Of {', '.join(RULES)}.")] = ",".join(RULES),
    repeats: Annotated[int, typer.Option(help="Calls of which the median is taken.")] = 9,
    json_path: cli.Json = None,
    merge: cli.Merge = False,
) -> None:
    """Milliseconds of exact attention forward under each rule, and how far the outputs are apart."""
    import torch

    names = [name.strip() for name in rules.split(",")]
    for name in names:
        if name not in RULES:
            raise UsageError(f"--rules are of {', '.join(RULES)}, not {name!r}.")
    sizes, widths = cli.numbers(lengths, "--lengths", 128), cli.numbers(head_dims, "--head-dims", 16, 256)
    if repeats < 1 or heads < 1:
        raise UsageError("--repeats and --heads must be at least 1.")
    cli.check_files(json_path)
    if not torch.cuda.is_available():
        raise UsageError("this bench needs a CUDA device.")
    warnings.filterwarnings("error", "a Triton kernel failed")  # or portable code would be timed
    torch._dynamo.config.recompile_limit = 1000
    store = cli.Store(json_path, KEY, merge)
    head = {"command": cli.command_line(), "torch": torch.__version__, "device": torch.cuda.get_device_name()}
    console, rows = cli.console(), list[dict[str, Any]]()
    for width in widths:
        for n in sizes:
            generator = torch.Generator("cuda").manual_seed(0)
            made = [torch.randn(1, heads, n, width, device="cuda", generator=generator) for _ in range(3)]
            tensors = [tensor.bfloat16() for tensor in made]
            for name in names:
                if (rule := _rule(name, n, heads)) is None:
                    continue
                want = None
                for implementation, call in _calls(rule, *tensors).items():
                    row = {"rule": name, "implementation": implementation, "n": n, "heads": heads, "head_dim": width}
                    try:
                        with torch.no_grad():
                            out = call().float()
                            want = out if want is None else want
                            row["milliseconds"] = round(graph_median(call, repeats), 4)
                            row["difference"] = float((out - want).norm() / want.norm())
                    except RuntimeError as error:
                        row |= {"milliseconds": None, "failed": str(error).splitlines()[0][:200]}
                    rows.append(row)
                    store.write(head, rows)
    console.print(table(rows))


def _rule(name: str, n: int, heads: int) -> Rule | None:
    """None where its dense tensor would be too large."""
    import torch

    place = torch.arange(n, device="cuda")
    below = place[None, :] <= place[:, None]

    def causal(b: Any, h: Any, i: Any, j: Any) -> Any:
        return i >= j

    if name == "causal":
        return Rule({}, None, causal, None)
    if name == "softcap":

        def capped(score: Any, b: Any, h: Any, i: Any, j: Any) -> Any:
            return SOFTCAP * torch.tanh(score / SOFTCAP)

        return Rule({"softcap": SOFTCAP}, capped, causal, None)
    if name == "window":

        def near(b: Any, h: Any, i: Any, j: Any) -> Any:
            return (i >= j) & (i - j < WINDOW)

        return Rule({"sliding_window": WINDOW}, None, near, below & (place[:, None] - place[None, :] < WINDOW))
    if name in ("documents", "groups"):
        number = place // DOCUMENT

        def same(b: Any, h: Any, i: Any, j: Any) -> Any:
            return (i >= j) & (i // DOCUMENT == j // DOCUMENT)

        told = {"query_group": number[None, :, None], "key_group": number[None, :, None]}
        if name == "documents":
            first = number[None] * DOCUMENT
            told = {"first_key": first, "stop_key": (first + DOCUMENT).clamp(max=n)}
        return Rule(told, None, same, below & (number[:, None] == number[None, :]))
    if name == "padding":
        seen = place < n - n // 5

        def visible(b: Any, h: Any, i: Any, j: Any) -> Any:
            return (i >= j) & (j < n - n // 5)

        return Rule({"key_mask": seen[None]}, None, visible, below & seen[None])
    if heads * n * n > MOST_PAIRS:
        return None
    bias = torch.randn(1, heads, n, n, device="cuda", dtype=torch.bfloat16)

    def added(score: Any, b: Any, h: Any, i: Any, j: Any) -> Any:
        return score + bias[b, h, i, j]

    return Rule({"bias": bias}, added, causal, bias.masked_fill(~below, float("-inf")))


def _calls(rule: Rule, query: Any, key: Any, value: Any) -> dict[str, Callable[[], Any]]:
    """What runs, by name; FlexAttention first, as the others are compared with it."""
    import hyperrewrite.kernels.functional  # noqa: F401  (registers the op)
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    from torch.nn.functional import scaled_dot_product_attention

    n, scale = query.shape[2], query.shape[3] ** -0.5
    mask = create_block_mask(rule.mask_mod, None, None, n, n, device="cuda")
    compiled = torch.compile(flex_attention, dynamic=False)
    op = {"algorithm": "exact", "causal_offset": 0, "scale": scale, **rule.op}
    calls: dict[str, Callable[[], Any]] = {
        "flex": lambda: compiled(query, key, value, score_mod=rule.score_mod, block_mask=mask, scale=scale),
        "hyper": lambda: torch.ops.hyper.attention(query, key, value, **op)[0],
    }
    if rule.dense is not None:
        calls["sdpa"] = lambda: scaled_dot_product_attention(query, key, value, rule.dense, scale=scale)
    return calls


def table(rows: list[dict[str, Any]]) -> Table:
    """A line for each rule and size, a column for each implementation."""
    made = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    made.add_column("rule", no_wrap=True)
    for heading in ("n", "D", "hyper, ms", "flex", "sdpa", "difference from flex"):
        made.add_column(heading, justify="right", no_wrap=True)
    found = {tuple(row[name] for name in KEY): row for row in rows}
    for rule, n, heads, width in dict.fromkeys((r["rule"], r["n"], r["heads"], r["head_dim"]) for r in rows):
        mine = [found.get((rule, name, n, heads, width), {}) for name in ("hyper", "flex", "sdpa")]
        times = [f"{row['milliseconds']:.3f}" if row.get("milliseconds") else "" for row in mine]
        made.add_row(rule, f"{n:,}", str(width), *times, f"{mine[0].get('difference', float('nan')):.4f}")
    return made


if __name__ == "__main__":
    sys.exit(cli.run(app))
