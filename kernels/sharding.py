"""How `hyper::attention` runs on distributed tensors: by batch and by head, each rank what it holds.

PyTorch asks which placements of inputs and outputs go together on one dim of the device mesh, and moves tensors where
they lie otherwise. `register` imports torch.distributed.tensor; it is called only where distributed tensors are.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from . import ops
from .call import PAIRS

OPERANDS = ("query", "key", "value", "grad_out", "grad_lse", "out", "lse", "grad_query", "grad_key", "grad_value")
BATCH, HEAD = 0, 1


@cache
def register() -> None:
    """Tell PyTorch how both operators are sharded. Raises ImportError or AttributeError where it has no such place."""
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor._op_schema import RuntimeSchemaInfo

    propagator: Any = DTensor._op_dispatcher.sharding_propagator
    for op in (ops.attention._opoverload, ops.attention_backward._opoverload):
        rules = [argument.name for argument in op._schema.arguments if argument.kwarg_only]
        propagator.register_op_strategy(op, _strategy, RuntimeSchemaInfo(static_kwargkey=rules))


def _strategy(schema: Any) -> Any:
    """All placements of one call: on each dim of the mesh everything whole, or by batch, or by head."""
    from torch.distributed.tensor._op_schema import OpStrategy
    from torch.distributed.tensor._ops.utils import expand_to_full_mesh_op_strategy

    names = [argument.name for argument in schema.op._schema.arguments if not argument.kwarg_only]
    given = zip(names, schema.args_schema, strict=False)
    shapes = {name: tuple(held.shape) for name, held in given if isinstance(held, OpStrategy)}
    bias_gradient = bool(schema.kwargs_schema.get("bias_gradient", False))
    results = [result.name for result in schema.op._schema.returns]
    placed = [_placed(axis, results, shapes, bias_gradient) for axis in (None, BATCH, HEAD)]
    mesh = schema.get_mesh_from_args()
    strategy: Any = expand_to_full_mesh_op_strategy(mesh, schema, placed, input_index=len(results))
    at = list(shapes).index("query")
    heads = (shapes["query"][HEAD], shapes["key"][HEAD])
    strategy.strategies = [one for one in strategy.strategies if _divides(one.input_specs[at], heads)]
    return strategy


def _placed(axis: int | None, results: list[str], shapes: dict[str, tuple[int, ...]], bias_gradient: bool) -> list[Any]:
    """Placements of the results, then of the inputs, where `axis` is split; None: nothing is."""
    from torch.distributed.tensor import Partial, Replicate, Shard

    def of(name: str) -> Any:
        if axis is None:
            return Replicate()
        if name == "grad_bias":
            if not bias_gradient:
                return Replicate()
            bias = of("bias")
            return bias if bias.is_shard() else Partial()
        if name in OPERANDS:
            return Shard(axis)
        # Masks and biases: [B or 1, …], and [B or 1, H or 1, n, n] of pairs, which may lack leading dims.
        of_pairs = name in PAIRS
        dim = axis + len(shapes[name]) - 4 if of_pairs else axis
        whole = shapes["query"][axis]
        has = dim >= 0 and (of_pairs or axis == BATCH) and shapes[name][dim] == whole
        return Shard(dim) if has else Replicate()

    return [of(name) for name in (*results, *shapes)]


def _divides(query: Any, heads: tuple[int, ...]) -> bool:
    """Whether each rank gets whole groups of query heads with their key head."""
    parts = 1
    for dim, placement in enumerate(query.placements):
        if placement.is_shard(HEAD):
            parts *= query.mesh.size(dim)
    return all(int(count) % parts == 0 for count in heads)
