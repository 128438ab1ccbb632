"""The agent of a plain call: one completion with the whole data in its prompt, no kernel and no code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent import kept_answers
from rlm_jupyter.engine.agent.loop import AgentLoop
from rlm_jupyter.engine.reply.blank_reply import why_blank
from rlm_jupyter.errors import AgentFailedError
from rlm_jupyter.events import events as ev
from rlm_jupyter.models.openai.chat_replies import is_blank
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.models.base import Completion


@dataclass
class PlainLoop(AgentLoop):
    """Answers a question by one plain completion."""

    async def work(self) -> None:
        """Ask, once more if the answer cannot be used; it is then in `value`.

        Raises:
            LimitReachedError, ModelError: it could not be asked.
            AgentFailedError: the answer cannot be used.
        """
        if await kept_answers.begin(self):
            return
        plain, services, schema = self.spec.plain, self.services, self.spec.schema
        assert plain is not None
        self.messages = plain.messages(self.spec.question, schema, services.settings.instructions)
        for last in (False, True):
            completion = await services.completions.ask(
                self.id,
                self.spec.model,
                self.messages,
                purpose="repair" if last else "plain",
                turn=0,
                start=self._sent,
            )
            self._sent = len(self.messages) + 1
            self.messages.append({"role": "assistant", "content": completion.text})
            try:
                value = await self.calls.work.run(_answer, completion, schema)
            except ValueError as error:
                if last:
                    raise AgentFailedError(
                        f"The plain call gave no answer that can be used: {error} Ask without `plain`, or with another "
                        "model."
                    ) from None
                form = "by text" if schema is None else "with JSON only"
                self.messages.append({"role": "user", "content": f"{error}\nAnswer again, {form}."})
            else:
                await self._keep(value)
                return

    async def _keep(self, value: Any) -> None:
        rows = self.services.settings.sample_rows
        made = await self.calls.work.run(partial(Buffer.encode, value, rows=rows, allow_pickle=False))
        self.value = await self.services.holdings.keep(made)
        self.services.journal.emit(
            ev.ValueReturned,
            self.id,
            description=made.description,
            bytes=made.size,
            place=made.place,
        )


def _answer(completion: Completion, schema: AnswerSchema | None) -> Any:
    """Returns what a completion answers.

    Raises:
        ValueError: it has no text, or does not match the schema.
    """
    if is_blank(completion.text):
        raise ValueError(f"{why_blank(completion.finish_reason)} (`{completion.finish_reason[:60]}`).")
    if schema is None:
        return completion.text.strip()
    try:
        found = schema.read(completion.text)
    except (RecursionError, OverflowError):
        raise ValueError("The answer is nested too deeply, or a number in it is too large.") from None
    return schema.from_json(found)
