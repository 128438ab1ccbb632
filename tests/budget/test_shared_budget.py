"""A budget that many processes share: none of them passes it, whatever runs in parallel, is killed, or costs less."""

import asyncio
import getpass
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from magics_parts import terminal_shell
from run_parts import asking

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.budget.ledger import Ledger
from rlm_jupyter.engine.budget.shared_budget import SharedBudget
from rlm_jupyter.errors import ConfigError, LimitReachedError, UnknownPriceError
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.models.base import Price, Usage

PRICE = Price(1.0, 10.0)
FREE = Limits(cost=None, tokens=None, calls=None)


def budget(directory, text, **who):
    path = directory / "course.toml"
    path.write_text(text)
    return SharedBudget(path, **{"user": "ann", "notebook": "a.ipynb", **who})


def spent(shared, name="cost"):
    return next(row["spent"] for row in shared.report() if row["name"] == name)


def ledger_of(shared):
    return Ledger(FREE, shared=shared)


async def one(ledger, prompt=1000, most=100, usage=None):
    reservation = await ledger.reserve("0", prompt, most, PRICE)
    ledger.settle(reservation, usage or Usage(prompt, most), None)
    return reservation


async def test_what_is_reserved_is_corrected_by_what_it_cost(tmp_path):
    shared = budget(tmp_path, "[total]\ncost = 1.0\n")
    ledger = ledger_of(shared)
    reservation = await ledger.reserve("0", 1000, 100, PRICE)
    assert spent(shared) == pytest.approx(0.002)
    ledger.settle(reservation, Usage(500, 50), None)
    assert spent(shared) == pytest.approx(0.001)
    ledger.release(await ledger.reserve("0", 1000, 100, PRICE))
    assert spent(shared) == pytest.approx(0.001)


async def test_a_second_ledger_is_refused_what_the_first_has_spent(tmp_path):
    shared = budget(tmp_path, "[total]\ntokens = 2200\n")
    await one(ledger_of(shared))
    await one(ledger_of(shared))
    with pytest.raises(LimitReachedError, match=r"shared budget .* is used up: `tokens` of 2,200") as caught:
        await one(ledger_of(shared))
    assert caught.value.limit == "budget"


async def test_a_reply_is_clamped_to_what_is_left(tmp_path):
    shared = budget(tmp_path, "[total]\ntokens = 1050\n")
    reservation = await ledger_of(shared).reserve("0", 1000, 500, PRICE)
    assert reservation.max_tokens == 50


async def test_a_request_waits_for_its_own_run_s_requests_in_flight(tmp_path):
    shared = budget(tmp_path, "[total]\ntokens = 2000\n")
    ledger = ledger_of(shared)
    first = await ledger.reserve("0", 1000, 500, PRICE)
    second = asyncio.create_task(ledger.reserve("0.1", 1000, 400, PRICE))
    await asyncio.sleep(0)
    assert not second.done()
    ledger.settle(first, Usage(300, 100), None)
    assert (await second).max_tokens == 400


async def test_sums_are_for_each_user_notebook_and_day(tmp_path):
    text = "[user]\ncalls = 2\n[user.day]\ncalls = 1\n[notebook]\ncalls = 3\n[day]\ncalls = 4\n"
    day = ["2026-01-01"]
    ann = budget(tmp_path, text, today=lambda: day[0])
    bob = budget(tmp_path, text, user="bob", today=lambda: day[0])
    await one(ledger_of(ann))
    with pytest.raises(LimitReachedError, match="per user and day"):
        await one(ledger_of(ann))
    await one(ledger_of(bob))
    day[0] = "2026-01-02"
    await one(ledger_of(ann))
    cy = budget(tmp_path, text, user="cy", today=lambda: day[0])
    with pytest.raises(LimitReachedError, match="per notebook"):
        await one(ledger_of(cy))


def test_users_of_a_hub_are_told_apart_though_their_containers_have_one_login_name(tmp_path, monkeypatch):
    named = []
    for user in ("ada", "ben", None):
        if user is None:
            monkeypatch.delenv("JUPYTERHUB_USER")
        else:
            monkeypatch.setenv("JUPYTERHUB_USER", user)
        named.append(budget(tmp_path, "[user]\ncalls = 2\n", user=None)._who["user"])
    assert named[:2] == ["ada", "ben"]
    assert named[2] == getpass.getuser()


def test_days_that_are_over_are_forgotten(tmp_path):
    days = iter(f"2026-01-{n:02}" for n in range(1, 29) for _ in range(3))
    shared = budget(tmp_path, "[day]\ncalls = 4\n", today=lambda: next(days, "2026-02-01"))
    for _ in range(20):
        with shared._sums() as sums:
            sums[f"total {shared.day}"] = {"calls": 1}
    assert len(json.loads((tmp_path / "course.toml.spent").read_text())) <= 8


