"""Find every softmax(QKᵀ)V of a graph and say what it computes, or why it is left alone.

Two readers know the two ways attention is written: `eager` (a softmax between two products) and `sdpa` (one call).
Nothing is compared with a pattern: a dim, a permutation, a polarity or a scale is whatever the indices say it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, fx

from .binding import NotAttention
from .canonical import CanonicalView, called
from .dataflow import Dataflow
from .distributed import check_placements
from .eager import read_eager
from .evaluate import Evaluator
from .expression import Apply, Expr, Load, mapped, walk
from .modes import PLAIN, Mode
from .sdpa import read_sdpa
from .softmaxes import is_candidate, softmax_of
from .spec import AttentionSite, Rejected, Rejection, RejectionCode
from .suspects import has_scores_behind, suspicion

# What the reader of a softmax says before it has come to a product of queries and keys.
UNSURE = (RejectionCode.LAYOUT, RejectionCode.SOFTMAX_DIM, RejectionCode.PROBABILITIES_CHANGED)
OPAQUE_ATTENTION = {"multi_head_attention": RejectionCode.OPAQUE_CALL}
OPAQUE_CALLS = {
    "flex_attention": RejectionCode.FLEX_ATTENTION,
    "flex_attention_hop": RejectionCode.FLEX_ATTENTION,
    "_scaled_dot_product_flash_attention": RejectionCode.OPAQUE_CALL,  # what SDPA becomes on each device
    "_scaled_dot_product_flash_attention_for_cpu": RejectionCode.OPAQUE_CALL,
    "_scaled_dot_product_efficient_attention": RejectionCode.OPAQUE_CALL,
    "_scaled_dot_product_cudnn_attention": RejectionCode.OPAQUE_CALL,
    "_scaled_dot_product_attention_math": RejectionCode.OPAQUE_CALL,
}


@dataclass(frozen=True, slots=True)
class Findings:
    """Sites and rejections of one graph, each in graph order."""

    sites: tuple[AttentionSite, ...]
    rejections: tuple[Rejection, ...]


def find_sites(module: fx.GraphModule, held: Mapping[str, Tensor] | None = None, mode: Mode = PLAIN) -> Findings:
    """Every attention of a graph with recorded shapes (`example_value` or `val` in the meta). Changes nothing.

    held: values of inputs that the model hands to every call, which a site may then rest on (`AttentionSite.assumed`).
    mode: what is switched where the graph begins.
    """
    view = CanonicalView(module, held=held)
    flow = Dataflow(view, mode)
    sites: list[AttentionSite] = []
    rejections: list[Rejection] = []
    softmaxes = {node: found for node in view.nodes if (found := softmax_of(flow, node)) is not None}
    read = {found.exp for found in softmaxes.values()}
    for node in view.nodes:
        word = view.op(node).word
        code = OPAQUE_ATTENTION.get(word)
        if word == "opaque":
            code = OPAQUE_CALLS.get(called(node))
        softmax = softmaxes.get(node)
        if softmax is not None and node in flow.dead:
            continue
        why: Rejected | None = None
        try:
            if code is not None:
                raise Rejected(code, f"{node.name} is one call with attention inside", node)
            if softmax is not None:
                sites.append(_checked(flow, read_eager(view, flow, softmax)))
            elif word in ("softmax", "einx_softmax") or (node not in read and is_candidate(view, node)):
                raise NotAttention
            elif word == "sdpa":
                sites.append(_checked(flow, read_sdpa(view, flow, node)))
        except NotAttention:
            why = suspicion(view, node)
            if why is not None and word == "exp":
                message = f"the exponentials {node.name} are divided by something else than their sum over the keys"
                why = Rejected(RejectionCode.PROBABILITIES_CHANGED, message, node)
        except Rejected as found:
            why = found if found.code not in UNSURE or softmax is None or has_scores_behind(view, node) else None
        if why is not None:
            rejections.append(Rejection(why.code, why.message, why.node or node, view.source(node), node))
    return Findings(tuple(sites), tuple(rejections))


def rejection(site: AttentionSite, why: Rejected) -> Rejection:
    """The rejection of a site that was found but could not be written."""
    return Rejection(why.code, why.message, why.node or site.anchor, site.source, site.anchor)


def _checked(flow: Dataflow, found: tuple[AttentionSite, Evaluator]) -> AttentionSite:
    """The site, if every tensor it would read later still holds what the graph read.

    Where one does not, a node that was computed from it may: positions times a mask, in place, hold the product.
    """
    site, evaluator = found
    mode = flow.modes[site.output]
    if mode.differentiates:
        message = f"torch.func differentiates it inside the graph ({' of '.join(mode.transforms)})"
        raise Rejected(RejectionCode.TRANSFORM, message, site.anchor)
    site = replace(site, distributed=check_placements(flow.view, site), vmapped=bool(mode.transforms))

    def stands(node: fx.Node) -> bool:
        return flow.stable(node, evaluator.readers[node], site.output)

    def settled(at: Expr) -> Expr:
        if not isinstance(at, Apply):
            return at
        origin = at.origin if at.origin is not None and stands(at.origin[0]) else None
        if origin is not None and any(isinstance(a, Load) and a.index and not stands(a.node) for a in at.args):
            return Load(*origin)
        return at if origin is at.origin else replace(at, origin=origin)

    spec = site.spec.mapped(lambda expr: mapped(expr, settled))
    loads = [at.node for expr in spec.expressions() for at in walk(expr) if isinstance(at, Load) and at.index]
    for node, reader in (*evaluator.reads, *((node, evaluator.readers[node]) for node in loads)):
        if not flow.stable(node, reader, site.output):
            message = f"{node.name} is written in place while the site still reads it"
            raise Rejected(RejectionCode.IN_PLACE, message, node)
    return replace(site, spec=spec, assumed=tuple(evaluator.assumed.items()))
