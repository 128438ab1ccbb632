"""The card of a run's answer: what it has of each kind of value, its bounds, and its forms as HTML and text."""

import io
import json
import re

import pytest
from answer_stories import TEXT, answers, failed, hostile_answers, passage, stopped, story_of, suppliers
from html_outline import Outline
from run_story import FRAME, Story

from rlm_jupyter.events import events as ev
from rlm_jupyter.views import text_tree
from rlm_jupyter.views.answer_card import MAX_CHARS, PICTURE_CHARS, answer_card
from rlm_jupyter.views.markdown_blocks import MAX_BLOCKS, blocks
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.text_card import card_lines, fits
from rlm_jupyter.views.widget_messages import MAX_BYTES, Patcher, json_size

KINDS = list(answers())
HOSTILE = list(hostile_answers())


@pytest.fixture(scope="module")
def values():
    return answers()


@pytest.fixture(scope="module")
def hostile():
    return hostile_answers()


def card(value, **ended):
    return answer_card(story_of(value, **ended).state)


def test_there_is_none_while_the_run_goes_on():
    story = Story()
    story.agent("0")
    assert answer_card(story.state) is None
    assert 'class="rlm-s-card"' not in static_html(story.state)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("integer", {"kind": "number", "text": "9007199254740993", "type": "int"}),
        ("float", {"kind": "number", "text": "0.30000000000000004", "type": "float"}),
        ("unit", {"kind": "number", "text": "31.4", "unit": "%", "type": "dict"}),
        ("truth", {"kind": "plain", "text": "True", "type": "bool"}),
        ("nothing", {"kind": "plain", "text": "None", "type": "NoneType"}),
    ],
)
def test_numbers_keep_their_digits_and_words_are_plain(values, kind, expected):
    made = card(values[kind])
    assert made["value"] == expected
    assert made["whole"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("nan"), "nan"), (float("-inf"), "-inf"), (2**70, str(2**70)), (1e300, "1e+300"), (-0.0, "-0.0")],
)
def test_no_number_is_rounded(value, text):
    made = card([value, {"n": value}])
    assert made["value"]["parts"][0] == {"kind": "number", "text": text, "type": type(value).__name__}
    assert card(value)["value"]["text"] == text


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("12.5 %", "12.5", "%"),
        ("€ 4,200", "€4,200", None),
        ("31 suppliers", "31", "suppliers"),
        ("-3kg", "-3", "kg"),
    ],
)
def test_a_text_that_is_a_number_with_its_unit_is_drawn_as_one(text, number, unit):
    value = card(text)["value"]
    assert (value["kind"], value["text"], value.get("unit")) == ("number", number, unit)


@pytest.mark.parametrize(
    "text", ["2024-03-01", "one 2", "3 of 4 suppliers", "1.2.3.4 is it", "", "5 % of all orders"]
)
def test_another_text_stays_a_text(text):
    assert card(text)["value"]["kind"] == "text"


def test_a_table_has_some_rows_and_columns_and_tells_of_the_others(values):
    whole = card(values["table"])
    assert (whole["whole"], whole["value"]["shape"]) == (True, "6 rows \u00d7 4 columns")
    assert [column["number"] for column in whole["value"]["columns"]] == [False, True, True, False]
    assert whole["value"]["rows"][0] == ["Corvus", "7116", "0.031", "2024-03-01"]
    wide = card(values["wide-table"])
    assert not wide["whole"]
    assert (len(wide["value"]["rows"]), len(wide["value"]["columns"])) == (12, 16)
    assert wide["value"]["more"] == "28 more rows, 6 more columns"


def test_the_index_of_a_grouped_table_is_there(values):
    made = card(values["table"].groupby("supplier")["orders"].sum())["value"]
    assert [(column["name"], column["index"]) for column in made["columns"]] == [
        ("supplier", True),
        ("orders", False),
    ]
    assert made["rows"][0] == ["Corvus", "7116"]


