"""The agent that reconciles answers: it has them as variables with the code behind each, and computes a check."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_jupyter.answer_code.answer_code import answer_code
from rlm_jupyter.engine.agent.agent_cell import reads_any
from rlm_jupyter.engine.agent.prompt import NO_OUTPUT
from rlm_jupyter.engine.agent.spec import Added, AgentSpec
from rlm_jupyter.engine.agent_requests.received_values import load_received
from rlm_jupyter.engine.samples.votes import MOST_ROWS, group_name
from rlm_jupyter.errors import NoAnswerCodeError, RLMError
from rlm_jupyter.text.units import amount
from rlm_jupyter.tools.tool_source import tool_source
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema

_LONGEST_WHY = 2000
_CODE = "candidate_code"
_ASKED = """\
{count} agents answered the question below, none knowing of the others, and their answers differ. Find out which \
answer is right.

The question that they answered:
{question}

Their answers are variables:
{listed}
`{code}[1]` is the code behind `candidate_1` as a text, and so on. Where they differ:
{table}

How many agents gave an answer says little. Compute a check on the data that decides between the candidates: the \
figures in dispute, computed in another way than by their code, or the step at which their code parts. Look at its \
output. Then, in a later turn, call

FINAL({{"take": 1, "why": "what the check has shown, in a sentence or two", "check": figures}})

