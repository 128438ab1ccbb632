"""Replies held to one block of code: which servers can, what is sent, what is put back, what is learnt."""

import asyncio
import re

import pytest
from local_servers import llama_cpp, llama_cpp_python, lm_studio, vllm
from openai_server import Reply, error, fault

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.reply.parse import parse_reply
from rlm_jupyter.errors import ModelError
from rlm_jupyter.models import (
    CompletionRequest,
    DecodingHelps,
    OpenAIChat,
    RetryPolicy,
    bounded_json,
)
from rlm_jupyter.models.decoding import (
    GRAMMAR,
    GRAMMAR_AFTER_OPENING,
    NONE,
    OPENING,
    STOPS,
    STOPS_AFTER_OPENING,
    TurnDecoding,
    known_helps,
    thinks,
)
from rlm_jupyter.models.local import known_servers
from rlm_jupyter.models.local.discovery import LocalServer

CODE = "I look first.\n```repl\nprint(len(context))\n```"
FAST = RetryPolicy(first_wait=0.001, longest_backoff=0.002)
FIELDS = {
    "stop",
    "grammar",
    "structured_outputs",
    "guided_grammar",
    "continue_final_message",
    "add_generation_prompt",
}


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Other tests run beside; and ports are used again, by servers of another kind."""
    monkeypatch.setattr(bounded_json, "SECONDS", 60.0)
    known_servers.forget_servers()
    yield
    known_servers.forget_servers()


def turn(**changes):
    return CompletionRequest([{"role": "user", "content": "hi"}], code_block=True, **changes)


def chat(server, name="small-instruct", **changes):
    return OpenAIChat(name, base_url=server.url, api_key="sk-test-0123456789", retry=FAST, **changes)


def answered(model, *requests):
    async def talk():
        try:
            return [await model.complete(request) for request in requests]
        finally:
            await model.aclose()

    return asyncio.run(talk())


def sent(server):
    """The fields of each request that are there to hold its reply to one block."""
    return [FIELDS & set(request) for request in server.requests]


# ---- which server has what


@pytest.mark.parametrize(
    ("kind", "version", "expected"),
    [
        ("llamacpp", "", DecodingHelps(stop=True, grammar="grammar", prefix="last_message")),
        ("llama-cpp-python", "", DecodingHelps(stop=True, grammar="grammar")),
        (
            "vllm",
            "0.12.0",
            DecodingHelps(stop=True, grammar="structured_outputs", prefix="continue_final_message"),
        ),
        (
            "vllm",
            "0.10.2",
            DecodingHelps(stop=True, grammar="guided_grammar", prefix="continue_final_message"),
        ),
        ("vllm", "", DecodingHelps(stop=True, grammar="structured_outputs", prefix="continue_final_message")),
        ("lmstudio", "", DecodingHelps(stop=True)),
        ("ollama", "", DecodingHelps(stop=True)),
        ("", "", NONE),
    ],
)
def test_what_a_server_has_is_known_by_its_software(kind, version, expected):
    assert known_helps(LocalServer(kind, "http://127.0.0.1:1/v1", version=version)) == expected


def test_what_providers_have():
    assert known_helps(None, "mistral") == DecodingHelps(stop=True, prefix="prefix")
    assert known_helps(None, "deepseek", "https://api.deepseek.com/beta") == DecodingHelps(
        stop=True, prefix="prefix"
    )
    assert known_helps(None, "deepseek", "https://api.deepseek.com/v1") == NONE
    assert known_helps(None, "openai") == known_helps(None) == NONE


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen2.5-Coder-1.5B-Instruct-Q4", False),
        ("qwen2.5-coder:7b", False),
        ("Qwen3-4B-Instruct-2507", False),
        ("Qwen3-4B-Thinking-2507", True),
        ("deepseek-r1:8b", True),
        ("DeepSeek-R1-Distill-Qwen-1.5B", True),
        ("gpt-oss:20b", True),
        ("qwen3:8b", None),
        ("mistral:7b", None),
        ("r1x", None),
    ],
)
def test_names_tell_whether_a_model_thinks_or_do_not(name, expected):
    assert thinks(name) is expected


# ---- the grammar


def as_pattern(grammar, start="root"):
    """A grammar without recursion as a regular expression; tests that it is one, too."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines() if line)
    token = re.compile(r'\s+|"((?:[^"\\]|\\.)*)"|(\[(?:[^\]\\]|\\.)*\])|(\{[\d,]+\})|([()|*?+])|([a-z]+)')

    def expand(text, depth=0):
        assert depth < 10
        made, pos = "", 0
        while pos < len(text):
            match = token.match(text, pos)
            assert match, text[pos:]
            pos = match.end()
            literal, charset, count, sign, name = match.groups()
            if literal is not None:
                made += f"(?:{re.escape(literal.encode().decode('unicode_escape'))})"
            elif name:
                made += f"(?:{expand(rules[name], depth + 1)})"
            else:
                made += charset or count or sign or ""
        return made

    return re.compile(expand(rules[start]))