def test_records_with_the_same_keys_are_a_table():
    made = card([{"name": "a", "n": 2**60}, {"name": "b", "n": None}])["value"]
    assert (made["kind"], made["rows"]) == ("table", [["a", str(2**60)], ["b", "None"]])


def test_a_report_has_its_parts_below_each_other(values):
    made = card(values["report"])
    assert [(part["label"], part["kind"]) for part in made["value"]["parts"]] == [
        ("summary", "text"),
        ("share", "number"),
        ("refunds", "picture"),
        ("suppliers", "table"),
    ]
    assert made["value"]["parts"][2]["picture"]["png"]
    assert made["whole"]


def test_a_run_that_was_stopped_has_a_part_and_one_that_failed_has_none():
    part, none = answer_card(stopped().state), answer_card(failed().state)
    assert (part["title"], part["value"]["kind"]) == ("Partial answer", "table")
    assert part["error"] == "RunStoppedError: The run was stopped."
    assert (none["title"], none["value"], none["whole"]) == ("No answer", None, False)
    assert none["error"].startswith("NoAnswerError: Agent `0` gave no answer")


def test_what_it_took_and_how_much_the_model_was_shown():
    made = card(1)
    assert made["facts"] == ["4 agents", "4 calls", "480 tokens", "$0.024", "19.6 s"]
    assert re.fullmatch(
        r"The model was shown \d+ characters of samples and outputs; the data has 48.0 MB \(under 0.001 %\)",
        made["seen"],
    )


