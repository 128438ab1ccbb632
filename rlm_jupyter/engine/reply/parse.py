"""From any reply of a model to the code to run.

Nothing but the reply itself is ever read here: no REPL output, no data, no sub-answer. Code is given back
byte for byte (a list's indentation and CRLF line ends belong to the fence, and are removed; half a surrogate pair,
which no Python takes, is replaced; what `code_mends` mends is said in a notice).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlm_jupyter.engine.reply.assigned_answer import with_answer
from rlm_jupyter.engine.reply.blank_reply import why_blank
from rlm_jupyter.engine.reply.block_ends import is_sentence
from rlm_jupyter.engine.reply.code_mends import mend_code
from rlm_jupyter.engine.reply.fences import Block, Scan, scan
from rlm_jupyter.engine.reply.imitation import find_imitation, imitation_at
from rlm_jupyter.engine.reply.ipython_lines import is_cell_magic
from rlm_jupyter.engine.reply.prose_calls import FinalCall, final_calls, is_call, is_final_call, meant_calls
from rlm_jupyter.engine.reply.python_syntax import SyntaxChecker, does_something
from rlm_jupyter.engine.reply.scripts import with_scripts
from rlm_jupyter.engine.reply.thinking import begins_with_mark, without_last_tokens
from rlm_jupyter.models.openai.chat_replies import clean_text, is_blank

if TYPE_CHECKING:
    from rlm_jupyter.engine.reply.answer_text import UncertainText
    from rlm_jupyter.models.base import Completion

_CUT = frozenset({"length", "max_tokens", "content_filter"})
"""Finish reasons that say that the model had not finished."""

_NO_BACKTICKS = re.compile(
    r"^[ \t]*(?:repl|python|py)(?:[ \t]+code)?:?[ \t]*\r?$", re.MULTILINE | re.IGNORECASE
)
_INLINE_FENCE = re.compile(r"(?<!`)`{3,}+[ \t]*+(?:repl|python|py)\b", re.IGNORECASE)
MOST_CHARS = 1_000_000
"""Of a reply: more than any model writes at once, and read in a tenth of a second."""
_MOST_UNFENCED = 200_000
_MAX_LEADS = 4
_LONGEST_LINE = 200
_CALLS_FINAL = re.compile(r"\b(?:FINAL(?:_VAR)?|SUBMIT)[ \t]*\(")
_LINE_END = re.compile(r"[ \t]*+[`*.;]*+[ \t]*+(?:\r?\n|\Z)")
_FENCE_LINE = re.compile(r"^[ \t]*(?:`{3}|~{3})", re.MULTILINE)
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
        text: what the only block answers if names in it are not defined in the kernel; None where it is code in any
            case.
    """

    blocks: tuple[str, ...]
    problem: str | None = None
    notices: tuple[str, ...] = ()
    prose: str = ""
    thinking: str = ""
    text: UncertainText | None = None


