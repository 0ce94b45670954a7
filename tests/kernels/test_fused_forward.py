"""Which forwards run by a kernel, and what happens where one cannot be built or started."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hyperrewrite.kernels import engine, ops
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.curve import Curve
from hyperrewrite.kernels.fused import choice, forward
from hyperrewrite.kernels.parameters import Parameters

pytest.importorskip("triton")
from hyperrewrite.kernels.fused import launch_exact, launch_paper
from hyperrewrite.kernels.sampling.triton import launch

LAUNCHES = {"hyper": (launch, "sampled"), "paper": (launch_paper, "paper"), "exact": (launch_exact, "exact")}


def call_of(algorithm: str, n: int = 200) -> AttentionCall:
    parameters = Parameters(algorithm=algorithm, min_seq_len=8, tile=16, window=8, sinks=4, block_size=16,
                            sample_size=16)  # type: ignore[arg-type]  # fmt: skip
    return AttentionCall(n, n, scale=0.3, causal_offset=0, curve=Curve(5.0 if algorithm == "exact" else 0.0),
                         parameters=parameters)  # fmt: skip


def fail(error: Exception) -> Any:
    def raising(*_: Any, **__: Any) -> None:
        raise error

    return raising


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """No test knows what failed in another."""
    forward._attempt.cache_clear()
    yield
    forward._attempt.cache_clear()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every kernel took every call."""
    for name in ("reason_against", "reason_against_paper", "reason_against_exact"):
        monkeypatch.setattr(forward, name, lambda *_: None)


@pytest.mark.parametrize("algorithm", list(LAUNCHES))
def test_a_kernel_that_fails_breaks_no_model(algorithm: str, monkeypatch: pytest.MonkeyPatch, taken: None) -> None:
    tensors = [torch.randn(1, 2, 200, 16) for _ in range(3)]
    call = call_of(algorithm)
    with monkeypatch.context() as before:
        for name in ("reason_against", "reason_against_paper", "reason_against_exact"):
            before.setattr(forward, name, lambda *_: "not asked for")
        want = engine.forward(*tensors, None, None, call)
    module, name = LAUNCHES[algorithm]
    monkeypatch.setattr(module, name, fail(OSError("no compiler\nand more")))
    monkeypatch.setattr(launch_paper, "codes", fail(OSError("no compiler")))
    with pytest.warns(RuntimeWarning, match="a Triton kernel failed, and portable code runs instead: OSError: no comp"):
        got = engine.forward(*tensors, None, None, call)
    for mine, theirs in zip(got, want, strict=True):
        assert torch.equal(mine, theirs)


def test_what_failed_is_not_built_again(monkeypatch: pytest.MonkeyPatch, taken: None) -> None:
    """For calls of its kind: another dtype, width or mask has another kernel."""
    tries: list[tuple[torch.dtype, bool]] = []

    def count(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, *_: Any) -> None:
        tries.append((query.dtype, mask is None))
        raise OSError("no compiler")

    monkeypatch.setattr(launch, "sampled", count)
    call, mask = call_of("hyper"), torch.rand(1, 200) > 0.5
    for dtype in (torch.float32, torch.bfloat16):
        tensors = [torch.randn(1, 2, 200, 16).to(dtype) for _ in range(3)]
        for _ in range(2):
            for seen in (None, mask):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    engine.forward(*tensors, seen, None, call)
    assert tries == [(dtype, bare) for dtype in (torch.float32, torch.bfloat16) for bare in (True, False)]


def test_want_of_memory_is_told(monkeypatch: pytest.MonkeyPatch, taken: None) -> None:
    monkeypatch.setattr(launch, "sampled", fail(torch.OutOfMemoryError("17 GiB")))
    tensors = [torch.randn(1, 2, 200, 16) for _ in range(3)]
    with pytest.raises(torch.OutOfMemoryError, match="17 GiB"):
        engine.forward(*tensors, None, None, call_of("hyper"))


def test_on_a_cpu_no_kernel_is_tried() -> None:
    tensors = [torch.randn(1, 2, 200, 16) for _ in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for algorithm in LAUNCHES:
            engine.forward(*tensors, None, None, call_of(algorithm))


def test_few_queries_and_odd_strides_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cuda:
        """Looks like a CUDA tensor."""

        device, dtype, far = torch.device("cuda", 0), torch.bfloat16, 1

        def __init__(self, queries: int, far: int = 1) -> None:
            self.shape, self.far = (1, 1, queries, 64), far

        def stride(self, _: int) -> int:
            return self.far

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    call = call_of("exact", 4096)

    def reason(queries: int, far: int = 1) -> str | None:
        made = Cuda(queries, far)
        return choice.reason_against_exact(made, made, made, call)  # type: ignore[arg-type]

    assert reason(16) is None
    assert "15 queries" in str(reason(15))
    assert reason(16, 2**24) is None
    assert "too far apart" in str(reason(16, 2**26))


@pytest.mark.parametrize("algorithm", ["hyper", "paper"])
def test_what_portable_code_would_estimate_is_exact_in_a_cuda_graph(
    algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "is_captured", lambda _: True)
    for name in ("reason_against", "reason_against_paper"):
        monkeypatch.setattr(forward, name, lambda *_: "not this one")
    monkeypatch.setattr(forward, "reason_against_exact", lambda *_: None)
    tensors = [torch.randn(1, 2, 100, 16) for _ in range(3)]
    call = call_of(algorithm, 100)
    with pytest.warns(RuntimeWarning, match="exact there"):
        out, _ = engine.forward(*tensors, None, None, call)
    want = torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=True, scale=0.3)
    torch.testing.assert_close(out, want, atol=1e-5, rtol=1e-5)


def test_the_backward_stays_out_of_cuda_graphs() -> None:
    assert torch.Tag.cudagraph_unsafe in ops.attention_backward._opoverload.tags
    assert torch.Tag.cudagraph_unsafe not in ops.attention._opoverload.tags
