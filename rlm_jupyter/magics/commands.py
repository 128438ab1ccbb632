"""The sub-commands of `%rlm`, each a small function of what its line says."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from rlm_jupyter.errors import ConfigError, KernelError
from rlm_jupyter.magics.command_registry import command
from rlm_jupyter.magics.notebook_lookup import out_name

if TYPE_CHECKING:
    import argparse

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState
    from rlm_jupyter.records.past_run import PastRun

STOP_SECONDS = 5.0
"""How long `%rlm stop` waits for the agents to end before it says that they still do."""

_AGENT_ID = re.compile(r"0(\.\d+)*")


def print_output(text: str) -> None:
    """Print a command's output, without what a terminal would take for more than text."""
    from rlm_jupyter.models.openai.chat_replies import clean_text

    print(clean_text(text))  # noqa: T201 - it is the cell's output


def resolve_run(prefix: str | None = None) -> Run | PastRun:
    """Find the run that is meant: by the beginning of its id, or the newest one.

    Raises:
        UsageError: there is no run yet.
        RunNotFoundError: none has that id.
    """
    from rlm_jupyter.rlm import find_run, last_run

    if prefix is not None:
        return find_run(prefix)
    run = last_run()
    if run is None:
        raise UsageError(
            "There is no run yet. `%%rlm NAME` with a question below it starts one; see `%%rlm?`."
        )
    return run


@command("status", "What runs, and what its agents do now.")
def status(_magics: MagicsState, _arguments: argparse.Namespace) -> None:
    """Print a line for each run that goes on, and one for each of its agents at work."""
    from rlm_jupyter.rlm import runs
    from rlm_jupyter.views import text_tree as text

    for run in [run for run in runs() if not run.done] or [resolve_run()]:
        with run.lock:
            busy = [agent for agent in run.tree.agents.values() if agent.status == "running"]
            print_output(
                "\n".join([text.summary_line(run.tree), *(f"  {text.agent_line(run.tree, a)}" for a in busy)])
            )


