"""Graphs as text: MLIR where torch-mlir is installed, FX lines everywhere; graphs in linalg, and run from there."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from attention_forms import FORMS, qkv
from graphs import assert_same, capture
from hyperrewrite.kernels import decomposition, ops
from hyperrewrite.passes import linalg, mlir
from torch import Tensor, fx

SUPPORT = Path(__file__).parent.parent / "support"
PRINT = """
import sys; sys.path.insert(0, {support!r})
from attention_forms import FORMS
from graphs import capture
from hyperrewrite.passes.mlir import to_mlir, to_text
form = FORMS["causal_and_padding"]
graph = capture(form.function, form.inputs())
print(to_text(graph.module) + to_text(graph.with_op()) + {mlir})
"""

needs_mlir = pytest.mark.skipif(not mlir.available(), reason="needs the extra hyperrewrite[mlir]")


def test_text_is_the_same_in_another_process() -> None:
    made = "to_mlir(graph.with_op(), graph.inputs)" if mlir.available() else "''"
    code = PRINT.format(support=str(SUPPORT), mlir=made)
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    (text,) = texts
    assert "hyper.attention" in text
    assert str(SUPPORT) not in text


def test_one_sentence_without_torch_mlir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlir, "available", lambda: False)
    graph = capture(FORMS["matmul_softmax"].function, FORMS["matmul_softmax"].inputs())
    with pytest.raises(ImportError, match=r"pip install 'hyperrewrite\[mlir\]'"):
        mlir.to_mlir(graph.module, graph.inputs)


def test_fx_lines_do_not_show_names() -> None:
    def one(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = query @ key.mT
        return torch.softmax(scores[..., :3], dim=-1) @ value[:, :, :3]

    def two(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        x = a @ b.mT
        return torch.softmax(x[..., :3], dim=-1) @ c[:, :, :3]

    first, second = (mlir.to_text(capture(f, qkv(n=5)()).module) for f in (one, two))
    assert "query" not in first
    assert "(Ellipsis, :3)" in first
    assert sorted(first.splitlines()) == sorted(second.splitlines()) or first.count("\n") == second.count("\n")
    assert "f32[2, 4, 5, 5]" in first
    assert first.splitlines()[-1].startswith("return (%")


@needs_mlir
def test_writes_are_made_functional() -> None:
    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT
        scores /= 8
        k.add_(1)
        return torch.softmax(scores, dim=-1) @ v + k

    graph = capture(function, qkv(n=5)())
    before = [t.clone() for t in graph.inputs]
    text = mlir.to_mlir(graph.module, graph.inputs)
    assert "torch.aten.div.Scalar" in text
    assert "div_" not in text
    assert all(torch.equal(a, b) for a, b in zip(graph.inputs, before, strict=True)), (
        "the caller's tensors were written"
    )


@needs_mlir
def test_large_constants_are_elided_and_weights_are_arguments() -> None:
    layer = torch.nn.Linear(40, 7)
    table = list(range(100))
    graph = capture(lambda x: layer(x) + torch.tensor(table)[:7], (torch.randn(3, 40),))
    text = mlir.to_mlir(graph.module, graph.inputs)
    assert "dense_resource" in text
    assert "dialect_resources" not in text
    assert text.count("%arg") >= 3
    assert len(text) < 4000


@needs_mlir
def test_symbolic_lengths_are_traced_at_their_hint() -> None:
    form = FORMS["causal_by_tril"]
    graph = capture(form.function, form.inputs(), dynamic=True)
    text = mlir.to_mlir(graph.with_op(), graph.inputs)
    assert "hyper.attention" in text
    assert "[2,4,111,80]" in text


# --- linalg ---------------------------------------------------------------------------------------------------------

OP = {ops.attention._opoverload: decomposition.attention}
LOWERED = [
    "causal_by_tril", "einsum_positions_first", "bmm_merged_heads", "in_place_steps", "packed_unbind", "gqa_expand",
    "padding_masked_fill", "causal_and_padding", "sdpa_gqa", "causal_with_offset", "sliding_window",
    "bf16_upcast_scores",
]  # fmt: skip


@needs_mlir
@pytest.mark.parametrize("name", LOWERED)
def test_lowered_to_linalg_and_run_from_there(name: str) -> None:
    """The graph and its copy with the op, without PyTorch's kernels, against PyTorch."""
    form = FORMS[name]
    graph = capture(form.function, form.inputs())
    expected = graph.module(*graph.inputs)
    for module in (graph.module, graph.with_op()):
        lowered = linalg.lower(module, graph.inputs, OP)
        assert lowered.reason == ""
        assert lowered.text is not None and "linalg." in lowered.text
        assert "torch.aten" not in lowered.text and "hyper" not in lowered.text
        done = linalg.execute(lowered, graph.inputs)
        assert done.reason == ""
        assert_same(done.values, expected, form.tolerance)


