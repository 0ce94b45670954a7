"""What is switched around each step of a graph: gradient mode, and function transforms (`torch.func`).

Dynamo writes `with torch.no_grad():` and `torch.func.grad(…)` as calls of their own, before and behind the steps that
they hold for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx
from torch.autograd.grad_mode import _enter_inference_mode, _exit_inference_mode

from .canonical import called

TRANSFORMS = {f"_{name}_{way}crement_nesting": (name, way) for name in ("vmap", "grad", "jvp") for way in ("in", "de")}


@dataclass(frozen=True, slots=True)
class Mode:
    """What holds at a step.

    records     gradient mode is on.
    transforms  the function transforms that are open, outermost first: "vmap", "grad" (and with it vjp and jacrev),
                "jvp" (and with it jacfwd).
    """

    records: bool = True
    transforms: tuple[str, ...] = ()

    @property
    def differentiates(self) -> bool:
        """Whether a transform wants derivatives of the step inside the graph."""
        return any(name != "vmap" for name in self.transforms)


PLAIN = Mode()


def modes_of(nodes: Iterable[fx.Node], mode: Mode) -> dict[fx.Node, Mode]:
    """The mode of every node. mode: that where their graph begins."""
    found: dict[fx.Node, Mode] = {}
    outer: dict[Any, bool] = {}  # entry of inference mode → gradient mode before it
    for node in nodes:
        if node.op == "call_function":
            if node.target is torch._C._set_grad_enabled:
                mode = replace(mode, records=bool(node.args[0]))
            elif node.target is _enter_inference_mode:
                outer[node] = mode.records
                mode = replace(mode, records=mode.records and not node.args[0])
            elif node.target is _exit_inference_mode:
                mode = replace(mode, records=outer.get(node.args[0], mode.records))
            elif (change := TRANSFORMS.get(called(node))) is not None:
                name, way = change
                opened = (*mode.transforms, name) if way == "in" else mode.transforms[:-1]
                mode = replace(mode, transforms=opened)
        found[node] = mode
    return found
