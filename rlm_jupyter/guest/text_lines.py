"""What the lines of a text have in common: a table of them, and the lines in which a question's words stand.

It travels into an agent's kernel as source: the standard library only; pandas is imported when it is needed.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

MOST_CHARS = 50_000_000
"""Of a text whose lines are all read; a longer one is read up to there."""
_ENDS = 1_000_000
_SAMPLE = 2000
_LEAST = 5
LONGEST = 2000
_SHARE = 0.8
"""Of the lines that must have the form."""
_COMMON = 0.9
"""Of the lines in which a part must stand to belong to the form."""
_HEADING = 60
_TABLES = ("json", "csv", "form")
_DELIMITERS = ",\t;|"
_TOKEN = re.compile(
    r"\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?!\w)|(?<!\w)\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\w)|[^\s\[\](){}=:;,|\"'<>$€£#]+|\S"
)
"""Times and figures stay whole; brackets, delimiters and currency signs stand alone."""
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|0|[1-9]\d*)(?:\.\d+)?")
"""No number with leading zeros: that is the name of something."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?")
_WORD = re.compile(r"[^\W_]{3,}")
_NAME = re.compile(r"(?<!\w)(?:[A-Z][^\W_]{2,}|[^\W_]*\d[^\W_]{2,})(?!\w)")
"""What may name a person, a thing, a number of it: capitalised, or with a digit."""
_MOST_WORDS = 40
_NEAR_BEST = 0.8
_MOST_FIRST = 5
_LINKED = 0.6
"""Weight of a word of the best lines, beside one of the question."""

_ITEM = re.compile(r"\s{0,8}(?:(\d{1,7})[.)]|[-*\u2022])\s{1,8}(\S.*)")
"""A line of a list: its number or mark, and its text."""
_SECTION = re.compile(
    r"#{1,6}\s{1,8}(\S.{0,58}\S|\S)|\[([^\]]{1,60})\]|={2,6}\s?([^=]{1,60}?)\s?={2,6}|([A-Z][A-Z0-9 _-]{1,40}):?"
)
_MOST_SECTIONS = 200
_SHORT_LINES = 4
"""Words of a line in a section, on average: longer ones are prose below headings."""
_COUNTED = re.compile(
    r"\b(?:how (?:many|much|often)|most|least|share|percent|average|positive|negative|neutral|sentiment)\b",
    re.IGNORECASE,
)

Form = tuple[str | None, ...]
"""Parts that stand in each line; None in the place of a field."""


def kind_of_lines(text: str) -> str | None:
    """Returns what `parse_lines` can make of a text: `json`, `csv`, `form`, `items`, `sections`; None for nothing."""
    sample = _sample(_ends(text).splitlines()) if len(text) <= MOST_CHARS else []
    if len(sample) < _LEAST:
        return None
    if _mostly(map(_is_record, sample), sample):
        return "json"
    if _delimiter(sample) is not None:
        return "csv"
    if _form(sample) is not None:
        return "form"
    if _mostly((_ITEM.fullmatch(line) is not None for line in sample), sample):
        return "items"
    return "sections" if _sections(text.splitlines()) else None


def outline(text: str, words: str) -> dict[str, Any]:
    """Returns what a first look at a text can show.

    Args:
        text: the data.
        words: the question.

    Returns:
        `lines`: what `parse_lines` can make of the text, and then of the lines that are left; empty for nothing.
        `left`: whether the lines that hold the question's words are among those that are left. `others`: whether
        there are any.
    """
    first = kind_of_lines(text)
    if first is None or not _is_asked(first, text, words):
        return {"lines": [], "left": False}
    others = other_lines(text)
    second = kind_of_lines("\n".join(others))
    if second not in _TABLES:
        return {"lines": [first], "left": False, "others": bool(others)}
    found = find_lines(text, words)
    left = bool(found) and set(found) <= set(others)
    return {"lines": [first, second], "left": left, "others": True}


def _is_asked(kind: str, text: str, words: str) -> bool:
    """Returns whether a table of lists is of use for a question: it counts items, or names a section."""
    if kind == "items":
        return _COUNTED.search(words[:2000]) is not None
    if kind == "sections":
        return bool(named_sections(_sections(text.splitlines()), words))
    return True


