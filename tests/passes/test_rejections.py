"""docs/rejections.md is complete and true: each code stands there, and each example gives its code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from attention_forms import MISSES, qkv, random
from graphs import capture
from hyperrewrite.passes.sites import Findings, find_sites
from hyperrewrite.passes.spec import RejectionCode
from ranks import two_ranks
from torch import Tensor

PAGE = (Path(__file__).parent.parent.parent / "docs" / "rejections.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


class Plain(torch.nn.Module):
    """Attention for tracers that record no shapes."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.matmul(torch.softmax(torch.matmul(q, k.transpose(-2, -1)), dim=-1), v)


def untyped_graph() -> Findings:
    return find_sites(torch.fx.symbolic_trace(Plain()))


def complex_attention() -> Findings:
    """Traced with tensors that hold nothing: PyTorch has a shape for this softmax, but no kernel."""
    module = torch.fx.symbolic_trace(Plain())
    record(module, *(torch.empty(t.shape, dtype=torch.complex64, device="meta") for t in qkv()()))
    return find_sites(module)


def record(module: torch.fx.GraphModule, *inputs: Tensor) -> None:
    """Run a graph and keep what each node gives."""

    class Record(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            n.meta["example_value"] = super().run_node(n)
            return n.meta["example_value"]

    Record(module).run(*inputs)


def gradient_inside() -> Findings:
    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.func.grad(lambda q: (torch.softmax(q @ k.transpose(-2, -1), -1) @ v).sum())(q)

    return capture(function, qkv()()).findings()


def queries_split_by_position() -> Findings:
    """One process that stands for two: what it holds is half of everything."""
    from torch.distributed.tensor import DTensor, Replicate, Shard

    with two_ranks() as mesh:
        split = [DTensor.from_local(random(1, 2, 8, 4), mesh, [p]) for p in (Shard(2), Replicate(), Replicate())]
        module = torch.fx.symbolic_trace(Plain())
        record(module, *split)
        return find_sites(module)


OTHERS = {
    "gradient_inside": gradient_inside,
    "queries_split_by_position": queries_split_by_position,
    "untyped_graph": untyped_graph,
    "complex_attention": complex_attention,
}


def test_every_code_is_documented_and_no_other() -> None:
    assert list(SECTIONS) == [code.value for code in RejectionCode]


@pytest.mark.parametrize("code", list(RejectionCode), ids=str)
def test_example_gives_its_code(code: RejectionCode) -> None:
    section = SECTIONS[code.value]
    names = re.findall(r"\[`(\w+)`\]", section)
    assert len(names) == 1
    assert "```python" in section
    name = names[0]
    findings = OTHERS[name]() if name in OTHERS else capture(MISSES[name].function, MISSES[name].inputs()).findings()
    assert not findings.sites
    assert [r.code for r in findings.rejections] == [code]
    assert findings.rejections[0].message


def test_a_rejection_names_the_line_of_the_user() -> None:
    form = MISSES["scores_through_relu"]
    (rejection,) = capture(form.function, form.inputs()).findings().rejections
    assert rejection.source.file.endswith("attention_forms.py")
    assert "relu" in rejection.source.code


def test_one_bad_site_does_not_hide_the_others() -> None:
    def two(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        good = torch.softmax(q @ k.mT, dim=-1) @ v
        return good + torch.softmax(torch.relu(q @ k.mT), dim=-1) @ v

    findings = capture(two, qkv()()).findings()
    assert (len(findings.sites), len(findings.rejections)) == (1, 1)


def test_router_needs_no_word() -> None:
    findings = capture(lambda x, w: torch.softmax(x @ w, dim=-1).topk(2), (random(31, 16), random(16, 8))).findings()
    assert findings == Findings((), ())
