"""The log: written as it happens, whole after a kill at any byte, private, without secrets, read fast."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_story import FRAME, Story, example

from rlm_jupyter.errors import LogError, RunNotFoundError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.journal import Journal
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.records import load
from rlm_jupyter.records.log import LogWriter
from rlm_jupyter.security.redactor import MARK, Redactor


def write(path, events, **options):
    with LogWriter(path, **options) as writer:
        for event in events:
            writer.write(event)
    return path


def test_a_log_gives_the_same_events_and_tree_again(tmp_path):
    story = example()
    record = load(write(tmp_path / "run.jsonl", story.events))
    assert record.events == story.events
    assert record.tree == story.state
    assert (record.torn, record.unknown, record.damaged) == (False, 0, 0)


def test_each_event_is_a_line_at_once_in_the_fields_of_open_telemetry(tmp_path):
    path = tmp_path / "deep" / "er" / "run.jsonl"
    story = example()
    writer = LogWriter(path)
    assert not path.parent.exists(), "nothing is made before there is something to write"
    for number, event in enumerate(story.events, 1):
        writer.write(event)
        writer.flush().result(20)
        assert path.read_bytes().count(b"\n") == number
    writer.close()
    writer.close()
    writer.write(story.events[0])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == len(story.events)
    (reply, *_) = [line for line in lines if line["kind"] == "reply_finished"]
    assert reply["gen_ai.usage.input_tokens"] == 100
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_half_characters_and_what_is_no_number_do_not_make_a_line_unreadable(tmp_path):
    story = Story("half \ud83d, whole \ud83d\ude00", context={"bytes": float("nan"), "shape": [float("inf")]})
    record = load(write(tmp_path / "run.jsonl", story.events))
    assert record.tree.question == "half \ufffd, whole \U0001f600"
    assert record.tree.context["shape"] == [float("inf")]


def test_passing_events_are_not_written(tmp_path):
    story = Story()
    story.agent("0")
    story.prompt("0")
    story.tell(ev.ReplyDelta, "0", call=1, text="pie")
    story.cell("0", finish=False)
    story.tell(ev.CodeOutput, "0", cell=1, stream="stdout", text="pie")
    assert b"pie" not in write(tmp_path / "run.jsonl", story.events).read_bytes()


def test_a_log_cut_at_any_byte_gives_all_events_before_the_cut(tmp_path):
    story = Story("Wo? \u2028 ü 日本 \U0001f600")
    story.agent("0")
    story.prompt("0", "text\nwith lines\x00")
    story.end("failed", error="e")
    whole = write(tmp_path / "run.jsonl", story.events).read_bytes()
    ends = [number for number, byte in enumerate(whole) if byte == ord("\n")]
    cut = tmp_path / "cut.jsonl"
    for length in range(len(whole) + 1):
        cut.write_bytes(whole[:length])
        complete = sum(end <= length for end in ends)  # a line without its line end is complete too
        if not complete:
            with pytest.raises(LogError, match="is not a log of a run"):
                load(cut)
            continue
        record = load(cut)
        assert record.events == story.events[:complete]
        assert record.tree == TreeState.of(story.events[:complete])
        assert record.torn == (length not in {0, *ends, *(end + 1 for end in ends)})
        assert record.damaged == 0


def test_a_writer_that_is_killed_leaves_all_that_it_had_written(tmp_path):
    path = tmp_path / "run.jsonl"
    code = textwrap.dedent(
        """
        import sys, time
        from rlm_jupyter.events import events as ev
        from rlm_jupyter.records.log import LogWriter
        writer = LogWriter(sys.argv[1])
        base = dict(run="r", agent="", time=0.0)
        writer.write(ev.RunStarted(seq=1, question="q", model="m", sub_model="m", scripted=True, limits={}, context=None, **base))
        for seq in range(2, 502):
            writer.write(ev.Notice(seq=seq, text="n" * 1000, **base))
        writer.flush().result()
        print("written", flush=True)
        seq = 502
        while True:
            writer.write(ev.Notice(seq=seq, text="n" * 1000, **base))
            seq += 1
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    record = load(path)
    assert len(record.events) >= 501
    assert [event.seq for event in record.events] == list(range(1, len(record.events) + 1))
    assert record.damaged == 0


