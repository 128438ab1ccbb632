"""What agents are told of scripts, and where none may run: for the setting `bash`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BASH_WORDS = """\
Instead of Python, a block marked ```bash is run by bash, in the same working directory: texts and bytes of `context`
    are files there (`context.txt`, `context/KEY.txt`); other data is in Python only. Answer in Python: FINAL(value)."""
"""What the prompt says."""
_NEEDED = {"files": "the files of the user", "network": "the network"}


def refusal(confinement: Mapping[str, Any]) -> str | None:
    """Returns why no script may run in a kernel; None if the sandbox holds what scripts could reach.

    Args:
        confinement: of the kernel: what `holds`.
    """
    open_to = [words for name, words in _NEEDED.items() if name not in (confinement.get("holds") or ())]
    if not open_to:
        return None
    return (
        f"No script was run: the sandbox does not keep {' and '.join(open_to)} from this kernel. Use Python."
    )
