"""Every setting, limit and sandbox field, declared once; limits and the sandbox stand in `limits_table.py`.

From this table are made: the fields of `Settings`, `Limits` and `Sandbox` (defaults, ranges, descriptions), the
traits of `%config RLMMagics`, the options of `%%rlm` and of `rlm-jupyter run`, their help, and
`docs/reference.md`. It needs the standard library only, as `%load_ext` reads it and must not import pydantic.
"""

from __future__ import annotations

from rlm_jupyter.options.limits_table import LIMITS, SANDBOX, SANDBOX_MODES
from rlm_jupyter.options.option import CELL, RUN, Kind, Option, Owner
from rlm_jupyter.options.option import setting_option as _setting

__all__ = [
    "CELL",
    "OPTIONS",
    "RUN",
    "SANDBOX_MODES",
    "Option",
    "Owner",
    "arguments_of",
    "options_of",
    "options_on",
]


def _of_sub(name: str, kind: Kind) -> Option:
    """Returns the twin of a setting for sub-agents and plain completions."""
    return _setting(
        f"sub_{name}", kind, None, f"`{name}` of sub-agents and plain completions; None: as for the root."
    )


_MODELS = (
    _setting(
        "model",
        "text",
        None,
        "The root agents' model, such as `openai/gpt-5`, `replay:LOG` for the replies of a run's log, or (in a "
        "notebook) the name of a variable that holds a model object; None: `RLM_MODEL`, else the `demo` model.",
        flags=("-m", "--model"),
        metavar="MODEL",
    ),
    _setting(
        "sub_model",
        "text",
        None,
        "The model of sub-agents and plain completions; None: `RLM_SUB_MODEL`, else the same as `model`.",
        flags=("--sub-model",),
        metavar="MODEL",
    ),
    _setting(
        "base_url",
        "text",
        None,
        "The URL of an OpenAI-compatible server; None: `RLM_MODEL_BASE_URL`, else the provider's own.",
        flags=("--base-url",),
        metavar="URL",
        commands=(RUN,),
    ),
    Option(
        "price",
        "rlm",
        "price",
        None,
        "Prices of the prompt and the completion in USD per million tokens, for a model whose price is not known.",
        nullable=True,
        argument="price",
        flags=("--price",),
        commands=(RUN,),
    ),
)

