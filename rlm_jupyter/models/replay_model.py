"""`ReplayModel`: the replies of a run's log, in the place of the language model that gave them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Self

from rlm_jupyter.events.log_lines import read_log
from rlm_jupyter.models.base import Completion, CompletionRequest, Price
from rlm_jupyter.models.recorded_replies import Departure, RecordedReplies, check_replayable

if TYPE_CHECKING:
    import os

    from rlm_jupyter.events.tree_state import TreeState

_RUNS: Final = 16
"""Runs of which it is kept how far they have come."""


class ReplayModel:
    """Answers with the replies that a run's log holds; it is not a language model, and says so.

    A run of a real model becomes a regression test that needs no key, no network and no money::

        from rlm_jupyter import RLM
        from rlm_jupyter.models import ReplayModel

        model = ReplayModel.from_log("rlm_runs/20261130-193422-74639a.jsonl")
        run = RLM(model=model).run("Which supplier has the most refunds?", context=orders)
        assert run.value == "Elm"
        assert not model.departures

    Each run that it answers begins at the beginning of the log. An agent gets the replies of the log's agent that has
    the same parent and the same first prompt, or else the same id, turn by turn; a plain completion (`llm_query`) gets
    the reply to the same prompt, in whatever order prompts come. What the log does not hold is refused.

    Args:
        tree: of the recorded run, such as `rlm_jupyter.records.load(path).tree` or `run.tree`.
        strict: refuse the first prompt that is not that of the log, besides lines on what is left to spend. If false,
            such a prompt is noted in `departures`, and the reply of that turn is given all the same.

    Attributes:
        name: of the recorded run's root model, by which prompts and windows are chosen.
        run: the id of the recorded run.
        scripted: True.
        provenance: what the tree says of the answers.

    Raises:
        ConfigError: the run holds no reply.
    """

    scripted: Final = True

    def __init__(self, tree: TreeState, *, strict: bool = False) -> None:
        check_replayable(tree)
        self._tree = tree
        self.strict = strict
        self.name = tree.model or "replay"
        self.run = tree.run
        self.price = Price(0.0, 0.0)
        self.provenance = f"replies of run {tree.run}, replayed from its log; no language model is asked"
        self._runs: OrderedDict[str, RecordedReplies] = OrderedDict()

    @classmethod
    def from_log(cls, path: str | os.PathLike[str], *, strict: bool = False) -> Self:
        """Make one from a run's log.

        Args:
            path: of the `.jsonl` file.
            strict: as of the class.

        Raises:
            RunNotFoundError: there is no file at `path`.
            LogError: it is not a log of a run, or one that only a newer version can read.
            ConfigError: the log holds no reply.
        """
        return cls(read_log(path).tree, strict=strict)

    @property
    def replayed_name(self) -> str:
        """The name of the model whose replies these are: its prompt is chosen as that model's was."""
        return self.name

    @property
    def departures(self) -> list[Departure]:
        """Where the newest run was asked, or asked, something else than the log has; empty if nowhere."""
        newest = self._newest
        return [] if newest is None else list(newest.departures)

    @property
    def unused(self) -> int:
        """How many replies of the log the newest run has not asked for."""
        newest = self._newest
        return RecordedReplies(self._tree).left if newest is None else newest.left

    async def complete(self, request: CompletionRequest) -> Completion:
        """Returns the reply that the log holds.

        Raises:
            NotRecordedError: it holds none; the message says where the run departs, and what differs.
            ModelError: the recorded request failed, too.
        """
        replies = self._runs.get(request.run)
        if replies is None:
            replies = self._runs[request.run] = RecordedReplies(self._tree, self.strict)
            while len(self._runs) > _RUNS:
                self._runs.popitem(last=False)
        completion = replies.answer(request)
        if request.on_delta is not None and completion.text:
            request.on_delta(completion.text)
        return completion

    def __repr__(self) -> str:
        return f"ReplayModel(run={self.run!r}, name={self.name!r})"

    @property
    def _newest(self) -> RecordedReplies | None:
        return next(reversed(self._runs.values()), None)
