"""What a site computes, said to people who do not know the words of `AttentionSpec.in_words`."""

from __future__ import annotations

from .passes.spec import AttentionSpec


def sentences(spec: AttentionSpec) -> tuple[str, ...]:
    """The spec, one fact a sentence; the first says which keys a query reads."""
    mask = spec.mask
    if mask.causal_offset is None:
        said = ["Every position reads every position."]
    elif mask.sliding_window is not None:
        said = [f"Every position reads itself and positions shortly before it, {mask.sliding_window} in all."]
    elif mask.causal_offset == 0:
        said = ["Every position reads itself and the positions before it, none after it."]
    else:
        said = [f"Query i reads keys up to position i + {mask.causal_offset}, none after it."]
    if mask.key_mask is not None:
        said.append("Positions that are padding are not read.")
    if mask.groups:
        said.append("A position reads positions of its own group only, such as a document or a chunk.")
    if mask.first_key is not None or mask.stop_key is not None:
        said.append("Each query reads a range of keys of its own, which the graph computes.")
    if mask.other is not None:
        said.append("A mask tensor of no known class says which pairs of query and key count.")
    if spec.bias is not None:
        said.append("A bias is added to the scores, such as one that depends on the distance of query and key.")
    if spec.kv_heads == spec.heads:
        said.append(f"{spec.heads} heads attend side by side, each with queries, keys and values of its own.")
    else:
        said.append(f"{spec.heads} query heads share {spec.kv_heads} heads of keys and values.")
    said.append(f"Scores are multiplied by {spec.scale:.6g}" + (" and by a tensor." if spec.factors else "."))
    curve = spec.curve
    if curve.term is not None:
        said.append("A number of its own is added to all scores of a query.")
    if curve.softcap:
        cap = f"±{curve.softcap:.6g}" if curve.height is None else "a limit that is known when the model runs"
        said.append(f"Scores are bent so that none is beyond {cap} (softcap).")
    if "score_min" in curve.bounds:
        said.append(f"Scores below {curve.score_min:.6g} are raised to it (clamp).")
    if "score_max" in curve.bounds:
        said.append(f"Scores above {curve.score_max:.6g} are lowered to it (clamp).")
    if spec.sink is not None:
        said.append(
            "One more score without a value takes part in the softmax (a sink), so that a head may read nothing."
        )
    if spec.dropout_p:
        said.append(f"Each probability is dropped at random, {100 * spec.dropout_p:.3g} % of them (training).")
    return tuple(said)


def plural(count: int, word: str) -> str:
    """ "1 key", "2 keys", "2 queries"."""
    if count == 1:
        return f"1 {word}"
    return f"{count} {word[:-1]}ies" if word.endswith("ry") else f"{count} {word}s"


def are(count: int, word: str) -> str:
    """ "1 key is", "2 keys are"."""
    return f"{plural(count, word)} {'is' if count == 1 else 'are'}"


def title(spec: str) -> str:
    """A heading for a site, from the words of its spec."""
    first = spec.split(",")[0]
    for start, words in _TITLES.items():
        if first.startswith(start):
            return words
    return "Attention"


_TITLES = {
    "full": "Attention over all positions",
    "causal": "Attention over earlier positions",
    "sliding window": "Attention over nearby positions",
}


def action_in_words(action: str) -> str:
    """A decision's action for people."""
    if action == "leave":
        return "left as it stands"
    return "rewritten, same result" if action == "exact" else f"approximated ({action})"


def outcome(action: str) -> tuple[str, str]:
    """What becomes of a site, as a sentence; and what its reason is the reason for."""
    if action == "leave":
        return "It is left as it stands: what would be written in its place is no better.", "Why it is not approximated"
    if action == "exact":
        return "It is rewritten, and computes the same up to rounding.", "Why it is not approximated"
    how = "as published" if action == "paper" else "each query reads near keys and a random sample of the others"
    return f"It is approximated by HyperAttention ({action}): {how}.", "Why"


REJECTIONS = {
    "softmax_dim": "The softmax runs over something else than the keys.",
    "no_query_key_product": "What the softmax reads is not a product of queries and keys.",
    "unsupported_score": "Something happens to the scores that cannot be said as scale, cap, clamp, bias and mask.",
    "layout": "Queries, keys and values do not line up as batch, head, position and feature.",
    "probabilities_escape": "Something else reads the probabilities too, so they must be computed.",
    "probabilities_changed": "The probabilities are changed before they weigh the values.",
    "no_value_product": "The probabilities never weigh any values.",
    "dropout": "Something is dropped at random here (training) in a way that no attention call has a word for.",
    "in_place": "A tensor is overwritten while it is still needed.",
    "shapes_unknown": "The graph does not say how large a tensor is.",
    "dtype": "The number formats do not belong to attention, or not together.",
    "opaque_call": "One call holds the attention inside and cannot be looked into.",
    "flex_attention": "FlexAttention has fused it already.",
    "transform": "torch.func takes its derivative inside the graph (grad, jacrev, jacfwd).",
    "placement": "Its tensors are spread over devices in another way than by batch and by head.",
}

GLOSSARY = (
    ("attention", "Each position of a text looks at other positions and takes over a weighted mix of what they hold."),
    ("query", "What a position looks for: a short list of numbers, one for each position and head."),
    ("key", "What a position offers to be found by. A query is compared with every key; the match is a score."),
    ("value", "What a position hands over to those who find it."),
    ("softmax", "Turns the scores of a query into probabilities: none negative, together 1."),
    ("mask", "Says which keys a query may read. What is masked gets probability 0."),
    ("causal", "A position reads itself and what stands before it, never what comes after."),
    ("padding", "Positions that only fill up a shorter text to the length of the others; nobody should read them."),
    ("bias", "Numbers added to the scores, for example to prefer near positions."),
    ("head", "Attention is done several times side by side, each time with other queries, keys and values."),
    ("kv heads", "Several query heads may share one head of keys and values, which saves memory."),
    ("scale", "Scores are multiplied by it, so that they do not grow with the number of features."),
    ("n×n tensor", "A table with one number for each pair of query and key. Twice the text, four times the table."),
    ("HyperAttention", "Reads near keys and a sample of the others, instead of all keys; an approximation."),
    (
        "lse",
        "“Log-sum-exp”, the logarithm of the sum that softmax divides by. Partial results are joined with its help.",
    ),
    ("SDPA", "PyTorch's own attention call, scaled_dot_product_attention. It need not store the n×n scores."),
    ("tensor", "A table of numbers with any number of dimensions. 2×4×100×16 means 2 of 4 of 100 rows of 16 numbers."),
    ("FX graph", "The list of operations that PyTorch records when it compiles a model: what is computed from what."),
    ("no copy", "The step only looks at the memory of its input in another way."),
)
