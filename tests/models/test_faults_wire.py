"""What goes wrong with a provider does not hurt a run: recovered, waited for, or told; and Stop ends requests at once."""

import itertools
import os
import signal
import threading
import time
from email.utils import parsedate_to_datetime

import pytest
from openai_server import Reply, fault
from scripts import cell, question_of

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.errors import (
    AuthenticationError,
    ContextTooLongError,
    LimitReachedError,
    ProviderUnreachableError,
    RLMError,
    RunStoppedError,
)
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.retry import RetryPolicy

KEY = "sk-test-0123456789abcdef"

RECOVERABLE = [
    ("rate_limit", {"retry_after": 0.05}),
    ("rate_limit", {"retry_after": "date:0"}),
    ("server_error", {}),
    ("html_503", {}),
    ("overloaded_529", {}),
    ("timeout_408", {}),
    ("conflict_409", {}),
    ("hang", {}),
    ("reset", {}),
    ("reset_mid_body", {}),
    ("malformed_json", {}),
    ("html_200", {}),
    ("empty_choices", {}),
    ("error_200", {}),
    ("null_content", {}),
    ("empty_content", {}),
    ("content_filter", {}),
    ("length", {"text": "```repl\nFINAL('cut in the mid"}),
    ("tool_calls", {}),
    # in the middle of a stream
    ("truncated", {}),
    ("error_event", {}),
    ("late_hang", {}),
    ("late", {}),
    ("duplicated", {"text": "hm"}),
    ("reset_after_end", {"text": cell("FINAL(rlm_query('part', context=1))")}),
    ("usage_missing", {"text": "hm"}),
    ("usage_null", {"text": "hm"}),
    ("usage_negative", {"text": "hm"}),
    ("usage_string", {"text": "hm"}),
    ("usage_zero", {"text": "hm"}),
]


SILENT = {"hang", "late_hang", "late"}
"""Faults of which only the silence tells; all other replies may take their time on a busy machine."""


def chat(server, *, silent=False, **options):
    options = {"retry": RetryPolicy(first_wait=0.02), "timeout": 2 if silent else 60, **options}
    return OpenAIChat("test-model", base_url=server.url, api_key=KEY, **options)


@pytest.fixture
def ask(openai_server, tmp_path):
    """Start a run against the server; it is closed at the end of the test."""
    runs = []

    def start(script, *, wait=True, question="root", silent=False, **options):
        openai_server.script = script
        settings = {"limits": Limits(cost=None), **options}
        rlm = RLM(
            model=chat(openai_server, silent=silent), log_dir=tmp_path, cache=False, api_key=KEY, **settings
        )
        runs.append(rlm.start(question))
        return runs[-1].wait(200) if wait else runs[-1]

    yield start
    for run in runs:
        run.close()
        engine().submit(run.model.aclose()).result(60)


def answering(turns, plain="plain", faults=None):
    """Answer agents by their questions' turns; `faults` are given first: question (or None) → list of replies."""
    queues = {question: iter(replies) for question, replies in (faults or {}).items()}

    def answer(request):
        question = question_of(request["messages"])
        bad = next(queues.get(question, iter(())), None)
        if bad is not None:
            return bad
        if question is None:
            return plain(request) if callable(plain) else plain
        turn = sum(
            message["role"] == "assistant"
            and "```repl" in message["content"]
            and "```\n" not in message["content"]
            for message in request["messages"]
        )
        said = turns[question]
        return cell(said[min(turn, len(said) - 1)])

    return answer


TURNS = {"root": ["FINAL(rlm_query('part', context=1))"], "part": ["FINAL([context, llm_query('plain')])"]}


@pytest.mark.parametrize(("name", "options"), RECOVERABLE)
def test_each_recoverable_fault_is_recovered_in_root_sub_agent_and_plain_call(
    ask, openai_server, name, options
):
    text = options.get("text")
    in_plain = {**options, "text": "plain"} if text else options
    useless = name in ("content_filter", "tool_calls", "length")  # for a plain call these are its answer
    faults = {
        "root": [fault(name, **options)],
        "part": [fault(name, **{**options, "text": "hm"} if text else options)]
        if name != "reset_after_end"
        else [],
        None: [] if useless else [fault(name, **in_plain)],
    }
    run = ask(answering(TURNS, faults=faults), silent=name in SILENT)
    assert run.raise_for_error().value == [1, "plain"]
    assert openai_server.calls >= (3 if name == "reset_after_end" else 4)
    assert all(agent.status == "done" for agent in run.tree.agents.values())