def test_events_of_a_newer_version_are_skipped_and_counted_and_damaged_lines_too(tmp_path):
    story = example()
    path = write(tmp_path / "run.jsonl", story.events)
    lines = path.read_text().splitlines()
    newer = '{"kind": "mind_changed", "run": "7f3a", "agent": "0", "seq": 99, "time": 1.0, "extra": {}}'
    more = json.dumps({**json.loads(lines[0]), "field_of_the_future": 1})
    path.write_text("\n".join([more, newer, lines[1], "garbage", '{"kind": "notice"}', "", *lines[2:], ""]))
    record = load(path)
    assert record.events == story.events
    assert (record.torn, record.unknown, record.damaged) == (False, 1, 2)


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"not json", b"\x00\xff" * 99, b'{"kind": "x"}\n', b"[1]\n", b"null"]
)
def test_what_is_no_log_is_refused_in_words(tmp_path, content):
    path = tmp_path / "other.txt"
    path.write_bytes(content)
    with pytest.raises(LogError, match=r"other.txt` is not a log of a run"):
        load(path)


def test_a_missing_a_newer_and_an_unreadable_log(tmp_path):
    with pytest.raises(RunNotFoundError, match="There is no log at"):
        load(tmp_path / "none.jsonl")
    with pytest.raises(LogError, match="cannot be read"):
        load(tmp_path)
    story = Story(version=ev.SCHEMA_VERSION + 1)
    with pytest.raises(LogError, match=r"written by a newer version .* upgrade"):
        load(write(tmp_path / "new.jsonl", story.events))


def test_a_place_that_cannot_be_written_is_told_once_and_never_raised(tmp_path):
    (tmp_path / "file").write_text("")
    told = []
    writer = LogWriter(tmp_path / "file" / "run.jsonl", on_error=told.append)
    for event in example().events:
        writer.write(event)
        writer.flush().result(20)
    assert len(told) == 1
    assert "run.jsonl` cannot be written (File exists)" in told[0]
    assert "log_dir=" in told[0]
    write(tmp_path / "file" / "x", example().events[:1], on_error=lambda _: 1 / 0)
    write(tmp_path / "file" / "x", example().events[:1])


def test_an_error_that_is_told_as_an_event_does_not_go_in_a_circle(tmp_path):
    story = Story()
    writer = LogWriter(tmp_path, on_error=lambda text: writer.write(story.tell(ev.Notice, text=text)))
    writer.write(story.events[0])
    for _ in range(3):
        writer.flush().result(20)
    assert len(story.state.notices) == 1


def test_a_full_disk_tears_at_most_the_lines_that_found_it_full(tmp_path, monkeypatch):
    """A write that takes a part and then fails, as on a full disk; later there is room again."""
    story = example()
    path, told, real, left = tmp_path / "run.jsonl", [], os.write, [10**9]

    def write_some(fd, data):
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = real(fd, data[: left[0]])
        left[0] -= taken
        return taken

    monkeypatch.setattr("rlm_jupyter.records.log.os.write", write_some)
    writer = LogWriter(path, on_error=told.append)
    for number, event in enumerate(story.events):
        left[0] = {3: 40, 4: 0, 5: 1}.get(number, 10**9)
        writer.write(event)
        writer.flush().result(20)
    writer.close()
    record = load(path)
    assert record.events == [event for number, event in enumerate(story.events) if number not in (3, 4, 5)]
    assert len(told) == 1
    assert not record.torn


def test_a_forked_child_neither_writes_nor_disturbs_the_log(tmp_path):
    story = example()
    path = tmp_path / "run.jsonl"
    writer = LogWriter(path)
    writer.write(story.events[0])
    writer.flush().result(20)
    writer._lock.acquire()  # as another thread may hold it at the moment of the fork
    child = os.fork()
    if not child:
        writer.write(story.events[1])
        writer.close()
        os._exit(0)
    writer._lock.release()
    assert os.waitpid(child, 0)[1] == 0
    for event in story.events[1:]:
        writer.write(event)
    writer.close()
    assert load(path).events == story.events


class SlowDisk:
    """Stands in the place of `os.write` to a disk that takes its time: until `gate` is set."""

    def __init__(self):
        self.gate, self.sizes, self._write = threading.Event(), [], os.write

    def __call__(self, fd, data):
        self.sizes.append(len(data))
        assert self.gate.wait(60)
        return self._write(fd, data)


