"""Spans and searches of texts: every line is found, every answer has a bound, whatever the text and the pattern are."""

import random

import pytest

from rlm_jupyter.engine.typed_answers.bounded_patterns import Pattern
from rlm_jupyter.mcp_server.line_index import LineIndex
from rlm_jupyter.mcp_server.opened_file import OpenedFile
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.mcp_server.request_time import RequestTime
from rlm_jupyter.mcp_server.shared_roots import SharedRoots
from rlm_jupyter.mcp_server.text_reading import MOST_BYTES, MOST_FOUND, MOST_LINES, read_span, search


def opened(tmp_path, content) -> OpenedFile:
    (tmp_path / "shared").mkdir(exist_ok=True)
    path = tmp_path / "shared" / "text.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return SharedRoots([tmp_path / "shared"]).open("text.txt")


@pytest.fixture
def lines_of(tmp_path):
    return lambda content: opened(tmp_path, content).lines()


def span(index, start=1, lines=MOST_LINES, offset=0):
    return read_span("src", index, start, lines, offset, RequestTime(60))


def found(index, pattern, **options):
    return search("src", index, pattern, **{"literal": False, "start": 1, "time": RequestTime(60), **options})


def test_any_lines_of_a_text_with_their_numbers(lines_of):
    text = "".join(f"line {number}\n" for number in range(1, 50_001))
    index = lines_of(text)
    for start in (1, 2, 511, 512, 513, 1024, 1025, 49_999, 50_000):
        got = span(index, start, 3)
        numbers = range(start, min(start + 3, 50_001))
        assert got["text"] == "\n".join(f"line {number}" for number in numbers)
        assert got["span"] == f"src:lines {start}-{numbers[-1]}"
        assert got["next"] == (None if numbers[-1] == 50_000 else {"start": numbers[-1] + 1, "offset": 0})
    assert index.count == 50_000


def test_a_whole_text_read_span_by_span_is_the_text(lines_of):
    dice = random.Random(5)
    for ends in ("", "\n", "\r\n"):
        parts = [
            dice.choice(["", "a", "ü€" * 30, "x" * dice.randrange(20_000), "𝄞" * 3000]) for _ in range(300)
        ]
        text = "\n".join(parts) + ends
        index, got, at = lines_of(text), "", {"start": 1, "offset": 0}
        while at is not None:
            one = span(index, at["start"], 200, at["offset"])
            assert len(one["text"].encode()) <= MOST_BYTES
            assert one["last_line"] - one["first_line"] < MOST_LINES
            following = one["next"]
            got += one["text"] + ("\n" if following is None or following["offset"] == 0 else "")
            at = following
        assert got.rstrip("\n") == text.rstrip("\n").removesuffix("\r") + ("\r" if ends == "\r\n" else "")


def test_huge_spans_and_huge_lines_are_cut_to_what_an_answer_holds(lines_of):
    index = lines_of("short\n" * 5000 + "x" * 3_000_000 + "\nlast")
    many = span(index, 1, 10**9)
    assert (many["first_line"], many["last_line"], many["next"]) == (1, 200, {"start": 201, "offset": 0})
    huge = span(index, 5001, 1)
    assert huge["text"] == "x" * MOST_BYTES
    assert huge["next"] == {"start": 5001, "offset": MOST_BYTES}
    assert span(index, 5001, 1, 2_999_999)["text"] == "x"
    assert span(index, 5002, 1)["text"] == "last"
    for start, offset in ((5001, 3_000_001), (5001, 10**15), (1, 6), (5002, 4)):
        with pytest.raises(RequestRefusedError, match="bytes"):
            span(index, start, 1, offset)


@pytest.mark.parametrize(
    ("start", "lines", "offset"), [(0, 1, 0), (-5, 1, 0), (1, 0, 0), (1, 1, -1), (10**30, 1, 0)]
)
def test_numbers_that_are_none_of_lines(lines_of, start, lines, offset):
    with pytest.raises(RequestRefusedError):
        span(lines_of("a\n"), start, lines, offset)


def test_a_line_that_is_not_there_and_an_empty_text(lines_of):
    with pytest.raises(RequestRefusedError, match="2 lines"):
        span(lines_of("a\nb"), 3)
    with pytest.raises(RequestRefusedError, match="0 lines"):
        span(lines_of(""), 1)
    assert found(lines_of(""), "a")["matches"] == []


def test_bytes_that_are_no_text_take_no_more_room_than_an_answer_has(lines_of):
    index = lines_of("a" * 300_000 + "\n" + "b\n")
    broken = LineIndex(lambda length, start: (b"\xff" * 100_000)[start : start + length], 100_000, "utf-8")
    assert len(span(broken)["text"].encode()) <= MOST_BYTES + 16
    assert span(index, 2)["text"] == "b"


