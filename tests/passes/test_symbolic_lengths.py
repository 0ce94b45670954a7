"""Lengths that the tracer gave different symbols, and that a product or SDPA make equal: keys and values of a cache."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from graphs import Backend, assert_same
from torch import Tensor

PAST = (30, 47)  # rows of the cache, in the first call and in the second


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def cached(past: int, heads: int = 4) -> list[Tensor]:
    """New queries, keys and values of 5 positions, and the keys and values of the positions before."""
    new = [random(2, 4, 5, 8), random(2, heads, 5, 8, seed=1), random(2, heads, 5, 8, seed=2)]
    old = [random(2, heads, past, 8, seed=3), random(2, heads, past, 8, seed=4)]
    for tensor in old:
        torch._dynamo.mark_dynamic(tensor, 2)
    return [*new, *old]


def joined(k: Tensor, v: Tensor, k_old: Tensor, v_old: Tensor) -> tuple[Tensor, Tensor]:
    return torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)


def plain(q: Tensor, k: Tensor, v: Tensor, k_old: Tensor, v_old: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k_old, v_old) + k.mean() * v.mean()


def decoding(q: Tensor, k: Tensor, v: Tensor, k_old: Tensor, v_old: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, *joined(k, v, k_old, v_old))


def chunk_of_prompt(q: Tensor, k: Tensor, v: Tensor, k_old: Tensor, v_old: Tensor) -> Tensor:
    """Causal behind the cache, the mask by the length of the values."""
    k, v = joined(k, v, k_old, v_old)
    keep = torch.arange(v.shape[2]) <= torch.arange(5)[:, None] + v_old.shape[2]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keep)


def written_out(q: Tensor, k: Tensor, v: Tensor, k_old: Tensor, v_old: Tensor) -> Tensor:
    k, v = joined(k, v, k_old, v_old)
    keep = torch.arange(k.shape[2]) <= torch.arange(5)[:, None] + v_old.shape[2]
    return torch.softmax(torch.where(keep, q @ k.mT / 3, -math.inf), -1) @ v


def grouped(q: Tensor, k: Tensor, v: Tensor, k_old: Tensor, v_old: Tensor) -> Tensor:
    k, v = (t.repeat_interleave(2, 1) for t in joined(k, v, k_old, v_old))
    return F.scaled_dot_product_attention(q, k, v)


def gradients(function: Callable[..., Tensor], args: list[Tensor]) -> list[Tensor]:
    for tensor in args:
        tensor.requires_grad_()
    out = function(*args)
    return [out.detach(), *torch.autograd.grad((out * random(*out.shape, seed=9)).sum(), args)]


@pytest.mark.parametrize("op", [False, True])
@pytest.mark.parametrize(
    ("function", "heads", "words"),
    [
        (plain, 4, "full, 4 heads"),
        (decoding, 4, "full, 4 heads"),
        (chunk_of_prompt, 4, "causal with offset s"),
        (written_out, 4, "causal with offset s"),
        (grouped, 2, "4 heads over 2 kv heads"),
    ],
)
def test_keys_are_as_many_as_values(function: Callable[..., Tensor], heads: int, words: str, op: bool) -> None:
    torch._dynamo.reset()
    backend = Backend(op=op)
    compiled = torch.compile(function, backend=backend, fullgraph=True)
    for past in PAST:
        assert_same(gradients(compiled, cached(past, heads)), gradients(function, cached(past, heads)))
    (graph,) = backend.graphs  # one graph for both lengths
    findings = graph.findings()
    assert not findings.rejections
    assert words in findings.sites[0].spec.in_words()


def test_lengths_of_two_calls_stay_apart() -> None:
    """Near miss: queries, text and image have a length each; only keys and values of one call are as many."""

    def both(q: Tensor, text: Tensor, image: Tensor, text_v: Tensor, image_v: Tensor) -> Tensor:
        keep = torch.ones(q.shape[2], text.shape[2], dtype=torch.bool).tril()
        first = F.scaled_dot_product_attention(q, text, text_v, attn_mask=keep)
        return first + torch.softmax(q @ image.mT, -1) @ image_v

    def inputs(n: int, m: int, p: int) -> list[Tensor]:
        made = [random(2, 4, size, 8, seed=k) for k, size in enumerate((n, m, p, m, p))]
        for tensor in made:
            torch._dynamo.mark_dynamic(tensor, 2)
        return made

    torch._dynamo.reset()
    backend = Backend()
    compiled = torch.compile(both, backend=backend, fullgraph=True)
    for lengths in ((7, 7, 7), (9, 30, 11), (12, 5, 40)):
        assert_same(gradients(compiled, inputs(*lengths)), gradients(both, inputs(*lengths)))
    first, second = backend.graphs[-1].findings().sites
    assert len({first.spec.n_q, first.spec.n_k, second.spec.n_k}) == 3


CHUNKS = (9, 8, 11, 1, 1)  # a prompt in three chunks, then two tokens


def _chunked(model: Callable[..., Any], ids: Tensor, mask: Tensor | None) -> Tensor:
    """The logits of a text that goes in chunk by chunk, its keys and values kept in a DynamicCache."""
    transformers = pytest.importorskip("transformers")
    cache, outs, past = transformers.DynamicCache(), [], 0
    for count in CHUNKS:
        now = past + count
        padding = {} if mask is None else {"attention_mask": mask[:, :now]}
        outs.append(model(input_ids=ids[:, past:now], past_key_values=cache, use_cache=True, **padding).logits)
        past = now
    return torch.cat(outs, 1)


@pytest.mark.parametrize(
    ("implementation", "padded", "dynamic"), [("eager", True, None), ("sdpa", False, True), ("sdpa", True, None)]
)
def test_a_dynamic_cache_of_transformers(implementation: str, padded: bool, dynamic: bool | None) -> None:
    """Every layer of every graph is a site, and says where its chunk begins."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, attn_implementation=implementation,
    )  # fmt: skip
    model, ids, mask = transformers.LlamaForCausalLM(config).eval(), torch.randint(0, 64, (2, sum(CHUNKS))), None
    if padded:
        mask = torch.ones_like(ids)
        mask[0, :3] = 0
    torch._dynamo.reset()
    backend = Backend()
    with torch.no_grad():
        compiled = torch.compile(model, backend=backend, fullgraph=True, dynamic=dynamic)
        found, wanted = (_chunked(run, ids, mask)[:, 3:] for run in (compiled, model))  # no row without keys
    assert_same(found, wanted)
    reports = [analysis.report for analysis in backend.analyses]
    assert all(report.site_count == 2 and not report.rejections for report in reports)
    specs = [row.spec for report in reports for row in report.sites]
    assert any("causal with offset s" in spec for spec in specs)  # one graph for chunks behind any length
    if padded:
        assert all("key padding" in spec for spec in specs)
