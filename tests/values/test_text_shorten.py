"""Texts made shorter, and sizes: one wording here and in kernels."""

import pytest

from rlm_jupyter.text import shorten, units
from rlm_jupyter.values.describe import short_text


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 99])
def test_a_cut_in_the_middle_keeps_both_ends_and_counts_the_rest(limit):
    text = "".join(chr(33 + n % 90) for n in range(100))
    cut = shorten.cut_middle(text, limit)
    assert len(cut.head) + len(cut.tail) == limit
    assert cut.cut == 100 - limit
    assert text.startswith(cut.head)
    assert text.endswith(cut.tail)
    assert str(cut) == f"{cut.head}\n[... {100 - limit} characters cut ...]\n{cut.tail}"


def test_what_was_cut_before_counts_too_and_a_short_text_stays_whole():
    assert shorten.cut_middle("abcdef", 4, already=1000) == shorten.CutText("ab", 1002, "ef")
    assert str(shorten.CutText("ab", 1002, "ef")) == "ab\n[... 1,002 characters cut ...]\nef"
    assert shorten.cut_middle("abcd", 4, already=1000) == shorten.CutText("abcd")
    assert str(shorten.CutText("abcd")) == "abcd"


def test_a_cut_at_the_end_shows_an_ellipsis_within_the_width():
    assert [shorten.cut_end("abcd", width) for width in (5, 4, 3, 1)] == ["abcd", "abcd", "ab…", "…"]


def test_kernels_use_the_same_words_and_sizes():
    for count in (0, 1, 999, 1000, 123_456):
        assert short_text.cut_notice(count) == shorten.cut_notice(count)
    for power in range(16):
        for number in (10**power, 10**power - 1, 10**power + 1, 5 * 10**power, 99995 * 10**power // 100):
            assert short_text.size(number) == units.size(number)
    for width in range(1, 6):
        assert short_text.cut("abcd", width) == shorten.cut_end("abcd", width)
