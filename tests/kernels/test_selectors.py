"""The selectors of `hyper`: what they find is far, visible and never depends on the future; and each finds its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from attention_cases import make_inputs
from hyperrewrite.kernels import selection, tiling
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.parameters import SELECTORS, Parameters
from hyperrewrite.kernels.selection import Found
from hyperrewrite.kernels.selectors import search
from hyperrewrite.kernels.tiling import Tile
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

NEG_INF = float("-inf")
NAMES = (*SELECTORS, "search+heavy+lsh")
SMALL: dict[str, Any] = {"tile": 16, "window": 8, "sinks": 4, "means": 4, "selected": 8, "lsh_projections": 2}
Pairs = set[tuple[int, int, int]]  # (head, key, first)


@dataclass(frozen=True)
class Case:
    """One call's tensors and, for every query, the threshold [B, H, n_q] it searches by."""

    query: Tensor
    key: Tensor
    value: Tensor
    key_mask: Tensor | None
    threshold: Tensor
    call: AttentionCall

    def find(self) -> dict[Tile, Found]:
        """What the call's selectors find in each tile that has far keys."""
        selector = selection.make(self.query, self.key, self.value, self.key_mask, self.call)
        return {
            tile: selector.find(tile, self.threshold[:, :, tile.start : tile.stop])
            for tile in tiling.tiles(self.call)
            if tile.far
        }

    def pairs(self) -> dict[int, Pairs]:
        """The same as sets, by the tile's first query."""
        return {tile.start: as_pairs(found) for tile, found in self.find().items()}

    def scores(self) -> Tensor:
        """Scaled scores, float64 [B, H, n_q, n_k]; −inf where the key is masked or later than the query."""
        group = self.query.shape[1] // self.key.shape[1]
        key = self.key.double().repeat_interleave(group, 1)
        scores = self.call.scale * self.query.double() @ key.transpose(-1, -2)
        if self.call.causal_offset is not None:
            last = torch.arange(self.call.num_queries)[:, None] + self.call.causal_offset
            scores = scores.masked_fill(torch.arange(self.call.num_keys) > last, NEG_INF)
        return scores if self.key_mask is None else scores.masked_fill(~self.key_mask[:, None, None], NEG_INF)


def as_pairs(found: Found, last: int | None = None) -> Pairs:
    """(head, key, first) of what a row reads: first <= `last`, None = any."""
    triples = zip(found.head.tolist(), found.key.tolist(), found.first.amin(1).tolist(), strict=True)
    return {triple for triple in triples if last is None or triple[2] <= last}


def make_case(query: Tensor, key: Tensor, select: str, offset: int | None, *, scale: float = 1.0, **rules: Any) -> Case:
    """A call without mask whose threshold is `threshold` for every query."""
    threshold = torch.full(query.shape[:3], rules.pop("threshold", 0.0), dtype=torch.float64)
    parameters = Parameters(select=select, **{**SMALL, **rules})
    call = AttentionCall(query.shape[2], key.shape[2], scale, offset, parameters=parameters)
    return Case(query, key, key, None, threshold, call)


def random_case(
    select: str, n_q: int, n_k: int, offset: int | None, *, heads: tuple[int, int] = (4, 2), masked: float = 0.0,
    seed: int = 0, dtype: torch.dtype = torch.float32, strided: bool = False, features: int = 8, **rules: Any,
) -> Case:  # fmt: skip
    """Gaussian tensors; thresholds near each query's largest scores, for one query in ten −inf."""
    inputs = make_inputs(
        n_q, n_k, heads=heads[0], kv_heads=heads[1], features=features, masked=masked, seed=seed, strided=strided
    )
    query, key, value = (tensor.detach().to(dtype) for tensor in (inputs.query, inputs.key, inputs.value))
    if inputs.key_mask is not None:
        key, value = (rows.masked_fill(~inputs.key_mask[:, None, :, None], 0.0) for rows in (key, value))
    case = make_case(query, key, select, offset, scale=0.5, **rules)
    case = replace(case, value=value, key_mask=inputs.key_mask)
    generator = torch.Generator().manual_seed(seed)
    upper = case.scores().topk(min(4, n_k), -1).values[..., -1]
    noise = torch.randn(upper.shape, generator=generator, dtype=torch.float64)
    rare = torch.rand(upper.shape, generator=generator) < 0.1
    return replace(case, threshold=(upper + 0.3 * noise).masked_fill(rare, NEG_INF))


