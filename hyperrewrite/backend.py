"""The backend of `torch.compile(model, backend="hyper", options={…}, mode=…)`: our passes, then Inductor."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import fx

from . import __version__
from .analysis import analyse, announce, logger, verified
from .assumptions import guarded
from .errors import MachineError, OptionError, PlainError
from .machine import missing_by
from .options import Options
from .restoring import restoring
from .sizes import chosen


def hyper(
    gm: fx.GraphModule,
    example_inputs: Sequence[torch.Tensor],
    *,
    options: Mapping[str, Any] | None = None,
    mode: str | None = None,
) -> Callable[..., Any]:
    """Compile one Dynamo graph: rewrite its attention, hand the rest to Inductor.

    options  see `hyperrewrite.Options`; an unknown one raises OptionError naming the nearest.
    mode     of torch.compile ("reduce-overhead", "max-autotune", …); reaches Inductor, as does options["inductor"].

    Raises OptionError, and MachineError where Inductor finds no C++ compiler or cannot write to its folder. Dynamo
    hands both on as they are.
    """
    try:
        return _hyper(gm, example_inputs, options, mode)
    except PlainError as error:
        error.first_useful_frame = inspect.currentframe()
        raise


def _hyper(
    gm: fx.GraphModule, example_inputs: Sequence[torch.Tensor], options: Mapping[str, Any] | None, mode: str | None
) -> Callable[..., Any]:
    settings = Options.of(options)
    patches = _patches(settings, mode)
    analysis = analyse(gm, settings, example_inputs)
    if analysis.changed and settings.verify:
        analysis = verified(gm, analysis, settings, example_inputs)
    if analysis.changed:
        try:
            compiled = _inductor(analysis.module, example_inputs, patches)
            if analysis.short is not None:
                short = _inductor(analysis.short.module, example_inputs, patches)
                compiled = chosen(short, compiled, analysis.short.limits, example_inputs)
        except (torch._dynamo.exc.RestartAnalysis, MachineError):
            raise  # not a failure of the graph: Dynamo is asked to trace again, or the graph as it was fails alike
        except Exception as error:
            logger.warning("Inductor failed on the rewritten graph; compiling it as it was", exc_info=True)
            analysis = analysis.undone(gm, f"Inductor: {type(error).__name__}: {error}")
        else:
            announce(analysis)
            return guarded(compiled, analysis.assumed, lambda: _general(gm, options, mode))
    compiled = _inductor(gm, example_inputs, patches)
    announce(analysis)
    return compiled


def _general(gm: fx.GraphModule, options: Mapping[str, Any] | None, mode: str | None) -> Callable[..., Any]:
    """The graph compiled once more, its buffers now plain arguments whose values nothing is assumed about."""
    logger.warning("a buffer that held a causal mask has changed; the graph that reads it is compiled again without it")
    compiled: Any = torch.compile(gm, backend=partial(hyper, options=options, mode=mode))
    return compiled


def _inductor(
    gm: fx.GraphModule, example_inputs: Sequence[torch.Tensor], patches: dict[str, Any]
) -> Callable[..., Any]:
    from torch._inductor.compile_fx import compile_fx

    try:
        with restoring():
            compiled: Any = compile_fx(gm, example_inputs, config_patches=patches)
    except Exception as error:
        if (sentence := missing_by(error)) is not None:
            logger.debug("Inductor failed because of the machine", exc_info=True)
            raise MachineError(sentence) from None
        raise
    return compiled


def _patches(options: Options, mode: str | None) -> dict[str, Any]:
    """Inductor's configuration for this compile: the mode's, then the user's, then our mark in its cache key."""
    from torch._inductor import list_mode_options

    patches: dict[str, Any] = {}
    if mode is not None and mode != "default":
        try:
            patches |= list_mode_options(mode)
        except RuntimeError as error:
            raise OptionError(f"unknown mode {mode!r}: {error}") from None
    patches |= options.inductor
    return patches | _passes(options, patches)


def _passes(options: Options, patches: Mapping[str, Any]) -> dict[str, Any]:
    """Passes around Inductor's: they keep its fuse_attention off, and put version and options into its cache key.

    The rewritten graph alone would not do: an op's meaning can change between versions with its schema unchanged.
    """
    from torch._inductor import config

    from .fences import Passes, put_fences, take_fences

    mark = f"hyperrewrite {__version__} {source_digest()} {_stable(options)}"
    ours = {
        "joint_custom_pre_pass": {"after": put_fences},
        "joint_custom_post_pass": {"before": take_fences},
        "post_grad_custom_pre_pass": {},
    }

    def theirs(name: str) -> list[Any]:
        given = patches.get(name)
        given = getattr(config, name) if given is None else given
        return list(given) if isinstance(given, list | tuple) else [] if given is None else [given]

    return {name: Passes(mark, theirs(name), **around) for name, around in ours.items()}


def _stable(options: Options) -> str:
    values = {name: value for name, value in options.as_dict().items() if name != "inductor"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


@cache
def source_digest() -> str:
    """A digest of the installed sources, so that an edited checkout misses the cache like a new version does."""
    from . import kernels, passes

    digest = hashlib.sha256()
    for room in (Path(__file__).parent, *(Path(p) for p in (*passes.__path__, *kernels.__path__))):
        for file in sorted(room.rglob("*.py")):
            digest.update(str(file.relative_to(room)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
