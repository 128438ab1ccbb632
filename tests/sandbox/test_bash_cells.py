"""Blocks of bash in replies, where the setting is on: in real kernels, in the sandbox."""

import socket
import time

import pytest
from programs import needs_program
from run_parts import asking
from scripts import Raw

from rlm_jupyter import Limits
from rlm_jupyter.engine.agent.bash_words import refusal
from rlm_jupyter.engine.reply.parse import parse_reply
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.guest.confinement import landlock_seccomp

confined = pytest.mark.skipif(not landlock_seccomp.landlock_version(), reason="this system has no Landlock")
MODES = ["auto", pytest.param("bwrap", marks=needs_program("bwrap"))]


def script(code):
    return Raw(f"I look.\n\n```bash\n{code}\n```")


def answered(tmp_path, *replies, context=None, limits=None, **settings):
    """Run replies, then answer; returns what their cells showed."""
    with asking(tmp_path) as start:
        turns = {"root": [*replies, "FINAL('done')"]}
        run = start(turns, context=context, limits=limits, settings={"bash": True, **settings})
        assert run.raise_for_error().value == "done"
        return [event.output for event in run.events if event.kind == "code_finished"][:-1]


def test_a_block_of_a_shell_is_a_cell_only_where_the_setting_is_on():
    text = "First.\n\n```sh\nls | wc -l\n```\n\nThen.\n\n```repl\nx = 1\n```"
    assert parse_reply(text, shell=True).blocks == ("%%bash\nls | wc -l", "x = 1")
    assert parse_reply(text).blocks == ("x = 1",)
    alone = parse_reply("```bash\nls\n```")
    assert (alone.blocks, "another language (`bash`)" in alone.problem) == ((), True)
    assert parse_reply("```bash\n```", shell=True).blocks == ()
    assert parse_reply("```bash\nls", finish_reason="length", shell=True).blocks == ()


@confined
@pytest.mark.parametrize("mode", MODES)
def test_scripts_and_python_share_data_and_a_directory(tmp_path, mode):
    count, failed, read = answered(
        tmp_path,
        script("wc -w < context.txt; echo made > made.txt"),
        script("echo seen; echo wrong >&2; exit 3"),
        "print(open('made.txt').read(), end='')",
        context="one two three",
        sandbox=mode,
    )
    assert (count.strip(), read.strip()) == ("3", "made")
    assert failed.splitlines() == ["seen", "wrong", "[exit status 3]"]


@confined
def test_documents_are_files_with_safe_names(tmp_path):
    documents = {"../../a b": "x", "a/b": "y", ".hidden": b"z", "number": 1, "n.csv": "1,2"}
    (shown,) = answered(tmp_path, script("cd context; ls -A; cat -- *"), context=documents)
    assert shown.split() == ["_.._a_b.txt", "a_b.txt", "hidden.bin", "n.csv", "xyz1,2"]


@confined
@pytest.mark.parametrize("mode", MODES)
def test_scripts_reach_neither_the_users_files_nor_the_network(tmp_path, mode, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "tk-4f9a8b7c6d5e")
    kept = tmp_path / "kept.txt"
    kept.write_text("private words")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (shown,) = answered(
            tmp_path,
            script(
                f"cat {kept}\necho more >> {kept}\nenv | grep -c tk-4f9a\n(echo > /dev/tcp/127.0.0.1/{port}) && echo open\n:"
            ),
            sandbox=mode,
        )
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert "private words" not in shown
    assert "open" not in shown.splitlines()
    assert "0" in shown.splitlines()
    assert kept.read_text() == "private words"


@confined
def test_what_a_script_started_ends_with_its_cell(tmp_path):
    beat = "(while true; do date +%N > beat; sleep 0.05; done)"
    look = "import time\nfirst = open('beat').read()\ntime.sleep(1)\nprint(open('beat').read() == first)"
    ended, interrupted = (
        script(f"{beat} &\nuntil [ -s beat ]; do sleep 0.05; done\necho ended"),
        script(f"{beat} &\n{beat}"),
    )
    begun = time.monotonic()
    shown = answered(tmp_path, ended, look, interrupted, look, limits=Limits(cell_seconds=5))
    assert (shown[0].strip(), shown[1].strip(), shown[3].strip()) == ("ended", "True", "True")
    assert "took too long" in shown[2]
    assert time.monotonic() - begun < 150


@confined
def test_output_is_cut_as_that_of_any_cell(tmp_path):
    (shown,) = answered(tmp_path, script("yes 0123456789 | head -c 3000000"))
    assert len(shown) < 100_000
    assert "cut" in shown


@confined
def test_a_script_that_is_too_long_is_refused(tmp_path):
    (shown,) = answered(tmp_path, script(f"cat <<'X'\n{'x' * 100_000}\nX"))
    assert "ShellRefused: The script is longer than 100,000 bytes" in shown


def test_without_the_sandbox_no_script_runs(tmp_path):
    with asking(tmp_path) as start, pytest.raises(ConfigError, match="`bash` runs scripts of a model"):
        start({"root": ["FINAL(1)"]}, settings={"bash": True, "sandbox": "none"})
    assert refusal({"holds": ["files", "network", "keys"]}) is None
    told = "No script was run: the sandbox does not keep the files of the user and the network from this kernel. Use Python."
    assert refusal({"mode": "none", "holds": []}) == told


@confined
def test_a_kernel_that_the_sandbox_does_not_hold_refuses(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "rlm_jupyter.engine.agent.kernel_setup.refusal", lambda confinement: "No script was run: so."
    )
    (shown,) = answered(tmp_path, script("echo ran"))
    assert "No script was run: so." in shown
    assert "ran\n" not in shown.replace("was run", "")


@confined
def test_agents_are_told_of_scripts_where_the_setting_is_on(tmp_path):
    with asking(tmp_path) as start:
        for on in (True, False):
            run = start({"root": ["FINAL(1)"]}, settings={"bash": on})
            prompt = "".join(message["content"] for message in run.messages())
            assert ("marked ```bash" in prompt) is on
