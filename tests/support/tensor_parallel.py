"""One of two ranks: attention on distributed tensors, eager and compiled. Run as `tensor_parallel.py RANK FILE`.

FILE is where the ranks meet. Prints one JSON object: the name of a case → what was seen, errors relative to the plain
model in float64.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from bodies import HYPER, Aot
from graphs import EXACT
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from hyperrewrite.options import Options


class Attention(nn.Module):
    """[B, n, 32] → the same: 4 query heads over `kv_heads`, softcapped where cap is not 0."""

    def __init__(self, cap: float = 0.0, kv_heads: int = 4) -> None:
        super().__init__()
        self.cap, self.groups = cap, 4 // kv_heads
        self.q, self.o = nn.Linear(32, 32, bias=False), nn.Linear(32, 32, bias=False)
        self.k, self.v = (nn.Linear(32, 8 * kv_heads, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Attend."""
        batch, n, _ = x.shape
        q, k, v = (layer(x).view(batch, n, -1, 8).transpose(1, 2) for layer in (self.q, self.k, self.v))
        if self.groups > 1:
            k, v = (t.repeat_interleave(self.groups, 1) for t in (k, v))
        scores = q @ k.transpose(-2, -1) / 8**0.5
        if self.cap:
            scores = self.cap * torch.tanh(scores / self.cap)
        mixed = (torch.softmax(scores, -1) @ v).transpose(1, 2)
        return self.o(mixed.reshape(batch, n, -1))


def whole(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def gradients(function: Callable[..., Tensor], wanted: Sequence[Tensor], *inputs: Tensor) -> list[Tensor]:
    out = function(*inputs)
    return [whole(t).detach().double() for t in (out, *torch.autograd.grad(whole(out).square().sum(), wanted))]


def error(got: Sequence[Tensor], want: Sequence[Tensor]) -> float:
    return max(float((a - b).norm() / b.norm()) for a, b in zip(got, want, strict=True))


def compiled(
    function: Callable[..., Tensor],
    wanted: Sequence[Tensor],
    want: Sequence[Tensor],
    *inputs: Tensor,
    options: Options = EXACT,
) -> Any:
    """What was done to the graph, and how far its results are from those wanted."""
    torch._dynamo.reset()
    backend = Aot(options)
    got = gradients(torch.compile(function, backend=backend, fullgraph=True), wanted, *inputs)
    report = backend.analyses[-1].report
    actions = [row.action for row in report.sites] + [row.code for row in report.rejections]
    return {"actions": actions, "error": error(got, want)}


def split_heads(mesh: DeviceMesh, options: Options = EXACT, **arguments: Any) -> Any:
    """A layer whose heads are split over the ranks."""
    torch.manual_seed(0)
    layer, plain = Attention(**arguments), Attention(**arguments).double()
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 12 if options is EXACT else 128, 32)
    want = gradients(plain, list(plain.parameters()), x.double())
    columns = {name: ColwiseParallel(use_local_output=False) for name in "qkv"}
    plan = columns | {"o": RowwiseParallel(input_layouts=Shard(-1))}
    layer = parallelize_module(layer, mesh, plan)
    return compiled(layer, list(layer.parameters()), want, x, options=options)


def eager(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(-2, -1), -1) @ v


def masked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A mask that the graph makes of the queries."""
    seen = q[..., :1] > -1
    return torch.softmax(torch.where(seen, q @ k.transpose(-2, -1), -1e4), -1) @ v


def placed(mesh: DeviceMesh, function: Callable[..., Tensor], *placements: Any) -> Any:
    """A function of queries, keys and values that are placed so."""
    torch.manual_seed(0)
    tensors = [torch.randn(2, 4, 12, 8).requires_grad_() for _ in range(3)]
    doubled = [t.detach().double().requires_grad_() for t in tensors]
    want = gradients(function, doubled, *doubled)
    spread = [
        distribute_tensor(t.detach(), mesh, [p]).requires_grad_() for t, p in zip(tensors, placements, strict=True)
    ]
    return compiled(function, spread, want, *spread)


def the_op(mesh: DeviceMesh, placement: Any, kv_heads: int = 4, bias_heads: int = 4, bias_batch: int = 1) -> Any:
    """The op itself with a mask of keys and a bias, its gradient too, all inputs placed alike where they can be."""
    from hyperrewrite.kernels import ops, sharding  # noqa: F401

    sharding.register()
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 4, 12, 8), torch.randn(2, kv_heads, 12, 8), torch.randn(2, kv_heads, 12, 8)
    bias = torch.randn(bias_batch, bias_heads, 12, 12)
    keep = torch.rand(2, 12) > 0.3

    def call(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, keep: Tensor) -> Tensor:
        out: Tensor = torch.ops.hyper.attention(q, k, v, keep, bias, scale=0.3, softcap=5.0, algorithm="exact")[0]
        return out

    def at(tensor: Tensor) -> Any:
        dim = getattr(placement, "dim", None)
        return placement if dim is None or (tensor.dim() > dim and tensor.shape[dim] > 1) else Replicate()

    tensors = [t.requires_grad_() for t in (q, k, v, bias)]
    want = gradients(call, tensors, *tensors, keep)
    spread = [distribute_tensor(t.detach(), mesh, [at(t)]).requires_grad_() for t in tensors]
    keys = distribute_tensor(
        keep, mesh, [at(keep) if isinstance(placement, Shard) and placement.dim == 0 else Replicate()]
    )
    return {"error": error(gradients(call, spread, *spread, keys), want)}


def main(rank: int, file: str) -> None:
    """Every case, in the same order on both ranks."""
    dist.init_process_group(
        "gloo", init_method=f"file://{file}", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    mesh = init_device_mesh("cpu", (2,))
    heads, batch, rows = Shard(1), Shard(0), Shard(2)
    seen: dict[str, Any] = {
        "heads": split_heads(mesh),
        "heads, softcap": split_heads(mesh, cap=2.0),
        "heads, grouped": split_heads(mesh, kv_heads=2),
        "heads, estimated": split_heads(mesh, Options.of(HYPER)),
        "batch": placed(mesh, eager, batch, batch, batch),
        "queries by head": placed(mesh, eager, heads, Replicate(), Replicate()),
        "queries by position": placed(mesh, eager, rows, Replicate(), Replicate()),
        "a mask": placed(mesh, masked, heads, heads, heads),
        "op by head": the_op(mesh, heads),
        "op by head, one bias": the_op(mesh, heads, bias_heads=1),
        "op by batch": the_op(mesh, batch, bias_batch=2),
        "op by batch, one bias": the_op(mesh, batch),
        "op by head, one key head": the_op(mesh, heads, kv_heads=1),
        "op by position": the_op(mesh, rows),
    }
    if rank == 0:
        print(json.dumps(seen))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
