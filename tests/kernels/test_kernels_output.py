"""Output and tracebacks, as a model gets them."""

import tracemalloc

import pytest

from rlm_jupyter.kernels.cell_result import Recorder
from rlm_jupyter.kernels.channels.bounded_text import BoundedText
from rlm_jupyter.kernels.channels.tracebacks import clean_traceback


def collected(*texts, head=10, tail=10):
    text = BoundedText(head, tail)
    for part in texts:
        text.append(part)
    return text


@pytest.mark.parametrize("parts", [("abc",), ("a" * 10, "b" * 10), tuple("x" * 20)])
def test_short_output_is_kept_whole(parts):
    text = collected(*parts)
    assert (str(text.text()), text.cut) == ("".join(parts), 0)


@pytest.mark.parametrize("step", [1, 7, 10, 100, 1000])
def test_long_output_keeps_head_and_tail_and_counts_the_rest(step):
    whole = "".join(chr(65 + i % 26) for i in range(1000))
    text = collected(*(whole[i : i + step] for i in range(0, 1000, step)))
    assert text.cut == 980
    assert str(text.text()) == f"{whole[:10]}\n[... 980 characters cut ...]\n{whole[-10:]}"


def test_memory_is_bounded_while_output_arrives():
    text = BoundedText()
    tracemalloc.start()
    for _ in range(2000):
        text.append("y" * 10_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert text.cut > 19_000_000
    assert peak < 1_000_000


def test_characters_cut_at_the_source_are_counted_between_head_and_tail():
    text = collected("head")
    text.skip(5000)
    text.append("tail")
    assert str(text.text()) == "head\n[... 5,000 characters cut ...]\ntail"


@pytest.mark.parametrize(("wait", "then"), [(False, ""), (True, "old")])
def test_clear_output_clears_now_or_when_the_next_text_comes(wait, then):
    text = collected("old")
    text.clear(wait=wait)
    assert str(text.text()) == then
    text.append("new")
    assert str(text.text()) == "new"


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("10%\r50%\r100%\ndone", "100%\ndone"),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        ("bar\r", "bar"),
    ],
)
def test_escapes_and_progress_bars_are_plain_text(raw, plain):
    assert str(collected(raw, head=100).text()) == plain


def test_a_long_line_is_shown_at_once():
    text = collected("z" * 60_000 + "\rend", head=100_000)
    assert str(text.text()) == "end"  # a pattern that looks for line ends took seconds here


def test_tracebacks_keep_only_the_frames_of_cells():
    entries = [
        "\x1b[31m---------------------------------------------------------------------------\x1b[39m",
        "\x1b[31mKeyError\x1b[39m                                  Traceback (most recent call last)",
        "\x1b[36mCell In[3], line 1\x1b[39m\n----> 1 f()",
        "File /home/user/.venv/lib/python3.11/site-packages/pandas/core/frame.py:10, in g(self)\n      9 x\n---> 10 y",
        "File /home/user/.venv/lib/python3.11/site-packages/pandas/core/frame.py:20, in h(self)",
        "\x1b[31mKeyError\x1b[39m: 'a'",
    ]
    text = str(clean_traceback(entries))
    assert "/home" not in text
    assert "\x1b" not in text
    assert text.splitlines()[1:] == [
        "Cell In[3], line 1", "----> 1 f()", "[2 frames of libraries left out]", "KeyError: 'a'",
    ]  # fmt: skip


def test_a_long_traceback_keeps_its_ends():
    text = str(clean_traceback(["Cell In[1]", "x" * 100_000 + "END"]))
    assert text.startswith("Cell In[1]")
    assert text.endswith("END")
    assert len(text) < 13_000


def test_a_failing_receiver_of_output_loses_nothing(caplog):
    def fail(stream, text):
        raise RuntimeError(stream)

    recorder = Recorder(fail)
    recorder.on_message("stream", {"name": "stdout", "text": "kept"})
    recorder.on_message("display_data", {"data": {"text/plain": "shown"}})
    recorder.on_message("display_data", {"data": "forged"})
    assert recorder.result("ok").output == "keptshown\n"
    assert "receiver" in caplog.text
