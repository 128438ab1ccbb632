"""A run goes on after a reply that is of no use, and what it sends is what strict servers take."""

import json

import pytest
from openai_server import chunk, events, raw
from scripts import cell, question_of

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
from rlm_jupyter.errors import AgentFailedError, EmptyReplyError
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.models.base import CompletionRequest
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.openai.chat_messages import sendable
from rlm_jupyter.models.retry import RetryPolicy

STREAM = "text/event-stream"
DONE = cell("FINAL(len(context))")
CALL = {"tool_calls": [{"id": "1", "function": {"name": "python", "arguments": "{}"}}]}
TOOL_USE = {
    "message": "Tool choice is none, but model called a tool",
    "type": "invalid_request_error",
    "code": "tool_use_failed",
    "failed_generation": json.dumps({"name": "python", "arguments": {"code": "FINAL('draft')"}}),
}


def strict(request):
    """Refuse a chat as strict servers do; None if it is one that they take."""
    roles = [message["role"] for message in request["messages"]]
    if any(not message["content"].strip("\u200b \n") for message in request["messages"]):
        return raw({"error": {"message": "messages: text content blocks must be non-empty"}}, status=400)
    talk = roles[1:] if roles[0] == "system" else roles
    if talk != [("user", "assistant")[i % 2] for i in range(len(talk))] or talk[-1] != "user":
        return raw({"error": {"message": "after the first, messages must take turns"}}, status=400)
    return None


@pytest.fixture
def run_over(openai_server):
    """Run a question on a strict server with these replies; the last one comes again and again."""
    runs = []

    def start(replies, *, context=(1, 2, 3), question="root", **options):
        left = list(replies)

        def answer(request):
            refusal = strict(request)
            if refusal is None and not callable(left[0]):
                return left.pop(0) if len(left) > 1 else left[0]
            return refusal or left[0](request)

        openai_server.script = answer
        chat = OpenAIChat(
            "m", base_url=openai_server.url, api_key="sk-test-0123456789", retry=RetryPolicy(first_wait=0.01)
        )
        settings = {
            "log_dir": None,
            "cache": False,
            "require_look": False,
            "limits": Limits(cost=None),
            **options,
        }
        runs.append(RLM(model=chat, **settings).start(question, context=context))
        return runs[-1].wait(60)

    yield start
    for run in runs:
        run.close()
        engine().submit(run.model.aclose()).result(10)


def streamed(finish, **delta):
    return raw(events(chunk(None, delta=delta), chunk(None, finish)), STREAM)


NO_TEXT = {
    "length": streamed("length", content=""),
    "content filter": streamed("content_filter", content=None),
    "malformed call": streamed("function_call_filter: MALFORMED_FUNCTION_CALL", content=None),
    "tool call": streamed("tool_calls", **CALL),
    "tool call that ends with stop": streamed("stop", **CALL),
    "blanks": streamed("length", content=" \n"),
    "invisible": streamed("length", content="\u200b"),
    "only thoughts": streamed("stop", reasoning_content="I would count them."),
    "only thoughts, otherwise named": streamed("stop", content="", reasoning="I would count them."),
    "thoughts as a part": streamed("stop", content=[{"type": "thinking", "thinking": "hm"}]),
    "nothing": streamed("stop", content=""),
    "refused tool call": raw({"error": TOOL_USE}, status=400),
    "refused tool call in a stream": raw(events({"error": TOOL_USE}), STREAM),
    "refused tool call behind a proxy": raw(
        {"error": {"message": f"GroqException - {json.dumps({'error': TOOL_USE})}", "code": "400"}},
        status=400,
    ),
}
TOLD = {"only thoughts": "thoughts and no text", "tool call": "no tools", "refused tool call": "no tools",
        "length": "length limit", "content filter": "content filter", "blanks": "length limit"}  # fmt: skip


@pytest.mark.parametrize("name", NO_TEXT)
def test_a_reply_without_text_is_told_to_the_agent_which_goes_on(run_over, openai_server, name):
    # Three requests at the most are made for one such reply; the next turn then brings another one.
    times = {
        "nothing": 3,
        "only thoughts": 2,
        "only thoughts, otherwise named": 2,
        "thoughts as a part": 2,
    }.get(name, 1)
    run = run_over([NO_TEXT[name]] * times + [cell("x = 1"), DONE])
    assert run.raise_for_error().value == 3
    assert openai_server.calls == times + 2
    asked, told = openai_server.requests[times]["messages"][-2:]
    assert (asked["role"], told["role"]) == ("assistant", "user")
    assert "```repl" in told["content"]
    assert TOLD.get(name, "") in told["content"]
    assert "draft" not in told["content"]


