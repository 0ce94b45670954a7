"""The Triton source that a site's call runs on a CUDA device, or one phrase on why none is generated for it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .kernels.call import AttentionCall
from .kernels.curve import Curve
from .kernels.fused.generated import name_of
from .kernels.fused.rules import Rule, source
from .passes.spec import AttentionSpec
from .policy import Decision


@dataclass(frozen=True, slots=True)
class Generated:
    """What is generated for a site; `str()` says it in one line.

    name    of the module; empty where there is none.
    words   of its rule, or why there is none.
    source  the module's text; empty where there is none.
    """

    name: str
    words: str
    source: str

    def __str__(self) -> str:
        return f"{self.name}.py ({self.words})" if self.source else f"none, {self.words}"


def generated_for(spec: AttentionSpec, decision: Decision, dtype: torch.dtype) -> Generated:
    """For a site of this spec, what was decided about it and the dtype that its call runs in. The source is that of the
    kernel of exact attention."""
    lowering = decision.lowering
    if lowering is None:
        return _none("the call stays as it stands")
    if lowering.target == "sdpa":
        return _none("it is one call of PyTorch's scaled_dot_product_attention")
    algorithm = str(lowering.arguments["algorithm"])
    if algorithm != "exact":
        return _none(f"{algorithm} has neither a curve nor a mask that its own kernels do not know")
    rule = rule_of(spec, dtype)
    if rule in (Rule(), Rule(causal=True)) and spec.mask.causal_offset in (None, 0):
        return _none("it is plain attention, which PyTorch's own kernels compute")
    text = source(rule)
    return Generated(name_of(text), rule.in_words(), text)


def rule_of(spec: AttentionSpec, dtype: torch.dtype) -> Rule:
    """The rule of the exact call that is written for a spec, in this dtype. Numbers that are known at run time only do
    not matter."""
    mask, curve = spec.mask, spec.curve
    call = AttentionCall(
        num_queries=0,
        num_keys=0,
        # What is added to the scores of a row goes into the product, and the scale with it.
        scale=spec.scale if curve.term is None else 1.0,
        causal_offset=None if mask.causal_offset is None else 0,
        sliding_window=None if mask.sliding_window is None else 1,
        curve=Curve(curve.softcap, **curve.bounds),
    )
    return Rule.of(
        call,
        dtype,
        key_mask=mask.key_mask is not None,
        bias=spec.bias is not None or mask.other is not None,
        first_key=mask.first_key is not None,
        stop_key=mask.stop_key is not None,
        groups=len(mask.groups),
    )


def _none(why: str) -> Generated:
    return Generated("", why, "")
