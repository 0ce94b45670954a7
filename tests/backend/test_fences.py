"""Inductor's fuse_attention stays off what this backend compiles, off nothing else, and nothing it fuses is lost."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from graphs import Captured, capture
from torch import Tensor, fx
from torch._dynamo.utils import counters
from torch._guards import TracingContext, tracing
from torch._inductor.compile_fx import compile_fx
from torch._inductor.custom_graph_pass import CustomGraphPass
from torch._inductor.fx_passes import fuse_attention

import hyperrewrite
from hyperrewrite import policy
from hyperrewrite.analysis import analyse
from hyperrewrite.backend import _patches
from hyperrewrite.fences import Passes, fence, put_fences, take_fences
from hyperrewrite.options import Options

EXACT = Options.of({"approximate": False})


class Stopped(Exception):
    """Inductor's passes over the joint graph are over."""


def passed(graph: Captured, ours: bool, grad: bool = False, **inductor: Any) -> tuple[fx.GraphModule, int]:
    """The joint graph (of gradients too: its forward part) behind Inductor's passes, and how often it fused attention.

    ours: as this backend compiles it.
    """
    reached: list[fx.GraphModule] = []

    def stop(joint: fx.GraphModule, inputs: Any, **_: Any) -> Any:
        reached.append(joint)
        raise Stopped

    patches = _patches(Options.of({"inductor": inductor}), None) if ours else dict(inductor)
    counters.clear()
    with torch.set_grad_enabled(grad), pytest.raises(Exception) as raised:
        inputs = [t.detach().requires_grad_(grad) for t in graph.inputs]
        compile_fx(graph.module, inputs, inner_compile=stop, config_patches=patches | {"fx_graph_cache": False})
    if not reached:
        raise raised.value
    return reached[0], counters["inductor"]["fuse_attention"]


def qkv() -> list[Tensor]:
    return [torch.randn(2, 4, 64, 32) for _ in range(3)]


def over_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(-2, -1) / 8, dim=1) @ v


def over_queries(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax((q @ k.transpose(-2, -1)) * 0.3, dim=-2) @ v


def over_batch_with_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(-2, -1) / 8 + torch.ones(64, 64).tril(), dim=0) @ v


LEFT = [over_heads, over_queries, over_batch_with_mask]


