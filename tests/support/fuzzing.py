"""Rounds of random graphs and of mutants, each repeatable from its seed; what failed comes back as text."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Round:
    """So many random graphs of one seed, or mutants of as many seeds in a row, of these bases."""

    kind: str
    seed: int
    size: int
    bases: tuple[str, ...] = ()
    keep_going: bool = False


@dataclass(frozen=True)
class Failure:
    """A wrong rewrite: where to find it again, what is wrong in short, and everything about it."""

    name: str
    said: str
    details: str


@dataclass
class Found:
    """What came of a round, or of several."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def __iadd__(self, other: Found) -> Found:
        self.counts += other.counts
        self.failures += other.failures
        return self


def play(played: Round) -> Found:
    """Make the graphs of a round, rewrite them, compare."""
    return _random_graphs(played) if played.kind == "graphs" else _mutants(played)


def _random_graphs(played: Round) -> Found:
    import hypothesis
    import torch
    from hypothesis import HealthCheck, Phase, given, settings
    from random_attention import Plan, checked, plans

    found = Found()

    def check(plan: Plan) -> None:
        findings = checked(plan)
        found.counts["site" if findings.sites else "rejected" if findings.rejections else "neither"] += 1

    once = settings(
        max_examples=played.size, deadline=None, database=None, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    try:
        hypothesis.seed(played.seed)(once(given(plans())(check)))()
    except Exception as error:  # a wrong value, a rewritten graph that does not run, or a group of them
        for k, part in enumerate(_parts(error)):
            said = f"{type(part).__name__}: {part}"
            found.failures.append(
                Failure(f"graph-{played.seed}-{k}", said, "\n".join([said, *getattr(part, "__notes__", ())]))
            )
        found.counts["wrong"] += len(found.failures)
    torch._dynamo.reset()
    return found


def _parts(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group, and of groups in it: hypothesis groups what fails in different ways."""
    for part in getattr(error, "exceptions", (error,)):
        if part is error:
            yield part
        else:
            yield from _parts(part)


def _mutants(played: Round) -> Found:
    from mutations import Wrong, check, random_base

    found = Found()
    for seed in range(played.seed, played.seed + played.size):
        base = random_base(seed, played.bases)
        try:
            outcome = check(base, seed)
        except Wrong as wrong:
            found.failures.append(Failure(f"mutant-{seed}", str(wrong), f"{wrong}\n\n{wrong.details()}"))
        except Exception:  # a step of the passes that nothing catches, or a base of which no mutant runs
            said = f"{base}: {traceback.format_exc()}"
            found.failures.append(Failure(f"mutant-{seed}", said, said))
        else:
            found.counts[outcome.kind] += 1
            found.counts["changes"] += outcome.changes
            found.counts[outcome.excused] += 1
            continue
        found.counts["wrong"] += 1
        if not played.keep_going:
            break
    return found
