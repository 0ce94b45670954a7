"""Run what was compiled for buffers with known values, and look again whenever a buffer may have changed.

A look costs nothing while the same tensors come with the same version counters, which every write through PyTorch
raises (`load_state_dict`, `copy_`, indexing; a write through `.data` or NumPy does not).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from .passes.held import Triangle, triangle_of


def guarded(
    compiled: Callable[..., Any], assumed: Mapping[int, Triangle], general: Callable[[], Callable[..., Any]]
) -> Callable[..., Any]:
    """`compiled`, as long as each input of `assumed` (by position) is its triangle; else what `general` gives.

    general is called once, at the first call whose inputs are no such triangles.
    """
    if not assumed:
        return compiled
    looked: dict[int, Any] = {position: WeakTensorKeyDictionary() for position in assumed}  # tensor → its version
    others: list[Callable[..., Any]] = []

    def holds(position: int, triangle: Triangle, value: Any) -> bool:
        if not isinstance(value, Tensor):
            return False
        if value.is_inference():  # has no version: look every time
            return triangle_of(value) == triangle
        if looked[position].get(value) == value._version:
            return True
        if triangle_of(value) != triangle:
            return False
        looked[position][value] = value._version
        return True

    def run(*args: Any) -> Any:
        if all(holds(position, triangle, args[position]) for position, triangle in assumed.items()):
            return compiled(*args)
        if not others:
            others.append(general())
        return others[0](*args)

    return run
