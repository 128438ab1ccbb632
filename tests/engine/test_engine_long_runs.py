"""Long runs: chats that near the model's window, prompts that are too large, agents that run in circles."""

import itertools

import pytest
from openai_server import fault
from scripts import by_question, cell

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.agent.chat_size import Gauge
from rlm_jupyter.errors import AgentFailedError, ConfigError, ContextTooLongError
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.models.base import Price, Usage
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.settings import Settings

MARK = "Below are turns of an agent"


def print_a_lot(turn):
    return f"fact_{turn} = {turn * 11}\nprint('turn {turn}', 'lorem ipsum ' * 250)"


def long_talk(turns, last="FINAL([fact_0, fact_1])"):
    return [*(print_a_lot(n) for n in range(turns)), last]


@pytest.fixture
def ask(tmp_path):
    open_runs = []

    def start(model, context=None, question="root", **options):
        options = {"window": 8000, "completion_tokens": 500, "log_dir": tmp_path / "logs", **options}
        run = RLM(model=model, cache=False, **options).start(question, context)
        open_runs.append(run)
        return run.wait(60)

    yield start
    for run in open_runs:
        run.close()


def counting(script, summary="NOTES: fact_0 is 0 and fact_1 is 11."):
    """A model whose n-th turn is told by how often it was asked for a turn, since chats are compacted."""
    counts = itertools.count()

    def reply(messages):
        if messages[0]["content"].startswith(MARK):
            return summary
        return cell(script[min(next(counts), len(script) - 1)])

    return ScriptedModel(reply)


def third(chat):
    return chat[2]["content"] if len(chat) > 2 else ""


def size(messages):
    return sum(len(message["content"]) for message in messages)


def test_the_window_is_looked_up_only_when_a_chat_has_something_to_give_up(ask):
    """To look it up takes the import of the table of models, for which a first request need not wait."""
    looked = []

    class Windowed(ScriptedModel):
        @property
        def window(self):
            looked.append(len(self.requests))
            return 8000

    assert ask(Windowed([cell("x = 1"), cell("FINAL(x)")]), window=None).raise_for_error().value == 1
    assert set(looked) == {1}, "before the second request, and not before the first"


