"""A call that raises leaves nothing behind: modes, streams and observers are as before, and the next call is right."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from attention_cases import make_inputs
from hyperrewrite.kernels import engine, hyper, meter, planning
from hyperrewrite.kernels.sampling import estimate, rows
from hyperrewrite.kernels.sampling.prices import search
from torch import Tensor

pytestmark = pytest.mark.usefixtures("short_reference")
HYPER: dict[str, Any] = {"algorithm": "hyper", "min_seq_len": 8, "tile": 16, "window": 8, "sinks": 3, "threshold": 0.05,
                         "price": "search"}  # fmt: skip
ROWS: dict[str, Any] = {**HYPER, "price": "rows", "threshold": 0.5}
PAPER: dict[str, Any] = {"algorithm": "paper", "min_seq_len": 8, "block_size": 16, "sample_size": 16}
EXACT: dict[str, Any] = {"algorithm": "exact", "softcap": 2.0}

# Module, name of a step, and whether it runs in the forward of the call.
STAGES: list[tuple[dict[str, Any], Any, str]] = [
    (HYPER, hyper, "plan"),
    (HYPER, planning, "band_forward"),
    (HYPER, engine, "near_forward"),
    (HYPER, search.Search, "weights"),
    (HYPER, estimate, "_listed"),
    (HYPER, engine, "gather_rows"),
    (HYPER, engine, "near_lse"),
    (HYPER, engine, "attend_backward"),
    (ROWS, rows, "spreads"),
    (ROWS, rows, "select"),
    (ROWS, rows, "attend_listed"),
    (ROWS, engine, "_tiles_backward"),
    (PAPER, engine, "make_plan"),
    (PAPER, engine, "_tiles_forward"),
    (PAPER, engine, "_tiles_backward"),
    (EXACT, engine, "span_forward"),
    (EXACT, engine, "span_row_backward"),
]


def _state() -> list[Any]:
    """Everything of the process that a call could have left switched."""
    streams = [torch.cuda.current_stream(), torch.cuda.current_device()] if torch.cuda.is_available() else []
    return [
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"),
        torch._C._functorch.maybe_current_level(), torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        meter._observers.get(), *streams,
    ]  # fmt: skip


def _results(call: Callable[..., tuple[Tensor, Tensor]], rules: dict[str, Any]) -> list[Tensor]:
    inputs = make_inputs(96, heads=2, features=8)
    out, lse = call(inputs, rules)
    return [out, lse, *torch.autograd.grad(out.sum() + lse.sum(), inputs.leaves)]


def _call(inputs: Any, rules: dict[str, Any]) -> tuple[Tensor, Tensor]:
    return inputs.run(scale=0.4, causal_offset=0, **rules)


def _compiled(inputs: Any, rules: dict[str, Any]) -> tuple[Tensor, Tensor]:
    compiled = torch.compile(lambda q, k, v: torch.ops.hyper.attention(q, k, v, scale=0.4, causal_offset=0, **rules),
                             backend="aot_eager")  # fmt: skip
    return compiled(inputs.query, inputs.key, inputs.value)


@pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize(("rules", "room", "name"), STAGES, ids=lambda at: at if isinstance(at, str) else "")
def test_out_of_memory(
    rules: dict[str, Any], room: Any, name: str, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first step of a kind, or after two: generators have then handed something on."""
    before, wanted = _state(), _results(_call, rules)
    real, left = getattr(room, name), [2 if late else 0]

    def failing(*args: Any, **kwargs: Any) -> Any:
        if not left[0]:
            raise torch.OutOfMemoryError("no memory")
        left[0] -= 1
        return real(*args, **kwargs)

    monkeypatch.setattr(room, name, failing)
    for call in (_call, _compiled):
        left[0] = 2 if late else 0
        try:
            _results(call, rules)
        except torch.OutOfMemoryError as error:
            kept = error  # with its frames, as a notebook keeps them
            assert _state() == before
            del kept
        else:
            assert late  # there were fewer steps
        assert _state() == before
    monkeypatch.setattr(room, name, real)
    assert all(torch.equal(a, b) for a, b in zip(_results(_call, rules), wanted, strict=True))


def test_an_observer_that_raises() -> None:
    before, inputs = _state(), make_inputs(96, heads=2, features=8)

    def observer(seen: meter.Observation) -> None:
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError), meter.observe(observer):
        _call(inputs, HYPER)
    assert _state() == before


def test_a_reader_of_far_parts_that_stops() -> None:
    """Between two parts the mode is the reader's own."""
    inputs = make_inputs(96, heads=2, features=8)
    call = inputs.call(scale=0.4, causal_offset=0, **HYPER)
    tensors = (inputs.query, inputs.key, inputs.value)
    parts = planning.make_plan(inputs.query, inputs.key, None, call)
    near = planning.near_lse(inputs.query, inputs.key, None, call, parts)
    found = planning.far_parts(*tensors, None, call, near)
    assert next(found) is not None
    assert torch.is_grad_enabled()


def _held_at_yields(source: str) -> Iterator[str]:
    """Generators that yield inside a `with`, other than context managers."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        if any("contextmanager" in ast.unparse(decorator) for decorator in function.decorator_list):
            continue
        for block in ast.walk(function):
            if isinstance(block, ast.With) and any(isinstance(at, ast.Yield | ast.YieldFrom) for at in ast.walk(block)):
                yield f"{function.name}, line {block.lineno}"


def test_no_mode_is_held_at_a_yield() -> None:
    rooms = Path(__file__).parents[2]
    held = {
        str(file.relative_to(rooms)): names
        for room in ("kernels", "passes", "hyperrewrite")
        for file in (rooms / room).rglob("*.py")
        if (names := list(_held_at_yields(file.read_text())))
    }
    assert not held
    assert list(_held_at_yields("def f():\n with torch.no_grad():\n  yield 1")) == ["f, line 2"]
