"""Key ranges, groups, softcap and clamp: against the dense float64 oracle, SDPA, and what nearly is the same."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attention_cases import LIFTED_KINDS, check_against_oracle, lifted, lifted_fields, make_inputs, with_lifted
from hyperrewrite.kernels import meter, oracle
from hyperrewrite.kernels.functional import hyper_attention
from hyperrewrite.kernels.lifted import Lifted
from hyperrewrite.kernels.parts import Span, visible_keys
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

EXACT: dict[str, Any] = {"algorithm": "exact", "scale": 0.3}
NEG_INF = float("-inf")


def curves(softcap: float) -> list[dict[str, float]]:
    """Nothing, a softcap, and each with a clamp that many scores meet."""
    clamp = {"score_min": -0.7, "score_max": 0.9}
    return [{}, {"softcap": softcap}, clamp, {"softcap": softcap, "score_min": -0.7}]


@pytest.mark.parametrize("kind", LIFTED_KINDS)
@pytest.mark.parametrize("curve", curves(2.0), ids=str)
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize(
    "rules",
    [{}, {"causal_offset": 0}, {"causal_offset": -4, "empty_rows": "mean"}, {"causal_offset": 6, "sliding_window": 9}],
    ids=str,
)
def test_masks_match_oracle(kind: str, curve: dict[str, float], rows: int, rules: dict[str, Any]) -> None:
    for masked, bias in ((0.0, None), (0.5, None), (0.0, (4, 63, 57)), (0.3, (1, 1, 57))):
        inputs = make_inputs(63, 57, kv_heads=2, value_features=24, masked=masked, bias=bias)
        check_against_oracle(with_lifted(inputs, kind, rows), **curve, **EXACT, **rules)


@pytest.mark.parametrize(
    ("n_q", "n_k", "features", "kv_heads"),
    [(63, 63, 40, 4), (111, 111, 80, 2), (111, 63, 96, 1), (1, 111, 80, 4), (1000, 1000, 40, 2), (300, 1000, 96, 4)],
)
@pytest.mark.parametrize("curve", curves(5.0), ids=str)
def test_sizes(n_q: int, n_k: int, features: int, kv_heads: int, curve: dict[str, float]) -> None:
    inputs = make_inputs(n_q, n_k, batch=1 if n_k == 1000 else 2, kv_heads=kv_heads, features=features)
    for kind in ("range", "packed", "mixed"):
        rules = {"algorithm": "exact", "scale": features**-0.5, "causal_offset": n_k - n_q, **curve}
        check_against_oracle(with_lifted(inputs, kind), **rules)


@pytest.mark.parametrize("rules", [{}, {"causal_offset": 0}, {"causal_offset": 3, "sliding_window": 8}], ids=str)
def test_curve_alone(rules: dict[str, Any]) -> None:
    for masked, bias in ((0.0, None), (0.4, None), (0.0, (2, 1, 45, 45))):
        for curve in ({"softcap": 0.5}, {"softcap": 30.0}, {"score_max": 0.8}, {"score_min": -1.0, "score_max": -0.2}):
            inputs = make_inputs(45, kv_heads=2, masked=masked, bias=bias)
            check_against_oracle(inputs, **curve, **EXACT, **rules)


@pytest.mark.parametrize("kind", ["range", "packed", "all"])
@pytest.mark.parametrize("curve", curves(3.0), ids=str)
def test_chunks_join(kind: str, curve: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperrewrite.kernels.exact.SCORE_BUDGET", 16 * 40)
    for rules in ({}, {"causal_offset": 13}, {"causal_offset": 13, "sliding_window": 20}):
        inputs = make_inputs(90, 77, masked=0.2, bias=(1, 4, 90, 77))
        for case in (inputs, replace(inputs, bias=None)):
            check_against_oracle(with_lifted(case, kind), **curve, **EXACT, **rules)


@pytest.mark.parametrize("kind", ["first", "range", "packed"])
@pytest.mark.parametrize("rows", [1, 2])
def test_stretches_of_one_key_range_join(kind: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many queries share their range, each stretch is a call of its own without a mask: here every stretch is."""
    monkeypatch.setattr("hyperrewrite.kernels.exact.LEAST_STRETCH", 1)
    for n_q, n_k, offset, window in ((70, 70, 0, None), (48, 61, 13, 7), (61, 48, -9, None), (50, 50, None, None)):
        for masked, bias in ((0.0, None), (0.5, None), (0.3, (1, 1, n_k)), (0.0, (2, 1, n_q, n_k))):
            inputs = make_inputs(n_q, n_k, kv_heads=2, value_features=24, masked=masked, bias=bias)
            case = with_lifted(inputs, kind, rows)
            check_against_oracle(case, causal_offset=offset, sliding_window=window, **EXACT)
            if bias is not None:  # no gradient for it: the backward that goes by stretches too
                case = replace(case, bias=case.bias.detach() if case.bias is not None else None)
                check_against_oracle(case, causal_offset=offset, sliding_window=window, **EXACT)