def named_sections(rows: Sequence[tuple[str, str]], words: str) -> list[str]:
    """Returns the sections whose names stand in a question, in the order in which it names them.

    Args:
        rows: the name of a section, and a line of it.
        words: the question.
    """
    places = {}
    for name in list(dict.fromkeys(section for section, _ in rows))[:_MOST_SECTIONS]:
        found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words[:2000])
        if found is not None:
            places[name] = found.start()
    return sorted(places, key=places.__getitem__)


def parse_lines(text: str | Sequence[str]) -> Any:
    """Make a table of the lines that share one form.

    Args:
        text: a text, or its lines: of JSON objects, of fields between delimiters under a heading, or such as
            ``[0017] payment failed amount=$9.50``; a numbered list; or lists of short lines below headings, of which
            each row has its section.

    Returns:
        A DataFrame with a row for each line of that form, numbers and ISO dates converted. `other_lines` has the rest.

    Raises:
        ValueError: the lines have no form in common.
    """
    return _parted(text)[0]


def other_lines(text: str | Sequence[str]) -> list[str]:
    """Returns the lines of a text that are no row of the table which `parse_lines` makes of it.

    Args:
        text: as of `parse_lines`.

    Raises:
        ValueError: the lines have no form in common.
    """
    return _parted(text)[1]


def _parted(text: str | Sequence[str]) -> tuple[Any, list[str]]:
    """Returns a table of the lines of one form, and all other lines."""
    import pandas as pd

    text = text if isinstance(text, str) else "\n".join(text)
    kind = kind_of_lines(text)
    lines = [line for line in text.splitlines() if line.strip()]
    if kind == "json":
        records = [(line, _record(line)) for line in lines]
        rows = pd.DataFrame([record for _, record in records if record is not None])
        return rows, [line for line, record in records if record is None]
    if kind == "csv":
        return _parse_table(lines)
    if kind == "items":
        items = [(line, _ITEM.fullmatch(line) if len(line) <= LONGEST else None) for line in lines]
        rows = pd.DataFrame([match.groups() for _, match in items if match], columns=["number", "text"])
        rows["number"] = _converted(rows["number"])
        return rows.dropna(axis="columns", how="all"), [line for line, match in items if match is None]
    if kind == "sections":
        return pd.DataFrame(_sections(lines), columns=["section", "line"]), []
    form = _form(_sample(lines)) if kind == "form" else None
    if form is None:
        raise ValueError("The lines have no form in common: use context.splitlines() and re.")
    pattern = _pattern(form)
    found, others = [], []
    for line in lines:
        match = pattern.fullmatch(line) if len(line) <= LONGEST else None
        if match is None:
            others.append(line)
        else:
            found.append(match.groups())
    rows = pd.DataFrame(found, columns=_names(form))
    for name in rows.columns:
        rows[name] = _converted(rows[name])
    return rows, others


def find_lines(text: Any, words: str, most: int = 8) -> list[str]:
    """Returns the lines in which the rarest words of a question stand, the best first.

    Lines with a name or a number of the very best lines come next: a question may need two facts, of which the second
    has no word of the question in it.

    Args:
        text: what is searched: a text, or a list or dict of texts, whose lines are then marked by where they stand.
        words: such as the question; case and words that stand in more than every fifth line do not count.
        most: lines.
    """
    lines = _lines(text)
    wanted = list(dict.fromkeys(_WORD.findall(words.lower())))[:_MOST_WORDS]
    where: dict[str, list[int]] = {word: [] for word in wanted}
    if not wanted or not lines:
        return []
    pattern = re.compile("|".join(map(re.escape, sorted(wanted, key=len, reverse=True))))
    for number, line in enumerate(lines):
        for word in set(pattern.findall(line.lower())):
            where[word].append(number)
    scores: Counter[int] = Counter()
    for numbers in where.values():
        if numbers and (len(numbers) <= _LEAST or len(numbers) * _LEAST <= len(lines)):
            weight = math.log(1 + len(lines) / len(numbers))
            for number in numbers:
                scores[number] += weight  # type: ignore[assignment]
    named = {name.lower() for name in _NAME.findall(words.lstrip().partition(" ")[2])}
    holders = [where[name] for name in named if 0 < len(where.get(name, ())) <= _LEAST]
    first = sorted({number for numbers in holders for number in numbers})
    linked = _add_linked(scores, lines, set(wanted), first)
    if first and linked - set(first):
        # These answer it, if any do: their likes, of other names, would only be mistaken for them.
        scores = Counter({number: scores[number] for number in linked | set(first)})
    best = sorted(scores, key=lambda number: (-scores[number], number))[:most]
    return [lines[number][:LONGEST] for number in best]


