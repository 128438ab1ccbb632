"""`load_skill`: the word by which agents' code loads the skills of its run.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .pending_calls import Work
from .skill_modules import LoadedSkill, SkillModules, received

if TYPE_CHECKING:
    from .bridge.socket_link import Line, Reply
    from .tool_functions import Tools
    from .variables import Variables

_PRINTED = 20_000
"""Characters of a text that are printed; the rest is in `.text`."""


class SkillWords:
    """The word, as a method; whoever subclasses it has `link`, `tools`, `variables`, `shell` and `data_names`."""

    link: Line
    tools: Tools
    variables: Variables
    shell: Any
    data_names: set[str]
    _skill_modules: SkillModules | None = None

    if TYPE_CHECKING:

        def _finish(self, reply: Reply) -> Any: ...

    def load_skill(self, name: str | None = None, file: str | None = None) -> LoadedSkill:
        """Print the instructions of a skill, and bind its functions.

        Args:
            name: of the skill; None: list all skills.
            file: the path of another file of the skill, which is printed instead.

        Returns:
            What was printed, as `text`, and the names of the functions.

        Raises:
            RLMQueryError: there is no such skill or file.
        """
        body = {"name": name, "file": file}
        work = Work("load_skill", lambda reply: self._loaded(name, reply)).start(self.link, "skill", body)
        loaded: LoadedSkill = work.wait()
        return loaded

    def _loaded(self, name: str | None, reply: Reply) -> LoadedSkill:
        if reply.error is not None:
            return self._finish(reply)  # type: ignore[no-any-return] # which raises
        if self._skill_modules is None:
            self._skill_modules = SkillModules()
        text, offered = received(reply, self._skill_modules, self.tools)
        bound, taken = self._bind(offered, self._skill_modules.bound)
        print(_shown(text))  # noqa: T201
        if bound:
            print(f"\nBound: {', '.join(bound)}.")  # noqa: T201
        if taken:
            print(f"Not bound, as these names are yours already: {', '.join(taken)}.")  # noqa: T201
        return LoadedSkill(name or "", text, bound)

    def _bind(self, offered: dict[str, Any], known: set[str]) -> tuple[list[str], list[str]]:
        """Bind what a skill offers where the names are free; returns those that are bound, and those that are not."""
        namespace, words = self.shell.user_ns, self.variables.words
        bound: list[str] = []
        taken: list[str] = []
        for name, value in offered.items():
            if name in self.data_names or name in words or (name in namespace and name not in known):
                taken.append(name)
                continue
            namespace[name] = value
            known.add(name)
            bound.append(name)
        return bound, taken


def _shown(text: str) -> str:
    if len(text) <= _PRINTED:
        return text
    rest = len(text) - _PRINTED
    return f"{text[:_PRINTED]}\n[... {rest:,} more characters: load_skill(...).text[{_PRINTED}:]]"
