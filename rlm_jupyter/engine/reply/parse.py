"""From any reply of a model to the code to run.

Nothing but the reply itself is ever read here: no REPL output, no data, no sub-answer. Code is given back
byte for byte (a list's indentation and CRLF line ends belong to the fence, and are removed; half a surrogate pair,
which no Python takes, is replaced).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from rlm_jupyter.engine.reply.blank_reply import why_blank
from rlm_jupyter.engine.reply.fences import Block, Scan, scan
from rlm_jupyter.engine.reply.python_syntax import SyntaxChecker, does_something
from rlm_jupyter.engine.reply.thinking import begins_with_mark, without_last_tokens
from rlm_jupyter.models.openai.chat_replies import clean_text, is_blank

_CUT = frozenset({"length", "max_tokens", "content_filter"})
"""Finish reasons that say that the model had not finished."""

_FINAL = re.compile(r"\bFINAL(?:_VAR)?[ \t]*\(")
_OWN_LINE = re.compile(r"^[ \t]*(?:[-*+][ \t]+)?(?:\*\*)?`?\Z")
_AFTER = re.compile(r"[ \t]*+[`*.;]*+[ \t]*+\r?$", re.MULTILINE)
_HEDGE = re.compile(
    r"\b(?:after|afterwards|before|can|could|don't|eventually|if|later|might|must|need|never|not|once|"
    r"should|then|unless|until|when|whether|would)\b",
    re.IGNORECASE,
)
_NO_BACKTICKS = re.compile(
    r"^[ \t]*(?:repl|python|py)(?:[ \t]+code)?:?[ \t]*\r?$", re.MULTILINE | re.IGNORECASE
)
_INLINE_FENCE = re.compile(r"(?<!`)`{3,}+[ \t]*+(?:repl|python|py)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?:][ ]|[\r\n]")
_MAX_CALL = 20_000
_MAX_CALLS = 20
_MAX_MENTIONS = 200
MOST_CHARS = 1_000_000
"""Of a reply: more than any model writes at once, and read in a tenth of a second."""
_FENCED = "send Python in one ```repl block"
_BARE = "The reply was Python without a ```repl fence; it was run as it is."


@dataclass(frozen=True)
class Reply:
    """What a model's reply asks for.

    Attributes:
        blocks: code to run, in order; a later one must not run after an earlier one raised.
        problem: where there is nothing to run, one sentence that says why and what to send instead;
            else None.
        notices: what was mended or left out, each a sentence, for the tree and for the model.
        prose: the text outside of blocks.
        thinking: what the model only thought, such as the text of `<think>…</think>`.
    """

    blocks: tuple[str, ...]
    problem: str | None = None
    notices: tuple[str, ...] = ()
    prose: str = ""
    thinking: str = ""


def parse_reply(text: str, *, finish_reason: str = "stop") -> Reply:
    """Find the code to run in a reply.

    Args:
        text: the reply, as the model sent it.
        finish_reason: why it ended; after ``"length"`` a block without a closing fence is not run.

    Returns:
        The blocks, or the problem to tell the model; never both, never neither.
    """
    if len(text) > MOST_CHARS:
        problem = f"The reply has {len(text):,} characters, more than are read: {_FENCED}, and little else."
        return Reply((), problem)
    cut = finish_reason in _CUT
    text = without_last_tokens(clean_text(text))
    checker = SyntaxChecker()
    found = scan(text, cut=cut, checker=checker)
    prose, thinking = found.prose.strip(), found.thinking.strip()
    codes = tuple(block.code for block in found.blocks if block.kind == "code")
    if codes:
        return Reply(codes, None, _notices(found.blocks), prose, thinking)
    if any(block.kind in ("cut", "broken") for block in found.blocks):
        return Reply((), _bad_block(found.blocks[-1]), (), prose, thinking)
    if (
        found.thinking
        and not (found.blocks or cut or begins_with_mark(text))
        and checker.does_something(text)
    ):
        found = Scan(
            (), text, "", thinking_unclosed=False
        )  # the mark stood in a string of Python without a fence
        prose, thinking = text.strip(), ""
    answer = _unfenced(found, cut, checker)
    if answer.code is not None:
        return Reply((answer.code,), None, answer.notices, prose, thinking)
    return Reply((), answer.problem or _problem(text, found, finish_reason), (), prose, thinking)


def _notices(blocks: tuple[Block, ...]) -> tuple[str, ...]:
    notices = []
    for block in blocks:
        where = f"The code block at line {block.line} of the reply"
        if block.kind == "code" and block.note:
            notices.append(f"{where} was mended. {block.note}")
        elif block.kind == "cut":
            notices.append(
                f"{where} was cut off by the length limit and was not run: send it again, shorter."
            )
        elif block.kind == "broken":
            notices.append(
                f"{where} has no closing fence and is not valid Python{_reason(block)}; it and what follows "
                "were not run."
            )
    return tuple(notices)


@dataclass(frozen=True)
class _Unfenced:
    """What a reply without a code block asks for: code, or a problem, or neither."""

    code: str | None = None
    notices: tuple[str, ...] = ()
    problem: str | None = None


def _unfenced(found: Scan, cut: bool, checker: SyntaxChecker) -> _Unfenced:
    """Read a reply without a code block: Python as a whole, or a lone `FINAL(...)` in prose."""
    prose = found.prose
    named = _NO_BACKTICKS.search(prose)
    if named and checker.does_something(prose[named.end() :]):
        line = named[0].strip()
        return _Unfenced(problem=f"The line `{line}` has no backticks, so nothing was run: {_FENCED}.")
    tree = None if found.blocks or cut else checker.tree(prose)
    if tree and does_something(tree):
        return _Unfenced(prose.strip("\r\n"), () if _is_call(tree) else (_BARE,))
    calls = _final_calls(prose, checker)
    meant = [call for call in calls if call.own_line] or [call for call in calls if not call.hedged]
    if not meant:
        return _Unfenced()
    call = meant[0]
    if len({other.code for other in meant}) > 1:
        problem = f"The reply has several `FINAL` calls, so none was run: {_FENCED}, with the one meant."
        return _Unfenced(problem=problem)
    if call.code is None:
        problem = f"The parenthesis of `{call.name}(` is not closed: {_FENCED}, with the whole call."
        return _Unfenced(problem=problem)
    return _Unfenced(call.code, (call.notice,) if call.notice else ())


def _is_call(tree: ast.Module) -> bool:
    body = tree.body
    return len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Call)


@dataclass(frozen=True)
class _FinalCall:
    """A `FINAL(...)` or `FINAL_VAR(...)` in prose.

    Attributes:
        name: which of the two.
        code: the call; None where its parenthesis is not closed.
        own_line: whether it stands alone on its line.
        hedged: whether its sentence says that it is meant for later ("once", "when", "should", …).
        notice: what was changed, or "".
        end: where it ends in the prose.
    """

    name: str
    code: str | None
    own_line: bool = False
    hedged: bool = False
    notice: str = ""
    end: int = 0


def _final_calls(prose: str, checker: SyntaxChecker) -> list[_FinalCall]:
    calls: list[_FinalCall] = []
    pos = mentions = 0
    while len(calls) < _MAX_CALLS and mentions < _MAX_MENTIONS and (match := _FINAL.search(prose, pos)):
        mentions += 1
        call = _read_call(prose, match, checker)
        pos = call.end
        before = prose[prose.rfind("\n", 0, match.start()) + 1 : match.start()]
        own = _OWN_LINE.match(before) is not None
        if before.lstrip().startswith(">") or (call.code is None and not own):
            continue  # a quotation, or a mere mention
        own = own and (call.code is None or _AFTER.match(prose, call.end) is not None)
        after = _SENTENCE_END.split(prose[call.end : call.end + 200])[0]
        sentence = f"{_SENTENCE_END.split(before)[-1]} {after}"
        hedged = _HEDGE.search(sentence) is not None
        calls.append(_FinalCall(call.name, call.code, own, hedged, call.notice, call.end))
    return calls


def _read_call(prose: str, match: re.Match[str], checker: SyntaxChecker) -> _FinalCall:
    """Read one call: up to the first `)` that makes it Python, else up to the balancing one, as a string."""
    name = match[0].rstrip("( \t")
    start, opening = match.start(), match.end() - match.start()
    rest = prose[start : start + _MAX_CALL]
    closers = [found.end() for found in re.finditer(r"\)", rest)]
    for end in closers[:_MAX_CALLS]:
        tree = checker.tree(rest[:end])
        if tree and _is_call(tree):
            return _FinalCall(name, rest[:end], end=start + end)
    depth = 0
    for paren in re.finditer(r"[()]", rest):
        depth += 1 if paren[0] == "(" else -1
        if depth == 0:
            words = rest[opening : paren.start()].strip()
            notice = f"The text in `{name}(...)` is not Python, so it was taken as a string."
            return _FinalCall(name, f"FINAL({words!r})", notice=notice, end=start + paren.end())
    return _FinalCall(name, None, end=match.end())


def _reason(block: Block) -> str:
    return f" ({block.note})" if block.note else ""


def _bad_block(block: Block) -> str:
    if block.kind == "cut":
        return (
            f"The reply was cut off by the length limit inside the code block at line {block.line}, so "
            "nothing was run: send shorter code, in several turns if need be."
        )
    return (
        f"The code block at line {block.line} has no closing ``` and is not valid Python{_reason(block)}, so "
        "nothing was run: send it again, complete."
    )


def _problem(text: str, found: Scan, finish_reason: str) -> str:
    """Returns in one sentence why there is nothing to run, and what to send instead."""
    if is_blank(text):
        return f"{why_blank(finish_reason)}: {_FENCED}."
    if found.thinking_unclosed:
        return f"The reply ended inside its thinking: think shorter, then {_FENCED}."
    if finish_reason in _CUT:
        return f"The reply was cut off by the length limit before any code: {_FENCED}, before anything else."
    others = [block for block in found.blocks if block.kind == "other"]
    tags = ", ".join(sorted({f"`{block.tag}`" for block in others if block.tag}))
    if tags:
        return f"The reply's only block is of another language ({tags}) and was not run: {_FENCED}."
    if others:
        return (
            f"The block at line {others[0].line} names no language and is not Python that does something"
            f"{_reason(others[0])}, so it was not run: {_FENCED}."
        )
    return _no_block(found)


def _no_block(found: Scan) -> str:
    if found.blocks:
        return "The code block was empty: send the code to run inside of it."
    if _INLINE_FENCE.search(found.prose):
        return "The code fence must stand on a line of its own: a line ```repl, the code, a line ```."
    return f"The reply has no code block, so nothing was run: {_FENCED}; to answer, call FINAL(value) in it."
