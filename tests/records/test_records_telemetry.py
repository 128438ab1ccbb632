"""A run as OpenTelemetry spans, with the real SDK."""

import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from scripts import by_question

from rlm_jupyter import RLM
from rlm_jupyter.models.base import Completion, Usage
from rlm_jupyter.records import telemetry

SECRET = "the text of the data"


@pytest.fixture
def exported(monkeypatch):
    """Collect the spans of a provider that holds for this test alone."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def ask(script, **options):
    model = by_question(script, plain=lambda prompt: Completion("said", Usage(7, 2, 3), model="other-1"))
    rlm = RLM(model=model, log_dir=None, cache=False, **options)
    run = rlm.start("root", context=[SECRET]).wait(60)
    run.close()
    return run


STORY = {
    "root": ["print(context)\nllm_query('q')", "part = rlm_query('sub', context=[1])", "FINAL(part)"],
    "sub": ["1 / 0", "FINAL(context)"],
}


def test_a_run_is_a_tree_of_spans_with_the_names_of_the_conventions(exported):
    with trace.get_tracer("test").start_as_current_span("mine") as mine:
        run = ask(STORY)
    spans = exported.get_finished_spans()
    by_id = {span.context.span_id: span for span in spans}
    tree = sorted(
        (span.name, by_id[span.parent.span_id].name if span.parent else None)
        for span in spans
        if span.name != "mine"
    )
    assert tree == sorted(
        [
            ("rlm run", "mine"),
            ("invoke_agent 0", "rlm run"),
            ("invoke_agent 0.1", "invoke_agent 0"),
            *[("chat scripted", "invoke_agent 0")] * 4,
            *[("chat scripted", "invoke_agent 0.1")] * 2,
            *[("execute_tool repl", "invoke_agent 0")] * 3,
            *[("execute_tool repl", "invoke_agent 0.1")] * 2,
        ]
    )
    assert {span.context.trace_id for span in spans} == {mine.get_span_context().trace_id}
    assert all(s.attributes["gen_ai.conversation.id"] == run.id for s in spans if s.name != "mine")
    assert all(s.start_time <= s.end_time for s in spans)


def test_attributes_tell_model_tokens_and_errors_and_no_data(exported):
    ask(STORY)
    spans = exported.get_finished_spans()
    plain = next(s for s in spans if s.attributes.get("rlm.call.purpose") == "llm_query")
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "scripted",
        "gen_ai.response.model": "other-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "rlm.cost.usd": 0.0,
        "rlm.cached": False,
    }
    assert {name: plain.attributes[name] for name in expected} == expected
    assert plain.attributes["gen_ai.request.max_tokens"] > 0
    failed = [s for s in spans if s.status.status_code is StatusCode.ERROR]
    assert [s.name for s in failed] == ["execute_tool repl"]
    assert "ZeroDivisionError" in failed[0].status.description
    agent = next(s for s in spans if s.name == "invoke_agent 0.1")
    assert (agent.attributes["gen_ai.agent.id"], agent.attributes["rlm.agent.depth"]) == ("0.1", 1)
    assert SECRET not in "".join(span.to_json() for span in spans)


def test_a_run_that_fails_ends_all_its_spans_and_says_why(exported):
    run = ask({"root": ["x = 1", "raise ValueError('no')"]})
    assert run.status == "failed"
    spans = {span.name: span for span in exported.get_finished_spans()}
    assert spans["rlm run"].attributes["error.type"] == "AgentFailedError"
    assert spans["rlm run"].attributes["rlm.run.status"] == "failed"
    assert spans["invoke_agent 0"].status.status_code is StatusCode.ERROR


def test_spans_can_be_switched_off_and_are_none_without_the_package(exported, monkeypatch):
    ask(STORY, telemetry=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert telemetry.tracing() is None
    assert ask(STORY).status == "done"
    assert exported.get_finished_spans() == ()


@pytest.mark.parametrize(("provider", "name"), [("openai", "openai"), ("gemini", "gcp.gemini"), (None, None)])
def test_the_provider_has_its_name_in_the_conventions(exported, provider, name):
    model = by_question(STORY)
    model.provider = provider
    with RLM(model=model, log_dir=None, cache=False).run("root", context=[1]):
        pass
    assert {s.attributes.get("gen_ai.provider.name") for s in exported.get_finished_spans()} == {name}
