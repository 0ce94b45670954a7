"""Builds the fused kernels for GPUs that are not here, and says what the compiler made of them.

    python tests/support/cubins.py > cubins.json

One JSON object a line: kernel, target, features, dtype, registers and stack bytes a thread (null where the compiler
does not tell), shared bytes, whether tensor cores are used. Runs in a process without TRITON_INTERPRET.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import triton
from hyperrewrite.kernels.fused import launch_exact, launch_paper
from hyperrewrite.kernels.fused.arguments import padded
from hyperrewrite.kernels.fused.buckets import (
    draw_planes,
    draw_ranks,
    hash_rows,
    place_buckets,
    place_rows,
    sort_chunks,
)
from hyperrewrite.kernels.fused.config import Device, Phase, attend_registers, span_of
from hyperrewrite.kernels.fused.configure import config_of, exact_config_of
from hyperrewrite.kernels.fused.exact import attend_exactly
from hyperrewrite.kernels.fused.generated import module_of
from hyperrewrite.kernels.fused.paper import attend_areas, attend_blocks
from hyperrewrite.kernels.fused.rules import Rule
from hyperrewrite.kernels.fused.spans import find_read, find_spans
from hyperrewrite.kernels.lsh import DRAWS, RANKS, ROUNDS
from hyperrewrite.kernels.sampling.triton import launch as sampling
from hyperrewrite.kernels.sampling.triton.attention import attend_sample
from hyperrewrite.kernels.sampling.triton.error import sum_errors
from hyperrewrite.kernels.sampling.triton.prepare import prepare_sample
from hyperrewrite.kernels.sampling.triton.search import price_keys
from hyperrewrite.kernels.sampling.triton.sums import sum_rows
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

TARGETS = {
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
DEVICES = {
    "sm_90": Device("NVIDIA H100 80GB HBM3", (9, 0), 232_448, torch.float8_e4m3fn),
    "sm_100": Device("NVIDIA B200", (10, 0), 232_448, torch.float8_e4m3fn),
    "gfx942": Device("AMD Instinct MI300X", (0, 0), 65_536, torch.float16),
}
LENGTH, LONG = 8192, 32768
FLOATS = ("scale", "threshold")
NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32", torch.float8_e4m3fn: "fp8e4nv"}
SHARED = {"lse_ptr": "fp32", "log_count_ptr": "fp32", "bound_ptr": "fp32", "power_ptr": "fp32", "mask_ptr": "u8",
          "bits_ptr": "i32", "list_ptr": "i16", "excess_ptr": "i32", "span_ptr": "i32", "codes_ptr": "i16"}  # fmt: skip
SHARED |= {f"{name}_ptr": "i32" for name in ("items", "counts", "places", "order", "valid", "ranks")}
SHARED |= {f"{name}_ptr": "fp32" for name in ("sum", "centre", "spread", "price", "number", "error")}
SHARED |= {"bias_ptr": "fp16", "numbers_ptr": "i32"}
GIVEN = {"key_mask": "u8"} | dict.fromkeys(("first_key", "stop_key", "query_group", "key_group"), "i64")


def build_hyper(
    target: str, dtype: torch.dtype, features: int, causal: bool, length: int = LENGTH
) -> list[dict[str, Any]]:
    """The kernels of `hyper` in the shipped configuration of that length; with a key mask where it is not causal."""
    device, wide = DEVICES[target], padded(features)
    config = config_of(device, dtype, features, length, causal)
    constants = {
        "CAUSAL": causal, "HAS_MASK": not causal, "D": features, "D_V": features, "PAD_D": wide, "PAD_V": wide,
        "R": 128, "TAG": DRAWS, "PRECISION": "ieee", "SKETCH_MOST": sampling.SKETCH_MOST,
        "SKETCH_RANGE": sampling.KEY_RANGE, "POWER": sampling.POWER, "MARGIN": sampling.MARGIN,
        "REFERENCE": sampling.REFERENCE, "STRIDE": sampling.STRIDE, "STRIP": sampling.STRIP, "LEAST": 2.0**-20,
        "LEAST_SPREAD": 0.0625, "MOST_SPREAD": 1e12, "PACKED": target != "gfx942", "ROOM": sampling.LIST,
        "WORDS": sampling.WORDS, "PLAIN": config.plain, "STEPS": sampling.PREPARED, "SPAN": span_of(config.search),
        "every": 1, "LEAST_REST": 2.0**-6,
    }  # fmt: skip
    rows = []
    for kernel, phase in (
        (prepare_sample, Phase(sampling.PREPARED_KEYS, 4)), (sum_rows, config.sums), (price_keys, config.search),
        (attend_sample, config.attend), (sum_errors, replace(config.attend, stages=2 if wide <= 128 else 1)),
    ):  # fmt: skip
        every = {**constants, "KEYS": phase.keys, "STAGES": phase.stages}
        most = attend_registers(config, device, dtype, features) if kernel is attend_sample else None
        compiled = compile_(kernel, TARGETS[target], NAMES[dtype], NAMES[config.sketch], every, phase.warps,
                            options=None if most is None else {"maxnreg": most})  # fmt: skip
        rows.append({"kernel": kernel.__name__, "target": target, "features": features, "dtype": NAMES[dtype],
                     "causal": causal, **usage(compiled)})  # fmt: skip
    return rows


RULES = {
    "causal": Rule(causal=True),
    "window": Rule(causal=True, window=True),
    "softcap": Rule(causal=True, softcap=True),
    "bias": Rule(bias=True, scaled=True),
    "documents": Rule(causal=True, groups=1),
    "everything": Rule(True, True, True, True, True, 2, True, True, True, True),
}


def build_exact(target: str, dtype: torch.dtype, features: int, name: str) -> list[dict[str, Any]]:
    """Exact attention under a rule, and the search for its keys where the rule has one."""
    rule, wide = RULES[name], padded(features)
    made = module_of(rule)
    config = exact_config_of(DEVICES[target], dtype, features, LENGTH, rule.causal, rule.bias or rule.groups > 0)
    phase = config.attend
    functions = {
        n.upper(): getattr(made, n, None) for n in ("limits", "groups_of", "reach", "keep", "bias_of", "score")
    }
    constants = {
        **functions, "HAS_FIRST": rule.has_first, "HAS_GAPS": rule.has_gaps,
        "LATE_UNIT": rule.has_late_unit, "D": features, "D_V": features,
        "PAD_D": wide, "PAD_V": wide, "R": config.rows, "KEYS": phase.keys, "STAGES": phase.stages,
        "PRECISION": "ieee", "COUNT": launch_exact.BLOCKS,
    }  # fmt: skip
    rows = []
    kernels = [(find_spans, 4), (find_read, 4), (attend_exactly, phase.warps)][0 if rule.has_gaps else 2 :]
    for kernel, warps in kernels:
        options = {}
        if kernel is attend_exactly and target != "gfx942":
            options["maxnreg"] = launch_exact.registers_of(rule, dtype, features, config.rows, phase)
        compiled = compile_(kernel, TARGETS[target], NAMES[dtype], "", constants, warps, made.Given, options)
        rows.append({"kernel": kernel.__name__, "target": target, "features": features, "dtype": NAMES[dtype],
                     "rule": name, **usage(compiled)})  # fmt: skip
    return rows


def build_paper(target: str, dtype: torch.dtype, features: int, plain: bool) -> list[dict[str, Any]]:
    """The kernels of `paper`: plain = causal, all blocks full and nothing masked; else one masked area, uneven."""
    wide, config = padded(features), launch_paper.paper_config(dtype, features)
    constants = {
        "CAUSAL": plain, "TREE": plain, "GOES_ON": not plain, "HAS_MASK": not plain, "EVEN": plain, "PRECISION": "ieee",
        "D": features, "D_V": features, "PAD_D": wide, "PAD_V": wide, "PLANES": 7, "BUCKETS": 128, "REST": 255,
        "DIGITS": 4, "CHUNK": config.chunk, "TAG": RANKS, "ROUNDS": ROUNDS,
    }  # fmt: skip
    hashed, small = {"R": launch_paper.HASHED}, Phase(0, 4)
    rows = []
    for kernel, phase, more in (
        (draw_planes, small, {}), (hash_rows, small, hashed), (sort_chunks, small, {}),
        (place_buckets, small, {"STEP": 32}), (place_rows, small, {}), (draw_ranks, small, {"STEP": 256}),
        (attend_areas, config.areas, {"R": config.area_rows, "GOES_ON": False}),
        (attend_blocks, config.blocks, {"R": config.block_rows}),
    ):  # fmt: skip
        every = {**constants, "KEYS": phase.keys, "STAGES": phase.stages, **more}
        compiled = compile_(kernel, TARGETS[target], NAMES[dtype], "", every, phase.warps)
        rows.append({"kernel": kernel.__name__, "target": target, "features": features, "dtype": NAMES[dtype],
                     "plain": plain, **usage(compiled)})  # fmt: skip
    return rows


def given_types(given: Any, dtype: str, place: int) -> tuple[Any, dict[Any, Any], dict[Any, Any]]:
    """Types of a rule's `Given`, as one; which of them are divisible by 16, and which are constants."""
    types, attributes, known = [], {}, {}
    for k, (name, hint) in enumerate(given.__annotations__.items()):
        kind = getattr(hint, "__forward_arg__", hint)
        if name == "bias_stride_j":
            known[(place, k)] = 1
            types.append("constexpr")
            continue
        types.append({"float": "fp32", "int": "i32", "Tensor": "*" + GIVEN.get(name, dtype)}[kind])
        if kind == "Tensor" or "stride" in name:
            attributes[(place, k)] = [["tt.divisibility", 16]]
    return given(*types), attributes, known


