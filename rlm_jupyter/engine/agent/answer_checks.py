"""What a small model hands to FINAL, looked at before it runs: a word for a text, many things where one is wanted."""

from __future__ import annotations

import ast
import difflib
import operator
import re
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.engine.agent.asked_parts import asks_in_parts
from rlm_jupyter.engine.reply.python_syntax import parsed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

_MANY: Final = frozenset(
    {"DataFrame", "Series", "list", "tuple", "set", "dict", "ndarray", "Index", "dict_keys"}
)
_PLAIN_CALL: Final = re.compile(r"\s*(?:FINAL|Final|final)\(\s*([^\n()\"'=]{1,100}?)\s*\)\s*")
_LONGEST_CALL: Final = 300
_MOST_WORDS: Final = 500
_LEAST_OF_MANY: Final = 2
_MOST_LINES: Final = 200
_READ: Final = 20_000
_NEAR: Final = 0.75
_MOST_NEAR: Final = 5
_LONGEST_WORD: Final = 60
_MOST_ITEMS: Final = 20
_LONGEST_LINE: Final = 300
_PLACE: Final = re.compile(r"^\[[^\]\n]{1,60}\] ")
"""Of a line among the data, as `find_lines` shows it."""
_NAMES: Final = re.compile(r"(?<!\w)(?:[A-Z][\w-]*|(?<!-)[\w-]*\d[\w-]*)")
"""Names and numbers. What begins behind a hyphen has no digit, or it would be a part of a longer one: a rule of hyphens
would be read from each of them to its end."""
_JUDGEMENTS: Final = frozenset(("yes", "no", "true", "false", "none", "neither", "both", "nobody", "unknown"))
"""Answers that need not stand in the data."""
_HOW_MANY: Final = re.compile(r"\bhow (?:many|much)\b", re.IGNORECASE)
_LISTED: Final = re.compile(
    r"\blist\b|\b(?:for|of|to) each\b|\b(?:their|the) names\b|\bpairs\b"
    r"|\ball (?:the )?\w+s (?:that|who|which|whose|with)\b",
    re.IGNORECASE,
)
_SEVERAL: Final = re.compile(
    rf"{_LISTED.pattern}|\bwhich [a-z]*[a-rt-z]s\b(?! (?:has|is|was)\b)|\bwhich of them\b"
    r"|\bwhich \w+ \w+s (?:are|were|have|do)\b",
    re.IGNORECASE,
)
_VERBS: Final = (
    r"(?:has|is|was|does|explains|causes|drives|makes|sells|buys|leads|earns|costs|spends|accounts|stands|loses|wins|grows"
    r"|rises|falls|needs|owns|holds|comes|goes|gets|gives|takes|appears|occurs|differs|contains|belongs|contributes)\b"
)
"""Behind a noun: what does something is one thing, where `which error codes` asks for several."""
_ONE: Final = re.compile(
    rf"\b(?:which|what) (?!are\b|were\b|of\b)[a-z]*[a-rt-z]\b(?! (?!{_VERBS})\w+s\b)"
    r"|\bwhat (?:is|was) the\b|\bwho (?:is|was|has|does)\b|\bwho\b.{0,80}\b(?:most|least|first|last|best|\w+est)\b"
    r"|^when\b|\b[Ss]ince when\b|[.,?!] [Ww]hen (?:is|was|did|does|has)\b",
    re.IGNORECASE,
)
_COUNTS: Final = re.compile(
    r"\bhow (?:often|many (?:(?:different|distinct|of the|of these) )?(?:times|lines|texts|documents|files|words"
    r"|messages|memos|pages|entries|occurrences|reviews|comments|items|people|users|customers))\b"
    r"|\b(?:most|least) (?:often|frequent|common)|\b(?:average|median|sum|total|longest|shortest|count)\b",
    re.IGNORECASE,
)
"""What has to be computed over all of the data, and stands in no line of it."""
_HOW_MANY_OF_LIST: Final = (
    "The question asks for a number, and `{name}` is {summary}. If each item counts once, the block is "
    "`FINAL(len({name}))`; else compute the number and print it."
)
_ONE_OF_MANY: Final = (
    "The question asks for one thing, and `{name}` is {summary}. Choose the one that answers it: "
    "the block is `FINAL(...)` with that alone."
)

_EXTREMES: Final = (
    (r"\b(?:highest|largest|most|greatest|biggest|longest|best|maximum|top)\b", "largest", "idxmax"),
    (r"\b(?:lowest|smallest|least|fewest|shortest|worst|minimum)\b", "smallest", "idxmin"),
)
_LEFT_OUT: Final = (
    "The line `{line}` has the form of those that your answer is from. If it answers the question too, the block is "
    "`FINAL([{items}])`."
)


