"""`%%rlm --dry-run`: what would be sent, how large it is and what it might cost; nothing is sent or started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlm_jupyter.engine.plain.plain_prompt import PlainData
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.magics.task import Task
    from rlm_jupyter.models.base import Message, Price
    from rlm_jupyter.rlm import RLM
    from rlm_jupyter.security.hidden.hidden_values import HiddenValues
    from rlm_jupyter.settings import PromptVariant

_CHARS_PER_TOKEN = 4
"""A rough measure: no tokenizer is at hand that works without a network."""


def report(task: Task) -> str:
    """Describes a task what its first request would be.

    Raises:
        RLMError: what the run itself would raise before it starts: no key, a bad schema, data that cannot go.
    """
    from rlm_jupyter.rlm import RLM
    from rlm_jupyter.run_setup.start import check_start
    from rlm_jupyter.text.sanitize import clean
    from rlm_jupyter.text.units import count

    rlm = RLM(**{**task.settings, "early_start": False})
    check_start(rlm.settings, task.question)
    system, first = first_prompt(rlm, task)
    chars = len(system["content"]) + len(first["content"])
    models = [rlm.model.name, *([rlm.sub_model.name] if rlm.sub_model is not rlm.model else [])]
    scripted = " (scripted, no language model)" if rlm.model.scripted else ""
    limits = ", ".join(f"{k} {v:,.10g}" for k, v in rlm.limits.model_dump().items() if v is not None)
    lines = [
        "Dry run: nothing was sent, no kernel was started.",
        f"Model: {', sub-agents: '.join(models)}{scripted}",
        f"First prompt: {count(chars)} characters, about {count(chars // _CHARS_PER_TOKEN)} tokens",
        f"Cost of the first turn: {_cost(rlm, task.settings['price'] or rlm.model.price, chars)}",
        *_samples(task),
        f"Limits: {limits or 'none'}",
        f"System message: {count(len(system['content']))} characters, the same for each question",
        "First message:",
        "",
        clean(first["content"]),
    ]
    return "\n".join(lines)


def first_prompt(rlm: RLM, task: Task) -> list[Message]:
    """Build the messages that the root agent's first request would carry.

    For a small model that is without the first look, which needs a kernel.
    """
    from rlm_jupyter.engine.agent.prompt import chat
    from rlm_jupyter.engine.agent.prompt_choice import choose_by_name
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema

    settings = rlm.settings
    description, size, hidden = _data(rlm, task)
    asked = AnswerSchema(task.schema) if task.schema is not None else None
    if (plain := _plain_of(task, rlm, size)) is not None:
        return plain.messages(task.question, asked, settings.instructions)
    offers = _offers(rlm, task, asked, description, hidden)
    variant = choose_by_name(settings.prompt, rlm.model)
    if variant == "small":
        system, first = _small(rlm, task, description, offers)
    else:
        system, first = _large(rlm, task, description, offers, variant)
    return _as_sent(chat(system, first), hidden)


def _data(rlm: RLM, task: Task) -> tuple[dict[str, Any] | None, int, HiddenValues | None]:
    """Returns the description of a task's data, its size in bytes, and what of it no model is to see."""
    from rlm_jupyter.registry import kernel_pool
    from rlm_jupyter.run_setup.hidden_data import Hiding
    from rlm_jupyter.run_setup.hidden_sources.confined_reader import ConfinedReader
    from rlm_jupyter.run_setup.start import Data, encode

    hiding = Hiding(rlm.settings.hide, reader=ConfinedReader(kernel_pool, rlm.settings))
    context = hiding.unwrap(task.context)
    data = encode(context, task.names, rows=rlm.settings.sample_rows) if task.names else Data()
    hidden = hiding.values(context, data, task.names)
    if data.buffer is None:
        return None, 0, hidden
    data.buffer.close()
    return data.buffer.description, data.buffer.size, hidden


def _tools(task: Task) -> str:
    """Returns what is said of a task's tools."""
    from rlm_jupyter.tools.functions import read_tools, sub_tools_prompt

    functions = read_tools(task.tools)
    theirs = sub_tools_prompt({name: tool for name, tool in functions.items() if tool.sub_only})
    return "\n".join(
        [*(tool.text for tool in functions.values() if not tool.sub_only), *filter(None, [theirs])]
    )