def compile_(
    kernel: Any,
    target: GPUTarget,
    dtype: str,
    sketch: str,
    constants: dict[str, Any],
    warps: int,
    given: Any = None,
    options: dict[str, Any] | None = None,
) -> Any:
    """As a launch of usual tensors would: aligned pointers and strides, features side by side."""
    known = {name: value for name, value in constants.items() if name in kernel.arg_names}
    signature, attributes, inner = {}, {}, {}
    for place, name in enumerate(kernel.arg_names):
        if name == "given":
            signature[name], more, inner = given_types(given, dtype, place)
            attributes |= more
            continue
        if re.fullmatch(r"stride_[qkvo]?d", name):
            known[name] = 1
        if name in known:
            signature[name] = "constexpr"
        elif name in FLOATS:
            signature[name] = "fp32"
        elif name.endswith("_ptr"):
            is_sketch = name == "sketch_ptr" or (kernel is price_keys and name in ("query_ptr", "key_ptr"))
            shared = "numbers_ptr" if kernel in (attend_sample, sum_errors) and name == "list_ptr" else name
            signature[name] = "*" + SHARED.get(shared, sketch if is_sketch else dtype)
            attributes[(place,)] = [["tt.divisibility", 16]]
        else:
            signature[name] = "i32"
            if name.startswith("stride") or name == "sketch_rows":
                attributes[(place,)] = [["tt.divisibility", 16]]
    values = inner | {(kernel.arg_names.index(name),): value for name, value in known.items()}
    return triton.compile(
        ASTSource(kernel, signature, values, attributes), target=target, options={"num_warps": warps, **(options or {})}
    )