def test_a_chat_that_nears_the_window_is_summarised_and_the_repl_keeps_everything(ask):
    model = counting(long_talk(12))
    run = ask(model, context=list(range(1000)), limits=Limits(calls_per_agent=30))
    assert run.raise_for_error().value == [0, 11]
    turns = [r.messages for r in model.requests if not r.messages[0]["content"].startswith(MARK)]
    asked = [r for r in model.requests if r.messages[0]["content"].startswith(MARK)]
    assert 1 <= len(asked) <= 3
    assert all(size(chat) / 3 < 8000 for chat in turns)  # what the gauge takes for tokens
    fixed = turns[0]
    for chat in turns:
        assert list(chat[:2]) == list(fixed)  # the fixed text, the question and the description stay
        assert [m["role"] for m in chat] == ["system", *["user", "assistant"] * (len(chat) // 2)][: len(chat)]
    folded = next(chat for chat in turns if "NOTES: fact_0" in third(chat))
    assert "`fact_0`" in folded[3]["content"]
    assert "turn 0" not in "".join(m["content"] for m in folded)
    grown = [len(b) < len(a) or list(b[: len(a)]) == list(a) for a, b in itertools.pairwise(turns)]
    assert all(grown)  # between two compactions each prompt extends the last one
    first = asked[0].messages[0]["content"]
    assert "Question:\nroot" in first
    assert "turn 0" in first
    assert asked[0].max_tokens <= 1500


def test_a_summary_is_charged_and_shown_as_what_it_is(ask):
    run = ask(counting(long_talk(8)), limits=Limits(calls_per_agent=30))
    agent = run.tree.agents["0"]
    summaries = [call for call in agent.calls if call.purpose == "summary"]
    assert summaries
    assert all(call.input_tokens > 0 and call.status == "done" for call in summaries)
    assert run.tree.calls == len(run._conductor.model.requests)
    assert any("old turns became a summary" in text for text in agent.notices)
    prompts = [event for event in run.events if event.kind == "prompt_sent" and event.purpose == "turn"]
    again = next(p for p in prompts if p.start == 2)  # what stays is logged once
    assert again.messages[0]["content"].startswith("My notes on my turns so far")


@pytest.mark.parametrize(
    ("limits", "summary"),
    [(Limits(calls_per_agent=10), "never"), (Limits(calls_per_agent=30), ConnectionError("down"))],
)
def test_where_a_summary_does_not_pay_or_fails_old_turns_keep_their_first_lines(ask, limits, summary):
    model = counting(long_talk(9), summary)
    run = ask(model, limits=limits, window=11_000)
    assert run.raise_for_error().value == [0, 11]
    if summary == "never":
        assert not any(r.messages[0]["content"].startswith(MARK) for r in model.requests)
    folded = next(r.messages for r in model.requests if "My notes" in third(r.messages))
    assert "fact_0 = 0" in folded[2]["content"]
    assert "more characters; print it again" in folded[2]["content"]
    assert any("became their first lines" in text for text in run.tree.agents["0"].notices)


def test_an_agent_compacts_its_own_chat_again_and_again(ask):
    model = counting(long_talk(40))
    run = ask(model, limits=Limits(calls_per_agent=60))
    assert run.raise_for_error().value == [0, 11]
    assert all(size(r.messages) / 3 < 8000 for r in model.requests)
    assert sum("old turns became" in text for text in run.tree.agents["0"].notices) > 5


def test_a_question_that_nearly_fills_the_window_buys_no_notes(ask):
    model = counting(long_talk(4))
    question = "what? " * 3000
    run = ask(model, question=question)
    assert run.raise_for_error().value == [0, 11]
    assert [len(r.messages) for r in model.requests] == [2, 4, 6, 8, 10]


def test_without_a_known_window_or_with_compaction_off_a_chat_only_grows(ask):
    for options in ({"window": None}, {"compact_at": None}):
        model = counting(long_talk(8))
        run = ask(model, limits=Limits(calls_per_agent=30), **options)
        assert run.raise_for_error().value == [0, 11]
        assert [len(r.messages) for r in model.requests] == list(range(2, 20, 2))


def test_a_refused_prompt_is_compacted_once_and_sent_again(ask, openai_server):
    turns = itertools.count()
    prompts = []

    def reply(request):
        text = "".join(m["content"] for m in request["messages"])
        if text.startswith(MARK):
            return "NOTES of the model."
        prompts.append(text)
        return fault("context_too_long") if len(text) > 14_000 else cell(long_talk(4)[next(turns)])

    openai_server.script = reply
    model = OpenAIChat("test-model", base_url=openai_server.url, api_key="sk-test", price=Price(0, 0))
    run = ask(model, limits=Limits(calls_per_agent=30), window=None)
    assert run.raise_for_error().value == [0, 11]
    refused = [n for n, text in enumerate(prompts) if len(text) > 14_000]
    assert len(refused) == 1  # the window that the refusal told is kept to from then on
    assert len(prompts[refused[0] + 1]) < 14_000
    assert "NOTES of the model." in prompts[-1]
    assert run._conductor.windows == {"test-model": 4096}


def test_a_question_that_fits_no_window_fails_that_agent_alone_and_clearly(ask):
    def reply(messages):
        if any(m["content"].startswith("Question:\ntoo long") for m in messages):
            return ContextTooLongError("9,999 of 4,096 tokens")
        return cell(
            "got = rlm_query_batched(['too long', 'fine'], contexts=[1, 2])\nFINAL([got[0].message, got[1]])"
            if any(m["content"].startswith("Question:\nroot") for m in messages)
            else "FINAL(context)"
        )

    run = ask(ScriptedModel(reply), window=None)
    said, fine = run.raise_for_error().value
    assert fine == 2
    assert "too long for its model and cannot be made shorter" in said
    assert "9,999" in said
    assert {agent.status for agent in run.tree.agents.values()} == {"done", "failed"}
    assert len(run._conductor.model.requests) == 3


def test_a_provider_that_refuses_whatever_is_sent_is_asked_twice(ask):
    counts = itertools.count()

    def reply(messages):
        if messages[0]["content"].startswith(MARK):
            return "NOTES"
        turn = next(counts)
        return cell(print_a_lot(turn)) if turn < 4 else ContextTooLongError("no")

    model = ScriptedModel(reply)
    run = ask(model, window=None)
    assert run.status == "failed"
    assert isinstance(run.error, ContextTooLongError)
    assert "still with notes in the place" in run.error.message
    assert next(counts) == 6
    assert run.agents["0"].pull("fact_3") == 33


def test_a_plain_prompt_over_the_window_fails_with_the_sizes_before_it_is_sent(ask):
    code = (
        "try:\n    llm_query('x' * 50_000)\nexcept Exception as e:\n    said = [e.kind, str(e)]\n"
        "some = llm_query_batched(['fits', 'y' * 50_000])\nFINAL([said, some[0], some[1].kind])"
    )
    model = by_question({"root": [code]}, plain=str.upper)
    run = ask(model, sub_window=4000)
    (kind, said), fits, other = run.raise_for_error().value
    assert (kind, fits, other) == ("too_long", "FITS", "too_long")
    for part in ("50,000 characters", "12,500 tokens", "4,000 tokens", "12,000 characters"):
        assert part in said
    assert len(model.requests) == 2


def test_what_a_provider_counted_is_the_measure_of_the_next_prompt():
    gauge = Gauge()
    chat = [{"role": "user", "content": "a" * 3000}]
    assert gauge.tokens(chat) == 1000
    gauge.learn(chat, Usage(600, 5))
    assert gauge.tokens([{"role": "user", "content": "a" * 6000}]) == 1200
    gauge.learn(chat, Usage(3000, 5, estimated=True))
    gauge.learn(chat, None)
    gauge.learn(chat, Usage(1800, 5), attempts=3)
    assert gauge.tokens(chat) == 600


def test_an_agent_that_repeats_a_failure_is_told_once_and_then_ended(ask):
    run = ask(
        by_question({"root": ["x = 7", "1 / 0"]})
    )  # the repeated reply leaves the chat, and comes again
    assert isinstance(run.error, AgentFailedError)
    assert "ZeroDivisionError" in run.error.message
    told = [m["content"] for m in run.messages() if "exactly this code 3 times" in m["content"]]
    assert len(told) == 1
    assert "`ZeroDivisionError: division by zero`" in told[0]
    assert run.tree.agents["0"].cells == 2
    assert run.agents["0"].pull("x") == 7


def test_an_agent_that_heeds_the_warning_goes_on(ask):
    run = ask(ScriptedModel([*[cell("1 / 0")] * 3, cell("FINAL('else')")]))
    assert run.raise_for_error().value == "else"


@pytest.mark.parametrize(
    ("script", "options"),
    [
        (["1 / 0", "2 / 0", "raise ValueError(1)", "1 / 0", "raise ValueError(2)", "FINAL(1)"], {}),
        (["1 / 0"] * 6 + ["FINAL(1)"], {"stuck_after": None}),
        (["1 / 0"] * 4 + ["FINAL(1)"], {"stuck_after": 5}),
    ],
)
def test_other_failures_and_a_guard_that_is_off_end_nobody(ask, script, options):
    run = ask(ScriptedModel(list(map(cell, script))), **options)
    assert run.raise_for_error().value == 1
    assert not any("exactly this code" in m["content"] for m in run.messages())


def test_a_value_that_is_sent_back_again_and_again_counts_as_a_failure(ask):
    run = RLM(model=by_question({"root": ["FINAL('many')"]}), log_dir=None, cache=False).start(
        "root", schema=int
    )
    with run.wait(60):
        assert isinstance(run.error, AgentFailedError)
        assert any("exactly this code 3 times" in m["content"] for m in run.messages())


def test_settings_that_cannot_be_are_refused():
    for wrong in ({"window": 10}, {"compact_at": 0}, {"compact_at": 1.5}, {"stuck_after": 1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Settings.from_environment({}, **wrong)
    assert Settings.from_environment({}, compact_at=None, stuck_after=None).stuck_after is None
