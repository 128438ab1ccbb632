"""The process of a contender: `python -m benchmarks.peers.runner NAME URL`, by the Python of its environment.

It reads one JSON object a line from stdin, `{"do": "batch", "width": 200}`, and answers each with one on stdout: the
monotonic seconds when the call began, when its value was there and when all was closed. Until it has read the first
line it has imported no contender, so that a fresh process pays for its imports where that is what is measured.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

ADAPTERS = {
    "floor": ("floor_adapter", "Floor"),
    "ours": ("ours_adapter", "Ours"),
    "dspy": ("dspy_adapter", "DSPy"),
    "dspy-host": ("dspy_adapter", "DSPyHost"),
    "rlms": ("rlms_adapter", "Rlms"),
}


def main(contender: str, url: str) -> None:
    """Answer commands until there are no more."""
    # What a contender prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    adapter: Any = None
    for line in sys.stdin:
        try:
            if adapter is None:
                module, name = ADAPTERS[contender]
                adapter = getattr(importlib.import_module(f"benchmarks.peers.{module}"), name)(url)
            told = _do(adapter, **json.loads(line))
        except Exception as error:
            told = {"error": f"{type(error).__name__}: {error}"[:1000]}
        print(json.dumps(told), file=answers, flush=True)


def _do(adapter: Any, do: str, width: int = 0, *, close: bool = False) -> dict[str, Any]:
    if do == "import":
        return {}
    began = time.monotonic()
    inside = getattr(adapter, do)(width) if do in ("batch", "agents") else adapter.one(do)
    returned = time.monotonic()
    if close:
        adapter.close()
    return {"began": began, "returned": returned, "closed": time.monotonic(), "inside": inside}


if __name__ == "__main__":
    main(*sys.argv[1:])
