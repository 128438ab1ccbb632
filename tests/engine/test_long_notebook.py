"""A long notebook: what nobody holds any more is let go, and what its runs did can still be read."""

import asyncio
import ctypes
import gc
import weakref
from pathlib import Path

import psutil
import pytest
from magics_parts import terminal_shell
from run_parts import until
from scripts import by_question, cell
from widget_parts import Browser

from rlm_jupyter import RLM, registry
from rlm_jupyter.errors import ConfigError, KernelDiedError, RunNotFoundError
from rlm_jupyter.kernels.pool import KernelPool
from rlm_jupyter.kernels.prestarted import ReadyKernels
from rlm_jupyter.models.openai import direct_wire
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.records.past_run import PastRun

MIB = 1 << 20
M_MMAP_THRESHOLD = -3  # of malloc.h
SCRIPT = {
    "array": [f"import numpy as np\nFINAL(np.ones({MIB}))"],
    "text": [f"FINAL('x' * {8 * MIB})"],
    "small": ["n = 1\nprint('said')", "FINAL([n, rlm_query('part', context=41)])"],
    "part": ["FINAL(context + 1)"],
    "single": ["n = 1\nFINAL(n)"],
    "fails": ["1 / 0"],
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Only the runs of the test count."""
    monkeypatch.setattr(registry, "_runs", [])
    yield
    for run in registry.runs():
        run.close()


@pytest.fixture
def rlm(tmp_path):
    return RLM(
        model=by_question(SCRIPT), log_dir=tmp_path / "logs", cache=False, limits={"calls_per_agent": 3}
    )


def drop(rlm, question="small", **options):
    """Ask, and hold nothing of it; give its id, and what tells whether anything is left of it."""
    run = rlm.start(question, **options).wait(60)
    return run.id, weakref.ref(run)


def let_go(number):
    """Wait until so many runs are no longer in memory."""
    until(lambda: sum(isinstance(run, PastRun) for run in registry.runs()) >= number, 30)


@pytest.fixture
def uncollected():
    """What holds only itself is not collected: memory that waits for it is memory that is missing."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("question", ["small", "array", "text", "fails"])
def test_a_run_that_nobody_holds_is_gone_without_a_collection(rlm, question):
    run = rlm.start(question).wait(60)
    parts = [weakref.ref(part) for part in (run, run._conductor, run._journal, run.tree)]
    del run
    for _ in range(4):
        drop(rlm, question)
    let_go(2)
    until(lambda: [part() for part in parts] == [None] * 4)
    assert registry.last_run() is not None


@pytest.mark.usefixtures("uncollected")
def test_a_follow_up_does_not_hold_the_runs_before_it(rlm):
    run = rlm.run("small")
    first = weakref.ref(run)
    agent = weakref.ref(run.root)
    for _ in range(4):
        run = run.ask("small")
        assert run.value == [1, 42]
    until(lambda: first() is None and agent() is None, 30)
    assert run.status == "done"


def held():
    """Bytes of this process and its children, in memory of their own and in shared memory."""
    total = 0
    for one in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            lines = Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(
            int(line.split()[1]) << 10 for line in lines if line.startswith(("Pss_Anon", "Pss_Shmem"))
        )
    return total


def descriptors():
    return len(psutil.Process().open_files()) + psutil.Process().num_fds()


def test_memory_and_descriptors_do_not_grow_with_the_number_of_questions(rlm, monkeypatch):
    # Else malloc keeps up to 64 MiB that was freed for each of a dozen threads, and gives it back when it likes.
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        assert mallopt(M_MMAP_THRESHOLD, MIB)
    # Kernels that are kept ready are there or not when the memory is read, as the machine has had time.
    monkeypatch.setattr(ReadyKernels, "fill", lambda *_, **__: None)

    def ask(number):
        for n in range(number):
            run = rlm.start("array" if n % 2 else "text").wait(60)
            assert len(run.value) >= MIB
            del run
        let_go(len(registry.runs()) - 3)
        gc.collect()

    ask(6)
    memory, number = held(), descriptors()
    ask(24)
    # Kernels of runs that were let go still end for a while; what is kept for each question never goes.
    until(lambda: held() - memory < 24 * 8 * MIB / 4 and descriptors() - number < 24 / 2, 120)


def test_of_large_runs_only_the_newest_keeps_its_kernels_and_of_small_ones_the_last_three(rlm):
    small = [drop(rlm, "single")[0] for _ in range(4)]
    let_go(1)
    assert [isinstance(registry.find_run(id_), PastRun) for id_ in small] == [True, False, False, False]
    assert registry.find_run(small[1]).agents["0"].pull("n") == 1
    bulk = {"big": [f"big = bytearray({40 * MIB})\nFINAL(1)"]}
    large = RLM(model=by_question(bulk), log_dir=None, cache=False)
    ids = [drop(large, "big")[0] for _ in range(3)]
    until(lambda: all(registry.find_run(id_).held_bytes > 40 * MIB for id_ in ids[-1:]))
    registry.let_older_go()
    let_go(5)
    assert isinstance(registry.find_run(ids[0]), PastRun)
    assert registry.find_run(ids[2]).agents["0"].execute("len(big)").output.strip() == str(40 * MIB)


def test_who_holds_a_run_has_its_value_and_its_tree_for_ever(rlm):
    run = rlm.start("text").wait(60)
    for _ in range(4):
        drop(rlm)
    until(lambda: run.closed and registry._runs[0].held is None)
    assert registry.find_run(run.id) is run
    assert registry.runs()[0] is run
    assert len(run.value) == 8 * MIB
    assert run.agents["0"].messages[-1]["role"] == "assistant"
    with pytest.raises(KernelDiedError, match="gone"):
        run.agents["0"].execute("1")


@pytest.mark.parametrize("log", [True, False])
def test_a_past_run_is_read_from_its_log_and_without_one_its_tree_is_kept(tmp_path, log):
    rlm = RLM(model=by_question(SCRIPT), log_dir=tmp_path / "logs" if log else None, cache=False)
    run = rlm.start("small").wait(60)
    messages, tree, id_ = run.messages("0.1"), run.tree, run.id
    del run
    for _ in range(4):
        drop(rlm)
    let_go(2)
    past = registry.find_run(id_)
    assert isinstance(past, PastRun)
    assert (past.id, past.question, past.status, past.done) == (id_, "small", "done", True)
    assert (list(past.agents), past.tree.value, past.tree.cost) == (["0", "0.1"], tree.value, tree.cost)
    if log:
        assert past.tree.agents == tree.agents
        assert past.messages("0.1") == messages
        past.log_path.unlink()
        del tree
        with pytest.raises(RunNotFoundError, match="There is no log"):
            _ = past.tree
    else:
        assert past.tree.agents["0"].turns[0].call.messages == ()
        assert past.tree.agents["0"].turns[0].cells[0].code == "n = 1\nprint('said')"
    assert id_ in past.summary


def test_a_log_that_is_not_whole_is_not_relied_on(tmp_path):
    (tmp_path / "logs").write_text("in the way")
    rlm = RLM(model=by_question(SCRIPT), log_dir=tmp_path / "logs", cache=False)
    id_, *_ = [drop(rlm)[0] for _ in range(4)]
    let_go(1)
    past = registry.find_run(id_)
    assert past.log_path is None
    assert list(past.tree.agents) == ["0", "0.1"]


def test_what_a_past_run_cannot_do_is_said_with_the_next_step(rlm):
    id_, *_ = [drop(rlm)[0] for _ in range(4)]
    let_go(1)
    past = registry.find_run(id_)
    for act in (past.pause, past.resume, past.next, lambda: past.retry("0.1")):
        with pytest.raises(ConfigError, match="Ask anew"):
            act()
    for act in (
        past.agents["0"].pull,
        lambda: past.agents["0"].pull("n"),
        lambda: past.agents["0"].execute("1"),
    ):
        with pytest.raises(KernelDiedError, match=r"no longer in memory.*Ask anew"):
            act()
    past.stop()
    past.close()


def test_the_commands_read_old_runs_from_their_logs(tmp_path, capsys):
    with terminal_shell(tmp_path) as shell:
        shell.user_ns["model"] = by_question(SCRIPT)
        for _ in range(5):
            assert shell.run_cell("%%rlm -m model -o answer\nsmall").success
        let_go(2)
        first = registry.runs()[0]
        assert isinstance(first, PastRun)
        said = {}
        lines = ["runs", f"tree {first.id}", f"show {first.id}", f"show {first.id} 0.1 --prompt", f"cost {first.id}",
                 f"replay {first.log_path}", f"stop --run {first.id}", f"free {first.id}",
                 f"export {first.id} -o {tmp_path / 'run.py'}"]  # fmt: skip
        for line in lines:
            capsys.readouterr()
            result = shell.run_cell(f"%rlm {line}")
            assert result.success, line
            said[line.split()[0]] = capsys.readouterr().out
        assert said["runs"].count("small") == 5
        assert said["tree"] == said["replay"]
        assert "0.1" in said["tree"]
        assert "ended already" in said["stop"]
        assert isinstance(shell.run_cell(f"%rlm pull 0 n --run {first.id}").error_in_exec, KernelDiedError)


def test_a_widget_does_not_hold_its_run_and_answers_from_the_log(rlm, monkeypatch):
    run = rlm.start("small").wait(60)
    browser = Browser(None, monkeypatch, run=run, namespace={}, find=registry.find_run)
    run.subscribe(lambda _: browser.widget)  # as the view does that is drawn anew with each event
    browser.click("hello")
    browser.widget.finish()
    tree, gone, id_ = weakref.ref(run.tree), weakref.ref(run), run.id
    run = browser.run = None
    for _ in range(4):
        drop(rlm)
    let_go(2)
    until(lambda: gone() is None)
    gc.collect()
    assert tree() is None
    told = len(browser.got)
    browser.click("hello")
    browser.tick()
    snapshot = browser.got[told]
    assert (snapshot["kind"], snapshot["run"]["id"], snapshot["run"]["status"]) == ("snapshot", id_, "done")
    assert sorted(snapshot["agents"]) == ["0", "0.1"]
    assert browser.ask("open", agent="0.1")["detail"]["turns"]
    assert browser.ask("prompt", agent="0.1")["messages"][0]["role"] == "system"
    assert "no longer in memory" in browser.ask("pull", agent="0", name="n", **{"as": "m"})["message"]
    assert "cannot be changed" in browser.ask("limit", name="cost", value=1)["message"]
    assert "Ask anew" in browser.ask("pause")["message"]
    browser.widget.finish()
    assert "2 agents · " in repr(browser.widget)
    browser.widget.close()


# ---- starting, and connections


def test_a_question_begins_while_old_kernels_still_end(rlm, monkeypatch):
    drop(rlm)
    closing, ending = KernelPool.close_run, []

    async def slow(self, run):
        ending.append(run)
        while ending:
            await asyncio.sleep(0.01)
        await closing(self, run)

    monkeypatch.setattr(KernelPool, "close_run", slow)
    for _ in range(4):
        drop(rlm)
    until(lambda: ending)
    assert rlm.start("small").wait(60).value == [1, 42], "with kernels of earlier runs that do not end"
    assert not any(isinstance(run, PastRun) for run in registry.runs())
    monkeypatch.setattr(KernelPool, "close_run", closing)
    ending.clear()
    let_go(2)


def connections(server):
    port = int(server.url.split(":")[2].split("/")[0])
    return sum(c.raddr != () and c.raddr.port == port for c in psutil.Process().net_connections("tcp"))


def test_the_connections_of_runs_that_are_closed_are_closed(openai_server, tmp_path, monkeypatch):
    monkeypatch.setattr(direct_wire, "_IDLE_SECONDS", 0.5)  # runs share connections, for a while
    openai_server.script = lambda _: cell("FINAL(1)")
    held = []
    for _ in range(8):  # each with a model that is made of a name, as `%%rlm` does
        rlm = RLM(
            "m", base_url=openai_server.url, api_key="k", limits={"cost": None}, log_dir=None, cache=False
        )
        held.append(rlm.start("q").wait(60))
    assert [run.value for run in held] == [1] * 8
    until(lambda: connections(openai_server) <= 3)
    for run in held:
        run.close()
    until(lambda: connections(openai_server) == 0)


def test_a_model_that_nobody_holds_any_more_leaves_no_connection(openai_server, monkeypatch):
    monkeypatch.setattr(direct_wire, "_IDLE_SECONDS", 0.5)  # runs share connections, for a while
    openai_server.script = lambda _: cell("FINAL(1)")
    model = OpenAIChat("m", base_url=openai_server.url, api_key="k")
    for _ in range(2):
        rlm = RLM(model=model, limits={"cost": None}, log_dir=None, cache=False)
        rlm.start("q").wait(60).close()
    assert connections(openai_server) > 0, "a model of the user's own keeps its connections"
    del model, rlm
    registry._runs.clear()
    gc.collect()
    until(lambda: connections(openai_server) == 0)
