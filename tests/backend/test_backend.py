"""The backend end to end: right where it is exact, cached by Inductor, and never the reason that a model fails."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hyperrewrite.kernels import meter
from torch._dynamo.utils import counters
from torch._inductor import config as inductor_config
from torch._inductor.utils import fresh_cache
from torch.utils.checkpoint import checkpoint

import hyperrewrite
from hyperrewrite import backend as backend_module

from .models import Attention, Stack


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def _run(model: torch.nn.Module, x: torch.Tensor, **arguments: Any) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = torch.compile(model, backend="hyper", **arguments)(x)
    return out


@pytest.mark.parametrize("n", [63, 111])
def test_exact_by_name_with_no_import(n: int) -> None:
    model, x = Attention(), torch.randn(2, n, 32)
    with hyperrewrite.record() as log:
        out = _run(model, x, options={"approximate": False})
    assert log.report.site_count == 1
    assert [row.action for row in log.report.sites] == ["exact"]
    torch.testing.assert_close(out, model(x), rtol=1e-5, atol=1e-5)


def test_short_sequences_are_exact_by_default() -> None:
    model, x = Attention(), torch.randn(2, 63, 32)
    with hyperrewrite.record() as log:
        out = _run(model, x)
    assert [(row.action, row.code) for row in log.report.sites] == [("exact", "short")]
    torch.testing.assert_close(out, model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("algorithm", ["paper", "hyper"])
def test_approximate_runs_and_says_so(algorithm: str, caplog: pytest.LogCaptureFixture) -> None:
    model, x = Stack(), torch.randn(1, 300, 32)
    options = {
        "algorithm": algorithm,
        "min_seq_len": 64,
        "block_size": 16,
        "sample_size": 8,
        "tile": 16,
        "window": 32,
        "sinks": 8,
        "threshold": 0.01,
    }
    with caplog.at_level(logging.WARNING, "hyperrewrite"), hyperrewrite.record() as log:
        out = _run(model, x, options=options)
    assert [(row.action, row.count) for row in log.report.sites] == [(algorithm, 3)]
    assert len([r for r in caplog.records if "approximate" in r.getMessage()]) == 1
    error = (out - model(x)).norm() / model(x).norm()
    assert 1e-6 < error < 0.5  # it was approximated, and not nonsense


def test_layers_draw_apart() -> None:
    """Each with a seed of its own, the first with the option's; layers of one checkpointed body share it."""
    model, x = Stack(), torch.randn(1, 300, 32)
    options = {"min_seq_len": 64, "tile": 16, "window": 32, "sinks": 8, "seed": 7}

    def seeds(function: Callable[..., Any]) -> list[int]:
        torch._dynamo.reset()
        found: list[int] = []
        with torch.no_grad(), meter.observe(lambda seen: found.append(seen.call.parameters.seed)):
            torch.compile(function, backend="hyper", options=options)(x)
        return found

    apart = seeds(model)
    assert apart[0] == 7 and len(set(apart)) == len(apart) == 3
    layer = Attention()

    def twice(x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            x = checkpoint(layer, x, use_reentrant=False)
        return x

    assert seeds(twice) == [7, 7]


def test_layers_choose_the_sites() -> None:
    options = {"min_seq_len": 64, "tile": 16, "layers": "last:1"}
    report = hyperrewrite.explain(Stack(), torch.randn(1, 300, 32), options=options)
    assert [(row.action, row.code, row.count) for row in report.sites] == [
        ("exact", "other_layers", 2),
        ("hyper", "approximated", 1),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"options": {"windoww": 3}}, "unknown option 'windoww'; did you mean 'window'?"),
        (
            {"options": {"layers": "last:0"}},
            "layers='last:0' chooses no site",
        ),
        ({"mode": "fastest"}, "unknown mode 'fastest'"),
    ],
)
def test_a_wrong_option_arrives_as_it_was_raised(arguments: dict[str, Any], said: str) -> None:
    """Not inside BackendCompilerFailed, and without advice to report a bug; at every call, as it is not compiled."""
    model, x = torch.compile(Attention(), backend="hyper", **arguments), torch.randn(1, 63, 32)
    for _ in range(2):
        with pytest.raises(hyperrewrite.OptionError) as caught:
            model(x)
        assert type(caught.value) is hyperrewrite.OptionError and isinstance(caught.value, ValueError)
        assert str(caught.value).startswith(said) and "\n" not in str(caught.value) + repr(caught.value)
    assert "symbolic_convert" not in "".join(traceback.format_exception(caught.value))