def test_long_documents_need_no_mask() -> None:
    """Documents above LEAST_STRETCH run as they would alone, bit for bit."""
    inputs = make_inputs(700, batch=1, heads=2, features=16).to(torch.float32)
    group = (torch.arange(700) >= 301).long()[None, :, None]
    out, _ = replace(inputs, lifted=Lifted(None, None, group, group)).run(causal_offset=0, **EXACT)
    for rows in (slice(0, 301), slice(301, 700)):
        alone = (tensor[:, :, rows] for tensor in (inputs.query, inputs.key, inputs.value))
        want = F.scaled_dot_product_attention(*alone, is_causal=True, scale=0.3)
        assert torch.equal(out[:, :, rows], want)


def test_strides() -> None:
    for kind in ("range", "mixed"):
        for curve in curves(4.0):
            case = with_lifted(make_inputs(61, kv_heads=2, strided=True), kind)
            assert case.lifted is not None
            spread = [None if t is None else t.repeat_interleave(2, 1)[:, ::2] for t in lifted_fields(case.lifted)]
            check_against_oracle(replace(case, lifted=Lifted(*spread)), **curve, causal_offset=2, **EXACT)


@pytest.mark.parametrize("mode", ["zero", "mean", "level", "nan", "nan_added"])
@pytest.mark.parametrize("curve", curves(2.0), ids=str)
def test_empty_rows_by_lifted_masks(mode: str, curve: dict[str, float]) -> None:
    """No query is empty by one rule alone: ranges, groups and key_mask take a row's keys together."""
    n = 30
    first, stop = torch.zeros(1, n, dtype=torch.long), torch.full((1, n), n)
    first[0, 4], stop[0, 4] = 9, 9  # nothing between
    first[0, 7], stop[0, 7] = 5, 3  # upside down
    stop[0, 11], first[0, 12] = -2, n + 5
    group = torch.zeros(1, n, 1, dtype=torch.long)
    other = group.clone()
    group[0, 20] = 3  # no key has it
    other[0, 25] = group[0, 26] = 5  # one key has it …
    mask = torch.ones(1, n, dtype=torch.bool)
    mask[0, 25] = False  # … which is masked
    base = make_inputs(n, kv_heads=2)
    inputs = replace(base, key_mask=mask, lifted=Lifted(first, stop, group, other))
    rules = {"empty_rows": mode, **curve, **EXACT}
    check_against_oracle(inputs, gradients=not mode.startswith("nan"), **rules)
    out, lse = inputs.run(**rules)
    empty = lse[0, 0] == NEG_INF
    assert empty.nonzero().flatten().tolist() == [4, 7, 11, 12, 20, 26]
    if mode == "mean":
        want = base.value.mean(2).repeat_interleave(2, 1)
        torch.testing.assert_close(out[:, :, 20], want)


