"""`hyper` against its slow definition: what each query reads, the result, its gradients; and causality to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attention_cases import Inputs, check_against_oracle, make_inputs
from hyperrewrite.kernels import oracle, planning, selection, tiling
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.far import Far, Whole
from hyperrewrite.kernels.hyper_oracle import hyper_log_weight
from hyperrewrite.kernels.parameters import Parameters
from hyperrewrite.kernels.parts import Span, without_bands
from hyperrewrite.kernels.selectors import search
from hyperrewrite.kernels.tiling import block_of, section_of, strip_of, tiles
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

NEG_INF = float("-inf")
HYPER: dict[str, Any] = {
    "algorithm": "hyper", "min_seq_len": 8, "tile": 16, "window": 8, "sinks": 3, "means": 4, "threshold": 0.2,
    "scale": 0.4,
}  # fmt: skip


@pytest.fixture(autouse=True)
def exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search judges unrounded scores, as the oracle does, and short texts have several sections."""
    monkeypatch.setattr(search, "sketch_dtype", lambda query: torch.float64)
    monkeypatch.setattr(tiling, "SECTION", 40)
    monkeypatch.setattr(tiling, "WORD", 1)


def dense(inputs: Inputs, call: AttentionCall) -> Tensor:
    """The keys that the call reads by themselves, bool [B, H, n_q, n_k], pair by pair; no pair may be planned twice."""
    batch, heads = inputs.query.shape[:2]
    units, n_q, n_k = inputs.key.shape[1], call.num_queries, call.num_keys
    leaves = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    parts, found = planning.whole_plan(*leaves, inputs.key_mask, call)
    count = torch.zeros(batch, heads, n_q, n_k, dtype=torch.int64)
    for part in without_bands(parts):
        assert isinstance(part, Span)
        for i in range(part.query_start, part.query_stop):
            stop = part.key_stop if part.causal_offset is None else min(part.key_stop, i + part.causal_offset + 1)
            seen = 1 if inputs.key_mask is None else inputs.key_mask[:, None, part.key_start : stop].long()
            count[:, :, i, part.key_start : stop] += seen
    for piece in found:
        if isinstance(piece, Whole):
            for span in piece.far_keys():
                seen = 1 if inputs.key_mask is None else inputs.key_mask[piece.batch, span.key_start : span.key_stop]
                rows, columns = slice(span.query_start, span.query_stop), slice(span.key_start, span.key_stop)
                count[piece.batch, :, rows, columns] += seen
            continue
        for tile, row, column in piece.reads().nonzero().tolist():
            flat, number = int(piece.query_rows[tile, row]), int(piece.key_rows[tile, column])
            if flat < batch * heads * n_q and number < batch * units * n_k:
                b, h = flat // (heads * n_q), flat // n_q % heads
                assert number // n_k == b * units + h // (heads // units), "a key of another head"
                assert int(piece.key_section[tile, column]) == number % n_k // (section_of(call) * block_of(call))
                count[b, h, flat % n_q, number % n_k] += 1
    assert int(count.max()) <= 1, "a pair is planned twice"
    return count > 0


def means_read(read: Tensor, inputs: Inputs, call: AttentionCall) -> Tensor:
    """Blocks with a far key, of those sections of which a query sees a far key that it does not read: int64
    [B, H, n_q]."""
    if not call.parameters.means:
        return torch.zeros(read.shape[:3], dtype=torch.int64)
    far = torch.zeros(read.shape[0], 1, call.num_queries, call.num_keys, dtype=torch.bool)
    for tile in tiles(call):
        far[:, :, tile.start : tile.stop, tile.far_keys(far.device)] = True
    far = far if inputs.key_mask is None else far & inputs.key_mask[:, None, None]
    block, section = block_of(call), section_of(call)
    whole = (0, -call.num_keys % (block * section))
    blocks = torch.nn.functional.pad(far, whole).unflatten(-1, (-1, section, block)).any(-1)
    left = torch.nn.functional.pad(far & ~read, whole).unflatten(-1, (-1, section, block)).any((-1, -2))
    return (blocks & left.unsqueeze(-1)).sum((-1, -2))


