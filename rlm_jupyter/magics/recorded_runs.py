"""`%rlm resume`, `%rlm branch` and `%rlm compare`: what can be done with runs that are over, also after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from rlm_jupyter.errors import RunNotFoundError
from rlm_jupyter.magics.cell_magic import show_to_end
from rlm_jupyter.magics.command_registry import command
from rlm_jupyter.magics.lexer import lex
from rlm_jupyter.magics.task import Task, read
from rlm_jupyter.magics.user_present import attended

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState
    from rlm_jupyter.records.compare import Comparison
    from rlm_jupyter.records.past_run import PastRun


@command(
    "resume RUN [NAME ...] [OPTIONS of %%rlm]",
    "Go on with a run of an earlier session: its values are back, and nothing is paid twice.",
    verbatim=True,
)
def resume(magics: MagicsState, line: str) -> Any:
    """Run the code of the record again, and go on where it ends; give the answer as `%%rlm` does."""
    from rlm_jupyter.rlm import RLM
    from rlm_jupyter.run_setup.resumption import Recording

    first, _, rest = line.strip().partition(" ")
    if not first:
        raise UsageError("Name a run: `%rlm resume RUN`, by its id or the path of its log.")
    log_dir = _log_dir(magics)
    recording = Recording.of(lex(first)[0].text if lex(first) else first, log_dir)
    task = read(magics, rest, recording.tree.question)
    if task.continues is not None or task.dry_run or task.estimate:
        raise UsageError("`%rlm resume` takes neither `--continue` nor `--dry-run` nor `--estimate`.")
    if task.context is None and not recording.has_data:
        names = [name for name in recording.names if name.isidentifier() and name in magics.shell.user_ns]
        if names and len(names) == len(recording.names):  # as the line of then had them
            task = read(magics, f"{rest} {' '.join(names)}", recording.tree.question)
    rlm = RLM(**task.settings)
    with attended(magics.shell, "background" if task.background else "blocking"):
        run = rlm.resume(_source(recording.log), **task.asked)
    magics.runs.add(run)
    return show_to_end(magics, task, run)


def _source(log: Path | None) -> Path:
    assert log is not None  # it was found by its log
    return log


@command(
    "branch RUN TURN [--agent AGENT] [--code NAME] [--observation NAME] [-m MODEL]",
    "Ask again from a turn, with other code or another observation (texts in variables); without, its code comes into "
    "the next cell.",
)
def branch(magics: MagicsState, arguments: argparse.Namespace) -> Any:
    """Start the branch and compare it with the run; or put the turn's code into the next cell, to be changed."""
    from rlm_jupyter.records.compare import compare

    run = known_run(magics, arguments.run)
    agent = arguments.agent or "0"
    if not arguments.turn.isdecimal():
        raise UsageError(f"`{arguments.turn}` is not the number of a turn: `%rlm show {agent}` lists them.")
    turn = int(arguments.turn)
    if arguments.code is None and arguments.observation is None:
        return _next_cell(magics, run, arguments.run, agent, turn)
    change = {name: _text_of(magics, name, getattr(arguments, name)) for name in ("code", "observation")}
    with attended(magics.shell, "blocking"):
        branched = _asker(magics, run, arguments.m).branch(
            run, turn, agent=agent, code=change["code"], observation=change["observation"]
        )
    magics.runs.add(branched)
    value = show_to_end(magics, Task(branched.question, (), None, {}), branched)
    _show(compare(run, branched))
    return value


def _asker(magics: MagicsState, run: Run | PastRun, model: str | None) -> Any:
    """Returns the `RLM` that a branch is asked by: with the models of a run in memory, unless another is named."""
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.rlm import RLM

    settings = magics.arguments_of_rlm({} if model is None else {"model": model})
    if model is None and isinstance(run, Run):
        settings |= {"model": run.model, "sub_model": run.sub_model}
    return RLM(**settings)


def _text_of(magics: MagicsState, option: str, name: str | None) -> str | None:
    if name is None:
        return None
    text = magics.shell.user_ns.get(name)
    if not isinstance(text, str):
        raise UsageError(
            f"`--{option}` takes the name of a variable that holds a text, and `{name}` does not."
        )
    return text


def _next_cell(magics: MagicsState, run: Run | PastRun, named: str, agent: str, turn: int) -> None:
    from rlm_jupyter.records.matching import code_of

    found = run.agents[agent].state.turns
    wanted = next((one for one in found if one.turn == turn), None)
    if wanted is None:
        turns = ", ".join(str(one.turn) for one in found[:50])
        raise UsageError(f"Agent `{agent}` has no turn {turn}. Its turns: {turns or 'none'}.")
    code = code_of(wanted)
    text = f'"""\\\n{code}\n"""' if '"""' not in code and "\\" not in code else repr(code)
    magics.shell.set_next_input(f"edited = {text}\n%rlm branch {named} {turn} --agent {agent} --code edited")
    print(  # noqa: T201 - it is the cell's output
        f"The code of turn {turn} of agent `{agent}` is in the next cell: change it there, and run the cell."
    )


@command(
    "compare RUN RUN [RUN ...]",
    "Runs beside each other, by id or log: cost, tokens, time, answers; of two, the turns and their code.",
    verbatim=True,
)
def compare_runs(magics: MagicsState, line: str) -> Comparison:
    """Returns the comparison, which the cell shows."""
    from rlm_jupyter.records.compare import compare

    words = [word.text for word in lex(line)]
    if len(words) < 2:  # noqa: PLR2004 - one cannot be compared
        raise UsageError("Name two runs or more: `%rlm compare RUN RUN`, by ids or paths of logs.")
    return compare(*(known_run(magics, word) for word in words))


def known_run(magics: MagicsState, name: str) -> Run | PastRun:
    """Find a run of this session, or the log of an earlier one.

    Raises:
        RunNotFoundError: there is neither.
    """
    from rlm_jupyter.records.past_run import PastRun
    from rlm_jupyter.records.reader import load
    from rlm_jupyter.rlm import find_run
    from rlm_jupyter.run_setup.resumption import find_log

    if not name.endswith(".jsonl"):
        try:
            return find_run(name)
        except RunNotFoundError as error:
            if "more than one" in error.message:
                raise
    path = find_log(name, _log_dir(magics))
    return PastRun(load(path).tree, "", path)


def _log_dir(magics: MagicsState) -> Path | None:
    from rlm_jupyter.settings import Settings

    given = magics.arguments_of_rlm({}).get("log_dir")
    return Settings(log_dir=given).log_dir


def _show(comparison: Comparison) -> None:
    from IPython.display import display

    display(comparison)  # type: ignore[no-untyped-call]
