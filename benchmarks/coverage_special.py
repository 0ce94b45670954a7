"""What single model types need beyond the rules: sizes, classes, attributes that are missing.

Every entry is data. A type stands here only where its default config cannot be built or run as it is (`DEFAULTS`,
many `OVERRIDES`), or where the rules of `coverage_models` break what its sizes have to do with each other.
"""

from __future__ import annotations

from typing import Any

_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
_SERIES = {"prediction_length": 8, "context_length": 24, "lags_sequence": [1, 2, 3]}
_TEXT = {"hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 4, "num_key_value_heads": 4}
_DEPTH_PRO = {"image_size": 64, "patch_size": 16}
_GEMMA4_ASSISTANT = {"text_config.num_kv_shared_layers": 2, "text_config.num_hidden_layers": 2}

# Arguments that a config's constructor cannot do without.
DEFAULTS: dict[str, dict[str, Any]] = {
    "timm_backbone": {"backbone": "vit_tiny_patch16_224"},
    "aya_vision": {
        "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 1152, "num_attention_heads": 16}
    },
    "gemma4_assistant": {
        "text_config": {
            "model_type": "gemma4_text", "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0,
        }
    },
}  # fmt: skip

# The config inside the config of a type whose model can only generate: the row is that of the part.
PARTS: dict[str, str] = {
    "bark": "semantic_config",
    "qwen2_5_omni": "thinker_config",
    "qwen3_omni_moe": "thinker_config",
}

# The class of a type whose config no auto class and no model names, or where that is the wrong one; with the folder in
# front of it that it is in, if that is not the config's. Of a type that can only encode and decode, the encoder.
MODELS: dict[str, str] = {
    "bark": "BarkSemanticModel",
    "chameleon_vqgan": "ChameleonVQVAEEncoder",
    "edgetam_mask_decoder": "EdgeTamMaskDecoder",
    "edgetam_prompt_encoder": "EdgeTamPromptEncoder",
    "edgetam_video_mask_decoder": "EdgeTamVideoMaskDecoder",
    "edgetam_video_prompt_encoder": "EdgeTamVideoPromptEncoder",
    "emu3_vqgan": "Emu3VQVAEEncoder",
    "musicgen": "MusicgenForConditionalGeneration",
    "musicgen_melody": "MusicgenMelodyForConditionalGeneration",
    "pp_chart2table": "GotOcr2Model",
    "pp_chart2table_vision": "got_ocr2.GotOcr2VisionEncoder",
    "qwen2_5_omni": "Qwen2_5OmniThinkerForConditionalGeneration",
    "qwen3_omni_moe": "Qwen3OmniMoeThinkerForConditionalGeneration",
    "sam2_mask_decoder": "Sam2MaskDecoder",
    "sam2_prompt_encoder": "Sam2PromptEncoder",
    "sam2_video_mask_decoder": "Sam2VideoMaskDecoder",
    "sam2_video_prompt_encoder": "Sam2VideoPromptEncoder",
    "sam3_geometry_encoder": "Sam3GeometryEncoder",
    "sam3_lite_text_geometry_encoder": "Sam3LiteTextGeometryEncoder",
    "sam3_tracker_mask_decoder": "Sam3TrackerMaskDecoder",
    "sam3_tracker_prompt_encoder": "Sam3TrackerPromptEncoder",
    "sam3_tracker_video_mask_decoder": "Sam3TrackerVideoMaskDecoder",
    "sam3_tracker_video_prompt_encoder": "Sam3TrackerVideoPromptEncoder",
    "sam_hq_mask_decoder": "SamHQMaskDecoder",
    "sam_mask_decoder": "SamMaskDecoder",
    "vibevoice_diffusion": "VibeVoiceDiffusionHead",
    "t5_gemma_module": "T5GemmaEncoder",
    "idefics_vision": "IdeficsVisionTransformer",
}

# What proportion does not do. Dots lead into nested configs; nested configs have the overrides of their own type too.
OVERRIDES: dict[str, dict[str, Any]] = {
    "edgetam_vision_model": {  # the default has a slip: archirecture
        "backbone_config.architecture": "repvit_m1", "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]],
    },
    "gemma3n_vision": {"architecture": "mobilenetv5_base"},
    "pe_video_encoder": {
        "vision_config.architecture": "vit_pe_core_tiny_patch16_384", "vision_config.model_args": {"img_size": 64},
    },
    "perception_lm": {
        "vision_config.architecture": "vit_pe_core_tiny_patch16_384", "vision_config.do_pooling": False,
        "vision_config.model_args": {"embed_dim": 192, "img_size": 64, "global_pool": ""},
    },
    "inkling_vision": {"num_hidden_layers": 4, "text_hidden_size": 256},
    "align": {"projection_dim": 640},
    "audio-spectrogram-transformer": {"max_length": 128},
    "autoformer": _SERIES,
    "blip-2": {"image_token_index": 255},
    "chameleon": {"vocabulary_map": {"<image>": 250}},
    "codegen": {"n_head": 4},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {"sliding_attention": _ROPE, "full_attention": _ROPE},
    },
    "cvt": {"depth": [1, 2, 3]},
    "dbrx": {"attn_config.rope_theta": 10000.0, "attn_config.clip_qkv": 8.0},
    "deepseek_ocr2_text": {"mlp_layer_types": ["dense", "sparse"], "num_experts_per_tok": 2},
    "deepseek_ocr2_vision": {
        "sam_config.downsample_channels": [128, 256], "encoder_config.hidden_size": 256,
        "encoder_config.num_attention_heads": 4, "encoder_config.num_key_value_heads": 4,
        "encoder_config.intermediate_size": 512,
    },
    "deepseek_v2": {"num_experts_per_tok": 2},
    "depth_pro": {
        "patch_size": 64, "intermediate_hook_ids": [1, 0],
        **{f"{part}_model_config.{k}": v for part in ("image", "patch", "fov") for k, v in _DEPTH_PRO.items()},
    },
    "diffusion_gemma_text": {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 128},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1},
    "dots3_note_audio_encoder": {"feature_size": 128, "downsample_hidden_size": 120, "conv_output_size": 1920},
    "emu3_vqgan": {"base_channels": 64, "hidden_size": 256, "num_attention_heads": 1},
    "emu3": {"vocabulary_map": {"<image>": 250, "<|extra_200|>": 251}},
    "esm": {"vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32},
    "falcon": {"hidden_size": 256, "num_attention_heads": 4, "ffn_hidden_size": 512, "num_kv_heads": 1},
    "falcon_h1": {"mamba_d_ssm": 128},
    "gemma3n_text": {"num_kv_shared_layers": 2, "intermediate_size": [512, 512, 512, 512]},
    "gemma4_assistant": _GEMMA4_ASSISTANT,
    "gemma4_unified_assistant": _GEMMA4_ASSISTANT,
    "glm4v_moe_text": {"head_dim": 128},
    "glm4v_text": {"rope_parameters.partial_rotary_factor": 0.5},
    "glm_image_text": {"rope_parameters.partial_rotary_factor": 0.5},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 8},
    "granite4_vision": {"deepstack_layer_map": [[-1, 0], [-2, 1]], "downsample_rate": "4/8"},
    "granite_speech": {f"text_config.{k}": v for k, v in _TEXT.items()},
    "granite_speech_plus": {f"text_config.{k}": v for k, v in _TEXT.items()},
    "hunyuan_v1_dense": {"head_dim": 64},
    "hunyuan_v1_moe": {"head_dim": 64},
    "hunyuan_vl_text": {"head_dim": 64, "rope_parameters": {**_ROPE, "mrope_section": [8, 8, 8, 8]}},
    "informer": _SERIES,
    "instructblip": {"image_token_index": 255},
    "instructblipvideo": {"video_token_index": 255},
    "janus_vqgan": {"num_patches": 16},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "llama4_vision_model": {"intermediate_size": 384},
    "lw_detr": {"projector_scale_factors": [1.0], "backbone_config.window_block_indices": [0]},
    "lw_detr_vit": {"window_block_indices": [0]},
    "mimi_decoder": {"upsample_groups": 128},
    "minicpm_ocr_vision": {"insert_layer_id": 0},
    "minicpmv4_6_vision": {"insert_layer_id": 0},
    "minicpmv4_7_vision": {"insert_layer_id": 0},
    "ministral": {"head_dim": 64},
    "mllama_vision_model": {"intermediate_layers_indices": [0, 1]},
    "molmo2": {"adapter_config.vision_feature_layer": [1, 0]},
    "moonshine_streaming": {"num_key_value_heads": 2},
    "nemo_speechlm": {
        "text_config.hidden_size": 512, "text_config.num_attention_heads": 4, "text_config.mamba_num_heads": 16,
        "text_config.intermediate_size": 512, "text_config.moe_shared_expert_intermediate_size": 512,
    },
    "nemotron": {"num_attention_heads": 4, "num_key_value_heads": 2},
    "omdet-turbo": {"backbone_config.out_indices": [1, 2, 3]},
    "perceiver": {"num_self_attends_per_block": 2, "d_latents": 320},
    "pix2struct_text_model": {"initializer_range": 0.02},
    "qwen3_omni_moe_talker_text": {"shared_expert_intermediate_size": 128},
    "qwen3_omni_moe_text": {"num_attention_heads": 8, "num_key_value_heads": 2},
    "qwen4_exp_text": {
        "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 256, "indexer_budget": 16,
        "indexer_compress_ratio": 4,
    },
    "reformer": {"axial_pos_shape": [8, 8]},
    "sam2_vision_model": {"backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]]},
    "sam3_tracker": {"vision_config.backbone_feature_sizes": [[72, 72], [36, 36], [18, 18]]},
    "sam_hq_prompt_encoder": {"image_embedding_size": 16},
    "sam": {"vision_config.output_channels": 64, "vision_config.num_pos_feats": 32},
    "sam_hq": {"vision_config.output_channels": 64, "vision_config.num_pos_feats": 32},
    "sam_prompt_encoder": {"image_embedding_size": 16},
    "seggpt": {
        "image_size": [256, 128], "num_hidden_layers": 5, "intermediate_hidden_state_indices": [1, 2, 3, 4],
        "merge_index": 1,
    },
    "shieldgemma2": {"mm_tokens_per_image": 49, "yes_token_index": 100, "no_token_index": 101},
    "slanext_vision": {"global_attn_indexes": [1]},
    "step3p5": {"sliding_window": 8},
    "t5_gemma_module": {"dropout_rate": 0.0},
    "t5gemma2_decoder": {"dropout_rate": 0.0},
    "t5gemma2_text": {"dropout_rate": 0.0},
    "time_series_transformer": _SERIES,
    "tvp": {"max_img_size": 128, "visual_prompt_size": 16, "num_frames": 2},
    "vibevoice": {f"text_config.{k}": v for k, v in _TEXT.items()},
    "vibevoice_acoustic_tokenizer": {"num_filters": 16},
    "vibevoice_acoustic_tokenizer_encoder": {"num_filters": 16},
    "vibevoice_asr": {f"text_config.{k}": v for k, v in _TEXT.items()},
    "vitmatte": {"backbone_config.hidden_size": 384, "backbone_config.num_attention_heads": 6},
    "whisper": {"max_source_positions": 64},
    "xmod": {"default_language": "en_XX"},
    "yolos": {"image_size": [256, 192]},
    "zamba": {
        "hidden_size": 128, "attention_hidden_size": 256, "attention_head_dim": 64, "num_attention_heads": 4,
        "num_key_value_heads": 4, "intermediate_size": 512, "mamba_dt_rank": 8, "num_hidden_layers": 4,
        "layers_block_type": ["linear_attention", "hybrid", "linear_attention", "hybrid"],
    },
}  # fmt: skip
