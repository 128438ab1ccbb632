"""Functions of the notebook, and of agents, as tools in agents' kernels."""

import functools
import importlib.util
import sys
import threading

import pytest
from tool_runs import asking, told

from rlm_jupyter.errors import ConfigError, ContextError, ToolError
from rlm_jupyter.guest.agent_side import Guest
from rlm_jupyter.guest.reserved_names import RESERVED
from rlm_jupyter.tools.function_source import NoSourceError, source_form
from rlm_jupyter.tools.functions import read_tools

LOCK = threading.Lock()
RATE = 0.19


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


@pytest.fixture
def users_modules(tmp_path):
    """Two modules of the user's own, of which one uses the other."""
    (tmp_path / "shop_rates.py").write_text("RATES = {'de': 0.19}\ndef rate(land):\n    return RATES[land]\n")
    (tmp_path / "shop_tax.py").write_text(
        "import shop_rates\nimport pandas as pd\n"
        "def tax(amount, land='de'):\n"
        "    '''Give the tax of an amount.'''\n"
        "    return pd.Series([amount * shop_rates.rate(land)]).sum()\n"
    )
    for name in ("shop_rates", "shop_tax"):
        spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    yield sys.modules["shop_tax"]
    for name in ("shop_rates", "shop_tax"):
        del sys.modules[name]


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


async def later(number: int) -> int:
    """Give it back, later."""
    import asyncio

    await asyncio.sleep(0)
    return number


def test_a_function_of_the_users_modules_runs_in_the_kernel_with_the_modules_that_it_uses(ask, users_modules):
    run = ask({"root": ["FINAL([float(tax(100)), tax.__doc__])"]}, tools=[users_modules.tax])
    assert run.value == [19.0, "Give the tax of an amount."]
    assert "def tax(amount, land='de')\n    Give the tax of an amount." in run.messages()[1]["content"]


def test_async_functions_are_awaited_and_tools_are_no_variables(ask):
    run = ask({"root": ["x = await later(3)", "SHOW_VARS()", "FINAL(x)"]}, tools=[later])
    assert run.value == 3
    assert "async def later(number: int) -> int" in run.messages()[1]["content"]
    assert "later" not in run.messages()[5]["content"]
    assert list(run.agents["0"].variables) == ["x"]


def test_what_the_agent_makes_of_a_tools_name_stays(ask):
    assert ask({"root": ["double = 5", "FINAL(double)"]}, tools=[double]).value == 5


def needs_a_lock(number):
    """Cannot be pickled: it names a lock, through a function, that it never uses when it is source."""
    return _helper(number) + RATE


def _helper(number):
    return functools.reduce(lambda a, b: a + b, [number, 1])


def test_a_function_whose_code_cannot_be_pickled_goes_as_source(ask, monkeypatch):
    class Odd:  # plain enough for nobody: pickles it does not, and source does not need it
        def __reduce_ex__(self, protocol):
            raise TypeError("not this one")

    _helper.note = Odd()
    try:
        tools = read_tools([needs_a_lock])
        assert list(tools["needs_a_lock"].forms) == ["source"]
        assert ask({"root": ["FINAL(needs_a_lock(4))"]}, tools=[needs_a_lock]).value == 5.19
    finally:
        del _helper.note


def test_a_kernel_of_another_python_takes_the_source(ask, monkeypatch):
    monkeypatch.setattr("rlm_jupyter.engine.agent_requests.tool_calls._PYTHON", [3, 8])
    assert ask({"root": ["FINAL(double(4))"]}, tools=[double]).value == 8

    exec("def made(number):\n    return number", globals())
    run = ask({"root": ["FINAL(made(4))"]}, tools=[globals()["made"]])
    assert isinstance(run.error, ToolError)
    assert "`made`" in run.error.message
    assert "Python 3.8" in run.error.message


def locked(number):
    """Give it back."""
    with LOCK:
        return number


def test_a_function_that_can_go_in_no_form_is_refused_with_the_reason_and_the_way_out():
    with pytest.raises(ContextError, match=r"`locked`.*lock.*`LOCK`.*host_tool"):
        read_tools([locked])


@pytest.mark.parametrize("function", [lambda x: x, len])
def test_what_has_no_source_says_so(function):
    with pytest.raises(NoSourceError):
        source_form(function, lambda _thing: False)


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        (double, "list of functions"),
        ("double", "list of functions"),
        ([lambda x: x], "is not a function with a name"),
        ([3], "is not a function with a name"),
        ([double, double], "Two tools"),
        ([functools.wraps(double)(lambda x: x), double], "Two tools"),
    ],
)
def test_what_is_no_tool_is_named(tools, says):
    with pytest.raises(ConfigError, match=says):
        read_tools(tools)


def test_a_tool_may_not_hide_a_word_or_the_data():
    def context():
        pass

    with pytest.raises(ConfigError, match="`context`, which is a word"):
        read_tools([context])
    with pytest.raises(ConfigError, match="`double`, which is the data's name"):
        read_tools([double], data=("double",))


