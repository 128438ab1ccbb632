"""Integers beyond 2**53 in JupyterLab: the page shows all digits of them, and not what JavaScript would round them to."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SOON = 30_000
LARGE, NEGATIVE = "9007199254740993", "-9223086934292230710"

STORY = f"""
import pandas as pd
from rlm_jupyter.models import ScriptedModel

table = pd.DataFrame({{"id": [{LARGE}]}})
first = "t = context.copy()\\nd = {{'neg': {NEGATIVE}}}"
script = ScriptedModel([f"```repl\\n{{code}}\\n```" for code in (first, "FINAL({{'id': {LARGE}, 'neg': {NEGATIVE}}})")])
"""


def test_value_variables_and_previews_show_all_digits(lab, notebook):
    lab.script("integers", STORY)
    book = notebook(
        "integers.ipynb",
        ["%load_ext rlm_jupyter\nfrom integers import script, table", "%%rlm table -m script\nWhich?"],
    )
    book.ask(1)
    book.wait_done(1)
    book.choose("0")
    part = book.variables("0")
    for name, digits in ((r"FINAL value", LARGE), (r"d\b", NEGATIVE), (r"t\b", LARGE)):
        part.get_by_role("option", name=re.compile(f"^{name}")).click()
        expect(part.get_by_text(digits).first).to_be_visible(timeout=SOON)
    shown = book.page.inner_text("body")
    for rounded in ("9007199254740992", "-9223086934292230000", "-9223086934292231000"):
        assert rounded not in shown
    assert book.page.errors == []