@needs_mlir
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: torch.lgamma(x) + 1, "torch.aten.lgamma"),
        (lambda x: torch.ops.aten.view_copy(x, [-1]) * 2, "torch.aten.view_copy"),
        (lambda x: torch.special.bessel_j0(x), "torch.aten.special_bessel_j0"),
    ],
)
def test_what_has_no_lowering_is_named(function: Any, name: str) -> None:
    lowered = linalg.lower(fx.symbolic_trace(function), [torch.randn(4, 5)])
    assert lowered.text is None
    assert lowered.reason.startswith(f"no lowering of {name}: ")
    assert linalg.execute(lowered, [torch.randn(4, 5)]).reason == lowered.reason


@needs_mlir
def test_the_op_alone_has_no_lowering() -> None:
    form = FORMS["gqa_expand"]
    graph = capture(form.function, form.inputs())
    assert linalg.lower(graph.with_op(), graph.inputs).reason.startswith("no lowering of torch.hyper.attention: ")


@needs_mlir
def test_results_keep_order_dtype_and_strides_do_not_matter() -> None:
    """Outputs twice, an output that is an input, truth values, integers, scans; inputs of other strides; a number."""

    def function(x: Tensor, mask: Tensor, scale: float) -> tuple[Any, ...]:
        y = (x * scale).cumsum(-1)
        return y, mask, x > 0, y, mask.sum(-1), {"mean": y.mean()}

    inputs = [torch.randn(5, 3).t(), torch.ones(3, 7, dtype=torch.int64), 2.5]
    graph = fx.symbolic_trace(function)
    done = linalg.execute(linalg.lower(graph, inputs), inputs)
    assert done.reason == ""
    assert done.values is not None
    assert_same(list(done.values), graph(*inputs))


@needs_mlir
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -SEGV $$", "torch-mlir crashed with signal 11"),
        ("sleep 9", "torch-mlir took more than 1 s"),
        ("exit 3", "exit code 3"),
        (None, "torch-mlir did not start: "),
    ],
)
def test_a_crash_is_a_reason(script: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "tool"
    if script is not None:
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    monkeypatch.setattr(linalg, "_tool", lambda: str(tool))
    monkeypatch.setattr(linalg, "SECONDS", 1.0)
    lowered = linalg.lower(fx.symbolic_trace(lambda x: x + 1), [torch.randn(3)])
    assert lowered.text is None
    assert lowered.reason.startswith(reason)


@needs_mlir
def test_a_module_that_does_not_run_is_a_reason() -> None:
    """What MLIR says, instead of an exception or a crash of this process."""
    x = torch.randn(3)
    lowered = linalg.lower(fx.symbolic_trace(lambda x: x + 1), [x])
    assert lowered.text is not None
    for text in (lowered.text.replace("@main", "@other"), "no module"):
        done = linalg.execute(replace(lowered, text=text), [x])
        assert done.values is None and done.reason


def test_no_lowering_without_torch_mlir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlir, "available", lambda: False)
    assert linalg.lower(fx.symbolic_trace(lambda x: x + 1), [torch.randn(3)]) == linalg.Lowered(
        None, "torch-mlir is not installed"
    )
