"""Fifty questions: the prompt, the kernel, the data and what the process holds stay within bounds."""

from pathlib import Path

import psutil
import pytest
from chat_parts import chatting, talking
from run_parts import until

from rlm_jupyter.records import load

QUESTIONS = 50
MEMORY = 6_000
STEADY = 10
"""Questions after which what is held has come to its size."""


def script(question):
    """Each question prints 3 KB, makes a table of 4 MB under the same name, and gives some of it back."""
    number = int(question.split()[-1])
    return [
        f"print('{number} ' + 'figures ' * 400)\ntable = bytearray(4_000_000)\ntotal = len(newest)",
        f"FINAL({{'number': {number}, 'seen': len(history), 'text': 'y' * 2_000}})",
    ]


@pytest.fixture(scope="module")
def talked(tmp_path_factory):
    """A conversation after all questions, with what was measured after each."""
    prompts, kernels, descriptors = [], [], []
    model = talking(script, plain="- found: figures")
    with chatting(tmp_path_factory.mktemp("chat")) as begin:
        chat = begin(None, "the data", model=model, memory=MEMORY)
        for number in range(QUESTIONS):
            chat.add(newest=[number] * 100_000)
            run = chat.run(f"question {number}")
            assert run.value["seen"] == number
            prompts.append(max(sum(len(m["content"]) for m in r.messages) for r in model.requests[-2:]))
            kernels.append(psutil.Process(run.root.kernel.pid).memory_info().rss)
            descriptors.append(len(list(Path("/proc/self/fd").iterdir())))
        yield chat, prompts, kernels, descriptors


def test_the_prompt_is_bounded(talked):
    _, prompts, _, _ = talked
    assert max(prompts) <= 3 * MEMORY + 2 * 8_000  # three bytes a token, and the newest question's own turns
    assert max(prompts[QUESTIONS // 2 :]) <= max(prompts[: QUESTIONS // 2]) * 1.2


def test_the_kernel_is_bounded(talked):
    _, _, kernels, _ = talked
    # Of the tables alone, 160 MB would have stayed, and of the data that was added, 32 MB.
    assert max(kernels[STEADY:]) - kernels[STEADY] < 25_000_000
    assert len(talked[0].newest.root.spec.added) == 1


def test_the_process_holds_no_more_descriptors_with_each_question(talked):
    _, _, _, descriptors = talked
    assert max(descriptors[STEADY:]) <= max(descriptors[:STEADY]) + 10


def test_older_runs_are_let_go_and_the_newest_knows_all_questions(talked):
    chat, *_ = talked
    assert [one.question for one in chat.history] == [f"question {n}" for n in range(QUESTIONS)]
    closed = [shown.run for shown in chat._tree.shown[:-5]]
    until(lambda: all(run.done and getattr(run, "closed", True) for run in closed))
    held = sum(one.size for one in chat.history)
    assert held <= 8 << 20


def test_what_was_forgotten_became_notes_and_each_log_is_whole(talked):
    chat, *_ = talked
    run = chat.newest
    assert any("My notes on my turns so far" in m["content"] for m in run.messages())
    notices = [text for shown in chat.view.tree.agents.values() for text in shown.notices]
    assert any(
        "passed its `memory`" in text and "of 6,000 tokens" in text and "a summary" in text
        for text in notices
    )
    for shown in chat._tree.shown:
        events = load(shown.run.log_path).events
        prompt = next(e for e in events if e.kind == "prompt_sent" and e.purpose == "turn")
        assert prompt.start == 0
        assert prompt.messages[0]["role"] == "system"
        assert "question 0" in prompt.messages[1]["content"]  # where the data is described