def test_without_an_excerpt_the_description_tells():
    story = Story()
    story.agent("0")
    story.end(value=FRAME)
    made = answer_card(story.state)
    assert (made["value"]["kind"], made["value"]["rows"], made["whole"]) == (
        "table",
        [["North", "12"], ["South", "7"]],
        False,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_of_each_kind_there_is_a_static_and_a_text_form(values, kind):
    story = story_of(values[kind])
    outline = Outline(static_html(story.state))
    told = text_tree.tree(story.state)
    for words in {
        "text": ["Corvus, since week 10."],
        "long-text": ["valve-2", "wrong thread", "[the report](https://example.org/report)"],
        "integer": ["9007199254740993"],
        "float": ["0.30000000000000004"],
        "unit": ["31.4 %"],
        "truth": ["True"],
        "nothing": ["None"],
        "dict": ["since", "2024-03-04", "0.664"],
        "nested": ["by product", "valve-2", "54", "9, 10, 11, 12", "wrong thread"],
        "list": ["Heron has fewer orders"],
        "table": ["Kestrel", "1887", "6 rows"],
        "wide-table": ["Kestrel", "40 rows", "28 more rows"],
        "chart": [],
        "report": ["66.4 %", "Kestrel"],
        "passages": ["three valves of Corvus leaked after a week", "context['letters.txt'], line 120"],
    }[kind]:
        assert words in outline.text
        assert words in told
    pictures = [tag for tag, _ in outline.elements if tag == "img"]
    assert len(pictures) == (kind in ("chart", "report"))
    lines = told.splitlines()
    assert lines[2].startswith("Answer")
    assert ("details", ()) in outline.elements, "the agents are folded away"
    assert outline.text.index("Answer") < outline.text.index("How it came about: 4 agents")


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_values_are_bounded_and_stay_text(hostile, kind):
    story = story_of(hostile[kind])
    made = answer_card(story.state)
    assert json_size(made) < MAX_CHARS * 6 + PICTURE_CHARS
    markup = static_html(story.state)
    outline = Outline(markup)
    assert len(markup.encode()) < 300_000
    allowed = {"alt", "class", "data-run", "open", "src", "start", "tabindex", "width"}
    assert {name for _, attributes in outline.elements for name, _ in attributes} <= allowed
    assert not {tag for tag, _ in outline.elements} & {"a", "script", "iframe", "object", "link"}
    for tag, attributes in outline.elements:
        assert tag != "img" or dict(attributes)["src"].startswith("data:image/png;base64,")
    assert outline.other == []
    assert not re.search("[\x00-\x08\x1b\u202e]", text_tree.tree(story.state) + markup)


@pytest.mark.parametrize("kind", [*KINDS, *HOSTILE])
def test_a_message_with_a_card_keeps_its_size(values, hostile, kind):
    story = story_of({**values, **hostile}[kind])
    parts = Patcher(story.state).snapshot()
    assert all(json_size(part) <= MAX_BYTES * 1.5 for part in parts)
    assert parts[0]["run"]["card"]["title"] == "Answer"


def test_pictures_are_made_smaller_until_the_card_fits(values):
    story = story_of([values["chart"]] * 5)
    made = answer_card(story.state, picture_chars=10_000)
    pictures = [part["picture"] for part in made["value"]["parts"]]
    assert len(pictures) == 5
    assert sum(len(picture["png"]) for picture in pictures) <= 10_000
    assert all(picture["width"] < 600 for picture in pictures)
    none = answer_card(story.state, picture_chars=0)
    assert not any("picture" in part for part in none["value"]["parts"])
    assert not none["whole"]


@pytest.mark.parametrize(
    "excerpt",
    [
        {},
        {"kind": "script", "text": "x"},
        {"kind": "table"},
        {
            "kind": "table",
            "columns": [1, None, {"name": {}}],
            "rows": ["x", None, [1, {}, []]],
            "shape": ["a", -1, {}],
        },
        {
            "kind": "record",
            "parts": [None, 1, "x", {"kind": "text"}, {"kind": "number", "text": []}],
            "length": "many",
        },
        {"kind": "list", "parts": [{"kind": "list", "parts": "x"}] * 1000, "length": -5},
        {"kind": "picture", "picture": 99},
        {"kind": "picture", "picture": -1, "text": ["x"]},
        {"kind": "text", "text": 5, "length": float("nan")},
        {"kind": ["text"]},
    ],
)
def test_a_log_may_have_anything_in_its_place(excerpt):
    story = Story()
    story.agent("0")
    story.end(value={"type": "str", "summary": "'North'", "preview": "North"}, excerpt=excerpt)
    made = answer_card(story.state)
    assert json.dumps(made)
    assert static_html(story.state)
    assert text_tree.tree(story.state)


def test_a_secret_in_the_answer_is_in_no_event(monkeypatch):
    from rlm_jupyter import RLM
    from rlm_jupyter.models import ScriptedModel

    monkeypatch.setenv("SOME_API_KEY", "sk-verysecret-0123456789")
    reply = "```repl\nFINAL({'key': 'sk-verysecret-' + '0123456789', 'text': 'fine'})\n```"
    with RLM(model=ScriptedModel([reply]), log_dir=None).run("What?") as run:
        assert run.value["key"] == "sk-verysecret-0123456789"
        made = json.dumps(answer_card(run.tree))
        (end,) = [event for event in run.events if isinstance(event, ev.RunFinished)]
    assert "fine" in made
    assert "sk-verysecret-0123456789" not in made + end.model_dump_json()


def test_a_real_run_has_an_excerpt_of_its_value_and_its_chart(tmp_path):
    from rlm_jupyter import RLM
    from rlm_jupyter.models import ScriptedModel
    from rlm_jupyter.records import load

    code = (
        "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\naxes.plot([1, 2])\n"
        "FINAL({'rows': context.groupby('s').n.sum(), 'chart': figure, 'id': 2**60 + 1})"
    )
    table = suppliers().rename(columns={"supplier": "s", "orders": "n"})
    with RLM(model=ScriptedModel([f"```repl\n{code}\n```"]), log_dir=tmp_path).run(
        "What?", context=table
    ) as run:
        made, log = answer_card(run.tree), run.log_path
    assert [part["kind"] for part in made["value"]["parts"]] == ["table", "picture", "number"]
    assert made["value"]["parts"][2]["text"] == str(2**60 + 1)
    assert made["value"]["parts"][1]["picture"]["png"]
    assert made["whole"]
    assert answer_card(load(log).tree)["value"] == made["value"]


def test_a_value_that_only_an_agents_kernel_can_decode_has_a_card_of_its_description():
    from rlm_jupyter import RLM
    from rlm_jupyter.models import ScriptedModel

    code = "class Odd:\n    def __init__(self):\n        self.name = 'odd'\nFINAL(Odd())"
    with RLM(model=ScriptedModel([f"```repl\n{code}\n```"] * 3), log_dir=None).start("What?") as run:
        run.wait(120)
        made = answer_card(run.tree)
    assert not made["whole"]
    assert "Odd" in json.dumps(made["value"])


# ---- texts


def test_a_text_is_cut_into_its_blocks():
    kinds = [(block["kind"], block["level"], block["number"]) for block in blocks(TEXT, limit=10_000)]
    assert kinds == [
        ("paragraph", 0, None),
        ("heading", 2, None),
        ("item", 0, 1),
        ("item", 0, 2),
        ("item", 1, None),
        ("item", 1, None),
        ("quote", 0, None),
        ("code", 0, None),
        ("paragraph", 0, None),
    ]
    assert blocks("a **b** `c` *d* e", limit=100)[0]["text"] == [
        ("", "a "),
        ("strong", "b"),
        ("", " "),
        ("code", "c"),
        ("", " "),
        ("emphasis", "d"),
        ("", " e"),
    ]


@pytest.mark.parametrize(
    "text", ["2*3*4 = 24", "a * b * c", "[x](http://y) ![z](q)", "<b>x</b>", "&amp;", "snake_case_name"]
)
def test_what_is_no_mark_stays_as_it_is(text):
    assert blocks(text, limit=1000)[0]["text"] == [("", text)]


@pytest.mark.parametrize(
    "text",
    [
        "*" * 50_000,
        "`" * 50_000,
        "**a" * 20_000,
        "- " * 30_000,
        "\n>" * 30_000,
        "#" * 50_000,
        "1. x\n" * 20_000,
    ],
)
def test_any_text_ends_in_bounded_work(text):
    made = blocks(text, limit=20_000)
    assert len(made) <= MAX_BLOCKS + 1
    assert sum(len(words) for block in made for _, words in block["text"]) <= 20_000


def test_a_block_of_code_that_is_not_closed_keeps_its_text():
    assert blocks("```python\nx = 1\n\ny", limit=100)[0]["text"] == [("", "x = 1\n\ny")]


# ---- terminals


def test_a_wide_table_does_not_fit_a_terminal_and_says_so(values):
    made = card(values["wide-table"])
    assert not fits(made)
    lines = card_lines(made)
    assert max(map(len, lines)) <= 130
    assert re.search(r"\d+ columns do not fit here", lines[-1])
    assert fits(card(values["table"]))


def test_rich_draws_the_card_in_a_frame_and_obeys_no_markup():
    from rich.console import Console

    from rlm_jupyter.views.rich_card import rich_card

    table = suppliers().assign(supplier="[red]x[/red]")
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(rich_card(card({"[bold]k": table, "n": 2**60})))
    drawn = console.export_text()
    assert "[red]x[/red]" in drawn
    assert "[bold]k" in drawn
    assert str(2**60) in drawn
    assert drawn.lstrip().startswith("╭─ Answer")


def test_a_long_passage_is_not_whole_in_a_terminal_and_none_of_a_passage_is_set_as_markdown():
    long = card([passage("word " * 100, 3), "x"])
    short = card([passage("some *words*", 3), "x"])
    assert (fits(long), fits(short)) == (False, True)
    assert "- “some *words*” [context['letters.txt'], line 3]" in "\n".join(card_lines(short))


@pytest.mark.parametrize(
    "given", [{"lines": "3"}, {"lines": [1, "x"]}, {"lines": [None, 2]}, {"source": 5, "before": 7}, {}]
)
def test_a_passage_of_a_forged_log_is_checked(given):
    story = story_of("x")
    story.state.excerpt = {"kind": "text", "text": ["x"], "passage": given, "whole": True}
    made = answer_card(story.state)["value"]["passage"]
    assert made == {"place": made["place"], "quote": "", "before": "", "after": ""}
