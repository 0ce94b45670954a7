"""The estimators that the quality benches compare, by name; some are set to read as many keys as a preset of hyper.

exact          attention itself
paper          HyperAttention as published, its blocks, samples and base case scaled to the keys of a preset
paper-default  the same with the package's parameters
hyper          the package's estimator, once for each preset
streaming      a window and sinks (StreamingLLM), the window set to the keys of a preset
topk           the window and sinks of a preset, and the keys with the largest scores
topk-all       the keys with the largest scores alone
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

import keys_read
import torch
from hyperrewrite.kernels import meter, ops, parameters
from hyperrewrite.kernels.call import AttentionCall
from hyperrewrite.kernels.parameters import Parameters
from quality_selected import kept_for, mean_keys, streaming, top_keys
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from hyperrewrite.usage import UsageError

_ = ops  # registers hyper::attention
Fields = dict[str, Any]
NAMES = ("exact", "hyper", "paper-default", "paper", "streaming", "topk", "topk-all")
MATCHED = ("paper", "streaming", "topk", "topk-all")  # their keys follow those of a preset of hyper
BIDIRECTIONAL = ("exact", "hyper", "paper-default")
LEAST_BLOCK = 16


@dataclass(frozen=True, slots=True)
class Reading:
    """Mean number of keys per query."""

    keys: float


class Attend(Protocol):
    """(query [B, H, n, D], key, value, scale, causal) → (out, how to learn what was read)."""

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, scale: float, causal: bool
    ) -> tuple[Tensor, Callable[[], Reading]]: ...


@dataclass(frozen=True, slots=True)
class Estimator:
    """One way to run attention.

    preset    the preset of hyper that it is, or whose keys it reads; "" where that means nothing.
    settings  its parameters, for the record.
    """

    name: str
    preset: str
    settings: Fields
    attend: Attend

    @property
    def title(self) -> str:
        """What progress and tables call it."""
        return f"{self.name} {self.preset}".strip()


def presets(extra: Iterable[str] = (), only: str = "", shared: Mapping[str, Any] | None = None) -> dict[str, Fields]:
    """The package's presets of hyper and those of `extra` ('name={"window": 128}'), by name; the leading one is first.

    only: names separated by commas, all where empty. shared: fields that stand over those of every preset.
    """
    known: dict[str, Fields] = {name: _as_fields(it) for name, it in getattr(parameters, "PRESETS", {}).items()}
    known = known or {"default": {}}
    known = {"default": known["default"], **known} if "default" in known else known
    mine: dict[str, Fields] = {}
    for text in extra:
        name, equals, body = text.partition("=")
        try:
            mine[name.strip()] = dict(json.loads(body))
        except (ValueError, TypeError):
            equals = ""
        if not equals or not name.strip():
            raise UsageError(f'--preset takes a name and fields, such as small={{"window": 128}}, not {text!r}.')
    known |= mine
    wanted = [name.strip() for name in only.split(",") if name.strip()] or list(known)
    for name in wanted:
        if name not in known:
            raise UsageError(f"{name!r} is no preset; there are {', '.join(known)}.")
    found = {name: {**known[name], **(shared or {})} for name in wanted}
    for name, chosen in found.items():
        _check(chosen, f"the preset {name}")
    return found


def chosen_names(text: str, known: Iterable[str] = NAMES) -> list[str]:
    """Names of estimators separated by commas, in the order that they run in; all where the text is empty."""
    known = list(known)
    wanted = [name.strip() for name in text.split(",") if name.strip()] or [n for n in known if n != "topk-all"]
    for name in wanted:
        if name not in known:
            raise UsageError(f"{name!r} is no estimator here; there are {', '.join(known)}.")
    if "hyper" not in wanted and any(name in MATCHED for name in wanted):
        raise UsageError(
            f"{', '.join(n for n in wanted if n in MATCHED)} read as many keys as hyper does: name it too."
        )
    return [name for name in known if name in wanted]


def independent(names: Iterable[str], chosen: Mapping[str, Fields], shared: Fields | None = None) -> list[Estimator]:
    """The estimators that need no other's figures, in the order of `names`; hyper once for each preset."""
    found: list[Estimator] = []
    for name in names:
        if name == "exact":
            found.append(by_op("exact", "", {"algorithm": "exact"}))
        elif name == "paper-default":
            found.append(by_op(name, "", {**(shared or {}), "algorithm": "paper"}))
        elif name == "hyper":
            found += [by_op(name, preset, {**fields, "algorithm": "hyper"}) for preset, fields in chosen.items()]
    return found


