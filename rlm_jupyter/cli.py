"""The command `rlm-jupyter`: a question about a file, the tree of a log, and what works on this machine.

The tree goes to stderr and the value to stdout, so that it can be piped on. Exit codes: 0 for an answer, 1 for
none, 2 for wrong usage, 3 where a limit ended the run (what there was of a value is printed), 130 for an
interrupt.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError, ContextError, LimitReachedError, RLMError, RunStoppedError
from rlm_jupyter.options.argparse_options import add_options
from rlm_jupyter.options.table import RUN, arguments_of, options_on

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.views.tui.question_box import ViewerAudience

DONE, FAILED, USAGE, LIMIT, INTERRUPTED = 0, 1, 2, 3, 130
_TUI = "Show it in an interactive viewer in this terminal (needs the extra `tui`)."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give the exit code.

    Args:
        arguments: of the command line; None: this process's.
    """
    given = _parser().parse_args(arguments)
    try:
        return int(given.command(given))
    except (ConfigError, ContextError) as error:
        _complain(error)
        return USAGE
    except RLMError as error:
        _complain(error)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the value has gone
        sys.stderr.close()
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("rlm-jupyter", description="Recursive Language Models, from a shell.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="ask a question about a file",
        description="Ask a question about a file or directory.",
        argument_default=argparse.SUPPRESS,
    )
    run.set_defaults(command=_run)
    _add_question(run)
    add_options(run, options_on(RUN))
    log = commands.add_parser("log", help="statistics and tree of a log", description="Show a run's log.")
    log.set_defaults(command=_log)
    log.add_argument(
        "file", metavar="LOG", help="a .jsonl of a run; or a directory of logs: what its runs took"
    )
    log.add_argument("--agent", metavar="ID", help="one agent, turn by turn")
    log.add_argument("--diagnose", action="store_true", help="what stands out in it, and what to do next")
    log.add_argument("--tui", action="store_true", help=_TUI)
    _add_export(
        commands.add_parser("export", help="a log as a file to keep", description="Write a run to a file.")
    )
    doctor = commands.add_parser("doctor", help="what works here", description="Tell what works here.")
    doctor.set_defaults(command=_doctor)
    add_options(doctor, [option for option in options_on(RUN) if option.argument in ("kernel", "sandbox")])
    doctor.set_defaults(kernel=None, sandbox="auto")
    from rlm_jupyter.mcp_server import mcp_command
    from rlm_jupyter.web_server import web_command

    mcp_command.add_command(commands)
    web_command.add_command(commands)
    models = commands.add_parser(
        "models",
        help="model servers on this machine",
        description="List the models of servers on this machine, and the providers that can be asked.",
    )
    models.set_defaults(command=_models)
    models.add_argument("--base-url", metavar="URL", help="one more server; default: RLM_MODEL_BASE_URL")
    return parser


def _add_question(run: argparse.ArgumentParser) -> None:
    add = run.add_argument
    add(
        "file",
        metavar="FILE",
        nargs="*",
        help="CSV, TSV, Parquet, JSON, JSONL, any text, or a directory of texts; or @PATH, @'PATTERN': files "
        "of any size that agents may read themselves (several are a dict).",
    )
    add("-q", "--question", required=True, metavar="TEXT", help="What you want to know.")
    add(
        "-s", "--schema", metavar="JSON", help="A JSON Schema for the answer, or the path of a file with one."
    )
    add("--samples", metavar="N", type=int, help="Let N agents answer, and compare their answers.")
    add(
        "--verify",
        action="store_const",
        const=True,
        help="Where samples differ, let one more agent compute a check and take the right answer.",
    )
    add(
        "--check",
        metavar="FILE.py:NAME",
        action="append",
        help="A function of the answer, run in the agent's kernel: a text or False that it returns, or what it "
        "raises, sends the answer back. May be given several times.",
    )
    add(
        "--plain",
        action="store_const",
        const=True,
        help="Send the data whole in one prompt, without agents, if it fits.",
    )
    add(
        "--plain-auto",
        dest="plain",
        action="store_const",
        const="auto",
        help="Do so if the data takes at most half of the model's window, and let agents read it else.",
    )
    add(
        "--plain-passages",
        dest="plain",
        action="store_const",
        const="passages",
        help="Send the passages of texts that share most words with the question in one prompt, without agents.",
    )
    add(
        "--estimate",
        action="store_const",
        const=True,
        help="Tell what it will cost and take, from earlier runs alike, and send nothing; `-m A,B` compares models.",
    )
    add("--quiet", action="store_const", const=True, help="Do not print the tree.")
    add("--tui", action="store_const", const=True, help=_TUI)


def _add_export(export: argparse.ArgumentParser) -> None:
    from rlm_jupyter.events.levels import LEVELS

    export.set_defaults(command=_export)
    export.add_argument("file", metavar="LOG", help="a .jsonl of a run")
    export.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="PATH",
        help="a page (.html), a notebook (.ipynb), a script (.py), a Mermaid diagram (.mmd) or a moving picture (.gif)",
    )
    levels = "; ".join(f"{level}: {what}" for level, what in LEVELS.items())
    export.add_argument("--level", choices=list(LEVELS), default="all", help=levels)
    export.add_argument("--static", action="store_true", help="a page without a script")


