"""`cite`: passages of the data as values, compared with the data by the engine, and shown where they stand."""

import os

import numpy as np
import pandas as pd
import pytest
from run_parts import asking
from scripts import by_question

from rlm_jupyter import RLM, Span
from rlm_jupyter.values.codec import api as codec
from rlm_jupyter.values.codec.spans import has_spans
from rlm_jupyter.views.answer_card import answer_card
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.text_tree import tree as text_tree

TEXT = "".join(
    f"line {n}: {'the pump leaks <b>badly</b>' if n in (3, 40) else 'nothing'}\n" for n in range(1, 61)
)


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:
        yield start


def test_a_cited_passage_is_a_text_that_knows_where_it_stands(ask):
    code = "import re\nm = re.search('the pump[^\\n]*', context)\nFINAL({'why': cite(context, m.start(), m.end()), 'n': 1})"
    run = ask({"root": [code]}, context=TEXT)
    span = run.raise_for_error().value["why"]
    assert isinstance(span, Span)
    assert span == "the pump leaks <b>badly</b>"
    assert TEXT[span.start : span.end] == span
    assert (span.source, span.place.first_line, span.place.last_line) == ("context", 3, 3)
    assert span.place.before.endswith("line 3: ")
    assert span.place.after.startswith("\nline 4")


def test_it_is_shown_as_what_opens_the_passage_and_nothing_of_it_becomes_markup(ask):
    run = ask({"root": ["FINAL([cite(context, 'the pump leaks <b>badly</b>'), 'plain'])"]}, context=TEXT)
    part = answer_card(run.tree)["value"]["parts"][0]
    assert part["passage"]["place"] == "context, line 3"
    assert part["passage"]["before"].endswith("line 2: nothing\nline 3: ")
    html = static_html(run.tree)
    assert "<summary>“the pump leaks &lt;b&gt;badly&lt;/b&gt;” <u>context, line 3</u></summary>" in html
    assert "<mark>the pump leaks &lt;b&gt;badly&lt;/b&gt;</mark>" in html
    assert "“the pump leaks <b>badly</b>” [context, line 3]" in text_tree(run.tree)


CLAIMS = [
    "type(s)('invented words', 'context', None, 5)",
    "type(s)(str(s), 'context', None, s.start + 1)",
    "type(s)(str(s), 'elsewhere', None, s.start)",
    "type(s)(str(s), 'context', 'a.txt', s.start)",
    "type(s)(str(s) + '!', 'context', None, s.start)",
    "type(s)(str(s), 'context', None, 10 ** 12)",
]


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_passage_that_does_not_stand_there_is_sent_back_or_found_where_it_stands(ask, claim):
    made = f"s = cite(context, 'the pump leaks')\nFINAL([{claim}])"
    run = ask({"root": [made, "FINAL('gave up')"]}, context=TEXT)
    value = run.raise_for_error().value
    if value == "gave up":
        rejected = [event.reason for event in run.events if event.kind == "value_rejected"]
        assert "does not stand" in rejected[0]
    else:  # the words are in the data, at another place
        (span,) = value
        assert TEXT[span.start : span.end] == span
        assert (span.variable, span.part, span.place.first_line) == ("context", None, 3)


def test_what_forges_an_encoded_span_is_never_shown_as_cited(ask):
    """Code that goes around `cite` and the guest's own check, as code that wants to deceive would."""
    code = (
        "import sys\napi = sys.modules['_rlm.guest.agent_api']\napi.has_spans = lambda fd: False\n"
        "s = cite(context, 'the pump leaks')\nFINAL([type(s)('invented', 'context', None, 5)])"
    )
    run = ask({"root": [code]}, context=TEXT, limits={"calls": 2})
    assert run.status == "limit"
    assert run.value == ["invented"]
    assert type(run.value[0]) is str
    assert "invented" not in [
        part.get("passage", {}).get("quote") for part in answer_card(run.tree)["value"]["parts"]
    ]


def test_passages_of_a_dict_or_list_of_texts_name_the_text(ask):
    code = "docs = cite(context['b.txt'], 'leaks badly')\nFINAL({'docs': [docs], 'again': {'x': (docs, cite(context['a.txt'], 0, 3))}})"
    run = ask({"root": [code]}, context={"a.txt": "one two", "b.txt": "the pump\nleaks badly"})
    value = run.raise_for_error().value
    assert [value["docs"][0].source, value["again"]["x"][1].source] == [
        "context['b.txt']",
        "context['a.txt']",
    ]
    assert value["docs"][0].place.first_line == 2
    run = ask({"root": ["FINAL(cite(context[1], 1, 3))"]}, context=["abc", "defg"])
    assert (run.value, run.value.source) == ("ef", "context[1]")


def test_parts_that_were_cut_out_are_cited_where_they_stand_in_the_whole(ask):
    run = ask({"root": ["part = context[500:]\nFINAL(cite(part, 'the pump'))"]}, context=TEXT)
    assert run.value.place.first_line == 40


def test_passages_of_sub_agents_are_those_of_the_whole_data(ask):
    root = "found = rlm_query_batched(['part'] * 2, contexts=[context[:500], context[500:]])\nFINAL(found)"
    run = ask({"root": [root], "part": ["FINAL({'p': cite(context, 'the pump leaks')})"]}, context=TEXT)
    value = run.raise_for_error().value
    assert [one["p"].place.first_line for one in value] == [3, 40]
    assert all(TEXT[one["p"].start : one["p"].end] == "the pump leaks" for one in value)


