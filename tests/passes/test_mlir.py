"""Graphs as text: MLIR where torch-mlir is installed, FX lines everywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from attention_forms import FORMS, qkv
from graphs import capture
from hyperrewrite.passes import mlir
from torch import Tensor

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
