"""`hyper::attention` as an operator: schema, fake, autograd, compile, errors; and the meter around it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from attention_cases import SMALL, make_inputs
from hyperrewrite.kernels import meter
from hyperrewrite.kernels.parameters import Parameters
from torch.fx.experimental.proxy_tensor import make_fx

CASES: list[dict[str, Any]] = [
    {"algorithm": "exact"},
    {"algorithm": "exact", "causal_offset": 3, "sliding_window": 7, "empty_rows": "mean"},
    {"algorithm": "paper", "causal_offset": 0, **SMALL},
    {"algorithm": "paper", **SMALL},
]


def test_schema_is_the_agreed_one_and_defaults_are_parameters() -> None:
    schema = torch.ops.hyper.attention.default._schema
    names = [argument.name for argument in schema.arguments]
    assert names[:17] == [
        "query",
        "key",
        "value",
        "key_mask",
        "bias",
        "first_key",
        "stop_key",
        "query_group",
        "key_group",
        "replaced",
        "causal_offset",
        "sliding_window",
        "softcap",
        "score_min",
        "score_max",
        "scale",
        "empty_rows",
    ]
    defaults = {argument.name: argument.default_value for argument in schema.arguments[17:]}
    assert list(defaults) == list(Parameters.__dataclass_fields__)
    assert Parameters(**defaults) == Parameters()
    assert [output.name for output in schema.returns] == ["out", "lse"]


@pytest.mark.parametrize("rules", CASES, ids=str)
@pytest.mark.parametrize("full", [False, True])
def test_opcheck(rules: dict[str, Any], full: bool) -> None:
    inputs = make_inputs(50, 61, kv_heads=2, value_features=24, masked=0.3 if full else 0.0)
    bias = torch.randn(4, 50, 61, requires_grad=True) if full and rules["algorithm"] == "exact" else None
    tensors = (inputs.query, inputs.key, inputs.value, inputs.key_mask, bias)
    torch.library.opcheck(torch.ops.hyper.attention, tensors, rules)


def test_opcheck_backward() -> None:
    inputs = make_inputs(20, bias=(4, 20, 20)).to(torch.float32)
    out, lse = inputs.run(algorithm="exact")
    args = (torch.randn_like(out), None, inputs.query, inputs.key, inputs.value, None, inputs.bias, out, lse)
    torch.library.opcheck(torch.ops.hyper.attention_backward, args, {"bias_gradient": True, "algorithm": "exact"})


def test_compile_serves_every_length_with_one_graph() -> None:
    """Inductor, dynamic lengths: one compilation, no graph break, values and gradients as in eager."""
    compilations = 0

    def backend(graph: torch.fx.GraphModule, examples: list[Any]) -> Any:
        nonlocal compilations
        compilations += 1
        from torch._inductor.compile_fx import compile_fx

        return compile_fx(graph, examples)

    def model(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        query = torch.nn.functional.gelu(query)
        offset = key.shape[2] - query.shape[2]
        out, _ = torch.ops.hyper.attention(query, key, value, causal_offset=offset, algorithm="paper", **SMALL)
        return out * 2.0

    torch._dynamo.reset()
    compiled = torch.compile(model, backend=backend, fullgraph=True, dynamic=True)
    for n_q, n_k in ((40, 60), (77, 130), (150, 155)):
        inputs = make_inputs(n_q, n_k, heads=2, features=16)
        leaves = inputs.leaves
        got, want = compiled(*leaves), model(*leaves)
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)
        along = torch.randn_like(want)
        for mine, theirs in zip(
            torch.autograd.grad(got, leaves, along), torch.autograd.grad(want, leaves, along), strict=True
        ):
            torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)
    assert compilations == 1
    torch._dynamo.reset()


def test_make_fx_keeps_one_node() -> None:
    inputs = make_inputs(30).to(torch.float32)

    def model(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return torch.ops.hyper.attention(query, key, value, causal_offset=0, algorithm="exact")[0]

    graph = make_fx(model, tracing_mode="symbolic")(inputs.query, inputs.key, inputs.value)
    assert [node.target for node in graph.graph.nodes].count(torch.ops.hyper.attention.default) == 1
    longer = make_inputs(45).to(torch.float32)
    torch.testing.assert_close(
        graph(*(longer.query, longer.key, longer.value)), longer.run(algorithm="exact", causal_offset=0)[0]
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"query": (4, 5, 8)}, "rank 4"),
        ({"key": (2, 3, 6, 8), "value": (2, 3, 6, 8)}, "multiple of key heads"),
        ({"key": (2, 2, 6, 7)}, "feature size"),
        ({"value": (2, 2, 5, 8)}, "heads and length of key"),
        ({"key": (1, 2, 6, 8), "value": (1, 2, 6, 8)}, "share one batch"),
        ({"key_mask": (2, 5)}, "key_mask must be"),
        ({"key_mask": (3, 6)}, "key_mask must be"),
        ({"bias": (2, 4, 5, 5)}, "bias must broadcast"),
        ({"bias": (1, 2, 4, 5, 6)}, "bias must be floating point of rank 4"),
    ],
)
def test_shapes_that_do_not_fit(change: dict[str, tuple[int, ...]], sentence: str) -> None:
    shapes: dict[str, tuple[int, ...]] = {"query": (2, 4, 5, 8), "key": (2, 2, 6, 8), "value": (2, 2, 6, 8), **change}
    tensors = {
        name: torch.ones(shape, dtype=torch.bool if name == "key_mask" else None) for name, shape in shapes.items()
    }
    with pytest.raises(ValueError, match=sentence):
        torch.ops.hyper.attention(**tensors)


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"sliding_window": 3}, "sliding_window needs a causal_offset"),
        ({"sliding_window": 0, "causal_offset": 0}, "at least 1"),
        ({"empty_rows": "none"}, "empty_rows must be one of"),
        ({"algorithm": "fast"}, "algorithm must be one of"),
        ({"block_size": 3}, "block_size must be a whole number"),
    ],
)
def test_values_that_do_not_fit(rules: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_inputs(4).run(**rules)


def test_dtypes_that_do_not_fit() -> None:
    inputs = make_inputs(4)
    with pytest.raises(ValueError, match="share one dtype"):
        torch.ops.hyper.attention(inputs.query, inputs.key.double(), inputs.value)
    with pytest.raises(ValueError, match="key_mask must be bool"):
        torch.ops.hyper.attention(inputs.query, inputs.key, inputs.value, torch.ones(2, 4))
    with pytest.raises(ValueError, match="floating point"):
        torch.ops.hyper.attention(*(torch.ones(1, 1, 2, 2, dtype=torch.long) for _ in range(3)))


def test_meter_sees_calls_of_compiled_code() -> None:
    def model(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        rules = {"causal_offset": 0, "algorithm": "paper", "scale": 0.3, **SMALL}
        return torch.ops.hyper.attention(query + 0.0, key, value, **rules)[0].relu()

    inputs = make_inputs(120).to(torch.float32)
    compiled = torch.compile(model, fullgraph=True)
    seen: list[meter.Observation] = []
    with meter.observe(seen.append):
        compiled(inputs.query, inputs.key, inputs.value)
    compiled(inputs.query, inputs.key, inputs.value)
    assert len(seen) == 1 and seen[0].call.parameters.algorithm == "paper"
    assert seen[0].call.causal_offset == 0 and seen[0].out.shape == inputs.query.shape
    torch._dynamo.reset()


@pytest.mark.parametrize("rules", [{}, {"causal_offset": 2, "sliding_window": 9}, {"causal_offset": -5}], ids=str)
@pytest.mark.parametrize("mode", ["zero", "mean"])
@pytest.mark.parametrize("bias", [None, (4, 40, 31), (1, 31)])
def test_relative_error_of_exact_is_nothing(rules: dict[str, Any], mode: str, bias: tuple[int, ...] | None) -> None:
    seen: list[meter.Observation] = []
    with meter.observe(seen.append):
        make_inputs(40, 31, kv_heads=2, masked=0.4, bias=bias).run(algorithm="exact", empty_rows=mode, **rules)
    assert meter.relative_error(seen[0], rows=16) < 1e-6


def test_relative_error_is_that_of_the_rows() -> None:
    seen: list[meter.Observation] = []
    inputs = make_inputs(150, kv_heads=2)
    rules = {"causal_offset": 0, "algorithm": "paper", "scale": 0.3, **SMALL}
    with meter.observe(seen.append):
        out, _ = inputs.run(**rules)
    exact, _ = inputs.run(**{**rules, "algorithm": "exact"})
    want = ((out - exact).norm() / exact.norm()).item()
    assert meter.relative_error(seen[0], rows=1000) == pytest.approx(want, rel=1e-4)
    assert 0.3 * want < meter.relative_error(seen[0], rows=64) < 3 * want


def test_keys_per_query() -> None:
    seen: list[meter.Observation] = []
    with meter.observe(seen.append):
        make_inputs(20).run(algorithm="exact", causal_offset=0)
        make_inputs(160).run(algorithm="paper", **SMALL)
        inputs = make_inputs(20, 30, masked=0.5)
        inputs.run(algorithm="exact", causal_offset=10, sliding_window=4)
    assert inputs.key_mask is not None
    band = (torch.ones(20, 30).tril(10) - torch.ones(20, 30).tril(6)).bool()
    assert meter.keys_per_query(seen[0]) == 10.5
    assert meter.keys_per_query(seen[1]) == 32.0
    assert meter.keys_per_query(seen[2]) == pytest.approx(
        float((band & inputs.key_mask[:, None]).sum(-1).double().mean())
    )


def test_observers_nest_and_do_not_see_their_own_calls() -> None:
    inputs = make_inputs(8)
    inner: list[meter.Observation] = []
    outer: list[meter.Observation] = []

    def noisy(observation: meter.Observation) -> None:
        outer.append(observation)
        inputs.run(algorithm="exact")

    with meter.observe(noisy):
        inputs.run(algorithm="exact")
        with meter.observe(inner.append):
            inputs.run(algorithm="exact")
    inputs.run(algorithm="exact")
    assert len(inner) == 1 and len(outer) == 2


def test_import_needs_neither_passes_nor_triton() -> None:
    code = (
        "import sys; sys.modules['triton'] = None; import hyperrewrite.kernels.functional\n"
        "assert not any(name.startswith('hyperrewrite.passes') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("offset", ["None", "0"])
def test_memory_at_65536_tokens(offset: str) -> None:
    """H = 8, D = 64, float32: less than 2 GiB above the inputs (a dense score matrix of one head would be 16 GiB)."""
    code = f"""
import resource, torch
import hyperrewrite.kernels.functional
query, key, value = (torch.randn(1, 8, 65536, 64) for _ in range(3))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
torch.ops.hyper.attention(query, key, value, causal_offset={offset}, scale=0.125, algorithm="paper")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=240, capture_output=True, text=True)
    assert int(done.stdout) < 2 * 2**20


@pytest.mark.parametrize("algorithm", ["hyper", "paper", "exact"])
def test_autocast_changes_nothing_inside(algorithm: str) -> None:
    tensors = [torch.randn(1, 2, 300, 16, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    rules = {"algorithm": algorithm, "min_seq_len": 32, "tile": 16, "window": 16, "sinks": 4,
             "block_size": 16, "sample_size": 16, "scale": 0.4, "causal_offset": 0}  # fmt: skip
    along = torch.randn(1, 2, 300, 16)

    def run() -> list[torch.Tensor]:
        out, lse = torch.ops.hyper.attention(*tensors, **rules)
        return [out, lse, *torch.autograd.grad((out.float() * along).sum(), tensors)]

    want = run()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = run()
    for mine, theirs in zip(got, want, strict=True):
        assert torch.equal(mine, theirs)
