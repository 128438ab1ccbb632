"""Settings that are others for sub-agents than for the agents that work on the run's own question."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.spec import AgentSpec
    from rlm_jupyter.settings import PromptVariant, Settings


def instructions_of(settings: Settings, spec: AgentSpec) -> str | None:
    """Returns the user's own text for an agent; None for none."""
    if spec.is_root or settings.sub_instructions is None:
        return settings.instructions
    return settings.sub_instructions.strip() or None


def prompt_of(settings: Settings, spec: AgentSpec) -> PromptVariant:
    """Returns the prompt that is set for an agent."""
    return settings.prompt if spec.is_root or settings.sub_prompt is None else settings.sub_prompt
