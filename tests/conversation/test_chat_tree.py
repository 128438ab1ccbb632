"""The one tree of a conversation: a row for each question, whatever is made of events is made of it as of a run's."""

import pytest
from chat_parts import chatting
from run_parts import until

from rlm_jupyter.errors import AgentNotFoundError
from rlm_jupyter.events.tree_history import TreeHistory
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.views import text_tree
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.widget_messages import rows

SCRIPT = {
    "one": ["part = rlm_query('below', context=3)\nFINAL(part)"],
    "below": ["mine = 2 * context\nFINAL(mine)"],
    "two": ["more = llm_query('plain')\nFINAL([part, more])"],
    "three": ["import time\ntime.sleep(600)"],
}


@pytest.fixture(scope="module")
def talked(tmp_path_factory):
    """A conversation of two questions that were answered and one that was stopped; the views after each."""
    with chatting(tmp_path_factory.mktemp("chat")) as begin:
        chat = begin(SCRIPT, [1, 2])
        views = []
        for question in ("one", "two"):
            chat.run(question)
            views.append((chat.view, sorted(chat.view.tree.agents), chat.view.tree.question))
        heard = []
        run = chat.start("three")
        chat.view.subscribe(heard.append)
        until(lambda: run.agents and run.tree.agents["0"].cells)
        running = (
            chat.view.done,
            chat.view.tree.agents["0"].status,
            chat.view.tree.activity(chat.view.tree.agents["0"]),
            chat.view.tree.agents["0"].value,
        )
        chat.view.stop("0.3")
        run.wait(60)
        yield chat, views, running, heard


def test_each_question_is_a_row_with_its_agents_below(talked):
    chat, views, _, _ = talked
    assert [shown for _, shown, _ in views] == [["0", "0.1", "0.1.1"], ["0", "0.1", "0.1.1", "0.2"]]
    tree = chat.view.tree
    assert {agent.id: (agent.parent, agent.depth) for agent in tree.agents.values()} == {
        "0": (None, 0),
        "0.1": ("0", 1),
        "0.1.1": ("0.1", 2),
        "0.2": ("0", 1),
        "0.3": ("0", 1),
    }
    assert [tree.agents[name].question for name in ("0.1", "0.1.1", "0.2")] == ["one", "below", "two"]
    drawn = text_tree.tree(tree)
    assert all(part in drawn for part in ("0.1.1", "0.2", "0.3"))
    assert rows(tree)["0.1"]["value"] is not None
    assert "0.1.1" in static_html(tree)


def test_what_earlier_cells_show_stays_as_it_was(talked):
    _, views, _, _ = talked
    for view, shown, question in views:
        assert sorted(view.tree.agents) == shown
        assert view.tree.question == question
        assert view.tree.status == "done"
        assert view.done
    assert "0.2" not in views[0][0].tree.agents["0"].children


def test_the_root_works_while_a_question_is_answered_and_has_the_newest_answer(talked):
    chat, views, running, heard = talked
    assert running == (False, "running", "children", None)
    assert views[1][0].tree.agents["0"].status == "done"
    assert views[1][0].tree.value["type"] == "list"
    assert (
        chat.view.tree.status
        == chat.view.tree.agents["0"].status
        == chat.view.tree.agents["0.3"].status
        == "stopped"
    )
    assert heard[-1].kind == "run_finished"
    assert chat.view.tree.value is None


def test_sums_are_of_all_questions(talked):
    chat, _, _, _ = talked
    spent = chat.spent
    assert chat.view.tree.input_tokens == spent.prompt_tokens > 0
    assert chat.view.tree.calls == 5
    assert len(chat.view.tree.completions) == 5


def test_its_events_are_those_of_one_run_for_replays_and_pages(talked):
    chat, views, _, _ = talked
    for view in [*(view for view, _, _ in views), chat.view]:
        numbers = [event.seq for event in view.events]
        assert numbers == sorted(set(numbers))
        assert {event.run for event in view.events} == {chat.id}
        folded = TreeState.of(view.events)
        assert rows(folded).keys() == rows(view.tree).keys()
        assert text_tree.tree(folded) == text_tree.tree(view.tree)
        history = TreeHistory(view.events)
        assert text_tree.tree(history.at(len(history))) == text_tree.tree(view.tree)
        assert history.at(2).status == "running"
        assert text_tree.tree(history.at(len(history))) == text_tree.tree(view.tree)


def test_agents_of_all_questions_are_reached_by_their_ids_in_the_tree(talked):
    chat, views, _, _ = talked
    view = chat.view
    assert view.agents["0.1.1"].pull("mine") == 6
    assert view.agents["0.2"].pull() == [6, "notes"]
    assert view.agents["0.2"].pull is not None
    assert view.agents["0"].question == "three"
    assert views[0][0].agents["0"].pull() == 6
    assert view.agents["0.3"].pull("part") == 6  # the kernel is the newest question's
    for wrong in ("0.9", "0.x", "1", "", "0.0", "0.4.1"):
        with pytest.raises(AgentNotFoundError):
            view.agents[wrong]
    with pytest.raises(AgentNotFoundError):
        views[0][0].agents["0.2"]


def test_a_sub_agent_is_asked_again_below_its_question(talked):
    chat, _, _, _ = talked
    view = chat._tree.shown[-1]
    assert view.agent_id("0.1") == "0.3.1"
    assert view.place("0.1.1")[1] == "0.1"


def test_the_widget_of_a_conversation_shows_it(talked, browse):
    chat, _, _, _ = talked
    browser = browse(None, run=chat.view, namespace={})
    browser.click("hello")
    (snapshot,) = browser.got
    assert list(snapshot["agents"]) == ["0", "0.1", "0.1.1", "0.2", "0.3"]
    assert browser.ask("exec", agent="0.3", code="print(part)")["output"].strip() == "6"
    assert browser.ask("open", agent="0.1.1")["detail"]["variables"][0]["name"] == "mine"
