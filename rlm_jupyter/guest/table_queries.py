"""Handles of tables in an agent's kernel: their questions go to the engine, and results come as frames.

It travels there as source: the standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..values.codec import table_handle
from .pending_calls import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from .bridge.socket_link import Line, Reply


def connect(link: Line, finish: Callable[[Reply], Any]) -> None:
    """Let the handles of this kernel be answered by the engine.

    Args:
        link: to it.
        finish: turns its reply into a value, or raises.
    """

    def ask(body: dict[str, Any]) -> Any:
        # It blocks also where a cell awaits: it is a library's call like any other, and no model's.
        answer = Work("table", finish).start(link, "table", body).wait()
        if body["what"] == "describe":
            import pandas as pd

            return pd.DataFrame(answer).set_index("column")
        return answer if type(answer) in (dict, int, list) else _frame(answer)

    table_handle.answer_with(ask)


def _frame(table: Any) -> Any:
    """Make a DataFrame of an Arrow table. Decimals become integers or floats, as DuckDB's own frames have them."""
    import pyarrow as pa

    columns = [_number(column) if pa.types.is_decimal(column.type) else column for column in table.columns]
    table = pa.Table.from_arrays(columns, names=table.column_names)
    return table.to_pandas()


def _number(column: Any) -> Any:
    """Cast a column of decimals: to integers where it has no decimals and all fit, else to floats."""
    import pyarrow as pa

    if column.type.scale <= 0:
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            pass
    return column.cast(pa.float64())
