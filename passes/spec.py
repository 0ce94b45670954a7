"""What a site is: the frozen data that everything after the matcher works from.

An `AttentionSite` binds one softmax(QKᵀ)V of a graph: where its operands come from, which nodes it is made of, and the
`AttentionSpec` that says what it computes in words that do not depend on how it was written. A `Rejection` says why a
candidate was not bound; its codes are a closed list.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import sympy
import torch
from torch import fx

from .algebra import arithmetic
from .expression import Expr, Index, Number
from .held import Triangle
from .symbols import Roots


class RejectionCode(StrEnum):
    """Why a softmax or an attention call was left alone. `docs/rejections.md` has an example of each."""

    SOFTMAX_DIM = "softmax_dim"  # softmax over another dim than the keys
    NO_QUERY_KEY_PRODUCT = "no_query_key_product"  # what softmax reads is not a product of queries and keys
    UNSUPPORTED_SCORE = "unsupported_score"  # the way from QKᵀ to softmax has a step with no score form yet
    LAYOUT = "layout"  # queries, keys or values do not line up as [batch, head, position, feature]
    PROBABILITIES_ESCAPE = "probabilities_escape"  # the probabilities are read by something else too
    PROBABILITIES_CHANGED = "probabilities_changed"  # something other than a cast happens to them before the values
    NO_VALUE_PRODUCT = "no_value_product"  # the probabilities do not meet values in one product
    DROPOUT = "dropout"  # an active dropout that SDPA has no word for
    IN_PLACE = "in_place"  # a tensor of the site is written in place while the site still reads it
    SHAPES_UNKNOWN = "shapes_unknown"  # a node carries no shape
    DTYPE = "dtype"  # not a floating-point attention, or dtypes that do not go together
    OPAQUE_CALL = "opaque_call"  # a call that holds attention inside and is not looked into
    FLEX_ATTENTION = "flex_attention"  # already fused by FlexAttention
    TRANSFORM = "transform"  # torch.func differentiates it inside the graph
    PLACEMENT = "placement"  # distributed tensors that are split otherwise than by batch and head


class Rejected(Exception):
    """Raised inside the matcher; caught at the site, where it becomes a `Rejection`."""

    def __init__(self, code: RejectionCode, message: str, node: fx.Node | None) -> None:
        super().__init__(message)
        self.code, self.message, self.node = code, message, node


@dataclass(frozen=True, slots=True)
class Source:
    """Where in the user's code a node comes from; fields are empty where the graph does not say."""

    file: str = ""
    line: int = 0
    code: str = ""
    module: str = ""  # "model.layers.3.self_attn"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else "?"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A candidate that was left alone: a code of the closed list, one sentence, the node that decided it.

    anchor is the softmax or the attention call itself.
    """

    code: RejectionCode
    message: str
    node: fx.Node
    source: Source
    anchor: fx.Node


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor of a site: the node, and which index of the site stands at each of its dims.

    detached: no gradient flows back to it from the site.
    """

    node: fx.Node
    index: Index
    detached: bool = False


NAN_ROWS = frozenset(("nan", "nan_added"))  # of `MaskSpec.empty_rows` those that give NaN


@dataclass(frozen=True, slots=True)
class MaskSpec:
    """Which keys a query sees, lifted to index functions as far as the classes go.

    causal_offset   query i sees key j only if j <= i + causal_offset (an int or a symbolic size); None: no limit.
    sliding_window  … and only if j > i + causal_offset − sliding_window.
    key_mask        bool expression over (b, j), True = takes part.
    first_key, stop_key   integer expressions over (b, i): query i sees key j only if first_key <= j < stop_key.
    groups          pairs of integer expressions, over (b, i) and over (b, j), that must be equal (documents, chunks).
    other           bool expression over (b, h, i, j), True = takes part; where it is set it holds the whole mask.
    empty_rows      what a query that sees no key gives: "zero" (SDPA), NaN ("nan", "nan_added"), or the mean of values:
                    "mean" where a finite fill stands in the place of the scores, "level" where it is added to them. Of
                    the two only "level" scores take a gradient, that of equal weights; and so with −inf: "nan" scores
                    take none, that of "nan_added" scores is NaN.
    replaced        bool expression over (b, h, i, j): pairs whose score takes no gradient, as a finite fill stands in
                    its place. None where nothing tells it from a fill that is added.
    filled          bool expression over (b, h, i, j): pairs whose bias stands in the place of their score, where no
                    rounding loses the one beside the other. Where it is set the bias says the whole mask.
    """

    causal_offset: sympy.Expr | None = None
    sliding_window: sympy.Expr | None = None
    key_mask: Expr | None = None
    first_key: Expr | None = None
    stop_key: Expr | None = None
    groups: tuple[tuple[Expr, Expr], ...] = ()
    other: Expr | None = None
    empty_rows: str = "zero"
    replaced: Expr | None = None
    filled: Expr | None = None

    @property
    def lifted(self) -> bool:
        """Whether some part of the mask is said by an index function, so that no mask tensor is needed for it."""
        parts = (self.causal_offset, self.sliding_window, self.key_mask, self.first_key, self.stop_key)
        return bool(self.groups) or any(part is not None for part in parts)


