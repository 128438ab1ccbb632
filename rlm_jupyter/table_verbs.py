"""What can be asked about the rows of a table, besides one question for each: filter, top, join, search, group, reduce.

`RLM` has these verbs, and they block; `RLM.in_background` has the same ones, and they return the run at once.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from rlm_jupyter.settings import Limits

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.engine.mapping.map_task import MapTask
    from rlm_jupyter.engine.mapping.table_run import TableRun
    from rlm_jupyter.engine.operators.table_operator import TableOperator
    from rlm_jupyter.events.events import AnyEvent
    from rlm_jupyter.wiring import Wiring

    Task: TypeAlias = MapTask | TableOperator

Result = TypeVar("Result")
Columns: TypeAlias = Sequence[Any] | str | None
"""A column or several, which the model is shown; None: all."""
GivenLimits: TypeAlias = Limits | Mapping[str, object] | None


class TableVerbs(ABC, Generic[Result]):
    """Verbs for tables. Data is a DataFrame, a Series, or a list of texts or dicts.

    All have in common: rows go many to a request, to `sub_model`, and each answer is checked; what is missing, doubled
    or wrong is asked again alone. After the first requests, the run waits for `next()` if many follow, and the tree
    says what the rest will cost; `confirm=False` does not ask. The result's `attrs` say model, question, prompt, cost,
    errors, and the labels of rows without an answer (`failed`). `limits` are those of this run instead of the
    `RLM`'s, and `on_event` is called with each event of the run, on the engine's thread.

    Raises:
        ConfigError: a column that does not exist, a number that cannot be, or an empty question.
        ContextError: the data is no table.
        RLMError: there is no whole answer; the error's `.run.value` has what there is.
    """

    @abstractmethod
    def _perform(
        self, task: Task, limits: GivenLimits, on_event: Callable[[AnyEvent], None] | None
    ) -> Result:
        """Start a run of a task, and return what the verb returns."""

    def filter(
        self,
        data: Any,
        question: str,
        *,
        columns: Columns = None,
        per: int | None = None,
        sample: int | None = None,
        confirm: bool = True,
        write_function: bool = True,
        use_function: bool = False,
        limits: GivenLimits = None,
        on_event: Callable[[AnyEvent], None] | None = None,
    ) -> Result:
        """Keep the rows for which the answer to a question is yes.

        Usage:
            >>> late = rlm.filter(complaints, "Is it about a late delivery?", columns=["text"])

        Args:
            data: see the class.
            question: that is asked about each row.
            columns: that the model is shown.
            per: rows of one request at most; None: as many as fit.
            sample: rows that are done and priced first; None: 20.
            confirm: whether the run waits for `next()` after these.
            write_function: as of `RLM.start_map`.
            use_function: as of `RLM.start_map`.
            limits: see the class.
            on_event: see the class.

        Returns:
            These rows, with all columns and their index.
        """
        from rlm_jupyter.engine.mapping.map_task import read_filter

        task = read_filter(
            data,
            question,
            columns=columns,
            per=per,
            sample=sample,
            confirm=confirm,
            write_function=write_function,
            use_function=use_function,
        )
        return self._perform(task, limits, on_event)

    def top(
        self,
        data: Any,
        question: str,
        k: int = 10,
        *,
        columns: Columns = None,
        confirm: bool = True,
        limits: GivenLimits = None,
        on_event: Callable[[AnyEvent], None] | None = None,
    ) -> Result:
        """Find the rows that fit a question best, by comparisons.

        Usage:
            >>> urgent = rlm.top(tickets, "Which is most urgent?", k=10)

        Args:
            data: see the class.
            question: by which rows are compared.
            k: how many rows, at most 50.
            columns: that the model is shown.
            confirm: whether the run waits for `next()` after the first request, if many follow.
            limits: see the class.
            on_event: see the class.

        Returns:
            These rows, the best one first, with all columns and their index.
        """
        from rlm_jupyter.engine.operators.top_rows import TopRows

        return self._perform(TopRows(data, question, columns, confirm, k), limits, on_event)

    def join(
        self,
        left: Any,
        right: Any,
        question: str,
        *,
        on: Any = None,
        columns: Columns = None,
        right_columns: Columns = None,
        confirm: bool = True,
        limits: GivenLimits = None,
        on_event: Callable[[AnyEvent], None] | None = None,
    ) -> Result:
        """Find the pairs of rows of two tables for which something is true.

        Usage:
            >>> pairs = rlm.join(tickets, products, "The ticket is about this product", on="country")

        Args:
            left: see the class.
            right: the other table.
            question: what is true of both rows of a pair.
            on: columns that both tables have; rows that differ there, or where they are missing, are not compared.
            columns: of `left`, which the model is shown.
            right_columns: of `right`.
            confirm: whether the run waits for `next()` after the first request, if many follow.
            limits: see the class.
            on_event: see the class.

        Returns:
            A row for each pair, with the columns of both (`_left` or `_right` behind the names that both have), and the
            labels of both as its index.
        """
        from rlm_jupyter.engine.operators.join_rows import JoinRows

        task = JoinRows(left, question, columns, confirm, right, right_columns, on)
        return self._perform(task, limits, on_event)

    def search(
        self,
        data: Any,
        query: str,
        k: int = 10,
        *,
        columns: Columns = None,
        candidates: int | None = None,
        confirm: bool = True,
        limits: GivenLimits = None,
        on_event: Callable[[AnyEvent], None] | None = None,
    ) -> Result:
        """Find the rows that a query is about: candidates by words, which the model then ranks.

        The model is first asked for words and synonyms; rows that have none of these are not found.

        Usage:
            >>> found = rlm.search(complaints, "late delivery", k=10)

        Args:
            data: see the class.
            query: what is searched for.
            k: how many rows at most, up to 50.
            columns: that are searched, and that the model is shown.
            candidates: rows that the model ranks; None: five for each of `k`, at least 40.
            confirm: whether the run waits for `next()` after the first request, if many follow.
            limits: see the class.
            on_event: see the class.

        Returns:
            These rows, the best one first, with all columns and their index.
        """
        from rlm_jupyter.engine.operators.search_rows import SearchRows

        return self._perform(SearchRows(data, query, columns, confirm, k, candidates), limits, on_event)

    def group(
        self,
        data: Any,
        question: str,
        k: int = 8,
        *,
        labels: Sequence[str] | None = None,
        columns: Columns = None,
        confirm: bool = True,
        limits: GivenLimits = None,
        on_event: Callable[[AnyEvent], None] | None = None,
    ) -> Result:
        """Sort rows into groups that the model names from a sample.

        Usage:
            >>> themes = rlm.group(complaints, "the theme of the complaint", k=6)
            >>> complaints.groupby(themes["label"]).size()

        Args:
            data: see the class.
            question: by what rows are sorted.
            k: how many groups at most, from 2 to 50; `other` comes on top.
            labels: the groups, if the model shall not name them.
            columns: that the model is shown.
            confirm: whether the run waits for `next()` after the first request, if many follow.
            limits: see the class.
            on_event: see the class.

        Returns:
            A table with the index of the data: `label`, of the dtype `category`, and `error`.
        """
        from rlm_jupyter.engine.operators.group_rows import GroupRows

        return self._perform(GroupRows(data, question, columns, confirm, k, labels), limits, on_event)

    def reduce(
        self,
        data: Any,
        question: str,
        *,
        by: Any = None,
        columns: Columns = None,
        confirm: bool = True,
        limits: GivenLimits = None,
        on_event: Callable[[AnyEvent], None] | None = None,
    ) -> Result:
        """Make one text of all rows, or of those of each group: parts are answered for, then these are combined.

        Usage:
            >>> summary = rlm.reduce(complaints, "What do customers complain about?", by="country")

        Args:
            data: see the class.
            question: what the text answers.
            by: a column, or several: one text for each group of rows.
            columns: that the model is shown.
            confirm: whether the run waits for `next()` after the first request, if many follow.
            limits: see the class.
            on_event: see the class.

        Returns:
            A table with `answer`, `rows` (how many it is made of) and `error`, one row for each group.
        """
        from rlm_jupyter.engine.operators.reduce_rows import ReduceRows

        return self._perform(ReduceRows(data, question, columns, confirm, by), limits, on_event)


class StartedVerbs(TableVerbs["TableRun"]):
    """The verbs for tables, which return their run at once; its `value` is the table so far.

    Args:
        start: starts a run of a task.
    """

    def __init__(self, start: Callable[..., TableRun]) -> None:
        self._start = start

    def _perform(
        self, task: Task, limits: GivenLimits, on_event: Callable[[AnyEvent], None] | None
    ) -> TableRun:
        return self._start(task, limits, on_event)


class BlockingVerbs(TableVerbs["pd.DataFrame"]):
    """The verbs for tables, which block until there is an answer; `RLM` has them."""

    limits: Limits

    @abstractmethod
    def _wiring(self) -> Wiring: ...

    @abstractmethod
    def _check_limits(self, limits: Limits) -> Limits: ...

    @property
    def in_background(self) -> StartedVerbs:
        """The same verbs, which return the run at once: `run = rlm.in_background.top(...)`, `await run.atable()`."""
        return StartedVerbs(self._start_task)

    def _start_task(
        self, task: Task, limits: GivenLimits, on_event: Callable[[AnyEvent], None] | None
    ) -> TableRun:
        allowed = self.limits if limits is None else self._check_limits(Limits.of(limits))
        return self._wiring().start_map(task, allowed, on_event)

    def _perform(
        self, task: Task, limits: GivenLimits, on_event: Callable[[AnyEvent], None] | None
    ) -> pd.DataFrame:
        table = self._start_task(task, limits, on_event).table()
        failed = table.attrs.get("failed")
        if failed:
            warnings.warn(
                f"For {table.attrs['errors']:,} of the questions about rows there is no answer: "
                "`result.attrs['failed']` has the labels of these rows, and the result may lack some of them.",
                stacklevel=3,
            )
        return table
