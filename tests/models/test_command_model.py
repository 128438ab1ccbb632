"""`CommandModel`: a real program in the place of a model, with its outputs, its errors, its time and its end."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from run_parts import until

from rlm_jupyter import RLM, ConfigError, Limits, UnknownPriceError
from rlm_jupyter.errors import EmptyReplyError, ModelError, ProviderUnreachableError
from rlm_jupyter.models import CommandModel
from rlm_jupyter.models.base import CompletionRequest
from rlm_jupyter.models.images import Image

ECHO = "import sys; text = sys.stdin.read(); print(f'{len(text)}: {text}')"
USER = [{"role": "user", "content": "Grüße"}]


def script(source, *arguments, **options):
    return CommandModel([sys.executable, "-c", source, *arguments], **options)


def complete(model, messages=USER, **options):
    return asyncio.run(model.complete(CompletionRequest(messages, **options)))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_prompt_goes_to_the_input_and_the_reply_is_the_output():
    pieces = []
    done = complete(script(ECHO), on_delta=pieces.append)
    assert done.text == "5: Grüße\n" == "".join(pieces)
    assert done.usage is None
    chat = [{"role": "system", "content": "Be brief."}, *USER, {"role": "assistant", "content": "Hm"}, *USER]
    text = complete(script(ECHO), chat).text
    assert text.index("Be brief.") < text.index("## User") < text.index("## You answered\n\nHm")


def test_no_shell_reads_the_arguments_and_the_environment_is_as_given(monkeypatch):
    monkeypatch.setenv("COMMAND_TEST_TAKEN", "x")
    source = "import os, sys; print(sys.argv[1], os.environ.get('COMMAND_TEST'), 'COMMAND_TEST_TAKEN' in os.environ)"
    model = script(source, "$(id); *", env={"COMMAND_TEST": "given", "COMMAND_TEST_TAKEN": None})
    assert complete(model).text == "$(id); * given False\n"
    assert "$(id)" not in repr(model)


def test_secrets_of_the_environment_are_passed_on_only_if_they_are_named(monkeypatch):
    secrets = {
        "OPENAI_API_KEY": "short",
        "RLM_MODEL_API_KEY": "sk-proj-3vQm81xKzT5wN7pLr2Yd",
        "COMMAND_TEST_TOKEN": "ghp_8Jk2mQx7Vt4LwZr9TnB3cF6hD1sP5aG0eYuK",
        "COMMAND_TEST_URL": "postgres://me:q8Zt4vXw2k@db/sales",
    }
    others = {"HTTPS_PROXY": "http://me:q8Zt4vXw2k@proxy:3128", "COMMAND_TEST_PLACE": "here"}
    for name, value in {**secrets, **others}.items():
        monkeypatch.setenv(name, value)
    source = f"import os; print(*[name for name in {[*secrets, *others]!r} if name in os.environ])"
    assert complete(script(source)).text.split() == [*others]
    given = script(source, env={"OPENAI_API_KEY": "short"})
    assert complete(given).text.split() == ["OPENAI_API_KEY", *others]
    with pytest.raises(
        ModelError, match=r"code 1: no login. It was not given `OPENAI_API_KEY`, .*`env=`"
    ) as caught:
        complete(script("import sys; sys.exit('no login')"))
    assert not any(value in str(caught.value) for value in secrets.values())


def test_it_works_in_an_empty_directory_or_the_given_one(tmp_path):
    source = "import os; print(os.getcwd(), os.listdir())"
    where = complete(script(source)).text.split()
    assert where[1] == "[]"
    assert not Path(where[0]).exists()
    assert complete(script(source, cwd=tmp_path)).text.split()[0] == str(tmp_path)


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        ("import sys; sys.exit('no \\x1b[31mlogin')", ModelError, r"ended with code 1: no .*login"),
        ("import sys; print('told'); sys.exit(3)", ModelError, "ended with code 3: told"),
        ("pass", EmptyReplyError, "wrote nothing"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", ModelError, "more than 4,000,000 bytes"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", ModelError, "code -15"),
    ],
)
def test_failures_are_errors_of_a_model(source, error, match):
    with pytest.raises(error, match=match) as caught:
        complete(script(source))
    assert "\x1b" not in str(caught.value)


def test_a_program_that_reads_nothing_and_one_that_writes_much_to_stderr():
    assert complete(script("print('done')"), [{"role": "user", "content": "x" * 3_000_000}]).text == "done\n"
    loud = "import sys; sys.stderr.write('e' * 3_000_000); print(len(sys.stdin.read()))"
    assert complete(script(loud), [{"role": "user", "content": "x" * 3_000_000}]).text == "3000000\n"


CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
{}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_is_ended_with_its_children_when_the_time_is_over():
    pieces = []
    with pytest.raises(ModelError, match=r"after 5 seconds.*`timeout=`"):
        complete(script(CHILD.format("time.sleep(600)"), timeout=5), on_delta=pieces.append)
    until(lambda: not alive(int("".join(pieces))))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_that_stays_does_not_hold_the_reply_back():
    pid = int(complete(script(CHILD.format("")), on_delta=None).text)
    until(lambda: not alive(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_in_a_session_of_its_own_neither_holds_the_reply_back_nor_pipes_open():
    source = CHILD.replace('"])', '"], start_new_session=True)').format("")

    async def ask():
        before = open_files()
        done = await script(source).complete(CompletionRequest(USER))  # its time limit is ten minutes
        await asyncio.sleep(0)
        return int(done.text), open_files() - before

    pid, left = asyncio.run(ask())
    os.kill(pid, signal.SIGKILL)
    assert left <= 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_stopping_a_run_ends_it_with_its_children(tmp_path):
    mark = tmp_path / "pid"
    source = CHILD.format(f"open({str(mark)!r}, 'w').write(str(child.pid)); time.sleep(600)")
    rlm = RLM(model=script(source), log_dir=None, cache=False)
    with rlm.start("Which?", "text", plain=True) as run:
        until(lambda: mark.exists() and mark.read_text())
        run.stop()
        run.wait(60)
        assert run.status == "stopped"
        until(lambda: not alive(int(mark.read_text())))


def test_a_run_of_agents_is_answered_by_a_program(tmp_path):
    program = tmp_path / "agent.py"
    program.write_text(
        "import sys\nprompt = sys.stdin.read()\nassert 'How many?' in prompt\n"
        "print('I look.\\n```repl\\nFINAL(len(context))\\n```')\n"
    )
    model = CommandModel([sys.executable, str(program)], name="command/agent")
    with RLM(model=model, log_dir=None, cache=False).start("How many?", [1, 2, 3]) as run:
        run.wait(60)
        assert run.value == 3
        assert run.tree.input_tokens > 100
        assert run.cost is None
        assert run.tree.agents["0"].model == "command/agent"


def test_a_money_limit_is_refused_without_a_price():
    with pytest.raises(UnknownPriceError, match="command/"):
        RLM(model=script(ECHO), limits=Limits(cost=1.0))
    RLM(model=script(ECHO, price=(1.0, 2.0)), limits=Limits(cost=1.0))


def test_what_cannot_be():
    for command in ([], "claude -p", [""], [1], ["a\0b"]):
        with pytest.raises(ConfigError, match="command"):
            CommandModel(command)
    with pytest.raises(ConfigError, match="timeout"):
        script(ECHO, timeout=0)
    with pytest.raises(ProviderUnreachableError, match="cannot be started: No such file"):
        complete(CommandModel(["no-such-program-of-this-test"]))
    with pytest.raises(ModelError, match="images"):
        complete(script(ECHO), [{**USER[0], "images": (Image(b"", 1, 1),)}])