@pytest.mark.parametrize("curve", curves(2.0), ids=str)
def test_near_misses(curve: dict[str, float]) -> None:
    """What is one off, or agrees in some columns only, gives something else."""
    inputs = make_inputs(40, batch=1)
    first = torch.full((1, 40), 7)
    stop = torch.full((1, 40), 31)
    group = torch.stack([torch.arange(40) // 9, torch.arange(40) % 2], -1)[None]
    right = Lifted(first, stop, group, group)
    rules = {**curve, **EXACT}
    out, _ = replace(inputs, lifted=right).run(**rules)
    allowed = oracle.lifted_visible(right, 40, 40)[0, 0]
    assert torch.equal(allowed[10], torch.tensor([j in (10, 12, 14, 16) for j in range(40)]))
    assert allowed[7].nonzero().flatten().tolist() == [7] and allowed[29].nonzero().flatten().tolist() == [27, 29]
    one_column = group[..., :1]
    misses = [
        Lifted(first + 1, stop, group, group),
        Lifted(first - 1, stop, group, group),
        Lifted(first, stop + 1, group, group),
        Lifted(first, stop - 1, group, group),
        Lifted(first, stop, one_column, one_column),
        Lifted(first, stop, group, group + 1),
    ]
    for wrong in misses:
        other, _ = replace(inputs, lifted=wrong).run(**rules)
        assert float((other - out).detach().abs().max()) > 1e-2


def test_softcap_is_not_the_score_and_comes_before_the_bias() -> None:
    inputs = make_inputs(20, batch=1, bias=(20, 20))
    out, _ = inputs.run(softcap=1.0, **EXACT)
    scores = inputs.query @ inputs.key.transpose(-1, -2) * 0.3
    assert inputs.bias is not None
    right = torch.softmax(torch.tanh(scores) + inputs.bias, -1) @ inputs.value
    torch.testing.assert_close(out, right)
    for wrong in (scores + inputs.bias, torch.tanh(scores + inputs.bias), torch.tanh(scores / 0.3) + inputs.bias):
        assert float((torch.softmax(wrong, -1) @ inputs.value - out).detach().abs().max()) > 1e-2


def test_clamp_comes_after_the_softcap_and_before_the_bias() -> None:
    inputs = make_inputs(20, batch=1, bias=(20, 20))
    out, _ = inputs.run(softcap=2.0, score_min=-0.3, score_max=0.5, **EXACT)
    scores = inputs.query @ inputs.key.transpose(-1, -2) * 0.3
    assert inputs.bias is not None
    right = (2.0 * torch.tanh(scores / 2.0)).clamp(-0.3, 0.5) + inputs.bias
    torch.testing.assert_close(out, torch.softmax(right, -1) @ inputs.value)
    capped = 2.0 * torch.tanh(scores / 2.0)
    for wrong in (capped + inputs.bias, (capped + inputs.bias).clamp(-0.3, 0.5), scores.clamp(-0.3, 0.5) + inputs.bias):
        assert float((torch.softmax(wrong, -1) @ inputs.value - out).detach().abs().max()) > 1e-3


def test_gradient_passes_at_the_bound() -> None:
    """As that of torch.clamp: of whole numbers many scores are the bound itself."""
    generator = torch.Generator().manual_seed(0)
    leaves = [torch.randint(-1, 2, (1, 2, 9, 4), generator=generator).float().requires_grad_() for _ in range(3)]
    query, key, value = leaves
    along = torch.randn(1, 2, 9, 4, generator=generator)
    out, _ = torch.ops.hyper.attention(*leaves, score_min=-1.0, score_max=2.0, algorithm="exact")
    scores = query @ key.transpose(-1, -2)
    assert int((scores == -1.0).sum()) > 5 and int((scores == 2.0).sum()) > 5
    want = torch.softmax(scores.clamp(-1.0, 2.0), -1) @ value
    torch.testing.assert_close(out, want)
    got = torch.autograd.grad(out, leaves, along)
    for mine, theirs in zip(got, torch.autograd.grad(want, leaves, along), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)
    past = torch.ops.hyper.attention(*leaves, score_min=-0.99, score_max=1.99, algorithm="exact")[0]
    assert float((torch.autograd.grad(past, leaves, along)[0] - got[0]).abs().max()) > 1e-2


@pytest.mark.parametrize("curve", curves(2.0), ids=str)
@pytest.mark.parametrize("causal", [None, 0])
def test_garbage_that_no_query_sees_cannot_leak(curve: dict[str, float], causal: int | None) -> None:
    inputs = with_lifted(make_inputs(50, 64, batch=1, kv_heads=2), "mixed")
    given = inputs.lifted
    assert given is not None and given.key_group is not None
    theirs = given.key_group.clone()
    theirs[:, [3, 17, 40], 1] = 99
    start = torch.full((1, 50), 5)
    given = replace(given, key_group=theirs, first_key=start, stop_key=start + 50)
    rules = {**curve, "causal_offset": causal, **EXACT}
    clean = replace(inputs, lifted=given)
    out, lse = clean.run(**rules)
    gone = ~oracle.lifted_visible(given, 50, 64).any(-2).squeeze()
    assert int(gone.sum()) >= 12
    key, value = inputs.key.detach().clone(), inputs.value.detach().clone()
    key[:, :, gone], value[:, :, gone] = float("nan"), float("nan")
    dirty = replace(clean, key=key.requires_grad_(), value=value.requires_grad_())
    seen: list[meter.Observation] = []
    with meter.observe(seen.append):
        dirty_out, dirty_lse = dirty.run(**rules)
    assert torch.equal(dirty_out, out) and torch.equal(dirty_lse, lse)
    got = torch.autograd.grad(dirty_out.square().sum(), dirty.leaves)
    for mine, theirs in zip(got, torch.autograd.grad(out.square().sum(), clean.leaves), strict=True):
        assert torch.equal(mine, theirs)
    assert meter.relative_error(seen[0], rows=50) < 1e-5


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_all_conditions_together_are_one_dense_mask(data: st.DataObject) -> None:
    """Any mixture of rules equals SDPA under the conjunction of their dense masks, and the meter counts it."""
    n_q, n_k = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    kind = data.draw(st.sampled_from([*LIFTED_KINDS, None]))
    rows = data.draw(st.sampled_from([1, 2]))
    offset = data.draw(st.none() | st.integers(-20, 40))
    window = None if offset is None else data.draw(st.none() | st.integers(1, 30))
    masked = data.draw(st.sampled_from([0.0, 0.4]))
    base = make_inputs(n_q, n_k, kv_heads=2, features=8, masked=masked, seed=data.draw(st.integers(0, 9)))
    given = None if kind is None else lifted(kind, n_q, n_k, rows, data.draw(st.integers(0, 99)))
    inputs = replace(base, lifted=given)
    rules = {"causal_offset": offset, "sliding_window": window, **EXACT}
    allowed = oracle.visible(inputs.query, inputs.key, inputs.key_mask, inputs.call(**rules))
    if given is not None:
        allowed = allowed & oracle.lifted_visible(given, n_q, n_k)
    want = F.scaled_dot_product_attention(
        inputs.query.double(), inputs.key.double(), inputs.value.double(), allowed, scale=0.3, enable_gqa=True
    )
    want = want.masked_fill(~allowed.any(-1, keepdim=True), 0.0)
    seen: list[meter.Observation] = []
    with meter.observe(seen.append):
        out, lse = inputs.run(**rules)
    torch.testing.assert_close(out.double(), want, atol=1e-5, rtol=1e-5)
    assert torch.equal(lse > NEG_INF, allowed.any(-1))
    assert meter.keys_per_query(seen[0]) == pytest.approx(float(allowed.sum(-1).double().mean()))
    assert meter.relative_error(seen[0], rows=20) < 1e-5


@pytest.mark.parametrize("kind", LIFTED_KINDS)
@pytest.mark.parametrize("masked", [False, True])
def test_visible_keys(kind: str, masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperrewrite.kernels.parts.COUNT_BUDGET", 100)
    inputs = with_lifted(make_inputs(40, 33, masked=0.4 if masked else 0.0), kind)
    given = inputs.lifted
    assert given is not None
    for offset, window in ((None, None), (3, None), (-4, None), (2, 5), (60, 4), (-60, 4)):
        span = Span(0, 40, 0, 33, offset, window)
        call = inputs.call(causal_offset=offset, sliding_window=window)
        want = oracle.visible(inputs.query, inputs.key, inputs.key_mask, call) & oracle.lifted_visible(given, 40, 33)
        got = visible_keys(span, inputs.key_mask, torch.device("cpu"), given)
        assert torch.equal(got.expand(2, -1), want[:, 0].sum(-1))


def test_sorted_groups_become_ranges_and_narrow_the_keys() -> None:
    """Chunks of packed documents read their documents only; unsorted groups read everything."""
    group = (torch.arange(2048) // 100)[None, :, None]
    given = Lifted(None, None, group, group).resolved()
    assert given.query_group is None and given.first_key is not None and given.stop_key is not None
    assert given.first_key[0, 250] == 200 and given.stop_key[0, 250] == 300
    assert given.key_range(250, 420, 0, 2048) == (200, 500)
    assert given.key_range(250, 420, 230, 390) == (230, 390)
    backwards = Lifted(None, None, group, group.flip(1)).resolved()
    assert backwards.query_group is not None and backwards.key_range(0, 10, 0, 2048) == (0, 2048)
    both = torch.cat([group, torch.arange(2048)[None, :, None] % 7], -1)
    part = Lifted(None, None, both, both).resolved()
    assert part.query_group is not None and part.query_group.shape[-1] == 1
    assert part.key_range(0, 9, 0, 2048) == (0, 100)


def test_rows_without_a_key_do_not_widen_the_range() -> None:
    first, stop = torch.tensor([[0, 50, 60, 99]]), torch.tensor([[0, 55, 64, 3]])
    assert Lifted(first, stop).key_range(0, 4, 0, 100) == (50, 64)
    assert Lifted(first, stop).key_range(0, 1, 0, 100) == (0, 0)


def test_estimators_fall_back_to_exact() -> None:
    """Paper and hyper do not know these masks: the call is exact at any length."""
    small = {"min_seq_len": 32, "tile": 16, "window": 16, "sinks": 1}
    inputs = make_inputs(200, features=8)
    for algorithm in ("paper", "hyper"):
        for case in (with_lifted(inputs, "packed"), with_lifted(inputs, "first")):
            check_against_oracle(case, algorithm=algorithm, scale=0.3, causal_offset=0, **small)
            out, _ = case.run(algorithm=algorithm, scale=0.3, **small)
            assert torch.equal(out, case.run(**EXACT)[0])
        for curve in curves(3.0)[1:]:
            out, _ = inputs.run(algorithm=algorithm, scale=0.3, **curve, **small)
            assert torch.equal(out, inputs.run(**curve, **EXACT)[0])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.bfloat16, 2e-2), (torch.float16, 3e-3)])
@pytest.mark.parametrize("curve", curves(3.0), ids=str)
def test_dtypes(dtype: torch.dtype, tolerance: float, curve: dict[str, float]) -> None:
    inputs = with_lifted(make_inputs(47, kv_heads=2, masked=0.3), "all")
    cast = replace(inputs.to(dtype), lifted=inputs.lifted)
    out, _ = cast.run(**curve, causal_offset=5, **EXACT)
    want, _ = cast.oracle(**curve, causal_offset=5, **EXACT)
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), want, atol=tolerance, rtol=tolerance)


