"""What was asked, before anything of it is read: the arguments of `RLM.start`, and what a recorded run adds to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.spec import ChatMemory
    from rlm_jupyter.engine.run.recorded_run import RecordedRun
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.engine.samples.samples import Samples
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.events.events import AnyEvent
    from rlm_jupyter.run_setup.start import Data
    from rlm_jupyter.tools.checks import Checks
    from rlm_jupyter.tools.functions import Tool
    from rlm_jupyter.tools.mcp_config import ServerConfig


@dataclass(frozen=True)
class Inherited:
    """What a run has of one in the same process, whose record it goes through.

    Attributes:
        schema: what the answer must be.
        tools: functions that agents may call.
        env: environment variables of the kernels.
        servers: MCP servers.
        checks: of answers.
    """

    schema: AnswerSchema | None = None
    tools: Mapping[str, Tool] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    servers: Mapping[str, ServerConfig] = field(default_factory=dict)
    checks: Checks | None = None


@dataclass
class Question:
    """What was asked, as the arguments of `RLM.start` say it.

    Attributes:
        memory: of a question of a conversation: what is remembered of it.
        recorded: the record that the run goes through; None for a question of its own.
        data: in the place of `context`, if it is encoded already.
        inherited: what the run has besides of the one that it goes through.
    """

    text: str
    context: Any = None
    names: Sequence[str] = ()
    schema: object = None
    tools: Iterable[Callable[..., Any]] = ()
    inherit_tools: bool | None = None
    env: Mapping[str, str] | None = None
    mcp: Mapping[str, Mapping[str, Any]] | None = None
    step: bool = False
    on_event: Callable[[AnyEvent], None] | None = None
    continues: Run | None = None
    samples: Samples | int | None = None
    verify: bool = False
    checks: Iterable[Callable[[Any], Any]] = ()
    plain: bool | str = False
    hide: object = None
    memory: ChatMemory | None = None
    recorded: RecordedRun | None = None
    data: Data | None = None
    inherited: Inherited = field(default_factory=Inherited)