_AGENTS = (
    _setting(
        "sandbox",
        "sandbox",
        "auto",
        "What agents' kernels may touch and use: a mode (`auto`, `none`, `bwrap`), `Sandbox(...)` or a dict of its "
        "fields.",
        choices=SANDBOX_MODES,
        flags=("--sandbox",),
        metavar="MODE",
        usage="How agents' kernels are confined: `auto` (as far as this machine allows), `none` or `bwrap`.",
    ),
    _setting(
        "kernel",
        "text",
        None,
        "The kernelspec of agents' kernels, `gateway:URL/KERNELSPEC` or `docker:IMAGE`; None: this Python.",
        flags=("--kernel",),
        metavar="SPEC",
    ),
    _setting(
        "log_dir",
        "path",
        "rlm_runs",
        "The directory of logs, one JSONL file for each run; None (`none` on a command line) writes none.",
        nullable=True,
        flags=("--log-dir",),
        metavar="DIR",
        commands=(RUN,),
    ),
    _setting(
        "budget",
        "path",
        None,
        "A TOML file with a budget that runs, notebooks and users share; default: `RLM_BUDGET`. See docs/budgets.md.",
        nullable=True,
        flags=("--budget",),
        metavar="FILE",
        commands=(RUN,),
    ),
    _setting(
        "cache",
        "flag",
        True,
        "Whether replies are kept on disk and used again.",
        flags=("--no-cache",),
        usage="Ask the model anew, whatever it replied before.",
    ),
    _setting(
        "keep_values",
        "flag",
        True,
        "Whether small data, answers and small variables are kept beside the log, for `%rlm resume`.",
    ),
    _setting("limits", "limits", None, "What one run may spend: `Limits(...)` or a dict of its fields."),
    _setting(
        "sample_rows",
        "integer",
        3,
        "Rows of a table that its description shows; 0 for sensitive data.",
        least=0,
    ),
    _setting(
        "output_chars",
        "integer",
        8000,
        "Characters of a cell's output that the model sees: its head and tail.",
        least=200,
    ),
    _setting(
        "completion_tokens",
        "integer",
        8192,
        "`max_tokens` of one request, before the limits clamp it.",
        least=16,
    ),
    _setting(
        "prompt",
        "choice",
        "auto",
        "What agents are told: `small` for models of a few billion parameters, `frugal` for models that call too much "
        "or cost much, `small_context` for models with a small window; `auto`: `small` for a model that is known to be "
        "small, or that begins like one, else `default`.",
        choices=("auto", "default", "small", "frugal", "small_context"),
        flags=("--prompt",),
        commands=(RUN,),
    ),
    _setting(
        "instructions",
        "text",
        None,
        "Your own text for every agent, after the prompt: what your data means, what answers should look like.",
        flags=("--instructions",),
        metavar="TEXT",
    ),
    _setting(
        "sub_instructions",
        "text",
        None,
        "The same for sub-agents, in the place of `instructions`; None: as for the root; empty: none.",
        flags=("--sub-instructions",),
        metavar="TEXT",
    ),
    _setting(
        "sub_prompt",
        "choice",
        None,
        "What sub-agents are told, in the place of `prompt`; None: as for the root.",
        choices=("auto", "default", "small", "frugal", "small_context"),
        flags=("--sub-prompt",),
        commands=(RUN,),
    ),
    _setting(
        "skills",
        "paths",
        (),
        "Skills that agents may load by `load_skill`: folders with a `SKILL.md`, folders of such folders; in Python "
        "also `Skill(...)`. Repeatable. See docs/skills.md.",
        nullable=False,
        flags=("--skill",),
        metavar="PATH",
    ),
    _setting(
        "context_functions",
        "flag",
        False,
        "Whether agents are told of functions on the data that their kernels know: `grep`, `chunks`, `find_lines`, "
        "`peek`, `parse_lines`. They can be called in any case. See docs/context-functions.md.",
        flags=("--context-functions",),
    ),
    _setting(
        "bash",
        "flag",
        False,
        "Whether a block of a reply that is marked as `bash` or `sh` is run by bash, in the agent's sandbox only. See "
        "docs/sandbox.md.",
        flags=("--bash",),
    ),
    _setting(
        "planning",
        "integer",
        None,
        "Ask each agent for a short plan in words after every so many turns; None: never. See docs/planning.md.",
        least=1,
        flags=("--planning",),
        metavar="N",
    ),
    _setting(
        "recursion_guard",
        "flag",
        True,
        "Whether a sub-agent that would be asked what its parent was asked, about the same data, is refused.",
    ),
    _setting(
        "strong_model",
        "text",
        None,
        "A stronger model, to which an agent's requests go after `strong_after` failed turns in a row, until its end.",
        flags=("--strong-model",),
        metavar="MODEL",
    ),
    _setting(
        "strong_after",
        "integer",
        3,
        "Failed turns in a row after which an agent is given `strong_model`: no code, an error, an answer sent back.",
        least=1,
        flags=("--strong-after",),
        metavar="N",
    ),
    _setting(
        "see",
        "flag",
        None,
        "Whether agents' models are sent the pictures that cells show, besides the line on each, and are told of "
        "`llm_query(prompt, images=[...])`; None: if the model's server on this machine says that it takes images. "
        "False: no image and no audio is sent at all.",
        flags=("--see",),
        usage="Send the pictures that cells show to the model, which must be one that takes images.",
    ),
    _setting(
        "hide",
        "hosts",
        (),
        "Columns whose values no provider sees, by names or patterns such as `*mail*`, separated by commas; in Python "
        "also `Hidden(df.email)`. See docs/privacy.md.",
        nullable=False,
        flags=("--hide",),
        metavar="NAMES",
    ),
    _setting(
        "hide_most",
        "integer",
        20_000_000,
        "Different values of hidden columns of files and databases that are held, with 100 bytes for each; data with "
        "more is refused.",
        least=1,
    ),
    _setting(
        "require_look",
        "flag",
        True,
        "Whether a `FINAL` by code that never read the data is sent back with a request to look.",
    ),
    _setting(
        "inherit_tools",
        "flag",
        False,
        "Whether sub-agents have all tools of their parents, and not only those they are handed.",
    ),
    _setting(
        "tool_seconds",
        "number",
        300.0,
        "Seconds that one call of a host tool may take, unless `@host_tool(seconds=...)` says otherwise.",
        above=0,
    ),
    _setting(
        "value_memory",
        "size",
        None,
        'Bytes of memory, or a text such as `"2 GB"`, for the values of one run, besides the data that you hand over; '
        "values above it lie on disk until the run is dropped. None: a quarter of the machine's memory.",
        least=0,
    ),
    _setting(
        "kernel_memory",
        "size",
        None,
        "Bytes of memory, or a text, for the kernels of agents that have ended, all runs together; above it the oldest "
        "end. Their FINAL values and small variables stay. None: a quarter of the machine's memory; the two runs "
        "before the newest are then closed as soon as they hold more than 64 MB, values included.",
        least=0,
    ),
    _setting(
        "kept_kernels",
        "integer",
        8,
        "How many kernels of sub-agents that have ended stay, all runs together. Those of older ones end if all of "
        "their variables can be kept without them; a cell that is run there later starts a new one with them.",
        least=0,
    ),
    _setting(
        "checkpoints",
        "integer",
        None,
        "How many checkpoints of each agent's kernel are kept, one after each turn: a branch begins with the kernel as "
        "it was then, and runs no cell again. None: 3 with `--step`, else 0. They take the memory of what later cells "
        "change, and end with the kernel.",
        least=0,
        most=100,
        flags=("--checkpoints",),
        metavar="N",
    ),
    _setting(
        "sub_calls",
        "flag",
        True,
        "Whether agents' code may call a model at all, by `llm_query` and `rlm_query`. An ablation of the paper.",
    ),
    _setting(
        "sub_agents",
        "flag",
        True,
        "Whether agents' code may start sub-agents by `rlm_query`; if not, only plain completions. An ablation.",
    ),
)

