"""`rlm_jupyter.view(run)`: the tree as a widget of its own, in a loop, in a script, and in Colab."""

import asyncio
import sys
import types

import anywidget._util
import comm
import pytest
from chat_parts import chatting, talking
from run_parts import asking
from widget_parts import SENT, FakeComm

import rlm_jupyter
from rlm_jupyter.views.widget import RunWidget


@pytest.fixture
def sent(monkeypatch):
    """What widgets send to their pages."""
    monkeypatch.setattr(comm, "create_comm", FakeComm)
    SENT.clear()
    return SENT


def hello(widget):
    content = {"kind": "hello", "request": "r1"}
    widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def told(sent):
    return [data["content"] for _, data in sent if data.get("method") == "custom"]


async def test_it_keeps_itself_up_to_date_while_the_loop_runs(tmp_path, sent):
    with asking(tmp_path) as start:
        run = start(
            {"root": ["part = rlm_query('below', context=1)", "FINAL(part)"], "below": ["FINAL(context)"]},
            wait=False,
        )
        widget = rlm_jupyter.view(run)
        assert isinstance(widget, RunWidget)
        hello(widget)
        async with asyncio.timeout(60):
            while not any(message.get("run", {}).get("status") == "done" for message in told(sent)):
                await asyncio.sleep(0.02)
        agents = {name for message in told(sent) for name in message.get("agents", {})}
        assert agents == {"0", "0.1"}
        widget.close()


def test_without_a_loop_it_shows_what_has_happened(tmp_path, sent):
    with asking(tmp_path) as start:
        run = start({"root": ["x = 5\nFINAL(x)"]})
        space = {}
        widget = rlm_jupyter.view(run, space)
        hello(widget)
        assert told(sent)[0]["run"]["status"] == "done"
        widget.close()


async def test_the_tree_of_a_conversation_grows_with_each_question(tmp_path, sent):
    async def until_told(condition):
        async with asyncio.timeout(60):
            while not any(condition(message) for message in told(sent)):
                await asyncio.sleep(0.02)

    with chatting(tmp_path) as begin:
        chat = begin(None, model=talking(lambda question: [f"x = '{question}'\nFINAL(x)"]))
        widget = rlm_jupyter.view(chat)
        hello(widget)
        for number, question in enumerate(("one", "two", "three"), 1):
            assert (await chat.arun(question)).value == question
            await until_told(lambda message, number=number: f"0.{number}" in message.get("agents", {}))
            await until_told(
                lambda message, question=question: question in str(message.get("run", {}).get("card"))
            )
        SENT.clear()
        hello(widget)
        await until_told(lambda message: message["kind"] == "snapshot")
        assert list(told(sent)[0]["agents"]) == ["0", "0.1", "0.2", "0.3"]
        content = {"kind": "exec", "request": "r2", "agent": "0.3", "code": "x"}
        widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
        await until_told(
            lambda message: message.get("request") == "r2" and "three" in message.get("output", "")
        )
        widget.close()


@pytest.fixture
def colab(monkeypatch):
    """A stand-in for `google.colab`, which its notebooks have imported from the start; counts what is switched on."""
    enabled = []
    output = types.ModuleType("google.colab.output")

    def enable_custom_widget_manager():
        enabled.append(True)
        output._widgets._installed_url = "https://widgets.test/manager.js"

    output._widgets = types.SimpleNamespace(_installed_url=None)
    output.enable_custom_widget_manager = enable_custom_widget_manager
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    anywidget._util.enable_custom_widget_manager_once.cache_clear()
    yield enabled
    anywidget._util.enable_custom_widget_manager_once.cache_clear()


def test_in_colab_custom_widgets_are_switched_on_once_and_the_output_names_their_manager(
    tmp_path, sent, colab
):
    with asking(tmp_path) as start:
        run = start({"root": ["FINAL(1)"]})
        assert colab == []
        widgets = [rlm_jupyter.view(run) for _ in range(2)]
        assert colab == [True]
        data, metadata = widgets[0]._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        manager = metadata["application/vnd.jupyter.widget-view+json"]["colab"]["custom_widget_manager"]
        assert manager["url"] == "https://widgets.test/manager.js"
        for widget in widgets:
            widget.close()


def test_elsewhere_nothing_of_colab_is_touched(tmp_path, sent):
    assert "google.colab.output" not in sys.modules
    with asking(tmp_path) as start:
        widget = rlm_jupyter.view(start({"root": ["FINAL(1)"]}))
        bundle = widget._repr_mimebundle_()
        assert bundle is not None
        assert not bundle[1] if isinstance(bundle, tuple) else True
        widget.close()