def _run(given: argparse.Namespace) -> int:
    from rlm_jupyter.rlm import RLM

    # An option that was not given leaves no trace, so that `none` (no limit) and nothing are two things.
    told = vars(given)
    if "tui" in told:
        from rlm_jupyter.views.tui.open_viewer import check_terminal

        check_terminal()
    schema = _schema(told.get("schema"))
    names, context = _data(told.get("file") or [])
    settings = {name: told[name] for name in arguments_of("settings") if name in told}
    of_sandbox = {"sandbox": "mode", **arguments_of("sandbox")}
    sandbox = {field: told[name] for name, field in of_sandbox.items() if name in told}
    if sandbox:
        settings["sandbox"] = sandbox
    if "price" in told:
        settings["price"] = tuple(told["price"])
    limits = {field: told[name] for name, field in arguments_of("limits").items() if name in told}
    how: dict[str, Any] = {name: told[name] for name in ("samples", "verify", "plain") if name in told}
    if "estimate" in told:
        return _estimate(told["question"], context, names, settings, limits)
    if "check" in told:
        from rlm_jupyter.run_setup.check_files import checks_of_files

        how["checks"] = checks_of_files(told["check"])
    from rlm_jupyter.user_questions.audience import answering, can_ask_in_terminal

    viewer = _viewer_audience() if "tui" in told else None  # the viewer takes the terminal for itself
    with answering(viewer or ("terminal" if can_ask_in_terminal() else None)):
        run = RLM(**settings, limits=limits).start(
            told["question"], context, names=names, schema=schema, **how
        )
    with run:
        if viewer is not None:
            try:
                _view(run)
            finally:
                viewer.close()
        return _finish(run, quiet="quiet" in told)


def _estimate(
    question: str, context: Any, names: tuple[str, ...], settings: dict[str, Any], limits: dict[str, Any]
) -> int:
    """Print what a question will cost and take."""
    from rlm_jupyter.run_setup.question_estimate import estimate_arguments

    said = estimate_arguments({**settings, "limits": limits}, question, context, names)
    print(said)  # noqa: T201 - it is the command's output
    return DONE


def _viewer_audience() -> ViewerAudience:
    from rlm_jupyter.views.tui.question_box import ViewerAudience

    return ViewerAudience()


def _view(run: Run) -> None:
    """Show a run in the viewer; if that fails, the run goes on as without it."""
    from rlm_jupyter.views.tui.open_viewer import view_run

    try:
        view_run(run)
    except RLMError as error:
        _complain(error)


def _data(words: Sequence[str]) -> tuple[tuple[str, ...], Any]:
    """Returns the names and the data of the files of a command line.

    Raises:
        ConfigError: several, of which one is to be read here.
        ContextError: there is no such file, or it does not hold what its name says.
    """
    from pathlib import Path

    from rlm_jupyter.data_files import read_data
    from rlm_jupyter.databases.handed_over import file_kind
    from rlm_jupyter.run_setup.named_paths import is_path, paths_of, variable_for

    if not words:
        return (), None
    if len(words) == 1 and not is_path(words[0]):
        if file_kind(Path(words[0])) is not None:  # a database is asked where it is
            return (), Path(words[0])
        return (), read_data(words[0], tell=_note)
    found: dict[str, Any] = {}
    for word in words:
        if not is_path(word):
            raise ConfigError(f"One file is read here; of several, agents read each: write `@{word}`.")
        found[variable_for(word, found)] = paths_of(word)
    names = tuple(found)
    return names, found[names[0]] if len(found) == 1 else found


def _finish(run: Run, *, quiet: bool) -> int:
    code = DONE
    error: RLMError | None = None
    try:
        run.wait_interruptibly()
        error = run.error
    except RunStoppedError as stopped:
        error, code = stopped, INTERRUPTED
    if not quiet:
        from rlm_jupyter.views import text_tree as text

        with run.lock:
            drawn = text.tree(run.tree)
        print(drawn, file=sys.stderr)  # noqa: T201 - it is the command's output
        if run.log_path is not None:
            print(f"Log: {run.log_path}", file=sys.stderr)  # noqa: T201 - the same
    else:
        _tell_quietly(run, error)
    if isinstance(error, LimitReachedError):
        code = LIMIT
    elif isinstance(error, RunStoppedError):  # by the user, in the viewer
        code = INTERRUPTED
    elif error is not None and code == DONE:
        code = FAILED
    value = run.value if error is None or run.value_description is not None else None
    if value is not None or error is None:
        sys.stdout.write(_safe(_printed(value)))
        sys.stdout.flush()
    return code


def _tell_quietly(run: Run, error: RLMError | None) -> None:
    """Tell what must be said of a run without its tree: what was assumed, and why there is no whole answer."""
    from rlm_jupyter.views.answer_card import assumptions

    with run.lock:
        assumed = assumptions(run.tree)
    for line in assumed:
        _note(line)
    if error is not None:
        _complain(error)


