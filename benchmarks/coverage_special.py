"""What single model types need beyond the rules: sizes, classes, attributes that are missing, inputs.

Every entry is data. A type stands here only where its default config cannot be built or run as it is (`DEFAULTS`,
many `OVERRIDES`), or where the rules of `coverage_models` break what its sizes have to do with each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

LENGTH = 24
_HIGHEST_TOKEN = 150  # special ids stand above

Inputs = dict[str, Any]

_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
_SERIES = {"prediction_length": 8, "context_length": 24, "lags_sequence": [1, 2, 3]}
_TEXT = {"hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 4, "num_key_value_heads": 4}
_DEPTH_PRO = {"image_size": 64, "patch_size": 16}
_GEMMA4_ASSISTANT = {"text_config.num_kv_shared_layers": 2, "text_config.num_hidden_layers": 2}

# Arguments that a config's constructor cannot do without.
DEFAULTS: dict[str, dict[str, Any]] = {
    "aya_vision": {
        "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 1152, "num_attention_heads": 16}
    },
    "gemma4_assistant": {
        "text_config": {
            "model_type": "gemma4_text", "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0,
        }
    },
}  # fmt: skip

# The class of a type whose config no auto class and no model names, or where that is the wrong one.
MODELS: dict[str, str] = {
    "musicgen_melody": "MusicgenMelodyForConditionalGeneration",
    "pp_chart2table": "GotOcr2Model",
    "t5_gemma_module": "T5GemmaEncoder",
    "idefics_vision": "IdeficsVisionTransformer",
}

# What proportion does not do. Dots lead into nested configs; nested configs have the overrides of their own type too.
OVERRIDES: dict[str, dict[str, Any]] = {
    "whisper": {"max_source_positions": 64},
    "audio-spectrogram-transformer": {"max_length": 128},
    "autoformer": _SERIES,
    "falcon": {"hidden_size": 256, "num_attention_heads": 4, "ffn_hidden_size": 512, "num_kv_heads": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 8},
    "informer": _SERIES,
    "time_series_transformer": _SERIES,
    "hunyuan_v1_dense": {"head_dim": 64},
    "hunyuan_v1_moe": {"head_dim": 64},
    "hunyuan_vl_text": {"head_dim": 64, "rope_parameters": {**_ROPE, "mrope_section": [8, 8, 8, 8]}},
    "ministral": {"head_dim": 64},
    "nemotron": {"num_attention_heads": 4, "num_key_value_heads": 2},
    "esm": {"vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32},
    "dbrx": {"attn_config.rope_theta": 10000.0, "attn_config.clip_qkv": 8.0},
    "reformer": {"axial_pos_shape": [8, 8]},
    "codegen": {"n_head": 4},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {"sliding_attention": _ROPE, "full_attention": _ROPE},
    },
    "chameleon": {"vocabulary_map": {"<image>": 250}},
    "cvt": {"depth": [1, 2, 3]},
    "deepseek_ocr2_text": {"mlp_layer_types": ["dense", "sparse"], "num_experts_per_tok": 2},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "diffusion_gemma_text": {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 128},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1},
    "deepseek_ocr2_vision": {
        "sam_config.downsample_channels": [128, 256], "encoder_config.hidden_size": 256,
        "encoder_config.num_attention_heads": 4, "encoder_config.num_key_value_heads": 4,
        "encoder_config.intermediate_size": 512,
    },
    "depth_pro": {
        "patch_size": 64, "intermediate_hook_ids": [1, 0],
        **{f"{part}_model_config.{k}": v for part in ("image", "patch", "fov") for k, v in _DEPTH_PRO.items()},
    },
    "emu3": {"vocabulary_map": {"<image>": 250, "<|extra_200|>": 251}},
    "falcon_h1": {"mamba_d_ssm": 128},
    "gemma3n_text": {"num_kv_shared_layers": 2, "intermediate_size": [512, 512, 512, 512]},
    "gemma4_assistant": _GEMMA4_ASSISTANT,
    "gemma4_unified_assistant": _GEMMA4_ASSISTANT,
    "glm4v_moe_text": {"head_dim": 128},
    "glm4v_text": {"rope_parameters.partial_rotary_factor": 0.5},
    "glm_image_text": {"rope_parameters.partial_rotary_factor": 0.5},
    "granite4_vision": {"deepstack_layer_map": [[-1, 0], [-2, 1]], "downsample_rate": "4/8"},
    "granite_speech": {f"text_config.{k}": v for k, v in _TEXT.items()},
    "granite_speech_plus": {f"text_config.{k}": v for k, v in _TEXT.items()},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "llama4_vision_model": {"intermediate_size": 384},
    "lw_detr": {"projector_scale_factors": [1.0], "backbone_config.window_block_indices": [0]},
    "lw_detr_vit": {"window_block_indices": [0]},
    "mimi_decoder": {"upsample_groups": 128},
    "molmo2": {"adapter_config.vision_feature_layer": [1, 0]},
    "moonshine_streaming": {"num_key_value_heads": 2},
    "pix2struct_text_model": {"initializer_range": 0.02},
    "t5_gemma_module": {"dropout_rate": 0.0},
    "t5gemma2_decoder": {"dropout_rate": 0.0},
    "t5gemma2_text": {"dropout_rate": 0.0},
    "qwen3_omni_moe_text": {"num_attention_heads": 8, "num_key_value_heads": 2},
    "sam2_vision_model": {"backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]]},
    "vibevoice_asr": {f"text_config.{k}": v for k, v in _TEXT.items()},
    "vibevoice_acoustic_tokenizer_encoder": {"num_filters": 16},
    "blip-2": {"image_token_index": 255},
    "instructblip": {"image_token_index": 255},
    "instructblipvideo": {"video_token_index": 255},
    "dots3_note_audio_encoder": {"feature_size": 128, "downsample_hidden_size": 120, "conv_output_size": 1920},
    "janus_vqgan": {"num_patches": 16},
    "minicpm_ocr_vision": {"insert_layer_id": 0},
    "minicpmv4_6_vision": {"insert_layer_id": 0},
    "minicpmv4_7_vision": {"insert_layer_id": 0},
    "mllama_vision_model": {"intermediate_layers_indices": [0, 1]},
    "seggpt": {
        "image_size": [256, 128], "num_hidden_layers": 5, "intermediate_hidden_state_indices": [1, 2, 3, 4],
        "merge_index": 1,
    },
    "slanext_vision": {"global_attn_indexes": [1]},
    "tvp": {"max_img_size": 128, "visual_prompt_size": 16, "num_frames": 2},
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        "hidden_size": 128, "attention_hidden_size": 256, "attention_head_dim": 64, "num_attention_heads": 4,
        "num_key_value_heads": 4, "intermediate_size": 512, "mamba_dt_rank": 8, "num_hidden_layers": 4,
        "layers_block_type": ["linear_attention", "hybrid", "linear_attention", "hybrid"],
    },
}  # fmt: skip


def noise(*shape: int) -> torch.Tensor:
    """Normal numbers, the same for the same shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def tokens(batch: int, length: int, seed: int = 0, highest: int = _HIGHEST_TOKEN) -> torch.Tensor:
    """Ordinary token ids."""
    return torch.randint(3, highest, (batch, length), generator=torch.Generator().manual_seed(seed))