@dataclass(frozen=True, slots=True)
class Curve:
    """What scaled scores go through before biases and masks, in this order.

    term       expression over (b, h, i), added: softmax would not see it, but what follows does.
    softcap    c > 0: the score s becomes c·tanh(s / c).
    score_min, score_max   then it is clamped to this range; infinite: no bound.
    height     what softcap is multiplied by besides, one number that only the running graph knows: a float attribute
               of a module under dynamic=True. Its sign does not matter: the softcap is odd in s and even in c.
    """

    term: Expr | None = None
    softcap: float = 0.0
    score_min: float = -math.inf
    score_max: float = math.inf
    height: Expr | None = None

    @property
    def is_straight(self) -> bool:
        """Whether scores stay as they are."""
        return not self.softcap and not self.bounds

    @property
    def bounds(self) -> dict[str, float]:
        """Those of the clamp that there are."""
        both = {"score_min": self.score_min, "score_max": self.score_max}
        return {name: bound for name, bound in both.items() if not math.isinf(bound)}

    def scaled(self, factor: float) -> Curve:
        """The curve whose results are `factor` > 0 times as large, for scores that are too."""
        term = None if self.term is None else arithmetic("mul", self.term, Number(factor))
        return Curve(term, self.softcap * factor, self.score_min * factor, self.score_max * factor, self.height)

    def raised(self, factor: Expr) -> Curve:
        """`scaled` by a number that only the running graph knows; for a softcap without a clamp."""
        term = None if self.term is None else arithmetic("mul", self.term, factor)
        return replace(self, term=term, height=arithmetic("mul", factor, self.height or Number(1.0)))

    def in_words(self) -> list[str]:
        """What softmax sees of it: "row term", "softcap 20", "clamped to [-5, 5]"."""
        words = [] if self.term is None else ["row term"]
        cap = f"{self.softcap:.6g}" if self.height is None else "of a size known at run time"
        words += [f"softcap {cap}"] if self.softcap else []
        if len(self.bounds) == 2:
            words.append(f"clamped to [{self.score_min:.6g}, {self.score_max:.6g}]")
        elif self.bounds:
            side, bound = ("at least", self.score_min) if "score_min" in self.bounds else ("at most", self.score_max)
            words.append(f"clamped to {side} {bound:.6g}")
        return words


STRAIGHT = Curve()


