"""What the coverage bench keeps: the key of a case, and its JSON document with a row a line."""

from __future__ import annotations

import json
import re
from typing import Any

Case = tuple[str, str, str]

# A package's folder in an install folder that is not called site-packages (pip install --target).
_INSTALLED = re.compile(r"^/(?:.*?/)??(?=(?:transformers|torch|timm)/)")


def case_of(body: dict[str, Any]) -> Case:
    """What names a row, or a case that did not run."""
    return body["model"], body["implementation"], body["condition"]


def document(result: dict[str, Any]) -> str:
    """The result as JSON, a row a line; of what was left alone the place and the reason, without its graph."""
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in result.items() if not isinstance(v, list)]
    for name in ("rows", "not_run"):
        rows = ",\n".join(json.dumps(_slim(row)) for row in result[name])
        lines.append(f'"{name}": [\n{rows}\n]')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def without_install(place: str) -> str:
    """A source place from its package on, so that rows of machines that installed elsewhere read alike."""
    return place.partition("site-packages/")[2] or _INSTALLED.sub("", place)


def _slim(row: dict[str, Any]) -> dict[str, Any]:
    dropped = ("samples", "inputs", "seconds", "graphs", "actions", "forms")
    kept = {k: v for k, v in row.items() if k not in dropped and v != [] and (v is not None or k == "inductor")}
    samples = [{k: s[k] for k in ("code", "message", "place")} for s in row.get("samples", ())]
    left = samples or row.get("left_alone", [])  # a row of a document has been through this before
    if left:
        kept["left_alone"] = [{**s, "place": without_install(s["place"])} for s in left]
    return kept
