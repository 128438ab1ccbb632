"""Hints at values that do not fit: lines of another form, texts that are no numbers, selections that are empty."""

from __future__ import annotations

import re

from rlm_jupyter.engine.error_hints.failure import Failure
from rlm_jupyter.engine.error_hints.values_in_words import (
    in_words,
    kind_of,
    number_of_lines,
    quoted,
    separator_of,
    typical_line,
    way_into_text,
)

_EMPTY = re.compile(
    r"(?:arg|argument) is an empty sequence|iterable argument is empty|at least one data point|from (?:an )?empty"
    r"|out of bounds for axis \d+ with size 0|indexer is out-of-bounds|no data points|empty range|division by zero"
    r"|attempt to get arg(?:max|min) of an empty|Cannot take a larger sample|zero-size array"
)


def nothing_there(failure: Failure, _sample: int) -> str | None:
    """Returns a hint at a selection that holds nothing."""
    if _EMPTY.search(failure.text[:500]) is None:
        return None
    return (
        "What was selected before is empty: nothing matched. Print it and a few real values (`print(lines[:3])`), and "
        "mind case and spelling, as in `re.search(pattern, line, re.I)`."
    )


def values_counted(failure: Failure, _sample: int) -> str | None:
    """Returns a hint at a column whose `count` was given a value to look for, as a list's takes it."""
    if failure.search(r"Series\.count\(\) takes 1 positional argument") is None:
        return None
    return "To count one value in a column, compare and sum: `(column == value).sum()`."


def unpacked(failure: Failure, sample: int) -> str | None:
    """Returns a hint at lines that have more or fewer parts than the code takes from them."""
    counts = failure.search(r"(?:not enough|too many) values to unpack \(expected (?:at least )?(\d{1,4})")
    index = failure.name == "IndexError" and failure.search(r"(?:list|tuple|string) index out of range")
    if counts is None and not index:
        return None
    split = "split" in failure.short_code
    number = counts[1] if counts else None
    check = f"if len(parts) == {number}:" if number else "if len(parts) > i:"
    if not split:
        if number:
            return f"An item has not {number} parts: print one first. `dict` needs `.items()` to be unpacked in a loop."
        return "The list is shorter than that: print `len(...)` first, and use what is there."
    found = _lines(failure)
    if found is None:
        return f"Some lines have another form: `parts = line.split(...)`, then `{check}`. Print a line that differs."
    line, mark = found
    form = f" Most are like {quoted(line, sample)}." if sample else ""
    by = f"line.split({mark!r})" if mark else "line.split()"
    return f"Some lines have another form.{form} Write `parts = {by}`, then `{check}`, and print one that differs."


def _lines(failure: Failure) -> tuple[str, str] | None:
    """Returns a line of the text that is split, and what stands between its parts."""
    for name in (failure.data[0], *failure.names):
        description = failure.variables.get(name, {})
        if kind_of(description) == "text" and number_of_lines(description) > 1:
            line = typical_line(description)
            return (line, separator_of(line)) if line else None
    return None


def not_json(failure: Failure, sample: int) -> str | None:
    """Returns a hint at text that is not JSON, or JSON line by line."""
    name, description = failure.subject(kinds=("text",)) or ("text", {})
    if "Extra data" in failure.text:
        return (
            f"The text is not one JSON value but one on each line: "
            f"`rows = [json.loads(line) for line in {name}.splitlines() if line.strip()]`."
        )
    if "enclosed in double quotes" in failure.text:
        return "That is Python's notation and not JSON (single quotes): `ast.literal_eval(text)`."
    line = typical_line(description)
    if not description or line.startswith(("{", "[")):
        return "The text is not JSON here: print what you parse, `print(repr(text[:200]))`; an empty line is not JSON."
    return f"{in_words(name, description, sample)}, and no JSON. Go on with `{way_into_text(name, description)}`."


def not_a_number(failure: Failure, _sample: int) -> str | None:
    """Returns a hint at a text that was to become a number."""
    found = failure.search(
        r"(?:could not convert string to float|invalid literal for int\(\)[^:]*|parse string): ?(.*)"
    )
    if found is None:
        return None
    value = quoted(found[1].strip().strip("'\"")[:100], 30)
    return (
        f"{value} is not a number: print some of these values. Take out what is no digit, "
        "`float(re.sub(r'[^0-9.-]', '', value))`, and leave out what is empty then."
    )


