"""Softmax in exponentials and products by other calls: gradients, large scores, writes in between, einx."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import attention_forms_spelled as spelled
import pytest
import torch
from attention_forms import FORMS, MISSES, Form, qkv
from compared import assert_as_eager, rejection_of, site_of
from graphs import Backend, assert_same, capture, run
from hyperrewrite.passes.mlir import to_text
from torch import Tensor

EVERY = [f for f in (*FORMS.values(), *MISSES.values()) if f.function.__module__ == spelled.__name__]


@pytest.mark.parametrize("form", [pytest.param(f, id=f.name) for f in EVERY])
def test_gradients(form: Form) -> None:
    args = form.inputs()
    if args[-1].dtype == torch.int64:
        args[-1][:, 30] = 1  # a key for every row
    assert_as_eager(form.function, args)


def test_nothing_of_it_stays() -> None:
    for form in EVERY:
        if form.words is not None and not form.of:
            text = to_text(capture(form.function, form.inputs()).with_op())
            assert not [word for word in ("exp(", "exp_(", "sum(", "amax(", "linear(") if word in text], form.name


@pytest.mark.parametrize("shift", [0.0, -900.0])
def test_scores_that_exp_does_not_hold(shift: float) -> None:
    """Where exponentials of float32 overflow, or all of a row's vanish, eager gives NaN or zeros; the rewritten graph
    gives what the formula says, as softmax would."""

    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        e = torch.exp(q.abs() @ k.abs().mT * 6.0 + shift)
        return (e @ v) / e.sum(-1, keepdim=True)

    args = qkv(n=31)()
    assert run(function, args).isnan().any()
    q, k, v = (t.double() for t in args)
    right = torch.softmax(q.abs() @ k.abs().mT * 6.0, -1) @ v
    for backend in (Backend(), Backend(op=True)):
        assert_same(run(function, args, backend), right.float(), 1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_dtypes_are_no_further_from_the_truth(dtype: torch.dtype) -> None:
    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT * 0.125
        e = torch.exp(scores - scores.amax(-1, keepdim=True))
        return (e @ v) / e.sum(-1, keepdim=True)

    args = qkv(dtype=dtype)()
    right = function(*(t.double() for t in args))
    eager = (run(function, args).double() - right).abs().max()
    for backend in (Backend(), Backend(op=True)):
        assert (run(function, args, backend).double() - right).abs().max() <= 1.2 * eager


def written_between(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The exponentials are changed after they were summed."""
    e = torch.exp(q @ k.mT * 0.125)
    total = e.sum(-1, keepdim=True)
    e.mul_(0.5)
    return (e / total) @ v


