"""Each way to write attention, and each near miss: what is read out of it, and that nothing changes in value."""

from __future__ import annotations

import attention_forms as written
import pytest
from attention_forms import FORMS, MISSES, Form
from graphs import Backend, assert_same, capture, run
from hyperrewrite.passes.mlir import to_text

FORMS_BY_NAME = [pytest.param(f, id=f.name) for f in FORMS.values()]
MISSES_BY_NAME = [pytest.param(f, id=f.name) for f in MISSES.values()]


def test_enough_forms_each_with_a_near_miss() -> None:
    assert len(FORMS) >= 24
    assert {m.of for m in MISSES.values()} <= set(FORMS)
    assert len(written.all_forms()) == len(FORMS) + len(MISSES)


@pytest.mark.parametrize("form", FORMS_BY_NAME)
def test_form_is_read(form: Form) -> None:
    graph = capture(form.function, form.inputs())
    findings = graph.findings()
    assert not findings.rejections
    (site,) = findings.sites
    assert form.words is not None
    assert form.words in site.spec.in_words()
    if form.empty_rows is not None:
        assert site.spec.mask.empty_rows == form.empty_rows
    text = to_text(graph.with_op())
    assert text.count("hyper.attention.default(") == 1
    assert "softmax" not in text


@pytest.mark.parametrize("form", MISSES_BY_NAME)
def test_near_miss_is_left_alone_or_read_as_what_it_is(form: Form) -> None:
    findings = capture(form.function, form.inputs()).findings()
    if form.words is None:
        assert not findings.sites
        assert [r.code.value for r in findings.rejections] == ([form.code] if form.code else [])
        assert all(r.message and r.source.line for r in findings.rejections)
        return
    assert not findings.rejections
    (site,) = findings.sites
    assert form.words in site.spec.in_words()
    if form.empty_rows is not None:
        assert site.spec.mask.empty_rows == form.empty_rows


@pytest.mark.parametrize("form", [*FORMS_BY_NAME, *MISSES_BY_NAME])
def test_values_stay(form: Form) -> None:
    """Against eager PyTorch, as the backend rewrites it with approximate=False, and with the op at every site."""
    args = form.inputs()
    expected = run(form.function, args)
    for backend in (Backend(), Backend(op=True)):
        assert_same(run(form.function, args, backend), expected, form.tolerance)
        assert len(backend.graphs) == 1


def test_rows_without_a_key_are_what_eager_gives() -> None:
    """Padded batches: NaN after a fill with −inf, the mean of all values after a finite fill, zero in SDPA."""
    for name, check in (
        ("padding_masked_fill", lambda row, v: bool(row.isnan().all())),
        ("padding_extended", lambda row, v: bool((row - v.mean(1, keepdim=True)).abs().max() < 1e-5)),
        ("sdpa_padding", lambda row, v: bool((row == 0).all())),
    ):
        form = FORMS[name]
        args = form.inputs()
        for backend in (None, Backend(), Backend(op=True)):
            assert check(run(form.function, args, backend)[2], args[2][2]), (name, backend)
