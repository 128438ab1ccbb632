"""The tree in a JupyterLab below a path and behind a token, as a JupyterHub has its users' servers.

A real hub: `python -m benchmarks.jupyterhub`.
"""

import re

import pytest
from lab import Lab
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

BASE = "/course/user/ada%40example.org"
SOON = 60_000
STORY = r"""
import asyncio, pathlib
from rlm_jupyter.models import ScriptedModel

async def reply(messages):
    if not any(m["role"] == "assistant" for m in messages):
        return "```repl\nkept = 6\n```"
    while not pathlib.Path("gate-end").exists():
        await asyncio.sleep(0.02)
    return "```repl\nFINAL(kept * 7)\n```"

script = ScriptedModel(reply)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("hub"), base=BASE) as lab:
        yield lab


def test_the_tree_is_live_and_its_buttons_work_below_a_path(lab, notebook):
    lab.script("steps", STORY)
    setup = "%load_ext rlm_jupyter\nfrom steps import script"
    book = notebook("live.ipynb", [setup, "%%rlm -m script -o found\nhow many", "found + mine"])
    assert BASE in book.page.url
    book.ask(1)
    expect(book.agent("0")).to_have_accessible_name(re.compile("waiting for model, 2 turns"), timeout=SOON)
    book.choose("0")
    book.pull("0", "kept", "mine")
    expect(book.variables("0")).to_contain_text("mine", timeout=SOON)
    assert book.busy(1)
    lab.open_gate("gate-end")
    book.wait_done(1)
    book.run(2)
    assert book.output(2).strip().endswith("48")
    assert book.page.errors == []
