"""Dynamic shapes: as many graphs and not one guard more than PyTorch makes of the same model without us.

With `dynamic=True` and with `mark_dynamic`, at four lengths. What is compared is every guard that Dynamo keeps with the
compiled code and, in the ShapeEnv, every relation of sizes, every size that was pinned and every range. AOTAutograd
stands for Inductor, which asks no question about sizes before it; where Inductor itself is meant, it writes its code
(that is when it asks) and the C++ compiler is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from attention_forms import FORMS, qkv
from hyperrewrite.passes.copying import copied_graph
from tiny_models import MODELS
from torch import Tensor, fx, nn
from torch._dynamo.backends.common import aot_autograd
from torch.utils._sympy.value_ranges import ValueRanges

import hyperrewrite
from hyperrewrite import backend as backend_module

from .models import Stack

LENGTHS = (31, 45, 64, 20)
Compiler = Callable[..., Any]


class Padded(nn.Module):
    """A hand-written decoder layer with a padding mask."""

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, n, 32] → the same, 2 heads."""
        n = x.shape[1]
        heads = x.unflatten(-1, (2, 16)).transpose(1, 2)
        positions = torch.arange(n, device=x.device)
        keep = (positions[None, :] <= positions[:, None]) & attention_mask.bool()[:, None, None, :]
        scores = (heads @ heads.transpose(-2, -1)) * 0.25
        scores = scores.masked_fill(~keep, torch.finfo(scores.dtype).min)
        return (scores.softmax(-1) @ heads).transpose(1, 2).flatten(2)


def _grouped(x: Tensor) -> Tensor:
    """8 query heads over 2 kv heads, which are repeated as in Llama; x [B, n, 12·16]."""
    q, k, v = x.unflatten(-1, (12, 16)).transpose(1, 2).split((8, 2, 2), 1)
    batch, _, n, d = q.shape
    k, v = (t[:, :, None].expand(batch, 2, 4, n, d).reshape(batch, 8, n, d) for t in (k, v))
    scores = (q @ k.transpose(2, 3) * 0.25).masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -torch.inf)
    return scores.softmax(-1) @ v


def _cache_step(q: Tensor, k: Tensor, v: Tensor, past_k: Tensor, past_v: Tensor) -> Tensor:
    """Some new tokens behind a cache that grows."""
    keys, values = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
    new, past = q.shape[2], past_k.shape[2]
    i, j = torch.arange(new)[:, None] + past, torch.arange(new + past)[None, :]
    scores = (q @ keys.transpose(-2, -1) * 0.25).masked_fill(j > i, -torch.inf)
    return scores.softmax(-1) @ values


def _step_inputs(n: int) -> tuple[Tensor, ...]:
    return tuple(torch.randn(2, 4, length, 16) for length in (3, 3, 3, n, n))


def _mask(n: int) -> Tensor:
    mask = torch.ones(2, n, dtype=torch.int64)
    mask[0, :5] = 0
    return mask


def _whole(name: str, implementation: str) -> Callable[..., Any]:
    model = MODELS[name].build(implementation)

    def call(input_ids: Tensor, attention_mask: Tensor) -> Any:
        return model(input_ids=input_ids, attention_mask=attention_mask)[0]

    return call


@dataclass(frozen=True)
class Case:
    """build() → the callable; inputs(n) → its tensors; dims: which dim of each is dynamic, None for none."""

    build: Callable[[], Callable[..., Any]]
    inputs: Callable[[int], tuple[Tensor, ...]]
    dims: tuple[int | None, ...]


def _tokens(n: int) -> tuple[Tensor, ...]:
    return torch.randint(3, 90, (2, n)), _mask(n)


CASES = {
    "decoder": Case(lambda: Stack(1), lambda n: (torch.randn(2, n, 32),), (1,)),
    "padded": Case(Padded, lambda n: (torch.randn(2, n, 32), _mask(n)), (1, 1)),
    "gqa": Case(lambda: _grouped, lambda n: (torch.randn(2, n, 192),), (1,)),
    "window": Case(lambda: FORMS["sliding_window"].function, lambda n: qkv(n=n)(), (2, 2, 2)),
    "cache": Case(lambda: _cache_step, _step_inputs, (None, None, None, 2, 2)),
    "llama-eager": Case(lambda: _whole("llama", "eager"), _tokens, (1, 1)),
    "llama-sdpa": Case(lambda: _whole("llama", "sdpa"), _tokens, (1, 1)),
    "bert-eager": Case(lambda: _whole("bert", "eager"), _tokens, (1, 1)),
    "bert-sdpa": Case(lambda: _whole("bert", "sdpa"), _tokens, (1, 1)),
}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    torch.manual_seed(0)
    yield
    torch._dynamo.reset()


@dataclass
class Compiled:
    """What was kept of all lengths: guards of each compiled graph, what the ShapeEnv of each learned, the outputs."""

    guards: list[Counter[str]] = field(default_factory=list)
    sizes: list[Counter[str]] = field(default_factory=list)
    ranges: list[dict[str, ValueRanges[Any]]] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)