_QUESTIONS = (
    _setting(
        "ask_user",
        "integer",
        3,
        "How many questions agents' code may ask you in one run by `ask_user`, in the live tree or in a terminal; for "
        "others, and where nobody can be asked, the default is taken and listed as an assumption. 0: none.",
        least=0,
        flags=("--ask-user",),
        metavar="N",
    ),
    _setting(
        "ask_user_seconds",
        "number",
        120.0,
        "Seconds that such a question waits for your answer before its default is taken.",
        above=0,
    ),
)

_REQUESTS = (
    _setting(
        "parameters", "mapping", None, "Further fields of the root's requests, such as `{'top_p': 0.9}`."
    ),
    _of_sub("parameters", "mapping"),
    _setting(
        "temperature",
        "number",
        None,
        "The temperature of the root's requests; None: the provider's own.",
        flags=("--temperature",),
        metavar="T",
        commands=(RUN,),
    ),
    _of_sub("temperature", "number"),
    _setting(
        "reasoning_effort",
        "text",
        None,
        "The reasoning effort of the root's requests, such as `low`; None: the provider's own.",
    ),
    _of_sub("reasoning_effort", "text"),
    _setting(
        "service_tier",
        "text",
        None,
        "The service tier of the root's requests, where the provider has some, such as `flex` (cheaper and slower); it "
        "is priced if the table of prices has it. None: the provider's own.",
        flags=("--service-tier",),
        metavar="TIER",
    ),
    _of_sub("service_tier", "text"),
    _setting("extra_body", "mapping", None, "Fields of the root's requests that OpenAI does not have."),
    _of_sub("extra_body", "mapping"),
    _setting(
        "sub_completion_tokens",
        "integer",
        None,
        "`max_tokens` of one request of sub-agents and plain completions; None: as for the root.",
        least=16,
    ),
    _setting(
        "window",
        "integer",
        None,
        "Tokens that the root's model holds; None: looked up, or learnt when the provider refuses a prompt.",
        least=1000,
    ),
    _setting(
        "sub_window",
        "integer",
        None,
        "The same for the model of sub-agents and plain completions; None: as `window`, or looked up.",
        least=1000,
    ),
    _setting(
        "compact_at",
        "number",
        0.85,
        "The part of the window at which an agent's old turns are summarised; None: never.",
        nullable=True,
        above=0,
        most=1,
    ),
    _setting(
        "stuck_after",
        "integer",
        3,
        "How often the same code may fail with the same error before the agent is told once, and then ended; None: "
        "without limit.",
        nullable=True,
        least=2,
    ),
    _setting(
        "early_start",
        "flag",
        True,
        "Whether the process from which kernels are forked (Linux) is started before the first question: by "
        "`%load_ext`, or when an `RLM` is made. Not where `kernel` is set.",
    ),
    _setting(
        "telemetry",
        "flag",
        True,
        "Whether OpenTelemetry spans are made if its API is installed. They hold no prompt or reply.",
    ),
)

_NOTEBOOK = (
    Option(
        "print_value",
        "notebook",
        "choice",
        "auto",
        "Whether the value of a `%%rlm` cell stands below its tree. `auto`: unless the tree shows the whole of it at "
        "its top; `always`; `never`. It is the cell's value (`_`, `Out`) in any case.",
        choices=("auto", "always", "never"),
        argument="print_value",
    ),
)

OPTIONS: tuple[Option, ...] = (*_MODELS, *_AGENTS, *_QUESTIONS, *_REQUESTS, *LIMITS, *SANDBOX, *_NOTEBOOK)
"""All options, in the order in which they are shown."""


def options_of(owner: Owner) -> dict[str, Option]:
    """Returns the options that are fields of one owner, by name."""
    return {option.name: option for option in OPTIONS if option.owner == owner}


def arguments_of(owner: Owner) -> dict[str, str]:
    """Returns the arguments that set an owner's fields: argument → field."""
    return {option.argument: option.name for option in OPTIONS if option.owner == owner and option.argument}


def options_on(command: str) -> tuple[Option, ...]:
    """Returns the options of one command line, `CELL` or `RUN`."""
    return tuple(option for option in OPTIONS if option.flags and command in option.commands)
