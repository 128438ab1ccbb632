"""The question of a run that goes through the record of an earlier one: to resume it, or to branch off it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rlm_jupyter.engine.run.recorded_run import Branch
from rlm_jupyter.engine.samples.samples import Samples
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.run_setup.branch_link import link_branch
from rlm_jupyter.run_setup.question import Inherited, Question
from rlm_jupyter.run_setup.resumption import Recording

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.models.base import ChatModel
    from rlm_jupyter.records.past_run import PastRun
    from rlm_jupyter.settings import Limits, Settings

_MOST_CODE = 1_000_000


class Asker(Protocol):
    """Who starts the run (`rlm_jupyter.wiring.Wiring`)."""

    settings: Settings
    model: ChatModel
    sub_model: ChatModel

    def start(self, asked: Question, limits: Limits) -> Run:
        """Begin a run."""


def resumed(
    asker: Asker,
    run: Run | PastRun | str | os.PathLike[str],
    context: Any,
    limits: Limits,
    options: Mapping[str, Any],
    *,
    above: tuple[str, ...] = (),
) -> tuple[Question, Limits]:
    """Returns the question of a run that resumes another one, and what it may spend.

    A run that was a follow-up goes on with the run before it, which is resumed first and waited for.

    Args:
        asker: starts runs.
        run: which is resumed.
        context: its data; None for what was kept.
        limits: for both together.
        options: of the question.
        above: ids of the follow-ups that lead to this run.

    Raises:
        RLMError: why it cannot be resumed.
    """
    recording = Recording.of(run, asker.settings.log_dir)
    recording.check_models(asker.model, asker.sub_model)
    left = recording.limits(limits)
    if recording.tree.continues is None:
        return _question(recording, context, None, options), left
    earlier = _earlier(asker, recording, context, limits, options, (*above, recording.tree.run))
    asked = Question(recording.tree.question, recorded=recording.recorded(), continues=earlier, **options)
    return asked, left


def _earlier(
    asker: Asker,
    recording: Recording,
    context: Any,
    limits: Limits,
    options: Mapping[str, Any],
    above: tuple[str, ...],
) -> Run:
    """Resume the run that a follow-up went on with, to its end.

    Raises:
        ConfigError: its log is not there, it had no answer, or more data came with the follow-up.
    """
    tree = recording.tree
    before = tree.continues or ""
    log = recording.log.with_name(f"{before}.jsonl") if recording.log is not None else None
    if log is None or Path(before).name != before or not log.is_file():
        raise ConfigError(f"Run `{tree.run}` continued run `{before[:80]}`, whose log is not beside its own.")
    first = Recording.of(log, asker.settings.log_dir)
    if first.tree.run in above:
        raise ConfigError(f"The log of run `{tree.run}` says that it continued itself: it cannot be resumed.")
    if first.tree.status != "done":
        raise ConfigError(
            f"Run `{tree.run}` continued run `{before}`, which gave no answer: ask that one anew."
        )
    if (first.tree.context or {}).get("summary") != (tree.context or {}).get("summary"):
        raise ConfigError(
            f"Run `{tree.run}` is a follow-up with more data: resume run `{before}`, and ask it on with that data."
        )
    given = {name: option for name, option in options.items() if name not in ("schema", "names")}
    first_options = {**given, "names": options.get("names", ())}
    asked, left = resumed(asker, log, context, limits, first_options, above=above)
    return asker.start(asked, left).wait_interruptibly().raise_for_error()


def branched(
    asker: Asker,
    run: Run | PastRun | str | os.PathLike[str],
    context: Any,
    change: Mapping[str, Any],
    options: Mapping[str, Any],
    limits: Limits,
) -> Run:
    """Begin a run that leaves another one at a turn, and tell that one of it if it is held.

    Args:
        asker: starts runs.
        run: which is left.
        context: its data; None for what was kept.
        change: the fields of a `Branch`.
        options: of the question.
        limits: what the branch may spend.

    Raises:
        RLMError: why it cannot be.
    """
    branch = _branch(change)
    recording = Recording.of(run, asker.settings.log_dir)
    if recording.tree.continues is not None:
        raise ConfigError(
            f"Run `{recording.tree.run}` goes on in the kernel of run `{recording.tree.continues}`, which has changed "
            "since: branch off that one, or ask it anew."
        )
    made = asker.start(_question(recording, context, branch, options), limits)
    if recording.live is not None:
        link_branch(recording.live, made, branch)
    return made


def _branch(change: Mapping[str, Any]) -> Branch:
    """Raises ConfigError for what no turn can have."""
    branch = Branch(**change)
    if not isinstance(branch.turn, int) or isinstance(branch.turn, bool):
        raise ConfigError(f"`turn` takes the number of a turn, not a `{type(branch.turn).__name__}`.")
    for name in ("code", "observation"):
        text = getattr(branch, name)
        if text is not None and (not isinstance(text, str) or not text.strip() or len(text) > _MOST_CODE):
            raise ConfigError(
                f"`{name}` takes a text that is not empty, of {_MOST_CODE:,} characters at the most."
            )
    if branch.code is not None and "```" in branch.code:
        raise ConfigError("`code` is Python alone: it cannot hold the fence of a block (three backticks).")
    return branch


def _question(
    recording: Recording, context: Any, branch: Branch | None, options: Mapping[str, Any]
) -> Question:
    tree = recording.tree
    how: dict[str, Any] = {"plain": tree.plain, "verify": tree.verify}
    if tree.samples is not None:
        how["samples"] = Samples.of_record(tree.samples)
    asked = Question(tree.question, context, recorded=recording.recorded(branch), **{**how, **options})
    if context is None and not asked.names:
        asked.data = recording.data()
    elif not asked.names:
        asked.names = recording.names
    if recording.live is not None and (root := recording.live.root) is not None:
        known = recording.live.arguments
        servers = known.servers if known is not None else {}
        asked.inherited = Inherited(
            root.spec.schema,
            root.spec.tools,
            known.env if known is not None else {},
            servers,
            root.spec.checks,
        )
    return asked
