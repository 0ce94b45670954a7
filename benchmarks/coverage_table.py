"""README's table of what is found in transformers' models, from the rows of one run of the coverage bench."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

NAMES = {
    "none": "no mask",
    "padded": "padded",
    "bf16": "bf16",
    "training": "training",
    "dropout": "training with dropout",
    "batch1": "batch of one",
    "use_cache": "use_cache",
    "dynamic": "dynamic=True",
}
COUNTED = ("sites", "accounted", "rewritten")
Row = dict[str, Any]


def table(result: dict[str, Any]) -> str:
    """Markdown: a line for each condition, then Inductor's own count beside ours, and the versions."""
    rows = result["rows"]
    heads = [f"{name}, {implementation}" if name == "sites" else name for implementation in ("eager", "sdpa")
             for name in COUNTED]  # fmt: skip
    lines = ["| | " + " | ".join(heads) + " |", "|---" * 7 + "|"]
    for condition, name in NAMES.items():
        groups = [_of(rows, implementation, condition) for implementation in ("eager", "sdpa")]
        if any(groups):
            cells = [f"{n:,}" if group else "" for group in groups for n in _sums(group)]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", *_beside_inductor(rows), "", _versions(result)]
    return "\n".join(lines)


def _of(rows: Iterable[Row], implementation: str, condition: str) -> list[Row]:
    return [row for row in rows if (row["implementation"], row["condition"]) == (implementation, condition)]


def _sums(rows: list[Row]) -> tuple[int, int, int]:
    """Sites, those accounted for, those rewritten."""
    sites, missed, rewritten = (sum(row[name] for row in rows) for name in ("sites", "missed", "rewritten"))
    return sites, sites - missed, rewritten


def _beside_inductor(rows: list[Row]) -> Iterable[str]:
    """Of the rows in which Inductor's fuse_attention was counted: what it replaces, and what we rewrite."""
    for condition, name in NAMES.items():
        group = _of(rows, "eager", condition)
        counted = [row for row in group if row["inductor"] is not None]
        if counted:
            sites, _, rewritten = _sums(counted)
            theirs, failed = sum(row["inductor"] for row in counted), sum("inductor_failed" in row for row in group)
            more = f"; {failed} types could not be counted" if failed else ""
            yield (f"Inductor's fuse_attention, eager, {name}: {theirs:,} of {sites:,} sites, hyper {rewritten:,} "
                   f"({len(counted)} types{more}).")  # fmt: skip


def _versions(result: dict[str, Any]) -> str:
    rows = result["rows"]
    types = {row["model"] for row in rows}
    known = types | {body["model"] for body in result["not_run"]}
    return (f"{len(types)} of {len(known)} model types, {len(rows):,} rows; transformers {result['transformers']}, "
            f"torch {result['torch']}, passes {result['passes']}.")  # fmt: skip
