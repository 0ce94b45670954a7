"""A graph in MLIR's linalg on tensors, as torch-mlir lowers it, and run from there; what has no lowering is named.

Neither raises for a graph: what fails is a reason, as data. All that is native code runs in a process of its own, so
that a crash of it is a reason like any other.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._pytree import tree_leaves

from . import mlir

Decompositions = Mapping[Any, Callable[..., Any]]
SECONDS = 120.0  # that lowering or running may take
PIPELINE = (
    "builtin.module(func.func(torch-match-quantized-custom-ops),"
    "torchdynamo-export-to-torch-backend-pipeline{extra-library=},"
    "torch-backend-to-linalg-on-tensors-backend-pipeline{allow-non-finites=true})"
)
# Scans and scatters of torch-mlir's own dialect, which its Python bindings cannot read, as loops.
LOOPS = "builtin.module(func.func(tm-tensor-bufferize,tm-tensor-to-loops))"


@dataclass(frozen=True, slots=True)
class Lowered:
    """A graph as a module of linalg on tensors.

    text       the module, with the function `main`; None where there is none.
    reason     why there is none.
    arguments  which inputs of the graph `main` takes: the tensors among them.
    results    dtype and shape of what it returns.
    """

    text: str | None
    reason: str = ""
    arguments: tuple[int, ...] = ()
    results: tuple[tuple[torch.dtype, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Executed:
    """values: the tensors that a graph returns, in order, or None where it did not run; reason: why not."""

    values: tuple[Tensor, ...] | None
    reason: str = ""


def lower(module: fx.GraphModule, inputs: Sequence[Any], decompositions: Decompositions | None = None) -> Lowered:
    """The tensors that a graph returns, from the tensors it is given, in linalg. Symbolic sizes are their hints.

    decompositions: functions for custom operators, by overload. Nothing is computed; needs torch-mlir.
    """
    if not mlir.available():
        return Lowered(None, "torch-mlir is not installed")
    try:
        traced, arguments = to_core_aten(module, inputs, decompositions or {})
        output: Any = traced.graph.output_node().args[0]
        returned = [node.meta["val"] for node in output]
        text = _imported(traced.graph)
    except Exception as error:
        return Lowered(None, f"no ATen graph: {type(error).__name__}: {_first_line(str(error))}")
    flags = ["-mlir-print-ir-after-failure", "-mlir-disable-diagnostic-notes", f"-pass-pipeline={PIPELINE}"]
    done = _ran([_tool(), *flags], text)
    if isinstance(done, str):
        return Lowered(None, done)
    if done.returncode:
        return Lowered(None, _reason(done))
    return Lowered(done.stdout, "", arguments, tuple((v.dtype, tuple(map(int, v.shape))) for v in returned))


def to_core_aten(
    module: fx.GraphModule, inputs: Sequence[Any], decompositions: Decompositions
) -> tuple[fx.GraphModule, tuple[int, ...]]:
    """(the graph over its tensor inputs alone, spelled as torch-mlir likes it, nothing written; which inputs)."""
    from torch_mlir.extras.fx_decomp_util import get_decomposition_table

    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv())
    values = [_fake(value, mode) for value in inputs]
    places = tuple(k for k, value in enumerate(values) if isinstance(value, Tensor))

    interpreter = _Numbers(module, inputs)

    def of_tensors(*tensors: Tensor) -> list[Tensor]:
        given = dict(zip(places, tensors, strict=True))
        found = interpreter.run(*(given.get(k, value) for k, value in enumerate(values)))
        return [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]

    table = {**get_decomposition_table(), **decompositions}
    with torch.no_grad(), torch._guards.tracing(None):  # not in the fake mode of a compile that is going on
        functional = torch.func.functionalize(of_tensors, remove="mutations")
        traced = make_fx(functional, decomposition_table=table, tracing_mode="fake")(*(values[k] for k in places))
    traced.graph.eliminate_dead_code(is_impure_node=lambda node: node.op in ("placeholder", "output"))
    return traced, places


class _Numbers(fx.Interpreter):
    """Runs a graph; what it reads out of an input with `item` is the number that the input holds."""

    def __init__(self, module: fx.GraphModule, inputs: Sequence[Any]) -> None:
        super().__init__(module)
        places = module.graph.find_nodes(op="placeholder")
        self.held = dict(zip(places, inputs, strict=True))

    def run_node(self, node: fx.Node) -> Any:
        """One node."""
        if node.op == "call_method" and node.target == "item" and node.args[0] in self.held:
            return self.held[node.args[0]].item()
        return super().run_node(node)


def _fake(value: Any, mode: FakeTensorMode) -> Any:
    """The same shape without memory; sizes and plain numbers as they are."""
    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        return value.node.hint
    if not isinstance(value, Tensor):
        return value
    shape, strides = ([int(_fake(size, mode)) for size in part] for part in (value.shape, value.stride()))
    with mode:
        return torch.empty_strided(shape, strides, dtype=value.dtype, device=value.device)


def _imported(graph: fx.Graph) -> str:
    from torch_mlir import ir
    from torch_mlir.dialects import torch as dialect
    from torch_mlir.extras.fx_importer import FxImporter

    with ir.Context() as context:
        dialect.register_dialect(context)
        importer = FxImporter(context=context)
        importer.import_stateless_graph(graph, func_name="main")
        text: str = importer.module.operation.get_asm()
    return text


@cache
def _tool() -> str:
    import torch_mlir

    return str(Path(next(iter(torch_mlir.__path__))) / "_mlir_libs" / "torch-mlir-opt")


def _ran(command: list[str], given: str) -> subprocess.CompletedProcess[str] | str:
    """The finished process, or why there is none."""
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"torch-mlir took more than {SECONDS:.0f} s"
    except OSError as error:
        return f"torch-mlir did not start: {error}"


_LEGALIZE = re.compile(r"error: failed to legalize operation '([^']+)'(?:.*?<\{name = \"([^\"]+)\")?")
_LEFT = re.compile(r"= (?:torch\.operator \"(torch\.[^\"]+)\"|(torch\.(?:aten|prims|tm_tensor)\.\S+))")


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Which operator has no lowering, from what torch-mlir-opt complains of.

    Its complaint may be about a constant alone; then the first operator left in the printed graph is the one.
    """
    if done.returncode < 0:
        return f"torch-mlir crashed with signal {-done.returncode}"
    found = _LEGALIZE.search(done.stderr)
    name = None if found is None else found[2] or found[1]
    if name is None or name.startswith(("torch.constant", "torch.prim.")):
        left = _LEFT.search(done.stderr)
        name = left[1] or left[2] if left is not None else name
    errors = re.findall(r"error: (.*)", done.stderr)
    said = _first_line(errors[0]) if errors else f"exit code {done.returncode}"
    return f"no lowering of {name}: {said}" if name is not None else said


