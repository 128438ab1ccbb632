"""Keeps secrets out of the code that a page or a file shows: tools bring the values that they use along."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator

from rlm_jupyter.answer_code.scopes import parse
from rlm_jupyter.security.redactor import Redactor
from rlm_jupyter.security.secret_names import secrets_in

_LONGEST = 2_000
_UNNAMED = "value"


def without_secrets(source: str) -> str:
    """Returns code without the secrets of the environment, and without its own values that are secret by their names.

    Args:
        source: Python that can be parsed; of other text, secrets of the environment alone are known.
    """
    tree = parse(source)
    named = _named_texts(tree) if tree is not None else iter(())
    own = (secret for name, text in named if len(text) <= _LONGEST for secret in secrets_in({name: text}))
    return Redactor([*secrets_in(os.environ), *own])(source)


def _named_texts(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Returns all texts in code with the name or key that each is given."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                yield name, text
            case ast.keyword(arg=str(name), value=ast.Constant(value=str(text))):
                yield name, text
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                        yield str(key.value), str(value.value)
            case ast.arguments():
                yield from _defaults(node)
            case ast.Constant(value=str(text)):
                yield _UNNAMED, text
            case _:
                pass


def _defaults(arguments: ast.arguments) -> Iterator[tuple[str, str]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [*zip(positional[::-1], arguments.defaults[::-1], strict=False)]
    pairs += [
        (one, value) for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value
    ]
    for one, value in pairs:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield one.arg, value.value
