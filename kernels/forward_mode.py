"""Forward-mode differentiation, which the op does not know: PyTorch would drop the tangents at it without a word."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch._functorch import eager_transforms
from torch.autograd import forward_ad

MESSAGE = "{} has no forward-mode derivative (torch.func.jvp, jacfwd)"


def may_have_tangents() -> bool:
    """Whether tangents may come with tensors of Python code that runs now."""
    return not torch.compiler.is_compiling() and forward_ad._current_level >= 0


def refuse_tangents(name: str, tensors: Sequence[Tensor | None]) -> None:
    """Raise NotImplementedError in an operator's own code where its tensors have tangents, or may under torch.func.

    torch.func takes its tangents off before that code runs, so all is refused while it makes some.
    """
    if forward_ad._current_level < 0:
        return
    if _is_in_jvp() or any(_has_tangent(tensor) for tensor in tensors if tensor is not None):
        raise NotImplementedError(MESSAGE.format(name))


def _is_in_jvp() -> bool:
    """Whether torch.func.jvp, or what is made of it, is at work; its own layer is not to be seen in an operator."""
    return getattr(eager_transforms, "JVP_NESTING", 0) > 0


def _has_tangent(tensor: Tensor) -> bool:
    """Whether it has one, or PyTorch cannot say: under a tracing mode a tensor cannot be taken apart here."""
    if not tensor.is_floating_point():
        return False
    try:
        with forward_ad._set_fwd_grad_enabled(True):  # PyTorch turns it off while an operator runs that has a gradient
            return forward_ad.unpack_dual(tensor).tangent is not None
    except RuntimeError:
        return True