@pytest.mark.parametrize(
    ("reply", "good"),
    [
        (CODE, True),
        ("```repl\nprint(1)\n```", True),
        ("```repl\nx = 1\n\nprint(x)\n```", True),
        ("`context` is a `str`\n\n```repl\nx = 1\n```", True),
        ("```repl\nx = '''\n  ```\n'''\nprint('`a`', \"``\")\n`\n``\n```", True),
        ("Only prose.", False),
        ("Only prose.\n", False),
        ("```repl\n```", False),
        ("```repl\n\n```", False),
        ("```python\nprint(1)\n```", False),
        ("```repl\nprint(1)\n```\n\nOutput:", False),
        ("```repl\nprint(1)\n```\n```repl\nprint(2)\n```", False),
        ("```repl\nprint(1)", False),
        ("one\n" * 9 + "```repl\nprint(1)\n```", False),
    ],
)
def test_the_grammar_is_a_little_text_and_one_block(reply, good):
    assert (as_pattern(GRAMMAR).fullmatch(reply) is not None) is good
    begun, _, rest = reply.partition(OPENING)
    if not begun and rest:
        assert (as_pattern(GRAMMAR_AFTER_OPENING).fullmatch(rest) is not None) is good
    if good:
        assert len(parse_reply(reply).blocks) == 1


# ---- what is sent


@pytest.mark.parametrize(
    ("pages", "helps", "field"),
    [
        (llama_cpp("small-instruct"), None, "stop"),
        (llama_cpp_python("small-instruct"), None, "stop"),
        (vllm("small-instruct"), None, "stop"),
        (lm_studio({"small-instruct": 4096}), None, "stop"),
        (llama_cpp("small-instruct"), DecodingHelps(grammar="grammar"), "grammar"),
        (vllm("small-instruct"), DecodingHelps(grammar="structured_outputs"), "structured_outputs"),
        (vllm("small-instruct", version="0.9.1"), DecodingHelps(grammar="guided_grammar"), "guided_grammar"),
    ],
)
def test_a_turn_uses_what_the_server_has_and_a_query_does_not(openai_server, pages, helps, field):
    openai_server.pages = pages
    openai_server.script = [CODE, CODE, "plain"]
    plain = CompletionRequest([{"role": "user", "content": "hi"}])
    model = chat(openai_server)
    model.decoding = helps
    completions = answered(model, turn(), turn(), plain)
    assert [one.text for one in completions] == [CODE, CODE, "plain"]
    assert sent(openai_server) == [{field}, {field}, set()]
    value = openai_server.requests[0][field]
    expected = {"structured_outputs": {"grammar": GRAMMAR}, "stop": list(STOPS)}.get(field, GRAMMAR)
    assert value == expected
    assert openai_server.read_pages.count("/v1/models") == 1  # and not again for each turn


def test_nothing_is_used_where_the_server_is_not_known(openai_server):
    openai_server.script = [CODE]
    answered(chat(openai_server), turn())
    assert sent(openai_server) == [set()]


def test_what_the_user_set_stays(openai_server):
    openai_server.pages = llama_cpp("small-instruct")
    openai_server.script = [CODE] * 3
    requests = [
        turn(parameters={"stop": ["END"], "extra_body": {"grammar": 'root ::= "x"'}}),
        turn(parameters={"response_format": {"type": "json_object"}}),
        turn(parameters={"stop": ["END"]}),
    ]
    model = chat(openai_server)
    model.decoding = DecodingHelps(grammar="grammar")
    answered(model, *requests)
    assert openai_server.requests[0]["stop"] == ["END"]
    assert openai_server.requests[0]["grammar"] == 'root ::= "x"'
    assert "grammar" not in openai_server.requests[1]
    assert openai_server.requests[2]["grammar"] == GRAMMAR
    model = chat(openai_server)
    model.decoding = DecodingHelps(stop=True)
    openai_server.script = lambda _request: CODE
    answered(model, requests[2])
    assert openai_server.requests[3]["stop"] == ["END"]


