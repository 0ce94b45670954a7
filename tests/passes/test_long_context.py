"""131,072 tokens and an attention_mask: the rewritten graph holds no n × n tensor, and its mask takes O(n) bytes.

Everything here is fake (shapes without memory), weights included: the graphs as people write them hold tensors of
128 GiB and more. Beside each case stands what it shows: the original graph does hold such tensors, and a mask
that the user gives in four dims stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hyperrewrite.passes.sites import find_sites
from torch import Tensor, fx, nn
from torch._dynamo.backends.common import aot_autograd
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

import hyperrewrite
from hyperrewrite import backend as backend_module
from hyperrewrite.analysis import analyse
from hyperrewrite.options import Options

N, BATCH, WIDTH, HEADS = 131_072, 2, 64, 4
WIDEST = 256  # features of the widest tensor of any model here: the inner ones of GPT-2
Sizes = dict[fx.Node, list[Tensor]]
Making = Callable[[int], tuple[nn.Module, dict[str, Any]]]


class Decoder(nn.Module):
    """A hand-written decoder of two layers with a padding mask [B, n], or with whatever mask [B or 1, 1, n, n]."""

    def __init__(self) -> None:
        super().__init__()
        self.packed = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in range(2))

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, n, width] → the same."""
        n = x.shape[1]
        future = torch.ones(n, n, dtype=torch.bool, device=x.device).triu(1)
        for packed in self.packed:
            q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in packed(x).chunk(3, -1))
            scores = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
            if attention_mask.dim() == 4:
                scores = scores.masked_fill(~attention_mask, -torch.inf)
            else:
                hidden = future | (attention_mask[:, None, None, :] == 0)
                scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
            x = x + (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        return x


def _decoder(n: int) -> tuple[nn.Module, dict[str, Any]]:
    return Decoder().eval(), {"x": torch.empty(BATCH, n, WIDTH), "attention_mask": _ones(n)}


def _ones(n: int) -> Tensor:
    return torch.ones(BATCH, n, dtype=torch.int64)


def _model(name: str, implementation: str, *given: str, **settings: Any) -> Making:
    """A tiny model of transformers with tokens and the arguments of those names, all ones: values do not matter."""

    def make(n: int) -> tuple[nn.Module, dict[str, Any]]:
        import transformers

        shape = {
            "hidden_size": WIDTH, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": HEADS,
            "vocab_size": 97, "max_position_embeddings": n, "attn_implementation": implementation, "use_cache": False,
        }  # fmt: skip
        model_class, config_class = CLASSES[name]
        config = getattr(transformers, config_class)(**shape, **settings)
        return getattr(transformers, model_class)(config).eval(), {key: _ones(n) for key in ("input_ids", *given)}

    return make


CLASSES = {
    "llama": ("LlamaForCausalLM", "LlamaConfig"),
    "mistral": ("MistralForCausalLM", "MistralConfig"),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config"),
    "bert": ("BertModel", "BertConfig"),
}
CASES: dict[str, tuple[Making, str]] = {"hand-written": (_decoder, "causal, key padding, 4 heads")}
for _kind in ("eager", "sdpa"):
    _grouped = {"num_key_value_heads": 2}
    CASES |= {
        f"llama-{_kind}": (_model("llama", _kind, "attention_mask", **_grouped), "causal, key padding, 4 heads over 2"),
        f"gpt2-{_kind}": (_model("gpt2", _kind, "attention_mask"), "causal, key padding, 4 heads"),
        f"bert-{_kind}": (_model("bert", _kind, "attention_mask"), "full, key padding, 4 heads"),
        f"packed-{_kind}": (_model("llama", _kind, "position_ids", **_grouped), "causal, within groups"),
        f"window-{_kind}": (
            _model("mistral", _kind, "attention_mask", sliding_window=4096, **_grouped),
            "sliding window 4096, key padding",
        ),
    }
PACKED_WINDOW = _model("mistral", "sdpa", "position_ids", sliding_window=4096, num_key_value_heads=2)


@dataclass(frozen=True)
class Long:
    """One graph at one length: as traced, rewritten, and functional in ATen (what Inductor gets)."""

    original: fx.GraphModule
    rewritten: fx.GraphModule
    lowered: fx.GraphModule
    report: hyperrewrite.Report
    values: Sizes
    original_values: Sizes


def _long(make: Making, n: int, dynamic: bool | None = None, **options: Any) -> Long:
    """Trace, rewrite and run with fake tensors."""
    found: list[tuple[Any, ...]] = []
    lowered: list[fx.GraphModule] = []

    def lower(gm: fx.GraphModule, _: Any) -> Any:
        lowered.append(gm)
        return gm.forward

    def backend(gm: fx.GraphModule, inputs: list[Any]) -> Any:
        analysis = analyse(gm, Options.of(options))
        found.append((gm, analysis.module, analysis.report, inputs))
        return aot_autograd(fw_compiler=lower)(analysis.module, inputs)

    torch._dynamo.reset()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        model, inputs = make(n)
        torch.compile(model, backend=backend, fullgraph=True, dynamic=dynamic)(**inputs)
    original, rewritten, report, given = found[-1]  # with symbolic lengths Dynamo may ask for a second try
    assert not report.failures
    return Long(original, rewritten, lowered[-1], report, _values(rewritten, given), _values(original, given))


def _values(module: fx.GraphModule, inputs: list[Any]) -> Sizes:
    """The fake tensors of every node, run once more with sizes as plain numbers."""
    values: Sizes = {}

    class Recorder(fx.Interpreter):
        def run_node(self, node: fx.Node) -> Any:
            value = 1.0 if node.target == "item" else super().run_node(node)  # a fake number has no value
            values[node] = [t for t in tree_leaves(value) if isinstance(t, Tensor)]
            return value

    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        Recorder(module).run(*map(_plain, inputs))
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, torch.SymInt):
        return value.node.hint
    if not isinstance(value, Tensor):
        return value
    shape, strides = ([_plain(s) for s in part] for part in (value.shape, value.stride()))
    return torch.empty_strided(shape, strides, dtype=value.dtype)


