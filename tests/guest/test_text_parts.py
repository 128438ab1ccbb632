"""Parts of texts with exact offsets: found lines, and chunks that cover a text."""

import itertools
import re

import pytest

from rlm_jupyter.guest.text_parts import chunks, grep

TEXT = "# Title\nFirst line.\n\nSecond paragraph, line one.\nline two refund 12\n\n## Part\nRefund 7\nend"
LONG = "".join(f"line {n} {'x' * (n % 37)}\n" + ("\n" if n % 5 == 0 else "") for n in range(400))


@pytest.mark.parametrize("by", ["lines", "paragraphs", "headings", "characters"])
@pytest.mark.parametrize(
    ("size", "overlap"), [(1, 0), (10, 9), (100, 0), (100, 30), (1000, 999), (10**6, 10)]
)
@pytest.mark.parametrize("text", [TEXT, LONG, "", "x" * 250, "\n" * 50, "é\r\n😀\n" * 20], ids=range(6))
def test_chunks_cover_a_text_with_exact_offsets(text, size, overlap, by):
    parts = chunks(text, size, overlap, by=by)
    assert all(text[start:end] == part and 0 < len(part) <= size for start, end, part in parts)
    assert (
        "".join(
            part[max(0, before - start) :]
            for (start, _, part), before in zip(parts, [0, *(p[1] for p in parts)], strict=False)
        )
        == text
    )
    for (first, before, _), (start, end, _) in itertools.pairwise(parts):
        assert before - overlap <= start <= before < end
        assert start > first


def test_chunks_end_where_they_are_told_to():
    assert all(part.endswith("\n") for _, _, part in chunks(LONG, 500)[:-1])
    assert all(part.endswith("\n\n") for _, _, part in chunks(LONG, 500, by="paragraphs")[:-1])
    sections = chunks(TEXT, by="headings")
    assert [part.splitlines()[0] for _, _, part in sections] == ["# Title", "## Part"]
    assert [len(part) for _, _, part in chunks("x" * 250, 100, by="characters")] == [100, 100, 50]
    first, second = chunks(LONG, 500, 100)[:2]
    assert 0 < first[1] - second[0] <= 100
    assert LONG[second[0] - 1] == "\n"


def test_grep_finds_whole_lines():
    assert [TEXT[start:end] for start, end, _ in grep(TEXT, r"refund \d+", ignore_case=True)] == [
        "line two refund 12",
        "Refund 7",
    ]
    assert [line for _, _, line in grep(TEXT, re.compile("line"), most=2)] == [
        "First line.",
        "Second paragraph, line one.",
    ]
    assert grep("a a a\nb", "a") == [(0, 5, "a a a")]  # a line once
    assert grep("a\n\nb", "^$") == []  # anchors are of the text
    assert grep("x\nlast", "last") == [(2, 6, "last")]
    wide = "y" * 5000 + "needle" + "z" * 5000
    ((start, end, line),) = grep(wide, "needle")
    assert len(line) == 2000
    assert "needle" in wide[start:end] == line


def test_a_line_is_returned_once_where_its_end_is_found_too():
    assert grep("foo bar\nnext", r"\s") == [(0, 7, "foo bar")]
    assert grep("foo\n\nbar", r"o|\n") == [(0, 3, "foo"), (4, 4, "")]
    assert grep("\nfoo", r"\n|f") == [(0, 0, ""), (1, 4, "foo")]


def test_a_compiled_pattern_may_ignore_case_too():
    assert [line for _, _, line in grep(TEXT, re.compile("TITLE"), ignore_case=True)] == ["# Title"]
    assert grep("Ab", re.compile("a.b", re.VERBOSE), ignore_case=True) == []


@pytest.mark.parametrize("size", [1999, 2000, 2001, 3999, 4001, 9000])
def test_lines_around_the_longest_are_found_whole_or_around_the_match(size):
    for at in (0, size // 2, size - 3):
        line = "x" * at + "key" + "x" * (size - at - 3)
        for text in (
            line,
            f"first\n{line}",
            f"{line}\nlast",
            f"first\n{line}\nlast",
            f"{'y' * 5000}\n{line}\n",
        ):
            ((start, end, found),) = grep(text, "key")
            assert text[start:end] == found
            assert found == line if size <= 2000 else "key" in found and len(found) <= 2000


def test_many_matches_in_one_long_line_take_no_scan_of_all_of_it_each():
    text = ("x" * 3000 + "key") * 2000

    class Watched(str):
        __slots__ = ()
        scanned = 0

        def rfind(self, *given):
            Watched.scanned += given[2] - given[1]
            return super().rfind(*given)

    assert len(grep(Watched(text), "key", most=5000)) == 2000
    assert Watched.scanned <= 2 * len(text)


def test_several_texts_are_told_apart_by_their_keys():
    data = {"a.txt": "one\ntwo", "b.txt": "two", "n": 3}
    assert grep(data, "two") == [("a.txt", 4, 7, "two"), ("b.txt", 0, 3, "two")]
    assert [(key, part) for key, _, _, part in chunks(["ab", "cd"], 1)] == [
        (0, "a"),
        (0, "b"),
        (1, "c"),
        (1, "d"),
    ]


@pytest.mark.parametrize(
    "options", [{"size": 0}, {"size": 5, "overlap": 5}, {"overlap": -1}, {"by": "words"}]
)
def test_what_cannot_be_cut_is_refused(options):
    with pytest.raises(ValueError, match=r"`by` is one of|`size` must be"):
        chunks("text", **options)


def test_other_data_is_refused():
    with pytest.raises(TypeError, match="a list or dict of texts"):
        grep(3, "x")
