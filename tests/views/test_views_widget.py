"""The widget over a fake comm: messages in, messages out."""

import json
import threading

import pytest
from run_story import FRAME, Story, example

from rlm_jupyter.views.widget_messages import rows


def test_the_widget_carries_its_code_and_no_state(browse):
    browser = browse(example())
    states = [data["state"] for kind, data in browser.opened if kind == "comm_open"]
    (state,) = [state for state in states if "_esm" in state]
    assert "export" in state["_esm"]
    assert state["_css"]
    ours = {name for name in state if not name.startswith("_")} - {"layout", "tabbable", "tooltip"}
    assert not ours
    assert repr(browser.widget) == "RLM run · 3 agents · ? · done"
    bundle = browser.widget._repr_mimebundle_()
    assert "RLM run · 3 agents · ? · done" in json.dumps(bundle, ensure_ascii=False)


def test_hello_is_answered_with_everything_and_news_follow_in_numbered_patches(browse):
    story = Story()
    story.agent("0")
    browser = browse(story, clicks=False, notices=["no clicks"])
    browser.click("hello")
    (snapshot,) = browser.got
    assert (snapshot["kind"], snapshot["agents"]["0"]["id"]) == ("snapshot", "0")
    assert (snapshot["run"]["clicks"], snapshot["run"]["notices"]) == (False, ["no clicks"])
    story.agent("0.1")
    browser.tick()
    story.end_agent("0.1")
    browser.tick()
    browser.tick()
    assert [message["seq"] for message in browser.got] == [0, 1, 2]
    assert browser.got[2]["agents"]["0.1"]["status"] == "done"
    story.end()
    browser.widget.finish()
    last = browser.got[-1]
    assert (last["run"]["status"], last["run"]["clicks"], last["run"]["notices"]) == ("done", True, [])


def test_there_are_at_most_ten_messages_a_second_of_64_kb_whatever_the_engine_does(browse):
    story = Story()
    story.agent("0")
    browser = browse(story)
    browser.click("hello")
    for number in range(1, 3001):
        story.agent(f"0.{number}", "q" * 200)
        browser.clock.now += 0.001
        browser.widget.flush()
    assert len(browser.got) <= 1 + 3.0 / 0.095
    story.end()
    browser.widget.finish()
    while browser.main.waiting:
        before = len(browser.got)
        browser.clock.now += 0.1
        browser.main.run()
        assert len(browser.got) <= before + 1
    assert max(len(json.dumps(message, ensure_ascii=False).encode()) for message in browser.got) <= 64_500
    agents = {}
    for message in browser.got:
        for id_, change in message["agents"].items():
            agents.setdefault(id_, {}).update(change)
    assert agents.keys() == rows(story.state).keys()


def test_a_page_that_reloads_gets_all_parts_before_any_patch_and_a_second_hello_waits(browse):
    story = Story()
    for number in range(2000):
        story.agent(f"0.{number}", "q" * 200)
    browser = browse(story)
    browser.click("hello")
    first = browser.got[0]
    assert first["parts"] > 5
    story.agent("1")
    browser.click("hello")
    for _ in range(3 * first["parts"]):
        browser.tick()
    kinds = [message["kind"] for message in browser.got]
    assert kinds == ["snapshot"] * 2 * first["parts"] + ["patch"]
    assert [message["part"] for message in browser.got[:-1]] == 2 * list(range(first["parts"]))


def test_after_the_end_nothing_needs_to_flush(browse):
    browser = browse(example())
    for number in range(3, 3000):
        browser.run.story.agent(f"0.{number}", "q" * 200)
    browser.click("hello")
    while browser.main.waiting:
        browser.clock.now += 0.1
        browser.main.run()
    assert len(browser.got) == browser.got[0]["parts"] > 3


def test_without_a_loop_all_is_told_at_once(browse):
    story = Story()
    browser = browse(story, has_loop=False)
    browser.click("hello")
    for number in range(2000):
        story.agent(f"0.{number}", "q" * 200)
    browser.widget.finish()
    assert sum(len(message["agents"]) for message in browser.got) == 2000


def test_opening_an_agent_gives_its_page_and_its_prompt(browse):
    browser = browse(example(), namespace={"counts": 1})
    page = browser.ask("open", agent="0.1")
    assert (page["kind"], page["agent"]) == ("detail", "0.1")
    (variable,) = page["detail"]["variables"]
    assert (variable["name"], variable["free_name"]) == ("counts", "counts_0_1")
    assert browser.ask("open", agent="0.1", turn=1)["detail"]["turns"]
    shown = browser.ask("prompt", agent="0.1")
    assert (shown["kind"], shown["messages"]) == ("prompt", [{"role": "user", "content": "the question"}])


@pytest.mark.parametrize("content", [None, "text", 7, [], {"kind": ["hello"]}, {}])
def test_what_is_no_message_at_all_is_answered_too(browse, content):
    browser = browse(example())
    browser.widget.comm.handle_msg(
        {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
    )
    assert [message["kind"] for message in browser.got] == ["error"]


def test_a_click_arrives_on_any_thread_while_the_cell_flushes(browse):
    """On ipykernel before 7.4 a subshell's thread handles it: no patch may be lost, none told twice."""
    story = Story()
    story.agent("0")
    browser = browse(story)
    browser.click("hello")
    browser.widget._clock = iter(range(10**9)).__next__
    errors = []

    def say_hello():
        try:
            for _ in range(50):
                browser.click("hello")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=say_hello) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, 200):
        with browser.run.lock:
            story.agent(f"0.{number}")
            story.variables(f"0.{number}", v=FRAME)
        browser.widget.flush()
    for thread in threads:
        thread.join()
    assert not errors
    browser.widget.finish()
    patches = [message["seq"] for message in browser.got if message["kind"] == "patch"]
    assert patches == list(range(1, len(patches) + 1))
    agents = {}
    for message in browser.got:
        if message["kind"] == "patch":
            for id_, change in message["agents"].items():
                agents.setdefault(id_, {}).update(change)
    assert agents.keys() | {"0"} == rows(story.state).keys()