def _squares(tensors: list[Tensor], n: int) -> list[tuple[int, ...]]:
    """Shapes that grow with n × n: two dims of some n, or more elements than the model is wide."""
    shapes = [tuple(map(int, t.shape)) for t in tensors]
    return [s for s in shapes if sum(d >= n // 2 for d in s) > 1 or torch.Size(s).numel() > BATCH * WIDEST * n]


def _everything(values: Sizes) -> list[Tensor]:
    return [t for own in values.values() for t in own]


def _mask_tensors(values: Sizes) -> list[Tensor]:
    """What the op is told as masks with all that is computed for it, and every tensor of truth values or integers."""
    stack = [a for node in values for a in _mask_arguments(node)]
    found = {node for node, own in values.items() for t in own if not t.is_floating_point()}
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(node.all_input_nodes)
    return [t for node in found for t in values[node]]


def _mask_arguments(node: fx.Node) -> Iterator[fx.Node]:
    if node.target is torch.ops.hyper.attention.default:
        names = [a.name for a in torch.ops.hyper.attention.default._schema.arguments]
        given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
        yield from (v for k, v in given.items() if k not in ("query", "key", "value") and isinstance(v, fx.Node))


def _bytes(tensors: list[Tensor]) -> int:
    """Of distinct storages."""
    return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())


def _assert_linear(long: Long, n: int) -> None:
    """No square tensor anywhere after the rewrite, and a mask of a few bytes a token."""
    assert _squares(_everything(long.values), n) == []
    metas = [t for node in long.lowered.graph.nodes for t in tree_leaves(node.meta.get("val"))]
    tensors = [t for t in metas if isinstance(t, Tensor)]
    assert len(tensors) > 10
    assert _squares(tensors, n) == []
    masks = _mask_tensors(long.values)
    assert all(t.numel() <= BATCH * (n + 1) for t in masks), [tuple(t.shape) for t in masks]
    assert _bytes(masks) <= 160 * BATCH * n


@pytest.mark.parametrize("name", CASES)
def test_no_square_tensor_is_left(name: str) -> None:
    make, words = CASES[name]
    long = _long(make, N)
    assert long.report.site_count == (2 if name == "hand-written" else 1) and not long.report.rejections
    assert all(words in row.spec for row in long.report.sites), [row.spec for row in long.report.sites]
    assert _squares(_everything(long.original_values), N), "nothing to take away"
    _assert_linear(long, N)


@pytest.mark.parametrize("name", ["hand-written", "llama-sdpa", "window-eager", "packed-sdpa"])
def test_exact_and_dynamic(name: str) -> None:
    """The same without estimating, and with symbolic lengths; half the length takes half the bytes."""
    make, _ = CASES[name]
    sizes = []
    for n in (N // 2, N):
        long = _long(make, n, approximate=False)
        _assert_linear(long, n)
        sizes.append((_bytes(_mask_tensors(long.values)), _bytes(_everything(long.values))))
    (mask, everything), (longer_mask, longer_everything) = sizes
    assert 0 < mask < longer_mask <= 2 * mask
    assert longer_everything <= 2 * everything
    dynamic = _long(make, N, dynamic=True)
    assert any("s" in str(row.key) for row in dynamic.report.sites)
    _assert_linear(dynamic, N)


def test_a_window_over_packed_documents() -> None:
    _assert_linear(_long(PACKED_WINDOW, N), N)


def _four_dims(n: int) -> Tensor:
    return torch.ones(1, 1, n, n, dtype=torch.bool)


@pytest.mark.parametrize("name", ["hand-written", "llama-sdpa"])
def test_a_mask_given_in_four_dims_stays(name: str) -> None:
    """The near miss: what is no lifted mask is read from the user's tensor, which is as large as it is."""
    if name == "hand-written":

        def make(n: int) -> tuple[nn.Module, dict[str, Any]]:
            model, inputs = _decoder(n)
            return model, inputs | {"attention_mask": _four_dims(n)}
    else:
        sdpa = CASES["llama-sdpa"][0]

        def make(n: int) -> tuple[nn.Module, dict[str, Any]]:
            model, inputs = sdpa(n)
            return model, inputs | {"attention_mask": _four_dims(n)}

    long = _long(make, N)
    assert all(site.spec.mask.other is not None for site in find_sites(long.original).sites)
    assert all("mask tensor" in row.spec for row in long.report.sites)
    assert (1, 1, N, N) in _squares(_mask_tensors(long.values), N)
    with pytest.raises(AssertionError):
        _assert_linear(long, N)


@pytest.mark.slow
def test_inductor_compiles_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, C++ included, and no buffer of the generated code is n × n."""
    from torch._inductor.graph import GraphLowering

    codes: list[str] = []
    monkeypatch.setattr(GraphLowering, "save_output_code", staticmethod(codes.append))

    def backend(gm: fx.GraphModule, inputs: list[Any]) -> Any:
        backend_module.hyper(gm, inputs, options={"inductor": {"fx_graph_cache": False}})
        return gm.forward

    with hyperrewrite.record() as log, FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        model, inputs = CASES["llama-sdpa"][0](N)
        torch.compile(model, backend=backend, fullgraph=True)(**inputs)
    assert not log.report.failures
    assert [row.action for row in log.report.sites] == ["hyper"]
    buffers = re.findall(r"empty_strided_cpu\(\(([\d, ]*)\)", "\n".join(codes))
    shapes = [tuple(int(size) for size in buffer.split(",") if size.strip()) for buffer in buffers]
    assert any(N in shape for shape in shapes)
    assert _squares([torch.empty(s, device="meta") for s in shapes], N) == []
