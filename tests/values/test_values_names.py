"""Names of data that an agent's kernel uses itself: the right answer, or an error before anything starts."""

import builtins
import keyword

import pytest
from run_parts import asking

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.guest.reserved_names import RESERVED
from rlm_jupyter.run_setup.variable_names import read_names

FREE = ("answer", "budget", "input", "id", "orders", "match", "type_", "data", "pd", "i", "x1")
TAKEN = (
    *sorted(RESERVED - {"answer", "budget", "context"}),
    *("print", "len", "list", "type", "sum", "open", "Exception", "__import__"),
    *(
        "get_ipython",
        "In",
        "Out",
        "exit",
        "_",
        "__",
        "_1",
        "_i",
        "_i3",
        "_oh",
        "__name__",
        "__builtins__",
        "_ii",
    ),
)


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:
        yield start


@pytest.mark.parametrize("name", FREE)
def test_data_of_such_a_name_is_answered_about_in_two_turns(ask, name):
    record = {"content": "draft text", "ready": True}
    run = ask(
        {"root": [f"print(len(context), len({name}))", "FINAL((len(context), context is not None))"]},
        context=record,
        names=(name,),
    )
    assert (run.status, run.value) == ("done", (2, True))
    assert len(run.tree.agents["0"].turns) == 2
    assert record == {"content": "draft text", "ready": True}
    assert run.tree.agents["0"].turns[0].cells[0].output.split() == ["2", "2"]


@pytest.mark.parametrize("name", TAKEN)
def test_a_name_that_would_take_something_from_an_agent_is_refused(ask, name):
    with pytest.raises(ConfigError, match=f"`{name}`.*give the variable another name"):
        ask({"root": ["FINAL(1)"]}, context=[1, 2], names=(name,))
    with pytest.raises(ConfigError, match=f"`{name}`"):
        read_names(("orders", name), {"orders": 1, name: 2})


@pytest.mark.parametrize("name", [*keyword.kwlist, "", "a b", "1a", "a.b", "a-b", 7, None])
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(ConfigError, match="cannot be the name of a variable"):
        read_names((name,), [1])


def test_the_name_context_is_fine_alone_and_refused_among_several(ask):
    run = ask({"root": ["FINAL(len(context))"]}, context=[1, 2], names=("context",))
    assert run.value == 2
    with pytest.raises(ConfigError, match="`context`, which is a word"):
        read_names(("context", "orders"), {"context": 1, "orders": 2})


def test_every_builtin_function_that_code_may_call_is_kept(ask):
    spare = {name for name in dir(builtins) if not name.startswith("_") and not _is_taken(name)}
    run = ask(
        {
            "root": [
                f"FINAL(all(callable(f) for f in ({', '.join(sorted(spare - {'copyright', 'credits', 'license'}))})))"
            ]
        }
    )
    assert run.value is True
    assert spare.isdisjoint(
        {"print", "len", "sorted", "isinstance", "str", "int", "min", "max", "range", "ValueError"}
    )


def _is_taken(name):
    try:
        read_names((name,), [1])
    except ConfigError:
        return True
    return False


def test_several_of_such_names_are_all_bound(ask):
    code = "FINAL((budget['a'], answer['ready'], sorted(context)))"
    context = {"budget": {"a": 1}, "answer": {"ready": True, "content": "no"}}
    run = ask({"root": ["x = 1", code]}, context=context, names=("budget", "answer"))
    assert run.value == (1, True, ["answer", "budget"])


def test_a_record_that_code_calls_answer_does_not_end_the_run(ask):
    codes = ["answer = context[0]\nprint(answer['ready'])", "FINAL(answer)"]
    record = {"content": "no", "ready": True, "id": 7}
    run = ask({"root": codes}, context=[record])
    assert run.value == record
    assert len(run.tree.agents["0"].turns) == 2
