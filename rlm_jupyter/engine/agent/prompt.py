"""What the model is told: one fixed text, then the question, the data's description and what is left.

The fixed text is at most 4,500 characters in each variant; every example in it runs (a test runs them). What follows a
turn is appended, never rewritten, so that each prompt extends the last one byte for byte and a provider's
prompt cache holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rlm_jupyter.models.base import Message
from rlm_jupyter.text.shorten import cut_middle
from rlm_jupyter.values.describe.api import render

if TYPE_CHECKING:
    from rlm_jupyter.engine.budget.ledger import Left
    from rlm_jupyter.kernels.agent_kernel import CellResult
    from rlm_jupyter.settings import PromptVariant

_ROLE = """\
You answer a question about data that lives in your own Python kernel (Jupyter: variables stay from turn to \
turn). You are shown a description of it, never the whole. In each turn write a sentence or two of thought, \
then code in one fenced block; you get back what it prints and its last expression.

```repl
print(type(context))
SHOW_VARS()
```

Besides Python and the installed packages you can use:
- `context`: the data, a real Python object (also available under its own variable name, if it has one).
"""

_PLAIN = """\
- `llm_query(prompt)`: one plain completion, text in, text out. The model sees that prompt and nothing else.
"""

_IMAGES = """\
- `images=` shows the model images (Pillow, a figure, an array, a `Path`): `llm_query(prompt, images=[a, b])`, \
`llm_query_batched(prompts, images=[a, b])` one for each prompt.
"""

_AUDIO = """\
- `audio=` lets the model hear WAV and MP3 files (a `Path`, bytes): `llm_query(prompt, audio=[a])`, \
`llm_query_batched(prompts, audio=[a, b])` one for each prompt.
"""

_RECURSION = """\
- `rlm_query(question, context=part)`: a sub-agent with a kernel of its own, where `part` is its `context`. \
Returns the object that the sub-agent passed to FINAL: a DataFrame, a list, a number.
- `llm_query_batched(prompts)`, `rlm_query_batched(questions, contexts=parts)`: all at once, results in \
order. An item that failed is false and has `.error`; a single call raises.
"""

_BATCH = """\
- `llm_query_batched(prompts)`: all at once, results in order. An item that failed is false and has `.error`; \
a single call raises.
"""

_AT_LIMIT = """\
You are at the depth limit: `rlm_query(question, context=part)` works, but as one plain completion.
"""

_SCHEMA = """\
- `schema=` (a type such as `list[str]`, a model, a JSON Schema) makes any of these answers typed and checked.
"""

_WORDS = """\
- `SHOW_VARS()`: your variables. `budget()`: what is left of money, tokens, calls and time.
- `FINAL(value)`: your answer; it ends your work. Give the object itself (a table, a number, a text), not a \
printed form of it.
"""

_BLOCKING = """\
Calls block; code that awaits can await them (`await asyncio.gather(...)`).
"""

_LOOK = """\

How to work well:
1. Look first: type, size, columns, a few rows or lines. Of long output you see only head and tail.
"""

_BY_CODE = """\
2. A line of Python is free, exact and done in milliseconds; a completion costs money and seconds and may \
err{agents}. So search, filter, count, group and join by code, and let a \
model read only what code has found.
"""

_ALONE = """\
2. A line of Python is free, exact and done in milliseconds. So search, filter, count, group and join by code.
3. There is no other model to ask: what code cannot judge, print in parts that fit your output, and read \
yourself. Keep notes in variables.
"""

_MODEL_WORK = {
    "default": """\
3. Use a model for what code cannot do: judge, classify, extract, summarise. One prompt holds about {size:,} \
characters, so fill it: one batch of ten fat prompts beats a thousand thin ones, and any batch beats a loop.
""",
    "frugal": """\
3. Calls are expensive: never make one call per row or line. Most questions need none, few need more than \
ten. If code cannot judge, fill each prompt (about {size:,} characters hold hundreds of items), try one \
before you send a batch, and keep its answer to use again.
""",
    "small_context": """\
3. Use a model for what code cannot do: judge, classify, extract, summarise. One prompt holds only about \
{size:,} characters: cut to that size and fill it, in one batch. Your own window is small too: print at most \
2,000 characters at a time, and keep notes in variables.
""",
}

_SUB_AGENTS = {
    "default": "4. Sub-agents are for parts that need code and steps of their own; hand them the part itself.\n",
    "frugal": "4. Use sub-agents only if a part needs code and several steps that differ from part to part.\n",
    "small_context": "4. Use sub-agents for parts that need several steps: each has a window of its own.\n",
}

_CARE = """\
{number}. Values stay in variables: pass them on, never retype or paste what was printed.
{check}. Check before FINAL: is every part covered, did any item fail, does a sample agree? Call FINAL in a \
later turn than the one that computes the answer, once you have seen it.
"""

_SEARCH = """\
Long text: search it by code{also}:

