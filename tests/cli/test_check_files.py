"""`rlm-jupyter run --check FILE.py:NAME`: functions of the user's files look at answers in the agent's kernel."""

import pytest
from openai_server import OpenAIServer
from scripts import cell

from rlm_jupyter import ConfigError, cli
from rlm_jupyter.run_setup.check_files import checks_of_files

LIMITS = "MOST = 10\n"
CHECKS = """
import os
from check_limits_beside import MOST

HERE = os.getpid()

def is_small(answer):
    return True if answer <= MOST else f"{answer} is more than {MOST}; here: {HERE == os.getpid()}"

def is_odd(answer):
    assert answer % 2, "not odd"

text = "no function"
"""


@pytest.fixture
def checks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "check_limits_beside.py").write_text(LIMITS)
    (tmp_path / "checks.py").write_text(CHECKS)
    return tmp_path / "checks.py"


def test_an_answer_that_a_check_refuses_goes_back_with_its_reason(checks, capsys):
    answers = iter(["FINAL(30)", "FINAL(4)", "FINAL(7)"])
    requests = []

    def reply(request):
        requests.append(request)
        return cell(next(answers))

    with OpenAIServer(reply) as server:
        words = ["run", "-q", "How many?", "-m", "test-model", "--base-url", server.url, "--log-dir", "none"]
        asked = ["--no-cache", "--check", "checks.py:is_small", "--check", f"{checks}:is_odd"]
        assert cli.main([*words, *asked]) == cli.DONE
    assert capsys.readouterr().out == "7\n"
    last = [str(request) for request in requests]
    assert "30 is more than 10; here: False" in last[1]
    assert "not odd" in last[2]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("checks.py", "names no function: write `FILE.py:NAME`"),
        ("checks.py:", "names no function"),
        ("checks.txt:f", "names no function"),
        ("none.py:f", "There is no file `none.py`"),
        ("checks.py:is_big", "has no function `is_big`. Its functions: `is_small`, `is_odd`"),
        ("checks.py:text", "has no function `text`"),
        ("broken.py:f", "The file of checks `broken.py` failed: NameError"),
    ],
)
def test_what_names_no_check_is_refused_before_anything_is_asked(checks, word, says, capsys):
    (checks.parent / "broken.py").write_text("f = nothing\n")
    with pytest.raises(ConfigError, match=says.replace(".", "[.]")):
        checks_of_files([word])
    words = ["run", "-q", "How many?", "-m", "openai/gpt-5", "--log-dir", "none", "--check", word]
    assert cli.main(words) == cli.USAGE
    assert says in capsys.readouterr().err
