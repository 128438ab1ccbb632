"""`%rlm resume` in a new kernel of a notebook, after the first one was killed in the middle of a run."""

import os
import signal
import time

from magics_parts import notebook
from openai_server import Reply
from scripts import cell

TURNS = [
    "import time\nn = len(context)\nprint(n, time.time_ns())",  # its output is never the same: no cache knows it
    "part = rlm_query('part', context=context[:2])\nnotes = llm_query_batched(['one', 'two'])\nprint(part)",
    "FINAL([n, part, notes])",
    "FINAL([part, 'more'])",
]
SET_UP = """
from rlm_jupyter.models.openai.chat import OpenAIChat
get_ipython().run_line_magic("config", "RLMMagics.cache = False")
get_ipython().run_line_magic("config", "RLMMagics.print_value = 'always'")
model = OpenAIChat("test-model", base_url="{url}", api_key="sk-test-0123456789")
"""


class Script:
    """Answers by turns; the third turn of the root is not answered before `go`."""

    def __init__(self):
        self.go = False

    def __call__(self, request):
        messages = request["messages"]
        if len(messages) == 1:
            return f"note on {messages[0]['content']}"
        turn = sum(message["role"] == "assistant" for message in messages)
        if "Question:\npart\n" in messages[1]["content"]:
            return cell("FINAL(sum(context))")
        text = cell(TURNS[turn])
        return text if self.go or turn < 2 else Reply(text, latency=3600)


def wait_until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_after_a_kill_in_the_middle_values_are_back_and_nothing_is_paid_twice(openai_server, tmp_path):
    openai_server.script = script = Script()
    set_up = SET_UP.format(url=openai_server.url)
    with notebook(tmp_path) as book:
        assert book.run(set_up + "orders = [1, 2, 3]")[0]["status"] == "ok"
        book.send("%%rlm orders -m model\nHow many?")
        wait_until(
            lambda: openai_server.calls == 6
        )  # two turns, a sub-agent, two notes; the third turn hangs
        os.kill(book.manager.provisioner.pid, signal.SIGKILL)
        wait_until(lambda: openai_server.aborted == 1)
    answered = [request["messages"] for request in openai_server.requests[:5]]
    paid = openai_server.prompt_tokens + openai_server.completion_tokens
    log = next((tmp_path / "rlm_runs").glob("*.jsonl"))
    script.go = True

    with notebook(tmp_path) as book:
        book.run(set_up)
        kept = f"__import__('rlm_jupyter.records', fromlist=['values']).values({str(log)!r})"
        assert book.value(f"{kept}.pull('0', 'part'), {kept}.pull('0.1'), {kept}.data") == "(3, 3, [1, 2, 3])"
        reply, outputs = book.run(f"answer = %rlm resume {log.stem} -m model")
        assert reply["status"] == "ok", reply
        assert book.value("answer") == "[3, 3, ['note on one', 'note on two']]"
        again = [request["messages"] for request in openai_server.requests[6:]]
        assert len(again) == 1  # the turn that had no reply
        assert not [messages for messages in again if messages in answered]
        told = openai_server.prompt_tokens + openai_server.completion_tokens - paid
        book.run("run = %rlm last")
        assert book.value("run.usage.prompt_tokens + run.usage.completion_tokens") == str(told)
        reply, outputs = book.run("%%rlm --continue -m model\nAnd more?")
        assert [c["data"]["text/plain"] for k, c in outputs if k == "execute_result"] == ["[3, 'more']"]
