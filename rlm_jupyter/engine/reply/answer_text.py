"""Whether what stands in a `FINAL(...)` in prose is code or a text: `FINAL(total)`, `FINAL(Paris)`.

A model that answers in prose need not quote a text. Words that are no Python are one in any case; words that happen
to be Python (`A|B`, `N/A`, `Smith, John`, `yes`) are one if the names in them are not defined in the agent's kernel.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

_DATE = re.compile(r"\d{4}[-/]\d{1,2}(?:[-/]\d{1,2})?|\d{1,2}[-/]\d{1,2}[-/]\d{2,4}")
_HYPHENS = re.compile(r"\d+(?:-\d+)+")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_BARE_WORDS = (
    *(ast.Name, ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Attribute, ast.Load),
    *(ast.BinOp, ast.BitOr, ast.BitAnd, ast.Div, ast.Sub, ast.MatMult, ast.UnaryOp, ast.Not, ast.USub),
    *(ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.cmpop),
)
"""What a text of bare words is made of, where it is Python at all; `+`, `len(x)` and `x[0]` are code."""
_VARIABLES = frozenset(
    """
    all_results ans answer answers array arr best buf buffer chunk chunks context context_length count counts
    counter data df df1 df2 dict e found group grouped hits i idx index item items j k key keys length line lines
    lst m mask match matches max_value mean n names num nums obj out output outputs part parts res response
    responses result results ret row rows s score scores series string sub subset sum_ summary t table tbl temp
    text texts tmp total totals v val vals value values var variable variables x xs
    """.split()  # noqa: SIM905 - it is read more easily
)
"""Names that models give to variables: where one is not defined, the model must be told."""
_MAX_NAMES = 50
_MAX_DIGITS = 15


@dataclass(frozen=True)
class UncertainText:
    """Words in a `FINAL(...)` that are code if all names in them are defined, and else a text.

    Attributes:
        words: as the model wrote them.
        names: to look up in the kernel.
    """

    words: str
    names: tuple[str, ...]

    @property
    def code(self) -> str:
        """The call that answers the words as a text."""
        return f"FINAL({self.words!r})"

    @property
    def notice(self) -> str:
        """What the model is told if they were taken as a text."""
        return "The words in `FINAL(...)` name no variables, so they were taken as a string."


def is_text(call: ast.Call, words: str) -> bool:
    """Returns whether the arguments of a call are Python by accident: a date, a number with commas, `total = 5`.

    Args:
        call: of `FINAL`.
        words: what stands between its parentheses.
    """
    if _DATE.fullmatch(words) or _THOUSANDS.fullmatch(words):
        return True
    if _HYPHENS.fullmatch(words):  # a range or a number of parts; 100-1 may be a difference
        first, *others = (int(part[:_MAX_DIGITS]) for part in words.split("-"))
        return len(others) > 1 or first < others[0]
    return any(keyword.arg not in (None, "value") for keyword in call.keywords)


def names_to_ask(call: ast.Call, words: str) -> tuple[str, ...]:
    """Returns the names whose existence decides whether a call is code; none where it is code in any case.

    Args:
        call: of `FINAL`, and Python.
        words: what stands between its parentheses.
    """
    inside = [*call.args, *(keyword.value for keyword in call.keywords)]
    nodes = [node for part in inside for node in ast.walk(part)]
    names = list(dict.fromkeys(node.id for node in nodes if isinstance(node, ast.Name)))
    if not names or len(names) > _MAX_NAMES:
        return ()
    denied = len(inside) == 1 and isinstance(inside[0], ast.UnaryOp) and isinstance(inside[0].op, ast.Not)
    if not denied and any(map(_is_variable, names)):  # `not found` is what a model says
        return ()
    for part in inside:
        if not (_is_bare_words(part) or (" (" in words and _is_word_with_note(part))):
            return ()
    return tuple(names)


def _is_bare_words(tree: ast.AST) -> bool:
    return all(isinstance(node, _BARE_WORDS) for node in ast.walk(tree))


def _is_word_with_note(tree: ast.AST) -> bool:
    """Returns whether it is `Paris (France)`: a name with a capital and bare words in parentheses after it."""
    return (
        isinstance(tree, ast.Call)
        and isinstance(tree.func, ast.Name)
        and tree.func.id[:1].isupper()
        and not tree.keywords
        and tree.args != []
        and all(map(_is_bare_words, tree.args))
    )


def _is_variable(name: str) -> bool:
    """Returns whether a name can only be that of a variable."""
    return "_" in name or name in _VARIABLES or re.fullmatch(r"[a-z]+\d+", name) is not None
