"""What a `%%rlm` cell asks for, read from its line and body; nothing is started here."""

from __future__ import annotations

import ast
from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from rlm_jupyter.errors import ContextError
from rlm_jupyter.magics import notebook_lookup
from rlm_jupyter.magics.arguments import CELL, options, parse
from rlm_jupyter.magics.command_registry import COMMANDS
from rlm_jupyter.magics.lexer import join_continued_lines
from rlm_jupyter.options.table import arguments_of
from rlm_jupyter.run_setup.named_paths import is_path, paths_of, variable_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState
    from rlm_jupyter.rlm import RLM


@dataclass(frozen=True)
class Task:
    """One question with all that goes with it.

    Attributes:
        question: the cell's body, verbatim, without blank lines around it.
        names: of the variables that are handed over.
        context: the data; None if no name was given.
        settings: arguments of `RLM`.
        schema: what the answer must be; None where anything will do.
        out: the name under which the answer is stored; None to store it nowhere.
        continues: the run that this is a follow-up to; None for a question of its own.
        samples: how many agents answer, or `Samples(...)`; None for one.
        verify: whether samples that differ are reconciled.
        checks: functions that can send an answer back.
        plain: whether the data is sent whole in one prompt; "auto": by its size.
        chat: whether it is a question of the notebook's conversation.
    """

    question: str
    names: tuple[str, ...]
    context: Any
    settings: dict[str, Any]
    schema: Any = None
    tools: tuple[Callable[..., Any], ...] = ()
    env: dict[str, str] | None = None
    mcp: dict[str, Any] | None = None
    out: str | None = None
    background: bool = False
    step: bool = False
    dry_run: bool = False
    estimate: bool = False
    continues: Run | None = None
    samples: Any = None
    verify: bool = False
    checks: tuple[Callable[..., Any], ...] = ()
    plain: bool | str = False
    chat: bool = False

    def begin(self, rlm: RLM) -> Run:
        """Start its run, and return at once; see `RLM.start` for what it raises."""
        return rlm.start(self.question, **self.asked)

    @property
    def waits(self) -> bool:
        """Whether the run will wait for the user, who can press nothing while a cell blocks."""
        return self.step

    @property
    def how_to_go_on(self) -> str:
        """What is said where the cell returns at once because the run will wait."""
        return "Step mode: each cell waits for `%rlm next`, `%rlm next` lets it run."

    def preview(self) -> str:
        """Returns what would be sent; see `dry_run.report` for what it raises."""
        from rlm_jupyter.magics.dry_run import report

        return report(self)

    def estimated(self, shell: InteractiveShell) -> str:
        """Returns what it will cost and take, of each model that the line names.

        Args:
            shell: whose variables may hold models.

        Raises:
            ConfigError: a model that cannot be, or a shared budget that cannot be read.
            ContextError: the data cannot leave this process.
        """
        from rlm_jupyter.run_setup.question_estimate import estimate_arguments, model_names

        models = [notebook_lookup.model_of(shell, name) for name in model_names(self.settings["model"])]
        settings = {**self.settings, "model": models}
        return str(estimate_arguments(settings, self.question, self.context, self.names))

    @property
    def asked(self) -> dict[str, Any]:
        """Arguments of `RLM.start`, besides the question."""
        asked = {
            "context": self.context,
            "names": self.names,
            "schema": self.schema,
            "tools": self.tools,
            "env": self.env,
            "mcp": self.mcp,
            "step": self.step,
            "continues": self.continues,
            "samples": self.samples,
            "verify": self.verify,
            "checks": self.checks,
            "plain": self.plain,
        }
        return {name: value for name, value in asked.items() if value is not None}