def test_a_schema_takes_a_passage_for_a_text(ask):
    schema = {"type": "object", "properties": {"why": {"type": "array", "items": {"type": "string"}}}}
    run = ask({"root": ["FINAL({'why': [cite(context, 'the pump')]})"]}, context=TEXT, schema=schema)
    assert run.value["why"][0].place.first_line == 3


def test_a_text_file_that_agents_read_is_cited_too(ask, tmp_path):
    path = tmp_path / "report.txt"
    path.write_text(TEXT)
    run = ask({"root": ["FINAL(cite(text, 'the pump'))"]}, context=path)
    assert (run.value.source, run.value.place.first_line) == ("text", 3)


def test_no_file_is_opened_that_an_agent_names(ask, tmp_path):
    """A sub-agent whose data is a path of its parent's choice, and who claims to have read it."""
    path = tmp_path / "secret.txt"
    path.write_text("the key is 4711, and more")
    parent = f"import pathlib\nfound = rlm_query('part', context=pathlib.Path({str(path)!r}))\nFINAL(found)"
    span = "sys.modules['_rlm.values.codec.spans'].Span"
    claim = f"import sys\nprint(context)\nFINAL([{span}('the key is 4711', 'text', None, 0)])"
    run = ask({"root": [parent], "part": [claim, "print(context)\nFINAL(['gave up'])"]}, context=TEXT)
    assert run.value == ["gave up"]
    rejected = [event.reason for event in run.events if event.kind == "value_rejected"]
    assert "does not stand" in rejected[0]
    assert "and more" not in str([event.model_dump() for event in run.events if event.agent == "0.1"])


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("cite('not in the data at all', 0, 5)", "ValueError"),
        ("cite(context, 5, 5)", "ValueError"),
        ("cite(context, 'absent words')", "ValueError"),
        ("cite(context, 1.5, 2)", "TypeError"),
        ("cite({}, 0, 1)", "TypeError"),
        ("cite(context, 10 ** 9, 10 ** 9 + 5)", "ValueError"),
    ],
)
def test_what_cannot_be_cited_is_an_error_of_the_code(ask, call, error):
    run = ask({"root": [f"try:\n    {call}\nexcept {error} as e:\n    FINAL(str(e))"]}, context=TEXT)
    assert run.raise_for_error().value


def test_a_span_of_a_run_is_data_of_the_next_one_and_a_claim_again(ask):
    span = ask({"root": ["FINAL(cite(context, 'the pump'))"]}, context=TEXT).value
    again = ask({"root": ["FINAL([type(context[0]).__name__, len(context[0])])"]}, context=[span, 1]).value
    assert again == ["Span", 8]
    fd, kind = codec.dump([span], allow_pickle=False)
    assert kind == "safe"
    assert codec.load(fd, allow_pickle=False)[0].place is None


def test_a_variable_of_that_name_stays_the_agents_own(ask):
    run = ask({"root": ["cite = 5", "FINAL(cite)"]}, context=pd.DataFrame({"a": [1]}))
    assert run.value == 5


def test_agents_are_told_of_it_where_the_question_asks_for_passages(ask):
    def told(question, context):
        run = ask({question: ["FINAL(1)"]}, question, context=context)
        return "cite(" in run.messages()[1]["content"]

    assert told("Cite the passages that say so.", TEXT)
    assert told("What is wrong? Quote it.", {"a.txt": TEXT})
    assert not told("What is wrong?", TEXT)
    assert not told("Quote the highest price.", pd.DataFrame({"price": [1]}))
    assert not told("What is the recitation about?", TEXT)


def test_the_code_behind_an_answer_that_cites_runs_without_this_package(ask):
    code = "at = context.index('the pump')\nfound = {'p': [cite(context, at, at + 8)]}"
    run = ask({"root": [code, "FINAL({**found, 'q': cite(context, 'leaks')})"]}, context=TEXT)
    behind = run.code()
    assert (behind.verdict, "rlm_jupyter" in behind.source) == ("reproduced", False)


def test_in_a_table_passages_are_ordinary_texts(ask):
    code = "import pandas as pd\nFINAL(pd.DataFrame({'why': [cite(context, 'the pump'), 'x']}))"
    assert ask({"root": [code]}, context=TEXT).raise_for_error().value["why"].tolist() == ["the pump", "x"]


def test_passages_of_a_resumed_run_are_found_again(ask, tmp_path):
    first = ask({"root": ["FINAL([cite(context, 'the pump')])"]}, context=TEXT)
    first.close()
    model = by_question({"root": ["FINAL(0)"]})
    with RLM(model=model, log_dir=tmp_path / "logs", cache=False).resume(first.log_path) as again:
        assert again.wait(100).value[0].place.first_line == 3


def test_whether_a_value_cites_is_learnt_of_its_structure_alone(tmp_path):
    values = [{"a": np.zeros(4_000_000), "b": Span("x")}, {"a": np.zeros(4_000_000), "b": "x"}, [["span"]]]
    made = [codec.dump(value, allow_pickle=False)[0] for value in values]
    # A text of that name may be the mark of one; it is then looked at more closely.
    assert [has_spans(fd) for fd in made] == [True, False, True]
    with (tmp_path / "cut").open("w+b") as cut:
        cut.write(b"RLMVALUE")
        cut.flush()
        assert not has_spans(cut.fileno())
    for fd in made:
        os.close(fd)
