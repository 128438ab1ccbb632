"""What MCP servers answer, as plain Python data: texts, JSON data, bytes."""

from __future__ import annotations

import base64
import binascii
from typing import Any


def tool_result(result: Any) -> dict[str, Any]:
    """Returns the result of a call: all its text, its data, and its parts in order."""
    parts = [_part(block) for block in result.content]
    return {
        "text": "\n".join(part["text"] for part in parts if part["type"] == "text"),
        "structured": result.structured_content,
        "content": parts,
    }


def _part(block: Any) -> dict[str, Any]:
    kind = str(block.type)
    if kind == "text":
        return {"type": kind, "text": block.text}
    if kind in ("image", "audio"):
        return {"type": kind, "data": _bytes(block.data), "mime_type": block.mime_type}
    if kind == "resource":
        return {"type": kind, **contents(block.resource)}
    if kind == "resource_link":
        return {"type": kind, **resource(block)}
    plain: dict[str, Any] = block.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {**plain, "type": kind}


def contents(part: Any) -> dict[str, Any]:
    """Returns one part of a resource: `text`, or `data` as bytes."""
    about = {"uri": str(part.uri), "mime_type": part.mime_type}
    if hasattr(part, "text"):
        return {**about, "text": part.text}
    return {**about, "data": _bytes(part.blob)}


def resource(one: Any) -> dict[str, Any]:
    """Returns a resource of a list."""
    return {
        "uri": str(one.uri),
        "name": one.name,
        "description": one.description,
        "mime_type": one.mime_type,
    }


def template(one: Any) -> dict[str, Any]:
    """Returns a pattern of resources of a list."""
    return {
        "uri_template": str(one.uri_template),
        "name": one.name,
        "description": one.description,
        "mime_type": one.mime_type,
    }


def schema(tool: Any) -> dict[str, Any]:
    """Returns what a tool takes and gives."""
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "output_schema": tool.output_schema,
    }


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return text.encode("utf-8", "replace")
