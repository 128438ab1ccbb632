"""`%%rlm --chat`: a question of the notebook's one conversation."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from rlm_jupyter.magics import task as task_lines
from rlm_jupyter.magics.task import Task

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState
    from rlm_jupyter.rlm import RLM


@dataclass(frozen=True)
class ChatTask(Task):
    """A question of the notebook's conversation.

    Attributes:
        magics: which hold the conversation.
    """

    magics: MagicsState | None = None

    def begin(self, rlm: RLM) -> Run:
        """Start its run, in the conversation or as its beginning; see `Chat.start` for what it raises."""
        magics = self.magics
        assert magics is not None
        chat = magics.chat
        if chat is None or chat.closed:
            chat = magics.chat = rlm.chat(env=self.env, mcp=self.mcp)
        elif self.env or self.mcp:
            raise UsageError(
                "`--env` and `--mcp` are of a conversation's first question: `%rlm chat --close` ends this one."
            )
        if self.names:
            chat.add(**(self.context if len(self.names) > 1 else {self.names[0]: self.context}))
        for tool in self.tools:
            chat.register(tool)
        run = chat.start(self.question, schema=self.schema, step=self.step, asker=rlm.asker)
        magics.faces[run] = chat.view
        return run


def read(magics: MagicsState, line: str, body: str) -> Task:
    """Read a cell's line and body, of a question on its own or of one of the conversation.

    Raises:
        UsageError: a wrong option, an unknown name, an empty question; the message says what there is.
        ConfigError: a limit or setting that cannot be.
    """
    task = task_lines.read(magics, line, body)
    if not task.chat:
        return task
    refused = {"--continue": task.continues is not None, "--dry-run": task.dry_run}
    refused["-m"] = isinstance(model := task.settings.get("model"), str) and "," in model
    if wrong := [option for option, is_given in refused.items() if is_given]:
        what = "with several models" if wrong[0] == "-m" else ""
        raise UsageError(" ".join(filter(None, [f"`{wrong[0]}`", what, "does not go with `--chat`."])))
    return ChatTask(**{one.name: getattr(task, one.name) for one in fields(Task)}, magics=magics)
