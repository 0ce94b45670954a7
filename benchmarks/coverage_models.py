"""Small random models of every transformers model type, made from their configs without a download.

A config is shrunk in proportion: one factor divides every head count and every width of the whole tree of configs, so
whatever the sizes have to do with each other still holds, and head dims stay as they are. Layers are cut to one of
each kind (at least two), vocabularies, positions, experts and images to small ones. `coverage_special` has the rest.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from functools import reduce
from importlib import import_module
from math import gcd
from typing import Any

import torch
from coverage_special import DEFAULTS, MODELS, OVERRIDES, PARTS

MAX_PARAMETERS = 250_000_000
VOCABULARY = 256
FIRST_SPECIAL = 200  # token ids of configs that do not fit are put from here on

_HEADS = re.compile(r"(^|_)(num_)?heads$|(^|_)(num|n)_head$")
_WIDTH = re.compile(
    r"(hidden_size|hidden_dim|embed_dim|d_model|n_embd|^dim|_dim|width|ffn|d_ff|intermediate_size|_inner|hidden_sizes)"
    r"|(projection_size|embedding_size|feature_size|adapter_input_size|channel_list)"
)
_NO_WIDTH = re.compile(
    r"head_dim|rope|rotary|patch|image|window|vocab|kernel|position|chunk|block|pool|stride|merge|token|num_labels|"
    r"^max_|_multiplier|multiple|n_dims|expert_dim|dim_ratio|width_mult|time_|conv_|state|output_hidden|axes_dim|lora|"
    r"num_|divisor|group|resolution|pos_emb|pixel|scal|codebook|dt_rank|qk_nope|_rank$|index_"
)
_KV_HEADS = re.compile(r"kv_heads|key_value_heads")
_FREE_WIDTH = re.compile(r"intermediate|ffn|d_ff")  # need not be divided without a rest
_NARROW = 32  # a width under this is left alone
_LAYERS = re.compile(r"(^|_)(layers?|n_layers?|depth)$|^n_layers?$|num_blocks$|num_layers_")
_NOT_LAYERS = re.compile(
    r"first_|max_window|window_layers|feature_layer|feat_extract|shared_layers|vision_feature|select|norm"
)
_DERIVED = (
    "architectures", "transformers_version", "_name_or_path", "id2label", "label2id", "stage_names", "out_features",
    "out_indices", "_out_features", "_out_indices", "torch_dtype", "dtype", "num_labels", "_attn_implementation",
    "per_layer_config", "attention_layers", "_sliding_window_pattern",
)  # fmt: skip
_CAPS = {
    r"(num|n)_(\w+_)?experts$": 4,
    r"(num_)?experts_per_tok(en)?$|top_k_experts$|moe_topk$|^moe_top_k$|moe_k$": 2,
    r"^(n_group|topk_group|num_expert_group)$": 1,
    r"sliding_window$|^local_attention$|window_size_left$": 8,
    r"attention_chunk_size$": 16,
    r"max_position_embeddings$|n_positions$|max_(target|source)_positions$|^n_ctx$|seq_len(gth)?$": 512,
    r"^num_queries$|^num_query_tokens$|num_latents$": 20,
    r"first_k_dense_replace": 1,
}

# Thirty types that between them write attention in every way transformers has; `make test` runs them.
PINNED = (
    "albert", "bart", "beit", "bert", "bloom", "clip", "deberta-v2", "deepseek_v3", "falcon", "gemma2", "gemma3_text",
    "gpt2", "gpt_neo", "gpt_neox", "gpt_oss", "gptj", "llama", "mistral", "mpt", "opt", "phi", "qwen3", "roformer",
    "swin", "t5", "vit", "wav2vec2", "whisper", "xglm", "xlnet",
)  # fmt: skip


def model_types() -> list[str]:
    """Every model type with a config, in alphabetical order."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return sorted(name for name in CONFIG_MAPPING_NAMES if name == name.lower())


def build(model_type: str, implementation: str, proportion: bool = True, **changes: Any) -> torch.nn.Module:
    """A seeded model in evaluation mode, weights spread so that attention is not uniform.

    proportion=False cuts layers and vocabulary but leaves widths and heads as they are. changes: pattern of a field's
    name → number. Raises whatever the model raises, and ValueError where it stays too large.
    """
    with torch.device("meta"):
        kind, config = _prepared(model_type, implementation, proportion, changes)
        size = sum(p.numel() for p in kind(config).parameters())
    if size > MAX_PARAMETERS:
        raise ValueError(f"{size / 1e6:.0f} M parameters after shrinking")
    kind, config = _prepared(model_type, implementation, proportion, changes)
    torch.manual_seed(0)
    model = kind(config).eval()
    model.config = config  # parts of models keep none
    spread(model)
    return model