def _printed(value: Any) -> str:
    """Returns a value as text that other programs can read: a text as it is, a table as CSV, the rest as JSON."""
    if isinstance(value, str):
        return value if value.endswith("\n") else value + "\n"
    if hasattr(value, "to_csv"):
        return str(value.to_csv(index=_tells(value)))
    try:
        return json.dumps(_plain(value), ensure_ascii=False, default=_plain) + "\n"
    except (TypeError, ValueError):
        return f"{value!r}\n"


def _safe(text: str) -> str:
    """Keep a terminal from taking a model's text for commands; what is piped on goes out as it is."""
    if not sys.stdout.isatty():
        return text
    from rlm_jupyter.text.sanitize import clean

    return clean(text, len(text)) + "\n"


def _tells(table: Any) -> bool:
    """Whether a table's index says more than the number of the row."""
    return type(table.index).__name__ != "RangeIndex"


def _plain(value: Any) -> Any:
    """Returns JSON what it knows, in the place of pydantic models, tables inside of values, numpy's numbers."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "to_dict"):
        return value.to_dict(orient="records") if hasattr(value, "columns") else value.to_dict()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    return value if isinstance(value, (dict, list, tuple, int, float, bool, type(None))) else str(value)


def _schema(given: str | None) -> Any:
    if given is None:
        return None
    text = given
    if not given.lstrip().startswith("{"):
        from rlm_jupyter.data_files import read_data

        text = json.dumps(read_data(given))
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(
            f"The schema is not JSON: {error}. Give a JSON Schema, or a file with one."
        ) from None


def _log(given: argparse.Namespace) -> int:
    from pathlib import Path

    from rlm_jupyter.records import load
    from rlm_jupyter.views import text_tree as text
    from rlm_jupyter.views.run_statistics import statistics

    if Path(given.file).is_dir():
        return _log_directory(given)
    if given.tui:
        return _log_viewer(given.file, given.agent)
    record = load(given.file)
    if given.diagnose:
        print(record.diagnose().text)  # noqa: T201 - the same
        return DONE
    if given.agent is not None:
        print(text.show_agent(record.tree, given.agent))  # noqa: T201 - it is the command's output
        return DONE
    lines = [text.tree(record.tree), "", statistics(record.tree), "", text.cost_table(record.tree)]
    if record.torn:
        lines.append("Note: the log ends in the middle; what was written until then is shown.")
    print("\n".join(lines))  # noqa: T201 - the same
    return DONE


def _log_directory(given: argparse.Namespace) -> int:
    """Print what the runs of a directory took: the figures behind estimates."""
    from pathlib import Path

    from rlm_jupyter.estimates.log_index import logged_runs
    from rlm_jupyter.estimates.log_summary import summary_of
    from rlm_jupyter.models.cache import default_path

    if given.tui or given.diagnose or given.agent is not None:
        raise ConfigError(
            f"`{given.file}` is a directory: `--tui`, `--diagnose` and `--agent` take the log of one run."
        )
    print(summary_of(logged_runs(Path(given.file), cache=default_path().parent, seconds=120)))  # noqa: T201 - the command's output
    return DONE


def _log_viewer(file: str, agent: str | None) -> int:
    import gc

    from rlm_jupyter.records import load
    from rlm_jupyter.views.tui.open_viewer import check_terminal, view_log

    check_terminal()
    gc.disable()  # what is read stays: the search for garbage in it takes as long as to read it
    try:
        record = load(file)
    finally:
        gc.enable()
    note = "Note: the log ends in the middle" if record.torn else ""
    view_log(record.events, record.tree, note=note, agent=agent)
    return DONE


def _export(given: argparse.Namespace) -> int:
    from rlm_jupyter.export_file import export_run
    from rlm_jupyter.records import load

    record = load(given.file)
    written = export_run(
        record.tree, given.out, level=given.level, static=given.static, events=record.events, code=record.code
    )
    if record.torn:
        _note("the log ends in the middle; what was written until then is in the file.")
    _note(f"run `{record.tree.run}` is in `{written}`.")
    return DONE


def _doctor(given: argparse.Namespace) -> int:
    from rlm_jupyter import diagnostics as doctor

    parts = (
        doctor.versions(),
        doctor.models({}),
        doctor.local_models(),
        doctor.kernels(given.kernel, given.sandbox),
    )
    for part in parts:
        for line in part:
            print(line, flush=True)  # noqa: T201 - it is the command's output
    return DONE


def _models(given: argparse.Namespace) -> int:
    from rlm_jupyter import diagnostics

    for line in itertools.chain(diagnostics.local_servers(given.base_url), diagnostics.provider_lines()):
        print(line, flush=True)  # noqa: T201 - it is the command's output
    return DONE


def _note(text: str) -> None:
    print(f"rlm-jupyter: {text}", file=sys.stderr)  # noqa: T201 - it is the command's output


def _complain(error: RLMError) -> None:
    print(f"rlm-jupyter: {type(error).__name__}: {error.message}", file=sys.stderr)  # noqa: T201 - the same


if __name__ == "__main__":
    sys.exit(main())
