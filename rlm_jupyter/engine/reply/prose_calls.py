"""`FINAL(...)` and `FINAL_VAR(...)` in the prose of a reply: which are meant, and what they answer."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from rlm_jupyter.engine.reply.announcements import is_announced, is_plan_item
from rlm_jupyter.engine.reply.answer_text import UncertainText, is_text, names_to_ask

if TYPE_CHECKING:
    from rlm_jupyter.engine.reply.python_syntax import SyntaxChecker

_FINAL = re.compile(r"\bFINAL(?:_VAR)?[ \t]*\(")
_OWN_LINE = re.compile(
    r"^[ \t]*(?:[-*+][ \t]+)?(?:\*\*)?`?(?:(?:return|await)[ \t]+|[a-z_]\w*[ \t]*=[ \t]*|(?P<print>print)\([ \t]*)?\Z"
)
_AFTER = re.compile(r"[ \t]*+[`*.;]*+[ \t]*+\r?$", re.MULTILINE)
_AFTER_PRINT = re.compile(r"[ \t]*+\)[ \t]*+[`*.;]*+[ \t]*+\r?$", re.MULTILINE)
_MAX_CALL = 20_000
_MAX_CALLS = 20
_MAX_MENTIONS = 200
_MOST_WRAPPED = 4


@dataclass(frozen=True)
class FinalCall:
    """A `FINAL(...)` or `FINAL_VAR(...)` in prose.

    Attributes:
        name: which of the two.
        code: the call; None where its parenthesis is not closed.
        own_line: whether it stands alone on its line.
        announced: whether its sentence says that it is meant for later ("once", "will", "should", …).
        notice: what was changed, or "".
        start: where it begins in the prose.
        end: where it ends in the prose.
        text: what it answers if names in it are not defined; None where it is code in any case.
    """

    name: str
    code: str | None
    own_line: bool = False
    announced: bool = False
    notice: str = ""
    start: int = 0
    end: int = 0
    text: UncertainText | None = None


def final_calls(prose: str, checker: SyntaxChecker) -> list[FinalCall]:
    """Find the calls in prose, in order, a limited number of them; quoted ones and mere mentions left out."""
    calls: list[FinalCall] = []
    pos = mentions = 0
    while len(calls) < _MAX_CALLS and mentions < _MAX_MENTIONS and (match := _FINAL.search(prose, pos)):
        mentions += 1
        call = _read_call(prose, match, checker)
        pos = call.end
        line_start = prose.rfind("\n", 0, match.start()) + 1
        before = prose[line_start : match.start()]
        own = _OWN_LINE.match(before)
        if before.lstrip().startswith(">") or (call.code is None and not own):
            continue  # a quotation, or a mere mention
        after = _AFTER_PRINT if own and own["print"] else _AFTER
        alone = own is not None and (call.code is None or after.match(prose, call.end) is not None)
        alone = alone and not is_plan_item(prose, match.start())
        announced = not alone and is_announced(prose, match.start(), call.end)
        calls.append(
            FinalCall(call.name, call.code, alone, announced, call.notice, match.start(), call.end, call.text)
        )
    return calls


def meant_calls(calls: list[FinalCall]) -> list[FinalCall]:
    """Returns the calls that answer: those alone on their lines, else those that no sentence announces."""
    return [call for call in calls if call.own_line] or [call for call in calls if not call.announced]


def is_call(tree: ast.Module) -> bool:
    """Returns whether code is one call and nothing else."""
    body = tree.body
    return len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Call)


def is_final_call(tree: ast.Module) -> bool:
    """Returns whether code is one call of `FINAL` and nothing else but what is put around it in prose.

    That is the mark of a list, `- FINAL(x)`, a title, `Answer: FINAL(x)`, or `return`, `print(...)`, `answer =`.
    """
    if len(tree.body) != 1:
        return False
    value: ast.AST | None = tree.body[0]
    if isinstance(value, ast.AnnAssign) and value.value is None:
        value = value.annotation
    for _ in range(_MOST_WRAPPED):
        if isinstance(value, (ast.Expr, ast.Assign, ast.Return, ast.Starred, ast.Await)):
            value = value.value
        elif isinstance(value, ast.UnaryOp):
            value = value.operand
        elif _is_call_of(value, "print") and len(value.args) == 1:
            value = value.args[0]
    return _is_call_of(value, "FINAL")


def _is_call_of(node: ast.AST | None, name: str) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _read_call(prose: str, match: re.Match[str], checker: SyntaxChecker) -> FinalCall:
    """Read one call: up to the first `)` that makes it Python, else up to the balancing one, as a string."""
    name = match[0].rstrip("( \t")
    start, opening = match.start(), match.end() - match.start()
    rest = prose[start : start + _MAX_CALL]
    closers = [found.end() for found in re.finditer(r"\)", rest)]
    for end in closers[:_MAX_CALLS]:
        tree = checker.tree(rest[:end])
        if tree and is_call(tree):
            words = rest[opening : end - 1].strip()
            return _python_call(name, rest[:end], words, tree, start + end)
    depth = 0
    for paren in re.finditer(r"[()]", rest):
        depth += 1 if paren[0] == "(" else -1
        if depth == 0:
            words = rest[opening : paren.start()].strip()
            notice = f"The text in `{name}(...)` is not Python, so it was taken as a string."
            return FinalCall(name, f"FINAL({words!r})", notice=notice, end=start + paren.end())
    return FinalCall(name, None, end=match.end())


def _python_call(name: str, code: str, words: str, tree: ast.Module, end: int) -> FinalCall:
    """Read a call that is Python: as code, as the text it holds, or as one of both by what names are defined."""
    if name != "FINAL" or not is_final_call(tree):
        return FinalCall(name, code, end=end)
    call = tree.body[0].value  # type: ignore[attr-defined]
    if is_text(call, words):
        notice = "The text in `FINAL(...)` was taken as a string: as Python it means something else."
        return FinalCall(name, f"FINAL({words!r})", notice=notice, end=end)
    names = names_to_ask(call, words)
    return FinalCall(name, code, end=end, text=UncertainText(words, names) if names else None)
