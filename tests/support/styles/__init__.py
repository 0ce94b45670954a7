"""Attention as public code bases other than Hugging Face's write it: small models, a module for each family."""

from . import diffusion, encoders, gpt, llama, near_misses, science, vision, xtransformers
from .declare import STYLES, Style

__all__ = [
    "STYLES",
    "Style",
    "diffusion",
    "encoders",
    "gpt",
    "llama",
    "near_misses",
    "science",
    "vision",
    "xtransformers",
]