@pytest.mark.parametrize(("n", "features"), [(63, 40), (111, 80), (250, 96)])
@pytest.mark.parametrize("offset", [None, 0])
@pytest.mark.parametrize("masked", [0.0, 0.4])
def test_matches_oracle_on_odd_shapes(n: int, features: int, offset: int | None, masked: float) -> None:
    inputs = make_inputs(n, batch=2, heads=4, kv_heads=2, features=features, masked=masked)
    check_against_oracle(inputs, causal_offset=offset, **{**HYPER, "scale": 1.3 / features**0.5})


@pytest.mark.parametrize("offset", [None, 0])
@pytest.mark.parametrize("more", [{}, {"select": "none"}, {"means": 0}, {"select": "none", "means": 0}])
def test_matches_oracle_at_a_thousand(offset: int | None, more: dict[str, Any]) -> None:
    rules = {**HYPER, "tile": 64, "window": 64, "sinks": 16, "means": 16, "threshold": 0.06, **more}
    inputs = make_inputs(1000, batch=1, heads=3, kv_heads=1, features=24)
    check_against_oracle(inputs, causal_offset=offset, **rules)
    if more.get("select") != "none":
        read = dense(inputs, inputs.call(causal_offset=offset, **rules))
        distant = read.sum(-1).double().mean() - near_keys(inputs.call(causal_offset=offset, **rules))
        assert 5.0 < distant < 300.0  # some far keys were found, most were not


def near_keys(call: AttentionCall) -> float:
    """Sinks and local keys of a query, on average over queries."""
    total = 0
    for tile in tiles(call):
        for i in range(tile.start, tile.stop):
            high = tile.high if call.causal_offset is None else min(tile.high, i + call.causal_offset + 1)
            total += tile.sinks + max(high - tile.low, 0)
    return total / call.num_queries


@pytest.mark.parametrize(
    ("n_q", "n_k", "offset"),
    [(100, 63, None), (63, 200, None), (3, 130, None), (100, 63, 0), (63, 200, 137), (63, 200, 0), (150, 90, -20),
     (100, 100, 5), (100, 100, -9), (1, 77, 76), (64, 64, 500), (64, 64, -500)],
)  # fmt: skip
@pytest.mark.parametrize("masked", [0.0, 0.5])
def test_rectangles(n_q: int, n_k: int, offset: int | None, masked: float) -> None:
    inputs = make_inputs(n_q, n_k, heads=2, kv_heads=1, features=16, value_features=9, masked=masked)
    check_against_oracle(inputs, causal_offset=offset, empty_rows="mean", **HYPER)


@pytest.mark.parametrize("scale", [-0.4, 0.0])
@pytest.mark.parametrize("offset", [None, 0])
def test_scales_that_are_not_positive(scale: float, offset: int | None) -> None:
    check_against_oracle(make_inputs(90, kv_heads=2), causal_offset=offset, **{**HYPER, "scale": scale})


def test_strided_inputs() -> None:
    check_against_oracle(make_inputs(90, strided=True, kv_heads=2), causal_offset=0, **HYPER)


@pytest.mark.parametrize(
    ("tile", "strip", "window", "sinks", "means"),
    [(16, 0, 0, 0, 16), (24, 16, 5, 9, 7), (16, 5, 40, 3, 1), (48, 1, 8, 1, 8), (48, 16, 8, 1, 8), (32, 99, 0, 3, 4)],
)
@pytest.mark.parametrize("offset", [None, 0, 37])
def test_edges_that_are_no_multiples(
    tile: int, strip: int, window: int, sinks: int, means: int, offset: int | None
) -> None:
    inputs = make_inputs(150 - (offset or 0), 150, heads=2, features=16, masked=0.2)
    rules = {**HYPER, "tile": tile, "strip": strip, "window": window, "sinks": sinks, "means": means}
    check_against_oracle(inputs, causal_offset=offset, **rules)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    inputs = make_inputs(100, kv_heads=2).to(dtype)
    out, _ = inputs.run(**HYPER, causal_offset=0)
    want, _ = inputs.oracle(**HYPER, causal_offset=0)
    tolerance = {torch.bfloat16: 8e-3, torch.float16: 1e-3, torch.float64: 1e-6}[dtype]
    torch.testing.assert_close(out.double(), want, atol=tolerance, rtol=tolerance)


