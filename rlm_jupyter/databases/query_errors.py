"""Why a query was not answered: told to the agent whose code asked."""

from __future__ import annotations

from rlm_jupyter.errors import RLMError


class QueryError(RLMError):
    """A query was refused, failed in the database, or gave too much; the message says what to do."""


class ResultTooLargeError(QueryError):
    """The result of a query has more rows or bytes than one may have."""


class QueryCancelledError(QueryError):
    """A query was ended because nobody waits for it any more."""


class QueryTimeoutError(QueryError):
    """A query took too long and was cancelled."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The query took longer than {seconds:g} s and was cancelled in the database. Ask for less of it: "
            "aggregate in SQL, narrow it by .where('...'), or look at .sample(n)."
        )