def test_it_can_be_switched_by_hand(openai_server):
    openai_server.pages = llama_cpp("small-instruct")
    openai_server.script = [CODE] * 3
    model = chat(openai_server)
    model.decoding = NONE
    answered(model, turn())
    model.decoding = DecodingHelps(grammar="grammar")
    answered(model, turn())
    model.decoding = None
    answered(model, turn())
    assert sent(openai_server) == [set(), {"grammar"}, {"stop"}]


def test_the_cache_knows_what_was_set_and_not_what_was_learnt(openai_server):
    openai_server.pages = llama_cpp("small-instruct")
    openai_server.script = [CODE]
    model = chat(openai_server)
    before = model.identity
    answered(model, turn())
    assert model.identity == before
    model.decoding = DecodingHelps(stop=True)
    assert model.identity != before


def test_the_window_of_a_local_server_is_known_after_the_first_turn(openai_server):
    openai_server.pages = llama_cpp("small-instruct", slot=6144)
    openai_server.script = [CODE]
    model = chat(openai_server)
    assert model.window is None
    answered(model, turn())
    assert model.window == 6144


# ---- models that think


def test_a_model_whose_template_thinks_is_left_alone(openai_server):
    openai_server.pages = llama_cpp("small-instruct", template="{% if enable_thinking %}<think>{% endif %}")
    openai_server.script = [CODE] * 2
    answered(chat(openai_server), turn(), turn())
    assert sent(openai_server) == [set(), set()]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (CODE, {"stop"}),
        (f"<think>hm</think>\n{CODE}", set()),
        (Reply(CODE, message={"reasoning_content": "hm"}), set()),
    ],
)
def test_where_nothing_tells_the_first_reply_shows_whether_it_thinks(openai_server, first, later):
    openai_server.pages = vllm("some-model")
    openai_server.script = [first, CODE]
    answered(chat(openai_server, "some-model"), turn(), turn())
    assert sent(openai_server) == [set(), later]


def test_a_stop_text_in_thoughts_costs_one_request_and_is_not_used_again(openai_server):
    openai_server.pages = lm_studio({"small-instruct": 4096})
    openai_server.script = [Reply("", message={"reasoning_content": "hm"}), CODE, CODE]
    first, second = answered(chat(openai_server), turn(), turn())
    assert (first.text, first.attempts, second.attempts) == (CODE, 2, 1)
    assert sent(openai_server) == [{"stop"}, set(), set()]


# ---- refusals


@pytest.mark.parametrize(
    ("refusal", "helps", "left"),
    [
        (
            error(400, "Failed to parse grammar", "invalid_request_error"),
            DecodingHelps(True, "grammar"),
            {"stop"},
        ),
        (error(400, "Extra inputs: guided_grammar", "x"), DecodingHelps(False, "guided_grammar"), set()),
        (error(422, "stop: not supported", "x"), DecodingHelps(True, "grammar"), {"grammar"}),
        (error(500, "Unexpected grammar state", "server_error"), DecodingHelps(True, "grammar"), {"stop"}),
        (error(400, "Invalid request.", "invalid_request_error"), DecodingHelps(True, "grammar"), set()),
    ],
)
def test_a_field_that_is_refused_is_left_out_from_then_on(openai_server, refusal, helps, left):
    waits = []
    openai_server.script = [refusal, CODE, CODE]
    model = chat(openai_server)
    model.decoding = helps
    request = turn(on_wait=lambda reason, seconds: waits.append(seconds))
    first, second = answered(model, request, turn())
    assert (first.text, first.attempts, second.attempts) == (CODE, 2, 1)
    assert sent(openai_server)[1:] == [left, left]
    assert waits == [0.0]


@pytest.mark.parametrize(
    "said",
    [
        "Assistant response prefill is incompatible with enable_thinking.",
        "Cannot set both add_generation_prompt and continue_final_message",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "Expected last role User or Tool for serving but got assistant: the last message",
    ],
)
def test_a_prefix_that_is_refused_is_left_out_and_not_put_before_the_reply(openai_server, said):
    openai_server.script = [error(400, said, "invalid_request_error"), "1 + 1 is\n" + CODE]
    model = chat(openai_server)
    model.decoding = DecodingHelps(prefix="continue_final_message")
    (completion,) = answered(model, turn())
    assert completion.text == "1 + 1 is\n" + CODE
    assert openai_server.requests[1]["messages"] == [{"role": "user", "content": "hi"}]
    assert sent(openai_server)[1] == set()


def test_a_refusal_of_something_else_is_told_and_blames_nothing(openai_server):
    openai_server.pages = llama_cpp("small-instruct")
    refusal = error(400, "Invalid value for temperature", "invalid_request_error")
    openai_server.script = [refusal, refusal, CODE]
    model = chat(openai_server)
    with pytest.raises(ModelError, match="temperature"):
        answered(model, turn())
    answered(model, turn())
    assert sent(openai_server) == [{"stop"}, set(), {"stop"}]