def test_a_search_of_rounded_scores_finds_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = make_inputs(600, heads=2, features=32)
    rules = {**HYPER, "tile": 32, "means": 16, "scale": 0.35}
    call = inputs.call(causal_offset=0, **rules)
    exactly = dense(inputs, call)
    monkeypatch.setattr(search, "sketch_dtype", lambda query: torch.bfloat16)
    roughly = dense(inputs, call)
    assert not torch.equal(exactly, roughly)
    assert int((exactly ^ roughly).sum()) < 0.02 * int(exactly.sum())


@settings(max_examples=60, deadline=None)
@given(
    n_q=st.integers(1, 120),
    n_k=st.integers(1, 120),
    offset=st.one_of(st.none(), st.integers(-130, 130)),
    tile=st.integers(16, 24),
    window=st.integers(0, 30),
    sinks=st.integers(0, 9),
    means=st.integers(0, 12),
    threshold=st.sampled_from([0.0005, 0.02, 0.1, 0.3]),
    strip=st.integers(0, 50),
    masked=st.sampled_from([0.0, 0.3, 0.95]),
    seed=st.integers(0, 1000),
)
def test_plan_is_disjoint_visible_and_counted(
    n_q: int, n_k: int, offset: int | None, tile: int, window: int, sinks: int, means: int, threshold: float,
    strip: int, masked: float, seed: int,
) -> None:  # fmt: skip
    """No pair twice, no masked or future key; every query sees its own tile's past; the counts are the matrix's."""
    inputs = make_inputs(n_q, n_k, heads=2, kv_heads=1, features=8, masked=masked, seed=seed)
    rules = {**HYPER, "tile": tile, "window": window, "sinks": sinks, "means": means, "threshold": threshold}
    call = inputs.call(causal_offset=offset, strip=strip, **rules)
    if planning.algorithm_of(call) != "hyper":
        return
    read = dense(inputs, call)
    allowed = oracle.visible(inputs.query, inputs.key, inputs.key_mask, call)
    assert not bool((read & ~allowed).any())
    leaves = (inputs.query.detach(), inputs.key.detach(), inputs.value.detach())
    parts, found = planning.whole_plan(*leaves, inputs.key_mask, call)
    counted = planning.count_keys(parts, inputs.key_mask, 2, 2, call, found=found)
    assert torch.equal(counted, read.sum(-1) + means_read(read, inputs, call))
    if offset is not None:
        rows, keys = torch.arange(n_q)[:, None] + offset, torch.arange(n_k)
        recent = (keys > rows - max(window, 1)) | (keys < sinks)
        assert bool((read | ~(recent & allowed)).all())


@pytest.mark.parametrize("offset", [None, 0, 40])
@pytest.mark.parametrize("masked", [0.0, 0.4])
def test_reads_what_the_oracle_reads(offset: int | None, masked: float) -> None:
    n_q = 150 - (offset or 0)
    inputs = make_inputs(n_q, 150, heads=4, kv_heads=2, features=16, masked=masked, seed=3)
    call = inputs.call(causal_offset=offset, **{**HYPER, "means": 0})
    want = hyper_log_weight(inputs.query.detach(), inputs.key.detach(), inputs.key_mask, call)
    assert torch.equal(dense(inputs, call), want == 0.0)


@pytest.mark.parametrize("offset", [None, 0, 20])
@pytest.mark.parametrize("masked", [0.0, 0.3])
def test_a_tile_after_one_that_found_most_reads_everything(offset: int | None, masked: float) -> None:
    inputs = make_inputs(150 - (offset or 0), 150, heads=4, kv_heads=2, features=16, masked=masked, seed=3)
    low = {**HYPER, "threshold": 0.0004}
    call = inputs.call(causal_offset=offset, **low)
    read = dense(inputs, call)
    seen = oracle.visible(inputs.query, inputs.key, inputs.key_mask, call).expand(read.shape)
    told, before = 0, None
    for tile in tiles(call):
        if before is not None and before.far:
            keys = before.far_keys(read.device)
            count = read[:, :, before.stop - 1, keys].sum((1, 2))
            most = 2 * count > seen[:, :, before.stop - 1, keys].sum((1, 2))
            everything = (read | ~seen)[:, :, tile.start : tile.stop].flatten(1).all(-1)
            told += int(most.sum())
            assert bool(everything[most].all())
        before = tile
    assert told > 10
    first = next(tile for tile in tiles(call) if tile.far)  # no tile before it was asked
    assert not bool((read | ~seen)[:, :, first.start].all())
    check_against_oracle(inputs, causal_offset=offset, **low)


