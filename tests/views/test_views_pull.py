"""Pull: a variable of an agent, or what it gave to FINAL, becomes a variable of the notebook; nothing is lost by it."""

import threading

import pytest
from run_story import example
from widget_parts import Agent

from rlm_jupyter.errors import UnsafeValueError, VariableNotFoundError
from rlm_jupyter.views.widget_commands import free_name, value_name


def test_a_pulled_value_is_decoded_on_a_thread_and_assigned_on_the_main_one(browse):
    namespace, threads = {}, []

    def decode():
        threads.append(threading.current_thread())
        return ["the value"]

    browser = browse(example(), namespace=namespace)
    browser.run.agents["0.1"] = Agent(counts=decode)
    browser.click("pull", agent="0.1", name="counts", target="c", overwrite=False)
    assert browser.main.added.wait(60)
    assert namespace == {}
    assert browser.got == []
    assert threads[0] is not threading.current_thread()
    browser.main.run()
    assert namespace == {"c": ["the value"]}
    assert browser.got == [{"kind": "ok", "request": "r1", "message": "c = DataFrame 3 x 2, 216 B"}]


@pytest.mark.parametrize("name", ["taken", "print"])
def test_a_name_that_is_taken_is_overwritten_only_when_asked(browse, name):
    namespace = {"taken": 1}
    browser = browse(example(), namespace=namespace)
    browser.run.agents["0.1"] = Agent(counts="new")
    answer = browser.ask("pull", agent="0.1", name="counts", target=name, overwrite="yes")
    assert (answer["kind"], answer["reason"]) == ("error", "exists")
    assert f"`{name}`" in answer["message"]
    assert namespace == {"taken": 1}
    browser.click("pull", agent="0.1", name="counts", target=name, overwrite=True)
    assert browser.main.added.wait(60)
    browser.main.run()
    assert namespace[name] == "new"


def test_a_name_that_was_taken_while_the_value_travelled_is_not_overwritten(browse):
    namespace = {}
    browser = browse(example(), namespace=namespace)
    browser.run.agents["0.1"] = Agent(counts="new")
    browser.click("pull", agent="0.1", name="counts")
    assert browser.main.added.wait(60)
    namespace["counts"] = "mine"
    browser.main.run()
    assert namespace == {"counts": "mine"}
    assert browser.got[0]["reason"] == "exists"


def test_a_value_that_is_not_safe_and_a_place_without_notebook_are_refused(browse):
    browser = browse(example(), namespace={})
    browser.run.agents["0.1"] = Agent(counts=UnsafeValueError("`counts` has no safe form."))
    answer = browser.ask("pull", agent="0.1", name="counts")
    assert (answer["kind"], answer["message"]) == ("error", "`counts` has no safe form.")
    assert "no notebook here" in browse(example()).ask("pull", agent="0.1", name="counts")["message"]


def test_a_free_name_is_offered():
    assert free_name("counts", "0.1", {}) == "counts"
    assert free_name("counts", "0.1", {"counts": 1}) == "counts_0_1"
    assert free_name("counts", "0.1", {"counts": 1, "counts_0_1": 1}) == "counts_0_1_2"
    assert free_name("print", "0", {}) == "print_0"
    assert free_name("not a name", "0", {}) == "pulled"
    assert free_name("class", "0", {}) == "class_0"


def test_what_an_agent_gave_to_final_is_pulled_without_a_name_of_its_own(browse):
    namespace = {"profile": 1}
    browser = browse(example(), namespace=namespace)
    offered = browser.ask("open", agent="0.1")["detail"]["value"]["free_name"]
    assert offered == "profile_0_1"
    browser.run.agents["0.1"] = Agent(FINAL={"a": 1})
    browser.click("pull", agent="0.1", name="", target=offered, overwrite=False)
    assert browser.main.added.wait(60)
    browser.main.run()
    assert namespace == {"profile": 1, "profile_0_1": {"a": 1}}
    assert browser.got[-1]["message"] == "profile_0_1 = DataFrame 3 x 2, 216 B"


def test_a_value_that_is_not_there_yet_is_answered_in_words(browse):
    browser = browse(example(), namespace={})
    browser.run.agents["0.2"] = Agent(FINAL=VariableNotFoundError("Agent `0.2` has given no value yet."))
    answer = browser.ask("pull", agent="0.2", name="", target="x")
    assert (answer["kind"], answer["message"]) == ("error", "Agent `0.2` has given no value yet.")
    assert browser.ask("pull", agent="0.2", name="")["message"].startswith("`None` is not a name"), (
        "no name, no `as`"
    )


@pytest.mark.parametrize(
    ("name", "taken", "offered"),
    [
        (None, (), "value_0_2"),
        ("find the date", (), "value_0_2"),
        ("dates", (), "dates"),
        ("dates", ("dates",), "dates_0_2"),
        (None, ("value_0_2",), "value_0_2_0_2"),
    ],
)
def test_a_name_is_offered_for_what_an_agent_gave_to_final(name, taken, offered):
    assert value_name(name, "0.2", dict.fromkeys(taken)) == offered