_GROUPS: Final = re.compile(r"\b(?:which|who|when)\b", re.IGNORECASE)
_SUM: Final = re.compile(r"\b(?:total|sum|altogether|in all)\b", re.IGNORECASE)
_MEAN: Final = re.compile(r"\b(?:average|mean)\b", re.IGNORECASE)


def answer_in_words(code: str, variables: Collection[str], shown: str) -> str | None:
    """Returns code that hands FINAL a text, where the text was written without quotes as in `FINAL(North)`; else None.

    Args:
        code: of a reply.
        variables: the names that the agent's kernel knows.
        shown: what the agent has been shown last: the text must stand in it.
    """
    found = _PLAIN_CALL.fullmatch(code) if len(code) <= _LONGEST_CALL else None
    if found is None:
        return None
    text = found[1]
    names = set(re.findall(r"[^\W\d]\w*", text))
    if not names or names & set(variables) or names <= {"None", "True", "False"} or text.startswith("..."):
        return None
    return f"FINAL({text!r})" if _stands_in(shown, text) else None


def _stands_in(shown: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", shown, re.IGNORECASE) is not None


def counts(question: str) -> bool:
    """Returns whether a question asks for what has to be computed over all of the data."""
    return _COUNTS.search(question[:2000]) is not None


def unseen_words(code: str, shown: str) -> str | None:
    """Returns the first name or number of a text handed to FINAL that stands nowhere in what was shown; else None.

    Args:
        code: of a reply.
        shown: all that the agent was shown.
    """
    value = _answered(code)
    if value is None:
        return None
    texts = [
        str(part.value)
        for part in ast.walk(value)
        if isinstance(part, ast.Constant) and part.value is not ...
    ]
    words = [word for text in texts for word in _NAMES.findall(text)] or texts
    words = [word for word in words if word.lower() not in _JUDGEMENTS]
    return next((word for word in words[:_MOST_WORDS] if not _stands_in(shown, word)), None)


def nearest_word(word: str, code: str, shown: str) -> str | None:
    """Returns the name or number in what was shown that is written most like one that is not; None for none.

    Args:
        word: that stands nowhere.
        code: of the reply; what else it hands to FINAL is not meant by this word.
        shown: what the agent was shown last.
    """
    if len(word) > _LONGEST_WORD:
        return None
    value = _answered(code)
    taken = set(_NAMES.findall(ast.unparse(value))) if value is not None else set()
    known = dict.fromkeys(name for name in _NAMES.findall(shown[-_READ:]) if name not in taken)
    close = difflib.get_close_matches(word, list(known)[:_MOST_WORDS], _MOST_NEAR, _NEAR)
    # Two that are as close by their parts: the one that is the same in more places.
    return max(close, key=lambda name: sum(map(operator.eq, name, word)), default=None)


def left_out(code: str, shown: str, unseen: str = "", question: str = "") -> tuple[str, list[str]] | None:
    """Returns a line of the form of those that hold the items of an answer, and all items of such lines; else None.

    Args:
        code: of a reply that hands FINAL a list of texts.
        shown: what the agent was shown last.
        unseen: a word of the answer that stands in no line; the item with it is not counted.
        question: verbatim; lines without a name of it that a line of an item has are of something else.
    """
    value = _answered(code)
    if not isinstance(value, (ast.List, ast.Tuple, ast.Set)):
        return None
    items = [
        part.value
        for part in value.elts
        if isinstance(part, ast.Constant)
        and isinstance(part.value, str)
        and not (unseen and unseen in part.value)
    ]
    shown_lines = [line.strip() for line in shown.splitlines()[:_MOST_LINES] if len(line) < _LONGEST_LINE]
    lines = list(dict.fromkeys(_PLACE.sub("", line) for line in shown_lines))
    forms: dict[str, list[_Line]] = {}
    names: list[_Line] = []
    for line in lines:
        names.append((line, [found.span() for found in _NAMES.finditer(line)]))
        forms.setdefault(_NAMES.sub("_", line), []).append(names[-1])
    asked = _asked_names(names, question)
    seen: set[tuple[str, int, int, tuple[str, ...]]] = set()
    for item in items[:_MOST_ITEMS]:
        for form, alike in forms.items():
            for line, spans in alike:
                place = _place(line, spans, item) if item in line else None
                if place is None:
                    continue
                kept = tuple(_apart(line, spans, *place, asked))
                if (form, *place, kept) in seen:
                    continue
                seen.add((form, *place, kept))
                texts = [
                    (other[theirs[place[0]][0] : theirs[place[1]][1]], other)
                    for other, theirs in alike
                    if tuple(_apart(other, theirs, *place, asked)) == kept
                ]
                if {text for text, _ in texts} > set(items):
                    return next(other for text, other in texts if text not in items), [
                        text for text, _ in texts
                    ]
    return None


_Line = tuple[str, list[tuple[int, int]]]
"""A line, and where its names and numbers stand."""


def _asked_names(lines: Sequence[_Line], question: str) -> set[str]:
    """Returns the names in lines that stand in the question too."""
    return {line[slice(*span)] for line, spans in lines for span in spans} & set(_NAMES.findall(question))


def _place(line: str, spans: Sequence[tuple[int, int]], item: str) -> tuple[int, int] | None:
    """Returns the first and the last of the names of a line that are an item; None if it is no whole ones."""
    found = re.search(rf"(?<!\w){re.escape(item)}(?!\w)", line)
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    if found is None or len(spans) < 2 or found.start() not in starts or found.end() not in ends:  # noqa: PLR2004
        return None
    return starts.index(found.start()), ends.index(found.end())


def _apart(
    line: str, spans: Sequence[tuple[int, int]], first: int, last: int, asked: Collection[str]
) -> Iterator[str]:
    """Find the names of the question in a line, apart from the place of an item; of other names an empty text."""
    for number, (start, end) in enumerate(spans):
        if not first <= number <= last:
            yield line[start:end] if line[start:end] in asked else ""


class AnswerKinds:
    """Of one agent: values that do not fit the question are sent back, each once.

    Args:
        question: verbatim.

    Attributes:
        several: whether the question asks for all of several things.
    """

    def __init__(self, question: str) -> None:
        self._question = question[:2000]
        self._in_parts = asks_in_parts(self._question)
        self._refused: set[str] = set()
        self._asked_of: set[str] = set()
        self.several = _SEVERAL.search(self._question) is not None and not _HOW_MANY.search(self._question)

    def refuse(self, code: str, variables: Mapping[str, Mapping[str, Any]]) -> str | None:
        """Returns why a variable handed to FINAL cannot be the answer; None if it can.

        Args:
            code: of a reply.
            variables: descriptions by name.
        """
        name = _answered_name(code)
        about = variables.get(name, {}) if name else {}
        if (
            self._in_parts
            or name is None
            or name in self._refused
            or about.get("type") not in _MANY
            or _number_of(about) < _LEAST_OF_MANY
        ):
            return None
        if _HOW_MANY.search(self._question):
            text = _HOW_MANY_OF_LIST
        elif _ONE.search(self._question) and not _LISTED.search(self._question):
            text = _ONE_OF_MANY
        else:
            return None
        self._refused.add(name)
        if text is _ONE_OF_MANY and about.get("type") == "Series" and (best := self._best()):
            text += f" If it is the {best[0]}, that is `FINAL({{name}}.{best[1]}())`."
        return text.format(name=name, summary=about.get("summary", "more than one"))

    def _best(self) -> tuple[str, str] | None:
        """Returns which of several values the question asks for, and the method of a column that tells it."""
        if not _GROUPS.search(self._question) and (made := _SUM.search(self._question)) is not None:
            return made[0].lower(), "sum"
        if not _GROUPS.search(self._question) and (made := _MEAN.search(self._question)) is not None:
            return made[0].lower(), "mean"
        for pattern, which, method in _EXTREMES:
            if re.search(pattern, self._question, re.IGNORECASE):
                return which, method
        return None

    def incomplete(self, code: str, shown: str, unseen: str = "") -> str | None:
        """Returns what an answer read from lines may lack; None for nothing, and for what was asked before.

        Args:
            code: of a reply.
            shown: what the agent was shown last.
            unseen: a word of the answer that stands in no line.
        """
        found = left_out(code, shown, unseen, self._question) if self.several else None
        if found is None or found[0] in self._asked_of:
            return None
        self._asked_of.add(found[0])
        return _LEFT_OUT.format(line=found[0], items=", ".join(map(repr, found[1])))


def _answered_name(code: str) -> str | None:
    value = _answered(code)
    return value.id if isinstance(value, ast.Name) else None


def _answered(code: str) -> ast.expr | None:
    """Returns what code hands to FINAL, if it does nothing else."""
    tree = parsed(code)
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return None
    call = tree.body[0].value
    if not (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id.lower() == "final"
    ):
        return None
    return call.args[0] if len(call.args) == 1 else None


def _number_of(about: Mapping[str, Any]) -> int:
    shape, length = about.get("shape"), about.get("length")
    if isinstance(shape, list) and shape and all(isinstance(side, int) for side in shape):
        return int(max(shape))
    return length if isinstance(length, int) else 0
