"""The sandbox in whole runs: what the agent, the tree, the log and the doctor say of it."""

import http.server
import threading

import numpy as np
import pytest
from scripts import by_question, cell

from rlm_jupyter import RLM, Sandbox, diagnostics
from rlm_jupyter.engine.agent.sandbox_notes import describe_sandbox_permissions
from rlm_jupyter.guest.confinement import landlock_seccomp as sandbox
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records.reader import load

pytestmark = pytest.mark.skipif(not sandbox.landlock_version(), reason="this system has no Landlock")


@pytest.fixture
def ask(tmp_path):
    runs = []

    def start(script, context=None, **box):
        model = script if isinstance(script, ScriptedModel) else by_question(script)
        rlm = RLM(model=model, log_dir=tmp_path / "logs", cache=False, sandbox=Sandbox(**box))
        runs.append(rlm.start("root", context).wait(60))
        return runs[-1]

    yield start
    for one in runs:
        one.close()


@pytest.fixture
def watched(ask):
    """Run cells one after the other; give the run, and what the model was told each time."""

    def start(*cells, **box):
        seen = []

        def reply(messages):
            seen.append(messages[-1]["content"])
            return cell(cells[len(seen) - 1])

        return ask(ScriptedModel(reply), **box), seen

    return start


@pytest.mark.parametrize("kind", ["frame", "text"])
def test_data_that_is_handed_over_does_not_count(ask, kind):
    """Shared by a fork, loaded into the root, given to a sub-agent, and given back: all of it is above the limit."""
    context = np.zeros((45_000_000,)) if kind == "frame" else "x" * 360_000_000
    script = {
        "root": ["part = rlm_query('sub', context)", "context[0], part[0]", "FINAL(len(part))"],
        "sub": ["context[0]", "FINAL(context)"],
    }
    run = ask(script, context, memory="150 MB")
    assert run.raise_for_error().value == len(context)


def test_a_value_may_be_larger_than_a_file(ask):
    run = ask({"root": ["FINAL(bytes(30 << 20))"]}, disk="20 MB")
    assert len(run.raise_for_error().value) == 30 << 20


def test_the_agent_the_tree_and_the_log_say_which_limit_ended_the_kernel(watched):
    bomb = "import subprocess, time\np = [subprocess.Popen(['sleep', '600']) for _ in range(30)]\ntime.sleep(600)"
    run, seen = watched(bomb, "FINAL(1)", processes=20)
    assert run.raise_for_error().value == 1
    assert "more than 20 processes, and was ended (the sandbox's limit `processes`)" in seen[1]
    assert "all variables but the data are gone" in seen[1]
    notices = run.tree.agents["0"].notices
    assert any("the limit `processes` of the sandbox: raise it" in text for text in notices)
    assert "256" not in run.tree.sandbox
    assert "20 processes" in run.tree.sandbox
    logged = [event for event in load(run.log_path).events if event.kind == "notice"]
    assert any("more than 20 processes" in event.text for event in logged)


def test_a_cell_that_passes_its_processor_time_is_told_so(watched):
    run, seen = watched("kept = 5\nwhile True: pass", "FINAL(kept)", cpu_seconds=0.5)
    assert run.raise_for_error().value == 5
    assert "A cell used more than 0.5 s of processor time (the sandbox's limit `cpu_seconds`)" in seen[1]


@pytest.fixture
def server():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"payload-3f81")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_agents_and_sub_agents_reach_a_named_host_and_each_connection_is_logged(ask, server):
    get = f"import urllib.request\ngot = urllib.request.urlopen('http://{server}/path-3f81').read()"
    refused = "try: urllib.request.urlopen('http://127.0.0.1:9/')\nexcept OSError as error: print(error)"
    script = {
        "root": [f"{get}\n{get}\n{refused}", "FINAL([len(got), rlm_query('sub')])"],
        "sub": [get, "FINAL(len(got))"],
    }
    run = ask(script, net=[server])
    assert run.raise_for_error().value == [12, 12]
    made = [event for event in load(run.log_path).events if event.kind == "connection"]
    host, port = server.split(":")
    assert [(one.agent, one.host, one.port, one.ok) for one in made] == [
        ("0", host, int(port), True),
        ("0", host, int(port), True),
        ("0", host, 9, False),
        ("0.1", host, int(port), True),
    ]
    assert run.tree.agents["0"].notices.count(f"Connected to {server}.") == 1
    assert run.tree.agents["0.1"].notices == [f"Connected to {server}."]
    assert f"network (but {server})" in run.tree.sandbox
    told = "".join(map(str, (event for event in made)))
    assert "3f81" not in told


def test_the_agent_is_told_what_its_code_may_reach_and_otherwise_nothing(watched, tmp_path, server):
    for place in ("data", "out"):
        (tmp_path / place).mkdir()
    _, seen = watched("FINAL(1)", net=[server], read=[tmp_path / "data"], scratch=tmp_path / "out")
    assert f"Your code may connect to `{server}`" in seen[0]
    assert f"Your code may read `{tmp_path / 'data'}`" in seen[0]
    assert f"`{tmp_path / 'out'}` is kept for the user" in seen[0]
    _, seen = watched("FINAL(1)")
    assert "Your code may" not in seen[0]


def test_a_readable_log_directory_is_told(ask, tmp_path):
    run = ask({"root": ["FINAL(1)"]}, read=[tmp_path])
    assert any("Agents may read the logs of earlier runs" in text for text in run.tree.notices)


def test_the_doctor_tells_what_holds_and_what_agents_may_reach(tmp_path):
    box = Sandbox(memory="2 GB", disk="1 GB", cpu_seconds=30, net=["a.org", "*.b.org:443"], read=[tmp_path])
    lines = list(diagnostics.kernels(None, box))
    told = "\n".join(lines)
    assert "kept from agents: keys, files, network, signals" in told
    assert "at most memory 2 GB, disk 1 GB, processes 256, cpu 30 s a cell for each kernel" in told
    assert "agents may connect to a.org, *.b.org:443" in told
    assert f"agents may also read {tmp_path}" in told
    assert "missing" not in told
    unconfined = "\n".join(diagnostics.kernels(None, "none"))
    assert "kept from agents: nothing" in unconfined
    assert "missing: nothing is kept from agents" in unconfined


def test_a_follow_up_with_another_sandbox_is_told_that_its_kernel_keeps_the_old_one(tmp_path):
    model = ScriptedModel(lambda _: cell("FINAL(1)"))
    boxes = [RLM(model=model, log_dir=None, cache=False, sandbox={"processes": n}) for n in (50, 60)]
    with boxes[0].run("first") as first, boxes[1].run("second", continues=first) as second:
        assert any("keeps the sandbox" in text for text in second.tree.notices)
        assert "50 processes" in second.tree.sandbox


def test_nothing_of_the_sandbox_is_promised_to_agents_whose_kernels_run_elsewhere():
    sandbox = Sandbox(net="a.org")
    assert "`a.org`" in (describe_sandbox_permissions(sandbox, None) or "")
    assert "`a.org`" in (describe_sandbox_permissions(sandbox, "python3") or "")
    assert describe_sandbox_permissions(sandbox, "gateway:http://127.0.0.1:8888/python3") is None