def test_the_reserved_names_are_the_words_of_a_kernel():
    named = {name for name in RESERVED if not hasattr(Guest, name)}
    errors = {"Failed", "FinalRejected", "RLMQueryError"}
    assert named == {"answer", "context", "llm_batch", "llm_query_batch"} | errors
    assert {name for name in dir(Guest) if name.startswith("mcp_")} < RESERVED


def test_a_sub_agent_has_a_tool_only_when_it_is_handed_one(ask):
    script = {
        "root": [
            (
                "a = rlm_query('with', context=3, tools=['double'])\n"
                "b = rlm_query('with', context=4, tools=[double])\n"
                "c = rlm_query('without', context=5)\n"
                "FINAL([a, b, c])"
            )
        ],
        "with": ["FINAL(double(context))"],
        "without": ["FINAL('double' in globals())"],
    }
    run = ask(script, tools=[double])
    assert run.value == [6, 8, False]
    assert "Double a number" in run.messages("0.1")[1]["content"]
    assert "Double a number" not in run.messages("0.3")[1]["content"]


@pytest.mark.parametrize("where", ["settings", "argument"])
def test_with_inherit_tools_sub_agents_have_them_all(ask, where):
    options = {"inherit_tools": True} if where == "argument" else {"settings": {"inherit_tools": True}}
    script = {"root": ["FINAL(rlm_query('with', context=3))"], "with": ["FINAL(double(context))"]}
    assert ask(script, tools=[double], **options).value == 6


def test_an_argument_overrides_the_setting(ask):
    script = {"root": ["FINAL(rlm_query('q', context=3))"], "q": ["FINAL('double' in globals())"]}
    run = ask(script, tools=[double], settings={"inherit_tools": True}, inherit_tools=False)
    assert run.value is False


def test_an_unknown_tool_is_an_error_that_lists_those_there_are(ask):
    script = {
        "root": [
            (
                "try:\n    rlm_query('q', tools=['treble'])\nexcept RLMQueryError as e:\n    said = str(e)\n"
                "parts = rlm_query_batched(['q', 'q'], tools=['treble'])\nFINAL([said, [bool(p) for p in parts]])"
            )
        ],
    }
    said, parts = ask(script, tools=[double, later]).value
    assert "`treble`" in said
    assert "`double`, `later`" in said
    assert parts == [False, False]


def test_a_tool_that_an_agent_was_not_handed_is_not_its_to_hand_on(ask):
    script = {
        "root": ["FINAL(rlm_query('child', context=1))"],
        "child": [
            "try:\n    rlm_query('q', tools=['double'])\nexcept RLMQueryError as e:\n    FINAL(str(e))"
        ],
    }
    assert "It has: none" in ask(script, tools=[double]).value


def test_functions_that_agents_wrote_are_handed_down_two_floors_with_signature_and_docstring(ask):
    script = {
        "root": [
            (
                "RATE = 2\ndef scaled(x: int, by: int = 3) -> int:\n    'Scale a number.'\n    return x * by * RATE\n"
                "FINAL(rlm_query_batched(['child', 'child'], contexts=[1, 2], tools=[scaled, 'double']))"
            )
        ],
        "child": ["FINAL(rlm_query('grandchild', context=context, tools=['scaled', double]))"],
        "grandchild": ["FINAL([scaled(context), double(context)])"],
    }
    run = ask(script, tools=[double])
    assert run.value == [[6, 2], [12, 4]]
    told_child = run.messages("0.1")[1]["content"]
    assert "def scaled(x: int, by: int = 3) -> int\n    Scale a number." in told_child


def test_a_handed_down_function_may_call_words_and_tools_of_its_new_agent(ask):
    script = {
        "root": [
            (
                "def f(x):\n    return [llm_query('q'), double(x)]\n"
                "a = rlm_query('with', context=1, tools=[f, double])\n"
                "b = rlm_query('without', context=1, tools=[f])\nFINAL([a, b])"
            )
        ],
        "with": ["FINAL(f(context))"],
        "without": ["FINAL(f(context))"],
    }
    assert ask(script, tools=[double]).value == [["plain", 2], ["plain", 2]]


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        ("[3]", "takes names of tools and functions"),
        ("[lambda x: x]", "with a name"),
        ("[FINAL_VAR]", "a name of its own"),
        ("[f] * 40", "32"),
        ("[g]", "cannot go along"),
    ],
)
def test_what_cannot_be_handed_down_is_named(ask, tools, says):
    code = (
        "import threading\nlock = threading.Lock()\ndef f(): pass\ndef g(): lock\n"
        f"try:\n    rlm_query('q', tools={tools})\nexcept (RLMQueryError, TypeError) as e:\n    FINAL(str(e))"
    )
    assert says in ask({"root": [code]}).value


def test_the_docstring_of_a_function_is_data_and_bounded(ask):
    long = "x" * 5000
    code = f"def f(x):\n    '''{long}'''\n    return x\nFINAL(rlm_query('q', tools=[f]))"
    run = ask({"root": [code], "q": ["FINAL(f(1))"]})
    assert run.value == 1
    assert 0 < run.messages("0.1")[1]["content"].count("x" * 100) < 8
    assert told(run).count("You can also call these functions") == 1
