"""Attention dropout in training: written as SDPA's dropout_p where SDPA has a word for it.

On a CPU one SDPA call draws what the steps it stands for draw, in the same order, so that outputs and gradients of both
are compared number by number from the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attention_forms import padded, qkv, random
from graphs import Backend, assert_same, clone
from torch import Tensor, nn

from hyperrewrite.analysis import analyse
from hyperrewrite.options import Options
from hyperrewrite.verify import compare

LOWEST = torch.finfo(torch.float32).min


def dropped_plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.dropout(torch.softmax(q @ k.transpose(-1, -2) * 40**-0.5, dim=-1), p=0.1) @ v


def dropped_module(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Heads merged into the batch, torch.bmm, and softmax in float32."""
    q, k, v = (t.reshape(8, 63, 40) for t in (q, k, v))
    weights = F.softmax(torch.bmm(q / 8, k.transpose(1, 2)), dim=-1, dtype=torch.float32).type_as(q)
    return torch.bmm(nn.Dropout(0.2).train()(weights), v).view(2, 4, 63, 40)


def dropped_apart(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Heads merged into the batch for both products, apart for softmax and dropout."""
    weights = F.dropout(torch.softmax(torch.bmm(q, k.mT).view(2, 4, 63, 63), dim=-1), 0.1)
    return torch.bmm(weights.flatten(0, 1), v)


def dropped_in_place(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.softmax(q @ k.transpose(-1, -2), dim=-1) * 1.0
    F.dropout(weights, 0.3, True, inplace=True)
    return weights @ v


def dropped_torch(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """torch.dropout, and one kv head for two heads."""
    k, v = (t[:, :2].repeat_interleave(2, dim=1) for t in (k, v))
    return torch.dropout(torch.softmax(q @ k.mT, dim=-1), 0.5, True) @ v


def dropped_causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    later = torch.ones(63, 63, dtype=torch.bool).triu(1)
    return F.dropout((q @ k.mT / 8).masked_fill(later, -math.inf).softmax(-1), 0.1) @ v


def dropped_bert(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """The extended mask of BERT; one sequence is padding throughout."""
    scores = q @ k.mT / math.sqrt(40) + (1.0 - mask[:, None, None, :].float()) * LOWEST
    return F.dropout(torch.softmax(scores, dim=-1), 0.1) @ v


def dropped_gpt2(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Causal and padded, added: with padding at the left the first rows see no key."""
    keep = torch.ones(63, 63, dtype=torch.bool).tril() & mask[:, None, None, :].bool()
    return F.dropout(torch.softmax(q @ k.mT / math.sqrt(40) + torch.where(keep, 0.0, LOWEST), dim=-1), 0.1) @ v


def dropped_filled(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """DistilBERT's mask, and a causal one with it."""
    keep = torch.ones(63, 63, dtype=torch.bool).tril() & mask[:, None, None, :].bool()
    return F.dropout((q @ k.mT / 8).masked_fill(~keep, -math.inf).softmax(-1), 0.1) @ v


def dropped_t5(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    return F.dropout(F.softmax((q @ k.mT + bias).float(), dim=-1).type_as(q), 0.1) @ v


def dropped_biased_causal(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    scores = (q @ k.mT + bias).masked_fill(torch.ones(63, 63, dtype=torch.bool).triu(1), -math.inf)
    return F.dropout(scores.softmax(-1), 0.1) @ v


def dropped_and_masked(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """The mask once more behind the dropout: rows without keys give zeros."""
    keep = mask[:, None, None, :].bool()
    weights = F.dropout(torch.softmax((q @ k.mT).masked_fill(~keep, LOWEST), dim=-1), 0.25)
    return weights.masked_fill(~keep, 0.0) @ v


def dropped_window(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A sliding window, which SDPA has no argument for."""
    away = torch.arange(63)[:, None] - torch.arange(63)
    return F.dropout((q @ k.mT).masked_fill((away < 0) | (away > 7), LOWEST).softmax(-1), 0.1) @ v


def dropped_sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A call of SDPA whose mask tensor is causal."""
    keep = torch.ones(63, 63, dtype=torch.bool).tril()
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keep, dropout_p=0.1)


def dropped_sdpa_padded(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """A call of SDPA that says all there is to say: it stays."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :].bool(), dropout_p=0.1)


BIAS = lambda: (*qkv()(), random(1, 4, 63, 63))  # noqa: E731
CASES: list[tuple[Callable[..., Tensor], Callable[[], tuple[Any, ...]], str, str]] = [
    (dropped_plain, qkv(), "full, 4 heads, dropout 0.1", "exact"),
    (dropped_module, qkv(), "full, 4 heads, dropout 0.2", "exact"),
    (dropped_apart, lambda: tuple(random(8, 63, 40, seed=k) for k in range(3)), "full, 1 heads", "exact"),
    (dropped_in_place, qkv(), "full, 4 heads, dropout 0.3", "exact"),
    (dropped_torch, qkv(), "full, 4 heads over 2 kv heads, dropout 0.5", "exact"),
    (dropped_causal, qkv(), "causal, 4 heads, dropout 0.1", "exact"),
    (dropped_bert, padded(), "bias, 4 heads, dropout 0.1", "exact"),
    (dropped_gpt2, padded(), "causal, key padding, 4 heads, dropout 0.1", "exact"),
    (dropped_filled, padded(), "causal, key padding, 4 heads, dropout 0.1", "exact"),
    (dropped_t5, BIAS, "bias, 4 heads, dropout 0.1", "exact"),
    (dropped_biased_causal, BIAS, "causal, bias, 4 heads, dropout 0.1", "exact"),
    (dropped_and_masked, padded(), "key padding, 4 heads, dropout 0.25", "exact"),
    (dropped_window, qkv(), "sliding window 8, 4 heads, dropout 0.1", "exact"),
    (dropped_sdpa, qkv(), "causal, 4 heads, dropout 0.1", "exact"),
    (dropped_sdpa_padded, padded(), "key padding, 4 heads, dropout 0.1", "leave"),
]


def both(function: Callable[..., Any], args: tuple[Any, ...], **options: Any) -> tuple[list[Any], list[Any], Backend]:
    """Output and gradients of function(*args) from one seed, eagerly and rewritten."""
    backend, found = Backend(Options.of({"approximate": False, **options})), []
    torch._dynamo.reset()
    for called in (function, torch.compile(function, backend=backend, fullgraph=True)):
        mine = [t.requires_grad_() if t.is_floating_point() else t for t in clone(args)]
        torch.manual_seed(0)
        out = called(*mine)
        wanted = [t for t in mine if t.requires_grad]
        upstream = random(*out.shape, seed=3)
        found.append([out.detach(), *torch.autograd.grad(out, wanted, upstream, allow_unused=True)])
    return found[0], found[1], backend


@pytest.mark.parametrize(("function", "inputs", "words", "action"), CASES, ids=[c[0].__name__ for c in CASES])
def test_dropout_is_written_as_sdpa(
    function: Callable[..., Tensor], inputs: Callable[[], tuple[Any, ...]], words: str, action: str
) -> None:
    """Outputs and gradients of all rows, those without keys too, are eager's from the same seed."""
    expected, actual, backend = both(function, inputs())
    (analysis,) = backend.analyses
    assert not analysis.report.rejections
    (row,) = analysis.report.sites
    assert words in row.spec
    assert row.action == action
    names = [getattr(node.target, "__name__", "") for node in analysis.module.graph.nodes]
    assert names.count("scaled_dot_product_attention") == 1
    assert "dropout" not in names
    for k, gradient in enumerate(expected[1:], 1):  # eager's are NaN behind outputs that are
        actual[k] = torch.where(gradient.isnan(), gradient, actual[k])
    assert_same(actual, expected)


def shared_by_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One draw for all heads."""
    weights = F.dropout(torch.softmax(q[:, :1] @ k[:, :1].mT, dim=-1), 0.1)
    return weights.expand(-1, 4, -1, -1) @ v


def dropped_twice(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.dropout(F.dropout(torch.softmax(q @ k.mT, dim=-1), 0.1), 0.1) @ v


def with_softcap(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.dropout(torch.softmax(20 * torch.tanh(q @ k.mT / 20), dim=-1), 0.1) @ v


def with_sink(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The probability of the sink is dropped like the others, and then left out."""
    scores = torch.cat([q @ k.mT, q.new_ones(2, 4, 63, 1)], -1)
    return F.dropout(torch.softmax(scores, dim=-1), 0.1)[..., :-1] @ v


def all_dropped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.dropout(torch.softmax(q @ k.mT, dim=-1), 1.0) @ v


def dropped_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(F.dropout(q @ k.mT, 0.1), dim=-1) @ v


def alpha_dropout(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.alpha_dropout(torch.softmax(q @ k.mT, dim=-1), 0.1, training=True) @ v


def feature_dropout(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Whole heads are dropped."""
    return F.dropout2d(torch.softmax(q @ k.mT, dim=-1), 0.5) @ v


def by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.softmax(q @ k.mT, dim=-1)
    return (weights * (torch.rand_like(weights) > 0.1) / 0.9) @ v


def returned(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = F.dropout(torch.softmax(q @ k.mT, dim=-1), 0.1)
    return weights @ v + weights.sum()


MISSES = [
    (shared_by_heads, "dropout"), (dropped_twice, "dropout"), (with_softcap, "dropout"), (with_sink, "dropout"),
    (all_dropped, "dropout"), (dropped_scores, "dropout"), (alpha_dropout, "probabilities_changed"),
    (feature_dropout, "probabilities_changed"), (by_hand, "probabilities_changed"), (returned, "probabilities_escape"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "code"), MISSES, ids=[m[0].__name__ for m in MISSES])
def test_other_dropout_is_left_alone(function: Callable[..., Tensor], code: str) -> None:
    expected, actual, backend = both(function, qkv()())
    (analysis,) = backend.analyses
    assert [row.code for row in analysis.report.rejections] == [code]
    assert not analysis.report.sites
    assert_same(actual, expected)


@pytest.mark.parametrize("of_operands", [False, True])
@pytest.mark.parametrize("off", [{"p": 0.1, "training": False}, {"p": 0.0, "training": True}])
def test_dropout_that_drops_no_probability(off: dict[str, Any], of_operands: bool) -> None:
    """Switched off, beside an active one on queries and values."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, v = (F.dropout(t, 0.3, training=of_operands) for t in (q, v))
        return F.dropout(torch.softmax(q @ k.mT, dim=-1), **off) @ v

    expected, actual, backend = both(attend, qkv()())
    (row,) = backend.analyses[0].report.sites
    assert "dropout" not in row.spec
    assert_same(actual, expected)


def test_a_model_drops_in_training_alone() -> None:
    layer = nn.MultiheadAttention(40, 4, dropout=0.3, batch_first=True)
    for training, p in ((True, 0.3), (False, 0.0)):
        layer.train(training)
        expected, actual, backend = both(lambda x: layer(x, x, x, need_weights=False)[0], (random(2, 63, 40),))
        (row,) = backend.analyses[0].report.sites
        assert (f"dropout {p}" in row.spec) == training
        assert_same(actual, expected)


def test_no_probability_is_dropped_by_an_estimate() -> None:
    """What is long enough to be estimated is exact where it drops."""
    backend = Backend(Options.of({"min_seq_len": 1, "tile": 16}))
    torch._dynamo.reset()
    torch.compile(dropped_plain, backend=backend, fullgraph=True)(*qkv()())
    (row,) = backend.analyses[0].report.sites
    assert (row.action, row.code) == ("exact", "dropout")


def test_verify_compares_without_dropout() -> None:
    backend = Backend()
    torch._dynamo.reset()
    torch.compile(dropped_bert, backend=backend, fullgraph=True)(*padded()())
    (graph,) = backend.graphs
    comparison = compare(graph.module, backend.analyses[0].module, graph.inputs)
    assert comparison.equal, comparison.sentence
    wrong = analyse(graph.module, Options.of({"approximate": False})).module
    (call,) = (n for n in wrong.graph.nodes if "scaled_dot" in getattr(n.target, "__name__", ""))
    call.update_kwarg("scale", 0.5)
    wrong.recompile()
    assert not compare(graph.module, wrong, graph.inputs).equal


# --- what is drawn --------------------------------------------------------------------------------------------------


def of_identity(n: int = 64, batch: int = 4, heads: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys, and as values the identity: the output is the probabilities that were kept."""
    return random(batch, heads, n, 16), random(batch, heads, n, 16, seed=1), torch.eye(n).expand(batch, heads, n, n)


@pytest.fixture
def compiled() -> Callable[..., Tensor]:
    """dropped_quarter, rewritten; asserts that it is."""
    backend = Backend()
    torch._dynamo.reset()
    function: Callable[..., Tensor] = torch.compile(dropped_quarter, backend=backend, fullgraph=True)
    function(*of_identity())
    assert backend.analyses[0].report.site_count == 1
    return function


def dropped_quarter(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.dropout(torch.softmax(q @ k.mT / 8, dim=-1), 0.25) @ v


def test_statistics_of_the_draws(compiled: Callable[..., Tensor]) -> None:
    """Kept with probability 1 − p, then 1 / (1 − p) times as large; mean and variance follow, in every head alike."""
    q, k, v = of_identity()
    probabilities = torch.softmax(q @ k.mT / 8, dim=-1)
    torch.manual_seed(1)
    draws = torch.stack([compiled(q, k, v) / probabilities for _ in range(40)])
    kept = draws > 0.5
    torch.testing.assert_close(draws[kept], torch.full_like(draws[kept], 1 / 0.75), rtol=1e-4, atol=0)
    assert float(draws[~kept].abs().max()) == 0
    for over in ((0, 1, 2, 3, 4), (0, 3, 4), (1, 2, 3, 4)):  # all, each head of each sequence, each call
        rate = kept.float().mean(over)
        deviation = (0.75 * 0.25 / (kept.numel() / rate.numel())) ** 0.5
        assert float((rate - 0.75).abs().max()) < 5 * deviation
    assert float((draws.mean(0) - 1).mean().abs()) < 5 * (1 / 3 / draws.numel()) ** 0.5
    assert float(draws.var()) == pytest.approx(0.25 / 0.75, rel=0.02)


def test_calls_and_heads_draw_apart(compiled: Callable[..., Tensor]) -> None:
    kept = [compiled(*of_identity()) > 0 for _ in range(2)]
    both_kept = (kept[0] & kept[1]).float().mean()  # 0.75 · 0.75 where they are independent
    assert float(both_kept) == pytest.approx(0.5625, abs=0.02)
    heads = (kept[0][:, 0] & kept[0][:, 1]).float().mean()
    assert float(heads) == pytest.approx(0.5625, abs=0.03)


def test_a_seed_gives_the_same_draws(compiled: Callable[..., Tensor]) -> None:
    outputs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outputs.append(compiled(*of_identity()))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_two_attentions_of_the_same_operands_draw_apart() -> None:
    """PyTorch's compiler would take two equal calls of SDPA for one: the second stays as it was written."""

    def twice(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.stack([dropped_quarter(q * 2, k, v) for _ in range(2)])

    def other(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.stack([dropped_quarter(F.dropout(q, 0.1), k, v) for _ in range(2)])

    for function, codes in ((twice, ["dropout"]), (other, [])):
        backend = Backend()
        torch._dynamo.reset()
        out = torch.compile(function, backend=backend, fullgraph=True)(*of_identity())
        report = backend.analyses[0].report
        assert [row.code for row in report.rejections] == codes
        assert report.site_count + len(codes) == 2
        assert not torch.equal(out[0] > 0, out[1] > 0)