def usage(compiled: Any) -> dict[str, Any]:
    """Registers, stack and shared memory; from cuobjdump, which comes with Triton, or from AMD's assembly."""
    shared = compiled.metadata.shared
    if "amdgcn" in compiled.asm:
        text = compiled.asm["amdgcn"]
        spilled = sum(int(number) for number in re.findall(r"\.[vs]gpr_spill_count:\s*(\d+)", text))
        return {"shared": shared, "registers": None, "stack": spilled * 4, "tensor_cores": "v_mfma" in text}
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        text = subprocess.run([str(tool), "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", text)
    assert found is not None, text
    has_mma = any(word in compiled.asm["ptx"] for word in ("wgmma.mma_async", "mma.sync", "tcgen05.mma"))
    return {"shared": shared, "registers": int(found[1]), "stack": int(found[2]), "tensor_cores": has_mma}


def main() -> None:
    for target in TARGETS:
        for dtype, features, causal, length in (
            (torch.bfloat16, 64, True, LONG),
            (torch.float16, 128, False, LONG), (torch.bfloat16, 256, True, LONG),
        ):  # fmt: skip
            for row in build_hyper(target, dtype, features, causal, length):
                print(json.dumps(row), flush=True)
        for features, name in ((64, "causal"), (128, "softcap"), (64, "documents"), (128, "everything")):
            for row in build_exact(target, torch.bfloat16, features, name):
                print(json.dumps(row), flush=True)
        for features, plain in ((64, True), (64, False), (128, True), (128, False)):
            for row in build_paper(target, torch.bfloat16, features, plain):
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