def test_gradcheck_in_float64() -> None:
    shapes = ((1, 2, 5, 3), (1, 1, 7, 3), (1, 1, 7, 4), (1, 1, 5, 7))
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    given = lifted("range", 5, 7, 1)

    def run(*tensors: Tensor) -> Tensor:
        query, key, value, bias = tensors
        ranges = (given.first_key, given.stop_key)
        rules = {"softcap": 1.5, "score_min": -0.8, "algorithm": "exact"}
        return torch.ops.hyper.attention(query, key, value, None, bias, *ranges, **rules)[0]

    assert torch.autograd.gradcheck(run, leaves)


def test_public_function_has_the_same_arguments() -> None:
    query, key = torch.randn(2, 4, 30, 8), torch.randn(2, 4, 41, 8)
    given = lifted("all", 30, 41, 2)
    named = dict(zip(("first_key", "stop_key", "query_group", "key_group"), lifted_fields(given), strict=True))
    out = hyper_attention(query, key, key, softcap=4.0, score_min=-0.5, score_max=0.6, is_causal=True, **named)
    allowed = oracle.lifted_visible(given, 30, 41) & torch.ones(30, 41, dtype=torch.bool).tril()
    scores = 4.0 * torch.tanh(query @ key.transpose(-1, -2) * 8**-0.5 / 4.0)
    weights = torch.softmax(scores.clamp(-0.5, 0.6).masked_fill(~allowed, NEG_INF), -1).nan_to_num(0.0)
    torch.testing.assert_close(out, weights @ key)
    with pytest.raises(ValueError, match="first_key goes with rank-4"):
        hyper_attention(query[0], key[0], key[0], first_key=given.first_key)