@command("tree [RUN]", "The tree of a run: its agents, their states, spend and values.")
def tree(_magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Print the tree as text."""
    from rlm_jupyter.views import text_tree as text

    run = resolve_run(arguments.run)
    with run.lock:
        drawn = text.tree(run.tree)
    print_output(drawn)


@command("stop [AGENT] [--run RUN]", "Stop a run, or one agent and all below it.")
def stop(_magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Stop, wait a little, and say what came of it."""
    from rlm_jupyter.records.past_run import PastRun

    run = resolve_run(arguments.run)
    if isinstance(run, PastRun) or run.done:
        print_output(f"Run `{run.id}` has ended already ({run.status}).")
        return
    run.stop(arguments.agent)
    if arguments.agent is not None:
        print_output(f"Agent `{arguments.agent}` of run `{run.id}` and all below it stop; the others go on.")
        return
    with contextlib.suppress(TimeoutError):
        run.wait(STOP_SECONDS)
    print_output(f"Run `{run.id}` is {run.status}." if run.done else f"Run `{run.id}` is stopping.")


@command(
    "pull AGENT [NAME] [-o/--out NEW] [--trust] [--run RUN]",
    "Take a variable out of an agent's kernel; without a name, the value that it gave to FINAL.",
)
def pull(magics: MagicsState, arguments: argparse.Namespace) -> Any:
    """Returns the variable as an object of the notebook, and store it where a name was given."""
    out = out_name(arguments.out) if arguments.out else None
    value = resolve_run(arguments.run).agents[arguments.agent].pull(arguments.name, trust=arguments.trust)
    if out:
        magics.shell.user_ns[out] = value
    return value


@command("exec [--run RUN] AGENT CODE", "Run a line of code in an agent's kernel.", verbatim=True)
def execute(_magics: MagicsState, line: str) -> None:
    """Run the code and print what it printed and showed.

    Raises:
        KernelError: the code failed; the message ends with its traceback.
    """
    found = re.fullmatch(r"\s*(?:--run(?:\s*=\s*|\s+)(\S+)\s+)?(\S+)\s+(.+)", line, re.DOTALL)
    if found is None:
        raise UsageError("Give an agent and some code: `%rlm exec 0.2 counts.head()`.")
    prefix, agent, code = found.groups()
    run = resolve_run(prefix)
    result = run.agents[agent].execute(code)
    if result.output:
        print_output(result.output.rstrip("\n"))
    if result.status != "ok":
        why = result.traceback or f"{result.error_name}: {result.error_value}"
        error = KernelError(f"The code did not end well in agent `{agent}` ({result.status}).\n{why}")
        vars(error)["run"] = run
        raise error


@command("runs", "All runs of this notebook and their logs, the newest last.")
def runs(_magics: MagicsState, _arguments: argparse.Namespace) -> None:
    """Print a line for each run, and its question."""
    from rlm_jupyter import rlm
    from rlm_jupyter.records.past_run import PastRun
    from rlm_jupyter.text.sanitize import one_line
    from rlm_jupyter.views import text_tree as text

    known = rlm.runs()
    if not known:
        resolve_run()
    for run in known:
        if isinstance(run, PastRun):  # its tree is in a file, and a notebook may have hundreds
            summary = run.summary
        else:
            with run.lock:
                summary = text.summary_line(run.tree)
        log = f"\n    {run.log_path}" if run.log_path is not None else ""
        print_output(f"{summary}\n    {one_line(run.question, 100)}{log}")


@command("show [RUN] [AGENT] [--prompt]", "An agent turn by turn (0 is the root); or its exact prompt.")
def show(_magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Print an agent's turns, or the messages that were sent for it."""
    from rlm_jupyter.text.sanitize import clean
    from rlm_jupyter.views import text_tree as text

    prefix, agent = arguments.run, arguments.agent
    if agent is None and prefix is not None and _AGENT_ID.fullmatch(prefix):
        prefix, agent = None, prefix
    run, agent = resolve_run(prefix), agent or "0"
    if arguments.prompt:
        for message in run.messages(agent):
            content = message["content"]
            print_output(f"--- {message['role']}\n{clean(content, len(content))}")
        return
    with run.lock:
        told = text.show_agent(run.tree, agent)
    print_output(told)


@command(
    "cost [RUN] [--all]", "Where the money and the tokens of a run went; --all: of all runs and the budget."
)
def cost(magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Print a line for each agent, the dearest first; of all runs a line each, and what is left of a shared budget."""
    from rlm_jupyter.views import text_tree as text

    if arguments.all:
        _print_all_costs(magics)
        return
    run = resolve_run(arguments.run)
    with run.lock:
        table = text.cost_table(run.tree)
    print_output(table)


def _print_all_costs(magics: MagicsState) -> None:
    from rlm_jupyter.rlm import runs
    from rlm_jupyter.views import text_tree as text

    for run in runs():
        with run.lock:
            print_output(text.summary_line(run.tree))
    budget = magics.arguments_of_rlm({}).get("budget") or os.environ.get("RLM_BUDGET")
    if not budget:
        return
    from rlm_jupyter.engine.budget.shared_budget import SharedBudget

    print_output(f"Shared budget `{budget}`:")
    for row in SharedBudget(Path(budget)).report():
        spent = f"${row['spent']:,.4f}" if row["name"] == "cost" else f"{row['spent']:,}"
        print_output(f"  {row['limit']}: {spent} spent or reserved")


@command(
    "replay [PATH]", "Step through a run, or through a log that was written earlier: PATH or the id of a run."
)
def replay(magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Show the run with the controls of a replay; where there are no widgets, print its tree."""
    from rlm_jupyter.magics.run_display import show_record, show_replay
    from rlm_jupyter.records import load
    from rlm_jupyter.views import text_tree as text
    from rlm_jupyter.views.display import display_mode

    named = arguments.path
    plain = display_mode(magics.shell) == "text"
    if named is None or _is_run(named):
        run = resolve_run(named)
        if not plain:
            show_replay(run)
            return
        with run.lock:
            told = text.tree(run.tree)
        print_output(told)
        return
    record = load(named)
    if plain:
        print_output(text.tree(record.tree))
    else:
        show_record(record)
    if record.torn:
        print_output("Note: the log ends in the middle; what was written until then is shown.")
    elif record.tree.status == "running":
        print_output("Note: the log has no end: its run still goes on, or its process was ended.")


def _is_run(named: str) -> bool:
    """Returns whether this is the id of a run of this notebook, and not the path of a log."""
    from rlm_jupyter.rlm import runs

    return not Path(named).exists() and any(run.id.startswith(named) for run in runs())


@command(
    "export [RUN] [-o/--out PATH] [--level LEVEL] [--static]",
    "Write a run to a new file, by the end of its name: a page that opens without a kernel (.html), a notebook "
    "(.ipynb), a script (.py), a Mermaid diagram of its agents (.mmd) or an animated picture of its tree (.gif). "
    "--level: all, redacted (no data) or structure (no texts); --static: a page without a script.",
)
def export(_magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Write the run to a file that does not exist yet."""
    from rlm_jupyter.export_file import KINDS, export_run
    from rlm_jupyter.run_setup.hidden_data import exported

    prefix, out = arguments.run, arguments.out
    if out is None and prefix is not None and prefix.endswith(tuple(KINDS)):  # `%rlm export run.html`
        prefix, out = None, prefix
    run = resolve_run(prefix)
    path = out or f"{run.id}.{'html' if arguments.static else 'ipynb'}"
    events = run.events if str(path).endswith((".html", ".gif")) and not arguments.static else ()
    try:
        with run.lock:
            hiding = exported(run)
            written = export_run(
                run.tree if hiding is None else hiding[0],
                path,
                level=arguments.level or "all",
                static=arguments.static,
                events=events if hiding is None or not events else hiding[1],
                code=(lambda: run.code(prove=False)) if hiding is None else None,
            )
    except ConfigError as error:
        raise UsageError(error.message) from None
    print_output(f"Run `{run.id}` is in `{written}`.")


@command(
    "code [RUN] [-o/--out NAME]", "The code behind an answer, run again and compared; -o puts it into a cell."
)
def code(magics: MagicsState, arguments: argparse.Namespace) -> Any:
    """Returns the code; with a name, stores it there and puts it into the next cell."""
    out = out_name(arguments.out) if arguments.out else None
    found = resolve_run(arguments.run).code()
    if out is None:
        return found
    cell = found.cell(magics.shell.user_ns)
    magics.shell.user_ns[out] = found
    magics.shell.set_next_input(cell)
    print_output(f"{found.told}\nIt is in the next cell, and in `{out}`.")
    return None


@command("last", "The newest run, as an object.")
def last(_magics: MagicsState, _arguments: argparse.Namespace) -> Run | PastRun:
    """Returns the newest run."""
    return resolve_run()


@command("next [AGENT] [--run RUN]", "With --step: let the next cell run.")
def step(_magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Let one waiting cell run."""
    resolve_run(arguments.run).next(arguments.agent)


@command("retry AGENT [--run RUN]", "Ask a sub-agent's question again, of a new one beside it.")
def retry(_magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Start the new sub-agent, and print its id."""
    new = resolve_run(arguments.run).retry(arguments.agent)
    print_output(f"Agent `{arguments.agent}` is asked again, as agent `{new}`: `%rlm status` shows it.")


@command("doctor", "What works on this machine: versions, clicks, model, kernels, sandbox.")
def doctor(magics: MagicsState, _arguments: argparse.Namespace) -> None:
    """Print the report; takes a second or two, because kernels are started for it."""
    from rlm_jupyter.magics.notebook_diagnostics import report

    print_output(report(magics))


@command(
    "models",
    "The model servers on this machine, their models, providers with a key, and what to type behind -m.",
)
def models(magics: MagicsState, _arguments: argparse.Namespace) -> None:
    """Print the servers that answer on the loopback; takes a second at most."""
    from rlm_jupyter import diagnostics

    servers = diagnostics.local_servers(magics.arguments_of_rlm({}).get("base_url"))
    print_output("\n".join([*servers, *diagnostics.provider_lines()]))


@command("free [RUN]", "End a run's kernels; its value, tree and log stay.")
def free(_magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Close a run."""
    run = resolve_run(arguments.run)
    run.close()
    print_output(f"The kernels of run `{run.id}` are gone; its value, tree and log stay.")
