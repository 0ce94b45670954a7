"""Whole tiny models: every site found, nothing changed in value, one graph for every length."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from graphs import Backend, Captured, assert_same, clone, run
from tiny_models import MODELS, TinyModel

IMPLEMENTATIONS = ["eager", "sdpa"]


def logits(model: torch.nn.Module) -> Any:
    """The first output of the model, as a function of its keyword arguments."""
    return lambda inputs: model(**inputs)[0]


def words(graph: Captured) -> set[str]:
    """What the sites of a graph are read as."""
    findings = graph.findings()
    assert not findings.rejections, [r.message for r in findings.rejections]
    return {site.spec.in_words() for site in findings.sites}


@pytest.mark.parametrize("padded", [True, False], ids=["padded", "maskless"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("tiny", MODELS.values(), ids=MODELS)
def test_every_site_is_found_and_values_stay(tiny: TinyModel, implementation: str, padded: bool) -> None:
    model, inputs = tiny.build(implementation), tiny.inputs(2, 31)
    if not padded:
        inputs.pop("attention_mask", None)
    expected = run(logits(model), (inputs,))
    for backend in (Backend(), Backend(op=True)) if padded else (Backend(),):
        assert_same(run(logits(model), (inputs,), backend), expected, 1e-5)
    (graph,) = backend.graphs
    assert len(graph.findings().sites) == tiny.sites
    found = words(graph)
    wanted = tiny.words if padded else tiny.maskless
    assert any(wanted in one for one in found), found
    assert wanted == "bias, 4 heads" or all(wanted in one for one in found), found


@pytest.mark.parametrize("name", ["llama", "gpt2", "bert"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_bfloat16(name: str, implementation: str) -> None:
    tiny = MODELS[name]
    model, inputs = tiny.build(implementation).to(torch.bfloat16), tiny.inputs(2, 31)
    expected = run(logits(model), (inputs,))
    backend = Backend()
    assert_same(run(logits(model), (inputs,), backend), expected, 2e-2)
    (graph,) = backend.graphs
    assert len(graph.findings().sites) == tiny.sites
    assert all(tiny.words in one for one in words(graph))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", [n for n in MODELS if n != "vit"])
def test_one_graph_serves_every_length(name: str, implementation: str) -> None:
    """dynamic=True: sites found with symbolic lengths, equal values, no compile more than Dynamo makes without us."""
    tiny = MODELS[name]
    model = tiny.build(implementation)
    untouched = compiles(model, tiny, Backend(options=None))
    backend = Backend(op=implementation == "eager")
    assert compiles(model, tiny, backend) <= untouched
    for graph in backend.graphs:
        sites = graph.findings().sites
        assert len(sites) == tiny.sites
        assert not any(site.spec.n_k.is_Integer for site in sites)


def compiles(model: torch.nn.Module, tiny: TinyModel, backend: Backend) -> int:
    """How often two lengths compile; each result is compared with eager."""
    torch._dynamo.reset()
    compiled = torch.compile(logits(model), backend=backend, fullgraph=True, dynamic=True)
    with torch.no_grad():
        for length in (31, 45):
            inputs = tiny.inputs(2, length)
            assert_same(compiled(clone(inputs)), model(**inputs)[0], 1e-5)
    return len(backend.graphs)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_marked_dim_stays_dynamic(implementation: str) -> None:
    """mark_dynamic fails where a guard pins the length: the rewrite must not add one."""
    tiny = MODELS["llama"]
    model, backend = tiny.build(implementation), Backend(op=True)
    compiled = torch.compile(logits(model), backend=backend, fullgraph=True)
    torch._dynamo.reset()
    with torch.no_grad():
        for length in (31, 52):
            inputs = tiny.inputs(2, length)
            for name in ("input_ids", "attention_mask"):
                torch._dynamo.mark_dynamic(inputs[name], 1)
            assert_same(compiled(inputs), model(**inputs)[0], 1e-5)
    assert len(backend.graphs) == 1


def test_training_graphs_match() -> None:
    """With gradients: the same sites and the same gradients of a loss over the tokens that are no padding.

    A query that sees no key is left out: eager PyTorch sends gradients into its (masked) scores, the op does not.
    """
    tiny = MODELS["llama"]
    gradients = []
    for backend in (None, Backend(), Backend(op=True)):
        torch._dynamo.reset()
        model, inputs = tiny.build("eager").train(), tiny.inputs(2, 31)
        call = logits(model) if backend is None else torch.compile(logits(model), backend=backend, fullgraph=True)
        (call(inputs) * inputs["attention_mask"][:, :, None]).square().sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert_same(gradients[1], gradients[0], 1e-5)
    assert_same(gradients[2], gradients[0], 1e-5)
