"""The texts of a column of Arrow, as a sequence: ten million of them are not made Python's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload


class ArrowTexts(Sequence[str]):
    """Reads texts where they lie.

    Args:
        array: of `large_string`, without missing values.
    """

    def __init__(self, array: Any) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> ArrowTexts: ...

    def __getitem__(self, place: int | slice) -> str | ArrowTexts:
        if isinstance(place, slice):
            start, stop, _ = place.indices(len(self))
            return ArrowTexts(self._array.slice(start, stop - start))
        return str(self._array[place].as_py())

    def __iter__(self) -> Iterator[str]:
        return iter(self._array.to_pylist())

    def joined(self, separator: str) -> str:
        """Returns all texts in one, with a separator after each."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = pa.large_string()
        ended = pc.binary_join_element_wise(self._array, pa.scalar("", kind), pa.scalar(separator, kind))
        data = ended.buffers()[2]
        return data.to_pybytes().decode() if data is not None else ""


def arrow_texts(series: Any) -> ArrowTexts | None:
    """Returns the texts of a series of pandas that Arrow holds; None if it is another."""
    array: Any = getattr(series, "array", None)
    if getattr(getattr(series, "dtype", None), "storage", "") != "pyarrow" or not hasattr(
        array, "__arrow_array__"
    ):
        return None
    import pyarrow as pa

    found = array.__arrow_array__()
    found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    return ArrowTexts(found.cast(pa.large_string()))


def texts_of_arrow(array: Any) -> ArrowTexts | None:
    """Returns the texts of an array of Arrow; None if it has others than texts."""
    import pyarrow as pa

    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return None
    found = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return ArrowTexts(found.drop_null().cast(pa.large_string()))
