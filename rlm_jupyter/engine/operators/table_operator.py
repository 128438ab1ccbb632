"""`TableOperator`: a question about a table that several rounds of checked requests answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from rlm_jupyter.engine.mapping.item_text import item_text, row_texts
from rlm_jupyter.engine.mapping.map_task import check_count, shown_columns, table_of
from rlm_jupyter.engine.mapping.packing import item_tokens, pack
from rlm_jupyter.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.engine.mapping.item_answers import Outcome
    from rlm_jupyter.engine.mapping.item_schema import ItemSchema
    from rlm_jupyter.engine.mapping.packing import PackLimits

MOST_LABELS = 100
"""Of rows without an answer, in `attrs`."""

Done = Callable[[int, "Outcome"], None]


@dataclass(frozen=True)
class Batch:
    """Items that are asked one question, many to a request.

    Attributes:
        question: what is asked about each item.
        schema: of an answer.
        items: each as one line of JSON.
        reply_tokens: about how many tokens an answer has; None: by the schema.
        check: as of `ItemRequests`.
        done: called with the final outcome of each item, by its position, as soon as that is known.
    """

    question: str
    schema: ItemSchema
    items: Sequence[str]
    reply_tokens: int | None = None
    check: Callable[[int, dict[str, Any]], None] | None = None
    done: Done | None = None

    def packs(self, limits: PackLimits) -> list[list[int]]:
        """Returns the items of each request, by position."""
        tokens = self.schema.tokens if self.reply_tokens is None else self.reply_tokens
        return pack(range(len(self.items)), self.items, tokens, limits)


@dataclass
class Plan:
    """What an operator will send, known before anything is: all rounds, without what is asked again.

    Attributes:
        noun: what one item of a request is called.
        items: how many items.
        requests: how many requests.
        prompt_tokens: of the items and questions, about.
    """

    noun: str = "row"
    items: int = 0
    requests: int = 0
    prompt_tokens: int = 0

    def add(self, batch: Batch, limits: PackLimits) -> None:
        """Count the requests of a batch."""
        packs = batch.packs(limits)
        self.items += len(batch.items)
        self.requests += len(packs)
        self.prompt_tokens += request_tokens(batch, len(packs)) + sum(map(item_tokens, batch.items))


def request_tokens(batch: Batch, requests: int) -> int:
    """Returns about how many tokens the questions of so many requests have."""
    return requests * (item_tokens(batch.question) + item_tokens(batch.schema.text))


class Asking(Protocol):
    """Sends the requests of an operator."""

    @property
    def limits(self) -> PackLimits:
        """Of one request."""

    @property
    def most_tokens(self) -> int:
        """Of one item that cannot be divided."""

    async def ask(self, batches: Sequence[Batch]) -> list[list[Outcome]]:
        """Ask batches at once, and return an outcome for each of their items.

        Raises:
            LimitReachedError, ModelError: as `ItemRequests.outcomes`.
        """

    async def compute(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run on a thread what takes long."""

    def tell(self, text: str) -> None:
        """Tell the user how far it is."""


@dataclass
class TableOperator(ABC):
    """A question about a table, checked before anything is started. It is made for one run.

    Attributes:
        rows: the table, copied.
        question: verbatim.
        columns: that the model is shown; None: all.
        confirm: whether the user is asked after the first request, if many follow.
    """

    verb: ClassVar[str]
    by_group: ClassVar[bool] = False
    rows: pd.DataFrame
    question: str
    columns: Sequence[Any] | str | None = None
    confirm: bool = True

    def __post_init__(self) -> None:
        self.rows = table_of(self.rows, self.verb).copy()
        if not len(self.rows):
            raise ConfigError(f"The table of `{self.verb}` has no rows: nothing can be asked about it.")
        names = shown_columns(self.rows, self.columns)
        self.frame = self.rows if names is None else self.rows[names]
        self.texts = row_texts(self.frame)

    @property
    def whole(self) -> pd.DataFrame:
        """All data that the run holds, whether the model is shown it or not."""
        return self.rows

    @property
    @abstractmethod
    def prompt(self) -> str:
        """What the model is asked, without data."""

    @abstractmethod
    def plan(self, limits: PackLimits) -> Plan:
        """Returns what will be sent.

        Raises:
            ConfigError: rows are too large to be compared.
        """

    @abstractmethod
    async def work(self, asking: Asking) -> None:
        """Ask; the answer is then in `table`.

        Raises:
            LimitReachedError, ModelError, AgentFailedError: why it is not whole.
        """

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """Returns the answer as far as it is known."""

    def _check_count(self, name: str, number: object) -> None:
        check_count(name, number)


def numbered(texts: Sequence[str]) -> str:
    """Returns rows, each a line of JSON, as one object that numbers them from 1, in one line."""
    return "{" + ", ".join(f'"{number}": {text}' for number, text in enumerate(texts, 1)) + "}"


def listed(name: str, texts: Sequence[str]) -> str:
    """Returns an object with a list of texts of JSON below a name."""
    return f"{{{item_text(name)}: [{', '.join(texts)}]}}"


def check_numbers(found: object, count: int, exactly: int | None = None) -> list[int]:
    """Returns numbers of an answer.

    Args:
        found: what the answer has.
        count: how many rows were numbered.
        exactly: how many numbers are wanted; None: any.

    Raises:
        ValueError: it is no list of different numbers of these rows.
    """
    if not isinstance(found, list) or len(found) > count:
        raise ValueError(f"A list of at most {count} numbers of rows was asked for.")
    if any(isinstance(one, bool) or not isinstance(one, int) or not 1 <= one <= count for one in found):
        raise ValueError(f"The rows are numbered from 1 to {count}, and there is another number in the list.")
    if len(set(found)) < len(found):
        raise ValueError("A row's number stands in the list more than once.")
    if exactly is not None and len(found) != exactly:
        raise ValueError(f"The list has {len(found)} numbers, and {exactly} were asked for.")
    return found


def number_list(name: str, example: list[int]) -> dict[str, Any]:
    """Returns the JSON Schema of an answer that is a list of numbers."""
    numbers = {"type": "array", "items": {"type": "integer"}, "examples": [example]}
    return {"type": "object", "properties": {name: numbers}, "required": [name]}
