"""What an agent's reply is answered with besides its output: by the kind of prompt that the agent has.

Every agent: code that failed is not run again, it leaves the chat and the next request is warmer. A small model
besides: a first look is taken for it, its messages end with what is wanted, and its other failures leave the chat.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rlm_jupyter.engine.agent import small_prompt
from rlm_jupyter.engine.agent.answer_checks import AnswerKinds, answer_in_words, nearest_word, unseen_words
from rlm_jupyter.engine.agent.attempts import Attempt, Attempts, key_of, may_differ
from rlm_jupyter.engine.agent.code_doubts import LABEL, CodeDoubts, label_line
from rlm_jupyter.engine.agent.first_look import DERIVED, HELPERS, Look
from rlm_jupyter.engine.agent.question_columns import asked_flags, chosen_columns
from rlm_jupyter.engine.agent.question_idioms import idioms
from rlm_jupyter.engine.agent.question_labels import labels
from rlm_jupyter.engine.agent.shown_lines import missing_lines
from rlm_jupyter.engine.reply.python_syntax import parsed
from rlm_jupyter.kernels.channels.tracebacks import failing_lines
from rlm_jupyter.text.shorten import cut_middle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from rlm_jupyter.engine.reply.parse import Reply
    from rlm_jupyter.kernels.cell_result import CellResult
    from rlm_jupyter.models.base import Message

_LINE: Final = 200
_QUESTION: Final = 500
_SMALL_OUTPUT: Final = 3000
_LABELS: Final = "classify"
_MOST_UNSEEN: Final = 3
_CONFIRMED: Final = 1
"""Times that a small model is told that it sent the same code again."""
_EMPTY: Final = "is no answer"
_NOTHING: Final = frozenset(
    ("", "0", "0.0", "None", "nan", "[]", "{}", "set()", "False", "Series([], dtype: object)")
)
"""Output after which a small model is not asked whether it is the answer: most often its code does not fit the data."""
_ZEROS: Final = frozenset(("0", "0.0", "False"))
"""Those that are offered as the answer if other code prints one again."""
_CORE: Final = 3
_REJECTED: Final = "FinalRejected"
_MADE: Final = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.JoinedStr)


@dataclass(frozen=True)
class Retraction:
    """Why a reply leaves the chat.

    Attributes:
        note: what is said of it in its place.
        back_to: the place in the chat from which on all goes; None for the reply alone.
        failure: the error that it would have repeated; empty for other reasons.
    """

    note: str
    back_to: int | None = None
    failure: str = ""


class Guidance:
    """Of one agent.

    Args:
        question: verbatim.
        names: the variables that its data is bound to.
        redact: takes secrets out of a text, before it is cut.

    Attributes:
        small: whether its model is a small one.
        look: the first look that was taken for a small model; None for none.
        data: the variables to compute from, as the model is to write them.
        doubts: what is doubtful in code that ran.
        attempts: what it ran.
        repeated: how often it sent code again that had run to its end.
        found_nothing: whether the newest code that ran to its end printed nothing, or what says that nothing was found.
    """

    def __init__(self, question: str, names: Sequence[str], redact: Callable[[str], str] = str) -> None:
        self.small = False
        self.look: Look | None = None
        self.data = f"`{names[0]}`" if names else "`context`"
        self.doubts = CodeDoubts(question)
        self._kinds = AnswerKinds(question)
        self.attempts = Attempts()
        self.repeated = 0
        self.found_nothing = False
        self._unseen = 0
        self._searched = False
        self._question = question
        self._redact = redact
        self._names = frozenset(names)

    def begin(self, look: Look, *, mapping: bool, sub_calls: bool) -> None:
        """Take over what a first look has shown.

        Args:
            look: that was taken.
            mapping: whether the data is a dict of texts.
            sub_calls: whether code may ask a model.
        """
        self.look = look if sub_calls else replace(look, texts="")
        self.data = look.data
        self.doubts.mapping = "context" if mapping and look.data == "`context`" else ""
        self.doubts.column = self.look.texts
        self.doubts.longer = {each.term: each.column for each in look.named if each.longer}
        self.doubts.columns = {each.term: each.column for each in look.named}
        self.doubts.dates = frozenset(column.name for column in look.columns if column.kind == "date")
        self.doubts.key = chosen_columns(self._question, look.columns).get("key", "")
        self.doubts.flags = asked_flags(self._question, look.columns)
        table = look.data.strip("`")
        self.doubts.table = table if table.isidentifier() and table not in {"context", *self._names} else ""

    # ---- before a reply's code runs

    def read(self, reply: Reply) -> Reply:
        """Returns the part of a reply that counts: of a small model's the first block alone.

        What it writes after that is most often the output that it expects, in a block of its own.
        """
        return replace(reply, blocks=reply.blocks[:1]) if self.small else reply

    def kept(self, reply: Reply, whole: Message) -> Message:
        """Returns what the chat keeps of a reply: of a small model's the code that ran, as it was asked for.

        Args:
            reply: as it was read.
            whole: the message.
        """
        if not self.small or not reply.blocks:
            return whole
        return {"role": "assistant", "content": f"```repl\n{reply.blocks[0].rstrip()}\n```"}

    def quoted(self, reply: Reply, variables: Mapping[str, Any], shown: str) -> Reply:
        """Returns a small model's reply with the text in quotes that it hands to FINAL without.

        Args:
            reply: as it was read.
            variables: the names in the agent's kernel.
            shown: what it was shown last.
        """
        if not self.small or len(reply.blocks) != 1:
            return reply
        code = answer_in_words(reply.blocks[0], variables, shown)
        return reply if code is None else replace(reply, blocks=(code,))

    def with_lines(self, reply: Reply, variables: Mapping[str, Mapping[str, Any]]) -> tuple[Reply, str]:
        """Returns a small model's reply with the lines before it that it was shown and takes for run, and a notice.

        Args:
            reply: as it was read.
            variables: descriptions of the agent's variables, by name.
        """
        if self.look is None or len(reply.blocks) != 1:
            return reply, ""
        table = variables.get(self.look.data.strip("`"), {}).get("columns")
        columns = (
            [part.get("name") for part in table if isinstance(part, dict)] if isinstance(table, list) else []
        )
        known = {*variables, *self._names, *DERIVED}
        lines = missing_lines(reply.blocks[0], self._shown_lines(), known, [str(name) for name in columns])
        if not lines:
            return reply, ""
        names = ", ".join(f"`{line.partition(' = ')[0]}`" for line in lines)
        note = f"The code uses {names} as if it were there; the lines that were shown were put before it."
        return replace(reply, blocks=("\n".join([*lines, reply.blocks[0]]),)), note

    def _shown_lines(self) -> list[str]:
        """Returns the lines of Python that stand in the first message."""
        look = self.look
        if look is None or look.found or not (look.columns or look.data != "`context`"):
            return []
        named = labels(self._question) if look.texts else []
        return [*([label_line(look.texts, named)] if named else []), *self._lines(look)]

    @property
    def _read_off(self) -> bool:
        """Whether an answer that is written out is read off the lines of the first look: no code has searched since."""
        return (
            self.look is not None and self.look.found and not self._searched and self._unseen < _MOST_UNSEEN
        )

    def refuse(
        self, reply: Reply, variables: Mapping[str, Mapping[str, Any]], shown: str
    ) -> Retraction | None:
        """Returns why a reply is not worth being run; None if it is.

        Args:
            reply: as it was read.
            variables: descriptions of the agent's variables, by name.
            shown: what it was shown last.
        """
        if not reply.blocks:
            return Retraction("Your last reply had no code, so nothing was run.") if self.small else None
        if len(reply.blocks) > 1:
            return None
        code = reply.blocks[0]
        known = self.attempts.same_code(code)
        if known is not None and known.failure:
            return Retraction(
                _failed(known), self.attempts.drop_failed() if self.small else None, known.failure
            )
        if known is not None and self.small:
            self.repeated += 1
            answer = f" If it is the answer, reply FINAL({known.shown}) now." if known.shown else ""
            return Retraction(f"You sent the same code again. Its output stands above.{answer}")
        note = self._unfit(code, variables, shown) if self.small else None
        return Retraction(note) if note is not None else None

    def _unfit(self, code: str, variables: Mapping[str, Mapping[str, Any]], shown: str) -> str | None:
        """Returns why code of a small model cannot lead to an answer; None if it can."""
        if self._read_off and (word := unseen_words(code, shown)) is not None:
            self._unseen += 1
            data = shown.replace(self._question, "")  # its examples are no answers
            near = nearest_word(word, code, data)
            whole = self._kinds.incomplete(code, data, word)
            meant = whole or (f"`{near}` does: is that it?" if near else "Search `context` by code.")
            return f"`{word}` stands in no output, so it is no answer. {meant}"
        if self.look is not None and self.look.found and (lacking := self._kinds.incomplete(code, shown)):
            return lacking
        if (unfit := self._kinds.refuse(code, variables)) is not None:
            return unfit
        if (name := self._defined_anew(code)) is not None:
            return f"`{name}` is a function that you have, so your code was not run. Call it, and do not define it."
        if (name := self._retyped(code)) is not None:
            use = f"Use {self.data} as it is."
            return f"Your last code put typed text in the place of `{name}`, so it was not run. {use}"
        return None

    def confirmed(self, reply: Reply) -> str | None:
        """Returns the answer of a small model that sends the same code again after it was told, as code; None for none.

        What it computed was shown to it, and that this is to be its answer is all that it can mean.
        """
        if not self.small or self.repeated < _CONFIRMED or len(reply.blocks) != 1:
            return None
        known = self.attempts.same_code(reply.blocks[0])
        return f"FINAL({known.shown})" if known is not None and not known.failure and known.shown else None

    def _defined_anew(self, code: str) -> str | None:
        """Returns `classify` if code defines it anew, as a model does that would do its work by a word in a text."""
        tree = parsed(code) if self.look is not None and self.look.texts else None
        for node in tree.body if tree is not None else ():
            if isinstance(node, ast.FunctionDef) and node.name == _LABELS:
                return node.name
        return None

    def _retyped(self, code: str) -> str | None:
        """Returns the variable of the data that code replaces by something written out."""
        tree = parsed(code)
        if tree is None:
            return None
        names = self._names | set(DERIVED)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and _is_typed(node.value):
                for target in node.targets:
                    if isinstance(target, ast.Name) and target.id in names:
                        return target.id
        return None

    # ---- after it ran

    def after(
        self, blocks: Sequence[str], result: CellResult | None, start: int, hint: str
    ) -> Retraction | None:
        """Remember what came of a reply; returns why it leaves the chat, None if it stays.

        Args:
            blocks: those that ran, in order.
            result: of the last of them; None if there was none.
            start: the place of the reply in the chat.
            hint: what was said of its error; may be empty.
        """
        if result is None:
            return None
        code = "\n".join(blocks)
        if result.status == "ok":
            return self._after_output(code, result.printed.head.strip(), start)
        failure = self._redact(failure_of(result) or "")
        if self.small and result.error_name == _REJECTED:
            back_to = self.attempts.drop_newest("it gave no answer") if _EMPTY in result.error_value else None
            return Retraction(f"FINAL was not accepted: {result.error_value}", back_to)
        if result.error_name == _REJECTED:
            return None  # sent back, it may be taken the next time
        line = next(iter(failing_lines(str(result.traceback or ""))), "") or code.strip().partition("\n")[0]
        attempt = Attempt(key_of(code), start, failure, self._redact(line.strip()), hint)
        if self.small and self.attempts.same_failure(failure) is not None:
            back_to = self.attempts.drop_failed()
            self.attempts.add(replace(attempt, start=None))
            return Retraction(_failed(attempt), back_to, failure)
        self.attempts.add(attempt)
        return None

    def _after_output(self, code: str, printed: str, start: int) -> Retraction | None:
        """Remember code that ran to its end; what a small model's printed for nothing leaves the chat, once.

        While it stands there, it is sent again as it is. A second nothing, of other code, may be right.
        """
        self.repeated = 0
        self._searched = self._searched or not _only_looks(code)
        shown = small_prompt.printed_expression(code)
        nothing = self.small and printed in _NOTHING
        drop = nothing and not self.found_nothing
        self.attempts.add(
            Attempt(key_of(code), None if drop else start, shown=shown, repeatable=may_differ(code))
        )
        self.found_nothing = nothing
        if not drop:
            return None
        what = f"printed `{printed}`: nothing was selected" if printed else "printed nothing"
        told = [f"This code {what}.", *(f"    {line[:_LINE]}" for line in _core(code)), *self.doubts.of(code)]
        return Retraction("\n".join([*told, "Look at the data above, and select in another way."]))

    def hint(self, name: str, text: str) -> str | None:
        """Returns a hint at the error of code that takes a small model's labels before they were made; else None.

        Args:
            name: of the exception's type.
            text: of the exception.
        """
        if not self.doubts.column or name != "KeyError" or text.strip("'\"") != LABEL:
            return None
        line = label_line(self.doubts.column, labels(self._question))
        return f"`{LABEL}` was not made yet. Begin the code with `{line}`."

    def doubted(self, result: CellResult | None, blocks: Sequence[str]) -> list[str]:
        """Returns what is doubtful in a small model's code that ran to its end.

        Args:
            result: of the last block that ran; None if there was none.
            blocks: those that ran.
        """
        if not self.small or result is None or result.status != "ok":
            return []
        return self.doubts.of("\n".join(blocks))

    def end(
        self, result: CellResult | None, blocks: Sequence[str], *, notices: bool, doubted: bool = False
    ) -> str:
        """Returns what stands at the end of the next message: what is wanted; the question again after a failure.

        Args:
            result: of the last block that ran; None if there was none.
            blocks: those that ran.
            notices: whether the message tells of more than output.
            doubted: whether it tells of what is doubtful in the code.
        """
        failed = result is None or result.status != "ok"
        if self.small:
            if doubted:
                return small_prompt.mend(self._question)
            nothing = result is not None and result.printed.head.strip() in _NOTHING - _ZEROS
            if failed or nothing:
                return small_prompt.try_again(self._question)
            return small_prompt.go_on(self._question, small_prompt.printed_expression(blocks[-1]))
        return f"The question is still: {cut_middle(self._question, _QUESTION)}" if failed or notices else ""

    def first_end(self) -> str:
        """Returns the same of the message that a small model's first reply answers."""
        look = self.look
        if look is None:
            return small_prompt.begin(self._question, self.data)
        lines = self._lines(look) if look.columns or look.data != "`context`" else []
        return small_prompt.begin(
            self._question,
            self.data,
            found=look.found,
            several=self._kinds.several,
            column=look.texts,
            legend=look.legend,
            idioms=lines,
        )

    def _lines(self, look: Look) -> list[str]:
        """Returns lines of Python that fit the question, written with the table that a first look has shown."""
        table = look.data.strip("`")
        lines = idioms(self._question, look.columns, look.named, LABEL if look.texts else "")
        if look.columns and table != "rows":
            lines = [re.sub(r"\brows\b", table, line) for line in lines]
        return lines

    def output_chars(self, given: int) -> int:
        """Returns how many characters of a cell's output the model is shown."""
        return min(given, _SMALL_OUTPUT) if self.small else given


