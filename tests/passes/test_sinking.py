"""Masks that are made outside of a body are read as if they were made inside; biases that learn stay arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from bodies import HYPER, bodies, called, check
from graphs import Backend, assert_same
from torch import Tensor, fx, nn
from torch.utils.checkpoint import checkpoint

from hyperrewrite.options import Options

N = 20
Run = Callable[..., Tensor]


def attend(x: Tensor, mask: Tensor) -> Tensor:
    """Attention of [.., n, d] with itself under a mask that is kept or added."""
    scores = x @ x.transpose(-2, -1)
    scores = torch.where(mask, scores, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return torch.softmax(scores, -1) @ x


def checkpointed(x: Tensor, mask: Tensor) -> Tensor:
    return checkpoint(attend, x, mask, use_reentrant=False)


region = torch.compiler.nested_compile_region(attend)


def causal(x: Tensor) -> Tensor:
    return torch.ones(N, N, dtype=torch.bool).tril()


def added(x: Tensor) -> Tensor:
    """A causal mask to add, as old models make it."""
    rows = torch.arange(N)
    return torch.where(rows[None] > rows[:, None], float("-inf"), 0.0)


def windowed(x: Tensor) -> Tensor:
    rows = torch.arange(x.shape[-2])
    distance = rows[:, None] - rows[None]
    return (distance >= 0) & (distance < 5)


def twice(run: Run, make: Callable[[Tensor], Tensor]) -> Run:
    """Two layers with one mask."""

    def model(x: Tensor) -> Tensor:
        mask = make(x)
        return x + run(x + run(x, mask), mask)

    return model


def specs(analysis: Any) -> list[str]:
    return [row.spec.split(", 1 heads")[0] for row in analysis.report.sites for _ in row.modules]


@pytest.mark.parametrize("run", [checkpointed, region])
@pytest.mark.parametrize(("make", "words"), [(causal, "causal"), (added, "causal"), (windowed, "sliding window 5")])
def test_masks(run: Run, make: Callable[[Tensor], Tensor], words: str) -> None:
    analysis = check(twice(run, make), torch.randn(2, N, 8, dtype=torch.float64))
    assert specs(analysis) == [words] * 2
    for call in calls(analysis.module):  # nothing of n × n elements goes in any more
        assert all(value(node).dim() < 2 or value(node).shape[-1] != N for node in tensors(call))


def calls(module: fx.GraphModule) -> list[fx.Node]:
    names = ("tag_activation_checkpoint", "invoke_subgraph")
    return [node for node in module.graph.nodes if str(node.target) in names]


def value(node: fx.Node) -> Any:
    return node.meta["example_value"]


def tensors(call: fx.Node) -> list[fx.Node]:
    return [node for node in call.all_input_nodes if node.op != "get_attr"]


def test_padding_goes_in_as_it_is() -> None:
    """The mask of a batch of texts: its n × n form is not made, its rows go into the body."""
    keep = torch.ones(2, N, dtype=torch.bool)
    keep[0, :7] = False

    def model(x: Tensor) -> Tensor:
        rows = torch.arange(N)
        return x + checkpointed(x, (rows[None] <= rows[:, None]) & keep[:, None])

    analysis = check(lambda x: model(x)[:, 8:], torch.randn(2, N, 8, dtype=torch.float64))
    assert specs(analysis) == ["causal, key padding"]
    (call,) = calls(analysis.module)
    assert [tuple(value(node).shape) for node in tensors(call)] == [(2, N, 8), (2, N)]


def test_a_bias_that_learns_stays_an_argument() -> None:
    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(N, N))

        def forward(self, x: Tensor) -> Tensor:
            return x + checkpointed(x, self.table * 2)

    analysis = check(Biased(), torch.randn(2, N, 8, dtype=torch.float64))
    assert specs(analysis) == ["full, bias"]
    assert not any("function mul>" in name for name in called(bodies(analysis.module)[0]))


def test_a_mask_of_any_values_stays_an_argument() -> None:
    """What is still read as a tensor is not made in each body again."""
    noise = torch.randn(N, N)
    analysis = check(
        twice(checkpointed, lambda x: (noise > 0.3) | torch.eye(N, dtype=torch.bool)),
        torch.randn(2, N, 8, dtype=torch.float64),
    )
    assert specs(analysis) == ["full, mask tensor"] * 2
    assert all("or_" not in name for body in bodies(analysis.module) for name in called(body))


def test_a_mask_that_is_written_after_it_was_made() -> None:
    def model(x: Tensor) -> Tensor:
        mask = torch.ones(N, N, dtype=torch.bool)
        kept = mask.tril()
        kept[:, 0] = False
        kept[0, 0] = True
        kept[3:, :2] = True
        return x + checkpointed(x, kept[:, :])

    check(model, torch.randn(2, N, 8, dtype=torch.float64))


def test_dropout_is_not_drawn_twice() -> None:
    """A mask of random numbers is one draw, whoever reads it."""

    def model(x: Tensor) -> Tensor:
        mask = nn.functional.dropout(torch.ones(N, N), 0.4) > 0
        mask = mask | torch.eye(N, dtype=torch.bool)
        return checkpointed(x, mask) + checkpointed(x * 2, mask) + mask.float().mean()

    check(model, torch.randn(2, N, 8, dtype=torch.float64))


def nested(x: Tensor, mask: Tensor) -> Tensor:
    """A checkpointed block of a checkpointed layer."""

    def block(x: Tensor, mask: Tensor) -> Tensor:
        return x * 2 + checkpointed(x, mask)

    return checkpoint(block, x, mask, use_reentrant=False)


def thrice(x: Tensor, mask: Tensor) -> Tensor:
    return checkpoint(nested, x, mask, use_reentrant=False)


@pytest.mark.parametrize("run", [nested, thrice])
@pytest.mark.parametrize(("make", "words"), [(causal, "causal"), (added, "causal"), (windowed, "sliding window 5")])
def test_bodies_in_bodies(run: Run, make: Callable[[Tensor], Tensor], words: str) -> None:
    analysis = check(twice(run, make), torch.randn(2, N, 8, dtype=torch.float64))
    assert specs(analysis) == [words] * 2
    module, depth = analysis.module, 0
    while found := calls(module):
        assert all(value(node).dim() < 2 or value(node).shape[-1] != N for call in found for node in tensors(call))
        module, depth = bodies(module)[0], depth + 1
    assert depth == (3 if run is thrice else 2)


def test_a_mask_that_is_made_half_way() -> None:
    """Its steps stand in two graphs, and both layers of the block read them."""

    def block(x: Tensor, mask: Tensor) -> Tensor:
        later = mask & torch.ones(N, N, dtype=torch.bool).triu(-4)
        return checkpointed(x, later) + checkpointed(x * 2, mask)

    def model(x: Tensor) -> Tensor:
        return x + checkpoint(block, x, causal(x), use_reentrant=False)

    assert specs(check(model, torch.randn(2, N, 8, dtype=torch.float64))) == ["sliding window 5", "causal"]


def test_a_mask_of_any_values_stays_an_argument_of_bodies_in_bodies() -> None:
    """Near miss: two bodies deep it is a tensor too, and nobody makes it twice."""
    noise = torch.randn(N, N)
    analysis = check(
        twice(nested, lambda x: (noise > 0.3) | torch.eye(N, dtype=torch.bool)),
        torch.randn(2, N, 8, dtype=torch.float64),
    )
    assert specs(analysis) == ["full, mask tensor"] * 2
    for body in bodies(analysis.module):
        assert all("or_" not in name for part in (body, *bodies(body)) for name in called(part))


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_gradient_checkpointing_of_transformers(implementation: str) -> None:
    """The same sites with and without it, estimated alike; output and gradients of the exact ones as in eager."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        attn_implementation=implementation,
    )
    model = transformers.LlamaForCausalLM(config).train()
    ids, mask = torch.randint(0, 64, (2, 80)), torch.ones(2, 80, dtype=torch.long)
    mask[0, :7] = 0

    def gradients(function: Callable[..., Any]) -> list[Tensor]:
        out = function(input_ids=ids, attention_mask=mask, use_cache=False).logits * mask[..., None]
        return [out.detach(), *torch.autograd.grad(out.square().mean(), list(model.parameters()))]

    want, found = gradients(model), []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        backend = Backend(Options.of(HYPER))
        torch._dynamo.reset()
        torch.compile(model, backend=backend, fullgraph=True)(input_ids=ids, attention_mask=mask, use_cache=False)
        found.append([(row.spec, row.modules, row.action) for row in backend.analyses[0].report.sites])
    assert found[0] == found[1]
    assert [action for _, _, action in found[1]] == ["hyper"]
    torch._dynamo.reset()
    assert_same(gradients(torch.compile(model, backend=Backend(), fullgraph=True)), want)
