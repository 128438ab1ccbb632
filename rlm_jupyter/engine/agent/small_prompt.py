"""What a small model is told: less, one thing at a time, and what it is to write last.

By evidence (`docs/quality.md`): a model of some billion parameters follows the form that it saw last, copies examples
as they stand, and goes on with whatever its chat holds. So the chat begins with a first look at the data as code and
output, each message ends with the question and the block that is wanted, and failed attempts leave the chat.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.engine.agent.code_doubts import label_line
from rlm_jupyter.engine.agent.question_labels import labels
from rlm_jupyter.engine.reply.python_syntax import parsed, source_of
from rlm_jupyter.text.shorten import cut_middle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SYSTEM: Final = """\
You answer a question about data by writing Python code. The data is in variables of your Jupyter kernel. You see \
only what your code prints; variables stay from turn to turn.

Reply with one block of code and nothing else:

```repl
result = ...  # computed from the data
print(result)
```

You get back what it prints. When you have seen that it is the answer, send it:

```repl
FINAL(result)
```
"""
_MODEL: Final = """
To judge the meaning of texts, which code cannot: `labels = classify(texts, ["...", "..."])` gives each text the \
label that it is about; `answers = llm_query_batched([f"...? {text}" for text in texts])` asks anything else.
"""
_IMAGES: Final = """
To ask what images show: `answers = llm_query_batched("Which total does the receipt show?", images=images)`
"""
_AUDIO: Final = """
To ask what recordings say: `answers = llm_query_batched("What does the caller want?", audio=paths)`
"""
_STEPS: Final = "First write the steps as comments (#), then the code that computes `result`"
_BEGIN: Final = "Question: {question}\nReply with one ```repl block. {steps}{data} and prints it."
_READ: Final = """\
Question: {question}
The lines above are those that fit the question best. If the answer stands in them, reply with one ```repl block that \
is `FINAL({form})` with {what} and nothing else in it. If not, reply with a block of code that searches {data}."""
_ONE: Final = {"form": '"..."', "what": "the answer, as short as it can be,"}
_SEVERAL: Final = {"form": '["...", "..."]', "what": "all that answer it, each by its name alone,"}
_CLASSIFY: Final = """\
`{column}` holds sentences. Code cannot tell what they are about; if the question asks for that, begin with \
`{line}`, with all the labels that the question names in the list."""
_LABELLED: Final = """\
No word in a sentence of `{column}` tells what it is about. `classify`, a function that you have, lets a model label \
each of them: begin your code with its line."""
_MEND: Final = """\
Question: {question}
Reply with one ```repl block: the same code with this mended. It computes `result` and prints it."""
_NEXT: Final = """\
Question: {question}
Reply with one ```repl block. If the output above shows the answer, the block is `FINAL({value})`; \
else go on by code."""
_FAILED: Final = """\
Question: {question}
Reply with one ```repl block of other code. {steps} in another way and prints it."""
_LONGEST_QUESTION: Final = 1000
_LONGEST_VALUE: Final = 80
_SHOWN_ONLY: Final = frozenset({"head", "tail", "describe", "info", "sample"})


def system_prompt(
    *, sub_calls: bool, instructions: str | None, images: bool = False, audio: bool = False
) -> str:
    """Returns the fixed text, and after it what the user has to say."""
    own = f"\nFrom the user, for all of this work:\n{instructions.strip()}\n" if instructions else ""
    asked = _MODEL + (_IMAGES if images else "") + (_AUDIO if audio else "")
    return _SYSTEM + (asked if sub_calls else "") + own


def first_message(
    question: str,
    description: Mapping[str, Any] | None,
    *,
    names: Sequence[str] = (),
    schema: str | None = None,
    tools: str | None = None,
    servers: str | None = None,
    allowed: str | None = None,
) -> str:
    """Returns the first message: what is asked, where the data is, what else there is; see `prompt.first_message`."""
    parts = [f"Question: {question}"]
    if description is None:
        parts.append("There is no data besides the question.")
    else:
        bound = ", ".join(f"`{name}`" for name in (names or ("context",)))
        parts.append(f"The data: {bound}, {description.get('summary', 'an object')}.")
    if tools:
        parts.append(f"You can also call these functions:\n{tools}")
    parts += [text for text in (servers, allowed) if text]
    if schema:
        parts.append(f"FINAL takes {schema}")
    return "\n\n".join(parts)


def begin(
    question: str,
    data: str,
    *,
    found: bool = False,
    several: bool = False,
    column: str = "",
    legend: str = "",
    idioms: Sequence[str] = (),
) -> str:
    """Returns the end of the message that the first reply answers.

    Args:
        question: verbatim.
        data: the variables to compute from, as the model is to write them; empty for none.
        found: whether lines were shown in which the answer may stand.
        several: whether the question asks for all of several things.
        column: a column of sentences that a model may be asked about; empty for none.
        legend: what a row of the data is; empty if that is plain.
        idioms: lines of Python that fit the question.
    """
    asked = cut_middle(question, _LONGEST_QUESTION)
    if found:
        return _READ.format(question=asked, data=data, **(_SEVERAL if several else _ONE))
    given = f" from {data}" if data else ""
    parts = [legend] if legend else []
    named = labels(question) if column else []
    lines = [label_line(column, named), *idioms] if named else idioms
    if column:
        text = _LABELLED if named else _CLASSIFY
        parts.append(text.format(column=column, line=label_line(column, named)))
    parts += [f"In Python:\n{chr(10).join(lines)}"] if lines else []
    return "\n\n".join([*parts, _BEGIN.format(question=asked, steps=_STEPS, data=given)])


def mend(question: str) -> str:
    """Returns the end of the message after code that ran and is doubted."""
    return _MEND.format(question=cut_middle(question, _LONGEST_QUESTION))


def go_on(question: str, value: str | None) -> str:
    """Returns the end of the message after code that ran.

    Args:
        question: verbatim.
        value: the expression that the code printed; None if it printed none.
    """
    return _NEXT.format(question=cut_middle(question, _LONGEST_QUESTION), value=value or "...")


def try_again(question: str) -> str:
    """Returns the end of the message after code that failed."""
    return _FAILED.format(question=cut_middle(question, _LONGEST_QUESTION), steps=_STEPS)


def printed_expression(code: str) -> str | None:
    """Returns the expression whose value a cell shows at its end; None if it is none that could be an answer."""
    tree = parsed(code)
    last = tree.body[-1] if tree is not None and tree.body else None
    if not isinstance(last, ast.Expr):
        return None
    value = last.value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "print":
        if len(value.args) != 1 or value.keywords:
            return None
        value = value.args[0]
    if isinstance(value, (ast.Constant, ast.JoinedStr, ast.Starred)):
        return None
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr in _SHOWN_ONLY
    ):
        return None
    text = source_of(value)
    return text if 0 < len(text) <= _LONGEST_VALUE and "print(" not in text else None