def matched(name: str, preset: str, own: Fields, length: int, keys: float) -> Estimator:
    """A causal estimator that reads `keys` keys per query at this length, as the preset with the fields `own` does."""
    if name == "paper":
        return by_op(name, preset, {"algorithm": "paper", **_paper_fields(length, keys)})
    kept = kept_for(length, keys)
    like = Parameters(**own)
    if name == "streaming":
        sinks = min(like.sinks, kept // 2)
        settings = {"window": kept - sinks, "sinks": sinks}
        return Estimator(name, preset, settings, _selected(streaming, kept, settings))
    settings = {"kept": kept}
    if name == "topk":
        sinks = min(like.sinks, kept // 4)
        settings |= {"window": min(like.window, kept // 2 - sinks), "sinks": sinks}
    return Estimator(name, preset, settings, _selected(top_keys, kept, settings))


def by_op(name: str, preset: str, fields: Fields) -> Estimator:
    """The package's op with these fields of Parameters."""
    told = _check(fields, name)

    def attend(
        query: Tensor, key: Tensor, value: Tensor, scale: float, causal: bool
    ) -> tuple[Tensor, Callable[[], Reading]]:
        call = call_like(query, key, scale, causal, told)
        if told.algorithm == "exact" and call.causal_offset in (None, 0):
            group = query.shape[1] // key.shape[1]  # written out: with enable_gqa SDPA may hold all scores at once
            pair = [tensor.repeat_interleave(group, 1) for tensor in (key, value)]
            out = scaled_dot_product_attention(query, *pair, is_causal=causal, scale=scale)
        else:
            rules = {"causal_offset": call.causal_offset, "scale": scale, **asdict(told)}
            out, _ = torch.ops.hyper.attention(query, key, value, **rules)
        return out, lambda: _reading(query, key, value, call)

    return Estimator(name, preset, fields, attend)


def call_like(query: Tensor, key: Tensor, scale: float, causal: bool, told: Parameters | None = None) -> AttentionCall:
    """The call as the meter wants to know it; with causality the queries are the last ones."""
    offset = key.shape[2] - query.shape[2] if causal else None
    return AttentionCall(query.shape[2], key.shape[2], scale, offset, parameters=told or Parameters(algorithm="exact"))


def _reading(query: Tensor, key: Tensor, value: Tensor, call: AttentionCall) -> Reading:
    """As many keys as `meter.keys_per_query` counts; of long texts in some tiles."""
    if call.num_keys > keys_read.MOST_COUNTED and keys_read.in_tiles(call):
        return Reading(keys_read.of_some_tiles(query, key, value, call))
    return Reading(keys_read.of_all(query, key, value, call))


def _selected(function: Callable[..., Tensor], kept: int, settings: Fields) -> Attend:
    def attend(
        query: Tensor, key: Tensor, value: Tensor, scale: float, causal: bool
    ) -> tuple[Tensor, Callable[[], Reading]]:
        if not causal:
            raise ValueError("a window with sinks and top-k are written for causal attention alone")
        return function(query, key, value, scale, **settings), lambda: Reading(mean_keys(query.shape[2], kept))

    return attend


def _paper_fields(length: int, keys: float) -> Fields:
    """block_size = sample_size = b and a base case of 2·b queries, b the largest that reads no more than `keys`."""
    low, high = LEAST_BLOCK, max(LEAST_BLOCK, min(4096, length // 4))
    while low < high:
        middle = (low + high + 1) // 2
        if _paper_keys(length, middle) <= keys:
            low = middle
        else:
            high = middle - 1
    return {"block_size": low, "sample_size": low, "min_seq_len": 2 * low}


def _paper_keys(length: int, block: int) -> float:
    """Keys per query that paper reads with this block, counted on one narrow random head."""
    told = Parameters(algorithm="paper", block_size=block, sample_size=block, min_seq_len=2 * block)
    head = torch.randn(1, 1, length, 8, generator=torch.Generator().manual_seed(0))
    call = call_like(head, head, 1.0, True, told)
    return meter.keys_per_query(meter.Observation(head, head, head, None, None, call, head, head))


def _as_fields(preset: Any) -> Fields:
    if isinstance(preset, Mapping):
        return dict(preset)
    return {field.name: getattr(preset, field.name) for field in fields(preset)}


def _check(given: Fields, what: str) -> Parameters:
    try:
        return Parameters(**given)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what}: {str(error).replace('Parameters.__init__()', 'it')}.") from error