def test_binary_files_have_no_lines(tmp_path):
    for content in (
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50,
        b"PK\x03\x04" + b"\0" * 100,
        b"text\0text\n" * 100,
    ):
        with pytest.raises(RequestRefusedError, match="not a text"):
            opened(tmp_path, content).lines()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig", "cp1252"])
def test_other_encodings_are_read_by_lines_too(tmp_path, encoding):
    text = "first line of some length\nzweite Zeile für jeden\nthird line\n"
    file = opened(tmp_path, text.encode(encoding))
    index = file.lines()
    assert span(index, 2, 1)["text"] == "zweite Zeile für jeden"
    assert [match["line"] for match in found(index, "für j")["matches"]] == [2]


# ---- searches


def test_lines_in_which_a_pattern_is_found(lines_of):
    index = lines_of(
        "".join(f"order {n}: {'refund' if n % 100 == 7 else 'sale'} of {n * 3}\n" for n in range(1, 1001))
    )
    got = found(index, r"refund of 3?21$")
    assert [match["line"] for match in got["matches"]] == [7, 107]
    assert got["complete"]
    assert got["searched"] == "lines 1-1000"
    assert found(index, "refund")["matches"][1] == {
        "span": "src:lines 107-107",
        "line": 107,
        "text": "order 107: refund of 321",
    }
    assert [match["line"] for match in found(index, "(?i)REFUND", start=900)["matches"]] == [907]
    assert found(index, ".*", literal=True)["matches"] == []


def test_a_search_with_many_matches_goes_on_where_it_stopped(lines_of):
    index = lines_of("hit\n" * 120)
    seen, start = [], 1
    while start is not None:
        got = found(index, "hit", start=start)
        assert len(got["matches"]) <= MOST_FOUND
        seen += [match["line"] for match in got["matches"]]
        start = got["next_start"]
    assert seen == list(range(1, 121))


def test_a_match_in_a_huge_line_is_found_and_shown_with_little_around_it(lines_of):
    index = lines_of("x" * 1_500_000 + "NEEDLE" + "y" * 1_500_000 + "\nnext NEEDLE\n")
    for options in ({"pattern": "NEEDLE", "literal": True}, {"pattern": "NEED(LE|LY)"}):
        got = found(index, **options)
        assert [match["line"] for match in got["matches"]] == [1, 2]
        assert "NEEDLE" in got["matches"][0]["text"]
        assert len(got["matches"][0]["text"]) < 300


ANCHORED = [
    r"^\w+ 7$",
    r"\A7",
    r"7\z",
    r"^7",
    r"7$",
    r"(?i)LINE 7$",
    r"^$",
    r"\s7\b",
    r"[^x]$",
    r"^.{6}$",
    r"7\b.*",
]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("pattern", ANCHORED)
def test_lines_found_among_many_are_those_found_one_by_one(lines_of, pattern, ends):
    lines = [f"line {n}" if n % 3 else ("7" if n % 2 else "") for n in range(1, 40)] + ["x" * 2000] * 1500
    index = lines_of(ends.join(lines) + ends)
    one_by_one = [n for n, line in enumerate(lines, 1) if lines_of_one(line, pattern)]
    seen, start = [], 1
    while start is not None:
        got = found(index, pattern, start=start)
        seen += [match["line"] for match in got["matches"]]
        start = got["next_start"]
    assert seen == one_by_one


def lines_of_one(line, pattern):
    return Pattern(pattern, trusted=False).found_in(line)


EXPLODING = [
    r"^(a+)+$",
    r"(a|a)*b",
    r"(a|aa)+$",
    r"(.*)*x",
    r"(x+x+)+y",
    r"a{1000}{1000}",
    r"((a?){100}){100}",
    r"(?:(?:(?:a{50}){50}){50})",
    r"(a*)*\1",
    r"(?=(a+))a*b",
    "(" * 400 + "a" + ")" * 400,
    r"\p{L}{900}",
    "[" * 500,
    "a" * 1001,
    "",
    "a\nb",
    "(unclosed",
    "*",
]


@pytest.mark.parametrize("pattern", EXPLODING)
def test_patterns_that_explode_are_matched_in_linear_time_or_refused(lines_of, pattern):
    index = lines_of("a" * 60_000 + "!\n" + "a" * 50 + "!\n")
    try:
        matches = found(index, pattern)["matches"]
    except RequestRefusedError:
        matches = []
    assert len(matches) <= 2


def test_work_stops_when_its_time_is_over_and_goes_on_with_the_next_request(lines_of):
    index = lines_of("line\n" * 400_000)
    with pytest.raises(RequestRefusedError, match="not reached"):
        read_span("src", index, 400_000, 1, 0, RequestTime(-1))
    assert span(index, 1)["text"].startswith("line")
    late = found(index, "zzz", time=RequestTime(-1))
    assert late["complete"] is False
    assert late["next_start"] > 1
    assert span(index, 400_000)["text"] == "line"