def parse_reply(text: str, *, finish_reason: str = "stop", shell: bool = False) -> Reply:
    """Find the code to run in a reply.

    Args:
        text: the reply, as the model sent it.
        finish_reason: why it ended; after ``"length"`` a block without a closing fence is not run.
        shell: whether blocks of a shell are code too; they become cells that begin with `%%bash`.

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
    if shell:
        found = with_scripts(found, cut=cut)
    prose, thinking = found.prose.strip(), found.thinking.strip()
    codes = tuple(block.code for block in found.blocks if block.kind == "code")
    if not cut and (whole := _whole_code(text[found.thought_end :])):
        codes, told = with_answer((whole,), checker)
        return Reply(codes, None, (_BARE, *told), "", thinking)
    if codes:
        codes, told = with_answer(codes, checker)
        return Reply(codes, None, (*_notices(found, checker), *told), prose, thinking)
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
        return Reply((answer.code,), None, answer.notices, prose, thinking, answer.text)
    return Reply((), answer.problem or _problem(text, found, finish_reason), (), prose, thinking)


def parse_completion(completion: Completion, *, shell: bool) -> Reply:
    """Find the code to run in a completion; see `parse_reply`."""
    return parse_reply(completion.text, finish_reason=completion.finish_reason, shell=shell)


def _whole_code(text: str) -> str | None:
    """Returns a reply that is code without a fence and holds a fence in a string; None for any other.

    Sentences before and after the code are left out.
    """
    if len(text) > _MOST_UNFENCED or is_cell_magic(text) or not _FENCE_LINE.search(text):
        return None
    lines = text.strip("\r\n").split("\n")
    checker = SyntaxChecker(_MAX_LEADS + 2, _MOST_UNFENCED * (_MAX_LEADS + 2))
    if not _FENCE_LINE.match(lines[0]) and checker.does_something("\n".join(lines), certain=True):
        return "\n".join(lines)
    while lines and (not lines[-1].strip() or is_sentence(lines[-1])):
        lines.pop()
    for _ in range(_MAX_LEADS + 1):
        code = "\n".join(lines).strip("\r\n")
        if _FENCE_LINE.search(code) is None or _FENCE_LINE.match(code):
            return None
        if checker.does_something(code, certain=True):
            return code
        lead = lines.pop(0).strip()
        if lead and not (is_sentence(lead) or lead.endswith((":", "."))):
            return None
    return None


def _notices(found: Scan, checker: SyntaxChecker) -> tuple[str, ...]:
    notices = []
    for block in found.blocks:
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
    if call := _call_outside(found, checker):
        notices.append(_outside(call))
    if found.imitation:
        notices.append(found.imitation.notice)
    return tuple(notices)


def _call_outside(found: Scan, checker: SyntaxChecker) -> FinalCall | None:
    """Find a call beside the blocks that was meant as the answer: alone on its line, or at its end, and in no block."""
    if any(block.kind == "code" and _CALLS_FINAL.search(block.code) for block in found.blocks):
        return None
    calls = final_calls(found.prose, checker)
    meant = [
        call
        for call in calls
        if call.own_line or (not call.announced and _LINE_END.match(found.prose, call.end))
    ]
    return meant[-1] if meant else None


def _outside(call: FinalCall) -> str:
    """Returns what the model is told of a call beside a code block."""
    code = call.code or ""
    line = code if code and len(code) <= _LONGEST_LINE and "\n" not in code else f"{call.name}(...)"
    quoted = ", with quotation marks if it is a text" if call.text else ""
    return (
        f"`{call.name}(...)` stood outside of the code block and was not run. If it is still your answer, send it as "
        f"code, in a block{quoted}:\n```repl\n{line}\n```"
    )


@dataclass(frozen=True)
class _Unfenced:
    """What a reply without a code block asks for: code, or a problem, or neither."""

    code: str | None = None
    notices: tuple[str, ...] = ()
    problem: str | None = None
    text: UncertainText | None = None


def _unfenced(found: Scan, cut: bool, checker: SyntaxChecker) -> _Unfenced:
    """Read a reply without a code block: Python as a whole, or a lone `FINAL(...)` in prose."""
    prose = found.prose
    named = _NO_BACKTICKS.search(prose)
    if named and checker.does_something(prose[named.end() :], certain=True):
        line = named[0].strip()
        return _Unfenced(problem=f"The line `{line}` has no backticks, so nothing was run: {_FENCED}.")
    if not (found.blocks or cut):
        code, mended = mend_code(prose.strip("\r\n"), checker)
        tree = checker.tree(code, certain=True)
        if tree and does_something(tree) and not is_final_call(tree):
            return _Unfenced(code, () if is_call(tree) else tuple(filter(None, (_BARE, mended))))
        if (tree is None) and (begun := _before_imitation(prose, checker)):
            return begun
    return _answer_in_prose(prose, checker)


def _answer_in_prose(prose: str, checker: SyntaxChecker) -> _Unfenced:
    """Read a `FINAL(...)` in prose, if one is meant."""
    meant = meant_calls(final_calls(prose, checker))
    if not meant:
        return _Unfenced()
    call = meant[0]
    if len({other.code for other in meant}) > 1:
        problem = f"The reply has several `FINAL` calls, so none was run: {_FENCED}, with the one meant."
        return _Unfenced(problem=problem)
    if call.code is None:
        problem = f"The parenthesis of `{call.name}(` is not closed: {_FENCED}, with the whole call."
        return _Unfenced(problem=problem)
    return _Unfenced(call.code, (call.notice,) if call.notice else (), text=call.text)


def _before_imitation(prose: str, checker: SyntaxChecker) -> _Unfenced | None:
    """Read code without a fence below which the model made up an output."""
    at = find_imitation(prose, 0, len(prose), before_code=False)
    if not at or not checker.does_something(prose[:at].strip("\r\n"), certain=True):
        return None
    return _Unfenced(prose[:at].strip("\r\n"), (_BARE, imitation_at(prose, at).notice))


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
