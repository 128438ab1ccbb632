"""Numbers from values to the page: all digits of large ones, NaN and infinity as such, and messages of strict JSON."""

import json
import math
import re

import pytest
from run_story import Story
from scripts import by_question

from rlm_jupyter import RLM
from rlm_jupyter.events import events as ev
from rlm_jupyter.records import load
from rlm_jupyter.records.log import LogWriter
from rlm_jupyter.text import units
from rlm_jupyter.text.sanitize import clean, one_line
from rlm_jupyter.views import text_tree
from rlm_jupyter.views.agent_page import detail, prompt
from rlm_jupyter.views.json_numbers import MOST
from rlm_jupyter.views.saved_page import saved_page
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.widget_messages import Patcher

ID, NEGATIVE, LARGEST, HUGE = (
    "9007199254740993",
    "-9223372036854775807",
    "18446744073709551615",
    "1" + "0" * 24 + "7",
)

CODE = f"""
import math, decimal
import numpy as np, pandas as pd
table = pd.DataFrame({{"id": [{ID}, {NEGATIVE}], "value": [math.nan, math.inf], "low": [-math.inf, 0.1 + 0.2]}})
missing = pd.DataFrame({{"id": pd.array([{ID}, None], dtype="Int64")}})
unsigned = np.array([{LARGEST}, 1], dtype=np.uint64)
series = pd.Series([{ID}], index=[{ID}], name="ids")
scalar, infinite, exact = {ID}, -math.inf, decimal.Decimal("{HUGE}.0000000001")
nested = {{"ids": [{ID}, {{"deep": {NEGATIVE}}}], {ID}: math.nan, "numpy": np.int64({ID})}}
objects = pd.DataFrame({{"mixed": [{HUGE}, math.nan]}})
FINAL({{"id": {ID}, "negative": {NEGATIVE}, "nan": math.nan, "inf": math.inf, "rate": np.float64("nan")}})
"""

