"""Where two arrays of numbers differ, without making Python's own numbers of all of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.samples.compared_parts import MOST, Difference, Tolerance, joined, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

_NUMBERS = "biufc"
_MOST_DENSE = 1 << 25
"""Numbers of a sparse matrix that are written out to be compared."""


def as_arrays(one: object, other: object) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """Returns two values as arrays of numbers; None unless one is such an array, and the other one may be.

    Args:
        one: an array of numpy, torch or xarray, a sparse matrix, or a list of numbers.
        other: another one.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    arrays = [_array(value, numpy) for value in (one, other)]
    if all(array is None for array in arrays):
        return None
    for at, value in enumerate((one, other)):
        if arrays[at] is None and isinstance(value, (list, tuple)) and value:
            try:
                arrays[at] = numpy.asarray(value)
            except (ValueError, OverflowError):  # rows of different lengths
                return None
    left, right = arrays
    if left is None or right is None or left.ndim == 0 or right.ndim == 0:
        return None
    if left.dtype.kind not in _NUMBERS or right.dtype.kind not in _NUMBERS:
        return None
    return (left, right) if (left.dtype.kind == "b") is (right.dtype.kind == "b") else None


def _array(value: Any, numpy: Any) -> Any:
    module, name = type(value).__module__.partition(".")[0], type(value).__name__
    if isinstance(value, numpy.ndarray):
        return value if value.dtype.names is None else None
    if module == "scipy" and hasattr(value, "toarray") and hasattr(value, "shape"):
        return value.toarray() if numpy.prod(value.shape, dtype=float) <= _MOST_DENSE else None
    if module == "torch" and name == "Tensor":
        return value.detach().cpu().numpy()
    if module == "xarray" and name == "DataArray":
        return value.values
    return None


def array_differences(
    left: np.ndarray[Any, Any], right: np.ndarray[Any, Any], tolerance: Tolerance, place: str
) -> Iterator[Difference]:
    """Yields where two arrays differ.

    Args:
        left: one array.
        right: the other one.
        tolerance: of numbers.
        place: of the arrays in the answer; empty if they are the answer.
    """
    import numpy as np

    if left.shape != right.shape:
        yield Difference(joined(place, "shape"), _shape(left), _shape(right))
        return
    whole = left.dtype.kind in "biu" and right.dtype.kind in "biu"
    with np.errstate(invalid="ignore", over="ignore"):
        same = left == right
        if not (whole and (left.dtype.kind == "b" or not tolerance.of_whole_numbers)):
            relative, absolute = tolerance.amounts
            kind = complex if "c" in (left.dtype.kind, right.dtype.kind) else float
            one, other = left.astype(kind), right.astype(kind)
            most = np.maximum(absolute, relative * np.maximum(np.abs(one), np.abs(other)))
            same |= np.isnan(one) & np.isnan(other)
            same |= np.isfinite(most) & (np.abs(one - other) <= most)
    for at in np.argwhere(~same)[:MOST].tolist():
        where = ", ".join(str(side + 1) for side in at)
        yield Difference(
            joined(place, f"item {where}"), told(left[tuple(at)].item()), told(right[tuple(at)].item())
        )


def _shape(array: np.ndarray[Any, Any]) -> str:
    return " x ".join(f"{side:,}" for side in array.shape)