def test_waits_go_on_as_they_do_without(openai_server):
    openai_server.pages = llama_cpp("small-instruct")
    openai_server.script = [fault("rate_limit", retry_after=0.01), CODE]
    (completion,) = answered(chat(openai_server), turn())
    assert (completion.text, completion.attempts) == (CODE, 2)
    assert sent(openai_server) == [{"stop"}, {"stop"}]


# ---- what servers leave out is put back


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("prefix", "mark"),
    [("last_message", {}), ("continue_final_message", {}), ("prefix", {"prefix": True})],
)
@pytest.mark.parametrize("echo", [False, True])
def test_a_reply_is_begun_for_the_model(openai_server, streams, prefix, mark, echo):
    rest, pieces = "print(1)\n```", []
    openai_server.script = [Reply((OPENING if echo else "") + rest, pieces=7)]
    model = chat(openai_server)
    model.decoding = DecodingHelps(prefix=prefix)
    (completion,) = answered(model, turn(on_delta=pieces.append if streams else None))
    assert completion.text == OPENING + rest
    assert "".join(pieces) == (OPENING + rest if streams else "")
    (request,) = openai_server.requests
    assert request["messages"][-1] == {"role": "assistant", "content": OPENING, **mark}
    assert ("continue_final_message" in request) is (prefix == "continue_final_message")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Look:\n```repl\nprint(1)", "Look:\n```repl\nprint(1)\n```"),
        ("```repl\nprint(1)\n", "```repl\nprint(1)\n```"),
        ("```repl\nprint(1)\n```", "```repl\nprint(1)\n```"),
        ("```repl\nx = '''\n```\n'''\n```", "```repl\nx = '''\n```\n'''\n```"),
        ("Only prose.", "Only prose."),
        ("", ""),
    ],
)
def test_the_fence_that_was_the_stop_text_is_put_back(text, expected):
    stopped = TurnDecoding(DecodingHelps(stop=True))
    assert stopped.whole(text, "stop") == expected
    assert stopped.whole(text, "length") == text  # cut off: the block has no end indeed
    assert TurnDecoding().whole(text, "stop") == text


def cut_at(stops, text):
    """What a server makes of a reply."""
    ends = [text.find(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text


@pytest.mark.parametrize(
    ("written", "blocks"),
    [
        ("Look:\n```repl\nprint(1)\n```\n\nOutput:\n```\n1\n```\nFINAL(1)", ("print(1)",)),
        ("```repl\nprint(1)\n```\n```output\n1\n```", ("print(1)",)),
        ("Look:\n```\nprint(1)\n```", ("print(1)",)),  # a bare fence is no stop text where the code begins
        ("```\nprint(1)\n```\n\nand then", ("print(1)",)),
        ("```repl\nprint(1)\n\n\nprint(2)\n```\n\n", ("print(1)\n\n\nprint(2)",)),
    ],
)
def test_what_is_left_of_a_reply_is_its_first_block(written, blocks):
    stopped = TurnDecoding(DecodingHelps(stop=True))
    reply = parse_reply(stopped.whole(cut_at(STOPS, written), "stop"))
    assert (reply.blocks, reply.notices) == (blocks, ())


def test_with_a_prefix_the_first_fence_is_the_end():
    both = TurnDecoding(DecodingHelps(stop=True, grammar="grammar", prefix="last_message"))
    fields, messages = both.request({}, [{"role": "user", "content": "hi"}])
    assert fields == {"stop": list(STOPS_AFTER_OPENING), "grammar": GRAMMAR_AFTER_OPENING}
    assert messages[-1]["content"] == OPENING
    assert (
        both.whole(cut_at(STOPS_AFTER_OPENING, "print(1)\n```\nOutput: 1"), "stop")
        == "```repl\nprint(1)\n```"
    )


def test_a_whole_run(openai_server):
    """Turns of agents and nothing else: the query of an agent's code may answer as it likes."""
    openai_server.pages = llama_cpp("small-instruct")

    def script(request):
        if "stop" not in request:
            return "Elm"
        return "```repl\nFINAL(llm_query('Which supplier?') + str(len(context)))\n```"

    openai_server.script = script
    rlm = RLM(
        model="small-instruct",
        base_url=openai_server.url,
        api_key="sk-test-0123456789",
        log_dir=None,
        cache=False,
        limits=Limits(cost=None),
        require_look=False,
    )
    assert rlm.run("Which?", context="abc").value == "Elm3"
    assert sent(openai_server) == [{"stop"}, set()]
