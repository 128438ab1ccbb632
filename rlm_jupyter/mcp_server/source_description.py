"""What a source is, in a few thousand characters: its kind and size, its lines or its columns, and its beginning."""

from __future__ import annotations

from typing import Any

from rlm_jupyter.mcp_server.opened_file import OpenedFile
from rlm_jupyter.mcp_server.request_time import RequestTime
from rlm_jupyter.mcp_server.text_reading import read_span
from rlm_jupyter.values.describe.short_text import cut, short
from rlm_jupyter.values.files.metadata import describe_path

COUNT_SECONDS = 5.0
_COLUMNS = 60
_ROWS = 3
_CELL = 60
_PREVIEW_LINES = 20
_PREVIEW = 2000
_SUMMARY = 600


def describe_source(handle: str, file: OpenedFile, time: RequestTime) -> dict[str, Any]:
    """Describe a file by its metadata and its beginning.

    Args:
        handle: what it is called in the answer.
        file: the file.
        time: in which its lines are counted, as far as that goes.

    Raises:
        RequestRefusedError: it was changed since it was opened.
    """
    with file.view() as path:
        about = describe_path(path, rows=_ROWS)
    summary = str(about.get("summary", "")).removeprefix(f"Path of `{file.name}`").lstrip(":, ")
    made: dict[str, Any] = {
        "handle": handle,
        "kind": file.form().name,
        "bytes": file.size,
        "summary": summary[:_SUMMARY],
        "is_text": file.encoding is not None,
    }
    columns = [one for one in about.get("columns") or () if isinstance(one, dict)]
    if columns:
        made["columns"] = [
            {"name": _short(one.get("name")), "type": _short(one.get("dtype"))} for one in columns[:_COLUMNS]
        ]
        made["more_columns"] = max(0, len(columns) - _COLUMNS)
        made["first_rows"] = [
            [_short(cell) for cell in list(row)[:_COLUMNS]] for row in (about.get("rows") or [])[:_ROWS]
        ]
    if file.encoding is not None:
        index = file.lines()
        index.scan(time)
        made |= {"encoding": file.encoding, "lines": index.count, "lines_at_least": index.known}
        if index.known:
            made["preview"] = read_span(handle, index, 1, _PREVIEW_LINES, 0, RequestTime(COUNT_SECONDS))[
                "text"
            ][:_PREVIEW]
    return made


def _short(cell: object) -> str:
    return cut(cell, _CELL) if isinstance(cell, str) else short(cell, _CELL)