def _prepared(
    model_type: str, implementation: str, proportion: bool, changes: dict[str, Any]
) -> tuple[type[torch.nn.Module], Any]:
    config = small_config(model_type, proportion)
    if model_type in PARTS:
        config = getattr(config, PARTS[model_type])
    for name, value in changes.items():
        set_everywhere(config, name, value)
    kind = model_class(model_type, config)
    config._attn_implementation = implementation
    return kind, config


def spread(model: torch.nn.Module) -> None:
    """Weights of unit gain in place of transformers' small ones: scores, biases and norms that matter."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not p.is_floating_point() or "A_log" in name or name.endswith("inv_freq") or not p.numel():
                continue
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            if p.ndim >= 2:
                p.copy_(noise / max(p[0].numel(), 1) ** 0.5)
            elif p.ndim == 1:
                p.add_(0.1 * noise)


def set_everywhere(config: Any, name: str, value: Any) -> None:
    """Set every field of the tree of configs whose name the pattern matches fully; numbers only."""
    for part in configs(config):
        for key, old in list(vars(part).items()):
            if re.fullmatch(name, key) and isinstance(old, int | float) and not isinstance(old, bool):
                setattr(part, key, type(old)(value))  # some fields take whole numbers only


def configs(config: Any) -> Iterator[Any]:
    """A config and every config inside it."""
    from transformers import PretrainedConfig

    yield config
    for value in list(vars(config).values()):
        if isinstance(value, PretrainedConfig):
            yield from configs(value)


def model_class(model_type: str, config: Any) -> type[torch.nn.Module]:
    """The bare model of a config; for a config no auto class knows, the first model of its module that takes it."""
    import transformers
    from transformers import MODEL_MAPPING, PreTrainedModel

    if type(config) in MODEL_MAPPING and model_type not in MODELS:
        with suppress(ValueError):  # some name a class that does not exist
            found = MODEL_MAPPING[type(config)]
            return found[0] if isinstance(found, tuple) else found
    folder, _, name = MODELS.get(model_type, "").rpartition(".")
    if name and hasattr(transformers, name):
        return getattr(transformers, name)
    of_config = type(config).__module__.replace(".configuration_", ".modeling_")
    module = import_module(f"transformers.models.{folder}.modeling_{folder}" if folder else of_config)
    if name:
        return getattr(module, name)
    kinds = [k for k in vars(module).values() if isinstance(k, type) and issubclass(k, PreTrainedModel)]
    kinds = [k for k in kinds if k.config_class is type(config) and not k.__name__.endswith("PreTrainedModel")]
    if not kinds:
        raise ValueError(f"no model takes a {type(config).__name__}")
    return min(kinds, key=lambda k: (not k.__name__.endswith("Model"), "For" in k.__name__))


def small_config(model_type: str, proportion: bool = True) -> Any:
    """The shrunk config of a model type; proportion=False leaves widths and heads as they are."""
    from transformers import CONFIG_MAPPING

    kind = CONFIG_MAPPING[model_type]
    values = kind(**DEFAULTS.get(model_type, {})).to_dict()
    factor = _factor(values) if proportion else 1
    seen: dict[int, int] = {}
    small = _shrunk(values, factor, seen)
    _override(small, model_type)
    if dataclasses.is_dataclass(kind):
        known = {f.name for f in dataclasses.fields(kind)}
        known |= {"out_features", *(path.split(".")[0] for path in OVERRIDES.get(model_type, ()))}
        small = {k: v for k, v in small.items() if k in known}
    return kind(**small)


def _override(small: dict[str, Any], model_type: str) -> None:
    """Write the overrides of a model type, and those of the types of its nested configs, into a shrunk config."""
    for value in small.values():
        if isinstance(value, dict) and isinstance(value.get("model_type"), str):
            _override(value, value["model_type"])
    for path, value in OVERRIDES.get(model_type, {}).items():
        at = small
        *parents, last = path.split(".")
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = deepcopy(value)


def _numbers(values: Any, name: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _numbers(value, str(key))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _numbers(value, name)
    elif isinstance(values, int) and not isinstance(values, bool):
        yield name, values


def _is_width(name: str) -> bool:
    return bool(_WIDTH.search(name)) and not _NO_WIDTH.search(name) and not _HEADS.search(name)


def _is_heads(name: str) -> bool:
    return bool(_HEADS.search(name)) and not _KV_HEADS.search(name) and not name.startswith("index_")


def _factor(values: dict[str, Any]) -> int:
    """The largest power of two (or three) that divides every width and leaves two heads everywhere."""
    heads = [n for name, n in _numbers(values) if _is_heads(name) and n > 1]
    widths = [n for name, n in _numbers(values) if _is_width(name) and not _FREE_WIDTH.search(name) and n >= _NARROW]
    if not widths:
        return 1
    common = reduce(gcd, [*widths, *heads])
    shared = any(1 < n < max(heads, default=0) for name, n in _numbers(values) if _KV_HEADS.search(name))
    limit = min([*(h // (4 if shared else 2) for h in heads), min(widths) // 32])
    return max((f for f in (1, 2, 3, 4, 6, 8, 12, 16) if common % f == 0 and f <= limit), default=1)


def _shrunk(values: dict[str, Any], factor: int, tokens: dict[int, int]) -> dict[str, Any]:
    layers = _kept_layers(values)
    result: dict[str, Any] = {}
    for name, value in values.items():
        if name in _DERIVED:
            continue
        if isinstance(value, dict):
            result[name] = _shrunk(value, factor, tokens) if all(isinstance(k, str) for k in value) else value
        elif isinstance(value, list | tuple) and layers is not None and len(value) == layers[0] > 2:
            result[name] = [value[k] for k in layers[1]]
        elif isinstance(value, list | tuple):
            result[name] = [_number(name, v, factor, tokens, layers) if isinstance(v, int) else v for v in value]
        else:
            result[name] = _number(name, value, factor, tokens, layers)
    if len(_outputs(values)) > 1:
        result["out_features"] = _outputs(values, layers)
    heads, shared = result.get("num_attention_heads"), values.get("num_key_value_heads")
    if isinstance(heads, int) and isinstance(shared, int) and shared > 1 and heads > 2 and heads % 2 == 0:
        result["num_key_value_heads"] = max(result["num_key_value_heads"], 2)
    return result


def _kept_layers(values: dict[str, Any]) -> tuple[int, list[int]] | None:
    """The number of layers and those that are kept: the first of each kind, at least two."""
    count = next(
        (
            values[k]
            for k in ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
            if isinstance(values.get(k), int)
        ),
        0,
    )
    if count <= 2:
        return None
    lists = [v for v in values.values() if isinstance(v, list | tuple) and len(v) == count]
    kinds: dict[tuple[str, ...], int] = {}
    for k in range(count):
        kinds.setdefault(tuple(str(v[k]) for v in lists), k)
    kept = sorted(kinds.values())[:5]
    least = max(2, len(_outputs(values)))
    for k in range(count):
        if len(kept) >= least:
            break
        if k not in kept:
            kept.append(k)
    return count, sorted(kept)


def _outputs(values: dict[str, Any], layers: tuple[int, list[int]] | None = None) -> list[str]:
    """The names of a backbone's outputs: as they are, or of the last layers where layers were cut."""
    names = values.get("out_features") or []
    if not all(isinstance(name, str) for name in names):
        return []
    return names if layers is None else [f"stage{k + 1}" for k in range(len(layers[1]))][-len(names) :]


