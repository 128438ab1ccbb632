"""Where `ask_user` asks: a terminal, a notebook without a person, the command with and without a terminal."""

import contextlib
import os
import pty
import select
import sys
import time
from types import SimpleNamespace

import nbformat
import pytest
from magics_parts import terminal_shell
from nbclient import NotebookClient
from openai_server import OpenAIServer
from run_parts import asking, until
from scripts import cell

from rlm_jupyter import RLM, answering, cli
from rlm_jupyter.magics.user_present import who_answers
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.rlm import last_run
from rlm_jupyter.user_questions import audience
from rlm_jupyter.user_questions.pending import pending_questions
from rlm_jupyter.views.widget_messages import run_fields

CENTS = "FINAL(ask_user('Is revenue in \\x1b[31mcents?', options=['cents', 'euros'], default='cents'))"
PROGRAM = f"""
import sys
from rlm_jupyter import RLM
from rlm_jupyter.models import ScriptedModel
model = ScriptedModel(lambda messages: '''```repl\\n{CENTS}\\n```''')
run = RLM(model=model, log_dir=None, cache=False, ask_user_seconds=float(sys.argv[1])).run("Which?")
print("VALUE", run.value)
print("NEXT", input())
"""


@contextlib.contextmanager
def in_terminal(*words):
    """Runs Python in a pseudo-terminal; gives its descriptor."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, *map(str, words)])
    try:
        yield terminal
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def until_said(terminal, words, said=""):
    end = time.monotonic() + 120
    while words not in said:
        assert time.monotonic() < end, said
        if select.select([terminal], [], [], 0.2)[0]:
            said += os.read(terminal, 65536).decode("utf-8", "replace")
    return said


def test_in_a_terminal_the_answer_is_typed_and_later_lines_are_left_to_the_program():
    with in_terminal("-c", PROGRAM, 600) as terminal:
        said = until_said(terminal, "an empty line, or nothing within 600 s, is: cents")
        assert "Agent 0 asks you:" in said
        assert "2. euros" in said
        assert "\x1b[31m" not in said
        os.write(terminal, b"7\n")
        said = until_said(terminal, "There is no option 6", said)
        os.write(terminal, b"2\nleft\n")
        said = until_said(terminal, "NEXT", said)
        assert "VALUE euros" in said
        until_said(terminal, "NEXT left", said)


def test_in_a_terminal_the_default_is_taken_when_the_time_is_up():
    with in_terminal("-c", PROGRAM, 0.5) as terminal:
        said = until_said(terminal, "VALUE cents")
        assert "No answer is wanted any more" in said or "VALUE" in said
        os.write(terminal, b"left\n")
        until_said(terminal, "NEXT left", said)


@pytest.fixture
def server():
    with OpenAIServer(lambda request: cell(CENTS)) as server:
        yield server


def words(server, tmp_path):
    where = ["-m", "test-model", "--base-url", server.url, "--no-cache", "--log-dir", str(tmp_path)]
    return ["run", "-q", "Which?", *where]


def test_the_command_asks_in_its_terminal(server, tmp_path):
    with in_terminal("-m", "rlm_jupyter.cli", *words(server, tmp_path)) as terminal:
        said = until_said(terminal, "an empty line, or nothing within 120 s, is: cents")
        os.write(terminal, b"euros\n")
        until_said(terminal, "Log: ", said)
        assert "ask_user(question, options=[...]" in server.received[0].json["messages"][1]["content"]


def test_the_command_without_a_terminal_takes_the_default_and_says_so(server, tmp_path, capsys):
    assert cli.main(words(server, tmp_path)) == 0
    out, err = capsys.readouterr()
    assert out == "cents\n"
    assert "Assumptions:" in err
    assert "Assumed: cents (nobody could be asked)" in err
    assert "ask_user" not in server.received[0].json["messages"][1]["content"]
    assert cli.main([*words(server, tmp_path), "--quiet"]) == 0
    said = "rlm-jupyter: Is revenue in cents? Assumed: cents (nobody could be asked)"
    assert capsys.readouterr() == ("cents\n", f"{said}\n")


def test_nbclient_is_not_kept_waiting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = f"model = ScriptedModel(lambda messages: '''```repl\n{CENTS}\n```''')"
    cells = [
        f"%load_ext rlm_jupyter\nfrom rlm_jupyter.models import ScriptedModel\n{model}",
        "%config RLMMagics.ask_user_seconds = 100000.0",
        "%%rlm -m model -o answer\nWhich?",
        "answer",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    made = NotebookClient(book, timeout=120, kernel_name="python3").execute()
    assert made.cells[3].outputs[-1]["data"]["text/plain"] == "'cents'"
    shown = next(out["data"] for out in made.cells[2].outputs if "text/html" in out.get("data", {}))
    assert "Assumed: cents (nobody could be asked)" in shown["text/plain"]
    assert "<b>Assumptions</b>" in shown["text/html"]


def test_a_run_that_asked_and_one_that_cannot_share_the_replies_that_were_paid_for(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = OpenAIChat("test-model", base_url=server.url, api_key="sk-test-0123456789")
    rlm = RLM(model=model, log_dir=None)
    with answering(lambda asked: "euros"), rlm.start("Which?") as asked:
        assert asked.wait(120).value == "euros"
    with rlm.start("Which?") as alone:
        assert alone.wait(120).value == "cents"
    assert server.calls == 1
    assert asked.messages()[1] != alone.messages()[1]


def test_a_click_answers_and_a_wrong_one_is_refused_in_words(browse, tmp_path):
    with asking(tmp_path) as ask, answering("tree"):
        run = ask({"root": [CENTS]}, wait=False)
        until(lambda: pending_questions(run.id))
        with run.lock:
            shown = run_fields(run.tree)["asked"]
        assert shown == {
            "agent": "0",
            "number": 1,
            "question": "Is revenue in cents?",
            "options": ["cents", "euros"],
            "default": "cents",
            "until": shown["until"],
        }
        browser = browse(None, run=run)
        for fields, said in (
            ({"number": 7, "option": 0, "text": None}, "waits for no answer"),
            ({"number": 1, "option": 2, "text": None}, "no option 2"),
            ({"number": 1, "option": None, "text": " "}, "is empty"),
            ({"number": "1", "option": 0, "text": None}, "by its number"),
        ):
            answer = browser.ask("answer", agent="0", **fields)
            assert answer["kind"] == "error"
            assert said in answer["message"]
        assert browser.ask("answer", agent="0", number=1, option=1, text=None)["kind"] == "ok"
        assert run.wait(60).value == "euros"
        assert run_fields(run.tree)["asked"] is None


def test_a_shell_asks_where_its_user_is_and_in_the_background_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(audience, "can_ask_in_terminal", lambda: True)
    with terminal_shell(tmp_path) as shell:
        assert [who_answers(shell, cell) for cell in ("blocking", "background")] == ["terminal", None]
        monkeypatch.setattr(audience, "can_ask_in_terminal", lambda: False)
        assert who_answers(shell, "blocking") is None
        monkeypatch.setenv("RLM_JUPYTER_DISPLAY", "widget")
        shell.kernel = SimpleNamespace(_allow_stdin=True)
        assert who_answers(shell, "background") == "tree"
        assert who_answers(shell, "blocking") is None, "no click arrives"
        shell.kernel._allow_stdin = False
        assert who_answers(shell, "background") is None, "as in nbclient"
        monkeypatch.setenv("RLM_JUPYTER_DISPLAY", "html")
        shell.kernel._allow_stdin = True
        assert who_answers(shell, "background") is None


def test_a_dry_run_shows_what_is_told_of_the_user_exactly_when_a_run_tells_it(tmp_path, monkeypatch, capsys):
    def told(text):
        return "The user can be asked" in text

    cases = (("", True), ("--bg", False), ("--samples 2", False), ("--ask-user 0", False))
    with terminal_shell(tmp_path) as shell:
        shell.user_ns.update(model=ScriptedModel(lambda messages: "```repl\nFINAL(1)\n```"))
        for present in (True, False):
            monkeypatch.setattr(audience, "can_ask_in_terminal", lambda present=present: present)
            for options, asked in cases if present else cases[:1]:
                shell.run_cell(f"%%rlm -m model --dry-run {options}\nWhich?")
                assert told(capsys.readouterr().out) == (present and asked), options
                shell.user_ns["model"].requests.clear()
                assert shell.run_cell(f"%%rlm -m model --no-cache {options}\nWhich?").success
                last_run().wait(60)
                sent = shell.user_ns["model"].requests[0].messages[-1]["content"]
                assert told(sent) == (present and asked), options