def text_and_number(failure: Failure, _sample: int) -> str | None:
    """Returns a hint at an operation of two values that do not go together."""
    text = failure.text[:500]
    found = re.search(r"not supported between instances of '(\w+)' and '(\w+)'", text)
    found = found or re.search(r"Invalid comparison between dtype=(\w+) and (\w+)", text)
    found = found or re.search(r"unsupported operand type\(s\) for [^:]{1,20}: '(\w+)' and '(\w+)'", text)
    kinds = {found[1], found[2]} if found else set()
    if "NoneType" in kinds:
        return "One of the two values is None: nothing was found for it. Check `if value is not None:` first."
    if "str" in kinds and kinds & {"int", "float", "int64", "float64"}:
        return (
            "One of the two values is a text: convert it first, `float(value)`; a column: "
            "`table[column] = pd.to_numeric(table[column], errors='coerce')`."
        )
    return None


_GROUPED = re.compile(
    r"(\w{1,40})\.groupby\((['\"]\w{1,40}['\"])\)\[(['\"]\w{1,40}['\"]), ?(['\"]\w{1,40}['\"])\]"
)


def columns_of_groups(failure: Failure, _sample: int) -> str | None:
    """Returns a hint at several columns of groups that were asked for without a list."""
    if failure.search(r"Cannot subset columns with a tuple") is None:
        return None
    found = _GROUPED.search(failure.line)
    if found is None:
        return "Several columns of groups need a list, as in `.groupby(key)[[column, other]]`."
    table, key, one, other = found.groups()
    return (
        f"Groups take a list, `[[{one}, {other}]]`. For the sum of their product: "
        f"`{table}['total'] = {table}[{one}] * {table}[{other}]`, then `{table}.groupby({key})['total'].sum()`."
    )


def one_sentence(failure: Failure, _sample: int) -> str | None:
    """Returns the hint at an error whose text alone tells what to do."""
    text = failure.text[:500]
    return next((told for pattern, told in _BY_TEXT if re.search(pattern, text)), None)


_BY_TEXT = (
    (
        r"can only concatenate str",
        "A text and a number are joined by `str(number)`, or in an f-string: `f'{name}: {number}'`.",
    ),
    (
        r"sequence item \d+: expected str",
        "All items must be texts to be joined: `', '.join(map(str, items))`.",
    ),
    (
        r"bytes-like object is required",
        "One value is bytes: decode it first, `data.decode('utf-8', 'replace')`.",
    ),
    (
        r"expected string or bytes-like object",
        (
            "`re` takes one text. Of a list: `[re.search(pattern, str(item)) for item in items]`; of a column: "
            "`table[column].astype(str).str.contains(pattern)`."
        ),
    ),
    (
        r"the JSON object must be str",
        "The value is an object already and no JSON text: use it without `json.loads`.",
    ),
    (
        r"unhashable type: '(?:list|set|dict|slice)'",
        (
            "A list or dict can be no key and not in a set: use a tuple or a text, `tuple(item)`, `item['id']`, "
            "`json.dumps(item)`. To count, count one field of each item."
        ),
    ),
    (
        r"truth value of an? .{1,40} is ambiguous",
        (
            "A column is not one truth value: combine conditions with `&`, `|`, `~` and parentheses, "
            "`table[(a > 1) & (b == 'x')]`, or ask `.any()`, `.all()`, `.empty`."
        ),
    ),
    (
        r"Can only use \.str accessor .{0,40}datetime64",
        (
            "The column holds dates: `column.dt.strftime('%Y-%m') == '2025-03'` selects a month, "
            "`column >= '2025-03-09'` from a day on."
        ),
    ),
    (r"Can only use \.str accessor", "The column holds more than texts: `table[column].astype(str).str...`."),
    (
        r"Can only use \.dt accessor",
        "The column holds no dates yet: `pd.to_datetime(table[column], errors='coerce').dt...`.",
    ),
    (
        r"does(?: not|n't) match format|Unknown datetime string|Invalid isoformat string",
        (
            "The form of the date is another one: print some values, and use `pd.to_datetime(value, errors='coerce')` "
            "or the format that they have."
        ),
    ),
    (
        (
            r"[Cc]ould not convert .{0,200} to numeric|agg function failed|does not support .{1,40}mean"
            r"|Cannot perform reduction .{1,20} with string"
        ),
        (
            "A column holds texts: choose the columns of numbers (`.mean(numeric_only=True)`), or convert one: "
            "`pd.to_numeric(table[column], errors='coerce')`."
        ),
    ),
)


def pattern_error(failure: Failure, _sample: int) -> str | None:
    """Returns a hint at a regular expression."""
    if failure.search(r"no such group"):
        return "The pattern has no such group: put parentheses around what you want, `re.search(r'id: (\\d+)', text)`."
    return "The pattern is not valid: write `re.escape(word)` for plain text, and patterns as raw strings, `r'\\d+'`."


def no_such_group(failure: Failure, sample: int) -> str | None:
    """Returns a hint at a group that a pattern does not have."""
    return pattern_error(failure, sample) if failure.search(r"no such group") else None