def test_behind_a_slow_disk_nobody_waits_and_the_log_is_whole_and_in_order(tmp_path, monkeypatch):
    disk, story, told = SlowDisk(), example(), []
    monkeypatch.setattr("rlm_jupyter.records.log.os.write", disk)
    writer = LogWriter(tmp_path / "run.jsonl", on_error=told.append)
    for event in story.events:
        writer.write(event)
    ended = writer.flush()
    writer.close(seconds=0.1)
    assert not ended.done()
    assert len(disk.sizes) <= 1
    disk.gate.set()
    writer.close(20)
    assert load(tmp_path / "run.jsonl").events == story.events
    assert len(disk.sizes) <= 3, "what waited went together"
    assert told == []


def test_what_waits_is_bounded_what_is_lost_is_told_and_the_end_is_written_all_the_same(
    tmp_path, monkeypatch
):
    disk, story, told = SlowDisk(), example(), []
    monkeypatch.setattr("rlm_jupyter.records.log.os.write", disk)
    writer = LogWriter(tmp_path / "run.jsonl", on_error=told.append, most=3)
    for event in story.events:
        writer.write(event)
    assert len(told) == 1
    assert "3 events wait for its disk, which is too slow" in told[0]
    disk.gate.set()
    writer.close(20)
    kept = load(tmp_path / "run.jsonl").events
    assert kept == [event for event in story.events if event in kept]
    assert kept[0] == story.events[0]
    assert kept[-1] == story.events[-1]
    assert len(kept) < len(story.events)


def test_a_hundred_thousand_events_are_read(tmp_path):
    story = Story()
    story.agent("0")
    path = write(tmp_path / "run.jsonl", story.events)
    line = write(tmp_path / "more.jsonl", [story.tell(ev.Notice, "0", text="n" * 200)]).read_bytes()
    with path.open("ab") as file:
        file.write(line * 100_000)
    assert len(load(path).events) == 100_002


SECRETS = [
    "sk-1234567890abcdef",
    'quote"and\\back',
    "pass word&<tag>",
    "schlüssel-日本",
    "line\nbreak-secret",
    "per%cent/slash+plus",
    "it's-a-secret",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_replaced_however_it_is_written(secret):
    import html
    import urllib.parse

    redact = Redactor([secret, "", " ", "abc"])
    forms = [secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret), html.escape(secret),
             urllib.parse.quote(secret), urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret)]  # fmt: skip
    for form in forms:
        shown = redact(f"before {form} abc after")
        assert form.strip("\"'") not in shown
        assert MARK in shown
        assert shown.startswith("before ")
        assert shown.endswith(" abc after"), "what is shorter than six characters is not a secret"
    assert "sk-" not in repr(redact)


def test_the_longer_of_two_secrets_is_replaced_whole():
    assert Redactor(["secret", "secret-longer"])("a secret-longer b secret c") == f"a {MARK} b {MARK} c"
    assert Redactor([])("text") == "text"


@given(st.lists(st.text(), max_size=5), st.text())
def test_redaction_takes_any_secrets_and_any_text(secrets, text):
    shown = Redactor(secrets)(text)
    for secret in map(str.strip, secrets):
        if len(secret) >= 6 and secret not in MARK:
            assert secret not in shown.replace(MARK, "\x00")


def test_no_secret_reaches_the_log_and_it_can_still_be_read(tmp_path):
    story = Story(f"use {SECRETS[0]}", context={"summary": SECRETS[1], "rows": [[SECRETS[2]]]})
    story.agent("0", SECRETS[3], name="messages")
    story.turn("0", f"I know {SECRETS[0]}", f"key = {SECRETS[1]!r}", json.dumps({"k": SECRETS[1]}))
    story.variables("0", **{SECRETS[0]: {**FRAME, "preview": SECRETS[2]}})
    story.end("stopped", error=SECRETS[4])
    words = ["messages", "stopped", "run_started", "gen_ai.usage.input_tokens", "7f3a-run"]
    journal = Journal("7f3a-run", Redactor([*SECRETS, *words]))
    with LogWriter(tmp_path / "run.jsonl") as writer:
        journal.subscribe(writer.write)
        for event in story.events:
            own = type(event).model_fields.keys() - ev.Event.model_fields.keys()
            journal.emit(type(event), event.agent, **{name: getattr(event, name) for name in own - {"kind"}})
    path = writer.path
    raw = path.read_text()
    record = load(path)
    assert len(record.events) == len(story.events)
    for secret in SECRETS:
        for form in (secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret)[1:-1])[1:-1]):
            assert form not in raw
    assert record.tree.status == "stopped"
    assert record.tree.agents["0"].name == MARK
