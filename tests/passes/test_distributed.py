"""Attention on distributed tensors: split by batch and by head it is rewritten, else left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attention_forms import qkv
from graphs import EXACT, assert_same, capture, run

from hyperrewrite.analysis import analyse

WORKER = Path(__file__).parents[1] / "support" / "tensor_parallel.py"
TIMEOUT = 120  # seconds; a quiet machine takes 10


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes saw, joined by gloo."""
    meeting = tmp_path_factory.mktemp("ranks") / "meeting"
    path = os.pathsep.join([*filter(None, sys.path), str(WORKER.parent)])
    env = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), str(meeting)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        printed = [rank.communicate(timeout=TIMEOUT) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    for rank, (_, errors) in zip(ranks, printed, strict=True):
        assert rank.returncode == 0, errors
    found: dict[str, Any] = json.loads(printed[0][0])
    return found


@pytest.mark.parametrize(
    ("case", "actions"),
    [
        ("heads", ["exact"]),
        ("heads, softcap", ["exact"]),
        ("heads, grouped", ["exact"]),
        ("heads, estimated", ["hyper"]),
        ("batch", ["exact"]),
        ("queries by head", ["exact"]),
        ("queries by position", ["placement"]),
        ("a mask", ["placement"]),
    ],
)
def test_sites(seen: dict[str, Any], case: str, actions: list[str]) -> None:
    """Compiled: output and all gradients are those of the plain model in float64."""
    assert seen[case]["actions"] == actions
    assert seen[case]["error"] < (0.3 if actions == ["hyper"] else 1e-5)


@pytest.mark.parametrize(
    "case",
    [
        "by head",
        "by head, one bias",
        "by batch",
        "by batch, one bias",
        "by head, one key head",
        "by position",
    ],
)
def test_the_op(seen: dict[str, Any], case: str) -> None:
    """The op with a mask of keys and a bias: what cannot be split so is gathered first."""
    assert seen[f"op {case}"]["error"] < 1e-5


def test_sdpa_that_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Context parallel puts another function in the place of SDPA, which what we write must not run."""

    def eager(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.softmax(q @ k.mT, -1) @ v

    def multihead(x: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = F.multi_head_attention_forward(
            x, x, x, 8, 2, weight, None, None, None, False, 0.0, out, None, need_weights=False
        )[0]
        return found

    inputs = qkv()()
    graph = capture(eager, inputs)
    joined = capture(multihead, (torch.randn(6, 2, 8), torch.randn(24, 8), torch.randn(8, 8)))
    want = run(eager, inputs)
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *_, **__: pytest.fail("replaced"))
    analysis = analyse(graph.module, EXACT)
    assert [row.action for row in analysis.report.sites] == ["exact"]
    assert_same(analysis.module(*graph.inputs)[0], want)
    assert [row.code for row in analyse(joined.module, EXACT).report.rejections] == ["opaque_call"]
