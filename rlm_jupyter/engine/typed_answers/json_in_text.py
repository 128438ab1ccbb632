"""JSON in the text of a completion: alone, in a fenced block or within words. Depth and work are bounded."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_MOST_DEPTH: Final = 100
MOST_CHARS: Final = 4_000_000
"""Of a completion: more than any model writes at once. JSON is parsed in one call, for which all others wait."""
_WORK: Final = 1_000_000
"""Characters that may be looked at besides four times the text, in search of a value that can be read."""
_COUNTED: Final = 8
_FENCED: Final = re.compile(r"^```\w*[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_OPENER: Final = re.compile(r"[{\[]")


class NestedTooDeeplyError(ValueError):
    """The text is JSON that nothing can handle which was made for answers."""

    def __init__(self) -> None:
        super().__init__(f"its JSON is nested more than {_MOST_DEPTH} deep")


def find_json(text: str) -> Any:
    """Returns the JSON value that a text is, that its fenced block holds, or that stands within its words.

    Raises:
        NestedTooDeeplyError: it is nested more deeply than any answer.
        ValueError: there is none, it holds a number with too many digits, or the text is too long to be read.
    """
    if len(text) > MOST_CHARS:
        raise ValueError(f"it has {len(text):,} characters, more than are read")
    body = text.strip()
    if fenced := _FENCED.search(body):
        body = fenced[1].strip()
    try:
        return _checked(json.loads(body))
    except RecursionError:
        raise NestedTooDeeplyError from None
    except NestedTooDeeplyError:
        raise
    except ValueError:
        found = _within_words(body)
        if found is None:
            raise
        return found[0]


def _within_words(body: str) -> tuple[Any] | None:
    """Returns the first value that can be read from within a text, in a tuple of one; None if there is none.

    Each bracket may begin a value that turns out to be none at the very end of the text, so that the work is counted.
    """
    decoder = json.JSONDecoder()
    work = _WORK + 4 * len(body)
    for opener in _OPENER.finditer(body):
        start = opener.start()
        try:
            return (_checked(decoder.raw_decode(body, start)[0]),)
        except RecursionError:
            raise NestedTooDeeplyError from None
        except json.JSONDecodeError as error:
            end = len(body) if error.msg.startswith("Unterminated") else error.pos
            # For its message, the exception counts the lines from the very beginning, some ten times as fast.
            work -= end - start + 1 + error.pos // _COUNTED
        except NestedTooDeeplyError:
            raise
        except ValueError:  # a number with too many digits
            work -= len(body) - start
        if work < 0:
            break
    return None


def _checked(value: Any) -> Any:
    """Returns a value that is not nested too deeply: Python reads far more than it can check, compare or show."""
    level = [value]
    for _ in range(_MOST_DEPTH + 1):
        level = [
            item
            for one in level
            if isinstance(one, (dict, list))
            for item in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return value
    raise NestedTooDeeplyError
