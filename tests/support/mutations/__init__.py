"""Mutants: captured graphs of real models with one or two nodes changed, and the comparison with their rewrite."""

from .bases import BASES, Base
from .changes import CHANGES
from .check import Outcome, Wrong, check, random_base
from .draft import Draft, mutated

__all__ = ["BASES", "CHANGES", "Base", "Draft", "Outcome", "Wrong", "check", "mutated", "random_base"]
