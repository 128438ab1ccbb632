"""What the model is told: one fixed text, then the question, the data's description and what is left.

The fixed text is at most 4,500 characters; every example in it runs (a test runs them). What follows a
turn is appended, never rewritten, so that each prompt extends the last one byte for byte and a provider's
prompt cache holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlm_jupyter.models.base import Message
from rlm_jupyter.values.describe import render

if TYPE_CHECKING:
    from rlm_jupyter.engine.ledger import Left
    from rlm_jupyter.kernels.session import CellResult

_ROLE = """\
You answer a question about data that lives as a variable in your own Python kernel (a Jupyter kernel; \
state stays between turns). You see only a description of it. Work in turns: write one short paragraph of \
reasoning, then code in one fenced block; its output comes back in the next message.

```repl
print(type(context))
```

The words you have besides Python and the installed packages:
- `context`: the data, the real object (also under its own name where it has one).
- `llm_query(prompt)`: one plain completion by a language model, text in, text out. It sees only the prompt.
"""

_RECURSION = """\
- `rlm_query(question, context=part)`: a sub-agent with a kernel of its own, which gets `part` as its \
`context` and returns the object that it gives to FINAL: a DataFrame, a list, a number.
- `llm_query_batched(prompts)`, `rlm_query_batched(questions, contexts=parts)`: many at once; results in \
order; a failed item is falsy and has `.error`.
"""

_LEAF = """\
- `llm_query_batched(prompts)`: many at once; results in order; a failed item is falsy and has `.error`.
You are at the depth limit: `rlm_query(question, context=part)` works, but as one plain completion.
"""

_REST = """\
- `SHOW_VARS()`: what is defined. `budget()`: what is left of money, tokens, calls and time.
- `FINAL(value)`: your answer, any object; it ends your work. Give the value itself (a table, a number, a \
string), not its printed form.
Calls block; in code that awaits they can be awaited (`await asyncio.gather(...)`). `schema=` (a type or \
JSON Schema) makes an answer typed and checked.

How to work well:
1. Look first: print the shape, the columns, some rows or lines; never the whole. Output is cut to its \
head and tail.
2. Python is free and exact; a call costs money and time. Count, filter, group and search with code. Use a \
model for what code cannot do: to read, judge, classify, summarise.
3. A prompt to `llm_query` holds about 100,000 characters: prefer few fat prompts to many thin ones, and one \
batch to a loop.
4. Values stay in variables: pass parts of them on by reference, never by pasting what was printed.
5. Check the result by code before FINAL.
"""

_EXAMPLE = """\
Reading long text in wide, fat chunks:

```repl
text = str(context)
parts = [text[i:i + 100_000] for i in range(0, len(text), 100_000)]
notes = llm_query_batched([f"List every date with what happened then, or 'none'.\\n\\n{p}" for p in parts])
print(sum(map(bool, notes)), "of", len(parts))
```
"""

_EXAMPLE_RECURSION = """\
Splitting a table among sub-agents; their answers are objects:

```repl
import pandas as pd
parts = [context.iloc[i::4] for i in range(4)]
found = rlm_query_batched(["Count the rows in each group; a DataFrame."] * 4, contexts=parts)
table = pd.concat([f for f in found if isinstance(f, pd.DataFrame)])
print(table.head())
```
"""

_END = """\
Giving the answer, when it is checked:

```repl
FINAL(answer_value)
```
"""


def system_prompt(*, leaf: bool = False) -> str:
    """Give the fixed text.

    Args:
        leaf: for an agent at the depth limit, which has no sub-agents.
    """
    recursion = _LEAF if leaf else _RECURSION
    examples = _EXAMPLE if leaf else _EXAMPLE + "\n" + _EXAMPLE_RECURSION
    return f"{_ROLE}{recursion}{_REST}\n{examples}\n{_END}"


def first_message(
    question: str,
    description: Mapping[str, Any] | None,
    *,
    names: Sequence[str] = (),
    schema: str | None = None,
    tools: str | None = None,
    left: Left | None = None,
    last_turn: bool = False,
) -> str:
    """Give the first message: the question, the data's description, the schema, what is left.

    Args:
        question: verbatim.
        description: of the data; None where the question itself is the context.
        names: of the variables that the data is bound to, besides `context`.
        schema: what the answer must be, in words.
        tools: signatures and docstrings of the tools.
        left: what may still be spent.
        last_turn: whether there is no turn after this one.
    """
    parts = [f"Question:\n{question}"]
    if description is None:
        parts.append("There is no data besides the question; `context` is the question's text.")
    else:
        bound = "".join(f", `{name}`" for name in names)
        title = f"The data (`context`{bound}):" if bound else "The data (`context`):"
        parts.append(f"{title}\n{render(dict(description))}")
    if tools:
        parts.append(f"Functions you may call besides:\n{tools}")
    if schema:
        parts.append(f"FINAL takes {schema}")
    if left is not None and (text := left_text(left)):
        parts.append(f"You may spend: {text}.")
    parts.append(_LAST if last_turn else "Begin by looking at the data.")
    return "\n\n".join(parts)


_LAST = "This is your last turn: call FINAL(...) now, with the best answer you have."


def left_text(left: Left) -> str:
    """Say what is left, in one line; limits that are not set are left out."""
    parts = []
    if left.turns is not None:
        parts.append(f"{left.turns} turns")
    if left.calls is not None:
        parts.append(f"{left.calls:,} calls")
    if left.tokens is not None:
        parts.append(f"{left.tokens:,} tokens")
    if left.cost is not None:
        parts.append(f"${left.cost:.4f}")
    if left.seconds is not None:
        parts.append(f"{left.seconds:.0f} s")
    return ", ".join(parts)


def observation(
    shown: Sequence[str],
    *,
    total: int,
    notices: Sequence[str] = (),
    left: Left | None = None,
    last_turn: bool = False,
) -> str:
    """Say what came of a turn's code.

    Args:
        shown: what came of the blocks that ran, in order (`show_result`).
        total: how many blocks the reply had.
        notices: what else the model must know.
        left: what is left to spend; None to say nothing of it.
        last_turn: whether the next turn is the last one.
    """
    parts = []
    for number, text in enumerate(shown, 1):
        title = "Output" if total == 1 else f"Output of block {number}"
        parts.append(f"{title}:\n{text}")
    if len(shown) < total:
        parts.append(f"The later blocks of your reply were not run, because block {len(shown)} failed.")
    parts += notices
    if left is not None and (text := left_text(left)):
        parts.append(f"Left to spend: {text}.")
    if last_turn:
        parts.append(_LAST)
    return "\n\n".join(parts)


def show_result(result: CellResult, limit: int) -> tuple[str, int]:
    """Give a cell's output as the model sees it, and how many characters of it were cut.

    Args:
        result: of the cell.
        limit: characters of output that are shown: head and tail.
    """
    output, cut = cut_middle(result.output.rstrip("\n"), limit, already=result.cut)
    parts = [output] if output.strip() else []
    if result.status == "error":
        error = result.traceback or f"{result.error_name}: {result.error_value}"
        parts.append(cut_middle(error, limit)[0])
    elif result.status == "timeout":
        parts.append("The cell took too long and was ended. Work on less data at once, or in steps.")
    elif result.status == "interrupted":
        parts.append("The cell was interrupted.")
    elif result.status == "died":
        parts.append(f"The kernel died while this cell ran. {result.error_value}".strip())
    return "\n".join(parts) or "(no output; print what you want to see, or end with an expression)", cut


def cut_middle(text: str, limit: int, *, already: int = 0) -> tuple[str, int]:
    """Keep head and tail of a long text, and say how much lies between; give the text and that count."""
    if len(text) <= limit:
        return text, already
    tail = limit // 2
    head = limit - tail
    cut = len(text) - limit + already
    return f"{text[:head]}\n[... {cut:,} characters cut ...]\n{text[-tail:]}", cut


def chat(system: str, first: str) -> list[Message]:
    """Begin a chat."""
    return [{"role": "system", "content": system}, {"role": "user", "content": first}]