def _offers(
    rlm: RLM,
    task: Task,
    asked: AnswerSchema | None,
    description: dict[str, Any] | None,
    hidden: HiddenValues | None,
) -> dict[str, str | None]:
    """Returns the parts of a first message about what the answer must be and what the agent has and may do."""
    from rlm_jupyter.engine.agent.citing_words import with_citing
    from rlm_jupyter.engine.agent.context_words import offered_text
    from rlm_jupyter.engine.agent.sandbox_notes import allowed_and_hidden
    from rlm_jupyter.tools.skills.skill_folders import read_skills

    settings = rlm.settings
    return {
        "schema": asked.text if asked is not None else None,
        "tools": offered_text(_tools(task), settings, read_skills(settings.skills)),
        "allowed": with_citing(task.question, description, allowed_and_hidden(settings, hidden)),
    }


def _small(
    rlm: RLM, task: Task, description: dict[str, Any] | None, offers: dict[str, str | None]
) -> tuple[str, str]:
    """Returns the system message and the first message for a small model."""
    from rlm_jupyter.engine.agent import small_prompt

    first = small_prompt.first_message(task.question, description, names=task.names, **offers)
    system = small_prompt.system_prompt(
        sub_calls=rlm.settings.sub_calls,
        instructions=rlm.settings.instructions,
        images=rlm.settings.see is True,
        audio=_hears(rlm),
    )
    return system, first


def _large(
    rlm: RLM,
    task: Task,
    description: dict[str, Any] | None,
    offers: dict[str, str | None],
    variant: PromptVariant,
) -> tuple[str, str]:
    """Returns the system message and the first message for other models."""
    from rlm_jupyter.engine.agent import prompt
    from rlm_jupyter.engine.budget.ledger import Ledger

    settings = rlm.settings
    first = prompt.first_message(
        task.question,
        description,
        names=task.names,
        asks=_asks(rlm, task),
        left=Ledger(rlm.limits).left("0"),
        schema=offers["schema"],
        tools=offers["tools"],
        allowed=offers["allowed"],
    )
    system = prompt.system_prompt(
        variant,
        leaf=rlm.limits.depth == 0,
        sub_calls=settings.sub_calls,
        sub_agents=settings.sub_agents,
        instructions=settings.instructions,
        kind=prompt.kind_of_data(description),
        images=settings.see is True,
        audio=_hears(rlm),
    )
    return system, first


def _hears(rlm: RLM) -> bool:
    """Whether the agent is told that sub-calls take audio."""
    from rlm_jupyter.models.audio_support import known_to_hear

    return rlm.settings.see is not False and known_to_hear(rlm.sub_model) is True


def _asks(rlm: RLM, task: Task) -> bool:
    """Whether the root agent is told that it can ask the user: samples are not."""
    from rlm_jupyter.engine.samples.samples import Samples
    from rlm_jupyter.user_questions.audience import audience, can_be_asked

    alone = Samples.read(task.samples, verify=task.verify).count == 1
    return alone and can_be_asked(audience(), rlm.settings.ask_user)


def _plain_of(task: Task, rlm: RLM, size: int) -> PlainData | None:
    """Returns the data of a plain call; None for agents."""
    if not task.plain:
        return None
    from rlm_jupyter.engine.plain.plain_choice import choose_plain
    from rlm_jupyter.engine.plain.plain_data import plain_data

    name = task.names[0] if len(task.names) == 1 else "context"
    context = task.context if task.names else None
    if task.plain is True:
        return plain_data(context, name, task.question, rlm.model, rlm.settings)
    if task.tools or task.mcp or task.step or task.checks:
        return None
    return choose_plain(context, size, name, task.question, rlm.model, rlm.settings)[0]


def _as_sent(messages: list[Message], hidden: HiddenValues | None) -> list[Message]:
    """Returns messages with tokens in the place of hidden values."""
    if hidden is None:
        return messages
    return [{**message, "content": hidden.hide(message["content"])} for message in messages]


def _samples(task: Task) -> list[str]:
    """Returns a line that says how many agents are sent that, if more than one is."""
    from rlm_jupyter.engine.samples.samples import Samples

    samples = Samples.read(task.samples, verify=task.verify)
    if samples.count == 1:
        return []
    if not task.verify:
        return [f"Samples: {samples.count}, each with a chat of its own that begins with this"]
    least = samples.count // 2 + 1
    return [f"Samples: {least} to {samples.count}, and one more agent if their answers differ"]


def _cost(rlm: RLM, price: Price | tuple[float, float] | None, chars: int) -> str:
    from rlm_jupyter.text.units import money

    if price is None:
        return "not known (`%config RLMMagics.price = (prompt, completion)` tells it)"
    sent = chars / _CHARS_PER_TOKEN * price[0] / 1e6
    received = rlm.settings.completion_tokens * price[1] / 1e6
    return f"about {money(sent)} for the prompt, at most {money(received)} for the reply"