def test_a_model_that_only_thinks_ends_the_run_with_what_to_do(run_over):
    run = run_over([NO_TEXT["only thoughts"]])
    assert isinstance(run.error, AgentFailedError)
    assert isinstance(run.error.__cause__, EmptyReplyError)
    assert "only thought" in str(run.error)
    assert "base_url" not in str(run.error)


# ---- models without a system role

REFUSALS = {
    "Gemma on vLLM": (400, {"object": "error", "message": "System role not supported", "code": 400}),
    "OpenAI": (400, {"error": {"message": "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
                               "param": "messages[0].role", "code": "unsupported_value"}}),
    "Google": (400, [{"error": {"code": 400, "message": "Developer instruction is not enabled for models/gemma-3-27b-it"}}]),
    "a template's turns": (400, {"message": "Conversation roles must alternate user/assistant/user/assistant/..."}),
    "a template's roles": (500, {"error": {"message": "Only user and assistant roles are supported!"}}),
    "a check of the field": (422, {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user' or 'assistant'"}]}),
    "OpenRouter": (400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {
        "raw": '{"error": {"message": "system messages are not supported by this model"}}'}}}),
    "LM Studio": (200, {"error": 'Error rendering prompt with jinja template: "System role not supported".'}),
    "Anthropic": (400, {"error": {"message": 'messages: Unexpected role "system". The API accepts a top-level parameter'}}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_model_without_a_system_role_gets_its_text_from_the_user(run_over, openai_server, name):
    status, body = REFUSALS[name]

    def answer(request):
        if any(message["role"] == "system" for message in request["messages"]):
            return raw(body, status=status)
        if "Question:\nroot" in request["messages"][0]["content"]:
            return cell("FINAL(rlm_query('part', context=context))")
        return DONE

    run = run_over([answer])
    assert run.raise_for_error().value == 3
    assert openai_server.calls == 3  # learnt once: the sub-agent's request has no system message
    refused, first, second = (request["messages"] for request in openai_server.requests)
    assert first == [{"role": "user", "content": f"{refused[0]['content']}\n\n{refused[1]['content']}"}]
    assert [message["role"] for message in second] == ["user"]


@pytest.mark.parametrize(
    "said",
    [
        "Only system, user and assistant roles are supported!",
        "Input should be 'system', 'user' or 'assistant'",
        "The system is overloaded; your message could not be taken. Unknown error",
        "Your message does not support what the system expects. Try a shorter prompt",
    ],
)
def test_a_refusal_about_something_else_does_not_take_the_system_message_away(run_over, openai_server, said):
    run = run_over([raw({"error": {"message": said}}, status=400)])
    assert said[:20] in str(run.error)
    assert openai_server.calls == 1


# ---- what is sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (["system:a", "user:b"], ["system:a", "user:b"]),
        (["user:a", "assistant:", "user:b"], ["user:a", "assistant:(no text)", "user:b"]),
        (["user:a", "assistant: \n\u200b", "user:b"], ["user:a", "assistant:(no text)", "user:b"]),
        (
            ["user:a", "user:b", "assistant:c", "assistant:d", "user:e"],
            ["user:a\n\nb", "assistant:c\n\nd", "user:e"],
        ),
        (["system: ", "user: "], ["user:(no text)"]),
        (["user:\udcff"], ["user:\ufffd"]),
    ],
)
def test_what_is_sent_has_no_blank_message_and_roles_take_turns(given, sent):
    assert sendable(chat_of(given)) == chat_of(sent)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (["system:a", "user:b"], ["user:a\n\nb"]),
        (
            ["system:a", "system:b", "user:c", "assistant:d", "user:e"],
            ["user:a\n\nb\n\nc", "assistant:d", "user:e"],
        ),
        (["user:a", "assistant:b", "system:c", "user:d"], ["user:a", "assistant:b", "user:c\n\nd"]),
        (["user:a", "system:b"], ["user:a\n\nb"]),
        (["system:a"], ["user:a"]),
    ],
)
def test_without_a_system_role_its_text_leads_the_users(given, sent):
    assert sendable(chat_of(given), system_role=False) == chat_of(sent)