def ones(*shape: int) -> torch.Tensor:
    """A mask that keeps everything."""
    return torch.ones(*shape, dtype=torch.int64)


def _after(image_token: int, count: int, batch: int) -> torch.Tensor:
    """Text behind the places of a picture."""
    return torch.cat([torch.full((batch, count), image_token), tokens(batch, LENGTH)], 1)


def _cells(batch: int, rows: int, columns: int) -> torch.Tensor:
    """Row and column of every cell of a grid, in order."""
    return torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).repeat(batch, 1, 1)


def _flattened(config: Any, batch: int) -> torch.Tensor:
    """Patches of a picture, each behind its row and column."""
    return torch.cat([_cells(batch, 6, 8).float() + 1, noise(batch, 48, config.patch_embed_hidden_size)], -1)


def _packed(config: Any, batch: int) -> Inputs:
    """Two pictures of different sizes, their patches in one row."""
    side = config.patch_size
    return {
        "pixel_values": noise(1, config.num_channels, side, 48 * side),
        "target_sizes": torch.tensor([[4, 4], [4, 8]]),
    }


def _series(config: Any, batch: int) -> Inputs:
    past, times = config.context_length + max(config.lags_sequence), config.num_time_features
    return {
        "past_values": noise(batch, past),
        "past_time_features": noise(batch, past, times),
        "past_observed_mask": torch.ones(batch, past),
        "future_values": noise(batch, config.prediction_length),
        "future_time_features": noise(batch, config.prediction_length, times),
    }


