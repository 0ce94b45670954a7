"""README's code does what README says of it, on a tiny Llama."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from processes import ROOT

import hyperrewrite
from hyperrewrite import backend as backend_module

transformers = pytest.importorskip("transformers")

USE_IT = (ROOT / "README.md").read_text(encoding="utf-8").split("## Use it")[1]
SNIPPETS = re.findall(r"```python\n(.*?)```", USE_IT, re.DOTALL)


@pytest.fixture(autouse=True)
def _no_inductor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The rewritten graphs run as they are: Inductor would take half a minute and is no part of what is tested."""
    torch._dynamo.reset()
    monkeypatch.setattr(backend_module, "_inductor", lambda gm, inputs, patches: gm.forward)
    yield
    torch._dynamo.reset()


def _llama(cache: str) -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, attn_implementation="eager", eos_token_id=None,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    model.generation_config.update(max_new_tokens=5, cache_implementation=cache, do_sample=False, pad_token_id=0)
    return model


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_generate_runs_what_was_compiled(cache: str) -> None:
    """Prompt and decoding alike, every site rewritten, the tokens those of eager."""
    model, input_ids = _llama(cache), torch.randint(1, 64, (2, 9), generator=torch.Generator().manual_seed(1))
    names: dict[str, Any] = {"model": model, "input_ids": input_ids}
    wanted = model.generate(input_ids)
    with hyperrewrite.record() as log:
        exec(SNIPPETS[0], names)
    assert torch.equal(names["tokens"], wanted)
    assert log.report.failures == () and log.report.rejections == () and log.report.warnings == ()
    assert {row.action for row in log.report.sites} == {"exact"}
    assert {1, 9} == {row.query[2] for row in log.report.sites}
    assert log.report.site_count == 2 * log.report.graphs >= 4


def test_a_wrapper_generates_without_what_was_compiled() -> None:
    """As README warns; `record` says so too, and a plain call of the wrapper is compiled."""
    model, input_ids = _llama("dynamic"), torch.randint(1, 64, (2, 9))
    wrapper = torch.compile(model, backend="hyper")
    with hyperrewrite.record() as log:
        wrapper.generate(input_ids)
    assert log.report.graphs == 0 and "model.generate(…)" in str(log)
    with hyperrewrite.record() as log, torch.no_grad():
        wrapper(input_ids, use_cache=False)
    assert log.report.site_count == 2 and log.report.warnings == ()


def test_the_other_calls(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"model": _llama("dynamic"), "input_ids": torch.randint(1, 64, (2, 9))}
    names |= dict(zip(("query", "key", "value"), torch.randn(3, 1, 2, 9, 8), strict=True))
    exec(SNIPPETS[1], names)
    assert capsys.readouterr().out.count("2 attention sites in 1 graph: 2 exact; 0 left alone") == 2
    assert names["out"].shape == (1, 2, 9, 8)