lengths = st.integers(1, 150)
offsets = st.integers(-160, 160)
RULES = st.fixed_dictionaries(
    {
        "tile": st.integers(16, 40), "strip": st.integers(0, 50), "window": st.integers(0, 30),
        "sinks": st.integers(0, 9),
        "means": st.integers(0, 8), "selected": st.integers(0, 80), "lsh_projections": st.integers(1, 4),
    }
)  # fmt: skip
SHAPES = st.fixed_dictionaries(
    {
        "heads": st.sampled_from([(1, 1), (2, 2), (4, 2), (3, 1)]), "masked": st.sampled_from([0.0, 0.3, 0.95]),
        "seed": st.integers(0, 1000), "dtype": st.sampled_from([torch.bfloat16, torch.float32, torch.float64]),
        "strided": st.booleans(), "features": st.integers(1, 17),
    }
)  # fmt: skip


@pytest.mark.parametrize("select", NAMES)
@settings(max_examples=40, deadline=None)
@given(n_q=lengths, n_k=lengths, offset=st.one_of(st.none(), offsets), rules=RULES, shapes=SHAPES)
def test_found_keys_are_far_visible_and_in_order(
    select: str, n_q: int, n_k: int, offset: int | None, rules: dict[str, Any], shapes: dict[str, Any]
) -> None:
    case = random_case(select, n_q, n_k, offset, **rules, **shapes)
    batch, heads = case.query.shape[:2]
    seen = torch.ones(batch, n_k, dtype=torch.bool) if case.key_mask is None else case.key_mask
    for tile, found in case.find().items():
        assert found.head.dtype == found.key.dtype == torch.int64 and found.first.dtype == torch.int16
        number = found.head * n_k + found.key
        assert bool((number[1:] > number[:-1]).all()), "out of order or twice"
        assert bool(((found.head >= 0) & (found.head < batch * heads)).all())
        assert found.first.shape == (found.key.shape[0], tile.strips)
        assert bool(((found.first.amin(1) >= 0) & (found.first.amin(1) < tile.rows)).all())
        assert bool(torch.isin(found.key, tile.far_keys(found.key.device)).all()), "a near key"
        assert bool(seen[found.head // heads, found.key].all()), "a masked key"
        if offset is not None:
            assert bool((found.key <= tile.start + offset).all()), "a later key"
        if select != "search" and "+" not in select and not rules["selected"]:
            assert not found.key.numel()
        if select in ("heavy", "leverage", "kmeans"):
            assert not bool(found.first.any())
            count = torch.bincount(found.head, minlength=batch * heads).view(batch, heads)
            most = seen[:, tile.far_keys(seen.device)].sum(-1, keepdim=True).clamp(max=rules["selected"])
            assert bool((count <= most if select == "heavy" else count == most).all())


@pytest.mark.parametrize("select", NAMES)
@settings(max_examples=40, deadline=None)
@given(
    n_q=lengths, n_k=lengths, offset=offsets, place=st.floats(0.0, 1.0), size=st.sampled_from([1.0, 1e4]),
    rules=RULES, shapes=SHAPES,
)  # fmt: skip
def test_the_future_changes_nothing_that_the_past_reads(
    select: str, n_q: int, n_k: int, offset: int, place: float, size: float, rules: dict[str, Any],
    shapes: dict[str, Any],
) -> None:  # fmt: skip
    """With other tokens and padding after a position, rows up to it read the same keys from the same row on."""
    check_causality(random_case(select, n_q, n_k, offset, **rules, **shapes), place, size)


@pytest.mark.parametrize("select", NAMES)
@pytest.mark.parametrize("place", [0.3, 0.52, 0.9])
@pytest.mark.parametrize("tile", [64, 24])
def test_the_future_changes_nothing_at_a_thousand(select: str, place: float, tile: int) -> None:
    """Near keys in whole blocks of 64, then with edges within such blocks."""
    rules = {"tile": tile, "window": tile, "sinks": tile, "means": 64 if tile == 64 else 8, "selected": 80}
    case = random_case(select, 1000, 1000, 0, masked=0.2, **rules)
    assert check_causality(case, place, 1e4) > 100


def check_causality(case: Case, place: float, size: float) -> int:
    """Returns how many pairs were compared."""
    offset, n_q, n_k = case.call.causal_offset, case.call.num_queries, case.call.num_keys
    assert offset is not None
    cut = round(place * max(n_q + offset, n_k))  # the last position that stays
    rows, keys = max(cut + 1 - offset, 0), cut + 1
    generator = torch.Generator().manual_seed(cut)

    def changed(tensor: Tensor, start: int) -> Tensor:
        noise = size * torch.randn(tensor.shape, generator=generator).to(tensor.dtype)
        return torch.cat([tensor[:, :, :start], noise[:, :, start:]], 2)

    mask = case.key_mask
    if mask is not None:
        mask = torch.cat([mask[:, :keys], torch.rand(mask[:, keys:].shape, generator=generator) < 0.5], 1)
    key, value = changed(case.key, keys), changed(case.value, keys)
    if mask is not None:
        key, value = (tensor.masked_fill(~mask[:, None, :, None], 0.0) for tensor in (key, value))
    other = Case(changed(case.query, rows), key, value, mask, changed(case.threshold, rows), case.call)
    before, after, count = case.find(), other.find(), 0
    for tile, found in before.items():
        last = cut - offset - tile.start
        if last >= 0:
            assert as_pairs(found, last) == as_pairs(after[tile], last)
            count += len(as_pairs(found, last))
    return count


@pytest.mark.parametrize("offset", [None, 0, 13, 27])
@pytest.mark.parametrize("masked", [0.0, 0.4])
@pytest.mark.parametrize("tile", [16, 40, 64])
def test_search_finds_what_passes_in_each_strip_and_nothing_else(
    offset: int | None, masked: float, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key passes with a score of the threshold and a quarter above that of the first far block's mean.

    Strips stand at multiples of 16 of a whole tile, of which a call may begin in the middle.
    """
    monkeypatch.setattr(search, "DENSE", 1.0)  # no tile reads everything because the one before found most of it
    case = random_case("search", 177, 190, offset, masked=masked, dtype=torch.float64, seed=4, tile=tile, strip=16)
    scores = case.scores().flatten(0, 1).tolist()
    shown = torch.ones(2, 4) if case.key_mask is None else case.key_mask[:, 4:8].float()
    means = (case.key[:, :, 4:8] * shown[:, None, :, None]).sum(2) / shown.sum(-1).clamp(min=1.0)[:, None, None]
    centre = 0.5 * (case.query * means.repeat_interleave(2, 1).unsqueeze(2)).sum(-1)
    case = replace(case, threshold=case.threshold.clamp(min=3.0))
    thresholds = case.threshold.maximum(centre + 0.25).flatten(0, 1).tolist()
    some = again = 0
    for cut, found in case.find().items():
        want: dict[tuple[int, int], list[int]] = {}
        strip_of = {row: (row + (offset or 0)) % tile // 16 for row in range(cut.start, cut.stop)}
        for head in range(len(scores)):
            for key in [*range(cut.sinks, cut.low), *range(cut.high, cut.limit)]:
                passing = [row for row in strip_of if scores[head][row][key] >= thresholds[head][row]]
                if passing:
                    first = want.setdefault((head, key), [selection.NEVER] * cut.strips)
                    for row in reversed(passing):
                        first[strip_of[row]] = row - cut.start
        got = zip(found.head.tolist(), found.key.tolist(), found.first.tolist(), strict=True)
        assert {(head, key): first for head, key, first in got} == want
        some += len(want)
        again += sum(sum(row < selection.NEVER for row in first) > 1 for first in want.values())
    assert some > 300 and (tile == 16 or again > 30)


def test_heavy_finds_the_column_that_earlier_probe_rows_look_at() -> None:
    """Rows 7 and 15 of a tile are probed and look at key 20; all others at key 21, which is not noticed."""
    key = 0.1 * torch.eye(96).view(1, 1, 96, 96)
    query = key[:, :, 21:22].repeat(1, 1, 96, 1) * 100.0
    query[:, :, 7::8] = key[:, :, 20:21] * 100.0
    case = make_case(query, key, "heavy", 0, scale=10.0, selected=1)
    found = case.pairs()
    assert found[48] == found[80] == {(0, 20, 0)}
    query[:, :, 48:] = key[:, :, 5:6] * 100.0  # two tiles of these outweigh the others, once a tile knows of them
    found = case.pairs()
    assert found[64] == {(0, 20, 0)} and found[80] == {(0, 5, 0)}
    assert replace(case, call=replace(case.call, causal_offset=None)).pairs()[64] == {(0, 5, 0)}


@pytest.mark.parametrize("offset", [None, 0])
def test_heavy_ranks_by_the_decayed_weights_of_two_rows_a_tile(offset: int | None) -> None:
    case = random_case("heavy", 130, 130, offset, masked=0.3, dtype=torch.float64)
    weights = torch.softmax(case.scores(), -1).nan_to_num(0.0).flatten(0, 1)
    assert case.key_mask is not None
    for tile, found in case.find().items():
        known = tile.start if offset == 0 else tile.stop
        probes = [(start, min(start + 16, 130)) for start in range(0, known, 16)]
        mass = torch.zeros_like(weights[:, 0])
        for start, stop in probes:
            mass = 0.7 * mass + weights[:, [(start + stop - 1) // 2, stop - 1]].mean(1)
        for head in range(8):
            far = [j for j in tile.far_keys(mass.device).tolist() if case.key_mask[head // 4, j]]
            far.sort(key=(-mass[head]).tolist().__getitem__)
            assert set(found.key[found.head == head].tolist()) == set(far[:8])


def test_heavy_finds_columns_of_each_query_head() -> None:
    key = 0.1 * torch.eye(64).view(1, 1, 64, 64)
    query = torch.stack([key[0, 0, [9]].expand(64, -1), key[0, 0, [10]].expand(64, -1)]).unsqueeze(0) * 100.0
    assert make_case(query, key, "heavy", 0, scale=10.0, selected=1).pairs()[48] == {(0, 9, 0), (1, 10, 0)}


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_lsh_finds_the_latest_keys_of_a_querys_own_direction(shift: float) -> None:
    """Keys come in pairs v, −v. Keys 10, 20 and 30 are the same; a query like them reads the last two, no antipode.

    Nor does it help or hurt that all keys share a part: they are centred.
    """
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(48, 16, generator=generator, dtype=torch.float64)
    half[10] = half[15] = half[5]
    key = torch.stack([half, -half], 1).view(1, 1, 96, 16)
    query = torch.randn(16, generator=generator, dtype=torch.float64).repeat(1, 1, 96, 1)
    query[:, :, 69] = 3.0 * half[5]
    case = make_case(query, key + shift, "lsh", 0, selected=32, lsh_projections=10)
    assert case.pairs()[64] == {(0, 20, 5), (0, 30, 5)}
    assert not case.pairs()[80]


@pytest.mark.parametrize("offset", [None, 0])
def test_lsh_reads_far_keys_of_a_shared_code_and_no_more_than_its_share(offset: int | None) -> None:
    """One plane, one query that looks: half of the keys share its code, and of each round it takes the nearest two."""
    case = random_case("lsh", 256, 256, offset, heads=(1, 1), lsh_projections=1, selected=32, tile=16)
    for tile, found in case.find().items():
        alone = (found.first[:, 0] == 0).sum()
        assert int(alone) <= 2 * 2 * 4  # batch, selected / 16, rounds
        if tile.start >= 128:
            assert int(alone) >= 2 * 2
            assert bool((found.key[found.first[:, 0] == 0] >= tile.low - 40).all())


def test_pooled_finds_a_block_of_alike_keys() -> None:
    """Block 1 holds alike keys. Block 2 holds one much larger key, which its mean hides."""
    generator = torch.Generator().manual_seed(0)
    key = 0.1 * torch.randn(1, 1, 320, 8, generator=generator)
    wanted = torch.eye(8)[0]
    key[:, :, 64:128] += wanted
    key[:, :, 150] += 10.0 * wanted
    query = torch.zeros(1, 1, 320, 8)
    query[:, :, 261] = 4.0 * wanted
    query[:, :, 263] = 8.0 * wanted
    rules = {"tile": 64, "means": 64, "selected": 128}
    found = make_case(query, key, "pooled", 0, threshold=7.0, **rules).pairs()  # log 64 + 4 > 7 > log 64 + 10 · 4 / 64
    assert found[256] == {(0, j, 5) for j in range(64, 128)}
    assert not found[192]
    both = make_case(query, key, "pooled", 0, threshold=5.0, **rules).pairs()[256]
    assert both == {(0, j, 5) for j in range(64, 128)} | {(0, j, 7) for j in range(128, 192)}
    assert not make_case(query, key, "pooled", 0, threshold=13.0, **rules).pairs()[256]


def test_leverage_finds_an_outlying_direction() -> None:
    """Key 20 alone points along the last axis; key 21 is longer, along an axis that the others share."""
    key = torch.randn(1, 1, 128, 8, generator=torch.Generator().manual_seed(0))
    key[..., 7] = 0.0
    key[:, :, 20, 7] = 1.0
    key[:, :, 21] = 4.0 * torch.eye(8)[0]
    found = make_case(torch.zeros_like(key), key, "leverage", 0, selected=1).pairs()
    assert found[48] == found[112] == {(0, 20, 0)}
    key[:, :, 20, 7] = 1e-3  # next to nothing, which the ridge keeps from counting
    assert (0, 20, 0) not in make_case(torch.zeros_like(key), key, "leverage", 0, selected=1).pairs()[112]


@pytest.mark.parametrize("offset", [None, 0])
def test_leverage_scores_are_those_of_the_formula(offset: int | None) -> None:
    case = random_case("leverage", 130, 130, offset, heads=(1, 1), masked=0.3, dtype=torch.float64)
    assert case.key_mask is not None
    for tile, found in case.find().items():
        for b in range(2):
            rows = case.key[b, 0, : tile.start if offset == 0 else None]
            gram = rows.T @ rows
            inverse = torch.linalg.inv(gram + 1e-3 * gram.trace() / 8 * torch.eye(8))
            far = [j for j in tile.far_keys(rows.device).tolist() if case.key_mask[b, j]]
            far.sort(key=(-(rows @ inverse * rows).sum(-1)).tolist().__getitem__)
            assert set(found.key[found.head == b].tolist()) == set(far[:8])


def test_kmeans_finds_keys_that_stand_apart_and_typical_ones() -> None:
    """Three pairs apart from a tight crowd: all of them, and of the crowd its middle. Near keys take nobody's turn."""
    key = 0.1 * torch.randn(1, 1, 128, 4, generator=torch.Generator().manual_seed(0))
    pairs = {10: 0, 30: 0, 13: 1, 40: 1, 22: 2, 33: 2}
    for place, axis in pairs.items():
        key[:, :, place] = 10.0 * key[:, :, place] + 30.0 * torch.eye(4)[axis]
    key[:, :, :2] = key[:, :, [10, 30]].mean(2, keepdim=True)  # sinks
    found = make_case(torch.zeros_like(key), key, "kmeans", 0, selected=8).pairs()[112]
    keys = {j for _, j, _ in found}
    assert len(found) == 8 and keys >= set(pairs)
    norm = {j: float(key[0, 0, j].norm()) for j in range(4, 104) if j not in pairs}
    assert max(norm[j] for j in keys - set(pairs)) < sorted(norm.values())[20]  # not its rim


def test_kmeans_waits_for_a_group_to_come() -> None:
    """A pair that stands apart but comes later than the tile has no cluster yet."""
    key = torch.randn(1, 1, 128, 4, generator=torch.Generator().manual_seed(0))
    with_pair = key.clone()
    with_pair[:, :, 60:62] = 30.0 * torch.eye(4)[0]
    before, after = (make_case(torch.zeros_like(rows), rows, "kmeans", 0).pairs() for rows in (key, with_pair))
    assert before[48] == after[48]
    assert {(0, 60, 0), (0, 61, 0)} <= after[112]
