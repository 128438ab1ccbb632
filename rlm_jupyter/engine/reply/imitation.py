"""Where a reply goes on after its code as if it were the next message: with an output that the model made up.

What a model writes below a made-up output was written without the true one, so nothing of it is run. A title such as
`Output:` is none before any code, in a sentence about the wanted form, or right before code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_EDGE = r"[ \t>*_\#`~=|()/\u2192-]{0,20}"
_NOUN = (
    r"(?:(?:console|execution|printed|program|code|repl|cell|terminal|tool|function|kernel|python|script|standard|query"
    r"|actual|expected|sample|example|simulated|hypothetical|the|my|and|step\ \d+)[ \t]+){0,3}"
    r"(?:outputs?|stdout|stderr|results?|observations?|(?:tool|function)[ \t]responses?|ausgaben?|sorties?)"
    r"(?:[ \t]+(?:of|from|for|after|in)[ \t]+"
    r"(?:(?:running|executing|the|this|that|above|my|first|second|last)[ \t]+){0,3}"
    r"(?:block|cell|code|execution|program|query|repl|run|script|snippet|step|turn)(?:[ \t]+(?:above|\d{1,3}))?)?"
    r"(?:[ \t]*\#?\d{1,3}|[ \t]*\([^()\n]{1,40}\))?"
)
_TITLE = re.compile(
    rf"""^(?:
      {_EDGE}{_NOUN}{_EDGE}[:\uff1a]?{_EDGE}
    | {_EDGE}(?:(?:here(?:\ is|['\u2019]s|\ are)|this\ is|that\ is)[ \t]{{1,9}})?{_NOUN}[ \t]+(?:is|was|are|were|shows)
        (?:[ \t]+as\ follows)?[ \t]*[:\uff1a]{_EDGE}
    | {_EDGE}(?:it|this|that|which|(?:the|this|my|running\ (?:it|this|the))(?:\ (?:block|cell|code|program|snippet))?)
        [ \t](?:prints?|printed|outputs?|gives?|gave|returns?|returned|shows|showed|yields?)[ \t]*[:\uff1a]{_EDGE}
    | {_EDGE}here(?:\ is|['\u2019]s|\ are)[ \t]+{_NOUN}[ \t]*[:\uff1a]{_EDGE}
    )\r?$""",
    re.MULTILINE | re.IGNORECASE | re.VERBOSE,
)
"""A line that is nothing but a title of an output."""
_MARK = re.compile(
    rf"""(?:^|(?<=\|>))(?:
      {_EDGE}{_NOUN}(?:[ \t](?:is|was))?{_EDGE}[:\uff1a]{_EDGE}(?=[^\s*_`])
        (?!(?:an?|each|every|one|list|dict|table|the\ (?:final|list|name|number|table|total)|should|will|must|shall|may
           |stored|saved|kept|see|in|as|FINAL(?:_VAR)?|to)\b)
    | {_EDGE}Out[ \t]?\[\d{{1,4}}\][ \t]*:
    | [ \t]*(?:\[(?:\w+[ \t])?(?:output|stdout|stderr|observation|result)s?\]
        |<(?:\w{{1,20}}_)?(?:output|stdout|stderr|observation|result|response)s?>)
    | [ \t]*(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|)(?:user|human|tool|ipython|environment|system)\b
    | [ \t]*\[INST\]
    | {_EDGE}(?:user|human)(?:[ \t]message)?{_EDGE}[:\uff1a]
    | {_EDGE}(?:console|environment|jupyter|kernel|repl|system|terminal|tool){_EDGE}[:\uff1a](?=[ \t]*\r?$)
    | (?:user|human)[ \t]*\r?$
    | [ \t]*\#+[ \t]*(?:user|human|observation|instruction|question)s?\b[^\n]{{0,20}}$
    | {_EDGE}question{_EDGE}[:\uff1a]{_EDGE}\r?$
    | (?-i:Left\ to\ spend:|You\ may\ spend:|This\ is\ your\ last\ turn:|The\ later\ blocks\ of\ your\ reply\ were
        |The\ code\ block\ at\ line\ \d|The\ reply\ has\ no\ code\ block|Begin\ by\ looking\ at\ the\ data)
    | {_EDGE}Traceback\ \(most\ recent\ call\ last\)
    )""",
    re.MULTILINE | re.IGNORECASE | re.VERBOSE,
)
"""A line that begins as the next message does."""
_SOMETHING = re.compile(r"\S")
_FOLLOWS = re.compile(r"\s*+\W{0,4}FINAL(?:_VAR)?[ \t]*\(")
"""A call right below a title is what the model answers, not an output."""
_FORM = re.compile(r"\b(?:form(?:at)?|like|template|pattern|structure|prompt|shape|schema)\b", re.IGNORECASE)
_TAGS = frozenset(
    {
        *("output", "outputs", "out", "stdout", "stderr", "result", "results", "observation", "log"),
        *("text", "txt", "plaintext", "console", "terminal"),
    }
)
_LONGEST_LINE = 200


@dataclass(frozen=True)
class Imitation:
    """Where a reply begins to imitate the next message.

    Attributes:
        at: the place in the reply.
        line: counted from 1.
        mark: the line that says so, shortened.
    """

    at: int
    line: int
    mark: str

    @property
    def notice(self) -> str:
        """What the model is told."""
        return (
            f"The reply goes on at line {self.line} (`{self.mark}`) as if the code had been run: you wrote that, it is "
            "not the output. Nothing from there on was run. End your reply after the code, and wait for its output."
        )


def find_imitation(text: str, start: int, end: int, *, before_code: bool) -> int | None:
    """Find where a stretch of prose after code begins to imitate the next message.

    Args:
        text: the reply.
        start: of the prose.
        end: of the prose.
        before_code: whether code follows at its end, so that a title there is that of the code.
    """
    first = None
    for match in _TITLE.finditer(text, start, end):
        follows = _FOLLOWS.match(text, match.end(), end)
        if not (follows or (before_code and not _SOMETHING.search(text, match.end(), end))):
            first = match.start()
            break
    mark = _MARK.search(text, start, end if first is None else first)
    return mark.start() if mark else first


def is_output_title(line: str) -> bool:
    """Returns whether a line is nothing but a title of an output."""
    return len(line) <= _LONGEST_LINE and _TITLE.fullmatch(line) is not None


def is_output_block(tag: str, before: str) -> bool:
    """Returns whether a block of that language shows an output, and not the form of one.

    Args:
        tag: the first word of its info string, lower case.
        before: the prose before it.
    """
    lines = before.strip().rsplit("\n", 1)
    return tag in _TAGS and _FORM.search(lines[-1][-_LONGEST_LINE:]) is None


def imitation_at(text: str, at: int) -> Imitation:
    """Describe the imitation that begins at a place of a reply."""
    end = text.find("\n", at)
    mark = " ".join(text[at : end if end >= 0 else len(text)][:60].replace("`", " ").split())
    return Imitation(at, text.count("\n", 0, at) + 1, mark or "output")
