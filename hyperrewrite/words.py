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
    if mask.other is not None:
        said.append("A mask tensor of no known class says which pairs of query and key count.")
    if spec.bias is not None:
        said.append("A bias is added to the scores, such as one that depends on the distance of query and key.")
    if spec.kv_heads == spec.heads:
        said.append(f"{spec.heads} heads attend side by side, each with queries, keys and values of its own.")
    else:
        said.append(f"{spec.heads} query heads share {spec.kv_heads} heads of keys and values.")
    said.append(f"Scores are multiplied by {spec.scale:.6g}" + (" and by a tensor." if spec.factors else "."))
    return tuple(said)
