"""Calls from other threads to the engine's: what they return, raise and leave behind."""

import asyncio
import threading

import pytest
from run_parts import asking

from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.errors import ConfigError, VariableNotFoundError


@pytest.fixture
def run(tmp_path):
    with asking(tmp_path) as ask:
        yield ask({"root": ["found = 7\nFINAL(found)"]})


def test_an_error_of_a_call_carries_its_run(run):
    assert run.agents["0"].pull("found") == 7
    with pytest.raises(VariableNotFoundError) as caught:
        run.agents["0"].pull("lost")
    assert caught.value.run is run


def test_a_call_that_takes_too_long_is_cancelled(run):
    cancelled = threading.Event()

    async def work():
        try:
            await asyncio.sleep(600)
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError):
        engine().call(work(), run, timeout=0.05)
    assert cancelled.wait(60)


@pytest.mark.parametrize(
    "request_of", [lambda run: run.agents["0"].execute("1"), lambda run: run.set_limit("calls", 9)]
)
def test_a_callback_is_refused_what_would_wait_for_itself(run, request_of):
    refused, done = [], threading.Event()

    def listener(_event):
        if not done.is_set():
            done.set()
            with pytest.raises(ConfigError) as caught:
                request_of(run)
            refused.append(caught.value)

    unsubscribe = run.subscribe(listener)
    run.agents["0"].pull("found")  # a command is an event, which the engine's thread tells
    unsubscribe()
    assert "would wait for itself" in str(refused[0])
    assert refused[0].run is run