def _number(name: str, value: Any, factor: int, tokens: dict[int, int], layers: tuple[int, list[int]] | None) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if re.search(r"(_token_ids?|_token_index|_id|_ids|_tokens)$", name) and value >= FIRST_SPECIAL:
        return tokens.setdefault(value, VOCABULARY - 1 - len(tokens) % (VOCABULARY - FIRST_SPECIAL))
    if "vocab" in name and value > 1000:
        return VOCABULARY
    for pattern, cap in _CAPS.items():
        if re.search(pattern, name):
            return min(value, cap)
    if re.search(r"depths$|^layers?_depth|num_layers_per", name):
        return min(value, 2)
    if _LAYERS.search(name) and not _NOT_LAYERS.search(name) and value < 200:
        return len(layers[1]) if layers is not None and value == layers[0] else min(value, 2)
    if re.search(r"image_size$|^img_size|^input_size$", name):
        while value > 256 and value % 2 == 0:
            value //= 2
        return value
    if _KV_HEADS.search(name) and value > 1:
        return max(value // factor, 1)
    if _HEADS.search(name) and value > 1:
        return max(value // factor, 1)
    if not _is_width(name) or value < _NARROW:
        return value
    value //= factor
    return value // 8 * 8 if _FREE_WIDTH.search(name) and value > 8 else value  # grouped_mm wants whole 16 bytes
