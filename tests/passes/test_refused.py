"""A site that cannot be written after all is left alone with its reason; the others of its graph are written."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from graphs import EXACT, assert_same, capture
from hyperrewrite.passes.emit import Emitter
from hyperrewrite.passes.spec import Rejected, RejectionCode
from torch import Tensor

from hyperrewrite.analysis import analyse


def two_layers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q = torch.softmax(q @ k.mT, dim=-1) @ v
    return torch.softmax(q @ k.mT * 0.5, dim=-1) @ v


@pytest.mark.parametrize("refused", [0, 1])
def test_the_others_are_written(monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    args = tuple(torch.randn(2, 4, 31, 16) for _ in range(3))
    graph = capture(two_layers, args)
    before = str(graph.module.graph)
    real, results = Emitter.result, []

    def result(self: Emitter, *rest: Any) -> Any:
        results.append(self)
        if len(results) == refused + 1:
            raise Rejected(RejectionCode.LAYOUT, "planted", None)
        return real(self, *rest)

    monkeypatch.setattr(Emitter, "result", result)
    done = analyse(graph.module, EXACT)
    assert done.changed
    assert done.report.failures == ()
    assert done.report.site_count == 1
    (row,) = done.report.rejections
    assert (row.code, row.message) == ("layout", "planted")
    assert row.line == two_layers.__code__.co_firstlineno + 1 + refused
    words = [str(n.target) for n in done.module.graph.nodes]
    assert len([w for w in words if "softmax" in w]) == 1
    assert len([w for w in words if "scaled_dot_product" in w]) == 1
    assert_same(done.module(*graph.inputs), graph.module(*graph.inputs))
    assert str(graph.module.graph) == before
