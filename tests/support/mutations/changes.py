"""All changes, in the order of their modules. A new one is a function with `@change` in one of them."""

from __future__ import annotations

from . import masks, readers, scores, spellings, views
from .declare import CHANGES, Change

__all__ = ["CHANGES", "Change", "masks", "readers", "scores", "spellings", "views"]

_MODULES = [module.__name__ for module in (views, scores, masks, readers, spellings)]
CHANGES.sort(key=lambda change: _MODULES.index(change.make.__module__))
