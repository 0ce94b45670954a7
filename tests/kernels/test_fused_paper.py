"""The fused kernels of `paper`, interpreted, against its slow definition: the same keys, the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from attention_cases import SMALL, Inputs, make_inputs
from hyperrewrite.kernels import paper
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.fused import choice
from hyperrewrite.kernels.lsh import Draws, hash_codes
from hyperrewrite.kernels.parameters import Parameters
from hyperrewrite.kernels.parts import Span, Tiles
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("triton")
from hyperrewrite.kernels.fused import launch_paper
from hyperrewrite.kernels.fused.config import Phase
from hyperrewrite.kernels.fused.launch_paper import PaperConfig
from poisoned import poison  # noqa: F401  (fixture)
from torch import Tensor

needs_interpreter = pytest.mark.skipif(torch.cuda.is_available(), reason="interpreted only where there is no GPU")
TINY = PaperConfig(32, Phase(16, 4), 16, Phase(16, 4), chunk=32)
PAPER: dict[str, Any] = {"algorithm": "paper", **SMALL}


def fused(inputs: Inputs, config: PaperConfig = TINY, **rules: Any) -> tuple[Tensor, Tensor]:
    tensors = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    return launch_paper.paper(*tensors, inputs.key_mask, inputs.call(**rules), config)


def check(inputs: Inputs, tolerance: float = 1e-5, config: PaperConfig = TINY, **rules: Any) -> None:
    want, want_lse = inputs.oracle(**rules)
    out, lse = fused(inputs, config, **rules)
    torch.testing.assert_close(lse.double(), want_lse, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(out.double(), want, atol=tolerance, rtol=tolerance)
    assert out.is_contiguous() and out.dtype == inputs.query.dtype and lse.dtype == torch.float32


@needs_interpreter
@pytest.mark.parametrize(("n", "features"), [(63, 40), (111, 80), (160, 96)])
@pytest.mark.parametrize("offset", [None, 0])
@pytest.mark.parametrize("masked", [0.0, 0.4])
def test_matches_oracle_on_odd_shapes(n: int, features: int, offset: int | None, masked: float) -> None:
    batch, heads = (2, 4) if n < 100 else (1, 2)
    inputs = make_inputs(
        n, batch=batch, heads=heads, kv_heads=heads // 2, features=features, masked=masked, strided=n == 111
    )
    check(inputs, causal_offset=offset, scale=0.2, **PAPER)


@needs_interpreter
def test_several_levels_of_a_longer_call() -> None:
    """Four levels, down to squares of 62 and 63 keys, with the tiles that a GPU runs."""
    inputs = make_inputs(1000, batch=1, heads=2, kv_heads=1, features=40, value_features=24)
    config = PaperConfig(128, Phase(64, 4), 128, Phase(64, 4))
    rules = {"algorithm": "paper", "min_seq_len": 60, "block_size": 24, "sample_size": 32, "scale": 0.2}
    assert [family.levels for family in launch_paper.families(inputs.call(**rules, causal_offset=0))] == [4]
    check(inputs, config=config, causal_offset=0, **rules)


@needs_interpreter
@pytest.mark.parametrize(
    ("n_q", "n_k", "offset"),
    [(100, 63, None), (63, 150, None), (3, 130, None), (100, 63, 0), (63, 150, 87), (63, 150, 0), (110, 90, -20),
     (66, 66, 5), (1, 77, 76), (40, 64, 500), (40, 64, -500), (70, 100, 30)],
)  # fmt: skip
def test_rectangles(n_q: int, n_k: int, offset: int | None) -> None:
    masked = 0.5 if (n_q + n_k) % 2 else 0.0
    inputs = make_inputs(n_q, n_k, batch=1, heads=2, kv_heads=1, features=16, value_features=9, masked=masked)
    check(inputs, causal_offset=offset, scale=0.2, **PAPER)


@needs_interpreter
@pytest.mark.parametrize(
    "more",
    [
        {"sample_size": 0},
        {"sample_size": 37, "block_size": 19},
        {"lsh_projections": 1},
        {"lsh_projections": 8},
        {"min_seq_len": 0, "block_size": 16, "sample_size": 1, "seed": 2**31 - 1},
        {"min_seq_len": 70, "seed": 3},  # halves that are exact
    ],
    ids=str,
)
@pytest.mark.parametrize("masked", [0.0, 0.7])
def test_parameters(more: dict[str, int], masked: float) -> None:
    inputs = make_inputs(130, batch=2, heads=1, features=16, masked=masked)
    check(inputs, causal_offset=0, scale=0.3, **{**PAPER, **more})


@needs_interpreter
def test_even_blocks_take_no_masks() -> None:
    """Powers of two: whole steps of keys, on every level."""
    inputs = make_inputs(256, batch=1, heads=1, features=32)
    check(inputs, causal_offset=0, scale=0.3, **PAPER)
    call = inputs.call(**PAPER, causal_offset=0)
    (family,) = launch_paper.families(call)
    assert all(launch_paper.cut(family, level, call, False, TINY).is_even for level in range(family.levels))
    assert not launch_paper.cut(family, 0, call, True, TINY).is_even


@needs_interpreter
def test_half_precision() -> None:
    """In float16: the interpreter multiplies the bits of bfloat16 (triton 3.9)."""
    inputs = make_inputs(140, batch=1, heads=2, kv_heads=1, features=32).to(torch.float16)
    check(inputs, 4e-3, causal_offset=0, scale=0.2, **PAPER)


@needs_interpreter
def test_masked_keys_may_hold_anything() -> None:
    inputs = make_inputs(100, batch=2, heads=2, kv_heads=1, features=24, masked=0.4)
    assert inputs.key_mask is not None
    inputs.key_mask[1, :40] = False  # left padding: queries without a key, blocks without one
    rules = {**PAPER, "scale": 0.3, "causal_offset": 0}
    want = fused(inputs, **rules)
    assert bool((want[1][1, :, :40] == float("-inf")).all()) and not bool(want[0][1, :, :40].any())
    hidden = ~inputs.key_mask[:, None, :, None]
    poisoned = [tensor.detach().masked_fill(hidden, float("nan")) for tensor in (inputs.key, inputs.value)]
    got = launch_paper.paper(inputs.query.detach(), *poisoned, inputs.key_mask, inputs.call(**rules), TINY)
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@needs_interpreter
def test_one_mask_for_all_batches() -> None:
    inputs = make_inputs(90, batch=2, heads=2, kv_heads=1, features=16, masked=0.4)
    assert inputs.key_mask is not None
    rules = {**PAPER, "scale": 0.3, "causal_offset": 0}
    one = fused(replace(inputs, key_mask=inputs.key_mask[:1]), **rules)
    many = fused(replace(inputs, key_mask=inputs.key_mask[:1].expand(2, -1).contiguous()), **rules)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, many, strict=True))


@needs_interpreter
def test_same_seed_same_bits() -> None:
    inputs = make_inputs(100, batch=1, heads=1, features=16)
    rules = {**PAPER, "scale": 0.3, "causal_offset": 0}
    first, again, other = (fused(inputs, **rules, seed=seed)[0] for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)


@needs_interpreter
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_codes_are_those_of_the_plan(dtype: torch.dtype) -> None:
    """Gaussian rows, none of them on a hyperplane."""
    inputs = make_inputs(150, 200, heads=2, kv_heads=1, features=40, strided=True).to(dtype)
    call = inputs.call(**PAPER, seed=9)
    planes = Draws(9).hyperplanes(40, 7)
    both = inputs.query.detach(), inputs.key.detach()
    for mine, rows in zip(launch_paper.codes(*both, call), both, strict=True):
        assert torch.equal(mine.int(), hash_codes(rows, planes))


@needs_interpreter
@pytest.mark.parametrize("offset", [None, 0])
@pytest.mark.parametrize("masked", [0.0, 0.3])
def test_sorts_and_draws_what_the_plan_does(offset: int | None, masked: float) -> None:
    """Row by row: the sorted order of every area, over many chunks, and the sampled ranks."""
    inputs = make_inputs(700, batch=2, heads=1, features=16, masked=masked)
    query, key = inputs.query.detach(), inputs.key.detach()
    call = inputs.call(**{**PAPER, "min_seq_len": 130, "block_size": 50}, causal_offset=offset)
    (family,) = launch_paper.families(call)
    mask = None if inputs.key_mask is None else inputs.key_mask.view(torch.uint8)
    found = launch_paper.sort_and_draw(query, key, mask, family, call, chunk=16)
    tiles = [part for part in paper.plan(query, key, inputs.key_mask, call) if isinstance(part, Tiles)]
    rectangles = [a for a in paper.areas(call) if a.causal_offset is None and not paper.is_exact(a, call)]
    drawn = paper._ranks(rectangles, inputs.key_mask, call, Draws(0), query.device)
    depths = [_depth(family, area) for area in rectangles]
    assert len(tiles) == len(rectangles) == found.ranks.shape[0] == (1 if offset is None else 3)
    for tile, area, ranks, (level, node) in zip(tiles, rectangles, drawn, depths, strict=True):
        rows, keys = tile.query_rows.flatten(2), tile.key_rows[..., :50].flatten(2)
        entry = (1 << level) - 1 + node
        for batch in range(2):
            mine = found.order[level, batch, area.query_start : area.query_stop]
            assert torch.equal(mine, rows[batch, 0][rows[batch, 0] >= 0].to(torch.int32))
            valid = int(found.valid[2 + batch, entry])
            mine = found.order[level, 2 + batch, area.key_start : area.key_start + valid]
            assert torch.equal(mine, keys[batch, 0][keys[batch, 0] >= 0].to(torch.int32))
        for kind, population in enumerate(paper.populations(found.valid[2:, entry], 50).T):
            size = int(population.min().clamp(max=16))
            assert torch.equal(found.ranks[entry, :, kind, :size], ranks[:, kind, :size].to(torch.int32))


def _depth(family: launch_paper.Family, area: Span) -> tuple[int, int]:
    """(level, number of the node) of a rectangle."""
    if not family.is_tree:
        return 0, 0
    return next(place for place, found in _rectangles(family) if found == area)


def _rectangles(family: launch_paper.Family) -> Iterator[tuple[tuple[int, int], Span]]:
    """Every estimated rectangle of a family with its place, as the kernels walk to it."""
    span = family.span
    if not family.is_tree:
        if family.levels:
            yield (0, 0), span
        return
    for level in range(family.levels):
        for node in range(1 << level):
            start, stop = 0, family.queries
            for bit in reversed(range(level)):
                middle = start + (stop - start) // 2
                start, stop = (middle, stop) if node >> bit & 1 else (start, middle)
            half = (stop - start) // 2
            if half >= family.least:
                q, k = span.query_start + start, span.key_start + start
                yield (level, node), Span(q + half, span.query_start + stop, k, k + half)


@settings(max_examples=200, deadline=None)
@given(
    n_q=st.integers(1, 400),
    n_k=st.integers(1, 400),
    offset=st.one_of(st.none(), st.integers(-400, 400)),
    base=st.integers(0, 60),
    block=st.integers(16, 40),
    sample=st.integers(0, 20),
)
def test_families_are_the_areas(n_q: int, n_k: int, offset: int | None, base: int, block: int, sample: int) -> None:
    """The estimated rectangles alike; and their shapes are those that the launches count with."""
    parameters = Parameters("paper", min_seq_len=base, block_size=block, sample_size=sample)
    call = AttentionCall(n_q, n_k, causal_offset=offset, parameters=parameters)
    want = {area for area in paper.areas(call) if area.causal_offset is None and not paper.is_exact(area, call)}
    got = set()
    for family in launch_paper.families(call):
        for (level, _), area in _rectangles(family):
            got.add(area)
            shape = (area.query_stop - area.query_start, area.key_stop - area.key_start)
            assert shape in family.shapes(level)
    assert got == want


def test_calls_of_the_cpu_are_left() -> None:
    tensors = [torch.randn(1, 1, 64, 16) for _ in range(3)]
    assert "on cpu" in str(choice.reason_against_paper(*tensors, AttentionCall(64, 64)))


@pytest.mark.parametrize(
    ("rules", "dtype", "features", "word"),
    [
        ({}, torch.bfloat16, 64, None),
        ({}, torch.float16, 256, None),
        ({}, torch.float32, 128, None),
        ({}, torch.float32, 136, "128 features in torch.float32"),
        ({}, torch.float64, 64, "float64"),
        ({"lsh_projections": 9}, torch.bfloat16, 64, "9 projections"),
        ({"scale": -1.0}, torch.bfloat16, 64, "scale is -1.0"),
        ({"scale": 0.0}, torch.bfloat16, 64, "scale is 0.0"),
        ({}, torch.bfloat16, 1, "queries and keys"),
    ],
)
def test_reasons(
    rules: dict[str, Any], dtype: torch.dtype, features: int, word: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cuda:
        """Looks like a CUDA tensor."""

        device = torch.device("cuda", 0)
        shape = (1, 1, 8192, features) if features > 1 else (4096, 10, 8192, 1)

        @staticmethod
        def stride(_: int) -> int:
            return 1

    Cuda.dtype = dtype  # type: ignore[attr-defined]
    rules = dict(rules)
    scale = rules.pop("scale", 0.125)
    call = AttentionCall(8192, 8192, scale=scale, parameters=Parameters("paper", **rules))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    monkeypatch.setattr(choice, "_shared_bytes", lambda _: 232_448)
    reason = choice.reason_against_paper(Cuda(), Cuda(), Cuda(), call)  # type: ignore[arg-type]
    assert reason is None if word is None else word in str(reason)
    if reason is None:  # a smaller GPU
        monkeypatch.setattr(choice, "_shared_bytes", lambda _: 65_536)
        assert "shared memory" in str(choice.reason_against_paper(Cuda(), Cuda(), Cuda(), call))  # type: ignore[arg-type]
