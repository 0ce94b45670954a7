"""Changes of views: dims, orders, merges, copies."""

from __future__ import annotations

import torch
from torch import fx

from .declare import change, matrices, tensors, word
from .draft import Draft


@change(word("softmax"))
def softmax_dim(d: Draft, n: fx.Node) -> str:
    dim = d.random.randrange(-len(d.shape(n)), len(d.shape(n)))
    d.set(n, "dim", dim)
    return f"dim={dim}"


@change(word("permute", "transpose", "movedim"))
def dims_swapped(d: Draft, n: fx.Node) -> str:
    rank = len(d.shape(n))
    if d.word(n) != "permute":
        name = d.random.choice([p for p in d.spelling(n).parameters if p != "input"])
        dim = d.random.randrange(-rank, rank)
        d.set(n, name, dim)
        return f"{name}={dim}"
    flat = list(n.args[1:])
    dims = list(flat[0] if flat and isinstance(flat[0], tuple | list) else flat)
    i, j = d.random.sample(range(rank), 2)
    dims[i], dims[j] = dims[j], dims[i]
    d.become(n, torch.permute, n.args[0], tuple(dims))
    return f"permute{tuple(dims)}"


@change(word("permute", "transpose", "t", "getattr", "contiguous", "dropout", "cast", "tril", "triu", "expand", "not"))
def step_dropped(d: Draft, n: fx.Node) -> str | None:
    source = d.get(n, "input")
    if not isinstance(source, fx.Node) or n is d.anchor:
        return None
    d.instead(n, source)
    return f"{source.name} is read instead"


@change(matrices)
def transposed(d: Draft, n: fx.Node) -> str:
    i, j = d.random.sample(range(len(d.shape(n))), 2)
    new = d.following(n, "transpose", n, i, j)
    d.instead(n, new)
    return f"transpose({i}, {j}) behind"


@change(word("reshape", "identity"))
def other_view(d: Draft, n: fx.Node) -> str | None:
    if n.op != "call_method":
        return None
    other = {"view": "reshape", "reshape": "view", "contiguous": "clone", "clone": "contiguous"}.get(str(n.target))
    if other is None:
        return None
    d.become(n, other, *n.args, **n.kwargs)
    return other


@change(tensors)
def copied(d: Draft, n: fx.Node) -> str:
    name = d.random.choice(["clone", "contiguous", "detach"])
    d.instead(n, d.following(n, name, n))
    return f"{name}() behind"


@change(lambda d, n: any(s > 2 and s % 2 == 0 for s in d.shape(n)))
def merged_in_another_order(d: Draft, n: fx.Node) -> str:
    """A dim of b·H + h becomes one of h·B + b; repeat_interleave becomes repeat."""
    shape = d.shape(n)
    dim = d.random.choice([k for k, s in enumerate(shape) if s > 2 and s % 2 == 0])
    parts = d.random.choice([(2, shape[dim] // 2), (shape[dim] // 2, 2)])
    apart = d.following(n, "reshape", n, (*shape[:dim], *parts, *shape[dim + 1 :]))
    turned = d.following(apart, "transpose", apart, dim, dim + 1)
    d.instead(n, d.following(turned, "reshape", turned, shape), (apart, turned))
    return f"dim {dim} taken apart into {parts}, turned and merged"


@change(word("repeat_interleave", "repeat", "expand"))
def heads_repeated_otherwise(d: Draft, n: fx.Node) -> str | None:
    source, shape = d.get(n, "input"), d.shape(n)
    if d.word(n) == "repeat_interleave":
        times = [b // a for a, b in zip(d.shape(source), shape, strict=True)]
        d.become(n, "repeat", source, *times)
        return f"repeat{tuple(times)}"
    grown = [(k, b // a) for k, (a, b) in enumerate(zip(d.shape(source), shape, strict=False)) if a and b > a]
    if not grown or len(shape) != len(d.shape(source)):
        return None
    dim, times = grown[0]
    d.become(n, "repeat_interleave", source, times, dim=dim)
    return f"repeat_interleave({times}, dim={dim})"


@change(lambda d, n: any(d.get(n, k) is not None for k in ("dim", "dim0", "start")) and d.word(n) != "softmax")
def another_dim(d: Draft, n: fx.Node) -> str:
    name = d.random.choice([k for k in ("dim", "dim0", "start") if d.get(n, k) is not None])
    value = d.random.randrange(-2, max(len(d.shape(n)), 1))
    d.set(n, name, value)
    return f"{name}={value}"


@change(word("einsum"))
def einsum_letters(d: Draft, n: fx.Node) -> str:
    text = d.get(n, "equation")
    at = [k for k, c in enumerate(text) if c.isalpha()]
    i, j = d.random.sample(at, 2)
    letters = list(text)
    letters[i], letters[j] = letters[j], letters[i]
    d.set(n, "equation", "".join(letters))
    return "".join(letters)


@change(word("cat", "hstack"))
def parts_in_another_order(d: Draft, n: fx.Node) -> str:
    parts = tuple(reversed(d.get(n, "tensors")))
    d.set(n, "tensors", parts)
    return "reversed"