@pytest.mark.parametrize("function", LEFT)
def test_what_is_left_alone_stays(function: Callable[..., Tensor]) -> None:
    args = qkv()
    graph = capture(function, args)
    joint, fused = passed(graph, ours=True)
    assert fused == 0
    assert fence not in {node.target for node in joint.graph.nodes}
    (out,) = joint(*graph.inputs)
    torch.testing.assert_close(out, function(*args), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dim", [1, 2])
def test_dropout_in_training_stays(dim: int) -> None:
    """Inductor alone fuses it and then raises IndexError."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.dropout(torch.softmax(q @ k.transpose(-2, -1) / 8, dim=dim), 0.1) @ v

    joint, fused = passed(capture(attend, qkv()), ours=True, grad=True)
    assert fused == 0
    assert fence not in {node.target for node in joint.graph.nodes}


def test_compiled_end_to_end() -> None:
    args = qkv()
    with hyperrewrite.record() as log, torch.no_grad():
        out = torch.compile(over_heads, backend="hyper")(*args)
    assert [row.code for row in log.report.rejections] == ["softmax_dim"]
    torch.testing.assert_close(out, over_heads(*args), rtol=1e-4, atol=1e-5)


def test_other_compiles_fuse_as_ever() -> None:
    """Plain Inductor before and after one of ours."""
    graph = [capture(over_heads, qkv()) for _ in range(3)]
    assert [passed(graph[k], ours=k == 1)[1] for k in range(3)] == [1, 0, 1]


def test_a_compile_inside_one_of_ours_fuses_as_ever() -> None:
    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.softmax(q @ k.transpose(-2, -1) / 4, dim=-1) @ v

    inside: list[int] = []

    def user_pass(graph: fx.Graph) -> None:
        if not inside:
            inside.append(0)
            before = counters["inductor"]["fuse_attention"]
            torch.compile(attend, backend="inductor")(*qkv())
            inside[0] = counters["inductor"]["fuse_attention"] - before

    graph = capture(over_heads, qkv())
    recorded = [node.meta.get("example_value") for node in graph.module.graph.nodes]
    with tracing(TracingContext(torch._guards.detect_fake_mode(recorded))):
        _, fused = passed(graph, ours=True, joint_custom_pre_pass=user_pass)
    assert inside == [1]
    assert fused == 1  # that one


@pytest.fixture
def product() -> Iterator[fx.Graph]:
    graph = fx.Graph()
    a, b = (graph.placeholder(name) for name in "ab")
    weights = graph.call_function(torch.ops.aten.exp.default, (a,))
    graph.output(graph.call_function(torch.ops.aten.bmm.default, (weights, b)))
    yield graph


def fences(graph: fx.Graph) -> int:
    return len(graph.find_nodes(op="call_function", target=fence))


def test_passes_see_their_own_compile_alone(product: fx.Graph) -> None:
    with tracing(TracingContext(None)):
        passes = Passes("mark", (), after=put_fences)
        with tracing(TracingContext(None)):
            passes(product)
        thread = threading.Thread(target=passes, args=(product,))
        thread.start()
        thread.join()
        assert fences(product) == 0
        passes(product)
        assert fences(product) == 1
    take_fences(product)
    assert fences(product) == 0
    product.lint()


def test_no_fence_without_probabilities(product: fx.Graph) -> None:
    for node in product.find_nodes(op="call_function", target=torch.ops.aten.exp.default):
        node.target = torch.ops.aten.sin.default
    put_fences(product)
    assert fences(product) == 0


def test_passes_of_the_user_run_and_are_in_the_key() -> None:
    class Theirs(CustomGraphPass):
        def __call__(self, graph: fx.Graph) -> None:
            seen.append(fences(graph))

        def uuid(self) -> str:
            return "theirs"

    names = ("joint_custom_pre_pass", "joint_custom_post_pass")
    seen: list[int] = []
    own = {name: Theirs() for name in names}
    passed(capture(over_heads, qkv()), ours=True, **own)
    assert seen == [0, 0]  # the first before fences are put, the second after they are taken
    keys = [_patches(Options.of({"inductor": given}), None)[names[0]].uuid() for given in ({}, own, {names[0]: len})]
    assert "theirs" in keys[1]
    assert keys[0] != keys[1]
    assert keys[2] is None


# --- nothing that Inductor fuses is lost ------------------------------------------------------------------------------


def patterns() -> dict[str, Any]:
    """Each of Inductor's patterns by its name, as a function that Dynamo traces: it skips torch's own files."""
    names = [name for name in vars(fuse_attention) if re.fullmatch(r"_sfdp_pattern_\d+", name)]
    source = "\n".join(inspect.getsource(getattr(fuse_attention, name)) for name in names)
    functions: dict[str, Any] = {"torch": torch}
    exec(compile(source, "patterns.py", "exec"), functions)
    return functions


def test_every_pattern_of_inductor_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewritten; their example inputs are short, so that nothing is left for that."""
    monkeypatch.setattr(policy, "short", lambda site: None)
    functions, lost = patterns(), {}
    for key, given in fuse_attention._get_sfdp_patterns(torch.device("cpu")):
        if "_bs1" in key:  # differs in strides alone
            continue
        function = functions[re.match(r"_sfdp_pattern_\d+", key)[0]]  # type: ignore[index]
        names, tensors = list(inspect.signature(function).parameters), list(given["example_inputs"])
        numbers = {"inv_scale": 0.66666, "dropout_p": 0.113377 if key.endswith("training") else 0.0}
        numbers = {name: value for name, value in numbers.items() if name in names[len(tensors) :]}
        left = iter(tensors)
        args = [numbers[name] if name in numbers else next(left) for name in names]
        graph = capture(lambda *args, function=function: function(*args), args)
        report = analyse(graph.module, EXACT, graph.inputs).report
        if [row.action for row in report.sites] != ["exact"]:
            lost[key] = str(report)
    assert not lost