`take` is the number of the candidate that is right, `check` what your check gave. If none of them is right, `take` \
is 0, and "value" holds the right answer{form}."""


@dataclass(frozen=True)
class Verdict:
    """What a reconciling agent says.

    Attributes:
        take: the number of a candidate; 0 for none of them.
        why: in its words.
        check: what its check gave, shortened.
        value: its own answer, encoded, if it takes none; else None.
    """

    take: int
    why: str
    check: str
    value: Buffer | None = None


@dataclass(frozen=True)
class VerdictForm:
    """What FINAL takes of a reconciling agent: `AgentSpec.acceptance`.

    Attributes:
        candidates: how many there are.
        schema: of the question that they answer.
    """

    candidates: int
    schema: AnswerSchema | None = None

    def refuse(self, agent: Agent, value: Buffer) -> str | None:
        """Returns why a value is sent back: it is no verdict, or no check was computed before it; None to take it.

        Decodes the value: not on the engine's loop.

        Args:
            agent: that gives it.
            value: what it gave.
        """
        try:
            said = load_received(value)
        except RLMError as error:
            return f"{error.message} Give plain data: {self._form}."
        if (reason := self._malformed(said)) is not None:
            return f"{reason} The form is: {self._form}."
        if agent.last_turn():
            return None
        names = [f"candidate_{number}" for number in range(1, self.candidates + 1)]
        data = agent.data_names if agent.data is not None else names
        if not any(reads_any(code, data) for code in _shown(agent)):
            return (
                "No check was computed: no earlier cell reads the data and shows what it has found. Compute one, look "
                "at its output, and call FINAL in a later turn."
            )
        if not any(reads_any(code, (*names, _CODE)) for code in agent.codes):
            return "Your code has looked at no candidate yet: compare them with what your check gives."
        return None

    @property
    def _form(self) -> str:
        return (
            f'FINAL({{"take": a number from 0 to {self.candidates}, "why": a text, "check": what the check gave, and '
            'if "take" is 0, "value": the answer})'
        )

    def _malformed(self, said: Any) -> str | None:  # noqa: PLR0911 - one case each
        if not isinstance(said, dict):
            return f"A verdict is a dict, not a `{type(said).__name__}`."
        take, why = said.get("take"), said.get("why")
        if isinstance(take, bool) or not isinstance(take, int) or not 0 <= take <= self.candidates:
            return f'"take" must be a number from 0 to {self.candidates}.'
        if not isinstance(why, str) or not why.strip():
            return '"why" must say what the check has shown.'
        if said.get("check") is None:
            return '"check" must hold what the check gave.'
        if take:
            return None
        if "value" not in said:
            return 'None of the candidates is taken, and there is no "value".'
        if self.schema is not None:
            try:
                self.schema.validate(said["value"])
            except ValueError as error:
                return f'"value" does not match what was asked for ({self.schema.text:.300}).\n{error}'
        return None

    def read(self, value: Buffer, rows: int) -> Verdict:
        """Returns the verdict that a value is; it was looked at by `refuse`. Not on the engine's loop.

        Args:
            value: what the agent gave.
            rows: of a table that a description may quote.

        Raises:
            ValueError: it is none: the agent ended before it had one.
            RLMError: it cannot be decoded, or its answer cannot be encoded.
        """
        from rlm_jupyter.values.describe.short_text import short

        said = load_received(value)
        if (reason := self._malformed(said)) is not None:
            raise ValueError(reason)
        own = None if said["take"] else Buffer.encode(said["value"], allow_pickle=False, rows=rows)
        return Verdict(
            said["take"], said["why"].strip()[:_LONGEST_WHY], short(said["check"], _LONGEST_WHY), own
        )


def _shown(agent: Agent) -> list[str]:
    """Returns the code of those cells of an agent that ended well, and whose output it has been shown."""
    journal = agent.services.journal
    with journal.lock:
        turns = journal.state.agents[agent.id].turns
        cells = [cell for turn in turns[:-1] for cell in turn.cells]
        return [cell.code for cell in cells if cell.status == "ok" and not cell.output.startswith(NO_OUTPUT)]


async def reconcile(
    loop: Agent,
    groups: Sequence[Sequence[int]],
    answers: dict[int, Agent],
    table: tuple[list[str], list[list[str]]],
) -> tuple[Verdict, Agent]:
    """Let an agent find out which of several answers is right.

    Args:
        loop: the agent on whose behalf.
        groups: numbers of the samples with the same answer: each group is a candidate.
        answers: the sample agents by their numbers.
        table: where the candidates differ.

    Returns:
        The verdict, and the agent.

    Raises:
        RLMError: it gave none.
        ValueError: what it gave is none.
    """
    services, spec = loop.services, loop.spec
    first = [answers[group[0]] for group in groups]
    codes = await loop.calls.work.run(_codes, first)
    added = [Added(_held(one).dup(), (f"candidate_{at}",)) for at, one in enumerate(first, 1)]
    added.append(Added(Buffer.encode(dict(enumerate(codes, 1)), allow_pickle=False), (_CODE,)))
    for one in added:
        services.store.hold(one.data)
    form = VerdictForm(len(groups), spec.schema)
    verifier = AgentSpec(
        id=services.next_child(loop.id),
        parent=loop.id,
        depth=loop.spec.depth + 1,
        levels_above=loop.spec.levels_above + 1,
        sample=spec.samples.first if spec.samples is not None else None,
        question=_question(loop, groups, first, table),
        model=spec.model,
        context=spec.context,
        names=spec.names,
        item_names=spec.item_names,
        name="verification",
        tools=spec.tools,
        mcp=spec.mcp,
        skills=spec.skills,
        added=tuple(added),
        acceptance=form,
        checks=replace(spec.checks, part="value") if spec.checks is not None else None,
    )
    agent = await services.run_agent(verifier)
    verdict = await loop.calls.work.run(partial(form.read, _held(agent), services.settings.sample_rows))
    return verdict, agent


def _held(agent: Agent) -> Buffer:
    assert agent.value is not None
    return agent.value


def _question(
    loop: Agent,
    groups: Sequence[Sequence[int]],
    first: Sequence[Agent],
    table: tuple[list[str], list[list[str]]],
) -> str:
    heads, rows = table
    shows = loop.services.settings.sample_rows > 0  # with 0 no value of the data is to be quoted
    listed = [
        f"- `candidate_{at}`: {_held(one).description.get('summary' if shows else 'type', 'a value')}, of "
        f"{group_name(group)}"
        for at, (group, one) in enumerate(zip(groups, first, strict=True), 1)
    ]
    lines = [" | ".join(heads), *(" | ".join(row) for row in rows[:MOST_ROWS])]
    if len(rows) > MOST_ROWS:
        lines.append(f"… and {len(rows) - MOST_ROWS:,} more places")
    if not shows:
        lines = [f"in {amount(len(rows), 'place')}: compare them by code."]
    schema = loop.spec.schema
    return _ASKED.format(
        count=sum(map(len, groups)),
        question=loop.spec.question,
        listed="\n".join(listed),
        code=_CODE,
        table="\n".join(lines),
        form=f": {schema.text}" if schema is not None else "",
    )


def _codes(agents: Sequence[Agent]) -> list[str]:
    """Returns the code behind the answer of each; a comment where there is none."""
    journal = agents[0].services.journal
    with journal.lock:
        events = list(journal.events)
    found = []
    for agent in agents:
        tools = {name: tool_source(tool) for name, tool in agent.spec.tools.items()}
        try:
            code: str = answer_code(events, tools, root=agent.id).source
        except NoAnswerCodeError as error:
            ran = "\n\n".join(agent.codes)
            code = f"# {error.message}\n# What the agent ran:\n\n{ran}" if ran else f"# {error.message}"
        found.append(code)
    return found