def test_each_recoverable_fault_is_recovered_from_a_server_that_does_not_stream_too(ask, openai_server):
    useless = ("content_filter", "tool_calls", "length", "rate_limit")  # the last is here twice
    faults = {name: options for name, options in RECOVERABLE if name not in useless}
    faults["rate_limit"] = {"retry_after": 0.05}
    given = set()

    def answer(request):
        if question_of(request["messages"]):
            return cell(f"FINAL(llm_query_batched({list(faults)}))")
        name = request["messages"][-1]["content"]
        if name in given:
            return f"reply to {name}"
        given.add(name)
        said = {"text": f"reply to {name}"} if "text" in faults[name] or "usage" in name else {}
        return fault(name, **{**faults[name], **said})

    openai_server.refuse = {"stream"}
    run = ask(answer, silent=True)
    assert run.raise_for_error().value == [f"reply to {name}" for name in faults]
    assert given == set(faults)
    assert not any(request.get("stream") for request in openai_server.requests[1:])


def test_three_faults_in_a_row_and_a_failing_turn_in_the_middle_are_recovered(ask):
    faults = {"root": [fault("server_error"), fault("truncated"), fault("rate_limit", retry_after=0.05)]}
    run = ask(answering({"root": ["x = 1", "FINAL(x)"]}, faults=faults))
    assert run.raise_for_error().value == 1
    assert run.tree.agents["0"].turns[0].call.attempts == 4


@pytest.mark.parametrize("header", ["4", "date:5"])
def test_retry_after_is_honoured_shown_as_waiting_and_is_no_working_time(ask, openai_server, header):
    refusals = []

    def refuse():  # a date is written when it is asked for
        refusals.append(fault("rate_limit", retry_after=header))
        yield refusals[0]

    faults = {None: refuse()}
    turns = {"root": ["FINAL(llm_query('plain'))"]}
    run = ask(answering(turns, faults=faults), wait=False, limits=Limits(cost=None, cell_seconds=3))
    until(lambda: run.tree.agents and run.tree.activity(run.tree.agents["0"]) == "rate_limit")
    assert run.wait(200).raise_for_error().value == "plain"
    waits = [event for event in run.events if event.kind == "waiting" and event.reason == "rate_limit"]
    assert waits[0].text == "rate limit (429)"
    first, second = [received.at for received in openai_server.received][1:3]
    if header == "4":
        assert second - first >= 4
        assert waits[0].seconds >= 4
    else:
        date = parsedate_to_datetime(refusals[0].headers["Retry-After"]).timestamp()
        assert second + time.time() - time.monotonic() >= date
        assert 0 < waits[0].seconds <= 5.5  # a little is added to what is asked for
    assert run.tree.agents["0"].held == {}


def test_an_hour_to_wait_ends_with_the_runs_own_time(ask):
    run = ask(
        answering(TURNS, faults={"root": [fault("rate_limit", retry_after=3600)]}),
        limits=Limits(cost=None, seconds=1),
    )
    assert isinstance(run.error, LimitReachedError)


def test_a_provider_that_fails_for_good_ends_that_agent_alone(ask):
    turns = {
        "root": [
            (
                "subs = rlm_query_batched(['part', 'bad', 'part'], contexts=[1, 2, 3])\n"
                "FINAL([s or [s.kind, s.message] for s in subs])"
            )
        ],
        "part": ["FINAL(context)"],
    }
    run = ask(answering(turns, faults={"bad": [fault("server_error")] * 9}))
    first, (kind, message), third = run.raise_for_error().value
    assert (first, third, kind) == (1, 3, "failed")
    assert "`0.2`" in message
    assert "server error (500)" in message
    assert run.agents["0.2"].status == "failed"


@pytest.mark.parametrize(
    ("name", "error"), [("server_error", ProviderUnreachableError), ("hang", ProviderUnreachableError)]
)
def test_a_root_that_gets_no_reply_fails_with_its_variables(ask, name, error):
    faults = {"root": [None, *[fault(name)] * 9]}
    run = ask(answering({"root": ["x = 41"]}, faults=faults), silent=name in SILENT)
    assert isinstance(run.error, error)
    assert run.status == "failed"
    assert run.agents["0"].pull("x") == 41


@pytest.mark.parametrize("name", ["unauthorized", "forbidden"])
def test_a_refused_key_ends_at_once_and_is_nowhere_shown(ask, openai_server, name):
    run = ask(lambda _request: fault(name))
    assert isinstance(run.error, AuthenticationError)
    assert openai_server.calls == 1
    told = [
        str(run.error),
        repr(run.error),
        repr(run.error.__cause__),
        *map(str, run.events),
        run.log_path.read_text(),
    ]
    assert all(KEY not in text for text in told)
    assert "refused the key" in str(run.error)


