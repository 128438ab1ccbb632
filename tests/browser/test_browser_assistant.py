"""What a user sees in JupyterLab when an assistant at the server asks about a variable: the live tree below a cell."""

import asyncio
import re
import threading

import pytest
from lab import Lab, Page
from mcp import Client
from mcp_client_parts import call
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SETUP = "%load_ext rlm_jupyter\n%config RLMMagics.model = 'script'\nfrom work import script, table"
WORK = """
from rlm_jupyter.models import ScriptedModel

table = list(range(21))
script = ScriptedModel(["```repl\\nprint(context[:3])\\n```", "```repl\\nFINAL(sum(context) * 2)\\n```"], price=(1, 1))
"""
SOON = 60_000
"""Milliseconds: a bound on hangs, on a loaded machine."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("assistant"), assistants=True) as lab:
        yield lab


def test_the_tree_of_an_assistants_run_lives_below_the_cell_that_allowed_it(lab, page):
    lab.script("work", WORK)
    lab.write("work.ipynb", [SETUP, "%rlm assistant --max-cost 0.5", "1 + 1"])
    told = {}

    async def ask():
        async with Client(lab.mcp_url) as client:
            told.update(await call(client, "rlm_ask", variable="table", question="What is twice the sum?"))

    book = Page(lab, page, "work.ipynb").open().wait_for_kernel()
    book.run_first()
    book.run(1)
    expect(book.cell(1)).to_contain_text("Assistants at this Jupyter server may ask")
    asking = threading.Thread(target=lambda: asyncio.run(ask()))
    asking.start()
    expect(book.cell(1).locator(".rlm-card")).to_contain_text("420", timeout=SOON)
    expect(book.cell(1).locator(".rlm")).to_contain_text(re.compile("What is twice the sum"))
    expect(book.cell(2).locator(".rlm")).to_have_count(0)
    asking.join()
    assert (told["status"], told["error"]) == ("done", None)
    assert "420" in told["preview"]
