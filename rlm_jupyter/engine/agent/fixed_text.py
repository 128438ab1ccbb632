"""The text that stands in every prompt of this package, whatever is asked: words of it say nothing of the data."""

from __future__ import annotations

from functools import cache

from rlm_jupyter.engine.agent import compaction, prompt, small_prompt


@cache
def fixed_prompt_text() -> str:
    """Returns the texts that the modules of prompts are made of."""
    found: list[str] = []
    for module in (prompt, small_prompt, compaction):
        for name, value in vars(module).items():
            if name.startswith("__"):
                continue
            values = value.values() if isinstance(value, dict) else (value,)
            found += [text for text in values if isinstance(text, str)]
    return "\n".join(found)
