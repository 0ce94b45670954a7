"""The fused kernels of `paper` on a GPU: against the portable code, without a wait for the device, in a CUDA graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import make_inputs
from captured import check_captured
from hyperrewrite.kernels import engine, paper
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.lsh import Draws
from hyperrewrite.kernels.parameters import Parameters
from hyperrewrite.kernels.parts import Tiles
from torch import Tensor

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("error:a Triton kernel failed")]

PAPER: dict[str, Any] = {"algorithm": "paper", "min_seq_len": 64, "block_size": 32, "sample_size": 32}


def halves(*shape: int, dtype: torch.dtype, seed: int) -> Tensor:
    """Whole halves: their projections are exact whatever the order of the sums, so every device hashes alike."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator) * 2).round().div(2).to("cuda", dtype)


def portable(tensors: list[Tensor], mask: Tensor | None, call: AttentionCall, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(engine.fused, "forward", lambda *_: None)
        return engine.forward(*(tensor.float() for tensor in tensors), mask, None, call)


@pytest.mark.parametrize(
    ("dtype", "n", "features", "value_features"),
    [
        (torch.bfloat16, 1000, 64, 64),
        (torch.bfloat16, 1024, 64, 64),
        (torch.bfloat16, 1111, 40, 24),
        (torch.float16, 1000, 80, 80),
        (torch.bfloat16, 1024, 128, 128),
        (torch.float16, 900, 256, 256),
        (torch.float32, 1000, 64, 64),
        (torch.float32, 700, 128, 96),
    ],
)
@pytest.mark.parametrize("offset", [None, 0, -100])
@pytest.mark.parametrize("masked", [0.0, 0.3])
def test_matches_the_portable_code(
    dtype: torch.dtype, n: int, features: int, value_features: int, offset: int | None, masked: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    sizes = ((4, features), (2, features), (2, value_features))
    tensors = [halves(2, heads, n, size, dtype=dtype, seed=k) for k, (heads, size) in enumerate(sizes)]
    if n == 1111:
        tensors = [tensor.transpose(1, 2).contiguous().transpose(1, 2) for tensor in tensors]
    mask = torch.rand(2, n, generator=torch.Generator().manual_seed(3)).cuda() >= masked if masked else None
    call = AttentionCall(n, n, scale=0.5 / features**0.5, causal_offset=offset, parameters=Parameters(**PAPER))
    want, want_lse = portable(tensors, mask, call, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "make_plan", lambda *_: pytest.fail("the portable path ran"))
        out, lse = engine.forward(*tensors, mask, None, call)
    tolerance = {torch.bfloat16: 2e-2, torch.float16: 4e-3, torch.float32: 1e-4}[dtype]
    torch.testing.assert_close(lse, want_lse, atol=tolerance / 4, rtol=tolerance / 4)
    torch.testing.assert_close(out.float(), want, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    ("n_q", "n_k", "offset"), [(700, 1500, None), (700, 1500, 800), (900, 500, 0), (300, 900, 200)]
)
def test_rectangles(n_q: int, n_k: int, offset: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [halves(1, 4, n, 64, dtype=torch.bfloat16, seed=n) for n in (n_q, n_k, n_k)]
    call = AttentionCall(n_q, n_k, scale=0.06, causal_offset=offset, parameters=Parameters(**PAPER))
    want, want_lse = portable(tensors, None, call, monkeypatch)
    out, lse = engine.forward(*tensors, None, None, call)
    torch.testing.assert_close(lse, want_lse, atol=5e-3, rtol=5e-3)
    torch.testing.assert_close(out.float(), want, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("n", [5000, 16384, 20000])
@pytest.mark.parametrize("causal", [True, False])
def test_sorts_and_draws_what_the_plan_does(n: int, causal: bool) -> None:
    """With the default lengths; torch sorts, the kernels count."""
    from hyperrewrite.kernels.fused import launch_paper

    query, key = (halves(1, heads, n, 64, dtype=torch.bfloat16, seed=heads) for heads in (4, 2))
    call = AttentionCall(n, n, causal_offset=0 if causal else None, parameters=Parameters("paper"))
    (family,) = launch_paper.families(call)
    if not family.levels:
        return
    found = launch_paper.sort_and_draw(query, key, None, family, call, launch_paper.CHUNK)
    area = next(a for a in paper.areas(call) if a.causal_offset is None)
    tile = next(part for part in paper.plan(query, key, None, call) if isinstance(part, Tiles))
    rows, keys = tile.query_rows.flatten(2)[0], tile.key_rows[..., :256].flatten(2)[0]
    for head in range(4):
        mine = found.order[0, head, area.query_start : area.query_stop]
        assert torch.equal(mine, rows[head][rows[head] >= 0].int())
    for head in range(2):
        mine = found.order[0, 4 + head, area.key_start : area.key_stop]
        assert torch.equal(mine, keys[head][keys[head] >= 0].int())
    ranks = paper._ranks([area], None, call, Draws(0), query.device)[0, 0]
    assert torch.equal(found.ranks[0, 0, 0], ranks[0].int())


@pytest.mark.parametrize(("n", "causal"), [(5000, True), (16384, True), (20000, True), (9000, False)])
def test_no_wait_captured_and_the_same_bits(n: int, causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [torch.randn(1, 8, n, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3)]
    rules = {"algorithm": "paper", "scale": 0.125, "causal_offset": 0 if causal else None}
    monkeypatch.setattr(engine, "make_plan", lambda *_: pytest.fail("the portable path ran"))
    check_captured(lambda: torch.ops.hyper.attention(*tensors, **rules))


def test_extra_memory() -> None:
    """At most one and a half times the inputs, the output among it."""
    tensors = [torch.randn(1, 8, 32768, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3)]
    rules = {"algorithm": "paper", "scale": 0.125, "causal_offset": 0}
    torch.ops.hyper.attention(*tensors, **rules)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    torch.ops.hyper.attention(*tensors, **rules)
    assert torch.cuda.max_memory_allocated() - before <= 1.5 * sum(tensor.nbytes for tensor in tensors)


def test_gradients() -> None:
    """The backward is the portable one, of the same keys."""
    inputs = make_inputs(1000, heads=4, kv_heads=2, features=64)
    rules = {**PAPER, "scale": 0.1, "causal_offset": 0}
    tensors = [
        halves(*tensor.shape, dtype=torch.float32, seed=k).requires_grad_()
        for k, tensor in enumerate((inputs.query, inputs.key, inputs.value))
    ]
    out, _ = torch.ops.hyper.attention(*tensors, **rules)
    along = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).cuda()
    got = torch.autograd.grad((out * along).sum(), tensors)
    theirs = [tensor.detach().cpu().requires_grad_() for tensor in tensors]
    want, _ = torch.ops.hyper.attention(*theirs, **rules)
    for mine, other in zip(got, torch.autograd.grad((want * along.cpu()).sum(), theirs), strict=True):
        assert float((mine.cpu() - other).norm() / other.norm()) < 1e-3


def test_the_backward_reads_the_keys_of_the_forward() -> None:
    """Of Gaussian rows, of which some lie on a hyperplane up to rounding: the sorted order is the same to the row."""
    from hyperrewrite.kernels.fused import launch_paper

    query, key = (torch.randn(1, 4, 16384, 64, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    call = AttentionCall(16384, 16384, causal_offset=0, parameters=Parameters("paper"))
    (family,) = launch_paper.families(call)
    found = launch_paper.sort_and_draw(query, key, None, family, call, launch_paper.CHUNK)
    area = next(a for a in paper.areas(call) if a.causal_offset is None)
    tile = next(part for part in paper.plan(query, key, None, call) if isinstance(part, Tiles))
    rows = tile.query_rows.flatten(2)[0].int()
    assert torch.equal(found.order[0, :4, area.query_start : area.query_stop], rows)