def maximum_of_what_was(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What is subtracted is the maximum of scores that were then filled: a row of fills alone is 0 / 0."""
    scores = q @ k.mT * 0.125
    top = scores.amax(-1, keepdim=True)
    scores.masked_fill_(torch.ones(63, 63, dtype=torch.bool).triu(), -1e30)
    e = torch.exp(scores - top)
    return (e / e.sum(-1, keepdim=True)) @ v


def masked_as_statement(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """0 where masked, in place, before the sum: a mask like any other."""
    e = torch.exp(q @ k.mT * 0.125)
    e.masked_fill_(torch.ones(63, 63, dtype=torch.bool).triu(1), 0.0)
    return (e / e.sum(-1, keepdim=True)) @ v


def all_in_place(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As inference code has it; eager has no gradient of it."""
    scores = q @ k.mT * 0.125
    e = scores.sub_(scores.amax(-1).unsqueeze(-1)).exp_()
    e /= e.sum(-1)[..., None]
    return e @ v


def values_of_two(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Both products are divided by one sum: exponentials that two products read."""
    e = torch.exp(q @ k.mT * 0.125)
    return (e @ v) / e.sum(-1, keepdim=True) + e @ v.sin()


@pytest.mark.parametrize(
    "function", [written_between, maximum_of_what_was, masked_as_statement, all_in_place, values_of_two]
)
def test_writes_and_readers(function: Callable[..., Tensor]) -> None:
    args = qkv()()
    for backend in (Backend(), Backend(op=True)):
        assert_same(run(function, args, backend), run(function, args))


def test_steps_in_place_are_read_and_do_not_stay() -> None:
    (site,) = capture(masked_as_statement, qkv()()).findings().sites
    assert "causal" in site.spec.in_words()
    for function in (masked_as_statement, all_in_place):
        text = to_text(capture(function, qkv()()).with_op())
        assert not [word for word in ("exp", "sum", "amax", "masked_fill") if word in text]


# --- einx, which need not be here: functions that Dynamo puts into the graph as they are ------------------------------


@pytest.fixture
def einx() -> ModuleType:
    """A copy of the two functions for plain axes, under the name of the library."""
    module = ModuleType("einx.copy")

    def dot(equation: str, *tensors: Tensor) -> Tensor:
        axes = {name: chr(97 + k) for k, name in enumerate(dict.fromkeys(_names(equation)))}
        terms, _, out = equation.partition("->")
        sides = ["".join(axes[n] for n in _names(side)) for side in (*terms.split(","), out)]
        return torch.einsum(f"{','.join(sides[:-1])}->{sides[-1]}", *tensors)

    def softmax(equation: str, tensor: Tensor) -> Tensor:
        return tensor.softmax(next(k for k, axis in enumerate(equation.split()) if axis.startswith("[")))

    for function in (dot, softmax):
        function.__module__ = "einx._src.frontend.ops"
        setattr(module, function.__name__, torch.compiler.allow_in_graph(function))
    return module


def _names(text: str) -> list[str]:
    for mark in ("[", "]", "->", ",", "(", ")"):
        text = text.replace(mark, " ")
    return text.split()


def test_einx(einx: ModuleType) -> None:
    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = einx.softmax("b h i [j]", einx.dot("b h i [d], b h j [d] -> b h i j", q, k) / 3)
        return einx.dot("b h i j, b h j e -> b i h e", weights, v)

    site = site_of(assert_as_eager(function, qkv()()))
    assert site.spec.in_words() == "full, 4 heads, scale 0.333333"


def test_einx_of_other_axes_is_listed(einx: ModuleType) -> None:
    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = einx.softmax("b h i [j]", einx.dot("b h i d, b h j d -> b h i j", q, k))
        return einx.dot("b h i (j), b h (j) e -> b h i e", weights, v)

    assert rejection_of(assert_as_eager(function, qkv()())) == "no_value_product"


def test_the_library_is_not_imported() -> None:
    assert "einx" not in sys.modules


# --- gradient mode inside ---------------------------------------------------------------------------------------------


def sum_detached(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = torch.exp(q @ k.mT * 0.125)
    return (e / e.sum(-1, keepdim=True).detach()) @ v


def sum_unrecorded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = torch.exp(q @ k.mT * 0.125)
    with torch.no_grad():
        total = e.sum(-1, keepdim=True)
    return (e @ v) / total


def logarithms_unrecorded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT * 0.125
    with torch.no_grad():
        lse = torch.logsumexp(scores, -1, keepdim=True)
    return torch.exp(scores - lse) @ v


@pytest.mark.parametrize("function", [sum_detached, sum_unrecorded, logarithms_unrecorded])
def test_part_without_gradient(function: Callable[..., Tensor]) -> None:
    """Near misses: the gradient is not that of softmax."""
    assert rejection_of(assert_as_eager(function, qkv()())) == "probabilities_changed"


def maximum_unrecorded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Of the maximum no gradient is left in any case."""
    scores = q @ k.mT * 0.125
    with torch.no_grad():
        top = scores.amax(-1, keepdim=True)
    e = torch.exp(scores - top)
    return (e @ v) / e.sum(-1, keepdim=True)


def all_unrecorded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with torch.no_grad():
        e = torch.exp(q @ k.mT * 0.125)
        weights = e / e.sum(-1, keepdim=True)
    return weights @ v


@pytest.mark.parametrize("function", [maximum_unrecorded, all_unrecorded])
def test_gradient_mode(function: Callable[..., Tensor]) -> None:
    site_of(assert_as_eager(function, qkv()()))
