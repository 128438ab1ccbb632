"""Bad input, as a user types it: each message says what happened, names the thing and gives the next step."""

import os
import threading

import pandas as pd
import pytest
from IPython.core.error import UsageError
from magics_parts import terminal_shell

from rlm_jupyter.errors import (
    AgentFailedError,
    AgentNotFoundError,
    ConfigError,
    ContextError,
    KernelStartError,
    MissingKeyError,
    UnsafeValueError,
    ValueTransferError,
    VariableNotFoundError,
)
from rlm_jupyter.magics.command_registry import COMMANDS
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.models.base import Completion
from rlm_jupyter.rlm import RLM, last_run

CODE = """```repl
import threading
counts, lock = [1, 2], threading.Lock()
FINAL(len(context))
```"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.endswith("_API_KEY")}
    with terminal_shell(tmp_path_factory.mktemp("shell")) as shell:
        shell.user_ns.update(
            orders=[1, 2, 3],
            lock=threading.Lock(),
            bad={"type": "nosuch"},
            table=pd.DataFrame({"a": [1]}),
            model=ScriptedModel(lambda _messages: CODE),
        )
        yield shell
    os.environ.update(kept)


def fails(shell, capsys, cell):
    """Run a cell that must fail; give its error, of which IPython shows the message alone."""
    capsys.readouterr()
    result = shell.run_cell(cell)
    error = result.error_in_exec
    assert error is not None, result
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert str(error) in (shown.out + shown.err).replace("\n       ", "\n")
    return error


@pytest.mark.parametrize(
    ("cell", "kind", "parts"),
    [
        ("%%rlm lock -m model\nQ", ContextError, ["`lock` cannot be transferred"]),
        ("%%rlm orders lock -m model\nQ", ContextError, ["`context['lock']` cannot be transferred"]),
        ("%%rlm orders -m modle\nQ", MissingKeyError, ["`modle`", "hold a model: `model`"]),
        ("%%rlm orders -m table\nQ", MissingKeyError, ["`table` holds a `DataFrame`", "`model`"]),
        ("%%rlm orders -m model --sub-model modle\nQ", MissingKeyError, ["`modle`", "a model: `model`"]),
        ("%%rlm orders -s table -m model\nQ", ConfigError, ["a `DataFrame`", "TypedDict", "columns"]),
        ("%%rlm orders -s lock -m model\nQ", ConfigError, ["a `lock`", "`list[str]`"]),
        ("%%rlm orders -s 1+1 -m model\nQ", UsageError, ["`-s` takes the name"]),
        ("%%rlm orders -s bad -m model\nQ", ConfigError, ["`$.type`", "nosuch"]),
        ("%%rlm orders -o get_ipython -m model\nQ", UsageError, ["`get_ipython`", "another name"]),
        ("%%rlm orders -o __builtins__ -m model\nQ", UsageError, ["`__builtins__`", "another name"]),
        ("%%rlm orders --dry-run --kernel nosuch -m model\nQ", KernelStartError, ["no kernelspec `nosuch`"]),
        ("%rlm foo", UsageError, [f"`{name}`" for name in COMMANDS]),
    ],
)
def test_what_is_wrong_is_named(shell, capsys, cell, kind, parts):
    error = fails(shell, capsys, cell)
    assert type(error) is kind
    for part in parts:
        assert part in str(error)
    assert "\n" not in str(error)


def test_a_long_path_to_what_cannot_be_transferred_is_cut():
    deep = threading.Lock()
    for _ in range(500):
        deep = [deep]
    with pytest.raises(ContextError) as caught:
        RLM(model=ScriptedModel([]), log_dir=None).start("Q", deep)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("question", ["a\fb\u2028c", "  indented\n\n\nafter blank lines  ", "a\r\nb"])
def test_the_question_is_verbatim(shell, question):
    shell.run_cell_magic("rlm", "orders -m model", f"\n \n{question}\n\n")
    assert last_run().question == question


def test_pull_names_what_the_kernel_has_now_and_after_its_death(shell, capsys):
    shell.run_cell("%%rlm orders -m model\nQ")
    shell.run_cell("%rlm exec 0 later = 5")
    error = fails(shell, capsys, "%rlm pull 0 nope")
    assert type(error) is VariableNotFoundError
    assert "`counts`" in str(error)
    assert "`later`" in str(error)
    fails(shell, capsys, "%rlm exec 0 import os; os._exit(1)")
    error = fails(shell, capsys, "%rlm pull 0 counts")
    assert "`counts`." not in str(error).partition("It has")[2]
    assert shell.run_cell("%rlm pull 0 orders").result == [1, 2, 3]  # the data is there again


def test_trust_is_not_recommended_where_it_was_given(shell, capsys):
    shell.run_cell("%%rlm orders -m model\nQ")
    assert "--trust" in str(fails(shell, capsys, "%rlm pull 0 lock"))
    error = fails(shell, capsys, "%rlm pull 0 lock --trust")
    assert type(error) is ValueTransferError
    assert "trust" not in str(error)


def test_an_answer_that_only_code_can_decode_says_how_to_take_it(shell, capsys):
    shell.user_ns["odd"] = ScriptedModel(["```repl\nclass Odd: n = len(context)\nFINAL(Odd())\n```"])
    error = fails(shell, capsys, "%%rlm orders -m odd\nQ")
    assert type(error) is UnsafeValueError
    assert "`run.pull_value(trust=True)`" in str(error)
    assert last_run().pull_value(trust=True).n == 3


def test_next_for_an_agent_that_is_not_there_lists_those_that_are(shell, capsys):
    shell.run_cell("%%rlm orders -m model\nQ")
    assert type(fails(shell, capsys, "%rlm next 0.4")) is AgentNotFoundError
    assert "agent `0` is not at a step" in str(fails(shell, capsys, "%rlm next 0"))


@pytest.mark.parametrize(
    ("reason", "said"), [("content_filter", "was empty, by `content_filter`"), ("stop", "was empty.")]
)
def test_replies_without_code_are_an_error_that_tells_how_the_last_one_ended(reason, said):
    model = ScriptedModel(lambda _messages: Completion(text="", finish_reason=reason))
    error = RLM(model=model, log_dir=None).start("Q", [1]).wait(60).error
    assert type(error) is AgentFailedError
    assert said in str(error)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"limits": 5}, ["`limits`", "`int`"]),
        ({"price": 5}, ["`price`", "(prompt, completion)"]),
        ({"price": (1,)}, ["`price`", "(prompt, completion)"]),
        ({"price": (-1, 2)}, ["`price`", "(-1, 2)"]),
        ({"api_key": 5}, ["`api_key`", "`int`"]),
    ],
)
def test_an_argument_of_rlm_that_cannot_be_is_named(arguments, parts):
    with pytest.raises(ConfigError) as caught:
        RLM(model=ScriptedModel([]), log_dir=None, **arguments)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("context", "names", "part"),
    [
        ([1], "orders", "tuple"),
        ([1], 5, "tuple"),
        ([1], ("a b",), "`a b`"),
        ([1], ("class",), "`class`"),
        ([1], (5,), "`5`"),
        ([1], ("a", "b"), "dict"),
        ({"a": 1}, ("a", "b"), "`b`"),
    ],
)
def test_names_that_do_not_fit_the_data_are_refused_before_anything_is_asked(context, names, part):
    model = ScriptedModel([])
    with pytest.raises(ConfigError, match=part):
        RLM(model=model, log_dir=None).start("Q", context, names=names)
    assert model.requests == []


def test_code_that_is_no_text_is_refused(shell):
    shell.run_cell("%%rlm orders -m model\nQ")
    with pytest.raises(ConfigError, match="`int`"):
        last_run().agents["0"].execute(5)


LONE = "\ud800"


def test_lone_surrogates_go_through_question_data_code_output_errors_and_sub_agents():
    replies = [
        f"```repl\nprint({LONE!r}, context)\nx = {LONE!r}\nraise ValueError({LONE!r})\n```",
        "```repl\nparts = [rlm_query(f'sub {x}', context=x), llm_query(f'plain {x}')]\n```",
        "```repl\nFINAL([x, *parts, context])\n```",
    ]

    def reply(messages):
        if len(messages) == 1:
            return f"said {LONE}"
        if "sub" in messages[1]["content"][:40]:
            return "```repl\nFINAL(context)\n```"
        return replies[sum(message["role"] == "assistant" for message in messages)]

    run = RLM(model=ScriptedModel(reply), log_dir=None).run(f"Q {LONE}", {LONE: [LONE]})
    assert run.value == [LONE, LONE, f"said {LONE}", {LONE: [LONE]}]
    assert run.agents["0"].pull("x") == LONE
