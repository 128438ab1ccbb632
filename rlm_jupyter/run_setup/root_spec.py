"""The root agent of a run, from the question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.engine.agent.spec import AgentSpec
from rlm_jupyter.tools.skills.skill_folders import read_skills

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.models.base import ChatModel
    from rlm_jupyter.run_setup.answer_options import AnswerOptions
    from rlm_jupyter.run_setup.question import Question
    from rlm_jupyter.run_setup.start import Data
    from rlm_jupyter.settings import Settings
    from rlm_jupyter.tools.functions import Tool


def root_spec(
    asked: Question,
    data: Data,
    options: AnswerOptions,
    *,
    model: ChatModel,
    settings: Settings,
    schema: AnswerSchema | None,
    tools: Mapping[str, Tool],
    servers: Iterable[str],
) -> AgentSpec:
    """Returns what the root agent of a run is started with.

    Args:
        asked: the question.
        data: as it was encoded.
        options: how it is answered.
        model: of the root.
        settings: of the run.
        schema: what the answer must be; None for anything.
        tools: functions that were handed over; those for sub-agents alone are left out.
        servers: names of the MCP servers.

    Raises:
        ConfigError: a skill cannot be read.
    """
    return AgentSpec(
        id="0",
        parent=None,
        depth=0,
        question=asked.text,
        model=model,
        context=data.buffer,
        names=data.names,
        item_names=data.item_names,
        schema=schema,
        tools={name: tool for name, tool in tools.items() if not tool.sub_only},
        mcp=tuple(servers),
        samples=options.samples,
        sample=options.sample,
        plain=options.plain,
        checks=options.checks or asked.inherited.checks,
        memory=asked.memory,
        skills=read_skills(settings.skills),
    )