def _first_line(text: str, most: int = 160) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= most else f"{line[: most - 1]}…"


# --- running it -----------------------------------------------------------------------------------------------------


def execute(lowered: Lowered, inputs: Sequence[Any]) -> Executed:
    """What the module of a graph gives for the graph's inputs, by MLIR's execution engine: unoptimised loops."""
    if lowered.text is None:
        return Executed(None, lowered.reason)
    try:
        return _executed(lowered, [inputs[k] for k in lowered.arguments])
    except Exception as error:
        return Executed(None, f"{type(error).__name__}: {_first_line(str(error))}")


def _executed(lowered: Lowered, tensors: Sequence[Tensor]) -> Executed:
    import numpy

    assert lowered.text is not None
    loops = _ran([_tool(), f"-pass-pipeline={LOOPS}"], lowered.text)
    if isinstance(loops, str) or loops.returncode:
        return Executed(None, loops if isinstance(loops, str) else _reason(loops))
    with tempfile.TemporaryDirectory() as folder:
        module, given, found = (Path(folder) / name for name in ("module.mlir", "given.npz", "found.npz"))
        module.write_text(loops.stdout, encoding="utf-8")
        numpy.savez(given, *map(_bytes, tensors))
        done = _ran([sys.executable, "-P", "-m", "hyperrewrite.passes.jit", str(module), str(given), str(found)], "")
        if isinstance(done, str):
            return Executed(None, done)
        if done.returncode < 0:
            return Executed(None, f"MLIR's execution engine crashed with signal {-done.returncode}")
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return Executed(None, _first_line(said[-1]))
        with numpy.load(found) as results:
            data = [results[name] for name in results.files]
    pairs = zip(data, lowered.results, strict=True)
    return Executed(tuple(torch.from_numpy(raw).view(dtype).reshape(shape) for raw, (dtype, shape) in pairs))


def _bytes(tensor: Tensor) -> Any:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return (flat if flat.dtype != torch.bool else flat.to(torch.uint8)).view(torch.uint8).numpy()
