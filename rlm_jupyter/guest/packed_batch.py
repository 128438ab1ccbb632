"""Calls that answer for several items each, as one batch with a result for each item.

It travels into agents' kernels as source: the standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bridge.socket_link import error_of
from .pending_calls import Batch, Failed, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class PackedBatch(Batch):
    """A batch whose calls answer for packs of items; the value is a list with a result for each item, in order.

    Args:
        name: the word that was called.
        starts: one for each pack.
        width: packs that are asked about at once.
        sizes: items of each pack.
        convert: makes a value of the wanted type of an answer.
    """

    def __init__(
        self,
        name: str,
        starts: Sequence[Callable[[], Work]],
        width: int,
        sizes: Sequence[int],
        convert: Callable[[Any], Any],
    ) -> None:
        super().__init__(name, starts, width)
        self._sizes, self._convert = sizes, convert

    def run(self) -> list[Any]:
        """Do it on this thread."""
        packs = zip(super().run(), self._sizes, strict=True)
        return [result for pack, size in packs for result in self._results(pack, size)]

    def _results(self, pack: Any, size: int) -> Iterator[Any]:
        if isinstance(pack, Failed):
            yield from [pack] * size
            return
        for answer in pack["answers"]:
            yield self._result(answer)

    def _result(self, answer: dict[str, Any]) -> Any:
        if "error" in answer:
            return Failed(error_of(answer["kind"], answer["error"]))
        try:
            return self._convert(answer["value"])
        except Exception as error:
            return Failed(error)
