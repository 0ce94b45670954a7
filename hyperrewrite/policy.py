"""Per site: leave it, run it exactly, or run it as HyperAttention; and why.

A decision is data: an action, a closed code, one sentence, and the lowering that the rewrite follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from .kernels.parameters import Parameters
from .options import Options, chosen_layers
from .passes.alignment import is_misaligned
from .passes.rewrite import EXACT_OP, Lowering, fits_sdpa
from .passes.spec import AttentionSite
from .short import Short, short, sometimes_short
from .sizes import Limit
from .words import are


class DecisionCode(StrEnum):
    """Why a site is run as it is."""

    APPROXIMATED = "approximated"  # long enough, and no reason against it
    AT_RUN_TIME = "at_run_time"  # dynamic shapes: the op itself decides by min_seq_len
    EXACT_ASKED = "exact_asked"  # approximate=False or algorithm="exact"
    OTHER_LAYERS = "other_layers"  # `layers` leaves this site out
    SHORT = "short"  # fewer keys than min_seq_len
    FEW_QUERIES = "few_queries"  # a decoding step: less work than choosing keys
    SLIDING_WINDOW = "sliding_window"  # linear already
    BIAS = "bias"  # a bias over queries and keys is added to the scores
    GROUPS = "groups"  # documents or chunks: queries see keys of their own group only
    KEY_RANGE = "key_range"  # each query sees its own range of keys
    SCORE = "score"  # softcap, a clamp or sink logits
    MASK_TENSOR = "mask_tensor"  # a mask that is no known class
    DROPOUT = "dropout"  # attention dropout in training
    DTYPE = "dtype"  # a dtype that the estimator does not run in


@dataclass(frozen=True, slots=True)
class WhenShort:
    """What is done instead while all `limits` hold, which only the running graph can say; None: the call stays."""

    limits: tuple[Limit, ...]
    lowering: Lowering | None


@dataclass(frozen=True, slots=True)
class Decision:
    """action: "leave" (the call stays as it stands), "exact" or the name of an algorithm."""

    action: str
    code: DecisionCode
    sentence: str
    lowering: Lowering | None
    when_short: WhenShort | None = None


def decide(sites: Sequence[AttentionSite], options: Options) -> tuple[Decision, ...]:
    """One decision a site, in order."""
    chosen = chosen_layers(options.layers, len(sites))
    return tuple(_decide(site, options, k in chosen) for k, site in enumerate(sites))


def _decide(site: AttentionSite, options: Options, chosen: bool) -> Decision:
    against = _reason_against(site, options, chosen)
    if against is not None:
        return _exact(site, *against)
    lowering = Lowering("op", _arguments(options.parameters))
    name = options.algorithm
    if not site.spec.n_k.is_Integer:
        sentence = f"{name} where there are at least {options.min_seq_len} keys at run time, else exact"
        other = _when_short(site, Limit(site.spec.n_k, options.min_seq_len - 1))
        return Decision(name, DecisionCode.AT_RUN_TIME, sentence + _said(other), lowering, other)
    sentence = f"{are(int(site.spec.n_k), 'key')} at least min_seq_len={options.min_seq_len}"
    return Decision(name, DecisionCode.APPROXIMATED, sentence, lowering)


def _reason_against(site: AttentionSite, options: Options, chosen: bool) -> tuple[DecisionCode, str] | None:
    """What speaks against approximating a site; None where nothing does."""
    spec = site.spec
    if not options.approximate or options.algorithm == "exact":
        asked = "approximate=False" if not options.approximate else 'algorithm="exact"'
        return DecisionCode.EXACT_ASKED, f"{asked} is set"
    if not chosen:
        return DecisionCode.OTHER_LAYERS, f"layers={options.layers!r} leaves it out"
    if spec.dropout_p:
        return DecisionCode.DROPOUT, "its probabilities are dropped at random"
    if spec.bias is not None:
        return DecisionCode.BIAS, "a bias is added to its scores"
    if spec.mask.other is not None:
        return DecisionCode.MASK_TENSOR, "its mask is no class that can be sampled"
    if spec.mask.groups:
        return DecisionCode.GROUPS, "its queries see keys of their own group only"
    if spec.mask.first_key is not None or spec.mask.stop_key is not None:
        return DecisionCode.KEY_RANGE, "each query sees its own range of keys"
    if not spec.curve.is_straight or spec.sink is not None:
        return DecisionCode.SCORE, "its scores are capped, clamped or compete with a sink logit"
    if spec.mask.sliding_window is not None:
        return DecisionCode.SLIDING_WINDOW, "a sliding window is linear already"
    if spec.n_k.is_Integer and int(spec.n_k) < options.min_seq_len:
        return DecisionCode.SHORT, f"{are(int(spec.n_k), 'key')} fewer than min_seq_len={options.min_seq_len}"
    name = "tile" if options.algorithm == "hyper" else "block_size"
    if spec.n_q.is_Integer and int(spec.n_q) < (least := getattr(options, name)):
        return DecisionCode.FEW_QUERIES, f"{are(int(spec.n_q), 'query')} fewer than {name}={least}"
    return None


def _exact(site: AttentionSite, code: DecisionCode, sentence: str) -> Decision:
    drops = site.spec.dropout_p > 0  # which only SDPA can, with a mask tensor where it must
    if drops and (site.distributed or site.vmapped):  # the op has no dropout, and SDPA not on every device
        where = "on distributed tensors" if site.distributed else "under vmap"
        return Decision("leave", code, f"{sentence}, and its dropout is {where}", None)
    if (drops and is_misaligned(site)) or (
        site.form == "sdpa" and (_nothing_to_gain(site) or (drops and not fits_sdpa(site)))
    ):
        return Decision("leave", code, sentence, None)
    found = None if drops else short(site)
    if found is Short.LEAVE:
        return Decision("leave", code, f"{sentence}, and it is so short that a call of ours would be slower", None)
    if drops or found is Short.SDPA or fits_sdpa(site):
        return Decision("exact", code, sentence, Lowering("sdpa"))
    other = _when_short(site)
    return Decision("exact", code, sentence + _said(other), EXACT_OP, other)


def _when_short(site: AttentionSite, *limits: Limit) -> WhenShort | None:
    found = sometimes_short(site)
    if found is None:
        return None
    what, limit = found
    return WhenShort((limit, *limits), Lowering("sdpa") if what is Short.SDPA else None)


def _said(other: WhenShort | None) -> str:
    if other is None:
        return ""
    what = "the call stays as it stands" if other.lowering is None else "SDPA with a mask tensor"
    return f"; {what} while queries × keys are at most {other.limits[0].most:,}"


def _nothing_to_gain(site: AttentionSite) -> bool:
    """Whether an SDPA call already is what the rewrite would write: its mask, if any, could not be lifted."""
    if _repeats_heads(site):
        return False
    mask = site.anchor.kwargs.get("attn_mask", site.anchor.args[3] if len(site.anchor.args) > 3 else None)
    if mask is None:
        return True
    return site.spec.mask.other is not None or (site.spec.bias is not None and not site.spec.mask.lifted)


def _repeats_heads(site: AttentionSite) -> bool:
    """Whether an SDPA call is given key heads once for each query head, though SDPA could share them."""
    return site.spec.kv_heads != site.spec.heads and not site.anchor.kwargs.get("enable_gqa", False)


def _arguments(parameters: Parameters) -> dict[str, int | float | str]:
    return {f.name: getattr(parameters, f.name) for f in fields(Parameters)}
