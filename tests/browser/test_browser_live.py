"""The tree in step with its run: each event is on the page before the next can happen. How soon: js/dev/measure.py."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SOON = 60_000

STORY = r"""
import asyncio, pathlib
from rlm_jupyter.models import ScriptedModel

async def reply(messages):
    asked = [name for name in ("one", "two", "three") if any(f"Question:\n{name}\n" in m["content"] for m in messages)]
    if not asked:
        return "```repl\nfor name in ('one', 'two', 'three'):\n    rlm_query(name)\nFINAL('all')\n```"
    turn = sum(m["role"] == "assistant" for m in messages)
    while not pathlib.Path(f"gate-{asked[0]}-{turn}").exists():
        await asyncio.sleep(0.02)
    return "```repl\n" + ("found = 1" if turn == 0 else "FINAL(found)") + "\n```"

script = ScriptedModel(reply)
"""


def test_each_step_of_each_agent_is_shown_before_the_next_begins(lab, notebook):
    lab.script("steps", STORY)
    book = notebook(
        "live.ipynb", ["%load_ext rlm_jupyter\nfrom steps import script", "%%rlm -m script\nin order"]
    )
    book.ask(1)
    for number, name in enumerate(("one", "two", "three"), 1):
        row = book.agent(f"0.{number}")
        expect(row).to_have_accessible_name(re.compile("waiting for model, 1 turn"), timeout=SOON)
        expect(book.agent(f"0.{number + 1}")).to_have_count(0)
        expect(book.agent("0")).to_have_accessible_name(re.compile("waiting for sub-agents"), timeout=SOON)
        lab.open_gate(f"gate-{name}-0")
        expect(row).to_have_accessible_name(re.compile("waiting for model, 2 turns"), timeout=SOON)
        assert book.busy(1)
        expect(book.head.get_by_text(f"{number + 1} · depth 1")).to_be_visible()
        lab.open_gate(f"gate-{name}-1")
        expect(row).to_have_accessible_name(re.compile("done, 2 turns"), timeout=SOON)
    book.wait_done(1)
    expect(book.agent("0")).to_have_accessible_name(re.compile("done"), timeout=SOON)
    assert book.page.errors == []