SHOWN = {
    "table": {ID, NEGATIVE, "nan", "inf", "-inf", "0.3"},
    "missing": {ID, "<NA>"},
    "unsigned": {LARGEST},
    "series": {ID},
    "scalar": {ID},
    "infinite": {"-inf"},
    "exact": {f"{HUGE}.0000000001"},
    "nested": {ID, NEGATIVE, "nan"},
    "objects": {HUGE, "nan"},
    "FINAL": {ID, NEGATIVE, "nan", "inf"},
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A run in a real kernel, read back from its log."""
    rlm = RLM(model=by_question({"numbers?": [CODE]}), log_dir=tmp_path_factory.mktemp("logs"), cache=False)
    with rlm.run("numbers?") as run:
        told = run.tree
        kept = load(run.log_path).tree
        assert kept.agents["0"].variables == told.agents["0"].variables
        return kept


def numbers(text):
    return set(re.findall(r"<NA>|-?\binf\b|\bnan\b|-?\d+(?:\.\d+)?", text))


@pytest.mark.parametrize("name", SHOWN)
def test_an_agents_page_has_all_digits_as_text(tree, name):
    page = detail(tree, "0")
    described = page["value"] if name == "FINAL" else next(v for v in page["variables"] if v["name"] == name)
    cells = [cell for row in described["rows"] for cell in row]
    items = [item["summary"] for item in described["items"]] + [
        item["key"] or "" for item in described["items"]
    ]
    assert all(type(text) is str for text in [*cells, *items])
    told = " ".join([*cells, *items, described["preview"], described["summary"]])
    assert SHOWN[name] <= numbers(told) | set(cells), told


def test_static_tree_text_tree_and_saved_page_have_them_too(tree):
    data = re.search(r'id="rlm-data">(.*?)</script>', saved_page(tree), re.DOTALL)[1]
    strict(json.loads(data))
    for shown in (static_html(tree), text_tree.tree(tree), text_tree.show_agent(tree, "0"), data):
        assert {ID, NEGATIVE, "nan", "inf"} <= numbers(shown)
    for rounded in ("9007199254740992", "-9223372036854775808", "18446744073709552"):
        assert rounded not in static_html(tree) + data


def strict(message):
    """Whether a message is JSON as the standard has it, and no number in it is more than JavaScript holds exactly."""
    text = json.dumps(message, allow_nan=False)

    def look(value):
        if isinstance(value, dict):
            for key, item in value.items():
                assert type(key) is str
                look(item)
        elif isinstance(value, list):
            for item in value:
                look(item)
        elif isinstance(value, int):
            assert abs(value) <= MOST, value
        else:
            assert value is None or type(value) in (str, float), value

    look(json.loads(text))
    return message


ODD = [math.nan, math.inf, -math.inf, 10**40, -(10**40), 10**4200, "12", None, True, [1], 1e308]


def odd_story(odd):
    """A run with an odd number wherever the events take any."""
    described = {
        "bytes": odd,
        "length": odd,
        "shape": [odd, 2],
        "turn": odd,
        "type": odd,
        "summary": odd,
        "columns": [{"name": odd, "dtype": odd, "nulls": odd}],
        "rows": [[odd, math.nan, 2**60]],
        "items": [{"key": odd, "bytes": odd, "summary": odd}],
        "preview": odd,
    }
    number = odd if isinstance(odd, (int, float)) and not isinstance(odd, bool) else 1
    whole = number if isinstance(number, int) else 10**40
    try:
        real = float(number)
    except OverflowError:
        real = math.inf
    story = Story(
        "odd?", context=described, limits={"cost": odd, "tokens": odd, "calls": odd, "seconds": odd}
    )
    story.agent("0", context=described, depth=whole)
    story.prompt("0", turn=whole)
    story.reply("0", cost=real, tokens=(whole, whole), cached_tokens=whole, attempts=whole)
    story.cell("0", seconds=real, cut=whole)
    story.tell(ev.ToolCalled, "0", name="t", turn=whole, seconds=1.0, ok=True)
    story.prompt("0", purpose="llm_query", turn=whole)
    story.reply("0", cost=real, tokens=(whole, whole))
    story.variables("0", x=described)
    story.tell(ev.ValuesHeld, memory=whole, disk=whole, shared=whole, limit=whole)
    story.end_agent("0", value=described)
    story.end(value=described)
    return story


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20] if odd != 10**4200 else "digits")
def test_messages_are_strict_json_whatever_numbers_events_have(odd, tmp_path):
    story = odd_story(odd)
    patcher = Patcher(story.state)
    for message in (patcher.patch(), *patcher.snapshot(), detail(story.state, "0"), prompt(story.state, "0")):
        strict(message)
    rows = detail(story.state, "0")["variables"][0]["rows"]
    assert rows[0][1:] == ["nan", str(2**60)], "numbers that a kernel sends are shown with all digits"
    for shown in (
        static_html(story.state),
        text_tree.tree(story.state),
        text_tree.show_agent(story.state, "0"),
    ):
        assert "odd?" in shown or "0 done" in shown
    text_tree.cost_table(story.state)
    saved_page(story.state)
    with LogWriter(tmp_path / "run.jsonl") as log:
        for event in story.events:
            log.write(event)
    again = load(tmp_path / "run.jsonl").tree
    strict(Patcher(again).snapshot())
    text_tree.tree(again)


@pytest.mark.parametrize(
    "number", [math.nan, math.inf, -math.inf, 10**40, pytest.param(10**5000, id="digits")]
)
def test_amounts_that_cannot_be_are_shown_as_not_known(number):
    for shown in (units.money, units.count, units.duration, units.size):
        assert shown(number) == "?"
    assert units.amount(number, "agent") == "? agents"


def test_text_of_numbers_has_all_digits_and_an_end():
    assert one_line(2**53 + 1) == ID
    assert clean(math.nan) == "nan"
    assert clean(-math.inf) == "-inf"
    assert clean(True) == "True"
    assert one_line(10**5000) == "<int of about 5,000 digits>"