def test_a_failure_of_the_model_is_still_a_failure_of_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no fault of options or machine is reported as ever."""

    def broken(*_: Any) -> Any:
        raise ValueError("planted")

    monkeypatch.setattr(backend_module, "_inductor", broken)
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match="planted"):
        _run(Attention(), torch.randn(1, 63, 32))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TORCHINDUCTOR_CACHE_DIR", "FILE/folder", "cache folder FILE/folder cannot be written to (Not a directory)"),
        ("CXX", "FILE", "finds no C++ compiler, which it needs for a CPU: install g++"),
    ],
)
def test_a_machine_that_cannot_compile_is_one_sentence(
    name: str, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the call compiles once that is mended."""

    def model(x: torch.Tensor) -> torch.Tensor:
        return (torch.softmax(x @ x.mT, -1) @ x).relu() * len(said)  # a C++ kernel that no test before has loaded

    file, x = tmp_path / "file", torch.randn(2, 3, 63, 32)
    file.write_text("", encoding="utf-8")
    compiled = torch.compile(model, backend="hyper")
    with monkeypatch.context() as context, fresh_cache():
        context.setenv(name, value.replace("FILE", str(file)))
        compiler = os.environ.get("CXX", "g++")  # as Inductor reads it, but when it is imported
        with inductor_config.patch({"cpp.cxx": (None, compiler)}), pytest.raises(hyperrewrite.MachineError) as caught:
            compiled(x)
        assert said.replace("FILE", str(file)) in str(caught.value) and name in str(caught.value)
        assert "\n" not in str(caught.value) and not [r for r in caplog.records if "hyperrewrite" in r.name]
    with fresh_cache():
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)


def test_mode_and_inductor_options_reach_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def inductor(gm: Any, example_inputs: Any, patches: dict[str, Any]) -> Any:
        seen.append(patches)
        return gm.forward

    monkeypatch.setattr(backend_module, "_inductor", inductor)
    _run(Attention(), torch.randn(1, 63, 32), mode="max-autotune-no-cudagraphs")
    torch._dynamo.reset()
    _run(Attention(), torch.randn(1, 63, 32), options={"inductor": {"epilogue_fusion": False}})
    assert seen[0]["max_autotune"] is True
    assert seen[1]["epilogue_fusion"] is False


def test_failure_in_our_passes_leaves_the_graph(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setattr("hyperrewrite.passes.subgraphs.rewrite", broken)
    model, x = Attention(), torch.randn(2, 63, 32)
    with caplog.at_level(logging.WARNING, "hyperrewrite"), hyperrewrite.record() as log:
        out = _run(model, x)
    torch.testing.assert_close(out, model(x), rtol=1e-5, atol=1e-5)
    assert log.report.failures == ("RuntimeError: planted",)
    assert len([r for r in caplog.records if "planted" in r.getMessage()]) == 1


def test_inductor_failing_on_the_rewritten_graph_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = backend_module._inductor, []

    def flaky(gm: Any, example_inputs: Any, patches: dict[str, Any]) -> Any:
        calls.append(gm)
        if len(calls) == 1:
            raise RuntimeError("planted")
        return real(gm, example_inputs, patches)

    monkeypatch.setattr(backend_module, "_inductor", flaky)
    model, x = Attention(), torch.randn(2, 63, 32)
    with hyperrewrite.record() as log:
        torch.testing.assert_close(_run(model, x), model(x), rtol=1e-5, atol=1e-5)
    assert len(calls) == 2
    assert log.report.site_count == 0
    assert log.report.failures == ("Inductor: RuntimeError: planted",)


def _hits(options: dict[str, Any]) -> tuple[int, int]:
    """(hits, misses) of Inductor's graph cache for one compile."""
    torch._dynamo.reset()
    counters.clear()
    torch.manual_seed(0)
    _run(Attention(), torch.randn(1, 63, 32), options=options)
    return counters["inductor"]["fxgraph_cache_hit"], counters["inductor"]["fxgraph_cache_miss"]


def test_inductor_cache_hits_and_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    with fresh_cache():
        assert _hits({"window": 64}) == (0, 1)
        assert _hits({"window": 64}) == (1, 0)
        assert _hits({"window": 65}) == (0, 1)  # a changed option misses, even where the graph is the same
        monkeypatch.setattr(backend_module, "__version__", "0.1.1")
        assert _hits({"window": 64}) == (0, 1)  # as does another version


def test_training_gradients() -> None:
    model, x = Attention(), torch.randn(2, 63, 32, requires_grad=True)
    weights = torch.randn(2, 63, 32)
    want = torch.autograd.grad((model(x) * weights).sum(), [x, *model.parameters()])
    out = torch.compile(model, backend="hyper")(x)
    got = torch.autograd.grad((out * weights).sum(), [x, *model.parameters()])
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_one_graph_serves_every_length() -> None:
    model = Attention()
    options = {"min_seq_len": 200, "tile": 16, "window": 32, "sinks": 8, "threshold": 0.01}
    with hyperrewrite.record() as log, torch.no_grad():
        compiled = torch.compile(model, backend="hyper", dynamic=True, options=options)
        for n in (63, 111, 190):
            x = torch.randn(1, n, 32)
            torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)
        x = torch.randn(1, 400, 32)
        assert (compiled(x) - model(x)).abs().max() > 1e-6
    assert [row.code for row in log.report.sites] == ["at_run_time"]
    assert log.report.graphs == 1
