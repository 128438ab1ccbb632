"""Kernels in containers (`docker:IMAGE`), against a stand-in for the program `docker`: not tried with a real one."""

import json
import os
import sys
import time

import docker_stand_in
import pandas as pd
import pytest
from run_parts import asking, until

from rlm_jupyter import RLM, Sandbox
from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.launch.docker_provisioner import docker_command

pytestmark = pytest.mark.needs_program("bwrap")


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """The stand-in on the `PATH`; gives the directory where it writes down what it was asked."""
    place = tmp_path / "docker"
    place.mkdir()
    program = place / "docker"
    program.write_text(
        f"#!{sys.executable}\nimport os, runpy\nos.environ['DOCKER_STAND_IN'] = {str(place)!r}\n"
        f"runpy.run_path({docker_stand_in.__file__!r}, run_name='__main__')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    return place


def commands(docker):
    return [json.loads(line) for line in (docker / "commands").read_text().splitlines()]


def containers(docker):
    return sorted(path.stem for path in docker.glob("rlm-*.json"))


def test_a_run_works_in_containers_that_have_no_network_and_nothing_is_left(docker, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "not-for-agents")
    look = (
        "import os, socket\n"
        "try:\n    socket.create_connection(('127.0.0.1', PORT), 2); reached = True\n"
        "except OSError:\n    reached = False\n"
        "try:\n    open('/etc/made', 'w'); written = True\nexcept OSError:\n    written = False\n"
        "part = rlm_query('part', context=context.head(10))\n"
        "FINAL({'keys': [n for n in os.environ if 'KEY' in n], 'mine': os.environ.get('MINE'), 'reached': reached,"
        " 'written': written, 'sum': int(part.double.sum()), 'home': os.environ['HOME']})"
    )
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server, asking(tmp_path) as start:
        script = {
            "root": [look.replace("PORT", str(server.getsockname()[1]))],
            "part": ["FINAL(context.assign(double=2 * context.v))"],
        }
        frame = pd.DataFrame({"v": range(100)})
        settings = {"kernel": "docker:scipy:1", "sandbox": Sandbox(memory=2_000_000_000, processes=200)}
        run = start(script, context=frame, settings=settings, env={"MINE": "yes-it-is"})
        assert run.raise_for_error().value == {
            "keys": [],
            "mine": "yes-it-is",
            "reached": False,
            "written": False,
            "sum": 90,
            "home": "/tmp",
        }
        assert len(containers(docker)) >= 2
        assert run.agents["0"].pull("part").shape == (10, 2)
        started = commands(docker)[0]
        assert started[started.index("--memory") + 1] == "2000000000"
        assert started[started.index("--pids-limit") + 1] == "200"
    from rlm_jupyter.rlm import stop_all

    stop_all()
    until(lambda: containers(docker) == [])


def test_a_cell_is_interrupted_and_a_stop_removes_nothing_that_can_still_be_pulled(docker, tmp_path):
    script = {"root": ["kept = 5\nimport time\ntime.sleep(600)"]}
    with asking(tmp_path) as start:
        run = start(script, settings={"kernel": "docker:scipy:1"}, wait=False)
        until(lambda: run.agents and run.tree.agents["0"].cells, 90)
        time.sleep(0.5)
        run.stop()
        assert run.wait(60).status == "stopped"
        assert run.agents["0"].pull("kept") == 5


def test_what_is_wrong_is_said(docker, tmp_path, monkeypatch):
    def failed(**settings):
        with asking(tmp_path) as start:
            return start({"root": ["FINAL(1)"]}, settings=settings).error

    error = failed(kernel="docker:no/such:image")
    assert isinstance(error, KernelStartError)
    assert "No such image: no/such:image" in error.message
    error = failed(kernel="docker:scipy:1", sandbox=Sandbox(net=["example.org"]))
    assert "`net` of the sandbox is not for kernels in a container" in error.message
    rlm = RLM(model="demo", kernel="docker:scipy:1", sandbox="bwrap", log_dir=None)
    with pytest.raises(KernelStartError, match="bwrap"):
        rlm.start("How many?", context=[1])
    for name in ("docker:", "docker:--privileged", "docker:a b", "docker:a,b"):
        with pytest.raises(KernelStartError, match="names no image"):
            RLM(model="demo", kernel=name, log_dir=None).start("How many?", context=[1])
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(KernelStartError, match="needs the program `docker`"):
        RLM(model="demo", kernel="docker:scipy:1", log_dir=None).start("How many?", context=[1])


def test_the_command_gives_a_container_no_network_no_privileges_and_no_files(tmp_path):
    command = docker_command(
        "scipy:1", ["python", "-m", "x"], name="n", shared=(tmp_path / "c.json", tmp_path / "s"), limits={}
    )
    text = " ".join(command)
    for part in (
        "--network none",
        "--cap-drop ALL",
        "no-new-privileges",
        "--read-only",
        "--rm",
        "--pull never",
    ):
        assert part in text
    mounts = [command[n + 1] for n, word in enumerate(command) if word == "--mount"]
    assert mounts == [
        f"type=bind,source={tmp_path}/c.json,target={tmp_path}/c.json,readonly",
        f"type=bind,source={tmp_path}/s,target={tmp_path}/s",
    ]
    assert not {"--memory", "--pids-limit", "--privileged", "--volume"} & set(command)
    assert command[-4:] == ["python", "scipy:1", "-m", "x"]