```repl
import re
text = context if isinstance(context, str) else "\\n".join(map(str, context))
hits = [m.start() for m in re.finditer(r"(?i)refund|returned", text)]
print(len(text), len(hits), [text[max(0, h - 60):h + 60] for h in hits[:5]])
```
"""

_ALL_READ = "; if all of it must be read, cut it with an overlap and read it in one batch"

_READ = """\

```repl
size = {size:_}
parts = [text[i:i + size] for i in range(0, len(text), size - 500)]
notes = llm_query_batched([f"List each refund: date, amount, reason; or none.\\n\\n{{p}}" for p in parts])
print(len(parts), "parts,", sum(not n for n in notes), "failed")
```
"""

_TABLE = """\
A table: whole rows many to a prompt, typed answers:

```repl
texts = context["comment"].astype(str).tolist()
packs = [texts[i:i + {rows}] for i in range(0, len(texts), {rows})]
asked = ["Label each line praise, complaint or other:\\n" + "\\n".join(p) for p in packs]
labels = llm_query_batched(asked, schema=list[str])
print([len(got) == len(p) if isinstance(got, list) else got.error for got, p in zip(labels, packs)])
```
"""

_SPLIT = """\
A table among sub-agents; their answers are objects:

```repl
import pandas as pd
groups = [g for _, g in context.groupby("supplier")]
ask = "Why did refunds rise? Give a DataFrame: supplier, month, reason."
found = rlm_query_batched([ask] * len(groups), contexts=groups)
table = pd.concat([f for f in found if isinstance(f, pd.DataFrame)])
print(len(groups), "groups;", table.shape)
```
"""

_SPLIT_TEXT = """\
A text among sub-agents; their answers are objects:

```repl
ask = "List the refunds in `context`: a list of dicts with date, amount, reason."
found = rlm_query_batched([ask] * len(parts), contexts=parts)
refunds = [item for f in found if isinstance(f, list) for item in f]
print(len(parts), "parts;", len(refunds), "refunds")
```
"""

_END = """\
Then, when you have looked at `table`:

```repl
FINAL(table)
```
"""

DataKind = Literal["text", "table"]
_KINDS: dict[str, DataKind] = {
    "str": "text",
    "DataFrame": "table",
    "LazyFrame": "table",
    "Table": "table",
    "frame": "table",
}
_FIRST_CODE: dict[DataKind | None, str] = {
    "text": "print(len(context), context[:1000])",
    "table": "print(context.head())",
    None: "print(type(context), repr(context)[:1000])",
}
_CHARS = {"default": 100_000, "frugal": 100_000, "small_context": 12_000}
"""Characters that one prompt is said to hold."""
_ROWS = {"default": 200, "frugal": 400, "small_context": 50}


def system_prompt(
    variant: PromptVariant = "default",
    *,
    leaf: bool = False,
    sub_calls: bool = True,
    sub_agents: bool = True,
    instructions: str | None = None,
    kind: DataKind | None = None,
    images: bool = False,
    audio: bool = False,
) -> str:
    """Returns the fixed text, and after it what the user has to say.

    Args:
        variant: for what kind of model.
        leaf: for an agent at the depth limit, which has no sub-agents.
        sub_calls: whether it may ask a model at all; if not, no word of it is in the text.
        sub_agents: whether there are sub-agents in this run; if not, no word of them is in the text.
        instructions: of the user, for all agents of the run.
        kind: of the data, where it is known: then the examples are for such data only.
        images: whether the model of plain completions takes images; if not, no word of them is in the text.
        audio: whether it takes audio, likewise.
    """
    own = f"\nFrom the user, for all of this work:\n{instructions.strip()}\n" if instructions else ""
    if not sub_calls:
        return _alone(kind) + own
    size, rows = _CHARS[variant], _ROWS[variant]
    plain = leaf or not sub_agents
    number = 4 if plain else 5
    parts = [
        _ROLE + _PLAIN,
        _BATCH if plain else _RECURSION,
        _IMAGES if images else "",
        _AUDIO if audio else "",
        _AT_LIMIT if leaf and sub_agents else "",
        _SCHEMA + _WORDS + _BLOCKING + _LOOK,
        _BY_CODE.format(agents="" if plain else "; a sub-agent costs several completions"),
        _MODEL_WORK[variant].format(size=size),
        "" if plain else _SUB_AGENTS[variant],
        _CARE.format(number=number, check=number + 1),
        *_examples(size, rows, plain=plain, kind=kind),
        own,
    ]
    return "".join(parts)


def _examples(size: int, rows: int, *, plain: bool, kind: DataKind | None) -> list[str]:
    """Returns examples that fit the data; those for both kinds where it is neither or not known."""
    text = "\n" + _SEARCH.format(also=_ALL_READ) + _READ.format(size=size)
    table = "\n" + _TABLE.format(rows=rows)
    if kind == "text":
        result = "notes" if plain else "refunds"
        return [text, "" if plain else "\n" + _SPLIT_TEXT, "\n" + _END.replace("table", result)]
    split = "" if plain else "\n" + _SPLIT
    end = "\n" + (_END.replace("table", "labels") if plain else _END)
    return [table, split, end] if kind == "table" else [text, table, split, end]


def _alone(kind: DataKind | None) -> str:
    """Returns the fixed text of an agent that has its REPL and no model to ask."""
    care = _CARE.format(number=4, check=5)
    if kind == "table":
        return _ROLE + _WORDS + _LOOK + _ALONE + care + "\n" + _END.replace("table", "result")
    text = "\n" + _SEARCH.format(also="")
    return _ROLE + _WORDS + _LOOK + _ALONE + care + text + "\n" + _END.replace("table", "hits")


def kind_of_data(description: Mapping[str, Any] | None) -> DataKind | None:
    """Returns whether the data is a text or a table, by its description; None if it is neither."""
    if description is None:
        return None
    kind = description.get("variable") or description.get("type")
    return _KINDS.get(kind) if isinstance(kind, str) else None


def first_code(description: Mapping[str, Any] | None) -> str:
    """Returns a line of code to begin with, for a reply that had none."""
    code = _FIRST_CODE[kind_of_data(description)]
    variable = description.get("variable") if description is not None else None
    return (
        code.replace("context", variable) if isinstance(variable, str) and variable.isidentifier() else code
    )


def first_message(
    question: str,
    description: Mapping[str, Any] | None,
    *,
    names: Sequence[str] = (),
    schema: str | None = None,
    tools: str | None = None,
    servers: str | None = None,
    allowed: str | None = None,
    asks: bool = False,
    left: Left | None = None,
    last_turn: bool = False,
) -> str:
    """Returns the first message: the question, the data's description, the schema, what is left.

    Args:
        question: verbatim.
        description: of the data; None where the question itself is the context.
        names: of the variables that the data is bound to, besides `context`.
        schema: what the answer must be, in words.
        tools: signatures and docstrings of the tools.
        servers: the MCP servers, with what they offer in numbers.
        allowed: what the sandbox lets its code reach besides the data.
        asks: whether the user can be asked; if not, no word of that is in the text.
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
        parts.append(f"You can also call these functions:\n{tools}")
    if servers:
        parts.append(_SERVERS.format(servers=servers))
    if allowed:
        parts.append(allowed)
    if asks:
        parts.append(_ASK_USER)
    if schema:
        parts.append(f"FINAL takes {schema}")
    if left is not None and (text := left_text(left)):
        parts.append(f"You may spend: {text}.")
    parts.append(LAST_TURN if last_turn else "Begin by looking at the data.")
    return "\n\n".join(parts)