def failure_of(result: CellResult) -> str | None:
    """Returns the error that ended a cell, or how else it ended; None if it ran to its end."""
    if result.status == "ok":
        return None
    return f"{result.error_name}: {result.error_value}" if result.error_name else result.status


def _failed(attempt: Attempt) -> str:
    lines = [
        "This code failed, so do not send it again:",
        f"    {attempt.line[:_LINE]}",
        f"    {attempt.failure[:_LINE]}",
        attempt.hint or "Do it in another way.",
    ]
    return "\n".join(lines)


def _core(code: str) -> list[str]:
    """Returns the first lines of code that are no comments and import nothing."""
    lines = [line.strip() for line in code.splitlines()]
    plain = [line for line in lines if line and not line.startswith(("#", "import ", "from "))]
    return plain[:_CORE]


def _only_looks(code: str) -> bool:
    """Returns whether code does no more than the first look did, or only writes something out."""
    tree = parsed(code)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} if tree is not None else {""}
    return names <= {*HELPERS, "print", "context", "question"}


def _is_typed(value: ast.expr) -> bool:
    """Returns whether an expression is written out: text, or a container, or a table of such."""
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "DataFrame"
    ):
        return bool(value.args) and isinstance(value.args[0], _MADE)
    return isinstance(value, _MADE) and any(isinstance(node, ast.Constant) for node in ast.walk(value))