@pytest.mark.parametrize("offset", [None, 0])
@pytest.mark.parametrize("masked", [0.0, 0.3])
def test_where_every_key_matters_it_is_exact(offset: int | None, masked: float) -> None:
    """But in the first tile that has far keys: none before it was asked."""
    inputs = make_inputs(300, heads=4, kv_heads=2, features=16, masked=masked)
    rules = {**HYPER, "threshold": 1e-4, "scale": 0.25}
    call = inputs.call(causal_offset=offset, **rules)
    with_far = [tile for tile in tiles(call) if tile.far]
    got, want = (
        inputs.run(causal_offset=offset, **rules),
        inputs.oracle(causal_offset=offset, algorithm="exact", scale=0.25),
    )
    for mine, theirs in zip(got, want, strict=True):
        later = slice(with_far[1].start, None)
        torch.testing.assert_close(mine[:, :, later].double(), theirs[:, :, later], atol=1e-5, rtol=1e-5)
    unasked = slice(with_far[0].start, with_far[0].stop)
    assert not torch.allclose(got[0][:, :, unasked].double(), want[0][:, :, unasked], atol=1e-4)


@pytest.mark.parametrize("place", [40, 64, 100, 149])
@pytest.mark.parametrize("what", ["query", "key", "value", "all"])
@pytest.mark.parametrize("masked", [0.0, 0.3])
@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("more", [{}, {"tile": 32, "strip": 5}, {"threshold": 0.04}], ids=("", "strips", "whole"))
def test_the_future_changes_no_bit_of_the_past(
    place: int, what: str, masked: float, rounded: bool, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if rounded:
        monkeypatch.undo()
    rules = {**HYPER, **more}
    inputs = make_inputs(150, heads=4, kv_heads=2, features=16, masked=masked, seed=5)
    with torch.no_grad():
        before = inputs.run(causal_offset=0, **rules)
        for name in ("query", "key", "value"):
            if what in (name, "all"):
                tensor = getattr(inputs, name)
                tensor[:, :, place + 1 :] = 5.0 * torch.randn_like(tensor[:, :, place + 1 :])
        after = inputs.run(causal_offset=0, **rules)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[:, :, : place + 1], new[:, :, : place + 1])
    assert place == 149 or not torch.equal(before[0], after[0])


def test_same_call_same_bits() -> None:
    inputs = make_inputs(200, heads=4, kv_heads=2, features=16, seed=3)
    one, two = inputs.run(**HYPER, causal_offset=0), inputs.run(**HYPER, causal_offset=0)
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])


@pytest.mark.parametrize("offset", [None, 0])
def test_garbage_under_the_mask_stays_there(offset: int | None) -> None:
    """NaN and infinities in masked keys and values reach neither outputs nor choices nor gradients."""
    clean = make_inputs(150, heads=4, kv_heads=2, features=16, masked=0.4, seed=6)
    assert clean.key_mask is not None
    hole = ~clean.key_mask[:, None, :, None]
    rules = {**HYPER, "causal_offset": offset}
    want = clean.run(**rules)
    for bad in (float("nan"), float("inf"), 1e30):
        key, value = (t.detach().masked_fill(hole, bad).requires_grad_() for t in (clean.key, clean.value))
        dirty = Inputs(clean.query, key, value, clean.key_mask)
        out, lse = dirty.run(**rules)
        assert torch.equal(out, want[0]) and torch.equal(lse, want[1])
        grads = torch.autograd.grad(out.sum(), [key, value])
        assert all(bool(grad.isfinite().all()) and not bool(grad.masked_select(hole).any()) for grad in grads)


def test_everything_masked_gives_empty_rows() -> None:
    inputs = make_inputs(100, heads=2, features=8)
    mask = torch.zeros(2, 100, dtype=torch.bool)
    out, lse = torch.ops.hyper.attention(inputs.query, inputs.key, inputs.value, mask, causal_offset=0, **HYPER)
    assert not bool(out.any()) and bool((lse == NEG_INF).all())


