"""What the views say of samples: the card in the widget's messages, the static tree and the text tree."""

import pytest
from answer_stories import sampled, story_of

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.agreement import Agreement
from rlm_jupyter.events.tree_levels import reduced
from rlm_jupyter.records.export import to_script
from rlm_jupyter.views import replay_caption, text_tree
from rlm_jupyter.views.answer_card import answer_card
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.tui.event_caption import caption

TWO_OF_THREE = sampled(8).state.agreement


@pytest.fixture
def story():
    return lambda **fields: sampled(8, **fields)


def test_a_card_without_samples_says_nothing_of_them():
    state = story_of(8).state
    assert answer_card(state)["agreement"] is None
    assert "agree" not in text_tree.tree(state)
    assert 'rlm-s-agreement"' not in static_html(state)


def test_the_card_says_how_many_agree_and_shows_the_difference_as_a_table(story):
    agreement = answer_card(story().state)["agreement"]
    assert (agreement["text"], agreement["state"]) == ("2 of 3 agree", "some")
    assert agreement["table"]["rows"] == [["supplier Acme · refund", "8.0", "<i>5.0</i>"]]
    assert [column["name"] for column in agreement["table"]["columns"]] == [
        "where",
        "samples 1, 3",
        "sample 2",
    ]


def test_the_static_tree_and_the_text_tree_have_the_same_and_nothing_becomes_markup(story):
    state = story().state
    html, text = static_html(state), text_tree.tree(state)
    assert "2 of 3 agree" in html
    assert "&lt;i&gt;5.0&lt;/i&gt;" in html
    assert "<b>Acme" not in html
    assert "Samples: 2 of 3 agree" in text
    assert "Verified: the sum of <b>Acme</b> is 8 (its check gave 8)" in text
    assert "supplier Acme · refund  8.0" in text


@pytest.mark.parametrize(
    ("fields", "text", "state"),
    [
        ({"agreeing": 3}, "3 of 3 agree", "all"),
        ({"agreeing": 2, "ran": 2, "answered": 2}, "2 of 2 agree (1 more could not change that)", "all"),
        ({"agreeing": 1}, "No two of 3 agree", "none"),
        ({"agreeing": 2, "answered": 2}, "2 of 3 agree; 1 gave no answer", "some"),
        ({"agreeing": 0, "own": True}, "0 of 3 agree with the answer that the verification found", "none"),
    ],
)
def test_how_many_agree_in_words(story, fields, text, state):
    agreement = answer_card(story(**fields).state)["agreement"]
    assert (agreement["text"], agreement["state"]) == (text, state)
    assert Agreement({**TWO_OF_THREE, **fields}).text == text


def test_what_a_made_up_log_says_is_bounded_and_checked(story):
    hostile = {"columns": ["x" * 9999] * 99, "rows": [["\u202ey" * 9999]] * 999, "more": -3, "agreeing": -1}
    agreement = answer_card(story(**hostile).state)["agreement"]
    assert len(str(agreement)) < 40_000
    assert "\u202e" not in str(agreement)
    assert answer_card(story(columns=None, rows=3, why=None).state)["agreement"]["table"] is None


def test_a_redacted_tree_has_the_count_and_no_answers(story):
    for level in ("redacted", "structure"):
        kept = reduced(story().state, level)
        assert answer_card(kept)["agreement"]["text"] == "2 of 3 agree"
        assert "Acme" not in str(kept.agreement)


def test_notebooks_and_scripts_of_a_run_say_how_many_agree(story):
    assert "Samples: 2 of 3 agree" in to_script(story().state)


def test_an_agreement_is_a_number_with_a_table():
    agreement = Agreement(TWO_OF_THREE)
    assert agreement == pytest.approx(2 / 3)
    assert agreement.agreeing == 2
    assert list(agreement.frame().columns) == ["where", "samples 1, 3", "sample 2"]
    assert repr(agreement) == "0.667 (2 of 3 agree)"
    with pytest.raises(AttributeError):
        agreement.nothing  # noqa: B018


def test_the_replay_and_the_viewer_tell_of_the_comparison(story):
    event = ev.SamplesCompared(run="r", agent="0", seq=9, time=1.0, **TWO_OF_THREE)
    assert caption(event) == "0 compares its samples: 2 of 3 agree"
    assert replay_caption.caption(story().state, event) == "The samples are compared: 2 of 3 agree."
