"""Rewritten graphs as text, checked with FileCheck patterns and line for line; see tests/support/goldens.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from attention_forms import Form, all_forms
from goldens import FOLDER, VERSION, check_golden
from graphs import capture
from hyperrewrite.passes.spec import AttentionSite
from tiny_models import MODELS

pytest.importorskip("torch_mlir", reason="MLIR text needs the extra hyperrewrite[mlir]")
from hyperrewrite.passes.mlir import to_mlir

SCORES = ["torch.aten.{{(_)?}}softmax", "torch.aten.{{matmul|bmm|einsum|baddbmm}}"]
CALLS = ["torch.aten.{{(_)?}}softmax", "torch.aten.scaled_dot_product_attention"]


@pytest.mark.parametrize("form", [pytest.param(f, id=f.name) for f in all_forms() if f.name != "flex"])
def test_form(form: Form, tmp_path: Path, update_goldens: bool) -> None:
    graph = capture(form.function, form.inputs())
    findings = graph.findings()
    head = f"// {'Near miss' if form.of else 'Form'} `{form.name}`" + (f" of `{form.of}`" if form.of else "")
    if form.function.__doc__:
        head += f": {form.function.__doc__.splitlines()[0]}"
    absent = ["torch.hyper.attention"]
    if findings.sites:
        head += f"\n// Read as: {findings.sites[0].spec.in_words()}"
        absent = SCORES[:1] if form.products else SCORES + scores_of(findings.sites[0])
    else:
        head += f"\n// Left alone: {form.code or 'not attention'}"
    path = FOLDER / ("misses" if form.of else "forms") / f"{form.name}.mlir"
    check_golden(path, to_mlir(graph.with_op(), graph.inputs), head, tmp_path, update_goldens, absent)


def scores_of(site: AttentionSite) -> list[str]:
    """A tensor of queries by keys, which a mask that is read needs none of."""
    spec = site.spec
    if spec.bias is not None or spec.mask.other is not None or spec.n_k in (spec.head_dim, spec.value_dim):
        return []
    return [f"{spec.n_q},{spec.n_k}],"]


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", MODELS)
def test_model(name: str, implementation: str, tmp_path: Path, update_goldens: bool) -> None:
    tiny = MODELS[name]
    model = tiny.build(implementation)
    graph = capture(lambda inputs: model(**inputs)[0], (tiny.inputs(2, 31),))
    sites = graph.findings().sites
    text = to_mlir(graph.with_op(), graph.inputs)
    shown = sorted({s.spec.in_words() for s in sites})
    head = f"// {name}, {implementation}, padded: {len(sites)} sites\n" + "\n".join(f"// Read as: {w}" for w in shown)
    path = FOLDER / "models" / f"{name}.{implementation}.mlir"
    versions = f"{VERSION}, transformers {'.'.join(transformers.__version__.split('.')[:2])}"
    check_golden(path, text, head, tmp_path, update_goldens, CALLS, versions)
    assert len(sites) == tiny.sites
    if "bias" not in tiny.words:
        assert "31,31]" not in text  # no mask over queries and keys is left


def test_every_golden_belongs_to_a_test() -> None:
    names = {f"{f.name}.mlir" for f in all_forms()} | {f"{m}.{i}.mlir" for m in MODELS for i in ("eager", "sdpa")}
    assert {p.name for p in FOLDER.rglob("*.mlir")} <= names


def test_patterns_bite(tmp_path: Path) -> None:
    """A graph that was not rewritten fails the patterns of its form."""
    from attention_forms import FORMS
    from goldens import filecheck, settled

    for name in ("matmul_softmax", "causal_by_tril", "gqa_expand", "sdpa_bool_causal"):
        graph = capture(FORMS[name].function, FORMS[name].inputs())
        path = FOLDER / "forms" / f"{name}.mlir"
        filecheck(path, settled(to_mlir(graph.with_op(), graph.inputs)), tmp_path)
        with pytest.raises(AssertionError):
            filecheck(path, settled(to_mlir(graph.module, graph.inputs)), tmp_path)


def test_text_is_the_same_in_another_trace() -> None:
    from attention_forms import FORMS

    form = FORMS["causal_and_padding"]
    texts = set()
    for seed in range(2):
        torch.manual_seed(seed)
        graph = capture(form.function, form.inputs())
        texts.add(to_mlir(graph.with_op(), graph.inputs))
    assert len(texts) == 1