_SERVERS = """\
MCP servers: {servers}.
`mcp_list_tools(server)`, `mcp_tool_schema(server, tool)`, `mcp_call(server, tool, {{...}})` -> a dict with `text`, \
`structured` and `content`; `mcp_list_resources(server)`, `mcp_list_resource_templates(server)`, \
`mcp_read_resource(server, uri)`."""
_ASK_USER = (
    "The user can be asked, a few times: `ask_user(question, options=[...], default=...)` returns the option chosen. "
    "Ask only if the answer depends on what neither the data nor the question says, such as a unit or a definition, "
    "and only after you have looked."
)
NO_OUTPUT = "(no output"
"""How the text begins that stands for the output of a cell that has none."""
LAST_TURN = "This is your last turn: call FINAL(...) now, with the best answer you have."
"""What stands at the end of the message that the last turn answers."""


def left_text(left: Left) -> str:
    """Returns what is left, in one line; limits that are not set are left out."""
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
    """Returns what came of a turn's code.

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
        parts.append(LAST_TURN)
    return "\n\n".join(parts)


def show_result(result: CellResult, limit: int) -> tuple[str, int]:
    """Returns a cell's output as the model sees it, and how many characters of it were cut.

    Args:
        result: of the cell.
        limit: characters of output that are shown: head and tail.
    """
    output = result.output.rstrip("\n")
    shown = cut_middle(output, limit, already=result.cut)
    cut = shown.cut or result.cut
    parts = [str(shown)] if output.strip() else []
    if result.status == "error":
        error = result.traceback or f"{result.error_name}: {result.error_value}"
        parts.append(str(cut_middle(error, limit)))
    elif result.status == "timeout":
        too_long = "The cell took too long and was ended. Work on less data at once, or in steps."
        parts.append(result.error_value if result.error_name == "LimitExceeded" else too_long)
    elif result.status == "interrupted":
        parts.append("The cell was interrupted.")
    elif result.status == "died":
        parts.append(f"The kernel died while this cell ran. {result.error_value}".strip())
    return "\n".join(parts) or f"{NO_OUTPUT}; print what you want to see, or end with an expression)", cut


def chat(system: str, first: str) -> list[Message]:
    """Begin a chat."""
    return [{"role": "system", "content": system}, {"role": "user", "content": first}]