def test_a_refused_key_of_plain_calls_is_an_error_in_the_code_and_masked_there(ask, openai_server):
    code = (
        "parts = llm_query_batched(['a', 'b'])\n"
        "try:\n    llm_query('c')\nexcept RLMQueryError as error:\n    FINAL([str(error), *[p.message for p in parts]])"
    )
    run = ask(answering({"root": [code]}, plain=lambda _request: fault("unauthorized")))
    value = run.raise_for_error().value
    assert all("refused the key" in text and KEY not in text for text in value)
    assert openai_server.calls == 4
    assert KEY not in run.log_path.read_text()


def test_a_prompt_that_is_too_long_fails_that_agent_alone_and_says_so(ask):
    turns = {
        "root": [
            (
                "one = llm_query_batched(['a', 'b'])\nsub = rlm_query_batched(['bad'], contexts=[1])[0]\n"
                "FINAL([[p.kind if not p else p for p in one], sub.kind, sub.message])"
            )
        ]
    }
    run = ask(
        answering(turns, faults={None: [fault("context_too_long")], "bad": [fault("context_too_long")] * 9})
    )
    parts, kind, message = run.raise_for_error().value
    assert sorted(parts) == ["plain", "too_long"]
    assert kind == "failed"
    assert "longer than the context window" in message
    root = ask(lambda _request: fault("context_too_long"))
    assert isinstance(root.error, ContextTooLongError)


def test_fewer_requests_go_out_after_a_429_and_slowly_more_again(ask, openai_server):
    most = 6

    def plain(_request):
        return (
            fault("rate_limit", retry_after=0.02)
            if openai_server.in_flight > most
            else Reply("plain", latency=0.02)
        )

    run = ask(
        answering({"root": ["x = llm_query_batched(['a'] * 60)\nFINAL(sum(map(bool, x)))"]}, plain=plain)
    )
    ledger = run._conductor.ledger
    assert run.raise_for_error().value == 60
    assert ledger.concurrency < 30
    refused = openai_server.calls - 61
    assert refused < 60 + 30 + 15 + 30


STOPS = {
    "in a turn": "bad",
    "in a plain call": None,
}


@pytest.mark.parametrize("where", STOPS)
def test_stop_ends_requests_in_flight_without_their_replies(ask, openai_server, where):
    turns = {
        "root": [
            "n = 3",
            "x = rlm_query_batched(['bad'] * 3)" if where == "in a turn" else "llm_query_batched(['a'] * 3)",
        ]
    }
    hang = {STOPS[where]: itertools.repeat(Reply("late", latency=600))}
    openai_server.script = answering(turns, faults=hang)
    run = RLM(
        model=chat(openai_server, timeout=600), log_dir=None, cache=False, limits=Limits(cost=None)
    ).start("root")
    with run:
        until(lambda: openai_server.in_flight == 3)
        run.stop()
        until(lambda: openai_server.in_flight == 0 and run.done)
        assert openai_server.aborted == 3
        assert isinstance(run.error, RunStoppedError)
        assert run.agents["0"].pull("n") == 3
        calls = openai_server.calls
        time.sleep(0.1)
        assert openai_server.calls == calls


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals to a thread are POSIX's")
def test_an_interrupt_of_a_blocking_run_ends_its_requests(openai_server):
    openai_server.script = [Reply("late", latency=600)]
    rlm = RLM(model=chat(openai_server, timeout=600), log_dir=None, cache=False, limits=Limits(cost=None))

    def interrupt():
        until(lambda: openai_server.in_flight == 1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(RunStoppedError) as caught:
        rlm.run("root")
    thread.join()
    until(lambda: openai_server.aborted == 1)
    assert caught.value.run.wait(200).status == "stopped"
    caught.value.run.close()


def test_no_connection_is_told_with_the_address(tmp_path):
    model = OpenAIChat("m", base_url="http://127.0.0.1:9/v1", api_key=KEY, retry=RetryPolicy(first_wait=0.01))
    with pytest.raises(RLMError, match=r"127\.0\.0\.1:9") as caught:
        RLM(model=model, log_dir=tmp_path, cache=False, limits=Limits(cost=None)).run("root")
    assert isinstance(caught.value, ProviderUnreachableError)
    caught.value.run.close()


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)