def test_backward_without_lse_gradient_equals_the_one_with_zeros() -> None:
    """The fused backward takes `out` where lse has no gradient, and a spare feature where it has one."""
    for kind in (None, "range"):
        for rules in ({}, {"causal_offset": 0}, {"causal_offset": -3}):
            inputs = make_inputs(50, kv_heads=2, value_features=24, masked=0.3)
            inputs = inputs if kind is None else with_lifted(inputs, kind)
            out, lse = inputs.run(**EXACT, **rules)
            along = torch.randn_like(out)
            plain = torch.autograd.grad((out * along).sum(), inputs.leaves, retain_graph=True)
            both = (out * along).sum() + (lse.masked_fill(lse == NEG_INF, 0.0) * 0.0).sum()
            for mine, theirs in zip(plain, torch.autograd.grad(both, inputs.leaves), strict=True):
                torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["packed", "packed softcap", "strewn"])
def test_memory_at_32768_tokens(case: str) -> None:
    """H = 4, D = 64, float32: less than 1 GiB above the inputs (a dense bool mask alone would be 1 GiB)."""
    code = f"""
import resource, torch
import hyperrewrite.kernels.functional
n, case = 32768, {case!r}
query, key, value = (torch.randn(1, 4, n, 64) for _ in range(3))
place = torch.arange(n)[None, :, None]
group = place % 16 if case == "strewn" else place // 1000
rows = 4096 if case == "strewn" else n
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
torch.ops.hyper.attention(
    query[:, :, :rows], key, value, None, None, None, None, group[:, :rows], group, causal_offset=0, scale=0.125,
    softcap=20.0 if "softcap" in case else 0.0, algorithm="exact")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert int(done.stdout) < 2**20
