"""Measures a configuration of the fused kernels on this machine's GPU: inputs, and the time of one call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from statistics import median

import torch
from torch import Tensor

from ..call import AttentionCall
from ..lifted import Lifted
from ..parameters import Parameters
from .choice import reason_against, reason_against_exact
from .config import Config, ExactConfig
from .tuner import Case, Failed

REPEATS = 15  # runs that a time is the median of
LEAST_REPEATS = 3
BUDGET = 300.0  # milliseconds that the runs of one candidate take together, about
DIFFERENCE = 0.02  # relative: an output that is further off is another one
DOCUMENT = 1024  # keys of a group of `exact_pairs`
SINKS, SINK_SCORE, OWN = 4, 8.0, 0.3  # of random inputs

Tensors = tuple[Tensor, Tensor, Tensor]


class DeviceLost(Exception):
    """The GPU answers no more, as after an illegal access; only a new process can go on."""


def random_inputs(case: Case, heads: int, device: torch.device) -> Tensors:
    """query, key, value [1, heads, n, D], where a query reads about as many keys as in a language model.

    All queries of a head point at its first keys, with a score of 8, as they do at attention sinks; those of a tile
    share a direction, which some keys have by chance. In Gaussian inputs every key matters a little, and
    thousands are drawn.
    """
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(1, *shape, device=device, dtype=case.dtype, generator=generator)

    n, features, tile = case.length, case.features, Parameters().tile
    common = torch.nn.functional.normalize(normal(heads, 1, features).float(), dim=-1).to(case.dtype)
    key, value, query = (normal(heads, n, features) for _ in range(3))
    key[:, :, :SINKS] = common * SINK_SCORE
    topic = normal(heads, -(-n // tile), features).repeat_interleave(tile, 2)[:, :, :n]
    query.mul_(OWN).add_(topic).add_(common * features**0.5)
    return query, key, value


def real_inputs(given: Mapping[str, Tensor], case: Case, heads: int, device: torch.device) -> Tensors:
    """The first tokens of q, k, v [h, n, D], heads repeated; for twice as many features two heads are side by side.

    Raises Failed where they have too few tokens or other features.
    """
    count, tokens, own = given["q"].shape
    if case.length > tokens or case.features not in (own, 2 * own):
        raise Failed(f"the inputs have {tokens:,} tokens of {own} features")
    group = count // given["k"].shape[0]

    def of(name: str, shift: int) -> Tensor:
        index = (torch.arange(heads) + shift) % count
        return given[name][index if name == "q" else index // group, : case.length]

    shifts = range(case.features // own)
    parts = [torch.cat([of(name, shift) for shift in shifts], -1)[None] for name in "qkv"]
    query, key, value = (part.to(device, case.dtype).contiguous() for part in parts)
    return query, key, value


def bench(case: Case, tensors: Tensors) -> Callable[[Config | ExactConfig], float]:
    """Milliseconds of a configuration, as a function that raises Failed or DeviceLost. Raises Failed where the kernel
    does not take the case at all.

    The first configuration that runs is what the others' output is compared with.
    """
    query, key, value = tensors
    is_hyper, n = case.kernel == "hyper", case.length
    call = AttentionCall(
        n,
        n,
        scale=case.features**-0.5,
        causal_offset=0 if case.causal else None,
        has_lifted=case.kernel == "exact_pairs",
        parameters=Parameters(algorithm="hyper" if is_hyper else "exact"),
    )
    if (reason := (reason_against if is_hyper else reason_against_exact)(query, key, value, call)) is not None:
        raise Failed(reason)
    from ..sampling.triton import launch  # Triton need not be there
    from . import launch_exact

    lifted = None
    if case.kernel == "exact_pairs":
        group = (torch.arange(n, device=query.device) // DOCUMENT)[None, :, None]
        lifted = Lifted(query_group=group, key_group=group)
    wanted: list[Tensor] = []

    def run(config: Config | ExactConfig) -> Tensor:
        if isinstance(config, Config):
            return launch.sampled(*tensors, None, call, config)[0]
        return launch_exact.exact(*tensors, None, None, lifted, call, rows=config.rows, phase=config.attend)[0]

    @torch.no_grad()
    def measure(config: Config | ExactConfig) -> float:
        try:
            out = run(config)
            if wanted and not (error := _difference(out, wanted[0])) <= DIFFERENCE:
                raise Failed(f"its output is {error:.2g} from that of the configuration in use")
            if not wanted:
                wanted.append(out)
            return milliseconds(lambda: run(config), query.device)
        except Failed:
            raise
        except Exception as error:  # whatever a compiler and a driver raise
            try:
                if query.device.type == "cuda":
                    torch.cuda.synchronize(query.device)
            except RuntimeError:
                raise DeviceLost(_first_line(error)) from error
            raise Failed(_first_line(error)) from error
        finally:
            with contextlib.suppress(RuntimeError):  # of a lost device; what was raised before says so
                torch.cuda.empty_cache()  # a graph has memory of its own

    return measure


def milliseconds(call: Callable[[], object], device: torch.device) -> float:
    """Of a call that was made once before and does not wait for the device: the median of several runs of it as a CUDA
    graph, so that what the host does is not in it."""
    with torch.cuda.device(device):
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        first = _timed(graph)
        repeats = max(LEAST_REPEATS, min(REPEATS, int(BUDGET / max(first, 1e-3))))
        graph.replay()  # warm
        return median(_timed(graph) for _ in range(repeats))


def _timed(graph: torch.cuda.CUDAGraph) -> float:
    start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    graph.replay()
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop)


def _difference(out: Tensor, wanted: Tensor) -> float:
    return float((out.float() - wanted.float()).norm() / wanted.float().norm())


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}"[:160] if lines else type(error).__name__
