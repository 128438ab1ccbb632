"""`%%rlm_map` in JupyterLab: the sample, the question on the page, and the click that goes on."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SOON = 60_000

SUPPORT = Path(__file__).parents[1] / "support"
SETUP = f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
from map_parts import answering, complaints
%load_ext rlm_jupyter
model, table = answering(), complaints(300)
"""
ASK = (
    "%%rlm_map table -m model -o out -s 'delivery: bool' --columns text --no-function\nIs it about delivery?"
)


def test_the_run_asks_after_the_sample_and_a_click_does_the_rest(notebook):
    book = notebook(
        "map.ipynb", [SETUP, ASK, "int(out['error'].isna().sum()), float(out['delivery'].mean())"]
    )
    book.ask(1)
    panel = book.panel("0")
    expect(panel.get_by_text("all 300 rows: about").first).to_be_visible(timeout=SOON)
    expect(book.agent("0")).to_contain_text("20 of 300 rows")
    panel.get_by_role("button", name="Go on").click()
    book.wait_done(1)
    expect(book.agent("0")).to_contain_text("300 of 300 rows · delivery: true 67 %, false 33 %")
    book.run(2)
    assert "(300, 0.66" in book.output(2)
