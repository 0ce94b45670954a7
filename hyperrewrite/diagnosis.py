"""`diagnose(query, key, value)`: how hard the heads of an attention call are, how far its estimate is from exact."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .kernels.call import AttentionCall
from .kernels.functional import hyper_attention
from .kernels.hardness import hardness, sample_rows
from .kernels.parameters import Parameters
from .kernels.planning import algorithm_of
from .kernels.probe_error import BUDGET, estimate_error
from .kernels.sampling.error import MOST_SHARE, alarm, sample_error
from .options import Options
from .usage import UsageError, first_line, require

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class HeadDiagnosis:
    """One head of one batch element.

    alpha, kappa      the paper's hardness parameters, from sampled rows (`kernels.hardness` says with what bias).
    alpha_rest        alpha of what sinks, window and heavy columns leave: an attention sink alone makes alpha near n².
    heavy_mass        share of the attention weight in sinks, window and heavy columns, 0 to 1.
    effective_keys    exp of the mean entropy of a row.
    error             estimated relative output error √(Σ‖o − õ‖² / Σ‖o‖²) of the algorithm chosen by the options: of
                      `hyper` from its own sample (`kernels.sampling.error`), of `paper` from exact rows
                      (`kernels.probe_error`); 0 where the call is exact.
    share             of `hyper`: the share of the estimate that one key makes, 0 to 1; above a half it is not to be
                      trusted. None for `paper`.
    low, high         of `paper`: the 95 % interval (jackknife; too narrow where the worst rows were never drawn).
    error_rows        of `paper`: exact rows that the error rests on.
    error_cost        of `paper`: share of exact attention's multiply-adds that the error estimate took.
    """

    batch: int
    head: int
    alpha: float
    alpha_rest: float
    kappa: float
    heavy_mass: float
    effective_keys: float
    error: float
    share: float | None = None
    low: float | None = None
    high: float | None = None
    error_rows: int | None = None
    error_cost: float | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `diagnose` found: one `HeadDiagnosis` for each batch element and head, in that order.

    algorithm  what really ran: "exact" where the options' algorithm does not apply (fewer keys than min_seq_len).
    rows       query rows that hardness rests on; equal to `queries`: all numbers of hardness are exact.
    """

    algorithm: str
    queries: int
    keys: int
    is_causal: bool
    rows: int
    heads: tuple[HeadDiagnosis, ...]

    @property
    def alarm(self) -> str:
        """One sentence where the error of a head cannot be trusted, else ""; it names at most four heads."""
        shares = {head: head.share for head in self.heads if head.share is not None and head.share > MOST_SHARE}
        if not shares:
            return ""
        several = any(head.batch for head in self.heads)
        names = [f"{head.batch}·{head.head}" if several else str(head.head) for head in shares]
        named = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        return alarm(max(shares.values()), f" of {'head' if len(names) == 1 else 'heads'} {named}")

    def table(self) -> Table:
        """A row for each head, for rich."""
        from rich import box
        from rich.table import Table

        causal = "causal, " if self.is_causal else ""
        title = f"{self.algorithm}, {causal}{self.queries:,} × {self.keys:,}, hardness from {self.rows:,} rows"
        made = Table(title=title, box=box.SIMPLE, padding=(0, 1), pad_edge=False)
        several = any(head.batch for head in self.heads)
        has_interval = any(head.low is not None for head in self.heads)
        for heading in [
            *(["batch"] if several else []),
            "head",
            "α",
            "α rest",
            "κ",
            "heavy mass",
            "eff. keys",
            "error",
            "95 %" if has_interval else "one key",
        ]:
            made.add_column(heading, justify="right", no_wrap=True)
        for head in self.heads:
            made.add_row(
                *([str(head.batch)] if several else []),
                str(head.head),
                _number(head.alpha),
                _number(head.alpha_rest),
                _number(head.kappa),
                f"{head.heavy_mass:.3f}",
                f"{head.effective_keys:,.1f}",
                f"{head.error:.4f}",
                f"{head.low:.4f} … {head.high:.4f}" if has_interval else f"{head.share:.0%}",
            )
        return made

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=100, no_color=True)
        with console.capture() as captured:
            console.print(self.table())
        return "\n".join(filter(None, (captured.get().rstrip(), self.alarm)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data under the fields' names; a number past every bound is null."""
        found = asdict(self)
        found["heads"] = [
            {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in head.items()}
            for head in found["heads"]
        ]
        return found

    def to_json(self, indent: int | None = 2) -> str:
        """`to_dict()` as JSON text."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def plot(self, path: str | PathLike[str]) -> None:
        """Draw α, κ, heavy mass and error of each head; the suffix says the format. Raises UsageError, OSError."""
        require("matplotlib", "demo", "Diagnosis.plot")
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 6), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(f"{self.algorithm}, {self.queries:,} queries × {self.keys:,} keys")
        places = range(len(self.heads))
        panels = figure.subplots(2, 2).flatten()
        series = (
            ("α", [head.alpha for head in self.heads], True),
            ("κ", [head.kappa for head in self.heads], True),
            ("heavy mass", [head.heavy_mass for head in self.heads], False),
            ("relative output error", [head.error for head in self.heads], False),
        )
        for axes, (heading, values, is_log) in zip(panels, series, strict=True):
            shown = [value if math.isfinite(value) else math.nan for value in values]
            axes.set_title(heading)
            if heading.startswith("relative"):
                intervals = [_interval(head) for head in self.heads]
                axes.errorbar(
                    places, shown, yerr=list(zip(*intervals, strict=True)), fmt="o", markersize=3, capsize=2,
                    color="#2b6cb0",
                )  # fmt: skip
                axes.set_ylim(bottom=0)
            else:
                axes.bar(places, shown, color="#7a7a7a")
                if is_log and any(value > 0 for value in shown):
                    axes.set_yscale("log")
            axes.set_xlabel("head" if len({head.batch for head in self.heads}) < 2 else "batch · head")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(Path(path), dpi=150)


def diagnose(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    rows: int = 256,
    options: Mapping[str, Any] | Options | None = None,
    budget: float = BUDGET,
    seed: int = 0,
) -> Diagnosis:
    """Run the options' algorithm once on these tensors and say how hard each head is and how far its output is off.

    query [B, H, n_q, D], key [B, H_kv, n_k, D], value [B, H_kv, n_k, D_v], or without B; H a multiple of H_kv.
    is_causal: query i sees keys j <= i. scale: 1/√D by default. rows: query rows that hardness is estimated from.
    options: those of the backend; below their min_seq_len nothing is estimated and the error is rounding alone.
    budget: what the error estimate of `paper` may cost, as a share of exact attention's multiply-adds
    (`kernels.probe_error`); with rows >= n_q every row is computed. seed: of the rows drawn, not of the algorithm.

    Raises ValueError with one sentence for what does not fit.
    """
    query, key, value = _checked(query, key, value)
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 2:
        raise ValueError(f"rows must be a whole number of at least 2, not {rows!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise ValueError(f"seed must be a whole number from 0 to {2**31 - 1}, not {seed!r}")
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0.0 < budget <= 1.0:
        raise ValueError(f"budget must be a number above 0 and at most 1, not {budget!r}")
    if scale is not None and not math.isfinite(scale):
        raise ValueError(f"scale must be finite, not {scale!r}")
    chosen = options if isinstance(options, Options) else Options.of(options)
    parameters = chosen.parameters if chosen.approximate else Parameters(algorithm="exact")
    call = AttentionCall(
        num_queries=query.shape[2],
        num_keys=key.shape[2],
        scale=1.0 / math.sqrt(query.shape[-1]) if scale is None else float(scale),
        causal_offset=0 if is_causal else None,
        parameters=parameters,
    )
    with torch.no_grad():
        out, lse = hyper_attention(
            query,
            key,
            value,
            is_causal=is_causal,
            scale=call.scale,
            enable_gqa=True,
            return_lse=True,
            **asdict(parameters),
        )
        hard = hardness(query, key, call, sample_rows(query.shape[2], rows, seed))
        errors: dict[str, Tensor]
        if algorithm_of(call) == "paper":
            share = 1.0 if rows >= query.shape[2] else budget
            drawn = estimate_error(query, key, value, out, lse, call, budget=share, seed=seed)
            errors = {"error": drawn.error, "low": drawn.low, "high": drawn.high}
            errors |= {"error_rows": drawn.rows, "error_cost": drawn.cost}
        else:
            known = sample_error(query, key, value, None, out, lse, call)
            errors = {"error": known.error.cpu(), "share": known.share.cpu()}
    heads = tuple(
        HeadDiagnosis(
            batch=b,
            head=h,
            alpha=float(hard.alpha[b, h]),
            alpha_rest=float(hard.alpha_rest[b, h]),
            kappa=float(hard.kappa[b, h]),
            heavy_mass=float(hard.heavy_mass[b, h]),
            effective_keys=float(hard.effective_keys[b, h]),
            **_of_head(errors, b, h),
        )
        for b in range(query.shape[0])
        for h in range(query.shape[1])
    )
    return Diagnosis(algorithm_of(call), call.num_queries, call.num_keys, is_causal, min(rows, call.num_queries), heads)


def diagnose_file(path: Path, is_causal: bool, rows: int, options: Mapping[str, Any]) -> Diagnosis:
    """`diagnose` on a torch.save'd dictionary with query, key and value. Raises UsageError."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:
        raise UsageError(
            f"{path} is not a file of torch.save that holds tensors alone: {first_line(error)}."
        ) from error
    missing = [name for name in ("query", "key", "value") if not isinstance(found, dict) or name not in found]
    if missing:
        raise UsageError(f"{path} must hold a dictionary with query, key and value; it lacks {', '.join(missing)}.")
    try:
        return diagnose(found["query"], found["key"], found["value"], is_causal=is_causal, rows=rows, options=options)
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def _checked(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The tensors with rank 4, or ValueError."""
    named = {"query": query, "key": key, "value": value}
    for name, tensor in named.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} must be a tensor, not {type(tensor).__name__}")
        if tensor.dim() not in (3, 4) or tensor.dim() != query.dim():
            raise ValueError(
                f"query, key and value must have rank 4 [batch, heads, length, features], or 3 without a batch; "
                f"{name} has rank {tensor.dim()}"
            )
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must be floating point, not {tensor.dtype}")
        if tensor.dtype != query.dtype or tensor.device != query.device:
            raise ValueError("query, key and value must share one dtype and one device")
        if 0 in tensor.shape:
            raise ValueError(f"{name} is empty: its shape is {list(tensor.shape)}")
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds a number that is not finite")
    query, key, value = (tensor if tensor.dim() == 4 else tensor.unsqueeze(0) for tensor in named.values())
    if key.shape[:3] != value.shape[:3]:
        raise ValueError(f"key and value must agree in all but features, not {list(key.shape)} and {list(value.shape)}")
    if query.shape[0] != key.shape[0] or query.shape[-1] != key.shape[-1] or query.shape[1] % key.shape[1]:
        raise ValueError(
            f"query {list(query.shape)} and key {list(key.shape)} must share batch and features, "
            "and query's heads be a multiple of key's"
        )
    return query, key, value


def _number(x: float) -> str:
    """A number of any size in a narrow column."""
    return f"{x:,.2f}" if x < 1e4 else f"{x:.1e}"


def _of_head(found: Mapping[str, Tensor], batch: int, head: int) -> dict[str, Any]:
    """The numbers of one head, by the names of its fields."""
    return {name: tensor[batch, head].item() for name, tensor in found.items()}


def _interval(head: HeadDiagnosis) -> tuple[float, float]:
    """How far the interval reaches below and above the error; 0 where there is none or it has no end."""
    low, high = (head.error if bound is None else bound for bound in (head.low, head.high))
    return tuple(length if math.isfinite(length) else 0.0 for length in (head.error - low, high - head.error))  # type: ignore[return-value]
