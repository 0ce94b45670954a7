"""Exact sites that are so short that our op would be slower than what Inductor makes of the graph, or of SDPA.

The op costs some 0.2 ms before it computes anything, and reads keys and values twice where a mask hides some. What it
saves are scores: those over the diagonal, or outside of a window. All limits are measured with `benchmarks/short.py`.

- Few queries: Inductor's own products are the quickest to call, on any device, and there are few scores. SDPA is
  quicker where it shares key heads that the graph repeats.
- On a CPU, masks of up to `MOST_PAIRS` entries: SDPA with a mask tensor. (The op wins from 450 tokens on where there is
  a window, and from 700 under a causal mask.) A mask over keys alone has n_k entries and leaves no scores out: it is a
  tensor at every length.
- The graph stays with a gradient and up to `LEAST_TRAINED` entries, and where SDPA cannot have the call, up to
  `MOST_LEFT`.
- Where the number of pairs is known only when the graph runs (`sometimes_short`), the graph is compiled for short and
  for long ones, and each call chooses. With a gradient the short one stays as it is up to `MOST_PAIRS`.
"""

from __future__ import annotations

from enum import Enum

import sympy
import torch

from .passes.alignment import is_misaligned
from .passes.masks import as_tensor
from .passes.rewrite import fits_sdpa
from .passes.spec import AttentionSite
from .sizes import Limit

FEW_QUERIES = 16  # our kernels take no fewer either
MOST_PAIRS = 1 << 18  # queries times keys; a float32 mask of a megabyte for each batch row that has its own
MOST_LEFT = 1 << 16
LEAST_TRAINED = 1 << 15  # SDPA's backward costs more to call than products do


class Short(Enum):
    """What to do with a short site."""

    LEAVE = "leave"
    SDPA = "sdpa"  # with the mask as a tensor, where it has no argument for it


def short(site: AttentionSite) -> Short | None:
    """None: the site is long enough for what is written for any length, or distributed: a mask tensor would not be."""
    if site.distributed:
        return None
    spec = site.spec
    if site.vmapped and not fits_sdpa(site):
        return Short.LEAVE if _is_small(site, MOST_LEFT) else None
    repeats = spec.kv_heads != spec.heads
    few = bool(spec.n_q.is_Integer) and int(spec.n_q) < FEW_QUERIES
    if few and not repeats and site.form == "eager":
        return Short.LEAVE
    if fits_sdpa(site):
        return None
    if not few and (spec.device.type != "cpu" or not (_is_small(site, MOST_PAIRS) or _is_linear(site))):
        return None
    if not is_right_in_sdpa(site):
        return Short.LEAVE if few or _is_small(site, MOST_LEFT) else None
    if site.form == "sdpa" and not repeats:
        return Short.LEAVE
    if _has_gradient(site) and (few or _is_small(site, LEAST_TRAINED)):
        return Short.LEAVE
    return Short.SDPA


def sometimes_short(site: AttentionSite) -> tuple[Short, Limit] | None:
    """What to do with a site while its pairs stay below a limit, where only the running graph knows how many they are.

    None: `short` has an answer for every length, or there is none. Only on a CPU: elsewhere it is the number of queries
    that counts.
    """
    spec = site.spec
    pairs = sympy.expand(spec.n_q * spec.n_k)
    if site.distributed or spec.device.type != "cpu" or pairs.is_Integer or fits_sdpa(site) or short(site) is not None:
        return None
    if not is_right_in_sdpa(site):
        return Short.LEAVE, Limit(pairs, MOST_LEFT)
    stays = _has_gradient(site) or (site.form == "sdpa" and spec.kv_heads == spec.heads)
    return Short.LEAVE if stays else Short.SDPA, Limit(pairs, MOST_PAIRS)


def _is_small(site: AttentionSite, most: int) -> bool:
    pairs = site.spec.n_q * site.spec.n_k
    return bool(pairs.is_Integer) and int(pairs) <= most


def _is_linear(site: AttentionSite) -> bool:
    """Whether SDPA needs no more than a mask over keys."""
    spec, mask = site.spec, site.spec.mask
    others = (spec.bias, spec.sink, mask.causal_offset, mask.first_key, mask.stop_key, mask.other)
    straight = spec.curve.is_straight and not mask.groups
    return straight and mask.key_mask is not None and all(part is None for part in others)


def is_right_in_sdpa(site: AttentionSite) -> bool:
    """Whether SDPA with the mask as a tensor gives what the site does, in gradients too.

    A row without keys whose scores hold one large number is a mean of all values. Where each score still passes a
    gradient on, the op is quicker.
    """
    spec = site.spec
    if not spec.curve.is_straight or spec.sink is not None or site.coarse_rows or is_misaligned(site):
        return False
    return as_tensor(spec.mask, site.roots).empty_rows != "level" or not _has_gradient(site)


def _has_gradient(site: AttentionSite) -> bool:
    recorded = site.output.meta.get("example_value", site.output.meta.get("val"))
    return isinstance(recorded, torch.Tensor) and recorded.requires_grad
