"""What changes from one JSON document to the next, so that a file holds many of them; `delta.ts` puts it together.

A delta is `[new]` (another value), `{"k": {key: delta}, "x": [keys that are gone]}` of an object, or
`{"k": {index: delta}, "n": length}` of a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Delta = list[Any] | dict[str, Any]


def delta(old: object, new: object) -> Delta | None:
    """Returns what changes from `old` to `new`; None if nothing does."""
    if old == new and type(old) is type(new):
        return None
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        changed = {
            key: [value] if key not in old else made
            for key, value in new.items()
            if key not in old or (made := delta(old[key], value)) is not None
        }
        gone = [key for key in old if key not in new]
        return {"k": changed, "x": gone} if gone else {"k": changed}
    if isinstance(old, list) and isinstance(new, list):
        items = {
            str(at): [value] if at >= len(old) else made
            for at, value in enumerate(new)
            if at >= len(old) or (made := delta(old[at], value)) is not None
        }
        return {"k": items, "n": len(new)}
    return [new]


def patched(old: Any, change: Delta) -> Any:
    """Returns the document after a change, as `delta.ts` does."""
    if isinstance(change, list):
        return change[0]
    if "n" in change:
        made = list(old[: change["n"]])
        for at, item in change["k"].items():
            if int(at) < len(made):
                made[int(at)] = patched(made[int(at)], item)
            else:
                made.append(patched(None, item))
        return made
    kept = {key: value for key, value in old.items() if key not in change.get("x", ())}
    return {**kept, **{key: patched(kept.get(key), item) for key, item in change["k"].items()}}
