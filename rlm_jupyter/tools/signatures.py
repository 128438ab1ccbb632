"""A function as the model is shown it (signature and docstring), and its signature as plain data."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

_DOC_CHARS = 600
_SIGNATURE_CHARS = 500
_PLAIN = (type(None), bool, int, float, str, bytes)


def text_of(name: str, function: Callable[..., Any], *, awaited: bool | None = None) -> str:
    """Write a function's signature and docstring, as in its source.

    Args:
        name: under which it is called.
        function: any callable.
        awaited: whether it is an `async def`; None to look.
    """
    if awaited is None:
        awaited = inspect.iscoroutinefunction(function)
    return render(name, _signature_text(function), inspect.getdoc(function) or "", awaited=awaited)


def render(name: str, signature: str, doc: str, *, awaited: bool) -> str:
    """Write a function of which only these texts are known; both are cut to a bounded length."""
    if len(signature) > _SIGNATURE_CHARS:
        signature = "(...)"
    lines = doc.strip()[:_DOC_CHARS].splitlines()
    indented = "".join(f"\n    {line}".rstrip() for line in lines)
    return f"{'async def' if awaited else 'def'} {name}{' '.join(signature.split())}{indented}"


def _signature_text(function: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"


def portable_signature(function: Callable[..., Any]) -> dict[str, Any]:
    """Returns a function's face as plain data, from which another process makes the same signature.

    Returns:
        `doc`; `parameters`, None where the function tells no signature, else for each `name`, `kind` (of `inspect`),
        `annotation` (text or None), and `default` where it is a plain value (`shown` is the text of one that is
        not); `returns` (text or None).
    """
    form: dict[str, Any] = {"doc": inspect.getdoc(function) or "", "parameters": None, "returns": None}
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return form
    form["parameters"] = [_portable(parameter) for parameter in signature.parameters.values()]
    if signature.return_annotation is not signature.empty:
        form["returns"] = inspect.formatannotation(signature.return_annotation)[:_SIGNATURE_CHARS]
    return form


def _portable(parameter: inspect.Parameter) -> dict[str, Any]:
    about: dict[str, Any] = {"name": parameter.name, "kind": int(parameter.kind), "annotation": None}
    if parameter.annotation is not parameter.empty:
        about["annotation"] = inspect.formatannotation(parameter.annotation)[:_SIGNATURE_CHARS]
    if parameter.default is not parameter.empty:
        if _is_plain(parameter.default):
            about["default"] = parameter.default
        else:
            about["shown"] = f"{parameter.default!r:.80}"
    return about


def _is_plain(value: object) -> bool:
    if type(value) in (list, tuple):
        return all(_is_plain(item) for item in value)  # type: ignore[attr-defined]
    if type(value) is dict:
        return all(_is_plain(key) and _is_plain(item) for key, item in value.items())
    return type(value) in _PLAIN
