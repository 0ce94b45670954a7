"""Inputs for a model of any type, guessed from its forward signature and config: candidates, likeliest first."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from coverage_recipes import LENGTH, RECIPES, Inputs
from coverage_recipes import tokens as ordinary_tokens


def candidates(model: torch.nn.Module, batch: int, mask: bool, use_cache: bool) -> Iterator[Inputs]:
    """Keyword arguments to try, likeliest first. mask: with padding; the caller checks that a mask is taken at all."""
    signature = inspect.signature(model.forward).parameters
    config: Any = model.config
    base: Inputs = {}
    if "use_cache" in signature:
        base["use_cache"] = use_cache
    if "return_loss" in signature:
        base["return_loss"] = False
    needed = [
        n for n, p in signature.items() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    recipe = RECIPES.get(config.model_type)
    if recipe is not None:
        found = {**base, **{k: v for k, v in recipe(config, batch).items() if k in signature or "kwargs" in signature}}
        yield {**found, **_masks(signature, found, batch)} if mask else found
    for tensors in _sets(model, signature, needed, batch):
        found = {k: v for k, v in {**base, **tensors}.items() if k in signature}
        if mask:
            found |= _masks(signature, found, batch)
        if any(n not in found for n in needed):
            continue
        yield found


def takes_mask(model: torch.nn.Module) -> bool:
    """Whether a padding mask can be given."""
    config: Any = model.config
    recipe = RECIPES.get(config.model_type)
    known = recipe(config, 1) if recipe is not None else {}
    return "attention_mask" in inspect.signature(model.forward).parameters or any(map(_is_mask, known, known.values()))


def _is_mask(name: str, value: Any) -> bool:
    """Whether an argument says which keys of a sequence are there, one number each."""
    return name.endswith("_mask") and isinstance(value, torch.Tensor) and value.ndim == 2 and value.shape[1] >= LENGTH


def _masks(signature: Any, found: Inputs, batch: int) -> Inputs:
    """Masks with padding on the left of one sample and on the right of another."""
    masks: Inputs = {}
    for name, source in (("attention_mask", None), ("decoder_attention_mask", "decoder_input_ids")):
        length = _length(found, source)
        if name in signature and name not in found and length is not None:
            masks[name] = _padded(torch.ones(batch, length, dtype=torch.int64))
    for name, value in found.items():
        if _is_mask(name, value) and bool((value == 1).all()):
            masks[name] = _padded(value.clone())
    return masks


def _padded(mask: torch.Tensor) -> torch.Tensor:
    length = mask.shape[1]
    mask[0, : max(length // 5, 1)] = 0
    mask[1:2, length - max(length // 4, 1) :] = 0
    return mask


def _length(found: Inputs, source: str | None) -> int | None:
    names = [source] if source else ["input_ids", "inputs", "input_values", "input_features", "inputs_embeds"]
    for name in names:
        if name in found:
            value = found[name]
            return int(value.shape[1] if value.ndim < 3 or name != "input_features" else max(value.shape[1:]))
    return None


def _sets(model: torch.nn.Module, signature: Any, needed: list[str], batch: int) -> Iterator[Inputs]:
    """Sets of tensors: text alone, picture alone, both, audio, patches, embeddings."""
    config: Any = model.config
    text: Inputs = {}
    tokens = partial(ordinary_tokens, highest=_highest(config))
    longest = min([LENGTH, *(n for n in _values(config, "max_position_embeddings") if isinstance(n, int) and n >= 16)])
    for k, name in enumerate(("input_ids", "decoder_input_ids", "text_input_ids", "qformer_input_ids")):
        if name in signature:
            text[name] = tokens(batch, longest - 6 * (name == "decoder_input_ids"), k)
    if "bbox" in signature and "input_ids" in signature:
        low = torch.randint(0, 100, (batch, longest, 2), generator=_generator(3))
        text["bbox"] = torch.cat([low, low + 50], -1)
    main = str(getattr(model, "main_input_name", "input_ids"))
    pictures = list(_pictures(config, signature, batch))
    sounds = list(_sounds(config, signature, batch))
    others = list(_others(model, config, signature, batch))
    if main in ("input_ids", "decoder_input_ids") and text:
        yield {**text}
    for other in others:
        yield {**other}
        if text:
            yield {**other, **text}
    for sound in sounds:
        yield {**sound, **{k: v for k, v in text.items() if k != "input_ids"}}
        yield {**sound}
        yield {**text, **sound}
    for picture in pictures:
        yield {**picture}
        yield {**text, **picture}
    if text:
        yield {**text}
        yield {"input_ids": text.get("input_ids")}
    for width in dict.fromkeys(_widths(config)):
        embeds = torch.randn(batch, LENGTH, width, generator=_generator(5))
        for name in ("inputs_embeds", "hidden_states", "input_embeds", "embeddings", "features", "latents", "inputs"):
            if name in signature:
                yield {name: embeds, **{k: v for k, v in text.items() if k != "input_ids"}}
                states = torch.randn(batch, 10, width, generator=_generator(6))
                yield {name: embeds, "encoder_hidden_states": states, "query_embeds": states}
        if "encoder_hidden_states" in needed:
            yield {**text, "encoder_hidden_states": torch.randn(batch, 10, width, generator=_generator(6))}


def _highest(config: Any) -> int:
    """Token ids stay below this."""
    return min([150, *(n for n in _values(config, "vocab_size") if isinstance(n, int) and n > 16)])


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _parts(config: Any) -> Iterator[Any]:
    from coverage_models import configs

    return configs(config)


def _values(config: Any, *names: str) -> list[Any]:
    """What the configs of a tree have under these names, vision before the rest, without repeats."""
    found: list[Any] = []
    for part in sorted(_parts(config), key=lambda p: "vis" not in str(getattr(p, "model_type", ""))):
        for name in names:
            value = getattr(part, name, None)
            if value is not None and value not in found and not isinstance(value, bool):
                found.append(value)
    return found


def _widths(config: Any) -> list[int]:
    names = ("hidden_size", "d_model", "embed_dim", "dim", "encoder_hidden_size", "vision_hidden_size", "n_embd")
    return [v for v in _values(config, *names) if isinstance(v, int)]


def _pictures(config: Any, signature: Any, batch: int) -> Iterator[Inputs]:
    channels = [c for c in _values(config, "num_channels", "in_channels", "in_chans") if isinstance(c, int)] or [3]
    sizes = [tuple(s) if isinstance(s, list | tuple) else (s, s) for s in _values(config, "image_size", "img_size")]
    sizes = [s for s in sizes if len(s) == 2 and all(isinstance(v, int) for v in s)]
    frames = [f for f in _values(config, "num_frames", "frames_per_clip") if isinstance(f, int)]
    for size in dict.fromkeys([*sizes, (64, 64), (224, 224), (256, 256)]):
        for count in dict.fromkeys(channels[:2]):
            picture = torch.randn(batch, count, *size, generator=_generator(1))
            for name in ("pixel_values", "images", "pixel_values_images", "image"):
                if name in signature:
                    if frames:
                        yield {name: torch.randn(batch, frames[0], count, *size, generator=_generator(1))}
                    yield {name: picture}
                    yield {name: picture[:, None]}
            if "pixel_values_videos" in signature:
                clip = (frames or [4])[0]
                yield {"pixel_values_videos": torch.randn(batch, clip, count, *size, generator=_generator(1))}
    if "pixel_values" in signature:  # pairs of pictures to match
        yield {"pixel_values": torch.randn(batch, 2, channels[0], 128, 128, generator=_generator(1))}


def _sounds(config: Any, signature: Any, batch: int) -> Iterator[Inputs]:
    bands = [
        n
        for n in _values(
            config,
            "num_mel_bins",
            "feature_size",
            "input_dim",
            "mel_bins",
            "n_mels",
            "input_feat_per_channel",
            "feature_projection_input_dim",
        )
        if isinstance(n, int)
    ]
    positions = sorted(2 * n for n in _values(config, "max_source_positions") if isinstance(n, int) and n <= 512)
    for name in ("input_features", "input_values", "audio_values", "audio_features", "input_audio_embeds", "features"):
        if name not in signature:
            continue
        if name != "input_features":
            yield {name: torch.randn(batch, 7680, generator=_generator(2))}
            yield {name: torch.randn(batch, 1, 7680, generator=_generator(2))}
        for count in dict.fromkeys([*bands, 80, 128]):
            for length in sorted({*positions, 128}):
                yield {name: torch.randn(batch, count, length, generator=_generator(2))}
                yield {name: torch.randn(batch, length, count, generator=_generator(2))}
        for codes in (
            ordinary_tokens(batch, 8 * LENGTH).view(batch, 8, LENGTH),
            ordinary_tokens(batch, 8 * LENGTH).view(batch, LENGTH, 8),
        ):
            yield {name: codes}


def _others(model: torch.nn.Module, config: Any, signature: Any, batch: int) -> Iterator[Inputs]:
    """Patches with a grid, time series, codes."""
    grid_name = next((n for n in ("grid_thw", "image_grid_thw", "video_grid_thw", "grid_hws") if n in signature), None)
    values = next((n for n in ("hidden_states", "pixel_values") if n in signature), None)
    if grid_name and values and "input_ids" not in signature:
        patch = (_values(config, "patch_size") or [14])[0]
        side = patch if isinstance(patch, int) else patch[0]
        channels = (_values(config, "in_channels", "num_channels", "in_chans") or [3])[0]
        depth = (_values(config, "temporal_patch_size", "patch_temporal") or [1])[0]
        grid = torch.tensor([[1, 4, 4], [1, 4, 8]])
        for width in (channels * depth * side * side, channels * side * side):
            yield {values: torch.randn(48, width, generator=_generator(4)), grid_name: grid}
        yield {values: torch.randn(48, channels, side, side, generator=_generator(4)), grid_name: grid}
    if "past_values" in signature:
        context = (_values(config, "context_length") or [32])[0]
        width = (_values(config, "num_input_channels") or [1])[0]
        yield {"past_values": torch.randn(batch, context, width, generator=_generator(7))}
        yield {"past_values": [torch.randn(context, generator=_generator(7)) for _ in range(batch)]}
    if "inputs" in signature:
        yield {"inputs": ordinary_tokens(batch, LENGTH)}


def first_that_runs(
    model: torch.nn.Module, batch: int, mask: bool, use_cache: bool, run: Callable[[Inputs], Any]
) -> tuple[Inputs, Any]:
    """The first candidate that the model takes, and what it gives. Raises the first failure where it takes none."""
    failure: Exception | None = None
    for inputs in candidates(model, batch, mask, use_cache):
        try:
            return inputs, run(inputs)
        except Exception as error:
            failure = failure or error
    raise failure or ValueError(f"no inputs are known for {list(inspect.signature(model.forward).parameters)[:8]}")
