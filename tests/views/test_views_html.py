"""The static tree: complete, of bounded size, and nothing in a text becomes markup."""

import json
import re

import pytest
from hostile_text import PAYLOADS
from html_outline import Outline
from run_story import FRAME, Story, calls_of_all_kinds, example

from rlm_jupyter.events import events as ev
from rlm_jupyter.views.static_html import MAX_BYTES, static_html

TAGS = {
    "b",
    "blockquote",
    "div",
    "style",
    "strong",
    "span",
    "details",
    "summary",
    "code",
    "pre",
    "table",
    "tr",
    "th",
    "td",
}


def told(payload):
    """A run that says `payload` wherever a text of others can stand."""
    column = {"name": payload, "dtype": payload, "nulls": 1}
    value = {
        "type": payload,
        "summary": payload,
        "preview": payload,
        "columns": [column],
        "rows": [[payload]],
    }
    story = Story(payload, run=payload, model=payload, provenance=payload, context={"summary": payload})
    story.agent("0", payload, name=payload)
    story.turn("0", payload, payload, payload)
    story.cell("0", payload, payload, status="error", error=f"E {payload}")
    story.prompt("0", payload, purpose="llm_query")
    story.reply("0", payload)
    story.variables("0", **{payload[:100]: value})
    story.tell(ev.Notice, text=payload)
    story.tell(ev.Notice, "0", text=payload)
    story.end_agent("0", "failed", value=value, error=payload)
    story.end("failed", value=value, error=payload, error_type=payload)
    return story.state


def shape(markup):
    """The elements and attributes, but for the run's id, which is the one attribute from outside."""
    found = Outline(markup)
    assert not found.other
    return [
        (tag, tuple((name, value if name != "data-run" else "…") for name, value in attrs))
        for tag, attrs in found.elements
    ]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_makes_no_element_no_attribute_and_no_control_character(payload):
    markup = static_html(told(payload))
    assert shape(markup) == shape(static_html(told("x" * len(payload) if len(payload) > 200 else "harmless")))
    assert {tag for tag, _ in Outline(markup).elements} <= TAGS
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", markup)
    assert markup.encode()


def test_no_script_link_or_handler_is_ever_in_it():
    markup = static_html(example().state)
    assert not re.search(
        r"<script|<a |<img|<link|<iframe|\son\w+=|href=|src=|javascript:|@import|url\(", markup
    )


def test_it_holds_agents_code_output_spend_value_and_errors_nested_as_the_agents_are():
    found = Outline(static_html(example().state))
    for piece in ("Which supplier explains the rise?", "3 agents", "DataFrame 1,000 x 6", "a = rlm_query('Profile', context)",
                  "context.head()", "3 rows", "$0.002", "KernelDiedError", "counts", "supplier", "North", "I divide."):  # fmt: skip
        assert piece in found.text, piece
    agents = [
        attrs for tag, attrs in found.elements if tag == "details" and ("class", "rlm-s-agent") in attrs
    ]
    assert [("open", None) in attrs for attrs in agents] == [True, False, False], "each has its row in sight"
    nested = re.search(
        r"<details class=\"rlm-s-agent\" open><summary><code>0</code>.*<code>0\.1</code>.*</details></blockquote>",
        static_html(example().state),
        re.DOTALL,
    )
    assert nested


def test_the_widget_can_find_and_hide_it_and_mathjax_leaves_dollars_alone():
    markup = static_html(example().state)
    assert '<div class="rlm-static tex2jax_ignore mathjax_ignore" data-run="7f3a">' in markup
    assert ".jp-OutputArea-child:has(+ .jp-OutputArea-child .rlm-static)" in markup
    outside = re.sub(r"\.rlm-static[^{]*\{", "{", re.search("<style>(.*?)</style>", markup, re.DOTALL)[1])
    assert not re.search(r"(^|\})\s*(\*|body|div|pre|table|details|summary)\s*\{", outside), (
        "a rule reaches beyond the tree"
    )


def big(agents, turns):
    story = Story("Which?")
    story.agent("0")
    for number in range(1, agents):
        story.agent(f"0.{number}", f"question {number} " * 20)
        for turn in range(1, turns + 1):
            story.turn(f"0.{number}", 'say "x" \n' * 300, 'x = "1"\n' * 200, "out\\put\n" * 400, turn=turn)
        story.variables(f"0.{number}", a=FRAME, b=FRAME)
        story.end_agent(f"0.{number}", value=FRAME)
    return story.state


@pytest.mark.parametrize(("agents", "turns"), [(2, 300), (100, 5), (100, 0), (3000, 1)])
def test_it_stays_under_its_size_in_a_notebook_file(agents, turns):
    state = big(agents, turns)
    markup = static_html(state)
    assert len(json.dumps(markup, ensure_ascii=False).encode()) <= MAX_BYTES < 300_000
    found = Outline(markup)
    rows = sum(attrs[:1] == (("class", "rlm-s-agent"),) for _, attrs in found.elements)
    assert rows == min(agents, 400)
    if agents > 400:
        assert f"… {agents - 400:,} more agents · {agents - 400:,} done" in found.text


def test_where_there_is_room_nothing_is_cut_and_where_there_is_none_rows_stay():
    state = big(3, 2)
    assert "left out" not in static_html(state)
    assert "left out" in static_html(state, max_bytes=20_000)
    small = static_html(state, max_bytes=1000)
    assert "too long to be kept here" not in small
    assert small.count('class="rlm-s-agent"') == 3


def test_a_run_without_agents_or_value_and_a_log_of_any_depth():
    assert "running" in Outline(static_html(Story("Q").state)).text
    story = Story()
    for depth in range(3000):
        story.agent("0" + ".1" * depth, depth=depth)
    assert Outline(static_html(story.state)).text.count("1 more agent") == 1


def test_plain_completions_are_listed_with_what_they_were_for_and_whether_they_were_kept():
    story = calls_of_all_kinds()
    seen = Outline(static_html(story.state)).text
    assert "4 calls (1 from the cache)" in seen
    assert "3 plain completions · 1 from the cache" in seen
    assert "done · from the cache · $0a question" in seen
    assert "done · asked again for its schema · $0.001" in seen
    assert "failed · for a sub-agent, at the depth limit" in seen
    assert "no credit" in seen
    assert "Turn 1 · 120 tokens · $0.001 · 1.0 s" in seen
    for _ in range(60):
        story.prompt("0", "more", purpose="llm_query")
        story.reply("0")
    assert "… 23 more" in Outline(static_html(story.state)).text
    assert "63 plain completions" in static_html(story.state, max_bytes=9000)


def test_a_turn_from_the_cache_says_so():
    story = Story()
    story.agent("0")
    story.prompt("0")
    story.reply("0", cost=0.0, cached=True, attempts=0)
    assert "$0 · 1.0 s · from the cache" in Outline(static_html(story.state)).text