def chat_of(lines):
    return [dict(zip(("role", "content"), line.split(":", 1), strict=True)) for line in lines]


async def test_the_client_itself_sends_no_blank_message(openai_server):
    openai_server.script = lambda request: strict(request) or "ok"
    chat = OpenAIChat("m", base_url=openai_server.url, api_key="sk-test-0123456789")
    messages = chat_of(["system: ", "user:a", "assistant:", "user:b", "user:c"])
    assert (await chat.complete(CompletionRequest(messages))).text == "ok"
    await chat.aclose()


# ---- plain calls

ASK = "def tried():\n    try:\n        return {}\n    except RLMQueryError as error:\n        return str(error)\nFINAL(tried())"


@pytest.mark.parametrize(
    "name",
    ["tool call", "refused tool call", "length", "blanks", "invisible", "content filter", "malformed call"],
)
@pytest.mark.parametrize("schema", ["", ", schema=int"])
def test_a_plain_call_without_text_is_asked_once_more(run_over, openai_server, name, schema):
    def answer(request):
        if question_of(request["messages"]) == "root":
            return cell(ASK.format(f"llm_query('how many'{schema})"))
        return NO_TEXT[name] if len(request["messages"]) == 1 else "42"

    run = run_over([answer])
    assert run.raise_for_error().value == (42 if schema else "42")
    assert openai_server.calls == 3
    again = openai_server.requests[-1]["messages"][-1]["content"]
    assert "Answer again" in again
    assert TOLD.get(name, "") in again


@pytest.mark.parametrize("schema", ["", ", schema=int"])
@pytest.mark.parametrize("name", ["length", "content filter", "blanks", "only thoughts", "tool call"])
def test_a_plain_call_that_stays_without_text_is_an_error_in_the_code(run_over, name, schema):
    def answer(request):
        if question_of(request["messages"]) == "root":
            return cell(ASK.format(f"llm_query('how many'{schema})"))
        return NO_TEXT[name]

    value = run_over([answer]).raise_for_error().value
    told = "only thought" if name == "only thoughts" else TOLD[name]
    assert told in value


# ---- JSON that nothing can handle

HOSTILE = {
    "brackets": "[" * 10_000,
    "objects": '{"a":' * 10_000,
    "closed brackets": "[" * 10_000 + "]" * 10_000,
    "deep, and Python reads it": "[" * 400 + "]" * 400,
    "in words": "Here it is: " + '[{"a": ' * 5_000,
    "in a block": "```json\n" + "[" * 10_000 + "\n```",
    "digits": "9" * 10_000,
    "digits in a list": "[" + "9" * 10_000 + "]",
    "a large exponent": "[1e99999]",
    "half a character": '["\\udc80"]',
    "no number": "[NaN]",
    "strings without end": '["' * 20_000,
}  # fmt: skip


@pytest.mark.parametrize("schema", ["list[int]", "{'n': 'int64'}", "{'type': 'object'}", "dict[str, float]"])
def test_json_that_nothing_can_handle_is_an_answer_that_does_not_fit(schema):
    texts = list(HOSTILE.values())
    model = ScriptedModel(
        lambda messages: (
            cell(
                f"found = llm_query_batched({[str(i) for i in range(len(texts))]}, schema={schema})\n"
                "FINAL([(bool(one), getattr(one, 'kind', None)) for one in found])"
            )
            if messages[0]["role"] == "system"
            else texts[int(messages[0]["content"].partition("\n")[0])]
        )
    )
    run = RLM(model=model, log_dir=None, cache=False, require_look=False).run("root", context=[1])
    assert run.value == [(False, "failed")] * len(texts)
    run.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_turn_of_it_is_a_reply_like_any_other(name):
    model = ScriptedModel([HOSTILE[name], cell(HOSTILE[name][:3000]), cell("FINAL(1)")])
    run = RLM(model=model, log_dir=None, cache=False).run("root")
    assert run.value == 1
    run.close()


def test_a_search_for_json_ends_soon():
    schema = AnswerSchema(list[int])
    for text in ("[1," * 300_000, '["' * 300_000, "[ " * 300_000, "{}" * 300_000 + "[", '[{"a": "' * 100_000):
        with pytest.raises(ValueError, match=r"JSON|value|expected|valid"):
            schema.read(f"words {text}")