def _add_linked(
    scores: Counter[int], lines: Sequence[str], wanted: set[str], first: Sequence[int]
) -> set[int]:
    """Add to the scores of lines which have a name in common with the first ones that is not among the wanted words.

    Args:
        scores: of lines, by number.
        lines: all of them.
        wanted: the words of the question.
        first: the lines that hold a name of the question, which come first then; none: those of the best scores.

    Returns:
        The lines with such a name.
    """
    best = max(scores.values(), default=0)
    for number in first:
        scores[number] += best
    first = first or [number for number, score in scores.items() if score >= _NEAR_BEST * best][:_MOST_FIRST]
    names = {
        name
        for number in first
        for name in _NAME.findall(_without_place(lines[number])[:LONGEST])
        if name.lower() not in wanted
    }
    if not names:
        return set()
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)[:_MOST_WORDS]))})\b")
    found: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        for name in set(pattern.findall(_without_place(line))):
            found.setdefault(name, []).append(number)
    linked: set[int] = set()
    for numbers in found.values():
        if len(numbers) <= max(_LEAST, len(lines) // 100):
            weight = _LINKED * math.log(1 + len(lines) / len(numbers))
            linked.update(numbers)
            for number in numbers:
                scores[number] += weight  # type: ignore[assignment]
    return linked


def _without_place(line: str) -> str:
    """Returns a line without the mark of the text that it stands in."""
    return line.partition("] ")[2] if line.startswith("[") else line


def _lines(data: Any) -> list[str]:
    """Returns the lines of a text, or of all texts of a list or dict."""
    if isinstance(data, str):
        return data[:MOST_CHARS].splitlines()
    pairs = data.items() if isinstance(data, dict) else enumerate(data)
    found: list[str] = []
    left = MOST_CHARS
    for key, text in pairs:
        if isinstance(text, str) and left > 0:
            lines = text[:left].splitlines()
            left -= len(text)
            found += [f"[{key!r}] {line}" for line in lines] if len(lines) > 1 or len(text) < LONGEST else []
    return found


def _ends(text: str) -> str:
    """Returns a text, or of a long one its head and tail, in whole lines."""
    if len(text) <= 2 * _ENDS:
        return text
    return f"{text[:_ENDS].rpartition(chr(10))[0]}\n{text[-_ENDS:].partition(chr(10))[2]}"


def _sample(lines: Sequence[str]) -> list[str]:
    step = max(1, len(lines) // _SAMPLE)
    return [line for line in lines[::step][:_SAMPLE] if line.strip() and len(line) <= LONGEST]


def _mostly(good: Iterator[bool], sample: Sequence[str]) -> bool:
    return sum(good) >= _COMMON * len(sample)


def _sections(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Returns short lines below headings, each with the name of its section; empty if the lines are no such lists."""
    rows: list[tuple[str, str]] = []
    names: set[str] = set()
    section = ""
    for line in lines:
        text = line.strip()
        if not text:
            continue
        found = _SECTION.fullmatch(text) if len(text) <= _HEADING else None
        if found is not None:
            section = next(part for part in found.groups() if part is not None).strip()
            names.add(section)
        if not section or len(names) > _MOST_SECTIONS:
            return []
        if found is None:
            rows.append((section, text))
    short = sum(len(text.split()) for _, text in rows) <= _SHORT_LINES * len(rows)
    return rows if short and 1 < len(names) <= len(rows) / 2 else []


# -- JSON and delimited fields


def _is_record(line: str) -> bool:
    return _record(line) is not None


def _record(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if type(found) is dict else None


def _delimiter(sample: Sequence[str]) -> str | None:
    """Returns what separates the fields, if the first line is a heading and the others have as many fields."""
    for delimiter in _DELIMITERS:
        heading, *rest = csv.reader(sample, delimiter=delimiter)
        names = [name.strip() for name in heading]
        plain = all(name and len(name) <= _HEADING and not _NUMBER.fullmatch(name) for name in names)
        if len(names) > 1 and plain and len(set(names)) == len(names) and rest:
            same = sum(len(row) == len(names) for row in rest)
            # A line of prose with a comma in it is no heading: below one there are figures, or few words.
            if same >= _COMMON * len(rest) and not all(" " in name for name in names):
                return delimiter
    return None


def _parse_table(lines: list[str]) -> tuple[Any, list[str]]:
    import pandas as pd

    delimiter = _delimiter(_sample(lines)) or ","
    rows = pd.read_csv(
        io.StringIO("\n".join(lines)), sep=delimiter, on_bad_lines="skip", skipinitialspace=True
    )
    for name in rows.columns:
        rows[name] = _converted(rows[name])
    width = len(rows.columns)
    return rows, [line for line in lines if len(next(csv.reader([line], delimiter=delimiter), [])) > width]


def _converted(column: Any) -> Any:
    """Convert a column of texts that are all numbers, or all ISO dates."""
    import pandas as pd

    if not len(column) or not all(type(text) is str for text in column):
        return column
    if all(map(_NUMBER.fullmatch, column)):
        return pd.to_numeric(column.str.replace(",", "", regex=False))
    if all(map(_DATE.fullmatch, column)):
        return pd.to_datetime(column, errors="coerce", format="ISO8601")
    return column


# -- lines of one form


def _form(sample: Sequence[str]) -> Form | None:
    """Returns the form that most lines have: what stands in each of them, in order, and fields between."""
    if len(sample) < _LEAST:
        return None
    counts = [Counter(_TOKEN.findall(line)) for line in sample]
    seen = Counter(token for count in counts for token in count)
    common = {token for token, times in seen.items() if times >= _COMMON * len(sample)}
    form: Form = ()
    for _ in range(2):
        form, times = Counter(_skeleton(line, common) for line in sample).most_common(1)[0]
        if times >= _SHARE * len(sample):
            break
        # Free text may hold the same parts: only what stands as often in each line can be relied on.
        common = {token for token in common if _often(token, counts) >= _COMMON * len(sample)}
    else:
        return None
    named = any(token is not None and token[0].isalpha() for token in form)
    return form if named and None in form else None


def _pattern(form: Form) -> re.Pattern[str]:
    return re.compile(r"\s*" + r"\s*".join(r"(.*?)" if t is None else re.escape(t) for t in form) + r"\s*")


def pattern_of(lines: Sequence[str]) -> re.Pattern[str] | None:
    """Returns the pattern of the form that lines share, with a group for each field; None if they share none."""
    form = _form(_sample(lines))
    return _pattern(form) if form is not None else None


def _often(token: str, counts: Sequence[Counter[str]]) -> int:
    return Counter(count[token] for count in counts).most_common(1)[0][1]


def _skeleton(line: str, common: set[str]) -> Form:
    parts: list[str | None] = []
    for token in _TOKEN.findall(line):
        if token in common:
            parts.append(token)
        elif not parts or parts[-1] is not None:
            parts.append(None)
    return tuple(parts)


def _names(form: Form) -> list[str]:
    """Name each field by the word before it."""
    names: list[str] = []
    word = "field"
    for token in form:
        if token is None:
            taken = sum(name == word or re.fullmatch(rf"{word}_\d+", name) is not None for name in names)
            names.append(f"{word}_{taken + 1}" if taken else word)
        elif token[0].isalpha():
            word = re.sub(r"\W+", "_", token.lower()).strip("_") or "field"
    return names
