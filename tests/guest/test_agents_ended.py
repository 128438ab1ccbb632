"""What the code of an agent that has ended may still do: nothing that costs."""

import time

import pytest
from scripts import by_question

from rlm_jupyter import RLM

LEFT_BEHIND = """
import threading, time
told = []
def go_on():
    for number in range(200):
        try: llm_query(f'from a thread, {number}')
        except RLMQueryError as error: told.append(str(error))
        time.sleep(0.02)
thread = threading.Thread(target=go_on)
thread.start()
"""


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("end", ["answers", "is-stopped"])
def test_threads_of_an_agent_that_has_ended_ask_nothing_any_more(tmp_path, end):
    ending = "FINAL('done')" if end == "answers" else "time.sleep(600)"
    script = {
        "root": [
            "import time\ntry: part = rlm_query('part')\nexcept RLMQueryError as e: part = str(e)\ntime.sleep(1)\nFINAL(part)"
        ],
        "part": [LEFT_BEHIND, f"time.sleep(0.3)\n{ending}"],
    }
    model = by_question(script)

    def asked():
        return sum("from a thread" in request.messages[-1]["content"] for request in model.requests)

    with RLM(model=model, log_dir=tmp_path, cache=False).start("root") as run:
        until(lambda: asked() > 2)
        if end == "is-stopped":
            run.stop("0.1")
        until(lambda: run.tree.agents["0.1"].status != "running")
        before = asked()
        assert run.wait(60).status == "done"
        assert asked() - before <= 1  # one may have been on its way
        told = run.agents["0.1"].execute("thread.join(); told[-1]").output
        assert "has ended: its code asks nothing" in told
