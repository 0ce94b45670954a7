"""Inputs of the model types whose arguments do not tell what they hold: one short declaration each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

LENGTH = 24
_HIGHEST_TOKEN = 150  # special ids stand above

Inputs = dict[str, Any]


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


def _prompted(c: Any, b: int) -> Inputs:
    """A picture's features and the embeddings of a prompt of two sets of points; finer features where they are read."""
    return {
        "image_embeddings": noise(b, c.hidden_size, 8, 8),
        "image_positional_embeddings": noise(b, c.hidden_size, 8, 8),
        "sparse_prompt_embeddings": noise(b, 2, 3, c.hidden_size),
        "dense_prompt_embeddings": noise(b, c.hidden_size, 8, 8),
        "multimask_output": True,
        "high_resolution_features": [noise(b, c.hidden_size // 8, 32, 32), noise(b, c.hidden_size // 4, 16, 16)],
    }


def _points(c: Any, b: int) -> Inputs:
    """Two sets of three points in a picture."""
    return {
        "input_points": noise(b, 2, 3, 2).abs() * 20, "input_labels": torch.ones(b, 2, 3, dtype=torch.int32),
        "input_boxes": None, "input_masks": None,
    }  # fmt: skip


def _boxes(c: Any, b: int) -> Inputs:
    """Boxes in a picture, and its features."""
    return {
        "box_embeddings": torch.full((b, 3, 4), 0.4), "box_mask": ones(b, 3).bool(), "box_labels": ones(b, 3),
        "img_feats": (noise(b, c.hidden_size, 8, 8),), "img_pos_embeds": (noise(b, c.hidden_size, 8, 8),),
    }  # fmt: skip


# Inputs of a type where its arguments do not tell them: from its config and the batch size.
RECIPES: dict[str, Callable[[Any, int], Inputs]] = {
    **{
        f"{name}_mask_decoder": _prompted
        for name in ("edgetam", "edgetam_video", "sam", "sam2", "sam2_video", "sam3_tracker", "sam3_tracker_video")
    },
    **{
        f"{name}_prompt_encoder": _points
        for name in ("edgetam", "edgetam_video", "sam2", "sam2_video", "sam3_tracker", "sam3_tracker_video")
    },
    "sam3_geometry_encoder": _boxes,
    "sam3_lite_text_geometry_encoder": _boxes,
    "sam_hq_mask_decoder": lambda c, b: {
        **_prompted(c, b), "hq_token_only": False, "intermediate_embeddings": [noise(b, 8, 8, c.vit_dim)],
    },
    "udop": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "decoder_input_ids": tokens(b, 18),
        "bbox": torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(b, LENGTH, 4),
    },
    "vibevoice_diffusion": lambda c, b: {
        "noisy_images": noise(b, c.latent_size), "timesteps": torch.ones(b), "condition": noise(b, c.hidden_size),
    },
    "inkling_vision": lambda c, b: {
        "pixel_values": noise(48, c.temporal_patch_size, c.patch_size, c.patch_size, c.num_channels)
    },
    "omdet-turbo": lambda c, b: {
        "pixel_values": noise(b, 3, c.image_size, c.image_size), "tasks_input_ids": tokens(b, LENGTH),
        "tasks_attention_mask": ones(b, LENGTH), "classes_input_ids": tokens(2 * b, LENGTH, 1),
        "classes_attention_mask": ones(2 * b, LENGTH), "classes_structure": torch.full((b,), 2),
    },
    "pe_audio_video_encoder": lambda c, b: {
        "input_values": noise(b, 1, 7680), "pixel_values_videos": noise(b, 4, 3, 64, 64),
    },
    "pe_audio_video": lambda c, b: {
        "input_ids": tokens(b, LENGTH), **RECIPES["pe_audio_video_encoder"](c, b)
    },
    "perception_lm": lambda c, b: {
        "input_ids": _after(c.image_token_id, 16, b), "pixel_values": noise(b, 1, 3, 64, 64),
    },
    "chameleon_vqgan": lambda c, b: {"pixel_values": noise(b, c.in_channels, 64, 64)},
    "emu3_vqgan": lambda c, b: {"pixel_values": noise(b, c.temporal_downsample_factor, c.in_channels, 32, 32)},
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
    "granite_speech5_ctc": lambda c, b: RECIPES["granite_speech5_encoder"](c.encoder_config, b),
    "granite_speech5_encoder": lambda c, b: {
        "input_features": noise(b, 96, 4 * c.num_mel_bins), "attention_mask": ones(b, 96),
    },
    "granite_speech_encoder": lambda c, b: {"hidden_states": noise(b, 240, c.input_dim)},
    "granite_speech_plus_encoder": lambda c, b: {"hidden_states": noise(b, 240, c.input_dim)},
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
    "muse_glimmer_assistant": lambda c, b: {
        "noise_embeds": noise(b, c.block_size, c.hidden_size),
        "context_hidden_states": noise(b, LENGTH, c.hidden_size * len(c.target_layer_ids)),
        "attention_mask": ones(b, LENGTH + c.block_size),
    },
    "musicgen": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "decoder_input_ids": tokens(b * c.decoder.num_codebooks, 18),
    },
    "musicgen_melody": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "input_features": noise(b, 20, c.num_chroma),
        "decoder_input_ids": tokens(b * c.decoder.num_codebooks, 18),
    },
    "neucodec": lambda c, b: RECIPES["xcodec2"](c, b),
    "oneformer": lambda c, b: {
        "pixel_values": noise(b, 3, 224, 224), "task_inputs": tokens(b, c.task_seq_len),
    },
    "owlv2": lambda c, b: RECIPES["owlvit"](c, b),
    "owlvit": lambda c, b: {
        "input_ids": tokens(b, c.text_config.max_position_embeddings),
        "pixel_values": noise(b, 3, c.vision_config.image_size, c.vision_config.image_size),
    },
    "paddleocr_vl_vision": lambda c, b: {
        "pixel_values": noise(1, 48, 3, c.patch_size, c.patch_size), "grid_thw": torch.tensor([[1, 4, 4], [1, 4, 8]]),
    },
    "phi4_multimodal_audio": lambda c, b: {"hidden_states": noise(b, 160, c.input_size), "mask": None},
    "pi0": lambda c, b: {
        "action_embeds": noise(b, c.chunk_size, c.dit_config.hidden_size),
        "input_ids": _after(c.vlm_config.image_token_id, (224 // 14) ** 2, b),
        "pixel_values": noise(b, 1, 3, 224, 224), "pixel_attention_mask": torch.ones(b, 1).bool(),
    },
    "pix2struct": lambda c, b: {
        "flattened_patches": _flattened(c.vision_config, b), "decoder_input_ids": tokens(b, 18),
    },
    "pix2struct_vision_model": lambda c, b: {"flattened_patches": _flattened(c, b)},
    "pocket_tts_audio_tokenizer_decoder": lambda c, b: {"latents": noise(b, c.hidden_size, LENGTH)},
    "pp_ocrv5_mobile_det": lambda c, b: {"hidden_states": noise(b, 3, 64, 64)},
    "qwen2_5_omni_audio_encoder": _lengths,
    "qwen2_5_omni_bigvgan": lambda c, b: {"mel_spectrogram": noise(b, c.mel_dim, 40)},
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
    "rag": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "decoder_input_ids": tokens(b, 18), "doc_scores": noise(b, c.n_docs),
        "context_input_ids": tokens(b * c.n_docs, LENGTH), "context_attention_mask": ones(b * c.n_docs, LENGTH),
    },
    "sam3_detr_decoder": lambda c, b: RECIPES["sam3_lite_text_detr_decoder"](c, b),
    "sam3_detr_encoder": lambda c, b: RECIPES["sam3_lite_text_detr_encoder"](c, b),
    "sam3_lite_text_detr_decoder": lambda c, b: {
        "vision_features": noise(b, 64, c.hidden_size), "text_features": noise(b, 16, c.hidden_size),
        "vision_pos_encoding": noise(b, 64, c.hidden_size), "spatial_shapes": torch.tensor([[8, 8]]),
    },
    "sam3_lite_text_detr_encoder": lambda c, b: {
        "vision_features": [noise(b, c.hidden_size, 8, 8)], "text_features": noise(b, 16, c.hidden_size),
        "vision_pos_embeds": [noise(b, c.hidden_size, 8, 8)],
    },
    "sam3_lite_text_mask_decoder": lambda c, b: RECIPES["sam3_mask_decoder"](c, b),
    "sam3_mask_decoder": lambda c, b: {
        "decoder_queries": noise(b, 20, c.hidden_size), "encoder_hidden_states": noise(b, 64, c.hidden_size),
        "backbone_features": [noise(b, c.hidden_size, side, side) for side in (32, 16, 8)],
        "prompt_features": noise(b, LENGTH, c.hidden_size),
    },
    "seggpt": lambda c, b: {
        name: noise(b, 3, *(2 * [c.image_size[1]]))
        for name in ("pixel_values", "prompt_pixel_values", "prompt_masks")
    },
    "shieldgemma2": lambda c, b: {
        "input_ids": _after(c.image_token_index, c.mm_tokens_per_image, b), "pixel_values": noise(b, 3, 224, 224),
    },
    "siglip2": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "pixel_values": noise(b, 48, 3 * c.vision_config.patch_size**2),
        "pixel_attention_mask": ones(b, 48), "spatial_shapes": torch.tensor([[6, 8]] * b),
    },
    "siglip2_vision_model": lambda c, b: {
        "pixel_values": noise(b, 48, 3 * c.patch_size**2), "pixel_attention_mask": ones(b, 48),
        "spatial_shapes": torch.tensor([[6, 8]] * b),
    },
    "slanet": lambda c, b: {"hidden_states": noise(b, 48, c.post_conv_out_channels)},
    "slanext": lambda c, b: {"hidden_states": noise(b, 3, *(2 * [c.vision_config.image_size]))},
    "speecht5": lambda c, b: {
        "input_values": noise(b, LENGTH, c.hidden_size), "decoder_input_values": noise(b, 18, c.hidden_size),
    },
    "speecht5_hifigan": lambda c, b: {"spectrogram": noise(b, 40, c.model_in_dim)},
    "time_series_transformer": _series,
    "timesfm": lambda c, b: {
        "past_values": noise(b, c.context_length), "freq": torch.zeros(b, 1, dtype=torch.int64),
        "past_values_padding": torch.zeros(b, c.context_length),
    },
    "timesfm2_5": lambda c, b: {"past_values": noise(b, 512)},
    "tvp": lambda c, b: {
        "input_ids": tokens(b, LENGTH), "attention_mask": ones(b, LENGTH),
        "pixel_values": noise(b, c.num_frames, 3, c.max_img_size, c.max_img_size),
    },
    "unlimited_ocr_vision_encoder": lambda c, b: {
        "patch_embeds": noise(b, c.hidden_size, *(2 * [c.image_size // c.patch_size]))
    },
    "vibevoice_acoustic_tokenizer_decoder": lambda c, b: {"hidden_states": noise(b, c.hidden_size, LENGTH)},
    "vibevoice_acoustic_tokenizer_encoder": lambda c, b: {"hidden_states": noise(b, c.channels, 7680)},
    "video_llama_3_vision": lambda c, b: {
        "pixel_values": noise(48, 3 * c.patch_size**2), "grid_thw": torch.tensor([[1, 4, 4], [1, 4, 8]]),
        "merge_sizes": torch.tensor([2, 2]),
    },
    "voxtral_realtime": lambda c, b: {
        "input_ids": tokens(b, LENGTH),
        "input_features": noise(b, c.audio_config.num_mel_bins, LENGTH * c.audio_length_per_tok),
    },
    "voxtral_realtime_text": lambda c, b: {"input_ids": tokens(b, LENGTH), "t_cond": noise(1, 1, c.hidden_size)},
    "xclip_vision_model": lambda c, b: {
        "pixel_values": noise(b * c.num_frames, c.num_channels, c.image_size, c.image_size)
    },
    "xcodec2": lambda c, b: {
        "input_values": noise(b, 1, 7680),
        "input_features": noise(b, 24, c.semantic_model_config.feature_projection_input_dim),
    },
}  # fmt: skip