def _spend(path, number):
    async def work():
        ledger = Ledger(FREE, shared=SharedBudget(Path(path)))
        got = 0
        for at in range(200):
            try:
                reservation = await ledger.reserve("0", 900, 100, PRICE)
            except LimitReachedError:
                continue
            got += 1
            # Near the end the reply is granted fewer tokens, and a server gives no more than it was asked for.
            ledger.settle(reservation, Usage(900, min((number + at) % 100, reservation.max_tokens)), None)
        return got

    return asyncio.run(work())


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_thirty_processes_never_pass_it(tmp_path, where):
    directory = Path("/dev/shm", tmp_path.parent.name + tmp_path.name) if where == "memory" else tmp_path
    directory.mkdir(exist_ok=True)
    path = directory / "course.toml"
    path.write_text("[total]\ntokens = 3_000_000\ncost = 3.0\n")
    try:
        with multiprocessing.get_context("spawn").Pool(30) as pool:
            granted = sum(pool.starmap(_spend, [(str(path), number) for number in range(30)]))
        shared = SharedBudget(path)
        assert spent(shared) <= 3.0
        assert spent(shared, "tokens") <= 3_000_000
        assert 30 * 200 > granted > 1500  # most of what it allows was used
        assert spent(shared, "tokens") == pytest.approx(granted * 950, rel=0.02)
    finally:
        if where == "memory":
            for file in directory.iterdir():
                file.unlink()
            directory.rmdir()


HOLD = """
import asyncio, sys
from pathlib import Path
from rlm_jupyter import Limits
from rlm_jupyter.engine.budget.ledger import Ledger
from rlm_jupyter.engine.budget.shared_budget import SharedBudget
from rlm_jupyter.models.base import Price
async def work():
    ledger = Ledger(Limits(cost=None, tokens=None, calls=None), shared=SharedBudget(Path(sys.argv[1])))
    await ledger.reserve("0", 900, 100, Price(1.0, 10.0))
    print("held", flush=True)
    await asyncio.sleep(60)
asyncio.run(work())
"""


def test_what_a_killed_process_had_reserved_stays_spent(tmp_path):
    shared = budget(tmp_path, "[total]\ntokens = 1500\n")
    command = [sys.executable, "-c", HOLD, str(shared.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGKILL)
    assert spent(shared, "tokens") == 1000
    with pytest.raises(LimitReachedError):
        asyncio.run(one(ledger_of(shared), prompt=900))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no limit"),
        ("[week]\ncost = 1\n", "has a table `week`"),
        ("[day]\nmoney = 1\n", "limits `money`"),
        ("[day]\ncost = 'much'\n", "is not an amount"),
        ("[day\n", "is no TOML"),
        ("day = 3\n", "is not a table"),
        ("[total]\ncost = -1\n", "is not an amount"),
    ],
)
def test_a_budget_that_says_something_else_is_refused(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says):
        budget(tmp_path, text)


def test_sums_that_are_broken_are_not_taken_for_nothing(tmp_path):
    shared = budget(tmp_path, "[total]\ncalls = 5\n")
    (tmp_path / "course.toml.spent").write_text('{"total": ')
    with pytest.raises(LimitReachedError, match="does not hold the sums"):
        asyncio.run(one(ledger_of(shared)))


async def test_a_limit_in_money_needs_a_price(tmp_path):
    ledger = ledger_of(budget(tmp_path, "[total]\ncost = 1.0\n"))
    with pytest.raises(UnknownPriceError):
        await ledger.reserve("0", 10, 10, None)


def test_runs_spend_of_the_budget_and_end_when_it_is_used_up(tmp_path, monkeypatch):
    path = tmp_path / "course.toml"
    path.write_text("[total]\ncalls = 3\n")
    monkeypatch.setenv("RLM_BUDGET", str(path))
    with asking(tmp_path) as ask:
        assert ask({"root": ["x = 1", "FINAL(1)"]}).raise_for_error().value == 1
        run = ask({"root": ["x = 1", "FINAL(1)"]})
        assert isinstance(run.error, LimitReachedError)
        assert run.error.limit == "budget"
        assert run.tree.calls == 1


def test_the_command_shows_all_runs_and_the_budget(tmp_path, monkeypatch, capsys):
    path = tmp_path / "course.toml"
    path.write_text("[user.day]\ncalls = 30\n")
    monkeypatch.setenv("RLM_BUDGET", str(path))
    monkeypatch.chdir(tmp_path)
    with terminal_shell(tmp_path) as shell:
        shell.user_ns["model"] = ScriptedModel(["```repl\nFINAL(1)\n```"])
        shell.run_cell_magic("rlm", "-m model --no-cache", "What?")
        capsys.readouterr()
        shell.run_line_magic("rlm", "cost --all")
    shown = capsys.readouterr().out
    assert shown.startswith("RLM run ")
    assert "`calls` of 30 per user and day: 1 spent or reserved" in shown


def test_a_directory_that_cannot_be_written_is_told_before_anything_is_asked(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root writes anywhere")
    path = tmp_path / "course.toml"
    path.write_text("[total]\ncalls = 3\n")
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be written"):
        RLM(model=ScriptedModel([]), budget=path).start("What?")
    tmp_path.chmod(0o700)
