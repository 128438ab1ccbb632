"""Labels that a model gives to texts, and the column of a table that holds sentences."""

import pandas as pd
import pytest

from rlm_jupyter.guest.text_labels import column_of_texts, label_texts


def test_each_different_text_is_asked_about_once_and_the_first_label_in_the_answer_counts():
    asked = []

    def ask(prompts):
        asked.extend(prompts)
        return ["Billing.", "It is praise, not billing", ValueError("failed"), "no idea"]

    texts = ["You charged twice", "Great!", "You charged twice", "Hm", "?"]
    assert label_texts(texts, ["billing", "praise"], ask) == ["billing", "praise", "billing", None, None]
    assert len(asked) == 4
    assert all("billing, praise" in prompt for prompt in asked)


@pytest.mark.parametrize(
    ("texts", "labels", "error"),
    [
        (["a"], ["x"], ValueError),
        (["a"], [], ValueError),
        ("a", ["x", "y"], TypeError),
        (["a"], "xy", TypeError),
    ],
)
def test_labels_that_cannot_be_chosen_from_are_an_error(texts, labels, error):
    with pytest.raises(error):
        label_texts(texts, labels, lambda _: [])


def test_a_column_of_sentences_is_told_from_names_and_codes():
    sentences = [f"The lamp number {n} does not work any more." for n in range(30)]
    assert column_of_texts(pd.DataFrame({"n": range(30), "note": sentences})) == "note"
    assert column_of_texts(pd.DataFrame({"n": ["red", "blue"] * 15})) is None
    assert column_of_texts(pd.DataFrame({"n": ["one of few texts here", "another of the few"] * 15})) is None
    assert column_of_texts(pd.DataFrame({7: sentences})) is None