@dataclass(frozen=True, slots=True)
class AttentionSpec:
    """What a site computes: softmax(curve(scale·QKᵀ) + bias, masked)·V.

    batch, heads, kv_heads, n_q, n_k, head_dim and value_dim are sizes (integers, or symbols of dynamic shapes);
    query head h reads kv head h // (heads // kv_heads). bias is an expression over (b, h, i, j) added to the scaled
    scores; factors are expressions over (b, h, i) that multiply the queries besides `scale`. dtype is that of the
    queries, score_dtype that of what softmax reads, in which the bias is added. curve is what the scaled scores go
    through: softcap, clamp. sink is an expression over (b, h, i): one more score that takes part in the softmax and has
    no value. dropout_p: the probability with which each probability is dropped, as in SDPA; the others grow by
    1 / (1 − dropout_p). unseen are 0-d tensors that are added to all scores of a row alike: softmax does not see them,
    and their gradient is 0.
    """

    batch: sympy.Expr
    heads: sympy.Expr
    kv_heads: sympy.Expr
    n_q: sympy.Expr
    n_k: sympy.Expr
    head_dim: sympy.Expr
    value_dim: sympy.Expr
    dtype: torch.dtype
    score_dtype: torch.dtype
    device: torch.device
    scale: float
    mask: MaskSpec
    bias: Expr | None = None
    factors: tuple[Expr, ...] = ()
    curve: Curve = STRAIGHT
    sink: Expr | None = None
    dropout_p: float = 0.0
    unseen: tuple[Expr, ...] = ()

    def expressions(self) -> tuple[Expr, ...]:
        """Every expression that becomes a tensor when the site is written."""
        mask = self.mask
        single = (
            *(mask.key_mask, mask.first_key, mask.stop_key, mask.other, mask.replaced, mask.filled),
            *(self.bias, self.sink, self.curve.term, self.curve.height),
        )
        pairs = (expr for pair in mask.groups for expr in pair)
        return (*(expr for expr in single if expr is not None), *pairs, *self.factors, *self.unseen)

    def mapped(self, change: Callable[[Expr], Expr]) -> AttentionSpec:
        """The spec with every expression changed."""

        def one(expr: Expr | None) -> Expr | None:
            return None if expr is None else change(expr)

        mask = replace(
            self.mask,
            key_mask=one(self.mask.key_mask),
            first_key=one(self.mask.first_key),
            stop_key=one(self.mask.stop_key),
            groups=tuple((change(q), change(k)) for q, k in self.mask.groups),
            other=one(self.mask.other),
            replaced=one(self.mask.replaced),
            filled=one(self.mask.filled),
        )
        factors = tuple(change(f) for f in self.factors)
        curve = replace(self.curve, term=one(self.curve.term), height=one(self.curve.height))
        return replace(self, mask=mask, bias=one(self.bias), factors=factors, curve=curve, sink=one(self.sink))

    def in_words(self) -> str:
        """One line for people: "causal, key padding, 9 heads over 3 kv heads, scale 0.125"."""
        mask = self.mask
        if mask.causal_offset is None:
            words = ["full"]
        elif mask.sliding_window is not None:
            words = [f"sliding window {mask.sliding_window}"]
        else:
            words = ["causal" if mask.causal_offset == 0 else f"causal with offset {mask.causal_offset}"]
        if mask.key_mask is not None:
            words.append("key padding")
        if mask.groups:
            words.append("within groups")
        if mask.first_key is not None or mask.stop_key is not None:
            words.append("key range")
        if mask.other is not None:
            words.append("mask tensor")
        if self.bias is not None:
            words.append("bias")
        words.append(f"{self.heads} heads" + (f" over {self.kv_heads} kv heads" if self.kv_heads != self.heads else ""))
        words += self.curve.in_words()
        if self.sink is not None:
            words.append("sink logits")
        if self.dropout_p:
            words.append(f"dropout {self.dropout_p:.6g}")
        words.append(f"scale {self.scale:.6g}" + (" × tensor" if self.factors else ""))
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class AttentionSite:
    """One softmax(QKᵀ)V of a graph.

    form          "eager" (matmul, softmax, matmul) or "sdpa" (one scaled_dot_product_attention call).
    anchor        the softmax or the SDPA call.
    output        the node whose value the site replaces; `output_index` says which symbol stands at each of its dims.
    query, key, value   operands, key and value with `spec.kv_heads` heads.
    roots         the index symbols everything is said in.
    vmapped       whether it stands under torch.vmap: its tensors have dims that the graph does not show.
    distributed   whether it reads distributed tensors (DTensor), split by batch and head.
    assumed       inputs of the graph whose present values the spec rests on (causal buffers).
    coarse_rows   some row may be left with large finite fills alone and pass a gradient on. The lse that a fused kernel
                  keeps for its backward is too coarse for such weights; the op computes them anew.
    """

    form: str
    anchor: fx.Node
    output: fx.Node
    output_index: Index
    query: Operand
    key: Operand
    value: Operand
    spec: AttentionSpec
    roots: Roots
    source: Source
    distributed: bool = False
    vmapped: bool = False
    assumed: tuple[tuple[fx.Node, Triangle], ...] = ()
    coarse_rows: bool = False