def _compiled(case: Case, backend: Compiler, mark: bool) -> Compiled:
    """Compile and run at every length."""
    torch._dynamo.reset()
    found = Compiled()
    torch.manual_seed(0)
    inner = case.build()
    environments: list[Any] = []

    def call(*tensors: Tensor) -> Any:
        return inner(*tensors)

    def watched(gm: fx.GraphModule, inputs: Sequence[Any]) -> Any:
        done = backend(gm, inputs)  # may ask Dynamo to trace again: then nothing is kept
        environments.append(torch._guards.TracingContext.get().fake_mode.shape_env)
        return done

    compiled = torch.compile(call, backend=watched, fullgraph=True, dynamic=None if mark else True)
    with torch.no_grad():
        for n in LENGTHS:
            torch.manual_seed(n)
            tensors = case.inputs(n)
            for tensor, dim in zip(tensors, case.dims, strict=True):
                if mark and dim is not None:
                    torch._dynamo.mark_dynamic(tensor, dim)
            found.outputs.append(compiled(*tensors))
    for entry in torch._dynamo.eval_frame._debug_get_cache_entry_list(call):
        found.guards.append(Counter(map(_settled, entry.guard_manager.code_parts)))
    found.sizes = [_learned(environment) for environment in environments]
    found.ranges = [{str(s): span for s, span in e.var_to_range.items()} for e in environments]
    return found


def _settled(guard: str) -> str:
    """Without addresses and numbered globals."""
    return re.sub(r"\d{7,}|(?<=__)\d+(?=')", "…", re.sub(r"(?<=_dict___)\d+", "…", guard))


def _learned(environment: Any) -> Counter[str]:
    relations = [str(guard.expr) for guard in environment.guards]
    pinned = [f"{symbol} is {value}" for symbol, value in environment.replacements.items()]
    return Counter(relations + pinned)


def _assert_no_more(ours: Compiled, theirs: Compiled) -> None:
    assert len(ours.guards) <= len(theirs.guards), "compiled more often"
    for mine, other in zip(ours.guards, theirs.guards, strict=False):
        assert not mine - other, f"surplus guards: {mine - other}"
    assert len(ours.sizes) <= len(theirs.sizes)
    for mine, other in zip(ours.sizes, theirs.sizes, strict=False):
        assert not mine - other, f"surplus of the ShapeEnv: {mine - other}, where PyTorch has {other - mine}"
    for mine, other in zip(ours.ranges, theirs.ranges, strict=False):
        narrower = {s: span for s, span in mine.items() if not other[s].issubset(span)}
        assert not narrower, f"narrower ranges: {narrower}, where PyTorch has {other}"
    for mine, other in zip(ours.outputs, theirs.outputs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def _aot(gm: fx.GraphModule, inputs: Sequence[Any]) -> Any:
    """AOTAutograd, whose graph runs as it stands."""
    return aot_autograd(fw_compiler=lambda graph, _: graph.forward)(_copy(gm), inputs)


def _copy(gm: fx.GraphModule) -> fx.GraphModule:
    """Compilers work in place."""
    copied = fx.GraphModule(gm, copied_graph(gm)[0])
    copied.meta.update(gm.meta)
    return copied


class _Written(Exception):
    """Inductor has written its code."""


def _inductor(gm: fx.GraphModule, inputs: Sequence[Any], patches: dict[str, Any] | None = None) -> Any:
    """Inductor up to its code, which is thrown away; what runs is the graph."""
    from torch._inductor.compile_fx import compile_fx
    from torch._inductor.graph import GraphLowering

    def stop(self: Any) -> None:
        self.codegen()
        raise _Written("written")

    with pytest.MonkeyPatch.context() as patch, torch._functorch.config.patch(enable_autograd_cache=False):
        patch.setattr(GraphLowering, "compile_to_module", stop)
        try:
            compile_fx(_copy(gm), inputs, config_patches={**(patches or {}), "fx_graph_cache": False})  # type: ignore[arg-type]
        except torch._dynamo.exc.RestartAnalysis:
            raise
        except Exception as error:
            assert "_Written" in repr(error) or "_Written" in str(error), error
            return gm.forward
    raise AssertionError("Inductor did not come to its code")


def _hyper(compiler: Compiler, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Compiler:
    """Our backend with another compiler in the place of Inductor."""
    monkeypatch.setattr(backend_module, "_inductor", lambda gm, inputs, patches: compiler(gm, inputs))

    def backend(gm: fx.GraphModule, inputs: Sequence[Any]) -> Any:
        return backend_module.hyper(gm, inputs, options=options)

    return backend


@pytest.mark.parametrize("mark", [False, True], ids=["dynamic", "marked"])
@pytest.mark.parametrize("name", CASES)
def test_no_guard_more(name: str, mark: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimated where long enough at run time, which these lengths are not: so values stay."""
    case = CASES[name]
    theirs = _compiled(case, _aot, mark)
    with hyperrewrite.record() as log:
        ours = _compiled(case, _hyper(_aot, monkeypatch), mark)
    assert log.report.site_count and not log.report.failures
    assert len(theirs.guards) == 1
    _assert_no_more(ours, theirs)


@pytest.mark.parametrize("mark", [False, True], ids=["dynamic", "marked"])
@pytest.mark.parametrize("name", ["padded", "window", "cache"])
def test_no_guard_more_than_inductor(name: str, mark: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    theirs = _compiled(case, _inductor, mark)
    ours = _compiled(case, _hyper(_inductor, monkeypatch), mark)
    _assert_no_more(ours, theirs)


@pytest.mark.parametrize("name", ["decoder", "gqa", "window", "cache"])
def test_exact_sites_add_none_either(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    theirs = _compiled(case, _aot, mark=True)
    _assert_no_more(_compiled(case, _hyper(_aot, monkeypatch, approximate=False), mark=True), theirs)