def read(magics: MagicsState, line: str, body: str) -> Task:
    """Read a cell's line and body.

    Raises:
        UsageError: a wrong option, an unknown name, an empty question; the message says what there is.
        ConfigError: a limit or setting that cannot be.
    """
    shell = magics.shell
    line, body = join_continued_lines(line, body)
    given = vars(parse(CELL, line, shell.user_ns))
    question = question_of(body)
    out = notebook_lookup.out_name(given["out"]) if "out" in given else None
    if given.get("go_on") and given.get("dry_run"):
        raise UsageError("`--dry-run` shows the prompt of a new question: leave out `--continue`.")
    if given.get("go_on") and given.get("estimate"):
        raise UsageError("`--estimate` is for a new question: leave out `--continue`.")
    earlier = _newest_run() if given.get("go_on") else None
    settings = settings_of(magics, given)
    arguments = magics.arguments_of_rlm(settings)
    chat = magics.chat if given.get("chat") else None
    before = earlier if chat is None or chat.closed else chat.newest
    if before is not None:  # the models stay, unless the line names others
        models = {"model": before.model, "sub_model": before.sub_model}
        arguments |= {name: model for name, model in models.items() if name not in settings}
    words = tuple(dict.fromkeys(given.get("names", ())))
    _check_names(tuple(word for word in words if not is_path(word)), shell.user_ns)
    names, context = _data_of(shell, words)
    return Task(
        question=question,
        names=names,
        context=context,
        settings=arguments,
        schema=notebook_lookup.schema_of(shell, given["schema"]) if "schema" in given else None,
        tools=notebook_lookup.tools_of(shell, given.get("tool", ())),
        env=notebook_lookup.environment_of(given["env"]) if "env" in given else None,
        mcp=notebook_lookup.servers_of(shell, given["mcp"]) if "mcp" in given else None,
        out=out,
        background=given.get("bg", False),
        step=given.get("step", False),
        dry_run=given.get("dry_run", False),
        estimate=given.get("estimate", False),
        continues=earlier,
        samples=notebook_lookup.samples_of(shell, given["samples"]) if "samples" in given else None,
        verify=given.get("verify", False),
        checks=notebook_lookup.tools_of(shell, given.get("check", ()), "check"),
        plain=given.get("plain", False),
        chat=given.get("chat", False),
    )


def settings_of(magics: MagicsState, given: dict[str, Any]) -> dict[str, Any]:
    """Returns those of a line's options that are settings."""
    names = [*magics.trait_names(config=True), *arguments_of("sandbox")]
    return {name: given[name] for name in names if name in given}


def _data_of(shell: InteractiveShell, words: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
    """Returns the names and the data of a line's words: variables, and paths that begin with `@`.

    Raises:
        UsageError: a variable, a file or a folder that does not exist.
    """
    found: dict[str, Any] = {}
    for word in words:
        if is_path(word):
            try:
                value = paths_of(word)
            except ContextError as error:
                raise UsageError(error.message) from None
            found[variable_for(word, {*found, *words})] = value
        else:
            found[word] = notebook_lookup.variable(shell, word)
    names = tuple(found)
    return names, None if not found else found[names[0]] if len(found) == 1 else found


def _check_names(names: tuple[str, ...], variables: Container[str]) -> None:
    """Raises with what to write instead of a word that is not a name, if the word shows what was meant.

    Raises:
        UsageError: an expression, an option without hyphens, a command of `%rlm`, or a part of a sentence.
    """
    for name in names:
        if name in variables:
            continue
        option = "--" + name.partition("=")[0].replace("_", "-")
        if "=" in name and option in options(CELL):
            raise UsageError(
                f"`{name}` is not a name. An option is written `{option} {name.partition('=')[2]}`."
            )
        if name in COMMANDS:
            raise UsageError(f"`{name}` is a command: `%rlm {name}`, with one `%`. `%%rlm` asks a question.")
        if name.isidentifier():
            continue
        if _is_expression(name):
            raise UsageError(
                f"`{name}` is an expression, and `%%rlm` takes names of variables: `part = {name}` in a cell "
                "before, then `%%rlm part`."
            )
        raise UsageError(
            f"`{name}` cannot be the name of a variable. The line takes names and options with spaces between "
            "them; the question is written below it."
        )


def _is_expression(text: str) -> bool:
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return isinstance(tree.body, (ast.Call, ast.Attribute, ast.Subscript, ast.BinOp, ast.Dict, ast.List))


def _newest_run() -> Run:
    from rlm_jupyter.rlm import last_run

    run = last_run()
    if run is None:
        raise UsageError("There is no run to continue yet: ask first, without `--continue`.")
    return run


def question_of(body: str) -> str:
    """Returns a cell's question: its body without blank lines around it.

    Raises:
        UsageError: it is empty.
    """
    if not body.strip():
        raise UsageError("The question is empty. Write it in the cell, below the line of `%%rlm`.")
    first = body.rfind("\n", 0, len(body) - len(body.lstrip())) + 1
    end = body.find("\n", len(body.rstrip()))
    return body[first:] if end < 0 else body[first:end]
