"""HyperAttention (placeholder during construction: exact plan)."""

from .exact import plan as plan
from .exact import selected_keys as selected_keys
