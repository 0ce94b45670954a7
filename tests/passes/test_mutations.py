"""Captured graphs of real models with one or two nodes changed: the rewrite computes what the mutant computes.

More of them, with other seeds: `make fuzz`, or python tests/fuzz.py --graphs 0 --mutants 20000 --seed 5.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hyperrewrite.passes.copying import copied_graph
from mutations import BASES, CHANGES, Draft, check, mutated
from mutations.draft import Unfit, record

EACH = 8  # mutants of each base
FORMS = [name for name in BASES if name.startswith("form ")]
STYLES = [name for name in BASES if name.startswith("style ")]
GROUPS = {
    "forms": FORMS[0::9],
    "more forms": FORMS[4::9],
    "styles": STYLES[0::10],
    "more styles": STYLES[5::10],
    "models": ["model llama eager", "model gpt2 sdpa", "model bert eager"],
}
SOME = (
    "form causal_and_padding", "form gqa_repeat_interleave", "style nanogpt_flash", "form numpy_names",
    "form dropout_of_scores", "form einsum_heads_first", "form where_in_graph", "form filled_cache",
)  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_rewritten_equals_mutant(group: str) -> None:
    counts: Counter[str] = Counter()
    for base in GROUPS[group]:
        if BASES[base].captured is None:
            continue
        for seed in range(EACH):
            outcome = check(base, seed)
            counts[outcome.kind] += 1
            counts["changes"] += outcome.changes
    made = counts["site"] + counts["rejected"] + counts["neither"]
    assert counts["site"] > made / 3, counts  # else the changes are too coarse
    assert counts["changes"] > made / 2, counts  # else they are too mild


def test_mutants_are_repeatable() -> None:
    """The same seed gives the same mutant."""
    for seed in range(5):
        one, two = (mutated("form causal_and_padding", CHANGES, seed) for _ in range(2))
        assert one.notes == two.notes
        assert one.module.code == two.module.code


def test_aliases_are_recorded_anew() -> None:
    """Views and aliases of a node that a change recorded again share its storage."""
    captured = BASES["form causal_and_padding"].captured
    assert captured is not None
    graph, copied = copied_graph(captured.module)
    nodes = {node.name: node for node in copied.values()}
    draft = Draft(captured.module, graph, list(captured.inputs), nodes["softmax"], Random(0))
    alias = draft.following(nodes["matmul"], "detach", nodes["matmul"])
    written = draft.following(alias, "mul_", alias, 2)
    record(graph)
    draft.changed(nodes["matmul"])
    record(graph)
    held = [node.meta["example_value"] for node in (nodes["matmul"], alias, written)]
    assert len({value.untyped_storage()._cdata for value in held}) == 1


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.name)
def test_every_change_can_be_made(change: object) -> None:
    """In one of a few graphs at least."""
    for base in SOME:
        for seed in range(3):
            try:
                assert mutated(base, [change], seed, tries=30).notes
            except Unfit:
                continue
            return
    pytest.fail("it fits nowhere")