def _lengths(config: Any, batch: int) -> Inputs:
    return {
        "input_features": noise(config.num_mel_bins, 160 * batch),
        "feature_lens": torch.full((batch,), 160),
    }


def _picture_and_text(c: Any, b: int) -> Inputs:
    """Pictures and text of a model that puts the queries of a Q-former in the place of image tokens."""
    size, video = c.vision_config.image_size, hasattr(c, "video_token_index")
    token = c.video_token_index if video else c.image_token_index
    asked = {} if c.model_type == "blip-2" else {"qformer_input_ids": tokens(b, LENGTH)}
    return asked | {
        "pixel_values": noise(b, *((2,) if video else ()), 3, size, size),
        "input_ids": _after(token, c.num_query_tokens * (2 if video else 1), b),
    }


# Inputs of a type where its arguments do not tell them: from its config and the batch size.
RECIPES: dict[str, Callable[[Any, int], Inputs]] = {
    "audioflamingo3_encoder": lambda c, b: {
        "input_features": noise(b, c.num_mel_bins, 2 * c.max_source_positions),
        "input_features_mask": ones(b, 2 * c.max_source_positions),
    },
    "autoformer": _series,
    "blip-2": _picture_and_text,
    "blip_2_qformer": lambda c, b: {
        "query_embeds": noise(b, 20, c.hidden_size), "encoder_hidden_states": noise(b, 40, c.encoder_hidden_size),
    },
    "blt_local_decoder": lambda c, b: {
        "inputs_embeds": noise(b, LENGTH, c.hidden_size), "patch_embeds": noise(b, 8, c.hidden_size_global),
    },
    "blt_local_encoder": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "num_patches": 8, "patch_ids": (torch.arange(LENGTH) // 3).repeat(b, 1),
    },
    "clap": lambda c, b: {"input_ids": tokens(b, LENGTH), **RECIPES["clap_audio_model"](c.audio_config, b)},
    "clap_audio_model": lambda c, b: {
        "input_features": noise(b, 1, c.spec_size * 4 - 23, c.num_mel_bins), "is_longer": torch.zeros(b, 1).bool(),
    },
    "decision_transformer": lambda c, b: {
        "states": noise(b, LENGTH, c.state_dim), "actions": noise(b, LENGTH, c.act_dim),
        "rewards": noise(b, LENGTH, 1), "returns_to_go": noise(b, LENGTH, 1),
        "timesteps": torch.arange(LENGTH).repeat(b, 1), "attention_mask": ones(b, LENGTH),
    },
    "deepseek_ocr2_encoder": lambda c, b: {"inputs_embeds": noise(b, 32, c.hidden_size), "num_patches": 16},
    "dia": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "decoder_input_ids": tokens(b, 18 * 9).view(b, 18, 9),
    },
    "dia_decoder": lambda c, b: {
        "input_ids": tokens(b, 18 * 9).view(b, 18, 9),
        "encoder_hidden_states": noise(b, LENGTH, c.cross_hidden_size),
    },
    "dots3_note_audio_encoder": lambda c, b: {
        "input_features": noise(b, c.feature_size, 256), "chunk_sample_lengths": torch.full((b,), 256 * c.hop_length),
    },
    "fastspeech2_conformer_hifigan": lambda c, b: {"spectrogram": noise(b, 40, c.model_in_dim)},
    "florence_vision": lambda c, b: {"hidden_states": noise(b, c.in_channels, 192, 192)},
    "fun_asr_nano_encoder": lambda c, b: {
        "input_features": noise(b, 32, c.input_size), "input_features_mask": ones(b, 32),
    },
    "gemma3n_audio": lambda c, b: {
        "audio_mel": noise(b, 128, c.input_feat_size), "audio_mel_mask": torch.zeros(b, 128).bool(),
    },
    "gemma4_vision": lambda c, b: {
        "pixel_values": noise(b, 144, 3 * c.patch_size**2), "pixel_position_ids": _cells(b, 12, 12),
    },
    "glm_image": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "image_grid_thw": torch.tensor([[1, 4, 4]] * b), "images_per_sample": ones(b),
    },
    "granite_speech_encoder": lambda c, b: {"hidden_states": noise(b, 240, c.input_dim)},
    "granite_speech_plus_encoder": lambda c, b: {"hidden_states": noise(b, 240, c.input_dim)},
    "granite_speech5_ctc": lambda c, b: RECIPES["granite_speech5_encoder"](c.encoder_config, b),
    "granite_speech5_encoder": lambda c, b: {
        "input_features": noise(b, 96, 4 * c.num_mel_bins), "attention_mask": ones(b, 96),
    },
    "idefics": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "image_attention_mask": ones(b, LENGTH, 1),
        "pixel_values": noise(b, 1, 3, c.vision_config.image_size, c.vision_config.image_size),
    },
    "idefics2_perceiver": lambda c, b: {"context": noise(b, 40, c.hidden_size), "attention_mask": ones(b, 40)},
    "informer": _series,
    "inkling2_vision": lambda c, b: {
        "pixel_values": noise(48, *(2 * [c.patch_size * c.spatial_merge_size]), c.num_channels),
        "image_grid_thw": torch.tensor([[1, 4, 4], [1, 4, 8]]),
    },
    "inkling_audio": lambda c, b: {"audio_input_ids": tokens(b, LENGTH * c.num_codebooks, 0, 10).view(b, LENGTH, -1)},
    "instructblip": _picture_and_text,
    "instructblipvideo": _picture_and_text,
    "jev": lambda c, b: {
        "input_ids": tokens(1, LENGTH), "marks": torch.tensor([[9, 20]]), "num_options": torch.tensor([[2, 3]]),
        "question_type_ids": torch.tensor([[0, 1]]),
    },
    "kosmos-2": lambda c, b: {
        "pixel_values": noise(b, 3, c.vision_config.image_size, c.vision_config.image_size),
        "input_ids": tokens(b, c.latent_query_num + LENGTH),
        "image_embeds_position_mask": (torch.arange(c.latent_query_num + LENGTH) < c.latent_query_num).repeat(b, 1),
    },
    "kosmos_2_5_vision_model": lambda c, b: {"flattened_patches": _flattened(c, b)},
    "lw_detr_vit": lambda c, b: {"hidden_states": noise(c.num_windows * b, 16, c.hidden_size)},
    "lxmert": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "visual_feats": noise(b, 20, c.visual_feat_dim),
        "visual_pos": noise(b, 20, c.visual_pos_dim),
    },
    "mimi_decoder": lambda c, b: {"latents": noise(b, c.hidden_size, LENGTH)},
    "minicpm_ocr_vision": _packed,
    "minicpmv4_6_vision": _packed,
    "minicpmv4_7_vision": _packed,
    "mllama_vision_model": lambda c, b: {
        "pixel_values": noise(b, 1, c.max_num_tiles, c.num_channels, c.image_size, c.image_size),
        "aspect_ratio_ids": torch.full((b, 1), 6), "aspect_ratio_mask": ones(b, 1, c.max_num_tiles),
    },
    "molmo2_adapter": lambda c, b: {
        "image_features": noise(b, 64, c.hidden_size * len(c.vision_feature_layer)),
        "pooled_patches_idx": torch.arange(64 * b).view(-1, 16),
    },
    "molmo2_vision": lambda c, b: {"pixel_values": noise(b, c.num_position_embeddings, 3 * c.patch_size**2)},
    "moshi_depth": lambda c, b: {
        "input_ids": tokens(b, c.num_codebooks), "last_hidden_state": noise(b, c.num_codebooks, c.input_size),
    },
    "musicgen_melody": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "input_features": noise(b, 20, c.num_chroma),
        "decoder_input_ids": tokens(b * c.decoder.num_codebooks, 18),
    },
    "owlv2": lambda c, b: RECIPES["owlvit"](c, b),
    "owlvit": lambda c, b: {
        "input_ids": tokens(b, c.text_config.max_position_embeddings),
        "pixel_values": noise(b, 3, c.vision_config.image_size, c.vision_config.image_size),
    },
    "phi4_multimodal_audio": lambda c, b: {"hidden_states": noise(b, 160, c.input_size), "mask": None},
    "pp_ocrv5_mobile_det": lambda c, b: {"hidden_states": noise(b, 3, 64, 64)},
    "pi0": lambda c, b: {
        "action_embeds": noise(b, c.chunk_size, c.dit_config.hidden_size),
        "input_ids": _after(c.vlm_config.image_token_id, (224 // 14) ** 2, b),
        "pixel_values": noise(b, 1, 3, 224, 224), "pixel_attention_mask": torch.ones(b, 1).bool(),
    },
    "pix2struct": lambda c, b: {
        "flattened_patches": _flattened(c.vision_config, b), "decoder_input_ids": tokens(b, 18),
    },
    "pix2struct_vision_model": lambda c, b: {"flattened_patches": _flattened(c, b)},
    "qwen2_5_omni_audio_encoder": _lengths,
    "qwen2_5_omni_dit": lambda c, b: {
        "hidden_states": noise(b, 48, c.mel_dim), "condition_vector": noise(b, 40, c.mel_dim),
        "speaker_embedding": noise(b, 48, c.enc_emb_dim), "quantized_code": tokens(b, 24),
        "time_step": torch.tensor(0.5),
    },
    "qwen2_5_omni_token2wav": lambda c, b: {
        "code": tokens(b, 24), "conditioning": noise(b, c.dit_config.enc_emb_dim),
        "reference_mel": noise(b, 40, c.dit_config.mel_dim), "num_steps": 2,
    },
    "qwen3_asr_encoder": lambda c, b: {
        "input_features": noise(b, c.num_mel_bins, 4 * c.n_window), "input_features_mask": ones(b, 4 * c.n_window),
    },
    "qwen3_omni_moe_audio_encoder": _lengths,
    "sam3_lite_text_detr_decoder": lambda c, b: {
        "vision_features": noise(b, 64, c.hidden_size), "text_features": noise(b, 16, c.hidden_size),
        "vision_pos_encoding": noise(b, 64, c.hidden_size), "spatial_shapes": torch.tensor([[8, 8]]),
    },
    "sam3_lite_text_detr_encoder": lambda c, b: {
        "vision_features": [noise(b, c.hidden_size, 8, 8)], "text_features": noise(b, 16, c.hidden_size),
        "vision_pos_embeds": [noise(b, c.hidden_size, 8, 8)],
    },
    "seggpt": lambda c, b: {
        name: noise(b, 3, *(2 * [c.image_size[1]]))
        for name in ("pixel_values", "prompt_pixel_values", "prompt_masks")
    },
    "siglip2": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "pixel_values": noise(b, 48, 3 * c.vision_config.patch_size**2),
        "pixel_attention_mask": ones(b, 48), "spatial_shapes": torch.tensor([[6, 8]] * b),
    },
    "slanext": lambda c, b: {"hidden_states": noise(b, 3, *(2 * [c.vision_config.image_size]))},
    "timesfm": lambda c, b: {
        "past_values": noise(b, c.context_length), "freq": torch.zeros(b, 1, dtype=torch.int64),
        "past_values_padding": torch.zeros(b, c.context_length),
    },
    "tvp": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "attention_mask": ones(b, LENGTH),
        "pixel_values": noise(b, c.num_frames, 3, c.max_img_size, c.max_img_size),
    },
    "time_series_transformer": _series,
    "unlimited_ocr_vision_encoder": lambda c, b: {
        "patch_embeds": noise(b, c.hidden_size, *(2 * [c.image_size // c.patch_size]))
    },
    "vibevoice_acoustic_tokenizer_decoder": lambda c, b: {"hidden_states": noise(b, c.hidden_size, LENGTH)},
    "video_llama_3_vision": lambda c, b: {
        "pixel_values": noise(48, 3 * c.patch_size**2), "grid_thw": torch.tensor([[1, 4, 4], [1, 4, 8]]),
        "merge_sizes": torch.tensor([2, 2]),
    },
    "voxtral_realtime_text": lambda c, b: {"input_ids": tokens(b, LENGTH), "t_cond": noise(1, 1, c.hidden_size)},
    "xcodec2": lambda c, b: {
        "input_values": noise(b, 1, 7680),
        "input_features": noise(b, 24, c.semantic_model_config.feature_projection_input_dim),
    },
}  # fmt: skip