@pytest.mark.parametrize("offset", [None, 0])
def test_a_threshold_of_nothing_is_exact(offset: int | None, monkeypatch: pytest.MonkeyPatch) -> None:

    def everything(self: search.Search, tile: Any, threshold: Tensor) -> Any:
        heads, keys = threshold.shape[0] * threshold.shape[1], tile.far_keys(threshold.device)
        shown = torch.ones(heads, keys.numel(), dtype=torch.bool)
        if mask is not None:
            shown = mask[:, keys].repeat_interleave(threshold.shape[1], 0)
        head, column = shown.nonzero(as_tuple=True)
        return selection.from_row(head, keys[column], torch.zeros_like(head), tile)

    monkeypatch.setattr(search.Search, "find", everything)
    inputs = make_inputs(200, kv_heads=2, masked=0.2)
    mask = inputs.key_mask
    got = inputs.run(**HYPER, causal_offset=offset)
    want = inputs.run(**{**HYPER, "algorithm": "exact"}, causal_offset=offset)
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_finds_a_key_that_nobody_asked_for_before() -> None:
    """Each query of one head looks for a far key of its own; without the search it is lost."""
    n, features = 512, 32
    generator = torch.Generator().manual_seed(0)
    key = torch.randn(1, 1, n, features, generator=generator)
    seek = torch.randperm(n, generator=generator) % torch.arange(1, n + 1)
    query = key[:, :, seek] * 6.0
    value = torch.randn(1, 1, n, features, generator=generator)
    rules = {**HYPER, "tile": 32, "window": 32, "means": 16, "scale": 0.2, "threshold": 0.0055}
    inputs = Inputs(query, key, value)
    want, _ = inputs.run(causal_offset=0, **{**rules, "algorithm": "exact"})
    for select, low, high in (("search", 0.0, 0.02), ("none", 0.3, 2.0)):
        out, _ = inputs.run(causal_offset=0, select=select, **rules)
        assert low <= float((out - want).norm() / want.norm()) < high


def test_blocks_of_alike_keys_need_no_search() -> None:
    """Where the keys of a block are equal their mean says everything: the result is exact, whatever the values."""
    inputs = make_inputs(256, heads=2, features=16)
    key = inputs.key.detach().unflatten(2, (-1, 8))[:, :, :, :1].expand(-1, -1, -1, 8, -1).flatten(2, 3)
    rules = {**HYPER, "means": 8, "select": "none"}
    alike = Inputs(inputs.query, key, inputs.value)
    for offset in (None, 0):
        got = alike.run(causal_offset=offset, **rules)
        want = alike.run(causal_offset=offset, **{**rules, "algorithm": "exact"})
        for mine, theirs in zip(got, want, strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
    near_miss = Inputs(inputs.query, inputs.key, inputs.value)
    got, want = near_miss.run(**rules)[0], near_miss.run(**{**rules, "algorithm": "exact"})[0]
    assert float((got - want).norm() / want.norm()) > 0.05


def test_shorter_strips_of_longer_texts() -> None:
    for n, strip in ((8192, 128), (8193, 32), (16384, 32), (16385, 16), (131072, 16)):
        assert strip_of(AttentionCall(n, n)) == strip
    assert strip_of(AttentionCall(131072, 131072, parameters=Parameters(strip=64))) == 64
    assert strip_of(AttentionCall(8192, 8192, parameters=Parameters(tile=32))) == 32


def test_sections_of_some_thousand_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for means, blocks in ((64, 64), (32, 128), (256, 16), (100, 32), (4096, 1), (0, 64)):
        assert section_of(AttentionCall(8192, 8192, causal_offset=0, parameters=Parameters(means=means))) == blocks
    assert section_of(AttentionCall(32768, 32768, causal_offset=0)) == 32
    for n, blocks in ((131072, 8), (8192, 16), (4096, 8), (512, 1), (63, 1)):
        assert section_of(AttentionCall(n, n)) == blocks


def test_larger_blocks_where_there_would_be_too_many() -> None:
    for n, block in ((8192, 64), (16384, 64), (16385, 128), (131072, 128)):
        assert block_of(AttentionCall(n, n)) == block


def test_a_window_over_everything_is_exact() -> None:
    """The plan is then its local part alone, and its tiles' queries see all of their past."""
    inputs = make_inputs(100, heads=2, features=8)
    call = inputs.call(causal_offset=0, **{**HYPER, "window": 80})
    assert torch.equal(dense(inputs, call), torch.ones(100, 100, dtype=torch.bool).tril().expand(2, 2, -1, -1))
    assert all(not isinstance(part, Far) for part in planning.make_plan(inputs.query, inputs.key, None, call))
