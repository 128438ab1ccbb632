"""The JSON value within a completion's text: as it is, in a fenced block, or among words."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_OPENER = re.compile(r"[{\[]")
_FENCE = re.compile(r"^```[^\n]*$", re.MULTILINE)
MOST_CHARS: Final = 4_000_000
"""Of a completion: more than any model writes at once. JSON is parsed in one call, for which all others wait."""
_MOST_TRIES: Final = 200
_MOST_READ: Final = 8
"""Times the text's length that all tries together may read."""


def find_json(text: str) -> Any:
    """Return the JSON value that a text is, that its fenced block holds, or that stands within its words.

    Bounded: a text of nothing but brackets is read a few times over, not once for each of them.

    Raises:
        ValueError: there is none.
    """
    if len(text) > MOST_CHARS:
        raise ValueError(f"it has {len(text):,} characters, more than are read")
    body = text.strip()
    fences = _FENCE.finditer(body)
    if (opening := next(fences, None)) and (closing := next(fences, None)):
        body = body[opening.end() : closing.start()].strip()
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError:
        return _among_words(body)


def _among_words(body: str) -> Any:
    """Return the first value that begins with a bracket and can be read."""
    decoder = json.JSONDecoder()
    left = _MOST_READ * len(body)
    for number, opener in enumerate(_OPENER.finditer(body)):
        if number >= _MOST_TRIES or left <= 0:
            break
        try:
            return decoder.raw_decode(body, opener.start())[0]
        except json.JSONDecodeError as error:
            left -= error.pos - opener.start() + 1
        except (ValueError, RecursionError):  # an integer of thousands of digits; nested too deep
            left -= len(body)
    raise ValueError("there is no JSON in it")
