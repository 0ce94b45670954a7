"""The tuner's search with a made-up stopwatch; what it measures, interpreted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.fused import bench
from hyperrewrite.kernels.fused.config import Config, Device, ExactConfig, Phase
from hyperrewrite.kernels.fused.tuner import NOISE, Axis, Case, Failed, axes_of, descend
from hyperrewrite.kernels.parameters import Parameters

from hyperrewrite.tuning import tune

H100 = Device("NVIDIA H100 80GB HBM3", (9, 0), 232_448, torch.float8_e4m3fn)
CASE = Case("hyper", torch.bfloat16, 64, 8192, True)
Pair = tuple[int, int]


def pairs(sizes: int = 5) -> list[Axis[Pair]]:
    """Two axes over range(sizes), the first half of the time for the first."""
    return [
        Axis("first", lambda best: [(one, best[1]) for one in range(sizes) if one != best[0]], 0.5),
        Axis("second", lambda best: [(best[0], other) for other in range(sizes) if other != best[1]]),
    ]


def test_descends_one_axis_after_the_other() -> None:
    told: list[int] = []
    found = descend((0, 0), pairs(), lambda at: 10.0 + (at[0] - 3) ** 2 + (at[1] - 2) ** 2, advance=told.append)
    assert found.best == (3, 2) and found.milliseconds == 10.0
    assert (found.tried, found.failed, found.left) == (9, (), 0)
    assert told == [1] * 8


def test_noise_is_no_gain() -> None:
    assert descend((0, 0), pairs(), lambda at: 1.0 if at == (0, 0) else 1.0 - 0.9 * NOISE).best == (0, 0)
    assert descend((0, 0), pairs(), lambda at: 1.0 if at == (0, 0) else 1.0 - 1.1 * NOISE).best == (1, 0)


def test_candidates_that_fail_are_named() -> None:
    def measure(at: Pair) -> float:
        if at[0] == 3:
            raise Failed("out of shared memory")
        return 10.0 - sum(at)

    found = descend((0, 0), pairs(), measure)
    assert found.best == (4, 4)
    assert found.failed == (((3, 0), "out of shared memory"),)
    with pytest.raises(Failed):
        descend((3, 0), pairs(), measure)


def test_time_is_shared_out() -> None:
    """A second for each run; what is left over of the first axis is noted, and the second gets its share."""
    now = [0.0]

    def measure(at: Pair) -> float:
        now[0] += 1.0
        return 100.0 - sum(at)

    found = descend((0, 0), pairs(9), measure, 10.0, clock=lambda: now[0])
    assert found.best == (5, 5) and (found.tried, found.left) == (11, 6)


def test_variants_of_a_configuration() -> None:
    start = Config()
    for axis in axes_of(CASE, H100):
        variants = axis.variants(start)
        assert len(set(variants)) == len(variants) and start not in variants
        assert all(replace(other, **{axis.name: getattr(start, axis.name)}) == start for other in variants)
    sums, search, attend, plain = (axis.variants(start) for axis in axes_of(CASE, H100)[1:])
    assert Config(sums=Phase(32, 4, 3)) in sums[:3] and len(search) == 17 and len(attend) == 11
    assert [other.plain for other in plain if isinstance(other, Config)] == [32, 128]  # no fewer than a step's
    wide = axes_of(replace(CASE, features=256), H100)[3]
    assert max(other.attend.keys for other in wide.variants(start)) == 64  # what cannot fit is not even compiled
    exact = axes_of(replace(CASE, kernel="exact"), H100, [ExactConfig(), ExactConfig(64)])
    assert [axis.name for axis in exact] == ["known", "attend", "rows"]
    assert exact[0].variants(ExactConfig()) == [ExactConfig(64)]


def test_the_one_in_use_stays_where_the_second_look_says_so() -> None:
    seen: list[Config | ExactConfig] = []

    def measure(config: Config | ExactConfig) -> float:
        seen.append(config)
        assert isinstance(config, Config)
        lucky = config.attend.keys == 64 and seen.count(config) == 1
        return 0.9 if lucky else 1.0

    found = tune(CASE, H100, measure, 1e9, [], lambda count: None)
    assert found.descent.best.attend.keys == 64  # type: ignore[union-attr]
    assert found.best == found.before and found.best_ms == found.before_ms == 1.0


def test_random_inputs_are_like_those_of_a_model() -> None:
    from hyperrewrite.kernels import planning

    case = replace(CASE, dtype=torch.float32, length=2048)
    tensors = bench.random_inputs(case, 2, torch.device("cpu"))
    assert all(tensor.shape == (1, 2, 2048, 64) and tensor.is_contiguous() for tensor in tensors)
    call = AttentionCall(2048, 2048, scale=0.125, causal_offset=0, parameters=Parameters(min_seq_len=8))
    parts, found = planning.whole_plan(*tensors, None, call)
    keys = float(planning.count_keys(parts, None, 1, 2, call, None, found).double().mean())
    assert 260 < keys < 520  # sinks, window and the tile's own are 64 + 128 + 64 of them at most


def test_real_inputs() -> None:
    given = {name: torch.randn(count, 300, 64) for name, count in (("q", 6), ("k", 2), ("v", 2))}
    case = replace(CASE, length=256, dtype=torch.float16)
    query, key, value = bench.real_inputs(given, case, 8, torch.device("cpu"))
    assert query.shape == key.shape == value.shape == (1, 8, 256, 64) and query.dtype == torch.float16
    assert torch.equal(query[0, 7], given["q"][1, :256].half()) and torch.equal(key[0, 5], given["k"][1, :256].half())
    wide = bench.real_inputs(given, replace(case, features=128), 8, torch.device("cpu"))
    assert torch.equal(wide[1][0, 2, :, 64:], given["k"][1, :256].half())
    for other in (replace(case, length=512), replace(case, features=256)):
        with pytest.raises(Failed, match="300 tokens of 64 features"):
            bench.real_inputs(given, other, 8, torch.device("cpu"))


def test_cases_that_no_kernel_takes() -> None:
    with pytest.raises(Failed, match="not on a CUDA device"):
        bench.bench(CASE, bench.random_inputs(CASE, 1, torch.device("cpu")))


def wall(call: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


@pytest.mark.skipif(torch.cuda.is_available(), reason="interpreted only where there is no GPU")
@pytest.mark.parametrize("kernel", ["hyper", "exact", "exact_pairs"])
def test_measures_what_runs(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(bench, "reason_against", lambda *_: None)
    monkeypatch.setattr(bench, "reason_against_exact", lambda *_: None)
    monkeypatch.setattr(bench, "milliseconds", wall)
    case = Case(kernel, torch.float32, 64, 256, True)
    measure = bench.bench(case, bench.random_inputs(case, 1, torch.device("cpu")))
    good: Config | ExactConfig = Config(sketch=torch.float16) if kernel == "hyper" else ExactConfig()
    assert measure(good) > 0 and measure(replace(good, attend=Phase(64, 4))) > 0
    with pytest.raises(Failed, match=r"\w+Error: "):
        measure(replace(good, attend=Phase(48, 4)))
    monkeypatch.setattr(bench, "DIFFERENCE", -1.0)
    with pytest.raises(Failed, match="its output is"):
        measure(good)


@pytest.mark.gpu
def test_measures_on_a_gpu() -> None:
    case = Case("hyper", torch.bfloat16, 64, 4096, True)
    device = torch.device("cuda", torch.cuda.current_device())
    measure = bench.bench(case, bench.random_inputs(case, 4, device))
    assert 0 < measure(Config(attend=Phase(64, 8))) < 1e3
    with pytest.raises(Failed):
        measure(Config(attend=Phase(48, 4)))
    assert 0 < measure(Config()) < 1e3
