"""`hyperrewrite tune`: measures configurations of the Triton kernels on this GPU, and writes the best as a table."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .kernels.fused import bench, measured
from .kernels.fused.config import Config, Device, ExactConfig, Phase, device_of
from .kernels.fused.configure import VARIABLE, check_user_table, config_of, exact_config_of
from .kernels.fused.generated import write_whole
from .kernels.fused.measured import DTYPES, KERNELS, WIDTHS, Row, TableError
from .kernels.fused.tuner import NOISE, Case, Descent, Failed, axes_of, descend
from .usage import UsageError, check_writable, first_line, require

if TYPE_CHECKING:
    from torch import Tensor

LEAST_LENGTH, MOST_LENGTH = 256, 1 << 20
MOST_HEADS = 1024
AnyConfig = Config | ExactConfig


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the command, as they were typed.

    kernels, dtypes, features, lengths   lists separated by commas; lengths in keys.
    causal       True, False, or None for both.
    heads        of query and key, batch 1.
    seconds      limit of the search of one case, compiling included.
    inputs       a .safetensors file with q, k, v [heads, n, features]; None = random.
    device_name  pattern of the devices that the rows are for; None = this GPU's name.
    out          table to write; rows for other calls that it has are kept.
    """

    kernels: str
    dtypes: str
    features: str
    lengths: str
    causal: bool | None
    heads: int
    seconds: float
    inputs: Path | None
    device_name: str | None
    out: Path

    def cases(self) -> list[Case]:
        """Every combination. Raises UsageError for the first option that cannot work."""
        kernels = _words(self.kernels, "--kernels", KERNELS)
        dtypes = [DTYPES[name] for name in _words(self.dtypes, "--dtypes", tuple(DTYPES))]
        widths = [int(word) for word in _words(self.features, "--features", tuple(map(str, WIDTHS)))]
        lengths = _lengths(self.lengths)
        if not 1 <= self.heads <= MOST_HEADS:
            raise UsageError(f"--heads must be from 1 to {MOST_HEADS}, not {self.heads}.")
        if not self.seconds > 0:
            raise UsageError(f"--seconds must be above 0, not {self.seconds:g}.")
        masks = (True, False) if self.causal is None else (self.causal,)
        return [
            Case(kernel, dtype, width, length, causal)
            for kernel in kernels
            for dtype in dtypes
            for width in widths
            for causal in masks
            for length in lengths
        ]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of a case: the configuration in use before and the best, both timed again side by side."""

    case: Case
    before: AnyConfig
    best: AnyConfig
    before_ms: float
    best_ms: float
    descent: Descent[AnyConfig]


def run(settings: Settings) -> None:
    """The whole command. Raises UsageError."""
    cases = settings.cases()
    check_writable(settings.out, "--out")
    try:
        kept = measured.read(settings.out) if settings.out.exists() and settings.out.stat().st_size else ()
        check_user_table()
    except TableError as error:
        raise UsageError(f"{error}.") from error
    given = None if settings.inputs is None else read_inputs(settings.inputs)
    place = gpu()
    device = device_of(place)
    name = settings.device_name or device.name
    if not fnmatchcase(device.name, name):
        raise UsageError(f"--device-name must fit the name of this GPU, {device.name!r}, not be {name!r}.")
    console, rows, done = Console(), {row.key: row for row in kept}, list[Tuned]()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    skipped = ""
    with Progress(*columns, console=console, transient=True) as progress:
        counts = [1 + sum(len(axis.variants(in_use(case, device))) for axis in axes_of(case, device)) for case in cases]
        task = progress.add_task("", total=sum(counts))
        of_case: Callable[[AnyConfig], float] | None
        for number, case in enumerate(cases):
            progress.update(task, description=str(case))
            try:
                known = [one.best for one in done if _is_alike(one.case, case)]
                of_case = _measure(case, given, settings.heads, place)
                found = tune(case, device, of_case, settings.seconds, known, lambda n: progress.advance(task, n))
            except (Failed, torch.OutOfMemoryError) as error:
                skipped = f"{case}: {error}"
                console.print(f"{case}: left out, {error}", markup=False, highlight=False)
            except bench.DeviceLost as error:
                raise UsageError(f"the GPU answers no more at {case} ({error}); rows before it are written.") from error
            else:
                done.append(found)
                row = _row(found, name, device)
                rows[row.key] = row
                # A model that starts meanwhile may read it.
                write_whole(settings.out, measured.text(rows.values()).encode())
                _print(console, found)
            finally:
                of_case = None  # the next case needs the room of its inputs
                progress.update(task, completed=sum(counts[: number + 1]))
    if not done:
        raise UsageError(f"nothing could be measured; the last case was {skipped}.")
    console.print(table(done))
    console.print(f"Written. To use it: export {VARIABLE}={settings.out.resolve()}", markup=False, highlight=False,
                  soft_wrap=True)  # fmt: skip


def _measure(
    case: Case, given: Mapping[str, Tensor] | None, heads: int, place: torch.device
) -> Callable[[AnyConfig], float]:
    """What times a configuration of the case, with inputs of its own."""
    if given is None:
        return bench.bench(case, bench.random_inputs(case, heads, place))
    return bench.bench(case, bench.real_inputs(given, case, heads, place))


def tune(
    case: Case,
    device: Device,
    measure: Callable[[AnyConfig], float],
    seconds: float,
    known: list[AnyConfig],
    advance: Callable[[int], None],
) -> Tuned:
    """Find the best of a case; the one in use stays unless another is faster when both are timed again. Raises Failed
    where the one in use does not run."""
    before = in_use(case, device)
    fresh = list(dict.fromkeys(config for config in known if config != before))
    descent = descend(before, axes_of(case, device, fresh), measure, seconds, advance)
    best, before_ms = descent.best, measure(before)
    best_ms = measure(best) if best != before else before_ms
    if best_ms >= before_ms * (1 - NOISE):
        best, best_ms = before, before_ms
    return Tuned(case, before, best, before_ms, best_ms, descent)


def in_use(case: Case, device: Device) -> AnyConfig:
    """What the case would run with today."""
    if case.kernel == "hyper":
        return config_of(device, case.dtype, case.features, case.length, case.causal)
    in_pairs = case.kernel == "exact_pairs"
    return exact_config_of(device, case.dtype, case.features, case.length, case.causal, in_pairs)


def gpu() -> torch.device:
    """The current NVIDIA GPU. Raises UsageError where there is none, or no Triton."""
    if not torch.cuda.is_available() or torch.version.hip is not None:
        raise UsageError("tune measures on an NVIDIA GPU, and PyTorch sees none here.")
    if importlib.util.find_spec("triton") is None:
        raise UsageError("tune measures Triton kernels, and Triton is not installed.")
    return torch.device("cuda", torch.cuda.current_device())


def table(done: list[Tuned]) -> Table:
    """A row for each case, for rich: the configuration in use before beside the best, and what is other in it."""
    made = Table(title="milliseconds; keys·warps·stages", box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    for heading in ("kernel", "dtype", "mask"):
        made.add_column(heading, no_wrap=True)
    for heading in ("D", "n", "in use", "best", "×"):
        made.add_column(heading, justify="right", no_wrap=True)
    made.add_column("changed")
    for one in done:
        case, before, best = one.case, in_words(one.before), in_words(one.best)
        made.add_row(
            case.kernel,
            str(case.dtype).removeprefix("torch."),
            "causal" if case.causal else "full",
            str(case.features),
            f"{case.length:,}",
            f"{one.before_ms:.3f}",
            f"{one.best_ms:.3f}",
            f"{one.before_ms / one.best_ms:.2f}",
            "\n".join(word for word in best if word not in before) or "–",
        )
    return made


def in_words(config: AnyConfig) -> list[str]:
    """Like ["sums 64·4·3", "search 128·4·3", "attend 32·8·3"]."""
    attend = f"attend {_dotted(config.attend)}"
    if isinstance(config, ExactConfig):
        return [attend, f"rows {config.rows}"]
    return [f"sums {_dotted(config.sums)}", f"search {_dotted(config.search)}", attend, f"plain {config.plain}"]


def _dotted(phase: Phase) -> str:
    return f"{phase.keys}·{phase.warps}·{phase.stages}"


def _print(console: Console, found: Tuned) -> None:
    descent = found.descent
    told = f"{found.before_ms:.3f} → {found.best_ms:.3f} ms with {', '.join(in_words(found.best))}"
    counts = f"{descent.tried} configurations" + (f", no time for {descent.left} more" if descent.left else "")
    lines = [f"{found.case}: {told} ({counts})"]
    lines += [f"  skipped {', '.join(in_words(config))}: {reason}" for config, reason in descent.failed]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _row(found: Tuned, name: str, device: Device) -> Row:
    import triton

    case = found.case
    return Row(
        name, device.capability, case.kernel, case.dtype, case.features, case.length, case.causal, found.best,
        round(found.best_ms, 4), torch.__version__, triton.__version__,
    )  # fmt: skip


def _is_alike(one: Case, other: Case) -> bool:
    return (one.kernel, one.dtype, one.features) == (other.kernel, other.dtype, other.features)


def _words(text: str, option: str, known: tuple[str, ...]) -> list[str]:
    words = list(dict.fromkeys(word.strip() for word in text.split(",")))
    for word in words:
        if word not in known:
            raise UsageError(f"{option} must be of {', '.join(known)}, separated by commas, not {word!r}.")
    return words


def _lengths(text: str) -> list[int]:
    lengths = list(dict.fromkeys(word.strip() for word in text.split(",")))
    for word in lengths:
        if len(word) > 12 or not word.isascii() or not word.isdigit() or not LEAST_LENGTH <= int(word) <= MOST_LENGTH:
            raise UsageError(
                f"--lengths must be whole numbers from {LEAST_LENGTH} to {MOST_LENGTH}, separated by commas, "
                f"not {word!r}."
            )
    return [int(word) for word in lengths]


def read_inputs(file: Path) -> dict[str, Tensor]:
    """q [h, n, D], k and v [h_kv, n, D] of a .safetensors file that --inputs names. Raises UsageError."""
    loader: Any = require("safetensors.torch", "demo", "--inputs")
    try:
        found: dict[str, Tensor] = loader.load_file(file)
    except Exception as error:  # safetensors has errors of its own
        raise UsageError(f"--inputs {file} cannot be read: {first_line(error)}.") from error
    shapes = [tuple(found[name].shape) for name in "qkv" if name in found]
    is_right = (
        len(shapes) == 3
        and all(len(shape) == 3 and min(shape) > 0 for shape in shapes)
        and len({shape[1:] for shape in shapes}) == 1
        and shapes[1] == shapes[2]
        and shapes[0][0] % shapes[1][0] == 0
    )
    if not is_right:
        raise UsageError(f"--inputs {file} must hold q, k and v, each [heads, n, features], of one n and features.")
    return found
