"""A graph as text that stays the same from run to run: torch-dialect MLIR, or FX lines where torch-mlir is missing.

`to_mlir` takes a Dynamo graph (rewritten or not); an attention op appears as `torch.operator "torch.hyper.attention"`.
Weights are arguments, as in the Dynamo graph; large constants are elided; source locations are left out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import fx
from torch.fx.experimental.proxy_tensor import make_fx

LARGEST_CONSTANT = 8  # elements of a constant that are printed; larger ones are elided


def available() -> bool:
    """Whether torch-mlir is installed."""
    return importlib.util.find_spec("torch_mlir") is not None


def to_mlir(module: fx.GraphModule, example_inputs: Sequence[Any]) -> str:
    """The graph in MLIR's torch dialect. Raises ImportError, in one sentence, where torch-mlir is missing.

    Composite operators (matmul, softmax, scaled_dot_product_attention) keep their names; a graph that writes in place
    is made functional first, which spells them out. The graph is traced with copies of `example_inputs`.
    """
    if not available():
        raise ImportError("MLIR text needs torch-mlir: pip install 'hyperrewrite[mlir]'")
    from torch_mlir import fx as torch_mlir_fx
    from torch_mlir.passmanager import PassManager

    imported = torch_mlir_fx.stateless_fx_import(to_aten(module, example_inputs))
    with imported.context:  # one line for each constant, however often it is used
        PassManager.parse("builtin.module(func.func(cse))").run(imported.operation)
    text: str = imported.operation.get_asm(large_elements_limit=LARGEST_CONSTANT, enable_debug_info=False)
    return text.split("\n{-#")[0].rstrip() + "\n"  # what follows are the bytes of elided constants


def to_aten(module: fx.GraphModule, example_inputs: Sequence[Any]) -> fx.GraphModule:
    """The graph in ATen operators with nothing written in place, traced with real copies of the inputs."""
    inputs = [_concrete(value) for value in example_inputs]
    with torch.no_grad():
        traced = make_fx(module, tracing_mode="real", pre_dispatch=True)(*inputs)
        _drop_detach(traced.graph)
        if any(_mutates(node) for node in traced.graph.nodes):
            functional = torch.func.functionalize(module, remove="mutations_and_views")
            traced = make_fx(functional, tracing_mode="real")(*inputs)
            _drop_detach(traced.graph)
    traced.graph.eliminate_dead_code(is_impure_node=lambda node: node.op in ("placeholder", "output"))
    traced.recompile()
    return traced


def _concrete(value: Any) -> Any:
    """A value that can be traced for real: no gradient, no symbol."""
    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        return value.node.hint
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _drop_detach(graph: fx.Graph) -> None:
    """Take out what only matters to autograd; `torch.tensor(…)` leaves a `detach_`, which would count as a write."""
    for node in list(graph.nodes):
        if node.op == "call_function" and getattr(node.target, "overloadpacket", None) in _DETACH:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


_DETACH = (torch.ops.aten.detach, torch.ops.aten.detach_, torch.ops.aten.detach_copy, torch.ops.aten.lift_fresh)


def _mutates(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return node.op == "call_function" and schema is not None and bool(schema.is_mutable)


# --- FX lines -------------------------------------------------------------------------------------------------------


def to_text(module: fx.GraphModule) -> str:
    """One line a node: `%3 = matmul(%0, %2) : f32[2, 4, 63, 63]`. Names of nodes and of variables do not show."""
    return "\n".join(_lines(module)) + "\n"


def _lines(module: fx.GraphModule) -> Iterator[str]:
    numbers = {node: k for k, node in enumerate(module.graph.nodes)}

    def argument(value: Any) -> str:
        if isinstance(value, fx.Node):
            return f"%{numbers[value]}"
        if isinstance(value, tuple | list):
            inner = ", ".join(map(argument, value))
            return f"[{inner}]" if isinstance(value, list) else f"({inner})"
        if isinstance(value, slice):
            parts = (value.start, value.stop) if value.step is None else (value.start, value.stop, value.step)
            return ":".join("" if part is None else argument(part) for part in parts)
        if isinstance(value, dict):
            return "{" + ", ".join(f"{k}: {argument(v)}" for k, v in value.items()) + "}"
        return repr(value) if isinstance(value, str) else str(value)

    for node in module.graph.nodes:
        given = [argument(a) for a in node.args] + [f"{k}={argument(v)}" for k, v in node.kwargs.items()]
        if node.op == "output":
            yield f"return {', '.join(given)}"
            continue
        kind = _kind(node.meta.get("example_value", node.meta.get("val")))
        call = node.op if node.op in ("placeholder", "get_attr") else f"{_target(node)}({', '.join(given)})"
        yield f"%{numbers[node]} = {call}" + (f" : {kind}" if kind else "")


def _target(node: fx.Node) -> str:
    if isinstance(node.target, str):
        return f".{node.target}" if node.op == "call_method" else node.target
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target)
    return getattr(node.target, "__name__", str(node.target))


def _kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{_SHORT.get(value.dtype, str(value.dtype).removeprefix('torch.'))}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(_kind(v) for v in value) + ")"
    return "" if value is None else type(value).__name__


_SHORT = {
    torch.float32: "f32",
    torch.float64: "f64",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.bool: "i1",
}
