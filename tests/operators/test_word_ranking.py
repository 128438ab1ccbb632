"""The ranking by words of `rlm.search`: rarer words count for more, long texts for less, endings for nothing."""

import pytest

from rlm_jupyter.engine.operators.word_ranking import rank, words_of


def order(texts, query):
    return [place for place, _ in rank(texts, words_of(query))]


def test_rare_words_and_short_texts_come_first():
    texts = ["the parcel", "the late parcel", "the late " + "parcel and box " * 30, "the box", "late late"]
    assert order(texts, "the late")[0] == 1
    assert set(order(texts, "late")) == {1, 2, 4}
    assert order(texts, "late")[-1] == 2


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("deliveries were delayed", "delivery delays"),
        ("LATE Delivery!", "delivery"),
        ("die Lieferung kam spät", "SPÄT"),
        ("配送が遅れました", "遅れ"),
        ("order_4711", "4711"),
    ],
)
def test_words_are_found_in_other_forms(text, query):
    assert order(["another thing", text], query) == [1]


def test_nothing_is_found_where_no_word_is_shared():
    assert order(["a b", "", "c"], "zebra") == []
    assert order([], "zebra") == []
    assert order(["a"], "") == []
