"""The limits of a run and the fields of its sandbox, as `table.py` takes them over."""

from __future__ import annotations

from rlm_jupyter.options.option import Option
from rlm_jupyter.options.option import limit_option as _limit

LIMITS = (
    _limit("cost", "number", 1.0, "USD that a run may spend.", argument="max_cost", metavar="USD"),
    _limit(
        "calls",
        "integer",
        1000,
        "Completions of a run, those of agents and of `llm_query` alike.",
        argument="max_calls",
        metavar="N",
    ),
    _limit("calls_per_agent", "integer", 20, "Turns of one agent.", least=1),
    _limit(
        "calls_per_sub_agent",
        "integer",
        None,
        "Turns of one sub-agent; None: as `calls_per_agent`.",
        least=1,
        argument="sub_turns",
        metavar="N",
    ),
    _limit("prompt_tokens", "integer", None, "Tokens sent."),
    _limit("completion_tokens", "integer", None, "Tokens received."),
    _limit("tokens", "integer", 2_000_000, "Tokens sent and received.", argument="max_tokens", metavar="N"),
    _limit(
        "depth",
        "integer",
        2,
        "Levels of sub-agents: 0 allows none, 1 allows children of the root, and so on.",
        argument="depth",
        metavar="N",
    ),
    _limit("agents", "integer", 200, "Agents in all, the root included.", least=1),
    _limit(
        "exposure",
        "integer",
        None,
        "Tokens of data that may be sent: descriptions, outputs, prompts of code; not the question and fixed text.",
        argument="exposure",
        metavar="N",
    ),
    _limit("concurrency", "integer", 200, "Requests to the model in flight at once.", least=1),
    _limit(
        "seconds", "number", 1800.0, "Seconds that a run may take.", above=0, argument="timeout", metavar="S"
    ),
    _limit(
        "cell_seconds",
        "number",
        120.0,
        "Seconds that one cell may work; waiting for sub-agents and completions does not count.",
        above=0,
    ),
)

SANDBOX_MODES = ("auto", "none", "bwrap")

SANDBOX = (
    Option(
        "mode",
        "sandbox",
        "choice",
        "auto",
        "How kernels are confined. `auto`: as far as this machine allows; `bwrap`: in bubblewrap; `none`: not at all, "
        "and nothing below holds.",
        choices=SANDBOX_MODES,
    ),
    Option(
        "memory",
        "sandbox",
        "size",
        "auto",
        'Bytes, or a text such as `"2 GB"`, that a kernel and all it starts may add to the data it is handed; `auto`: '
        "half of the machine's memory, so that the notebook keeps enough.",
        nullable=True,
        argument="memory",
        flags=("--memory",),
        metavar="SIZE",
    ),
    Option(
        "cpu_seconds",
        "sandbox",
        "number",
        None,
        "Processor time of one cell in seconds, all processors together; `Limits.cell_seconds` is wall-clock time.",
        nullable=True,
        above=0,
    ),
    Option(
        "processes",
        "sandbox",
        "integer",
        256,
        "Processes that a kernel may have, itself included; stops fork bombs.",
        nullable=True,
        least=1,
    ),
    Option(
        "disk",
        "sandbox",
        "size",
        "auto",
        "Bytes, or a text, that one file may have, and all files that a kernel writes together; `auto`: 10 GB, but at "
        "most half of what is free.",
        nullable=True,
    ),
    Option(
        "read",
        "sandbox",
        "paths",
        (),
        "Files and directories of yours that agents may read, besides the system's and Python's own. Repeatable.",
        argument="read",
        flags=("--read",),
        metavar="PATH",
    ),
    Option(
        "net",
        "sandbox",
        "hosts",
        (),
        "Hosts that agents may connect to by TCP, separated by commas: `HOST`, `HOST:PORT`, `*.DOMAIN`, or `all` "
        "public ones. Private and local addresses must be named.",
        argument="net",
        flags=("--net",),
        metavar="HOSTS",
    ),
    Option(
        "scratch",
        "sandbox",
        "path",
        None,
        "A directory of yours that agents may write to, and that stays; None: only each kernel's own, which is removed "
        "with it.",
        nullable=True,
    ),
)
