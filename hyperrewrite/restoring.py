"""What a failure inside of torch.func leaves open in the process, closed again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch.autograd import forward_ad


@contextlib.contextmanager
def restoring() -> Iterator[None]:
    """Where the block raises, function transforms and modes are as they were before it.

    A graph opens and closes transforms by calls of its own; one that breaks off between them leaves them open, and with
    them all that runs afterwards is wrong: "Nested forward mode AD is not supported".
    """
    functorch, autograd = torch._C._functorch, torch._C._autograd
    depth = functorch.get_dynamic_layer_stack_depth()
    may_write = functorch.get_inplace_requires_grad_allowed()
    has_hooks = autograd._saved_tensors_hooks_is_enabled()  # type: ignore[attr-defined]
    is_dual = forward_ad._current_level >= 0 or _has_dual_level()
    records, forwards = torch.is_grad_enabled(), torch._C._is_fwd_grad_enabled()
    try:
        yield
    except BaseException:
        functorch.pop_dynamic_layer_stack_and_undo_to_depth(depth)
        functorch.set_inplace_requires_grad_allowed(may_write)
        if has_hooks:
            autograd._saved_tensors_hooks_enable()
        if not is_dual and _has_dual_level():
            torch._C._exit_dual_level(level=0)
        torch._C._set_grad_enabled(records)
        torch._C._set_fwd_grad_enabled(forwards)
        raise


def _has_dual_level() -> bool:
    """Whether forward-mode differentiation is open: PyTorch has one level at most."""
    try:
        level = torch._C._enter_dual_level()
    except RuntimeError:
        return True
    torch._C._exit_dual_level(level=level)
    return False
