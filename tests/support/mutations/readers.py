"""Changes of who reads what: more readers, other operands, writes in place."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from .declare import KINDS, bools, change, floats, score, tensor_over, tensors, weight, word
from .draft import PRODUCTS, Draft

# --- who reads what ---------------------------------------------------------------------------------------------------


@change(tensors)
def returned(d: Draft, n: fx.Node) -> str:
    """Also an output of the graph."""
    output = next(m for m in reversed(d.graph.nodes) if m.op == "output")
    output.args = ((*output.args[0], n),)
    return "returned too"


@change(lambda d, n: score(d, n) or weight(d, n))
def read_twice(d: Draft, n: fx.Node) -> str:
    """A second reader, whose sum is returned; sometimes a product."""
    target, *rest = d.random.choice([("sum",), ("amax", -1), ("softmax", -1), ("mean", -1), ("add_", 1.0)])
    reader = d.following(n, target, n, *rest)
    output = next(m for m in reversed(d.graph.nodes) if m.op == "output")
    output.args = ((*output.args[0], reader),)
    return f"{reader.format_node()} returned too"


@change(lambda d, n: score(d, n) or weight(d, n))
def read_in_vain(d: Draft, n: fx.Node) -> str:
    """A reader that nobody reads, behind views and copies or not; some of them write, or draw numbers."""
    steps = d.random.choice(
        [(("mean", 1),), (("clone",), ("sum",)), (("transpose", 0, 1), ("mean", 0)), (("add_", 1.0),),
         (("detach",), ("mul_", 2.0)), ((F.dropout, 0.5, True),), ((torch.zeros_like,), ("copy_", n))]
    )  # fmt: skip
    reader = n
    for target, *rest in steps:
        reader = d.following(reader, target, reader, *rest)
    return f"{reader.format_node()} in vain"


@change(weight)
def weights_changed(d: Draft, n: fx.Node) -> str:
    kind = d.random.choice(KINDS)
    term = d.given(tensor_over(d, n, kind).abs())
    target = d.random.choice([operator.mul, operator.add, operator.truediv, "mul_", "add_"])
    d.instead(n, d.following(n, target, n, term))
    return f"{target} with a tensor over {kind} behind"


@change(floats)
def unrecorded(d: Draft, n: fx.Node) -> str | None:
    """A stretch of steps under no_grad; sometimes one of them with gradients."""
    steps = [n, *d.later(n)]
    if n.op == "placeholder" or len(steps) < 2:
        return None
    last = d.random.randrange(1, len(steps))
    inside = d.random.choice(steps[:last]) if d.random.random() < 1 / 3 else None
    d.call(n, torch._C._set_grad_enabled, False)
    d.call(steps[last], torch._C._set_grad_enabled, True)
    if inside is not None:
        d.call(inside, torch._C._set_grad_enabled, True)
        d.following(inside, torch._C._set_grad_enabled, False)
    return f"without gradients up to {steps[last].name}" + ("" if inside is None else f", but for {inside.name}")


@change(lambda d, n: len(n.all_input_nodes) > 0)
def rewired(d: Draft, n: fx.Node) -> str | None:
    """An operand becomes another tensor of the same shape: K and V exchanged, masks of another layer, …"""
    old = d.random.choice(n.all_input_nodes)
    mine = d.tensor(old)
    if mine is None:
        return None
    others = [m for m in d.region if m is not old and d.order[m] < d.order[n] and d.tensor(m) is not None]
    others = [m for m in others if d.shape(m) == d.shape(old) and d.tensor(m).dtype == mine.dtype]
    if not others:
        return None
    new = d.random.choice(others)
    n.replace_input_with(old, new)
    d.changed(n)
    return f"{new.name} for {old.name}"


@change(word(*PRODUCTS))
def another_operand(d: Draft, n: fx.Node) -> str:
    """An operand of a product that differs: a given tensor, or its rows rolled."""
    old = d.random.choice([m for m in n.all_input_nodes if floats(d, m)])
    new = d.call(n, "roll", old, 1, d.random.randrange(len(d.shape(old))))
    n.replace_input_with(old, new)
    d.changed(n)
    return f"{old.name} rolled"


@change(word("dropout"))
def dropout(d: Draft, n: fx.Node) -> str:
    p, active = d.random.choice([0.0, 0.1, 0.5]), d.random.random() < 0.5
    d.become(n, F.dropout, d.get(n, "input"), p, active)
    return f"p={p}, training={active}"


# Ways to get at the storage of a tensor under another name.
ALIASES: tuple[tuple[tuple[Any, ...], ...], ...] = (
    (("view", -1),), (("transpose", -1, -2),), ((operator.getitem, (..., slice(1, None))),), (("select", 0, 0),),
    (("select", -1, 0),), (("detach",),), (("flatten",),), (("reshape", -1),), (("squeeze",),), (("unsqueeze", 0),),
    (("diagonal", 0, -2, -1),), (("unfold", -1, 1, 1),), (("contiguous",),), (("float",),), ((getattr, "mT"),),
    (("narrow", -1, 0, 1),), (("swapaxes", -1, -2),), ((F.dropout, 0.1, False),), ((operator.pos,),),
    ((getattr, "real"),),
    (("chunk", 1), (operator.getitem, 0)), (("unbind", 0), (operator.getitem, 0)),
    (("split", 1), (operator.getitem, 0)),
    ((torch.atleast_3d,),), ((torch.broadcast_tensors,), (operator.getitem, 0)), (("movedim", 0, -1),),
    ((torch.squeeze, 0),), (("type", torch.float32),), ((torch.ravel,),),
)  # fmt: skip


# --- writing in place -------------------------------------------------------------------------------------------------


@change(tensors)
def written_in_place(d: Draft, n: fx.Node) -> str:
    """A tensor, or a view of it, is written at some later place; readers behind may or may not read the result."""
    place = d.random.choice(list(d.later(n)) or [n.next])
    early = d.random.random() < 0.5
    where = n.next if early else place
    target, made = n, "itself"
    alias = d.random.choice([None, None, *ALIASES])
    for k, step in enumerate(alias or ()):
        target = d.call(where, step[0], target, *step[1:])
        made = "" if k == 0 else made
        made += f"{target.target if isinstance(target.target, str) else target.target.__name__}{step[1:]}"
    new, said = _write(d, n, target, place)
    if alias is None and isinstance(new, fx.Node) and d.random.random() < 0.3:
        d.order = {node: k for k, node in enumerate(d.graph.nodes)}
        for user in [u for u in n.users if u is not new and d.order[u] > d.order[new]]:
            user.replace_input_with(n, new)
            d.changed(user)
        said += ", its result is read behind"
    return f"{made}{' (viewed early)' if early else ''}: {said}, in front of {place.name}"


def _write(d: Draft, n: fx.Node, target: fx.Node, place: fx.Node) -> tuple[fx.Node | None, str]:
    number = True if bools(d, n) else 1
    ways: list[tuple[Any, ...]] = [
        ("zero_",), ("fill_", number), (operator.setitem, (..., slice(None, 1)), 0), (operator.setitem, 0, number),
    ]  # fmt: skip
    if bools(d, n):
        ways += [("logical_not_",), (operator.iand, False), (torch.logical_not, "out")]
    else:
        ways += [("add_", 1), ("mul_", 2), ("neg_",), ("clamp_", 0), (operator.iadd, 1), (operator.imul, 2)]
        ways += [
            (operator.setitem, "mask", 0),
            ("copy_", 0.5),
            (torch.mul, 2, "out"),
            ("triu_",),
            ("masked_fill_", "mask"),
            ("index_fill_", -1),
        ]
    way = list(d.random.choice(ways))
    if way[0] == "copy_":
        way[1] = d.given(torch.full((), 0.5))
    if way[0] == "index_fill_":
        way[2:] = [d.given(torch.tensor([0])), 0]
    if way[1:2] == ["mask"]:
        masks = [m for m in d.region if d.is_bool(m) and d.order[m] < d.order[n]]
        mask = d.random.choice(masks) if masks else d.given(tensor_over(d, n, "keys") > 0)
        way[1:] = [mask, 0]
    if way[-1] == "out" and not target.meta["example_value"].is_contiguous():  # Dynamo traces no such call
        way = ["mul_", 2] if not bools(d, n) else ["logical_not_"]
    if way[-1] == "out":
        return d.call(place, way[0], target, *way[1:-1], out=target), f"{way[0].__name__}(…, out=)"
    name = way[0] if isinstance(way[0], str) else way[0].__name__
    return d.call(place, way[0], target, *way[1:]), f"{name}{tuple(way[1:])}"
