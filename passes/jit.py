"""Run a module of linalg on tensors with MLIR's execution engine: `python -m hyperrewrite.passes.jit MODULE IN OUT`.

A program of its own, because what compiles and runs there is native code that may take its process with it. IN and OUT
are .npz files of the arguments and results in order, each as bytes of its elements (NumPy has no bfloat16). It imports
no PyTorch. Plain loops without any optimisation: for small modules.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Sequence
from typing import Any

PASSES = """
func.func(refback-generalize-tensor-pad, refback-generalize-tensor-concat)
func.func(linalg-generalize-named-ops)
func.func(linalg-fuse-elementwise-ops)
convert-shape-to-std
one-shot-bufferize{copy-before-write bufferize-function-boundaries
  function-boundary-type-conversion=identity-layout-map}
refback-mlprogram-bufferize
func.func(refback-munge-memref-copy)
func.func(convert-linalg-to-loops)
func.func(lower-affine)
convert-scf-to-cf
func.func(refback-expand-ops-for-llvm)
func.func(arith-expand)
func.func(convert-math-to-llvm)
convert-math-to-libm
expand-strided-metadata
lower-affine
convert-bufferization-to-memref
func.func(llvm-request-c-wrappers)
finalize-memref-to-llvm
func.func(convert-arith-to-llvm)
convert-func-to-llvm
convert-cf-to-llvm
convert-complex-to-llvm
reconcile-unrealized-casts
"""


def run(text: str, arguments: Sequence[Any]) -> list[Any]:
    """Results of `main` as byte arrays. Raises whatever MLIR raises."""
    import torch_mlir.dialects.torch  # registers the passes
    from torch_mlir import ir
    from torch_mlir.execution_engine import ExecutionEngine
    from torch_mlir.passmanager import PassManager

    with ir.Context() as context:
        torch_mlir.dialects.torch.register_dialect(context)
        module = ir.Module.parse(text)
        (main,) = [op for op in module.body.operations if op.operation.name == "func.func" and op.name.value == "main"]
        inputs, results = main.type.inputs, main.type.results
        passes = re.split(r"\n(?! )", PASSES.strip())
        PassManager.parse(f"builtin.module({','.join(passes)})").run(module.operation)
        engine = ExecutionEngine(module, opt_level=0)  # optimising takes longer than it saves
        kept = [_descriptor(data, kind) for data, kind in zip(arguments, inputs, strict=True)]
        words = [3 + 2 * kind.rank for kind in results]
        found = (ctypes.c_int64 * sum(words))()
        pointers = [ctypes.pointer(ctypes.pointer(value)) for value in ([found] if words else []) + kept]
        engine.invoke("main", *pointers)
        values, start = [], 0
        for count, kind in zip(words, results, strict=True):
            values.append(_bytes(found[start : start + count], kind))
            start += count
        return values


def _item_size(kind: Any) -> int:
    """Bytes of an element in memory."""
    from torch_mlir import ir

    element = kind.element_type
    if isinstance(element, ir.ComplexType):
        return 2 * (element.element_type.width // 8)
    width: int = element.width
    return max(width // 8, 1)


def _descriptor(data: Any, kind: Any) -> Any:
    """A memref of contiguous bytes: two pointers, offset, sizes, strides."""
    strides: list[int] = []
    step = 1
    for size in reversed(kind.shape):
        strides.insert(0, step)
        step *= size
    return (ctypes.c_int64 * (3 + 2 * kind.rank))(data.ctypes.data, data.ctypes.data, 0, *kind.shape, *strides)


def _bytes(words: Sequence[int], kind: Any) -> Any:
    """The elements of a memref as one array of bytes."""
    import numpy

    item, rank = _item_size(kind), kind.rank
    sizes, strides = words[3 : 3 + rank], words[3 + rank :]
    extent = 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if 0 in sizes:
        return numpy.zeros(0, numpy.uint8)
    memory = (ctypes.c_uint8 * (extent * item)).from_address(words[1] + words[2] * item)
    flat = numpy.ctypeslib.as_array(memory)
    steps = [stride * item for stride in strides] + [1]
    return numpy.lib.stride_tricks.as_strided(flat, [*sizes, item], steps).copy().reshape(-1)


def main() -> None:
    """The program."""
    import numpy

    path, given, wanted = sys.argv[1:]
    with open(path, encoding="utf-8") as file, numpy.load(given) as arguments:
        results = run(file.read(), [arguments[name] for name in arguments.files])
    numpy.savez(wanted, *results)


if __name__ == "__main__":
    main()
