"""What a skill is: a name, a description that agents are shown, a text that they load, and functions for their code."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.text.shorten import cut_end
from rlm_jupyter.tools.functions import read_tools

if TYPE_CHECKING:
    from rlm_jupyter.tools.functions import Tool

MOST_TEXT = 200_000
"""Characters of a skill's text."""
MOST_SKILLS = 100
_MOST_FUNCTIONS = 30
_SHOWN = 200
"""Characters of a description that the prompt has."""
_LISTED = 20
"""Skills that the prompt names; `load_skill()` lists all."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Skill:
    """Instructions for a kind of task, and functions for it, which agents load by `load_skill(name)` if they need them.

    Usage:
        >>> money = Skill(
        ...     "money",
        ...     "Columns of amounts with currency signs and thousands separators.",
        ...     "Call `to_number(text)` for each cell. Amounts in brackets are negative.",
        ...     functions=[to_number],
        ... )
        >>> rlm = RLM(model="openai/gpt-5", skills=[money, "skills/pdf-tables"])

    Args:
        name: letters, digits, `-` and `_`, at most 64.
        description: when it is of use, in a line: all that agents are shown of it before they load it.
        text: what it says, as Markdown; at most 200,000 characters.
        functions: that loading it binds in the agent's kernel, where they run; no host tools.
        modules: name of a module to its Python source; loading the skill imports them, and binds their functions.
        folder: where it was read from; its other files can be loaded by `load_skill(name, file)`.

    Raises:
        ConfigError: a part of it cannot be.
    """

    name: str
    description: str
    text: str
    functions: tuple[Callable[..., Any], ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"A skill cannot be named `{str(self.name)[:80]}`: use letters, digits, `-` and `_`, at most 64."
            )
        if not isinstance(self.description, str) or not self.description.strip():
            raise ConfigError(
                f"The skill `{self.name}` has no `description`: say in a line when it is of use."
            )
        if not isinstance(self.text, str) or len(self.text) > MOST_TEXT:
            raise ConfigError(
                f"The text of the skill `{self.name}` must be a text of at most {MOST_TEXT:,} characters: move a part "
                "into another file beside it."
            )
        if isinstance(self.functions, Mapping) or not isinstance(self.functions, Iterable):
            raise ConfigError(f"`functions` of the skill `{self.name}` takes a list of functions.")
        object.__setattr__(self, "functions", tuple(self.functions))
        if len(self.functions) > _MOST_FUNCTIONS:
            raise ConfigError(
                f"The skill `{self.name}` has {len(self.functions)} functions; the most is {_MOST_FUNCTIONS}."
            )
        for name, tool in self.tools.items():
            if tool.function is not None:
                raise ConfigError(
                    f"The function `{name}` of the skill `{self.name}` is a host tool, and functions of skills run in "
                    "the agent's kernel: pass it as one of `tools=`."
                )

    @cached_property
    def tools(self) -> dict[str, Tool]:
        """Its functions in the forms in which they travel."""
        return read_tools(self.functions)

    @property
    def line(self) -> str:
        """The line that agents are shown before they load it."""
        return f"- `{self.name}`: {cut_end(_SPACE.sub(' ', self.description).strip(), _SHOWN)}"

    @cached_property
    def digest(self) -> str:
        """A hash of its text, its modules and its functions, as far as these have source."""
        forms = {
            name: tool.forms["source"].load()["sources"] if "source" in tool.forms else None
            for name, tool in self.tools.items()
        }
        told = [self.name, self.description, self.text, dict(self.modules), forms]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[
            :16
        ]


def skills_prompt(skills: Mapping[str, Skill]) -> str | None:
    """Returns skills as agents are shown them: a line for each; None if there are none."""
    if not skills:
        return None
    lines = [skill.line for skill in list(skills.values())[:_LISTED]]
    if len(skills) > _LISTED:
        lines.append(f"- {len(skills) - _LISTED} more, which `load_skill()` lists.")
    head = "load_skill(name)\n    Prints the instructions of a skill and binds its functions. Load one that fits first:"
    return "\n".join([head, *(f"    {line}" for line in lines)])
